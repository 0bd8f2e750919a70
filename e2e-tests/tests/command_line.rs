//! Commands that ask a running server, in every form, and how they end: 0 done, 1 failed, 2 wrong usage,
//! 3 some input rejected. And the completion script, in the shell that it is for.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use e2e_tests::{ENTITIES, Ended, Receiver, Reply, SUBSCRIPTIONS, Server, binary, eventually, free_port, run, skipped};
use serde_json::{Value, json};
use tempfile::TempDir;

struct Town {
    server: Server,
    _folder: TempDir,
}

impl Town {
    /// Three buildings, of which one has no height, and a shelter beside the first.
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path());
        let place = |longitude: f64| json!({"type": "GeoProperty", "value": {"type": "Point", "coordinates": [longitude, 35.7]}});
        for (number, height, longitude) in [(1, Some(12.5), 139.8), (2, Some(31.0), 139.9), (3, None, 139.95)] {
            let mut building = json!({
                "id": format!("urn:ngsi-ld:Building:{number}"), "type": "Building", "scope": format!("/ward/{number}"),
                "location": place(longitude), "name": {"type": "Property", "value": format!("number {number}")},
            });
            if let Some(height) = height {
                building["height"] = json!({"type": "Property", "value": height, "unitCode": "MTR"});
            }
            let _ = server.client().post(ENTITIES, &building).expect(201);
        }
        let shelter = json!({"id": "urn:ngsi-ld:Shelter:1", "type": "Shelter", "location": place(139.801)});
        let _ = server.client().post(ENTITIES, &shelter).expect(201);
        let other = json!({"id": "urn:ngsi-ld:Building:9", "type": "Building"});
        let _ = server.client().tenant("other").post(ENTITIES, &other).expect(201);
        Self { server, _folder: folder }
    }

    fn ask(&self, arguments: &[&str]) -> Ended {
        let url = self.server.url();
        let mut all = arguments.to_vec();
        all.extend(["--url", &url]);
        run(&all)
    }

    /// What a command prints that ends well.
    #[track_caller]
    fn told(&self, arguments: &[&str]) -> String {
        let ended = self.ask(arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
        ended.out
    }

    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let out = self.told(arguments);
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {out}"))
    }

    /// A command that ends so, with nothing for programs to read by mistake, and says why.
    #[track_caller]
    fn ends(&self, arguments: &[&str], code: i32, why: &str) {
        let ended = self.ask(arguments);
        assert_eq!(ended.code, Some(code), "{arguments:?}: {ended:?}");
        assert!(ended.out.is_empty() && ended.err.contains(why), "{arguments:?}: {ended:?}");
    }
}

fn ids(numbers: &[u32]) -> String {
    numbers.iter().map(|number| format!("urn:ngsi-ld:Building:{number}\n")).collect()
}

#[test]
fn a_query_is_answered_in_every_form() {
    let town = Town::start();
    let table = town.told(&["query", "--type", "Building"]);
    assert_eq!(table.lines().count(), 3, "{table}");
    assert!(table.contains("urn:ngsi-ld:Building:2  ") && table.contains("height=31"), "{table}");
    let table = town.told(&["query", "--type", "Building", "--attrs", "height"]);
    assert!(table.contains("height=12.5") && !table.contains("name="), "{table}");
    assert_eq!(town.told(&["query", "--type", "Nothing"]), "No entity matches.\n");

    assert_eq!(town.told(&["query", "--type", "Building", "--format", "ids"]), ids(&[1, 2, 3]));
    for further in [&["--json"][..], &["--format", "json"]] {
        let answer = town.json(&[&["query", "--type", "Building", "--q", "height>30"], further].concat());
        assert_eq!(answer[0]["height"], json!({"type": "Property", "value": 31.0, "unitCode": "MTR"}), "{answer}");
        assert_eq!(answer.as_array().unwrap().len(), 1);
    }
    assert_eq!(town.told(&["query", "--type", "Building", "--count"]), "3\n");
    assert_eq!(town.json(&["query", "--type", "Building", "--count", "--json"]), json!({"count": 3}));
    assert_eq!(town.told(&["query", "--type", "Building", "--count", "--tenant", "other"]), "1\n");

    let found = |which: &[&str]| town.told(&[&["query", "--format", "ids"], which].concat());
    assert_eq!(found(&["--type", "Building", "--limit", "2"]), ids(&[1, 2]));
    assert_eq!(found(&["--type", "Building", "--all"]), ids(&[1, 2, 3]));
    assert_eq!(found(&["--id", "urn:ngsi-ld:Building:2,urn:ngsi-ld:Building:3"]), ids(&[2, 3]));
    assert_eq!(found(&["--id-pattern", "Building:[13]$"]), ids(&[1, 3]));
    assert_eq!(found(&["--scope-q", "/ward/2"]), ids(&[2]));
    assert_eq!(found(&["--type", "Building", "--near", "139.8,35.7,500"]), ids(&[1]));
    assert_eq!(found(&["--type", "Building", "--q", "!height"]), ids(&[3]));
}

#[test]
fn a_query_about_nearness_and_about_what_is_unknown_is_answered() {
    let town = Town::start();
    let question = ["query", "--type", "Building", "--none-nearby", "Shelter", "--metres", "400"];
    let ended = town.ask(&question);
    assert_eq!((ended.code, ended.out), (Some(0), ids(&[2, 3])), "{}", ended.err);
    assert!(ended.err.contains("2 match"), "{}", ended.err);
    let further = ["--q", "height>0", "--unknown-without", "height"];
    let ended = town.ask(&[&question[..], &further].concat());
    assert_eq!((ended.code, ended.out), (Some(0), ids(&[2])));
    assert!(ended.err.contains("1 have no height"), "{}", ended.err);
    for form in [&["--json"][..], &["--format", "json"]] {
        let answer = town.json(&[&question[..], &further, form].concat());
        let expected =
            json!({"matched": ["urn:ngsi-ld:Building:2"], "unknown": ["urn:ngsi-ld:Building:3"], "withoutPlace": []});
        assert_eq!(answer, expected);
    }
    town.ends(
        &["query", "--type", "Building", "--none-nearby", "Nowhere", "--metres", "1"],
        1,
        "no Nowhere with a place",
    );
}

#[test]
fn what_cannot_be_asked_is_wrong_usage_and_what_is_refused_has_failed() {
    let town = Town::start();
    for (wrong, why) in [
        (&["query"][..], "Ask for something"),
        (&["query", "--json"], "Ask for something"),
        (&["query", "--type", "Building", "--format", "xml"], "possible values"),
        (&["query", "--type", "Building", "--limit", "many"], "invalid value"),
        (&["query", "--type", "Building", "--limit", "2", "--all"], "cannot be used with"),
        (&["query", "--type", "Building", "--none-nearby", "Shelter"], "--metres"),
        (&["query", "--near", "139.8,35.7"], "LONGITUDE,LATITUDE,METRES"),
        (&["subscriptions"], "Usage"),
        (&["subscriptions", "replay"], "<ID>"),
        (&["subscriptions", "dead-letters", "seven"], "is not the id of a subscription"),
        (&["subscriptions", "forget"], "unrecognized subcommand"),
    ] {
        let ended = match wrong {
            // Without more there is nothing that takes an address.
            ["subscriptions"] => run(wrong),
            _ => town.ask(wrong),
        };
        assert_eq!(ended.code, Some(2), "{wrong:?}: {ended:?}");
        assert!(ended.out.is_empty() && ended.err.contains(why), "{wrong:?}: {ended:?}");
    }
    town.ends(&["query", "--type", "Building", "--q", "height>>1"], 1, "The server answered 400");
    town.ends(&["query", "--type", "Building", "--tenant", "nosuch"], 1, "(CTX-008)");
    town.ends(&["subscriptions", "dead-letters", "urn:ngsi-ld:Subscription:7"], 1, "The server answered 404");
    town.ends(&["subscriptions", "replay", "urn:ngsi-ld:Subscription:7"], 1, "The server answered 404");
    let nowhere = format!("http://127.0.0.1:{}", free_port());
    for command in [&["query", "--type", "A"][..], &["subscriptions", "list"], &["subscriptions", "list", "--json"]] {
        let ended = run(&[command, &["--url", &nowhere]].concat());
        assert!(ended.code == Some(1) && ended.out.is_empty(), "{ended:?}");
        assert!(ended.err.contains("renkei serve"), "it says what to do: {ended:?}");
    }
    // Three rows come in, of which one cannot be taken.
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let map = "version: 1\nformat: csv\nid: '\"urn:ngsi-ld:Tree:\" + row.number'\ntype: Tree\nattributes:\n  kind: row.kind\n";
    let (trees, map) = (file("trees.csv", "number,kind\n1,oak\n,elm\n2,ash\n"), file("trees.yaml", map));
    let ended = town.ask(&["import", &trees, "--map", &map]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert_eq!(town.told(&["query", "--type", "Tree", "--count"]), "2\n");
}

#[test]
fn subscriptions_are_listed_and_what_was_given_up_is_shown_and_sent_again() {
    let town = Town::start();
    assert_eq!(town.told(&["subscriptions", "list"]), "0 subscriptions\n");
    assert_eq!(town.json(&["subscriptions", "list", "--json"]), json!([]));
    // Until it is told otherwise, it refuses the first height for good.
    let refusing = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&refusing);
    let receiver = Receiver::deciding(0, move |one| {
        let is_first = one.data()[0]["height"]["value"] == json!(1);
        Reply::Status(if is_first && asked.load(Ordering::SeqCst) { 410 } else { 204 })
    });
    let id = "urn:ngsi-ld:Subscription:1";
    let subscription = json!({
        "id": id, "type": "Subscription", "entities": [{"type": "Building"}],
        "notification": {"endpoint": {"uri": receiver.url()}},
    });
    let _ = town.server.client().post(SUBSCRIPTIONS, &subscription).expect(201);
    assert_eq!(town.told(&["subscriptions", "dead-letters", id]), "0 given up\n");
    assert_eq!(town.told(&["subscriptions", "replay", id]), "0 put back\n");
    let height = |value: i64| {
        let path = format!("{ENTITIES}/urn:ngsi-ld:Building:1/attrs");
        let _ = town.server.client().patch(&path, &json!({"height": {"type": "Property", "value": value}})).expect(204);
    };
    height(1);
    let letters = eventually("it was given up", || {
        let letters = town.json(&["subscriptions", "dead-letters", id, "--json"]);
        (!letters["deadLetters"].as_array().unwrap().is_empty()).then_some(letters)
    });
    assert_eq!((&letters["subscriptionId"], &letters["deadLetters"][0]["entities"]), (&json!(id), &json!(1)));
    let human = town.told(&["subscriptions", "dead-letters", id]);
    assert!(human.contains("  1 entities  ") && human.contains("410") && human.ends_with("\n1 given up\n"), "{human}");
    height(2);
    let _ = receiver.wait_for(2);
    let human = eventually("it was counted", || {
        Some(town.told(&["subscriptions", "list"])).filter(|human| human.contains("sent 1"))
    });
    let expected = format!("{id}  active  sent 1  failed 1  to {}\n1 subscriptions\n", receiver.url());
    assert_eq!(human, expected);
    let list = town.json(&["subscriptions", "list", "--json"]);
    assert_eq!((&list[0]["id"], &list[0]["notification"]["timesSent"]), (&json!(id), &json!(1)));

    refusing.store(false, Ordering::SeqCst);
    assert_eq!(town.json(&["subscriptions", "replay", id, "--json"]), json!({"subscriptionId": id, "replayed": 1}));
    assert_eq!(receiver.wait_for(3)[2].body["data"][0]["height"]["value"], 1, "what was given up came after all");
    assert_eq!(town.told(&["subscriptions", "dead-letters", id]), "0 given up\n");
}

/// What the shell offers for a line, by the script that the binary prints.
fn offered(line: &str) -> Vec<String> {
    // As the shell does it when the key is pressed: the words, where the cursor is, then the function.
    let script = r#"
        eval "$("$1" completion bash)"
        function_name=$(complete -p renkei | sed -E 's/.*-F ([^ ]+).*/\1/')
        read -r -a COMP_WORDS <<< "$2"
        case "$2" in *' ') COMP_WORDS+=('') ;; esac
        COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
        COMP_LINE=$2 COMP_POINT=${#2}
        "$function_name" renkei "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut command = Command::new("bash");
    command.args(["--norc", "--noprofile", "-c", script, "bash"]).arg(binary()).arg(line);
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_their_parts_and_their_flags() {
    if Command::new("bash").arg("--version").output().is_err() {
        return skipped("there is no bash");
    }
    assert_eq!(offered("renkei subs"), ["subscriptions"]);
    assert_eq!(offered("renkei subscriptions de"), ["dead-letters"]);
    let parts = offered("renkei subscriptions ");
    assert!(["list", "replay", "dead-letters"].iter().all(|part| parts.iter().any(|own| own == part)), "{parts:?}");
    assert_eq!(offered("renkei query --none"), ["--none-nearby"]);
    assert_eq!(offered("renkei query --format "), ["table", "json", "ids"]);
}

#[test]
fn every_shell_has_a_completion_script() {
    for (shell, mark) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef renkei"),
        ("fish", "complete -c renkei"),
        ("elvish", "edit:completion"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let ended = run(&["completion", shell]);
        assert!(ended.code == Some(0) && ended.out.contains(mark), "{shell}: {:?}", ended.code);
    }
    assert_eq!(run(&["completion", "tcsh"]).code, Some(2));
}
