//! Which elements an element of CAP has, in which order and how often: the schema as a table, for reader and writer.

use super::problem::{Kind, Problems};
use crate::xml::Element;

/// How often an element may be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occurs {
    Once,
    Perhaps,
    AtLeastOnce,
    Often,
}

use Occurs::{AtLeastOnce, Often, Once, Perhaps};

pub(super) type Members = &'static [(&'static str, Occurs)];

pub(super) const ALERT: Members = &[
    ("identifier", Once),
    ("sender", Once),
    ("sent", Once),
    ("status", Once),
    ("msgType", Once),
    ("source", Perhaps),
    ("scope", Once),
    ("restriction", Perhaps),
    ("addresses", Perhaps),
    ("code", Often),
    ("note", Perhaps),
    ("references", Perhaps),
    ("incidents", Perhaps),
    ("info", Often),
];

pub(super) const INFO: Members = &[
    ("language", Perhaps),
    ("category", AtLeastOnce),
    ("event", Once),
    ("responseType", Often),
    ("urgency", Once),
    ("severity", Once),
    ("certainty", Once),
    ("audience", Perhaps),
    ("eventCode", Often),
    ("effective", Perhaps),
    ("onset", Perhaps),
    ("expires", Perhaps),
    ("senderName", Perhaps),
    ("headline", Perhaps),
    ("description", Perhaps),
    ("instruction", Perhaps),
    ("web", Perhaps),
    ("contact", Perhaps),
    ("parameter", Often),
    ("resource", Often),
    ("area", Often),
];

pub(super) const NAMED_VALUE: Members = &[("valueName", Once), ("value", Once)];

/// In 1.1 `mimeType` may be absent; `check` holds that it is there in 1.2.
pub(super) const RESOURCE: Members = &[
    ("resourceDesc", Once),
    ("mimeType", Perhaps),
    ("size", Perhaps),
    ("uri", Perhaps),
    ("derefUri", Perhaps),
    ("digest", Perhaps),
];

pub(super) const AREA: Members = &[
    ("areaDesc", Once),
    ("polygon", Often),
    ("circle", Often),
    ("geocode", Often),
    ("altitude", Perhaps),
    ("ceiling", Perhaps),
];

/// The path of an element: counted where it may repeat.
pub(super) fn path(parent: &str, name: &str, index: Option<usize>) -> String {
    match index {
        Some(index) => format!("{parent}/{name}[{}]", index + 1),
        None => format!("{parent}/{name}"),
    }
}

/// The children of an element, by name.
pub(super) struct Found<'a> {
    members: Members,
    elements: Vec<Vec<&'a Element>>,
}

impl<'a> Found<'a> {
    /// Says what is unknown, out of order, too often or not there.
    pub(super) fn among(
        children: impl Iterator<Item = &'a Element>,
        members: Members,
        parent: &str,
        problems: &mut Problems,
    ) -> Self {
        let mut elements: Vec<Vec<&Element>> = members.iter().map(|_| Vec::new()).collect();
        let mut latest = 0;
        for child in children {
            let place = members.iter().position(|(name, _)| *name == child.name);
            let Some(((_, occurs), place)) = place.and_then(|place| Some((members.get(place)?, place))) else {
                let advice = format!("Take it away; here may be: {}.", names(members));
                problems.add(Kind::Unknown, &path(parent, &child.name, None), None, advice);
                continue;
            };
            let Some(same) = elements.get_mut(place) else { continue };
            let repeats = matches!(occurs, Often | AtLeastOnce);
            let own = path(parent, &child.name, repeats.then_some(same.len()));
            if !repeats && !same.is_empty() {
                problems.add(Kind::Repeated, &own, Some(child.trimmed()), "Say it once.");
                continue;
            }
            if place < latest {
                let before = members.get(latest).map_or("", |(name, _)| name);
                problems.add(Kind::Order, &own, None, format!("Put it before <{before}>."));
            }
            latest = latest.max(place);
            same.push(child);
        }
        for ((name, occurs), found) in members.iter().zip(&elements) {
            if found.is_empty() && matches!(occurs, Once | AtLeastOnce) {
                problems.add(Kind::Missing, &path(parent, name, None), None, "Add it; the standard requires it.");
            }
        }
        Self { members, elements }
    }

    pub(super) fn all(&self, name: &str) -> &[&'a Element] {
        let place = self.members.iter().position(|(known, _)| *known == name);
        place.and_then(|place| self.elements.get(place)).map_or(&[], Vec::as_slice)
    }

    pub(super) fn first(&self, name: &str) -> Option<&'a Element> {
        self.all(name).first().copied()
    }
}

fn names(members: Members) -> String {
    members.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}
