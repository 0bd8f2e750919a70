//! Readers of the disk: frames, records, instances.
//!
//! What was written with a right checksum is trusted to be ours; all the same nothing on a disk may
//! make the server panic, and what a broken journal gives must be what was once written to it.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use city_model::{Cause, TenantName, Time};
use city_ngsi_ld::context::TermMap;
use city_ngsi_ld::{Mode, parse_entity};
use city_store::codec::{Reader, Writer, peek_times, read_instance, read_value, write_instance, write_value};
use city_store::journal::{Limits, Read};
use city_store::record::{AlsoWrite, DefinitionChange, Record, RecordKind, Touched, Transition};
use city_store::{Disk, DiskFile, Journal, Space, TermNo, Terms};

const NAME: &str = "00000000000000000001.journal";
const LIMITS: Limits = Limits { segment_bytes: 1 << 20, keep_bytes: 1 << 30, reserve_bytes: 0 };

/// Names that instances refer to.
fn dictionary() -> &'static Terms {
    static TERMS: OnceLock<Terms> = OnceLock::new();
    TERMS.get_or_init(|| {
        let terms = Terms::default();
        for number in 0..64 {
            terms.number(&Arc::from(format!("https://example.org/{number}")));
        }
        terms
    })
}

/// The instances of an entity of every kind of attribute, as they are stored.
pub fn instances() -> Vec<Vec<u8>> {
    let body = include_bytes!("../../corpus/car.json");
    let car = parse_entity(body, &TermMap::core(), Mode::Create).unwrap_or_else(|error| panic!("{error}"));
    let all = car.attributes.iter().flat_map(|attribute| &attribute.instances);
    all.map(|instance| {
        let mut out = Writer::default();
        write_instance(instance, dictionary(), &mut out);
        out.bytes
    })
    .collect()
}

fn sample(seq: u64) -> Record {
    let bytes = |text: &str| Some(Box::from(text.as_bytes()));
    let change = Transition { before: bytes("before"), after: bytes("after") };
    let (attribute, dataset) = (TermNo(1), TermNo(0));
    let touched = Touched { attribute, dataset, class: 0, key_id: 0, position: None, change: change.clone() };
    let key = Box::from(&b"key"[..]);
    Record {
        tenant: 1,
        tenant_name: (seq == 1).then(|| TenantName::default_tenant().as_str().into()),
        branch: 0,
        seq,
        kind: RecordKind::State,
        time: Time::from_micros(1_750_000_000_000_000),
        who: "token:1".into(),
        cause: Cause { request: u128::from(seq) << 64, origin: "fuzz".into(), depth: 1 },
        index: 0,
        count: 1,
        entity: 7,
        entity_id: "urn:ngsi-ld:Car:7".into(),
        previous_seq: seq - 1,
        previous_lsn: seq - 1,
        identity: Some(Transition { before: None, after: bytes("identity") }),
        touched: vec![touched],
        definition: Some(DefinitionChange {
            kind: city_model::DefinitionKind::Subscription,
            id: "urn:s:1".into(),
            change,
        }),
        also: vec![AlsoWrite { space: Space::Requests, key, value: None }],
        note: Some(city_model::Note {
            what: "a.b".into(),
            subject: "c".into(),
            details: bytes("{}").unwrap_or_default(),
        }),
        terms: vec![(TermNo(1), "https://example.org/speed".into())],
    }
}

pub fn records() -> Vec<Vec<u8>> {
    let mut small = sample(2);
    (small.identity, small.definition) = (None, None);
    small.touched.clear();
    vec![sample(1).encode(), small.encode()]
}

/// One journal: with two, a part of the other would be a right record at a wrong place.
pub fn journals() -> Vec<Vec<u8>> {
    let disk = MemoryDisk::default();
    let (mut journal, _) = Journal::open(Arc::new(disk.clone()), 0, LIMITS).unwrap_or_else(|error| panic!("{error}"));
    for frame in 0..12 {
        let records: Vec<Vec<u8>> = (0..=frame % 3).map(|of| sample(1 + frame * 3 + of).encode()).collect();
        journal.append(&records).unwrap_or_else(|error| panic!("{error}"));
    }
    vec![disk.files().get(NAME).cloned().unwrap_or_default()]
}

/// The records that were once written, in order.
fn written() -> &'static Vec<Record> {
    static WRITTEN: OnceLock<Vec<Record>> = OnceLock::new();
    WRITTEN.get_or_init(|| read_all(journals().remove(0)).expect("what was written can be read"))
}

/// All records of a journal with this one file; `None` where it was refused.
fn read_all(file: Vec<u8>) -> Option<Vec<Record>> {
    let disk = MemoryDisk::default();
    disk.files().insert(NAME.to_owned(), file);
    let (journal, _) = Journal::open(Arc::new(disk), 0, LIMITS).ok()?;
    let mut all = Vec::new();
    loop {
        match journal.reader().read(all.len() as u64 + 1, 5).ok()? {
            Read::Records(found) if found.is_empty() => return Some(all),
            Read::Records(found) => all.extend(found.iter().map(|published| Record::clone(&published.record))),
            Read::Lost { .. } => return None,
        }
    }
}

pub fn journal(bytes: &[u8]) {
    static SEEN: OnceLock<()> = OnceLock::new();
    SEEN.get_or_init(|| assert!(written().len() > 20));
    if let Some(found) = read_all(bytes.to_vec()) {
        assert!(found.len() <= written().len() && found[..] == written()[..found.len()], "a record that nobody wrote");
    }
}

pub fn record(bytes: &[u8]) {
    if let Ok(record) = Record::decode(bytes) {
        let encoded = record.encode();
        let again = Record::decode(&encoded).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(again.encode(), encoded);
        assert!(encoded.len() <= 2 * bytes.len() + 256 && record.weight() <= 200 * bytes.len() + 1_024);
    }
}

pub fn instance(bytes: &[u8]) {
    drop(peek_times(bytes));
    if let Ok(Some(instance)) = read_instance(&mut Reader::new(bytes), None, dictionary()) {
        let mut out = Writer::default();
        write_instance(&instance, dictionary(), &mut out);
        let again =
            read_instance(&mut Reader::new(&out.bytes), None, dictionary()).unwrap_or_else(|error| panic!("{error}"));
        let again = again.unwrap_or_else(|| panic!("what was written in the clear is not there"));
        // As text: a NaN on the disk is not equal to itself.
        assert_eq!(format!("{again:?}"), format!("{instance:?}"));
    }
    if let Ok(value) = read_value(&mut Reader::new(bytes)) {
        let mut out = Writer::default();
        write_value(&value, &mut out);
        let again = read_value(&mut Reader::new(&out.bytes)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(format!("{again:?}"), format!("{value:?}"));
    }
}

/// A disk in memory that does what it is told.
#[derive(Clone, Default)]
struct MemoryDisk(Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

struct MemoryFile {
    disk: MemoryDisk,
    name: String,
}

impl MemoryDisk {
    fn files(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for MemoryDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.files().keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.files().insert(name.to_owned(), Vec::new());
        self.open(name)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        match self.files().contains_key(name) {
            true => Ok(Box::new(MemoryFile { disk: self.clone(), name: name.to_owned() })),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.files().remove(name);
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }

    fn describe(&self, name: &str) -> String {
        name.to_owned()
    }
}

impl MemoryFile {
    fn with<T>(&self, see: impl FnOnce(&mut Vec<u8>) -> T) -> io::Result<T> {
        self.disk.files().get_mut(&self.name).map(see).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl DiskFile for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        self.with(|bytes| bytes.len() as u64)
    }

    fn append(&mut self, new: &[u8]) -> io::Result<()> {
        self.with(|bytes| bytes.extend_from_slice(new))
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.with(|bytes| bytes.truncate(len as usize))
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.with(|bytes| {
            let rest = bytes.get(offset as usize..).unwrap_or_default();
            let count = rest.len().min(into.len());
            into[..count].copy_from_slice(&rest[..count]);
            count
        })
    }
}
