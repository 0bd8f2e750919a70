//! The broker of one tenant: steps come in from its connections, in one order that is also that of the journal;
//! each is acknowledged and told to others once it is durable.
//!
//! A step is staged, its rows and changes are queued for the commit thread and it is noted for `run`, all under one
//! lock. The commit thread answers in the order in which it was asked, so one task follows all of them.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use city_context::answers::Results;
use city_context::{Also, Context, Error, Offered, Pending};
use city_model::{Cause, Change, Permit, TenantName};
use city_mqtt::broker::{Connected, Connecting, From, Refusal, Staged};
use city_mqtt::{Broker, Message, Reason, Row, rows};
use city_store::record::AlsoWrite;
use city_store::view::after_prefix;
use city_store::{Space, View};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::city::cause;

/// What became of a step: what was applied, or why nothing was.
pub type Outcome = Result<Done, Error>;

#[derive(Debug)]
pub struct Done {
    pub results: Results,
    /// Clients and groups that the message was for.
    pub matched: usize,
}

/// A connection as others see it.
#[derive(Debug, Default)]
pub struct Link {
    /// There is something to send, or to look at.
    pub wake: Notify,
    end: AtomicU8,
}

impl Link {
    /// Asks the connection to end, for a reason.
    pub fn end(&self, reason: Reason) {
        self.end.store(reason.0, Ordering::Release);
        self.wake.notify_one();
    }

    #[must_use]
    pub fn ended(&self) -> Option<Reason> {
        Some(self.end.load(Ordering::Acquire)).filter(|reason| *reason != 0).map(Reason)
    }
}

/// The broker of one tenant.
pub struct Town {
    pub tenant: TenantName,
    number: u32,
    context: Arc<Context>,
    state: Mutex<State>,
    steps: mpsc::UnboundedSender<Step>,
}

pub struct State {
    pub broker: Broker,
    links: HashMap<Arc<str>, (u64, Arc<Link>)>,
}

/// What waits to be durable.
struct Step {
    pending: Option<Pending>,
    staged: Staged,
    later: Vec<Row>,
    reply: Option<oneshot::Sender<Outcome>>,
}

/// A step as it is asked for.
pub struct Asked<'a> {
    pub permit: &'a Permit,
    pub changes: Vec<Change>,
    pub cause: Cause,
    /// Beside the rows of the step.
    pub also: Also,
    pub staged: Staged,
    pub reply: Option<oneshot::Sender<Outcome>>,
}

impl<'a> Asked<'a> {
    /// A step that changes nothing but what the broker keeps.
    #[must_use]
    pub fn of(permit: &'a Permit, staged: Staged) -> Self {
        Self { permit, changes: Vec::new(), cause: cause("mqtt"), also: Also::default(), staged, reply: None }
    }
}

impl Town {
    /// With what was kept of it; its steps run on this runtime until the last connection is gone.
    pub fn open(
        context: &Arc<Context>,
        tenant: TenantName,
        number: u32,
        now_micros: i64,
    ) -> Result<Arc<Self>, city_store::Error> {
        let broker = Broker::restore(kept(context.view(), number)?, now_micros);
        let (steps, queue) = mpsc::unbounded_channel();
        let state = Mutex::new(State { broker, links: HashMap::new() });
        let town = Arc::new(Self { tenant, number, context: Arc::clone(context), state, steps });
        tokio::spawn(run(Arc::downgrade(&town), queue));
        Ok(town)
    }

    /// Looks at the broker, or asks it for what needs no sync.
    pub fn with<T>(&self, look: impl FnOnce(&mut Broker) -> T) -> T {
        look(&mut self.state.lock().broker)
    }

    /// Begins a connection; another one of the same client is asked to end.
    pub fn connect(&self, connecting: Connecting, link: &Arc<Link>) -> Result<Connected, Refusal> {
        let mut state = self.state.lock();
        let connected = state.broker.connect(connecting)?;
        let before = state.links.insert(connecting.client.into(), (connected.connection, Arc::clone(link)));
        if let Some((_, before)) = before {
            before.end(Reason::SESSION_TAKEN_OVER);
        }
        Ok(connected)
    }

    /// Ends a connection; what is to be published at once is answered.
    pub fn disconnect(
        &self,
        client: &str,
        connection: u64,
        expiry_s: Option<u32>,
        will: Option<(Arc<str>, Message, u32)>,
        now_micros: i64,
    ) -> Option<Message> {
        let mut state = self.state.lock();
        if state.links.get(client).is_some_and(|(own, _)| *own == connection) {
            state.links.remove(client);
        }
        state.broker.disconnect(client, connection, expiry_s, will, now_micros)
    }

    /// Stages a step and asks for it in one go, so that the order of steps is the order of the journal. `stage` gives
    /// `None` where there is nothing to ask for.
    pub fn step<'a>(&self, stage: impl FnOnce(&mut Broker) -> Option<Asked<'a>>) -> Result<bool, Error> {
        let mut state = self.state.lock();
        let Some(mut asked) = stage(&mut state.broker) else { return Ok(false) };
        let rows = std::mem::take(&mut asked.staged.rows);
        if rows.is_empty() && asked.changes.is_empty() && asked.also.is_empty() {
            let Asked { staged, reply, .. } = asked;
            self.note(Step { pending: None, staged, later: Vec::new(), reply });
        } else {
            self.ask(&mut state, asked, &rows)?;
        }
        Ok(true)
    }

    fn ask(&self, state: &mut State, asked: Asked, rows: &[Row]) -> Result<(), Error> {
        let Asked { permit, changes, cause, mut also, staged, reply } = asked;
        let later = state.broker.take_later();
        later.iter().chain(rows).for_each(|row| also.push(self.also(row)));
        match self.context.apply_soon(permit, changes, cause, also) {
            Ok(pending) => {
                self.note(Step { pending: Some(pending), staged, later, reply });
                Ok(())
            }
            Err(error) => {
                state.broker.put_later(later);
                state.broker.abandon(staged);
                Err(error)
            }
        }
    }

    /// As `step`, for what was read of a message; where there is no place for it, it is handed back.
    pub fn feed(
        &self,
        permit: &Permit,
        (changes, cause, mut also): Offered,
        stage: impl FnOnce(&mut Broker) -> Staged,
        reply: oneshot::Sender<Outcome>,
    ) -> Result<(), Box<Offered>> {
        let mut state = self.state.lock();
        let mut staged = stage(&mut state.broker);
        let (rows, later) = (std::mem::take(&mut staged.rows), state.broker.take_later());
        later.iter().chain(&rows).for_each(|row| also.push(self.also(row)));
        match self.context.offer(permit, changes, cause, also) {
            Ok(pending) => {
                self.note(Step { pending: Some(pending), staged, later, reply: Some(reply) });
                Ok(())
            }
            Err(back) => {
                state.broker.put_later(later);
                state.broker.abandon(staged);
                let (changes, cause, also) = *back;
                Err(Box::new((changes, cause, also.without_rows())))
            }
        }
    }

    fn note(&self, step: Step) {
        // Whoever takes it lives as long as this does.
        let _ = self.steps.send(step);
    }

    /// Publishes what nobody waits for: a last word.
    pub fn say(&self, permit: &Permit, message: Message, now_micros: i64) -> Result<bool, Error> {
        self.step(|broker| {
            let staged = broker.stage(From { client: "", packet_id: None }, message, now_micros);
            Some(Asked::of(permit, staged))
        })
    }

    /// Writes what waits for a sync, if anything does.
    pub fn flush(&self, permit: &Permit) -> Result<(), Error> {
        let mut state = self.state.lock();
        if !state.broker.has_later() {
            return Ok(());
        }
        self.ask(&mut state, Asked::of(permit, Staged::default()), &[])
    }

    /// Has every connection look whether it may still be there.
    pub fn wake_all(&self) {
        self.state.lock().links.values().for_each(|(_, link)| link.wake.notify_one());
    }

    fn also(&self, row: &Row) -> AlsoWrite {
        let mut key = self.number.to_be_bytes().to_vec();
        key.extend_from_slice(&row.key);
        AlsoWrite { space: Space::Sessions, key: key.into(), value: row.value.as_deref().map(Into::into) }
    }

    fn finish(&self, step: Step, answer: Result<Results, Error>) {
        let Step { staged, later, reply, .. } = step;
        let matched = staged.matched;
        let mut state = self.state.lock();
        let outcome = match answer {
            Ok(results) => {
                let (woken, dropped) = state.broker.commit(staged);
                if dropped > 0 {
                    metrics::counter!("renkei_mqtt_dropped_total").increment(dropped as u64);
                }
                for client in woken {
                    if let Some((_, link)) = state.links.get(&client) {
                        link.wake.notify_one();
                    }
                }
                Ok(Done { results, matched })
            }
            Err(error) => {
                tracing::warn!(%error, tenant = %self.tenant, "messages were not made durable, and not acknowledged");
                state.broker.put_later(later);
                state.broker.abandon(staged);
                Err(error)
            }
        };
        drop(state);
        if let Some(reply) = reply {
            // The connection may be gone; what was done stands.
            let _ = reply.send(outcome);
        }
    }
}

async fn run(town: std::sync::Weak<Town>, mut queue: mpsc::UnboundedReceiver<Step>) {
    while let Some(mut step) = queue.recv().await {
        let answer = match step.pending.take() {
            Some(pending) => pending.answer().await,
            None => Ok(Vec::new()),
        };
        let Some(town) = town.upgrade() else { return };
        town.finish(step, answer);
    }
}

/// The rows of a tenant's sessions. What this release does not know is left where it is.
fn kept(view: &View, number: u32) -> Result<Vec<rows::Kept>, city_store::Error> {
    let prefix = number.to_be_bytes();
    let mut kept = Vec::new();
    view.scan(Space::Sessions, &prefix, &after_prefix(&prefix), |key, value| {
        match rows::parse(&key[prefix.len()..], &value) {
            Some(row) => kept.push(row),
            None => tracing::warn!(tenant = number, "a row of a messaging session is not understood"),
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(kept)
}
