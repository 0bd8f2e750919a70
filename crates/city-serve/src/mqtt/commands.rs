//! Commands of the loop on their way to connected machines, and what these say of them.
//!
//! A command goes under `devices/NAME/commands`, where nobody else may publish; the machine says under
//! `devices/NAME/acknowledgements` what it did. Both are durable before they count.

use std::sync::Arc;

use city_action::control::Outcome;
use city_action::control::parcel::{Handed, Parcel};
use city_model::{EntityId, Permit};
use city_mqtt::broker::From;
use city_mqtt::{Message, QoS, Reason};
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};

use super::town::Asked;
use super::towns::Towns;
use super::upsert::NotTaken;
use crate::city::City;

/// Carries commands until there are no more.
pub async fn carry(towns: Arc<Towns>, mut parcels: mpsc::Receiver<Parcel>) {
    while let Some(parcel) = parcels.recv().await {
        let handed = hand(&towns, &parcel).await;
        // The loop tries again where it is not there to hear.
        let _ = parcel.handed.send(handed);
    }
}

async fn hand(towns: &Towns, parcel: &Parcel) -> Handed {
    let now = towns.city.now().as_micros();
    let left = u32::try_from((parcel.expires_at.as_micros() - now) / 1_000_000).unwrap_or(0);
    if left == 0 {
        return Handed::NotReached("Its time is over.".to_owned());
    }
    let town = match towns.of(&parcel.permit).await {
        Ok(town) => town,
        Err(error) => return Handed::NotReached(error.to_string()),
    };
    let topic = format!("devices/{}/commands", parcel.device);
    let message = Message {
        topic: topic.as_str().into(),
        payload: parcel.body.to_vec().into(),
        qos: QoS::AtLeastOnce,
        retain: false,
        // A machine that comes back later finds no command of yesterday.
        expiry_s: Some(left),
        properties: Vec::new(),
    };
    let (reply, outcome) = oneshot::channel();
    let asked = town.step(|broker| {
        let staged = broker.stage(From { client: "", packet_id: None }, message, now);
        Some(Asked { reply: Some(reply), ..Asked::of(&parcel.permit, staged) })
    });
    if let Err(error) = asked {
        return Handed::NotReached(error.to_string());
    }
    match outcome.await {
        Ok(Ok(done)) if done.matched > 0 => Handed::Over,
        Ok(Ok(_)) => Handed::NotReached(format!("No machine has subscribed to {topic}.")),
        Ok(Err(error)) => Handed::MayHave(error.to_string()),
        Err(_) => Handed::MayHave("The server stops.".to_owned()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Word {
    /// Of the command.
    id: String,
    outcome: String,
    #[serde(default)]
    detail: Option<String>,
}

/// What a machine says of a command; durable when this returns.
pub fn acknowledged(city: &City, permit: &Permit, payload: &[u8]) -> Result<(), NotTaken> {
    let broken = |why: String| NotTaken { reason: Reason::PAYLOAD_FORMAT_INVALID, code: "NLD-001", why };
    let word: Word = serde_json::from_slice(payload).map_err(|error| broken(error.to_string()))?;
    let id = EntityId::parse(&word.id).map_err(|error| broken(error.to_string()))?;
    let outcome = Outcome::parse(&word.outcome).ok_or_else(|| broken("outcome is done or refused.".to_owned()))?;
    let acknowledge = || city.control.acknowledge(permit, &id, outcome, word.detail.as_deref());
    tokio::task::block_in_place(acknowledge).map_err(|error| NotTaken {
        reason: Reason::IMPLEMENTATION_SPECIFIC,
        code: error.code(),
        why: error.to_string(),
    })
}
