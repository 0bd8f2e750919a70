//! Who may publish and subscribe where. Raw messages pass no mask of attributes, so only who sees everything sees
//! them; a device has a place of its own.

use city_model::{Permit, Right};
use city_trust::{Role, Trust};

/// Entities, in NGSI-LD, to be created or updated.
pub const UPSERT: &str = "ngsi-ld/upsert";
/// What is under this is for the server.
const NGSI_LD: &str = "ngsi-ld";
const DEVICES: &str = "devices";
const COMMANDS: &str = "commands";
const ACKNOWLEDGEMENTS: &str = "acknowledgements";

/// What the holder of a permit may do with topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// Sees the whole tenant and operates it.
    everything: bool,
    /// May change entities, as far as their permit goes.
    writes: bool,
    /// The device that it is.
    device: Option<Box<str>>,
}

/// What a message under a topic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Entities to be created or updated.
    Upsert,
    /// For whoever subscribed.
    Topic,
    Refused,
}

impl Rights {
    #[must_use]
    pub fn of(trust: &Trust, permit: &Permit) -> Self {
        let principal = trust.find_principal(permit.tenant(), permit.who());
        let is_device = principal.is_some_and(|principal| principal.roles.contains(&Role::Device));
        let label = trust.label_of(permit.who()).filter(|label| is_device && is_level(label));
        Self {
            everything: permit.sees_everything() && permit.has(Right::Operate),
            writes: permit.has(Right::Write),
            device: label,
        }
    }

    /// Whose a session is: a device's new token goes on with what its old one began.
    #[must_use]
    pub fn owner(&self, permit: &Permit) -> String {
        match &self.device {
            Some(name) => format!("device:{name}"),
            None => permit.who().to_owned(),
        }
    }

    /// Whether there is anything that its holder may do here.
    #[must_use]
    pub fn are_any(&self) -> bool {
        self.everything || self.writes || self.device.is_some()
    }

    /// What a message under this topic would be.
    #[must_use]
    pub fn place(&self, topic: &str) -> Place {
        let mut levels = topic.split('/');
        let (first, second, third) = (levels.next(), levels.next(), levels.next());
        if topic == UPSERT {
            return if self.writes { Place::Upsert } else { Place::Refused };
        }
        // Only the loop commands, and only the server speaks of itself.
        let is_command = first == Some(DEVICES) && third == Some(COMMANDS);
        if topic.starts_with('$') || first == Some(NGSI_LD) || is_command {
            return Place::Refused;
        }
        let is_own = first == Some(DEVICES) && second.is_some() && second == self.device.as_deref();
        if self.everything || is_own { Place::Topic } else { Place::Refused }
    }

    /// Whether a message under this topic is a machine's word on a command.
    #[must_use]
    pub fn acknowledges(&self, topic: &str) -> bool {
        let rest = topic.strip_prefix(DEVICES).and_then(|rest| rest.strip_prefix('/'));
        let device = rest.and_then(|rest| rest.strip_suffix(ACKNOWLEDGEMENTS)?.strip_suffix('/'));
        device.is_some_and(is_level) && self.writes && self.place(topic) == Place::Topic
    }

    /// Whether a message under this topic may go to the sources that claim it. A device's place is its own, whatever a
    /// source claims of it.
    #[must_use]
    pub fn may_report(&self, topic: &str) -> bool {
        match topic.split('/').next() {
            Some(DEVICES) => self.place(topic) == Place::Topic && self.writes,
            Some(NGSI_LD) => false,
            _ => self.writes && !topic.starts_with('$'),
        }
    }

    /// Whether it may subscribe to a filter, a group's name left out.
    #[must_use]
    pub fn may_subscribe(&self, path: &str) -> bool {
        let mut levels = path.split('/');
        self.everything
            || (levels.next() == Some(DEVICES) && self.device.as_deref().is_some_and(|own| levels.next() == Some(own)))
    }

    /// Whether a message under this topic may go to it.
    #[must_use]
    pub fn may_get(&self, topic: &str) -> bool {
        self.may_subscribe(topic)
    }
}

/// Whether a name can stand as one level of a topic.
fn is_level(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', '+', '#', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_its_own_place_and_nobody_commands() {
        let device = Rights { everything: false, writes: true, device: Some("meter-7".into()) };
        let operator = Rights { everything: true, writes: true, device: None };
        let developer = Rights { everything: false, writes: false, device: None };
        for (topic, of_device, of_operator, of_developer) in [
            ("ngsi-ld/upsert", Place::Upsert, Place::Upsert, Place::Refused),
            ("ngsi-ld/other", Place::Refused, Place::Refused, Place::Refused),
            ("devices/meter-7/up", Place::Topic, Place::Topic, Place::Refused),
            ("devices/meter-7/acks", Place::Topic, Place::Topic, Place::Refused),
            ("devices/meter-8/up", Place::Refused, Place::Topic, Place::Refused),
            ("devices", Place::Refused, Place::Topic, Place::Refused),
            ("devices/meter-7/commands", Place::Refused, Place::Refused, Place::Refused),
            ("devices/meter-7/commands/open", Place::Refused, Place::Refused, Place::Refused),
            ("$SYS/broker", Place::Refused, Place::Refused, Place::Refused),
            ("square/lamps", Place::Refused, Place::Topic, Place::Refused),
        ] {
            assert_eq!(device.place(topic), of_device, "{topic}");
            assert_eq!(operator.place(topic), of_operator, "{topic}");
            assert_eq!(developer.place(topic), of_developer, "{topic}");
        }
        for (topic, of_device, of_operator) in [
            ("gauges/7/level", true, true),
            ("devices/meter-7/up", true, true),
            ("devices/meter-8/up", false, true),
            ("devices/meter-7/commands", false, false),
            ("ngsi-ld/upsert", false, false),
            ("$SYS/x", false, false),
        ] {
            assert_eq!(device.may_report(topic), of_device, "{topic}");
            assert_eq!(operator.may_report(topic), of_operator, "{topic}");
            assert!(!developer.may_report(topic), "{topic}");
        }
        for (filter, may) in [
            ("devices/meter-7/#", true),
            ("devices/meter-7/commands/+", true),
            ("devices/+/commands", false),
            ("devices/#", false),
            ("#", false),
            ("+/meter-7/#", false),
            ("devices/meter-70/#", false),
        ] {
            assert_eq!(device.may_subscribe(filter), may, "{filter}");
            assert!(operator.may_subscribe(filter) && !developer.may_subscribe(filter), "{filter}");
        }
        assert!(!developer.are_any());
    }
}
