//! A source as a person writes it: where messages come from, and the mapping that makes entities of them.

use std::fmt;

use city_model::{Owner, Period, Time};
use serde::{Deserialize, Serialize};

use crate::mapping::Mapping;

/// Longest text of a source, in bytes.
pub const SOURCE_BYTES_MAX: usize = 256 * 1024;
/// Longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Most who may push to one source.
pub const PUSHERS_MAX: usize = 1_000;
/// Shortest time between two polls, in seconds.
pub const POLL_SECONDS_MIN: i64 = 1;
const MICROS: i64 = 1_000_000;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct SourceText {
    name: String,
    #[serde(default)]
    title: Option<String>,
    from: FromText,
    /// How long it may be silent.
    #[serde(default)]
    expect: Option<String>,
    map: serde_yaml_ng::Value,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
struct FromText {
    #[serde(default)]
    push: Option<PushText>,
    #[serde(default)]
    poll: Option<PollText>,
    #[serde(default)]
    mqtt: Option<MqttText>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PushText {
    #[serde(default)]
    by: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct PollText {
    url: String,
    every: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct MqttText {
    topic: String,
    #[serde(default)]
    by: Vec<String>,
}

/// Where messages come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// Somebody sends them. Beside whoever set the source up and operators, these may: `token:…`, `account:…`,
    /// or a role.
    Push { by: Vec<Box<str>> },
    /// The server asks for them.
    Poll { url: Box<str>, every_seconds: i64 },
    /// They are published under topics that this filter matches; by these alone, where any are named.
    Mqtt { topic: Box<str>, by: Vec<Box<str>> },
}

/// A source as the journal keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredSource {
    /// As it was written, in YAML.
    pub text: Box<str>,
    /// For whom it writes: what they may.
    pub who: Box<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Box<str>>,
    pub created_at_micros: i64,
    /// Counts the texts of this name.
    pub version: u32,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
}

/// A source that can take messages.
pub struct Source {
    pub stored: StoredSource,
    pub name: Box<str>,
    pub title: Option<String>,
    pub from: From,
    pub expect_seconds: Option<i64>,
    pub mapping: Mapping,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({} version {})", self.name, self.stored.version)
    }
}

/// What is wrong with a source, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {why}")]
pub struct Wrong {
    pub place: &'static str,
    pub why: String,
}

fn wrong<T>(place: &'static str, why: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { place, why: why.into() })
}

impl StoredSource {
    pub fn parse(body: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(body)
    }

    pub fn body(&self) -> Result<Box<[u8]>, serde_json::Error> {
        Ok(serde_json::to_vec(self)?.into())
    }

    #[must_use]
    pub fn owner(&self) -> Owner {
        Owner { who: self.who.clone(), purpose: self.purpose.clone() }
    }
}

impl Source {
    /// Reads a source as it is written; what could never work is refused with its place.
    pub fn read(text: &str, owner: Owner, version: u32, now: Time) -> Result<Self, Wrong> {
        let (who, purpose) = (owner.who, owner.purpose);
        let created_at_micros = now.as_micros();
        Self::of(StoredSource { text: text.into(), who, purpose, created_at_micros, version, paused: false })
    }

    pub fn of(stored: StoredSource) -> Result<Self, Wrong> {
        if stored.text.len() > SOURCE_BYTES_MAX {
            return wrong("the source", format!("it is longer than {SOURCE_BYTES_MAX} bytes"));
        }
        let text: SourceText =
            serde_yaml_ng::from_str(&stored.text).or_else(|error| wrong("the source", error.to_string()))?;
        if !is_name(&text.name) {
            let bound = format!("it has 1 to {NAME_BYTES_MAX} lower-case letters a to z, digits, dots and hyphens");
            return wrong("name", bound);
        }
        let from = from(text.from)?;
        let expect_seconds = text.expect.as_deref().map(|text| seconds("expect", text, 1)).transpose()?;
        let mapping = Mapping::from_yaml(text.map).or_else(|error| wrong("map", error.to_string()))?;
        Ok(Self { name: text.name.into(), title: text.title, from, expect_seconds, mapping, stored })
    }

    /// Whether somebody may send messages to it who is neither its owner nor an operator.
    #[must_use]
    pub fn may_send(&self, who: &str, roles: &[&str]) -> bool {
        let named = |by: &[Box<str>]| by.iter().any(|one| **one == *who || roles.contains(&&**one));
        match &self.from {
            From::Push { by } => named(by),
            From::Mqtt { by, .. } => by.is_empty() || named(by),
            From::Poll { .. } => false,
        }
    }

    /// The role or name of those who may push, or where it is fetched from: for lists.
    #[must_use]
    pub fn from_words(&self) -> String {
        match &self.from {
            From::Push { by } if by.is_empty() => "push".to_owned(),
            From::Push { by } => format!("push by {}", by.join(", ")),
            From::Poll { url, every_seconds } => format!("poll {url} every {every_seconds} s"),
            From::Mqtt { topic, by } if by.is_empty() => format!("mqtt {topic}"),
            From::Mqtt { topic, by } => format!("mqtt {topic} by {}", by.join(", ")),
        }
    }
}

#[must_use]
pub fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && text.bytes().next().is_some_and(plain)
        && text.bytes().all(|byte| plain(byte) || b".-".contains(&byte))
}

fn from(text: FromText) -> Result<From, Wrong> {
    match (text.push, text.poll, text.mqtt) {
        (Some(push), None, None) => Ok(From::Push { by: senders("from.push.by", push.by)? }),
        (None, Some(poll), None) => {
            let every_seconds = seconds("from.poll.every", &poll.every, POLL_SECONDS_MIN)?;
            Ok(From::Poll { url: poll.url.into(), every_seconds })
        }
        (None, None, Some(mqtt)) => {
            if !is_filter(&mqtt.topic) {
                return wrong("from.mqtt.topic", format!("\"{}\" is no topic filter of MQTT", mqtt.topic));
            }
            Ok(From::Mqtt { topic: mqtt.topic.into(), by: senders("from.mqtt.by", mqtt.by)? })
        }
        _ => wrong("from", "it names one of push, poll and mqtt"),
    }
}

fn senders(place: &'static str, by: Vec<String>) -> Result<Vec<Box<str>>, Wrong> {
    if by.len() > PUSHERS_MAX {
        return wrong(place, format!("there are more than {PUSHERS_MAX}"));
    }
    Ok(by.into_iter().map(Into::into).collect())
}

/// A duration such as PT5M, in whole seconds.
fn seconds(place: &'static str, text: &str, least: i64) -> Result<i64, Wrong> {
    let period = Period::parse(text).filter(|period| !period.is_whole());
    let begin = Time::from_micros(0);
    let seconds = period.map(|period| (period.start(begin, 1).as_micros() - begin.as_micros()) / MICROS);
    match seconds {
        Some(seconds) if seconds >= least => Ok(seconds),
        _ => wrong(place, format!("\"{text}\" is no duration of {least} s or more, such as PT5M")),
    }
}

/// MQTT 5.0 clause 4.7.1: `+` stands for one level, `#` for the rest and last.
#[must_use]
pub fn is_filter(text: &str) -> bool {
    let levels: Vec<&str> = text.split('/').collect();
    !text.is_empty()
        && text.len() <= 65_535
        && !text.contains('\0')
        && levels.iter().enumerate().all(|(at, level)| match *level {
            "+" => true,
            "#" => at + 1 == levels.len(),
            level => !level.contains(['+', '#']),
        })
}

/// Whether a topic lies under a filter.
#[must_use]
pub fn matches(filter: &str, topic: &str) -> bool {
    // Topics that begin with $ are the broker's own (clause 4.7.2).
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
    loop {
        match (filter.next(), topic.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(wanted), Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(from: &str, more: &str) -> Result<Source, Wrong> {
        let text = format!(
            "name: gauges\nfrom: {from}\n{more}map:\n  format: json\n  id: '\"urn:x:\" + row.id'\n  type: Gauge\n  attributes: {{level: row.level}}\n"
        );
        let owner = Owner { who: "token:1".into(), purpose: None };
        Source::read(&text, owner, 1, Time::from_micros(0))
    }

    #[test]
    fn a_source_says_where_it_is_from_and_nothing_that_is_not_understood() {
        assert_eq!(read("{push: {}}", "").unwrap().from, From::Push { by: Vec::new() });
        let polled = read("{poll: {url: 'https://x.example/a.json', every: PT5M}}", "expect: PT1H\n").unwrap();
        assert_eq!(polled.from, From::Poll { url: "https://x.example/a.json".into(), every_seconds: 300 });
        assert_eq!(polled.expect_seconds, Some(3_600));
        assert_eq!(
            read("{mqtt: {topic: 'a/+/b/#'}}", "").unwrap().from,
            From::Mqtt { topic: "a/+/b/#".into(), by: Vec::new() }
        );
        for (from, more, place) in [
            ("{}", "", "from"),
            ("{push: {}, mqtt: {topic: a}}", "", "from"),
            ("{mqtt: {topic: 'a/#/b'}}", "", "from.mqtt.topic"),
            ("{mqtt: {topic: 'a+/b'}}", "", "from.mqtt.topic"),
            ("{poll: {url: x, every: 5}}", "", "from.poll.every"),
            ("{poll: {url: x, every: PT0S}}", "", "from.poll.every"),
            ("{push: {}}", "expect: soon\n", "expect"),
            ("{push: {}}", "epxect: PT1H\n", "the source"),
            ("{pull: {}}", "", "the source"),
        ] {
            assert_eq!(read(from, more).unwrap_err().place, place, "{from} {more}");
        }
        let owner = Owner { who: "token:1".into(), purpose: None };
        let wrong = Source::read("name: a\nfrom: {push: {}}\nmap: {format: json}\n", owner, 1, Time::from_micros(0));
        assert_eq!(wrong.unwrap_err().place, "map");
    }

    #[test]
    fn topics_match_as_the_standard_says() {
        for (filter, topic, is) in [
            ("a/b", "a/b", true),
            ("a/+", "a/b", true),
            ("a/+", "a", false),
            ("a/+", "a/b/c", false),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("#", "a/b", true),
            ("#", "$SYS/x", false),
            ("+/x", "$SYS/x", false),
            ("$SYS/#", "$SYS/x", true),
            ("+", "", true),
            ("a//b", "a//b", true),
            ("a/b", "a/B", false),
        ] {
            assert_eq!(matches(filter, topic), is, "{filter} {topic}");
        }
    }

    #[test]
    fn who_may_push_is_named_by_who_they_are_or_by_role() {
        let source = read("{push: {by: [device, 'account:duty']}}", "").unwrap();
        assert!(source.may_send("account:duty", &[]) && source.may_send("token:7", &["device"]));
        assert!(!source.may_send("token:7", &["developer"]) && !source.may_send("account:other", &[]));
        // Over MQTT whoever may write may send, unless some are named.
        assert!(read("{mqtt: {topic: a}}", "").unwrap().may_send("token:7", &["device"]));
        let some = read("{mqtt: {topic: a, by: ['token:8']}}", "").unwrap();
        assert!(some.may_send("token:8", &["device"]) && !some.may_send("token:7", &["device"]));
    }
}
