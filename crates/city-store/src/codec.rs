//! Values and instances as bytes, for the journal and the view alike.
//!
//! Self-delimiting: LEB128 integers, zigzag for signed ones, length before text. Bytes that make no sense
//! are an error, never a panic.

mod instance;
mod parts;

use city_model::{Geometry, Position, Value};

use crate::Error;

pub use instance::{NameNumbers, class_number, peek_times, read_dataset, read_instance, write_instance, write_sealed};
pub use parts::{InstanceParts, Number, split_instance};

/// Deepest nesting that a reader follows; writers never go deeper (`VALUE_DEPTH_MAX`).
const DEPTH_MAX: usize = 160;
#[derive(Debug, Default)]
pub struct Writer {
    pub bytes: Vec<u8>,
}

impl Writer {
    pub fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub fn uint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push((value as u8) | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    pub fn int(&mut self, value: i64) {
        self.uint(((value << 1) ^ (value >> 63)) as u64);
    }

    pub fn f64(&mut self, value: f64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub fn raw(&mut self, bytes: &[u8]) {
        self.uint(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    pub fn text(&mut self, text: &str) {
        self.raw(text.as_bytes());
    }

    pub fn option(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            None => self.u8(0),
            Some(bytes) => {
                self.u8(1);
                self.raw(bytes);
            }
        }
    }
}

#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

fn undecodable(why: &str) -> Error {
    Error::Undecodable(why.to_owned())
}

impl<'a> Reader<'a> {
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(|| undecodable("it ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    pub fn u8(&mut self) -> Result<u8, Error> {
        Ok(self.take(1)?[0])
    }

    pub fn uint(&mut self) -> Result<u64, Error> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(undecodable("an integer is longer than 64 bits"))
    }

    pub fn u32(&mut self) -> Result<u32, Error> {
        u32::try_from(self.uint()?).map_err(|_| undecodable("an integer is longer than 32 bits"))
    }

    pub fn int(&mut self) -> Result<i64, Error> {
        let zigzag = self.uint()?;
        Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }

    pub fn f64(&mut self) -> Result<f64, Error> {
        let bytes: [u8; 8] = self.take(8)?.try_into().map_err(|_| undecodable("a number ends too early"))?;
        Ok(f64::from_le_bytes(bytes))
    }

    pub fn raw(&mut self) -> Result<&'a [u8], Error> {
        let count = usize::try_from(self.uint()?).map_err(|_| undecodable("a length is too large"))?;
        self.take(count)
    }

    pub fn text(&mut self) -> Result<&'a str, Error> {
        std::str::from_utf8(self.raw()?).map_err(|_| undecodable("a text is not UTF-8"))
    }

    pub fn option(&mut self) -> Result<Option<&'a [u8]>, Error> {
        match self.u8()? {
            0 => Ok(None),
            1 => self.raw().map(Some),
            _ => Err(undecodable("an option is neither absent nor present")),
        }
    }

    /// A count of things that each take at least one byte, so that a wild count cannot ask for wild memory.
    fn count(&mut self) -> Result<usize, Error> {
        match usize::try_from(self.uint()?) {
            Ok(count) if count <= self.rest.len() => Ok(count),
            _ => Err(undecodable("a count is larger than what follows")),
        }
    }
}

pub fn write_value(value: &Value, out: &mut Writer) {
    match value {
        Value::Null => out.u8(0),
        Value::Bool(false) => out.u8(1),
        Value::Bool(true) => out.u8(2),
        Value::Int(int) => {
            out.u8(3);
            out.int(*int);
        }
        Value::Float(float) => {
            out.u8(4);
            out.f64(*float);
        }
        Value::Text(text) => {
            out.u8(5);
            out.text(text);
        }
        Value::List(items) => {
            out.u8(6);
            out.uint(items.len() as u64);
            items.iter().for_each(|item| write_value(item, out));
        }
        Value::Map(members) => {
            out.u8(7);
            out.uint(members.len() as u64);
            for (key, value) in members {
                out.text(key);
                write_value(value, out);
            }
        }
    }
}

pub fn read_value(from: &mut Reader) -> Result<Value, Error> {
    read_value_at(from, 0)
}

fn read_value_at(from: &mut Reader, depth: usize) -> Result<Value, Error> {
    if depth > DEPTH_MAX {
        return Err(undecodable("a value is nested too deeply"));
    }
    Ok(match from.u8()? {
        0 => Value::Null,
        1 => Value::Bool(false),
        2 => Value::Bool(true),
        3 => Value::Int(from.int()?),
        4 => Value::Float(from.f64()?),
        5 => Value::Text(from.text()?.into()),
        6 => Value::List((0..from.count()?).map(|_| read_value_at(from, depth + 1)).collect::<Result<_, _>>()?),
        7 => {
            let count = from.count()?;
            let mut members = Vec::with_capacity(count);
            for _ in 0..count {
                members.push((from.text()?.into(), read_value_at(from, depth + 1)?));
            }
            Value::Map(members)
        }
        _ => return Err(undecodable("a value has an unknown tag")),
    })
}

fn write_values(values: &[Value], out: &mut Writer) {
    out.uint(values.len() as u64);
    values.iter().for_each(|value| write_value(value, out));
}

fn read_values(from: &mut Reader) -> Result<Vec<Value>, Error> {
    (0..from.count()?).map(|_| read_value(from)).collect()
}

fn write_positions(positions: &[Position], out: &mut Writer) {
    let with_height = positions.iter().any(|p| p.height.is_some());
    out.uint(((positions.len() as u64) << 1) | u64::from(with_height));
    for p in positions {
        out.f64(p.lon);
        out.f64(p.lat);
        if with_height {
            out.f64(p.height.unwrap_or(f64::NAN));
        }
    }
}

fn read_positions(from: &mut Reader) -> Result<Vec<Position>, Error> {
    let coded = from.uint()?;
    let (count, with_height) = ((coded >> 1) as usize, coded & 1 == 1);
    if count > from.rest.len() / 16 {
        return Err(undecodable("a geometry has more positions than bytes"));
    }
    (0..count)
        .map(|_| {
            let (lon, lat) = (from.f64()?, from.f64()?);
            let height = if with_height { Some(from.f64()?).filter(|h| !h.is_nan()) } else { None };
            Ok(Position { lon, lat, height })
        })
        .collect()
}

fn read_lists<T>(from: &mut Reader, read: impl Fn(&mut Reader) -> Result<T, Error>) -> Result<Vec<T>, Error> {
    (0..from.count()?).map(|_| read(from)).collect()
}

fn write_geometry(geometry: &Geometry, out: &mut Writer) {
    let lines = |lists: &[Vec<Position>], out: &mut Writer| {
        out.uint(lists.len() as u64);
        lists.iter().for_each(|list| write_positions(list, out));
    };
    match geometry {
        Geometry::Point(point) => {
            out.u8(0);
            write_positions(std::slice::from_ref(point), out);
        }
        Geometry::MultiPoint(points) => {
            out.u8(1);
            write_positions(points, out);
        }
        Geometry::LineString(line) => {
            out.u8(2);
            write_positions(line, out);
        }
        Geometry::MultiLineString(list) => {
            out.u8(3);
            lines(list, out);
        }
        Geometry::Polygon(rings) => {
            out.u8(4);
            lines(rings, out);
        }
        Geometry::MultiPolygon(polygons) => {
            out.u8(5);
            out.uint(polygons.len() as u64);
            polygons.iter().for_each(|rings| lines(rings, out));
        }
    }
}

fn read_geometry(from: &mut Reader) -> Result<Geometry, Error> {
    let lines = |from: &mut Reader| read_lists(from, read_positions);
    Ok(match from.u8()? {
        0 => Geometry::Point(
            read_positions(from)?.first().copied().ok_or_else(|| undecodable("a point has no position"))?,
        ),
        1 => Geometry::MultiPoint(read_positions(from)?),
        2 => Geometry::LineString(read_positions(from)?),
        3 => Geometry::MultiLineString(lines(from)?),
        4 => Geometry::Polygon(lines(from)?),
        5 => Geometry::MultiPolygon(read_lists(from, lines)?),
        _ => return Err(undecodable("a geometry has an unknown tag")),
    })
}
