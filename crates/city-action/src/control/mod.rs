//! The loop: what is proposed becomes a suggestion; a person decides; what was decided is commanded, and what
//! came of it is written down.
//!
//! Every step is an entity of our own vocabulary, written here alone by the one hand of the process, one step
//! after the other: so two persons cannot both decide, and no command leaves that no decision names.

pub mod actuator;
pub mod command;
mod decide;
mod dispatch;
mod error;
mod paper;
mod record;
pub mod suggestion;
mod watch;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use city_context::{Context, TenantSpace, definitions_of};
use city_model::query::EntitySelector;
use city_model::vocabulary::{self, COMMAND, SUGGESTION};
use city_model::{
    Applied, Cause, Change, DefinitionKind, Entity, EntityId, Hand, Note, Permit, PermitSource, Proposal, Query,
    TenantName, Time, TypeExpr,
};
use city_outbound::Outbound;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Notify;

pub use decide::{REASON_CHARS_MAX, Verdict};
pub use dispatch::Outcome;
pub use error::Error;
pub use record::{Asked, Shorten};

use actuator::{Actuator, actuator_id};
use command::Command;
use paper::{Draft, Number};
use suggestion::{Status, Suggestion};

/// Most suggestions of a tenant that wait for a decision; beyond, a rule's finding is counted and not suggested.
pub const SUGGESTIONS_OPEN_MAX: usize = 1_000;
/// Most commands that wait for their acknowledgement.
pub const COMMANDS_OPEN_MAX: usize = 1_000;
/// Entities read at once when the loop starts.
const START_ENTITIES: usize = 1_000;

/// The loop of all tenants.
pub struct Control {
    context: Arc<Context>,
    outbound: Outbound,
    permits: Arc<dyn PermitSource>,
    hand: Hand,
    /// One step after the other.
    order: Mutex<Open>,
    runtime: Handle,
    /// Commands of one target go one after the other.
    lanes: Mutex<HashMap<(u32, EntityId), Arc<tokio::sync::Mutex<()>>>>,
    /// A command has moved on.
    moved: Notify,
}

/// What is still to come.
#[derive(Debug, Default)]
struct Open {
    suggestions: BTreeMap<(u32, EntityId), OpenSuggestion>,
    /// Conditions that hold: (tenant, rule, entity) and the suggestion that they led to.
    holding: HashMap<(u32, Box<str>, EntityId), EntityId>,
    commands: usize,
    /// When which suggestion's effect is to be measured.
    effects: BTreeMap<(Time, u32, EntityId), ()>,
}

#[derive(Debug)]
struct OpenSuggestion {
    deadline: Time,
}

impl Control {
    /// Must be called on a runtime: commands leave there, and end with it.
    pub fn start(
        context: Arc<Context>,
        outbound: Outbound,
        permits: Arc<dyn PermitSource>,
        hand: Hand,
    ) -> Result<Arc<Self>, Error> {
        let control = Arc::new(Self {
            context,
            outbound,
            permits,
            hand,
            order: Mutex::default(),
            runtime: Handle::current(),
            lanes: Mutex::default(),
            moved: Notify::new(),
        });
        for space in control.context.tenants().list() {
            control.resume(&space)?;
        }
        Arc::clone(&control).watch();
        Ok(control)
    }

    fn now(&self) -> Time {
        self.context.clock().now()
    }

    /// Takes up what was under way when the process ended.
    fn resume(self: &Arc<Self>, space: &TenantSpace) -> Result<(), Error> {
        for entity in self.all(&space.name, SUGGESTION)? {
            let Some(suggestion) = Suggestion::read(&entity) else { continue };
            let mut open = self.order.lock();
            if suggestion.status == Status::Open {
                let deadline = suggestion.deadline;
                open.suggestions.insert((space.number, suggestion.id.clone()), OpenSuggestion { deadline });
            }
            if suggestion.holds {
                let key = (space.number, suggestion.rule.clone(), suggestion.about.clone());
                open.holding.insert(key, suggestion.id.clone());
            }
            if let Some(due) = watch::effect_due(&suggestion)
                && self.find(&space.name, &suggestion.number.effect())?.is_none()
            {
                open.effects.insert((due, space.number, suggestion.id.clone()), ());
            }
        }
        for entity in self.all(&space.name, COMMAND)? {
            if let Some(command) = Command::read(&entity).filter(|command| command.status.is_under_way()) {
                self.order.lock().commands += 1;
                self.send_out(&space.name, &command);
            }
        }
        Ok(())
    }

    /// The loop itself, where nobody asks: under the local operator's permit of now.
    fn own_permit(&self, tenant: &TenantName) -> Result<Permit, Error> {
        let permit = self.permits.permit_of(tenant, None, self.now());
        permit.ok_or_else(|| Error::NotFound { what: "Tenant", id: tenant.as_str().into() })
    }

    fn find(&self, tenant: &TenantName, id: &EntityId) -> Result<Option<Arc<Entity>>, Error> {
        Ok(self.context.find(&self.own_permit(tenant)?, id)?)
    }

    fn all(&self, tenant: &TenantName, kind: &str) -> Result<Vec<Arc<Entity>>, Error> {
        let permit = self.own_permit(tenant)?;
        let (query, mut all, mut after) = (of_type(kind), Vec::new(), 0);
        loop {
            let (entities, next) = self.context.query_after(&permit, &query, after, START_ENTITIES)?;
            all.extend(entities);
            match next {
                Some(number) => after = number,
                None => return Ok(all),
            }
        }
    }

    /// Writes papers under somebody's name, all of them or none: in one frame of the journal, and the first that
    /// is rejected takes the others with it.
    fn write(&self, permit: &Permit, origin: &str, changes: Vec<Change>) -> Result<Vec<Applied>, Error> {
        let cause = Cause { request: uuid::Uuid::new_v4().as_u128(), origin: origin.into(), depth: 0 };
        Ok(self.context.act_blocking(&self.hand, permit, changes, cause)??)
    }

    /// Whether a rule has begun at an entity, and not ended.
    #[must_use]
    pub fn has_begun(&self, tenant: u32, rule: &str, about: &EntityId) -> bool {
        self.order.lock().holding.contains_key(&(tenant, rule.into(), about.clone()))
    }

    /// A proposal becomes a suggestion, unless its condition has led to one already. Says whether it did.
    pub fn suggest(&self, permit: &Permit, proposal: &Proposal) -> Result<bool, Error> {
        let space = self.context.tenant(permit)?;
        let mut open = self.order.lock();
        let holding = (space.number, proposal.rule.clone(), proposal.about.clone());
        if open.holding.contains_key(&holding) {
            return Ok(false);
        }
        if open.suggestions.range(of_tenant(space.number)).count() >= SUGGESTIONS_OPEN_MAX {
            metrics::counter!("renkei_suggestions_dropped_total").increment(1);
            tracing::warn!(rule = %proposal.rule, "{SUGGESTIONS_OPEN_MAX} suggestions wait already; this one is not made");
            return Ok(false);
        }
        let number = Number::of(space.name.as_str(), &proposal.rule, proposal.about.as_str(), proposal.seq);
        let id = number.suggestion();
        // Told twice, as after a crash: it stands as it stands.
        if self.find(&space.name, &id)?.is_some() {
            return Ok(false);
        }
        let mut persons = 1;
        for step in &proposal.steps {
            let actuator = self.actuator(&space, step)?;
            persons = persons.max(actuator.map_or(1, |actuator| actuator.persons));
        }
        let raised = suggestion::raised(proposal, &number, self.now(), persons.into());
        self.write(permit, "rule", vec![raised])?;
        open.suggestions.insert((space.number, id.clone()), OpenSuggestion { deadline: proposal.deadline });
        open.holding.insert(holding, id);
        metrics::counter!("renkei_suggestions_total").increment(1);
        Ok(true)
    }

    /// The condition of a rule ended: what nobody has decided is withdrawn.
    pub fn clear(&self, permit: &Permit, rule: &str, about: &EntityId) -> Result<(), Error> {
        let space = self.context.tenant(permit)?;
        let mut open = self.order.lock();
        let holding = (space.number, Box::from(rule), about.clone());
        let Some(id) = open.holding.get(&holding).cloned() else { return Ok(()) };
        let mut draft = Draft::of(id.clone()).value("holds", city_model::Value::Bool(false));
        let waits = open.suggestions.contains_key(&(space.number, id.clone()));
        if waits {
            draft = draft.text("status", Status::Withdrawn.as_str());
        }
        self.write(permit, "rule", vec![draft.change()])?;
        open.holding.remove(&holding);
        open.suggestions.remove(&(space.number, id));
        Ok(())
    }

    /// How commands of a step get to its target; `None` where nothing says so.
    fn actuator(&self, space: &TenantSpace, step: &city_model::proposal::Step) -> Result<Option<Actuator>, Error> {
        let Some(target) = self.find(&space.name, &step.target)? else { return Ok(None) };
        let definitions = space.definitions.read();
        let bodies = target.types.iter().filter_map(|kind| {
            let id = actuator_id(kind.as_str(), step.attribute.as_str());
            definitions.get(&(DefinitionKind::Actuator, id.into()))
        });
        Ok(bodies.filter_map(|body| serde_json::from_slice(body).ok()).next())
    }

    /// All actuators of a tenant.
    #[must_use]
    pub fn actuators(&self, space: &TenantSpace) -> Vec<Actuator> {
        let definitions = definitions_of(space, DefinitionKind::Actuator);
        definitions.iter().filter_map(|(_, body)| serde_json::from_slice(body).ok()).collect()
    }
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").finish_non_exhaustive()
    }
}

fn of_type(kind: &str) -> Query {
    let types = Some(TypeExpr::Type(vocabulary::name(kind)));
    Query { selectors: vec![EntitySelector { types, ..EntitySelector::default() }], ..Query::default() }
}

fn of_tenant(number: u32) -> std::ops::Range<(u32, EntityId)> {
    let least = EntityId::from_stored("".into());
    (number, least.clone())..(number + 1, least)
}

/// What stands in the trail about a step of the loop.
fn noted(what: &str, subject: &EntityId, details: &serde_json::Value) -> Change {
    Change::Note(Note {
        what: what.into(),
        subject: subject.as_str().into(),
        details: details.to_string().into_bytes().into(),
    })
}
