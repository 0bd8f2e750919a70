//! A document to an alert. What cannot be read is a problem and gets a stand-in, so that all of it is looked at.

use super::alert::{Alert, Area, Info, NamedValue, Reference, Resource};
use super::date_time::DateTime;
use super::geometry::{Circle, Polygon, decimal};
use super::members::{self, Found, Members, path};
use super::problem::{Kind, Problems};
use super::word::{Version, Word};
use super::{Scope, check};
use crate::xml::{self, Element};

/// Of XML-DSig.
const SIGNATURE_NAMESPACE: &str = "http://www.w3.org/2000/09/xmldsig#";

/// Reads an alert of CAP 1.2 or 1.1, or says all that is wrong with it.
pub fn read(bytes: &[u8]) -> Result<Alert, Problems> {
    let root = xml::read(bytes).map_err(|error| Problems::one(Kind::Document, "/", None, error.to_string()))?;
    let known = Version::ALL.iter().find(|version| version.namespace() == &*root.namespace);
    let Some(version) = known.filter(|_| root.name == "alert") else {
        let value = format!("{{{}}}{}", root.namespace, root.name);
        let advice = format!("Send an <alert> of {} or 1.1.", Version::V1_2.namespace());
        return Err(Problems::one(Kind::Namespace, "/", Some(&value), advice));
    };
    let mut reading = Reading { problems: Problems::default() };
    let alert = reading.alert(&root, *version);
    check::alert(&alert, &mut reading.problems);
    reading.problems.or(alert)
}

struct Reading {
    problems: Problems,
}

impl Reading {
    fn alert(&mut self, root: &Element, version: Version) -> Alert {
        let at = "/alert";
        let is_signature = |child: &&Element| child.name == "Signature" && &*child.namespace == SIGNATURE_NAMESPACE;
        let signed = root.children.iter().any(|child| is_signature(&child));
        let children: Vec<&Element> = root.children.iter().filter(|child| !is_signature(child)).collect();
        let found = self.among(&children, root, members::ALERT, at);
        Alert {
            version,
            identifier: self.required(&found, at, "identifier"),
            sender: self.required(&found, at, "sender"),
            sent: self.date_time(&found, at, "sent").unwrap_or_default(),
            status: self.word(&found, at, "status"),
            msg_type: self.word(&found, at, "msgType"),
            source: self.optional(&found, at, "source"),
            // Public asks for nothing more, so a scope that is none has no problem but its own.
            scope: self.word::<Scope>(&found, at, "scope"),
            restriction: self.optional(&found, at, "restriction"),
            addresses: self.optional(&found, at, "addresses"),
            code: self.texts(&found, at, "code"),
            note: self.optional(&found, at, "note"),
            references: self.references(&found, at),
            incidents: self.optional(&found, at, "incidents"),
            info: self.each(&found, at, "info", Self::info),
            signed,
        }
    }

    fn info(&mut self, element: &Element, at: &str) -> Info {
        let found = self.found(element, members::INFO, at);
        Info {
            language: self.optional(&found, at, "language"),
            category: self.words(&found, at, "category"),
            event: self.required(&found, at, "event"),
            response_type: self.words(&found, at, "responseType"),
            urgency: self.word(&found, at, "urgency"),
            severity: self.word(&found, at, "severity"),
            certainty: self.word(&found, at, "certainty"),
            audience: self.optional(&found, at, "audience"),
            event_code: self.each(&found, at, "eventCode", Self::named_value),
            effective: self.date_time(&found, at, "effective"),
            onset: self.date_time(&found, at, "onset"),
            expires: self.date_time(&found, at, "expires"),
            sender_name: self.optional(&found, at, "senderName"),
            headline: self.optional(&found, at, "headline"),
            description: self.optional(&found, at, "description"),
            instruction: self.optional(&found, at, "instruction"),
            web: self.optional(&found, at, "web"),
            contact: self.optional(&found, at, "contact"),
            parameter: self.each(&found, at, "parameter", Self::named_value),
            resource: self.each(&found, at, "resource", Self::resource),
            area: self.each(&found, at, "area", Self::area),
        }
    }

    fn named_value(&mut self, element: &Element, at: &str) -> NamedValue {
        let found = self.found(element, members::NAMED_VALUE, at);
        NamedValue { value_name: self.required(&found, at, "valueName"), value: self.required(&found, at, "value") }
    }

    fn resource(&mut self, element: &Element, at: &str) -> Resource {
        let found = self.found(element, members::RESOURCE, at);
        Resource {
            resource_desc: self.required(&found, at, "resourceDesc"),
            mime_type: self.optional(&found, at, "mimeType"),
            size: self.parsed(&found, at, "size", Kind::Number, "Say how many bytes.", |text| text.parse().ok()),
            uri: self.optional(&found, at, "uri"),
            deref_uri: self.optional(&found, at, "derefUri"),
            digest: self.optional(&found, at, "digest"),
        }
    }

    fn area(&mut self, element: &Element, at: &str) -> Area {
        let found = self.found(element, members::AREA, at);
        let feet = "Say it in feet above mean sea level, as 1200.";
        Area {
            area_desc: self.required(&found, at, "areaDesc"),
            polygon: self.each(&found, at, "polygon", Self::polygon),
            circle: self.each(&found, at, "circle", Self::circle),
            geocode: self.each(&found, at, "geocode", Self::named_value),
            altitude: self.parsed(&found, at, "altitude", Kind::Number, feet, decimal),
            ceiling: self.parsed(&found, at, "ceiling", Kind::Number, feet, decimal),
        }
    }

    fn polygon(&mut self, element: &Element, at: &str) -> Polygon {
        let text = self.text(element, at);
        Polygon::parse(&text).unwrap_or_else(|pair| {
            let advice = format!("{pair:?} is no pair; write pairs as 38.47,-120.14, apart by a space.");
            self.problems.add(Kind::Polygon, at, Some(&text), advice);
            Polygon::default()
        })
    }

    fn circle(&mut self, element: &Element, at: &str) -> Circle {
        let text = self.text(element, at);
        Circle::parse(&text).unwrap_or_else(|| {
            let advice = "Write its centre and its radius in km, as 32.9525,-115.5527 0.";
            self.problems.add(Kind::Circle, at, Some(&text), advice);
            Circle::default()
        })
    }

    /// `sender,identifier,sent`, apart by white space.
    fn references(&mut self, found: &Found<'_>, at: &str) -> Vec<Reference> {
        let Some(element) = found.first("references") else { return Vec::new() };
        let own = path(at, "references", None);
        let text = self.text(element, &own);
        if text.is_empty() {
            let advice = "Name each earlier alert as sender,identifier,sent; or take the element away.";
            self.problems.add(Kind::Reference, &own, Some(""), advice);
        }
        let mut references = Vec::new();
        for (index, one) in text.split_ascii_whitespace().enumerate() {
            let mut parts = one.split(',');
            let reference = match (parts.next(), parts.next(), parts.next(), parts.next()) {
                (Some(sender), Some(identifier), Some(sent), None) => DateTime::parse(sent).map(|sent| Reference {
                    sender: sender.to_owned(),
                    identifier: identifier.to_owned(),
                    sent,
                }),
                _ => None,
            };
            references.push(reference.unwrap_or_else(|| {
                let advice = "Write it as sender,identifier,sent, with sent as 2002-05-24T16:49:00-07:00.";
                self.problems.add(Kind::Reference, &path(at, "references", Some(index)), Some(one), advice);
                Reference { sender: String::new(), identifier: String::new(), sent: DateTime::default() }
            }));
        }
        references
    }

    fn found<'a>(&mut self, element: &'a Element, members: Members, at: &str) -> Found<'a> {
        let children: Vec<&Element> = element.children.iter().collect();
        self.among(&children, element, members, at)
    }

    /// Elements of other namespaces are none of the standard, nor is text between elements.
    fn among<'a>(&mut self, children: &[&'a Element], of: &Element, members: Members, at: &str) -> Found<'a> {
        for child in children.iter().filter(|child| child.namespace != of.namespace) {
            let value = format!("{{{}}}", child.namespace);
            let advice = "Take it away; other namespaces have no place in an alert.";
            self.problems.add(Kind::Unknown, &path(at, &child.name, None), Some(&value), advice);
        }
        if !of.trimmed().is_empty() {
            self.problems.add(Kind::Unknown, at, Some(of.trimmed()), "Take away the text between the elements.");
        }
        let own = children.iter().copied().filter(|child| child.namespace == of.namespace);
        Found::among(own, members, at, &mut self.problems)
    }

    /// The text of an element that has nothing else, without the white space around it.
    fn text(&mut self, element: &Element, at: &str) -> String {
        for child in &element.children {
            self.problems.add(Kind::Unknown, &path(at, &child.name, None), None, "Here may be text alone.");
        }
        element.trimmed().to_owned()
    }

    /// That it says something is for `check`.
    fn required(&mut self, found: &Found<'_>, at: &str, name: &str) -> String {
        found.first(name).map(|element| self.text(element, &path(at, name, None))).unwrap_or_default()
    }

    fn optional(&mut self, found: &Found<'_>, at: &str, name: &str) -> Option<String> {
        Some(self.required(found, at, name)).filter(|text| !text.is_empty())
    }

    fn texts(&mut self, found: &Found<'_>, at: &str, name: &str) -> Vec<String> {
        let texts = self.each(found, at, name, Self::text);
        texts.into_iter().filter(|text| !text.is_empty()).collect()
    }

    fn each<T>(
        &mut self,
        found: &Found<'_>,
        at: &str,
        name: &str,
        one: impl Fn(&mut Self, &Element, &str) -> T,
    ) -> Vec<T> {
        let elements = found.all(name).iter().enumerate();
        elements.map(|(index, element)| one(self, element, &path(at, name, Some(index)))).collect()
    }

    fn one_word<W: Word>(&mut self, element: &Element, at: &str) -> W {
        let text = self.text(element, at);
        W::find(&text).unwrap_or_else(|| {
            self.problems.add(Kind::Word, at, Some(&text), format!("Write one of {}.", W::list()));
            W::default()
        })
    }

    fn word<W: Word>(&mut self, found: &Found<'_>, at: &str, name: &str) -> W {
        let element = found.first(name);
        element.map(|element| self.one_word(element, &path(at, name, None))).unwrap_or_default()
    }

    fn words<W: Word>(&mut self, found: &Found<'_>, at: &str, name: &str) -> Vec<W> {
        self.each(found, at, name, Self::one_word)
    }

    fn date_time(&mut self, found: &Found<'_>, at: &str, name: &str) -> Option<DateTime> {
        let advice = "Write it as 2002-05-24T16:49:00-07:00: whole seconds and the offset; UTC is -00:00, never Z.";
        self.parsed(found, at, name, Kind::DateTime, advice, DateTime::parse)
    }

    /// An element that is there has a value.
    fn parsed<T>(
        &mut self,
        found: &Found<'_>,
        at: &str,
        name: &str,
        kind: Kind,
        advice: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let element = found.first(name)?;
        let own = path(at, name, None);
        let text = self.text(element, &own);
        let value = parse(&text);
        if value.is_none() {
            self.problems.add(kind, &own, Some(&text), advice);
        }
        value
    }
}
