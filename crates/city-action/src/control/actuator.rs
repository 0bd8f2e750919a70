//! How commands of an attribute get to its machine: what may be sent, where to, and what a repeat does there.
//!
//! An administrator defines it; from then on the attribute is commandable, and nothing but a decision moves it.

use city_model::vocabulary::NAMESPACE;
use city_model::{EntityId, Name, Value};
use city_ngsi_ld::plain;
use serde::{Deserialize, Serialize};

/// How long a target may take to answer, unless its actuator says otherwise.
pub const TIMEOUT_S: u32 = 30;
/// How long after the decision a command may still be sent, unless its actuator says otherwise.
pub const LIFETIME_S: u32 = 600;
/// Longest that an actuator may ask for: a command of yesterday is another decision.
pub const LIFETIME_S_MAX: u32 = 86_400;
/// Most values that an actuator may list.
pub const VALUES_MAX: usize = 100;
/// How an endpoint on MQTT begins.
const MQTT: &str = "mqtt:";
/// Most persons that it may ask for.
pub const PERSONS_MAX: u8 = 2;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Actuator {
    /// Full name.
    #[serde(rename = "type")]
    pub kind: Box<str>,
    /// Full name.
    pub attribute: Box<str>,
    /// Commands are posted here.
    pub endpoint: Box<str>,
    /// What may be set; empty means any value within the bounds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<f64>,
    #[serde(default = "timeout")]
    pub timeout_seconds: u32,
    #[serde(default = "lifetime")]
    pub lifetime_seconds: u32,
    /// The target tells a repeat by its id and does it once. Else a command whose fate is not known is never
    /// sent again; a person is asked.
    #[serde(default)]
    pub repeatable: bool,
    /// How many persons must approve.
    #[serde(default = "one")]
    pub persons: u8,
}

fn timeout() -> u32 {
    TIMEOUT_S
}

fn lifetime() -> u32 {
    LIFETIME_S
}

fn one() -> u8 {
    1
}

impl Actuator {
    /// As it stands in the journal.
    #[must_use]
    pub fn id(&self) -> String {
        actuator_id(&self.kind, &self.attribute)
    }

    /// The device that commands go to over MQTT: the endpoint is `mqtt:devices/NAME/commands`.
    #[must_use]
    pub fn device(&self) -> Option<&str> {
        let name = self.endpoint.strip_prefix(MQTT)?.strip_prefix("devices/")?.strip_suffix("/commands")?;
        (!name.is_empty() && !name.contains(['/', '+', '#', '\0'])).then_some(name)
    }

    /// Refuses what makes no sense, and says why.
    pub fn check(&self) -> Result<(), String> {
        if self.endpoint.starts_with(MQTT) {
            if self.device().is_none() {
                return Err("endpoint: over MQTT it is mqtt:devices/NAME/commands.".to_owned());
            }
            if !self.repeatable {
                return Err("repeatable: a message may come again, so that a machine on MQTT must tell repeats by \
                            their id."
                    .to_owned());
            }
        }
        if self.kind.starts_with(NAMESPACE) {
            return Err("type: what the loop writes itself cannot be commanded.".to_owned());
        }
        if self.values.len() > VALUES_MAX {
            return Err(format!("values: there may be {VALUES_MAX} at most; use minimum and maximum."));
        }
        if !(1..=3_600).contains(&self.timeout_seconds) {
            return Err("timeoutSeconds: it must be 1 to 3600.".to_owned());
        }
        if !(1..=LIFETIME_S_MAX).contains(&self.lifetime_seconds) {
            return Err(format!("lifetimeSeconds: it must be 1 to {LIFETIME_S_MAX}."));
        }
        if !(1..=PERSONS_MAX).contains(&self.persons) {
            return Err(format!("persons: it must be 1 to {PERSONS_MAX}."));
        }
        if let (Some(minimum), Some(maximum)) = (self.minimum, self.maximum)
            && minimum > maximum
        {
            return Err("minimum is above maximum.".to_owned());
        }
        Ok(())
    }

    /// Whether a value may be commanded, or why not.
    pub fn admits(&self, target: &EntityId, attribute: &Name, value: &Value) -> Result<(), String> {
        let refused =
            |what: String| Err(format!("{attribute} of {target} cannot be set to {}: {what}.", plain::of(value)));
        if value.is_ngsi_ld_null() || *value == Value::Null {
            return refused("that is no value".to_owned());
        }
        if !self.values.is_empty() && !self.values.iter().any(|own| plain::value(own) == *value) {
            let values: Vec<String> = self.values.iter().map(ToString::to_string).collect();
            return refused(format!("it takes {}", values.join(", ")));
        }
        if self.minimum.is_none() && self.maximum.is_none() {
            return Ok(());
        }
        match value.as_f64() {
            None => refused("it takes a number".to_owned()),
            Some(number) if number.is_nan() => refused("it takes a number".to_owned()),
            Some(number) if self.minimum.is_some_and(|minimum| number < minimum) => {
                refused(format!("it is at least {}", self.minimum.unwrap_or_default()))
            }
            Some(number) if self.maximum.is_some_and(|maximum| number > maximum) => {
                refused(format!("it is at most {}", self.maximum.unwrap_or_default()))
            }
            Some(_) => Ok(()),
        }
    }
}

/// The id of the actuator of an attribute of a type.
#[must_use]
pub fn actuator_id(kind: &str, attribute: &str) -> String {
    format!("{kind} {attribute}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actuator(extra: &str) -> Actuator {
        let text = format!("{{\"type\":\"urn:t\",\"attribute\":\"urn:a\",\"endpoint\":\"http://127.0.0.1/\"{extra}}}");
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn only_values_within_its_bounds_are_admitted() {
        let (target, attribute) = (EntityId::parse("urn:x:1").unwrap(), Name::parse("urn:a").unwrap());
        let admits = |actuator: &Actuator, value: Value| actuator.admits(&target, &attribute, &value).is_ok();
        let gate = actuator(",\"values\":[\"open\",\"closed\"]");
        assert!(
            admits(&gate, Value::text("open")) && !admits(&gate, Value::text("ajar")) && !admits(&gate, Value::Int(1))
        );
        let pump = actuator(",\"minimum\":0,\"maximum\":100");
        assert!(
            admits(&pump, Value::Int(100)) && !admits(&pump, Value::Float(100.1)) && !admits(&pump, Value::text("5"))
        );
        assert!(
            admits(&pump, Value::Int(0)) && !admits(&pump, Value::Int(-1)) && !admits(&pump, Value::Float(f64::NAN))
        );
    }

    #[test]
    fn an_endpoint_on_mqtt_names_a_device_that_tells_repeats() {
        let on_mqtt = |endpoint: &str, repeatable| Actuator { endpoint: endpoint.into(), repeatable, ..actuator("") };
        let gate = on_mqtt("mqtt:devices/gate-7/commands", true);
        assert!(gate.check().is_ok() && gate.device() == Some("gate-7"));
        assert!(on_mqtt("mqtt:devices/gate-7/commands", false).check().is_err());
        for wrong in
            ["mqtt:devices//commands", "mqtt:devices/+/commands", "mqtt:gates/7/commands", "mqtt:devices/a/b/commands"]
        {
            assert!(on_mqtt(wrong, true).check().is_err(), "{wrong}");
        }
        assert_eq!(actuator("").device(), None);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(actuator("").check().is_ok());
        for wrong in
            [",\"persons\":0", ",\"timeoutSeconds\":0", ",\"lifetimeSeconds\":86401", ",\"minimum\":2,\"maximum\":1"]
        {
            assert!(actuator(wrong).check().is_err(), "{wrong}");
        }
    }
}
