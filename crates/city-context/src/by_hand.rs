//! What the hand of the loop reads and writes: its own papers and its targets, whatever a permit shows.
//!
//! Who is shown what of it is for the loop to say; who asked it to write was asked for the right before.

use std::ops::ControlFlow;
use std::sync::Arc;

use city_model::{Applied, Cause, Change, Entity, EntityId, Hand, Permit, Query, Reach, Rejected, Time};
use city_store::record::LIVE_BRANCH;

use crate::as_of::{UNDO_MAX, await_published};
use crate::image::Parts;
use crate::{Also, AsOf, Context, Error, TenantSpace, select};

impl Context {
    /// Suggestions, decisions and commands, and what is commandable: all of the changes or, where one of them is
    /// rejected, none. The permit says who did it.
    pub fn act_blocking(
        &self,
        _: &Hand,
        permit: &Permit,
        changes: Vec<Change>,
        cause: Cause,
    ) -> Result<Result<Vec<Applied>, Rejected>, Error> {
        let receiver = self.submit(permit, changes, cause, Also::default(), None, true)?;
        let results = receiver.blocking_recv().unwrap_or(Err(Error::Stopping))?;
        Ok(results.into_iter().collect())
    }

    /// The entity as it is.
    pub fn known(&self, _: &Hand, space: &TenantSpace, id: &EntityId) -> Result<Option<Arc<Entity>>, Error> {
        let number = {
            let index = space.index.read();
            index.number(id.as_str()).filter(|number| index.is_alive(*number))
        };
        let Some(number) = number else { return Ok(None) };
        Ok(self.image(space, number)?.map(|image| image.entity))
    }

    /// The entity as it was at a time; `None` where it did not exist then.
    pub fn known_at(&self, _: &Hand, space: &TenantSpace, id: &EntityId, time: Time) -> Result<AsOf, Error> {
        let Some(number) = space.index.read().number(id.as_str()) else { return Ok(AsOf::Entity(None)) };
        let stamp = Parts::read(&self.view.snapshot(), space.number, LIVE_BRANCH, number)?.stamp.unwrap_or_default();
        await_published(&self.journal, stamp.lsn)?;
        let (mut lsn, mut at) = (stamp.lsn, Some(stamp.modified_at));
        for _ in 0..UNDO_MAX {
            // Before its first change it was not there.
            if lsn == 0 || at.is_some_and(|at| at <= time) {
                return self.as_of(space, number, lsn);
            }
            let Some(found) = self.journal.find(lsn)? else { return Ok(AsOf::Forgotten) };
            if found.record.time <= time {
                return self.as_of(space, number, lsn);
            }
            (lsn, at) = (found.record.previous_lsn, None);
        }
        Ok(AsOf::Forgotten)
    }

    /// Shows the entities that match, those that came into being last first, until it is said to stop.
    pub fn see_newest(
        &self,
        _: &Hand,
        space: &Arc<TenantSpace>,
        query: &Query,
        see: &mut dyn FnMut(Arc<Entity>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let candidates = select::candidates(&space.index.read(), query, &Reach::Everything);
        let (mut looked_at, mut matched) = (0, 0);
        for number in candidates.set.iter().rev() {
            looked_at += 1;
            let Some(image) = self.image(space, number)? else { continue };
            if candidates.exact || query.matches(&image.entity) {
                matched += 1;
                if see(image.entity).is_break() {
                    break;
                }
            }
        }
        if !candidates.exact {
            self.demand.note(space, query, looked_at, matched);
        }
        Ok(())
    }
}
