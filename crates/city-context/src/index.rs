//! The indexes of a tenant, in memory: ids, versions, types, scopes, attributes, geometries.
//!
//! Made from the view at open and moved on by each durable change. An index answers with a set
//! that is never too small; the exact test on the entity decides.

use std::collections::HashMap;
use std::sync::Arc;

use city_model::geometry::BboxWgs84;
use city_model::{DataClass, Entity, EntityId, Geometry, Instance, Kind, Name, Scope};
use roaring::RoaringBitmap;
use rstar::primitives::{GeomWithData, Rectangle};
use rstar::{AABB, RTree};

use crate::values::Values;

type Place = GeomWithData<Rectangle<[f64; 2]>, u32>;

#[derive(Debug, Default)]
pub struct Index {
    numbers: HashMap<Arc<str>, u32>,
    /// By number - 1.
    slots: Vec<Slot>,
    alive: RoaringBitmap,
    types: HashMap<Name, RoaringBitmap>,
    /// Entities that are, or were, of a type: for the past.
    types_ever: HashMap<Name, RoaringBitmap>,
    scopes: HashMap<Scope, RoaringBitmap>,
    attributes: HashMap<Name, RoaringBitmap>,
    places: HashMap<Name, RTree<Place>>,
    /// Entities with a geometry that is personal: it stands in no tree, so they may be anywhere.
    unplaced: HashMap<Name, RoaringBitmap>,
    values: Values,
}

#[derive(Debug, Clone)]
struct Slot {
    id: Arc<str>,
    /// Position of the last change that is durable and in the view.
    seq: u64,
}

impl Index {
    #[must_use]
    pub fn number(&self, id: &str) -> Option<u32> {
        self.numbers.get(id).copied()
    }

    #[must_use]
    pub fn id(&self, number: u32) -> Option<EntityId> {
        self.slots.get(number.checked_sub(1)? as usize).map(|slot| EntityId::from_stored(Arc::clone(&slot.id)))
    }

    #[must_use]
    pub fn seq(&self, number: u32) -> u64 {
        number.checked_sub(1).and_then(|at| self.slots.get(at as usize)).map_or(0, |slot| slot.seq)
    }

    /// Of the entity of this id.
    #[must_use]
    pub fn seq_of(&self, id: &str) -> u64 {
        self.number(id).map_or(0, |number| self.seq(number))
    }

    #[must_use]
    pub fn is_alive(&self, number: u32) -> bool {
        self.alive.contains(number)
    }

    /// How many numbers were given.
    #[must_use]
    pub fn numbered(&self) -> usize {
        self.slots.len()
    }

    #[must_use]
    pub fn alive(&self) -> &RoaringBitmap {
        &self.alive
    }

    #[must_use]
    pub fn of_type(&self, name: &Name) -> Option<&RoaringBitmap> {
        self.types.get(name).filter(|set| !set.is_empty())
    }

    #[must_use]
    pub fn ever_of_type(&self, name: &Name) -> Option<&RoaringBitmap> {
        self.types_ever.get(name)
    }

    /// All types that an entity has or had.
    pub fn types_ever(&self) -> impl Iterator<Item = &Name> {
        self.types_ever.iter().filter(|(_, set)| !set.is_empty()).map(|(name, _)| name)
    }

    #[must_use]
    pub fn with_attribute(&self, name: &str) -> Option<&RoaringBitmap> {
        self.attributes.get(name).filter(|set| !set.is_empty())
    }

    pub fn types(&self) -> impl Iterator<Item = (&Name, &RoaringBitmap)> {
        self.types.iter().filter(|(_, set)| !set.is_empty())
    }

    pub fn attributes(&self) -> impl Iterator<Item = (&Name, &RoaringBitmap)> {
        self.attributes.iter().filter(|(_, set)| !set.is_empty())
    }

    pub fn scopes(&self) -> impl Iterator<Item = (&Scope, &RoaringBitmap)> {
        self.scopes.iter().filter(|(_, set)| !set.is_empty())
    }

    #[must_use]
    pub fn values(&self) -> &Values {
        &self.values
    }

    pub fn values_mut(&mut self) -> &mut Values {
        &mut self.values
    }

    /// Entities with a geometry under `property` whose box meets `area`.
    #[must_use]
    pub fn in_area(&self, property: &Name, area: &BboxWgs84) -> RoaringBitmap {
        let envelope = AABB::from_corners([area.west, area.south], [area.east, area.north]);
        let mut found = self.unplaced.get(property).cloned().unwrap_or_default();
        if let Some(tree) = self.places.get(property) {
            found.extend(tree.locate_in_envelope_intersecting(envelope).map(|place| place.data));
        }
        found
    }

    /// Gives an id its number: what the journal or the view says.
    pub fn learn_id(&mut self, number: u32, id: &Arc<str>) -> Result<(), city_store::Error> {
        match self.numbers.get(id) {
            Some(known) if *known == number => return Ok(()),
            None if self.slots.len() + 1 == number as usize => {}
            _ => return Err(city_store::Error::Undecodable(format!("entity number {number} of {id} is out of order"))),
        }
        self.slots.push(Slot { id: Arc::clone(id), seq: 0 });
        self.numbers.insert(Arc::clone(id), number);
        Ok(())
    }

    pub fn set_seq(&mut self, number: u32, seq: u64) {
        if let Some(slot) = number.checked_sub(1).and_then(|at| self.slots.get_mut(at as usize)) {
            slot.seq = seq;
        }
    }

    pub fn note_past_types(&mut self, number: u32, types: &[Name]) {
        for name in types {
            self.types_ever.entry(name.clone()).or_default().insert(number);
        }
    }

    pub fn forget_past(&mut self, number: u32) {
        for set in self.types_ever.values_mut() {
            set.remove(number);
        }
    }

    /// Moves everything from one version of an entity to the next.
    pub fn change(&mut self, number: u32, before: Option<&Entity>, after: Option<&Entity>) {
        match after {
            Some(_) => self.alive.insert(number),
            None => self.alive.remove(number),
        };
        let types = |entity: Option<&Entity>| entity.map(|e| e.types.clone()).unwrap_or_default();
        move_set(&mut self.types, number, &types(before), &types(after));
        if let Some(after) = after
            && before.is_none_or(|before| before.types != after.types)
        {
            self.note_past_types(number, &after.types);
        }
        let scopes = |entity: Option<&Entity>| entity.map(|e| e.scopes.clone()).unwrap_or_default();
        move_set(&mut self.scopes, number, &scopes(before), &scopes(after));
        self.change_attributes(number, before, after);
        self.change_places(number, before, after);
        self.change_unplaced(number, before, after);
        self.values.change(number, before, after);
    }

    fn change_attributes(&mut self, number: u32, before: Option<&Entity>, after: Option<&Entity>) {
        for attribute in before.iter().flat_map(|entity| &entity.attributes) {
            if after.is_none_or(|after| after.find(attribute.name.as_str()).is_none())
                && let Some(set) = self.attributes.get_mut(attribute.name.as_str())
            {
                set.remove(number);
            }
        }
        for attribute in after.iter().flat_map(|entity| &entity.attributes) {
            if before.is_none_or(|before| before.find(attribute.name.as_str()).is_none()) {
                self.attributes.entry(attribute.name.clone()).or_default().insert(number);
            }
        }
    }

    fn change_unplaced(&mut self, number: u32, before: Option<&Entity>, after: Option<&Entity>) {
        for name in unplaced(before) {
            if let Some(set) = self.unplaced.get_mut(name.as_str()) {
                set.remove(number);
            }
        }
        for name in unplaced(after) {
            self.unplaced.entry(name.clone()).or_default().insert(number);
        }
    }

    fn change_places(&mut self, number: u32, before: Option<&Entity>, after: Option<&Entity>) {
        let (old, new) = (places(before), places(after));
        if old == new {
            return;
        }
        for (name, geometry) in old {
            if let Some(tree) = self.places.get_mut(name.as_str()) {
                tree.remove(&place(geometry, number));
            }
        }
        for (name, geometry) in new {
            self.places.entry(name.clone()).or_default().insert(place(geometry, number));
        }
    }

    /// Fills the tree of each property at once, as far better trees come of it (at open).
    pub fn load_places(&mut self, places: HashMap<Name, Vec<(BboxWgs84, u32)>>) {
        for (name, boxes) in places {
            let places = boxes.iter().map(|(bbox, number)| boxed(bbox, *number)).collect();
            self.places.insert(name, RTree::bulk_load(places));
        }
    }

    /// As `change` from nothing, but for geometries, which `load_places` takes (at open).
    pub fn load(&mut self, number: u32, entity: &Entity) {
        self.alive.insert(number);
        move_set(&mut self.types, number, &[], &entity.types);
        self.note_past_types(number, &entity.types);
        move_set(&mut self.scopes, number, &[], &entity.scopes);
        self.change_attributes(number, None, Some(entity));
        self.change_unplaced(number, None, Some(entity));
    }
}

/// The attributes of an entity whose geometries are personal.
fn unplaced(entity: Option<&Entity>) -> impl Iterator<Item = &Name> {
    let attributes = entity.into_iter().flat_map(|entity| &entity.attributes);
    let is_personal =
        |instance: &Instance| instance.class == DataClass::Personal && matches!(instance.kind, Kind::GeoProperty(_));
    attributes.filter(move |attribute| attribute.instances.iter().any(is_personal)).map(|attribute| &attribute.name)
}

/// The geometries of an entity with the names of their attributes, but for those that are personal.
#[must_use]
pub fn places(entity: Option<&Entity>) -> Vec<(&Name, &Geometry)> {
    let attributes = entity.iter().flat_map(|entity| &entity.attributes);
    let instances = attributes.flat_map(|attribute| attribute.instances.iter().map(move |i| (&attribute.name, i)));
    instances
        .filter_map(|(name, instance)| match &instance.kind {
            Kind::GeoProperty(geometry) if instance.class != DataClass::Personal => Some((name, geometry)),
            _ => None,
        })
        .collect()
}

fn place(geometry: &Geometry, number: u32) -> Place {
    boxed(&geometry.bbox(), number)
}

fn boxed(bbox: &BboxWgs84, number: u32) -> Place {
    GeomWithData::new(Rectangle::from_corners([bbox.west, bbox.south], [bbox.east, bbox.north]), number)
}

fn move_set<K: Clone + Eq + std::hash::Hash>(
    sets: &mut HashMap<K, RoaringBitmap>,
    number: u32,
    before: &[K],
    after: &[K],
) {
    if before == after {
        return;
    }
    for key in before {
        if let Some(set) = sets.get_mut(key) {
            set.remove(number);
        }
    }
    for key in after {
        sets.entry(key.clone()).or_default().insert(number);
    }
}
