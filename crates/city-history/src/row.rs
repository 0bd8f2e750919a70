//! Keys of the past: tenant | branch | entity | attribute | dataset | time | seq | index.
//!
//! The time is `observedAt`, or `modifiedAt` where nothing was observed, so one series lies in
//! order of time and late data falls into its place.

use std::ops::Range;

use city_model::Time;
use city_model::change::InstancePosition;
use city_store::{Error, TermNo};

pub const ATTRIBUTE_AT: usize = 12;
pub const DATASET_AT: usize = 16;
const TIME_AT: usize = 20;
const SEQ_AT: usize = 28;
const INDEX_AT: usize = 36;
const KEY_BYTES: usize = 40;

pub fn entity_prefix(tenant: u32, branch: u32, entity: u32) -> Vec<u8> {
    let mut key = Vec::with_capacity(KEY_BYTES);
    for number in [tenant, branch, entity] {
        key.extend_from_slice(&number.to_be_bytes());
    }
    key
}

pub fn attribute_prefix(tenant: u32, branch: u32, entity: u32, attribute: TermNo) -> Vec<u8> {
    let mut key = entity_prefix(tenant, branch, entity);
    key.extend_from_slice(&attribute.0.to_be_bytes());
    key
}

pub fn series_prefix(tenant: u32, branch: u32, entity: u32, attribute: TermNo, dataset: TermNo) -> Vec<u8> {
    let mut key = attribute_prefix(tenant, branch, entity, attribute);
    key.extend_from_slice(&dataset.0.to_be_bytes());
    key
}

pub fn row_key(series: &[u8], time: Time, position: InstancePosition) -> Vec<u8> {
    let mut key = series.to_vec();
    key.extend_from_slice(&sortable(time.as_micros()));
    key.extend_from_slice(&position.seq.to_be_bytes());
    key.extend_from_slice(&position.index.to_be_bytes());
    key
}

/// From and to of a series within a span of microseconds.
pub fn range_of(series: &[u8], micros: &Range<i64>) -> (Vec<u8>, Vec<u8>) {
    let at = |micros: i64| {
        let mut key = series.to_vec();
        key.extend_from_slice(&sortable(micros));
        key
    };
    (at(micros.start), at(micros.end))
}

/// Signed numbers in the order of unsigned bytes.
fn sortable(micros: i64) -> [u8; 8] {
    (micros as u64 ^ (1 << 63)).to_be_bytes()
}

/// The part of a key that all rows of a series begin with.
pub fn series_of(key: &[u8]) -> Result<&[u8], Error> {
    key.get(..TIME_AT).ok_or_else(too_short)
}

pub fn attribute_of(key: &[u8]) -> Result<TermNo, Error> {
    Ok(TermNo(u32_at(key, ATTRIBUTE_AT)?))
}

pub fn dataset_of(key: &[u8]) -> Result<TermNo, Error> {
    Ok(TermNo(u32_at(key, DATASET_AT)?))
}

pub fn time_of(key: &[u8]) -> Result<Time, Error> {
    let bytes = key.get(TIME_AT..TIME_AT + 8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
    Ok(Time::from_micros((bytes.ok_or_else(too_short)? ^ (1 << 63)) as i64))
}

pub fn position_of(key: &[u8]) -> Result<InstancePosition, Error> {
    const { assert!(TIME_AT + 8 == SEQ_AT) };
    let seq = key.get(SEQ_AT..SEQ_AT + 8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
    let seq = seq.ok_or_else(too_short)?;
    Ok(InstancePosition { seq, index: u32_at(key, INDEX_AT)? })
}

fn u32_at(key: &[u8], at: usize) -> Result<u32, Error> {
    let bytes = key.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    bytes.map(u32::from_be_bytes).ok_or_else(too_short)
}

fn too_short() -> Error {
    Error::Undecodable("a key of the past is too short".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lie_in_the_order_of_time_even_before_1970() {
        let series = series_prefix(1, 0, 2, TermNo(3), TermNo(0));
        let key = |micros| row_key(&series, Time::from_micros(micros), InstancePosition { seq: 9, index: 4 });
        assert!(key(i64::MIN) < key(-1) && key(-1) < key(0) && key(0) < key(1) && key(1) < key(i64::MAX));
        let (from, to) = range_of(&series, &(-5..7));
        assert!(from <= key(-5) && key(6) < to && key(7) >= to && key(-6) < from);
        assert_eq!(position_of(&key(1)).unwrap(), InstancePosition { seq: 9, index: 4 });
        assert_eq!((time_of(&key(-7)).unwrap(), series_of(&key(1)).unwrap()), (Time::from_micros(-7), &series[..]));
        assert_eq!((attribute_of(&key(1)).unwrap(), dataset_of(&key(1)).unwrap()), (TermNo(3), TermNo(0)));
    }
}
