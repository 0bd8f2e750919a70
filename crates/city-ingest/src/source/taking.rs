//! A message on its way into the city: read and mapped, then written with what is noted of it, in one commit.
//!
//! What became of its rows is known on the commit thread alone, so the note is made there. A message of several
//! batches has all but the last applied first; the last carries the note.

use std::sync::Arc;

use city_context::answers::Results;
use city_context::{Also, Note};
use city_model::{Cause, Change, Name, Permit, TenantName};
use city_store::record::AlsoWrite;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use super::book::{self, Entry, REJECT_BYTES_MAX, Tally};
use super::take::{REASONS_MAX, Reason};
use super::{Error, Known, Message, Sources};

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

/// Where it will stand what became of a message.
#[derive(Debug)]
pub struct Told {
    entry: Arc<Mutex<Option<Entry>>>,
    tally: Arc<Mutex<Option<Tally>>>,
}

impl Told {
    /// Once the changes are durable.
    #[must_use]
    pub fn entry(self) -> Option<Entry> {
        self.entry.lock().take()
    }

    /// Where they were not written: the tally may be ahead of what is.
    pub fn fail(self) {
        if let Some(tally) = &mut *self.tally.lock() {
            tally.is_doubtful = true;
        }
    }
}

impl Sources {
    /// Takes a message. When it answers, what was applied is durable, and what was rejected is kept.
    pub async fn message(&self, tenant: &TenantName, name: &str, message: Message<'_>) -> Result<Entry, Error> {
        let known = self.find(tenant, name)?;
        let Ok(_place) = known.waiting.try_acquire() else { return Err(Error::Busy(name.into())) };
        let taking = self.prepare_for(tenant, name, &known, message, None).await?;
        self.write(taking).await
    }

    /// Reads a message; what it writes is for the caller to ask for.
    pub async fn prepare(&self, tenant: &TenantName, name: &str, message: Message<'_>) -> Result<Taking, Error> {
        let known = self.find(tenant, name)?;
        let Ok(_place) = known.waiting.try_acquire() else { return Err(Error::Busy(name.into())) };
        self.prepare_for(tenant, name, &known, message, None).await
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
        replaces: Option<u64>,
    ) -> Result<Taking, Error> {
        let source = &known.source;
        if source.stored.paused {
            return Err(Error::Paused(name.into()));
        }
        let now = self.context.clock().now();
        let permit = self.permits.permit_of(tenant, Some(&source.stored.owner()), now);
        let permit = permit.ok_or_else(|| Error::OwnerGone(name.into()))?;
        let held = self.test(source, message).await?;
        let of = self.number(tenant)?;
        let number = self.with_tally(of, name, known, Tally::next_number)?;
        let mut entry = Entry {
            number,
            received_at_micros: now.as_micros(),
            version: source.stored.version,
            name: message.name.into(),
            by: message.by.into(),
            bytes: message.bytes.len() as u64,
            sha256: hex(&Sha256::digest(message.bytes)).into(),
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
            let take_number = note(&known.tally, name, move |tally, name, _| {
                tally.take_number(of, name, number).map(|row| vec![row])
            });
            let also = Also::noted(take_number, STATUS_BYTES);
            let cause = cause(book::origin(name, number, at));
            let results = self.context.apply_soon(&permit, changes, cause, also)?.answer().await?;
            entry.count(at, &results);
        }
        let kept = may_be_kept.then(|| message.bytes.to_vec());
        let (entry_place, tally) = (Arc::default(), Arc::clone(&known.tally));
        let weight = kept.as_ref().map_or(0, Vec::len) + entry.weight();
        let told = Told { entry: Arc::clone(&entry_place), tally: Arc::clone(&tally) };
        let note = note(&tally, name, move |tally, name, results| {
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

    fn with_tally<T>(
        &self,
        tenant: u32,
        name: &str,
        known: &Known,
        with: impl FnOnce(&mut Tally) -> T,
    ) -> Result<T, Error> {
        let mut place = known.tally.lock();
        let tally = match &mut *place {
            Some(tally) if !tally.is_doubtful => tally,
            before => {
                let mut read = Tally::load(self.context.view(), tenant, name)?;
                read.begin_after(before.as_ref().map_or(0, Tally::last));
                before.insert(read)
            }
        };
        Ok(with(tally))
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
        let _alone = known.replaying.lock().await;
        let (entry, kept) = self.reject(tenant, name, number)?;
        let message = Message { bytes: mended.unwrap_or(&kept), name: &entry.name, by };
        let taking = self.prepare_for(tenant, name, &known, message, Some(number)).await?;
        self.write(taking).await
    }

    /// Gives up on a rejected message.
    pub async fn drop_reject(&self, permit: &Permit, name: &str, number: u64) -> Result<(), Error> {
        let tenant = permit.tenant();
        let known = self.find(tenant, name)?;
        self.reject(tenant, name, number)?;
        let of = self.number(tenant)?;
        // Asked for and queued in one go: what the tally says is written in the order in which it said it.
        self.with_tally(of, name, &known, |_| ())?;
        let drop = note(&known.tally, name, move |tally, name, _| tally.drop_reject(of, name, number));
        let also = Also::noted(drop, STATUS_BYTES);
        self.context.apply_soon(permit, Vec::new(), cause("source".into()), also)?.answer().await?;
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

/// A note that the tally of a source makes, in the order of the journal.
fn note(
    tally: &Arc<Mutex<Option<Tally>>>,
    name: &str,
    make: impl FnOnce(&mut Tally, &str, &Results) -> Result<Vec<AlsoWrite>, Error> + Send + 'static,
) -> Note {
    let (tally, name) = (Arc::clone(tally), Box::<str>::from(name));
    Box::new(move |results| {
        let mut tally = tally.lock();
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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
