//! What a broker keeps and hands out, driven without a socket: steps in, packets and rows out. A crash is a broker
//! made again from the rows that were durable.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::collections::BTreeMap;

use city_mqtt::broker::{AfterAck, Connecting, From, Going, Refusal, SUBSCRIPTIONS_MAX, Staged};
use city_mqtt::packet::{Ack, AckKind, Options, Publish, RetainHandling};
use city_mqtt::session::WAITING_MAX;
use city_mqtt::{Broker, Message, QoS, Reason, Row, rows};

const SECOND: i64 = 1_000_000;
const Q0: QoS = QoS::AtMostOnce;
const Q1: QoS = QoS::AtLeastOnce;
const Q2: QoS = QoS::ExactlyOnce;

/// A broker and the disk under it.
#[derive(Default)]
struct World {
    broker: Broker,
    disk: BTreeMap<Vec<u8>, Vec<u8>>,
    now: i64,
}

impl World {
    fn write(&mut self, rows: Vec<Row>) {
        for Row { key, value } in rows {
            match value {
                Some(value) => drop(self.disk.insert(key, value)),
                None => drop(self.disk.remove(&key)),
            }
        }
    }

    fn commit(&mut self, mut staged: Staged) -> usize {
        self.write(std::mem::take(&mut staged.rows));
        self.broker.commit(staged).1
    }

    fn sync(&mut self) {
        let later = self.broker.take_later();
        self.write(later);
    }

    /// The process is gone: what was not written is lost.
    fn crash(&mut self) {
        let kept: Vec<_> = self.disk.iter().map(|(key, value)| rows::parse(key, value).unwrap()).collect();
        self.broker = Broker::restore(kept, self.now);
    }

    fn connect(&mut self, client: &str, clean_start: bool, expiry_s: u32) -> (u64, bool) {
        self.connect_with(client, clean_start, expiry_s, 100).unwrap()
    }

    fn connect_with(&mut self, client: &str, clean: bool, expiry_s: u32, window: u16) -> Result<(u64, bool), Refusal> {
        let connected = self.broker.connect(Connecting {
            client,
            owner: "owner",
            clean_start: clean,
            expiry_s,
            receive_maximum: window,
            now_micros: self.now,
        })?;
        self.write(connected.rows);
        Ok((connected.connection, connected.session_present))
    }

    fn leave(&mut self, client: &str, connection: u64) {
        assert_eq!(self.broker.disconnect(client, connection, None, None, self.now), None);
    }

    fn subscribe(&mut self, client: &str, filter: &str, qos: QoS) {
        self.subscribe_with(client, filter, options(qos), None);
    }

    fn subscribe_with(&mut self, client: &str, filter: &str, options: Options, id: Option<u32>) {
        let staged = self.broker.subscribe(client, filter, options, id, self.now).unwrap();
        self.commit(staged);
    }

    fn publish(&mut self, from: &str, topic: &str, payload: &str, qos: QoS) -> usize {
        self.tell(from, Message { qos, ..message(topic, payload) })
    }

    fn tell(&mut self, from: &str, message: Message) -> usize {
        let staged = self.broker.stage(From { client: from, packet_id: None }, message, self.now);
        self.commit(staged)
    }

    fn next(&mut self, client: &str, connection: u64) -> Option<Going> {
        self.broker.next(client, connection, self.now, |_| true)
    }

    /// All that goes to a client now.
    fn all(&mut self, client: &str, connection: u64) -> Vec<Publish> {
        let mut all = Vec::new();
        while let Some(Going::Publish(publish)) = self.next(client, connection) {
            all.push(publish);
        }
        all
    }

    fn texts(&mut self, client: &str, connection: u64) -> Vec<String> {
        self.all(client, connection).iter().map(text).collect()
    }

    fn ack(&mut self, client: &str, connection: u64, kind: AckKind, packet_id: u16) -> AfterAck {
        self.broker.acknowledge(client, connection, &Ack::new(kind, packet_id, Reason::SUCCESS))
    }
}

fn options(qos: QoS) -> Options {
    Options { qos, no_local: false, retain_as_published: false, retain_handling: RetainHandling::Send }
}

fn message(topic: &str, payload: &str) -> Message {
    let (topic, payload) = (topic.into(), payload.as_bytes().into());
    Message { topic, payload, qos: Q0, retain: false, expiry_s: None, properties: Vec::new() }
}

fn text(publish: &Publish) -> String {
    String::from_utf8_lossy(&publish.message.payload).into_owned()
}

#[test]
fn what_waits_for_a_client_that_is_away_comes_in_order_after_a_crash() {
    let mut world = World::default();
    let (connection, present) = world.connect("reader", false, 60);
    assert!(!present);
    world.subscribe("reader", "a/#", Q1);
    world.leave("reader", connection);
    for number in 0..5 {
        world.publish("writer", "a/b", &number.to_string(), Q1);
        world.publish("writer", "a/b", "not kept", Q0);
    }
    world.crash();
    let (connection, present) = world.connect("reader", false, 60);
    assert!(present);
    let all = world.all("reader", connection);
    assert_eq!(all.iter().map(text).collect::<Vec<_>>(), ["0", "1", "2", "3", "4"]);
    for publish in &all {
        assert_eq!(world.ack("reader", connection, AckKind::Puback, publish.packet_id), AfterAck::Nothing);
    }
    world.sync();
    world.leave("reader", connection);
    world.crash();
    let (connection, _) = world.connect("reader", false, 60);
    assert_eq!(world.texts("reader", connection), [""; 0]);
    world.publish("writer", "a/c", "still subscribed", Q1);
    assert_eq!(world.texts("reader", connection), ["still subscribed"]);
}

#[test]
fn exactly_once_keeps_its_identifier_over_crashes_and_goes_on_where_it_was() {
    let mut world = World::default();
    let (connection, _) = world.connect("reader", false, 60);
    world.subscribe("reader", "a", Q2);
    world.publish("writer", "a", "once", Q2);
    let first = world.all("reader", connection).remove(0);
    assert!(!first.duplicate && first.message.qos == Q2);
    world.crash();
    let (connection, _) = world.connect("reader", false, 60);
    let again = world.all("reader", connection).remove(0);
    assert!(again.duplicate);
    assert_eq!(again.packet_id, first.packet_id, "the receiver knows it again");
    let AfterAck::Release(rows) = world.ack("reader", connection, AckKind::Pubrec, again.packet_id) else {
        panic!("PUBREC releases")
    };
    world.write(rows);
    world.crash();
    let (connection, _) = world.connect("reader", false, 60);
    let released = Going::Release { packet_id: first.packet_id };
    assert_eq!(world.next("reader", connection), Some(released), "never the message again");
    assert_eq!(world.next("reader", connection), None);
    assert_eq!(world.ack("reader", connection, AckKind::Pubcomp, first.packet_id), AfterAck::Nothing);
    assert_eq!(world.ack("reader", connection, AckKind::Pubcomp, first.packet_id), AfterAck::Unknown);
    world.sync();
    world.crash();
    let (connection, _) = world.connect("reader", false, 60);
    assert_eq!(world.next("reader", connection), None);
}

#[test]
fn a_message_of_qos_2_that_came_is_known_again_until_it_is_released() {
    let mut world = World::default();
    world.connect("writer", false, 60);
    let staged = world.broker.stage(From { client: "writer", packet_id: Some(7) }, message("a", "x"), 0);
    world.commit(staged);
    world.crash();
    world.connect("writer", false, 60);
    assert!(world.broker.has_received("writer", 7) && !world.broker.has_received("writer", 8));
    let rows = world.broker.release("writer", 7).unwrap();
    world.write(rows);
    world.crash();
    assert!(!world.broker.has_received("writer", 7));
    assert_eq!(world.broker.release("writer", 7), None);
}

#[test]
fn what_did_not_become_durable_leaves_nothing_behind() {
    let mut world = World::default();
    let (connection, _) = world.connect("reader", false, 60);
    world.subscribe("reader", "a", Q2);
    world.connect("writer", false, 60);
    for _ in 0..WAITING_MAX + 1 {
        let from = From { client: "writer", packet_id: Some(3) };
        let staged = world.broker.stage(from, Message { qos: Q2, retain: true, ..message("a", "x") }, 0);
        assert_eq!(staged.dropped, 0, "the places of the others were given back");
        world.broker.abandon(staged);
    }
    assert!(!world.broker.has_received("writer", 3));
    assert_eq!(world.next("reader", connection), None);
    assert_eq!(world.broker.retained(), 0);
    let written = world.disk.clone();
    world.crash();
    world.sync();
    assert_eq!(world.disk, written);
}

#[test]
fn a_full_queue_drops_for_its_own_client_alone() {
    let mut world = World::default();
    let (slow, _) = world.connect_with("slow", false, 60, 1).unwrap();
    let (quick, _) = world.connect("quick", true, 0);
    world.subscribe("slow", "a", Q1);
    world.subscribe("quick", "a", Q0);
    let mut dropped = 0;
    for number in 0..WAITING_MAX + 5 {
        dropped += world.publish("writer", "a", &number.to_string(), Q1);
        assert_eq!(world.texts("quick", quick).len(), 1);
    }
    assert_eq!(dropped, 5);
    let first = world.all("slow", slow);
    assert_eq!(first.len(), 1, "its window holds one");
    assert_eq!(world.ack("slow", slow, AckKind::Puback, first[0].packet_id), AfterAck::Nothing);
    assert_eq!(world.texts("slow", slow), ["1"]);
    assert_eq!(world.publish("writer", "a", "room again", Q1), 0);
}

#[test]
fn many_more_messages_than_there_are_identifiers_pass_one_that_is_never_acknowledged() {
    let mut world = World::default();
    let (connection, _) = world.connect("reader", true, 0);
    world.subscribe("reader", "a", Q1);
    world.publish("writer", "a", "stuck", Q1);
    let stuck = world.all("reader", connection)[0].packet_id;
    for _ in 0..70_000 {
        world.publish("writer", "a", "x", Q1);
        let id = world.all("reader", connection)[0].packet_id;
        assert!(id != stuck && id != 0);
        assert_eq!(world.ack("reader", connection, AckKind::Puback, id), AfterAck::Nothing);
    }
    assert_eq!(world.ack("reader", connection, AckKind::Puback, stuck), AfterAck::Nothing);
}

#[test]
fn retained_messages_come_with_a_subscription_and_outlive_a_crash() {
    let mut world = World::default();
    let retained = |topic, payload| Message { retain: true, qos: Q1, ..message(topic, payload) };
    world.tell("writer", retained("a/1", "old"));
    world.tell("writer", retained("a/1", "new"));
    world.tell("writer", retained("a/2", "two"));
    world.tell("writer", retained("b", "other"));
    world.tell("writer", Message { expiry_s: Some(5), ..retained("a/short", "short") });
    world.tell("writer", retained("a/2", ""));
    world.crash();
    assert_eq!(world.broker.retained(), 3);
    let (connection, _) = world.connect("reader", true, 0);
    world.subscribe("reader", "a/#", Q1);
    let all = world.all("reader", connection);
    assert_eq!(all.iter().map(text).collect::<Vec<_>>(), ["new", "short"]);
    assert!(all.iter().all(|publish| publish.message.retain));
    assert_eq!(all[1].message.expiry_s, Some(5));
    world.now = 6 * SECOND;
    world.subscribe_with("reader", "a/+", Options { retain_handling: RetainHandling::SendIfNew, ..options(Q0) }, None);
    assert_eq!(world.texts("reader", connection), ["new"]);
    world.subscribe_with("reader", "a/+", Options { retain_handling: RetainHandling::SendIfNew, ..options(Q0) }, None);
    world.subscribe_with("reader", "a/1", Options { retain_handling: RetainHandling::DoNotSend, ..options(Q0) }, None);
    world.subscribe("reader", "$share/g/a/#", Q1);
    assert_eq!(world.texts("reader", connection), [""; 0]);
}

#[test]
fn one_copy_for_each_client_whatever_matches_and_none_of_its_own_where_it_says_so() {
    let mut world = World::default();
    let (connection, _) = world.connect("reader", true, 0);
    world.subscribe_with("reader", "a/#", options(Q0), Some(1));
    world.subscribe_with("reader", "a/+", options(Q2), Some(2));
    world.publish("writer", "a/b", "x", Q1);
    let all = world.all("reader", connection);
    assert_eq!((all.len(), all[0].message.qos), (1, Q1));
    let mut ids = all[0].subscription_ids.clone();
    ids.sort_unstable();
    assert_eq!(ids, [1, 2]);
    world.subscribe_with("reader", "own", Options { no_local: true, ..options(Q1) }, None);
    world.publish("reader", "own", "mine", Q1);
    world.publish("writer", "own", "yours", Q1);
    assert_eq!(world.texts("reader", connection), ["yours"]);
    assert_eq!(world.broker.unsubscribe("reader", "own").map(|rows| rows.len()), Some(0));
    assert_eq!(world.broker.unsubscribe("reader", "own"), None);
    world.publish("writer", "own", "nobody", Q1);
    assert_eq!(world.texts("reader", connection), [""; 0]);
}

#[test]
fn a_group_shares_and_those_who_are_there_come_first() {
    let mut world = World::default();
    let (one, _) = world.connect("one", false, 60);
    let (two, _) = world.connect("two", false, 60);
    for client in ["one", "two"] {
        world.subscribe(client, "$share/g/a/+", Q1);
    }
    for number in 0..4 {
        world.publish("writer", "a/b", &number.to_string(), Q1);
    }
    let (first, second) = (world.texts("one", one), world.texts("two", two));
    assert_eq!((first.len(), second.len()), (2, 2));
    world.leave("two", two);
    world.publish("writer", "a/b", "to one", Q1);
    world.publish("writer", "a/b", "to one", Q1);
    assert_eq!(world.texts("one", one), ["to one", "to one"]);
    world.leave("one", one);
    world.publish("writer", "a/b", "waits for one of them", Q1);
    world.crash();
    let (one, _) = world.connect("one", false, 60);
    let (two, _) = world.connect("two", false, 60);
    let all: Vec<String> = world.texts("one", one).into_iter().chain(world.texts("two", two)).collect();
    assert_eq!(all.iter().filter(|text| *text == "waits for one of them").count(), 1);
}

#[test]
fn sessions_end_when_their_time_is_over_and_take_their_rows_with_them() {
    let mut world = World::default();
    let (short, _) = world.connect("short", false, 10);
    let (long, _) = world.connect("long", false, u32::MAX);
    for (client, connection) in [("short", short), ("long", long)] {
        world.subscribe(client, "a", Q1);
        world.leave(client, connection);
    }
    world.publish("writer", "a", "x", Q1);
    world.sync();
    world.crash();
    world.now = 10 * SECOND;
    assert_eq!(world.broker.upkeep(world.now), []);
    world.sync();
    assert!(!world.disk.keys().any(|key| key.windows(5).any(|part| part == b"short")));
    world.crash();
    assert!(!world.connect("short", false, 10).1, "it is a new one");
    assert!(world.connect("long", false, 10).1);
    // A clean start takes the last of it away.
    world.connect("long", true, 0);
    world.sync();
    world.crash();
    world.connect("short", true, 0);
    world.sync();
    assert!(world.disk.is_empty(), "{:?}", world.disk);
}

#[test]
fn a_last_word_is_said_at_once_later_or_not_at_all() {
    let mut world = World::default();
    let will = |delay_s| Some(("who".into(), message("will", "gone"), delay_s));
    let (connection, _) = world.connect("a", false, 60);
    assert!(world.broker.disconnect("a", connection, None, will(0), 0).is_some(), "at once");
    let (connection, _) = world.connect("a", false, 60);
    assert!(world.broker.disconnect("a", connection, None, will(5), 0).is_none());
    assert_eq!(world.broker.upkeep(4 * SECOND), []);
    assert_eq!(world.broker.upkeep(5 * SECOND).len(), 1, "when it is due");
    assert_eq!(world.broker.upkeep(6 * SECOND), [], "once");
    let (connection, _) = world.connect("a", false, 60);
    assert!(world.broker.disconnect("a", connection, None, will(5), 0).is_none());
    world.connect("a", false, 60);
    assert_eq!(world.broker.upkeep(9 * SECOND), [], "the client came back");
    let (connection, _) = world.connect("b", false, 3);
    assert!(world.broker.disconnect("b", connection, None, will(50), 0).is_none());
    assert_eq!(world.broker.upkeep(3 * SECOND).len(), 1, "the session ended first");
    let (connection, _) = world.connect("c", true, 0);
    assert!(world.broker.disconnect("c", connection, None, will(50), 0).is_some(), "with its connection");
}

#[test]
fn a_session_belongs_to_its_owner_and_one_connection_has_it() {
    let mut world = World::default();
    let (first, _) = world.connect("a", false, 60);
    let theirs = Connecting {
        client: "a",
        owner: "somebody else",
        clean_start: true,
        expiry_s: 0,
        receive_maximum: 1,
        now_micros: 0,
    };
    assert_eq!(world.broker.connect(theirs), Err(Refusal::NotYours));
    world.subscribe("a", "t", Q1);
    let connected = world.broker.connect(Connecting { owner: "owner", clean_start: false, expiry_s: 60, ..theirs });
    let connected = connected.unwrap();
    assert_eq!((connected.taken_over, connected.session_present), (Some(first), true));
    world.publish("writer", "t", "x", Q1);
    assert_eq!(world.next("a", first), None, "the old connection gets nothing more");
    assert_eq!(world.broker.disconnect("a", first, None, None, 0), None);
    assert_eq!(world.texts("a", connected.connection), ["x"], "nor does its end end the session");
    let bound = u32::try_from(SUBSCRIPTIONS_MAX).unwrap();
    let more = (0..bound).filter(|n| world.broker.subscribe("a", &n.to_string(), options(Q0), None, 0).is_some());
    assert_eq!(more.count(), SUBSCRIPTIONS_MAX - 1);
}
