//! The past as bytes (clauses 4.5.6 to 4.5.9).

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use city_model::Time;
use city_model::temporal::TimeProperty;
use city_ngsi_ld::context::TermMap;
use city_ngsi_ld::temporal::render_temporal_list;
use city_ngsi_ld::{Mode, TemporalEntity, TemporalInstance, TemporalOptions, parse_entity, render_temporal};
use serde_json::{Value, json};

fn past() -> TemporalEntity {
    let body = r#"{"id":"urn:c:1","type":"Car",
        "speed":[{"value":50,"observedAt":"2025-01-01T00:00:00Z"},{"value":51.5,"observedAt":"2025-01-01T00:01:00Z"}],
        "level":[{"value":1,"observedAt":"2025-01-01T00:00:00Z"},{"value":2,"datasetId":"urn:d:1","observedAt":"2025-01-01T00:01:00Z"}],
        "at":[{"object":"urn:p:1","observedAt":"2025-01-01T00:00:00Z"}],
        "says":[{"languageMap":{"ja":"はい"},"observedAt":"2025-01-01T00:00:00Z"}],
        "route":[{"objectList":["urn:s:1"],"observedAt":"2025-01-01T00:00:00Z"}],
        "gender":[{"vocab":"Male","observedAt":"2025-01-01T00:00:00Z"}],
        "raw":[{"json":{"id":1},"observedAt":"2025-01-01T00:00:00Z"}],
        "unseen":[{"value":1}]}"#;
    let entity = parse_entity(body.as_bytes(), &TermMap::core(), Mode::Temporal).unwrap();
    let mut number = 0;
    let mut past = TemporalEntity::of(&entity);
    past.attributes = entity
        .attributes
        .into_iter()
        .map(|attribute| {
            let instances = attribute.instances.into_iter().map(|mut instance| {
                number += 1;
                instance.modified_at = Time::parse("2025-02-01T00:00:00Z").unwrap();
                TemporalInstance { id: format!("urn:i:{number}").into(), instance }
            });
            (attribute.name, instances.collect())
        })
        .collect();
    past
}

fn rendered(options: &TemporalOptions) -> Value {
    let mut out = Vec::new();
    render_temporal(&past(), &TermMap::core(), options, &mut out);
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn each_instance_shows_with_its_id() {
    let shown = rendered(&TemporalOptions::default());
    assert_eq!(
        shown["speed"],
        json!([{"type":"Property","value":50,"observedAt":"2025-01-01T00:00:00Z","instanceId":"urn:i:1"},
               {"type":"Property","value":51.5,"observedAt":"2025-01-01T00:01:00Z","instanceId":"urn:i:2"}])
    );
    assert!(shown["at"].is_array(), "one instance is an array too");
    let again = parse_entity(shown.to_string().as_bytes(), &TermMap::core(), Mode::Temporal).unwrap();
    assert_eq!(again.attributes.len(), past().attributes.len());
    assert_eq!(
        rendered(&TemporalOptions { sys_attrs: true, ..TemporalOptions::default() })["speed"][0]["modifiedAt"],
        "2025-02-01T00:00:00Z"
    );
}

#[test]
fn the_simplified_form_is_value_and_time() {
    let shown = rendered(&TemporalOptions { simplified: true, ..TemporalOptions::default() });
    let (first, second) = ("2025-01-01T00:00:00Z", "2025-01-01T00:01:00Z");
    for (attribute, expected) in [
        ("speed", json!({"type":"Property","values":[[50,first],[51.5,second]]})),
        (
            "level",
            json!([{"type":"Property","values":[[1,first]]},{"type":"Property","datasetId":"urn:d:1","values":[[2,second]]}]),
        ),
        ("at", json!({"type":"Relationship","objects":[["urn:p:1",first]]})),
        ("says", json!({"type":"LanguageProperty","languageMaps":[[{"languageMap":{"ja":"はい"}},first]]})),
        ("route", json!({"type":"ListRelationship","objectLists":[[["urn:s:1"],first]]})),
        ("gender", json!({"type":"VocabProperty","vocabs":[[{"vocab":"Male"},first]]})),
        ("raw", json!({"type":"JsonProperty","jsons":[[{"json":{"id":1}},first]]})),
        ("unseen", json!({"type":"Property","values":[[1,"2025-02-01T00:00:00Z"]]})),
    ] {
        assert_eq!(shown[attribute], expected, "{attribute}");
    }
    let by_change =
        TemporalOptions { simplified: true, time_property: TimeProperty::ModifiedAt, ..TemporalOptions::default() };
    assert_eq!(rendered(&by_change)["speed"]["values"][0], json!([50, "2025-02-01T00:00:00Z"]));
}

#[test]
fn a_list_of_pasts_is_a_list() {
    let mut out = Vec::new();
    render_temporal_list([&past(), &past()], &TermMap::core(), &TemporalOptions::default(), &mut out);
    assert_eq!(serde_json::from_slice::<Value>(&out).unwrap().as_array().unwrap().len(), 2);
}
