//! A message on its way into the city: read and mapped, then written with what is noted of it, in one commit.
//!
//! What became of its rows is known on the commit thread alone, so the note is made there. A message of several
//! batches has all but the last applied first; the last carries the note.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use city_context::answers::Results;
use city_context::{Also, Note};
use city_model::{Cause, Change, Name, Permit, TenantName};
use city_store::record::AlsoWrite;
use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;

use super::book::{self, Entry, REJECT_BYTES_MAX, Tally};
use super::take::{REASONS_MAX, Reason};
use super::{Desk, Error, Known, Message, Sources};
use crate::digest::sha256;

/// About what it takes to write how a source fares.
const STATUS_BYTES: usize = 512;

/// What a message still has to write.
#[derive(Debug)]
pub struct Taking {
    /// Of whoever set the source up.
    pub permit: Permit,
    pub changes: Vec<Change>,
    pub cause: Cause,
    pub also: Also,
    pub told: Told,
}

/// Where it will stand what became of a message; it holds the message's place until then.
#[derive(Debug)]
pub struct Told {
    number: u64,
    entry: Arc<Mutex<Option<Entry>>>,
    desk: Arc<Desk>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Told {
    fn of(desk: &Arc<Desk>, number: u64, place: Option<OwnedSemaphorePermit>) -> Self {
        desk.under_way.fetch_add(1, Ordering::AcqRel);
        Self { number, entry: Arc::default(), desk: Arc::clone(desk), _place: place }
    }

    /// Once the changes are durable.
    #[must_use]
    pub fn entry(self) -> Option<Entry> {
        self.entry.lock().take()
    }

    /// Where they were not written. What was noted of them all the same is counted anew from what is written, once
    /// nothing else is under way.
    pub fn fail(self) {
        let was_noted = self.entry.lock().is_some();
        if let Some(tally) = &mut *self.desk.tally.lock() {
            match was_noted {
                true => tally.is_doubtful = true,
                false => tally.give_back(self.number),
            }
        }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.desk.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}

impl Sources {
    /// Takes a message. When it answers, what was applied is durable, and what was rejected is kept.
    pub async fn message(&self, tenant: &TenantName, name: &str, message: Message<'_>) -> Result<Entry, Error> {
        let known = self.find(tenant, name)?;
        let place = place(&known.desk, name)?;
        let taking = self.prepare_for(tenant, name, &known, message, (None, place)).await?;
        self.write(taking).await
    }

    /// Reads a message; what it writes is for the caller to ask for.
    pub async fn prepare(&self, tenant: &TenantName, name: &str, message: Message<'_>) -> Result<Taking, Error> {
        let known = self.find(tenant, name)?;
        let place = place(&known.desk, name)?;
        self.prepare_for(tenant, name, &known, message, (None, place)).await
    }

    /// Writes what was read of a message.
    pub async fn write(&self, taking: Taking) -> Result<Entry, Error> {
        let Taking { permit, changes, cause, also, told } = taking;
        let answer = match self.context.apply_soon(&permit, changes, cause, also) {
            Ok(pending) => pending.answer().await,
            Err(error) => Err(error),
        };
        if let Err(error) = answer {
            told.fail();
            return Err(error.into());
        }
        told.entry().ok_or_else(|| Error::Stored("nothing was noted of a message".to_owned()))
    }

    async fn prepare_for(
        &self,
        tenant: &TenantName,
        name: &str,
        known: &Known,
        message: Message<'_>,
        (replaces, place): (Option<u64>, OwnedSemaphorePermit),
    ) -> Result<Taking, Error> {
        let (source, desk) = (&known.source, &known.desk);
        if source.stored.paused {
            return Err(Error::Paused(name.into()));
        }
        let now = self.context.clock().now();
        let permit = self.permits.permit_of(tenant, Some(&source.stored.owner()), now);
        let permit = permit.ok_or_else(|| Error::OwnerGone(name.into()))?;
        let held = self.test(source, message).await?;
        let of = self.number(tenant)?;
        let number = self.with_tally(of, name, desk, Tally::next_number)?;
        let told = Told::of(desk, number, Some(place));
        let mut entry = Entry {
            number,
            received_at_micros: now.as_micros(),
            version: source.stored.version,
            name: message.name.into(),
            by: message.by.into(),
            bytes: message.bytes.len() as u64,
            sha256: sha256(message.bytes),
            read: held.read,
            applied: 0,
            rejected: held.rejected,
            reasons: held.reasons,
            replaces,
            lines: held.batches.iter().map(|batch| batch.iter().map(|(line, _)| *line).collect()).collect(),
        };
        let terms = self.terms_of(source).await?;
        let mut names: Vec<Name> = source.mapping.attribute_names().map(|name| terms.expand(name)).collect();
        let mut batches: Vec<Vec<Change>> = Vec::with_capacity(held.batches.len());
        for batch in held.batches {
            names.extend(batch.iter().flat_map(|(_, change)| named(change)));
            batches.push(batch.into_iter().map(|(_, change)| change).collect());
        }
        // What was written in another place is not written here again, where nobody would seal it.
        let is_of_persons = self.concerns_persons(tenant, &names);
        let may_be_kept = !is_of_persons && message.bytes.len() <= REJECT_BYTES_MAX;
        if is_of_persons {
            entry.reasons.iter_mut().for_each(|reason| reason.row = None);
        }
        let last = batches.pop().unwrap_or_default();
        let at_last = batches.len();
        for (at, changes) in batches.into_iter().enumerate() {
            let take_number =
                note(desk, name, move |tally, name, _| tally.take_number(of, name, number).map(|row| vec![row]));
            let also = Also::noted(take_number, STATUS_BYTES);
            let cause = cause(book::origin(name, number, at));
            let results = self.context.apply_soon(&permit, changes, cause, also)?.answer().await?;
            entry.count(at, &results);
        }
        let kept = may_be_kept.then(|| message.bytes.to_vec());
        let entry_place = Arc::clone(&told.entry);
        let weight = kept.as_ref().map_or(0, Vec::len) + entry.weight();
        let note = note(desk, name, move |tally, name, results| {
            entry.count(at_last, results);
            let kept = kept.filter(|_| entry.rejected > 0);
            let writes = tally.note(of, name, &entry, kept);
            metrics::counter!("renkei_source_rows_total", "became" => "applied").increment(entry.applied);
            metrics::counter!("renkei_source_rows_total", "became" => "rejected").increment(entry.rejected);
            *entry_place.lock() = Some(entry);
            writes
        });
        let cause = cause(book::origin(name, number, at_last));
        Ok(Taking { permit, changes: last, cause, also: Also::noted(note, weight), told })
    }

    /// The tally is read without its lock, which the commit thread takes.
    fn with_tally<T>(
        &self,
        tenant: u32,
        name: &str,
        desk: &Desk,
        with: impl FnOnce(&mut Tally) -> T,
    ) -> Result<T, Error> {
        let is_right = |place: &Option<Tally>| {
            let calm = desk.under_way.load(Ordering::Acquire) == 0;
            place.as_ref().is_some_and(|tally| !(tally.is_doubtful && calm))
        };
        if !is_right(&desk.tally.lock()) {
            let mut read = tokio::task::block_in_place(|| Tally::load(self.context.view(), tenant, name))?;
            let mut place = desk.tally.lock();
            if !is_right(&place) {
                read.begin_after(place.as_ref().map_or(0, Tally::last));
                *place = Some(read);
            }
        }
        Ok(with(desk.tally.lock().get_or_insert_default()))
    }

    /// Takes a rejected message again, as it came or mended. It has a number of its own.
    pub async fn replay(
        &self,
        tenant: &TenantName,
        name: &str,
        number: u64,
        mended: Option<&[u8]>,
        by: &str,
    ) -> Result<Entry, Error> {
        let known = self.find(tenant, name)?;
        let _alone = known.desk.replaying.lock().await;
        let place = place(&known.desk, name)?;
        let (entry, kept) = self.reject(tenant, name, number)?;
        let message = Message { bytes: mended.unwrap_or(&kept), name: &entry.name, by };
        let taking = self.prepare_for(tenant, name, &known, message, (Some(number), place)).await?;
        self.write(taking).await
    }

    /// Gives up on a rejected message.
    pub async fn drop_reject(&self, permit: &Permit, name: &str, number: u64) -> Result<(), Error> {
        let tenant = permit.tenant();
        let known = self.find(tenant, name)?;
        self.reject(tenant, name, number)?;
        let of = self.number(tenant)?;
        // Asked for and queued in one go: what the tally says is written in the order in which it said it.
        self.with_tally(of, name, &known.desk, |_| ())?;
        let told = Told::of(&known.desk, number, None);
        let drop = note(&known.desk, name, move |tally, name, _| tally.drop_reject(of, name, number));
        let also = Also::noted(drop, STATUS_BYTES);
        let answer = match self.context.apply_soon(permit, Vec::new(), cause("source".into()), also) {
            Ok(pending) => pending.answer().await,
            Err(error) => Err(error),
        };
        if let Err(error) = answer {
            if let Some(tally) = &mut *told.desk.tally.lock() {
                tally.is_doubtful = true;
            }
            return Err(error.into());
        }
        Ok(())
    }
}

impl Entry {
    /// Counts what became of a batch.
    fn count(&mut self, batch: usize, results: &Results) {
        let lines = self.lines.get(batch).map(Vec::as_slice).unwrap_or_default();
        for (line, result) in lines.iter().zip(results) {
            match result {
                Ok(_) => self.applied += 1,
                Err(rejected) => {
                    self.rejected += 1;
                    if self.reasons.len() < REASONS_MAX {
                        self.reasons.push(Reason { line: *line, why: rejected.to_string().into(), row: None });
                    }
                }
            }
        }
    }

    /// About what it takes to write it.
    fn weight(&self) -> usize {
        let reasons =
            self.reasons.iter().map(|reason| reason.why.len() + reason.row.as_ref().map_or(0, |row| row.len()));
        512 + self.name.len() + reasons.sum::<usize>() + self.lines.iter().map(|lines| 8 * lines.len()).sum::<usize>()
    }
}

fn place(desk: &Desk, name: &str) -> Result<OwnedSemaphorePermit, Error> {
    Arc::clone(&desk.places).try_acquire_owned().map_err(|_| Error::Busy(name.into()))
}

/// A note that the tally of a source makes, in the order of the journal.
fn note(
    desk: &Arc<Desk>,
    name: &str,
    make: impl FnOnce(&mut Tally, &str, &Results) -> Result<Vec<AlsoWrite>, Error> + Send + 'static,
) -> Note {
    let (desk, name) = (Arc::clone(desk), Box::<str>::from(name));
    Box::new(move |results| {
        let mut tally = desk.tally.lock();
        // It was read before the note was asked for.
        let made = tally.as_mut().map(|tally| make(tally, &name, results)).transpose();
        made.map(Option::unwrap_or_default).unwrap_or_else(|error| {
            tracing::error!(%error, source = &*name, "what is known of a source could not be written down");
            Vec::new()
        })
    })
}

fn cause(origin: Box<str>) -> Cause {
    Cause { request: uuid::Uuid::new_v4().as_u128(), origin, depth: 0 }
}

/// The attributes that a change names.
fn named(change: &Change) -> Vec<Name> {
    match change {
        Change::Upsert { entity, .. } | Change::Past { fragment: entity, .. } => {
            entity.attributes.iter().map(|attribute| attribute.name.clone()).collect()
        }
        _ => Vec::new(),
    }
}
