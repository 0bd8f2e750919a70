//! Packing: loose rows of a series become blocks.
//!
//! A series and its rows come in; a batch of the view that takes the rows away and puts blocks in
//! their place goes out. Late rows go into the block where they belong; blocks never overlap.

use std::ops::ControlFlow;

use city_store::view::{Snapshot, after_prefix};
use city_store::{Error, Space, ViewBatch};

use crate::block::{BLOCK_BYTES_MAX, BLOCK_ROWS_MAX, Block, Row, chunks, encode};
use crate::row::{position_of, row_key, time_of};
use crate::series::block_before;

/// With so many loose rows a series is packed.
pub const PACK_ROWS_MIN: usize = 256;
/// Most loose rows that are packed at a time; the rest has its turn later.
const PACK_ROWS_MAX: usize = 20_000;
/// Most bytes of rows that are packed at a time.
const PACK_BYTES_MAX: usize = 16 << 20;
/// A larger row stays loose: beside others it would only make them slow to read.
const LOOSE_BYTES_MIN: usize = 64 << 10;
/// One row in so many looks, when it is written, how many loose ones its series has.
const LOOK_EVERY: u64 = 128;

/// Whether the row with this place in the order is one that looks. Spread evenly, and the same on every run.
#[must_use]
pub fn looks(seq: u64, index: u32) -> bool {
    let mixed = (seq.wrapping_mul(31).wrapping_add(u64::from(index))).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32).is_multiple_of(LOOK_EVERY)
}

/// Packs a series if it has rows enough; those that are not written yet come along.
pub fn pack(view: &Snapshot, series: &[u8], rows: Vec<Row>, batch: &mut ViewBatch) -> Result<(), Error> {
    let (mut rows, large): (Vec<Row>, Vec<Row>) =
        rows.into_iter().partition(|row| row.instance.len() < LOOSE_BYTES_MIN);
    for row in large {
        batch.put(Space::History, row_key(series, row.time, row.position), &row.instance);
    }
    let fresh = rows.len();
    let mut bytes = 0;
    view.scan(Space::History, series, &after_prefix(series), |key, value| {
        if value.len() < LOOSE_BYTES_MIN {
            bytes += value.len();
            rows.push(Row { time: time_of(key)?, position: position_of(key)?, instance: (*value).into() });
        }
        Ok(if rows.len() < PACK_ROWS_MAX && bytes < PACK_BYTES_MAX {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        })
    })?;
    if rows.len() < PACK_ROWS_MIN {
        for row in &rows[..fresh] {
            batch.put(Space::History, row_key(series, row.time, row.position), &row.instance);
        }
        return Ok(());
    }
    for row in &rows[fresh..] {
        batch.delete(Space::History, row_key(series, row.time, row.position));
    }
    rows.sort_by_key(Row::place);
    rows.dedup_by_key(|row| row.place());
    let mut rest = rows.into_iter().peekable();
    while let Some(row) = rest.peek() {
        let key = row_key(series, row.time, row.position);
        let before = block_before(view, series, &key)?;
        let next = block_after(view, series, &key)?;
        let mut group = Vec::new();
        while let Some(row) =
            rest.next_if(|row| next.as_ref().is_none_or(|next| row_key(series, row.time, row.position) < *next))
        {
            group.push(row);
        }
        put_group(series, before, group, batch)?;
    }
    Ok(())
}

/// The key of the first block that begins behind a key.
fn block_after(view: &Snapshot, series: &[u8], key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    let mut found = None;
    view.scan(Space::Blocks, &[key, &[0]].concat(), &after_prefix(series), |key, _| {
        found = Some(key.to_vec());
        Ok(ControlFlow::Break(()))
    })?;
    Ok(found)
}

/// Rows that lie between the beginnings of two neighbouring blocks.
fn put_group(
    series: &[u8],
    before: Option<(Vec<u8>, city_store::Bytes)>,
    group: Vec<Row>,
    batch: &mut ViewBatch,
) -> Result<(), Error> {
    let Some((key, bytes)) = before else { return put_blocks(series, None, &group, batch) };
    let block = Block::decode(&bytes)?;
    let last = block.len() - 1;
    let overlaps = group.first().is_some_and(|row| row.place() <= (block.time(last), block.position(last)));
    if !overlaps && (block.len() == BLOCK_ROWS_MAX || bytes.len() > BLOCK_BYTES_MAX / 2) {
        return put_blocks(series, None, &group, batch);
    }
    let mut rows = block.rows()?;
    rows.extend(group);
    rows.sort_by_key(Row::place);
    rows.dedup_by_key(|row| row.place());
    put_blocks(series, Some(key), &rows, batch)
}

/// Rows in order, as one block after the other, in the place of an old one. A key is written once in a
/// batch: of two writes the engine would not know which came last.
pub fn put_blocks(series: &[u8], old: Option<Vec<u8>>, rows: &[Row], batch: &mut ViewBatch) -> Result<(), Error> {
    let mut old = old;
    for chunk in chunks(rows) {
        if let Some(first) = chunk.first() {
            let key = row_key(series, first.time, first.position);
            old = old.filter(|old| *old != key);
            batch.put(Space::Blocks, key, &encode(chunk)?);
        }
    }
    if let Some(old) = old {
        batch.delete(Space::Blocks, old);
    }
    Ok(())
}
