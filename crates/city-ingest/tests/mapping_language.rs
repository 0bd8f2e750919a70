//! Golden answers of the mapping language: an expression, a row, the attribute that comes out.
#![allow(clippy::unwrap_used, reason = "a failed test may say so by a panic")]

mod support;

use serde_json::{Value, json};
use support::run;

const ROW: &str = r#"{"t":" a b ","n":7,"f":1.5,"b":true,"e":"","s":"　","z":"１２．５","l":["x","y"],"m":{"k":"v"},
    "c":"01","d":"2023-07-13T13:00","ms":1546453680000,"big":"10,5","nil":null,"w":"一時　停止"}"#;

/// The value of an attribute with this expression; null where there is no attribute.
fn value(expression: &str) -> Value {
    let outcome = run(&mapping(expression), &ROW.replace('\n', ""));
    assert_eq!(outcome.rejected, [], "{expression}");
    outcome.entities[0].get("a").map_or(Value::Null, |attribute| attribute["value"].clone())
}

fn reason(expression: &str) -> String {
    let outcome = run(&mapping(expression), &ROW.replace('\n', ""));
    assert_eq!(outcome.entities, Vec::<Value>::new(), "{expression}");
    outcome.rejected[0].reason.clone()
}

fn mapping(expression: &str) -> String {
    let expression = serde_json::to_string(expression).unwrap();
    format!(
        "format: ndjson\nid: '\"urn:x:1\"'\ntype: T\ntime: {{zone: Asia/Tokyo}}\n\
         codes: {{surface: {{'01': dry, '02': wet, 7: seven}}}}\nattributes: {{a: {expression}}}\n"
    )
}

fn refusal(mapping: &str) -> String {
    city_ingest::Mapping::parse(mapping).unwrap_err().to_string()
}

#[test]
fn expressions_give_these_values() {
    let date = |text: &str| json!({"@type": "DateTime", "@value": text});
    for (expression, expected) in [
        ("row.n", json!(7)),
        ("row.f", json!(1.5)),
        ("row[\"b\"]", json!(true)),
        ("row.l", json!(["x", "y"])),
        ("row.m", json!({"k": "v"})),
        ("row.m.k", json!("v")),
        ("row.l[1]", json!("y")),
        // Gaps.
        ("row.e", Value::Null),
        ("row.s", Value::Null),
        ("row.nil", Value::Null),
        ("row.missing", Value::Null),
        ("number(row.e)", Value::Null),
        ("number(row.missing)", Value::Null),
        ("time(row.e)", Value::Null),
        ("code(\"surface\", row.e)", Value::Null),
        ("row.missing == null", json!(true)),
        ("has(row.missing)", json!(false)),
        ("has(row.e)", json!(true)),
        ("\"n\" in row", json!(true)),
        ("row.?missing.orValue(5)", json!(5)),
        ("row[?\"n\"].orValue(5)", json!(7)),
        ("blank(row.s) && blank(row.missing) && !blank(row.n)", json!(true)),
        ("coalesce(row.e, row.missing, row.n)", json!(7)),
        // Zero and false are values.
        ("number(\"0\")", json!(0.0)),
        ("row.n == 8", json!(false)),
        // Numbers.
        ("number(row.z)", json!(12.5)),
        ("number(\" -3.25 \")", json!(-3.25)),
        ("number(row.n) / 2.0", json!(3.5)),
        ("integer(\"007\")", json!(7)),
        ("integer(8.0)", json!(8)),
        ("round(2.345678, 2)", json!(2.35)),
        // Texts.
        ("trim(row.t)", json!("a b")),
        ("row.t.trim()", json!("a b")),
        ("halfwidth(row.w)", json!("一時 停止")),
        ("\"p-\" + row.c", json!("p-01")),
        ("text(row.n) + \"/\" + text(row.f)", json!("7/1.5")),
        ("replace(row.w, \"　\", \"\")", json!("一時停止")),
        ("split(\"13108-bldg-1\", \"-\")[0]", json!("13108")),
        ("uri(\"東陽 4/11\")", json!("東陽%204%2F11")),
        ("row.c.startsWith(\"0\") ? \"zero\" : \"other\"", json!("zero")),
        ("row.l.map(x, x + \"!\")", json!(["x!", "y!"])),
        ("row.l.exists(x, x == \"y\")", json!(true)),
        // Code lists.
        ("code(\"surface\", row.c)", json!("dry")),
        ("code(\"surface\", row.n)", json!("seven")),
        ("code(\"surface\", \"99\", \"unknown\")", json!("unknown")),
        ("code(\"surface\", \"99\", null)", Value::Null),
        // Times.
        ("time(row.d)", date("2023-07-13T04:00:00Z")),
        ("time(row.d, \"UTC\")", date("2023-07-13T13:00:00Z")),
        ("time(\"2023/7/3 9:05\")", date("2023-07-03T00:05:00Z")),
        ("time(\"2023-07-13 24:00\")", date("2023-07-13T15:00:00Z")),
        ("time(\"20230713\")", date("2023-07-12T15:00:00Z")),
        ("time(\"2023-07-13\")", date("2023-07-12T15:00:00Z")),
        ("time(\"２０２３-07-13T13:00:00.25+01:00\")", date("2023-07-13T12:00:00.250Z")),
        ("time(\"2023-10-29T02:30\", \"Europe/Berlin\")", date("2023-10-29T00:30:00Z")),
        ("time(\"2023-07-13T13:00\", \"-03:30\")", date("2023-07-13T16:30:00Z")),
        ("epoch_ms(row.ms)", date("2019-01-02T18:28:00Z")),
        ("epoch_s(\"0\")", date("1970-01-01T00:00:00Z")),
        ("epoch_s(0) + duration(\"90m\")", date("1970-01-01T01:30:00Z")),
        ("time(row.d).getFullYear()", json!(2023)),
        ("line", json!(1)),
    ] {
        assert_eq!(value(expression), expected, "{expression}");
    }
}

#[test]
fn what_cannot_be_is_said_with_the_attribute() {
    for (expression, why) in [
        ("number(row.big)", "attributes.a: number: \"10,5\" is no number"),
        ("integer(row.f)", "attributes.a: integer: 1.5 is no whole number"),
        ("code(\"surface\", \"99\")", "attributes.a: code: the code list \"surface\" has no code \"99\""),
        ("code(\"nowhere\", \"99\")", "attributes.a: code: the mapping has no code list \"nowhere\""),
        ("time(\"yesterday\")", "attributes.a: time: \"yesterday\" is no time"),
        ("time(\"2024-03-31T02:30\", \"Europe/Berlin\")", "does not exist in this time zone"),
        ("time(\"2024-03-31T02:30\", \"Mars\")", "\"Mars\" is no time zone"),
        ("row.n + row.c", "attributes.a: "),
        ("row.l[7]", "attributes.a: "),
        ("1 / 0", "attributes.a: "),
        ("point(200, 35)", "longitude from -180 to 180"),
        ("point(139.7, 35.6)", "a geometry needs type: GeoProperty"),
        ("b\"bytes\"", "a bytes cannot be stored"),
    ] {
        let reason = reason(expression);
        assert!(reason.contains(why), "{expression}: {reason}");
    }
}

#[test]
fn a_mapping_is_refused_with_the_place_of_its_fault() {
    let base = "format: csv\nid: row.x\ntype: T\nattributes:\n  a: row.y\n";
    assert!(city_ingest::Mapping::parse(base).is_ok());
    for (mapping, why) in [
        (format!("{base}colour: red\n"), "unknown field `colour`"),
        (base.replace("a: row.y", "a: {value: row.y, unit: MTR}"), "attributes.a: unknown field `unit`"),
        (base.replace("a: row.y", "a: {value: row.y, unitCode: metres}"), "attributes.a.unitCode: \"metres\""),
        (base.replace("a: row.y", "a: 'row.y +'"), "attributes.a.value: "),
        (base.replace("a: row.y", "a: colour"), "there is no variable colour"),
        (base.replace("a: row.y", "a: colour(row.y)"), "there is no function colour"),
        (base.replace("a: row.y", "a（b）: row.y"), "attributes.a（b）: \"a（b）\" is no attribute name"),
        (base.replace("a: row.y", "a b: row.y"), "a_b would do"),
        (base.replace("a: row.y", "id: row.y"), "\"id\" is a name of NGSI-LD itself"),
        (base.replace("  a: row.y", "  a: row.y\n  a: row.z"), "\"a\" stands there twice"),
        (base.replace("a: row.y", "a: {type: Proprety, value: row.y}"), "unknown variant `Proprety`"),
        (base.replace("a: row.y", "a: {type: GeoProperty, value: geometry, unitCode: MTR}"), "only a Property"),
        (base.replace("a: row.y", "a: {value: {ja: row.y}}"), "needs type: LanguageProperty"),
        (base.replace("a: row.y", "a: [{value: row.y}, {value: row.z}]"), "only one instance may be without"),
        (base.replace("type: T", "type: a b"), "type: \"a b\" is no type name"),
        (base.replace("format: csv", "format: xls"), "unknown variant `xls`"),
        (format!("{base}version: 2\n"), "version: 2 is not known"),
        (format!("{base}encoding: shift_jis\n"), "iconv -f CP932 -t UTF-8"),
        (format!("{base}time: {{zone: Tokyo}}\n"), "time.zone: \"Tokyo\" is no time zone"),
        (format!("{base}target: temporal\n"), "attributes.a: a reading of the past needs observedAt"),
        (format!("{base}columns: {{keep: some}}\n"), "unknown variant `some`"),
    ] {
        let said = refusal(&mapping);
        assert!(said.contains(why), "{mapping}\n{said}");
    }
}

#[test]
fn every_kind_of_attribute_can_be_made() {
    let mapping = r#"
format: ndjson
context: https://example.org/context.jsonld
source: {provider: Koto, licence: CC0-1.0, url: "https://example.org", emit: [licence, url]}
id: '"urn:x:" + row.id'
type: [A, B]
scope: '["/Koto", row.none, "Sumida"]'
observedAt: time("2023-07-13T13:00Z")
attributes:
  plain: {value: row.n, unitCode: CEL, datasetId: '"urn:d:1"', attributes: {quality: '"good"', gap: row.none}}
  several:
    - {value: row.n}
    - {value: row.m, datasetId: '"urn:d:2"', observedAt: 'epoch_s(0)'}
  oneOfTwo: [{value: row.none}, {value: row.n, datasetId: '"urn:d:2"'}]
  part_of: {type: Relationship, value: '"urn:x:" + row.parent', objectType: B}
  parts: {type: Relationship, value: '["urn:x:1", "urn:x:2"]'}
  chain: {type: ListRelationship, value: '["urn:x:1"]'}
  names: {type: LanguageProperty, value: {ja: row.ja, en: row.none}}
  kind: {type: VocabProperty, value: '"dry"'}
  raw: {type: JsonProperty, value: row.o}
  list: {type: ListProperty, value: row.list}
  place: {type: GeoProperty, value: '{"type": "Point", "coordinates": [139.7, 35.6]}'}
  "https://example.org/full": row.n
"#;
    let row = r#"{"id":"7","n":1,"m":2,"parent":"6","ja":"江東","o":{"a":[null]},"list":[1,2]}"#;
    let outcome = run(mapping, row);
    assert_eq!(outcome.rejected, []);
    let at = "2023-07-13T13:00:00Z";
    assert_eq!(
        outcome.entities[0],
        json!({
            "id": "urn:x:7", "type": ["A", "B"], "scope": ["/Koto", "/Sumida"],
            "@context": "https://example.org/context.jsonld",
            "plain": {"type": "Property", "value": 1, "unitCode": "CEL", "observedAt": at, "datasetId": "urn:d:1",
                "quality": {"type": "Property", "value": "good"}},
            "several": [
                {"type": "Property", "value": 1, "observedAt": at},
                {"type": "Property", "value": 2, "observedAt": "1970-01-01T00:00:00Z", "datasetId": "urn:d:2"}],
            "oneOfTwo": {"type": "Property", "value": 1, "observedAt": at, "datasetId": "urn:d:2"},
            "part_of": {"type": "Relationship", "object": "urn:x:6", "objectType": "B", "observedAt": at},
            "parts": {"type": "Relationship", "object": ["urn:x:1", "urn:x:2"], "observedAt": at},
            "chain": {"type": "ListRelationship", "objectList": [{"object": "urn:x:1"}], "observedAt": at},
            "names": {"type": "LanguageProperty", "languageMap": {"ja": "江東"}, "observedAt": at},
            "kind": {"type": "VocabProperty", "vocab": "dry", "observedAt": at},
            "raw": {"type": "JsonProperty", "json": {"a": [null]}, "observedAt": at},
            "list": {"type": "ListProperty", "valueList": [1, 2], "observedAt": at},
            "place": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [139.7, 35.6]},
                "observedAt": at},
            "https://example.org/full": {"type": "Property", "value": 1, "observedAt": at},
            "license": {"type": "Property", "value": "CC0-1.0"},
            "source": {"type": "Property", "value": "https://example.org"},
        })
    );
}

#[test]
fn geometries_pass_through_digit_for_digit() {
    let mapping = "format: geojson\nid: '\"urn:x:\" + text(feature_id)'\ntype: T\nattributes:\n  \
                   location: {type: GeoProperty, value: geometry}\n  centre: {type: GeoProperty, value: centroid(geometry)}\n";
    let input = r#"{"name":"n","features":[
      {"type":"Feature","id":1,"properties":{},"geometry":{ "type": "Polygon",
        "coordinates": [[[0,0],[2.00000000000000001,0],[2,2],[0,2],[0,0]]] }},
      {"type":"Feature","id":2,"properties":null,"geometry":null},
      {"type":"Feature","id":3,"properties":{},"geometry":{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,1]]]}}
    ],"type":"FeatureCollection"}"#;
    let outcome = run(mapping, input);
    assert_eq!(outcome.entities[0]["centre"]["value"], json!({"type": "Point", "coordinates": [1, 1]}));
    assert_eq!(outcome.entities[1], json!({"id": "urn:x:2", "type": "T"}), "no geometry is a gap");
    let rejected = &outcome.rejected[0];
    assert_eq!((rejected.line, rejected.file.as_str()), (5, "input"));
    assert!(rejected.reason.contains("attributes.location: a ring of a Polygon must end where it starts"));
    assert!(rejected.input.starts_with(r#"{"type":"Feature","id":3"#));
}

#[test]
fn columns_without_a_line_become_attributes_with_legal_names() {
    let mapping = "format: csv\nid: '\"urn:x:\" + row.id'\ntype: T\n\
                   columns: {keep: rest, except: [skipped], names: {表示: shown}}\n";
    let input = "\u{feff}id,表示,標識　（当事者A）,13_区,type,skipped\n1,a,\"b,\"\"c\"\"\",d,e,f\n2,,,,,\n";
    let outcome = run(mapping, input);
    assert_eq!(
        outcome.entities,
        [
            json!({"id": "urn:x:1", "type": "T",
                "shown": {"type": "Property", "value": "a"},
                "標識_当事者A": {"type": "Property", "value": "b,\"c\""},
                "column_13_区": {"type": "Property", "value": "d"},
                "type_column": {"type": "Property", "value": "e"}}),
            json!({"id": "urn:x:2", "type": "T"}),
        ]
    );
    let twice = support::try_run(mapping, "id,表示,skipped,a-b,a b\n".as_bytes(), false).unwrap_err().to_string();
    assert!(twice.contains("\"a-b\" and \"a b\" would both become a_b"), "{twice}");
}

#[test]
fn readings_of_one_entity_go_into_one_document() {
    let mapping = "format: csv\ntarget: temporal\nid: '\"urn:x:\" + row.id'\ntype: T\nobservedAt: time(row.at)\n\
                   attributes: {t: number(row.t), r: number(row.r)}\nwhen: row.id != \"3\"\n";
    let input = "id,at,t,r\n1,2023-01-01T00:00Z,5,\n2,2023-01-01T00:00Z,,\n3,2023-01-01T00:00Z,1,1\n\
                 1,2023-01-01T01:00Z,6,0\n1,,7,0\n";
    let outcome = run(mapping, input);
    let reading = |value: f64, at: &str| json!({"type": "Property", "value": value, "observedAt": at});
    assert_eq!(
        outcome.temporal,
        [json!({"id": "urn:x:1", "type": "T",
            "t": [reading(5.0, "2023-01-01T00:00:00Z"), reading(6.0, "2023-01-01T01:00:00Z")],
            "r": [reading(0.0, "2023-01-01T01:00:00Z")]})]
    );
    let report = &outcome.report;
    assert_eq!((report.read, report.mapped, report.skipped, report.rejected, report.readings), (5, 2, 2, 1, 3));
    assert_eq!(outcome.rejected[0].input, "1,,7,0");
    assert!(outcome.rejected[0].reason.contains("observedAt is blank"));
}

#[test]
fn the_mappings_in_the_documentation_are_valid() {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let mut count = 0;
    for page in ["reference/mapping.md", "guides/import.md"] {
        let text = std::fs::read_to_string(docs.join(page)).unwrap();
        for block in text.split("```yaml").skip(1).filter_map(|block| block.split("```").next()) {
            if block.contains("\nformat:") {
                city_ingest::Mapping::parse(block).unwrap_or_else(|error| panic!("{page}: {error}\n{block}"));
                count += 1;
            }
        }
    }
    assert!(count >= 3, "{count} mappings found");
}

#[test]
fn a_value_beyond_its_range_is_flagged_or_rejects_its_row() {
    let mapping = |beyond: &str| {
        format!(
            "format: ndjson\nid: '\"urn:x:\" + row.id'\ntype: T\nattributes:\n  level: {{value: row.level, unitCode: MTR, range: [-5, 20]{beyond}}}\n"
        )
    };
    let rows = "{\"id\":\"a\",\"level\":20}\n{\"id\":\"b\",\"level\":20.5}\n{\"id\":\"c\",\"level\":-6}\n{\"id\":\"d\",\"level\":null}\n";
    let flagged = run(&mapping(""), rows);
    let said: Vec<&Value> = flagged.entities.iter().map(|entity| &entity["level"]["quality"]["value"]).collect();
    assert_eq!(said, [&json!("good"), &json!("aboveRange"), &json!("belowRange"), &Value::Null]);
    assert_eq!(flagged.entities[1]["level"]["value"], 20.5, "it is kept as it came");
    assert!(flagged.entities[3].get("level").is_none(), "a gap stays a gap");
    let strict = run(&mapping(", beyond: reject"), rows);
    let why: Vec<&str> = strict.rejected.iter().map(|row| &*row.reason).collect();
    assert_eq!(strict.entities.len(), 2);
    assert!(why[0].contains("attributes.level: 20.5 is not within -5 and 20"), "{why:?}");
    let text = run(&mapping(""), "{\"id\":\"a\",\"level\":\"high\"}\n");
    assert!(text.rejected[0].reason.contains("a range is of numbers"), "{:?}", text.rejected);
    for wrong in [", range: [5, 1]", ", range: [1]", ", type: Relationship, range: [1, 2]", ", beyond: drop"] {
        let mapping = format!("format: ndjson\nid: row.id\ntype: T\nattributes: {{a: {{value: row.a{wrong}}}}}\n");
        assert!(!refusal(&mapping).is_empty(), "{wrong}");
    }
}
