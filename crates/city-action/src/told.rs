//! What one notification tells of one entity, and what of that its reader may see.

use std::sync::Arc;

use bytes::Bytes;
use city_model::{Entity, Permit, Time};
use city_ngsi_ld::subscription::NotifiedEntity;

/// What is ready to be sent.
pub enum Prepared {
    Body(Bytes),
    /// Nothing in it is for its owner to see any more.
    Withheld,
    /// The journal no longer holds what happened.
    Forgotten,
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
