//! A subscription's JSON, member by member (clause 5.2.12).

use std::borrow::Cow;

use city_model::name::is_uri;
use city_model::subscription::{Accept, Endpoint, NotificationFormat, NotificationParams, Subscription, Trigger};
use city_model::{Name, Owner, Query, Time};
use serde_json::value::RawValue;

use crate::context::TermMap;
use crate::entity::object;
use crate::error::Error;
use crate::json::{self, Members, Shape};
use crate::query::{dataset_ids, expand_values, read_names, time};
use crate::query::{parse_q_with, parse_scope_q, read_entity_selectors, read_geo_query};
use crate::subscription::stored::{Kept, merged, write_document};
use crate::subscription::{ENDPOINT_MS_MAX, RECEIVER_INFO_MAX, THROTTLING_S_MAX};

/// A new subscription of an owner. `new_id` is taken where the document names no id.
pub fn parse_subscription(
    body: &[u8],
    terms: &TermMap,
    new_id: &str,
    now: Time,
    owner: Option<Owner>,
) -> Result<Subscription, Error> {
    let members = object(body)?;
    let recording = terms.recording();
    let mut subscription = read(&members, &recording, new_id)?;
    check_expiry(&subscription, now)?;
    let (context, names) = (terms.spec().clone(), recording.into_recorded());
    let kept = Kept { context, terms: names, created_at: now, modified_at: now, owner };
    subscription.document = write_document(&members, &subscription.id, &kept);
    subscription.owner = kept.owner;
    Ok(subscription)
}

/// A merge patch on what is stored (clause 5.8.2). The id stays; names of the patch are in `terms`.
pub fn update_subscription(
    stored: &Subscription,
    patch: &[u8],
    terms: &TermMap,
    now: Time,
) -> Result<Subscription, Error> {
    let patch = object(patch)?;
    if let Some(raw) = patch.get("id").or_else(|| patch.get("@id")) {
        let id = json::expect_text(raw, "id")?;
        if *id != *stored.id {
            return Err(Error::bad("id", format!("cannot be changed; it is {}", stored.id)));
        }
    }
    let kept = Kept::parse(&stored.document)?;
    let merged = merged(&stored.document, &patch)?;
    let members = object(merged.as_bytes())?;
    // What the patch says is read in its own @context, the rest with the meaning it had.
    let patched = terms.recording();
    read_patch_names(&patch, &patched)?;
    let patched = patched.into_recorded();
    let mut names = kept.terms.clone();
    for (term, name) in patched {
        if let Some(meaning) = names.insert(term.clone(), name.clone())
            && meaning != name
        {
            return Err(Error::bad(
                term,
                format!("means {meaning} in the subscription and {name} in this update; send both in one @context"),
            ));
        }
    }
    let context = if terms.spec().is_core() { kept.context } else { terms.spec().clone() };
    let known = TermMap::from_names(context.clone(), names.iter().map(|(term, name)| (&**term, name.clone())));
    let recording = known.recording();
    let mut subscription = read(&members, &recording, &stored.id)?;
    check_expiry(&subscription, now)?;
    // It goes on acting for whoever made it, whoever changes it.
    let Kept { created_at, owner, .. } = kept;
    let kept = Kept { context, terms: recording.into_recorded(), created_at, modified_at: now, owner };
    subscription.document = write_document(&members, &stored.id, &kept);
    subscription.owner = kept.owner;
    Ok(subscription)
}

fn check_expiry(subscription: &Subscription, now: Time) -> Result<(), Error> {
    match subscription.expires_at {
        Some(end) if end <= now => Err(Error::bad("expiresAt", format!("{end} has passed; now it is {now}"))),
        _ => Ok(()),
    }
}

/// Notes the meaning of the names that a patch itself brings.
fn read_patch_names(patch: &Members, terms: &TermMap) -> Result<(), Error> {
    let expand_values = expand_values(patch, terms)?;
    for (key, raw) in &patch.0 {
        if json::shape(raw) == Shape::Null || json::text(raw).is_some_and(|text| text == "urn:ngsi-ld:null") {
            continue;
        }
        match &**key {
            "entities" => drop(read_entity_selectors(raw, terms)?),
            "watchedAttributes" => drop(read_names(raw, "watchedAttributes", terms)?),
            "q" => drop(parse_q_with(&json::expect_text(raw, "q")?, terms, &expand_values)?),
            "geoQ" => drop(read_geo_query(raw, terms)?),
            "notification" if json::shape(raw) == Shape::Object => {
                let notification = Members::of(raw)?;
                for member in ["attributes", "pick", "omit"] {
                    if let Some(raw) = notification.get(member).filter(|raw| json::shape(raw) == Shape::Array) {
                        read_names(raw, member, terms)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Everything but the document.
pub(super) fn read(members: &Members, terms: &TermMap, new_id: &str) -> Result<Subscription, Error> {
    match members.get("type").or_else(|| members.get("@type")).map(|raw| json::expect_text(raw, "type")).transpose()? {
        Some(kind) if kind == "Subscription" => {}
        Some(kind) => return Err(Error::bad("type", format!("must be \"Subscription\", found {kind:?}"))),
        None => return Err(Error::bad("type", "is missing; it must be \"Subscription\"")),
    }
    let mut id: Box<str> = new_id.into();
    let mut query = Query::default();
    let mut watched = Vec::new();
    let mut triggers = vec![Trigger::AttributeCreated, Trigger::AttributeUpdated];
    let mut active = true;
    let mut expires_at = None;
    let mut throttling_micros = None;
    let (mut notification, mut datasets) = (None, Vec::new());
    let expand_values = expand_values(members, terms)?;
    for (key, raw) in &members.0 {
        match &**key {
            "id" | "@id" => {
                let text = json::expect_text(raw, "id")?;
                if !is_uri(&text) {
                    return Err(Error::bad("id", format!("{text:?} is not a URI, such as urn:ngsi-ld:Subscription:7")));
                }
                id = text.into();
            }
            "type" | "@type" | "@context" => {}
            "subscriptionName" | "description" => {
                json::expect_text(raw, key)?;
            }
            "entities" => query.selectors = read_entity_selectors(raw, terms)?,
            "watchedAttributes" => watched = read_names(raw, "watchedAttributes", terms)?,
            "q" => query.filter = Some(parse_q_with(&json::expect_text(raw, "q")?, terms, &expand_values)?),
            "geoQ" => query.geo = Some(read_geo_query(raw, terms)?),
            "scopeQ" => query.scope = Some(parse_scope_q(&json::expect_text(raw, "scopeQ")?)?),
            "notificationTrigger" => triggers = read_triggers(raw)?,
            "isActive" => active = json::expect_bool(raw, "isActive")?,
            "expiresAt" => expires_at = Some(time("expiresAt", &json::expect_text(raw, "expiresAt")?)?),
            "throttling" => throttling_micros = Some(read_throttling(raw)?),
            "notification" => notification = Some(read_notification(raw, terms).map_err(|e| e.within("notification"))?),
            "jsonldContext" => {
                let url = json::expect_text(raw, "jsonldContext")?;
                crate::context::ContextSpec::url(&url).map_err(|error| Error::bad("jsonldContext", error.message))?;
            }
            // This broker is alone, and compares values alike with or without these.
            "localOnly" | "splitEntities" => drop(json::expect_bool(raw, key)?),
            "expandValues" | "jsonKeys" => drop(json::expect_text(raw, key)?),
            // Read-only: ignored where they are sent (table 5.2.12-2).
            "status" | "createdAt" | "modifiedAt" | "timesSent" | "timesFailed" | "lastNotification"
            | "lastSuccess" | "lastFailure" => {}
            "timeInterval" => {
                return Err(Error::not_supported(
                    "timeInterval",
                    "periodic notifications are not supported; leave it out to be notified on change",
                ));
            }
            "datasetId" => {
                let texts = json::expect_texts(raw, "datasetId")?;
                datasets = dataset_ids(texts.iter().map(|text| &**text))?;
            }
            "temporalQ" | "csf" | "lang" | "ngsildConformance" => {
                return Err(Error::not_supported(&**key, "is not supported in subscriptions; leave it out"));
            }
            other => return Err(Error::bad(other, "is not a member of a Subscription (clause 5.2.12)")),
        }
    }
    if query.selectors.is_empty()
        && watched.is_empty()
        && members.get("localOnly").is_none_or(|raw| raw.get() != "true")
    {
        return Err(Error::bad("entities", "is missing; name entities or watchedAttributes (clause 5.2.12)"));
    }
    let mut notification: NotificationParams =
        notification.ok_or_else(|| Error::bad("notification", "is missing; it says whom to tell"))?;
    notification.datasets = datasets;
    Ok(Subscription {
        id,
        owner: None,
        query,
        watched,
        triggers,
        active,
        expires_at,
        throttling_micros,
        notification,
        document: "".into(),
    })
}

fn read_triggers(raw: &RawValue) -> Result<Vec<Trigger>, Error> {
    let mut triggers = Vec::new();
    for text in json::expect_texts(raw, "notificationTrigger")? {
        let trigger = match &*text {
            "entityCreated" => Trigger::EntityCreated,
            "entityUpdated" => Trigger::EntityUpdated,
            "entityDeleted" => Trigger::EntityDeleted,
            "attributeCreated" => Trigger::AttributeCreated,
            "attributeUpdated" => Trigger::AttributeUpdated,
            "attributeDeleted" => Trigger::AttributeDeleted,
            other => {
                return Err(Error::bad(
                    "notificationTrigger",
                    format!(
                        "{other:?} is unknown; use entity or attribute with Created, Updated or Deleted, such as attributeUpdated"
                    ),
                ));
            }
        };
        if !triggers.contains(&trigger) {
            triggers.push(trigger);
        }
    }
    Ok(triggers)
}

fn read_throttling(raw: &RawValue) -> Result<i64, Error> {
    let seconds = json::expect_number(raw, "throttling")?;
    if seconds <= 0.0 || seconds > THROTTLING_S_MAX {
        return Err(Error::bad("throttling", format!("must be greater than 0 and at most {THROTTLING_S_MAX} seconds")));
    }
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
    let micros = (seconds * 1e6).round() as i64;
    Ok(micros)
}

fn read_notification(raw: &RawValue, terms: &TermMap) -> Result<NotificationParams, Error> {
    if json::shape(raw) != Shape::Object {
        return Err(Error::bad("", "must be an object with an endpoint"));
    }
    let members = Members::of(raw)?;
    let (mut attributes, mut pick, mut omit) = (Vec::new(), None, Vec::new());
    let mut format = NotificationFormat::Normalized;
    let (mut sys_attrs, mut show_changes, mut endpoint) = (false, false, None);
    for (key, raw) in &members.0 {
        match &**key {
            "type" => {}
            "attributes" => attributes = read_names(raw, "attributes", terms)?,
            "pick" => pick = Some(some_names(raw, "pick", terms)?),
            "omit" => omit = some_names(raw, "omit", terms)?,
            "format" => {
                format = match &*json::expect_text(raw, "format")? {
                    "normalized" => NotificationFormat::Normalized,
                    "concise" => NotificationFormat::Concise,
                    "simplified" | "keyValues" => NotificationFormat::Simplified,
                    other => {
                        return Err(Error::bad(
                            "format",
                            format!("{other:?} is not one of normalized, concise, simplified and keyValues"),
                        ));
                    }
                }
            }
            "sysAttrs" => sys_attrs = json::expect_bool(raw, "sysAttrs")?,
            "showChanges" => show_changes = json::expect_bool(raw, "showChanges")?,
            "endpoint" => endpoint = Some(read_endpoint(raw).map_err(|error| error.within("endpoint"))?),
            "join" if raw.get() == "\"@none\"" => {}
            "join" | "joinLevel" => {
                return Err(Error::not_supported(&**key, "is not supported in notifications; leave it out"));
            }
            "status" | "timesSent" | "timesFailed" | "lastNotification" | "lastSuccess" | "lastFailure" => {}
            other => return Err(Error::bad(other, "is not a member of notification (clause 5.2.14)")),
        }
    }
    if show_changes && format == NotificationFormat::Simplified {
        return Err(Error::bad("showChanges", "cannot be true with the simplified format (clause 5.2.14)"));
    }
    if !attributes.is_empty() && (pick.is_some() || !omit.is_empty()) {
        return Err(Error::bad("attributes", "cannot stand beside pick or omit; use pick instead (clause 5.2.14)"));
    }
    if let Some(name) = pick.iter().flatten().find(|name| omit.contains(name)) {
        return Err(Error::bad("omit", format!("{} stands in pick too; decide for one", terms.compact(name))));
    }
    let endpoint = endpoint.ok_or_else(|| Error::bad("endpoint", "is missing; it says where notifications go"))?;
    Ok(NotificationParams { attributes, pick, omit, datasets: Vec::new(), format, sys_attrs, show_changes, endpoint })
}

fn some_names(raw: &RawValue, what: &str, terms: &TermMap) -> Result<Vec<Name>, Error> {
    let names = read_names(raw, what, terms)?;
    match names.is_empty() {
        true => Err(Error::bad(what, "must not be empty; leave it out instead")),
        false => Ok(names),
    }
}

fn read_endpoint(raw: &RawValue) -> Result<Endpoint, Error> {
    if json::shape(raw) != Shape::Object {
        return Err(Error::bad("", "must be an object with a uri"));
    }
    let members = Members::of(raw)?;
    let mut uri = None;
    let mut accept = Accept::Json;
    let mut receiver_info = Vec::new();
    let (mut timeout_ms, mut cooldown_ms) = (None, None);
    for (key, raw) in &members.0 {
        match &**key {
            "type" => {}
            "uri" => {
                let text = json::expect_text(raw, "uri")?;
                check_endpoint_uri(&text)?;
                uri = Some(Box::from(text));
            }
            "accept" => {
                accept = match &*json::expect_text(raw, "accept")? {
                    "application/json" => Accept::Json,
                    "application/ld+json" => Accept::JsonLd,
                    "application/geo+json" => Accept::GeoJson,
                    other => {
                        return Err(Error::bad(
                            "accept",
                            format!(
                                "{other:?} is not one of application/json, application/ld+json and application/geo+json"
                            ),
                        ));
                    }
                }
            }
            "receiverInfo" => receiver_info = read_receiver_info(raw)?,
            "notifierInfo" => {
                if !json::expect_array(raw, "notifierInfo")?.is_empty() {
                    return Err(Error::not_supported(
                        "notifierInfo",
                        "is for MQTT, which is not supported; leave it out",
                    ));
                }
            }
            "timeout" => timeout_ms = Some(read_ms(raw, "timeout")?),
            "cooldown" => cooldown_ms = Some(read_ms(raw, "cooldown")?),
            other => return Err(Error::bad(other, "is not a member of endpoint (clause 5.2.15)")),
        }
    }
    let uri = uri.ok_or_else(|| Error::bad("uri", "is missing; notifications need an http or https URL"))?;
    Ok(Endpoint { uri, accept, receiver_info, timeout_ms, cooldown_ms })
}

fn check_endpoint_uri(text: &str) -> Result<(), Error> {
    if !is_uri(text) {
        return Err(Error::bad("uri", format!("{text:?} is not a URI, such as https://example.org/notify")));
    }
    let Some(rest) = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")) else {
        let scheme = text.split(':').next().unwrap_or_default();
        return Err(Error::not_supported(
            "uri",
            format!("notifications over {scheme} are not supported; use http or https"),
        ));
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    if host.is_empty() || host.starts_with(':') {
        return Err(Error::bad("uri", format!("{text:?} names no host")));
    }
    Ok(())
}

type KeyValue = (Box<str>, Box<str>);

fn read_receiver_info(raw: &RawValue) -> Result<Vec<KeyValue>, Error> {
    let items = json::expect_array(raw, "receiverInfo")?;
    if items.len() > RECEIVER_INFO_MAX {
        return Err(Error::bad("receiverInfo", format!("has more than {RECEIVER_INFO_MAX} pairs")));
    }
    items
        .into_iter()
        .map(|item| {
            let bad = |message: &str| Error::bad("receiverInfo", message);
            if json::shape(item) != Shape::Object {
                return Err(bad("must hold objects with key and value"));
            }
            let members = Members::of(item).map_err(|error| error.within("receiverInfo"))?;
            let text = |key: &str| {
                members.get(key).and_then(json::text).ok_or_else(|| bad("each pair needs key and value, both strings"))
            };
            let (key, value): (Cow<str>, Cow<str>) = (text("key")?, text("value")?);
            // Both become an HTTP header (RFC 9110 section 5).
            if key.is_empty() || !key.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)) {
                return Err(Error::bad("receiverInfo", format!("{key:?} is not the name of an HTTP header")));
            }
            if value.chars().any(char::is_control) {
                return Err(Error::bad("receiverInfo", format!("the value of {key} holds a control character")));
            }
            Ok((key.into(), value.into()))
        })
        .collect()
}

fn read_ms(raw: &RawValue, what: &str) -> Result<u64, Error> {
    let ms = json::expect_number(raw, what)?;
    if ms <= 0.0 || ms > ENDPOINT_MS_MAX {
        return Err(Error::bad(what, format!("must be greater than 0 and at most {ENDPOINT_MS_MAX} ms")));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
    let ms = ms.ceil() as u64;
    Ok(ms)
}
