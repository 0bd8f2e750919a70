//! Commands for machines that are connected to a door of ours: they wait here until the door takes them. The door
//! comes for them; the loop calls no door.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use city_model::{EntityId, Permit, Time};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

/// Commands that wait for the door; those beyond are tried again.
pub const PARCELS_MAX: usize = 256;

/// A command for a device.
#[derive(Debug)]
pub struct Parcel {
    /// The loop's own.
    pub permit: Permit,
    pub device: Box<str>,
    pub command: EntityId,
    pub body: Bytes,
    pub expires_at: Time,
    pub handed: oneshot::Sender<Handed>,
}

/// What became of a parcel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handed {
    /// It is durable that it goes to the device, now or when it comes back.
    Over,
    NotReached(String),
    /// Whether it goes is not known.
    MayHave(String),
}

/// Where parcels wait.
#[derive(Debug)]
pub struct Parcels {
    sender: mpsc::Sender<Parcel>,
    receiver: Mutex<Option<mpsc::Receiver<Parcel>>>,
    has_door: AtomicBool,
}

impl Default for Parcels {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(PARCELS_MAX);
        Self { sender, receiver: Mutex::new(Some(receiver)), has_door: AtomicBool::new(false) }
    }
}

impl Parcels {
    /// For the door that comes for them; there is one.
    pub fn open(&self) -> Option<mpsc::Receiver<Parcel>> {
        let receiver = self.receiver.lock().take();
        self.has_door.fetch_or(receiver.is_some(), Ordering::AcqRel);
        receiver
    }

    /// Lays a command there, and waits for what becomes of it.
    pub async fn send(
        &self,
        permit: Permit,
        device: &str,
        command: &EntityId,
        body: Bytes,
        expires_at: Time,
    ) -> Handed {
        if !self.has_door.load(Ordering::Acquire) {
            return Handed::NotReached("This server takes no messages: start it with --mqtt.".to_owned());
        }
        let (handed, said) = oneshot::channel();
        let (device, command) = (device.into(), command.clone());
        if self.sender.try_send(Parcel { permit, device, command, body, expires_at, handed }).is_err() {
            return Handed::NotReached("Too many commands wait for their machines.".to_owned());
        }
        said.await.unwrap_or_else(|_| Handed::MayHave("The server stops.".to_owned()))
    }
}
