//! The loop: a reading leads to a suggestion, a person decides, a command leaves, and what came of it is
//! written down. And nothing else moves what is commandable.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

mod control;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use control::{
    BARRIER, COMMANDS, GAUGE, actuator, barrier, closed, command_is, decide, is, read, record, rule, set_up, suggested,
    suggestions, token,
};
use e2e_tests::{Answer, ENTITIES, Receiver, Reply, Server, TEMPORAL, encode, eventually, run};
use serde_json::{Value, json};

#[test]
fn a_rising_river_leads_to_a_decision_a_command_and_its_effect() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let target = Receiver::deciding(0, |_| Reply::Status(200));
    set_up(&client, &actuator(&target.url()), "PT30M");
    read(&client, 1.0);
    read(&client, 2.314);
    let id = suggested(&client);
    read(&client, 2.5);
    let open = suggestions(&client, "open");
    assert_eq!(open.len(), 1, "while it goes on, it is suggested once: {open:?}");
    assert_eq!(open[0]["why"], "The river stands at 2.314 m.");
    assert_eq!(open[0]["evidence"][0]["value"], 2.314);
    assert_eq!(open[0]["evidence"][0]["unitCode"], "MTR");
    assert_eq!(open[0]["location"]["coordinates"], json!([139.7, 35.6]));
    assert_eq!(target.count(), 0, "nothing leaves before somebody decides");

    let decided = decide(&client, &id, "approve", &json!({"reason": "as agreed"})).json_of(200);
    assert_eq!(decided["suggestion"]["status"], "approved");
    let done = command_is(&client, &id, "acknowledged");
    let sent = target.wait_for(1);
    assert_eq!(sent[0].body["id"], done["commands"][0]["id"]);
    assert_eq!(sent[0].header("idempotency-key"), done["commands"][0]["id"].as_str());
    assert_eq!(sent[0].body["value"], "closed");
    assert_eq!(sent[0].body["decision"], done["decisions"][0]["id"]);
    assert_eq!(done["decisions"][0]["reason"], "as agreed");
    let moved = client.get(&format!("{ENTITIES}/{BARRIER}")).json_of(200);
    assert_eq!(moved["setPosition"]["value"], "closed");
    assert!(moved["setPosition"].to_string().contains(done["decisions"][0]["id"].as_str().unwrap()), "{moved}");

    // Decided once: whoever comes later is told by whom.
    let late = decide(&client, &id, "reject", &json!({"reason": "no"}));
    assert_eq!((late.status, late.json()["code"].clone()), (409, json!("ACT-006")));
    let effect =
        eventually("its effect", || Some(record(&client, &id)).filter(|record| record["effects"][0].is_object()));
    assert_eq!((&effect["effects"][0]["before"], &effect["effects"][0]["after"]), (&json!(2.5), &json!(2.5)));
    let steps: Vec<&str> =
        effect["timeline"].as_array().unwrap().iter().map(|step| step["what"].as_str().unwrap()).collect();
    for step in ["suggested", "decided: approve", "commanded", "sent", "acknowledged: done", "effect measured"] {
        assert!(steps.contains(&step), "{step} is missing: {steps:?}");
    }
    let trail = eventually("the trail", || {
        let found = client.get("/audit/v1/entries").json_of(200).to_string();
        ["suggestion.decided", "command.sent", "command.acknowledged", "actuator.added"]
            .iter()
            .all(|what| found.contains(what))
            .then_some(found)
    });
    assert!(trail.contains(&id));
    // The same as entities, with the vocabulary's own @context.
    let link = format!(
        "<{}/vocab/v1/context.jsonld>; rel=\"http://www.w3.org/ns/json-ld#context\"; type=\"application/ld+json\"",
        server.url()
    );
    let named = client.with_header("link", &link);
    let found =
        named.get(&format!("{ENTITIES}?type=Suggestion&q=status==%22approved%22&options=keyValues")).json_of(200);
    assert_eq!((found[0]["id"].as_str(), found[0]["rule"].as_str()), (Some(id.as_str()), Some("flood")));
}

#[test]
fn a_suggestion_ends_with_its_condition_or_its_time_and_comes_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    set_up(&client, &actuator("http://127.0.0.1:9/"), "PT2S");
    read(&client, 3.0);
    let first = suggested(&client);
    read(&client, 1.8);
    read(&client, 1.5);
    eventually("its withdrawal", || {
        suggestions(&client, "withdrawn").iter().any(|one| one["id"] == first.as_str()).then_some(())
    });
    read(&client, 3.0);
    let second = suggested(&client);
    assert_ne!(first, second);
    eventually("its end", || {
        suggestions(&client, "expired").iter().any(|one| one["id"] == second.as_str()).then_some(())
    });
    let late = decide(&client, &second, "approve", &json!({}));
    assert_eq!(late.status, 409, "{}", late.text());
    assert!(record(&client, &second)["commands"].as_array().unwrap().is_empty());
    // It goes on; nothing new is suggested until it has ended.
    read(&client, 3.1);
    read(&client, 1.0);
    read(&client, 3.2);
    let third = suggested(&client);
    assert!(third != second && third != first);
}

#[test]
fn an_alteration_keeps_to_what_was_suggested_and_to_the_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let target = Receiver::deciding(0, |_| Reply::Status(409));
    set_up(&client, &actuator(&target.url()), "PT30M");
    read(&client, 3.0);
    let id = suggested(&client);
    let step = |attribute: &str, value: &str| json!({"reason": "other", "proposes": [{"entity": BARRIER, "attribute": attribute, "value": value}]});
    let code = |answer: Answer| (answer.status, answer.json()["code"].as_str().unwrap().to_owned());
    assert_eq!(code(decide(&client, &id, "alter", &step("other", "open"))), (400, "ACT-008".into()));
    assert_eq!(code(decide(&client, &id, "alter", &step("setPosition", "ajar"))), (422, "ACT-010".into()));
    assert_eq!(code(decide(&client, &id, "alter", &json!({"reason": "x", "proposes": []}))), (400, "ACT-008".into()));
    assert_eq!(code(decide(&client, &id, "reject", &json!({}))), (400, "ACT-008".into()));
    let altered = decide(&client, &id, "alter", &step("setPosition", "open")).json_of(200);
    assert_eq!(altered["suggestion"]["status"], "altered");
    let refused = command_is(&client, &id, "refused");
    assert_eq!(refused["acknowledgements"][0]["outcome"], "refused");
    let barrier = client.get(&format!("{ENTITIES}/{BARRIER}")).json_of(200);
    assert_eq!(barrier.get("setPosition"), None, "what was refused is not said to be so: {barrier}");
}

#[test]
fn what_may_have_been_done_is_repeated_with_its_id_or_asked_of_a_person() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let asked = Arc::new(AtomicUsize::new(0));
    let target = {
        let asked = Arc::clone(&asked);
        Receiver::deciding(0, move |_| match asked.fetch_add(1, Ordering::SeqCst) {
            0 | 2 => Reply::HangUp,
            _ => Reply::Status(200),
        })
    };
    set_up(&client, &actuator(&target.url()), "PT30M");
    read(&client, 3.0);
    let id = suggested(&client);
    is(decide(&client, &id, "approve", &json!({})), 200);
    command_is(&client, &id, "acknowledged");
    let sent = target.wait_for(2);
    assert_eq!(sent[0].body, sent[1].body, "a repeat is the same to the byte");

    let mut once = actuator(&target.url());
    once["repeatable"] = false.into();
    is(client.post("/ops/v1/actuators", &once), 200);
    read(&client, 1.0);
    read(&client, 3.0);
    let id = suggested(&client);
    is(decide(&client, &id, "approve", &json!({})), 200);
    let unknown = command_is(&client, &id, "unknown");
    assert_eq!(target.count(), 3, "it is not sent again");
    let command = unknown["commands"][0]["id"].as_str().unwrap();
    let path = format!("{COMMANDS}/{}/resolution", encode(command));
    assert_eq!(client.post(&path, &json!({"outcome": "done"})).status, 400, "a person says why");
    is(client.post(&path, &json!({"outcome": "done", "reason": "seen on the spot"})), 204);
    assert_eq!(command_is(&client, &id, "acknowledged")["acknowledgements"][0]["detail"], "seen on the spot");
    assert_eq!(client.post(&path, &json!({"outcome": "done", "reason": "again"})).json_of(409)["code"], "ACT-013");
}

/// What is on its way when the server is killed: the ids that came afterwards, and how the command ended.
fn killed_while_under_way(repeatable: bool) -> (Vec<String>, Value) {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path());
    let asked = Arc::new(AtomicUsize::new(0));
    let target = {
        let asked = Arc::clone(&asked);
        // It takes the command, and says nothing more until it is asked again.
        Receiver::deciding(0, move |_| match asked.fetch_add(1, Ordering::SeqCst) {
            0 => Reply::Status(202),
            _ => Reply::Status(200),
        })
    };
    let mut actuator = actuator(&target.url());
    actuator["repeatable"] = repeatable.into();
    set_up(&server.client(), &actuator, "PT30M");
    read(&server.client(), 3.0);
    let id = suggested(&server.client());
    is(decide(&server.client(), &id, "approve", &json!({})), 200);
    let _ = target.wait_for(1);
    command_is(&server.client(), &id, "sent");
    server.kill();
    drop(server);
    let server = Server::start(folder.path());
    let client = server.client();
    let ended = command_is(&client, &id, if repeatable { "acknowledged" } else { "unknown" });
    assert_eq!(suggestions(&client, "open").len(), 0, "what was decided is not suggested again");
    (target.all().iter().map(|one| one.body["id"].as_str().unwrap().to_owned()).collect(), ended)
}

#[test]
fn a_kill_neither_loses_a_command_nor_makes_a_second_one() {
    let (ids, ended) = killed_while_under_way(true);
    assert_eq!(ids.len(), 2);
    assert!(ids.iter().all(|id| ended["commands"][0]["id"] == id.as_str()), "{ids:?}");
    let (ids, _) = killed_while_under_way(false);
    assert_eq!(ids.len(), 1, "a target that cannot tell repeats apart is not asked twice");
}

#[test]
fn two_persons_approve_where_the_actuator_asks_for_two() {
    let folder = tempfile::tempdir().unwrap();
    let (server, operator) = closed(folder.path());
    let target = Receiver::deciding(0, |_| Reply::Status(200));
    let mut actuator = actuator(&target.url());
    actuator["persons"] = 2.into();
    set_up(&operator, &actuator, "PT30M");
    read(&operator, 3.0);
    let id = suggested(&operator);
    let of_role = |role: &str| server.client().token(&token(&operator, role));
    let (first, second, developer) = (of_role("approver"), of_role("approver"), of_role("developer"));
    assert_eq!(decide(&developer, &id, "approve", &json!({})).status, 403, "a developer does not decide");
    assert_eq!(decide(&server.client(), &id, "approve", &json!({})).status, 401);
    let once = decide(&first, &id, "approve", &json!({})).json_of(200);
    assert_eq!((&once["suggestion"]["status"], &once["suggestion"]["approvals"]), (&json!("open"), &json!(1)));
    assert_eq!(decide(&first, &id, "approve", &json!({})).json_of(409)["code"], "ACT-011");
    assert_eq!(target.count(), 0, "one person is not enough");
    is(decide(&second, &id, "approve", &json!({})), 200);
    let done = command_is(&operator, &id, "acknowledged");
    let by: Vec<&str> = done["decisions"].as_array().unwrap().iter().map(|one| one["by"].as_str().unwrap()).collect();
    assert!(by.len() == 2 && by[0] != by[1], "{by:?}");
    // Who approves changes nothing by hand.
    let patch = json!({"type": "Property", "value": "x"});
    assert_eq!(first.patch(&format!("{ENTITIES}/{BARRIER}/attrs/name"), &patch).status, 403);
}

#[test]
fn a_rule_falls_silent_when_its_owner_may_nothing_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let (server, operator) = closed(folder.path());
    is(operator.post(ENTITIES, &barrier()), 201);
    let made = operator.post("/trust/v1/tokens", &json!({"roles": ["operator"], "label": "o"})).json_of(201);
    let owner = server.client().token(made["token"].as_str().unwrap());
    is(owner.post("/ops/v1/rules", &rule("PT30M")), 201);
    read(&operator, 3.0);
    suggested(&operator);
    is(operator.delete(&format!("/trust/v1/tokens/{}", made["id"].as_str().unwrap())), 204);
    read(&operator, 3.5);
    read(&operator, 1.0);
    let rules = eventually("its silence", || {
        let rules = operator.get("/ops/v1/rules").json_of(200);
        rules["rules"][0]["failure"].is_string().then_some(rules)
    });
    assert_eq!(rules["rules"][0]["name"], "flood");
    assert_eq!(suggestions(&operator, "open").len(), 1, "what was suggested stands");
}

#[test]
fn a_rule_that_is_new_looks_at_what_is_there_and_only_at_what_it_names() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    read(&client, 3.0);
    let other = json!({"id": "urn:ngsi-ld:WaterObserved:2", "type": "WaterObserved", "waterLevel": {"type": "Property", "value": 9}});
    is(client.post(ENTITIES, &other), 201);
    let mut named = rule("PT30M");
    named["ids"] = json!([GAUGE]);
    is(client.post("/ops/v1/rules", &named), 201);
    suggested(&client);
    let raised = json!({"type": "Property", "value": 10});
    is(client.patch(&format!("{ENTITIES}/urn:ngsi-ld:WaterObserved:2/attrs/waterLevel"), &raised), 204);
    // What comes later of the named one shows that the other was looked at.
    read(&client, 1.0);
    eventually("its withdrawal", || suggestions(&client, "withdrawn").first().cloned());
    assert_eq!(suggestions(&client, "open"), Vec::<Value>::new());
}

#[test]
fn what_a_rule_says_is_bounded_and_nobody_waits_for_one_that_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    let saying = |name: &str, what: &str, why: &str| {
        let suggest = json!({"what": what, "why": why, "within": "PT30M"});
        json!({"name": name, "watch": "WaterObserved", "when": "waterLevel > 2.0", "suggest": suggest})
    };
    is(client.post("/ops/v1/rules", &saying("null", "urn:ngsi-ld:null", "x")), 201);
    is(client.post("/ops/v1/rules", &saying("long", "x", &"{note}".repeat(2_000))), 201);
    let mut own = saying("own", "x", "x");
    own["watch"] = "urn:renkei:v1:Suggestion".into();
    assert_eq!(client.post("/ops/v1/rules", &own).json_of(400)["code"], "INS-005");
    let gauge = json!({
        "id": GAUGE, "type": "WaterObserved", "waterLevel": {"type": "Property", "value": 3},
        "note": {"type": "Property", "value": "n".repeat(100_000)},
    });
    is(client.post(ENTITIES, &gauge), 201);
    let open = eventually("both", || Some(suggestions(&client, "open")).filter(|open| open.len() == 2));
    assert!(open.iter().all(|one| one["why"].as_str().unwrap().chars().count() <= 2_000), "{open:?}");
    let id = open[0]["id"].as_str().unwrap();
    // A word that means "nothing" to NGSI-LD is a word like any other in a reason.
    let decided = decide(&client, id, "reject", &json!({"reason": "urn:ngsi-ld:null"})).json_of(200);
    assert_eq!(decided["decisions"].as_array().unwrap().len(), 1, "{decided}");
    let mut actuator = actuator("http://127.0.0.1:9/");
    actuator["type"] = "urn:renkei:v1:Suggestion".into();
    is(client.post("/ops/v1/actuators", &actuator), 400);
}

#[test]
fn nothing_but_a_decision_moves_what_is_commandable() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let client = server.client();
    set_up(&client, &actuator("http://127.0.0.1:9/"), "PT30M");
    let set = json!({"type": "Property", "value": "open"});
    let with = |id: &str, kind: &str| json!({"id": id, "type": kind, "setPosition": set});
    let (one, other) = (format!("{ENTITIES}/{BARRIER}"), "urn:ngsi-ld:Thing:1");
    let batch = "/ngsi-ld/v1/entityOperations";
    let refused = |what: &str, answer: Answer| {
        let told = answer.text();
        assert!(matches!(answer.status, 400 | 403 | 207), "{what}: {} {told}", answer.status);
        assert!(told.contains("commandable") || told.contains("suggestions, decisions"), "{what}: {told}");
    };
    let attrs = json!({"setPosition": set});
    refused("create", client.post(ENTITIES, &with("urn:ngsi-ld:FloodBarrier:2", "FloodBarrier")));
    refused("append", client.post(&format!("{one}/attrs"), &attrs));
    refused("update", client.patch(&format!("{one}/attrs"), &attrs));
    refused("merge", client.patch(&one, &attrs));
    refused("replace", client.put(&one, &with(BARRIER, "FloodBarrier")));
    for operation in ["create", "upsert", "upsert?options=update", "update", "merge"] {
        let id = if operation == "create" { "urn:ngsi-ld:FloodBarrier:3" } else { BARRIER };
        refused(operation, client.post(&format!("{batch}/{operation}"), &json!([with(id, "FloodBarrier")])));
    }
    let past = json!({"setPosition": [{"type": "Property", "value": "open", "observedAt": "2026-01-01T00:00:00Z"}]});
    refused("past", client.post(&format!("{TEMPORAL}/{BARRIER}/attrs"), &past));
    let mut whole = past.clone();
    (whole["id"], whole["type"]) = ("urn:ngsi-ld:FloodBarrier:4".into(), "FloodBarrier".into());
    refused("past of a new one", client.post(TEMPORAL, &whole));
    // A thing that has the attribute freely does not become one whose attribute is commandable.
    is(client.post(ENTITIES, &with(other, "Thing")), 201);
    refused("type", client.patch(&format!("{ENTITIES}/{other}"), &json!({"type": ["Thing", "FloodBarrier"]})));
    refused("type in a batch", client.post(&format!("{batch}/upsert"), &json!([with(other, "FloodBarrier")])));
    assert_eq!(client.get(&one).json_of(200).get("setPosition"), None);

    // The loop's own papers, by type and by id.
    let context = format!("{}/vocab/v1/context.jsonld", server.url());
    for (id, kind) in [
        ("urn:ngsi-ld:X:1", "Decision"),
        ("urn:ngsi-ld:X:1", "urn:renkei:v1:Command"),
        ("urn:renkei:command:6d1c0000-0000-0000-0000-000000000000:1", "Thing"),
    ] {
        let paper =
            json!({"@context": context, "id": id, "type": kind, "status": {"type": "Property", "value": "waiting"}});
        refused(kind, client.request("POST", ENTITIES).body("application/ld+json", paper.to_string()).answer());
        let mut past = paper.clone();
        past["status"] = json!([{"type": "Property", "value": "waiting", "observedAt": "2026-01-01T00:00:00Z"}]);
        refused(kind, client.request("POST", TEMPORAL).body("application/ld+json", past.to_string()).answer());
    }
    read(&client, 3.0);
    let id = suggested(&client);
    let paper = format!("{ENTITIES}/{}", encode(&id));
    let status = json!({"urn:renkei:v1:what": {"type": "Property", "value": "approved"}});
    refused("a suggestion", client.patch(&paper, &status));
    refused("its end", client.delete(&paper));
    refused("its past", client.delete(&format!("{TEMPORAL}/{}", encode(&id))));
    assert_eq!(suggestions(&client, "open").len(), 1);

    // Without the actuator it is an attribute like any other, and the thing can go.
    is(client.delete("/ops/v1/actuators/FloodBarrier/setPosition"), 204);
    is(client.post(&format!("{one}/attrs"), &attrs), 204);
    is(client.delete(&one), 204);
}

#[test]
fn the_command_line_suggests_decides_and_shows_the_record() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let (client, url) = (server.client(), server.url());
    let target = Receiver::deciding(0, |_| Reply::Status(200));
    is(client.post(ENTITIES, &barrier()), 201);
    let ok = |arguments: &[&str]| {
        let mut all = arguments.to_vec();
        all.extend(["--url", &url]);
        let ended = run(&all);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
        ended.out
    };
    let endpoint = target.url();
    let added = ok(&[
        "actuator",
        "add",
        "FloodBarrier",
        "setPosition",
        "--endpoint",
        &endpoint,
        "--value",
        "open",
        "--value",
        "closed",
    ]);
    assert!(added.contains("setPosition of FloodBarrier"), "{added}");
    let file = folder.path().join("rule.yaml");
    let text = "name: flood\nwatch: WaterObserved\nwhen: waterLevel > 2.0\nsuggest:\n  what: Close it\n  why: It is at {waterLevel} m.\n  do:\n    - {set: setPosition, of: \"urn:ngsi-ld:FloodBarrier:1\", to: closed}\n  within: PT30M\n";
    std::fs::write(&file, text).unwrap();
    let said = ok(&["rule", "add", file.to_str().unwrap()]);
    assert!(said.contains("When waterLevel > 2.0 at any WaterObserved"), "{said}");
    assert!(ok(&["rule", "list"]).contains("flood") && ok(&["actuator", "list"]).contains("closed"));
    assert!(ok(&["ops", "suggestions"]).contains("nothing is suggested"));
    read(&client, 3.0);
    let id = suggested(&client);
    assert!(ok(&["ops", "suggestions"]).contains("It is at 3 m."));
    let altered = ok(&["ops", "alter", "urn:renkei:suggestion:", "--set", "setPosition=open", "--reason", "half"]);
    assert!(altered.contains("altered"), "{altered}");
    command_is(&client, &id, "acknowledged");
    let shown = ok(&["ops", "record", &id]);
    for part in ["suggested", "decided: alter", "acknowledged: done", "reason (", "half"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(ok(&["ops", "commands", "--status", "acknowledged"]).contains(BARRIER));
    let again = run(&["ops", "approve", &id, "--url", &url]);
    assert!(again.code == Some(1) && again.err.contains("already"), "{again:?}");
    std::fs::write(&file, text.replace("waterLevel > 2.0", "waterLevel >")).unwrap();
    let wrong = run(&["rule", "add", file.to_str().unwrap(), "--url", &url]);
    assert!(wrong.code == Some(1) && wrong.err.contains("when"), "{wrong:?}");
    ok(&["rule", "remove", "flood"]);
    ok(&["actuator", "remove", "FloodBarrier", "setPosition"]);
}
