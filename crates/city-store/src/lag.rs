//! How far a follower is behind: a cursor and the journal come in, records and their age go out.

use city_model::Time;

use crate::Error;
use crate::journal::{JournalReader, Read};

/// What a follower has not seen yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lag {
    pub records: u64,
    /// When the oldest of them was recorded; `None` where nothing is missing.
    pub since: Option<Time>,
}

impl JournalReader {
    /// The lag of a follower whose last record is `cursor`. One that is lost is as old as the journal.
    pub fn lag(&self, cursor: u64) -> Result<Lag, Error> {
        let records = self.durable().saturating_sub(cursor);
        if records == 0 {
            return Ok(Lag::default());
        }
        let oldest = match self.read(cursor + 1, 1)? {
            Read::Lost { oldest } => self.find(oldest)?,
            Read::Records(found) => found.into_iter().next(),
        };
        Ok(Lag { records, since: oldest.map(|published| published.record.time) })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use city_model::Cause;

    use super::*;
    use crate::journal::{Journal, Limits};
    use crate::record::{Record, RecordKind};
    use crate::{FolderDisk, Published};

    fn record(seq: u64, micros: i64) -> Record {
        Record {
            tenant: 1,
            tenant_name: None,
            branch: 0,
            seq,
            kind: RecordKind::State,
            time: Time::from_micros(micros),
            who: Arc::from("test"),
            cause: Cause { request: 1, origin: "test".into(), depth: 0 },
            index: 0,
            count: 1,
            entity: 1,
            entity_id: "urn:a:1".into(),
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

    #[test]
    fn a_follower_is_as_far_behind_as_the_oldest_record_that_it_has_not_seen() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Arc::new(FolderDisk::new(folder.path()).unwrap());
        let limits = Limits { reserve_bytes: 0, ..Limits::default() };
        let (mut journal, _) = Journal::open(disk, 0, limits).unwrap();
        let reader = journal.reader();
        assert_eq!(reader.lag(0).unwrap(), Lag::default());
        for (seq, micros) in [(1, 10), (2, 20), (3, 30)] {
            let record = record(seq, micros);
            journal.append(&[record.encode()]).unwrap();
            journal.publish(vec![Published { lsn: seq, record: Arc::new(record), image: None }]);
        }
        let lag = |cursor| reader.lag(cursor).unwrap();
        assert_eq!(lag(0), Lag { records: 3, since: Some(Time::from_micros(10)) });
        assert_eq!(lag(2), Lag { records: 1, since: Some(Time::from_micros(30)) });
        assert_eq!(lag(3), Lag::default());
    }
}
