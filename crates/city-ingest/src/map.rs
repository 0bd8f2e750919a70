//! A row comes in, a normalised NGSI-LD entity or readings of one go out, as JSON (CIM 009 clause 4.5.1).

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use city_model::{DatasetId, EntityId, Scope, Time};

use crate::error::Error;
use crate::expression::Expression;
use crate::geometry;
use crate::item::{Item, write_text};
use crate::mapping::{Attribute, Columns, Instance, Mapping, Target, Value, attribute_name};
use crate::quality::QUALITY;
use crate::row::{COLUMNS_MAX, Row};
use crate::spec::KindSpec;

/// What a row became.
#[derive(Debug)]
pub enum Mapped {
    /// `when` said no, or every reading of the row was blank.
    Skipped,
    Entity(MappedEntity),
    Readings {
        id: String,
        /// `"id":…,"type":…` and the scope: how a document of this entity begins.
        head: Vec<u8>,
        readings: Vec<Reading>,
    },
}

#[derive(Debug)]
pub struct MappedEntity {
    pub id: String,
    /// The whole entity.
    pub json: Vec<u8>,
}

/// One instance of an attribute at a time of the past.
#[derive(Debug)]
pub struct Reading {
    pub attribute: Arc<str>,
    pub json: Vec<u8>,
}

/// One run of a mapping over one file.
pub struct Mapper<'m> {
    mapping: &'m Mapping,
    /// For columns that need no expression: the attribute each becomes, `None` where it is left out.
    column_names: HashMap<Box<str>, Option<Arc<str>>>,
    /// Columns that expressions name and no row had yet.
    unseen: Vec<Box<str>>,
}

impl<'m> Mapper<'m> {
    /// `columns` are those of the file, where its format names them before the first row.
    pub fn new(mapping: &'m Mapping, file: &str, columns: Option<&[Box<str>]>) -> Result<Self, Error> {
        let mut mapper = Self { mapping, column_names: HashMap::new(), unseen: Vec::new() };
        let named = mapping.named_columns();
        let Some(columns) = columns else {
            mapper.unseen = named.into_iter().filter(|(_, needed)| *needed).map(|(name, _)| name).collect();
            return Ok(mapper);
        };
        let missing: Vec<_> = named
            .iter()
            .filter(|(name, needed)| **needed && !columns.contains(name))
            .map(|(name, _)| format!("\"{name}\""))
            .collect();
        if !missing.is_empty() {
            let present: Vec<_> = columns.iter().map(|name| format!("\"{name}\"")).collect();
            return Err(Error::MissingColumns {
                file: file.to_owned(),
                missing: missing.join(", "),
                present: present.join(", "),
            });
        }
        if let Some(plan) = &mapping.columns {
            let mut taken: HashMap<Arc<str>, &str> = HashMap::new();
            for column in columns {
                let name = mapper.column_name(plan, column).map_err(Error::Mapping)?;
                let Some(name) = name else { continue };
                if let Some(other) = taken.insert(Arc::clone(&name), column) {
                    return Err(Error::Mapping(format!(
                        "columns: \"{other}\" and \"{column}\" would both become {name}; name one in columns.names"
                    )));
                }
            }
        }
        Ok(mapper)
    }

    /// Columns that the mapping reads and that no row of the file had: perhaps a misspelt name.
    #[must_use]
    pub fn unseen_columns(&self) -> &[Box<str>] {
        &self.unseen
    }

    /// An `Err` is the reason why the row cannot be used.
    pub fn map(&mut self, row: &Row) -> Result<Mapped, String> {
        self.unseen.retain(|name| !row.has(name));
        let mapping = self.mapping;
        if let Some(when) = &mapping.when {
            match self.evaluate(when, row, "when")? {
                Item::Bool(true) => {}
                Item::Bool(false) | Item::Null => return Ok(Mapped::Skipped),
                other => return Err(format!("when: it must be true or false, not {}", other.type_name())),
            }
        }
        let id = match self.evaluate(&mapping.id, row, "id")? {
            // "urn:ngsi-ld:Building:" + a blank cell would be one entity for many rows.
            Item::Text(id) if id.ends_with([':', '/']) => return Err(format!("id: nothing follows {id}")),
            Item::Text(id) if !id.trim().is_empty() => id,
            Item::Null | Item::Text(_) => return Err("id: it is blank".to_owned()),
            other => return Err(format!("id: it must be a text, not {}", other.type_name())),
        };
        let id = EntityId::parse(&id).map(|_| id.into_owned()).map_err(|error| format!("id: {error}"))?;
        let mut head = Vec::with_capacity(1024);
        head.extend_from_slice(b"\"id\":");
        write_text(&id, &mut head);
        head.extend_from_slice(&mapping.type_json);
        self.write_scope(row, &mut head)?;
        let observed_at = match &mapping.observed_at {
            Some(expression) => read_time(self.evaluate(expression, row, "observedAt")?, "observedAt")?,
            None => None,
        };
        match mapping.target {
            Target::Current => {
                let mut json = Vec::with_capacity(head.len() + 1024);
                json.push(b'{');
                json.extend_from_slice(&head);
                self.write_entity(row, observed_at, &mut json)?;
                json.extend_from_slice(&mapping.source_json);
                json.extend_from_slice(&mapping.context_json);
                json.push(b'}');
                Ok(Mapped::Entity(MappedEntity { id, json }))
            }
            Target::Temporal => {
                let readings = self.readings(row, observed_at)?;
                match readings.is_empty() {
                    true => Ok(Mapped::Skipped),
                    false => Ok(Mapped::Readings { id, head, readings }),
                }
            }
        }
    }

    fn evaluate<'r>(&self, expression: &'r Expression, row: &'r Row, place: &str) -> Result<Item<'r>, String>
    where
        'm: 'r,
    {
        expression.evaluate(&self.mapping.language, row).map_err(|why| format!("{place}: {why}"))
    }

    fn write_scope(&self, row: &Row, out: &mut Vec<u8>) -> Result<(), String> {
        let Some(expression) = &self.mapping.scope else { return Ok(()) };
        let checked = |item: &Item| match item {
            Item::Text(text) => Scope::parse(text).map_err(|error| format!("scope: {error}")),
            other => Err(format!("scope: it must be a text, not {}", other.type_name())),
        };
        match self.evaluate(expression, row, "scope")? {
            item if item.is_blank() => {}
            Item::List(list) => {
                let scopes = list.iter().filter(|item| !item.is_blank()).map(checked).collect::<Result<Vec<_>, _>>()?;
                if !scopes.is_empty() {
                    out.extend_from_slice(b",\"scope\":");
                    drop(serde_json::to_writer(out, &scopes.iter().map(Scope::as_str).collect::<Vec<_>>()));
                }
            }
            item => {
                let scope = checked(&item)?;
                out.extend_from_slice(b",\"scope\":");
                write_text(scope.as_str(), out);
            }
        }
        Ok(())
    }

    fn write_entity(&mut self, row: &Row, observed_at: Option<Time>, out: &mut Vec<u8>) -> Result<(), String> {
        for attribute in &self.mapping.attributes {
            self.write_attribute(attribute, row, observed_at, out)?;
        }
        self.for_each_column(row, |name, item| {
            out.push(b',');
            write_text(&name, out);
            out.push(b':');
            write_plain(&item, observed_at, out);
        })
    }

    fn readings(&mut self, row: &Row, observed_at: Option<Time>) -> Result<Vec<Reading>, String> {
        let mut readings = Vec::new();
        for attribute in &self.mapping.attributes {
            for instance in &attribute.instances {
                let mut json = Vec::with_capacity(128);
                let Some(time) = self.write_instance(attribute, instance, row, observed_at, &mut json)? else {
                    continue;
                };
                if !time.observed {
                    return Err(format!("{}: observedAt is blank", attribute.place));
                }
                readings.push(Reading { attribute: Arc::clone(&attribute.name), json });
            }
        }
        if self.mapping.columns.is_some() && observed_at.is_none() {
            return Err("observedAt: it is blank".to_owned());
        }
        self.for_each_column(row, |name, item| {
            let mut json = Vec::with_capacity(96);
            write_plain(&item, observed_at, &mut json);
            readings.push(Reading { attribute: name, json });
        })?;
        Ok(readings)
    }

    fn write_attribute(
        &self,
        attribute: &Attribute,
        row: &Row,
        observed_at: Option<Time>,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        let start = out.len();
        out.push(b',');
        write_text(&attribute.name, out);
        out.push(b':');
        let opening = out.len();
        let mut count = 0;
        for instance in &attribute.instances {
            let before = out.len();
            if count > 0 {
                out.push(b',');
            }
            match self.write_instance(attribute, instance, row, observed_at, out)? {
                Some(_) => count += 1,
                None => out.truncate(before),
            }
        }
        match count {
            0 => out.truncate(start),
            1 => {}
            _ => {
                out.insert(opening, b'[');
                out.push(b']');
            }
        }
        Ok(())
    }

    /// `None` where the value is blank: a gap stays a gap.
    fn write_instance(
        &self,
        attribute: &Attribute,
        instance: &Instance,
        row: &Row,
        observed_at: Option<Time>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Written>, String> {
        let place = &*attribute.place;
        if !self.write_value(place, instance, row, out)? {
            return Ok(None);
        }
        out.extend_from_slice(&instance.object_type_json);
        if let (Some(range), Value::One(expression)) = (&instance.range, &instance.value) {
            let value = self.evaluate(expression, row, place)?;
            let found = range.judge(&value).map_err(|why| format!("{place}: {why}"))?;
            let said = format!(",\"{QUALITY}\":{{\"type\":\"Property\",\"value\":\"{found}\"}}");
            out.extend_from_slice(said.as_bytes());
        }
        if let Some(unit) = &instance.unit_code {
            out.extend_from_slice(b",\"unitCode\":\"");
            out.extend_from_slice(unit.as_bytes());
            out.push(b'"');
        }
        let time = match &instance.observed_at {
            Some(expression) => read_time(self.evaluate(expression, row, place)?, place)?,
            None => observed_at,
        };
        write_observed_at(time, out);
        if let Some(expression) = &instance.dataset_id {
            match self.evaluate(expression, row, place)? {
                item if item.is_blank() => {}
                Item::Text(text) => {
                    DatasetId::parse(&text).map_err(|error| format!("{place}: {error}"))?;
                    out.extend_from_slice(b",\"datasetId\":");
                    write_text(&text, out);
                }
                other => return Err(format!("{place}: datasetId must be a text, not {}", other.type_name())),
            }
        }
        for inner in &instance.sub_attributes {
            self.write_attribute(inner, row, None, out)?;
        }
        out.push(b'}');
        Ok(Some(Written { observed: time.is_some() }))
    }

    /// Writes `{"type":…,"value":…`; false where there is nothing to write.
    fn write_value(&self, place: &str, instance: &Instance, row: &Row, out: &mut Vec<u8>) -> Result<bool, String> {
        let start = |kind: &str, member: &str, out: &mut Vec<u8>| {
            drop(write!(out, "{{\"type\":\"{kind}\",\"{member}\":"));
        };
        let item = match &instance.value {
            Value::One(expression) => self.evaluate(expression, row, place)?,
            Value::Languages(languages) => {
                let mut map = Vec::with_capacity(languages.len());
                for (tag, expression) in languages {
                    let item = self.evaluate(expression, row, place)?;
                    if !item.is_blank() {
                        map.push((Cow::Borrowed(&**tag), item));
                    }
                }
                if map.is_empty() { Item::Null } else { Item::Map(map) }
            }
        };
        if item.is_blank() {
            return Ok(false);
        }
        let wrong = |wanted: &str| Err(format!("{place}: it must be {wanted}, not {}", item.type_name()));
        match instance.kind {
            KindSpec::Property => match &item {
                Item::Geometry(_) => return Err(format!("{place}: a geometry needs type: GeoProperty")),
                item => {
                    start("Property", "value", out);
                    item.write_json(out);
                }
            },
            KindSpec::GeoProperty => {
                let mut json = Vec::new();
                if !matches!(item, Item::Geometry(_) | Item::Map(_)) {
                    return wrong("a geometry");
                }
                item.write_json(&mut json);
                geometry::parse(&String::from_utf8_lossy(&json)).map_err(|why| format!("{place}: {why}"))?;
                start("GeoProperty", "value", out);
                out.append(&mut json);
            }
            KindSpec::Relationship | KindSpec::ListRelationship => {
                let targets = match &item {
                    Item::List(list) => list.iter().filter(|item| !item.is_blank()).collect(),
                    one => vec![one],
                };
                for target in &targets {
                    match target {
                        Item::Text(text) if city_model::name::is_uri(text) => {}
                        Item::Text(text) => return Err(format!("{place}: \"{text}\" is no URI")),
                        _ => return wrong("a URI or a list of URIs"),
                    }
                }
                if targets.is_empty() {
                    return Ok(false);
                }
                if instance.kind == KindSpec::Relationship {
                    start("Relationship", "object", out);
                    match targets.as_slice() {
                        [one] => one.write_json(out),
                        _ => item.write_json(out),
                    }
                } else {
                    start("ListRelationship", "objectList", out);
                    let objects =
                        targets.into_iter().map(|target| Item::Map(vec![(Cow::Borrowed("object"), target.borrowed())]));
                    Item::List(objects.collect()).write_json(out);
                }
            }
            KindSpec::LanguageProperty => {
                if !matches!(item, Item::Map(_)) {
                    return wrong("a map of languages");
                }
                start("LanguageProperty", "languageMap", out);
                item.write_json(out);
            }
            KindSpec::VocabProperty => {
                if !matches!(item, Item::Text(_) | Item::List(_)) {
                    return wrong("a text or a list of texts");
                }
                start("VocabProperty", "vocab", out);
                item.write_json(out);
            }
            KindSpec::JsonProperty => {
                start("JsonProperty", "json", out);
                item.write_json(out);
            }
            KindSpec::ListProperty => {
                if !matches!(item, Item::List(_)) {
                    return wrong("a list");
                }
                start("ListProperty", "valueList", out);
                item.write_json(out);
            }
        }
        Ok(true)
    }

    /// The columns that the mapping keeps without an expression, blanks left out.
    fn for_each_column(&mut self, row: &Row, mut see: impl FnMut(Arc<str>, Item)) -> Result<(), String> {
        let Some(plan) = &self.mapping.columns else { return Ok(()) };
        let mut taken: Vec<Arc<str>> = Vec::new();
        for column in row.columns() {
            let Some(name) = self.column_name(plan, column)? else { continue };
            let item = row.cell(column);
            if item.is_blank() {
                continue;
            }
            if taken.contains(&name) {
                return Err(format!("columns: two columns would both become {name}; name one in columns.names"));
            }
            see(Arc::clone(&name), item);
            taken.push(name);
        }
        Ok(())
    }

    fn column_name(&mut self, plan: &Columns, column: &str) -> Result<Option<Arc<str>>, String> {
        if let Some(known) = self.column_names.get(column) {
            return Ok(known.clone());
        }
        let name = match plan.names.get(column) {
            _ if plan.left_out.contains(column) => None,
            Some(name) => Some(Arc::clone(name)),
            None => Some(attribute_name(column)?.into()),
        };
        if let Some(name) = &name
            && self.mapping.attributes.iter().any(|attribute| attribute.name == *name)
        {
            return Err(format!(
                "columns: \"{column}\" would become {name}, which is an attribute already; name it in columns.names"
            ));
        }
        // Objects of a JSON file may have any number of different members; only so many are remembered.
        if self.column_names.len() < COLUMNS_MAX {
            self.column_names.insert(column.into(), name.clone());
        }
        Ok(name)
    }
}

struct Written {
    observed: bool,
}

/// A Property with nothing but a value and perhaps a time.
fn write_plain(item: &Item, observed_at: Option<Time>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"Property\",\"value\":");
    item.write_json(out);
    write_observed_at(observed_at, out);
    out.push(b'}');
}

fn write_observed_at(time: Option<Time>, out: &mut Vec<u8>) {
    if let Some(time) = time {
        out.extend_from_slice(b",\"observedAt\":\"");
        drop(write!(out, "{time}"));
        out.push(b'"');
    }
}

fn read_time(item: Item, place: &str) -> Result<Option<Time>, String> {
    match item {
        item if item.is_blank() => Ok(None),
        Item::Time(time) => Ok(Some(time)),
        Item::Text(text) => {
            let time = Time::parse(&text).filter(|_| text.len() > 10);
            time.map(Some).ok_or_else(|| {
                format!("{place}: \"{text}\" is no time with an offset; write time(…), which knows the zone")
            })
        }
        other => Err(format!("{place}: observedAt must be a time, not {}", other.type_name())),
    }
}
