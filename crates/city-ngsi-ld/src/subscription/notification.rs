//! What a subscriber receives (clauses 5.3.1, 5.8.6, 6.3.8).

use city_model::subscription::{Accept, NotificationFormat, Trigger};
use city_model::{Attribute, Entity, Instance, Kind, Subscription, Time};

use crate::context::TermMap;
use crate::json::{self, ObjectWriter};
use crate::render::{Extras, Format, RenderOptions, render_entities, write_entity};

/// An entity as it is now, and what is needed to tell how it came to be so.
#[derive(Debug, Clone, Copy)]
pub struct NotifiedEntity<'e> {
    /// After the change; where the entity is gone, as it was before.
    pub entity: &'e Entity,
    pub previous: Option<&'e Entity>,
    /// Set where the entity is gone.
    pub deleted_at: Option<Time>,
}

impl<'e> From<&'e Entity> for NotifiedEntity<'e> {
    fn from(entity: &'e Entity) -> Self {
        Self { entity, previous: None, deleted_at: None }
    }
}

/// A Notification, in the format that the subscription asks for. The @context is written where it
/// asks for JSON-LD; else it travels in a `Link` header.
#[must_use]
pub fn render_notification(
    id: &str,
    subscription: &Subscription,
    notified_at: Time,
    entities: &[NotifiedEntity],
    terms: &TermMap,
) -> Vec<u8> {
    let wanted = &subscription.notification;
    let options = RenderOptions {
        format: match wanted.format {
            NotificationFormat::Normalized => Format::Normalized,
            NotificationFormat::Concise => Format::Concise,
            NotificationFormat::Simplified => Format::Simplified,
        },
        sys_attrs: wanted.sys_attrs,
        attrs: wanted.attributes.clone(),
        pick: wanted.pick.clone(),
        omit: wanted.omit.clone(),
        dataset_ids: wanted.datasets.clone(),
        geojson: wanted.endpoint.accept == Accept::GeoJson,
        ..RenderOptions::default()
    };
    let mut out = Vec::with_capacity(1_024);
    let mut object = ObjectWriter::open(&mut out);
    object.text("id", id);
    object.text("type", "Notification");
    object.text("subscriptionId", &subscription.id);
    object.time("notifiedAt", notified_at);
    let data = object.key("data");
    if options.geojson {
        // Clause 6.3.8: the data of a GeoJSON notification is a FeatureCollection.
        let entities: Vec<Entity> = entities.iter().map(|notified| with_deletions(notified, subscription)).collect();
        render_entities(&entities, terms, &options, data);
    } else {
        json::write_list(data, entities, |out, notified| {
            let extras = Extras {
                // What is gone was all there just before.
                previous: notified.previous.or(notified.deleted_at.map(|_| notified.entity)),
                show_changes: wanted.show_changes,
                deleted_at: notified.deleted_at,
            };
            let entity = with_deletions(notified, subscription);
            write_entity(&entity, terms, &options, extras, wanted.endpoint.accept == Accept::JsonLd, out);
        });
    }
    if wanted.endpoint.accept == Accept::JsonLd {
        object.raw("@context", terms.rendered());
    }
    object.close();
    out
}

/// Deleted attributes are told by the NGSI-LD Null (clauses 4.5.0, 5.8.6); of a deleted entity
/// only id, type and the time are told, unless its attributes or their changes were asked for.
fn with_deletions(notified: &NotifiedEntity, subscription: &Subscription) -> Entity {
    let sys_attrs = subscription.notification.sys_attrs;
    let mut entity = notified.entity.clone();
    if let Some(deleted_at) = notified.deleted_at {
        let tells =
            subscription.notification.show_changes || subscription.triggers.contains(&Trigger::AttributeDeleted);
        let watched = &subscription.watched;
        entity.attributes.retain(|attribute| tells && (watched.is_empty() || watched.contains(&attribute.name)));
        for instance in entity.attributes.iter_mut().flat_map(|attribute| &mut attribute.instances) {
            let (dataset, created_at) = (instance.dataset.take(), instance.created_at);
            let mut null = Instance::new(deleted_kind(&instance.kind));
            (null.dataset, null.created_at, null.modified_at) = (dataset, created_at, deleted_at);
            null.deleted_at = sys_attrs.then_some(deleted_at);
            *instance = null;
        }
        entity.modified_at = deleted_at;
        return entity;
    }
    let Some(previous) = notified.previous else { return entity };
    for was in &previous.attributes {
        let gone: Vec<&Instance> = match entity.find(was.name.as_str()) {
            None => was.instances.iter().collect(),
            Some(now) => was.instances.iter().filter(|i| now.find(i.dataset.as_ref()).is_none()).collect(),
        };
        if gone.is_empty() {
            continue;
        }
        let nulls = gone.into_iter().map(|instance| Instance {
            dataset: instance.dataset.clone(),
            // A system attribute like the others (clause 4.8).
            deleted_at: Some(entity.modified_at).filter(|time| sys_attrs && *time != Time::UNSET),
            ..Instance::new(deleted_kind(&instance.kind))
        });
        let nulls: Vec<Instance> = nulls.collect();
        match entity.attributes.iter_mut().find(|attribute| attribute.name == was.name) {
            Some(attribute) => attribute.instances.extend(nulls),
            None => entity.attributes.push(Attribute { name: was.name.clone(), instances: nulls }),
        }
    }
    entity
}

/// The null of each kind (clause 4.5.0).
fn deleted_kind(kind: &Kind) -> Kind {
    use city_model::Value;
    use city_model::value::NGSI_LD_NULL;
    let null = || Value::text(NGSI_LD_NULL);
    match kind {
        Kind::Relationship { .. } => Kind::Relationship { object: null(), object_types: Vec::new() },
        Kind::LanguageProperty(_) => Kind::LanguageProperty(vec![("@none".into(), null())]),
        Kind::VocabProperty(_) => Kind::VocabProperty(null()),
        Kind::JsonProperty(_) => Kind::JsonProperty(null()),
        Kind::ListProperty(_) => Kind::ListProperty(vec![null()]),
        Kind::ListRelationship { .. } => Kind::ListRelationship { objects: vec![null()], object_types: Vec::new() },
        _ => Kind::Property(null()),
    }
}
