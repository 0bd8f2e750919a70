//! The past of an entity as bytes (clauses 4.5.6 to 4.5.9).

use city_model::temporal::{AggregatedSeries, AggregationMethod, TimeProperty};
use city_model::{Entity, EntityId, Instance, Kind, Name, Scope, Time};

use crate::context::TermMap;
use crate::json::{self, ObjectWriter};
use crate::render::{AttributeStyle, Format, SCOPE, write_instance, write_simplified, write_types};

/// An entity with the instances of the past that were asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct TemporalEntity {
    pub id: EntityId,
    pub types: Vec<Name>,
    pub scopes: Vec<Scope>,
    /// Instances grouped by attribute, in the order in which they shall show.
    pub attributes: Vec<(Name, Vec<TemporalInstance>)>,
    /// In their place, what came of them period by period.
    pub aggregated: Vec<(Name, Vec<AggregatedSeries>)>,
    pub created_at: Option<Time>,
    pub modified_at: Option<Time>,
    pub deleted_at: Option<Time>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct TemporalInstance {
    /// The URI of the instance (`instanceId`).
    pub id: Box<str>,
    pub instance: Instance,
}

#[derive(Debug, Clone)]
pub struct TemporalOptions {
    /// `options=temporalValues`: value and time alone.
    pub simplified: bool,
    pub concise: bool,
    pub sys_attrs: bool,
    /// Which time stands beside each value in the simplified form.
    pub time_property: TimeProperty,
    /// The methods of an aggregation, in the order of its values.
    pub methods: Vec<AggregationMethod>,
    pub lang: Option<String>,
    pub embed_context: bool,
    /// Members that do not show: `@id`, `@type`, the scope (clause 4.21).
    pub hidden: Vec<&'static str>,
}

impl Default for TemporalOptions {
    fn default() -> Self {
        Self {
            simplified: false,
            concise: false,
            sys_attrs: false,
            time_property: TimeProperty::ObservedAt,
            methods: Vec::new(),
            lang: None,
            embed_context: false,
            hidden: Vec::new(),
        }
    }
}

impl TemporalEntity {
    /// For an entity of which no more than its present state is known.
    #[must_use]
    pub fn of(entity: &Entity) -> Self {
        Self {
            id: entity.id.clone(),
            types: entity.types.clone(),
            scopes: entity.scopes.clone(),
            attributes: Vec::new(),
            aggregated: Vec::new(),
            created_at: Some(entity.created_at),
            modified_at: Some(entity.modified_at),
            deleted_at: None,
        }
    }
}

pub fn render_temporal(entity: &TemporalEntity, terms: &TermMap, options: &TemporalOptions, out: &mut Vec<u8>) {
    let mut object = ObjectWriter::open(out);
    if !options.hidden.contains(&"@id") {
        object.text("id", entity.id.as_str());
    }
    if !options.hidden.contains(&"@type") {
        write_types(object.key("type"), &entity.types, terms);
    }
    match entity.scopes.as_slice() {
        [] => {}
        _ if options.hidden.contains(&SCOPE) => {}
        [only] => object.text("scope", only.as_str()),
        many => json::write_list(object.key("scope"), many, |out, scope| json::write_text(out, scope.as_str())),
    }
    let times =
        [("createdAt", entity.created_at), ("modifiedAt", entity.modified_at), ("deletedAt", entity.deleted_at)];
    for (name, time) in times {
        if let Some(time) = time.filter(|time| options.sys_attrs && *time != Time::UNSET) {
            object.time(name, time);
        }
    }
    for (name, instances) in &entity.attributes {
        if instances.is_empty() {
            continue;
        }
        let out = object.text_key(&terms.compact(name));
        if options.simplified {
            write_series(out, instances, terms, options);
        } else {
            let format = if options.concise { Format::Concise } else { Format::Normalized };
            let style = AttributeStyle {
                format,
                sys_attrs: options.sys_attrs,
                lang: options.lang.as_deref(),
                previous: None,
                bare: false,
            };
            json::write_list(out, instances, |out, one| {
                write_instance(out, &one.instance, terms, &style, Some(&one.id))
            });
        }
    }
    for (name, series) in &entity.aggregated {
        let out = object.text_key(&terms.compact(name));
        match series.as_slice() {
            [only] => write_aggregated(out, only, &options.methods),
            many => json::write_list(out, many, |out, one| write_aggregated(out, one, &options.methods)),
        }
    }
    if options.embed_context {
        object.raw("@context", terms.rendered());
    }
    object.close();
}

/// Clause 4.5.19: each method with its value, start and end of each period; periods without a value do not show.
fn write_aggregated(out: &mut Vec<u8>, series: &AggregatedSeries, methods: &[AggregationMethod]) {
    let mut object = ObjectWriter::open(out);
    object.text("type", series.kind);
    if let Some(dataset) = &series.dataset {
        object.text("datasetId", dataset.as_str());
    }
    for (at, method) in methods.iter().enumerate() {
        let values = series.periods.iter().filter_map(|period| Some((period, period.values.get(at)?.as_ref()?)));
        if values.clone().next().is_none() {
            continue;
        }
        json::write_list(object.key(method.name()), values, |out, (period, value)| {
            out.push(b'[');
            json::write_value(out, value);
            for time in [period.start, period.end] {
                out.extend_from_slice(b",\"");
                json::write_display(out, time);
                out.push(b'"');
            }
            out.push(b']');
        });
    }
    object.close();
}

/// An array, also for one entity; what is embedded is embedded in each.
pub fn render_temporal_list<'e>(
    entities: impl IntoIterator<Item = &'e TemporalEntity>,
    terms: &TermMap,
    options: &TemporalOptions,
    out: &mut Vec<u8>,
) {
    json::write_list(out, entities, |out, entity| render_temporal(entity, terms, options, out));
}

/// Clause 4.5.9. Each datasetId has a series of its own, and so has each type of attribute.
fn write_series(out: &mut Vec<u8>, instances: &[TemporalInstance], terms: &TermMap, options: &TemporalOptions) {
    let mut series: Vec<(Option<&str>, &'static str, Vec<&Instance>)> = Vec::new();
    for TemporalInstance { instance, .. } in instances {
        let dataset = instance.dataset.as_ref().map(|dataset| dataset.as_str());
        // A deletion belongs to the series that it ends.
        let kind = match &instance.kind {
            Kind::Null | Kind::Unchanged => {
                series.iter().rev().find(|(own, ..)| *own == dataset).map_or("Property", |(_, kind, _)| *kind)
            }
            kind => kind.type_name(),
        };
        match series.iter_mut().find(|(own, own_kind, _)| *own == dataset && *own_kind == kind) {
            Some((.., list)) => list.push(instance),
            None => series.push((dataset, kind, vec![instance])),
        }
    }
    match series.as_slice() {
        [only] => write_one_series(out, only, terms, options),
        many => json::write_list(out, many, |out, one| write_one_series(out, one, terms, options)),
    }
}

fn write_one_series(
    out: &mut Vec<u8>,
    (dataset, kind, instances): &(Option<&str>, &'static str, Vec<&Instance>),
    terms: &TermMap,
    options: &TemporalOptions,
) {
    let mut object = ObjectWriter::open(out);
    object.text("type", kind);
    if let Some(dataset) = dataset {
        object.text("datasetId", dataset);
    }
    let member = match *kind {
        "Relationship" => "objects",
        "LanguageProperty" if options.lang.is_none() => "languageMaps",
        "VocabProperty" => "vocabs",
        "JsonProperty" => "jsons",
        "ListProperty" => "valueLists",
        "ListRelationship" => "objectLists",
        _ => "values",
    };
    json::write_list(object.key(member), instances, |out, instance| {
        out.push(b'[');
        write_simplified(out, instance, terms, options.lang.as_deref());
        out.push(b',');
        match time_of(instance, options.time_property) {
            Some(time) => {
                out.push(b'"');
                json::write_display(out, time);
                out.push(b'"');
            }
            None => out.extend_from_slice(b"\"\""),
        }
        out.push(b']');
    });
    object.close();
}

/// The time that was asked for; an instance without it shows when it became known.
fn time_of(instance: &Instance, property: TimeProperty) -> Option<Time> {
    let own = match property {
        TimeProperty::ObservedAt => instance.observed_at,
        TimeProperty::CreatedAt => Some(instance.created_at),
        TimeProperty::ModifiedAt => Some(instance.modified_at),
        TimeProperty::DeletedAt => instance.deleted_at,
    };
    own.or(instance.deleted_at).or(Some(instance.modified_at)).filter(|time| *time != Time::UNSET)
}
