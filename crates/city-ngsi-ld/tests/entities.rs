//! Entities in and out: tables of documents and answers.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use city_model::{Entity, EntityId, Kind, Name, Time};
use city_ngsi_ld::context::TermMap;
use city_ngsi_ld::{
    Error, ErrorKind, Format, Mode, RenderOptions, parse_attribute_instances, parse_batch, parse_entity,
    parse_fragment, peek_id, render_entities, render_entity, split_context,
};
use serde_json::{Value, json};

fn create(attributes: &str) -> Result<Entity, Error> {
    let body =
        format!(r#"{{"id":"urn:ngsi-ld:T:1","type":"T"{}{attributes}}}"#, if attributes.is_empty() { "" } else { "," });
    parse_entity(body.as_bytes(), &TermMap::core(), Mode::Create)
}

fn bytes(entity: &Entity, options: &RenderOptions) -> Vec<u8> {
    let mut out = Vec::new();
    render_entity(entity, &TermMap::core(), options, &mut out);
    out
}

fn rendered(entity: &Entity, options: &RenderOptions) -> Value {
    let out = bytes(entity, options);
    serde_json::from_slice(&out).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&out)))
}

#[test]
fn each_attribute_reads_alike_in_every_form_and_shows_in_each() {
    // Input, normalised, concise, simplified.
    let table = [
        (r#"7"#, json!({"type":"Property","value":7}), json!(7), json!(7)),
        (r#"{"type":"Property","value":7.50}"#, json!({"type":"Property","value":7.5}), json!(7.5), json!(7.5)),
        (
            r#"{"value":7,"unitCode":"CEL","observedAt":"2025-01-31T09:00:00.5Z"}"#,
            json!({"type":"Property","value":7,"unitCode":"CEL","observedAt":"2025-01-31T09:00:00.500Z"}),
            json!({"value":7,"unitCode":"CEL","observedAt":"2025-01-31T09:00:00.500Z"}),
            json!(7),
        ),
        (
            r#"{"street":"Toyo"}"#,
            json!({"type":"Property","value":{"street":"Toyo"}}),
            json!({"value":{"street":"Toyo"}}),
            json!({"street":"Toyo"}),
        ),
        (r#"[1,2]"#, json!({"type":"Property","value":[1,2]}), json!([1, 2]), json!([1, 2])),
        (r#"[{"a":1}]"#, json!({"type":"Property","value":[{"a":1}]}), json!({"value":[{"a":1}]}), json!([{"a":1}])),
        (
            r#"{"object":"urn:x:1"}"#,
            json!({"type":"Relationship","object":"urn:x:1"}),
            json!({"object":"urn:x:1"}),
            json!("urn:x:1"),
        ),
        (
            r#"{"type":"Relationship","object":["urn:x:1","urn:x:2"],"objectType":"Device"}"#,
            json!({"type":"Relationship","object":["urn:x:1","urn:x:2"],"objectType":"Device"}),
            json!({"object":["urn:x:1","urn:x:2"],"objectType":"Device"}),
            json!(["urn:x:1", "urn:x:2"]),
        ),
        (
            r#"{"type":"Point","coordinates":[139.8,35]}"#,
            json!({"type":"GeoProperty","value":{"type":"Point","coordinates":[139.8,35]}}),
            json!({"type":"Point","coordinates":[139.8,35]}),
            json!({"type":"Point","coordinates":[139.8,35]}),
        ),
        (
            r#"{"value":{"type":"Point","coordinates":[139.8,35.6,3]}}"#,
            json!({"type":"GeoProperty","value":{"type":"Point","coordinates":[139.8,35.6,3]}}),
            json!({"type":"Point","coordinates":[139.8,35.6,3]}),
            json!({"type":"Point","coordinates":[139.8,35.6,3]}),
        ),
        (
            r#"{"type":"GeoProperty","value":"{\"type\":\"Point\",\"coordinates\":[1,2]}"}"#,
            json!({"type":"GeoProperty","value":{"type":"Point","coordinates":[1,2]}}),
            json!({"type":"Point","coordinates":[1,2]}),
            json!({"type":"Point","coordinates":[1,2]}),
        ),
        (
            r#"{"type":"Property","value":{"type":"Point","coordinates":[1,2]}}"#,
            json!({"type":"Property","value":{"type":"Point","coordinates":[1,2]}}),
            json!({"type":"Property","value":{"type":"Point","coordinates":[1,2]}}),
            json!({"type":"Point","coordinates":[1,2]}),
        ),
        (
            r#"{"languageMap":{"ja":"橋","en":["bridge","span"]}}"#,
            json!({"type":"LanguageProperty","languageMap":{"ja":"橋","en":["bridge","span"]}}),
            json!({"languageMap":{"ja":"橋","en":["bridge","span"]}}),
            json!({"languageMap":{"ja":"橋","en":["bridge","span"]}}),
        ),
        (
            r#"{"vocab":"Male"}"#,
            json!({"type":"VocabProperty","vocab":"Male"}),
            json!({"vocab":"Male"}),
            json!({"vocab":"Male"}),
        ),
        (
            r#"{"json":{"id":"no uri","value":null}}"#,
            json!({"type":"JsonProperty","json":{"id":"no uri","value":null}}),
            json!({"json":{"id":"no uri","value":null}}),
            json!({"json":{"id":"no uri","value":null}}),
        ),
        (
            r#"{"valueList":["a",1]}"#,
            json!({"type":"ListProperty","valueList":["a",1]}),
            json!({"valueList":["a",1]}),
            json!(["a", 1]),
        ),
        (
            r#"{"type":"ListRelationship","objectList":[{"object":"urn:x:1"},"urn:x:2"]}"#,
            json!({"type":"ListRelationship","objectList":[{"object":"urn:x:1"},{"object":"urn:x:2"}]}),
            json!({"objectList":["urn:x:1","urn:x:2"]}),
            json!(["urn:x:1", "urn:x:2"]),
        ),
        (
            r#"{"value":1,"by":{"object":"urn:x:9","since":{"value":3,"unitCode":"ANN"}}}"#,
            json!({"type":"Property","value":1,"by":{"type":"Relationship","object":"urn:x:9","since":{"type":"Property","value":3,"unitCode":"ANN"}}}),
            json!({"value":1,"by":{"object":"urn:x:9","since":{"value":3,"unitCode":"ANN"}}}),
            json!(1),
        ),
        (
            r#"{"value":"2020","valueType":"https://www.w3.org/2001/XMLSchema#gYear"}"#,
            json!({"type":"Property","value":"2020","valueType":"https://www.w3.org/2001/XMLSchema#gYear"}),
            json!({"value":"2020","valueType":"https://www.w3.org/2001/XMLSchema#gYear"}),
            json!("2020"),
        ),
        (
            r#"[{"value":1},{"value":2,"datasetId":"urn:d:2"}]"#,
            json!([{"type":"Property","value":1},{"type":"Property","value":2,"datasetId":"urn:d:2"}]),
            json!([{"value":1},{"value":2,"datasetId":"urn:d:2"}]),
            json!({"dataset":{"@none":1,"urn:d:2":2}}),
        ),
        (
            r#"9007199254740993"#,
            json!({"type":"Property","value":9_007_199_254_740_993_i64}),
            json!(9_007_199_254_740_993_i64),
            json!(9_007_199_254_740_993_i64),
        ),
    ];
    for (input, normalized, concise, simplified) in table {
        let entity = create(&format!("\"a\":{input}")).unwrap_or_else(|error| panic!("{input}: {error}"));
        for (format, expected) in
            [(Format::Normalized, normalized), (Format::Concise, concise), (Format::Simplified, simplified)]
        {
            let options = RenderOptions { format, ..RenderOptions::default() };
            let shown = rendered(&entity, &options);
            assert_eq!(shown["a"], expected, "{input} as {format:?}");
            if format != Format::Simplified {
                let again = parse_entity(&bytes(&entity, &options), &TermMap::core(), Mode::Create);
                assert_eq!(again.unwrap(), entity, "{input} as {format:?} reads back");
            }
        }
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (attributes, path, part) in [
        (r#""t":{"type":"Temperature","value":1}"#, "t.type", "not a type of attribute"),
        (r#""t":{"type":7,"value":1}"#, "t.type", "must be a string"),
        (r#""t":{"type":"Property"}"#, "t.value", "missing"),
        (r#""t":{"type":"Property","object":"urn:x:1"}"#, "t.object", "has value, not object"),
        (r#""t":{"value":1,"object":"urn:x:1"}"#, "t.object", "cannot stand beside value"),
        (r#""t":{"observedAt":"2025-01-01T00:00:00Z"}"#, "t.value", "missing"),
        (r#""t":{"value":1,"observedAt":"yesterday"}"#, "t.observedAt", "not a time"),
        (r#""t":{"value":1,"unitCode":7}"#, "t.unitCode", "must be a string"),
        (r#""t":{"object":"urn:x:1","unitCode":"CEL"}"#, "t.unitCode", "no unit"),
        (r#""t":{"value":1,"datasetId":"seven"}"#, "t.datasetId", "must be a URI"),
        (r#""t":{"value":1,"expiresAt":"2030-01-01T00:00:00Z"}"#, "t.expiresAt", "not supported"),
        (r#""t":{"value":1,"@context":{}}"#, "t.@context", "of its own"),
        (r#""t":{"object":"Device7"}"#, "t.object", "not a URI"),
        (r#""t":{"object":7}"#, "t.object", "must be a URI"),
        (r#""t":{"object":[]}"#, "t.object", "empty array"),
        (r#""t":null"#, "t", "null is not a value"),
        (r#""t":{"value":null}"#, "t.value", "null is not a value"),
        (r#""t":"urn:ngsi-ld:null""#, "t", "only allowed in updates"),
        (
            r#""t":{"type":"GeoProperty","value":{"type":"Point","coordinates":[181,0]}}"#,
            "t.value.coordinates",
            "longitude",
        ),
        (
            r#""t":{"type":"GeoProperty","value":{"type":"Circle","coordinates":[1,0]}}"#,
            "t.value.type",
            "not a geometry",
        ),
        (r#""t":{"type":"GeoProperty","value":"here"}"#, "t.value", "GeoJSON"),
        (r#""t":{"type":"LanguageProperty","languageMap":{"日本語":"x"}}"#, "t.languageMap", "language tag"),
        (r#""t":{"type":"LanguageProperty","languageMap":{"ja":1}}"#, "t.languageMap", "must be a string"),
        (r#""t":{"type":"VocabProperty","vocab":[1]}"#, "t.vocab", "strings only"),
        (r#""t":{"type":"ListProperty","valueList":1}"#, "t.valueList", "array"),
        (r#""t":[{"value":1},{"value":2}]"#, "t.datasetId", "more than one instance"),
        (r#""t":[{"value":1,"datasetId":"urn:d:1"},{"value":2,"datasetId":"urn:d:1"}]"#, "t.datasetId", "urn:d:1"),
        (r#""t":[{"value":1},{"value":2,"datasetId":"urn:d:1","unitCode":1}]"#, "t[1].unitCode", "must be a string"),
        (r#""t":{"value":1,"s":{"value":2,"unitCode":1}}"#, "t.s.unitCode", "must be a string"),
        (r#""t":{"value":1,"value":2}"#, "t", "duplicate"),
        (r#""t":{"value":{"a":1,"a":2}}"#, "t", "duplicate"),
        (r#""t":1,"t":2"#, "", "duplicate member \"t\""),
        (r#""t":1,"https://uri.etsi.org/ngsi-ld/default-context/t":2"#, "t", "twice"),
        (r#""a b":1"#, "a b", "4.6.2"),
        (r#""a(b":1"#, "a(b", "4.6.2"),
        (r#""":1"#, "", "empty"),
        (r#""value":{"type":"Property","value":1}"#, "value", "cannot name an attribute"),
        (r#""scope":"/a//b""#, "scope", "empty level"),
        (r#""scope":7"#, "scope", "must be a string"),
        (r#""t":{"type":"ListRelationship","objectList":["urn:x:1",2]}"#, "t.objectList", "URI"),
        (r#""t":1e999"#, "t", "out of range"),
    ] {
        let error = create(attributes).expect_err(attributes);
        assert_eq!(error.path, path, "{attributes}: {error}");
        assert!(error.message.contains(part), "{attributes}: {error}");
    }
}

#[test]
fn id_and_type_are_needed_to_create() {
    let terms = TermMap::core();
    for (body, path, kind) in [
        (r#"{"type":"T"}"#, "id", ErrorKind::BadRequestData),
        (r#"{"id":"seven","type":"T"}"#, "id", ErrorKind::BadRequestData),
        (r#"{"id":7,"type":"T"}"#, "id", ErrorKind::BadRequestData),
        (r#"{"id":"urn:x:1"}"#, "type", ErrorKind::BadRequestData),
        (r#"{"id":"urn:x:1","type":[]}"#, "type", ErrorKind::BadRequestData),
        (r#"{"id":"urn:x:1","type":"a b"}"#, "type", ErrorKind::BadRequestData),
        (r#"{"id":"urn:x:1","type":"T""#, "", ErrorKind::InvalidRequest),
        ("[]", "", ErrorKind::InvalidRequest),
        ("", "", ErrorKind::InvalidRequest),
        ("7", "", ErrorKind::InvalidRequest),
    ] {
        let error = parse_entity(body.as_bytes(), &terms, Mode::Create).unwrap_err();
        assert_eq!((error.path.as_str(), error.kind), (path, kind), "{body}: {error}");
    }
    let error = parse_entity(b"{\"id\":\"urn:x:\xff\"}", &terms, Mode::Create).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidRequest);
    assert!(error.message.contains("UTF-8"));
}

#[test]
fn hostile_documents_end_in_an_error() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for depth in [65, 100, 1_000, 200_000] {
            let deep = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            for attribute in
                [format!("\"t\":{deep}"), format!("\"t\":{{\"value\":{deep}}}"), format!("\"t\":{{\"json\":{deep}}}")]
            {
                assert!(create(&attribute).is_err(), "{depth} of {open}");
            }
        }
        let allowed = format!("{}1{}", open.repeat(60), close.repeat(60));
        assert!(create(&format!("\"t\":{{\"value\":{allowed}}}")).is_ok());
    }
    let deep = format!("{}{{\"value\":1}}{}", "{\"value\":1,\"s\":".repeat(50), "}".repeat(50));
    assert!(create(&format!("\"t\":{deep}")).unwrap_err().message.contains("nested"));
    let many: String = (0..5_000).map(|n| format!("\"a{n}\":1,")).collect();
    assert!(create(many.trim_end_matches(',')).unwrap_err().message.contains("at most"));
    let instances: String = (0..2_000).map(|n| format!("{{\"value\":1,\"datasetId\":\"urn:d:{n}\"}},")).collect();
    assert!(create(&format!("\"a\":[{}]", instances.trim_end_matches(','))).unwrap_err().message.contains("at most"));
}

#[test]
fn fragments_may_delete_and_may_leave_the_value_alone() {
    let terms = TermMap::core();
    let id = EntityId::parse("urn:x:1").unwrap();
    let parse = |body: &str| parse_fragment(body.as_bytes(), &id, &terms, Mode::Fragment);
    let kind = |body: &str| parse(body).unwrap().attributes[0].instances[0].kind.clone();
    for deletes in [
        r#"{"t":"urn:ngsi-ld:null"}"#,
        r#"{"t":{"value":"urn:ngsi-ld:null"}}"#,
        r#"{"t":{"type":"Relationship","object":"urn:ngsi-ld:null"}}"#,
        r#"{"t":{"type":"LanguageProperty","languageMap":{"@none":"urn:ngsi-ld:null"}}}"#,
        r#"{"t":{"type":"ListProperty","valueList":["urn:ngsi-ld:null"]}}"#,
    ] {
        assert_eq!(kind(deletes), Kind::Null, "{deletes}");
    }
    assert_eq!(kind(r#"{"t":{"observedAt":"2025-01-01T00:00:00Z"}}"#), Kind::Unchanged);
    assert_eq!(kind(r#"{"t":{"type":"Property","unitCode":"CEL"}}"#), Kind::Unchanged);
    assert!(parse(r#"{"id":"urn:x:2"}"#).unwrap_err().message.contains("urn:x:1"));
    assert!(parse(r#"{"id":"urn:x:1","type":"T"}"#).is_ok());

    let name = terms.expand("t");
    let one = |body: &str| parse_attribute_instances(body.as_bytes(), &name, &terms, Mode::Fragment);
    assert_eq!(one(r#"{"by":{"value":1}}"#).unwrap()[0].kind, Kind::Unchanged);
    assert_eq!(one(r#"{"by":{"value":1}}"#).unwrap()[0].sub_attributes.len(), 1);
    assert_eq!(one(r#"{"type":"Property","value":5}"#).unwrap()[0].kind, Kind::Property(city_model::Value::Int(5)));
    assert_eq!(one(r#"[{"value":5},{"value":6,"datasetId":"urn:d:1"}]"#).unwrap().len(), 2);
    assert_eq!(one(r#"{"value":5,"unitCode":1}"#).unwrap_err().path, "t.unitCode");
}

#[test]
fn temporal_documents_hold_many_instances() {
    let body = br#"{"id":"urn:x:1","type":"T","t":[
        {"type":"Property","value":1,"observedAt":"2025-01-01T00:00:00Z","instanceId":"urn:i:1"},
        {"type":"Property","value":2,"observedAt":"2025-01-01T01:00:00Z"}]}"#;
    let entity = parse_entity(body, &TermMap::core(), Mode::Temporal).unwrap();
    assert_eq!(entity.attributes[0].instances.len(), 2);
    assert_eq!(entity.attributes[0].instances[1].observed_at, Time::parse("2025-01-01T01:00:00Z"));
}

#[test]
fn batches_keep_their_elements_apart() {
    let batch = parse_batch(br#"[{"id":"urn:x:1","type":"T"},{"id":"urn:x:2"},7]"#).unwrap();
    let ids: Vec<Option<String>> = batch.iter().map(|raw| peek_id(raw)).collect();
    assert_eq!(ids, [Some("urn:x:1".into()), Some("urn:x:2".into()), None]);
    assert_eq!(parse_batch(b"{}").unwrap_err().kind, ErrorKind::InvalidRequest);
    assert_eq!(parse_batch(b"[").unwrap_err().kind, ErrorKind::InvalidRequest);
    assert_eq!(parse_batch(b"[]").unwrap_err().kind, ErrorKind::BadRequestData);
}

#[test]
fn the_context_of_a_body_is_split_off() {
    assert!(split_context(br#"{"id":"urn:x:1"}"#).unwrap().is_none());
    let spec = split_context(br#"{"@context":["https://a.org/c"],"id":"urn:x:1"}"#).unwrap().unwrap();
    assert_eq!(spec.single_url().unwrap(), "https://a.org/c");
    assert_eq!(split_context(b"[1]").unwrap_err().kind, ErrorKind::InvalidRequest);
}

fn bridge() -> Entity {
    let mut entity = create(
        r#""name":{"languageMap":{"ja":"橋","en-GB":"bridge"}},"location":{"type":"Point","coordinates":[139,35]},
           "speed":[{"value":50,"unitCode":"KMH"},{"value":51,"datasetId":"urn:d:gps"}],
           "owner":{"object":"urn:ngsi-ld:Person:1"},"scope":["/Koto","/Bridges"]"#,
    )
    .unwrap();
    entity.created_at = Time::parse("2025-01-01T00:00:00Z").unwrap();
    entity.modified_at = Time::parse("2025-01-02T00:00:00Z").unwrap();
    entity
}

#[test]
fn options_choose_what_shows() {
    let terms = TermMap::core();
    let simplified = || RenderOptions { format: Format::Simplified, ..RenderOptions::default() };
    let names = |texts: &str| city_ngsi_ld::query::parse_names("pick", texts, &terms).unwrap();
    let entity = bridge();
    assert_eq!(
        rendered(&entity, &RenderOptions { pick: Some(names("id,speed")), ..simplified() }),
        json!({"id":"urn:ngsi-ld:T:1","speed":{"dataset":{"@none":50,"urn:d:gps":51}}})
    );
    assert_eq!(
        rendered(&entity, &RenderOptions { omit: names("id,type,scope,name,location,owner"), ..simplified() }),
        json!({"speed":{"dataset":{"@none":50,"urn:d:gps":51}}})
    );
    let shown = rendered(&entity, &RenderOptions { attrs: names("owner"), ..simplified() });
    assert_eq!(
        shown,
        json!({"id":"urn:ngsi-ld:T:1","type":"T","scope":["/Koto","/Bridges"],"owner":"urn:ngsi-ld:Person:1"})
    );
    let shown = rendered(&entity, &RenderOptions { dataset_ids: vec![None], attrs: names("speed"), ..simplified() });
    assert_eq!(shown["speed"], 50);
    let shown = rendered(&entity, &RenderOptions { sys_attrs: true, ..simplified() });
    assert_eq!(shown["createdAt"], "2025-01-01T00:00:00Z");
}

#[test]
fn a_language_is_chosen_by_preference() {
    for (lang, tag, text) in [
        ("ja", "ja", "橋"),
        ("en", "en-GB", "bridge"),
        ("fr,ja;q=0.5", "ja", "橋"),
        ("fr", "ja", "橋"),
        ("*", "ja", "橋"),
    ] {
        let options = RenderOptions { lang: Some(lang.into()), ..RenderOptions::default() };
        assert_eq!(rendered(&bridge(), &options)["name"], json!({"type":"Property","value":text,"lang":tag}), "{lang}");
    }
}

#[test]
fn geojson_has_the_geometry_above_and_the_rest_below() {
    let options =
        RenderOptions { geojson: true, format: Format::Simplified, embed_context: true, ..RenderOptions::default() };
    let feature = rendered(&bridge(), &options);
    assert_eq!(feature["type"], "Feature");
    assert_eq!(feature["geometry"], json!({"type":"Point","coordinates":[139,35]}));
    assert_eq!(feature["properties"]["type"], "T");
    assert_eq!(feature["properties"]["location"], json!({"type":"Point","coordinates":[139,35]}));
    assert!(feature["@context"].is_string());
    let mut out = Vec::new();
    render_entities([&bridge(), &bridge()], &TermMap::core(), &options, &mut out);
    let collection: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(collection["type"], "FeatureCollection");
    assert_eq!(collection["features"].as_array().unwrap().len(), 2);
    assert!(collection["features"][0].get("@context").is_none());
    let elsewhere = RenderOptions { geometry_property: Some(Name::parse("urn:x:y").unwrap()), ..options };
    assert_eq!(rendered(&bridge(), &elsewhere)["geometry"], Value::Null);
}

#[test]
fn an_attribute_endpoint_reads_the_context_of_the_request_in_its_body() {
    let terms = TermMap::core();
    let name = terms.expand("speed");
    let read = |body: &str| parse_attribute_instances(body.as_bytes(), &name, &terms, Mode::Fragment);
    let instances = read(r#"{"value":7,"@context":"https://a.org/c.jsonld"}"#).unwrap();
    assert!(instances[0].sub_attributes.is_empty());
    for refused in [
        r#"{"value":{"a":"urn:ngsi-ld:null"}}"#,
        r#"{"datasetId":"urn:ngsi-ld:null"}"#,
        r#"{"value":7,"unit":{"value":1,"@context":"https://a.org/c.jsonld"}}"#,
    ] {
        assert_eq!(read(refused).unwrap_err().kind, ErrorKind::BadRequestData, "{refused}");
    }
    assert!(read(r#"{"languageMap":{"@none":"urn:ngsi-ld:null"}}"#).unwrap()[0].is_null());
}

#[test]
fn what_the_standard_rules_out_is_refused_when_an_entity_is_made() {
    for refused in [
        r#""a":{"value":{"b":[{"c":"urn:ngsi-ld:null"}]}}"#,
        r#""scope":"urn:ngsi-ld:null""#,
        r#""location":{"type":"Property","value":"here"}"#,
        r#""a":{"type":"JsonProperty","json":5}"#,
        r#""a":{"type":"JsonProperty","json":{},"unitCode":"MTR"}"#,
        r#""..":1"#,
        r#""%2e%2e":1"#,
    ] {
        assert_eq!(create(refused).unwrap_err().kind, ErrorKind::BadRequestData, "{refused}");
    }
    for id in ["urn:ngsi-ld:null", "urn:a\u{200b}b"] {
        let body = format!(r#"{{"id":"{id}","type":"T"}}"#);
        assert!(parse_entity(body.as_bytes(), &TermMap::core(), Mode::Create).is_err(), "{id}");
    }
    let body = br#"{"id":"urn:a:1","type":"type"}"#;
    assert!(parse_entity(body, &TermMap::core(), Mode::Create).is_err(), "a keyword is no type");
    assert!(parse_batch(b"[{\"id\":\"urn:a:1\",\"type\":\"T\"},null]").is_err());
}

#[test]
fn a_language_that_is_more_special_than_what_there_is_falls_back_to_it() {
    let entity = create(r#""street":{"languageMap":{"fr":"Grand Place","nl":"Grote Markt"}}"#).unwrap();
    let options = |lang: &str| RenderOptions {
        format: Format::Simplified,
        lang: Some(lang.to_owned()),
        ..RenderOptions::default()
    };
    assert_eq!(rendered(&entity, &options("nl-BE"))["street"], "Grote Markt");
    assert_eq!(rendered(&entity, &options("de-AT,nl-BE;q=0.5"))["street"], "Grote Markt");
}
