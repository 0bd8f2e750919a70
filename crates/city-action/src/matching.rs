//! Which subscriptions a change concerns. Values in, values out.
//!
//! Subscriptions are filed by the types and ids they name, so that a change looks only at those
//! that may match; the same `Query::matches` that answers queries then decides.

use std::collections::HashMap;
use std::sync::Arc;

use city_model::query::TypeExpr;
use city_model::reach::Shown;
use city_model::subscription::Trigger;
use city_model::{Entity, Name, Permit, Subscription, Time};

/// The subscriptions of one tenant.
#[derive(Debug, Default)]
pub struct SubscriptionIndex {
    all: HashMap<Box<str>, Arc<Subscription>>,
    by_type: HashMap<Name, Vec<Arc<Subscription>>>,
    by_id: HashMap<Arc<str>, Vec<Arc<Subscription>>>,
    others: Vec<Arc<Subscription>>,
}

/// What happened to an entity, as far as subscriptions ask.
#[derive(Debug)]
pub struct Happening<'a> {
    pub entity: &'a Arc<Entity>,
    pub created: bool,
    pub deleted: bool,
    /// Name, and whether the instance existed before and after.
    pub touched: Vec<(Name, bool, bool)>,
    pub time: Time,
}

/// Under what a subscription is filed; each of its entity selectors needs a drawer of its own.
enum Drawer {
    Types(Vec<Name>),
    Ids(Vec<Arc<str>>),
    Others,
}

impl SubscriptionIndex {
    pub fn insert(&mut self, subscription: Arc<Subscription>) {
        self.remove(&subscription.id);
        for drawer in drawers(&subscription) {
            match drawer {
                Drawer::Types(types) => {
                    for name in types {
                        file(self.by_type.entry(name).or_default(), &subscription);
                    }
                }
                Drawer::Ids(ids) => {
                    for id in ids {
                        file(self.by_id.entry(id).or_default(), &subscription);
                    }
                }
                Drawer::Others => file(&mut self.others, &subscription),
            }
        }
        self.all.insert(subscription.id.clone(), subscription);
    }

    pub fn remove(&mut self, id: &str) {
        let Some(subscription) = self.all.remove(id) else { return };
        for drawer in drawers(&subscription) {
            match drawer {
                Drawer::Types(types) => types.iter().for_each(|name| take_out(&mut self.by_type, name, id)),
                Drawer::Ids(ids) => ids.iter().for_each(|own| take_out(&mut self.by_id, own, id)),
                Drawer::Others => self.others.retain(|own| &*own.id != id),
            }
        }
    }

    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Arc<Subscription>> {
        self.all.get(id)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// The subscriptions that this happening concerns, with the trigger that fired. `permit_of` says what
    /// the owner of one may see: of what they may not, they are not told that it changed.
    #[must_use]
    pub fn matching(
        &self,
        happening: &Happening,
        permit_of: &dyn Fn(&Subscription) -> Option<Permit>,
    ) -> Vec<(Arc<Subscription>, Trigger)> {
        let mut found: Vec<(Arc<Subscription>, Trigger)> = Vec::new();
        let by_type = happening.entity.types.iter().filter_map(|name| self.by_type.get(name)).flatten();
        let by_id = self.by_id.get(happening.entity.id.as_str()).into_iter().flatten();
        for subscription in by_type.chain(by_id).chain(&self.others) {
            if found.iter().any(|(known, _)| Arc::ptr_eq(known, subscription)) {
                continue;
            }
            // What does not fire for who sees everything fires for nobody.
            if !subscription.is_live(happening.time) || fired(subscription, &happening.touched, happening).is_none() {
                continue;
            }
            let Some(permit) = permit_of(subscription) else { continue };
            if let Some(trigger) = happening.concerns(subscription, &permit) {
                found.push((Arc::clone(subscription), trigger));
            }
        }
        found
    }
}

impl Happening<'_> {
    /// The trigger that fires for who sees this much of the entity.
    fn concerns(&self, subscription: &Subscription, permit: &Permit) -> Option<Trigger> {
        if permit.sees_everything() {
            let trigger = fired(subscription, &self.touched, self)?;
            return subscription.query.matches(self.entity).then_some(trigger);
        }
        let sight = permit.read().sight(self.entity)?;
        let shown = |touched: &&(Name, bool, bool)| sight.shows(touched.0.as_str()) != Shown::Hidden;
        let touched: Vec<(Name, bool, bool)> = self.touched.iter().filter(shown).cloned().collect();
        // An update of nothing that is shown is none.
        if touched.is_empty() && !self.touched.is_empty() && !self.created && !self.deleted {
            return None;
        }
        let trigger = fired(subscription, &touched, self)?;
        subscription.query.matches(&sight.of(self.entity)).then_some(trigger)
    }
}

fn file(drawer: &mut Vec<Arc<Subscription>>, subscription: &Arc<Subscription>) {
    if !drawer.iter().any(|known| Arc::ptr_eq(known, subscription)) {
        drawer.push(Arc::clone(subscription));
    }
}

fn take_out<K: Eq + std::hash::Hash>(drawers: &mut HashMap<K, Vec<Arc<Subscription>>>, key: &K, id: &str) {
    if let Some(drawer) = drawers.get_mut(key) {
        drawer.retain(|own| &*own.id != id);
        if drawer.is_empty() {
            drawers.remove(key);
        }
    }
}

fn drawers(subscription: &Subscription) -> Vec<Drawer> {
    if subscription.query.selectors.is_empty() {
        return vec![Drawer::Others];
    }
    let drawer = |selector: &city_model::query::EntitySelector| {
        if !selector.ids.is_empty() {
            return Drawer::Ids(selector.ids.iter().map(city_model::EntityId::shared).collect());
        }
        selector.types.as_ref().and_then(needed_types).map_or(Drawer::Others, Drawer::Types)
    };
    subscription.query.selectors.iter().map(drawer).collect()
}

/// Types of which an entity must have at least one for the expression to hold.
fn needed_types(expr: &TypeExpr) -> Option<Vec<Name>> {
    match expr {
        TypeExpr::Type(name) => Some(vec![name.clone()]),
        TypeExpr::And(all) => all.iter().find_map(needed_types),
        TypeExpr::Or(any) => {
            let needed: Option<Vec<Vec<Name>>> = any.iter().map(needed_types).collect();
            needed.map(|needed| needed.concat())
        }
    }
}

/// The trigger that fires, if any: what happened, to an attribute that is watched.
fn fired(subscription: &Subscription, touched: &[(Name, bool, bool)], happening: &Happening) -> Option<Trigger> {
    let asks = |trigger| subscription.triggers.contains(&trigger);
    let watched = &subscription.watched;
    let mut touched = touched.iter().filter(|(name, ..)| watched.is_empty() || watched.contains(name)).peekable();
    if happening.deleted {
        // Its attributes are deleted with it (clause 5.8.6).
        let attribute = asks(Trigger::AttributeDeleted) && touched.peek().is_some();
        return match asks(Trigger::EntityDeleted) {
            true => Some(Trigger::EntityDeleted),
            false => attribute.then_some(Trigger::AttributeDeleted),
        };
    }
    if happening.created && asks(Trigger::EntityCreated) && (watched.is_empty() || touched.peek().is_some()) {
        return Some(Trigger::EntityCreated);
    }
    if !happening.created && asks(Trigger::EntityUpdated) && (watched.is_empty() || touched.peek().is_some()) {
        return Some(Trigger::EntityUpdated);
    }
    touched
        .map(|(_, before, after)| match (before, after) {
            (false, _) => Trigger::AttributeCreated,
            (true, true) => Trigger::AttributeUpdated,
            (true, false) => Trigger::AttributeDeleted,
        })
        .find(|trigger| asks(*trigger))
}
