//! The geometries of a filter: well-known text, or a box.

use city_model::geometry::{Geometry, Position};

use super::{Parser, VALUES_MAX};
use crate::Error;
use crate::area::boxed;
use crate::tokens::Token;

impl Parser<'_, '_> {
    /// Well-known text, or `BBOX(west, south, east, north)`.
    pub(super) fn geometry(&mut self) -> Result<Geometry, Error> {
        let Some(Token::Word(word)) = self.peek() else { return Err(self.fail("a geometry is expected here")) };
        self.at += 1;
        self.take_word("Z");
        Ok(match word.to_ascii_uppercase().as_str() {
            "POINT" => {
                self.need("(")?;
                let point = self.position()?;
                self.need(")")?;
                Geometry::Point(point)
            }
            "LINESTRING" => Geometry::LineString(self.positions()?),
            "MULTIPOINT" => Geometry::MultiPoint(self.positions()?),
            "POLYGON" => Geometry::Polygon(self.rings()?),
            "MULTILINESTRING" => Geometry::MultiLineString(self.rings()?),
            "MULTIPOLYGON" => {
                self.need("(")?;
                let mut polygons = vec![self.rings()?];
                while self.take_sign(",") {
                    polygons.push(self.rings()?);
                }
                self.need(")")?;
                Geometry::MultiPolygon(polygons)
            }
            "BBOX" => {
                self.need("(")?;
                let mut numbers = vec![self.degrees()?];
                while self.take_sign(",") && numbers.len() < 6 {
                    numbers.push(self.degrees()?);
                }
                self.need(")")?;
                match *numbers.as_slice() {
                    [west, south, east, north] | [west, south, _, east, north, _] => {
                        boxed(west, south, east, north).map_err(|why| self.fail(why))?
                    }
                    _ => return Err(self.fail("BBOX takes west, south, east, north")),
                }
            }
            other => {
                self.at -= 1;
                return Err(self.fail(format!("{other} is no geometry; use POINT, LINESTRING, POLYGON, MULTIPOINT, MULTILINESTRING, MULTIPOLYGON or BBOX")));
            }
        })
    }

    fn rings(&mut self) -> Result<Vec<Vec<Position>>, Error> {
        self.need("(")?;
        let mut rings = vec![self.positions()?];
        while self.take_sign(",") {
            rings.push(self.positions()?);
        }
        self.need(")")?;
        Ok(rings)
    }

    fn positions(&mut self) -> Result<Vec<Position>, Error> {
        self.need("(")?;
        let mut positions = vec![self.position()?];
        while self.take_sign(",") {
            if positions.len() >= VALUES_MAX {
                return Err(self.fail(format!("a line has {VALUES_MAX} points at most")));
            }
            positions.push(self.position()?);
        }
        self.need(")")?;
        Ok(positions)
    }

    fn position(&mut self) -> Result<Position, Error> {
        // MULTIPOINT may have each point in parentheses.
        let has_own = self.take_sign("(");
        let (lon, lat) = (self.degrees()?, self.degrees()?);
        if lon.abs() > 180.0 || lat.abs() > 90.0 {
            return Err(self.fail("longitude comes first, from -180 to 180, then latitude, from -90 to 90"));
        }
        let height = match self.peek() {
            Some(Token::Number(..) | Token::Sign("-")) => Some(self.degrees()?),
            _ => None,
        };
        if has_own {
            self.need(")")?;
        }
        Ok(Position { lon, lat, height })
    }

    fn degrees(&mut self) -> Result<f64, Error> {
        let is_negative = self.take_sign("-");
        let Some(Token::Number(number, _)) = self.peek() else { return Err(self.fail("a number is expected here")) };
        self.at += 1;
        Ok(if is_negative { -number } else { *number })
    }
}
