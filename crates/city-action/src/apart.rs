//! Where commands are posted, nothing else is: whoever may subscribe must not be able to move a machine.
//!
//! The doors refuse a subscription to an actuator's endpoint, and an actuator whose endpoint a subscription
//! names; what came in beside them does not leave either.

use std::collections::HashSet;

use city_context::{Context, definitions_of};
use city_model::DefinitionKind;
use city_outbound::Outbound;
use parking_lot::RwLock;

use crate::control::actuator::Actuator;

/// The places where the actuators of all tenants are.
#[derive(Debug, Default)]
pub struct Apart {
    places: RwLock<HashSet<String>>,
}

impl Apart {
    /// Takes in the actuators as they stand.
    pub fn learn(&self, context: &Context) {
        let mut places = HashSet::new();
        for space in context.tenants().list() {
            for (_, body) in definitions_of(&space, DefinitionKind::Actuator) {
                let actuator = serde_json::from_slice::<Actuator>(&body).ok();
                places.extend(actuator.and_then(|actuator| Outbound::place(&actuator.endpoint).ok()));
            }
        }
        *self.places.write() = places;
    }

    /// Whether an address is an actuator's.
    #[must_use]
    pub fn holds(&self, url: &str) -> bool {
        let places = self.places.read();
        !places.is_empty() && Outbound::place(url).is_ok_and(|place| places.contains(&place))
    }
}

/// Whether a subscription of any tenant posts to this address.
#[must_use]
pub fn is_subscribed(context: &Context, url: &str) -> bool {
    let Ok(place) = Outbound::place(url) else { return false };
    let posts = |body: &[u8]| {
        let subscription = crate::parse_stored(body).ok();
        let uri = subscription.map(|subscription| subscription.notification.endpoint.uri);
        uri.is_some_and(|uri| Outbound::place(&uri).is_ok_and(|own| own == place))
    };
    let spaces = context.tenants().list();
    spaces.iter().any(|space| definitions_of(space, DefinitionKind::Subscription).iter().any(|(_, body)| posts(body)))
}
