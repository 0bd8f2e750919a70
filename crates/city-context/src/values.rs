//! Indexes of attribute values, made where queries ask for them.
//!
//! The values of one attribute come in with the numbers of their entities; a condition of `q` gives back
//! the entities that may fulfil it, never too few. Numbers and texts lie in order; what is neither (lists,
//! objects, flags, texts in languages) is a candidate for everything.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use city_model::query::{AttributePath, Filter, Operand, Test};
use city_model::{Attribute, DataClass, Entity, Kind, Name, Value};
use roaring::RoaringBitmap;

/// Most attributes of one tenant whose values are indexed.
pub const INDEXED_MAX: usize = 32;
/// Most candidates that an index of values gives; a condition that most fulfil is tested one by one.
const CANDIDATES_MAX: usize = 20_000;

/// Longer texts are not keys of an index; they are candidates for everything.
const TEXT_BYTES_MAX: usize = 256;

/// The values of one attribute.
#[derive(Debug, Default)]
pub struct ValueIndex {
    numbers: BTreeSet<(Ordered, u32)>,
    texts: BTreeMap<Box<str>, RoaringBitmap>,
    other: RoaringBitmap,
}

/// A number in the order of numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Ordered(f64);

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// The two zeros are one number.
fn ordered(number: f64) -> Ordered {
    Ordered(number + 0.0)
}

impl ValueIndex {
    pub fn insert(&mut self, number: u32, attribute: &Attribute) {
        for instance in &attribute.instances {
            // Nothing of persons stands in an index: it is a candidate for everything.
            if instance.class == DataClass::Personal {
                self.other.insert(number);
                continue;
            }
            match &instance.kind {
                Kind::Property(value) | Kind::VocabProperty(value) | Kind::Relationship { object: value, .. } => {
                    match value {
                        Value::Text(text) if text.len() > TEXT_BYTES_MAX => drop(self.other.insert(number)),
                        Value::Text(text) => match self.texts.get_mut(text) {
                            Some(set) => drop(set.insert(number)),
                            None => drop(self.texts.insert(text.clone(), RoaringBitmap::from([number]))),
                        },
                        value => match value.as_f64() {
                            Some(float) => drop(self.numbers.insert((ordered(float), number))),
                            None => drop(self.other.insert(number)),
                        },
                    }
                }
                _ => drop(self.other.insert(number)),
            }
        }
    }

    pub fn remove(&mut self, number: u32, attribute: &Attribute) {
        self.other.remove(number);
        for instance in &attribute.instances {
            let (Kind::Property(value) | Kind::VocabProperty(value) | Kind::Relationship { object: value, .. }) =
                &instance.kind
            else {
                continue;
            };
            if let Value::Text(text) = value {
                if let Some(set) = self.texts.get_mut(text) {
                    set.remove(number);
                    if set.is_empty() {
                        self.texts.remove(text);
                    }
                }
            } else if let Some(float) = value.as_f64() {
                self.numbers.remove(&(ordered(float), number));
            }
        }
    }

    /// Entities that may fulfil a test; `None` where this index is of no help.
    #[must_use]
    pub fn candidates(&self, test: &Test) -> Option<RoaringBitmap> {
        let mut set = self.other.clone();
        match test {
            Test::Equal(operands) => operands.iter().try_for_each(|operand| self.add_equal(operand, &mut set))?,
            Test::Greater(operand) => self.add_range(Bound::Excluded(number(operand)?), Bound::Unbounded, &mut set)?,
            Test::GreaterOrEqual(operand) => {
                self.add_range(Bound::Included(number(operand)?), Bound::Unbounded, &mut set)?;
            }
            Test::Less(operand) => self.add_range(Bound::Unbounded, Bound::Excluded(number(operand)?), &mut set)?,
            Test::LessOrEqual(operand) => {
                self.add_range(Bound::Unbounded, Bound::Included(number(operand)?), &mut set)?;
            }
            Test::Exists | Test::NotExists | Test::NotEqual(_) | Test::Matches(_) | Test::NotMatches(_) => return None,
        }
        Some(set)
    }

    fn add_equal(&self, operand: &Operand, set: &mut RoaringBitmap) -> Option<()> {
        match operand {
            Operand::Value(Value::Text(text)) => {
                if let Some(own) = self.texts.get(text) {
                    *set |= own;
                }
                Some(())
            }
            Operand::Range(from, to) => {
                self.add_range(Bound::Included(number(from)?), Bound::Included(number(to)?), set)
            }
            Operand::Value(value) => match value.as_f64() {
                Some(float) => self.add_range(Bound::Included(float), Bound::Included(float), set),
                // Flags and null lie among the others.
                None => Some(()),
            },
            Operand::Time(_) => None,
        }
    }

    fn add_range(&self, from: Bound<f64>, to: Bound<f64>, set: &mut RoaringBitmap) -> Option<()> {
        let from = match from {
            Bound::Included(number) => Bound::Included((ordered(number), 0)),
            Bound::Excluded(number) => Bound::Excluded((ordered(number), u32::MAX)),
            Bound::Unbounded => Bound::Unbounded,
        };
        let to = match to {
            Bound::Included(number) => Bound::Included((ordered(number), u32::MAX)),
            Bound::Excluded(number) => Bound::Excluded((ordered(number), 0)),
            Bound::Unbounded => Bound::Unbounded,
        };
        if let (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) = (from, to)
            && from > to
        {
            return Some(());
        }
        let mut numbers = Vec::new();
        for (_, number) in self.numbers.range((from, to)) {
            if numbers.len() >= CANDIDATES_MAX {
                return None;
            }
            numbers.push(*number);
        }
        set.extend(numbers);
        Some(())
    }
}

fn number(operand: &Operand) -> Option<f64> {
    match operand {
        Operand::Value(value) => value.as_f64(),
        _ => None,
    }
}

/// The indexes of values that a tenant has, and those that are being made.
#[derive(Debug, Default)]
pub struct Values {
    made: HashMap<Name, ValueIndex>,
    /// Entities whose attribute changed while its index is being made.
    making: HashMap<Name, RoaringBitmap>,
}

impl Values {
    /// The index that helps with a path, if there is one.
    #[must_use]
    pub fn of(&self, path: &AttributePath) -> Option<&ValueIndex> {
        is_plain(path).then(|| self.made.get(&path.attribute)).flatten()
    }

    /// Begins to watch what changes; `false` where there is nothing to make.
    pub fn begin(&mut self, name: &Name) -> bool {
        if self.made.contains_key(name)
            || self.making.contains_key(name)
            || self.made.len() + self.making.len() >= INDEXED_MAX
        {
            return false;
        }
        self.making.insert(name.clone(), RoaringBitmap::new());
        true
    }

    /// What changed meanwhile is a candidate for everything, until it changes again.
    pub fn finish(&mut self, name: &Name, mut made: ValueIndex) {
        made.other |= self.making.remove(name).unwrap_or_default();
        self.made.insert(name.clone(), made);
    }

    /// It could not be made; a later query may ask again.
    pub fn give_up(&mut self, name: &Name) {
        self.making.remove(name);
    }

    /// Moves an entity from one version to the next.
    pub fn change(&mut self, number: u32, before: Option<&Entity>, after: Option<&Entity>) {
        for (name, index) in &mut self.made {
            let (old, new) = (find(before, name), find(after, name));
            if old == new {
                continue;
            }
            if let Some(old) = old {
                index.remove(number, old);
            }
            if let Some(new) = new {
                index.insert(number, new);
            }
        }
        for (name, changed) in &mut self.making {
            if find(before, name) != find(after, name) {
                changed.insert(number);
            }
        }
    }
}

fn find<'e>(entity: Option<&'e Entity>, name: &Name) -> Option<&'e Attribute> {
    entity.and_then(|entity| entity.find(name.as_str()))
}

/// Whether a path names an attribute's own value.
fn is_plain(path: &AttributePath) -> bool {
    path.sub_attributes.is_empty() && path.members.is_empty()
}

/// The attributes of a filter that an index of values would help with.
pub fn helped<'f>(filter: &'f Filter, found: &mut Vec<&'f Name>) {
    match filter {
        Filter::And(filters) | Filter::Or(filters) => filters.iter().for_each(|filter| helped(filter, found)),
        Filter::Term { path, test } => {
            let helps = matches!(
                test,
                Test::Equal(_) | Test::Greater(_) | Test::GreaterOrEqual(_) | Test::Less(_) | Test::LessOrEqual(_)
            );
            if helps && is_plain(path) {
                found.push(&path.attribute);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use city_model::Instance;

    use super::*;

    #[test]
    fn a_personal_value_is_a_candidate_for_everything_and_stands_in_no_order() {
        let attribute = |class, value: Value| {
            let instance = Instance { class, ..Instance::new(Kind::Property(value)) };
            Attribute::new(Name::from_stored("https://example.org/birthday".into()), instance)
        };
        let mut index = ValueIndex::default();
        index.insert(1, &attribute(DataClass::Infrastructure, Value::Int(7)));
        index.insert(2, &attribute(DataClass::Personal, Value::Int(7)));
        index.insert(3, &attribute(DataClass::Personal, Value::Text("1990-04-01".into())));
        assert_eq!((index.numbers.len(), index.texts.len()), (1, 0));
        let of = |number: i64| index.candidates(&Test::Equal(vec![Operand::Value(Value::Int(number))])).unwrap();
        assert_eq!(of(7), RoaringBitmap::from([1, 2, 3]));
        assert_eq!(of(8), RoaringBitmap::from([2, 3]));
        index.remove(2, &attribute(DataClass::Personal, Value::Int(7)));
        let left = index.candidates(&Test::Equal(vec![Operand::Value(Value::Int(7))])).unwrap();
        assert_eq!(left, RoaringBitmap::from([1, 3]));
    }
}
