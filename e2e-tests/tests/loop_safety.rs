//! The loop where something goes wrong: a target that answers late, a reader who may not see, a class that hides,
//! a subscription to a machine, a restored folder.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

mod control;

use std::sync::atomic::{AtomicUsize, Ordering};

use control::{
    BARRIER, COMMANDS, SUGGESTIONS, actuator, barrier, closed, command_is, decide, is, read, record, rule, set_up,
    suggested, suggestions, token,
};
use e2e_tests::{
    Client, ENTITIES, Receiver, Reply, SUBSCRIPTIONS, Server, encode, eventually, free_port, path_with, run,
};
use serde_json::{Value, json};

/// Answers one after the other; the last one ever after.
fn answering(port: u16, replies: &'static [Reply]) -> Receiver {
    let asked = AtomicUsize::new(0);
    Receiver::deciding(port, move |_| {
        let which = asked.fetch_add(1, Ordering::SeqCst);
        replies[which.min(replies.len() - 1)]
    })
}

fn approved(client: &Client) -> String {
    let id = suggested(client);
    is(decide(client, &id, "approve", &json!({})), 200);
    id
}

fn policy(operator: &Client, words: &str) {
    is(operator.post("/trust/v1/policies", &json!({"words": words})), 201);
}

fn command_of(record: &Value) -> String {
    record["commands"][0]["id"].as_str().unwrap().to_owned()
}

#[test]
fn what_an_earlier_try_may_have_done_is_not_undone_by_a_later_one() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    // It hung up, and says no to the repeat: nobody knows what it did.
    let target = answering(0, &[Reply::HangUp, Reply::Status(409)]);
    set_up(&client, &actuator(&target.url()), "PT30M");
    read(&client, 3.0);
    let id = approved(&client);
    let unknown = command_is(&client, &id, "unknown");
    assert_eq!(unknown["acknowledgements"], json!([]), "nobody has said what became of it");
    assert_eq!(target.count(), 2);

    // It hung up, and cannot be reached from then on.
    let port = free_port();
    let gone = answering(port, &[Reply::HangUp]);
    let mut short = actuator(&format!("http://127.0.0.1:{port}/"));
    short["lifetimeSeconds"] = 3.into();
    is(client.post("/ops/v1/actuators", &short), 200);
    read(&client, 1.0);
    read(&client, 3.0);
    let id = approved(&client);
    let _ = gone.wait_for(1);
    drop(gone);
    let unreached = eventually("tries that reach nothing", || {
        Some(record(&client, &id)).filter(|record| record["commands"][0]["attempts"].as_u64().unwrap() > 2)
    });
    assert_eq!(unreached["commands"][0]["status"], "sent", "{unreached}");
    let revoke = format!("{COMMANDS}/{}/revoke", encode(&command_of(&unreached)));
    assert_eq!(client.post(&revoke, &json!({"reason": "no"})).json_of(409)["code"], "ACT-013");
    command_is(&client, &id, "unknown");
}

#[test]
fn two_persons_approve_the_same_altered_thing() {
    let folder = tempfile::tempdir().unwrap();
    let (server, operator) = closed(folder.path());
    let target = answering(0, &[Reply::Status(200)]);
    let mut actuator = actuator(&target.url());
    actuator["persons"] = 2.into();
    set_up(&operator, &actuator, "PT30M");
    read(&operator, 3.0);
    let id = suggested(&operator);
    let [first, second] = ["first", "second"].map(|_| server.client().token(&token(&operator, "approver")));
    is(decide(&first, &id, "approve", &json!({})), 200);
    let half =
        json!({"reason": "half", "proposes": [{"entity": BARRIER, "attribute": "setPosition", "value": "open"}]});
    let altered = decide(&second, &id, "alter", &half).json_of(200);
    assert_eq!(altered["suggestion"]["status"], "open", "nobody else has approved that: {altered}");
    assert_eq!((&altered["suggestion"]["approvals"], target.count()), (&json!(1), 0));
    assert_eq!(decide(&second, &id, "approve", &json!({})).json_of(409)["code"], "ACT-011");
    // Who approved what was suggested has not approved this yet.
    let done = decide(&first, &id, "approve", &json!({})).json_of(200);
    assert_eq!((&done["suggestion"]["status"], done["decisions"].as_array().unwrap().len()), (&json!("altered"), 3));
    command_is(&operator, &id, "acknowledged");
    assert_eq!(target.all()[0].body["value"], "open");
}

#[test]
fn commands_of_one_target_leave_in_the_order_of_their_decisions() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let target = answering(0, &[Reply::Status(200)]);
    set_up(&client, &actuator(&target.url()), "PT30M");
    for which in 0..20 {
        let id = format!("urn:ngsi-ld:WaterObserved:{which}");
        let level = json!({"type": "Property", "value": 3});
        is(client.post(ENTITIES, &json!({"id": id, "type": "WaterObserved", "waterLevel": level})), 201);
    }
    let open = eventually("all", || Some(suggestions(&client, "open")).filter(|open| open.len() == 20));
    let mut decided = Vec::new();
    for one in &open {
        let record = decide(&client, one["id"].as_str().unwrap(), "approve", &json!({})).json_of(200);
        decided.push(command_of(&record));
    }
    let sent: Vec<String> = target.wait_for(20).iter().map(|one| one.body["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(sent, decided);
}

#[test]
fn an_acknowledgement_and_what_it_moves_are_one_write() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let target = answering(0, &[Reply::Status(200)]);
    set_up(&client, &actuator(&target.url()), "PT30M");
    read(&client, 3.0);
    let id = approved(&client);
    let done = command_is(&client, &id, "acknowledged");
    let changed = |id: &str, attribute: &str| {
        let entity = client.get(&format!("{ENTITIES}/{}?options=sysAttrs", encode(id))).json_of(200);
        entity[attribute]["modifiedAt"].as_str().unwrap_or_else(|| panic!("{entity}")).to_owned()
    };
    assert_eq!(changed(BARRIER, "setPosition"), changed(&command_of(&done), "status"));
}

#[test]
fn a_reader_of_suggestions_sees_no_value_that_is_hidden_from_them_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let (server, operator) = closed(folder.path());
    let target = answering(0, &[Reply::Status(200)]);
    set_up(&operator, &actuator(&target.url()), "PT30M");
    policy(&operator, "role approver may not read waterLevel, location of WaterObserved");
    let reader = server.client().token(&token(&operator, "approver"));
    let told = Receiver::start();
    for kind in ["Suggestion", "Effect"] {
        let endpoint = json!({"uri": told.url(), "accept": "application/json"});
        let entities = json!([{"type": format!("urn:renkei:v1:{kind}")}]);
        let asked = json!({"type": "Subscription", "entities": entities, "notification": {"endpoint": endpoint}});
        is(reader.post(SUBSCRIPTIONS, &asked), 201);
    }
    read(&operator, 2.314);
    let id = approved(&operator);
    command_is(&operator, &id, "acknowledged");
    eventually("its effect", || record(&operator, &id)["effects"][0].is_object().then_some(()));
    assert!(record(&operator, &id).to_string().contains("2.314"));

    let seen = record(&reader, &id);
    assert!(!seen.to_string().contains("2.314"), "{seen}");
    let suggestion = &seen["suggestion"];
    assert!(suggestion["why"].as_str().unwrap().contains("withheld"), "{suggestion}");
    assert_eq!(suggestion["evidence"][0]["withheld"], true);
    assert_eq!(suggestion["withheld"], json!(["evidence", "what", "why", "expects", "location"]));
    assert_eq!((&seen["effects"][0]["before"], &seen["commands"][0]["status"]), (&json!(null), &json!("acknowledged")));
    for path in [
        SUGGESTIONS.to_owned(),
        format!("{ENTITIES}/{}", encode(&id)),
        format!("{ENTITIES}?type=urn:renkei:v1:Suggestion,urn:renkei:v1:Effect"),
        format!("/ngsi-ld/v1/temporal/entities/{}", encode(&id)),
        path_with("/sql/v1/query", &[("q", "SELECT * FROM attributes")]),
        path_with("/sql/v1/query", &[("q", "SELECT * FROM history")]),
    ] {
        let answer = reader.get(&path).expect(200).text();
        assert!(!answer.contains("2.314") && !answer.contains("139.7"), "{path}: {answer}");
    }
    let effect = seen["effects"][0]["id"].as_str().unwrap();
    let all = eventually("it is told of the effect", || {
        let all: String = told.all().iter().map(|one| one.body.to_string()).collect();
        all.contains(effect).then_some(all)
    });
    assert!(all.contains(&id) && !all.contains("2.314") && !all.contains("139.7"), "{all}");
}

#[test]
fn classing_words_that_the_loop_shares_hides_none_of_its_papers() {
    let folder = tempfile::tempdir().unwrap();
    let (server, operator) = closed(folder.path());
    for attribute in ["status", "reason", "detail", "expiresAt"] {
        is(operator.post("/trust/v1/classes", &json!({"attribute": attribute, "class": "personal"})), 200);
    }
    let target = answering(0, &[Reply::Status(409)]);
    set_up(&operator, &actuator(&target.url()), "PT30M");
    read(&operator, 3.0);
    let approver = server.client().token(&token(&operator, "approver"));
    let id = suggested(&approver);
    is(decide(&approver, &id, "approve", &json!({"reason": "as agreed"})), 200);
    let refused = command_is(&approver, &id, "refused");
    assert_eq!(refused["decisions"][0]["reason"], "as agreed");
    assert!(refused["acknowledgements"][0]["detail"].is_string() && refused["commands"][0]["expiresAt"].is_string());
    let listed = approver.get(&format!("{COMMANDS}?status=refused")).json_of(200);
    assert_eq!(listed["commands"].as_array().unwrap().len(), 1);
    // A paper is no person that could be erased.
    let erased = operator.post("/trust/v1/erasures", &json!({"entity": id}));
    assert!(erased.status == 403 && erased.text().contains("suggestions, decisions"), "{}", erased.text());
    assert_eq!(record(&approver, &id)["commands"][0]["status"], "refused");
    // Of other things they are what they were classed as.
    let person =
        json!({"id": "urn:ngsi-ld:Person:1", "type": "Person", "status": {"type": "Property", "value": "ill"}});
    is(operator.post(ENTITIES, &person), 201);
    assert!(!approver.get(&format!("{ENTITIES}?type=Person")).expect(200).text().contains("ill"));
}

#[test]
fn of_several_actuators_the_strictest_holds() {
    let folder = tempfile::tempdir().unwrap();
    let (server, operator) = closed(folder.path());
    let [lax, strict] = [(); 2].map(|()| answering(0, &[Reply::Status(200)]));
    let mut both = barrier();
    both["type"] = json!(["Barrier", "FloodBarrier"]);
    is(operator.post(ENTITIES, &both), 201);
    let mut other = actuator(&lax.url());
    (other["type"], other["values"]) = ("Barrier".into(), json!(["closed", "ajar"]));
    is(operator.post("/ops/v1/actuators", &other), 201);
    let mut own = actuator(&strict.url());
    own["persons"] = 2.into();
    is(operator.post("/ops/v1/actuators", &own), 201);
    is(operator.post("/ops/v1/rules", &rule("PT30M")), 201);
    read(&operator, 3.0);
    let id = suggested(&operator);
    let ajar = json!({"reason": "x", "proposes": [{"entity": BARRIER, "attribute": "setPosition", "value": "ajar"}]});
    assert_eq!(decide(&operator, &id, "alter", &ajar).status, 422, "each of them must admit it");
    let once = decide(&operator, &id, "approve", &json!({})).json_of(200);
    assert_eq!(once["suggestion"]["status"], "open", "one of them asks for two persons");
    let approver = server.client().token(&token(&operator, "approver"));
    is(decide(&approver, &id, "approve", &json!({})), 200);
    command_is(&operator, &id, "acknowledged");
    assert_eq!((strict.count(), lax.count()), (1, 0));
}

#[test]
fn nothing_but_commands_is_posted_to_an_actuator() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let target = answering(0, &[Reply::Status(200)]);
    set_up(&client, &actuator(&target.url()), "PT30M");
    let subscription = |uri: &str| {
        let endpoint = json!({"uri": uri, "accept": "application/json"});
        json!({"type": "Subscription", "entities": [{"type": "WaterObserved"}], "notification": {"endpoint": endpoint}})
    };
    let url = target.url();
    for uri in [url.clone(), format!("{url}?as=other"), url.replace("/notify", "/./%6eotify")] {
        let refused = client.post(SUBSCRIPTIONS, &subscription(&uri));
        assert!(refused.status == 400 && refused.text().contains("actuator"), "{uri}: {}", refused.text());
        let elsewhere = client.tenant("other");
        assert_eq!(elsewhere.post(SUBSCRIPTIONS, &subscription(&uri)).status, 400, "{uri} in another tenant");
    }
    let told = Receiver::start();
    let made = client.post(SUBSCRIPTIONS, &subscription(&told.url()));
    let path = made.header("location").unwrap().to_owned();
    is(made, 201);
    let moved = json!({"notification": {"endpoint": {"uri": url, "accept": "application/json"}}});
    assert_eq!(client.patch(&path, &moved).status, 400);
    // And no machine is put where a subscription posts.
    let mut taken = actuator(&told.url());
    taken["type"] = "Gate".into();
    let refused = client.post("/ops/v1/actuators", &taken);
    assert!(refused.status == 400 && refused.text().contains("subscription"), "{}", refused.text());
    is(client.delete(&path), 204);
    is(client.post("/ops/v1/actuators", &taken), 201);
    is(client.delete("/ops/v1/actuators/Gate/setPosition"), 204);
    is(client.post(SUBSCRIPTIONS, &subscription(&told.url())), 201);
}

#[test]
fn the_list_shows_every_open_suggestion_whatever_its_limit() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    set_up(&client, &actuator("http://127.0.0.1:9/"), "PT30M");
    for which in 0..5 {
        let id = format!("urn:ngsi-ld:WaterObserved:{which}");
        let level = json!({"type": "Property", "value": 3});
        is(client.post(ENTITIES, &json!({"id": id, "type": "WaterObserved", "waterLevel": level})), 201);
    }
    let open = eventually("all", || Some(suggestions(&client, "open")).filter(|open| open.len() == 5));
    // The newest ones are decided; the oldest still wait.
    for one in &open[3..] {
        is(decide(&client, one["id"].as_str().unwrap(), "reject", &json!({"reason": "no"})), 200);
    }
    for path in [format!("{SUGGESTIONS}?limit=1"), format!("{SUGGESTIONS}?limit=1&status=open")] {
        let listed = client.get(&path).json_of(200)["suggestions"].clone();
        let waiting = listed.as_array().unwrap().iter().filter(|one| one["status"] == "open").count();
        assert_eq!(waiting, 3, "{path}: {listed}");
    }
    assert_eq!(client.get(&format!("{SUGGESTIONS}?limit=1")).json_of(200)["suggestions"].as_array().unwrap().len(), 4);
}

#[test]
fn who_may_not_write_what_was_commanded_acknowledges_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (server, operator) = closed(folder.path());
    let target = answering(0, &[Reply::Status(202)]);
    set_up(&operator, &actuator(&target.url()), "PT30M");
    policy(&operator, "role developer may write name of FloodBarrier");
    read(&operator, 3.0);
    let id = approved(&operator);
    let sent = command_is(&operator, &id, "sent");
    let path = format!("{COMMANDS}/{}/acknowledgement", encode(&command_of(&sent)));
    let other = server.client().token(&token(&operator, "developer"));
    is(other.post(&path, &json!({"outcome": "done"})), 404);
    policy(&operator, "role developer may write setPosition of FloodBarrier");
    is(other.post(&path, &json!({"outcome": "done"})), 204);
    command_is(&operator, &id, "acknowledged");
}

#[test]
fn a_target_that_calls_back_before_it_answers_is_heard_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let address = server.address().to_owned();
    let target = Receiver::deciding(0, move |told| {
        let path = format!("{COMMANDS}/{}/acknowledgement", encode(told.body["id"].as_str().unwrap()));
        let back = Client::new(&address);
        is(back.post(&path, &json!({"outcome": "done", "detail": "called back"})), 204);
        Reply::Status(200)
    });
    set_up(&client, &actuator(&target.url()), "PT30M");
    read(&client, 3.0);
    let id = approved(&client);
    let _ = target.wait_for(1);
    let done = command_is(&client, &id, "acknowledged");
    assert_eq!(done["acknowledgements"].as_array().unwrap().len(), 1, "{done}");
    // Another command of the same target goes through: the first one left the lane.
    read(&client, 1.0);
    read(&client, 3.0);
    let second = approved(&client);
    command_is(&client, &second, "acknowledged");
    assert!(!server.log().contains("a command waits"), "{}", server.log());
}

#[test]
fn a_rule_in_json_is_read_as_json() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let body = r#"{"name": "flood", "watch": "WaterObserved", "when": "waterLevel > 2.0",
        "suggest": {"what": "Close it \ud83c\udf0a", "why": "x\u0085", "within": "PT30M"}}"#;
    let added = client.request("POST", "/ops/v1/rules").body("application/json", body).answer().json_of(201);
    assert_eq!(added["suggests"]["what"], "Close it 🌊");
    let yaml = "name: other\nwatch: WaterObserved\n";
    is(client.request("POST", "/ops/v1/rules").body("application/json", yaml).answer(), 400);
}

#[test]
fn a_restored_server_sends_no_command_again_and_asks_a_person() {
    let [folder, dir, data] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let server = Server::start(folder.path());
    let client = server.client();
    let target = answering(0, &[Reply::Status(202)]);
    set_up(&client, &actuator(&target.url()), "PT30M");
    read(&client, 3.0);
    let id = approved(&client);
    command_is(&client, &id, "sent");
    let (into, new) = (dir.path().join("b"), data.path().join("city"));
    let (into, url) = (into.to_str().unwrap().to_owned(), server.url());
    let ended = run(&["backup", &into, "--url", &url]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    server.stop();
    let before = target.count();
    let ended = run(&["restore", &into, "--data", new.to_str().unwrap()]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let mut server = Server::start(&new);
    let unknown = command_is(&server.client(), &id, "unknown");
    assert!(unknown["commands"][0]["note"].as_str().unwrap().contains("restored"), "{unknown}");
    let resolution = format!("{COMMANDS}/{}/resolution", encode(&command_of(&unknown)));
    is(server.client().post(&resolution, &json!({"outcome": "refused", "reason": "it stands open"})), 204);
    // What is decided from then on is sent as ever, also after a kill.
    read(&server.client(), 1.0);
    read(&server.client(), 3.0);
    let next = approved(&server.client());
    let sent = command_of(&command_is(&server.client(), &next, "sent"));
    server.kill();
    drop(server);
    let server = Server::start(&new);
    eventually("its repeat", || {
        let repeats = target.look(|all| all[before..].iter().filter(|one| one.body["id"] == sent.as_str()).count());
        (repeats >= 2).then_some(())
    });
    assert!(target.look(|all| all[before..].iter().all(|one| one.body["id"] == sent.as_str())), "only that one");
    drop(server);
}
