//! A server that may open few files: it says so, serves whom it can, and loses nothing.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use e2e_tests::{ENTITIES, Ended, PATIENCE, Server, eventually, run};
use serde_json::{Value, json};

fn with_files(folder: &Path, files: u32) -> Result<Server, Ended> {
    let limited = format!("ulimit -n {files} && exec \"$@\"");
    Server::try_start_through("sh", &["-c", &limited, "sh"], folder, &[])
}

fn thing(number: u32) -> Value {
    json!({"id": format!("urn:ngsi-ld:Thing:{number}"), "type": "Thing", "level": {"type": "Property", "value": number}})
}

/// A connection of its own that stays open, and the status of its first answer.
fn hold(address: &str) -> Option<(TcpStream, u16)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").ok()?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).ok()?;
    let status = std::str::from_utf8(&head[9..]).ok()?.parse().ok()?;
    Some((stream, status))
}

#[test]
fn with_few_files_connections_are_bounded_who_is_in_is_served_and_all_is_well_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let server = with_files(folder.path(), 128).unwrap();
    eventually("it says how few files it may open", || server.log().contains("open files").then_some(()));
    let inside = server.client();
    let _ = inside.post(ENTITIES, &thing(1)).expect(201);
    for round in 0..3 {
        let mut held = Vec::new();
        let mut refused = 0;
        for _ in 0..150 {
            match hold(server.address()) {
                Some((stream, 200)) => held.push(stream),
                Some((_, 503)) | None => refused += 1,
                Some((_, status)) => panic!("a connection was answered {status}"),
            }
            // Whoever is in, is served, also while nobody else comes in.
            assert_eq!(inside.get("/health/live").status, 200);
        }
        assert!(refused > 0 && held.len() >= 32, "{} were held, {refused} refused", held.len());
        let _ = inside.post(ENTITIES, &thing(10 + round)).expect(201);
        drop(held);
        let status =
            |client: &e2e_tests::Client| client.request("GET", "/health/live").send().map(|answer| answer.status);
        eventually("others come in again", || (status(&server.client()).ok()? == 200).then_some(()));
    }
    let ended = run(&["doctor", "--url", &server.url()]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    server.stop();
    let server = Server::start(folder.path());
    for number in [1, 10, 11, 12] {
        let _ = server.client().get(&format!("{ENTITIES}/urn:ngsi-ld:Thing:{number}")).expect(200);
    }
}

#[test]
fn with_too_few_files_to_begin_it_does_not_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    Server::start(folder.path()).stop();
    let ended = with_files(folder.path(), 12).err().expect("12 files are too few");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("open files"), "{}", ended.err);
    Server::start(folder.path()).stop();
}
