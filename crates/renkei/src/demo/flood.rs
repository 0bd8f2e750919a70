//! The demo's flood loop: the river gauge, a rule, and a barrier at an underpass that people may close.
//!
//! The barrier is simulated by the demo itself; it gets its commands over HTTP, as a real one would.

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
const BARRIER: &str = "urn:ngsi-ld:FloodBarrier:Minatomachi:Kawabata";
pub const RULE: &str = "flood-underpass";

/// The barrier as a thing of the city, what is commandable of it, and the rule.
pub async fn build(city: &City, address: SocketAddr) -> Result<()> {
    let barrier = json!({
        "id": BARRIER, "type": "FloodBarrier", "scope": "/Minatomachi",
        "name": {"type": "Property", "value": "Kawabata underpass (simulated)"},
        "description": {"type": "Property", "value": "Simulated: a barrier that keeps people out of a flooded underpass"},
        "position": {"type": "Property", "value": "open"},
        "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [142.5058, 34.2226]}},
    });
    feed::upsert(city, &barrier).await?;
    let terms = city.contexts.core();
    let actuator: Actuator = serde_json::from_value(json!({
        "type": terms.expand("FloodBarrier").as_str(), "attribute": terms.expand("setPosition").as_str(),
        "endpoint": format!("http://{address}{BARRIER_DOOR}"), "values": ["open", "closed"], "repeatable": true,
    }))
    .context("The demo's actuator is none")?;
    feed::define(city, DefinitionKind::Actuator, &actuator.id(), serde_json::to_vec(&actuator)?).await?;
    let rule = city_insight::rule::read(RULE_TEXT)?;
    let stored = rule.complete(&|term, _| terms.expand(term), feed::permit(city)?.owner(), city.now())?;
    feed::define(city, DefinitionKind::Rule, RULE, serde_json::to_vec(&stored)?).await
}

/// The river rises above 0.75 m in the demo's first morning.
const RULE_TEXT: &str = "
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
";

/// The simulated barrier: takes a command, moves, reports where it stands, and says so.
pub fn barrier(city: &Arc<City>) -> Operation<Arc<City>> {
    let city = Arc::clone(city);
    let receive = move |WholeBody(body): WholeBody| {
        let city = Arc::clone(&city);
        async move {
            let command: Value = serde_json::from_slice(&body).unwrap_or_default();
            let position = &command["value"];
            let report = json!({
                "id": BARRIER, "type": "FloodBarrier",
                "position": {"type": "Property", "value": position, "observedAt": city.now().to_string()},
            });
            if !position.is_string() || feed::upsert(&city, &report).await.is_err() {
                return (StatusCode::BAD_REQUEST, String::new());
            }
            println!("  barrier  {}  Kawabata underpass (simulated) is {position}", city.now());
            (StatusCode::OK, json!({"outcome": "done", "detail": "simulated barrier"}).to_string())
        }
    };
    Operation::new("demo", "none: ours", "barrier", Method::POST, BARRIER_DOOR, Effect::Open, receive)
}
