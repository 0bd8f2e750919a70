//! Reading what is being cut off: a slow reader meets the end of what is kept, not a fault.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::io;
use std::sync::{Arc, Mutex};

use city_store::disk::{Disk, DiskFile};
use city_store::journal::{Limits, Read};
use city_store::{FolderDisk, Journal};

type Meanwhile = Box<dyn FnOnce() + Send>;

/// A disk on which something happens just before a file is opened.
struct Eventful {
    disk: FolderDisk,
    meanwhile: Arc<Mutex<Option<Meanwhile>>>,
}

impl Disk for Eventful {
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.disk.create(name)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let meanwhile = self.meanwhile.lock().unwrap().take();
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
        self.disk.open(name)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn sync_names(&self) -> io::Result<()> {
        self.disk.sync_names()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes()
    }

    fn describe(&self, name: &str) -> String {
        self.disk.describe(name)
    }
}

#[test]
fn a_segment_that_goes_while_it_is_read_is_lost_and_not_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let meanwhile = Arc::new(Mutex::new(None));
    // A segment a record, of which one is kept.
    let limits = Limits { segment_bytes: 100, keep_bytes: 1, reserve_bytes: 0 };
    let open = || {
        let disk = Eventful { disk: FolderDisk::new(folder.path()).unwrap(), meanwhile: Arc::clone(&meanwhile) };
        Journal::open(Arc::new(disk), 0, limits).unwrap().0
    };
    let mut journal = open();
    for _ in 0..5 {
        journal.append(&[vec![b'x'; 200]]).unwrap();
    }
    // So that nothing is read from memory.
    drop(journal);
    let journal = Arc::new(open());
    let reader = journal.reader();
    let cutting = Arc::clone(&journal);
    *meanwhile.lock().unwrap() = Some(Box::new(move || cutting.trim(5).unwrap()));
    let read = reader.read(1, 10);
    assert!(matches!(read, Ok(Read::Lost { oldest: 5 })), "{read:?}");
    assert!(meanwhile.lock().unwrap().is_none(), "it was cut while it was read");
}
