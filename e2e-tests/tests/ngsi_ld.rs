//! Golden answers of the main operations of NGSI-LD (ETSI GS CIM 009 V1.9.1), as a client sees
//! them on the wire.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use e2e_tests::{API, Answer, Client, ENTITIES, OPERATIONS, Server, TEMPORAL, path_with};
use serde_json::{Value, json};

const CORE: &str = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context.jsonld";
const CITY_CONTEXT: &str = "https://contexts.example/city.jsonld";

struct City {
    _folder: tempfile::TempDir,
    _server: Server,
    client: Client,
}

fn city() -> City {
    let folder = tempfile::tempdir().unwrap();
    let context = folder.path().join("city.jsonld");
    let terms = json!({"@context": {
        "ex": "https://vocabulary.example/",
        "Building": "ex:Building",
        "height": "ex:height",
        "storeys": {"@id": "ex:storeys"},
        "ward": {"@id": "ex:ward", "@type": "@id"},
    }});
    std::fs::write(&context, terms.to_string()).unwrap();
    let pair = format!("{CITY_CONTEXT}={}", context.display());
    let server = Server::start_with(&folder.path().join("city"), &["--context-file", &pair]);
    let client = server.client();
    City { _folder: folder, _server: server, client }
}

fn path_of(id: &str) -> String {
    format!("{ENTITIES}/{id}")
}

fn hall() -> Value {
    json!({
        "id": "urn:ngsi-ld:Hall:1", "type": "Hall", "scope": ["/Koto/Toyosu", "/Public"],
        "height": {"type": "Property", "value": 31.5, "unitCode": "MTR", "observedAt": "2026-01-01T00:00:00Z",
            "accuracy": {"type": "Property", "value": 0.5}},
        "ward": {"type": "Relationship", "object": "urn:ngsi-ld:Ward:13108"},
        "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [139.8, 35.7]}},
        "name": {"type": "LanguageProperty", "languageMap": {"ja": "公会堂", "en": "Hall"}},
        "use": {"type": "VocabProperty", "vocab": "Assembly"},
        "plan": {"type": "JsonProperty", "json": {"rooms": [1, 2]}},
        "temperature": [
            {"type": "Property", "value": 20, "datasetId": "urn:dataset:north"},
            {"type": "Property", "value": 21},
        ],
    })
}

fn make(client: &Client, entity: &Value) {
    let _ = client.post(ENTITIES, entity).expect(201);
}

fn ids(answer: &Value) -> Vec<String> {
    let mut ids: Vec<String> =
        answer.as_array().unwrap().iter().map(|entity| entity["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

fn query(client: &Client, parameters: &[(&str, &str)]) -> Answer {
    client.get(&path_with(ENTITIES, parameters))
}

fn found(client: &Client, parameters: &[(&str, &str)]) -> Vec<String> {
    ids(&query(client, parameters).json_of(200)).iter().map(|id| id.rsplit(':').next().unwrap().to_owned()).collect()
}

// 6.4, 6.5: one entity.

#[test]
fn a_created_entity_is_retrieved_normalised_as_it_was_sent() {
    let city = city();
    let answer = city.client.post(ENTITIES, &hall()).expect(201);
    assert_eq!(answer.header("location"), Some("/ngsi-ld/v1/entities/urn:ngsi-ld:Hall:1"));
    let shown = city.client.get(&path_of("urn:ngsi-ld:Hall:1")).expect(200);
    assert_eq!(shown.header("content-type"), Some("application/json"));
    assert!(shown.header("link").unwrap().contains("ngsi-ld-core-context"), "{:?}", shown.headers);
    let mut shown = shown.json();
    let instances = shown["temperature"].as_array_mut().unwrap();
    instances.sort_by_key(|instance| instance["value"].as_i64());
    assert_eq!(shown, hall());
    assert_eq!(city.client.post(ENTITIES, &hall()).status, 409);
}

#[test]
fn an_entity_is_shown_in_the_form_that_was_asked_for() {
    let city = city();
    make(&city.client, &hall());
    let show = |options: &str| city.client.get(&format!("{}?{options}", path_of("urn:ngsi-ld:Hall:1"))).json_of(200);
    let concise = show("options=concise");
    assert_eq!(
        concise["height"],
        json!({"value": 31.5, "unitCode": "MTR", "observedAt": "2026-01-01T00:00:00Z", "accuracy": 0.5})
    );
    assert_eq!(concise["ward"], json!({"object": "urn:ngsi-ld:Ward:13108"}));
    assert_eq!(concise["name"], json!({"languageMap": {"ja": "公会堂", "en": "Hall"}}));
    assert_eq!(concise["location"], json!({"type": "Point", "coordinates": [139.8, 35.7]}));

    let simplified = show("options=keyValues");
    assert_eq!(simplified, show("format=simplified"));
    assert_eq!(simplified["height"], 31.5);
    assert_eq!(simplified["ward"], "urn:ngsi-ld:Ward:13108");
    assert_eq!(simplified["name"], json!({"languageMap": {"ja": "公会堂", "en": "Hall"}}));
    assert_eq!(simplified["location"], json!({"type": "Point", "coordinates": [139.8, 35.7]}));
    assert_eq!(show("options=keyValues&lang=ja")["name"], "公会堂");
    assert_eq!(
        show("options=keyValues&attrs=height"),
        json!({"id": "urn:ngsi-ld:Hall:1", "type": "Hall", "scope": ["/Koto/Toyosu", "/Public"], "height": 31.5})
    );

    let times = show("options=sysAttrs");
    for place in
        [&times["createdAt"], &times["modifiedAt"], &times["height"]["createdAt"], &times["height"]["modifiedAt"]]
    {
        assert!(place.as_str().is_some_and(|time| time.ends_with('Z')), "{times}");
    }
    let picked = show("pick=id,height");
    assert_eq!(picked.as_object().unwrap().keys().collect::<Vec<_>>(), ["id", "height"]);
    let omitted = show("omit=height,plan");
    assert!(
        omitted.get("height").is_none() && omitted.get("plan").is_none() && omitted.get("ward").is_some(),
        "{omitted}"
    );
    let north = show("datasetId=urn:dataset:north&attrs=temperature");
    assert_eq!(north["temperature"], json!({"type": "Property", "value": 20, "datasetId": "urn:dataset:north"}));
    assert_eq!(city.client.get(&format!("{}?attrs=missing", path_of("urn:ngsi-ld:Hall:1"))).status, 404);
}

#[test]
fn an_entity_is_a_geojson_feature_where_that_is_asked_for() {
    let city = city();
    make(&city.client, &hall());
    let get =
        |path: &str| city.client.request("GET", path).header("accept", "application/geo+json").answer().expect(200);
    let feature = get(&format!("{}?options=keyValues&attrs=height,location", path_of("urn:ngsi-ld:Hall:1")));
    assert_eq!(feature.header("content-type"), Some("application/geo+json"));
    let feature = feature.json();
    assert_eq!((&feature["type"], &feature["id"]), (&json!("Feature"), &json!("urn:ngsi-ld:Hall:1")));
    assert_eq!(feature["geometry"], json!({"type": "Point", "coordinates": [139.8, 35.7]}));
    assert_eq!((&feature["properties"]["type"], &feature["properties"]["height"]), (&json!("Hall"), &json!(31.5)));
    let collection = get(&format!("{ENTITIES}?type=Hall")).json();
    assert_eq!(collection["type"], "FeatureCollection");
    assert_eq!(collection["features"].as_array().unwrap().len(), 1);
    assert_eq!(collection["features"][0]["properties"]["height"]["value"], 31.5);
}

#[test]
fn a_merge_patch_changes_what_it_names_and_null_takes_away() {
    let city = city();
    make(&city.client, &hall());
    let path = path_of("urn:ngsi-ld:Hall:1");
    let patch = json!({
        "height": {"type": "Property", "value": 32},
        "plan": "urn:ngsi-ld:null",
        "owner": {"type": "Property", "value": "Koto"},
    });
    let _ = city.client.patch(&path, &patch).expect(204);
    let shown = city.client.get(&path).json_of(200);
    assert_eq!(shown["height"]["value"], 32);
    assert_eq!(shown["height"]["unitCode"], "MTR", "a merge leaves what it does not name");
    assert_eq!(shown["height"]["accuracy"]["value"], 0.5);
    assert!(shown.get("plan").is_none(), "{shown}");
    assert_eq!(shown["owner"]["value"], "Koto");
    assert_eq!(shown["ward"], hall()["ward"]);
    // RFC 7396: only what a map names is changed.
    let _ = city
        .client
        .patch(&path, &json!({"name": {"type": "LanguageProperty", "languageMap": {"fr": "Salle"}}}))
        .expect(204);
    let name = city.client.get(&path).json_of(200)["name"]["languageMap"].clone();
    assert_eq!(name["fr"], "Salle", "{name}");
    let merged = city
        .client
        .request("PATCH", &path)
        .body("application/merge-patch+json", json!({"owner": {"type": "Property", "value": "Tokyo"}}).to_string())
        .answer();
    assert_eq!(merged.status, 204, "{}", merged.text());
    assert_eq!(city.client.patch(&path_of("urn:ngsi-ld:Hall:9"), &patch).status, 404);
}

#[test]
fn a_replaced_entity_has_nothing_of_the_old_one_but_its_birth() {
    let city = city();
    make(&city.client, &hall());
    let path = path_of("urn:ngsi-ld:Hall:1");
    let born = city.client.get(&format!("{path}?options=sysAttrs")).json_of(200)["createdAt"].clone();
    let new = json!({"id": "urn:ngsi-ld:Hall:1", "type": "Hall", "height": {"type": "Property", "value": 1}});
    let _ = city.client.put(&path, &new).expect(204);
    assert_eq!(city.client.get(&path).json_of(200), new);
    assert_eq!(city.client.get(&format!("{path}?options=sysAttrs")).json_of(200)["createdAt"], born);
    assert_eq!(city.client.put(&path_of("urn:ngsi-ld:Hall:9"), &json!({"type": "Hall"})).status, 404);
    let _ = city.client.delete(&path).expect(204);
    assert_eq!(city.client.get(&path).status, 404);
    assert_eq!(city.client.delete(&path).status, 404);
}

// 6.6, 6.7: attributes.

#[test]
fn attributes_are_appended_updated_replaced_and_deleted() {
    let city = city();
    make(&city.client, &hall());
    let path = path_of("urn:ngsi-ld:Hall:1");
    let attrs = format!("{path}/attrs");
    let shown = || city.client.get(&path).json_of(200);

    let _ = city
        .client
        .post(
            &attrs,
            &json!({"colour": {"type": "Property", "value": "red"}, "height": {"type": "Property", "value": 1}}),
        )
        .expect(204);
    assert_eq!(
        (&shown()["colour"]["value"], &shown()["height"]),
        (&json!("red"), &json!({"type": "Property", "value": 1}))
    );
    let partly = city.client.post(
        &format!("{attrs}?options=noOverwrite"),
        &json!({"colour": {"type": "Property", "value": "blue"}, "age": {"type": "Property", "value": 5}}),
    );
    let partly = partly.json_of(207);
    assert_eq!(partly["updated"], json!(["age"]));
    assert_eq!(partly["notUpdated"][0]["attributeName"], "colour");
    assert_eq!((&shown()["colour"]["value"], &shown()["age"]["value"]), (&json!("red"), &json!(5)));

    // What the entity does not have yet is added (clause 5.6.2).
    let both = json!({"age": {"type": "Property", "value": 6}, "mood": {"type": "Property", "value": 1}});
    let _ = city.client.patch(&attrs, &both).expect(204);
    assert_eq!((&shown()["age"]["value"], &shown()["mood"]["value"]), (&json!(6), &json!(1)));

    let _ = city.client.patch(&format!("{attrs}/age"), &json!({"value": 7, "unitCode": "ANN"})).expect(204);
    let _ = city.client.patch(&format!("{attrs}/age"), &json!({"value": 8})).expect(204);
    assert_eq!(shown()["age"], json!({"type": "Property", "value": 8, "unitCode": "ANN"}));
    let _ = city.client.put(&format!("{attrs}/age"), &json!({"type": "Property", "value": 9})).expect(204);
    assert_eq!(shown()["age"], json!({"type": "Property", "value": 9}));
    assert_eq!(city.client.patch(&format!("{attrs}/unknown"), &json!({"value": 1})).status, 404);
    assert_eq!(city.client.put(&format!("{attrs}/unknown"), &json!({"type": "Property", "value": 1})).status, 404);

    let _ = city.client.delete(&format!("{attrs}/age")).expect(204);
    assert!(shown().get("age").is_none());
    assert_eq!(city.client.delete(&format!("{attrs}/age")).status, 404);
}

#[test]
fn instances_of_an_attribute_are_told_apart_by_their_dataset() {
    let city = city();
    make(&city.client, &hall());
    let path = path_of("urn:ngsi-ld:Hall:1");
    let temperature = format!("{path}/attrs/temperature");
    let _ = city.client.patch(&temperature, &json!({"value": 25, "datasetId": "urn:dataset:north"})).expect(204);
    let _ = city
        .client
        .post(
            &format!("{path}/attrs"),
            &json!({"temperature": {"type": "Property", "value": 30, "datasetId": "urn:dataset:south"}}),
        )
        .expect(204);
    let values = || {
        let shown = city.client.get(&path).json_of(200)["temperature"].clone();
        let list = shown.as_array().cloned().unwrap_or_else(|| vec![shown]);
        let mut values: Vec<i64> = list.iter().filter_map(|instance| instance["value"].as_i64()).collect();
        values.sort_unstable();
        values
    };
    assert_eq!(values(), [21, 25, 30]);
    let _ = city.client.delete(&temperature).expect(204);
    assert_eq!(values(), [25, 30]);
    let _ = city.client.delete(&format!("{temperature}?datasetId=urn:dataset:south")).expect(204);
    assert_eq!(values(), [25]);
    let _ = city.client.delete(&format!("{temperature}?deleteAll=true")).expect(204);
    assert!(city.client.get(&path).json_of(200).get("temperature").is_none());
}

// 6.14 to 6.17, 6.31: batches.

#[test]
fn batches_create_upsert_update_merge_and_delete() {
    let city = city();
    let lamp = |number: u32, on: bool| json!({"id": format!("urn:ngsi-ld:Lamp:{number}"), "type": "Lamp", "on": {"type": "Property", "value": on}, "pole": {"type": "Property", "value": "steel"}});
    let post = |operation: &str, body: Value| city.client.post(&format!("{OPERATIONS}/{operation}"), &body);
    let created = post("create", json!([lamp(1, false), lamp(2, false)])).json_of(201);
    assert_eq!(created, json!(["urn:ngsi-ld:Lamp:1", "urn:ngsi-ld:Lamp:2"]));
    let result = post("create", json!([lamp(2, false), lamp(3, false)])).json_of(207);
    assert_eq!(result["success"], json!(["urn:ngsi-ld:Lamp:3"]));
    assert_eq!(
        (&result["errors"][0]["entityId"], &result["errors"][0]["error"]["status"]),
        (&json!("urn:ngsi-ld:Lamp:2"), &json!(409))
    );

    assert_eq!(post("upsert", json!([lamp(3, true), lamp(4, true)])).json_of(201), json!(["urn:ngsi-ld:Lamp:4"]));
    let _ = post("upsert", json!([lamp(3, false)])).expect(204);
    let without_pole = json!([{"id": "urn:ngsi-ld:Lamp:3", "type": "Lamp", "on": {"type": "Property", "value": true}}]);
    let _ = post("upsert?options=update", without_pole.clone()).expect(204);
    assert!(city.client.get(&path_of("urn:ngsi-ld:Lamp:3")).json_of(200).get("pole").is_some());
    let _ = post("upsert", without_pole).expect(204);
    assert!(city.client.get(&path_of("urn:ngsi-ld:Lamp:3")).json_of(200).get("pole").is_none());

    let _ = post(
        "update",
        json!([{"id": "urn:ngsi-ld:Lamp:1", "type": "Lamp", "on": {"type": "Property", "value": true}}]),
    )
    .expect(204);
    let result = post(
        "update",
        json!([{"id": "urn:ngsi-ld:Lamp:9", "type": "Lamp", "on": {"type": "Property", "value": true}}, lamp(2, true)]),
    )
    .json_of(207);
    assert_eq!(
        (&result["success"], &result["errors"][0]["error"]["status"]),
        (&json!(["urn:ngsi-ld:Lamp:2"]), &json!(404))
    );
    let _ =
        post("merge", json!([{"id": "urn:ngsi-ld:Lamp:1", "type": "Lamp", "pole": "urn:ngsi-ld:null"}])).expect(204);
    assert_eq!(
        city.client.get(&path_of("urn:ngsi-ld:Lamp:1")).json_of(200),
        json!({"id": "urn:ngsi-ld:Lamp:1", "type": "Lamp", "on": {"type": "Property", "value": true}})
    );

    let _ = post("delete", json!(["urn:ngsi-ld:Lamp:1", "urn:ngsi-ld:Lamp:2"])).expect(204);
    let result = post("delete", json!(["urn:ngsi-ld:Lamp:1", "urn:ngsi-ld:Lamp:3"])).json_of(207);
    assert_eq!(
        (&result["success"], &result["errors"][0]["entityId"]),
        (&json!(["urn:ngsi-ld:Lamp:3"]), &json!("urn:ngsi-ld:Lamp:1"))
    );
    assert_eq!(found(&city.client, &[("type", "Lamp")]), ["4"]);
}

// 6.4.3.2, 6.23: queries.

fn street(client: &Client) {
    let mut all = Vec::new();
    for number in 0..10u32 {
        let mut entity = json!({
            "id": format!("urn:ngsi-ld:Place:{number}"), "type": if number % 2 == 0 { "Shop" } else { "Home" },
            "scope": if number < 5 { "/Koto/East" } else { "/Koto/West/Far" },
            "size": {"type": "Property", "value": number, "quality": {"type": "Property", "value": number * 10}},
            "label": {"type": "Property", "value": format!("place {number}")},
            "near": {"type": "Relationship", "object": format!("urn:ngsi-ld:Stop:{}", number % 3)},
            "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [139.0 + f64::from(number) / 100.0, 35.0]}},
            "seen": {"type": "Property", "value": true, "observedAt": format!("2026-01-0{}T00:00:00Z", number.clamp(1, 9))},
        });
        if number == 7 {
            entity["box"] = json!({"type": "Property", "value": {"inner": {"depth": 3}}});
            entity["tags"] = json!({"type": "Property", "value": ["a", "b"]});
        }
        all.push(entity);
    }
    let _ = client.post(&format!("{OPERATIONS}/create"), &Value::from(all)).expect(201);
}

#[test]
fn q_selects_by_value() {
    let city = city();
    street(&city.client);
    for (q, expected) in [
        ("size==3", vec!["3"]),
        ("size!=3;size<5", vec!["0", "1", "2", "4"]),
        ("size>=8", vec!["8", "9"]),
        ("size==2..4", vec!["2", "3", "4"]),
        ("size==1,5,77", vec!["1", "5"]),
        ("size<1|size>8", vec!["0", "9"]),
        ("(size<2|size>7);label==\"place 8\"", vec!["8"]),
        ("label~=\"ce [45]$\"", vec!["4", "5"]),
        ("label!~=\"[0-8]\"", vec!["9"]),
        ("near==\"urn:ngsi-ld:Stop:2\"", vec!["2", "5", "8"]),
        ("box", vec!["7"]),
        ("!box;size>6", vec!["8", "9"]),
        ("box[inner.depth]==3", vec!["7"]),
        ("tags==\"b\"", vec!["7"]),
        ("size.quality>=80", vec!["8", "9"]),
        ("seen.observedAt>=2026-01-08T00:00:00Z", vec!["8", "9"]),
        ("label==\"nothing\"", vec![]),
    ] {
        assert_eq!(found(&city.client, &[("idPattern", "Place"), ("q", q)]), expected, "{q}");
    }
}

#[test]
fn selections_by_type_id_scope_and_place_agree() {
    let city = city();
    street(&city.client);
    let cases: Vec<(Vec<(&str, &str)>, Vec<&str>)> = vec![
        (vec![("type", "Shop")], vec!["0", "2", "4", "6", "8"]),
        (vec![("type", "Shop,Home"), ("q", "size<2")], vec!["0", "1"]),
        (vec![("type", "(Shop|Home)"), ("q", "size<2")], vec!["0", "1"]),
        (vec![("id", "urn:ngsi-ld:Place:4,urn:ngsi-ld:Place:5,urn:ngsi-ld:Place:99")], vec!["4", "5"]),
        (vec![("idPattern", "Place:[78]$")], vec!["7", "8"]),
        (vec![("type", "Home"), ("idPattern", ":[0-4]$")], vec!["1", "3"]),
        (vec![("attrs", "box")], vec!["7"]),
        (vec![("type", "Shop,Home"), ("scopeQ", "/Koto/East")], vec!["0", "1", "2", "3", "4"]),
        (vec![("type", "Shop,Home"), ("scopeQ", "/Koto/+/Far")], vec!["5", "6", "7", "8", "9"]),
        (vec![("type", "Shop"), ("scopeQ", "/Koto/#")], vec!["0", "2", "4", "6", "8"]),
        (
            vec![
                ("type", "Shop,Home"),
                ("georel", "near;maxDistance==1000"),
                ("geometry", "Point"),
                ("coordinates", "[139.03,35.0]"),
            ],
            vec!["2", "3", "4"],
        ),
        (
            vec![
                ("type", "Shop,Home"),
                ("georel", "near;minDistance==4000"),
                ("geometry", "Point"),
                ("coordinates", "[139.03,35.0]"),
            ],
            vec!["8", "9"],
        ),
        (
            vec![
                ("type", "Shop,Home"),
                ("georel", "within"),
                ("geometry", "Polygon"),
                ("coordinates", "[[[139.015,34.9],[139.045,34.9],[139.045,35.1],[139.015,35.1],[139.015,34.9]]]"),
            ],
            vec!["2", "3", "4"],
        ),
        (
            vec![
                ("type", "Shop,Home"),
                ("georel", "disjoint"),
                ("geometry", "Polygon"),
                ("coordinates", "[[[139.005,34.9],[139.2,34.9],[139.2,35.1],[139.005,35.1],[139.005,34.9]]]"),
            ],
            vec!["0"],
        ),
        (
            vec![("type", "Shop,Home"), ("georel", "equals"), ("geometry", "Point"), ("coordinates", "[139.05,35.0]")],
            vec!["5"],
        ),
        (
            vec![
                ("type", "Shop,Home"),
                ("georel", "intersects"),
                ("geometry", "LineString"),
                ("coordinates", "[[139.0,34.0],[139.0,36.0]]"),
            ],
            vec!["0"],
        ),
        (vec![("type", "Nothing")], vec![]),
    ];
    for (parameters, expected) in cases {
        assert_eq!(found(&city.client, &parameters), expected, "{parameters:?}");
    }
}

#[test]
fn pages_are_linked_and_hold_everything_once() {
    let city = city();
    street(&city.client);
    let mut path = path_with(ENTITIES, &[("type", "Shop,Home"), ("limit", "3"), ("count", "true"), ("q", "size>=0")]);
    let mut all = Vec::new();
    let mut pages = 0;
    loop {
        let page = city.client.get(&path).expect(200);
        assert_eq!(page.header("ngsild-results-count"), Some("10"));
        all.extend(ids(&page.json()));
        pages += 1;
        let relation = |name: &str| {
            let link = page
                .headers
                .iter()
                .find(|(header, value)| header == "link" && value.contains(&format!("rel=\"{name}\"")));
            link.map(|(_, value)| value[1..value.find('>').unwrap()].to_owned())
        };
        assert_eq!(relation("prev").is_some(), pages > 1);
        let Some(next) = relation("next") else { break };
        path = next;
    }
    assert_eq!(pages, 4);
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!((count, all.len()), (10, 10));
    let none = query(&city.client, &[("type", "Shop"), ("limit", "0"), ("count", "true")]);
    assert_eq!((none.header("ngsild-results-count"), none.json()), (Some("5"), json!([])));
}

#[test]
fn a_query_by_post_answers_as_the_same_query_by_get() {
    let city = city();
    street(&city.client);
    let body = json!({
        "type": "Query",
        "entities": [{"type": "Shop"}, {"idPattern": "Place:[13]$", "type": "Home"}],
        "q": "size<4",
        "attrs": ["size"],
        "geoQ": {"georel": "near;maxDistance==100000", "geometry": "Point", "coordinates": [139.0, 35.0]},
    });
    let answer = city.client.post(&format!("{OPERATIONS}/query?options=keyValues"), &body).json_of(200);
    assert_eq!(
        ids(&answer),
        ["urn:ngsi-ld:Place:0", "urn:ngsi-ld:Place:1", "urn:ngsi-ld:Place:2", "urn:ngsi-ld:Place:3"]
    );
    assert_eq!(
        answer[0]
            .as_object()
            .unwrap()
            .keys()
            .filter(|key| !["id", "type", "scope"].contains(&key.as_str()))
            .collect::<Vec<_>>(),
        ["size"]
    );
}

// 6.25 to 6.28: discovery.

#[test]
fn types_and_attributes_are_discovered() {
    let city = city();
    street(&city.client);
    let types = city.client.get(&format!("{API}/types")).json_of(200);
    assert_eq!((&types["type"], &types["typeList"]), (&json!("EntityTypeList"), &json!(["Home", "Shop"])));
    let details = city.client.get(&format!("{API}/types?details=true")).json_of(200);
    let home = details.as_array().unwrap().iter().find(|one| one["typeName"] == "Home").unwrap();
    assert!(home["attributeNames"].as_array().unwrap().contains(&json!("box")), "{home}");
    let shop = city.client.get(&format!("{API}/types/Shop")).json_of(200);
    assert_eq!(
        (&shop["type"], &shop["typeName"], &shop["entityCount"]),
        (&json!("EntityTypeInfo"), &json!("Shop"), &json!(5))
    );
    let near = shop["attributeDetails"].as_array().unwrap().iter().find(|one| one["attributeName"] == "near").unwrap();
    assert_eq!(near["attributeTypes"], json!(["Relationship"]));
    assert_eq!(city.client.get(&format!("{API}/types/Castle")).status, 404);

    let mut attributes = city.client.get(&format!("{API}/attributes")).json_of(200);
    // In the order of their whole names.
    attributes["attributeList"].as_array_mut().unwrap().sort_by_key(Value::to_string);
    assert_eq!(attributes["attributeList"], json!(["box", "label", "location", "near", "seen", "size", "tags"]));
    let size = city.client.get(&format!("{API}/attributes/size")).json_of(200);
    assert_eq!(
        (&size["attributeName"], &size["attributeCount"], &size["typeNames"]),
        (&json!("size"), &json!(10), &json!(["Home", "Shop"]))
    );
    assert_eq!(city.client.get(&format!("{API}/attributes/colour")).status, 404);
    (0..10).filter(|number| number % 2 == 1).for_each(|number| {
        let _ = city.client.delete(&path_of(&format!("urn:ngsi-ld:Place:{number}"))).expect(204);
    });
    assert_eq!(city.client.get(&format!("{API}/types")).json_of(200)["typeList"], json!(["Shop"]));
}

// 6.18 to 6.24: the past.

fn meter(client: &Client) {
    make(
        client,
        &json!({"id": "urn:ngsi-ld:Meter:1", "type": "Meter", "power": {"type": "Property", "value": 0, "observedAt": "2026-01-01T00:00:00Z"}}),
    );
    for hour in 1..=5 {
        let body = json!({"value": hour * 10, "observedAt": format!("2026-01-01T0{hour}:00:00Z")});
        let _ = client.patch(&format!("{ENTITIES}/urn:ngsi-ld:Meter:1/attrs/power"), &body).expect(204);
    }
}

#[test]
fn every_change_is_in_the_past_without_being_asked() {
    let city = city();
    meter(&city.client);
    let path = format!("{TEMPORAL}/urn:ngsi-ld:Meter:1");
    let values = |query: &str| {
        let answer = city.client.get(&format!("{path}?options=temporalValues&{query}")).json_of(200);
        answer["power"]["values"]
            .as_array()
            .cloned()
            .unwrap_or_default()
            .iter()
            .filter_map(|pair| pair[0].as_i64())
            .collect::<Vec<_>>()
    };
    let mut all = values("attrs=power");
    all.sort_unstable();
    assert_eq!(all, [0, 10, 20, 30, 40, 50]);
    let sorted = |query: &str| {
        let mut values = values(query);
        values.sort_unstable();
        values
    };
    assert_eq!(sorted("timerel=before&timeAt=2026-01-01T02:00:00Z"), [0, 10]);
    assert_eq!(sorted("timerel=after&timeAt=2026-01-01T03:00:00Z"), [30, 40, 50]);
    assert_eq!(sorted("timerel=between&timeAt=2026-01-01T01:00:00Z&endTimeAt=2026-01-01T03:00:00Z"), [10, 20]);
    assert_eq!(sorted("lastN=2"), [40, 50]);
    let full = city.client.get(&path).json_of(200);
    let instances = full["power"].as_array().unwrap();
    assert_eq!(instances.len(), 6);
    for instance in instances {
        assert_eq!(instance["type"], "Property");
        assert!(instance["instanceId"].as_str().unwrap().starts_with("urn:"), "{instance}");
        assert!(instance["observedAt"].is_string() && instance["value"].is_number(), "{instance}");
    }
    let _ = city.client.delete(&path_of("urn:ngsi-ld:Meter:1")).expect(204);
    assert_eq!(sorted("lastN=100&attrs=power").len(), 6, "a deleted entity keeps its past");
}

#[test]
fn the_past_is_queried_over_many_entities() {
    let city = city();
    meter(&city.client);
    let past = json!({"id": "urn:ngsi-ld:Meter:2", "type": "Meter", "power": [
        {"type": "Property", "value": 7, "observedAt": "2020-01-01T00:00:00Z"},
        {"type": "Property", "value": 8, "observedAt": "2020-01-02T00:00:00Z"},
    ]});
    let _ = city.client.post(TEMPORAL, &past).expect(201);
    let query = |parameters: &[(&str, &str)]| city.client.get(&path_with(TEMPORAL, parameters)).json_of(200);
    assert_eq!(ids(&query(&[("type", "Meter")])), ["urn:ngsi-ld:Meter:1", "urn:ngsi-ld:Meter:2"]);
    let old = [("type", "Meter"), ("timerel", "before"), ("timeAt", "2021-01-01T00:00:00Z")];
    assert_eq!(ids(&query(&old)), ["urn:ngsi-ld:Meter:2"]);
    assert_eq!(ids(&query(&[("type", "Meter"), ("q", "power==50")])), ["urn:ngsi-ld:Meter:1"]);
    let last = query(&[("type", "Meter"), ("lastN", "1"), ("options", "temporalValues")]);
    for entity in last.as_array().unwrap() {
        assert_eq!(entity["power"]["values"].as_array().unwrap().len(), 1, "{entity}");
    }
    let body = json!({"type": "Query", "entities": [{"type": "Meter"}], "temporalQ": {"timerel": "before", "timeAt": "2021-01-01T00:00:00Z"}});
    let posted = city.client.post(&format!("{API}/temporal/entityOperations/query"), &body).json_of(200);
    assert_eq!(ids(&posted), ["urn:ngsi-ld:Meter:2"]);
    let counted =
        city.client.get(&path_with(TEMPORAL, &[("type", "Meter"), ("count", "true"), ("limit", "1")])).expect(200);
    assert_eq!(counted.header("ngsild-results-count"), Some("2"));
}

#[test]
fn the_past_is_provided_mended_and_deleted_without_touching_the_present() {
    let city = city();
    meter(&city.client);
    let path = format!("{TEMPORAL}/urn:ngsi-ld:Meter:1");
    let now = city.client.get(&path_of("urn:ngsi-ld:Meter:1")).json_of(200);
    let older = json!({"power": [{"type": "Property", "value": -1, "observedAt": "2019-01-01T00:00:00Z"}]});
    let _ = city.client.post(&format!("{path}/attrs"), &older).expect(204);
    let find = |value: i64| {
        let past = city.client.get(&path).json_of(200);
        let all = past["power"].as_array().unwrap().clone();
        all.into_iter().find(|instance| instance["value"] == value)
    };
    let added = find(-1).expect("the older reading is in the past");
    let instance = format!("{path}/attrs/power/{}", added["instanceId"].as_str().unwrap());
    let mended = json!({"type": "Property", "value": -2, "observedAt": "2019-01-01T00:00:00Z"});
    let _ = city.client.patch(&instance, &mended).expect(204);
    assert!(find(-1).is_none());
    let added = find(-2).expect("the mended reading is in the past");
    let instance = format!("{path}/attrs/power/{}", added["instanceId"].as_str().unwrap());
    let _ = city.client.delete(&instance).expect(204);
    assert!(find(-2).is_none());
    assert_eq!(city.client.delete(&instance).status, 404);
    assert_eq!(city.client.get(&path_of("urn:ngsi-ld:Meter:1")).json_of(200), now);

    let _ = city.client.delete(&format!("{path}/attrs/power")).expect(204);
    let past = city.client.get(&path).json_of(200);
    assert!(past.get("power").is_none(), "{past}");
    assert_eq!(city.client.get(&path_of("urn:ngsi-ld:Meter:1")).json_of(200), now);
    let only = json!({"id": "urn:ngsi-ld:Meter:3", "type": "Meter", "power": [{"type": "Property", "value": 1, "observedAt": "2019-01-01T00:00:00Z"}]});
    let _ = city.client.post(TEMPORAL, &only).expect(201);
    assert_eq!(city.client.get(&path_of("urn:ngsi-ld:Meter:3")).status, 404, "the past makes no present");
    let _ = city.client.post(TEMPORAL, &only).expect(204);
    let _ = city.client.delete(&format!("{TEMPORAL}/urn:ngsi-ld:Meter:3")).expect(204);
    assert_eq!(city.client.get(&format!("{TEMPORAL}/urn:ngsi-ld:Meter:3")).status, 404);
}

// 6.3.5: @context.

#[test]
fn names_mean_what_their_context_says_in_the_body_or_in_a_link() {
    let city = city();
    let by_body = json!({"@context": [CITY_CONTEXT, CORE], "id": "urn:ngsi-ld:Building:1", "type": "Building", "height": {"type": "Property", "value": 10}});
    make(&city.client, &by_body);
    let by_link =
        json!({"id": "urn:ngsi-ld:Building:2", "type": "Building", "height": {"type": "Property", "value": 20}});
    let _ = city.client.request("POST", ENTITIES).context(CITY_CONTEXT).json(&by_link).answer().expect(201);
    let embedded = json!({"@context": {"hoehe": "https://vocabulary.example/height", "Haus": "https://vocabulary.example/Building"}, "id": "urn:ngsi-ld:Building:3", "type": "Haus", "hoehe": {"type": "Property", "value": 30}});
    make(&city.client, &embedded);

    // Without a context the names are whole.
    let bare = city.client.get(&path_of("urn:ngsi-ld:Building:1")).json_of(200);
    assert_eq!(bare["type"], "https://vocabulary.example/Building");
    assert_eq!(bare["https://vocabulary.example/height"]["value"], 10);
    let get = |path: &str, link: &str| city.client.request("GET", path).context(link).answer();
    let shown = get(&format!("{ENTITIES}?type=Building&q=height%3E15&options=keyValues"), CITY_CONTEXT).expect(200);
    assert!(shown.header("link").unwrap().contains(CITY_CONTEXT), "{:?}", shown.headers);
    assert_eq!(
        shown.json(),
        json!([
            {"id": "urn:ngsi-ld:Building:2", "type": "Building", "height": 20},
            {"id": "urn:ngsi-ld:Building:3", "type": "Building", "height": 30},
        ])
    );
    assert_eq!(found(&city.client, &[("type", "Building")]), Vec::<String>::new(), "another context, another Building");
    assert_eq!(found(&city.client, &[("type", "https://vocabulary.example/Building")]), ["1", "2", "3"]);

    let linked = city
        .client
        .request("GET", &path_of("urn:ngsi-ld:Building:1"))
        .context(CITY_CONTEXT)
        .header("accept", "application/ld+json")
        .answer()
        .expect(200);
    assert_eq!(linked.header("content-type"), Some("application/ld+json"));
    let linked = linked.json();
    assert!(linked["@context"].to_string().contains(CITY_CONTEXT), "{linked}");
    assert_eq!(linked["height"]["value"], 10);
}

#[test]
fn core_contexts_are_known_by_exact_url_and_others_are_not_made_up() {
    let city = city();
    let mut number = 0;
    let mut create = |url: &str| {
        number += 1;
        let entity = json!({"@context": url, "id": format!("urn:ngsi-ld:Thing:{number}"), "type": "Thing"});
        city.client.post(ENTITIES, &entity)
    };
    for version in ["", "-v1.3", "-v1.4", "-v1.5", "-v1.6", "-v1.7", "-v1.8"] {
        let url = format!("https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context{version}.jsonld");
        let answer = create(&url);
        assert_eq!(answer.status, 201, "{url}: {}", answer.text());
    }
    for url in
        ["https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v9.9.jsonld", "https://elsewhere.example/context.jsonld"]
    {
        let problem = create(url).json_of(504);
        assert_eq!(problem["type"], "https://uri.etsi.org/ngsi-ld/errors/LdContextNotAvailable");
        assert!(problem["detail"].as_str().unwrap().contains(url), "{problem}");
    }
    let read = city
        .client
        .request("GET", &format!("{ENTITIES}?type=Thing"))
        .context("https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v9.9.jsonld")
        .answer();
    assert_eq!(read.status, 504, "{}", read.text());
}

#[test]
fn numbers_texts_and_geometries_come_back_exactly() {
    let city = city();
    let values = json!([0, -1, 9_007_199_254_740_993_i64, i64::MAX, 0.1, 1e-300, 1.7976931348623157e308, 139.81749999999997,
        "", "改行\n\t\"\\", "😀\u{1F468}\u{200D}\u{1F469}", {"a": [1, {"b": null}], "": "empty"}, [[], {}], true, false]);
    for (number, value) in values.as_array().unwrap().iter().enumerate() {
        let id = format!("urn:ngsi-ld:Value:{number}");
        make(&city.client, &json!({"id": id, "type": "Value", "is": {"type": "Property", "value": value}}));
        let shown = city.client.get(&path_of(&id)).json_of(200);
        assert_eq!(shown["is"]["value"].to_string(), value.to_string());
    }
    let ring = json!([[[139.1, 35.1], [139.2, 35.1], [139.2, 35.2], [139.1, 35.1]]]);
    for (number, geometry) in [
        json!({"type": "Point", "coordinates": [139.123456789012, -35.5, 12.25]}),
        json!({"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]}),
        json!({"type": "LineString", "coordinates": [[1, 2], [3, 4]]}),
        json!({"type": "MultiLineString", "coordinates": [[[1, 2], [3, 4]]]}),
        json!({"type": "Polygon", "coordinates": ring}),
        json!({"type": "MultiPolygon", "coordinates": [ring]}),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("urn:ngsi-ld:Shape:{number}");
        make(&city.client, &json!({"id": id, "type": "Shape", "location": {"type": "GeoProperty", "value": geometry}}));
        let shown = city.client.get(&path_of(&id)).json_of(200)["location"]["value"].clone();
        let as_numbers = |value: &Value| value["coordinates"].to_string().replace(".0,", ",").replace(".0]", "]");
        assert_eq!((&shown["type"], as_numbers(&shown)), (&geometry["type"], as_numbers(&geometry)));
    }
}

#[test]
fn concise_and_simplified_input_means_the_same_as_normalised() {
    let city = city();
    let concise = json!({
        "id": "urn:ngsi-ld:Car:1", "type": "Car", "speed": {"value": 50, "unitCode": "KMH"}, "brand": "A",
        "location": {"type": "Point", "coordinates": [1.5, 2.5]}, "owner": {"object": "urn:ngsi-ld:Person:1"},
    });
    make(&city.client, &concise);
    assert_eq!(
        city.client.get(&path_of("urn:ngsi-ld:Car:1")).json_of(200),
        json!({
            "id": "urn:ngsi-ld:Car:1", "type": "Car",
            "speed": {"type": "Property", "value": 50, "unitCode": "KMH"},
            "brand": {"type": "Property", "value": "A"},
            "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [1.5, 2.5]}},
            "owner": {"type": "Relationship", "object": "urn:ngsi-ld:Person:1"},
        })
    );
}

/// Contract: header `Idempotency-Key`.
#[test]
fn a_request_with_a_key_is_applied_once_and_answered_again() {
    let city = city();
    let send = |key: &str, body: &Value| {
        city.client.request("POST", ENTITIES).header("idempotency-key", key).json(body).answer()
    };
    let entity = json!({"id": "urn:ngsi-ld:Thing:1", "type": "Thing"});
    let first = send("key-1", &entity);
    assert_eq!(first.status, 201, "{}", first.text());
    let again = send("key-1", &entity);
    assert_eq!((again.status, again.header("location")), (201, first.header("location")), "{}", again.text());
    assert_eq!(send("key-2", &entity).status, 409);
}
