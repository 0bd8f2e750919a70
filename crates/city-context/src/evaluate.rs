//! What a change does to an entity. Values in, values out: no clock, no disk, no numbers.
//!
//! In comes the entity as it stands (or its absence), a change and the time; out comes the entity
//! as it will stand and every instance that was touched, before and after. Operations and their
//! rules are those of CIM 009 clauses 5.5.8, 5.5.12 and 5.6.

use std::borrow::Cow;
use std::sync::Arc;

use city_model::{
    Attribute, Change, DatasetId, DatasetSelection, Entity, EntityId, Instance, Kind, Name, Rejected, Time, Value,
};

/// What a change does, if it is accepted.
#[derive(Debug)]
pub struct Effect {
    /// As it will stand; `None` when it is deleted.
    pub after: Option<Arc<Entity>>,
    pub identity_changed: bool,
    pub touched: Vec<TouchedInstance>,
    pub updated: Vec<Name>,
    pub not_updated: Vec<(Name, Cow<'static, str>)>,
    pub created: bool,
}

#[derive(Debug)]
pub struct TouchedInstance {
    pub attribute: Name,
    pub dataset: Option<DatasetId>,
    pub before: Option<Instance>,
    pub after: Option<Instance>,
}

const EXISTS: &str = "the attribute exists and noOverwrite was asked for";
/// The scopes of an entity are no attribute, yet may be deleted like one (clauses 4.18, 5.6.5).
const SCOPE: &str = "https://uri.etsi.org/ngsi-ld/scope";
const MISSING: &str = "the entity has no such attribute (with that datasetId)";

/// The entity that a change is about, for changes of the current state.
#[must_use]
pub fn subject(change: &Change) -> Option<&EntityId> {
    match change {
        Change::Create(entity)
        | Change::Upsert { entity, .. }
        | Change::Replace(entity)
        | Change::Merge(entity)
        | Change::Append { fragment: entity, .. }
        | Change::Update(entity)
        | Change::Past { fragment: entity, .. } => Some(&entity.id),
        Change::UpdateAttribute { entity, .. }
        | Change::ReplaceAttribute { entity, .. }
        | Change::DeleteAttribute { entity, .. }
        | Change::DeletePastAttribute { entity, .. }
        | Change::UpdatePastInstance { entity, .. }
        | Change::DeletePastInstance { entity, .. } => Some(entity),
        Change::Delete(id) | Change::DeletePast(id) | Change::Erase(id) => Some(id),
        Change::Define(_) | Change::Undefine { .. } | Change::Note(_) => None,
    }
}

/// Evaluates a change of the current state; `Change::Past` and definitions are not for here.
pub fn evaluate(change: Change, current: Option<&Arc<Entity>>, now: Time) -> Result<Effect, Rejected> {
    match (change, current) {
        (Change::Create(entity), Some(_)) => Err(Rejected::AlreadyExists(entity.id)),
        (Change::Create(entity) | Change::Upsert { entity, .. }, None) => create(entity, now),
        (Change::Upsert { entity, update: true }, Some(current)) => append(current, entity, true, now),
        (Change::Upsert { entity, update: false } | Change::Replace(entity), Some(current)) => {
            replace(current, entity, now)
        }
        (Change::Merge(fragment), Some(current)) => merge(current, fragment, now),
        (Change::Append { fragment, overwrite }, Some(current)) => append(current, fragment, overwrite, now),
        (Change::Update(fragment), Some(current)) => update(current, fragment, now),
        (Change::UpdateAttribute { attribute, instance, .. }, Some(current)) => {
            update_attribute(current, attribute, instance, now)
        }
        (Change::ReplaceAttribute { attribute, instances, .. }, Some(current)) => {
            replace_attribute(current, attribute, instances, now)
        }
        (Change::DeleteAttribute { attribute, dataset, .. }, Some(current)) => {
            delete_attribute(current, attribute, &dataset, now)
        }
        (Change::Delete(_), Some(current)) => Ok(delete(current)),
        (change, None) => match subject(&change) {
            Some(id) => Err(Rejected::EntityNotFound(id.clone())),
            None => Err(Rejected::Invalid("The change names no entity.".to_owned())),
        },
        (change, Some(_)) => {
            Err(Rejected::Invalid(format!("{change:?} does not change the current state of an entity.")))
        }
    }
}

/// An entity in the making, with all that was touched on the way.
struct Draft {
    entity: Entity,
    now: Time,
    identity_changed: bool,
    touched: Vec<TouchedInstance>,
    updated: Vec<Name>,
    not_updated: Vec<(Name, Cow<'static, str>)>,
}

impl Draft {
    fn of(current: &Entity, now: Time) -> Self {
        let mut entity = current.clone();
        entity.modified_at = now;
        Self { entity, now, identity_changed: false, touched: vec![], updated: vec![], not_updated: vec![] }
    }

    fn find(&self, name: &Name, dataset: Option<&DatasetId>) -> Option<&Instance> {
        self.entity.find(name.as_str())?.find(dataset)
    }

    /// Puts an instance in the place of the one with its dataset, or beside the others.
    fn put(&mut self, name: &Name, mut instance: Instance) {
        let before = self.find(name, instance.dataset.as_ref()).cloned();
        stamp(&mut instance, before.as_ref(), self.now);
        let dataset = instance.dataset.clone();
        let touched = TouchedInstance {
            attribute: name.clone(),
            dataset: dataset.clone(),
            before,
            after: Some(instance.clone()),
        };
        self.touched.push(touched);
        match self.entity.attributes.iter_mut().find(|attribute| attribute.name == *name) {
            None => self.entity.attributes.push(Attribute::new(name.clone(), instance)),
            Some(attribute) => match attribute.instances.iter_mut().find(|own| own.dataset == dataset) {
                Some(own) => *own = instance,
                None => attribute.instances.push(instance),
            },
        }
        self.note(name);
    }

    fn remove(&mut self, name: &Name, dataset: Option<&DatasetId>) {
        let Some(at) = self.entity.attributes.iter().position(|attribute| attribute.name == *name) else { return };
        let instances = &mut self.entity.attributes[at].instances;
        let Some(own) = instances.iter().position(|instance| instance.dataset.as_ref() == dataset) else { return };
        let before = instances.remove(own);
        if instances.is_empty() {
            self.entity.attributes.remove(at);
        }
        self.touched.push(TouchedInstance {
            attribute: name.clone(),
            dataset: dataset.cloned(),
            before: Some(before),
            after: None,
        });
        self.note(name);
    }

    fn note(&mut self, name: &Name) {
        if !self.updated.contains(name) {
            self.updated.push(name.clone());
        }
    }

    /// Types may be added to an entity, not taken away by a fragment (5.6.3, 5.6.17).
    fn add_types(&mut self, types: Vec<Name>) {
        for name in types {
            if !self.entity.types.contains(&name) {
                self.entity.types.push(name);
                self.identity_changed = true;
            }
        }
    }

    fn set_scopes(&mut self, scopes: Vec<city_model::Scope>) {
        if !scopes.is_empty() && self.entity.scopes != scopes {
            self.entity.scopes = scopes;
            self.identity_changed = true;
        }
    }

    fn finish(self) -> Effect {
        Effect {
            after: Some(Arc::new(self.entity)),
            identity_changed: self.identity_changed,
            touched: self.touched,
            updated: self.updated,
            not_updated: self.not_updated,
            created: false,
        }
    }
}

fn create(entity: Entity, now: Time) -> Result<Effect, Rejected> {
    if entity.types.is_empty() {
        return Err(Rejected::Invalid(format!("Entity {} has no type; give it at least one.", entity.id)));
    }
    let mut draft = Draft::of(&Entity::new(entity.id, entity.types), now);
    draft.entity.created_at = now;
    draft.entity.scopes = entity.scopes;
    draft.identity_changed = true;
    for attribute in entity.attributes {
        for instance in attribute.instances {
            must_have_value(&attribute.name, &instance)?;
            draft.put(&attribute.name, instance);
        }
    }
    Ok(Effect { created: true, ..draft.finish() })
}

fn replace(current: &Entity, mut entity: Entity, now: Time) -> Result<Effect, Rejected> {
    let mut draft = Draft::of(current, now);
    draft.set_types(std::mem::take(&mut entity.types));
    if draft.entity.scopes != entity.scopes {
        draft.entity.scopes = std::mem::take(&mut entity.scopes);
        draft.identity_changed = true;
    }
    for attribute in &current.attributes {
        for instance in &attribute.instances {
            let kept = entity.find(attribute.name.as_str()).and_then(|new| new.find(instance.dataset.as_ref()));
            if kept.is_none() {
                draft.remove(&attribute.name, instance.dataset.as_ref());
            }
        }
    }
    draft.updated.clear();
    for attribute in entity.attributes {
        for instance in attribute.instances {
            must_have_value(&attribute.name, &instance)?;
            draft.put(&attribute.name, instance);
        }
    }
    Ok(draft.finish())
}

impl Draft {
    fn set_types(&mut self, types: Vec<Name>) {
        if !types.is_empty() && self.entity.types != types {
            self.entity.types = types;
            self.identity_changed = true;
        }
    }
}

fn merge(current: &Entity, fragment: Entity, now: Time) -> Result<Effect, Rejected> {
    let mut draft = Draft::of(current, now);
    draft.add_types(fragment.types);
    draft.set_scopes(fragment.scopes);
    for attribute in fragment.attributes {
        for patch in attribute.instances {
            if patch.is_null() {
                draft.remove(&attribute.name, patch.dataset.as_ref());
                continue;
            }
            let merged = match draft.find(&attribute.name, patch.dataset.as_ref()) {
                None => {
                    must_have_value(&attribute.name, &patch)?;
                    without_nulls(patch)
                }
                Some(existing) => merged(existing.clone(), patch, true),
            };
            draft.put(&attribute.name, merged);
        }
    }
    Ok(draft.finish())
}

fn append(current: &Entity, fragment: Entity, overwrite: bool, now: Time) -> Result<Effect, Rejected> {
    let mut draft = Draft::of(current, now);
    draft.add_types(fragment.types);
    if overwrite {
        draft.set_scopes(fragment.scopes);
    } else {
        // Clause 4.18: what is there stays, further scopes join it.
        let mut scopes = current.scopes.clone();
        scopes.extend(fragment.scopes.into_iter().filter(|scope| !current.scopes.contains(scope)));
        draft.set_scopes(scopes);
    }
    for attribute in fragment.attributes {
        for instance in attribute.instances {
            if overwrite && instance.is_null() {
                draft.remove(&attribute.name, instance.dataset.as_ref());
                continue;
            }
            must_have_value(&attribute.name, &instance)?;
            if !overwrite
                && current
                    .find(attribute.name.as_str())
                    .is_some_and(|own| own.find(instance.dataset.as_ref()).is_some())
            {
                draft.not_updated.push((attribute.name.clone(), EXISTS.into()));
                continue;
            }
            draft.put(&attribute.name, instance);
        }
    }
    Ok(draft.finish())
}

fn update(current: &Entity, fragment: Entity, now: Time) -> Result<Effect, Rejected> {
    let mut draft = Draft::of(current, now);
    draft.add_types(fragment.types);
    if current.scopes.is_empty() && !fragment.scopes.is_empty() {
        draft.not_updated.push((Name::from_stored(SCOPE.into()), "the entity has no scope".into()));
    } else {
        draft.set_scopes(fragment.scopes);
    }
    for attribute in fragment.attributes {
        for instance in attribute.instances {
            if instance.is_null() {
                if draft.find(&attribute.name, instance.dataset.as_ref()).is_none() {
                    draft.not_updated.push((attribute.name.clone(), MISSING.into()));
                }
                draft.remove(&attribute.name, instance.dataset.as_ref());
            } else {
                must_have_value(&attribute.name, &instance)?;
                draft.put(&attribute.name, instance);
            }
        }
    }
    Ok(draft.finish())
}

fn update_attribute(current: &Entity, name: Name, patch: Instance, now: Time) -> Result<Effect, Rejected> {
    let mut draft = Draft::of(current, now);
    let Some(existing) = draft.find(&name, patch.dataset.as_ref()) else {
        return Err(not_found(current, name, patch.dataset));
    };
    if patch.is_null() {
        draft.remove(&name, patch.dataset.as_ref());
    } else {
        // Clause 5.6.4: the type of an attribute stays.
        let (own, new) = (existing.kind.type_name(), patch.kind.type_name());
        if own != new && patch.kind != Kind::Unchanged {
            return Err(Rejected::Invalid(format!(
                "Attribute {name} is a {own}, not a {new}; replace it to change that."
            )));
        }
        let merged = merged(existing.clone(), patch, false);
        draft.put(&name, merged);
    }
    Ok(draft.finish())
}

fn replace_attribute(current: &Entity, name: Name, instances: Vec<Instance>, now: Time) -> Result<Effect, Rejected> {
    let mut draft = Draft::of(current, now);
    for instance in instances {
        must_have_value(&name, &instance)?;
        if draft.find(&name, instance.dataset.as_ref()).is_none() {
            return Err(not_found(current, name, instance.dataset));
        }
        draft.put(&name, instance);
    }
    Ok(draft.finish())
}

fn delete_attribute(current: &Entity, name: Name, selection: &DatasetSelection, now: Time) -> Result<Effect, Rejected> {
    let mut draft = Draft::of(current, now);
    if name.as_str() == SCOPE && !current.scopes.is_empty() {
        draft.entity.scopes.clear();
        draft.identity_changed = true;
        draft.note(&name);
        return Ok(draft.finish());
    }
    let Some(attribute) = current.find(name.as_str()) else { return Err(not_found(current, name, None)) };
    let chosen: Vec<Option<DatasetId>> = match selection {
        DatasetSelection::All => attribute.instances.iter().map(|instance| instance.dataset.clone()).collect(),
        DatasetSelection::Default => vec![None],
        DatasetSelection::One(dataset) => vec![Some(dataset.clone())],
    };
    for dataset in chosen {
        if attribute.find(dataset.as_ref()).is_none() {
            return Err(not_found(current, name, dataset));
        }
        draft.remove(&name, dataset.as_ref());
    }
    Ok(draft.finish())
}

fn delete(current: &Entity) -> Effect {
    let touched = current.attributes.iter().flat_map(|attribute| {
        attribute.instances.iter().map(|instance| TouchedInstance {
            attribute: attribute.name.clone(),
            dataset: instance.dataset.clone(),
            before: Some(instance.clone()),
            after: None,
        })
    });
    Effect {
        after: None,
        identity_changed: true,
        touched: touched.collect(),
        updated: Vec::new(),
        not_updated: Vec::new(),
        created: false,
    }
}

fn not_found(entity: &Entity, attribute: Name, dataset: Option<DatasetId>) -> Rejected {
    Rejected::AttributeNotFound { entity: entity.id.clone(), attribute, dataset }
}

fn must_have_value(name: &Name, instance: &Instance) -> Result<(), Rejected> {
    match instance.kind {
        Kind::Unchanged => Err(Rejected::Invalid(format!("Attribute {name} has no value; give it one."))),
        _ if instance.is_null() => {
            Err(Rejected::Invalid(format!("Attribute {name} is null; to delete it, use a delete or a merge.")))
        }
        _ => Ok(()),
    }
}

/// Birth is kept where there was an instance before; sub-attributes are born and changed with it.
pub fn stamp(instance: &mut Instance, before: Option<&Instance>, now: Time) {
    instance.created_at = before.map_or(now, |before| before.created_at);
    instance.modified_at = now;
    for attribute in &mut instance.sub_attributes {
        let name = attribute.name.clone();
        for sub in &mut attribute.instances {
            let before = before.and_then(|b| b.sub_attribute(name.as_str())).and_then(|a| a.find(sub.dataset.as_ref()));
            stamp(sub, before, now);
        }
    }
}

/// The members that a patch names take the place of the existing ones; with `deep`, JSON objects
/// and language maps are merged too.
fn merged(mut existing: Instance, patch: Instance, deep: bool) -> Instance {
    existing.kind = match (existing.kind, patch.kind) {
        (kind, Kind::Unchanged) => kind,
        (Kind::Property(mut value), Kind::Property(patch)) if deep => {
            value.merge(patch);
            Kind::Property(value)
        }
        (Kind::JsonProperty(mut value), Kind::JsonProperty(patch)) if deep => {
            value.merge(patch);
            Kind::JsonProperty(value)
        }
        (Kind::LanguageProperty(map), Kind::LanguageProperty(patch)) if deep => {
            let mut value = Value::Map(map);
            value.merge(Value::Map(patch));
            match value {
                Value::Map(map) => Kind::LanguageProperty(map),
                _ => Kind::LanguageProperty(Vec::new()),
            }
        }
        (_, patch) => patch,
    };
    if let Some(observed_at) = patch.observed_at {
        existing.observed_at = Some(observed_at);
    }
    match patch.unit_code {
        Some(code) if &*code == city_model::value::NGSI_LD_NULL => existing.unit_code = None,
        Some(code) => existing.unit_code = Some(code),
        None => {}
    }
    for attribute in patch.sub_attributes {
        for patch in attribute.instances {
            let own = existing.sub_attributes.iter_mut().find(|own| own.name == attribute.name);
            match own {
                Some(own) => {
                    let at = own.instances.iter().position(|sub| sub.dataset == patch.dataset);
                    match at {
                        Some(at) if patch.is_null() => {
                            own.instances.remove(at);
                        }
                        Some(at) => own.instances[at] = merged(own.instances[at].clone(), patch, deep),
                        None if patch.is_null() => {}
                        None => own.instances.push(without_nulls(patch)),
                    }
                }
                None if patch.is_null() => {}
                None => existing.sub_attributes.push(Attribute::new(attribute.name.clone(), without_nulls(patch))),
            }
        }
    }
    existing.sub_attributes.retain(|attribute| !attribute.instances.is_empty());
    existing
}

fn without_nulls(mut instance: Instance) -> Instance {
    for attribute in &mut instance.sub_attributes {
        attribute.instances.retain(|sub| !sub.is_null());
    }
    instance.sub_attributes.retain(|attribute| !attribute.instances.is_empty());
    instance
}
