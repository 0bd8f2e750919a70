//! Every door of the reference pages, and requests that name a word in every place that one can stand.
//!
//! With these, tests hunt a canary: what somebody may not see must not come, and where they name it the
//! answer must be the same as for a word that nobody ever used.

use std::path::Path;

use serde_json::{Value, json};

use crate::client::{Answer, Client};

/// A door as the reference pages list it.
#[derive(Debug)]
pub struct Door {
    pub method: String,
    pub path: String,
}

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every operation of the NGSI-LD page (`| clause | `METHOD /path` | name |`) and of our own (`## `METHOD /path``).
pub fn doors() -> Vec<Door> {
    let mut doors = Vec::new();
    let mut add = |text: &str, base: &str| {
        if let Some((method, path)) = text.trim_matches('`').split_once(' ')
            && method.chars().all(|c| c.is_ascii_uppercase())
            && path.starts_with('/')
        {
            doors.push(Door { method: method.to_owned(), path: format!("{base}{path}") });
        }
    };
    for line in page("ngsi-ld.md").lines().filter(|line| line.starts_with("| ")) {
        if let Some(cell) = line.split('|').nth(2) {
            add(cell.trim(), "/ngsi-ld/v1");
        }
    }
    for own in ["ops.md", "loop.md", "trust.md", "audit.md", "sources.md", "timetables.md", "ogc.md"] {
        page(own).lines().filter_map(|line| line.strip_prefix("## ")).for_each(|line| add(line, ""));
    }
    assert!(doors.len() >= 40, "the reference pages list only {} doors", doors.len());
    doors.extend(
        ["/health/live", "/health/ready", "/metrics"].map(|path| Door { method: "GET".into(), path: path.into() }),
    );
    doors
}

pub fn fill(path: &str, word: &str, instance: &str) -> String {
    path.replace("{entityId}", &format!("urn:ngsi-ld:Thing:{word}"))
        .replace("{subscriptionId}", &format!("urn:ngsi-ld:Subscription:{word}"))
        .replace("{attrId}", &format!("attribute-{word}"))
        .replace("{type}", &format!("Type-{word}"))
        .replace("{instanceId}", instance)
        .replace("{tokenId}", word)
        .replace("{policyId}", word)
        .replace("{suggestionId}", &format!("urn:renkei:suggestion:{word}"))
        .replace("{commandId}", &format!("urn:renkei:command:{word}"))
        .replace("{ruleId}", word)
        .replace("{accountId}", word)
        .replace("{sourceId}", word)
        .replace("{feedId}", word)
        .replace("{stopId}", word)
        .replace("{collectionId}", &format!("Type-{word}"))
        .replace("{featureId}", &format!("urn:ngsi-ld:Thing:{word}"))
        .replace("{number}", "1")
}

/// A thing whose every part holds the word.
pub fn thing(word: &str) -> Value {
    let mut entity = json!({
        "id": format!("urn:ngsi-ld:Thing:{word}"), "type": ["Thing", format!("Type-{word}")],
        "scope": format!("/{word}"),
        "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [139.8, 35.7]}},
        "owner": {"type": "Relationship", "object": format!("urn:ngsi-ld:Person:{word}")},
    });
    entity[format!("attribute-{word}")] = json!({
        "type": "Property", "value": word, "unitCode": "MTR", "datasetId": format!("urn:dataset:{word}"),
        "note": {"type": "Property", "value": format!("sub {word}")},
    });
    entity
}

pub fn subscription(word: &str, url: &str) -> Value {
    json!({
        "id": format!("urn:ngsi-ld:Subscription:{word}"), "type": "Subscription", "description": word,
        "entities": [{"type": "Thing"}],
        "notification": {"endpoint": {"uri": format!("{url}?{word}"), "cooldown": 50}},
    })
}

/// A body that fits the door, naming the word.
/// A rule that names the word wherever a rule can.
fn rule(word: &str) -> Value {
    json!({
        "name": format!("rule-{word}"), "watch": format!("Type-{word}"), "when": format!("attribute{word} > 1"),
        "suggest": {"what": word, "why": word, "within": "PT1H"},
    })
}

fn source(word: &str) -> Value {
    json!({
        "name": word, "from": {"push": {}},
        "map": {"format": "json", "id": format!("\"urn:ngsi-ld:Thing:{word}\""), "type": format!("Type-{word}"), "attributes": {"a": "row.a"}},
    })
}

fn actuator(word: &str) -> Value {
    json!({
        "type": format!("Type-{word}"), "attribute": format!("attribute-{word}"), "endpoint": format!("http://127.0.0.1:9/?{word}"),
    })
}

/// Whether a door stands open to everybody, since it shows nothing of any tenant.
#[must_use]
pub fn is_open(door: &Door) -> bool {
    door.path.starts_with("/health") || door.path == "/metrics" || door.path.starts_with("/vocab") || signs_in(door)
}

/// Whether it is a door at which people say who they are.
#[must_use]
pub fn signs_in(door: &Door) -> bool {
    door.path.starts_with("/trust/v1/sessions")
}

pub fn body_for(door: &Door, word: &str) -> Option<Value> {
    let path = door.path.as_str();
    let is_archive = path == "/gtfs/v1/feeds/{feedId}";
    if door.method == "GET"
        || is_archive
        || door.method == "DELETE"
        || ["/approve", "/replay", "/undelete", "/invitation", "/pause", "/resume", "/test", "/messages"]
            .iter()
            .any(|end| path.ends_with(end))
    {
        return None;
    }
    match path {
        "/ops/v1/rules" => return Some(rule(word)),
        "/ops/v1/actuators" => return Some(actuator(word)),
        _ if path.ends_with("/alter") => {
            let step = json!({"entity": format!("urn:ngsi-ld:Thing:{word}"), "attribute": format!("attribute-{word}"), "value": word});
            return Some(json!({"reason": word, "proposes": [step]}));
        }
        _ if path.ends_with("/reject") => return Some(json!({"reason": word})),
        _ if path.ends_with("/revoke") => return Some(json!({"reason": word})),
        _ if path.starts_with("/ops/v1/commands/") => return Some(json!({"outcome": "done", "reason": word})),
        "/ops/v1/sources" => return Some(source(word)),
        "/trust/v1/accounts" => return Some(json!({"name": word, "roles": ["auditor"], "label": word})),
        "/trust/v1/sessions" => return Some(json!({"name": word, "password": word})),
        "/trust/v1/erasures" => return Some(json!({"entity": format!("urn:ngsi-ld:Thing:{word}")})),
        "/trust/v1/tokens" => return Some(json!({"roles": ["public"], "label": word})),
        "/trust/v1/policies" => return Some(json!({"id": word, "words": format!("{word} may read Type-{word}")})),
        _ => {}
    }
    let attribute = json!({"type": "Property", "value": word, "observedAt": "2026-01-01T00:00:00Z"});
    let attributes = json!({format!("attribute-{word}"): attribute});
    let temporal = json!({format!("attribute-{word}"): [attribute]});
    Some(match path {
        _ if path.ends_with("/entityOperations/delete") => json!([format!("urn:ngsi-ld:Thing:{word}")]),
        _ if path.ends_with("/entityOperations/query") => {
            json!({"type": "Query", "entities": [{"type": format!("Type-{word}")}], "q": format!("attribute-{word}==\"{word}\"")})
        }
        _ if path.contains("/entityOperations/") => json!([thing(word)]),
        _ if path.ends_with("/{instanceId}") => attribute,
        _ if path.contains("/temporal/") && path.ends_with("/attrs") => temporal,
        _ if path.ends_with("/temporal/entities") => {
            json!({"id": format!("urn:ngsi-ld:Thing:{word}"), "type": "Thing", format!("attribute-{word}"): [attribute]})
        }
        _ if path.ends_with("/subscriptions") => subscription(word, "http://127.0.0.1:9/notify"),
        _ if path.contains("/subscriptions/") => json!({"description": word}),
        _ if path.ends_with("/attrs/{attrId}") => attribute,
        _ if path.ends_with("/attrs") => attributes,
        _ => thing(word),
    })
}

pub fn ask(client: &Client, door: &Door, path: &str, body: Option<&Value>) -> Answer {
    let request = client.request(&door.method, path);
    match body {
        Some(body) => request.json(body).answer(),
        None => request.answer(),
    }
}

/// What of an answer must not depend on what others keep.
pub fn told(answer: &Answer, word: &str) -> (u16, Vec<String>, String) {
    let mut headers: Vec<String> = answer
        .headers
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "date" | "x-request-id"))
        .map(|(name, value)| format!("{name}: {}", value.replace(word, "WORD")))
        .collect();
    headers.sort();
    // Times and fresh ids differ between any two requests.
    let mut text = answer.text().replace(word, "WORD");
    if let Ok(mut value) = serde_json::from_str::<Value>(&text) {
        blank(&mut value);
        text = value.to_string();
    }
    headers.retain(|header| !header.starts_with("content-length"));
    (answer.status, headers, text)
}

/// Blanks out what differs between any two requests: times, numbers of the running server, fresh ids.
fn blank(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if members.contains_key("token") {
                // A new token is like no other.
                for key in ["id", "who", "token", "expiresAt"] {
                    members.insert(key.to_owned(), Value::Null);
                }
            }
            for (key, value) in members.iter_mut() {
                match key.as_str() {
                    "createdAt" | "modifiedAt" | "timeStamp" | "deletedAt" | "notifiedAt" | "journal" | "followers"
                    | "instanceId" | "invitation" | "page" => *value = Value::Null,
                    "id" if value.as_str().is_some_and(|id| id.contains("List:")) => *value = Value::Null,
                    _ => blank(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(blank),
        _ => {}
    }
}
