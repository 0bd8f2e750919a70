//! Input that means harm or is a mistake gets a clear 4xx that names what is wrong, and the
//! server's memory stays bounded.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;

use e2e_tests::{API, Answer, Client, ENTITIES, OPERATIONS, SUBSCRIPTIONS, Server, TEMPORAL, path_with};
use serde_json::{Value, json};

const BODY_BYTES_MAX: usize = 16 << 20;
/// What a flood may add to the server's memory: all bodies together are bounded by 256 MiB, and
/// what is made of them weighs more; without that bound these floods take several GiB.
const FLOOD_BYTES_MAX: u64 = 1 << 30;

struct City {
    _folder: tempfile::TempDir,
    server: Server,
    client: Client,
}

fn city() -> City {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let entity = json!({
        "id": "urn:ngsi-ld:Thing:1", "type": "Thing",
        "level": {"type": "Property", "value": 1},
        "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [139.8, 35.7]}},
    });
    let _ = client.post(ENTITIES, &entity).expect(201);
    City { _folder: folder, server, client }
}

/// A refusal that a person can act on: status, type, title, detail that names the thing, and a code.
#[track_caller]
fn assert_clear(what: &str, answer: &Answer, statuses: &[u16], names: &str) -> String {
    assert!(statuses.contains(&answer.status), "{what} was answered {}: {}", answer.status, answer.text());
    assert!(answer.header("content-type").is_some_and(|media| media.contains("json")), "{what}: {:?}", answer.headers);
    let problem = answer.json();
    assert_eq!(problem["status"], answer.status, "{what}: {problem}");
    for member in ["type", "title", "detail", "code"] {
        assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{what}: no {member} in {problem}");
    }
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(names), "{what}: the detail does not name \"{names}\": {detail}");
    assert!(detail.len() < 2_000, "{what}: the detail is {} bytes long", detail.len());
    let code = problem["code"].as_str().unwrap().to_owned();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../docs/errors/{code}.md"));
    assert!(page.is_file(), "{what}: the code {code} has no page {}", page.display());
    code
}

fn property(value: Value) -> Value {
    json!({"id": "urn:ngsi-ld:Thing:2", "type": "Thing", "level": {"type": "Property", "value": value}})
}

#[test]
fn bodies_that_are_no_entities_are_refused_by_name() {
    let city = city();
    let deep = |depth: usize| {
        format!(
            "{{\"id\":\"urn:ngsi-ld:Thing:2\",\"type\":\"Thing\",\"level\":{{\"type\":\"Property\",\"value\":{}{}}}}}",
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("nothing", b"".to_vec(), ""),
        ("half an object", b"{\"id\":".to_vec(), ""),
        ("an array", b"[]".to_vec(), ""),
        ("a number", b"7".to_vec(), ""),
        ("null", b"null".to_vec(), ""),
        ("a comma too many", b"{\"id\":\"urn:ngsi-ld:Thing:2\",\"type\":\"Thing\",}".to_vec(), ""),
        ("two documents", b"{\"id\":\"urn:ngsi-ld:Thing:2\",\"type\":\"Thing\"}{}".to_vec(), ""),
        ("bytes that are no UTF-8", b"{\"id\":\"urn:ngsi-ld:Thing:\xff\xfe\",\"type\":\"Thing\"}".to_vec(), ""),
        ("a lone surrogate", b"{\"id\":\"urn:ngsi-ld:Thing:2\",\"type\":\"Thing\",\"level\":{\"type\":\"Property\",\"value\":\"\\ud800\"}}".to_vec(), ""),
        ("a byte order mark and nothing", b"\xef\xbb\xbf".to_vec(), ""),
        ("deep nesting", deep(100_000).into_bytes(), ""),
        ("nesting that never ends", "[".repeat(1_000_000).into_bytes(), ""),
        ("a name twice", b"{\"id\":\"urn:ngsi-ld:Thing:2\",\"type\":\"Thing\",\"level\":{\"type\":\"Property\",\"value\":1},\"level\":{\"type\":\"Property\",\"value\":2}}".to_vec(), "level"),
        ("id twice", b"{\"id\":\"urn:ngsi-ld:Thing:2\",\"id\":\"urn:ngsi-ld:Thing:3\",\"type\":\"Thing\"}".to_vec(), "id"),
        ("a value twice", b"{\"id\":\"urn:ngsi-ld:Thing:2\",\"type\":\"Thing\",\"level\":{\"type\":\"Property\",\"value\":1,\"value\":2}}".to_vec(), "value"),
        ("no id", json!({"type": "Thing"}).to_string().into_bytes(), "id"),
        ("no type", json!({"id": "urn:ngsi-ld:Thing:2"}).to_string().into_bytes(), "type"),
        ("an id that is no URI", json!({"id": "thing 2", "type": "Thing"}).to_string().into_bytes(), "id"),
        ("an id that is a number", json!({"id": 2, "type": "Thing"}).to_string().into_bytes(), "id"),
        ("a type that is a number", json!({"id": "urn:ngsi-ld:Thing:2", "type": 2}).to_string().into_bytes(), "type"),
        ("no types", json!({"id": "urn:ngsi-ld:Thing:2", "type": []}).to_string().into_bytes(), "type"),
        ("a value that is null", property(Value::Null).to_string().into_bytes(), "level"),
        ("a number past all bounds", b"{\"id\":\"urn:ngsi-ld:Thing:2\",\"type\":\"Thing\",\"level\":{\"type\":\"Property\",\"value\":1e400}}".to_vec(), ""),
        ("a bad time", json!({"id": "urn:ngsi-ld:Thing:2", "type": "Thing", "level": {"type": "Property", "value": 1, "observedAt": "yesterday"}}).to_string().into_bytes(), "observedAt"),
        ("a bad unit", json!({"id": "urn:ngsi-ld:Thing:2", "type": "Thing", "level": {"type": "Property", "value": 1, "unitCode": 7}}).to_string().into_bytes(), "unitCode"),
        ("a bad datasetId", json!({"id": "urn:ngsi-ld:Thing:2", "type": "Thing", "level": {"type": "Property", "value": 1, "datasetId": "no uri"}}).to_string().into_bytes(), "datasetId"),
        ("a datasetId twice", json!({"id": "urn:ngsi-ld:Thing:2", "type": "Thing", "level": [{"type": "Property", "value": 1}, {"type": "Property", "value": 2}]}).to_string().into_bytes(), "level"),
        ("an unknown kind of attribute", json!({"id": "urn:ngsi-ld:Thing:2", "type": "Thing", "level": {"type": "Proprety", "value": 1}}).to_string().into_bytes(), "Proprety"),
        ("a relationship to nothing", json!({"id": "urn:ngsi-ld:Thing:2", "type": "Thing", "near": {"type": "Relationship"}}).to_string().into_bytes(), "near"),
        ("a relationship to no URI", json!({"id": "urn:ngsi-ld:Thing:2", "type": "Thing", "near": {"type": "Relationship", "object": "over there"}}).to_string().into_bytes(), "near"),
        ("an open ring", json!({"id": "urn:ngsi-ld:Thing:2", "type": "Thing", "location": {"type": "GeoProperty", "value": {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1]]]}}}).to_string().into_bytes(), "location"),
        ("a place off the earth", json!({"id": "urn:ngsi-ld:Thing:2", "type": "Thing", "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [139.8, 235.7]}}}).to_string().into_bytes(), "location"),
        ("a geometry that is none", json!({"id": "urn:ngsi-ld:Thing:2", "type": "Thing", "location": {"type": "GeoProperty", "value": {"type": "Blob", "coordinates": [1, 2]}}}).to_string().into_bytes(), "location"),
        ("a scope that is none", json!({"id": "urn:ngsi-ld:Thing:2", "type": "Thing", "scope": "no slash#"}).to_string().into_bytes(), "scope"),
        ("a name of the core context", json!({"id": "urn:ngsi-ld:Thing:2", "type": "Thing", "value": {"type": "Property", "value": 1}}).to_string().into_bytes(), "value"),
        ("an attribute without a name", json!({"id": "urn:ngsi-ld:Thing:2", "type": "Thing", "": {"type": "Property", "value": 1}}).to_string().into_bytes(), ""),
        ("too many attributes", {
            let mut entity = json!({"id": "urn:ngsi-ld:Thing:2", "type": "Thing"});
            (0..5_000).for_each(|n| entity[format!("a{n}")] = json!({"type": "Property", "value": n}));
            entity.to_string().into_bytes()
        }, "4096"),
        ("too many types", json!({"id": "urn:ngsi-ld:Thing:2", "type": (0..100).map(|n| format!("T{n}")).collect::<Vec<_>>()}).to_string().into_bytes(), "type"),
        ("sub-attributes without end", {
            let mut value = json!({"type": "Property", "value": 1});
            for _ in 0..40 { value = json!({"type": "Property", "value": 1, "sub": value}); }
            json!({"id": "urn:ngsi-ld:Thing:2", "type": "Thing", "level": value}).to_string().into_bytes()
        }, "sub"),
    ];
    for (what, body, names) in cases {
        let answer = city.client.request("POST", ENTITIES).body("application/json", body).answer();
        assert_clear(what, &answer, &[400], names);
    }
    assert_eq!(city.client.get(&format!("{ENTITIES}/urn:ngsi-ld:Thing:2")).status, 404, "something refused was kept");
}

#[test]
fn what_is_too_large_is_refused_with_413() {
    let city = city();
    let large = |bytes: usize| property(Value::from("x".repeat(bytes))).to_string();
    for path in [ENTITIES.to_owned(), format!("{OPERATIONS}/upsert"), SUBSCRIPTIONS.to_owned(), TEMPORAL.to_owned()] {
        let answer = city.client.request("POST", &path).body("application/json", large(BODY_BYTES_MAX)).answer();
        assert_eq!(assert_clear(&path, &answer, &[413], &BODY_BYTES_MAX.to_string()), "SRV-003");
    }
    // One that does not say how long it is.
    let mut stream = TcpStream::connect(city.server.address()).unwrap();
    let head = format!(
        "POST {ENTITIES} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = [format!("{:x}\r\n", 1 << 20).as_bytes(), "x".repeat(1 << 20).as_bytes(), b"\r\n"].concat();
    // The server may stop reading before everything is sent.
    let _ = (0..17).try_for_each(|_| stream.write_all(&chunk)).and_then(|()| stream.write_all(b"0\r\n\r\n"));
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 413"), "{}", String::from_utf8_lossy(&answer));
    // The largest that fits is taken whole or refused for what it is, never with 413.
    let answer = city.client.request("POST", ENTITIES).body("application/json", large(BODY_BYTES_MAX - 1_000)).answer();
    assert_eq!(answer.status, 201, "{}", answer.text());
    let _ = city.client.delete(&format!("{ENTITIES}/urn:ngsi-ld:Thing:2")).expect(204);
    assert_eq!(city.client.get("/health/live").status, 200);
}

#[test]
fn media_types_that_are_not_taken_are_refused() {
    let city = city();
    let body = property(json!(1)).to_string();
    for media in [
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "application/geo+json",
        "",
        "application/json; charset=shift_jis",
    ] {
        let answer = city.client.request("POST", ENTITIES).body(media, body.clone()).answer();
        assert_clear(media, &answer, &[415], "application/json");
    }
    let answer = city.client.request("POST", ENTITIES).header("content-length", "0").answer();
    assert_clear("no media type", &answer, &[400, 415], "");
    for path in [
        format!("{ENTITIES}?type=Thing"),
        format!("{ENTITIES}/urn:ngsi-ld:Thing:1"),
        SUBSCRIPTIONS.into(),
        format!("{TEMPORAL}?type=Thing"),
    ] {
        let answer = city.client.request("GET", &path).header("accept", "text/html").answer();
        assert_clear(&path, &answer, &[406], "application/json");
    }
    let answer = city.client.request("POST", ENTITIES).body("application/ld+json", body.clone()).answer();
    assert_clear("JSON-LD without an @context", &answer, &[400], "@context");
    let with_context = json!({"@context": "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context.jsonld", "id": "urn:ngsi-ld:Thing:2", "type": "Thing"});
    let answer = city.client.request("POST", ENTITIES).body("application/json", with_context.to_string()).answer();
    assert_clear("JSON with an @context", &answer, &[400], "@context");
    let answer = city
        .client
        .request("POST", ENTITIES)
        .context("https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context.jsonld")
        .json(&with_context)
        .answer();
    assert_clear("two contexts", &answer, &[400], "Link");
    let answer = city.client.request("GET", &format!("{ENTITIES}?type=Thing")).header("link", "no brackets").answer();
    assert_clear("a Link that is none", &answer, &[400], "Link");
}

#[test]
fn contexts_that_mean_harm_are_refused() {
    let city = city();
    for context in [
        json!("file:///etc/passwd"),
        json!("http://169.254.169.254/latest/meta-data"),
        json!("ftp://example.org/c.jsonld"),
        json!("not a url"),
        json!(7),
        json!([[[["https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context.jsonld"]]]]),
        json!({"a": {"@id": "https://example.org/a", "@context": {"b": "https://example.org/b"}}}),
        json!({"a": "b:c", "b": "a:d"}),
        json!({"@import": "https://example.org/c"}),
    ] {
        let entity = json!({"@context": context, "id": "urn:ngsi-ld:Thing:2", "type": "Thing", "a": {"type": "Property", "value": 1}});
        let answer = city.client.post(ENTITIES, &entity);
        if answer.status != 201 {
            assert_clear(&context.to_string(), &answer, &[400, 503, 504], "");
            continue;
        }
        // Only contexts that JSON-LD allows may be taken.
        assert!(context.is_array() || context.get("a").is_some_and(Value::is_string), "{context} was taken");
        let _ = city.client.delete(&format!("{ENTITIES}/urn:ngsi-ld:Thing:2")).expect(204);
    }
    let many: serde_json::Map<String, Value> =
        (0..120_000).map(|n| (format!("t{n}"), json!(format!("https://example.org/{n}")))).collect();
    let entity = json!({"@context": many, "id": "urn:ngsi-ld:Thing:2", "type": "Thing"});
    assert_clear("a context of 120000 terms", &city.client.post(ENTITIES, &entity), &[400], "context");
}

#[test]
fn queries_that_cannot_be_read_are_refused_by_name() {
    let city = city();
    let many_ids = (0..1_500).map(|n| format!("a:{n}")).collect::<Vec<_>>().join(",");
    let many_conditions = vec!["level==1"; 500].join(";");
    let deep = format!("{}level==1{}", "(".repeat(200), ")".repeat(200));
    let cases: Vec<(&str, Vec<(&str, &str)>, &[u16], &str)> = vec![
        ("no question", vec![], &[400], ""),
        ("q that ends early", vec![("type", "Thing"), ("q", "level>")], &[400], "q"),
        ("q of brackets", vec![("type", "Thing"), ("q", "(((")], &[400], "q"),
        ("q with a quote that stays open", vec![("type", "Thing"), ("q", "level==\"a")], &[400], "q"),
        ("q with two operators", vec![("type", "Thing"), ("q", "level==>1")], &[400], "q"),
        ("q too deep", vec![("type", "Thing"), ("q", &deep)], &[400, 403], "q"),
        ("q too long", vec![("type", "Thing"), ("q", &many_conditions)], &[400, 403], "q"),
        ("a pattern that is none", vec![("type", "Thing"), ("idPattern", "(")], &[400], "idPattern"),
        (
            "a pattern too large",
            vec![("type", "Thing"), ("idPattern", "((a{1000}){1000}){1000}")],
            &[400, 403],
            "idPattern",
        ),
        ("a q pattern that is none", vec![("type", "Thing"), ("q", "label~=\"(\"")], &[400], "q"),
        ("an id that is none", vec![("id", "thing 1")], &[400], "id"),
        ("too many ids", vec![("id", &many_ids)], &[400, 403], "id"),
        ("a limit past the bound", vec![("type", "Thing"), ("limit", "1001")], &[403], "limit"),
        ("a limit far past the bound", vec![("type", "Thing"), ("limit", "99999999999999999999999")], &[400], "limit"),
        ("a negative limit", vec![("type", "Thing"), ("limit", "-1")], &[400], "limit"),
        ("a limit that is no number", vec![("type", "Thing"), ("limit", "ten")], &[400], "limit"),
        ("no limit and no count", vec![("type", "Thing"), ("limit", "0")], &[400], "limit"),
        ("a negative offset", vec![("type", "Thing"), ("offset", "-1")], &[400], "offset"),
        ("half a geo query", vec![("type", "Thing"), ("georel", "near;maxDistance==10")], &[400], "geometry"),
        (
            "an unknown georel",
            vec![("type", "Thing"), ("georel", "beside"), ("geometry", "Point"), ("coordinates", "[1,2]")],
            &[400],
            "georel",
        ),
        (
            "near without a distance",
            vec![("type", "Thing"), ("georel", "near"), ("geometry", "Point"), ("coordinates", "[1,2]")],
            &[400],
            "georel",
        ),
        (
            "a negative distance",
            vec![
                ("type", "Thing"),
                ("georel", "near;maxDistance==-5"),
                ("geometry", "Point"),
                ("coordinates", "[1,2]"),
            ],
            &[400],
            "metres",
        ),
        (
            "an unknown geometry",
            vec![("type", "Thing"), ("georel", "within"), ("geometry", "Circle"), ("coordinates", "[1,2]")],
            &[400],
            "geometry",
        ),
        (
            "coordinates that are none",
            vec![("type", "Thing"), ("georel", "within"), ("geometry", "Polygon"), ("coordinates", "[[1,2],[3")],
            &[400],
            "coordinates",
        ),
        (
            "coordinates of another geometry",
            vec![("type", "Thing"), ("georel", "within"), ("geometry", "Polygon"), ("coordinates", "[1,2]")],
            &[400],
            "coordinates",
        ),
        (
            "an open ring",
            vec![
                ("type", "Thing"),
                ("georel", "within"),
                ("geometry", "Polygon"),
                ("coordinates", "[[[0,0],[1,0],[1,1]]]"),
            ],
            &[400],
            "coordinates",
        ),
        ("a scope that is none", vec![("type", "Thing"), ("scopeQ", "###")], &[400], "scope"),
        ("an unknown option", vec![("type", "Thing"), ("options", "fancy")], &[400], "fancy"),
        ("an unknown parameter", vec![("type", "Thing"), ("typo", "1")], &[400], "typo"),
        ("a type that is none", vec![("type", "(Thing")], &[400], "type"),
    ];
    for (what, parameters, statuses, names) in cases {
        let answer = city.client.get(&path_with(ENTITIES, &parameters));
        assert_clear(what, &answer, statuses, names);
    }
    let temporal: Vec<(&str, Vec<(&str, &str)>, &str)> = vec![
        ("a time that is none", vec![("type", "Thing"), ("timerel", "after"), ("timeAt", "noon")], "timeAt"),
        ("timerel alone", vec![("type", "Thing"), ("timerel", "after")], "timeAt"),
        (
            "between with one end",
            vec![("type", "Thing"), ("timerel", "between"), ("timeAt", "2020-01-01T00:00:00Z")],
            "endTimeAt",
        ),
        (
            "an unknown timerel",
            vec![("type", "Thing"), ("timerel", "around"), ("timeAt", "2020-01-01T00:00:00Z")],
            "timerel",
        ),
        (
            "an unknown time",
            vec![
                ("type", "Thing"),
                ("timerel", "after"),
                ("timeAt", "2020-01-01T00:00:00Z"),
                ("timeproperty", "bornAt"),
            ],
            "timeproperty",
        ),
        ("lastN of none", vec![("type", "Thing"), ("lastN", "0")], "lastN"),
        ("lastN of words", vec![("type", "Thing"), ("lastN", "few")], "lastN"),
    ];
    for (what, parameters, names) in temporal {
        assert_clear(what, &city.client.get(&path_with(TEMPORAL, &parameters)), &[400], names);
    }
    for (what, query) in [
        ("a name twice", "type=Thing&type=Other".to_owned()),
        ("many parameters", (0..500).map(|n| format!("p{n}={n}")).collect::<Vec<_>>().join("&")),
        ("half an escape", "type=%E3%81".to_owned()),
        ("an escape that is none", "type=%zz".to_owned()),
        ("bytes that are no UTF-8", "type=%ff%fe".to_owned()),
    ] {
        assert_clear(what, &city.client.get(&format!("{ENTITIES}?{query}")), &[400], "");
    }
}

#[test]
fn paths_that_lead_nowhere_are_answered_clearly() {
    let city = city();
    assert_clear("an unknown path", &city.client.get("/nowhere"), &[404], "/nowhere");
    assert_clear(
        "an unknown entity",
        &city.client.get(&format!("{ENTITIES}/urn:ngsi-ld:Thing:9")),
        &[404],
        "urn:ngsi-ld:Thing:9",
    );
    assert_clear("an id that is none", &city.client.get(&format!("{ENTITIES}/thing%209")), &[400], "thing 9");
    assert_clear(
        "an unknown attribute",
        &city.client.delete(&format!("{ENTITIES}/urn:ngsi-ld:Thing:1/attrs/missing")),
        &[404],
        "missing",
    );
    assert_clear(
        "an unknown subscription",
        &city.client.get(&format!("{SUBSCRIPTIONS}/urn:ngsi-ld:Subscription:9")),
        &[404],
        "urn:ngsi-ld:Subscription:9",
    );
    assert_clear("an unknown type", &city.client.get(&format!("{API}/types/Nothing")), &[404], "Nothing");
    let answer = city.client.request("PUT", ENTITIES).json(&json!({})).answer();
    assert_clear("another method", &answer, &[405], "PUT");
    assert!(answer.header("allow").unwrap().contains("GET"), "{:?}", answer.headers);
    let again = json!({"id": "urn:ngsi-ld:Thing:1", "type": "Thing"});
    assert_clear("one that exists", &city.client.post(ENTITIES, &again), &[409], "urn:ngsi-ld:Thing:1");
    for bad in
        ["/%00", "/..%2f..%2fetc%2fpasswd", "/ngsi-ld/v1/entities/%ff", "//", "/ngsi-ld/v1/entities/../../metrics"]
    {
        let status = city.client.get(bad).status;
        assert!((400..500).contains(&status), "{bad} was answered {status}");
    }
}

#[test]
fn requests_that_are_no_http_do_not_hurt() {
    let city = city();
    let long = "x".repeat(64 << 10);
    for (what, bytes) in [
        ("noise", b"\x00\x01\x02\x03\r\n\r\n".to_vec()),
        ("no version", b"GET /health/live\r\n\r\n".to_vec()),
        ("a long path", format!("GET /{long} HTTP/1.1\r\nhost: x\r\n\r\n").into_bytes()),
        ("a long header", format!("GET /health/live HTTP/1.1\r\nhost: x\r\nx-a: {long}\r\n\r\n").into_bytes()),
        ("many headers", format!("GET /health/live HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(5_000)).into_bytes()),
        ("two lengths", b"POST /ngsi-ld/v1/entities HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc".to_vec()),
        ("a negative length", b"POST /ngsi-ld/v1/entities HTTP/1.1\r\nhost: x\r\ncontent-length: -3\r\n\r\n".to_vec()),
        ("length and chunks", b"POST /ngsi-ld/v1/entities HTTP/1.1\r\nhost: x\r\ncontent-length: 30\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".to_vec()),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
    ] {
        // An answer below 500 or a closed connection, both are fine.
        let mut stream = TcpStream::connect(city.server.address()).unwrap();
        let _ = stream.write_all(&bytes).and_then(|()| stream.shutdown(std::net::Shutdown::Write));
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(!answer.starts_with("HTTP/1.1 2") && !answer.starts_with("HTTP/1.1 5"), "{what} was answered {answer}");
    }
    assert_eq!(city.client.get("/health/live").status, 200);
    assert_eq!(city.client.get(&format!("{ENTITIES}/urn:ngsi-ld:Thing:1")).status, 200);
}

#[test]
fn bad_elements_of_a_batch_are_named_and_the_others_are_kept() {
    let city = city();
    let body = json!([
        {"id": "urn:ngsi-ld:Good:1", "type": "Good", "level": {"type": "Property", "value": 1}},
        {"id": "urn:ngsi-ld:Bad:1", "type": "Bad", "level": {"type": "Property"}},
        {"id": "not a uri", "type": "Bad"},
        {"id": "urn:ngsi-ld:Good:2", "type": "Good"},
    ]);
    let result = city.client.post(&format!("{OPERATIONS}/create"), &body).json_of(207);
    assert_eq!(result["success"], json!(["urn:ngsi-ld:Good:1", "urn:ngsi-ld:Good:2"]));
    let failed: Vec<&str> =
        result["errors"].as_array().unwrap().iter().map(|error| error["entityId"].as_str().unwrap()).collect();
    assert_eq!(failed, ["urn:ngsi-ld:Bad:1", "not a uri"]);
    for error in result["errors"].as_array().unwrap() {
        assert!(error["error"]["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{error}");
    }
    for (what, body) in
        [("an object", json!({})), ("nothing", json!([])), ("numbers", json!([1, 2])), ("null", Value::Null)]
    {
        let answer = city.client.post(&format!("{OPERATIONS}/create"), &body);
        assert!(matches!(answer.status, 207 | 400), "{what} was answered {}: {}", answer.status, answer.text());
    }
}

#[test]
fn subscriptions_that_cannot_be_kept_are_refused_by_name() {
    let city = city();
    let good = json!({"type": "Subscription", "entities": [{"type": "Thing"}], "notification": {"endpoint": {"uri": "http://127.0.0.1:9/"}}});
    let mut cases: Vec<(Value, &str)> = vec![
        (json!({}), "type"),
        (json!({"type": "Subscription", "entities": [{"type": "Thing"}]}), "notification"),
        (json!({"type": "Subscription", "notification": {"endpoint": {"uri": "http://127.0.0.1:9/"}}}), "entities"),
        (
            json!({"type": "Subscription", "entities": [], "notification": {"endpoint": {"uri": "http://127.0.0.1:9/"}}}),
            "entities",
        ),
        (json!({"type": "Subscription", "entities": [{"type": "Thing"}], "notification": {"endpoint": {}}}), "uri"),
    ];
    for (member, value) in [
        ("q", json!("level>")),
        ("geoQ", json!({"georel": "near"})),
        ("throttling", json!(-1)),
        ("expiresAt", json!("2001-01-01T00:00:00Z")),
        ("watchedAttributes", json!("level")),
        ("notificationTrigger", json!(["sometimes"])),
        ("isActive", json!("yes")),
        ("favourite", json!(1)),
        ("id", json!("not a uri")),
    ] {
        let mut subscription = good.clone();
        subscription[member] = value;
        cases.push((subscription, member));
    }
    for (subscription, names) in cases {
        let answer = city.client.post(SUBSCRIPTIONS, &subscription);
        assert_clear(&subscription.to_string(), &answer, &[400], names);
    }
    assert_eq!(city.client.get(SUBSCRIPTIONS).json_of(200), json!([]));
}

#[test]
fn a_flood_of_large_bodies_leaves_the_memory_bounded() {
    let city = city();
    let before = city.server.resident_bytes();
    let fill = BODY_BYTES_MAX - 200;
    let bodies = [
        format!(
            "{{\"id\":\"urn:ngsi-ld:Thing:2\",\"type\":\"Thing\",\"level\":{{\"type\":\"Property\",\"value\":\"{}",
            "x".repeat(fill)
        ),
        "[".repeat(fill),
        format!("[{}", "{\"a\":".repeat(fill / 5)),
        format!("[{}1]", "1,".repeat(fill / 2)),
        format!("{{{}}}", "\"a\":1,".repeat(fill / 6)),
    ];
    let mut peak = 0;
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..24)
            .map(|sender| {
                let (client, body) = (city.server.client(), &bodies[sender % bodies.len()]);
                scope.spawn(move || {
                    for _ in 0..2 {
                        let path = if sender % 2 == 0 { ENTITIES.to_owned() } else { format!("{OPERATIONS}/upsert") };
                        let answer = match client.request("POST", &path).body("application/json", body.clone()).send() {
                            Ok(answer) => answer,
                            // Who is refused while still sending may lose the answer with the connection (RFC 9112, 9.6).
                            Err(error)
                                if [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset].contains(&error.kind()) =>
                            {
                                continue;
                            }
                            Err(error) => panic!("{path} was not answered: {error}"),
                        };
                        assert!(
                            matches!(answer.status, 400 | 413 | 207 | 429 | 503),
                            "{}: {}",
                            answer.status,
                            answer.text()
                        );
                    }
                })
            })
            .collect();
        while senders.iter().any(|sender| !sender.is_finished()) {
            peak = peak.max(city.server.resident_bytes());
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    });
    println!(
        "resident: {} MiB before, {} MiB at the peak, {} MiB after",
        before >> 20,
        peak >> 20,
        city.server.resident_bytes() >> 20
    );
    assert!(peak < before + FLOOD_BYTES_MAX, "from {before} to {peak} bytes");
    assert_eq!(city.client.get(&format!("{ENTITIES}/urn:ngsi-ld:Thing:1")).status, 200);
}

/// What one body may add to the server's memory while it is read.
const BODY_OF_VALUES_BYTES_MAX: u64 = 320 << 20;

#[test]
fn a_body_of_bare_numbers_is_refused_for_their_number_and_one_within_the_bound_is_taken() {
    const VALUES_MAX: usize = 1_000_000;
    let city = city();
    let numbers = |count: usize| {
        let list = format!("[{}1]", "1,".repeat(count - 1));
        format!(
            "{{\"id\":\"urn:ngsi-ld:Thing:2\",\"type\":\"Thing\",\"level\":{{\"type\":\"Property\",\"value\":{list}}}}}"
        )
    };
    let before = city.server.resident_bytes();
    let mut peak = before;
    let mut send = |path: &str, body: String| {
        let client = city.server.client();
        std::thread::scope(|scope| {
            let sent = scope.spawn(move || client.request("POST", path).body("application/json", body).answer());
            while !sent.is_finished() {
                peak = peak.max(city.server.resident_bytes());
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            sent.join().unwrap()
        })
    };
    let most = (BODY_BYTES_MAX - 200) / 2;
    let nested = format!("[{}1]", "{\"a\":[1]},".repeat(BODY_BYTES_MAX / 12));
    for (path, body) in [
        (ENTITIES.to_owned(), numbers(most)),
        (format!("{OPERATIONS}/upsert"), format!("[{}]", numbers(most))),
        (SUBSCRIPTIONS.to_owned(), numbers(most)),
        (TEMPORAL.to_owned(), numbers(VALUES_MAX)),
        (format!("{OPERATIONS}/create"), nested),
    ] {
        let answer = send(&path, body);
        assert_eq!(assert_clear(&path, &answer, &[413], &VALUES_MAX.to_string()), "SRV-015");
    }
    let answer = send(ENTITIES, numbers(VALUES_MAX - 20));
    assert_eq!(answer.status, 201, "{}", answer.text());
    println!("resident: {} MiB before, {} MiB at the peak", before >> 20, peak >> 20);
    assert!(peak < before + BODY_OF_VALUES_BYTES_MAX, "from {before} to {peak} bytes");
}

/// Each connection holds back the last byte of a body at the bound: what waits must be bounded too.
#[test]
fn bodies_that_never_end_leave_the_memory_bounded() {
    let city = city();
    let before = city.server.resident_bytes();
    let head = format!(
        "POST {ENTITIES} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {BODY_BYTES_MAX}\r\n\r\n"
    );
    let body = vec![b' '; BODY_BYTES_MAX - 1];
    let mut peak = 0;
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..80)
            .map(|_| {
                let (head, body) = (&head, &body);
                let address = city.server.address().to_owned();
                scope.spawn(move || {
                    let mut stream = TcpStream::connect(address).unwrap();
                    stream.set_read_timeout(Some(std::time::Duration::from_secs(2))).unwrap();
                    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
                    let _ = stream.read(&mut [0; 1_024]);
                })
            })
            .collect();
        while senders.iter().any(|sender| !sender.is_finished()) {
            peak = peak.max(city.server.resident_bytes());
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    });
    println!("resident: {} MiB before, {} MiB at the peak", before >> 20, peak >> 20);
    assert!(peak < before + FLOOD_BYTES_MAX, "80 bodies that never end took it from {before} to {peak} bytes");
    assert_eq!(city.client.get(&format!("{ENTITIES}/urn:ngsi-ld:Thing:1")).status, 200);
}

#[test]
fn every_error_code_that_the_pages_list_is_one_page_with_what_to_do() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors");
    let pages: BTreeSet<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name != "README.md")
        .collect();
    assert!(!pages.is_empty(), "{} holds no pages", folder.display());
    for page in pages {
        let text = std::fs::read_to_string(folder.join(&page)).unwrap();
        let code = page.trim_end_matches(".md");
        assert!(text.starts_with(&format!("# {code}")), "{page} does not begin with its code");
        assert!(text.len() > 100, "{page} says nothing");
    }
}
