//! A small city for tests: a context over a faulty disk, with a virtual clock.

#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use std::sync::{Arc, OnceLock};

use city_context::{Context, OpenReport};
use city_model::permit::Grant;
use city_model::{
    Applied, Attribute, Cause, Change, Entity, EntityId, Instance, Kind, Mint, Name, Permit, Powers, Rejected,
    TenantName, Time, Value,
};
use city_store::faulty::FaultyDisk;
use city_store::journal::Limits;
use city_store::persons::PERSON_KEYS;
use city_store::{PersonKeys, View, VirtualClock};
use tempfile::TempDir;

pub struct City {
    pub disk: FaultyDisk,
    pub clock: Arc<VirtualClock>,
    pub folder: TempDir,
    pub context: Option<Context>,
    pub report: OpenReport,
}

pub const LIMITS: Limits = Limits { segment_bytes: 16 << 10, keep_bytes: 1 << 30, reserve_bytes: 0 };

pub fn open(
    disk: &FaultyDisk,
    folder: &TempDir,
    clock: &Arc<VirtualClock>,
) -> Result<(Context, OpenReport), city_context::Error> {
    let view = Arc::new(View::open(&folder.path().join("view"))?);
    let keys = Arc::new(PersonKeys::open(&folder.path().join("keys").join(PERSON_KEYS))?);
    Context::open(Arc::new(disk.clone()), view, keys, Arc::clone(clock) as _, LIMITS)
}

impl City {
    pub fn new(seed: u64) -> Self {
        let disk = FaultyDisk::new(seed);
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(VirtualClock::starting_at(Time::parse("2026-01-01T00:00:00Z").unwrap()));
        let (context, report) = open(&disk, &folder, &clock).unwrap();
        Self { disk, clock, folder, context: Some(context), report }
    }

    pub fn context(&self) -> &Context {
        self.context.as_ref().unwrap()
    }

    /// Stops and starts again; `lose_view` also loses all that the journal did not sync.
    pub fn restart(&mut self, lose_view: bool) -> Result<(), city_context::Error> {
        self.context = None;
        if lose_view {
            self.folder = tempfile::tempdir().unwrap();
        }
        let (context, report) = open(&self.disk, &self.folder, &self.clock)?;
        self.context = Some(context);
        self.report = report;
        Ok(())
    }

    pub fn apply(&self, changes: Vec<Change>) -> Result<Vec<Result<Applied, Rejected>>, city_context::Error> {
        self.clock.advance_micros(1_000);
        self.context().apply_blocking(&permit("default"), changes, cause(), Vec::new())
    }

    pub fn one(&self, change: Change) -> Result<Applied, Rejected> {
        self.apply(vec![change]).unwrap().remove(0)
    }

    pub fn get(&self, key: &str) -> Option<Arc<Entity>> {
        match self.context().find(&permit("default"), &id(key)) {
            Err(city_context::Error::TenantNotFound(_)) => None,
            found => found.unwrap(),
        }
    }
}

pub fn cause() -> Cause {
    Cause { request: 7, origin: "test".into(), depth: 0 }
}

pub fn permit(tenant: &str) -> Permit {
    permit_with(tenant, Powers::all())
}

pub fn permit_with(tenant: &str, powers: Powers) -> Permit {
    // The process makes its mint once; all tests of it share the one.
    static MINT: OnceLock<Mint> = OnceLock::new();
    MINT.get_or_init(|| Mint::take().unwrap()).issue(Grant {
        tenant: TenantName::parse(tenant).unwrap(),
        who: "test".into(),
        purpose: None,
        powers: Arc::new(powers),
        epoch: 0,
        expires_at: Time::from_micros(i64::MAX),
    })
}

pub fn id(key: &str) -> EntityId {
    EntityId::parse(&format!("urn:ngsi-ld:Meter:{key}")).unwrap()
}

pub fn name(term: &str) -> Name {
    Name::parse(&format!("https://example.org/{term}")).unwrap()
}

pub fn meter(key: &str, attributes: &[(&str, Value)]) -> Entity {
    let mut entity = Entity::new(id(key), vec![name("Meter")]);
    for (term, value) in attributes {
        entity.attributes.push(Attribute::new(name(term), Instance::new(Kind::Property(value.clone()))));
    }
    entity
}

pub fn value(entity: &Entity, term: &str) -> Option<Value> {
    match &entity.find(name(term).as_str())?.default_instance()?.kind {
        Kind::Property(value) => Some(value.clone()),
        _ => None,
    }
}
