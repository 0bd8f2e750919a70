//! What is kept of a source's messages stays within its bounds, and its counts are what is there.
#![allow(clippy::unwrap_used, reason = "a failed test may say so by a panic")]

use city_ingest::source::book::{
    self, Entry, MESSAGES_KEPT, REJECT_BYTES_MAX, REJECTS_BYTES_KEPT, REJECTS_KEPT, Tally,
};
use city_store::record::AlsoWrite;
use city_store::{View, ViewBatch};

const TENANT: u32 = 1;

struct Book {
    view: View,
    tally: Tally,
    _folder: tempfile::TempDir,
}

impl Book {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { view: View::open(folder.path()).unwrap(), tally: Tally::default(), _folder: folder }
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
        self.replacing(number, kept, None);
    }

    fn replacing(&mut self, number: u64, kept: Option<&[u8]>, replaces: Option<u64>) {
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
            replaces,
            lines: Vec::new(),
        };
        let writes = self.tally.note(TENANT, "gauges", &entry, kept.map(<[u8]>::to_vec)).unwrap();
        self.put(writes);
        if number.is_multiple_of(100) {
            let read = Tally::load(&self.view, TENANT, "gauges").unwrap();
            assert_eq!(read.status, self.tally.status, "what is read again is what was");
        }
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
    assert_eq!(book.tally.status.kept, REJECTS_KEPT);
    // Rejected again, it stands under its new number alone; taken, it is kept no more.
    let next = REJECTS_KEPT + 4;
    book.replacing(next, Some(b"y"), Some(9));
    assert_eq!((book.tally.status.kept, book.rejects().len() as u64), (REJECTS_KEPT, REJECTS_KEPT));
    assert!(!book.rejects().contains(&9) && book.rejects().contains(&next));
    book.replacing(next + 1, None, Some(next));
    assert_eq!((book.tally.status.kept, book.rejects().len() as u64), (REJECTS_KEPT - 1, REJECTS_KEPT - 1));
    assert_eq!(book.entry(next + 1).unwrap().replaces, Some(next));
    assert!(book.entry(1).is_some(), "the entry of a reject that went stays");
}

#[test]
fn rejects_are_bounded_by_their_bytes_too() {
    let mut book = Book::open();
    let fits = REJECTS_BYTES_KEPT / REJECT_BYTES_MAX as u64;
    let message = vec![b'x'; REJECT_BYTES_MAX];
    (1..=fits + 2).for_each(|number| book.message(number, Some(&message)));
    assert_eq!(book.rejects(), (3..=fits + 2).collect::<Vec<_>>());
}

#[test]
fn entries_that_are_too_old_go_and_what_waits_to_be_mended_keeps_its_own() {
    let mut book = Book::open();
    (1..=REJECTS_KEPT).for_each(|number| book.message(number, Some(b"x")));
    book.message(REJECTS_KEPT + 1, None);
    // Numbers that no message came to have take nothing away with them.
    let later = MESSAGES_KEPT + REJECTS_KEPT + 2;
    (later..later + 20).for_each(|number| book.message(number, None));
    assert!(book.entry(REJECTS_KEPT + 1).is_none(), "it is too old");
    assert!(book.entry(1).is_some() && book.entry(REJECTS_KEPT).is_some(), "they wait to be mended");
    assert_eq!((book.tally.status.kept, book.rejects().len() as u64), (REJECTS_KEPT, REJECTS_KEPT));
    book.message(later + 20, Some(b"x"));
    assert!(book.entry(1).is_none(), "the oldest reject made room, and took its entry along");
    assert_eq!((book.tally.status.kept, book.rejects().len() as u64), (REJECTS_KEPT, REJECTS_KEPT));
}

#[test]
fn a_number_under_which_nothing_was_written_is_given_again() {
    let mut tally = Tally::default();
    let (first, second) = (tally.next_number(), tally.next_number());
    tally.give_back(first);
    tally.give_back(second);
    assert_eq!(tally.next_number(), second, "the last one is, and no other");
}

#[test]
fn a_number_that_was_taken_is_given_to_no_other_message() {
    let mut book = Book::open();
    let number = book.tally.next_number();
    let taken = book.tally.take_number(TENANT, "gauges", number).unwrap();
    book.put(vec![taken]);
    // The server dies here, before the entry: what is read again goes on after the number.
    assert_eq!(Tally::load(&book.view, TENANT, "gauges").unwrap().next_number(), 2);
    assert!(book.entry(1).is_none());
}
