//! What is kept of a subscription: its members as they came, its @context, the meaning of each
//! name in it, and its times. One JSON object, all of it in `Subscription::document`.

use std::collections::BTreeMap;
use std::fmt::Write;

use city_model::{Name, Owner, Subscription, Time};
use serde_json::value::RawValue;

use crate::context::{ContextSpec, TermMap};
use crate::entity::object;
use crate::error::Error;
use crate::json::{self, Members, ObjectWriter, Shape};
use crate::subscription::read::read;

/// What a document says beside the members of the subscription.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub context: ContextSpec,
    pub terms: BTreeMap<Box<str>, Name>,
    pub created_at: Time,
    pub modified_at: Time,
    pub owner: Option<Owner>,
}

impl Kept {
    pub(super) fn parse(document: &str) -> Result<Self, Error> {
        let members = object(document.as_bytes())?;
        let context = match members.get("@context") {
            Some(raw) => ContextSpec::of(raw)?,
            None => ContextSpec::core(),
        };
        let mut terms = BTreeMap::new();
        if let Some(raw) = members.get("terms") {
            for (term, raw) in Members::of(raw)?.0 {
                let iri = json::expect_text(raw, "terms")?;
                terms.insert(Box::from(term), Name::from_stored(iri.into()));
            }
        }
        let time = |key: &str| members.get(key).and_then(json::text).and_then(|text| Time::parse(&text));
        let owner = members.get("owner").map(read_owner).transpose()?;
        Ok(Self {
            context,
            terms,
            owner,
            created_at: time("createdAt").unwrap_or(Time::UNSET),
            modified_at: time("modifiedAt").unwrap_or(Time::UNSET),
        })
    }

    fn names(&self) -> TermMap {
        TermMap::from_names(self.context.clone(), self.terms.iter().map(|(term, name)| (&**term, name.clone())))
    }
}

fn read_owner(raw: &RawValue) -> Result<Owner, Error> {
    let members = Members::of(raw)?;
    let text = |key| members.get(key).and_then(json::text).map(|text| Box::from(&*text));
    let who =
        text("who").ok_or_else(|| Error::bad("owner", "names nobody in the stored document of a subscription"))?;
    Ok(Owner { who, purpose: text("purpose") })
}

/// The members as accepted: what is read-only or said elsewhere left out.
fn is_kept(key: &str) -> bool {
    !matches!(
        key,
        "id" | "@id"
            | "@context"
            | "status"
            | "createdAt"
            | "modifiedAt"
            | "timesSent"
            | "timesFailed"
            | "lastNotification"
            | "lastSuccess"
            | "lastFailure"
    )
}

pub(super) fn write_document(members: &Members, id: &str, kept: &Kept) -> Box<str> {
    let mut out = Vec::with_capacity(512);
    let mut object = ObjectWriter::open(&mut out);
    let mut accepted = ObjectWriter::open(object.key("subscription"));
    accepted.text("id", id);
    for (key, raw) in members.0.iter().filter(|(key, _)| is_kept(key)) {
        accepted.text_key(key).extend_from_slice(raw.get().as_bytes());
    }
    accepted.close();
    if !kept.context.is_core() {
        object.raw("@context", kept.context.as_str());
    }
    let mut terms = ObjectWriter::open(object.key("terms"));
    for (term, name) in &kept.terms {
        json::write_text(terms.text_key(term), name.as_str());
    }
    terms.close();
    object.time("createdAt", kept.created_at);
    object.time("modifiedAt", kept.modified_at);
    if let Some(owner) = &kept.owner {
        let mut written = ObjectWriter::open(object.key("owner"));
        written.text("who", &owner.who);
        if let Some(purpose) = &owner.purpose {
            written.text("purpose", purpose);
        }
        written.close();
    }
    object.close();
    // The writers write UTF-8 only.
    String::from_utf8(out).unwrap_or_default().into()
}

/// The members of the subscription inside a document.
pub(super) fn accepted(document: &str) -> Result<&RawValue, Error> {
    object(document.as_bytes())?
        .get("subscription")
        .ok_or_else(|| Error::bad("subscription", "is missing in the stored document of a subscription"))
}

/// RFC 7396, with null and the NGSI-LD Null deleting alike (clause 5.8.2).
pub(super) fn merged(document: &str, patch: &Members) -> Result<String, Error> {
    merged_object(&Members::of(accepted(document)?)?, patch, 4)
}

fn merged_object(target: &Members, patch: &Members, levels_left: usize) -> Result<String, Error> {
    let mut out = String::from("{");
    let mut add = |key: &str, value: &str| {
        if out.len() > 1 {
            out.push(',');
        }
        let mut quoted = Vec::new();
        json::write_text(&mut quoted, key);
        // Writing to memory cannot fail.
        let _ = write!(out, "{}:{value}", String::from_utf8_lossy(&quoted));
    };
    let deletes =
        |raw: &RawValue| json::shape(raw) == Shape::Null || json::text(raw).is_some_and(|t| t == "urn:ngsi-ld:null");
    for (key, raw) in &target.0 {
        match patch.get(key) {
            None => add(key, raw.get()),
            Some(patch) if deletes(patch) => {}
            // Only `notification` and `endpoint` are merged inside; `geoQ` and the like are wholes.
            Some(patch)
                if levels_left > 0
                    && matches!(&**key, "notification" | "endpoint")
                    && json::shape(raw) == Shape::Object
                    && json::shape(patch) == Shape::Object =>
            {
                add(key, &merged_object(&Members::of(raw)?, &Members::of(patch)?, levels_left - 1)?);
            }
            Some(patch) => add(key, patch.get()),
        }
    }
    for (key, raw) in &patch.0 {
        if target.get(key).is_none() && !deletes(raw) {
            add(key, raw.get());
        }
    }
    out.push('}');
    Ok(out)
}

/// The text to keep.
#[must_use]
pub fn stored(subscription: &Subscription) -> &str {
    &subscription.document
}

/// A subscription from its text alone; its names mean what they meant when it was accepted.
pub fn from_stored(document: &str) -> Result<Subscription, Error> {
    let kept = Kept::parse(document)?;
    let members = Members::of(accepted(document)?)?;
    let mut subscription = read(&members, &kept.names(), "")?;
    subscription.document = document.into();
    subscription.owner = kept.owner;
    Ok(subscription)
}

/// The @context for its notifications: `jsonldContext` if it names one, else its own.
pub fn context_of(subscription: &Subscription) -> Result<ContextSpec, Error> {
    let members = Members::of(accepted(&subscription.document)?)?;
    match members.get("jsonldContext").and_then(json::text) {
        Some(url) => ContextSpec::url(&url),
        None => Kept::parse(&subscription.document).map(|kept| kept.context),
    }
}

/// The names it uses, for the time when its @context cannot be had.
pub fn terms_of(subscription: &Subscription) -> Result<TermMap, Error> {
    Kept::parse(&subscription.document).map(|kept| kept.names())
}
