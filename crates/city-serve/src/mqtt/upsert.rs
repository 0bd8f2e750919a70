//! A message under `ngsi-ld/upsert`: entities come in, changes and then the reason of the acknowledgement go out.

use city_context::answers::Results;
use city_model::{Change, Rejected};
use city_mqtt::Reason;

use crate::city::City;
use crate::ngsi_ld;
use crate::problem::Problem;

/// Why a message changed nothing, or not all it was to change.
#[derive(Debug)]
pub struct NotTaken {
    pub reason: Reason,
    pub code: &'static str,
    pub why: String,
}

/// Its entities, each with its own @context or the core one; one that cannot be read refuses the message.
pub async fn changes(city: &City, payload: &[u8]) -> Result<Vec<Change>, NotTaken> {
    let entities = ngsi_ld::entities_of_message(city, payload).await.map_err(|problem| not_read(&problem))?;
    Ok(entities.into_iter().map(|entity| Change::Upsert { entity, update: true }).collect())
}

fn not_read(problem: &Problem) -> NotTaken {
    let is_theirs = problem.status.is_client_error();
    let reason = if is_theirs { Reason::PAYLOAD_FORMAT_INVALID } else { Reason::UNSPECIFIED };
    NotTaken { reason, code: problem.code, why: problem.detail.to_string() }
}

/// What became of the changes; the first that was refused says why.
pub fn taken(results: &Results) -> Result<(), NotTaken> {
    for result in results {
        match result {
            Ok(applied) if applied.not_updated.is_empty() => {}
            Ok(applied) => {
                let names: Vec<String> = applied.not_updated.iter().map(|(name, _)| name.to_string()).collect();
                let why = format!("Attributes were left as they are: {}.", names.join(", "));
                return Err(NotTaken { reason: Reason::IMPLEMENTATION_SPECIFIC, code: "CTX-012", why });
            }
            Err(rejected) => return Err(refused(rejected.clone())),
        }
    }
    Ok(())
}

fn refused(rejected: Rejected) -> NotTaken {
    let problem = Problem::from(rejected);
    let reason = match problem.status.as_u16() {
        401 | 403 | 404 => Reason::NOT_AUTHORIZED,
        507 => Reason::QUOTA_EXCEEDED,
        400 | 422 => Reason::PAYLOAD_FORMAT_INVALID,
        _ => Reason::IMPLEMENTATION_SPECIFIC,
    };
    NotTaken { reason, code: problem.code, why: problem.detail.to_string() }
}
