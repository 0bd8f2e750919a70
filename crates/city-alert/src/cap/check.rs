//! What the schema cannot say: texts that must say something, what goes with what, rings that close.
//!
//! Reader and writer both hold an alert against this, so that what is written can be read again.

use super::alert::{Alert, Area, Info, NamedValue, Resource};
use super::geometry::Point;
use super::members::path;
use super::problem::{Kind, Problems};
use super::word::{MsgType, Scope, Version, Word};
use crate::xml::{TEXT_BYTES_MAX, is_character, is_space};

/// A ring has three corners, and the first once more.
const RING_POINTS_MIN: usize = 4;

pub(super) fn alert(alert: &Alert, problems: &mut Problems) {
    // Stand-ins would be counted as if they were there: which values could not be read is no longer known.
    if problems.is_full() {
        return;
    }
    let mut check = Check { problems, version: alert.version };
    check.alert(alert);
}

struct Check<'p> {
    problems: &'p mut Problems,
    version: Version,
}

impl Check<'_> {
    fn alert(&mut self, alert: &Alert) {
        let at = "/alert";
        self.name(at, "identifier", &alert.identifier);
        self.name(at, "sender", &alert.sender);
        self.optional(at, "source", alert.source.as_deref());
        self.optional(at, "restriction", alert.restriction.as_deref());
        self.optional(at, "addresses", alert.addresses.as_deref());
        for (index, code) in alert.code.iter().enumerate() {
            self.required(&path(at, "code", Some(index)), code);
        }
        self.optional(at, "note", alert.note.as_deref());
        self.optional(at, "incidents", alert.incidents.as_deref());
        if alert.scope == Scope::Restricted && alert.restriction.is_none() {
            self.missing(at, "restriction", "Say the rule of who may have it, since the scope is Restricted.");
        }
        if alert.scope == Scope::Private && alert.addresses.is_none() {
            self.missing(at, "addresses", "Say whom it is for, since the scope is Private.");
        }
        if alert.msg_type != MsgType::Alert && alert.references.is_empty() {
            let advice = format!("Name the earlier alerts, since this is of the type {}.", alert.msg_type.as_str());
            self.missing(at, "references", advice);
        }
        for (index, reference) in alert.references.iter().enumerate() {
            let own = path(at, "references", Some(index));
            let whole = format!("{},{},{}", reference.sender, reference.identifier, reference.sent);
            if !is_name(&reference.sender) || !is_name(&reference.identifier) {
                let advice = "Write it as sender,identifier,sent; in none of them may be a space, a comma, < or &.";
                self.problems.add(Kind::Reference, &own, Some(&whole), advice);
            }
        }
        for (index, info) in alert.info.iter().enumerate() {
            self.info(info, &path(at, "info", Some(index)));
        }
    }

    fn info(&mut self, info: &Info, at: &str) {
        self.optional(at, "language", info.language.as_deref());
        if let Some(language) = info.language.as_deref().filter(|language| !is_language(language)) {
            let own = path(at, "language", None);
            self.problems.add(Kind::Language, &own, Some(language), "Write it as en, en-US or ja.");
        }
        if info.category.is_empty() {
            self.missing(at, "category", "Add it; the standard requires it.");
        }
        self.required(&path(at, "event", None), &info.event);
        for (index, response) in info.response_type.iter().enumerate() {
            if !response.is_of(self.version) {
                let own = path(at, "responseType", Some(index));
                self.problems.add(
                    Kind::Word,
                    &own,
                    Some(response.as_str()),
                    "Send it as CAP 1.2; 1.1 has no such word.",
                );
            }
        }
        self.optional(at, "audience", info.audience.as_deref());
        self.named_values(at, "eventCode", &info.event_code);
        self.optional(at, "senderName", info.sender_name.as_deref());
        self.optional(at, "headline", info.headline.as_deref());
        self.optional(at, "description", info.description.as_deref());
        self.optional(at, "instruction", info.instruction.as_deref());
        self.optional(at, "web", info.web.as_deref());
        self.optional(at, "contact", info.contact.as_deref());
        self.named_values(at, "parameter", &info.parameter);
        if let Some(web) = info.web.as_deref().filter(|web| !is_absolute(web)) {
            self.problems.add(Kind::Uri, &path(at, "web", None), Some(web), "Write it whole, with its https://.");
        }
        for (index, resource) in info.resource.iter().enumerate() {
            self.resource(resource, &path(at, "resource", Some(index)));
        }
        for (index, area) in info.area.iter().enumerate() {
            self.area(area, &path(at, "area", Some(index)));
        }
    }

    fn resource(&mut self, resource: &Resource, at: &str) {
        self.required(&path(at, "resourceDesc", None), &resource.resource_desc);
        if resource.mime_type.is_none() && self.version == Version::V1_2 {
            self.missing(at, "mimeType", "Add it, as image/png; CAP 1.2 requires it.");
        }
        self.optional(at, "mimeType", resource.mime_type.as_deref());
        self.optional(at, "uri", resource.uri.as_deref());
        self.optional(at, "derefUri", resource.deref_uri.as_deref());
        self.optional(at, "digest", resource.digest.as_deref());
        if let Some(uri) = resource.uri.as_deref().filter(|uri| uri.contains(is_space)) {
            self.problems.add(Kind::Uri, &path(at, "uri", None), Some(uri), "Write its spaces as %20.");
        }
        if let Some(content) = resource.deref_uri.as_deref().filter(|content| !is_base64(content)) {
            let own = path(at, "derefUri", None);
            self.problems.add(
                Kind::Base64,
                &own,
                Some(content),
                "Send the file itself in base 64, or its address in <uri>.",
            );
        }
    }

    fn area(&mut self, area: &Area, at: &str) {
        self.required(&path(at, "areaDesc", None), &area.area_desc);
        for (index, polygon) in area.polygon.iter().enumerate() {
            let own = path(at, "polygon", Some(index));
            let points = polygon.points.len();
            let advice = if points < RING_POINTS_MIN {
                format!("It has {points} points; at least {RING_POINTS_MIN} make a ring, the last as the first.")
            } else if let Some(point) = polygon.points.iter().find(|point| !point.is_on_earth()) {
                off_earth(*point)
            } else if !polygon.is_closed() {
                "Close it: write the first point once more at the end.".to_owned()
            } else {
                continue;
            };
            self.problems.add(Kind::Polygon, &own, Some(&polygon.to_string()), advice);
        }
        for (index, circle) in area.circle.iter().enumerate() {
            let own = path(at, "circle", Some(index));
            let advice = if !circle.center.is_on_earth() {
                off_earth(circle.center)
            } else if !(0.0..f64::INFINITY).contains(&circle.radius_km) {
                "Its radius is in km, and 0 or more.".to_owned()
            } else {
                continue;
            };
            self.problems.add(Kind::Circle, &own, Some(&circle.to_string()), advice);
        }
        self.named_values(at, "geocode", &area.geocode);
        for (name, feet) in [("altitude", area.altitude), ("ceiling", area.ceiling)] {
            if feet.is_some_and(|feet| !feet.is_finite()) {
                self.problems.add(Kind::Number, &path(at, name, None), None, "Say it in feet above mean sea level.");
            }
        }
        if area.ceiling.is_some() && area.altitude.is_none() {
            self.missing(at, "altitude", "Add it: a ceiling may only be there with an altitude.");
        }
    }

    fn named_values(&mut self, at: &str, name: &str, values: &[NamedValue]) {
        for (index, one) in values.iter().enumerate() {
            let own = path(at, name, Some(index));
            self.required(&path(&own, "valueName", None), &one.value_name);
            self.text(&path(&own, "value", None), &one.value);
        }
    }

    fn missing(&mut self, at: &str, name: &str, advice: impl Into<std::borrow::Cow<'static, str>>) {
        self.problems.add(Kind::Missing, &path(at, name, None), None, advice);
    }

    /// `identifier` and `sender`: 3.2.1 forbids spaces, commas, < and &.
    fn name(&mut self, at: &str, name: &str, value: &str) {
        let own = path(at, name, None);
        self.required(&own, value);
        if !value.is_empty() && !is_name(value) {
            let advice = "Write it without spaces, commas, < and &.";
            self.problems.add(Kind::Characters, &own, Some(value), advice);
        }
    }

    fn required(&mut self, at: &str, value: &str) {
        if value.is_empty() {
            self.problems.add(Kind::Empty, at, None, "Say it; the standard requires it.");
        }
        self.text(at, value);
    }

    fn optional(&mut self, at: &str, name: &str, value: Option<&str>) {
        let Some(value) = value else { return };
        let own = path(at, name, None);
        if value.is_empty() {
            self.problems.add(Kind::Empty, &own, None, "Leave it out.");
        }
        self.text(&own, value);
    }

    fn text(&mut self, at: &str, value: &str) {
        if value.len() > TEXT_BYTES_MAX {
            let advice = format!("It has {} bytes; {TEXT_BYTES_MAX} are taken.", value.len());
            self.problems.add(Kind::Length, at, Some(value), advice);
        }
        if value.starts_with(is_space) || value.ends_with(is_space) {
            self.problems.add(Kind::Characters, at, Some(value), "Take away the white space around it.");
        }
        if let Some(character) = value.chars().find(|character| !is_character(*character)) {
            let advice = format!("U+{:04X} may not stand in XML.", u32::from(character));
            self.problems.add(Kind::Characters, at, Some(value), advice);
        }
    }
}

fn off_earth(point: Point) -> String {
    format!("{point} is no place: write the latitude (-90 to 90) first, then the longitude (-180 to 180).")
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains(|character| is_space(character) || matches!(character, ',' | '<' | '&'))
}

/// RFC 3066, and `xs:language`: words of one to eight letters or digits, the first of letters.
fn is_language(text: &str) -> bool {
    let mut words = text.split('-');
    let first = words.next().unwrap_or_default();
    let is_word = |word: &str| (1..=8).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_word(first) && first.bytes().all(|byte| byte.is_ascii_alphabetic()) && words.all(is_word)
}

/// A scheme, a colon, and no space: RFC 3986.
fn is_absolute(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(known)
        && !rest.is_empty()
        && !text.contains(is_space)
}

fn is_base64(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/= \t\r\n".contains(&byte))
}
