//! What one notification tells of one entity, and what of that its reader may see.

use std::sync::Arc;

use bytes::Bytes;
use city_model::{Cause, Entity, Note, Permit, Subscription, Time};
use city_ngsi_ld::subscription::NotifiedEntity;

/// What is ready to be sent.
pub enum Prepared {
    Body(Bytes, Permit),
    /// It may show data of behaviour or persons, which is noted first.
    Sensitive(Bytes, Note, Permit),
    /// Nothing in it is for its owner to see any more.
    Withheld,
    /// The journal no longer holds what happened.
    Forgotten,
}

/// What came of sending it.
pub enum Outcome {
    Taken,
    /// Nothing was sent, since the owner may not see it.
    Withheld,
    Later(String),
    Refused(String),
}

impl Prepared {
    /// A body for whom the permit is of.
    pub fn of(body: Bytes, id: &str, subscription: &Subscription, permit: Permit) -> Self {
        if permit.discloses().is_empty() {
            return Self::Body(body, permit);
        }
        let classes: Vec<&str> = permit.discloses().iter().map(|class| class.as_str()).collect();
        let details = serde_json::json!({
            "purpose": permit.purpose(), "classes": classes, "notification": id,
            "endpoint": subscription.notification.endpoint.uri,
        });
        let details = details.to_string().into_bytes().into();
        let note = Note { what: "data.released".into(), subject: subscription.id.clone(), details };
        Self::Sensitive(body, note, permit)
    }
}

/// The cause of what a delivery notes.
pub fn cause() -> Cause {
    Cause { request: uuid::Uuid::new_v4().as_u128(), origin: "delivery".into(), depth: 0 }
}

/// What one notification tells of one entity.
pub struct Told {
    pub entity: Arc<Entity>,
    pub previous: Option<Arc<Entity>>,
    pub deleted_at: Option<Time>,
}

impl Told {
    /// As far as the holder of a permit may see it; what went before is seen by what may be seen of it now.
    pub fn seen_by(self, permit: &Permit) -> Option<Self> {
        let sight = permit.read().sight(&self.entity)?;
        let (entity, previous) = (sight.of(&self.entity), self.previous.as_ref().map(|entity| sight.of(entity)));
        Some(Self { entity, previous, deleted_at: self.deleted_at })
    }

    pub fn notified(&self) -> NotifiedEntity<'_> {
        NotifiedEntity { entity: &self.entity, previous: self.previous.as_deref(), deleted_at: self.deleted_at }
    }
}
