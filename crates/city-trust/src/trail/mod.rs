//! The trail: what was done by whom, in a tree that only grows and that anyone can verify.
//!
//! Records come in from the journal, by a cursor of our own: whatever changes who may what, and whatever
//! was noted for the trail alone. Entries, the tree over them and proofs go out, one tree a tenant.
//! An entry holds a commitment to its details, not the details: those lie beside it with a salt and can be
//! erased, and the tree stays what it was. Entry and cursor are written in one batch, and what an entry
//! says comes from its record alone, so that after a crash the same trail is made again.

pub mod merkle;
pub mod note;
mod tree;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use city_model::DefinitionKind;
use city_store::journal::Read;
use city_store::record::DefinitionChange;
use city_store::{JournalReader, Record, Space, View, ViewBatch};
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use merkle::{Hash, consistency_proof, inclusion_proof, leaf_hash, root};
use note::{Checkpoint, Signer, Verifier};
pub use tree::TILE_WIDTH;
use tree::{DETAILS, ENTRY, HASHES, Tiles, Tree, key, size_of};

/// Most records that are looked at for one batch.
const BATCH_RECORDS: usize = 2_000;
const IDLE: Duration = Duration::from_millis(500);
const CURSOR_KEY: &[u8] = b"cursor:trail";
/// Most entries in one answer.
pub const ENTRIES_MAX: usize = 1_000;
/// Most entries that one answer looks at to find those that are asked for.
pub const LOOKED_AT_MAX: usize = 100_000;
const SALT_BYTES: usize = 16;
/// Who says what nobody did.
const OURSELVES: &str = "renkei";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("TRU-010 {0}")]
    Store(#[from] city_store::Error),
    #[error("TRU-011 The trail has stopped: {0} Restart the server.")]
    Stopped(Arc<str>),
    #[error("TRU-012 The trail has {size} entries; {asked} is not among them.")]
    NotThere { asked: u64, size: u64 },
    #[error("TRU-013 The thread of the trail cannot be started: {0}")]
    Thread(std::io::Error),
    #[error("TRU-014 The key that signs the trail cannot be used: {0}")]
    Key(&'static str),
}

/// One entry, as it is hashed: these members, in this order, without spaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub index: u64,
    pub time: String,
    pub who: String,
    /// `policy.added`, `token.revoked`, `backup.taken`
    pub what: String,
    pub subject: String,
    /// SHA-256 of salt and details, in base64.
    pub commitment: String,
}

/// An entry with what it commits to, while that is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    pub entry: Entry,
    /// JSON, to the byte what the commitment is of.
    pub details: Option<String>,
    /// In base64.
    pub salt: Option<String>,
}

/// Follows the journal and answers about the trail.
pub struct Trail {
    view: Arc<View>,
    journal: JournalReader,
    cursor: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    failure: Arc<RwLock<Option<Arc<str>>>>,
    signer: Signer,
    /// The last checkpoint of each tenant: the same tree is signed once.
    signed: Mutex<HashMap<u32, (u64, String)>>,
    thread: Option<JoinHandle<()>>,
}

struct Follower {
    view: Arc<View>,
    journal: JournalReader,
    cursor: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    trees: HashMap<u32, Tree>,
}

impl Trail {
    pub fn start(view: Arc<View>, journal: JournalReader, signer: Signer) -> Result<Self, Error> {
        let stored = view.get(Space::Meta, CURSOR_KEY)?;
        let stored = stored.and_then(|bytes| bytes[..].try_into().ok()).map_or(0, u64::from_le_bytes);
        let (cursor, stop) = (Arc::new(AtomicU64::new(stored)), Arc::new(AtomicBool::new(false)));
        let failure: Arc<RwLock<Option<Arc<str>>>> = Arc::default();
        let follower = Follower {
            view: Arc::clone(&view),
            journal: journal.clone(),
            cursor: Arc::clone(&cursor),
            stop: Arc::clone(&stop),
            trees: HashMap::new(),
        };
        let failed = Arc::clone(&failure);
        let run = move || {
            if let Err(error) = follower.run() {
                tracing::error!(%error, "the trail stopped; what is done is not written into it until the server is restarted");
                *failed.write() = Some(error.to_string().into());
            }
        };
        let thread = std::thread::Builder::new().name("trail".to_owned()).spawn(run).map_err(Error::Thread)?;
        let signed = Mutex::default();
        Ok(Self { view, journal, cursor, stop, failure, signer, signed, thread: Some(thread) })
    }

    /// How many records the follower has not seen yet.
    #[must_use]
    pub fn behind(&self) -> u64 {
        self.journal.durable().saturating_sub(self.cursor.load(Ordering::Acquire))
    }

    #[must_use]
    pub fn failure(&self) -> Option<Arc<str>> {
        self.failure.read().clone()
    }

    /// Whether everything up to this record can be read here.
    pub fn has_reached(&self, head: u64) -> Result<bool, Error> {
        match self.failure() {
            Some(why) => Err(Error::Stopped(why)),
            None => Ok(self.cursor.load(Ordering::Acquire) >= head),
        }
    }

    /// How a tenant's log is called: the same name for as long as the key is the same.
    #[must_use]
    pub fn origin(&self, tenant: &str) -> String {
        format!("renkei/{}/{tenant}", self.signer.short_id())
    }

    /// What checkpoints of a tenant are verified with.
    #[must_use]
    pub fn verifier(&self, tenant: &str) -> Verifier {
        self.signer.verifier(&self.origin(tenant))
    }

    pub fn size(&self, tenant: u32) -> Result<u64, Error> {
        Ok(size_of(&self.view, tenant)?)
    }

    /// The tree as it is now, signed.
    pub fn checkpoint(&self, tenant: u32, name: &str) -> Result<String, Error> {
        let size = self.size(tenant)?;
        let mut signed = self.signed.lock();
        if let Some((own, text)) = signed.get(&tenant)
            && *own == size
        {
            return Ok(text.clone());
        }
        let root = root(&self.nodes(tenant), size)?;
        let text = self.signer.sign(&Checkpoint { origin: self.origin(name), size, root });
        signed.insert(tenant, (size, text.clone()));
        Ok(text)
    }

    fn nodes(&self, tenant: u32) -> Tiles<'_> {
        Tiles { view: &self.view, tenant }
    }

    /// What shows that an entry is in the tree of this size.
    pub fn inclusion(&self, tenant: u32, index: u64, size: u64) -> Result<Vec<Hash>, Error> {
        self.within(tenant, size)?;
        if index >= size {
            return Err(Error::NotThere { asked: index, size });
        }
        Ok(inclusion_proof(&self.nodes(tenant), index, size)?)
    }

    /// What shows that one tree is the beginning of another.
    pub fn consistency(&self, tenant: u32, old: u64, new: u64) -> Result<Vec<Hash>, Error> {
        self.within(tenant, new)?;
        Ok(consistency_proof(&self.nodes(tenant), old.min(new), new)?)
    }

    fn within(&self, tenant: u32, asked: u64) -> Result<(), Error> {
        let size = self.size(tenant)?;
        if asked > size { Err(Error::NotThere { asked, size }) } else { Ok(()) }
    }

    /// A tile of hashes, with as many of them as are asked for.
    pub fn tile(&self, tenant: u32, level: u8, number: u64, width: u64) -> Result<Vec<u8>, Error> {
        let bytes = self
            .view
            .get(Space::Trail, &key(tenant, HASHES, level, number))?
            .map(|bytes| bytes.to_vec())
            .unwrap_or_default();
        let there = bytes.len() as u64 / 32;
        if width == 0 || width > there {
            let first = number.saturating_mul(TILE_WIDTH);
            return Err(Error::NotThere { asked: first.saturating_add(width), size: first.saturating_add(there) });
        }
        Ok(bytes[..(width * 32) as usize].to_vec())
    }

    /// A bundle of entries, each with its length before it (C2SP tlog-tiles).
    pub fn bundle(&self, tenant: u32, number: u64, width: u64) -> Result<Vec<u8>, Error> {
        let first = number.saturating_mul(TILE_WIDTH);
        self.within(tenant, first.saturating_add(width))?;
        let mut out = Vec::new();
        for index in first..first + width {
            let entry = self.entry_bytes(tenant, index)?;
            out.extend_from_slice(&u16::try_from(entry.len()).unwrap_or(u16::MAX).to_be_bytes());
            out.extend_from_slice(&entry);
        }
        Ok(out)
    }

    /// An entry as it is hashed.
    pub fn entry_bytes(&self, tenant: u32, index: u64) -> Result<Vec<u8>, Error> {
        let bytes = self.view.get(Space::Trail, &key(tenant, ENTRY, 0, index))?;
        match bytes {
            Some(bytes) => Ok(bytes.to_vec()),
            None => Err(Error::NotThere { asked: index, size: self.size(tenant)? }),
        }
    }

    /// Entries from `from` on that `wanted` asks for, and the index to go on from where there may be more.
    pub fn entries(
        &self,
        tenant: u32,
        from: u64,
        limit: usize,
        wanted: &dyn Fn(&Entry) -> bool,
    ) -> Result<(Vec<Shown>, Option<u64>), Error> {
        let size = self.size(tenant)?;
        let mut found = Vec::new();
        for (looked_at, index) in (from..size).enumerate() {
            if found.len() >= limit.min(ENTRIES_MAX) || looked_at >= LOOKED_AT_MAX {
                return Ok((found, Some(index)));
            }
            let bytes = self.entry_bytes(tenant, index)?;
            let entry: Entry = serde_json::from_slice(&bytes)
                .map_err(|error| city_store::Error::Undecodable(format!("entry {index} of the trail: {error}")))?;
            if !wanted(&entry) {
                continue;
            }
            let kept = self.view.get(Space::Trail, &key(tenant, DETAILS, 0, index))?;
            let (salt, details) = match kept.as_deref().and_then(|kept| kept.split_at_checked(SALT_BYTES)) {
                Some((salt, details)) => {
                    (Some(STANDARD.encode(salt)), Some(String::from_utf8_lossy(details).into_owned()))
                }
                None => (None, None),
            };
            found.push(Shown { entry, details, salt });
        }
        Ok((found, None))
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Follower {
    fn run(mut self) -> Result<(), Error> {
        while !self.stop.load(Ordering::Acquire) {
            let cursor = self.cursor.load(Ordering::Acquire);
            if !self.journal.wait_after(cursor, IDLE) {
                if self.journal.is_closed() {
                    return Ok(());
                }
                continue;
            }
            if !self.view.has_room() {
                std::thread::sleep(IDLE);
                continue;
            }
            self.step(cursor)?;
        }
        Ok(())
    }

    fn step(&mut self, cursor: u64) -> Result<(), Error> {
        let records = match self.journal.read(cursor + 1, BATCH_RECORDS)? {
            Read::Records(records) => records,
            // In a folder from before there was a trail, it begins with what the journal still holds.
            Read::Lost { oldest } if cursor == 0 => {
                tracing::info!(record = oldest, "the trail begins here");
                return self.advance(ViewBatch::default(), oldest - 1);
            }
            Read::Lost { oldest } => return self.lost(cursor, oldest),
        };
        let Some(last) = records.last().map(|published| published.lsn) else { return Ok(()) };
        let mut batch = ViewBatch::default();
        let mut grown = Vec::new();
        for published in &records {
            let Some(said) = said(&published.record) else { continue };
            let tenant = published.record.tenant;
            self.append(tenant, &published.record, said, &mut batch)?;
            if !grown.contains(&tenant) {
                grown.push(tenant);
            }
        }
        self.write_edges(&grown, &mut batch);
        self.advance(batch, last)
    }

    fn write_edges(&self, grown: &[u32], batch: &mut ViewBatch) {
        for tenant in grown {
            if let Some(tree) = self.trees.get(tenant) {
                tree.write_edges(*tenant, batch);
            }
        }
    }

    /// What these records say is not in the trail, and the trail of every tenant says that: whoever reads it
    /// must not take it for whole.
    fn lost(&mut self, cursor: u64, oldest: u64) -> Result<(), Error> {
        tracing::error!(after = cursor, before = oldest, "the trail lost these records: what they say is not in it");
        metrics::counter!("renkei_follower_lost_total", "follower" => "trail").increment(1);
        let Some(next) = self.journal.find(oldest)? else { return Ok(()) };
        let (first, last) = (cursor + 1, oldest - 1);
        let mut batch = ViewBatch::default();
        let mut tenants = Vec::new();
        self.view.scan(Space::Tenants, &[], &[0xff; 5], |key, _| {
            tenants.extend(key.try_into().ok().map(u32::from_be_bytes));
            Ok(ControlFlow::Continue(()))
        })?;
        for tenant in &tenants {
            let mut record = Record::clone(&next.record);
            record.who = Arc::from(OURSELVES);
            let details = json!({"firstRecord": first, "lastRecord": last});
            let subject = format!("journal records {first} to {last}");
            self.append(*tenant, &record, Said { what: "trail.gap".to_owned(), subject, details }, &mut batch)?;
        }
        self.write_edges(&tenants, &mut batch);
        self.advance(batch, last)
    }

    fn advance(&self, mut batch: ViewBatch, cursor: u64) -> Result<(), Error> {
        batch.put(Space::Meta, CURSOR_KEY, &cursor.to_le_bytes());
        self.view.write(batch)?;
        self.cursor.store(cursor, Ordering::Release);
        Ok(())
    }

    fn append(&mut self, tenant: u32, record: &Record, said: Said, batch: &mut ViewBatch) -> Result<(), Error> {
        if !self.trees.contains_key(&tenant) {
            self.trees.insert(tenant, Tree::load(&self.view, tenant)?);
        }
        let Some(tree) = self.trees.get_mut(&tenant) else { return Ok(()) };
        let (salt, details) = (salt(record), said.details.to_string());
        let mut committed = salt.to_vec();
        committed.extend_from_slice(details.as_bytes());
        let commitment = ring::digest::digest(&ring::digest::SHA256, &committed);
        let entry = Entry {
            index: tree.size,
            time: record.time.to_string(),
            who: record.who.to_string(),
            what: said.what,
            subject: said.subject,
            commitment: STANDARD.encode(commitment),
        };
        let bytes = serde_json::to_vec(&entry).map_err(|error| city_store::Error::Undecodable(error.to_string()))?;
        batch.put(Space::Trail, key(tenant, ENTRY, 0, entry.index), &bytes);
        batch.put(Space::Trail, key(tenant, DETAILS, 0, entry.index), &committed);
        tree.push(tenant, leaf_hash(&bytes), batch);
        metrics::counter!("renkei_trail_entries_total").increment(1);
        Ok(())
    }
}

/// What a record says to the trail.
struct Said {
    what: String,
    subject: String,
    details: Value,
}

fn said(record: &Record) -> Option<Said> {
    if let Some(note) = &record.note {
        let details = serde_json::from_slice(&note.details).unwrap_or(Value::Null);
        return Some(Said { what: note.what.to_string(), subject: note.subject.to_string(), details });
    }
    let DefinitionChange { kind, id, change } = record.definition.as_ref().filter(|one| one.kind.decides_who_may())?;
    let done = match (&change.before, &change.after) {
        (None, _) => "added",
        (Some(_), Some(_)) => "changed",
        (Some(_), None) => "removed",
    };
    let noun = match kind {
        DefinitionKind::Policy => "policy",
        DefinitionKind::Token => "token",
        DefinitionKind::Class => "class",
        DefinitionKind::Actuator => "actuator",
        DefinitionKind::Account => "account",
        _ => return None,
    };
    let body = |bytes: &Option<Box<[u8]>>| bytes.as_deref().map(without_secret);
    let details = json!({"before": body(&change.before), "after": body(&change.after)});
    Some(Said { what: format!("{noun}.{done}"), subject: id.to_string(), details })
}

/// A definition's body, without what stands for a secret.
fn without_secret(body: &[u8]) -> Value {
    let mut body: Value = serde_json::from_slice(body).unwrap_or_default();
    if let Some(members) = body.as_object_mut() {
        for secret in ["digest", "password", "invitation"] {
            members.remove(secret);
        }
    }
    body
}

/// Of its request, which nobody outside is told: the same for the same record, and not to be guessed.
fn salt(record: &Record) -> [u8; SALT_BYTES] {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    context.update(b"renkei trail salt");
    context.update(&record.cause.request.to_le_bytes());
    context.update(&record.seq.to_le_bytes());
    let mut salt = [0; SALT_BYTES];
    salt.copy_from_slice(&context.finish().as_ref()[..SALT_BYTES]);
    salt
}
