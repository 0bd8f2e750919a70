//! What goes to a client: what its session has for it, as far as its permit still lets it out.

use std::time::Duration;

use city_model::{PermitSource, Release};
use city_mqtt::broker::Going;
use city_mqtt::packet::{Ack, AckKind, Packet, Publish};
use city_mqtt::{QoS, Reason, Version};
use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::{Client, End, Wire};

/// So much is written at once; the next is fetched when that is gone.
const BATCH_BYTES: usize = 64 << 10;
/// How often a write that takes long is asked whether it still may.
const LOOK_EVERY: Duration = Duration::from_millis(250);

impl Client {
    /// Sends all that may go now.
    pub async fn deliver<T>(&mut self, wire: &mut Wire<T>) -> Result<(), End>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            let batch = self.batch();
            if batch.is_empty() {
                return Ok(());
            }
            // What its holder may is settled for as long as this is on its way.
            let release = loop {
                self.renew_permit()?;
                if let Some(release) = self.towns.city.trust.release(&self.permit, self.towns.city.now()) {
                    break release;
                }
            };
            write(wire, &batch, &*release).await?;
        }
    }

    fn batch(&mut self) -> Vec<u8> {
        let now = self.towns.city.now().as_micros();
        let mut bytes = Vec::new();
        while bytes.len() < BATCH_BYTES {
            let rights = &self.rights;
            let next =
                self.town.with(|broker| broker.next(&self.name, self.connection, now, |topic| rights.may_get(topic)));
            match next {
                None => break,
                Some(Going::Release { packet_id }) => {
                    let release = Ack::new(AckKind::Pubrel, packet_id, Reason::SUCCESS);
                    bytes.extend(Packet::Ack(release).write(self.version));
                }
                Some(Going::Publish(publish)) => self.put(publish, &mut bytes),
            }
        }
        bytes
    }

    fn put(&mut self, mut publish: Publish, bytes: &mut Vec<u8>) {
        let (packet_id, qos) = (publish.packet_id, publish.message.qos);
        let given = self.shorten(&mut publish);
        let packet = Packet::Publish(publish).write(self.version);
        if packet.len() > self.packet_bytes_max {
            // As if it had been taken (3.1.2.11.4).
            if let Some(topic) = given {
                self.given.remove(&topic);
            }
            if qos != QoS::AtMostOnce {
                self.town.with(|broker| broker.pass_over(&self.name, self.connection, packet_id));
            }
            metrics::counter!("renkei_mqtt_dropped_total").increment(1);
            return;
        }
        metrics::counter!("renkei_mqtt_messages_total", "way" => "out").increment(1);
        bytes.extend(packet);
    }

    /// A number for the topic, or instead of it (3.3.2.3.4); the topic that was given one just now.
    fn shorten(&mut self, publish: &mut Publish) -> Option<std::sync::Arc<str>> {
        if self.version != Version::V5 || self.aliases_max == 0 {
            return None;
        }
        let topic = std::sync::Arc::clone(&publish.message.topic);
        if let Some(alias) = self.given.get(&topic) {
            publish.topic_alias = Some(*alias);
            publish.message.topic = "".into();
            return None;
        }
        let alias = u16::try_from(self.given.len() + 1).ok().filter(|alias| *alias <= self.aliases_max.min(ALIASES))?;
        publish.topic_alias = Some(alias);
        self.given.insert(std::sync::Arc::clone(&topic), alias);
        Some(topic)
    }
}

/// Most topics that are given a number towards a client.
const ALIASES: u16 = 64;

async fn write<T>(wire: &mut Wire<T>, bytes: &[u8], release: &dyn Release) -> Result<(), End>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut writing = std::pin::pin!(wire.write(bytes));
    loop {
        match tokio::time::timeout(LOOK_EVERY, &mut writing).await {
            Ok(written) => return written,
            Err(_) if release.is_cut() => return Err(End::Gone),
            Err(_) => {}
        }
    }
}
