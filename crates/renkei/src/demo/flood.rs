//! The demo's flood loop: river gauges, a rule for each, and barriers that people may close.
//!
//! The barriers are simulated by the demo itself; they get their commands over HTTP, as real ones would.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use city_action::control::actuator::Actuator;
use city_model::DefinitionKind;
use city_serve::doors::{Effect, Operation};
use city_serve::{City, WholeBody};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::feed;

/// Where the barrier takes its commands.
const BARRIER_DOOR: &str = "/demo/barrier";
/// A barrier, what it keeps people from, and the gauge that tells when.
struct Place {
    barrier: &'static str,
    name: &'static str,
    at: [f64; 2],
    rule: &'static str,
}

/// The river rises above both levels in the demo's first morning.
const PLACES: [Place; 2] = [
    Place {
        barrier: "urn:ngsi-ld:FloodBarrier:Minatomachi:Kawabata",
        name: "Kawabata underpass (simulated)",
        at: [142.5058, 34.2226],
        rule: "
name: flood-underpass
watch: WaterObserved
ids: [urn:ngsi-ld:WaterObserved:Minatomachi:Upper]
when: waterLevel > 0.75
until: waterLevel < 0.65
suggest:
  what: Close the Kawabata underpass (simulated)
  why: The upper gauge stands at {waterLevel} m, above 0.75 m; the underpass floods at 0.9 m.
  do:
    - set: setPosition
      of: urn:ngsi-ld:FloodBarrier:Minatomachi:Kawabata
      to: closed
  within: PT2H
  expects: Nobody drives into the underpass while it floods.
  alternatives: [Send a patrol to close it by hand]
  measure:
    attribute: waterLevel
    after: PT30M
",
    },
    Place {
        barrier: "urn:ngsi-ld:FloodBarrier:Minatomachi:Quay",
        name: "Quay promenade (simulated)",
        at: [142.5021, 34.2016],
        rule: "
name: flood-quay
watch: WaterObserved
ids: [urn:ngsi-ld:WaterObserved:Minatomachi:Mouth]
when: waterLevel > 0.7
until: waterLevel < 0.6
suggest:
  what: Close the quay promenade (simulated)
  why: The mouth gauge stands at {waterLevel} m, above 0.7 m; waves reach the promenade at 0.8 m.
  do:
    - set: setPosition
      of: urn:ngsi-ld:FloodBarrier:Minatomachi:Quay
      to: closed
  within: PT4H
  expects: Nobody walks where the waves reach.
  measure:
    attribute: waterLevel
    after: PT1H
",
    },
];

/// The barriers as things of the city, what is commandable of them, and the rules.
pub async fn build(city: &City, address: SocketAddr) -> Result<()> {
    let terms = city.contexts.core();
    let actuator: Actuator = serde_json::from_value(json!({
        "type": terms.expand("FloodBarrier").as_str(), "attribute": terms.expand("setPosition").as_str(),
        "endpoint": format!("http://{address}{BARRIER_DOOR}"), "values": ["open", "closed"], "repeatable": true,
    }))
    .context("The demo's actuator is none")?;
    feed::define(city, DefinitionKind::Actuator, &actuator.id(), serde_json::to_vec(&actuator)?).await?;
    for Place { barrier, name, at, rule } in &PLACES {
        let thing = json!({
            "id": barrier, "type": "FloodBarrier", "scope": "/Minatomachi",
            "name": {"type": "Property", "value": name},
            "description": {"type": "Property", "value": "Simulated: a barrier that keeps people out where it floods"},
            "position": {"type": "Property", "value": "open"},
            "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": at}},
        });
        feed::upsert(city, &thing).await?;
        let rule = city_insight::rule::read(rule)?;
        let stored = rule.complete(&|term, _| terms.expand(term), feed::permit(city)?.owner(), city.now())?;
        feed::define(city, DefinitionKind::Rule, &stored.text.name, serde_json::to_vec(&stored)?).await?;
    }
    Ok(())
}

/// The simulated barrier: takes a command, moves, reports where it stands, and says so.
pub fn barrier(city: &Arc<City>) -> Operation<Arc<City>> {
    let city = Arc::clone(city);
    let receive = move |WholeBody(body): WholeBody| {
        let city = Arc::clone(&city);
        async move {
            let command: Value = serde_json::from_slice(&body).unwrap_or_default();
            let position = &command["value"];
            let Some(place) = PLACES.iter().find(|place| command["target"] == place.barrier) else {
                return (StatusCode::NOT_FOUND, String::new());
            };
            let report = json!({
                "id": place.barrier, "type": "FloodBarrier",
                "position": {"type": "Property", "value": position, "observedAt": city.now().to_string()},
            });
            if !position.is_string() || feed::upsert(&city, &report).await.is_err() {
                return (StatusCode::BAD_REQUEST, String::new());
            }
            println!("  barrier  {}  {} is {position}", city.now(), place.name);
            (StatusCode::OK, json!({"outcome": "done", "detail": "simulated barrier"}).to_string())
        }
    };
    Operation::new("demo", "none: ours", "barrier", Method::POST, BARRIER_DOOR, Effect::Open, receive)
}
