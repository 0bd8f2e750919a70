//! What was: one row an instance of the past.

use city_history::Series;
use city_model::reach::Shown;
use city_model::temporal::{TemporalQuery, TimeProperty, TimeRelation};
use city_model::{DatasetId, Name, Time};
use city_ngsi_ld::render_value;
use city_store::TermNo;
use city_store::codec::{NameNumbers, Reader, Writer, read_dataset, read_instance};

use super::{City, flag, number, plain, text};
use crate::Error;
use crate::scan::{Cell, Holds, Rows, Source};
use crate::wanted::Wanted;

#[derive(Debug)]
pub struct Past {
    pub city: City,
}

/// Columns for which the whole instance must be read, not only its time and number.
const NEEDS_INSTANCE: [usize; 5] = [6, 7, 8, 9, 10];

impl Source for Past {
    fn columns(&self) -> Vec<(String, Holds)> {
        [
            ("entity_id", Holds::Text),
            ("type", Holds::Text),
            ("attribute", Holds::Text),
            ("dataset_id", Holds::Text),
            ("time", Holds::Time),
            ("number", Holds::Number),
            ("flag", Holds::Flag),
            ("text", Holds::Text),
            ("value", Holds::Text),
            ("unit_code", Holds::Text),
            ("kind", Holds::Text),
            ("observed_at", Holds::Time),
            ("modified_at", Holds::Time),
            ("deleted", Holds::Flag),
        ]
        .map(|(name, holds)| (name.to_owned(), holds))
        .to_vec()
    }

    fn produce(&self, wanted: &Wanted, rows: &mut Rows) -> Result<(), Error> {
        let city = &self.city;
        let Some(mut query) = city.query(wanted) else { return Ok(()) };
        // An attribute that is gone has a past.
        let attributes: Option<Vec<TermNo>> = wanted
            .attributes
            .is_some()
            .then(|| query.attributes.iter().filter_map(|name| city.space.terms.find(name.as_str())).collect());
        query.attributes.clear();
        let temporal = TemporalQuery { relation: relation(wanted), property: TimeProperty::ObservedAt, last_n: None };
        let all = NEEDS_INSTANCE.iter().any(|column| rows.wants(*column));
        for (entity, id) in city.context.identities(&city.permit, &query)? {
            if rows.has_enough() {
                return Ok(());
            }
            let Some(identity) = city.context.identity(&city.permit, &id)? else { continue };
            // Where a permit shows only some entities, it shows the past of those alone.
            let Some(sight) = city.context.sight_of_past(&city.permit, &identity)? else { continue };
            let entity_type = identity.identity.types.first().map(|name| city.names.show_type(name));
            let series = Series {
                tenant: city.space.number,
                entity,
                attributes: attributes.as_deref().unwrap_or_default(),
                query: &temporal,
                instances_max: usize::MAX,
            };
            let mut known: Option<(TermNo, TermNo, Name, Option<DatasetId>)> = None;
            city.history.visit(&series, &mut |attribute, dataset, time, parts| {
                if known.as_ref().is_none_or(|(own, of, ..)| (*own, *of) != (attribute, dataset)) {
                    let name = Name::from_stored(city.space.terms.name(attribute)?);
                    known = Some((attribute, dataset, name, read_dataset(dataset, &city.space.terms)?));
                }
                let Some((_, _, name, dataset)) = &known else { return Ok(false) };
                let shown = sight.shows(name.as_str());
                if shown == Shown::Hidden {
                    return Ok(true);
                }
                let blurred = shown != Shown::Whole;
                let instance = if all || blurred || parts.is_sealed() {
                    let mut bytes = Writer::default();
                    parts.join(&mut bytes);
                    let instance = read_instance(&mut Reader::new(&bytes.bytes), None, &city.space.terms)?;
                    // What was erased is not there.
                    match instance.and_then(|instance| sight.instance(name.as_str(), instance)) {
                        Some(instance) => Some(instance),
                        None => return Ok(true),
                    }
                } else {
                    None
                };
                let cell = instance.as_ref().map_or(Cell::Null, plain);
                let value = instance.as_ref().filter(|_| rows.wants(8)).map(render_value);
                let pushed = rows.push(|column| match column {
                    0 => Cell::Text(id.as_str()),
                    1 => entity_type.map_or(Cell::Null, Cell::Text),
                    2 => Cell::Text(city.names.show_attribute(name)),
                    3 => dataset.as_ref().map_or(Cell::Null, |dataset| Cell::Text(dataset.as_str())),
                    4 => Cell::Time(time),
                    5 if blurred || parts.is_sealed() => number(cell),
                    5 => parts.number.map_or(Cell::Null, |number| Cell::Number(number.as_f64())),
                    6 => flag(cell),
                    7 => text(cell),
                    8 => value.as_deref().map_or(Cell::Null, Cell::Text),
                    9 => instance.as_ref().and_then(|i| i.unit_code.as_deref()).map_or(Cell::Null, Cell::Text),
                    10 => instance.as_ref().map_or(Cell::Null, |i| Cell::Text(i.kind.type_name())),
                    11 => parts.observed_at.map_or(Cell::Null, Cell::Time),
                    12 => Cell::Time(parts.modified_at),
                    _ => Cell::Flag(parts.deleted),
                });
                // A batch that could not be made ends the query; one that nobody takes ends the reading.
                pushed.map_err(|error| city_history::Error::Visitor(error.to_string()))?;
                Ok(!rows.has_enough())
            })?;
        }
        Ok(())
    }
}

/// The bounds of `time`, both included, as half-open spans.
fn relation(wanted: &Wanted) -> Option<TimeRelation> {
    let behind = |time: Time| time.plus_micros(1);
    match (wanted.from, wanted.to) {
        (None, None) => None,
        (Some(from), None) => Some(TimeRelation::After(from)),
        (None, Some(to)) => Some(TimeRelation::Before(behind(to))),
        (Some(from), Some(to)) => Some(TimeRelation::Between(from, behind(to))),
    }
}
