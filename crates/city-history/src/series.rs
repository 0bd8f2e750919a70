//! One series: its blocks and the loose rows that came since, read as one.
//!
//! Blocks of a series never overlap, so they lie in order of time; loose rows may fall anywhere. Both
//! are read from one snapshot: rows that are being packed meanwhile are seen once.

use std::ops::{ControlFlow, Range};

use city_model::Time;
use city_model::change::InstancePosition;
use city_store::view::{Snapshot, after_prefix};
use city_store::{Bytes, Error, Space, TermNo};

use crate::block::{Block, Head, Row, read_head};
use crate::row::{self, range_of};

/// Part of a series, as it lies.
pub enum Piece<'a> {
    /// A block that may reach beyond what was asked for.
    Block(Head, &'a Bytes),
    Loose(Time, InstancePosition, &'a [u8]),
}

/// Which rows of a series are wanted.
#[derive(Debug, Clone)]
pub struct Span {
    pub series: Vec<u8>,
    /// Their times, in microseconds; `None` is all.
    pub micros: Option<Range<i64>>,
}

impl Span {
    fn keys(&self) -> (Vec<u8>, Vec<u8>) {
        match &self.micros {
            Some(micros) => range_of(&self.series, micros),
            None => (self.series.clone(), after_prefix(&self.series)),
        }
    }

    /// Whether a time is in it.
    #[must_use]
    pub fn holds(&self, time: Time) -> bool {
        self.micros.as_ref().is_none_or(|micros| micros.contains(&time.as_micros()))
    }

    /// Whether it holds all of a block.
    #[must_use]
    pub fn holds_all(&self, head: &Head) -> bool {
        self.holds(head.first) && self.holds(head.last)
    }

    fn misses(&self, head: &Head) -> bool {
        self.micros.as_ref().is_some_and(|m| head.last.as_micros() < m.start || head.first.as_micros() >= m.end)
    }
}

/// The key of the block that may hold a key of the series: the last one that begins at or before it.
pub fn block_before(view: &Snapshot, series: &[u8], key: &[u8]) -> Result<Option<(Vec<u8>, Bytes)>, Error> {
    let mut found = None;
    // The bound is not included, so that a byte more takes in the key itself.
    let end = [key, &[0]].concat();
    view.scan_back(Space::Blocks, series, &end, |key, value| {
        found = Some((key.to_vec(), value));
        Ok(ControlFlow::Break(()))
    })?;
    Ok(found)
}

/// Sees the blocks that hold something of the span, in order of time, or from the end.
fn blocks(
    view: &Snapshot,
    span: &Span,
    back: bool,
    mut see: impl FnMut(Head, &Bytes) -> Result<ControlFlow<()>, Error>,
) -> Result<(), Error> {
    let (from, to) = span.keys();
    let first = match block_before(view, &span.series, &from)? {
        Some((key, _)) => key,
        None => from,
    };
    let mut take = |_: &[u8], value: Bytes| {
        let head = read_head(&value)?;
        if span.misses(&head) { Ok(ControlFlow::Continue(())) } else { see(head, &value) }
    };
    if back {
        view.scan_back(Space::Blocks, &first, &to, &mut take)
    } else {
        view.scan(Space::Blocks, &first, &to, &mut take)
    }
}

/// Sees all of a span, blocks first and then loose rows; each in order, but not one among the other.
pub fn for_each_piece(
    view: &Snapshot,
    span: &Span,
    see: &mut dyn FnMut(Piece) -> Result<ControlFlow<()>, Error>,
) -> Result<(), Error> {
    let mut enough = false;
    blocks(view, span, false, |head, bytes| {
        let flow = see(Piece::Block(head, bytes))?;
        enough = flow.is_break();
        Ok(flow)
    })?;
    if enough {
        return Ok(());
    }
    let (from, to) = span.keys();
    view.scan(Space::History, &from, &to, |key, value| {
        see(Piece::Loose(row::time_of(key)?, row::position_of(key)?, &value))
    })
}

/// The first rows of a span that `take` keeps, in order, at most so many; and whether there are more.
pub fn first<T>(
    view: &Snapshot,
    span: &Span,
    rows_max: usize,
    take: &mut dyn FnMut(&Row) -> Result<Option<T>, Error>,
) -> Result<(Vec<T>, bool), Error> {
    collect(view, span, rows_max, false, take)
}

/// The last rows of a span that `take` keeps, in order, at most so many; and whether there are more.
pub fn last<T>(
    view: &Snapshot,
    span: &Span,
    rows_max: usize,
    take: &mut dyn FnMut(&Row) -> Result<Option<T>, Error>,
) -> Result<(Vec<T>, bool), Error> {
    let (mut rows, more) = collect(view, span, rows_max, true, take)?;
    rows.reverse();
    Ok((rows, more))
}

/// From the front, or from the back: one more than `rows_max` of the loose rows and of the blocks' rows
/// are enough, for the answer holds no others.
fn collect<T>(
    view: &Snapshot,
    span: &Span,
    rows_max: usize,
    back: bool,
    take: &mut dyn FnMut(&Row) -> Result<Option<T>, Error>,
) -> Result<(Vec<T>, bool), Error> {
    let enough = rows_max.saturating_add(1);
    let mut loose = Vec::new();
    let (from, to) = span.keys();
    let mut see = |key: &[u8], value: Bytes| {
        let row = Row { time: row::time_of(key)?, position: row::position_of(key)?, instance: (*value).into() };
        loose.extend(take(&row)?.map(|taken| (row.place(), taken)));
        Ok(if loose.len() < enough { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    };
    if back {
        view.scan_back(Space::History, &from, &to, &mut see)?;
    } else {
        view.scan(Space::History, &from, &to, &mut see)?;
    }
    let mut packed = Vec::new();
    blocks(view, span, back, |_, bytes| {
        let block = Block::decode(bytes)?;
        for step in 0..block.len() {
            let at = if back { block.len() - 1 - step } else { step };
            if span.holds(block.time(at)) {
                let row = block.row(at)?;
                packed.extend(take(&row)?.map(|taken| (row.place(), taken)));
                if packed.len() >= enough {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let mut rows = loose;
    rows.append(&mut packed);
    rows.sort_by(|(a, _), (b, _)| if back { b.cmp(a) } else { a.cmp(b) });
    let more = rows.len() > rows_max;
    rows.truncate(rows_max);
    Ok((rows.into_iter().map(|(_, taken)| taken).collect(), more))
}

/// Each number that stands at `at` in the keys below a prefix, once, in order: one seek each.
pub fn numbers_below(
    view: &Snapshot,
    prefix: &[u8],
    number_of: fn(&[u8]) -> Result<TermNo, Error>,
) -> Result<Vec<TermNo>, Error> {
    let end = after_prefix(prefix);
    let mut from = prefix.to_vec();
    let mut numbers = Vec::new();
    loop {
        let mut next: Option<TermNo> = None;
        for space in [Space::Blocks, Space::History] {
            view.scan(space, &from, &end, |key, _| {
                let number = number_of(key)?;
                next = Some(next.map_or(number, |other| other.min(number)));
                Ok(ControlFlow::Break(()))
            })?;
        }
        let Some(number) = next else { return Ok(numbers) };
        numbers.push(number);
        from = after_prefix(&[prefix, &number.0.to_be_bytes()].concat());
    }
}

/// Where an instance lies.
pub enum Place {
    Loose { key: Vec<u8> },
    Block { key: Vec<u8>, at: usize },
}

/// The instance with this position in any series below a prefix.
pub fn find(view: &Snapshot, prefix: &[u8], position: InstancePosition) -> Result<Option<Place>, Error> {
    let mut found = None;
    let end = after_prefix(prefix);
    view.scan(Space::History, prefix, &end, |key, _| {
        if row::position_of(key)? == position {
            found = Some(Place::Loose { key: key.to_vec() });
            return Ok(ControlFlow::Break(()));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    if found.is_some() {
        return Ok(found);
    }
    view.scan(Space::Blocks, prefix, &end, |key, value| {
        let block = Block::decode(&value)?;
        if let Some(at) = (0..block.len()).find(|at| block.position(*at) == position) {
            found = Some(Place::Block { key: key.to_vec(), at });
            return Ok(ControlFlow::Break(()));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}
