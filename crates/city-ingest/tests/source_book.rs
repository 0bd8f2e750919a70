//! What is kept of a source's messages stays within its bounds, and its counts are what is there.
#![allow(clippy::unwrap_used, reason = "a failed test may say so by a panic")]

use city_ingest::source::book::{self, Entry, MESSAGES_KEPT, REJECTS_KEPT, Status};
use city_store::record::AlsoWrite;
use city_store::{View, ViewBatch};

const TENANT: u32 = 1;

struct Book {
    view: View,
    status: Status,
    _folder: tempfile::TempDir,
}

impl Book {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { view: View::open(folder.path()).unwrap(), status: Status::default(), _folder: folder }
    }

    fn put(&self, writes: Vec<AlsoWrite>) {
        let mut batch = ViewBatch::default();
        for write in writes {
            match write.value {
                Some(value) => batch.put(write.space, write.key.to_vec(), &value),
                None => batch.delete(write.space, write.key.to_vec()),
            }
        }
        self.view.write(batch).unwrap();
    }

    fn message(&mut self, number: u64, kept: Option<&[u8]>) {
        let entry = Entry {
            number,
            received_at_micros: 0,
            version: 1,
            name: "gauges".into(),
            by: "token:1".into(),
            bytes: 1,
            sha256: "".into(),
            read: 1,
            applied: 0,
            rejected: 1,
            reasons: Vec::new(),
            lines: Vec::new(),
        };
        let writes = book::write(&self.view, TENANT, "gauges", &mut self.status, &entry, kept).unwrap();
        self.put(writes);
    }

    fn rejects(&self) -> Vec<u64> {
        book::rejects(&self.view, TENANT, "gauges", 0, usize::MAX).unwrap()
    }

    fn entry(&self, number: u64) -> Option<Entry> {
        book::entry(&self.view, TENANT, "gauges", number).unwrap()
    }
}

#[test]
fn of_the_rejects_the_oldest_goes_and_the_count_is_what_is_there() {
    let mut book = Book::open();
    (1..=REJECTS_KEPT + 3).for_each(|number| book.message(number, Some(b"x")));
    assert_eq!(book.rejects(), (4..=REJECTS_KEPT + 3).collect::<Vec<_>>());
    assert_eq!(book.status.kept, REJECTS_KEPT);
    // Rejected again, it is kept once; taken, it is kept no more.
    book.message(9, Some(b"y"));
    assert_eq!((book.status.kept, book.rejects().len() as u64), (REJECTS_KEPT, REJECTS_KEPT));
    book.message(9, None);
    assert_eq!((book.status.kept, book.rejects().len() as u64), (REJECTS_KEPT - 1, REJECTS_KEPT - 1));
    assert!(book.entry(1).is_some(), "the entry of a reject that went stays");
}

#[test]
fn a_message_too_old_goes_with_its_reject_and_is_counted_once() {
    let mut book = Book::open();
    (1..=REJECTS_KEPT).for_each(|number| book.message(number, Some(b"x")));
    // Message 1 is the oldest reject and too old, both at once.
    book.message(MESSAGES_KEPT + 1, Some(b"x"));
    assert_eq!((book.status.kept, book.rejects().len() as u64), (REJECTS_KEPT, REJECTS_KEPT));
    book.message(MESSAGES_KEPT + 2, None);
    assert_eq!((book.status.kept, book.rejects().len() as u64), (REJECTS_KEPT - 1, REJECTS_KEPT - 1));
    assert!(book.entry(1).is_none() && book.entry(2).is_none() && book.entry(3).is_some());
}

#[test]
fn a_number_that_was_taken_is_given_to_no_other_message() {
    let mut book = Book::open();
    let taken = book::take_number(TENANT, "gauges", &mut book.status).unwrap();
    book.put(vec![taken]);
    // The server dies here, before the entry: what is read again goes on after the number.
    assert_eq!(book::status(&book.view, TENANT, "gauges").unwrap().messages, 1);
    assert!(book.entry(1).is_none());
}
