//! What subscribers are told: everything that matches, once or with the same id, in order per
//! entity, and nothing else; whatever happens to their endpoints or to the server.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use e2e_tests::{
    Client, ENTITIES, OPERATIONS, Random, Received, Receiver, Reply, SUBSCRIPTIONS, Server, eventually, free_port,
    never_within, run,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long nothing must come where nothing may come.
const QUIET: Duration = Duration::from_millis(700);

struct City {
    folder: TempDir,
    server: Server,
    client: Client,
}

fn city() -> City {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    City { folder, server, client }
}

fn sensor(number: usize, level: u64) -> Value {
    json!({"id": format!("urn:ngsi-ld:Sensor:{number}"), "type": "Sensor", "level": {"type": "Property", "value": level}})
}

fn set_level(client: &Client, number: usize, level: u64) {
    let path = format!("{ENTITIES}/urn:ngsi-ld:Sensor:{number}/attrs/level");
    let _ = client.patch(&path, &json!({"value": level})).expect(204);
}

/// A subscription to the sensors' level; members of `more` are added or put in place.
fn subscribe(client: &Client, id: &str, url: &str, more: Value) -> String {
    let id = format!("urn:ngsi-ld:Subscription:{id}");
    let mut subscription = json!({
        "id": id, "type": "Subscription",
        "entities": [{"type": "Sensor"}],
        "watchedAttributes": ["level"],
        "notification": {"endpoint": {"uri": url, "cooldown": 50}},
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        subscription[key] = value.clone();
    }
    let _ = client.post(SUBSCRIPTIONS, &subscription).expect(201);
    id
}

fn levels_by_entity(received: &[Received]) -> BTreeMap<String, Vec<u64>> {
    let mut levels: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut seen = HashSet::new();
    for notification in received.iter().filter(|one| one.taken()) {
        if seen.insert(notification.id().to_owned()) {
            for entity in notification.data() {
                let level = entity["level"]["value"].as_u64().unwrap();
                levels.entry(entity["id"].as_str().unwrap().to_owned()).or_default().push(level);
            }
        }
    }
    levels
}

/// The id that a notification must have: made from tenant, subscription and place in the tenant's order.
fn notification_id(subscription: &str, seq: u64) -> String {
    let name = format!("7:default{}:{subscription}{seq}", subscription.len());
    format!("urn:ngsi-ld:Notification:{}", uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, name.as_bytes()))
}

fn subscription_of(client: &Client, id: &str) -> Value {
    client.get(&format!("{SUBSCRIPTIONS}/{id}")).json_of(200)
}

/// Orion-LD issue 1650: of 500 updates that one subscription asks for, some were never told.
#[test]
fn five_updates_of_each_of_a_hundred_entities_are_told_exactly_once_each() {
    const ENTITIES_MADE: usize = 100;
    const UPDATES: u64 = 5;
    let city = city();
    let receiver = Receiver::start();
    let all: Vec<Value> = (0..ENTITIES_MADE).map(|number| sensor(number, 0)).collect();
    let _ = city.client.post(&format!("{OPERATIONS}/create"), &Value::from(all)).expect(201);
    let id = subscribe(&city.client, "orion-1650", &receiver.url(), json!({}));
    std::thread::scope(|scope| {
        for part in 0..4 {
            let client = city.server.client();
            scope.spawn(move || {
                for update in 1..=UPDATES {
                    (part..ENTITIES_MADE).step_by(4).for_each(|number| set_level(&client, number, update));
                }
            });
        }
    });
    let expected_count = ENTITIES_MADE * UPDATES as usize;
    let _ = receiver.wait_for(expected_count);
    never_within(QUIET, "more was told than happened", || receiver.count() > expected_count);
    let received = receiver.all();
    // The entities and the subscription came before: places 1 to 101.
    let first = ENTITIES_MADE as u64 + 2;
    let expected: BTreeSet<String> =
        (first..first + expected_count as u64).map(|seq| notification_id(&id, seq)).collect();
    let ids: BTreeSet<String> = received.iter().map(|one| one.id().to_owned()).collect();
    assert_eq!(ids, expected);
    let levels = levels_by_entity(&received);
    assert_eq!(levels.len(), ENTITIES_MADE);
    for (entity, levels) in levels {
        assert_eq!(levels, (1..=UPDATES).collect::<Vec<_>>(), "{entity} was told out of order");
    }
}

/// Orion-LD issue 761: a batch told its entities one by one.
#[test]
fn a_batch_gives_one_notification_for_each_subscription_with_its_entities() {
    let city = city();
    let (all, odd) = (Receiver::start(), Receiver::start());
    subscribe(&city.client, "all", &all.url(), json!({}));
    let pattern = json!({"entities": [{"type": "Sensor", "idPattern": "[13579]$"}]});
    subscribe(&city.client, "odd", &odd.url(), pattern);
    let batch = |level: u64| Value::from((0..50).map(|number| sensor(number, level)).collect::<Vec<_>>());
    let _ = city.client.post(&format!("{OPERATIONS}/upsert"), &batch(1)).expect(201);
    let _ = city.client.post(&format!("{OPERATIONS}/upsert?options=update"), &batch(2)).expect(204);
    let told: Vec<usize> = all.wait_for(2).iter().map(|one| one.data().len()).collect();
    assert_eq!(told, [50, 50]);
    let told: Vec<usize> = odd.wait_for(2).iter().map(|one| one.data().len()).collect();
    assert_eq!(told, [25, 25]);
    never_within(QUIET, "a batch was told in parts", || all.count() > 2 || odd.count() > 2);
    let of_odd: Vec<u64> =
        odd.all()[1].data().iter().map(|entity| entity["level"]["value"].as_u64().unwrap()).collect();
    assert!(of_odd.iter().all(|level| *level == 2));
}

/// Orion-LD issue 1668: notifications came from outside the circle.
#[test]
fn a_geographic_subscription_tells_of_nothing_outside_its_radius() {
    let city = city();
    let receiver = Receiver::start();
    let (longitude, latitude) = (139.8174, 35.6733);
    let circle = json!({
        "watchedAttributes": ["location"],
        "geoQ": {"georel": "near;maxDistance==1000", "geometry": "Point", "coordinates": [longitude, latitude]},
    });
    subscribe(&city.client, "near", &receiver.url(), circle);
    let (mut random, _) = Random::of_this_run();
    let metres_of_degree = 111_195.0;
    let mut expected = BTreeSet::new();
    for number in 0..200 {
        // Nothing near the edge itself: which ellipsoid decides there is another test's subject.
        let inside = random.one_in(3);
        let metres = if inside { random.below(980) as f64 } else { 1_020.0 + random.below(30_000) as f64 };
        let angle = random.below(3_600) as f64 / 10.0;
        let (north, east) = (metres * angle.to_radians().cos(), metres * angle.to_radians().sin());
        let at = [
            longitude + east / (metres_of_degree * f64::to_radians(latitude).cos()),
            latitude + north / metres_of_degree,
        ];
        let id = format!("urn:ngsi-ld:Sensor:{number}");
        let entity = json!({"id": id, "type": "Sensor", "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": at}}});
        let _ = city.client.post(ENTITIES, &entity).expect(201);
        if inside {
            expected.insert(id);
        }
    }
    // One leaves the circle: it is not told of where it went.
    let leaver = expected.first().unwrap().clone();
    let far = json!({"value": {"type": "Point", "coordinates": [longitude + 1.0, latitude]}});
    let _ = city.client.patch(&format!("{ENTITIES}/{leaver}/attrs/location"), &far).expect(204);
    let received = receiver.wait_for(expected.len());
    let told: BTreeSet<String> =
        received.iter().flat_map(Received::data).map(|entity| entity["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told, expected);
    never_within(QUIET, "something outside was told", || receiver.count() > expected.len());
}

#[test]
fn an_endpoint_that_is_down_loses_nothing_and_delays_nobody() {
    let city = city();
    let port = free_port();
    let up = Receiver::start();
    let down_id = subscribe(&city.client, "down", &format!("http://127.0.0.1:{port}/notify"), json!({}));
    subscribe(&city.client, "up", &up.url(), json!({}));
    for number in 0..10 {
        let _ = city.client.post(ENTITIES, &sensor(number, 0)).expect(201);
    }
    for level in 1..=10 {
        (0..10).for_each(|number| set_level(&city.client, number, level));
    }
    let expected: Vec<u64> = (0..=10).collect();
    let everything = |received: &[Received]| {
        let levels = levels_by_entity(received);
        levels.len() == 10 && levels.values().all(|levels| *levels == expected)
    };
    eventually("the living endpoint has everything while the other is down", || everything(&up.all()).then_some(()));
    eventually("the failure is visible", || {
        (subscription_of(&city.client, &down_id)["notification"]["status"] == "failed").then_some(())
    });
    let late = Receiver::at(port);
    eventually("the endpoint that came up has everything in order", || everything(&late.all()).then_some(()));
    eventually("the success is visible", || {
        (subscription_of(&city.client, &down_id)["notification"]["status"] == "ok").then_some(())
    });
}

/// A slow endpoint takes the connection and says nothing.
#[test]
fn an_endpoint_that_never_answers_delays_nobody_else() {
    let city = city();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/notify", silent.local_addr().unwrap());
    subscribe(&city.client, "silent", &url, json!({}));
    let receiver = Receiver::start();
    subscribe(&city.client, "up", &receiver.url(), json!({}));
    let _ = city.client.post(ENTITIES, &sensor(1, 0)).expect(201);
    (1..=20).for_each(|level| set_level(&city.client, 1, level));
    let received = receiver.wait_for(21);
    assert_eq!(levels_by_entity(&received)["urn:ngsi-ld:Sensor:1"], (0..=20).collect::<Vec<_>>());
}

#[test]
fn what_waits_when_the_server_stops_or_is_killed_is_told_after_the_next_start() {
    let mut city = city();
    let port = free_port();
    subscribe(&city.client, "later", &format!("http://127.0.0.1:{port}/notify"), json!({}));
    let _ = city.client.post(ENTITIES, &sensor(1, 0)).expect(201);
    set_level(&city.client, 1, 1);
    city.server.stop();
    city.server = Server::start(city.folder.path());
    set_level(&city.server.client(), 1, 2);
    city.server.kill();
    city.server = Server::start(city.folder.path());
    set_level(&city.server.client(), 1, 3);
    let receiver = Receiver::at(port);
    eventually("all four are told in order", || {
        (levels_by_entity(&receiver.all()).get("urn:ngsi-ld:Sensor:1") == Some(&vec![0, 1, 2, 3])).then_some(())
    });
}

#[test]
fn throttling_tells_less_often_and_always_the_last_state() {
    let city = city();
    let receiver = Receiver::start();
    subscribe(&city.client, "throttled", &receiver.url(), json!({"throttling": 2}));
    for number in 0..3 {
        let _ = city.client.post(ENTITIES, &sensor(number, 0)).expect(201);
    }
    for level in 1..=30 {
        (0..3).for_each(|number| set_level(&city.client, number, level));
    }
    eventually("the last state of each is told", || {
        let levels = levels_by_entity(&receiver.all());
        (levels.len() == 3 && levels.values().all(|levels| levels.last() == Some(&30))).then_some(())
    });
    let levels = levels_by_entity(&receiver.all());
    assert!(levels.values().all(|levels| levels.is_sorted()), "{levels:?}");
    assert!(receiver.count() < 30, "{} notifications of 93 changes", receiver.count());
}

#[test]
fn a_throttled_subscription_tells_the_last_state_of_more_entities_than_one_notification_holds() {
    let city = city();
    let receiver = Receiver::start();
    subscribe(&city.client, "throttled", &receiver.url(), json!({"throttling": 1}));
    let _ = city.client.post(ENTITIES, &sensor(0, 0)).expect(201);
    let _ = receiver.wait_for(1);
    for part in 0..5 {
        let batch: Vec<Value> = (part * 500..(part + 1) * 500).map(|number| sensor(number, 7)).collect();
        let answer = city.client.post(&format!("{OPERATIONS}/upsert"), &Value::from(batch));
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
    eventually("all 2500 are told", || {
        let levels = levels_by_entity(&receiver.all());
        (levels.len() == 2_500 && levels.values().all(|levels| levels.last() == Some(&7))).then_some(())
    });
}

#[test]
fn a_repeat_carries_the_id_of_the_first_attempt() {
    let city = city();
    let attempts = AtomicUsize::new(0);
    let receiver = Receiver::deciding(0, move |_| match attempts.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::Status(500),
        1 => Reply::HangUp,
        _ => Reply::Status(200),
    });
    let id = subscribe(&city.client, "repeats", &receiver.url(), json!({}));
    let _ = city.client.post(ENTITIES, &sensor(1, 1)).expect(201);
    let received = receiver.wait_for(3);
    assert!(received.iter().all(|one| one.id() == notification_id(&id, 2)), "{received:?}");
    assert!(received.iter().all(|one| one.body["data"] == received[0].body["data"]));
    set_level(&city.client, 1, 2);
    let received = receiver.wait_for(4);
    assert_eq!(received[3].id(), notification_id(&id, 3));
    eventually("sent and failed are counted", || {
        let notification = &subscription_of(&city.client, &id)["notification"];
        (notification["timesSent"] == 2 && notification["timesFailed"] == 2).then_some(())
    });
}

#[test]
fn what_an_endpoint_refuses_becomes_a_dead_letter_that_can_be_sent_again() {
    let city = city();
    let refusing = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let decides = std::sync::Arc::clone(&refusing);
    let receiver =
        Receiver::deciding(0, move |_| Reply::Status(if decides.load(Ordering::SeqCst) { 400 } else { 204 }));
    let id = subscribe(&city.client, "refused", &receiver.url(), json!({}));
    let _ = city.client.post(ENTITIES, &sensor(1, 1)).expect(201);
    set_level(&city.client, 1, 2);
    let path = format!("/ops/v1/subscriptions/{id}/dead-letters");
    let letters = eventually("both are given up", || {
        let letters = city.client.get(&path).json_of(200);
        (letters["deadLetters"].as_array().unwrap().len() == 2).then_some(letters)
    });
    assert_eq!(letters["deadLetters"][0]["why"], "the endpoint answered 400");

    let url = city.server.url();
    let listed = run(&["subscriptions", "list", "--url", &url]);
    assert_eq!(listed.code, Some(0), "{listed:?}");
    assert!(listed.out.contains(&id) && listed.out.contains("failed 2"), "{}", listed.out);
    let shown = run(&["subscriptions", "dead-letters", &id, "--url", &url]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(shown.out.contains("the endpoint answered 400") && shown.out.contains("2 given up"), "{}", shown.out);
    let doctor = city.client.get("/ops/v1/doctor").json_of(200);
    assert_eq!(doctor["failingSubscriptions"][0]["id"], id.as_str());

    refusing.store(false, Ordering::SeqCst);
    let replayed = run(&["subscriptions", "replay", &id, "--url", &url]);
    assert_eq!((replayed.code, replayed.out.trim()), (Some(0), "2 put back"), "{replayed:?}");
    eventually("both are told in order", || {
        (levels_by_entity(&receiver.all()).get("urn:ngsi-ld:Sensor:1") == Some(&vec![1, 2])).then_some(())
    });
    let letters = city.client.get(&path).json_of(200);
    assert_eq!(letters["deadLetters"], json!([]));
    let first: BTreeSet<String> = receiver.all().iter().map(|one| one.id().to_owned()).collect();
    assert_eq!(first.len(), 2, "a replay carries the ids of the first attempts");
    let unknown = run(&["subscriptions", "dead-letters", "urn:ngsi-ld:Subscription:none", "--url", &url]);
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.err.contains("urn:ngsi-ld:Subscription:none does not exist"), "{}", unknown.err);
}

#[test]
fn a_paused_subscription_tells_nothing_of_its_pause() {
    let city = city();
    let receiver = Receiver::start();
    let id = subscribe(&city.client, "paused", &receiver.url(), json!({}));
    let path = format!("{SUBSCRIPTIONS}/{id}");
    let _ = city.client.post(ENTITIES, &sensor(1, 1)).expect(201);
    let _ = receiver.wait_for(1);
    let _ = city.client.patch(&path, &json!({"isActive": false})).expect(204);
    assert_eq!(subscription_of(&city.client, &id)["status"], "paused");
    set_level(&city.client, 1, 2);
    let _ = city.client.patch(&path, &json!({"isActive": true})).expect(204);
    assert_eq!(subscription_of(&city.client, &id)["status"], "active");
    set_level(&city.client, 1, 3);
    eventually("what came after the pause is told", || {
        (levels_by_entity(&receiver.all()).get("urn:ngsi-ld:Sensor:1") == Some(&vec![1, 3])).then_some(())
    });
}

#[test]
fn an_expired_subscription_tells_nothing_more() {
    let city = city();
    let (short, control) = (Receiver::start(), Receiver::start());
    // Far enough ahead to be accepted on a busy machine, near enough to wait for.
    let soon = std::time::SystemTime::now() + Duration::from_secs(3);
    let id = subscribe(&city.client, "short", &short.url(), json!({"expiresAt": utc(soon)}));
    subscribe(&city.client, "control", &control.url(), json!({}));
    let _ = city.client.post(ENTITIES, &sensor(1, 1)).expect(201);
    let _ = short.wait_for(1);
    eventually("it has expired", || (subscription_of(&city.client, &id)["status"] == "expired").then_some(()));
    set_level(&city.client, 1, 2);
    let _ = control.wait_for(2);
    never_within(QUIET, "an expired subscription told something", || short.count() > 1);
    let past = json!({"expiresAt": "2020-01-01T00:00:00Z"});
    let refused = city.client.patch(&format!("{SUBSCRIPTIONS}/{id}"), &past).json_of(400);
    assert!(refused["detail"].as_str().unwrap().contains("expiresAt"), "{refused}");
}

/// A time of now as ISO 8601 (days to civil date: H. Hinnant's algorithm).
fn utc(time: std::time::SystemTime) -> String {
    let seconds = time.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3_600, rest / 60 % 60, rest % 60)
}

#[test]
fn deletions_are_told_to_those_who_ask_for_them() {
    let city = city();
    let (entity, attribute, neither) = (Receiver::start(), Receiver::start(), Receiver::start());
    let trigger = |name: &str| json!({"notificationTrigger": [name]});
    subscribe(&city.client, "entity", &entity.url(), trigger("entityDeleted"));
    subscribe(&city.client, "attribute", &attribute.url(), trigger("attributeDeleted"));
    subscribe(&city.client, "neither", &neither.url(), trigger("attributeUpdated"));
    let _ = city.client.post(ENTITIES, &sensor(1, 1)).expect(201);
    let _ = city.client.post(ENTITIES, &sensor(2, 1)).expect(201);
    let _ = city.client.delete(&format!("{ENTITIES}/urn:ngsi-ld:Sensor:1")).expect(204);
    let _ = city.client.delete(&format!("{ENTITIES}/urn:ngsi-ld:Sensor:2/attrs/level")).expect(204);

    let told = entity.wait_for(1);
    assert_eq!(told[0].data().len(), 1);
    assert_eq!(
        (&told[0].data()[0]["id"], &told[0].data()[0]["type"]),
        (&json!("urn:ngsi-ld:Sensor:1"), &json!("Sensor"))
    );
    assert!(told[0].data()[0]["deletedAt"].is_string(), "{}", told[0].body);
    assert!(told[0].data()[0].get("level").is_none(), "{}", told[0].body);
    // With an entity its attributes are deleted (clause 5.8.6).
    let told = attribute.wait_for(2);
    let entities: BTreeSet<&str> = told.iter().map(|one| one.data()[0]["id"].as_str().unwrap()).collect();
    assert_eq!(entities, BTreeSet::from(["urn:ngsi-ld:Sensor:1", "urn:ngsi-ld:Sensor:2"]));
    let second = told.iter().find(|one| one.data()[0]["id"] == "urn:ngsi-ld:Sensor:2").unwrap();
    assert_eq!(second.data()[0]["level"]["value"], "urn:ngsi-ld:null", "{}", second.body);
    never_within(QUIET, "a deletion was told to others", || {
        entity.count() > 1 || attribute.count() > 2 || neither.count() > 0
    });
}

#[test]
fn creations_are_told_apart_from_updates() {
    let city = city();
    let (created, updated, made) = (Receiver::start(), Receiver::start(), Receiver::start());
    let trigger = |name: &str| json!({"notificationTrigger": [name]});
    subscribe(&city.client, "created", &created.url(), trigger("entityCreated"));
    subscribe(&city.client, "updated", &updated.url(), trigger("entityUpdated"));
    subscribe(&city.client, "made", &made.url(), trigger("attributeCreated"));
    let _ = city
        .client
        .post(
            ENTITIES,
            &json!({"id": "urn:ngsi-ld:Sensor:1", "type": "Sensor", "level": {"type": "Property", "value": 1}}),
        )
        .expect(201);
    set_level(&city.client, 1, 2);
    assert_eq!(levels_by_entity(&created.wait_for(1))["urn:ngsi-ld:Sensor:1"], [1]);
    assert_eq!(levels_by_entity(&updated.wait_for(1))["urn:ngsi-ld:Sensor:1"], [2]);
    assert_eq!(levels_by_entity(&made.wait_for(1))["urn:ngsi-ld:Sensor:1"], [1]);
    never_within(QUIET, "something was told twice", || created.count() + updated.count() + made.count() > 3);
}

#[test]
fn a_condition_is_asked_of_the_state_that_the_change_made() {
    let city = city();
    let receiver = Receiver::start();
    subscribe(&city.client, "high", &receiver.url(), json!({"q": "level>10"}));
    let _ = city.client.post(ENTITIES, &sensor(1, 0)).expect(201);
    for level in [5, 11, 9, 30, 2] {
        set_level(&city.client, 1, level);
    }
    let received = receiver.wait_for(2);
    assert_eq!(levels_by_entity(&received)["urn:ngsi-ld:Sensor:1"], [11, 30]);
    never_within(QUIET, "a low level was told", || receiver.count() > 2);
}

#[test]
fn a_notification_has_the_form_that_was_asked_for() {
    let city = city();
    let client = city.client.tenant("forms");
    let (simple, linked, geo) = (Receiver::start(), Receiver::start(), Receiver::start());
    subscribe(
        &client,
        "simple",
        &simple.url(),
        json!({"notification": {
            "attributes": ["level"], "format": "simplified",
            "endpoint": {"uri": simple.url(), "receiverInfo": [{"key": "Authorization", "value": "Bearer abc"}]},
        }}),
    );
    subscribe(
        &client,
        "linked",
        &linked.url(),
        json!({"notification": {
            "format": "concise", "sysAttrs": true,
            "endpoint": {"uri": linked.url(), "accept": "application/ld+json"},
        }}),
    );
    subscribe(
        &client,
        "geo",
        &geo.url(),
        json!({"notification": {"endpoint": {"uri": geo.url(), "accept": "application/geo+json"}}}),
    );
    let entity = json!({
        "id": "urn:ngsi-ld:Sensor:1", "type": "Sensor",
        "level": {"type": "Property", "value": 4, "unitCode": "MTR"},
        "other": {"type": "Property", "value": "hidden from the first"},
        "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [139.8, 35.7]}},
    });
    let _ = client.post(ENTITIES, &entity).expect(201);

    let one = &simple.wait_for(1)[0];
    assert_eq!(one.body["data"], json!([{"id": "urn:ngsi-ld:Sensor:1", "type": "Sensor", "level": 4}]));
    assert_eq!(one.header("authorization"), Some("Bearer abc"));
    assert_eq!(one.header("ngsild-tenant"), Some("forms"));
    assert_eq!(one.header("content-type"), Some("application/json"));
    assert!(one.header("link").is_some_and(|link| link.contains("json-ld#context")), "{:?}", one.headers);

    let one = &linked.wait_for(1)[0];
    assert_eq!(one.header("content-type"), Some("application/ld+json"));
    assert!(one.body.get("@context").is_some(), "{}", one.body);
    assert_eq!(one.data()[0]["level"]["value"], 4);
    assert_eq!(one.data()[0]["level"]["unitCode"], "MTR");
    assert!(one.data()[0]["createdAt"].is_string(), "{}", one.body);

    let one = &geo.wait_for(1)[0];
    assert_eq!(one.header("content-type"), Some("application/geo+json"));
    assert_eq!(one.body["data"]["type"], "FeatureCollection");
    assert_eq!(one.body["data"]["features"][0]["geometry"]["coordinates"], json!([139.8, 35.7]));
}

#[test]
fn a_subscription_is_kept_changed_and_removed_like_any_other_thing() {
    let city = city();
    let receiver = Receiver::start();
    let id = subscribe(&city.client, "kept", &receiver.url(), json!({"description": "the level of all sensors"}));
    let path = format!("{SUBSCRIPTIONS}/{id}");
    let again = json!({"id": id, "type": "Subscription", "entities": [{"type": "Sensor"}], "notification": {"endpoint": {"uri": receiver.url()}}});
    assert_eq!(city.client.post(SUBSCRIPTIONS, &again).status, 409);
    let listed = city.client.get(&format!("{SUBSCRIPTIONS}?count=true"));
    assert_eq!(listed.header("ngsild-results-count"), Some("1"));
    assert_eq!(listed.json()[0]["description"], "the level of all sensors");
    let _ = city.client.patch(&path, &json!({"description": "changed", "q": "level>100"})).expect(204);
    let kept = subscription_of(&city.client, &id);
    assert_eq!((&kept["description"], &kept["q"]), (&json!("changed"), &json!("level>100")));
    assert_eq!(kept["watchedAttributes"], json!(["level"]));
    let _ = city.client.post(ENTITIES, &sensor(1, 50)).expect(201);
    let _ = city.client.delete(&path).expect(204);
    assert_eq!(city.client.get(&path).status, 404);
    assert_eq!(city.client.delete(&path).status, 404);
    set_level(&city.client, 1, 500);
    never_within(QUIET, "a removed subscription told something", || receiver.count() > 0);
}

#[test]
fn an_endpoint_outside_the_allow_list_is_refused_when_the_subscription_is_made() {
    let city = city();
    for uri in
        ["http://169.254.169.254/latest", "http://192.168.1.1/notify", "mqtt://127.0.0.1/a", "file:///etc/passwd"]
    {
        let subscription = json!({"type": "Subscription", "entities": [{"type": "Sensor"}], "notification": {"endpoint": {"uri": uri}}});
        let answer = city.client.post(SUBSCRIPTIONS, &subscription);
        assert!(matches!(answer.status, 400 | 422), "{uri} was answered {}: {}", answer.status, answer.text());
        assert!(answer.json()["detail"].as_str().unwrap().contains("endpoint.uri"), "{}", answer.text());
    }
}
