//! Backup in the room: what is taken is what is laid, a trimmed journal, another store, every cut.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use city_model::{Cause, Time};
use city_store::backup::{
    Content, Cut, PartEnd, PartReader, Reached, SegmentWriter, Since, Taking, lay_base, lay_frames, lay_outbox,
};
use city_store::commit::{MATCHER_CURSOR_KEY, WATERMARK_KEY, watermark};
use city_store::journal::{Limits, Published, Read};
use city_store::record::{LIVE_BRANCH, RecordKind};
use city_store::{Error, FolderDisk, Journal, Record, Space, View, ViewBatch};

const LIMITS: Limits = Limits { segment_bytes: 2_000, keep_bytes: 10_000, reserve_bytes: 0 };

fn record(seq: u64, request: u128) -> Record {
    Record {
        tenant: 0,
        tenant_name: None,
        branch: LIVE_BRANCH,
        seq,
        kind: RecordKind::Also,
        time: Time::from_micros(seq as i64 * 1_000),
        who: Arc::from("test"),
        cause: Cause { request, origin: "test".into(), depth: 0 },
        index: 0,
        count: 1,
        entity: 0,
        entity_id: "".into(),
        previous_seq: 0,
        previous_lsn: 0,
        identity: None,
        touched: Vec::new(),
        definition: None,
        also: Vec::new(),
        note: None,
        terms: Vec::new(),
    }
}

struct Store {
    view: View,
    journal: Journal,
    request: u128,
    _folder: tempfile::TempDir,
}

impl Store {
    fn new(request: u128) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let view = View::open(&folder.path().join("view")).unwrap();
        let disk = FolderDisk::new(folder.path().join("journal")).unwrap();
        let (journal, _) = Journal::open(Arc::new(disk), 0, LIMITS).unwrap();
        Self { view, journal, request, _folder: folder }
    }

    /// One commit of so many records, as the commit thread makes it.
    fn commit(&mut self, records: u64) {
        let first = self.journal.next_lsn();
        let made: Vec<Record> = (first..first + records).map(|seq| record(seq, self.request)).collect();
        self.journal.append(&made.iter().map(Record::encode).collect::<Vec<_>>()).unwrap();
        let mut batch = ViewBatch::default();
        for made in &made {
            batch.put(Space::State, made.seq.to_be_bytes(), format!("value {}", made.seq).as_bytes());
            batch.put(Space::Outbox, made.seq.to_be_bytes(), b"row");
            if made.seq > 3 {
                batch.delete(Space::Outbox, (made.seq - 3).to_be_bytes());
            }
        }
        let last = first + records - 1;
        batch.put(Space::Meta, WATERMARK_KEY, &last.to_le_bytes());
        batch.put(Space::Meta, MATCHER_CURSOR_KEY, &last.to_le_bytes());
        self.view.write(batch).unwrap();
        let published = (first..).zip(made).map(|(lsn, made)| Published { lsn, record: Arc::new(made), image: None });
        self.journal.publish(published.collect());
        self.journal.trim(last).unwrap();
    }

    fn take(&self, since: Option<Since>) -> Result<Vec<u8>, Error> {
        let now = Time::from_micros(1);
        let taking = Taking::begin(&self.view, &self.journal.reader(), now, "test", since)?;
        let mut part = Vec::new();
        taking.run(&mut |chunk| {
            part.extend(chunk);
            ControlFlow::Continue(())
        })?;
        Ok(part)
    }
}

fn open(part: &[u8]) -> PartReader<&[u8]> {
    PartReader::open("part", part).unwrap()
}

fn end_of(part: &[u8]) -> (Since, PartEnd) {
    let mut reader = open(part);
    loop {
        if let Content::End(end) = reader.next_content().unwrap() {
            return (Since { lsn: reader.head().watermark, crc: end.last_crc }, end);
        }
    }
}

fn contents(view: &View) -> Vec<(Space, Vec<u8>, Vec<u8>)> {
    let snapshot = view.snapshot();
    let mut all = Vec::new();
    for space in Space::all() {
        let each = snapshot.each(*space, |key, value| {
            all.push((*space, key.to_vec(), value.to_vec()));
            Ok(ControlFlow::Continue(()))
        });
        each.unwrap();
    }
    all
}

/// Lays a base and what follows it into a folder.
fn lay(folder: &Path, base: &[u8], further: &[&[u8]], cut: Cut) -> (View, Reached) {
    let view = View::open(&folder.join("view")).unwrap();
    let mut journal = SegmentWriter::new(FolderDisk::new(folder.join("journal")).unwrap());
    let (_, mut reached) = lay_base(&mut open(base), &view, &mut journal, true, &mut |_| {}).unwrap();
    for part in further {
        if lay_frames(&mut open(part), &mut journal, &mut reached, cut, &mut |_| {}).unwrap() {
            break;
        }
    }
    journal.finish(reached.lsn).unwrap();
    (view, reached)
}

fn records_in(folder: &Path, watermark: u64) -> Vec<u64> {
    let disk = FolderDisk::new(folder.join("journal")).unwrap();
    let (journal, opened) = Journal::open(Arc::new(disk), watermark, LIMITS).unwrap();
    assert_eq!(opened.cut, None);
    let reader = journal.reader();
    let mut found = Vec::new();
    let mut next = reader.oldest();
    while let Read::Records(records) = reader.read(next, 100).unwrap() {
        let Some(last) = records.last() else { break };
        next = last.lsn + 1;
        found.extend(records.iter().map(|published| published.record.seq));
    }
    found
}

#[test]
fn what_is_laid_is_what_was_taken() {
    let mut store = Store::new(1);
    (1..=30).for_each(|records| store.commit(records));
    let base = store.take(None).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (view, reached) = lay(folder.path(), &base, &[], Cut::Nowhere);
    assert_eq!(contents(&view), contents(&store.view));
    assert_eq!((watermark(&view).unwrap(), reached.lsn), (465, 465));
    let (since, end) = end_of(&base);
    assert_eq!((since.lsn, end.values_of(Space::State)), (465, 465));
    let kept = records_in(folder.path(), 465);
    assert_eq!((kept[0], kept.len() as u64), (end.first_lsn, end.records), "of the journal what was kept");
    assert!(end.first_lsn > 1, "this journal was trimmed");
}

#[test]
fn an_empty_store_is_taken_and_continued() {
    let mut store = Store::new(1);
    let base = store.take(None).unwrap();
    let (since, end) = end_of(&base);
    assert_eq!((since, end.records), (Since { lsn: 0, crc: 0 }, 0));
    store.commit(3);
    let increment = store.take(Some(since)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (_, reached) = lay(folder.path(), &base, &[&increment], Cut::Nowhere);
    assert_eq!((reached.lsn, records_in(folder.path(), 0)), (3, vec![1, 2, 3]));
}

#[test]
fn the_journal_is_cut_behind_any_record() {
    let mut store = Store::new(1);
    store.commit(2);
    let base = store.take(None).unwrap();
    store.commit(4);
    let first = store.take(Some(end_of(&base).0)).unwrap();
    store.commit(1);
    store.commit(5);
    let second = store.take(Some(end_of(&first).0)).unwrap();
    // A later base stands for the second increment as well.
    let later = store.take(None).unwrap();
    for last in [&second, &later] {
        for until in 2..=12u64 {
            let folder = tempfile::tempdir().unwrap();
            let cut = Cut::After(Time::from_micros(until as i64 * 1_000 + 999));
            let (_, reached) = lay(folder.path(), &base, &[&first, last], cut);
            assert_eq!(reached.lsn, until);
            assert_eq!(records_in(folder.path(), 2), (1..=until).collect::<Vec<_>>());
        }
    }
    let mut reached = Reached { lsn: 2, crc: end_of(&base).0.crc, time: None };
    let folder = tempfile::tempdir().unwrap();
    let mut journal = SegmentWriter::new(FolderDisk::new(folder.path()).unwrap());
    let gap = lay_frames(&mut open(&second), &mut journal, &mut reached, Cut::Nowhere, &mut |_| {}).unwrap_err();
    assert!(gap.to_string().contains("does not continue record 2"), "{gap}");
}

#[test]
fn an_increment_brings_the_outbox_as_it_then_was() {
    let mut store = Store::new(1);
    store.commit(2);
    let base = store.take(None).unwrap();
    store.commit(6);
    let increment = store.take(Some(end_of(&base).0)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let view = View::open(&folder.path().join("view")).unwrap();
    let mut journal = SegmentWriter::new(FolderDisk::new(folder.path().join("journal")).unwrap());
    let _ = lay_base(&mut open(&base), &view, &mut journal, false, &mut |_| {}).unwrap();
    lay_outbox(&mut open(&increment), &view).unwrap();
    let outbox =
        |view: &View| contents(view).into_iter().filter(|(space, ..)| *space == Space::Outbox).collect::<Vec<_>>();
    assert_eq!(outbox(&view), outbox(&store.view));
    assert_eq!(view.get(Space::Meta, MATCHER_CURSOR_KEY).unwrap().as_deref(), Some(&8u64.to_le_bytes()[..]));
    assert_eq!(watermark(&view).unwrap(), 2, "the state is still that of the base");
}

#[test]
fn a_trimmed_journal_and_another_store_are_not_continued() {
    let mut store = Store::new(1);
    store.commit(5);
    let (since, _) = end_of(&store.take(None).unwrap());
    assert!(store.take(Some(since)).is_ok());
    let refused = |store: &Store, since: Since| match store.take(Some(since)) {
        Err(Error::BackupNotContinued { why }) => why,
        other => panic!("{:?} was taken", other.map(|part| part.len())),
    };
    let mut other = Store::new(2);
    assert!(refused(&other, since).contains("ends at record 0"));
    other.commit(9);
    assert!(refused(&other, since).contains("not the store"));
    (0..40).for_each(|_| store.commit(10));
    assert!(refused(&store, since).contains("no longer holds record 5"));
    assert!(refused(&store, Since { lsn: 0, crc: 0 }).contains("begins at record"));
}

#[test]
fn a_segment_that_is_trimmed_while_it_is_copied_stays_readable() {
    let mut store = Store::new(1);
    (0..20).for_each(|_| store.commit(5));
    let reader = store.journal.reader();
    let oldest = reader.oldest();
    let mut copy = reader.copy(1, 100).unwrap();
    (0..100).for_each(|_| store.commit(5));
    assert!(reader.oldest() > 100, "all that is copied was trimmed");
    let mut found = Vec::new();
    while let Some(frame) = copy.next_frame().unwrap() {
        found.extend(frame.records().unwrap().iter().map(|(lsn, _)| *lsn));
    }
    assert_eq!(found, (oldest..=100).collect::<Vec<_>>());
}

#[test]
fn what_goes_wrong_on_the_way_is_the_last_chunk_and_no_end() {
    let mut store = Store::new(1);
    store.commit(5);
    let part = store.take(None).unwrap();
    let failed = city_store::backup::chunk::seal(city_store::backup::chunk::ChunkKind::Failed, 1, b"the disk burns");
    let head = {
        let mut scanner = city_store::backup::chunk::Scanner::default();
        scanner.push(&part);
        scanner.next_chunk().unwrap().unwrap().0.to_vec()
    };
    let sent = [head, failed].concat();
    let error = open(&sent).next_content().unwrap_err();
    assert!(error.to_string().contains("the disk burns"), "{error}");
    for cut in 0..part.len() {
        let ended = PartReader::open("part", &part[..cut]).map(|mut reader| {
            loop {
                match reader.next_content() {
                    Ok(Content::End(_)) => return true,
                    Ok(_) => {}
                    Err(_) => return false,
                }
            }
        });
        assert!(!matches!(ended, Ok(true)), "cut at {cut} it looks whole");
    }
}
