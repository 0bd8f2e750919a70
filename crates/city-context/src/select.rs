//! Answering a query: indexes give candidates, the exact test on each entity decides.
//!
//! In comes a permit and a query; out comes a page of entities in the order of their numbers
//! (oldest first), and the count where it is asked for. The permit's filter and mask are part of
//! the test, so that nothing hidden can be found out by asking.

use std::ops::ControlFlow;
use std::sync::Arc;

use city_model::query::{Filter, GeoQuery, ScopeExpr, Test, core_names};
use city_model::{AttributeMask, Entity, Permit, Query, TypeExpr};
use roaring::RoaringBitmap;

use crate::index::Index;

/// What a page shall hold.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    pub offset: usize,
    pub limit: usize,
    pub count: bool,
}

/// A page of an answer.
#[derive(Debug, Default)]
pub struct Found {
    pub entities: Vec<Arc<Entity>>,
    /// Of all that match, where it was asked for.
    pub count: Option<usize>,
    /// Whether there are more behind this page.
    pub more: bool,
}

/// A page that fills with what matches, in order.
#[derive(Debug)]
pub struct Filling {
    page: Page,
    matched: usize,
    found: Found,
}

impl Filling {
    #[must_use]
    pub fn of(page: Page) -> Self {
        Self { page, matched: 0, found: Found::default() }
    }

    /// Takes in a match; breaks where nothing behind it matters any more.
    pub fn take(&mut self, entity: Arc<Entity>) -> ControlFlow<()> {
        self.matched += 1;
        if self.matched <= self.page.offset {
            return ControlFlow::Continue(());
        }
        if self.found.entities.len() < self.page.limit {
            self.found.entities.push(entity);
            return ControlFlow::Continue(());
        }
        self.found.more = true;
        if self.page.count { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    /// How many matched so far.
    #[must_use]
    pub fn matched(&self) -> usize {
        self.matched
    }

    #[must_use]
    pub fn finish(mut self) -> Found {
        self.found.count = self.page.count.then_some(self.matched);
        self.found
    }
}

/// Which entities may match, and how that was found out.
#[derive(Debug, Clone)]
pub struct Candidates {
    pub set: RoaringBitmap,
    /// Every candidate matches: no test is needed.
    pub exact: bool,
    /// The indexes that were used, for `explain`.
    pub used: Vec<&'static str>,
}

/// The smallest set of candidates that the indexes give.
#[must_use]
pub fn candidates(index: &Index, query: &Query, permit: &Permit) -> Candidates {
    let mut found = Candidates { set: index.alive().clone(), exact: true, used: Vec::new() };
    if !query.selectors.is_empty() {
        let mut any = RoaringBitmap::new();
        for selector in &query.selectors {
            let mut set = match &selector.types {
                Some(types) => {
                    found.used.push("type");
                    of_types(index, types)
                }
                None => index.alive().clone(),
            };
            if !selector.ids.is_empty() {
                found.used.push("id");
                set &= selector.ids.iter().filter_map(|id| index.number(id.as_str())).collect::<RoaringBitmap>();
            }
            if let Some(pattern) = &selector.id_pattern {
                found.used.push("idPattern over ids");
                set = set.iter().filter(|n| index.id(*n).is_some_and(|id| pattern.is_match(id.as_str()))).collect();
            }
            any |= set;
        }
        found.set &= any;
    }
    if !query.attributes.is_empty() {
        found.used.push("attribute");
        let mut any = RoaringBitmap::new();
        for name in &query.attributes {
            any |= index.with_attribute(name.as_str()).cloned().unwrap_or_default();
        }
        found.set &= any;
    }
    if let Some(scope) = &query.scope {
        found.used.push("scope");
        found.set &= of_scopes(index, scope);
    }
    if let Some(geo) = &query.geo {
        found.exact = false;
        narrow_by_geo(index, geo, &mut found);
    }
    if let Some(filter) = &query.filter {
        found.exact = false;
        let mut used = "attribute of q";
        if let Some(set) = of_filter(index, filter, &mut used) {
            found.used.push(used);
            found.set &= set;
        }
    }
    if let Some(filter) = permit.filter() {
        found.exact = false;
        for types in filter.selectors.iter().filter_map(|selector| selector.types.as_ref()).take(1) {
            if filter.selectors.len() == 1 {
                found.set &= of_types(index, types);
            }
        }
    }
    if *permit.mask() != AttributeMask::All {
        found.exact = false;
    }
    found
}

fn narrow_by_geo(index: &Index, geo: &GeoQuery, found: &mut Candidates) {
    if let Some(area) = geo.relation.search_box(&geo.reference.bbox()) {
        found.used.push("geometry");
        found.set &= index.in_area(&geo.property, &area);
    } else {
        found.used.push("attribute of geoQ");
        found.set &= index.with_attribute(geo.property.as_str()).cloned().unwrap_or_default();
    }
}

fn of_types(index: &Index, expr: &TypeExpr) -> RoaringBitmap {
    match expr {
        TypeExpr::Type(name) => index.of_type(name).cloned().unwrap_or_default(),
        TypeExpr::And(all) => {
            let mut sets = all.iter().map(|expr| of_types(index, expr));
            let first = sets.next().unwrap_or_default();
            sets.fold(first, |all, set| all & set)
        }
        TypeExpr::Or(any) => any.iter().fold(RoaringBitmap::new(), |any, expr| any | of_types(index, expr)),
    }
}

fn of_scopes(index: &Index, expr: &ScopeExpr) -> RoaringBitmap {
    let matching = index.scopes().filter(|(scope, _)| expr.matches(std::slice::from_ref(scope)));
    match expr {
        // Several scopes of one entity may fulfil the parts of an "and" between them.
        ScopeExpr::And(all) => {
            let mut sets = all.iter().map(|expr| of_scopes(index, expr));
            let first = sets.next().unwrap_or_default();
            sets.fold(first, |all, set| all & set)
        }
        ScopeExpr::Or(any) => any.iter().fold(RoaringBitmap::new(), |any, expr| any | of_scopes(index, expr)),
        ScopeExpr::Pattern(_) => matching.fold(RoaringBitmap::new(), |any, (_, set)| any | set),
    }
}

/// Every term but `NotExists` needs its attribute to exist.
fn of_filter(index: &Index, filter: &Filter, used: &mut &'static str) -> Option<RoaringBitmap> {
    match filter {
        Filter::Term { test: Test::NotExists, .. } => None,
        Filter::Term { path, test } => match path.attribute.as_str() {
            core_names::CREATED_AT | core_names::MODIFIED_AT => None,
            name => match index.values().of(path).and_then(|values| values.candidates(test)) {
                Some(set) => {
                    *used = "value of q";
                    Some(set)
                }
                None => Some(index.with_attribute(name).cloned().unwrap_or_default()),
            },
        },
        Filter::And(all) => all.iter().filter_map(|filter| of_filter(index, filter, used)).reduce(|all, set| all & set),
        Filter::Or(any) => {
            let sets: Option<Vec<RoaringBitmap>> = any.iter().map(|filter| of_filter(index, filter, used)).collect();
            sets.map(|sets| sets.into_iter().fold(RoaringBitmap::new(), |any, set| any | set))
        }
    }
}

/// The entity as the holder of the permit may see it; `None` where it does not exist for them.
#[must_use]
pub fn seen_by(permit: &Permit, entity: &Arc<Entity>) -> Option<Arc<Entity>> {
    if permit.filter().is_some_and(|filter| !filter.matches(entity)) {
        return None;
    }
    match permit.mask() {
        AttributeMask::All => Some(Arc::clone(entity)),
        mask => {
            let mut seen = Entity::clone(entity);
            seen.attributes.retain(|attribute| mask.allows(attribute.name.as_str()));
            Some(Arc::new(seen))
        }
    }
}
