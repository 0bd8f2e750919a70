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
mod eyes;
mod paper;
pub mod parcel;
mod record;
mod settle;
pub mod suggestion;
mod watch;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;

use city_context::{Context, TenantSpace, definitions_of};
use city_model::query::EntitySelector;
use city_model::vocabulary::{self, COMMAND, SUGGESTION};
use city_model::{
    Applied, Cause, Change, DefinitionKind, Entity, EntityId, Hand, Note, Permit, PermitSource, Proposal, Query,
    TenantName, Time, TypeExpr,
};
use city_outbound::Outbound;
use city_store::commit::RESTORED_KEY;
use city_store::{Space, ViewBatch};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};

pub use decide::{REASON_CHARS_MAX, Verdict};
pub use error::Error;
pub use record::{Asked, Shorten};
pub use settle::Outcome;

use actuator::{Actuator, actuator_id};
use command::Command;
use eyes::Eyes;
use paper::{Draft, Number};
use parcel::{Parcel, Parcels};
use suggestion::{Status, Suggestion};

/// Most suggestions of a tenant that wait for a decision; beyond, a rule's finding is counted and not suggested.
pub const SUGGESTIONS_OPEN_MAX: usize = 1_000;
/// Most commands that wait for their acknowledgement.
pub const COMMANDS_OPEN_MAX: usize = 1_000;
/// Why a command is unknown in a folder that was restored.
const RESTORED: &str = "The server was restored from a backup: it may have been done since.";

/// The loop of all tenants.
pub struct Control {
    context: Arc<Context>,
    outbound: Outbound,
    permits: Arc<dyn PermitSource>,
    hand: Hand,
    /// One step after the other.
    order: Mutex<Open>,
    runtime: Handle,
    /// Commands of one target go one after the other, in the order of their decisions.
    lanes: Mutex<HashMap<(u32, EntityId), VecDeque<EntityId>>>,
    /// A command has moved on.
    moved: Notify,
    /// For machines that are connected to a door.
    parcels: Parcels,
}

/// What is still to come.
#[derive(Debug, Default)]
struct Open {
    /// With their deadlines.
    suggestions: BTreeMap<(u32, EntityId), Time>,
    /// Conditions that hold: (tenant, rule, entity) and what they led to.
    holding: HashMap<(u32, Box<str>, EntityId), Holding>,
    /// Waiting and sent ones.
    commands: HashSet<(u32, EntityId)>,
    /// When which suggestion's effect is to be measured.
    effects: BTreeSet<(Time, u32, EntityId)>,
}

#[derive(Debug)]
struct Holding {
    suggestion: EntityId,
    /// The change at which it began.
    seq: u64,
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
            parcels: Parcels::default(),
        });
        let restored = control.context.view().get(Space::Meta, RESTORED_KEY)?.is_some();
        for space in control.context.tenants().list() {
            control.resume(&space, restored)?;
        }
        if restored {
            // They stand as unknown in the journal by now.
            let mut batch = ViewBatch::default();
            batch.delete(Space::Meta, RESTORED_KEY);
            control.context.view().write(batch)?;
            control.context.view().persist()?;
        }
        Arc::clone(&control).watch();
        Ok(control)
    }

    /// Commands for connected machines, for the door that carries them; once.
    pub fn parcels(&self) -> Option<mpsc::Receiver<Parcel>> {
        self.parcels.open()
    }

    fn now(&self) -> Time {
        self.context.clock().now()
    }

    /// Takes up what was under way when the process ended. In a folder that was restored, what was under way may
    /// have been done since the backup: it is not sent again, and a person is asked.
    fn resume(self: &Arc<Self>, space: &Arc<TenantSpace>, restored: bool) -> Result<(), Error> {
        let mut due = Vec::new();
        self.context.see_newest(&self.hand, space, &of_type(SUGGESTION), &mut |entity| {
            if let Some(suggestion) = Suggestion::read(&entity) {
                self.take_up(space, &suggestion);
                due.extend(watch::effect_due(&suggestion).map(|at| (at, suggestion.number)));
            }
            ControlFlow::Continue(())
        })?;
        for (at, number) in due {
            if self.known(space, &number.effect())?.is_none() {
                self.order.lock().effects.insert((at, space.number, number.suggestion()));
            }
        }
        let mut under_way = Vec::new();
        self.context.see_newest(&self.hand, space, &of_type(COMMAND), &mut |entity| {
            under_way.extend(Command::read(&entity).filter(|command| command.status.is_under_way()));
            ControlFlow::Continue(())
        })?;
        // As they were decided, and those of one decision as they were suggested.
        under_way
            .sort_by_key(|command| (command.issued_at, command.number.clone(), paper::command_number(&command.id)));
        let mut open = self.order.lock();
        for command in under_way {
            open.commands.insert((space.number, command.id.clone()));
            match restored {
                true => self.end(&mut open, space, &command, command::Status::Unknown, RESTORED)?,
                false => self.send_out(space, &command.id, &command.step.target),
            }
        }
        Ok(())
    }

    fn take_up(&self, space: &TenantSpace, suggestion: &Suggestion) {
        let mut open = self.order.lock();
        let is_open = suggestion.status == Status::Open;
        if is_open {
            open.suggestions.insert((space.number, suggestion.id.clone()), suggestion.deadline);
        }
        let rule = (DefinitionKind::Rule, suggestion.rule.clone());
        if suggestion.holds && (is_open || space.definitions.read().contains_key(&rule)) {
            let holding = Holding { suggestion: suggestion.id.clone(), seq: suggestion.seq };
            open.holding.insert((space.number, rule.1, suggestion.about.clone()), holding);
        }
    }

    /// The loop itself, where nobody asks: under the local operator's permit of now.
    fn own_permit(&self, space: &TenantSpace) -> Result<Permit, Error> {
        let permit = self.permits.permit_of(&space.name, None, self.now());
        permit.ok_or_else(|| no_tenant(&space.name))
    }

    fn space(&self, tenant: &TenantName) -> Result<Arc<TenantSpace>, Error> {
        self.context.tenants().find(tenant).ok_or_else(|| no_tenant(tenant))
    }

    /// A paper or a target as it is, whatever anybody may see of it.
    fn known(&self, space: &TenantSpace, id: &EntityId) -> Result<Option<Arc<Entity>>, Error> {
        Ok(self.context.known(&self.hand, space, id)?)
    }

    /// Writes papers under somebody's name, all of them or none: in one frame of the journal, and the first that
    /// is rejected takes the others with it.
    fn write(&self, permit: &Permit, origin: &str, changes: Vec<Change>) -> Result<Vec<Applied>, Error> {
        let cause = Cause { request: uuid::Uuid::new_v4().as_u128(), origin: origin.into(), depth: 0 };
        Ok(self.context.act_blocking(&self.hand, permit, changes, cause)??)
    }

    /// Whether a rule has begun at an entity, and not ended, as far as its change `seq`.
    #[must_use]
    pub fn has_begun(&self, tenant: u32, rule: &str, about: &EntityId, seq: u64) -> bool {
        let open = self.order.lock();
        open.holding.get(&(tenant, rule.into(), about.clone())).is_some_and(|holding| holding.seq <= seq)
    }

    /// A proposal becomes a suggestion, unless its condition has led to one already. Says whether it did.
    pub fn suggest(&self, permit: &Permit, proposal: &Proposal) -> Result<bool, Error> {
        let space = self.context.tenant(permit)?;
        let mut open = self.order.lock();
        let key = (space.number, proposal.rule.clone(), proposal.about.clone());
        if open.holding.contains_key(&key) {
            return Ok(false);
        }
        if open.suggestions.range(of_tenant(space.number)).count() >= SUGGESTIONS_OPEN_MAX {
            metrics::counter!("renkei_suggestions_dropped_total").increment(1);
            tracing::warn!(rule = %proposal.rule, "{SUGGESTIONS_OPEN_MAX} suggestions wait already; this one is not made");
            return Ok(false);
        }
        let number = Number::of(space.name.as_str(), proposal);
        let id = number.suggestion();
        // Told twice, as after a crash: it stands as it stands.
        if self.known(&space, &id)?.is_some() {
            return Ok(false);
        }
        let mut persons = 1;
        for step in &proposal.steps {
            let actuators = self.actuators_of(&space, step)?;
            persons = persons.max(actuators.first().map_or(1, |actuator| actuator.persons));
        }
        let raised = suggestion::raised(proposal, &number, &permit.owner(), self.now(), persons.into());
        self.write(permit, "rule", vec![raised])?;
        open.suggestions.insert((space.number, id.clone()), proposal.deadline);
        open.holding.insert(key, Holding { suggestion: id, seq: proposal.seq });
        metrics::counter!("renkei_suggestions_total").increment(1);
        Ok(true)
    }

    /// The condition of a rule ended with the change `seq`: what nobody has decided is withdrawn.
    pub fn clear(&self, permit: &Permit, rule: &str, about: &EntityId, seq: u64) -> Result<(), Error> {
        let space = self.context.tenant(permit)?;
        let mut open = self.order.lock();
        let key = (space.number, Box::from(rule), about.clone());
        // What ended before it began again is an older end, told once more after a crash.
        let Some(holding) = open.holding.get(&key).filter(|holding| holding.seq <= seq) else { return Ok(()) };
        let id = holding.suggestion.clone();
        let mut draft = Draft::of(id.clone()).value("holds", city_model::Value::Bool(false));
        if open.suggestions.contains_key(&(space.number, id.clone())) {
            draft = draft.text("status", Status::Withdrawn.as_str());
        }
        self.write(permit, "rule", vec![draft.change()])?;
        open.holding.remove(&key);
        open.suggestions.remove(&(space.number, id));
        Ok(())
    }

    /// A rule is removed: where it had begun is no matter any more, but for what still waits for a decision.
    pub fn forget(&self, tenant: u32, rule: &str) {
        let mut open = self.order.lock();
        let Open { holding, suggestions, .. } = &mut *open;
        holding.retain(|(own, name, _), holding| {
            *own != tenant || **name != *rule || suggestions.contains_key(&(tenant, holding.suggestion.clone()))
        });
    }

    /// How commands of a step may get to its target, by each of its types that says so. The strictest comes
    /// first: it asks for the most persons, and its way is taken.
    fn actuators_of(&self, space: &TenantSpace, step: &city_model::proposal::Step) -> Result<Vec<Actuator>, Error> {
        let Some(target) = self.known(space, &step.target)? else { return Ok(Vec::new()) };
        let definitions = space.definitions.read();
        let bodies = target.types.iter().filter_map(|kind| {
            let id = actuator_id(kind.as_str(), step.attribute.as_str());
            definitions.get(&(DefinitionKind::Actuator, id.into()))
        });
        let mut found: Vec<Actuator> = bodies.filter_map(|body| serde_json::from_slice(body).ok()).collect();
        found.sort_by(|a, b| b.persons.cmp(&a.persons).then_with(|| a.kind.cmp(&b.kind)));
        Ok(found)
    }

    /// The actuator by which a command was decided to go; none where it is gone.
    fn actuator_of(&self, space: &TenantSpace, command: &Command) -> Result<Option<Actuator>, Error> {
        let Some(id) = &command.actuator else {
            return Ok(self.actuators_of(space, &command.step)?.into_iter().next());
        };
        let body = space.definitions.read().get(&(DefinitionKind::Actuator, id.clone())).cloned();
        Ok(body.and_then(|body| serde_json::from_slice(&body).ok()))
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

fn no_tenant(name: &TenantName) -> Error {
    Error::NotFound { what: "Tenant", id: name.as_str().into() }
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
