//! Answering a query: indexes give candidates, the exact test on each entity decides.
//!
//! In comes a permit and a query; out comes a page of entities in the order of their numbers
//! (oldest first), and the count where it is asked for. The permit's reach is part of the test, so
//! that nothing hidden can be found out by asking: what is tested is what would be shown.

use std::ops::ControlFlow;
use std::sync::Arc;

use city_model::query::{Filter, GeoQuery, ScopeExpr, Test, core_names};
use city_model::reach::{Attributes, Part};
use city_model::{Condition, Entity, Query, Reach, TypeExpr};
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
pub fn candidates(index: &Index, query: &Query, reach: &Reach) -> Candidates {
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
        narrow_by_geo(index, geo, reach, &mut found);
    }
    if let Some(filter) = &query.filter {
        found.exact = false;
        let mut used = "attribute of q";
        if let Some(set) = of_filter(index, filter, reach, &mut used) {
            found.used.push(used);
            found.set &= set;
        }
    }
    match reach {
        Reach::Everything => {}
        Reach::Nothing => found.set.clear(),
        Reach::Part(part) => narrow_by_reach(index, part, &mut found),
    }
    // Which attributes an entity has is not for every holder to know.
    found.exact &= query.attributes.is_empty() || reach.shows_whole_entities();
    found
}

fn narrow_by_reach(index: &Index, part: &Part, found: &mut Candidates) {
    found.used.push("permit");
    let mut granted = RoaringBitmap::new();
    for rule in &part.grants {
        let (set, exact) = of_condition(index, &rule.when);
        granted |= set;
        found.exact &= exact;
    }
    found.set &= granted;
    for rule in part.forbids.iter().filter(|rule| rule.attributes == Attributes::All) {
        match of_condition(index, &rule.when) {
            (set, true) => found.set -= set,
            (_, false) => found.exact = false,
        }
    }
}

/// The entities for which a condition may hold, and whether it holds for exactly these.
fn of_condition(index: &Index, condition: &Condition) -> (RoaringBitmap, bool) {
    let all = || index.alive().clone();
    match condition {
        Condition::Always => (all(), true),
        Condition::Never => (RoaringBitmap::new(), true),
        Condition::Type(name) => (index.of_type(name).cloned().unwrap_or_default(), true),
        Condition::Within(above) => {
            let below = index.scopes().filter(|(scope, _)| scope.is_within(above));
            (below.fold(RoaringBitmap::new(), |any, (_, set)| any | set), true)
        }
        Condition::Id(id) => (index.number(id.as_str()).into_iter().filter(|n| index.is_alive(*n)).collect(), true),
        Condition::All(parts) => parts
            .iter()
            .map(|part| of_condition(index, part))
            .fold((all(), true), |(set, exact), (own, own_exact)| (set & own, exact && own_exact)),
        Condition::Any(parts) => parts
            .iter()
            .map(|part| of_condition(index, part))
            .fold((RoaringBitmap::new(), true), |(set, exact), (own, own_exact)| (set | own, exact && own_exact)),
        Condition::IfElse(parts) => {
            let [test, then, or] = &**parts;
            match (of_condition(index, test), of_condition(index, then), of_condition(index, or)) {
                ((test, true), (then, then_exact), (or, or_exact)) => {
                    ((then & &test) | (or - test), then_exact && or_exact)
                }
                ((_, false), (then, _), (or, _)) => (then | or, false),
            }
        }
        Condition::Not(condition) => match of_condition(index, condition) {
            (set, true) => (all() - set, true),
            (_, false) => (all(), false),
        },
        Condition::Has(name) | Condition::Like(name, _) | Condition::IsTrue(name) => {
            (index.with_attribute(name.as_str()).cloned().unwrap_or_default(), false)
        }
        Condition::IdLike(_) | Condition::Compare(..) | Condition::Contains(..) => (all(), false),
    }
}

/// Where a place is shown less exactly than it is known, its index does not say who is near.
fn narrow_by_geo(index: &Index, geo: &GeoQuery, reach: &Reach, found: &mut Candidates) {
    let exact = !reach.may_blur(geo.property.as_str());
    if let Some(area) = geo.relation.search_box(&geo.reference.bbox()).filter(|_| exact) {
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
fn of_filter(index: &Index, filter: &Filter, reach: &Reach, used: &mut &'static str) -> Option<RoaringBitmap> {
    match filter {
        Filter::Term { test: Test::NotExists, .. } => None,
        Filter::Term { path, test } => match path.attribute.as_str() {
            core_names::CREATED_AT | core_names::MODIFIED_AT => None,
            name => match index.values().of(path).filter(|_| !reach.may_blur(name)).and_then(|v| v.candidates(test)) {
                Some(set) => {
                    *used = "value of q";
                    Some(set)
                }
                None => Some(index.with_attribute(name).cloned().unwrap_or_default()),
            },
        },
        Filter::And(all) => {
            all.iter().filter_map(|filter| of_filter(index, filter, reach, used)).reduce(|all, set| all & set)
        }
        Filter::Or(any) => {
            let sets: Option<Vec<RoaringBitmap>> =
                any.iter().map(|filter| of_filter(index, filter, reach, used)).collect();
            sets.map(|sets| sets.into_iter().fold(RoaringBitmap::new(), |any, set| any | set))
        }
    }
}
