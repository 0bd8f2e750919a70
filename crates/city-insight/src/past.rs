//! The past of entities as a permit shows it, for windows: what is not shown exactly is not there.

use city_context::{Context, PastIdentity, TenantSpace};
use city_history::{History, Series};
use city_model::reach::Shown;
use city_model::temporal::{TemporalQuery, TimeProperty, TimeRelation};
use city_model::{EntityId, Instance, Kind, Name, Permit, Time, Value};
use city_store::TermNo;
use city_store::codec::{InstanceParts, Reader, Writer, read_instance};

use crate::Error;
use crate::window::{Past, READINGS_MAX, Readings};

pub struct Seen<'s> {
    pub context: &'s Context,
    pub history: &'s History,
    pub space: &'s TenantSpace,
    pub permit: &'s Permit,
}

impl Seen<'_> {
    /// An entity with those of some attributes that are shown of its past.
    pub fn shown(&self, id: &EntityId, names: &[Name]) -> Result<Option<(PastIdentity, Vec<(TermNo, Name)>)>, Error> {
        let Some(identity) = self.context.identity(self.permit, id)? else { return Ok(None) };
        let Some(sight) = self.context.sight_of_past(self.permit, &identity)? else { return Ok(None) };
        let whole = names.iter().filter(|name| sight.shows(name.as_str()) == Shown::Whole);
        let known = whole.filter_map(|name| Some((self.space.terms.find(name.as_str())?, name.clone())));
        let known = known.collect();
        Ok(Some((identity, known)))
    }

    /// Sees what was said of attributes after `from`, up to `to`; `see` says whether to go on.
    pub fn visit(
        &self,
        entity: u32,
        attributes: &[TermNo],
        (from, to): (Time, Time),
        see: &mut dyn FnMut(TermNo, Time, Instance) -> bool,
    ) -> Result<(), Error> {
        let behind = |time: Time| time.plus_micros(1);
        let relation = Some(TimeRelation::Between(behind(from), behind(to)));
        let query = TemporalQuery { relation, property: TimeProperty::ObservedAt, last_n: None };
        let series = Series { tenant: self.space.number, entity, attributes, query: &query, instances_max: usize::MAX };
        self.history.visit(&series, &mut |attribute, dataset, time, parts| {
            // Rules look at what has no dataset.
            if dataset != TermNo(0) {
                return Ok(true);
            }
            // What was erased was never read.
            Ok(self.instance(parts)?.is_none_or(|instance| see(attribute, time, instance)))
        })?;
        Ok(())
    }

    fn instance(&self, parts: &InstanceParts<'_>) -> Result<Option<Instance>, city_store::Error> {
        let mut bytes = Writer::default();
        parts.join(&mut bytes);
        let mut instance = read_instance(&mut Reader::new(&bytes.bytes), None, &self.space.terms)?;
        if let Some(instance) = instance.as_mut().filter(|_| parts.deleted) {
            instance.kind = Kind::Null;
        }
        Ok(instance)
    }

    /// What stood at a time.
    pub fn standing(
        &self,
        entity: u32,
        attributes: &[(TermNo, Name)],
        at: Time,
    ) -> Result<Vec<(Name, Instance)>, Error> {
        let stood = self.history.moment().fold(self.space.number, entity, at, &self.space.terms)?;
        let named = stood.into_iter().filter_map(|(number, instances)| {
            let (_, name) = attributes.iter().find(|(own, _)| *own == number)?;
            Some((name.clone(), instances.into_iter().find(|instance| instance.dataset.is_none())?))
        });
        Ok(named.collect())
    }

    fn read(&self, of: &EntityId, attribute: &Name, from: Time, to: Time) -> Result<Option<Readings>, Error> {
        let Some((identity, shown)) = self.shown(of, std::slice::from_ref(attribute))? else {
            return Ok(Some(Readings::default()));
        };
        let [(number, _)] = shown.as_slice() else { return Ok(Some(Readings::default())) };
        let standing = self.standing(identity.number, &shown, from)?.pop();
        let mut readings = Readings { standing: standing.and_then(|(_, instance)| said(instance)), within: Vec::new() };
        self.visit(identity.number, &[*number], (from, to), &mut |_, time, instance| {
            readings.within.extend(said(instance).map(|value| (time, value)));
            readings.within.len() <= READINGS_MAX
        })?;
        readings.within.sort_by_key(|(time, _)| *time);
        Ok((readings.within.len() <= READINGS_MAX).then_some(readings))
    }
}

impl Past for Seen<'_> {
    fn readings(&self, of: &EntityId, attribute: &Name, from: Time, to: Time) -> Result<Readings, String> {
        let read = self.read(of, attribute, from, to).map_err(|error| error.to_string())?;
        read.ok_or_else(|| {
            format!("a window of {attribute} has more than {READINGS_MAX} readings; ask for a shorter one")
        })
    }
}

fn said(instance: Instance) -> Option<Value> {
    match instance.kind {
        Kind::Property(value) | Kind::JsonProperty(value) | Kind::VocabProperty(value) => Some(value),
        Kind::Relationship { object, .. } => Some(object),
        _ => None,
    }
}
