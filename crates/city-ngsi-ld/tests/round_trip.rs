//! Whatever the model can say survives being written and read, in both lossless forms.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use city_model::value::{NGSI_LD_NULL, Value};
use city_model::{Attribute, DatasetId, Entity, EntityId, Geometry, Instance, Kind, Name, Position, Scope, Time};
use city_ngsi_ld::context::{ContextSpec, ContextStore, TermMap};
use city_ngsi_ld::{Format, Mode, RenderOptions, parse_entity, render_entity};
use proptest::prelude::*;

fn terms() -> std::sync::Arc<TermMap> {
    let spec = r#"{"ex":"https://example.org/","speed":"ex:velocity","Car":"ex:Car","velocity":"https://other.org/v"}"#;
    ContextStore::new().resolve(&ContextSpec::parse(spec).unwrap()).unwrap()
}

/// Short in the context, prefixed, of the default context, hidden behind a user's term, and plain IRIs.
fn name() -> impl Strategy<Value = Name> {
    prop_oneof![
        Just("https://example.org/velocity".to_owned()),
        "https://example\\.org/[a-z]{1,6}",
        "https://uri\\.etsi\\.org/ngsi-ld/default-context/[a-z]{1,6}",
        Just("https://uri.etsi.org/ngsi-ld/default-context/speed".to_owned()),
        "https://elsewhere\\.org/[a-z]{1,3}#[a-z]{1,6}",
        "urn:[a-z]{2,5}:[a-z]{1,6}",
    ]
    .prop_map(|text| Name::parse(&text).unwrap())
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        prop::num::f64::NORMAL.prop_map(Value::Float),
        any::<String>().prop_map(|text| Value::text(&text)),
        Just(Value::Map(vec![
            ("type".into(), Value::text("Point")),
            ("coordinates".into(), Value::List(vec![Value::Int(1), Value::Int(2)])),
        ])),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let inner = prop_oneof![4 => inner, 1 => Just(Value::Null)];
        let key = prop_oneof!["[a-z]{1,4}", Just("type".to_owned()), Just("value".to_owned()), any::<String>()];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            prop::collection::btree_map(key, inner, 0..4)
                .prop_map(|map| Value::Map(map.into_iter().map(|(key, value)| (key.into(), value)).collect())),
        ]
    })
    .prop_filter("a deletion is no value", |value| !is_null(value))
}

fn is_null(value: &Value) -> bool {
    value.as_text() == Some(NGSI_LD_NULL) || matches!(value, Value::List(list) if list.iter().any(is_null))
}

fn uri() -> impl Strategy<Value = Value> {
    "urn:ngsi-ld:[A-Z][a-z]{1,5}:[0-9]{1,4}".prop_map(|text| Value::text(&text))
}

fn position() -> impl Strategy<Value = Position> {
    (-180.0..180.0, -90.0..90.0, prop::option::of(-100.0..4000.0)).prop_map(|(lon, lat, height)| Position {
        lon,
        lat,
        height,
    })
}

fn geometry() -> impl Strategy<Value = Geometry> {
    prop_oneof![
        position().prop_map(Geometry::Point),
        prop::collection::vec(position(), 1..4).prop_map(Geometry::MultiPoint),
        prop::collection::vec(position(), 2..4).prop_map(Geometry::LineString),
        prop::collection::vec(prop::collection::vec(position(), 2..4), 1..3).prop_map(Geometry::MultiLineString),
        prop::collection::vec(position(), 3..5).prop_map(|mut ring| {
            ring.push(ring[0]);
            Geometry::MultiPolygon(vec![vec![ring.clone()], vec![ring]])
        }),
    ]
}

fn kind() -> impl Strategy<Value = Kind> {
    let texts = || {
        prop_oneof![
            any::<String>().prop_map(|t| Value::text(&t)),
            prop::collection::vec(any::<String>().prop_map(|t| Value::text(&t)), 1..3).prop_map(Value::List)
        ]
    };
    prop_oneof![
        value().prop_map(Kind::Property),
        (
            prop_oneof![uri(), prop::collection::vec(uri(), 1..3).prop_map(Value::List)],
            prop::collection::vec(name(), 0..3)
        )
            .prop_map(|(object, object_types)| Kind::Relationship { object, object_types }),
        geometry().prop_map(Kind::GeoProperty),
        prop::collection::btree_map("[a-z]{2}(-[A-Z]{2})?", texts(), 1..3)
            .prop_map(|map| Kind::LanguageProperty(map.into_iter().map(|(tag, text)| (tag.into(), text)).collect())),
        name().prop_map(|name| Kind::VocabProperty(Value::text(name.as_str()))),
        // Clause 4.5.24: an object, or an array of them.
        prop::collection::btree_map("[a-z]{1,4}", value(), 0..3).prop_map(|members| {
            let members = members.into_iter().map(|(key, value)| (key.into(), value));
            Kind::JsonProperty(Value::Map(members.collect()))
        }),
        prop::collection::vec(value(), 0..3).prop_map(Kind::ListProperty),
        (prop::collection::vec(uri(), 0..3), prop::collection::vec(name(), 0..2))
            .prop_map(|(objects, object_types)| Kind::ListRelationship { objects, object_types }),
    ]
}

fn instance(depth: u32) -> BoxedStrategy<Instance> {
    let subs = if depth == 0 { Just(Vec::new()).boxed() } else { attributes(depth - 1, 2) };
    (kind(), prop::option::of(1i64..4_000_000_000_000_000), prop::option::of("[A-Z0-9]{2,3}"), subs)
        .prop_map(|(kind, observed, unit, sub_attributes)| {
            let has_unit = matches!(kind, Kind::Property(_) | Kind::GeoProperty(_) | Kind::ListProperty(_));
            Instance {
                observed_at: observed.map(Time::from_micros),
                unit_code: unit.filter(|_| has_unit).map(Into::into),
                sub_attributes,
                ..Instance::new(kind)
            }
        })
        .boxed()
}

fn attributes(depth: u32, most: usize) -> BoxedStrategy<Vec<Attribute>> {
    let attribute = (name(), prop::collection::vec(instance(depth), 1..3)).prop_map(|(name, mut instances)| {
        for (at, instance) in instances.iter_mut().enumerate().skip(1) {
            instance.dataset = Some(DatasetId::parse(&format!("urn:d:{at}")).unwrap());
        }
        Attribute { name, instances }
    });
    prop::collection::vec(attribute, 0..=most)
        .prop_map(|mut list| {
            let mut seen = std::collections::HashSet::new();
            list.retain(|attribute| seen.insert(attribute.name.clone()));
            list
        })
        .boxed()
}

fn entity() -> impl Strategy<Value = Entity> {
    (
        prop::collection::btree_set(name(), 1..3),
        prop::collection::btree_set("/[a-z]{1,4}(/[a-z]{1,4})?", 0..3),
        attributes(2, 5),
    )
        .prop_map(|(types, scopes, attributes)| Entity {
            scopes: scopes.iter().map(|scope| Scope::parse(scope).unwrap()).collect(),
            attributes,
            ..Entity::new(EntityId::parse("urn:ngsi-ld:Car:1").unwrap(), types.into_iter().collect())
        })
}

proptest! {
    #[test]
    fn an_entity_reads_back_as_it_was(entity in entity()) {
        let terms = terms();
        for format in [Format::Normalized, Format::Concise] {
            let mut out = Vec::new();
            let options = RenderOptions { format, embed_context: true, ..RenderOptions::default() };
            render_entity(&entity, &terms, &options, &mut out);
            let again = parse_entity(&out, &terms, Mode::Create);
            prop_assert_eq!(again.as_ref(), Ok(&entity), "{}", String::from_utf8_lossy(&out));
        }
    }

    #[test]
    fn no_bytes_make_the_parser_fall_over(bytes in prop::collection::vec(any::<u8>(), 0..200), text in ".{0,200}") {
        let terms = TermMap::core();
        for body in [bytes.as_slice(), text.as_bytes()] {
            let _ = parse_entity(body, &terms, Mode::Create);
            let _ = parse_entity(body, &terms, Mode::Temporal);
            let _ = city_ngsi_ld::split_context(body);
            let _ = city_ngsi_ld::parse_batch(body);
            let _ = city_ngsi_ld::ContextDocument::parse(body);
            let _ = city_ngsi_ld::query::parse_query_body(body, &terms);
        }
        let _ = city_ngsi_ld::query::parse_q(&text, &terms);
        let _ = city_ngsi_ld::query::parse_type_expr(&text, &terms);
        let _ = city_ngsi_ld::query::parse_scope_q(&text);
        let _ = city_ngsi_ld::query::parse_geo_query(&text, "Point", &text, None, &terms);
    }

    /// Texts made of the words of q, which random texts hardly ever are.
    #[test]
    fn no_q_makes_the_parser_fall_over(words in prop::collection::vec(
        prop::sample::select(vec!["a", "b.c", "d[e]", "(", ")", ";", "|", "==", "!=", ">=", "~=", "!~=", "\"", "\\", "1", "..", ",", "2020-01-01", "true", "urn:x:1", "[", "赤", "!", "{"]), 0..20)) {
        let _ = city_ngsi_ld::query::parse_q(&words.concat(), &TermMap::core());
    }
}
