//! Records that the journal no longer kept when history came to them: what the state holds of their
//! outcome goes into the past, and the gap is said.
//!
//! What the journal still keeps is followed as usual, up to a snapshot of the state. Then every instance
//! of the snapshot that has no row of its own got there by a lost record, and is given one: nothing stands
//! twice. What was overwritten or deleted within the gap, and what came for the past alone, stays lost.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use city_model::change::InstancePosition;
use city_store::codec::{Reader, peek_times};
use city_store::commit::WATERMARK_KEY;
use city_store::record::LIVE_BRANCH;
use city_store::view::Snapshot;
use city_store::{Error, Space, ViewBatch};

use super::{BATCH_ROWS, IDLE, Worker};
use crate::block::Block;
use crate::row::{ATTRIBUTE_AT, DATASET_AT, row_key, series_of};
use crate::series::{Piece, Span, for_each_piece};

/// There while a gap is open; with the last record before it.
const GAP_KEY: &[u8] = b"gap:history";
/// Attribute 0 is the entity itself; this of it is its last change.
const STAMP: u32 = 1;
/// Rows that no record gave their place count from here, so that they have places of their own.
const INDEX_FIRST: u32 = 1 << 31;

impl Worker {
    /// Goes on behind the gap, which stays open until the state has closed it.
    pub(super) fn lose(&self, cursor: u64, oldest: u64) -> Result<(), Error> {
        tracing::error!(
            after = cursor,
            before = oldest,
            "history lost these records of the journal; what came of them is taken from the current state"
        );
        metrics::counter!("renkei_follower_lost_total", "follower" => "history").increment(1);
        self.shared.gap.store(true, Ordering::Release);
        let mut batch = ViewBatch::default();
        if self.gap()?.is_none() {
            batch.put(Space::Meta, GAP_KEY, &cursor.to_le_bytes());
        }
        self.advance(batch, oldest - 1)
    }

    /// The last record before the open gap.
    pub(super) fn gap(&self) -> Result<Option<u64>, Error> {
        self.view.get(Space::Meta, GAP_KEY)?.map(|bytes| number(&bytes)).transpose()
    }

    pub(super) fn close_gap(&self, lost_after: u64) -> Result<(), Error> {
        let state = self.view.snapshot();
        let target = state.get(Space::Meta, WATERMARK_KEY)?.map_or(Ok(0), |bytes| number(&bytes))?;
        loop {
            let cursor = self.shared.cursor.load(Ordering::Acquire);
            // Beyond it when records were lost again meanwhile: then once more, from a newer state.
            if cursor > target || self.shared.stop.load(Ordering::Acquire) || self.journal.is_closed() {
                return Ok(());
            }
            if cursor == target {
                break;
            }
            if !self.view.has_room() {
                std::thread::sleep(IDLE);
            } else if self.journal.wait_after(cursor, IDLE) {
                self.step(cursor, target)?;
            }
        }
        let rows = self.fill(&state, lost_after)?;
        self.shared.gap.store(false, Ordering::Release);
        tracing::info!(rows, "history is whole again from here on; what lay between is lost");
        Ok(())
    }

    fn fill(&self, state: &Snapshot<'_>, lost_after: u64) -> Result<u64, Error> {
        let past = self.view.snapshot();
        let (mut rows, mut batch) = (0, ViewBatch::default());
        // Of the entity under way: the place of its last change, if that lies behind the gap's beginning.
        let mut changed: Option<u64> = None;
        let mut index = INDEX_FIRST;
        let mut failed = None;
        state.scan(Space::State, &[], &[0xff; 24], |key, value| {
            let at = |at: usize| key.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
            let (branch, attribute, dataset) = (at(4), at(ATTRIBUTE_AT), at(DATASET_AT));
            if attribute == Some(0) {
                if dataset == Some(STAMP) {
                    let mut stamp = Reader::new(&value);
                    let (_modified_at, seq, lsn) = (stamp.int()?, stamp.uint()?, stamp.uint()?);
                    changed = (lsn > lost_after && branch == Some(LIVE_BRANCH)).then_some(seq);
                    index = INDEX_FIRST;
                }
                return Ok(ControlFlow::Continue(()));
            }
            let Some(seq) = changed else { return Ok(ControlFlow::Continue(())) };
            index += 1;
            if stands_in(&past, key, &value)? {
                return Ok(ControlFlow::Continue(()));
            }
            let (modified_at, observed_at) = peek_times(&value)?;
            let position = InstancePosition { seq, index };
            batch.put(Space::History, row_key(key, observed_at.unwrap_or(modified_at), position), &value);
            rows += 1;
            if batch.len() >= BATCH_ROWS
                && let Err(error) = self.view.write(std::mem::take(&mut batch))
            {
                failed = Some(error);
                return Ok(ControlFlow::Break(()));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        match failed {
            Some(error) => Err(error),
            None => {
                batch.delete(Space::Meta, GAP_KEY);
                self.view.write(batch)?;
                Ok(rows)
            }
        }
    }
}

/// Whether an instance of the state has its row: one of the same time that is as new, or newer where it was edited.
fn stands_in(past: &Snapshot<'_>, key: &[u8], instance: &[u8]) -> Result<bool, Error> {
    let (modified_at, observed_at) = peek_times(instance)?;
    let time = observed_at.unwrap_or(modified_at);
    let micros = time.as_micros();
    let span = Span { series: series_of(key)?.to_vec(), micros: Some(micros..micros.saturating_add(1)) };
    let mut stands = false;
    for_each_piece(past, &span, &mut |piece| {
        let is_it = |own: &[u8]| Ok::<_, Error>(peek_times(own)?.0 >= modified_at);
        stands = match piece {
            Piece::Loose(_, _, own) => is_it(own)?,
            Piece::Block(_, bytes) => {
                let block = Block::decode(bytes)?;
                let mut found = false;
                for at in (0..block.len()).filter(|at| block.time(*at) == time) {
                    found |= is_it(&block.row(at)?.instance)?;
                }
                found
            }
        };
        Ok(if stands { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok(stands)
}

fn number(bytes: &[u8]) -> Result<u64, Error> {
    let bytes = bytes.try_into().map_err(|_| Error::Undecodable("a cursor has a wrong length".to_owned()))?;
    Ok(u64::from_le_bytes(bytes))
}
