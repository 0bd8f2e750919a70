//! The entities of one type, a column an attribute.
//!
//! What a column holds is seen from the entities themselves: where all of the first values are numbers,
//! numbers; where all are true or false, flags; otherwise texts, with lists, objects and geometries as
//! JSON. A value of another kind is null in its column; `attributes` has every value as it is.

use city_model::{Instance, Name};
use city_ngsi_ld::render_value;

use super::state::{for_each_entity, location};
use super::{City, flag, number, plain};
use crate::Error;
use crate::scan::{Cell, Holds, Rows, Source};
use crate::wanted::Wanted;

/// Entities that are looked at to see what the columns hold.
const LOOKED_AT: usize = 1_000;
/// Most attributes that become columns.
pub const COLUMNS_MAX: usize = 500;
/// The columns that every type has: where and when.
const OWN: [(&str, Holds); 5] = [
    ("id", Holds::Text),
    ("scope", Holds::Text),
    ("longitude", Holds::Number),
    ("latitude", Holds::Number),
    ("modified_at", Holds::Time),
];

#[derive(Debug)]
pub struct OfType {
    city: City,
    shown_type: String,
    attributes: Vec<(Name, String, Holds)>,
}

impl OfType {
    pub fn of(city: City, full: Name) -> Result<Self, Error> {
        let shown_type = city.names.show_type(&full).to_owned();
        let wanted = Wanted { types: Some(vec![shown_type.clone()]), ..Wanted::default() };
        let first = match city.query(&wanted) {
            Some(query) => city.context.query_after(&city.permit, &query, 0, LOOKED_AT)?.0,
            None => Vec::new(),
        };
        let mut attributes: Vec<(Name, String, Holds)> = city
            .context
            .attributes_of_type(&city.permit, &full)?
            .into_iter()
            .map(|(name, _)| name)
            .take(COLUMNS_MAX)
            .map(|name| {
                let values = first.iter().filter_map(|entity| entity.find(name.as_str())?.default_instance());
                let holds = common(values);
                let mut shown = city.names.show_attribute(&name).to_owned();
                if OWN.iter().any(|(own, _)| *own == shown) {
                    shown.push('_');
                }
                (name, shown, holds)
            })
            .collect();
        attributes.sort_by(|a, b| a.1.cmp(&b.1));
        Ok(Self { city, shown_type, attributes })
    }
}

/// What all of the values are; texts where they differ.
fn common<'i>(instances: impl Iterator<Item = &'i Instance>) -> Holds {
    let mut holds: Option<Holds> = None;
    for instance in instances {
        let own = match plain(instance) {
            Cell::Number(_) => Holds::Number,
            Cell::Flag(_) => Holds::Flag,
            _ => return Holds::Text,
        };
        if *holds.get_or_insert(own) != own {
            return Holds::Text;
        }
    }
    holds.unwrap_or(Holds::Text)
}

impl Source for OfType {
    fn columns(&self) -> Vec<(String, Holds)> {
        let own = OWN.iter().map(|(name, holds)| ((*name).to_owned(), *holds));
        own.chain(self.attributes.iter().map(|(_, shown, holds)| (shown.clone(), *holds))).collect()
    }

    fn produce(&self, wanted: &Wanted, rows: &mut Rows) -> Result<(), Error> {
        // Here `type` and `attribute` are columns like any other, if they are there at all.
        let wanted =
            Wanted { ids: wanted.ids.clone(), types: Some(vec![self.shown_type.clone()]), ..Wanted::default() };
        for_each_entity(&self.city, &wanted, rows, |entity, rows| {
            let scopes: Vec<&str> = entity.scopes.iter().map(|scope| scope.as_str()).collect();
            let scopes = scopes.join(",");
            let place = location(entity);
            let found: Vec<Option<&Instance>> = self
                .attributes
                .iter()
                .map(|(name, ..)| entity.find(name.as_str()).and_then(|attribute| attribute.default_instance()))
                .collect();
            let texts: Vec<Option<String>> = self
                .attributes
                .iter()
                .zip(&found)
                .enumerate()
                .map(|(at, ((.., holds), instance))| {
                    let instance = (*instance)?;
                    let needs = *holds == Holds::Text && rows.wants(OWN.len() + at);
                    (needs && !matches!(plain(instance), Cell::Text(_))).then(|| render_value(instance))
                })
                .collect();
            rows.push(|column| match column {
                0 => Cell::Text(entity.id.as_str()),
                1 if scopes.is_empty() => Cell::Null,
                1 => Cell::Text(&scopes),
                2 => place.map_or(Cell::Null, |(longitude, _)| Cell::Number(longitude)),
                3 => place.map_or(Cell::Null, |(_, latitude)| Cell::Number(latitude)),
                4 => Cell::Time(entity.modified_at),
                other => {
                    let at = other - OWN.len();
                    let Some(instance) = found[at] else { return Cell::Null };
                    let cell = plain(instance);
                    match self.attributes[at].2 {
                        Holds::Number => number(cell),
                        Holds::Flag => flag(cell),
                        _ => match (&texts[at], cell) {
                            (Some(text), _) => Cell::Text(text),
                            (None, cell) => cell,
                        },
                    }
                }
            })
        })
    }
}
