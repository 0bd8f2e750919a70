//! `kill -9` at random moments under mixed load. A ledger, written and synced by the test itself,
//! says what was acknowledged; after the last kill everything in it must be there, in the state,
//! in the past and told to the subscriber, in order per entity.
//!
//! `RENKEI_KILLS` is the number of kills (20), `RENKEI_SEED` repeats a run.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use e2e_tests::{
    Answer, Client, ENTITIES, OPERATIONS, PATIENCE, Random, Receiver, Reply, SUBSCRIPTIONS, Server, TEMPORAL,
    eventually, path_with,
};
use serde_json::{Value, json};

const KILLS_DEFAULT: u64 = 20;
/// After so many kills everything is compared, and new entities and a new subscriber begin.
const KILLS_IN_A_ROUND: u64 = 20;
const WRITERS: u64 = 4;
const ENTITIES_OF_A_WRITER: u64 = 12;
/// Longest life of a server under load.
const LIFE_MS_MAX: u64 = 900;

/// What one entity was asked to become: a reading that no other write has, or gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Told {
    Reading(u64),
    Gone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// No answer came: it may have happened or not.
    Unanswered,
    /// Acknowledged, or found after the kill.
    Done,
    /// Never answered, and not there after the kill: it must not turn up later either.
    Undone,
}

/// One write of one entity, as the ledger has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    number: u64,
    told: Told,
    fate: Fate,
}

/// Lines `try N ENTITY READING|gone`; `done N` once acknowledged; `was N ENTITY` or `not N ENTITY`
/// for what was found after a kill. One file for each writer, synced before a write counts.
struct Ledger {
    file: File,
    path: PathBuf,
    next: u64,
}

impl Ledger {
    fn new(path: PathBuf) -> Self {
        Self { file: File::create(&path).unwrap(), path, next: 0 }
    }

    fn intend(&mut self, writes: &[(String, Told)]) -> u64 {
        self.next += 1;
        let mut lines = String::new();
        for (entity, told) in writes {
            let told = match told {
                Told::Reading(reading) => reading.to_string(),
                Told::Gone => "gone".to_owned(),
            };
            lines.push_str(&format!("try {} {entity} {told}\n", self.next));
        }
        self.file.write_all(lines.as_bytes()).unwrap();
        self.next
    }

    fn acknowledge(&mut self, number: u64) {
        writeln!(self.file, "done {number}").unwrap();
        self.file.sync_data().unwrap();
    }

    fn settle(&mut self, number: u64, entity: &str, happened: bool) {
        writeln!(self.file, "{} {number} {entity}", if happened { "was" } else { "not" }).unwrap();
    }

    /// The writes of each entity in order, read back from the disk.
    fn read(&self) -> BTreeMap<String, Vec<Entry>> {
        let mut found: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
        let mut done = HashSet::new();
        let mut settled: HashMap<(u64, String), Fate> = HashMap::new();
        for line in BufReader::new(File::open(&self.path).unwrap()).lines() {
            let line = line.unwrap();
            let words: Vec<&str> = line.split(' ').collect();
            let number: u64 = words[1].parse().unwrap();
            match words[0] {
                "try" => {
                    let told = if words[3] == "gone" { Told::Gone } else { Told::Reading(words[3].parse().unwrap()) };
                    let entry = Entry { number, told, fate: Fate::Unanswered };
                    found.entry(words[2].to_owned()).or_default().push(entry);
                }
                "done" => drop(done.insert(number)),
                "was" => drop(settled.insert((number, words[2].to_owned()), Fate::Done)),
                "not" => drop(settled.insert((number, words[2].to_owned()), Fate::Undone)),
                other => panic!("the ledger has a line {other}"),
            }
        }
        for (entity, entries) in &mut found {
            for entry in entries {
                let fate = settled.get(&(entry.number, entity.clone())).copied();
                entry.fate = if done.contains(&entry.number) { Fate::Done } else { fate.unwrap_or(entry.fate) };
            }
        }
        found
    }
}

/// A writer alone writes its entities, so that it knows their order.
struct Writer {
    ledger: Ledger,
    random: Random,
    entities: Vec<String>,
    /// What stands, as far as is known; after a kill it is asked anew.
    present: HashSet<String>,
    reading: u64,
}

impl Writer {
    /// Writes until the server is gone.
    fn write_until(&mut self, address: &str, stop: &AtomicBool) {
        let client = Client::new(address);
        while !stop.load(Ordering::Relaxed) {
            let entity = self.entities[self.random.below(ENTITIES_OF_A_WRITER) as usize].clone();
            let present = self.present.contains(&entity);
            let answered = match self.random.below(10) {
                0..=3 => self.upsert(&client),
                4 if present => self.delete(&client, &entity),
                _ if present => self.update(&client, &entity),
                _ => self.create(&client, &entity),
            };
            if !answered {
                return;
            }
        }
    }

    fn next_reading(&mut self) -> u64 {
        self.reading += 1;
        self.reading
    }

    fn create(&mut self, client: &Client, entity: &str) -> bool {
        let reading = self.next_reading();
        let number = self.ledger.intend(&[(entity.to_owned(), Told::Reading(reading))]);
        let sent = client.request("POST", ENTITIES).json(&meter(entity, reading)).send();
        self.finish(number, sent, &[201], &[(entity, true)])
    }

    fn update(&mut self, client: &Client, entity: &str) -> bool {
        let reading = self.next_reading();
        let number = self.ledger.intend(&[(entity.to_owned(), Told::Reading(reading))]);
        let (method, path, body) = match self.random.below(3) {
            0 => ("PATCH", format!("{ENTITIES}/{entity}/attrs/reading"), json!({"value": reading})),
            1 => ("PATCH", format!("{ENTITIES}/{entity}"), json!({"reading": {"type": "Property", "value": reading}})),
            _ => (
                "POST",
                format!("{ENTITIES}/{entity}/attrs"),
                json!({"reading": {"type": "Property", "value": reading}}),
            ),
        };
        let sent = client.request(method, &path).json(&body).send();
        self.finish(number, sent, &[204], &[(entity, true)])
    }

    fn delete(&mut self, client: &Client, entity: &str) -> bool {
        let number = self.ledger.intend(&[(entity.to_owned(), Told::Gone)]);
        let sent = client.request("DELETE", &format!("{ENTITIES}/{entity}")).send();
        self.finish(number, sent, &[204], &[(entity, false)])
    }

    fn upsert(&mut self, client: &Client) -> bool {
        let first = self.random.below(ENTITIES_OF_A_WRITER) as usize;
        let count = 1 + self.random.below(6) as usize;
        let chosen: Vec<String> = self.entities.iter().cycle().skip(first).take(count).cloned().collect();
        let writes: Vec<(String, Told)> =
            chosen.iter().map(|entity| (entity.clone(), Told::Reading(self.next_reading()))).collect();
        let number = self.ledger.intend(&writes);
        let body: Vec<Value> = writes
            .iter()
            .map(|(entity, told)| match told {
                Told::Reading(reading) => meter(entity, *reading),
                Told::Gone => unreachable!("an upsert deletes nothing"),
            })
            .collect();
        let path = format!("{OPERATIONS}/upsert{}", if self.random.one_in(2) { "?options=update" } else { "" });
        let sent = client.request("POST", &path).json(&Value::from(body)).send();
        let after: Vec<(&str, bool)> = chosen.iter().map(|entity| (entity.as_str(), true)).collect();
        self.finish(number, sent, &[201, 204], &after)
    }

    /// `false` when no answer came: nobody knows what became of the write.
    fn finish(&mut self, number: u64, sent: std::io::Result<Answer>, good: &[u16], after: &[(&str, bool)]) -> bool {
        let Ok(answer) = sent else { return false };
        assert!(good.contains(&answer.status), "a write was answered {}: {}", answer.status, answer.text());
        self.ledger.acknowledge(number);
        for (entity, present) in after {
            if *present {
                self.present.insert((*entity).to_owned())
            } else {
                self.present.remove(*entity)
            };
        }
        true
    }

    /// After a kill: each entity is as its last acknowledged write left it, or as an unanswered one would have.
    fn check_state(&mut self, client: &Client) -> usize {
        for (entity, writes) in self.ledger.read() {
            let answer = client.get(&format!("{ENTITIES}/{entity}"));
            let found = match answer.status {
                200 => Told::Reading(answer.json()["reading"]["value"].as_u64().unwrap()),
                404 => Told::Gone,
                status => panic!("{entity} was answered {status}: {}", answer.text()),
            };
            let known = writes.iter().rfind(|write| write.fate == Fate::Done).map_or(Told::Gone, |write| write.told);
            let unanswered: Vec<Entry> =
                writes.iter().filter(|write| write.fate == Fate::Unanswered).copied().collect();
            assert!(
                found == known || unanswered.iter().any(|write| write.told == found),
                "{entity} is {found:?}; acknowledged was {known:?}, unanswered {unanswered:?}"
            );
            for write in unanswered {
                self.ledger.settle(write.number, &entity, write.told == found);
            }
            if found == Told::Gone {
                self.present.remove(&entity)
            } else {
                self.present.insert(entity)
            };
        }
        self.present.len()
    }
}

fn meter(entity: &str, reading: u64) -> Value {
    json!({
        "id": entity, "type": "Meter",
        "reading": {"type": "Property", "value": reading},
        "label": {"type": "Property", "value": "a text that stays the same through all writes"},
    })
}

/// The subscriber's endpoint: it takes most, refuses some for now, hangs up now and then.
fn moody_receiver(random: &mut Random) -> Receiver {
    let random = std::sync::Mutex::new(random.fork());
    Receiver::deciding(0, move |_| match random.lock().unwrap().below(100) {
        0 | 1 => Reply::Status(500),
        2 => Reply::HangUp,
        _ => Reply::Status(204),
    })
}

fn subscribe(client: &Client, id: &str, pattern: &str, receiver: &Receiver) {
    let subscription = json!({
        "id": id, "type": "Subscription",
        "entities": [{"type": "Meter", "idPattern": pattern}],
        "watchedAttributes": ["reading"],
        "notificationTrigger": ["attributeCreated", "attributeUpdated", "entityDeleted"],
        "notification": {"attributes": ["reading"], "endpoint": {"uri": receiver.url(), "cooldown": 20}},
    });
    let _ = client.post(SUBSCRIPTIONS, &subscription).expect(201);
}

/// A life under load, ended by `kill -9`.
fn live_and_die(server: &mut Server, writers: &mut [Writer], life: Duration) {
    let stop = AtomicBool::new(false);
    let address = server.address().to_owned();
    std::thread::scope(|scope| {
        for writer in writers {
            scope.spawn(|| writer.write_until(&address, &stop));
        }
        std::thread::sleep(life);
        server.kill();
        stop.store(true, Ordering::Relaxed);
    });
}

/// Every reading that happened stands once in the past, and nothing else does.
fn check_past(client: &Client, writers: &[Writer]) -> usize {
    let mut checked = 0;
    for writer in writers {
        for (entity, writes) in writer.ledger.read() {
            let path =
                path_with(&format!("{TEMPORAL}/{entity}"), &[("attrs", "reading"), ("options", "temporalValues")]);
            let answer = client.get(&path);
            if answer.status == 404 && writes.iter().all(|write| write.fate == Fate::Undone) {
                continue;
            }
            let past = answer.json_of(200);
            let series = match &past["reading"] {
                Value::Array(many) => many.clone(),
                one => vec![one.clone()],
            };
            let mut times: HashMap<u64, usize> = HashMap::new();
            for value in series.iter().filter_map(|one| one["values"].as_array()).flatten() {
                if let Some(reading) = value[0].as_u64() {
                    *times.entry(reading).or_default() += 1;
                }
            }
            for write in &writes {
                let Told::Reading(reading) = write.told else { continue };
                let found = times.remove(&reading).unwrap_or_default();
                checked += found;
                let expected = usize::from(write.fate == Fate::Done);
                assert_eq!(found, expected, "{entity}: how often reading {reading} stands in the past; {write:?}");
            }
            assert!(times.is_empty(), "{entity}: readings in the past that nobody wrote: {times:?}");
        }
    }
    checked
}

/// What the subscriber was told of each entity, in the order in which each notification first came.
fn told_of(receiver: &Receiver) -> BTreeMap<String, Vec<Told>> {
    let mut told: BTreeMap<String, Vec<Told>> = BTreeMap::new();
    let mut known: HashMap<String, Value> = HashMap::new();
    receiver.look(|all| {
        for notification in all.iter() {
            if let Some(first) = known.get(notification.id()) {
                assert_eq!(*first, notification.body["data"], "a repeat of {} tells something else", notification.id());
                continue;
            }
            known.insert(notification.id().to_owned(), notification.body["data"].clone());
            for entity in notification.data() {
                let what = match entity["reading"]["value"].as_u64() {
                    Some(reading) => Told::Reading(reading),
                    None => Told::Gone,
                };
                told.entry(entity["id"].as_str().unwrap().to_owned()).or_default().push(what);
            }
        }
    });
    told
}

/// Where what was told differs from the ledger, if it does.
fn difference(writers: &[Writer], told: &BTreeMap<String, Vec<Told>>) -> Option<String> {
    for writer in writers {
        for (entity, writes) in writer.ledger.read() {
            let mut told = told.get(&entity).into_iter().flatten().peekable();
            for write in writes.iter().filter(|write| write.fate == Fate::Done) {
                if told.next_if_eq(&&write.told).is_none() {
                    return Some(format!("{entity}: {write:?} was not told in its place; next is {:?}", told.peek()));
                }
            }
            if let Some(more) = told.next() {
                return Some(format!("{entity}: {more:?} was told, and nobody wrote it there"));
            }
        }
    }
    None
}

fn check_notifications(writers: &[Writer], receiver: &Receiver, client: &Client, subscription: &str) -> usize {
    // Patience begins anew with each notification: how many wait depends on how fast the machine wrote.
    let (mut started, mut count) = (std::time::Instant::now(), 0);
    loop {
        let told = told_of(receiver);
        if receiver.count() > count {
            (started, count) = (std::time::Instant::now(), receiver.count());
        }
        match difference(writers, &told) {
            None => return told.values().map(Vec::len).sum(),
            Some(why) if started.elapsed() > PATIENCE => {
                let letters = client.get(&format!("/ops/v1/subscriptions/{subscription}/dead-letters")).text();
                panic!("{why}\ndead letters: {letters}");
            }
            Some(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

fn writers_of(round: u64, folder: &Path, random: &mut Random) -> Vec<Writer> {
    (0..WRITERS)
        .map(|writer| Writer {
            ledger: Ledger::new(folder.join(format!("ledger-{round}-{writer}"))),
            random: random.fork(),
            entities: (0..ENTITIES_OF_A_WRITER).map(|n| format!("urn:ngsi-ld:Meter:{round}-{writer}-{n}")).collect(),
            present: HashSet::new(),
            reading: 0,
        })
        .collect()
}

/// Some servers are killed before they answer: while they replay the journal.
fn die_at_birth(data: &Path, random: &mut Random) {
    let arguments = ["serve", "--data", data.to_str().unwrap(), "--listen", "127.0.0.1:0"];
    let mut server = Server::launch(&arguments);
    std::thread::sleep(Duration::from_millis(random.below(120)));
    server.kill();
}

#[test]
fn no_acknowledged_write_and_no_notification_is_lost_by_killing_the_server() {
    let kills: u64 =
        std::env::var("RENKEI_KILLS").map_or(KILLS_DEFAULT, |text| text.parse().expect("RENKEI_KILLS is a number"));
    let (mut random, _) = Random::of_this_run();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("city");
    let mut killed = 0;
    let mut round = 0;
    let (mut present_before, mut acknowledged) = (0, 0);
    while killed < kills {
        let receiver = moody_receiver(&mut random);
        let mut writers = writers_of(round, folder.path(), &mut random);
        let subscription = format!("urn:ngsi-ld:Subscription:round-{round}");
        let mut server = Server::start(&data);
        subscribe(&server.client(), &subscription, &format!("^urn:ngsi-ld:Meter:{round}-"), &receiver);
        let mut present = 0;
        for _ in 0..KILLS_IN_A_ROUND.min(kills - killed) {
            live_and_die(&mut server, &mut writers, Duration::from_millis(random.below(LIFE_MS_MAX)));
            killed += 1;
            if random.one_in(4) {
                die_at_birth(&data, &mut random);
            }
            server = Server::start(&data);
            let client = server.client();
            present = writers.iter_mut().map(|writer| writer.check_state(&client)).sum();
            let counted = client.get(&format!("{ENTITIES}?type=Meter&limit=0&count=true")).expect(200);
            let counted: usize = counted.header("ngsild-results-count").unwrap().parse().unwrap();
            assert_eq!(counted, present + present_before, "the count differs from the entities that are there");
        }
        present_before += present;
        let client = server.client();
        let readings = check_past(&client, &writers);
        let told = check_notifications(&writers, &receiver, &client, &subscription);
        let writes: usize = writers
            .iter()
            .flat_map(|writer| writer.ledger.read().into_values())
            .flatten()
            .filter(|write| write.fate == Fate::Done)
            .count();
        acknowledged += writes;
        println!("{killed} kills: {writes} acknowledged writes, {readings} readings in the past, {told} tellings");
        eventually("nothing waits any more", || {
            let listed = client.get(&format!("{SUBSCRIPTIONS}/{subscription}")).json_of(200);
            (listed["notification"]["timesSent"].as_u64() > Some(0)).then_some(())
        });
        let _ = client.delete(&format!("{SUBSCRIPTIONS}/{subscription}")).expect(204);
        server.kill();
        round += 1;
    }
    assert!(acknowledged > kills as usize * 10, "only {acknowledged} writes were acknowledged: that proves little");
}
