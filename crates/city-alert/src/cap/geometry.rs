//! Polygons and circles as CAP writes them: `latitude,longitude` in WGS 84, pairs apart by a space.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A place in WGS 84, in degrees.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Point {
    pub latitude: f64,
    pub longitude: f64,
}

/// A ring: at least four points, the last as the first.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Polygon {
    pub points: Vec<Point>,
}

/// All that is no farther from a place.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Circle {
    #[serde(flatten)]
    pub center: Point,
    #[serde(rename = "radiusKm")]
    pub radius_km: f64,
}

/// Digits with or without a sign and a point; neither an exponent nor a word.
pub(super) fn decimal(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'+' | b'-'));
    text.parse().ok().filter(|number: &f64| plain && number.is_finite())
}

impl Point {
    fn parse(text: &str) -> Option<Self> {
        let (latitude, longitude) = text.split_once(',')?;
        Some(Self { latitude: decimal(latitude)?, longitude: decimal(longitude)? })
    }

    /// Whether there is such a place.
    #[must_use]
    pub fn is_on_earth(self) -> bool {
        (-90.0..=90.0).contains(&self.latitude) && (-180.0..=180.0).contains(&self.longitude)
    }
}

impl Polygon {
    /// Points as written, whether or not they make a ring; else the first that is none.
    pub(super) fn parse(text: &str) -> Result<Self, &str> {
        let pairs = text.split_ascii_whitespace();
        let points: Result<Vec<Point>, &str> = pairs.map(|pair| Point::parse(pair).ok_or(pair)).collect();
        Ok(Self { points: points? })
    }

    /// The first and the last point are the same.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.points.first() == self.points.last()
    }
}

impl Circle {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split_ascii_whitespace();
        let (center, radius) = (parts.next()?, parts.next()?);
        match parts.next() {
            None => Some(Self { center: Point::parse(center)?, radius_km: decimal(radius)? }),
            Some(_) => None,
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.latitude, self.longitude)
    }
}

impl fmt::Display for Polygon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, point) in self.points.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{point}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Circle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.center, self.radius_km)
    }
}
