//! A city with nothing but its context and what leaves it, and endpoints that take everything.

#![allow(dead_code, reason = "each test uses its part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use city_action::{Action, SubscriptionKey};
use city_context::Context;
use city_model::change::Definition;
use city_model::permit::Grant;
use city_model::{
    Cause, Change, Classes, DefinitionKind, Mint, Owner, Permit, PermitSource, Powers, Release, TenantName, Time,
};
use city_ngsi_ld::context::{ContextStore, TermMap};
use city_ngsi_ld::subscription::{parse_subscription, stored};
use city_ngsi_ld::{Mode, parse_entity};
use city_outbound::{Outbound, Policy};
use city_store::journal::Limits;
use city_store::{FolderDisk, View, VirtualClock};
use serde_json::{Value, json};

pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct City {
    pub clock: Arc<VirtualClock>,
    pub context: Arc<Context>,
    pub action: Action,
    _runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

impl City {
    /// Everybody may see everything, and the journal keeps it all.
    pub fn new() -> Self {
        Self::with(Limits { reserve_bytes: 0, ..Limits::default() }, Arc::new(Everybody))
    }

    pub fn with(limits: Limits, permits: Arc<dyn PermitSource>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(VirtualClock::starting_at(Time::parse("2026-01-01T00:00:00Z").unwrap()));
        let disk = FolderDisk::new(folder.path().join("journal")).unwrap();
        let view = Arc::new(View::open(&folder.path().join("view")).unwrap());
        let (context, _) =
            Context::open(Arc::new(disk), view, Arc::default(), Arc::clone(&clock) as _, limits).unwrap();
        let context = Arc::new(context);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let allow = vec!["127.0.0.0/8".parse().unwrap()];
        let outbound = Outbound::new(Policy { allow, ..Policy::default() });
        let action = {
            let _entered = runtime.enter();
            Action::start(Arc::clone(&context), Arc::new(ContextStore::new()), outbound, permits).unwrap()
        };
        Self { clock, context, action, _runtime: runtime, _folder: folder }
    }
}

/// Everybody may see everything.
pub struct Everybody;

impl PermitSource for Everybody {
    fn permit_of(&self, _: &TenantName, _: Option<&Owner>, _: Time) -> Option<Permit> {
        Some(permit())
    }

    fn classes(&self, _: &TenantName) -> Arc<Classes> {
        Arc::default()
    }

    fn still_holds(&self, _: &Permit, _: Time) -> bool {
        true
    }

    fn release(&self, _: &Permit, _: Time) -> Option<Box<dyn Release>> {
        Some(Box::new(Self))
    }
}

impl Release for Everybody {
    fn is_cut(&self) -> bool {
        false
    }
}

pub fn permit() -> Permit {
    permit_in(&TenantName::default_tenant())
}

pub fn permit_in(tenant: &TenantName) -> Permit {
    // The process makes its mint once; all tests of it share the one.
    static MINT: OnceLock<Mint> = OnceLock::new();
    MINT.get_or_init(|| Mint::take().unwrap()).issue(Grant {
        tenant: tenant.clone(),
        who: "test".into(),
        purpose: None,
        powers: Arc::new(Powers::all()),
        epoch: 0,
        expires_at: Time::from_micros(i64::MAX),
    })
}

impl City {
    pub fn apply(&self, change: Change) {
        self.apply_in(&TenantName::default_tenant(), change);
    }

    pub fn apply_in(&self, tenant: &TenantName, change: Change) {
        self.clock.advance_micros(1_000);
        let cause = Cause { request: u128::from(self.context.journal().durable()), origin: "test".into(), depth: 0 };
        for result in self.context.apply_blocking(&permit_in(tenant), vec![change], cause, Vec::new()).unwrap() {
            result.unwrap();
        }
    }

    pub fn level(&self, value: i64) {
        self.upsert(
            &json!({"id": "urn:ngsi-ld:Gauge:1", "type": "Gauge", "level": {"type": "Property", "value": value}}),
        );
    }

    pub fn upsert(&self, entity: &Value) {
        let entity = parse_entity(entity.to_string().as_bytes(), &TermMap::core(), Mode::Create).unwrap();
        self.apply(Change::Upsert { entity, update: true });
    }

    /// Waits until so many notifications are known to have been taken.
    pub fn settled(&self, id: &str, times_sent: u64) {
        let key = SubscriptionKey { tenant: 1, id: id.into() };
        let started = std::time::Instant::now();
        while self.action.report(&key).is_none_or(|report| report.times_sent < times_sent) {
            assert!(started.elapsed() < PATIENCE, "waited in vain for {times_sent} notifications");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What arrives at an endpoint of its own: the levels.
    pub fn subscribe(&self, id: &str, further: Value) -> Receiver<i64> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let uri = format!("http://{}/", listener.local_addr().unwrap());
        let mut body = json!({
            "id": id, "type": "Subscription", "entities": [{"type": "Gauge"}], "notification": {"endpoint": {"uri": uri}},
        });
        body.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
        let now = city_store::Clock::now(&*self.clock);
        let subscription = parse_subscription(body.to_string().as_bytes(), &TermMap::core(), id, now, None).unwrap();
        let body = stored(&subscription).as_bytes().into();
        let kind = DefinitionKind::Subscription;
        self.apply(Change::Define(Definition { kind, id: subscription.id.clone(), body, create: true }));
        let (sender, received) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let sender = sender.clone();
                std::thread::spawn(move || answer_all(stream, &sender));
            }
        });
        received
    }
}

/// Takes every notification of a connection.
fn answer_all(stream: std::net::TcpStream, sender: &std::sync::mpsc::Sender<i64>) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let _ = sender.send(body["data"][0]["level"]["value"].as_i64().unwrap());
        stream.get_mut().write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    }
}
