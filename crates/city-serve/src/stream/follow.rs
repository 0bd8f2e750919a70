//! From records of the journal to events: what of a change one reader is shown, and from where they go on.

use std::sync::Arc;

use bytes::Bytes;
use city_context::{AsOf, TenantSpace};
use city_model::reach::Shown;
use city_model::{Entity, Name, Permit, Query};
use city_ngsi_ld::{RenderOptions, TermMap, render_entity};
use city_store::codec::NameNumbers;
use city_store::journal::Read;
use city_store::record::RecordKind;
use city_store::{JournalReader, Published};
use serde_json::json;

use crate::city::City;
use crate::problem::{Kind, Problem};

/// Records read in one step.
const BATCH_RECORDS: usize = 256;
/// Records that are looked at to find a place in the journal; who is further back is told to begin anew.
const LOOKED_AT_MAX: usize = 200_000;

/// What a reader asked for.
pub struct Asked {
    pub query: Query,
    /// Only changes of these are told, where there are any.
    pub attributes: Vec<Name>,
    pub options: RenderOptions,
    pub terms: Arc<TermMap>,
    pub permit: Permit,
    /// The last change that the reader has seen.
    pub after: Option<u64>,
}

/// Goes through the journal for one reader.
pub struct Follower {
    city: Arc<City>,
    asked: Asked,
    /// The record that comes next.
    next: u64,
    /// Changes up to here were seen before.
    after: u64,
    /// A first word about what can no longer be told.
    gap: Option<Bytes>,
}

pub struct Step {
    pub events: Vec<Bytes>,
    /// There was no more to read.
    pub at_end: bool,
}

impl Follower {
    pub fn begin(city: Arc<City>, asked: Asked) -> Result<Self, Problem> {
        let journal = city.context.journal().clone();
        let newest = journal.durable() + 1;
        let (mut next, mut after, mut gap) = (newest, 0, None);
        if let Some(seen) = asked.after {
            let tenant = city.context.tenant(&asked.permit).map_err(Problem::from)?.number;
            let found = find(&journal, tenant, seen)?;
            // Where nothing lies behind it, whatever comes is new.
            (next, after) = found.map_or((newest, 0), |(lsn, _)| (lsn, seen));
            gap = found.filter(|(_, seq)| *seq > seen + 1).map(|(_, seq)| lost(seen, Some(seq)));
        }
        Ok(Self { city, asked, next, after, gap })
    }

    pub fn step(&mut self) -> Result<Step, city_context::Error> {
        let mut events: Vec<Bytes> = self.gap.take().into_iter().collect();
        let journal = self.city.context.journal();
        let records = match journal.read(self.next, BATCH_RECORDS)? {
            Read::Records(records) => records,
            Read::Lost { oldest } => {
                // Too slow: the journal was cut before it was read.
                events.push(lost(self.after, None));
                self.next = oldest;
                return Ok(Step { events, at_end: false });
            }
        };
        let Some(last) = records.last().map(|published| published.lsn) else {
            return Ok(Step { events, at_end: true });
        };
        // A tenant comes into being with its first change.
        let space = self.city.context.tenants().find(self.asked.permit.tenant());
        if let Some(space) = space {
            for published in &records {
                let record = &published.record;
                if record.tenant != space.number || record.seq <= self.after {
                    continue;
                }
                self.after = record.seq;
                if record.kind == RecordKind::State {
                    events.extend(self.event(&space, published)?);
                }
            }
        }
        self.next = last + 1;
        Ok(Step { events, at_end: records.len() < BATCH_RECORDS })
    }

    /// What the reader is shown of a change, if anything.
    fn event(&self, space: &TenantSpace, published: &Published) -> Result<Option<Bytes>, city_context::Error> {
        let record = &published.record;
        let entity = match self.city.context.image_of(space, published)? {
            AsOf::Entity(Some(entity)) => entity,
            AsOf::Entity(None) => return Ok(None),
            AsOf::Forgotten => return Ok(Some(lost(record.seq - 1, Some(record.seq + 1)))),
        };
        let identity = record.identity.as_ref();
        let change = match identity.map(|identity| (identity.before.is_some(), identity.after.is_some())) {
            Some((false, _)) => "created",
            Some((_, false)) => "deleted",
            _ => "updated",
        };
        let Some(sight) = self.asked.permit.read().sight(&entity) else { return Ok(None) };
        let mut touched: Vec<Name> = Vec::new();
        for one in &record.touched {
            let name = Name::from_stored(space.terms.name(one.attribute)?);
            if sight.shows(name.as_str()) != Shown::Hidden && !touched.contains(&name) {
                touched.push(name);
            }
        }
        // A change of nothing that is shown is none.
        if touched.is_empty() && !record.touched.is_empty() && change == "updated" {
            return Ok(None);
        }
        let wanted = &self.asked.attributes;
        if !wanted.is_empty() && change == "updated" && !touched.iter().any(|name| wanted.contains(name)) {
            return Ok(None);
        }
        let shown = sight.of(&entity);
        if !self.asked.query.matches(&shown) {
            return Ok(None);
        }
        Ok(Some(self.render(record.seq, record.time, change, &touched, &shown)))
    }

    fn render(&self, seq: u64, time: city_model::Time, change: &str, touched: &[Name], shown: &Entity) -> Bytes {
        let Asked { terms, options, .. } = &self.asked;
        let names: Vec<_> = touched.iter().map(|name| terms.compact(name)).collect();
        let mut out = format!("id: {seq}\nevent: {change}\ndata: {{\"seq\":{seq},\"time\":\"{time}\",\"change\":\"{change}\",\"attributes\":{},\"entity\":", json!(names)).into_bytes();
        if change == "deleted" {
            // What it was is over; what it is called tells whose end it is.
            let mut gone = Entity::new(shown.id.clone(), shown.types.clone());
            gone.created_at = shown.created_at;
            render_entity(&gone, terms, options, &mut out);
        } else {
            render_entity(shown, terms, options, &mut out);
        }
        out.extend_from_slice(b"}\n\n");
        out.into()
    }
}

/// The word for changes that cannot be told any more: those between two positions.
fn lost(after: u64, before: Option<u64>) -> Bytes {
    format!("event: lost\ndata: {}\n\n", json!({"after": after, "before": before})).into()
}

/// The first record of a tenant behind a change, with its own position; `None` where there is none yet.
///
/// Positions of a tenant grow with the records of the journal, so the place is found by halving.
fn find(journal: &JournalReader, tenant: u32, seen: u64) -> Result<Option<(u64, u64)>, Problem> {
    let (mut low, mut high) = (journal.oldest(), journal.durable() + 1);
    let (mut found, mut looked_at) = (None, 0);
    while low < high {
        let middle = low + (high - low) / 2;
        match first_of(journal, tenant, middle, high, &mut looked_at)? {
            // Nothing of the tenant from the middle on: it lies before.
            None => high = middle,
            Some((lsn, seq)) if seq > seen => (high, found) = (middle, Some((lsn, seq))),
            Some((lsn, _)) => low = lsn + 1,
        }
    }
    Ok(found)
}

/// The first record of a tenant from `from` on and before `end`.
fn first_of(
    journal: &JournalReader,
    tenant: u32,
    from: u64,
    end: u64,
    looked_at: &mut usize,
) -> Result<Option<(u64, u64)>, Problem> {
    let mut next = from;
    while next < end {
        let read = journal.read(next, BATCH_RECORDS).map_err(city_context::Error::from)?;
        let records = match read {
            Read::Records(records) => records,
            // Cut off meanwhile.
            Read::Lost { oldest } => {
                next = oldest;
                continue;
            }
        };
        let Some(last) = records.last().map(|published| published.lsn) else { return Ok(None) };
        let own = records.iter().find(|published| published.record.tenant == tenant && published.lsn < end);
        if let Some(own) = own {
            return Ok(Some((own.lsn, own.record.seq)));
        }
        *looked_at += records.len();
        if *looked_at > LOOKED_AT_MAX {
            let detail = "from: what lies behind this event is too far back to be found. Begin anew without from, and query what is.";
            return Err(Problem::new(Kind::BadRequestData, "SRV-023", detail));
        }
        next = last + 1;
    }
    Ok(None)
}
