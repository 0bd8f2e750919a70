//! The map of the house, and whether the house still is as the map says.
//!
//! Manifests, sources and documents come in; what contradicts the constants below goes out, named.
//! Reading `ROOMS` is reading the architecture; a change here is a change of design.

#[path = "architecture/documents.rs"]
mod documents;
#[path = "architecture/doors.rs"]
mod doors;
#[path = "architecture/licences.rs"]
mod licences;
#[path = "architecture/source.rs"]
mod source;
#[path = "architecture/tidiness.rs"]
mod tidiness;

use std::collections::BTreeMap;

use source::{Room, manifests, nothing, sources};

/// Every crate, its floor, and what only it may do. A crate uses lower floors alone.
const ROOMS: &[(&str, u8, &str)] = &[
    ("city-model", 0, "the words; no I/O, no JSON, no clock"),
    ("city-ngsi-ld", 1, "NGSI-LD between bytes and the model; pure"),
    ("city-gtfs", 1, "GTFS between bytes and timetables; pure"),
    ("city-ogc", 1, "OGC API Features and CQL2 between texts and queries; pure"),
    ("city-mqtt", 1, "MQTT between bytes and packets, and what a broker keeps; pure"),
    ("city-qzss", 1, "disaster messages of satellites between bits and values; pure"),
    ("city-alert", 1, "public warnings (CAP, JMA) between bytes and values; pure"),
    ("city-cel", 1, "what an expression of the language may be; pure"),
    ("city-store", 1, "touches disk; runs the commit thread"),
    ("city-outbound", 1, "connects to the outside"),
    ("city-context", 2, "changes current state; gives a change its place in the order"),
    ("city-history", 2, "holds the past"),
    ("city-trust", 2, "issues permits; writes the trail"),
    ("city-ingest", 3, "decodes and maps what comes in from files and sources; opens no file itself"),
    ("city-insight", 3, "understands: rules over changes; proposes and never acts"),
    ("city-sql", 3, "read-only SQL over what is and was; opens nothing"),
    ("city-action", 3, "decides that an effect leaves; keeps the outbox"),
    ("city-serve", 4, "listens on a socket"),
    ("renkei", 5, "reads configuration, puts the rooms together, starts and stops"),
    ("fuzz", 5, "hands broken input to whatever reads; no product uses it"),
    ("e2e-tests", 6, "drives the built binary; uses no room"),
];

/// Libraries that carry a right with them, and the only rooms that may have them.
const KEPT_LIBRARIES: &[(&str, &[&str], &str)] = &[
    ("fjall", &["city-store"], "state lies under the room that keeps the journal beside it"),
    ("rustix", &["city-store", "city-serve"], "free space of the disk; how many sockets may be open"),
    ("lz4_flex", &["city-store"], "how a backup is pressed is part of its format"),
    (
        "ring",
        &["city-store", "city-trust", "renkei"],
        "keys of persons; secrets, the trail and its key; the manifest of a backup",
    ),
    ("cedar-policy", &["city-trust"], "who may is decided in one room"),
    ("hyper-rustls", &["city-outbound"], "who connects outside is in one place, behind one allow-list"),
    ("datafusion", &["city-sql"], "the query engine sees only the tables that the permit shows"),
    ("tokio-rustls", &["city-serve"], "what listens has the handshake"),
    ("axum", &["city-serve"], "doors are in one list"),
    ("hyper", &["city-outbound", "city-serve", "renkei"], "renkei: the command line and bench are clients of a server"),
    ("hyper-util", &["city-outbound", "city-serve", "renkei"], "as hyper"),
    ("cel", &["city-cel", "city-ingest", "city-insight"], "one expression language, for mappings and rules"),
    ("serde_yaml_ng", &["city-ingest", "city-insight"], "mappings and rules are the only YAML"),
    ("clap", &["renkei"], "only renkei reads flags and variables"),
    ("toml", &["renkei"], "only renkei reads the configuration file"),
    ("tracing-subscriber", &["renkei"], "rooms write traces, the binary decides where they go"),
    ("mimalloc", &["renkei"], "one allocator in a process"),
    ("metrics-exporter-prometheus", &["city-serve"], "rooms count, one door shows"),
];

/// What pure rooms must not have, so that they stay values in, values out.
const ABSENT: &[(&str, &[&str])] = &[
    ("city-model", &["serde", "serde_json", "tokio", "bytes", "http", "tracing", "metrics", "parking_lot"]),
    ("city-ngsi-ld", &["tokio", "http", "hyper", "bytes", "tracing", "metrics"]),
    ("city-mqtt", &["tokio", "http", "hyper", "bytes", "serde", "tracing", "metrics", "parking_lot"]),
    ("city-gtfs", &["tokio", "http", "hyper", "bytes", "tracing", "metrics", "parking_lot"]),
    ("city-ogc", &["serde", "serde_json", "tokio", "http", "hyper", "bytes", "tracing", "metrics", "parking_lot"]),
    ("city-qzss", &["tokio", "http", "hyper", "bytes", "serde", "tracing", "metrics", "parking_lot"]),
    ("city-alert", &["tokio", "http", "hyper", "bytes", "tracing", "metrics", "parking_lot"]),
    ("city-ingest", &["hyper"]),
    ("city-trust", &["tokio", "http", "hyper"]),
];

/// Words that reach the disk, and the files that may say them.
const DISK_WORDS: &[&str] = &["std::fs", "tokio::fs", "File::open", "File::create", "OpenOptions", "rustix::fs"];
const DISK_FILES: &[(&str, &str)] = &[
    ("city-store/src/disk.rs", "the journal's disk, behind a trait"),
    ("city-store/src/folder.rs", "lock and format of the data folder"),
    ("city-store/src/persons.rs", "the keys of persons, which are overwritten in place"),
    ("city-store/src/view.rs", "free space, asked before the engine writes"),
    ("renkei/src/restore.rs", "the keys of persons that you name"),
    ("renkei/src/city.rs", "@context files that --context-file names"),
    ("renkei/src/config.rs", "the configuration file"),
    ("renkei/src/log_file.rs", "the file that --log-file names"),
    ("renkei/src/tls.rs", "certificate and key that are named"),
    ("renkei/src/import.rs", "the files that a person names, and their rejects"),
    ("renkei/src/rule.rs", "the rule that a person names"),
    ("renkei/src/source.rs", "the source and the messages that a person names"),
    ("renkei/src/gtfs.rs", "the feed that a person names"),
    ("renkei/src/export.rs", "the file that a person names with --out"),
    ("renkei/src/audit.rs", "the folder that an exported trail is written into and verified from"),
    ("renkei/src/client.rs", "the file that --token-file names"),
    ("renkei/src/backup/shelf.rs", "the folder of backups that a person names"),
    ("renkei/src/demo/mod.rs", "the temporary folder of a demo without --data"),
    ("renkei/src/bench/process.rs", "/proc of the measured server"),
];

/// Words that reach the network, and the files that may say them.
const NETWORK_WORDS: &[&str] =
    &["TcpListener", "TcpStream", "TcpSocket", "UdpSocket", "UnixStream", "UnixListener", "lookup_host"];
const NETWORK_FILES: &[(&str, &str)] = &[
    ("city-serve/src/server.rs", "the socket that listens for HTTP, and how one is opened"),
    ("city-serve/src/mqtt/server.rs", "the socket that listens for MQTT"),
    ("city-outbound/src/connect.rs", "the one place that connects outside"),
    ("renkei/src/bench/client.rs", "the load generator is a client beside the server; it counts its own bytes"),
    ("renkei/src/client.rs", "the command line is a client of a running server"),
];

/// Words that ask the time of day, and the files that may say them.
const CLOCK_WORDS: &[&str] = &["SystemTime::now", "Timestamp::now", "Zoned::now", "Utc::now", "Local::now"];
const CLOCK_FILES: &[(&str, &str)] = &[
    ("city-store/src/clock.rs", "the one clock that everything else is handed"),
    ("renkei/src/bench/load.rs", "names of one run of the load generator; no state of the city"),
];

#[test]
fn every_crate_is_a_room_on_the_map() {
    let crates: Vec<String> = manifests().into_iter().map(|room| room.name).collect();
    let mut wrong: Vec<String> =
        crates.iter().filter(|name| floor(name).is_none()).map(|name| format!("{name} is not in ROOMS")).collect();
    let gone = ROOMS.iter().filter(|(name, ..)| !crates.iter().any(|known| known == name));
    wrong.extend(gone.map(|(name, ..)| format!("{name} is in ROOMS but has no folder")));
    nothing("rooms", wrong);
}

#[test]
fn a_room_uses_lower_floors_only() {
    let mut wrong = Vec::new();
    for room in manifests() {
        let Some(own) = floor(&room.name) else { continue };
        for other in room.dependencies.keys().chain(&room.for_tests) {
            match floor(other) {
                Some(their) if their >= own => {
                    wrong.push(format!("{} (floor {own}) uses {other} ({their})", room.name))
                }
                _ => {}
            }
        }
    }
    nothing("edges that go up or sideways", wrong);
}

#[test]
fn a_library_that_carries_a_right_is_where_the_right_is() {
    let mut wrong = Vec::new();
    for room in manifests() {
        for (library, rooms, why) in KEPT_LIBRARIES {
            if room.dependencies.contains_key(*library) && !rooms.contains(&room.name.as_str()) {
                wrong.push(format!("{} has {library}; only {rooms:?} may: {why}", room.name));
            }
        }
        for (_, absent) in ABSENT.iter().filter(|(name, _)| *name == room.name) {
            let found = absent.iter().filter(|name| room.dependencies.contains_key(**name));
            wrong.extend(found.map(|name| format!("{} must do without {name}", room.name)));
        }
    }
    nothing("libraries in the wrong room", wrong);
}

#[test]
fn only_the_store_touches_disk_only_outbound_connects_only_serve_listens() {
    let mut wrong = reach(DISK_WORDS, DISK_FILES);
    wrong.extend(reach(NETWORK_WORDS, NETWORK_FILES));
    nothing("reaches of disk and network", wrong);
}

#[test]
fn there_is_one_clock() {
    nothing("clocks", reach(CLOCK_WORDS, CLOCK_FILES));
}

#[test]
fn only_renkei_takes_the_mint_and_no_product_has_the_faulty_disk() {
    let mut wrong = Vec::new();
    for source in sources() {
        if source.product.contains("Mint::take()") && !source.path.starts_with("renkei/src/") {
            wrong.push(format!("{} takes the mint; trust is handed it by renkei", source.path));
        }
    }
    for room in manifests() {
        for (name, features) in &room.dependencies {
            let forbidden = features.iter().filter(|feature| feature.as_str() == "faults");
            wrong.extend(forbidden.map(|feature| format!("{} builds {name} with {feature}", room.name)));
        }
    }
    nothing("mints and faults in the product", wrong);
}

#[test]
fn every_room_has_the_lints_of_the_house() {
    let without = manifests().into_iter().filter(|room| !room.has_house_lints);
    nothing("rooms without [lints] workspace = true", without.map(|room| room.name).collect());
}

fn floor(name: &str) -> Option<u8> {
    ROOMS.iter().find(|(room, ..)| *room == name).map(|(_, floor, _)| *floor)
}

/// Files that say one of the words without being allowed to, and allowances that nobody needs.
fn reach(words: &[&str], allowed: &[(&str, &str)]) -> Vec<String> {
    let mut used: BTreeMap<&str, bool> = allowed.iter().map(|(path, _)| (*path, false)).collect();
    let mut wrong = Vec::new();
    let sources = sources();
    for source in &sources {
        let said = words.iter().find(|word| source.code.contains(**word));
        match (said, used.get_mut(source.path.as_str())) {
            (Some(_), Some(used)) => *used = true,
            (Some(word), None) => wrong.push(format!("{} says {word}", source.path)),
            (None, _) => {}
        }
    }
    for (path, why) in allowed {
        // A file may be allowed and reach through a library; but it must be there.
        if used.get(path) == Some(&false) && !sources.iter().any(|source| source.path == *path) {
            wrong.push(format!("{path} is allowed ({why}) but is not there"));
        }
    }
    wrong
}

/// Keeps the shape of what `manifests` reads honest: an empty list would make every rule pass.
#[test]
fn the_rules_look_at_something() {
    let rooms: Vec<Room> = manifests();
    assert!(rooms.len() >= 10 && sources().len() >= 100, "{} rooms, {} sources", rooms.len(), sources().len());
    assert!(rooms.iter().any(|room| room.name == "city-store" && room.dependencies.contains_key("fjall")));
    assert!(reach(&["pub fn"], &[]).len() > 50);
}
