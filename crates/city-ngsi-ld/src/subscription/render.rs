//! Subscriptions as bytes, with what became of their notifications (clauses 5.2.12, 5.2.14).

use std::borrow::Cow;

use city_model::subscription::DeliveryReport;
use city_model::{Subscription, Time};
use serde_json::value::RawValue;

use crate::context::TermMap;
use crate::error::Error;
use crate::json::{self, Members, ObjectWriter, Shape};
use crate::subscription::stored::{Kept, accepted};

/// One subscription. Its names are shown in the @context of the request that asks.
pub fn render_subscription(
    subscription: &Subscription,
    report: Option<&DeliveryReport>,
    now: Time,
    sys_attrs: bool,
    embed_context: bool,
    terms: &TermMap,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let kept = Kept::parse(&subscription.document)?;
    let members = Members::of(accepted(&subscription.document)?)?;
    let shown = Shown { kept: &kept, terms };
    let mut object = ObjectWriter::open(out);
    for (key, raw) in &members.0 {
        match &**key {
            "entities" => shown.selectors(object.key("entities"), raw)?,
            "watchedAttributes" => shown.names(object.key("watchedAttributes"), raw)?,
            "notification" => write_notification(object.key("notification"), raw, report, &shown)?,
            _ => object.text_key(key).extend_from_slice(raw.get().as_bytes()),
        }
    }
    let status = match subscription {
        _ if subscription.expires_at.is_some_and(|end| end <= now) => "expired",
        _ if !subscription.active => "paused",
        _ => "active",
    };
    object.text("status", status);
    if sys_attrs {
        for (name, time) in [("createdAt", kept.created_at), ("modifiedAt", kept.modified_at)] {
            if time != Time::UNSET {
                object.time(name, time);
            }
        }
    }
    if embed_context {
        object.raw("@context", terms.rendered());
    }
    object.close();
    Ok(())
}

/// A page of subscriptions.
pub fn render_subscriptions<'s>(
    subscriptions: impl IntoIterator<Item = (&'s Subscription, Option<&'s DeliveryReport>)>,
    now: Time,
    sys_attrs: bool,
    embed_context: bool,
    terms: &TermMap,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let mut result = Ok(());
    json::write_list(out, subscriptions, |out, (subscription, report)| {
        let rendered = render_subscription(subscription, report, now, sys_attrs, embed_context, terms, out);
        if result.is_ok() {
            result = rendered;
        }
    });
    result
}

/// Names as they were sent, given back in another @context.
struct Shown<'s> {
    kept: &'s Kept,
    terms: &'s TermMap,
}

impl Shown<'_> {
    fn name(&self, text: &str) -> Cow<'_, str> {
        match self.kept.terms.get(text) {
            Some(name) => Cow::Owned(self.terms.compact(name).into_owned()),
            None => Cow::Owned(text.to_owned()),
        }
    }

    fn names(&self, out: &mut Vec<u8>, raw: &RawValue) -> Result<(), Error> {
        let texts = json::expect_texts(raw, "")?;
        json::write_list(out, texts, |out, text| json::write_text(out, &self.name(text.trim())));
        Ok(())
    }

    fn selectors(&self, out: &mut Vec<u8>, raw: &RawValue) -> Result<(), Error> {
        let items = json::expect_array(raw, "entities")?.into_iter().map(Members::of).collect::<Result<Vec<_>, _>>()?;
        json::write_list(out, items, |out, members| {
            let mut object = ObjectWriter::open(out);
            for (key, raw) in &members.0 {
                match (&**key, json::text(raw)) {
                    // A selection of types keeps its operators; each word is shown on its own.
                    ("type", Some(text)) => {
                        let mut shown = String::new();
                        for part in text.split_inclusive(['|', ',', ';', '(', ')']) {
                            let word = part.trim_end_matches(['|', ',', ';', '(', ')']);
                            shown.push_str(&self.name(word.trim()));
                            shown.push_str(&part[word.len()..]);
                        }
                        object.text("type", &shown);
                    }
                    _ => object.text_key(key).extend_from_slice(raw.get().as_bytes()),
                }
            }
            object.close();
        });
        Ok(())
    }
}

fn write_notification(
    out: &mut Vec<u8>,
    raw: &RawValue,
    report: Option<&DeliveryReport>,
    shown: &Shown,
) -> Result<(), Error> {
    let members = Members::of(raw)?;
    let mut object = ObjectWriter::open(out);
    for (key, raw) in &members.0 {
        match &**key {
            "attributes" | "pick" if json::shape(raw) == Shape::Array => shown.names(object.text_key(key), raw)?,
            "status" | "timesSent" | "timesFailed" | "lastNotification" | "lastSuccess" | "lastFailure" => {}
            _ => object.text_key(key).extend_from_slice(raw.get().as_bytes()),
        }
    }
    if let Some(report) = report {
        let failing = match (report.last_success, report.last_failure) {
            (Some(success), Some(failure)) => failure > success,
            (None, Some(_)) => true,
            _ => false,
        };
        object.text("status", if failing { "failed" } else { "ok" });
        object.raw("timesSent", &report.times_sent.to_string());
        object.raw("timesFailed", &report.times_failed.to_string());
        let times = [
            ("lastNotification", report.last_notification),
            ("lastSuccess", report.last_success),
            ("lastFailure", report.last_failure),
        ];
        for (name, time) in times {
            if let Some(time) = time {
                object.time(name, time);
            }
        }
    }
    object.close();
    Ok(())
}
