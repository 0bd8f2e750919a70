//! Coordinates as the agency writes them: ISO 6709, in degrees or in degrees and minutes.

use serde_json::Value;

use super::{get, text};

/// Most positions of one text that are read.
pub(super) const POSITIONS_MAX: usize = 100_000;

/// A place in degrees; a height in metres, below zero under ground.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Position {
    pub latitude: f64,
    pub longitude: f64,
    pub height_m: Option<f64>,
}

/// The positions of `+33.2+132.4-30000/` or `+3624.38+13831.38+2568/`, and of several of them one after the other.
/// What is no position is passed over.
#[must_use]
pub fn positions(text: &str) -> Vec<Position> {
    text.split('/').filter_map(position).take(POSITIONS_MAX).collect()
}

fn position(text: &str) -> Option<Position> {
    let mut numbers: Vec<&str> = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() && numbers.len() < 4 {
        let end = rest.char_indices().skip(1).find(|(_, c)| matches!(c, '+' | '-')).map_or(rest.len(), |(at, _)| at);
        numbers.push(rest.get(..end)?);
        rest = rest.get(end..)?;
    }
    let (latitude, longitude, height) = match numbers.as_slice() {
        [latitude, longitude] => (latitude, longitude, None),
        [latitude, longitude, height] => (latitude, longitude, Some(height)),
        _ => return None,
    };
    let (latitude, longitude) = (degrees(latitude, 2)?, degrees(longitude, 3)?);
    let on_earth = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
    let height_m = height.and_then(|height| number(height));
    on_earth.then_some(Position { latitude, longitude, height_m })
}

/// How many digits stand before the point says whether they are degrees, minutes with them, or seconds too.
fn degrees(text: &str, digits: usize) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-'])?;
    let whole = unsigned.split_once('.').map_or(unsigned.len(), |(whole, _)| whole.len());
    let (degrees, minutes, seconds) = match whole {
        length if length <= digits => (unsigned, "0", "0"),
        length if length == digits + 2 => (unsigned.get(..digits)?, unsigned.get(digits..)?, "0"),
        length if length == digits + 4 => {
            (unsigned.get(..digits)?, unsigned.get(digits..digits + 2)?, unsigned.get(digits + 2..)?)
        }
        _ => return None,
    };
    let value = number(degrees)? + number(minutes)? / 60.0 + number(seconds)? / 3_600.0;
    Some(if text.starts_with('-') { -value } else { value })
}

fn number(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'+' | b'-'));
    text.parse().ok().filter(|_| plain)
}

/// The first coordinate that is one, of an element or a list of them.
pub(super) fn first(coordinates: &Value) -> Option<Position> {
    let list = coordinates.as_array().map_or(std::slice::from_ref(coordinates), Vec::as_slice);
    list.iter().find_map(|one| {
        let written = get(one, &["value"]).as_str().unwrap_or_else(|| text(one, &[]));
        positions(written).first().copied()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn degrees_minutes_and_depth_are_told_by_their_digits() {
        let deep = Position { latitude: 33.2, longitude: 132.4, height_m: Some(-30_000.0) };
        assert_eq!(positions("+33.2+132.4-30000/"), [deep]);
        let asama = positions("+3624.38+13831.38+2568/");
        let [place] = asama.as_slice() else { panic!("{asama:?}") };
        assert!((place.latitude - (36.0 + 24.38 / 60.0)).abs() < 1e-9, "{place:?}");
        assert!((place.longitude - (138.0 + 31.38 / 60.0)).abs() < 1e-9, "{place:?}");
        assert_eq!(place.height_m, Some(2568.0));
        assert_eq!(positions("-10.5-075.0/").first().map(|place| place.longitude), Some(-75.0));
        assert_eq!(positions("+31.68+131.30/+31.69+131.32/").len(), 2);
    }

    #[test]
    fn what_is_no_place_is_none() {
        for text in ["", "/", "+33.2/", "+99.0+132.4/", "33.2,132.4", "+a+b/", "+33.2+132.4+1+2/", "＋３３＋１３２/"]
        {
            assert_eq!(positions(text), [], "{text}");
        }
    }
}
