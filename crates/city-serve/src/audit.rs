//! The door to the trail: what was done, by whom, and what shows that nobody changed it since.
//!
//! Checkpoints, tiles and bundles of entries are those of C2SP tlog-tiles, proofs those of C2SP tlog-proof,
//! so that tools of others verify them.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use city_trust::trail::merkle::Hash;
use city_trust::trail::{ENTRIES_MAX, Entry, Error, TILE_WIDTH};
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::city::City;
use crate::doors::{Effect, Operation};
use crate::ngsi_ld::{RETRY_AFTER_BUSY, said};
use crate::parameters::{NoParameters, Parameters, PathParameters};
use crate::problem::{Kind, Problem};

const TEXT: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";
/// How often a read looks whether the trail has caught up with it, and how long it waits.
const CATCH_UP_LOOK: Duration = Duration::from_millis(1);
const CATCH_UP_MAX: Duration = Duration::from_secs(10);

#[must_use]
pub fn operations() -> Vec<Operation<Arc<City>>> {
    macro_rules! operation {
        ($name:literal, $path:literal, $handler:path) => {
            Operation::new(
                "audit",
                "docs/reference/audit.md",
                $name,
                Method::GET,
                concat!("/audit/v1", $path),
                Effect::Audit,
                $handler,
            )
        };
    }
    vec![
        operation!("list_entries", "/entries", list_entries),
        operation!("checkpoint", "/checkpoint", show_checkpoint),
        operation!("key", "/key", show_key),
        operation!("prove_inclusion", "/proof", prove_inclusion),
        operation!("prove_consistency", "/consistency", prove_consistency),
        operation!("tile", "/tile/{*tile}", show_tile),
    ]
}

/// The caller's tenant, when all that was answered so far stands in its trail; 0 where nothing was ever done.
async fn number(city: &City, caller: &Caller) -> Result<u32, Problem> {
    let head = city.context.journal().durable();
    let mut waited = Duration::ZERO;
    while !city.trail.has_reached(head)? {
        if waited >= CATCH_UP_MAX {
            let detail = "The trail is behind and did not catch up in time. Ask again in a moment.";
            return Err(
                Problem::plain(StatusCode::SERVICE_UNAVAILABLE, "TRU-011", detail).retry_after(RETRY_AFTER_BUSY)
            );
        }
        tokio::time::sleep(CATCH_UP_LOOK).await;
        waited += CATCH_UP_LOOK;
    }
    Ok(city.context.tenants().find(caller.permit.tenant()).map_or(0, |space| space.number))
}

fn whole(parameters: &Parameters, name: &'static str) -> Result<Option<u64>, Problem> {
    match parameters.find(name).map(str::parse::<u64>) {
        None => Ok(None),
        Some(Ok(number)) => Ok(Some(number)),
        Some(Err(_)) => Err(Problem::new(Kind::BadRequestData, "NLD-002", format!("{name} is not a whole number."))),
    }
}

fn asked(parameters: &Parameters, name: &'static str) -> Result<u64, Problem> {
    whole(parameters, name)?
        .ok_or_else(|| Problem::new(Kind::BadRequestData, "NLD-002", format!("The parameter {name} is missing.")))
}

/// Entries, oldest first, by who did something and what; `what=token` finds all that was done to tokens.
async fn list_entries(
    State(city): State<Arc<City>>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Json<Value>, Problem> {
    parameters.only(&["who", "what", "subject", "from", "limit"])?;
    let limit = whole(&parameters, "limit")?.map_or(ENTRIES_MAX, |limit| usize::try_from(limit).unwrap_or(ENTRIES_MAX));
    let from = whole(&parameters, "from")?.unwrap_or(0);
    let tenant = number(&city, &caller).await?;
    let (who, what, subject) = (parameters.find("who"), parameters.find("what"), parameters.find("subject"));
    let wanted = |entry: &Entry| {
        let is = |asked: Option<&str>, own: &str| asked.is_none_or(|asked| asked == own);
        let group = |asked: &str| entry.what.split('.').next() == Some(asked);
        is(who, &entry.who)
            && is(subject, &entry.subject)
            && what.is_none_or(|asked| entry.what == asked || group(asked))
    };
    let (found, next) = city.read(|| city.trail.entries(tenant, from, limit.max(1), &wanted)).await?;
    let entries: Vec<Value> = found
        .into_iter()
        .map(|shown| {
            let Entry { index, time, who, what, subject, commitment } = shown.entry;
            let details: Option<Value> = shown.details.as_deref().and_then(|text| serde_json::from_str(text).ok());
            json!({
                "index": index, "time": time, "who": who, "what": what, "subject": subject, "commitment": commitment,
                "salt": shown.salt, "committed": shown.details, "details": details,
            })
        })
        .collect();
    Ok(Json(json!({"entries": entries, "size": city.trail.size(tenant)?, "next": next})))
}

fn text(body: String) -> Response {
    ([(CONTENT_TYPE, TEXT)], body).into_response()
}

async fn show_checkpoint(State(city): State<Arc<City>>, caller: Caller, _: NoParameters) -> Result<Response, Problem> {
    let tenant = number(&city, &caller).await?;
    Ok(text(city.read(|| city.trail.checkpoint(tenant, caller.permit.tenant().as_str())).await?))
}

async fn show_key(State(city): State<Arc<City>>, caller: Caller, _: NoParameters) -> Result<Response, Problem> {
    Ok(text(format!("{}\n", city.trail.verifier(caller.permit.tenant().as_str()).published())))
}

fn lines(hashes: &[Hash]) -> String {
    hashes.iter().map(|hash| format!("{}\n", STANDARD.encode(hash))).collect()
}

/// What shows that an entry is in the trail, with the checkpoint that it leads to.
async fn prove_inclusion(
    State(city): State<Arc<City>>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Response, Problem> {
    parameters.only(&["index"])?;
    let index = asked(&parameters, "index")?;
    let tenant = number(&city, &caller).await?;
    let name = caller.permit.tenant().as_str();
    let (proof, checkpoint) = city
        .read(|| {
            let checkpoint = city.trail.checkpoint(tenant, name)?;
            // The size that was signed, not one that has grown since.
            let size = checkpoint.lines().nth(1).and_then(|size| size.parse().ok()).unwrap_or(0);
            Ok::<_, Error>((city.trail.inclusion(tenant, index, size)?, checkpoint))
        })
        .await?;
    Ok(text(format!("c2sp.org/tlog-proof@v1\nindex {index}\n{}\n{checkpoint}", lines(&proof))))
}

/// What shows that the trail of one size is the beginning of the one of another.
async fn prove_consistency(
    State(city): State<Arc<City>>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Response, Problem> {
    parameters.only(&["old", "new"])?;
    let (old, new) = (asked(&parameters, "old")?, asked(&parameters, "new")?);
    if old > new {
        let detail = "old is larger than new; a trail only grows.";
        return Err(Problem::new(Kind::BadRequestData, "NLD-002", detail));
    }
    let tenant = number(&city, &caller).await?;
    Ok(text(lines(&city.read(|| city.trail.consistency(tenant, old, new)).await?)))
}

/// `LEVEL/NUMBER` or `entries/NUMBER`, with `.p/WIDTH` behind it where it is not full yet.
async fn show_tile(
    State(city): State<Arc<City>>,
    caller: Caller,
    path: PathParameters,
    _: NoParameters,
) -> Result<Response, Problem> {
    let asked = path.get("tile")?;
    let wrong = || {
        let detail =
            format!("\"{asked}\" is no tile; ask for LEVEL/NUMBER or entries/NUMBER, and .p/WIDTH if not full.");
        Problem::new(Kind::BadRequestData, "NLD-002", detail)
    };
    let (level, rest) = asked.split_once('/').ok_or_else(wrong)?;
    let (number_text, width) = match rest.split_once(".p/") {
        Some((number, width)) => {
            (number, width.parse().ok().filter(|width| (1..TILE_WIDTH).contains(width)).ok_or_else(wrong)?)
        }
        None => (rest, TILE_WIDTH),
    };
    let tile = tile_number(number_text).ok_or_else(wrong)?;
    let tenant = number(&city, &caller).await?;
    let bytes = match level {
        "entries" => city.read(|| city.trail.bundle(tenant, tile, width)).await?,
        level => {
            let level = level.parse().ok().filter(|level| *level < 8u8).ok_or_else(wrong)?;
            city.read(|| city.trail.tile(tenant, level, tile, width)).await?
        }
    };
    Ok(([(CONTENT_TYPE, BYTES)], bytes).into_response())
}

/// `x001/x234/067` is 1,234,067.
fn tile_number(text: &str) -> Option<u64> {
    let parts: Vec<&str> = text.split('/').collect();
    let (last, above) = parts.split_last()?;
    let mut number: u64 = 0;
    for part in above.iter().map(|part| part.strip_prefix('x')).chain([Some(*last)]) {
        let digits = part.filter(|digits| digits.len() == 3 && digits.bytes().all(|digit| digit.is_ascii_digit()))?;
        number = number.checked_mul(1_000)?.checked_add(digits.parse().ok()?)?;
    }
    Some(number)
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NotThere { .. } => Self::new(Kind::ResourceNotFound, "TRU-012", said(&error)),
            Error::Stopped(_) => Self::internal("TRU-011", &said(&error)),
            error => Self::internal("TRU-010", &said(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_numbered_as_tlog_tiles_writes_it() {
        assert_eq!(tile_number("067"), Some(67));
        assert_eq!(tile_number("x001/x234/067"), Some(1_234_067));
        for wrong in ["", "67", "x067", "x001/67", "001/067", "x001/x234/0671", "xx01/067", "a67"] {
            assert_eq!(tile_number(wrong), None, "{wrong}");
        }
    }
}
