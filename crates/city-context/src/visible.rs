//! What a permit shows at all: for names, counts and the past, where no entity is looked at.

use city_model::reach::Sight;
use city_model::{Entity, Name, Permit, Query, Reach};
use roaring::RoaringBitmap;

use crate::{Context, Error, PastIdentity, TenantSpace, select};

/// Entities with nothing but a past that are looked at to know whether their type may be shown.
const PASTS_LOOKED_AT: usize = 1_000;

impl Context {
    /// The entities that the holder of a permit sees, or of which they see one attribute; `None` is all.
    /// Where indexes do not decide, each entity is looked at.
    pub fn visible(&self, permit: &Permit, attribute: Option<&Name>) -> Result<Option<RoaringBitmap>, Error> {
        let reach = match attribute {
            Some(name) => permit.read().of_attribute(name.as_str()),
            None => permit.read().clone(),
        };
        let space = self.tenant(permit)?;
        let candidates = select::candidates(&space.index.read(), &Query::default(), &reach);
        match reach {
            Reach::Everything => Ok(None),
            _ if candidates.exact => Ok(Some(candidates.set)),
            reach => self.seen_among(&space, &candidates.set, &reach).map(Some),
        }
    }

    /// Which types there are, as far as the permit shows one of their entities: names with counts.
    pub fn types(&self, permit: &Permit) -> Result<Vec<(Name, u64)>, Error> {
        let (space, visible) = (self.tenant(permit)?, self.visible(permit, None)?);
        let index = space.index.read();
        let types = index.types().map(|(name, set)| (name.clone(), count(set, visible.as_ref())));
        Ok(sorted(types))
    }

    /// Which attributes there are, as far as the permit shows one of them: names with counts.
    pub fn attributes(&self, permit: &Permit) -> Result<Vec<(Name, u64)>, Error> {
        self.attributes_among(permit, None)
    }

    /// Which attributes the entities of a type have, as far as the permit shows them: names with counts.
    pub fn attributes_of_type(&self, permit: &Permit, name: &Name) -> Result<Vec<(Name, u64)>, Error> {
        let space = self.tenant(permit)?;
        let of_type = space.index.read().of_type(name).cloned().unwrap_or_default();
        self.attributes_among(permit, Some(&of_type))
    }

    fn attributes_among(&self, permit: &Permit, among: Option<&RoaringBitmap>) -> Result<Vec<(Name, u64)>, Error> {
        let space = self.tenant(permit)?;
        let having: Vec<(Name, RoaringBitmap)> = {
            let index = space.index.read();
            let attributes = index.attributes().filter(|(name, _)| permit.read().may_show(name.as_str()));
            let attributes = attributes.map(|(name, set)| (name.clone(), among.map_or(set.clone(), |of| set & of)));
            attributes.filter(|(_, set)| !set.is_empty()).collect()
        };
        let mut found = Vec::with_capacity(having.len());
        for (name, set) in having {
            let visible = self.visible(permit, Some(&name))?;
            found.push((name, count(&set, visible.as_ref())));
        }
        Ok(sorted(found.into_iter()))
    }

    /// The types of the entities that have an attribute, as far as the permit shows it; with their number.
    pub fn types_having(&self, permit: &Permit, name: &Name) -> Result<(Vec<Name>, u64), Error> {
        let (space, visible) = (self.tenant(permit)?, self.visible(permit, Some(name))?);
        let index = space.index.read();
        let Some(having) = index.with_attribute(name.as_str()) else { return Ok((Vec::new(), 0)) };
        let having = visible.map_or(having.clone(), |visible| having & visible);
        let mut types: Vec<Name> =
            index.types().filter(|(_, set)| !set.is_disjoint(&having)).map(|(name, _)| name.clone()).collect();
        types.sort();
        Ok((types, having.len()))
    }

    /// Whether the permit may show an entity of this type, also where all that is left of it is its past.
    pub fn may_show_type(&self, permit: &Permit, name: &Name, visible: Option<&RoaringBitmap>) -> bool {
        let Some(visible) = visible else { return true };
        let Some(space) = self.tenants().find(permit.tenant()) else { return false };
        let (live, ever) = {
            let index = space.index.read();
            (index.of_type(name).cloned(), index.ever_of_type(name).cloned().unwrap_or_default())
        };
        if let Some(live) = live {
            return !live.is_disjoint(visible);
        }
        // Of what only has a past, some are looked at.
        ever.iter().take(PASTS_LOOKED_AT).any(|number| {
            let id = space.index.read().id(number);
            let past = id.and_then(|id| self.identity_of(&space, number, &id).ok().flatten());
            past.is_some_and(|past| self.sight_of_past(permit, &past).is_ok_and(|sight| sight.is_some()))
        })
    }

    fn seen_among(&self, space: &TenantSpace, among: &RoaringBitmap, reach: &Reach) -> Result<RoaringBitmap, Error> {
        let mut seen = RoaringBitmap::new();
        for number in among {
            if self.image(space, number)?.is_some_and(|image| reach.sight(&image.entity).is_some()) {
                seen.insert(number);
            }
        }
        Ok(seen)
    }

    /// What may be seen of the past of an entity; `None` where it does not exist for the holder. Where a
    /// permit asks for values, those of now decide, and what is gone is not shown.
    pub fn sight_of_past<'p>(&self, permit: &'p Permit, past: &PastIdentity) -> Result<Option<Sight<'p>>, Error> {
        let reach = permit.read();
        if reach.is_of_identity() {
            let mut entity = Entity::new(past.id.clone(), past.identity.types.clone());
            entity.scopes.clone_from(&past.identity.scopes);
            return Ok(reach.sight(&entity));
        }
        let space = self.tenant(permit)?;
        let image = if past.is_alive { self.image(&space, past.number)? } else { None };
        Ok(image.and_then(|image| reach.sight(&image.entity)))
    }
}

fn count(set: &RoaringBitmap, visible: Option<&RoaringBitmap>) -> u64 {
    visible.map_or(set.len(), |visible| set.intersection_len(visible))
}

fn sorted(counted: impl Iterator<Item = (Name, u64)>) -> Vec<(Name, u64)> {
    let mut counted: Vec<(Name, u64)> = counted.filter(|(_, count)| *count > 0).collect();
    counted.sort();
    counted
}
