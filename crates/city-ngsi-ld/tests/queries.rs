//! Query texts and what they mean, or where they go wrong.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use city_model::geometry::GeoRelation;
use city_model::query::Query;
use city_model::temporal::TimeRelation;
use city_model::{Time, TypeExpr};
use city_ngsi_ld::context::TermMap;
use city_ngsi_ld::query::{
    parse_geo_query, parse_q, parse_q_with, parse_query_body, parse_scope_q, parse_temporal_query, parse_type_expr,
};
use city_ngsi_ld::{ErrorKind, Mode, parse_entity};

fn car() -> city_model::Entity {
    let body = r#"{"id":"urn:ngsi-ld:Car:1","type":["Car","Taxi"],"scope":"/Koto/Ariake",
        "speed":{"value":55,"observedAt":"2025-01-31T09:00:00Z","accuracy":{"value":0.5}},
        "brand":"Mercedes \"Benz\"","free":true,"colour":{"languageMap":{"en":"red","ja":"赤"}},
        "address":{"city":"Koto","geo":{"floor":3}},"tags":["a","b"],"built":"2020-05-01",
        "parkedAt":{"object":"urn:ngsi-ld:Parking:1"},"gender":{"vocab":"Male"},
        "location":{"type":"Point","coordinates":[139.80,35.65]}}"#;
    parse_entity(body.as_bytes(), &TermMap::core(), Mode::Create).unwrap()
}

#[test]
fn q_finds_what_the_standard_says() {
    for (q, expected) in [
        ("speed", true),
        ("missing", false),
        ("!missing", true),
        ("speed==55", true),
        ("speed==55.0", true),
        ("speed!=55", false),
        ("missing!=55", false),
        ("speed>50;speed<=55", true),
        ("speed<50|speed>=55", true),
        ("speed<50|free==true;brand==\"x\"", false),
        ("(speed<50|free==true);speed", true),
        ("speed==50..60", true),
        ("speed!=50..60", false),
        ("speed==1,55,7", true),
        ("brand==\"Mercedes \\\"Benz\\\"\"", true),
        ("brand~=^Merc.*$", true),
        ("brand~=\"(Merc|Audi)\"", true),
        ("brand~=(Audi|Merc);speed", true),
        ("brand!~=Audi", true),
        ("speed.observedAt>=2025-01-31T09:00:00Z", true),
        ("speed.observedAt==\"2025-01-31T09:00:00Z\"", true),
        ("speed.observedAt>2025-01-31T09:00:00Z", false),
        ("speed.accuracy<1", true),
        ("colour==\"red\"", true),
        ("colour[en]==\"red\"", true),
        ("colour[ja]==\"red\"", false),
        ("colour[*]==\"赤\"", true),
        ("address[city]==\"Koto\"", true),
        ("address[geo.floor]>2", true),
        ("address[geo.roof]", false),
        ("tags==\"b\"", true),
        ("built>2020-01-01", true),
        ("parkedAt==urn:ngsi-ld:Parking:1", true),
        ("parkedAt==\"urn:ngsi-ld:Parking:1\",\"urn:x:2\"", true),
        ("free==false", false),
        ("ngsi-ld:default-context/free==true", true),
    ] {
        let filter = parse_q(q, &TermMap::core()).unwrap_or_else(|error| panic!("{q}: {error}"));
        assert_eq!(filter.matches(&car()), expected, "{q}");
    }
    let terms = TermMap::core();
    let expanded = parse_q_with("gender==Male", &terms, &[terms.expand("gender")]).unwrap();
    assert!(expanded.matches(&car()), "expandValues");
}

#[test]
fn q_errors_name_the_place() {
    for (q, place) in [
        ("speed==", 8),
        ("==5", 1),
        ("speed>5;", 9),
        ("speed>5;;free", 9),
        ("(speed>5", 9),
        ("speed>5)", 8),
        ("speed=5", 6),
        ("brand==\"open", 8),
        ("brand~=\"open", 8),
        ("brand~=[", 8),
        ("brand~=", 8),
        ("speed>1..2", 7),
        ("speed>true", 7),
        ("speed==1..\"b\"", 8),
        ("address[city", 13),
        ("address[]", 9),
        ("速度==\"赤\"x", 8),
    ] {
        let error = parse_q(q, &TermMap::core()).expect_err(q);
        assert!(error.message.starts_with(&format!("at character {place}:")), "{q}: {error}");
        assert_eq!(error.kind, ErrorKind::BadRequestData);
    }
    let deep = format!("{}a{}", "(".repeat(10_000), ")".repeat(10_000));
    assert_eq!(parse_q(&deep, &TermMap::core()).unwrap_err().kind, ErrorKind::TooComplexQuery);
    let long = vec!["a"; 500].join("|");
    assert_eq!(parse_q(&long, &TermMap::core()).unwrap_err().kind, ErrorKind::TooComplexQuery);
    assert_eq!(parse_q(&"a".repeat(100_000), &TermMap::core()).unwrap_err().kind, ErrorKind::TooComplexQuery);
    assert_eq!(parse_q("sensor{Device:humidity}==40", &TermMap::core()).unwrap_err().kind, ErrorKind::BadRequestData);
}

#[test]
fn types_and_scopes_are_selected() {
    let terms = TermMap::core();
    for (text, expected) in [
        ("Car", true),
        ("Bus", false),
        ("Bus,Car", true),
        ("Bus|Taxi", true),
        ("(Car;Taxi)", true),
        ("(Car;Bus)", false),
        ("(Car;Bus),Taxi", true),
    ] {
        assert_eq!(parse_type_expr(text, &terms).unwrap().matches(&car().types), expected, "{text}");
    }
    assert_eq!(
        parse_type_expr("https://x.org/a#b", &terms).unwrap(),
        TypeExpr::Type(terms.expand("https://x.org/a#b"))
    );
    for (text, place) in [("Car,", 5), ("(Car", 5), ("Car)", 4), ("a b", 1)] {
        let error = parse_type_expr(text, &terms).unwrap_err();
        assert!(error.message.starts_with(&format!("at character {place}:")), "{text}: {error}");
    }
    for (text, expected) in [
        ("/Koto/Ariake", true),
        ("/Koto/#", true),
        ("/Koto", false),
        ("/Sumida,/Koto/+", true),
        ("(/Koto/#;/Sumida/#)", false),
    ] {
        assert_eq!(parse_scope_q(text).unwrap().matches(&car().scopes), expected, "{text}");
    }
    assert!(parse_scope_q("/a//b").is_err());
}

#[test]
fn geo_queries_are_exact_or_refused() {
    let terms = TermMap::core();
    let near = parse_geo_query("near;maxDistance==2000", "Point", "[139.80,35.66]", None, &terms).unwrap();
    assert!(near.matches(&car()));
    assert_eq!(near.relation, GeoRelation::Near { distance_m_min: None, distance_m_max: Some(2000.0) });
    let both =
        parse_geo_query("near;minDistance==10;maxDistance==20.5", "Point", "[1,2]", Some("seat"), &terms).unwrap();
    assert_eq!(both.relation, GeoRelation::Near { distance_m_min: Some(10.0), distance_m_max: Some(20.5) });
    assert_eq!(both.property, terms.expand("seat"));
    let ward = "[[[139.7,35.6],[139.9,35.6],[139.9,35.7],[139.7,35.7],[139.7,35.6]]]";
    for georel in ["within", "intersects"] {
        assert!(parse_geo_query(georel, "Polygon", ward, None, &terms).unwrap().matches(&car()), "{georel}");
    }
    assert!(!parse_geo_query("disjoint", "Polygon", ward, None, &terms).unwrap().matches(&car()));
    for (georel, geometry, coordinates, part) in [
        ("nearby", "Point", "[1,2]", "georel: at character 1:"),
        ("near", "Point", "[1,2]", "georel: at character 5:"),
        ("near;maxDistance=5", "Point", "[1,2]", "georel: at character 6:"),
        ("near;maxDistance==0", "Point", "[1,2]", "georel: at character 19:"),
        ("near;maxDistance==x", "Point", "[1,2]", "georel: at character 19:"),
        ("near;far==5", "Point", "[1,2]", "georel: at character 6:"),
        ("within;maxDistance==5", "Point", "[1,2]", "georel: at character 7:"),
        ("within", "Circle", "[1,2]", "geometry:"),
        ("within", "Point", "[1,", "coordinates: at character"),
        ("within", "Point", "[1,200]", "coordinates: a position"),
        ("within", "Polygon", "[[1,2]]", "coordinates"),
        ("within", "Polygon", "[[[0,0],[1,0],[1,1],[0,1]]]", "ring"),
    ] {
        let error = parse_geo_query(georel, geometry, coordinates, None, &terms).unwrap_err().to_string();
        assert!(error.contains(part), "{georel} {geometry} {coordinates}: {error}");
    }
}

#[test]
fn temporal_queries_need_their_times() {
    let at = |text| Time::parse(text).unwrap();
    let query = parse_temporal_query(
        Some("between"),
        Some("2025-01-01T00:00:00Z"),
        Some("2025-01-02T00:00:00Z"),
        None,
        Some("5"),
    )
    .unwrap();
    assert_eq!(query.relation, Some(TimeRelation::Between(at("2025-01-01"), at("2025-01-02"))));
    assert_eq!(query.last_n, Some(5));
    for (timerel, start, end, property, last_n, path) in [
        (Some("between"), Some("2025-01-01T00:00:00Z"), None, None, None, "endTimeAt"),
        (Some("between"), Some("2025-01-02T00:00:00Z"), Some("2025-01-01T00:00:00Z"), None, None, "endTimeAt"),
        (Some("before"), None, None, None, None, "timeAt"),
        (Some("since"), Some("2025-01-02T00:00:00Z"), None, None, None, "timerel"),
        (Some("after"), Some("noon"), None, None, None, "timeAt"),
        (None, Some("2025-01-02T00:00:00Z"), None, None, None, "timerel"),
        (None, None, None, Some("seenAt"), None, "timeproperty"),
        (None, None, None, None, Some("0"), "lastN"),
        (None, None, None, None, Some("-3"), "lastN"),
    ] {
        assert_eq!(parse_temporal_query(timerel, start, end, property, last_n).unwrap_err().path, path);
    }
}

#[test]
fn a_query_document_says_the_same_as_parameters() {
    let terms = TermMap::core();
    let body = br#"{"type":"Query","entities":[{"type":"Bus"},{"type":"(Car;Taxi)","idPattern":"^urn:ngsi-ld:Car:"}],
        "q":"speed>50","geoQ":{"georel":"near;maxDistance==5000","geometry":"Point","coordinates":[139.8,35.65]},
        "scopeQ":"/Koto/#","attrs":["speed"],"temporalQ":{"timerel":"after","timeAt":"2025-01-01T00:00:00Z"}}"#;
    let parsed = parse_query_body(body, &terms).unwrap();
    assert!(parsed.query.matches(&car()));
    assert!(parsed.temporal.is_some());
    assert!(!Query { attributes: vec![terms.expand("missing")], ..parsed.query }.matches(&car()));
    for (body, path) in [
        (r#"{"type":"Subscription"}"#, "type"),
        (r#"{"entities":[]}"#, "type"),
        (r#"{"type":"Query","entities":[]}"#, "entities"),
        (r#"{"type":"Query","entities":[{"id":"seven"}]}"#, "entities[0].id"),
        (r#"{"type":"Query","entities":[{"idPattern":"("}]}"#, "entities[0].idPattern"),
        (r#"{"type":"Query","q":"a=="}"#, "q"),
        (r#"{"type":"Query","geoQ":{"georel":"within"}}"#, "geoQ.geometry"),
        (r#"{"type":"Query","join":"inline"}"#, "join"),
        (r#"{"type":"Query","what":1}"#, "what"),
    ] {
        assert_eq!(parse_query_body(body.as_bytes(), &terms).unwrap_err().path, path, "{body}");
    }
}
