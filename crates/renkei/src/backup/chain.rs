//! Which parts make the state of a time: one base, what follows it, and the outbox to begin from.

use anyhow::Result;
use city_model::Time;
use city_store::Error;

use super::shelf::{Part, Set};

/// Parts in the order in which they are laid.
#[derive(Debug)]
pub struct Chain {
    pub base: Part,
    /// Their journals continue the base; the last of them may be a later base.
    pub further: Vec<Part>,
    /// Which of `further` the outbox is taken from; without one it is the base's.
    pub outbox: Option<usize>,
    /// Where the time that was asked for lies behind all that was backed up: how far it reaches.
    pub ends_before: Option<Time>,
}

impl Chain {
    /// The newest state, or that of a time; `sets` are in order of time.
    pub fn choose(sets: &[Set], until: Option<Time>) -> Result<Self> {
        let Some(until) = until else {
            let Some(set) = sets.last() else { return Err(not_covered("the newest time", "there is no base")) };
            let further = set.parts[1..].to_vec();
            let outbox = further.len().checked_sub(1);
            return Ok(Self { base: set.base()?.clone(), further, outbox, ends_before: None });
        };
        let is_early = |part: &Part| part.manifest.last_time().is_none_or(|last| last <= until);
        let Some(at) = sets.iter().rposition(|set| set.parts.first().is_some_and(is_early)) else {
            return Err(not_covered(&until.to_string(), &earliest(sets)));
        };
        let set = &sets[at];
        let mut further: Vec<Part> = Vec::new();
        for part in &set.parts[1..] {
            let is_last = !is_early(part);
            further.push(part.clone());
            if is_last {
                break;
            }
        }
        let is_past = |part: &Part| is_early(part) && part.manifest.taken_at() <= until;
        let outbox = further.iter().rposition(is_past);
        let last = &set.last()?.manifest;
        let mut ends_before = None;
        if further.last().is_none_or(is_early) && last.taken_at() < until {
            // What came between the last part and the next base stands in the journal of that base.
            match sets.get(at + 1).and_then(|set| set.parts.first()) {
                Some(next) if next.manifest.first_record <= last.last_record.max(1) => further.push(next.clone()),
                Some(next) => {
                    let why = format!(
                        "of the time between {} and {} nothing was kept",
                        last.taken_at, next.manifest.taken_at
                    );
                    return Err(not_covered(&until.to_string(), &why));
                }
                None => ends_before = Some(last.taken_at()),
            }
        }
        Ok(Self { base: set.base()?.clone(), further, outbox, ends_before })
    }

    /// Bytes that will be laid, before compression.
    pub fn raw_bytes(&self) -> u64 {
        let further = self.further.iter().filter(|part| !part.manifest.is_base());
        self.base.manifest.raw_bytes + further.map(|part| part.manifest.raw_bytes).sum::<u64>()
    }
}

fn earliest(sets: &[Set]) -> String {
    let first = sets.iter().filter_map(|set| set.parts.first()).filter_map(|base| base.manifest.last_time()).min();
    match first {
        Some(first) => format!("the earliest time that can be restored is {first}"),
        None => "there is no base".to_owned(),
    }
}

fn not_covered(asked: &str, why: &str) -> anyhow::Error {
    Error::NotCovered { asked: asked.to_owned(), why: why.to_owned() }.into()
}
