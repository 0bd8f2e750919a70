//! What a client's packets do, and how they are answered once that is durable.

use std::sync::Arc;

use city_context::Error;
use city_ingest::source::{Taking, Told};
use city_model::Change;
use city_mqtt::broker::{AfterAck, From, RECEIVED_MAX, Staged};
use city_mqtt::packet::{Ack, AckKind, Options, Packet, Publish, Suback, Subscribe, Unsubscribe};
use city_mqtt::topic::Filter;
use city_mqtt::{Broker, Message, Property, QoS, Reason, Version};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::commands;
use super::connection::{Client, End, Wire};
use super::feed::{Fed, rejected};
use super::greeting::reason_of;
use super::rights::Place;
use super::town::{Asked, Outcome};
use super::upsert::{self, NotTaken};
use super::{ALIASES_MAX, BUSY_WAIT_MAX, PENDING_MAX};

/// Between two tries to get a place in the queue of the commit thread.
const BUSY_PAUSE: std::time::Duration = std::time::Duration::from_millis(5);
/// Longest reason in words.
const REASON_BYTES_MAX: usize = 512;

/// A packet that is answered once its step is durable.
pub struct Awaited {
    pub outcome: oneshot::Receiver<Outcome>,
    then: Then,
}

/// What a message was for.
enum What {
    Topic,
    Upsert,
    /// For sources: why one has rejected it, and where it will stand what became of it at the last.
    Fed(Option<NotTaken>, Option<(Box<str>, Told)>),
}

/// How a packet is answered.
enum Then {
    /// A message of this QoS.
    Published {
        qos: QoS,
        packet_id: u16,
        what: What,
    },
    Acked(Ack),
    Subscribed {
        suback: Suback,
        new: Vec<Box<str>>,
    },
    Unsubscribed(Suback),
}

impl Client {
    /// Takes one packet; what is answered at once.
    pub async fn take(&mut self, packet: Packet) -> Result<Option<Packet>, End> {
        self.renew_permit()?;
        match packet {
            Packet::Publish(publish) => self.publish(publish).await,
            Packet::Ack(ack) => self.acknowledge(ack).await,
            Packet::Subscribe(subscribe) => self.subscribe(subscribe).await.map(|()| None),
            Packet::Unsubscribe(unsubscribe) => self.unsubscribe(unsubscribe).await.map(|()| None),
            Packet::Pingreq => Ok(Some(Packet::Pingresp)),
            Packet::Disconnect(disconnect) => {
                for property in &disconnect.properties {
                    if let Property::SessionExpiry(seconds) = property {
                        // 3.14.2.2.2: a session that was to end with the connection does.
                        if self.session_expiry_s == 0 && *seconds > 0 {
                            return Err(End::Because(Reason::PROTOCOL_ERROR));
                        }
                        self.session_expiry_s = (*seconds).min(super::SESSION_EXPIRY_MAX_S);
                    }
                }
                Err(End::Left { with_will: disconnect.reason == Reason::DISCONNECT_WITH_WILL })
            }
            // A second CONNECT, or what only a server says.
            _ => Err(End::Because(Reason::PROTOCOL_ERROR)),
        }
    }

    async fn publish(&mut self, publish: Publish) -> Result<Option<Packet>, End> {
        let Publish { packet_id, topic_alias, subscription_ids, mut message, .. } = publish;
        if !subscription_ids.is_empty() {
            return Err(End::Because(Reason::PROTOCOL_ERROR));
        }
        self.find_topic(topic_alias, &mut message)?;
        metrics::counter!("renkei_mqtt_messages_total", "way" => "in").increment(1);
        let qos = message.qos;
        if qos == QoS::ExactlyOnce && self.town.with(|broker| broker.has_received(&self.name, packet_id)) {
            // The same again: it is said again that it came, after what is said of the first.
            let ack = Ack::new(AckKind::Pubrec, packet_id, Reason::SUCCESS);
            self.step(Then::Acked(ack), |_| Some((Vec::new(), Staged::default()))).await?;
            return Ok(None);
        }
        if qos != QoS::AtMostOnce && self.has_sent_too_much() {
            return Err(End::Because(Reason::RECEIVE_MAXIMUM_EXCEEDED));
        }
        if self.rights.acknowledges(&message.topic) {
            return match commands::acknowledged(&self.towns.city, &self.permit, &message.payload) {
                Ok(()) => self.change(qos, packet_id, Vec::new(), What::Fed(None, None)).await.map(|()| None),
                Err(not) => self.not_taken(qos, packet_id, not),
            };
        }
        if self.rights.may_report(&message.topic) {
            let claiming = self.towns.city.sources.claims(self.permit.tenant(), &message.topic);
            let (sources, roles) = (&self.towns.city.sources, self.towns.city.trust.roles_of(&self.permit));
            // A source that is gone meanwhile takes nothing, and says so.
            if claiming.iter().any(|name| !sources.may_send(&self.permit, name, &roles).unwrap_or(true)) {
                return self.refuse(qos, packet_id, Reason::NOT_AUTHORIZED);
            }
            if !claiming.is_empty() {
                return match self.feed(packet_id, &message, &claiming).await? {
                    Ok(()) => Ok(None),
                    Err(reason) => self.refuse(qos, packet_id, reason),
                };
            }
        }
        let refused = match self.rights.place(&message.topic) {
            Place::Refused => Some(Reason::NOT_AUTHORIZED),
            Place::Topic if message.retain && !self.town.with(|broker| broker.may_retain(&message)) => {
                Some(Reason::QUOTA_EXCEEDED)
            }
            Place::Topic => {
                self.tell(packet_id, message).await?;
                None
            }
            Place::Upsert => match upsert::changes(&self.towns.city, &message.payload).await {
                Ok(changes) => {
                    self.change(qos, packet_id, changes, What::Upsert).await?;
                    None
                }
                Err(not) => return self.not_taken(qos, packet_id, not),
            },
        };
        refused.map_or(Ok(None), |reason| self.refuse(qos, packet_id, reason))
    }

    /// Whether the client has as much under way as it was told it may (3.3.4), or more than there is room for.
    fn has_sent_too_much(&self) -> bool {
        let received = self.town.with(|broker| broker.received(&self.name));
        let is_qos_1 = |awaited: &&Awaited| matches!(awaited.then, Then::Published { qos: QoS::AtLeastOnce, .. });
        let waiting = self.awaited.iter().filter(is_qos_1).count();
        match self.version {
            Version::V5 => received + waiting >= PENDING_MAX,
            Version::V311 => received >= RECEIVED_MAX,
        }
    }

    /// The topic that a number stands for (3.3.2.3.4).
    fn find_topic(&mut self, alias: Option<u16>, message: &mut Message) -> Result<(), End> {
        let Some(alias) = alias else { return Ok(()) };
        if alias == 0 || alias > ALIASES_MAX {
            return Err(End::Because(Reason::TOPIC_ALIAS_INVALID));
        }
        if message.topic.is_empty() {
            let known = self.aliases.get(&alias).ok_or(End::Because(Reason::PROTOCOL_ERROR))?;
            message.topic = Arc::clone(known);
        } else {
            self.aliases.insert(alias, Arc::clone(&message.topic));
        }
        Ok(())
    }

    /// A message for whoever subscribed.
    async fn tell(&mut self, packet_id: u16, message: Message) -> Result<(), End> {
        let (qos, now) = (message.qos, self.towns.city.now().as_micros());
        let name = Arc::clone(&self.name);
        let received = (qos == QoS::ExactlyOnce).then_some(packet_id);
        let then = Then::Published { qos, packet_id, what: What::Topic };
        self.step(then, |broker| {
            let from = From { client: &name, packet_id: received };
            Some((Vec::new(), broker.stage(from, message.clone(), now)))
        })
        .await
    }

    /// A message for sources. What the last of them writes is written with the message's identifier, so that it is
    /// taken once, whatever happens; those before it may take it again where that fails.
    async fn feed(
        &mut self,
        packet_id: u16,
        message: &Message,
        claiming: &[Box<str>],
    ) -> Result<Result<(), Reason>, End> {
        let (city, permit) = (Arc::clone(&self.towns.city), self.permit.clone());
        let (topic, payload) = (&*message.topic, &*message.payload);
        let fed = |source| Fed { city: &city, permit: &permit, source, topic, payload };
        let Some((last, others)) = claiming.split_last() else { return Ok(Ok(())) };
        let mut not = None;
        for source in others {
            match fed(source).take().await {
                Ok(rejected) => not = not.or(rejected),
                Err(reason) => return Ok(Err(reason)),
            }
        }
        let Taking { permit, changes, cause, also, told } = match fed(last).read().await {
            Ok(Some(taking)) => taking,
            Ok(None) => return self.change(message.qos, packet_id, Vec::new(), What::Fed(not, None)).await.map(Ok),
            Err(reason) => return Ok(Err(reason)),
        };
        let (name, qos) = (Arc::clone(&self.name), message.qos);
        let received = (qos == QoS::ExactlyOnce).then_some(packet_id);
        let until = Instant::now() + BUSY_WAIT_MAX;
        let mut offered = (changes, cause, also);
        loop {
            let (reply, outcome) = oneshot::channel();
            let stage = |broker: &mut Broker| broker.stage_received(From { client: &name, packet_id: received });
            match self.town.feed(&permit, offered, stage, reply) {
                Ok(()) => {
                    let then = Then::Published { qos, packet_id, what: What::Fed(not, Some((last.clone(), told))) };
                    self.awaited.push_back(Awaited { outcome, then });
                    return Ok(Ok(()));
                }
                Err(back) if Instant::now() < until => offered = *back,
                Err(_) => {
                    told.fail();
                    return Err(End::Because(reason_of(&Error::Busy)));
                }
            }
            tokio::time::sleep(BUSY_PAUSE).await;
        }
    }

    /// A message for the context.
    async fn change(&mut self, qos: QoS, packet_id: u16, changes: Vec<Change>, what: What) -> Result<(), End> {
        let name = Arc::clone(&self.name);
        let received = (qos == QoS::ExactlyOnce).then_some(packet_id);
        self.step(Then::Published { qos, packet_id, what }, |broker| {
            let staged = broker.stage_received(From { client: &name, packet_id: received });
            Some((changes.clone(), staged))
        })
        .await
    }

    /// Asks for a step, and again while there is no place for it.
    async fn step(
        &mut self,
        then: Then,
        stage: impl Fn(&mut Broker) -> Option<(Vec<Change>, Staged)>,
    ) -> Result<(), End> {
        let until = Instant::now() + BUSY_WAIT_MAX;
        loop {
            let (reply, outcome) = oneshot::channel();
            let permit = self.permit.clone();
            let asked = self.town.step(|broker| {
                let (changes, staged) = stage(broker)?;
                Some(Asked { changes, reply: Some(reply), ..Asked::of(&permit, staged) })
            });
            match asked {
                Ok(true) => {
                    self.awaited.push_back(Awaited { outcome, then });
                    return Ok(());
                }
                Ok(false) => return Ok(()),
                Err(Error::Busy) if Instant::now() < until => tokio::time::sleep(BUSY_PAUSE).await,
                Err(error) => return Err(End::Because(reason_of(&error))),
            }
        }
    }

    /// A message that may not be published here: a client of 3.1.1 can only be told by ending (3.3.5).
    fn refuse(&self, qos: QoS, packet_id: u16, reason: Reason) -> Result<Option<Packet>, End> {
        crate::metering::mqtt_refused("messages");
        match (qos, self.version) {
            (QoS::AtMostOnce, _) => Ok(None),
            (_, Version::V311) => Err(End::Because(reason)),
            (QoS::AtLeastOnce, Version::V5) => Ok(Some(Packet::Ack(Ack::new(AckKind::Puback, packet_id, reason)))),
            (QoS::ExactlyOnce, Version::V5) => Ok(Some(Packet::Ack(Ack::new(AckKind::Pubrec, packet_id, reason)))),
        }
    }

    /// A message that holds nothing that can be taken. Sending it again would not help, so it is acknowledged: with
    /// the reason where the client can be told.
    fn not_taken(&self, qos: QoS, packet_id: u16, not: NotTaken) -> Result<Option<Packet>, End> {
        self.note(&not);
        Ok(self.ack_of(qos, packet_id, Some(not)))
    }

    fn note(&self, not: &NotTaken) {
        metrics::counter!("renkei_mqtt_not_taken_total").increment(1);
        // What stands in it may be about a person; the code is not.
        tracing::info!(client = &*self.name, code = not.code, "a message was not taken");
    }

    fn ack_of(&self, qos: QoS, packet_id: u16, not: Option<NotTaken>) -> Option<Packet> {
        let kind = match qos {
            QoS::AtMostOnce => return None,
            QoS::AtLeastOnce => AckKind::Puback,
            QoS::ExactlyOnce => AckKind::Pubrec,
        };
        let mut ack = Ack::new(kind, packet_id, Reason::SUCCESS);
        if let Some(not) = not {
            ack.reason = not.reason;
            if self.wants_reasons {
                let text = format!("{} {}", not.code, not.why).trim_start().to_owned();
                let end = text.floor_char_boundary(REASON_BYTES_MAX);
                ack.properties.push(Property::ReasonText(text[..end].into()));
            }
        }
        Some(Packet::Ack(ack))
    }

    async fn acknowledge(&mut self, ack: Ack) -> Result<Option<Packet>, End> {
        let (name, connection, packet_id) = (Arc::clone(&self.name), self.connection, ack.packet_id);
        if ack.kind == AckKind::Pubrel {
            let known = self.town.with(|broker| broker.has_received(&name, packet_id));
            let reason = if known { Reason::SUCCESS } else { Reason::PACKET_ID_NOT_FOUND };
            let then = Then::Acked(Ack::new(AckKind::Pubcomp, packet_id, reason));
            self.step(then, |broker| {
                let rows = broker.release(&name, packet_id).unwrap_or_default();
                Some((Vec::new(), Staged::of(rows)))
            })
            .await?;
            return Ok(None);
        }
        match self.town.with(|broker| broker.acknowledge(&name, connection, &ack)) {
            AfterAck::Nothing => Ok(None),
            AfterAck::Release(rows) => {
                let then = Then::Acked(Ack::new(AckKind::Pubrel, packet_id, Reason::SUCCESS));
                self.step(then, |_| Some((Vec::new(), Staged::of(rows.clone())))).await?;
                Ok(None)
            }
            // It may be of an earlier life of the session; PUBREC wants its PUBREL all the same.
            AfterAck::Unknown if ack.kind == AckKind::Pubrec && !ack.reason.is_error() => {
                Ok(Some(Packet::Ack(Ack::new(AckKind::Pubrel, packet_id, Reason::PACKET_ID_NOT_FOUND))))
            }
            AfterAck::Unknown => Ok(None),
        }
    }

    async fn subscribe(&mut self, subscribe: Subscribe) -> Result<(), End> {
        let Subscribe { packet_id, filters, properties } = subscribe;
        let id = properties.iter().find_map(|property| match property {
            Property::SubscriptionId(id) => Some(*id),
            _ => None,
        });
        for (filter, options) in &filters {
            // 3.8.3.1: a group shares what its own members publish, too.
            if options.no_local && filter.starts_with("$share/") {
                return Err(End::Because(Reason::PROTOCOL_ERROR));
            }
        }
        let (name, now) = (Arc::clone(&self.name), self.towns.city.now().as_micros());
        let allowed: Vec<Result<Options, Reason>> =
            filters.iter().map(|(filter, options)| self.may_subscribe(filter).map(|()| *options)).collect();
        let known = self.town.with(|broker| broker.filters(&name));
        let mut reasons = Vec::new();
        let mut new = Vec::new();
        for ((filter, _), allowed) in filters.iter().zip(&allowed) {
            let room = known.len() + new.len() < city_mqtt::broker::SUBSCRIPTIONS_MAX;
            reasons.push(match allowed {
                Ok(_) if !known.contains(filter) && !room => Reason::QUOTA_EXCEEDED,
                Ok(options) => {
                    if !known.contains(filter) {
                        new.push(filter.clone());
                    }
                    Reason(options.qos.number())
                }
                Err(reason) => *reason,
            });
        }
        let granted: Vec<(&Box<str>, Options)> = filters
            .iter()
            .zip(&reasons)
            .filter(|(_, reason)| !reason.is_error())
            .map(|((filter, options), _)| (filter, *options))
            .collect();
        let suback = Suback { packet_id, reasons: reasons.clone(), properties: Vec::new() };
        self.step(Then::Subscribed { suback, new }, |broker| {
            let mut staged = Staged::default();
            for (filter, options) in &granted {
                staged.add(broker.subscribe(&name, filter, *options, id, now).unwrap_or_default());
            }
            Some((Vec::new(), staged))
        })
        .await
    }

    fn may_subscribe(&self, filter: &str) -> Result<(), Reason> {
        let parsed = Filter::parse(filter).map_err(|_| Reason::TOPIC_FILTER_INVALID)?;
        if self.rights.may_subscribe(parsed.path) { Ok(()) } else { Err(Reason::NOT_AUTHORIZED) }
    }

    /// Subscriptions of a session that its owner may not have any more.
    pub fn forget_filters_that_may_not_be(&mut self) -> Result<(), End> {
        let filters = self.town.with(|broker| broker.filters(&self.name));
        let gone: Vec<Box<str>> = filters.into_iter().filter(|filter| self.may_subscribe(filter).is_err()).collect();
        if gone.is_empty() {
            return Ok(());
        }
        let asked = self.town.step(|broker| {
            let rows = gone.iter().filter_map(|filter| broker.unsubscribe(&self.name, filter)).flatten().collect();
            let staged = Staged::of(rows);
            Some(Asked::of(&self.permit, staged))
        });
        asked.map(drop).map_err(|error| End::Because(reason_of(&error)))
    }

    async fn unsubscribe(&mut self, unsubscribe: Unsubscribe) -> Result<(), End> {
        let Unsubscribe { packet_id, filters, .. } = unsubscribe;
        let name = Arc::clone(&self.name);
        let known = self.town.with(|broker| broker.filters(&name));
        let reasons = filters.iter().map(|filter| match (Filter::parse(filter), known.contains(filter)) {
            (Err(_), _) => Reason::TOPIC_FILTER_INVALID,
            (Ok(_), true) => Reason::SUCCESS,
            (Ok(_), false) => Reason::NO_SUBSCRIPTION_EXISTED,
        });
        let unsuback = Suback { packet_id, reasons: reasons.collect(), properties: Vec::new() };
        self.step(Then::Unsubscribed(unsuback), |broker| {
            let rows = filters.iter().filter_map(|filter| broker.unsubscribe(&name, filter)).flatten().collect();
            Some((Vec::new(), Staged::of(rows)))
        })
        .await
    }

    /// Answers the packet whose step is over, and those behind it that are, too.
    pub async fn answer<T>(&mut self, outcome: Outcome, wire: &mut Wire<T>) -> Result<(), End>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let mut bytes = Vec::new();
        let mut outcome = Some(outcome);
        while let Some(done) = outcome.take() {
            let Some(Awaited { then, .. }) = self.awaited.pop_front() else { break };
            match self.answer_of(then, done) {
                Ok(Some(packet)) => bytes.extend(packet.write(self.version)),
                Ok(None) => {}
                Err(end) => {
                    // What was promised before is said before.
                    wire.write(&bytes).await?;
                    return Err(end);
                }
            }
            outcome = self.awaited.front_mut().and_then(|next| next.outcome.try_recv().ok());
        }
        if bytes.is_empty() { Ok(()) } else { wire.write(&bytes).await }
    }

    fn answer_of(&mut self, then: Then, outcome: Outcome) -> Result<Option<Packet>, End> {
        match (then, outcome) {
            (Then::Published { qos, packet_id, what }, Ok(done)) => {
                let is_unheard = matches!(what, What::Topic) && done.matched == 0 && self.version == Version::V5;
                let not = match what {
                    What::Topic => None,
                    What::Upsert => upsert::taken(&done.results).err(),
                    What::Fed(not, None) => not,
                    What::Fed(not, Some((source, told))) => {
                        not.or_else(|| told.entry().and_then(|entry| rejected(&source, &entry)))
                    }
                };
                let Some(not) = not else {
                    let mut ack = self.ack_of(qos, packet_id, None);
                    if let Some(Packet::Ack(ack)) = &mut ack
                        && is_unheard
                    {
                        ack.reason = Reason::NO_MATCHING_SUBSCRIBERS;
                    }
                    return Ok(ack);
                };
                self.note(&not);
                if qos == QoS::ExactlyOnce && self.version == Version::V5 {
                    // PUBREC with an error ends it: the identifier is free (4.3.3).
                    self.town.with(|broker| broker.release_later(&self.name, packet_id));
                }
                Ok(self.ack_of(qos, packet_id, Some(not)))
            }
            (Then::Published { qos, packet_id, what }, Err(error)) => {
                if let What::Fed(_, Some((_, told))) = what {
                    told.fail();
                }
                self.refuse(qos, packet_id, reason_of(&error))
            }
            (Then::Acked(ack), Ok(_)) => Ok(Some(Packet::Ack(ack))),
            (Then::Subscribed { suback, .. }, Ok(_)) => Ok(Some(Packet::Suback(suback))),
            (Then::Subscribed { mut suback, new }, Err(error)) => {
                self.town.with(|broker| new.iter().for_each(|filter| drop(broker.unsubscribe(&self.name, filter))));
                suback.reasons.fill(reason_of(&error));
                Ok(Some(Packet::Suback(suback)))
            }
            (Then::Unsubscribed(unsuback), Ok(_)) => Ok(Some(Packet::Unsuback(unsuback))),
            (Then::Acked(_) | Then::Unsubscribed(_), Err(error)) => Err(End::Because(reason_of(&error))),
        }
    }
}
