//! How far a permit reaches: which entities its holder sees, which of their attributes, and how exactly.
//!
//! Rules that grant and rules that forbid come in with an entity; what may be seen of it goes out.
//! What no rule grants is not there; what one rule forbids is not there whatever others grant.

use std::sync::Arc;

use crate::condition::Condition;
use crate::entity::{Attribute, Entity, Instance, Kind};
use crate::geometry::{Geometry, Position};
use crate::name::Name;
use crate::time::Time;
use crate::value::Value;
use crate::vocabulary::{OnPaper, is_ours, on_paper};

/// What of a tenant may be read, or written.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Reach {
    #[default]
    Nothing,
    Everything,
    Part(Arc<Part>),
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Part {
    pub grants: Vec<Rule>,
    pub forbids: Vec<Rule>,
}

/// Holds for some entities and some of their attributes.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    pub when: Condition,
    pub attributes: Attributes,
    /// Only in rules that grant: shown less exactly than it is known.
    pub blurred: Vec<(Name, Blur)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attributes {
    All,
    Only(Arc<[Name]>),
    AllBut(Arc<[Name]>),
}

/// How a value is made less exact.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Blur {
    /// Numbers: to the nearest multiple.
    Round { step: f64 },
    /// Geometries: to the middle of a cell of about so many metres.
    Coarsen { metres: f64 },
}

/// How one attribute of one entity may be seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shown {
    Hidden,
    Whole,
    Blurred(Blur),
}

/// What may be seen of one entity.
#[derive(Debug, Clone)]
pub enum Sight<'r> {
    Everything,
    Part {
        grants: Vec<&'r Rule>,
        forbids: Vec<&'r Rule>,
        /// It is one of the loop's papers.
        is_paper: bool,
    },
}

impl Attributes {
    #[must_use]
    pub fn contain(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.iter().any(|own| own.as_str() == name),
            Self::AllBut(names) => !names.iter().any(|own| own.as_str() == name),
        }
    }
}

impl Attributes {
    /// All of these but some.
    #[must_use]
    pub fn without(&self, some: &[Name]) -> Self {
        if some.is_empty() {
            return self.clone();
        }
        match self {
            Self::All => Self::AllBut(some.into()),
            Self::AllBut(names) => Self::AllBut(names.iter().chain(some).cloned().collect()),
            Self::Only(names) => Self::Only(names.iter().filter(|name| !some.contains(name)).cloned().collect()),
        }
    }
}

impl Reach {
    /// What may be seen of an entity; `None` where it does not exist for the holder.
    #[must_use]
    pub fn sight(&self, entity: &Entity) -> Option<Sight<'_>> {
        let part = match self {
            Self::Nothing => return None,
            Self::Everything => return Some(Sight::Everything),
            Self::Part(part) => part,
        };
        let grants: Vec<&Rule> = part.grants.iter().filter(|rule| rule.when.holds(entity)).collect();
        if grants.is_empty() {
            return None;
        }
        let forbids: Vec<&Rule> = part.forbids.iter().filter(|rule| rule.when.holds(entity)).collect();
        if forbids.iter().any(|rule| rule.attributes == Attributes::All) {
            return None;
        }
        Some(Sight::Part { grants, forbids, is_paper: is_ours(entity) })
    }

    /// The entity as it may be seen; `None` where it does not exist for the holder.
    #[must_use]
    pub fn seen(&self, entity: &Arc<Entity>) -> Option<Arc<Entity>> {
        match self.sight(entity)? {
            Sight::Everything => Some(Arc::clone(entity)),
            sight => Some(sight.of(entity)),
        }
    }

    /// Whether an attribute of this name may be seen of any entity at all.
    #[must_use]
    pub fn may_show(&self, name: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Part(part) => {
                let forbidden = |rule: &Rule| rule.when == Condition::Always && rule.attributes.contain(name);
                part.grants.iter().any(|rule| rule.attributes.contain(name)) && !part.forbids.iter().any(forbidden)
            }
        }
    }

    /// How far it reaches where one attribute is asked for: entities of which that is not shown are left out.
    #[must_use]
    pub fn of_attribute(&self, name: &str) -> Self {
        let Self::Part(part) = self else { return self.clone() };
        let having = |rules: &[Rule]| -> Vec<Rule> {
            let rules = rules.iter().filter(|rule| rule.attributes.contain(name));
            rules.map(|rule| Rule { attributes: Attributes::All, ..rule.clone() }).collect()
        };
        Self::Part(Arc::new(Part { grants: having(&part.grants), forbids: having(&part.forbids) }))
    }

    /// Whether an attribute of this name may be seen less exactly than it is known.
    #[must_use]
    pub fn may_blur(&self, name: &str) -> bool {
        let Self::Part(part) = self else { return false };
        part.grants.iter().flat_map(|rule| &rule.blurred).any(|(own, _)| own.as_str() == name)
    }

    /// Whether every entity that is seen is seen whole, the loop's papers apart.
    #[must_use]
    pub fn shows_whole_entities(&self) -> bool {
        match self {
            Self::Nothing | Self::Everything => true,
            Self::Part(part) => {
                let whole = |rule: &Rule| rule.attributes == Attributes::All && rule.blurred.is_empty();
                part.grants.iter().all(whole) && part.forbids.iter().all(|rule| rule.attributes == Attributes::All)
            }
        }
    }

    /// Whether id, types and scopes decide alone what may be seen.
    #[must_use]
    pub fn is_of_identity(&self) -> bool {
        match self {
            Self::Nothing | Self::Everything => true,
            Self::Part(part) => part.grants.iter().chain(&part.forbids).all(|rule| rule.when.is_of_identity()),
        }
    }
}

impl Sight<'_> {
    #[must_use]
    pub fn shows(&self, name: &str) -> Shown {
        match self {
            Self::Part { is_paper: true, .. } if on_paper(name) == OnPaper::HoldsValues => Shown::Hidden,
            sight => sight.shows_in_the_loop(name),
        }
    }

    /// As `shows`, for the loop's own door: of values that its papers hold, the reader's permit for where they
    /// are from is asked there.
    #[must_use]
    pub fn shows_in_the_loop(&self, name: &str) -> Shown {
        let Self::Part { grants, forbids, is_paper } = self else { return Shown::Whole };
        if *is_paper && on_paper(name) == OnPaper::Plain {
            return Shown::Whole;
        }
        if forbids.iter().any(|rule| rule.attributes.contain(name)) {
            return Shown::Hidden;
        }
        // Of several grants the most exact one counts.
        let mut shown = Shown::Hidden;
        for rule in grants.iter().filter(|rule| rule.attributes.contain(name)) {
            match (shown, rule.blurred.iter().find(|(own, _)| own.as_str() == name)) {
                (_, None) => return Shown::Whole,
                (Shown::Blurred(known), Some((_, blur))) if known.is_finer(blur) => {}
                (_, Some((_, blur))) => shown = Shown::Blurred(*blur),
            }
        }
        shown
    }

    /// One instance of an attribute as it may be seen.
    #[must_use]
    pub fn instance(&self, name: &str, instance: Instance) -> Option<Instance> {
        match self.shows(name) {
            Shown::Hidden => None,
            Shown::Whole => Some(instance),
            Shown::Blurred(blur) => blur.of(instance),
        }
    }

    #[must_use]
    pub fn of(&self, entity: &Arc<Entity>) -> Arc<Entity> {
        if matches!(self, Self::Everything) || self.shows_all_of(entity) {
            return Arc::clone(entity);
        }
        let mut seen = Entity::new(entity.id.clone(), entity.types.clone());
        seen.scopes.clone_from(&entity.scopes);
        // When something hidden changed is hidden too.
        (seen.created_at, seen.modified_at) = (entity.created_at, entity.created_at);
        for attribute in &entity.attributes {
            let name = attribute.name.as_str();
            let instances: Vec<Instance> = match self.shows(name) {
                Shown::Hidden => continue,
                Shown::Whole => attribute.instances.clone(),
                Shown::Blurred(blur) => attribute.instances.iter().cloned().filter_map(|one| blur.of(one)).collect(),
            };
            seen.modified_at = instances.iter().map(|one| one.modified_at).fold(seen.modified_at, Time::max);
            if !instances.is_empty() {
                seen.attributes.push(Attribute { name: attribute.name.clone(), instances });
            }
        }
        Arc::new(seen)
    }

    fn shows_all_of(&self, entity: &Entity) -> bool {
        entity.attributes.iter().all(|attribute| self.shows(attribute.name.as_str()) == Shown::Whole)
    }
}

/// Metres of one degree of latitude.
const DEGREE_METRES: f64 = 111_320.0;

impl Blur {
    fn is_finer(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Round { step: own }, Self::Round { step: other }) => own <= other,
            (Self::Coarsen { metres: own }, Self::Coarsen { metres: other }) => own <= other,
            _ => true,
        }
    }

    /// The instance less exactly; `None` where its value is of a kind that cannot be. What stands below it
    /// could tell what was taken away, and goes.
    fn of(self, mut instance: Instance) -> Option<Instance> {
        instance.kind = match (self, instance.kind) {
            (Self::Round { step }, Kind::Property(value)) => Kind::Property(round(value.as_f64()?, step)?),
            (Self::Coarsen { metres }, Kind::GeoProperty(geometry)) => {
                let point = match geometry {
                    Geometry::Point(position) => position,
                    other => other.centroid()?,
                };
                Kind::GeoProperty(Geometry::Point(cell_middle(point, metres)?))
            }
            // That something is not there any more tells nothing of what it was.
            (_, Kind::Null) => Kind::Null,
            _ => return None,
        };
        instance.sub_attributes.clear();
        Some(instance)
    }
}

fn round(number: f64, step: f64) -> Option<Value> {
    let rounded = (number / step).round() * step;
    // A multiple of a step such as 0.1 shall not show the error of its multiplication.
    let shown = (rounded * 1e6).round() / 1e6;
    (step > 0.0 && shown.is_finite()).then_some(Value::Float(shown))
}

fn cell_middle(point: Position, metres: f64) -> Option<Position> {
    let middle = |degrees: f64, cell: f64| ((degrees / cell).floor() + 0.5) * cell;
    let cell_lat = metres / DEGREE_METRES;
    let lat = middle(point.lat, cell_lat).clamp(-90.0, 90.0);
    // All points of a row of cells share its cells, so the width is that of the row's middle.
    let cell_lon = (metres / (DEGREE_METRES * lat.to_radians().cos().max(0.01))).min(360.0);
    let lon = middle(point.lon, cell_lon).clamp(-180.0, 180.0);
    // Six decimals are a decimetre.
    let (lon, lat) = ((lon * 1e6).round() / 1e6, (lat * 1e6).round() / 1e6);
    (metres > 0.0 && lat.is_finite() && lon.is_finite()).then_some(Position { lon, lat, height: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::EntityId;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn only(names: &[&str]) -> Attributes {
        Attributes::Only(names.iter().map(|text| name(text)).collect())
    }

    fn rule(when: Condition, attributes: Attributes) -> Rule {
        Rule { when, attributes, blurred: Vec::new() }
    }

    fn building() -> Arc<Entity> {
        let mut entity = Entity::new(EntityId::parse("urn:b:1").unwrap(), vec![name("Building")]);
        let mut add = |text, kind| entity.attributes.push(Attribute::new(name(text), Instance::new(kind)));
        add("owner", Kind::Property(Value::text("secret")));
        add("height", Kind::Property(Value::Float(17.3)));
        let position = Position { lon: 139.7921, lat: 35.6349, height: Some(4.0) };
        add("location", Kind::GeoProperty(Geometry::Point(position)));
        Arc::new(entity)
    }

    fn names(entity: &Entity) -> Vec<&str> {
        entity.attributes.iter().map(|attribute| attribute.name.as_str()).collect()
    }

    #[test]
    fn grants_add_up_and_one_forbid_takes_away() {
        let of_buildings = Condition::Type(name("Building"));
        let part = |grants, forbids| Reach::Part(Arc::new(Part { grants, forbids }));
        let heights = rule(of_buildings.clone(), only(&["height"]));
        let all = rule(Condition::Always, Attributes::All);
        let owners = rule(of_buildings.clone(), only(&["owner"]));
        let seen = part(vec![heights.clone()], vec![]).seen(&building()).unwrap();
        assert_eq!(names(&seen), ["height"]);
        let seen = part(vec![heights.clone(), all.clone()], vec![owners.clone()]).seen(&building()).unwrap();
        assert_eq!(names(&seen), ["height", "location"]);
        assert!(part(vec![all.clone()], vec![rule(of_buildings, Attributes::All)]).seen(&building()).is_none());
        assert!(part(vec![rule(Condition::Type(name("Bus")), Attributes::All)], vec![]).seen(&building()).is_none());
        let reach = part(vec![heights], vec![rule(Condition::Always, only(&["height"]))]);
        assert!(!reach.may_show("height") && !reach.may_show("owner"));
        assert!(Reach::Nothing.seen(&building()).is_none() && Reach::Everything.seen(&building()).is_some());
    }

    #[test]
    fn what_is_blurred_is_less_exact_and_the_most_exact_grant_counts() {
        let blur = |blurred| Rule { when: Condition::Always, attributes: Attributes::All, blurred };
        let rough = blur(vec![
            (name("height"), Blur::Round { step: 5.0 }),
            (name("location"), Blur::Coarsen { metres: 500.0 }),
            (name("owner"), Blur::Round { step: 1.0 }),
        ]);
        let finer = blur(vec![
            (name("height"), Blur::Round { step: 0.5 }),
            (name("location"), Blur::Coarsen { metres: 900.0 }),
            (name("owner"), Blur::Round { step: 1.0 }),
        ]);
        let reach = Reach::Part(Arc::new(Part { grants: vec![rough, finer], forbids: vec![] }));
        let seen = reach.seen(&building()).unwrap();
        assert_eq!(names(&seen), ["height", "location"], "a text cannot be rounded, so it is not shown");
        assert_eq!(seen.attributes[0].instances[0].kind, Kind::Property(Value::Float(17.5)));
        let Kind::GeoProperty(Geometry::Point(point)) = &seen.attributes[1].instances[0].kind else { panic!() };
        let off = ((point.lat - 35.6349).abs() * DEGREE_METRES).max((point.lon - 139.7921).abs() * DEGREE_METRES);
        assert!((1.0..=360.0).contains(&off), "{off} m, and of two cells the smaller");
        assert_eq!(point.height, None);
        assert!(reach.may_blur("height") && !reach.shows_whole_entities() && reach.is_of_identity());
    }

    #[test]
    fn neighbours_in_one_cell_cannot_be_told_apart() {
        let cell = |lon, lat| cell_middle(Position { lon, lat, height: None }, 1_000.0).unwrap();
        assert_eq!(cell(139.7921, 35.6349), cell(139.7925, 35.6345));
        assert_ne!(cell(139.7921, 35.6349), cell(139.8121, 35.6349));
    }
}
