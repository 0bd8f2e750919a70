//! Readers of NGSI-LD: documents, contexts, query texts.

use std::sync::{Arc, OnceLock};

use city_model::name::{DatasetId, EntityId, Name, Scope, TenantName};
use city_model::{Entity, Time};
use city_ngsi_ld::context::{ContextDocument, ContextSpec, ContextStore, TermMap};
use city_ngsi_ld::query::{
    parse_geo_query, parse_names, parse_q, parse_query_body, parse_scope_q, parse_temporal_query, parse_type_expr,
};
use city_ngsi_ld::subscription::{
    context_of, from_stored, parse_subscription, render_subscription, stored, terms_of, update_subscription,
};
use city_ngsi_ld::{
    Format, Mode, RenderOptions, parse_attribute_instances, parse_batch, parse_entity, parse_fragment, parse_ids,
    parse_raw_entity, peek_id, render_entity, split_context,
};
use serde_json::Value as Json;

pub const ENTITY_WORDS: &[&str] = &[
    "null",
    "\"urn:ngsi-ld:null\"",
    "\"datasetId\":\"urn:d:1\",",
    "\"observedAt\":\"2025-01-31T09:00:00Z\",",
    "\"unitCode\":\"CEL\",",
    "\"type\":\"Relationship\",",
    "\"object\":",
    "\"languageMap\":{",
    "\"vocab\":",
    "\"json\":",
    "\"valueList\":[",
    "\"objectList\":[",
    "\"scope\":\"/a/b\",",
    "\"type\":\"Point\",\"coordinates\":[1,2]",
    "\"value\":",
    "\"@value\":",
    "\"a\":{\"value\":1},",
    "[",
    "]",
    "{",
    "}",
    "\\u0000",
    "\"objectType\":\"T\",",
    "\"valueType\":\"T\",",
    "\"previousValue\":1,",
    "\"entity\":{",
    "\"coordinates\":[[",
    "\"Polygon\"",
    "\"MultiPolygon\"",
    "\"LineString\"",
];
pub const CONTEXT_WORDS: &[&str] = &[
    "null",
    "\"@vocab\":\"https://x.org/\",",
    "\"@id\":",
    "\"@type\":\"@id\"",
    "\"@prefix\":true",
    "\"@base\":",
    "[",
    "]",
    "\"https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context.jsonld\"",
    "{",
    "}",
    "\"a\":\"b:c\",",
    "\"b\":\"https://b.org/\",",
    "\"@import\":\"https://i.org/\"",
    "\"\":\"\",",
    ":",
    "//",
    "\"ngsi-ld\":",
    "\"https\":\"https://x.org/\",",
];
pub const Q_WORDS: &[&str] = &[
    "==",
    "!=",
    ">=",
    "<=",
    ">",
    "<",
    "~=",
    "!~=",
    ";",
    "|",
    "(",
    ")",
    "..",
    ",",
    "\"",
    "[",
    "]",
    ".",
    "!",
    "true",
    "null",
    "a",
    "level",
    "observedAt",
    "2025-01-31T09:00:00Z",
    "urn:a:1",
    "\"\\u",
    "{",
    "}",
    ".*",
    "[^a]",
    "(?i)",
];
pub const GEO_WORDS: &[&str] = &[
    "near;maxDistance==",
    "near;minDistance==",
    "within",
    "intersects",
    "equals",
    "Point",
    "Polygon",
    "MultiPolygon",
    "LineString",
    "[",
    "]",
    ",",
    "\n",
    "[0,0]",
    "[180,90]",
    "[-180,-90]",
    "1e308",
    "location",
];
pub const SELECTION_WORDS: &[&str] = &["(", ")", ",", ";", "|", "/", "+", "#", "/a/b", "Thing", "*", "https://x.org/T"];
pub const TIME_WORDS: &[&str] = &[
    "\n",
    "before",
    "after",
    "between",
    "observedAt",
    "modifiedAt",
    "Z",
    "+09:00",
    "-23:59",
    ".999999999",
    ",5",
    "T",
    "9999-12-31T23:59:59Z",
    "-009999",
    "0000",
    "24:00:00",
    ":60Z",
];
pub const QUERY_WORDS: &[&str] = &[
    "null",
    "\"q\":\"a>1\",",
    "\"geoQ\":{",
    "\"scopeQ\":\"/a/#\",",
    "\"entities\":[{",
    "\"type\":\"*\"",
    "\"idPattern\":\".*\",",
    "\"temporalQ\":{",
    "\"timerel\":\"after\",",
    "\"timeAt\":\"2025-01-31T09:00:00Z\",",
    "\"attrs\":[\"a\"],",
    "\"notification\":{",
    "\"endpoint\":{",
    "\"uri\":\"http://a.org/\"",
    "\"throttling\":1,",
    "\"expiresAt\":\"9999-01-01T00:00:00Z\",",
    "\"jsonldContext\":\"https://c.org/c\",",
    "\"watchedAttributes\":[",
    "[",
    "]",
    "{",
    "}",
    "\"lang\":\"ja\",",
    "\"pick\":[\"id\"],",
];

/// Short terms, a prefix, a term that hides a name of the default context.
fn terms() -> &'static Arc<TermMap> {
    static TERMS: OnceLock<Arc<TermMap>> = OnceLock::new();
    TERMS.get_or_init(|| {
        let spec =
            r#"{"ex":"https://example.org/","speed":"ex:velocity","Car":"ex:Car","velocity":"https://other.org/v"}"#;
        let spec = ContextSpec::parse(spec).unwrap_or_else(|error| panic!("{error}"));
        ContextStore::new().resolve(&spec).unwrap_or_else(|error| panic!("{error}"))
    })
}

/// One that answers every kind of question.
fn car() -> &'static Entity {
    static CAR: OnceLock<Entity> = OnceLock::new();
    CAR.get_or_init(|| {
        let body = include_bytes!("../../corpus/car.json");
        parse_entity(body, &TermMap::core(), Mode::Create).unwrap_or_else(|error| panic!("{error}"))
    })
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// What is shown is of the size of what came in: names grow at most by what their @context adds.
fn assert_bounded(shown: &[u8], bytes: &[u8]) {
    assert!(shown.len() <= 64 * bytes.len() + 4_096, "{} bytes became {}", bytes.len(), shown.len());
}

fn shown(entity: &Entity, format: Format) -> Vec<u8> {
    let mut out = Vec::new();
    render_entity(entity, terms(), &RenderOptions { format, ..RenderOptions::default() }, &mut out);
    out
}

pub fn entity(bytes: &[u8]) {
    drop(split_context(bytes));
    for mode in [Mode::Fragment, Mode::Temporal] {
        if let Ok(entity) = parse_entity(bytes, terms(), mode) {
            assert_bounded(&shown(&entity, Format::Normalized), bytes);
        }
    }
    let Ok(entity) = parse_entity(bytes, terms(), Mode::Create) else { return };
    for format in [Format::Normalized, Format::Concise] {
        let document = shown(&entity, format);
        assert_bounded(&document, bytes);
        let again = parse_entity(&document, terms(), Mode::Create).unwrap_or_else(|error| {
            panic!("{format:?}: {error}, in {}", String::from_utf8_lossy(&document));
        });
        assert_eq!(again, entity, "{format:?}: {}", String::from_utf8_lossy(&document));
    }
    let simple = shown(&entity, Format::Simplified);
    assert!(serde_json::from_slice::<Json>(&simple).is_ok(), "{}", String::from_utf8_lossy(&simple));
    let mut feature = Vec::new();
    render_entity(&entity, terms(), &RenderOptions { geojson: true, ..RenderOptions::default() }, &mut feature);
    assert!(serde_json::from_slice::<Json>(&feature).is_ok(), "{}", String::from_utf8_lossy(&feature));
}

pub fn attribute(bytes: &[u8]) {
    let name = terms().expand("speed");
    let id = EntityId::from_stored("urn:ngsi-ld:Car:1".into());
    for mode in [Mode::Create, Mode::Fragment, Mode::Temporal] {
        drop(parse_attribute_instances(bytes, &name, terms(), mode));
        drop(parse_fragment(bytes, &id, terms(), mode));
    }
}

pub fn batch(bytes: &[u8]) {
    if let Ok(elements) = parse_batch(bytes) {
        for element in elements {
            drop(peek_id(element));
            drop(parse_raw_entity(element, terms(), Mode::Create));
        }
    }
    if let Ok(ids) = parse_ids(bytes) {
        assert!(ids.len() <= bytes.len());
    }
}

pub fn context(bytes: &[u8]) {
    drop(ContextDocument::parse_remote(bytes));
    drop(ContextDocument::parse(bytes));
    let Some(text) = text(bytes) else { return };
    let Ok(spec) = ContextSpec::parse(text) else { return };
    let rendered = spec.rendered();
    assert!(serde_json::from_str::<Json>(&rendered).is_ok(), "{rendered}");
    let again = ContextSpec::parse(&rendered).unwrap_or_else(|error| panic!("{error}, in {rendered}"));
    let store = ContextStore::new();
    let Ok(map) = store.resolve(&spec) else { return };
    let same = store.resolve(&again).unwrap_or_else(|error| panic!("{error}, in {rendered}"));
    for term in ["a", "b", "speed", "ex:a", "a:b", "ngsi-ld:x", "urn:a:1", "https://example.org/x", "type", "value", ""]
    {
        let name = map.expand(term);
        // A term for a keyword of JSON-LD names nothing.
        if name.as_str().starts_with('@') {
            continue;
        }
        // Nor can a name be told whose scheme is a term, too (JSON-LD 1.1 API: "IRI confused with prefix").
        let scheme = name.as_str().split(':').next().unwrap_or_default();
        if !map.expand(scheme).as_str().ends_with(&format!("/default-context/{scheme}")) {
            continue;
        }
        let short = map.compact(&name);
        assert_eq!(map.expand(&short), name, "{term} is {name}, shown as {short}, in {text}");
        // What the answer carries as @context means the same to its reader.
        assert_eq!(same.expand(term), name, "{term} in {text} and in {rendered}");
    }
}

pub fn q(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Ok(filter) = parse_q(text, &TermMap::core()) {
        let _ = filter.matches(car());
        // What is written twice means the same twice.
        let both = format!("({text});({text})");
        if let Ok(both) = parse_q(&both, &TermMap::core()) {
            assert_eq!(both.matches(car()), filter.matches(car()), "{text}");
        }
    }
    drop(parse_names("attrs", text, terms()));
}

pub fn geo_q(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let mut lines = text.splitn(4, '\n');
    let (georel, geometry) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let (coordinates, property) = (lines.next().unwrap_or_default(), lines.next());
    if let Ok(query) = parse_geo_query(georel, geometry, coordinates, property, &TermMap::core()) {
        let _ = query.matches(car());
    }
}

pub fn scope_q(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Ok(scopes) = parse_scope_q(text) {
        let both = parse_scope_q(&format!("({text})")).map(|both| both.matches(&car().scopes));
        assert!(both.is_err() || both == Ok(scopes.matches(&car().scopes)), "{text}");
    }
}

pub fn types(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Ok(types) = parse_type_expr(text, terms()) {
        let both = parse_type_expr(&format!("({text})"), terms()).map(|both| both.matches(&car().types));
        assert!(both.is_err() || both == Ok(types.matches(&car().types)), "{text}");
    }
}

pub fn temporal_q(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let mut lines = text.split('\n').map(|line| (!line.is_empty()).then_some(line));
    let mut next = || lines.next().flatten();
    let (timerel, time_at, end_time_at, property, last_n) = (next(), next(), next(), next(), next());
    if let Ok(query) = parse_temporal_query(timerel, time_at, end_time_at, property, last_n)
        && let Some(relation) = query.relation
    {
        let span = relation.micros();
        assert!(span.start <= span.end, "{text}");
        let _ = relation.holds(Time::UNSET);
    }
}

pub fn query_body(bytes: &[u8]) {
    if let Ok(body) = parse_query_body(bytes, terms()) {
        let _ = body.query.matches(car());
    }
}

pub fn subscription(bytes: &[u8]) {
    let now = Time::from_micros(1_750_000_000_000_000);
    let Ok(subscription) = parse_subscription(bytes, terms(), "urn:ngsi-ld:Subscription:new", now, None) else {
        return;
    };
    let kept = stored(&subscription);
    assert_bounded(kept.as_bytes(), bytes);
    let again = from_stored(kept).unwrap_or_else(|error| panic!("{error}, in {kept}"));
    assert_eq!(format!("{again:?}"), format!("{subscription:?}"));
    let _ = subscription.query.matches(car());
    context_of(&again).unwrap_or_else(|error| panic!("{error}, in {kept}"));
    terms_of(&again).unwrap_or_else(|error| panic!("{error}, in {kept}"));
    let mut out = Vec::new();
    render_subscription(&subscription, None, now, true, false, terms(), &mut out)
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(serde_json::from_slice::<Json>(&out).is_ok(), "{}", String::from_utf8_lossy(&out));
    drop(update_subscription(&subscription, bytes, terms(), now));
}

pub fn names(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Ok(id) = EntityId::parse(text) {
        assert_eq!(EntityId::parse(id.as_str()), Ok(id));
    }
    if let Ok(name) = Name::parse(text) {
        assert_eq!(Name::parse(name.as_str()), Ok(name));
    }
    if let Ok(id) = DatasetId::parse(text) {
        assert_eq!(DatasetId::parse(id.as_str()), Ok(id));
    }
    if let Ok(scope) = Scope::parse(text) {
        assert_eq!(Scope::parse(scope.as_str()), Ok(scope));
    }
    if let Ok(tenant) = TenantName::parse(text) {
        assert_eq!(TenantName::parse(tenant.as_str()), Ok(tenant));
    }
}

pub fn time(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Some(time) = Time::parse(text) {
        assert_eq!(Time::parse(&time.to_string()), Some(time), "{text}");
    }
}
