//! Who gets what: subscriptions of clients and groups, and what is retained under them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Broker, Route, SUBSCRIPTIONS_MAX, Staged, Subscribed};
use crate::packet::{Options, RetainHandling};
use crate::rows::{self, Held, Row};
use crate::session::Entry;
use crate::topic::{Filter, literal_prefix, matches};

impl Broker {
    pub(super) fn route(&mut self, client: &Arc<str>, filter: &str, subscribed: Subscribed) {
        let Ok(Filter { group, path }) = Filter::parse(filter) else { return };
        let Some(group) = group else {
            self.routes.insert(path, Route::Own { client: Arc::clone(client), subscribed });
            return;
        };
        let is_group = |route: &Route| matches!(route, Route::Shared { group: own, .. } if **own == *group);
        match self.routes.find_mut(path, is_group) {
            Some(Route::Shared { members, .. }) => members.push((Arc::clone(client), subscribed)),
            _ => {
                let members = vec![(Arc::clone(client), subscribed)];
                self.routes.insert(path, Route::Shared { group: group.into(), members, turn: AtomicUsize::new(0) });
            }
        }
    }

    pub(super) fn unroute(&mut self, client: &str, filter: &str) {
        let Ok(Filter { group, path }) = Filter::parse(filter) else { return };
        let Some(group) = group else {
            self.routes.remove(path, |route| matches!(route, Route::Own { client: own, .. } if **own == *client));
            return;
        };
        let is_group = |route: &Route| matches!(route, Route::Shared { group: own, .. } if **own == *group);
        if let Some(Route::Shared { members, .. }) = self.routes.find_mut(path, is_group) {
            members.retain(|(own, _)| **own != *client);
        }
        let is_empty = |route: &Route| matches!(route, Route::Shared { members, .. } if members.is_empty());
        self.routes.remove(path, |route| is_group(route) && is_empty(route));
    }

    /// Subscribes (3.8.4); what is retained under the filter comes with it. `None` at the bound.
    pub fn subscribe(
        &mut self,
        client: &str,
        filter: &str,
        options: Options,
        id: Option<u32>,
        now_micros: i64,
    ) -> Option<Staged> {
        let parsed = Filter::parse(filter).ok()?;
        let (client, _) = self.sessions.get_key_value(client)?;
        let client = Arc::clone(client);
        let session = self.sessions.get_mut(&client)?;
        let is_new = !session.subscriptions.contains_key(filter);
        if is_new && session.subscriptions.len() >= SUBSCRIPTIONS_MAX {
            return None;
        }
        let subscribed = Subscribed { options, id };
        session.subscriptions.insert(filter.into(), subscribed);
        let mut staged = Staged::default();
        if session.is_kept {
            staged.rows.push(rows::subscription(&client, filter, options, id));
        }
        if !is_new {
            self.unroute(&client, filter);
        }
        self.route(&client, filter, subscribed);
        let wants_retained = match options.retain_handling {
            RetainHandling::Send => true,
            RetainHandling::SendIfNew => is_new,
            RetainHandling::DoNotSend => false,
        };
        if wants_retained && parsed.group.is_none() {
            for held in self.retained_under(parsed.path, now_micros) {
                let qos = held.message.qos.min(options.qos);
                let entry =
                    Entry { held, qos, retain: true, ids: id.into_iter().collect(), released: false, was_sent: false };
                self.aim(&client, entry, &mut staged);
            }
            self.keep_messages(&mut staged);
        }
        Some(staged)
    }

    fn retained_under(&self, path: &str, now_micros: i64) -> Vec<Arc<Held>> {
        let prefix = literal_prefix(path);
        let under = self.retained.range(Arc::from(prefix)..).take_while(|(topic, _)| topic.starts_with(prefix));
        let live = under.filter(|(topic, retained)| !retained.is_cleared && matches(path, topic));
        live.filter(|(_, retained)| retained.held.remaining_s(now_micros).is_some())
            .map(|(_, retained)| Arc::clone(&retained.held))
            .collect()
    }

    /// Takes a subscription away; `None` where there was none.
    pub fn unsubscribe(&mut self, client: &str, filter: &str) -> Option<Vec<Row>> {
        let session = self.sessions.get_mut(client)?;
        session.subscriptions.remove(filter)?;
        let is_kept = session.is_kept;
        self.unroute(client, filter);
        Some(if is_kept { vec![rows::no_subscription(client, filter)] } else { Vec::new() })
    }

    /// The filters of a client, as it wrote them.
    #[must_use]
    pub fn filters(&self, client: &str) -> Vec<Box<str>> {
        self.sessions.get(client).map(|session| session.subscriptions.keys().cloned().collect()).unwrap_or_default()
    }

    /// One copy for each client, whatever number of its filters match (3.3.4), and one for each group.
    pub(super) fn targets(&self, from: &str, held: &Arc<Held>) -> Vec<(Arc<str>, Entry)> {
        let mut targets: Vec<(Arc<str>, Entry)> = Vec::new();
        let mut place: HashMap<&str, usize> = HashMap::new();
        let entry = |subscribed: &Subscribed| Entry {
            held: Arc::clone(held),
            qos: held.message.qos.min(subscribed.options.qos),
            retain: held.message.retain && subscribed.options.retain_as_published,
            ids: subscribed.id.into_iter().collect(),
            released: false,
            was_sent: false,
        };
        let mut shared = Vec::new();
        self.routes.each_match(&held.message.topic, |route| match route {
            Route::Own { client, subscribed } => {
                if subscribed.options.no_local && **client == *from {
                    return;
                }
                let one = entry(subscribed);
                match place.get(&**client) {
                    Some(at) => {
                        let (_, merged) = &mut targets[*at];
                        merged.qos = merged.qos.max(one.qos);
                        merged.retain |= one.retain;
                        merged.ids = merged.ids.iter().chain(&one.ids).copied().collect();
                    }
                    None => {
                        place.insert(client, targets.len());
                        targets.push((Arc::clone(client), one));
                    }
                }
            }
            Route::Shared { members, turn, .. } => {
                if let Some((client, subscribed)) = self.member(members, turn) {
                    shared.push((Arc::clone(client), entry(subscribed)));
                }
            }
        });
        targets.extend(shared);
        targets
    }

    /// Whose turn it is: one that is there, else any.
    fn member<'m>(
        &self,
        members: &'m [(Arc<str>, Subscribed)],
        turn: &AtomicUsize,
    ) -> Option<&'m (Arc<str>, Subscribed)> {
        let is_there = |client: &Arc<str>| self.sessions.get(client).is_some_and(|s| s.connection.is_some());
        let there: Vec<_> = members.iter().filter(|(client, _)| is_there(client)).collect();
        let turn = turn.fetch_add(1, Ordering::Relaxed);
        if there.is_empty() {
            return members.get(turn % members.len().max(1));
        }
        there.get(turn % there.len()).copied()
    }
}
