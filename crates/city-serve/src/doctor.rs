//! How the server fares, as findings: what, with which thing, what to do.
//!
//! Nothing is changed. An *alarm* needs somebody now; a *notice* is worth a look, such as a disk
//! that lasts some weeks or a sensor that has fallen silent.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use city_action::SubscriptionKey;
use city_history::Silent;
use city_model::{DefinitionKind, Name, Permit, Time};
use city_mqtt::session::WAITING_MAX;
use city_ngsi_ld::TermMap;
use city_store::codec::NameNumbers;
use city_store::{DiskReport, Growth, Lag};
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::city::City;
use crate::ngsi_ld::reading;
use crate::parameters::{NoParameters, Parameters};
use crate::problem::{Kind, Problem};

/// Subscriptions that a report lists at most.
const LISTED_MAX: usize = 100;
/// Series whose newest readings are looked at for one part of the silent sensors, at most.
pub const SERIES_MAX: usize = 5_000;
/// A follower that is further behind needs somebody.
const BEHIND_RECORDS_ALARM: u64 = 100_000;
const BEHIND_SECONDS_ALARM: i64 = 300;
/// Days that the disk lasts: below the one an alarm, below the other a notice.
const DISK_DAYS_ALARM: f64 = 7.0;
const DISK_DAYS_NOTICE: f64 = 30.0;

/// Collects findings.
#[derive(Default)]
struct Findings {
    list: Vec<Value>,
    alarms: usize,
}

impl Findings {
    fn alarm(&mut self, thing: &str, what: impl Into<String>, advice: &str) {
        self.alarms += 1;
        self.list.push(json!({"level": "alarm", "thing": thing, "what": what.into(), "advice": advice}));
    }

    fn notice(&mut self, thing: &str, what: impl Into<String>, advice: &str) {
        self.list.push(json!({"level": "notice", "thing": thing, "what": what.into(), "advice": advice}));
    }
}

/// How the server fares, with what to do where something is wrong.
pub(crate) async fn doctor(
    State(city): State<Arc<City>>,
    caller: Caller,
    _: NoParameters,
) -> Result<Json<Value>, Problem> {
    let permit = caller.permit;
    let journal = city.context.journal();
    let mut findings = Findings::default();
    if city.context.is_read_only() {
        findings.alarm(
            "store",
            "The store is read-only since a write failed.",
            "Look for the error in the log, then restart the server.",
        );
    }
    if let Some(why) = city.action.failure() {
        let what = format!("Matching has stopped: {why}");
        findings.alarm("matcher", what, "No notifications leave; restart the server.");
    }
    if let Some(why) = city.history.failure() {
        let what = format!("History has stopped: {why}");
        findings.alarm("history", what, "The past is not answered; restart the server.");
    }
    if let Some(why) = city.trail.failure() {
        let what = format!("The trail has stopped: {why}");
        findings.alarm("trail", what, "What is done is not written into it; restart the server.");
    }
    let disk = disk(&city, &mut findings);
    for (client, waiting) in city.messages.filling(permit.tenant()).await.into_iter().take(LISTED_MAX) {
        let what =
            format!("{waiting} messages wait for this client of MQTT; beyond {WAITING_MAX} they are dropped for it.");
        findings.notice(&client, what, "Have it connect and read, or let its session end.");
    }
    let followers = followers(&city, &mut findings)?;
    let tenants: Vec<Value> = city
        .context
        .tenants()
        .list()
        .iter()
        // Of other tenants nothing is told, not even that they are there.
        .filter(|space| space.name == *permit.tenant())
        .map(|space| {
            let visible = city.context.visible(&permit, None)?;
            let entities = visible.map_or_else(|| space.index.read().alive().len(), |visible| visible.len());
            let types = city.context.types(&permit)?.len();
            Ok(json!({"tenant": space.name.as_str(), "entities": entities, "types": types}))
        })
        .collect::<Result<_, Problem>>()?;
    sources(&city, &permit, &mut findings)?;
    let subscriptions = failing_subscriptions(&city, &permit)?;
    let bounds = city.history.bounds();
    Ok(Json(json!({
        "healthy": findings.alarms == 0 && subscriptions.is_empty(),
        "version": env!("CARGO_PKG_VERSION"),
        "findings": findings.list,
        "tenants": tenants,
        "journal": {"bytes": journal.bytes(), "records": journal.durable(), "oldestKept": journal.oldest()},
        "disk": disk,
        "followers": followers,
        "history": {"keptFrom": since(bounds.kept_from), "exactFrom": since(bounds.exact_from)},
        "failingSubscriptions": subscriptions,
    })))
}

/// Sources that are silent, bring nothing, or bring what cannot be used.
fn sources(city: &City, permit: &Permit, findings: &mut Findings) -> Result<(), Problem> {
    let tenant = permit.tenant();
    for (name, _) in city.context.list_definitions(permit, DefinitionKind::Source)? {
        let status = city.sources.status(tenant, &name)?;
        let looked = city.sources.look(tenant, &name, |source| {
            let since = Time::from_micros(source.stored.created_at_micros);
            !source.stored.paused && status.is_silent(source.expect_seconds, since, city.now())
        });
        let thing = format!("source {name}");
        let Ok(is_silent) = looked else {
            findings.alarm(&thing, "Its stored text cannot be read, so it takes nothing.", "Set it up again.");
            continue;
        };
        if is_silent {
            let last = status.last_at_micros.map_or("ever".to_owned(), |at| format!("since {}", Time::from_micros(at)));
            let advice = "Look at the device or the feed, and at what is between: renkei source show.";
            findings.alarm(&thing, format!("Nothing has come {last}, which is longer than it may be silent."), advice);
        }
        if let Some(why) = city.sources.failing(tenant, &name) {
            findings.notice(&thing, format!("It cannot be fetched: {why}"), "It is asked again, less and less often.");
        }
        if status.kept > 0 {
            let advice = "renkei rejects list says why; mend the message or the source, and replay it.";
            findings.notice(&thing, format!("{} messages could not be used whole.", status.kept), advice);
        }
    }
    Ok(())
}

/// A bound of the past; null is for ever.
fn since(time: Time) -> Option<String> {
    (time.as_micros() != i64::MIN).then(|| time.to_string())
}

/// Free space, and how long it lasts.
fn disk(city: &City, findings: &mut Findings) -> Value {
    let report = match city.disk.report() {
        Ok(report) => report,
        Err(error) => {
            findings.alarm("disk", format!("The disk cannot be asked: {error}"), "Look at the disk.");
            return Value::Null;
        }
    };
    let DiskReport { free_bytes, reserve_bytes, data_bytes, growth } = report;
    let advice = "Free some space, or give the folder a larger disk. Do not remove files of the data folder.";
    if free_bytes < reserve_bytes {
        let what = format!(
            "Writes are refused: {} are free, {} are kept in reserve.",
            shown(free_bytes),
            shown(reserve_bytes)
        );
        findings.alarm("disk", what, advice);
    } else if let Some(days) = report.days_left() {
        let what =
            || format!("The disk lasts some {days:.0} days: {} are free, and the city grows.", shown(free_bytes));
        if days < DISK_DAYS_ALARM {
            findings.alarm("disk", what(), advice);
        } else if days < DISK_DAYS_NOTICE {
            findings.notice("disk", what(), advice);
        }
    }
    let (rate, hours_seen) = match growth {
        Growth::NotKnown { hours_seen } => (None, Some(hours_seen)),
        Growth::BytesPerDay(rate) => (Some(rate), None),
    };
    json!({
        "freeBytes": free_bytes, "reserveBytes": reserve_bytes, "dataBytes": data_bytes,
        "growthBytesPerDay": rate, "daysLeft": report.days_left(), "hoursSeen": hours_seen,
    })
}

/// How far behind history and the matcher are, and the oldest of the two.
fn followers(city: &City, findings: &mut Findings) -> Result<Value, Problem> {
    let now = city.now();
    let seconds = |lag: &Lag| lag.since.map(|since| (now.as_micros() - since.as_micros()).max(0) / 1_000_000);
    let lags = [("history", city.history.lag()?), ("matcher", city.action.lag()?)];
    for (who, lag) in &lags {
        let seconds = seconds(lag).unwrap_or(0);
        if lag.records > BEHIND_RECORDS_ALARM || seconds > BEHIND_SECONDS_ALARM {
            findings.alarm(
                who,
                format!("It is {} changes behind, the oldest {seconds} s old.", lag.records),
                "It catches up by itself; if it does not, look at the load and at the free space of the disk.",
            );
        }
    }
    let oldest = lags.iter().filter(|(_, lag)| lag.records > 0).min_by_key(|(_, lag)| lag.since);
    let oldest =
        oldest.map(|(who, lag)| json!({"follower": who, "behindRecords": lag.records, "behindSeconds": seconds(lag)}));
    Ok(json!({"historyBehind": lags[0].1.records, "matcherBehind": lags[1].1.records, "oldest": oldest}))
}

fn failing_subscriptions(city: &City, permit: &Permit) -> Result<Vec<Value>, Problem> {
    let mut subscriptions = Vec::new();
    let tenant = city.context.tenant(permit)?.number;
    for (id, _) in city.context.list_definitions(permit, DefinitionKind::Subscription)? {
        let Some(report) = city.action.report(&SubscriptionKey { tenant, id: id.clone() }) else { continue };
        let failing = report.last_failure > report.last_success;
        if (failing || report.dead_letters > 0) && subscriptions.len() < LISTED_MAX {
            subscriptions.push(json!({
                "id": id, "waiting": report.waiting, "deadLetters": report.dead_letters, "lastError": report.last_error,
                "advice": "Check the endpoint; then renkei subscriptions replay sends what was given up.",
            }));
        }
    }
    Ok(subscriptions)
}

/// Sensors that have fallen silent, from the entity `after` on; a part looks at a bounded number of series.
pub(crate) async fn list_silent_sensors(
    State(city): State<Arc<City>>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Json<Value>, Problem> {
    parameters.only(&["after"])?;
    let (permit, terms) = reading(&city, &caller).await?;
    let after = match parameters.find("after").map(str::parse::<u32>) {
        None => 0,
        Some(Ok(after)) => after,
        Some(Err(_)) => return Err(Problem::new(Kind::BadRequestData, "NLD-002", "after is not a whole number.")),
    };
    let space = city.context.tenant(&permit)?;
    let mut alive = space.index.read().alive().clone();
    alive.remove_range(..after);
    let (now, tenant) = (city.now(), space.number);
    let report = city.read(|| city.history.silent(tenant, alive.iter(), now, SERIES_MAX)).await?;
    let mut silent = Vec::new();
    for series in &report.silent {
        silent.extend(silent_sensor(&city, &permit, &terms, series)?);
    }
    Ok(Json(json!({"silentSensors": silent, "seriesJudged": report.judged, "next": report.next})))
}

fn silent_sensor(city: &City, permit: &Permit, terms: &TermMap, series: &Silent) -> Result<Option<Value>, Problem> {
    let space = city.context.tenant(permit)?;
    let Some(id) = space.index.read().id(series.entity) else { return Ok(None) };
    let name = |number| space.terms.name(number).map_err(city_history::Error::from);
    let attribute = Name::from_stored(name(series.attribute)?);
    // What the holder of the permit may not see has no sensors.
    if city.context.find(permit, &id)?.is_none_or(|entity| entity.find(attribute.as_str()).is_none()) {
        return Ok(None);
    }
    let dataset = if series.dataset.0 == 0 { None } else { Some(name(series.dataset)?) };
    Ok(Some(json!({
        "id": id.as_str(), "attribute": terms.compact(&attribute), "datasetId": dataset.as_deref(),
        "lastReadingAt": series.last.to_string(),
        "silentSeconds": (city.now().as_micros() - series.last.as_micros()) / 1_000_000,
        "usualSeconds": series.usual_micros / 1_000_000,
        "advice": "Look at the sensor, its battery and its way here; if it was taken down, delete the attribute.",
    })))
}

fn shown(bytes: u64) -> String {
    match bytes >> 20 {
        mib if mib < 10 * 1_024 => format!("{mib} MiB"),
        mib => format!("{} GiB", mib >> 10),
    }
}
