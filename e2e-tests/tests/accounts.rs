//! People: the first start, invitations, signing in and out, and what keeps others from doing it for them.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::path::Path;

use e2e_tests::{Answer, Client, ENTITIES, Server, eventually, files_below, run};
use serde_json::{Value, json};

const PASSWORD: &str = "a river that rises at night";
const FORM: &str = "application/x-www-form-urlencoded";

fn closed(folder: &Path) -> (Server, Client) {
    let server = Server::start_with(folder, &["--auth", "on"]);
    let token = std::fs::read_to_string(folder.join("keys/operator.token")).unwrap();
    let client = server.client().token(token.trim());
    (server, client)
}

fn submit(client: &Client, path: &str, fields: &[(&str, &str)]) -> Answer {
    let form: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", e2e_tests::encode(value))).collect();
    client.request("POST", path).body(FORM, form.join("&")).answer()
}

/// The session that an answer begins, as a client that has it.
fn with_session(server: &Server, answer: &Answer) -> Client {
    let cookie = answer.header("set-cookie").unwrap();
    server.client().with_header("cookie", cookie.split(';').next().unwrap())
}

fn sign_in(client: &Client, name: &str, password: &str) -> Answer {
    client.post("/trust/v1/sessions", &json!({"name": name, "password": password}))
}

/// Makes an account, takes up the invitation, and gives back who is signed in.
fn account(server: &Server, operator: &Client, name: &str, body: &Value) -> Client {
    let mut body = body.clone();
    body["name"] = name.into();
    let made = operator.post("/trust/v1/accounts", &body).json_of(201);
    let fields =
        [("name", name), ("code", made["invitation"].as_str().unwrap()), ("password", PASSWORD), ("again", PASSWORD)];
    let welcomed = submit(&server.client(), "/welcome", &fields).expect(303);
    with_session(server, &welcomed)
}

fn code_in(page: &str) -> String {
    page.split("code=").nth(1).unwrap().split(|c: char| c.is_whitespace() || c == '&').next().unwrap().to_owned()
}

#[test]
fn whoever_holds_the_link_of_the_first_start_becomes_the_administrator_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), &["--auth", "on"]);
    let link = eventually("the link is printed", || {
        server.log().lines().find(|line| line.contains("/first-run?code=")).map(str::to_owned)
    });
    let code = code_in(&link);
    let client = server.client();
    let page = format!("/first-run?code={code}");
    let shown = client.request("GET", &page).header("accept-language", "ja").answer().expect(200);
    assert!(shown.text().contains("最初の管理者") && shown.text().contains("lang=\"ja\""), "{}", shown.text());
    assert!(shown.header("content-security-policy").unwrap().contains("default-src 'none'"));
    assert!(client.get(&page).text().contains("The first administrator"));
    assert_eq!(client.get("/first-run?code=guessed").status, 403);
    assert_eq!(submit(&client, "/first-run", &[("name", "boss"), ("code", "guessed")]).status, 403);

    let fields =
        |password, again| [("name", "boss"), ("code", code.as_str()), ("password", password), ("again", again)];
    assert!(submit(&client, "/first-run", &fields("short", "short")).expect(400).text().contains("at least 12"));
    assert!(submit(&client, "/first-run", &fields(PASSWORD, "another")).expect(400).text().contains("not the same"));
    let made = submit(&client, "/first-run", &fields(PASSWORD, PASSWORD)).expect(303);
    assert_eq!(made.header("location"), Some("/"));
    let boss = with_session(&server, &made);
    let own = boss.get("/trust/v1/self").json_of(200);
    assert_eq!((&own["who"], &own["roles"]), (&json!("account:boss"), &json!(["administrator"])));
    let _ = boss.post(ENTITIES, &json!({"id": "urn:ngsi-ld:Thing:1", "type": "Thing"})).expect(201);

    assert_eq!(client.get(&page).status, 403, "the link is spent");
    assert_eq!(submit(&client, "/first-run", &fields(PASSWORD, PASSWORD)).status, 403);
    server.stop();
    let server = Server::start_with(folder.path(), &["--auth", "on"]);
    assert!(!server.log().contains("/first-run"), "somebody is known");
    assert_eq!(boss_of(&server).status, 401, "sessions end with the server");
    let again = sign_in(&server.client(), "boss", PASSWORD).expect(201);
    assert_eq!(with_session(&server, &again).get("/trust/v1/self").json_of(200)["who"], "account:boss");
    server.stop();
}

fn boss_of(server: &Server) -> Answer {
    server.client().with_header("cookie", "renkei=rs_ofTheServerBefore").get("/trust/v1/self")
}

#[test]
fn an_invitation_is_taken_up_once_and_the_account_may_what_its_roles_may() {
    let folder = tempfile::tempdir().unwrap();
    let (server, operator) = closed(folder.path());
    let (url, token) = (server.url(), folder.path().join("keys/operator.token"));
    let cli = |arguments: &[&str]| {
        run(&[&["account"], arguments, &["--url", &url, "--token-file", token.to_str().unwrap()]].concat())
    };
    let added = cli(&["add", "duty", "--role", "approver", "--label", "防災課 当直"]);
    assert_eq!(added.code, Some(0), "{added:?}");
    let page = added.out.trim().strip_prefix(url.as_str()).unwrap();
    assert!(server.client().get(page).expect(200).text().contains("Choose a password"));
    let code = code_in(page);
    let fields = |code, password| [("name", "duty"), ("code", code), ("password", password), ("again", password)];
    let client = server.client();
    assert!(submit(&client, "/welcome", &fields("guessed", PASSWORD)).expect(400).text().contains("not good any more"));
    assert!(submit(&client, "/welcome", &fields(&code, "aaaaaaaaaaaaaa")).expect(400).text().contains("easy to guess"));
    assert_eq!(sign_in(&client, "duty", PASSWORD).status, 401, "nothing was chosen yet");
    let duty = with_session(&server, &submit(&client, "/welcome", &fields(&code, PASSWORD)).expect(303));
    assert_eq!(submit(&client, "/welcome", &fields(&code, "some other words here")).status, 400, "it is spent");
    let own = duty.get("/trust/v1/self").json_of(200);
    assert_eq!((&own["label"], &own["rights"]), (&json!("防災課 当直"), &json!(["subscribe", "decide"])));

    let thing = json!({"id": "urn:ngsi-ld:Thing:1", "type": "Thing"});
    assert_eq!(duty.post(ENTITIES, &thing).status, 403);
    let _ = operator.post(ENTITIES, &thing).expect(201);
    let _ = duty.get(&format!("{ENTITIES}/urn:ngsi-ld:Thing:1")).expect(200);
    assert_eq!(duty.tenant("other").get(&format!("{ENTITIES}/urn:ngsi-ld:Thing:1")).status, 403);
    assert!(cli(&["list"]).out.contains("signed in 1 times"), "{}", cli(&["list"]).out);

    // A new invitation takes the password and every session away; so does the end of the account.
    let reset = cli(&["reset", "duty"]);
    assert_eq!(reset.code, Some(0), "{reset:?}");
    let refused = duty.get("/trust/v1/self");
    assert_eq!((refused.status, refused.json()["code"].as_str()), (401, Some("TRU-017")));
    assert_eq!(sign_in(&client, "duty", PASSWORD).status, 401);
    let duty = with_session(&server, &submit(&client, "/welcome", &fields(&code_in(&reset.out), PASSWORD)).expect(303));
    let _ = duty.get("/trust/v1/self").expect(200);
    assert_eq!(cli(&["remove", "duty"]).code, Some(0));
    assert_eq!(duty.get("/trust/v1/self").status, 401);
    assert_eq!(sign_in(&client, "duty", PASSWORD).status, 401);
    assert_eq!(cli(&["remove", "duty"]).code, Some(1));
    let wrong = operator.post("/trust/v1/accounts", &json!({"name": "Duty!", "roles": ["approver"]}));
    assert_eq!((wrong.status, wrong.json()["code"].as_str()), (400, Some("TRU-018")));
    server.stop();
}

#[test]
fn who_is_there_for_a_time_is_out_when_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (server, operator) = closed(folder.path());
    let contractor = account(&server, &operator, "contractor", &json!({"roles": ["developer"], "ends": "PT5S"}));
    let _ = contractor.get("/trust/v1/self").expect(200);
    let refused = eventually("the account ends", || Some(contractor.get("/trust/v1/self")).filter(|a| a.status != 200));
    assert_eq!(refused.json()["code"], "TRU-017");
    assert_eq!(sign_in(&server.client(), "contractor", PASSWORD).status, 401);
    let listed = operator.get("/trust/v1/accounts").json_of(200);
    assert_eq!(listed["accounts"][0]["state"], "ended");
    server.stop();
}

#[test]
fn whoever_guesses_waits_and_learns_nothing_and_it_stands_in_the_trail() {
    let folder = tempfile::tempdir().unwrap();
    let (server, operator) = closed(folder.path());
    let _ = account(&server, &operator, "duty", &json!({"roles": ["approver"]}));
    let client = server.client();
    let unknown = sign_in(&client, "nobody", "some words that are wrong");
    let mut last = None;
    for _ in 0..5 {
        let answer = sign_in(&client, "duty", "some words that are wrong");
        assert_eq!((answer.status, answer.json()), (401, unknown.json()), "the same as for nobody");
        last = Some(answer);
    }
    assert!(last.is_some());
    let held = sign_in(&client, "duty", PASSWORD);
    assert_eq!((held.status, held.json()["code"].as_str()), (429, Some("TRU-020")), "also with the right one");
    let wait: u64 = held.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=31).contains(&wait), "{wait}");
    assert_eq!(submit(&client, "/login", &[("name", "duty"), ("password", PASSWORD)]).status, 429);
    let told = |what: &str| {
        let entries = operator.get(&format!("/audit/v1/entries?what={what}")).json_of(200);
        entries["entries"].as_array().unwrap().len()
    };
    assert_eq!((told("session.begun"), told("session.refused")), (1, 1));
    for body in [json!({"name": "duty"}), json!([]), json!({"name": "duty", "password": 1})] {
        assert_eq!(client.post("/trust/v1/sessions", &body).status, 400);
    }
    assert_eq!(submit(&client, "/login", &[("name", "duty"), ("name", "two")]).status, 400);
    assert_eq!(client.request("POST", "/login").body("text/plain", "name=duty").answer().status, 400);
    server.stop();
}

#[test]
fn a_page_of_another_site_changes_nothing_in_the_name_of_who_is_signed_in() {
    let folder = tempfile::tempdir().unwrap();
    let (server, operator) = closed(folder.path());
    let duty = account(&server, &operator, "duty", &json!({"roles": ["operator"]}));
    let thing = json!({"id": "urn:ngsi-ld:Thing:1", "type": "Thing"});
    let (own, path) = (server.url(), format!("{ENTITIES}/urn:ngsi-ld:Thing:1"));
    for (header, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        let refused = duty.request("POST", ENTITIES).header(header, value).json(&thing).answer();
        assert_eq!((refused.status, refused.json()["code"].as_str()), (403, Some("SRV-020")), "{header}: {value}");
        let fields = [("name", "duty"), ("password", PASSWORD)];
        let form = fields.map(|(name, value)| format!("{name}={}", e2e_tests::encode(value))).join("&");
        let refused = server.client().request("POST", "/login").header(header, value).body(FORM, form).answer();
        assert_eq!(refused.status, 403, "nobody is signed in by it either");
    }
    assert_eq!(operator.get(&path).status, 404);
    for (header, value) in [("sec-fetch-site", "same-origin"), ("origin", own.as_str())] {
        let _ = duty.request("POST", ENTITIES).header(header, value).json(&thing).answer().expect(201);
        let _ = duty.request("DELETE", &path).header(header, value).answer().expect(204);
    }
    // A token is sent by a program on purpose, wherever its page is from.
    let made = operator.post("/trust/v1/tokens", &json!({"roles": ["operator"]})).json_of(201);
    let program = server.client().token(made["token"].as_str().unwrap());
    let _ = program.request("POST", ENTITIES).header("sec-fetch-site", "cross-site").json(&thing).answer().expect(201);

    let left = duty.request("DELETE", "/trust/v1/sessions/self").answer().expect(204);
    assert!(left.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(duty.get("/trust/v1/self").status, 401, "signed out");
    server.stop();
}

#[test]
fn the_cookie_is_for_this_server_alone_and_no_answer_and_no_file_shows_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), &["--auth", "on", "--plain-http"]);
    let token = std::fs::read_to_string(folder.path().join("keys/operator.token")).unwrap();
    let operator = server.client().token(token.trim());
    let _ = account(&server, &operator, "duty", &json!({"roles": ["auditor"]}));
    let signed =
        submit(&server.client(), "/login", &[("name", "duty"), ("password", PASSWORD), ("next", "/console/audit")]);
    let cookie = signed.header("set-cookie").unwrap().to_owned();
    for part in ["__Host-renkei=rs_", "Path=/", "HttpOnly", "SameSite=Strict", "Secure"] {
        assert!(cookie.contains(part), "{part}: {cookie}");
    }
    assert_eq!((signed.status, signed.header("location")), (303, Some("/console/audit")));
    for next in ["//evil.example", "https://evil.example", "/\\evil.example"] {
        let fields = [("name", "duty"), ("password", PASSWORD), ("next", next)];
        assert_eq!(submit(&server.client(), "/login", &fields).header("location"), Some("/"), "{next}");
    }
    let secret = cookie.split(['=', ';']).nth(1).unwrap().to_owned();
    let shown = ["/trust/v1/accounts", "/trust/v1/self", "/audit/v1/entries", "/trust/v1/explain?who=account:duty"]
        .map(|door| operator.get(door).expect(200).text())
        .join("\n");
    assert!(shown.contains("account.added") && shown.contains("account:duty"));
    for hidden in [PASSWORD, "$argon2id", secret.as_str(), "digest"] {
        assert!(!shown.contains(hidden), "{hidden}");
    }
    let log = server.log();
    server.stop();
    for hidden in [PASSWORD, secret.as_str()] {
        assert!(!log.contains(hidden));
        let holds = |path: &std::path::PathBuf| {
            std::fs::read(path).unwrap().windows(hidden.len()).any(|window| window == hidden.as_bytes())
        };
        assert!(!files_below(folder.path()).iter().any(holds), "{hidden} lies in a file");
    }
}
