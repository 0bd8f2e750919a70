//! OGC API Features: what a desktop GIS asks, over the same entities and under the same permits.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::collections::BTreeSet;

use e2e_tests::{Client, ENTITIES, Server, encode, path_with};
use serde_json::{Value, json};

const ITEMS: &str = "/ogc/v1/collections/Gauge/items";

fn gauges(client: &Client) {
    let entities: Vec<Value> = (0..40)
        .map(|n| {
            json!({
                "id": format!("urn:ngsi-ld:Gauge:{n:02}"), "type": "Gauge",
                "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [139.0 + f64::from(n) / 100.0, 35.5]}},
                "level": {"type": "Property", "value": n, "unitCode": "MTR"},
                "name": {"type": "Property", "value": if n % 2 == 0 { format!("Even {n}") } else { format!("odd_{n}") }},
                "address": {"type": "Property", "value": {"ward": if n < 20 { "Koto" } else { "Sumida" }}},
            })
        })
        .collect();
    let _ = client.post("/ngsi-ld/v1/entityOperations/create", &json!(entities)).expect(201);
    let other = json!({"id": "urn:ngsi-ld:Note:1", "type": "Note", "text": {"type": "Property", "value": "no place"}});
    let _ = client.post(ENTITIES, &other).expect(201);
}

fn ids(found: &Value) -> BTreeSet<String> {
    found["features"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

fn filtered(client: &Client, filter: &str) -> Value {
    client.get(&path_with(ITEMS, &[("filter", filter), ("limit", "1000")])).json_of(200)
}

#[test]
fn a_gis_finds_collections_and_pages_through_their_features() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    gauges(&client);
    let landing = client.get("/ogc/v1").json_of(200);
    let link = |relation: &str, of: &Value| {
        let links = of["links"].as_array().unwrap();
        let found =
            links.iter().find(|link| link["rel"] == relation).map(|link| link["href"].as_str().unwrap().to_owned());
        found.map(|href| href.strip_prefix(&server.url()).unwrap_or_else(|| panic!("{href} is whole")).to_owned())
    };
    let collections = client.get(&link("data", &landing).unwrap()).json_of(200);
    let listed: BTreeSet<&str> =
        collections["collections"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(listed, ["Gauge", "Note"].into());
    let conformance = client.get(&link("conformance", &landing).unwrap()).json_of(200);
    assert!(
        conformance["conformsTo"].as_array().unwrap().iter().any(|one| one.as_str().unwrap().ends_with("/geojson"))
    );
    let api = client.get(&link("service-desc", &landing).unwrap()).json_of(200);
    assert!(
        api["paths"]["/collections/{collectionId}/items"]["get"]["parameters"].as_array().unwrap().len() > 5,
        "{api}"
    );
    let queryables = client.get("/ogc/v1/collections/Gauge/queryables").json_of(200);
    assert!(queryables["properties"]["level"].is_object() && queryables["properties"]["location"].is_object());

    // All pages together are all features, each once.
    let (mut next, mut seen) = (Some(format!("{ITEMS}?limit=7")), Vec::new());
    while let Some(path) = next {
        let answer = client.get(&path).expect(200);
        assert_eq!(answer.header("content-type"), Some("application/geo+json"));
        let page = answer.json();
        assert_eq!((&page["type"], &page["numberMatched"]), (&json!("FeatureCollection"), &json!(40)));
        seen.extend(ids(&page));
        next = link("next", &page);
    }
    assert_eq!((seen.len(), seen.iter().collect::<BTreeSet<_>>().len()), (40, 40));
    let one = client.get(&format!("{ITEMS}/urn:ngsi-ld:Gauge:07")).json_of(200);
    assert_eq!((&one["type"], &one["properties"]["level"]), (&json!("Feature"), &json!(7)));
    assert_eq!(one["geometry"]["coordinates"], json!([139.07, 35.5]));
    assert!(one["links"].is_array() && one["properties"]["location"].is_null(), "{one}");
    assert_eq!(client.get(&format!("{ITEMS}/urn:ngsi-ld:Note:1")).status, 404, "it is of another collection");
    let note = client.get("/ogc/v1/collections/Note/items").json_of(200);
    assert_eq!(note["features"][0]["geometry"], Value::Null);
    server.stop();
}

#[test]
fn filters_boxes_and_times_mean_what_a_plain_look_says() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    gauges(&client);
    let those = |test: &dyn Fn(u32) -> bool| -> BTreeSet<String> {
        (0..40).filter(|n| test(*n)).map(|n| format!("urn:ngsi-ld:Gauge:{n:02}")).collect()
    };
    type Test = Box<dyn Fn(u32) -> bool>;
    let cases: Vec<(&str, Test)> = vec![
        ("level >= 30", Box::new(|n| n >= 30)),
        ("level BETWEEN 5 AND 7 OR level = 39", Box::new(|n| (5..=7).contains(&n) || n == 39)),
        ("NOT (level < 30 OR address.ward = 'Koto')", Box::new(|n| n >= 30)),
        ("name LIKE 'Even %' AND level < 10", Box::new(|n| n % 2 == 0 && n < 10)),
        ("name LIKE 'odd\\_1_'", Box::new(|n| n % 2 == 1 && (10..20).contains(&n))),
        ("level IN (1, 2, 3.0, 99)", Box::new(|n| (1..=3).contains(&n))),
        ("level NOT IN (1, 2) AND level < 4", Box::new(|n| n == 0 || n == 3)),
        ("nothing IS NULL AND level = 4", Box::new(|n| n == 4)),
        ("address.ward = 'Sumida'", Box::new(|n| n >= 20)),
        ("S_INTERSECTS(location, BBOX(139.095, 35, 139.125, 36))", Box::new(|n| (10..=12).contains(&n))),
        (
            "level > 10 AND S_WITHIN(location, POLYGON((139.095 35, 139.125 35, 139.125 36, 139.095 36, 139.095 35)))",
            Box::new(|n| (11..=12).contains(&n)),
        ),
    ];
    for (filter, test) in &cases {
        assert_eq!(ids(&filtered(&client, filter)), those(&**test), "{filter}");
    }
    let boxed = client.get(&format!("{ITEMS}?bbox=139.095,35,139.125,36")).json_of(200);
    assert_eq!(ids(&boxed), those(&|n| (10..=12).contains(&n)));
    let before = client.get(&format!("{ITEMS}?datetime=../2020-01-01T00:00:00Z")).json_of(200);
    assert_eq!(before["numberMatched"], 0);
    let since = client.get(&format!("{ITEMS}?datetime=2020-01-01T00:00:00Z/..")).json_of(200);
    assert_eq!(since["numberMatched"], 40);
    for wrong in [
        "filter=level%20%3E",
        "bbox=1,2,3",
        "datetime=yesterday",
        "crs=EPSG:4326",
        "limit=0",
        "colour=red",
        "filter-lang=cql2-json",
    ] {
        assert_eq!(client.get(&format!("{ITEMS}?{wrong}")).status, 400, "{wrong}");
    }
    let told = client.get(&format!("{ITEMS}?filter={}", encode("level > 'x' ; 1"))).text();
    assert!(told.contains("character 13"), "the place is named: {told}");
    server.stop();
}
