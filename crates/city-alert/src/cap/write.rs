//! An alert to its document: elements in the order of the schema, two spaces a level, UTF-8.

use super::alert::{Alert, Area, Info, NamedValue, Resource};
use super::check;
use super::problem::{Kind, Problems};
use super::word::Word;
use crate::xml::{DOCUMENT_BYTES_MAX, ELEMENTS_MAX};

/// Writes what `read` gives back as it was, or says all that stands against it.
///
/// A signed alert is refused: its signature is about bytes that are not here. Hand on those, or set `signed` to
/// false and answer for the alert yourself.
pub fn write(alert: &Alert) -> Result<String, Problems> {
    let mut problems = Problems::default();
    if alert.signed {
        let advice = "Hand on the bytes that came, or send it without the signature, as your own.";
        problems.add(Kind::Signed, "/alert/Signature", None, advice);
    }
    check::alert(alert, &mut problems);
    let mut writing =
        Writing { text: String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"), level: 0, elements: 1 };
    writing.alert(alert);
    if writing.text.len() > DOCUMENT_BYTES_MAX || writing.elements > ELEMENTS_MAX {
        let advice = format!("Say less; {DOCUMENT_BYTES_MAX} bytes and {ELEMENTS_MAX} elements are taken.");
        problems.add(Kind::Length, "/", None, advice);
    }
    problems.or(writing.text)
}

struct Writing {
    text: String,
    level: usize,
    elements: usize,
}

impl Writing {
    fn alert(&mut self, alert: &Alert) {
        self.text.push_str(&format!("<alert xmlns=\"{}\">\n", alert.version.namespace()));
        self.level = 1;
        self.element("identifier", &alert.identifier);
        self.element("sender", &alert.sender);
        self.element("sent", &alert.sent.to_string());
        self.element("status", alert.status.as_str());
        self.element("msgType", alert.msg_type.as_str());
        self.optional("source", alert.source.as_deref());
        self.element("scope", alert.scope.as_str());
        self.optional("restriction", alert.restriction.as_deref());
        self.optional("addresses", alert.addresses.as_deref());
        for code in &alert.code {
            self.element("code", code);
        }
        self.optional("note", alert.note.as_deref());
        if !alert.references.is_empty() {
            let references = alert.references.iter();
            let texts: Vec<String> =
                references.map(|one| format!("{},{},{}", one.sender, one.identifier, one.sent)).collect();
            self.element("references", &texts.join(" "));
        }
        self.optional("incidents", alert.incidents.as_deref());
        for info in &alert.info {
            self.group("info", |writing| writing.info(info));
        }
        self.text.push_str("</alert>\n");
    }

    fn info(&mut self, info: &Info) {
        self.optional("language", info.language.as_deref());
        self.words("category", &info.category);
        self.element("event", &info.event);
        self.words("responseType", &info.response_type);
        self.element("urgency", info.urgency.as_str());
        self.element("severity", info.severity.as_str());
        self.element("certainty", info.certainty.as_str());
        self.optional("audience", info.audience.as_deref());
        self.named_values("eventCode", &info.event_code);
        self.shown("effective", info.effective.as_ref());
        self.shown("onset", info.onset.as_ref());
        self.shown("expires", info.expires.as_ref());
        self.optional("senderName", info.sender_name.as_deref());
        self.optional("headline", info.headline.as_deref());
        self.optional("description", info.description.as_deref());
        self.optional("instruction", info.instruction.as_deref());
        self.optional("web", info.web.as_deref());
        self.optional("contact", info.contact.as_deref());
        self.named_values("parameter", &info.parameter);
        for resource in &info.resource {
            self.group("resource", |writing| writing.resource(resource));
        }
        for area in &info.area {
            self.group("area", |writing| writing.area(area));
        }
    }

    fn resource(&mut self, resource: &Resource) {
        self.element("resourceDesc", &resource.resource_desc);
        self.optional("mimeType", resource.mime_type.as_deref());
        self.shown("size", resource.size.as_ref());
        self.optional("uri", resource.uri.as_deref());
        self.optional("derefUri", resource.deref_uri.as_deref());
        self.optional("digest", resource.digest.as_deref());
    }

    fn area(&mut self, area: &Area) {
        self.element("areaDesc", &area.area_desc);
        for polygon in &area.polygon {
            self.element("polygon", &polygon.to_string());
        }
        for circle in &area.circle {
            self.element("circle", &circle.to_string());
        }
        self.named_values("geocode", &area.geocode);
        self.shown("altitude", area.altitude.as_ref());
        self.shown("ceiling", area.ceiling.as_ref());
    }

    fn named_values(&mut self, name: &str, values: &[NamedValue]) {
        for one in values {
            self.group(name, |writing| {
                writing.element("valueName", &one.value_name);
                writing.element("value", &one.value);
            });
        }
    }

    fn words<W: Word>(&mut self, name: &str, words: &[W]) {
        for word in words {
            self.element(name, word.as_str());
        }
    }

    fn optional(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.element(name, value);
        }
    }

    fn shown<T: ToString>(&mut self, name: &str, value: Option<&T>) {
        if let Some(value) = value {
            self.element(name, &value.to_string());
        }
    }

    fn group(&mut self, name: &str, inside: impl FnOnce(&mut Self)) {
        self.indent();
        self.text.push_str(&format!("<{name}>\n"));
        self.level += 1;
        inside(self);
        self.level -= 1;
        self.indent();
        self.text.push_str(&format!("</{name}>\n"));
        self.elements += 1;
    }

    fn element(&mut self, name: &str, value: &str) {
        self.indent();
        self.text.push_str(&format!("<{name}>"));
        for character in value.chars() {
            match character {
                '&' => self.text.push_str("&amp;"),
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                // Read as it stands, it would become a line feed.
                '\r' => self.text.push_str("&#13;"),
                character => self.text.push(character),
            }
        }
        self.text.push_str(&format!("</{name}>\n"));
        self.elements += 1;
    }

    fn indent(&mut self) {
        for _ in 0..self.level {
            self.text.push_str("  ");
        }
    }
}
