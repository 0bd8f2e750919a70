//! Properties of MQTT 5 (2.2.2.2): one table of what there is, how it is written and in which packet it may stand.

use crate::Error;
use crate::read::Reader;
use crate::write::Writer;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Property {
    PayloadFormat(u8),
    MessageExpiry(u32),
    ContentType(Box<str>),
    ResponseTopic(Box<str>),
    CorrelationData(Box<[u8]>),
    SubscriptionId(u32),
    SessionExpiry(u32),
    AssignedClientId(Box<str>),
    ServerKeepAlive(u16),
    AuthMethod(Box<str>),
    AuthData(Box<[u8]>),
    RequestProblemInfo(u8),
    WillDelay(u32),
    RequestResponseInfo(u8),
    ResponseInfo(Box<str>),
    ServerReference(Box<str>),
    ReasonText(Box<str>),
    ReceiveMaximum(u16),
    TopicAliasMaximum(u16),
    TopicAlias(u16),
    MaximumQos(u8),
    RetainAvailable(u8),
    User(Box<str>, Box<str>),
    MaximumPacketBytes(u32),
    WildcardsAvailable(u8),
    SubscriptionIdsAvailable(u8),
    SharedAvailable(u8),
}

/// Where a property may stand: a packet type's bit, or that of a will.
pub type Places = u32;

pub const WILL: Places = 1;

const fn place(packet_type: u8) -> Places {
    1 << packet_type
}

/// The place of a packet's own properties.
#[must_use]
pub fn place_of(packet_type: u8) -> Places {
    place(packet_type)
}

const CONNECT: Places = place(1);
const CONNACK: Places = place(2);
const PUBLISH: Places = place(3);
const ACKS: Places = place(4) | place(5) | place(6) | place(7);
const SUBSCRIBE: Places = place(8);
const SUBACK: Places = place(9);
const UNSUBSCRIBE: Places = place(10);
const UNSUBACK: Places = place(11);
const DISCONNECT: Places = place(14);
const AUTH: Places = place(15);
const EVERYWHERE: Places = Places::MAX & !(place(12) | place(13));

/// Where the property with this number may stand; 0 where there is none.
fn places(number: u32) -> Places {
    match number {
        1 | 2 | 3 | 8 | 9 => PUBLISH | WILL,
        11 => PUBLISH | SUBSCRIBE,
        17 => CONNECT | CONNACK | DISCONNECT,
        18 | 19 | 26 => CONNACK,
        21 | 22 => CONNECT | CONNACK | AUTH,
        23 | 25 => CONNECT,
        24 => WILL,
        28 => CONNACK | DISCONNECT,
        31 => CONNACK | ACKS | SUBACK | UNSUBACK | DISCONNECT | AUTH,
        33 | 34 | 39 => CONNECT | CONNACK,
        35 => PUBLISH,
        36 | 37 | 40 | 41 | 42 => CONNACK,
        38 => EVERYWHERE | UNSUBSCRIBE,
        _ => 0,
    }
}

impl Property {
    fn number(&self) -> u8 {
        match self {
            Self::PayloadFormat(_) => 1,
            Self::MessageExpiry(_) => 2,
            Self::ContentType(_) => 3,
            Self::ResponseTopic(_) => 8,
            Self::CorrelationData(_) => 9,
            Self::SubscriptionId(_) => 11,
            Self::SessionExpiry(_) => 17,
            Self::AssignedClientId(_) => 18,
            Self::ServerKeepAlive(_) => 19,
            Self::AuthMethod(_) => 21,
            Self::AuthData(_) => 22,
            Self::RequestProblemInfo(_) => 23,
            Self::WillDelay(_) => 24,
            Self::RequestResponseInfo(_) => 25,
            Self::ResponseInfo(_) => 26,
            Self::ServerReference(_) => 28,
            Self::ReasonText(_) => 31,
            Self::ReceiveMaximum(_) => 33,
            Self::TopicAliasMaximum(_) => 34,
            Self::TopicAlias(_) => 35,
            Self::MaximumQos(_) => 36,
            Self::RetainAvailable(_) => 37,
            Self::User(..) => 38,
            Self::MaximumPacketBytes(_) => 39,
            Self::WildcardsAvailable(_) => 40,
            Self::SubscriptionIdsAvailable(_) => 41,
            Self::SharedAvailable(_) => 42,
        }
    }

    /// Whether receivers of a message are told it as it came.
    #[must_use]
    pub fn is_passed_on(&self) -> bool {
        matches!(
            self,
            Self::PayloadFormat(_)
                | Self::ContentType(_)
                | Self::ResponseTopic(_)
                | Self::CorrelationData(_)
                | Self::User(..)
        )
    }

    /// Approximate bytes that it holds.
    #[must_use]
    pub fn weight(&self) -> usize {
        40 + match self {
            Self::User(name, value) => name.len() + value.len(),
            Self::CorrelationData(bytes) | Self::AuthData(bytes) => bytes.len(),
            Self::ContentType(text)
            | Self::ResponseTopic(text)
            | Self::AssignedClientId(text)
            | Self::AuthMethod(text)
            | Self::ResponseInfo(text)
            | Self::ServerReference(text)
            | Self::ReasonText(text) => text.len(),
            _ => 0,
        }
    }

    fn read(number: u32, from: &mut Reader) -> Result<Self, Error> {
        let flag = |byte: u8| match byte {
            0 | 1 => Ok(byte),
            _ => Err(Error::Protocol("a property that is 0 or 1 is neither")),
        };
        let above_zero = |value: u16| match value {
            0 => Err(Error::Protocol("a maximum or an alias is 0")),
            value => Ok(value),
        };
        Ok(match number {
            1 => Self::PayloadFormat(flag(from.u8()?)?),
            2 => Self::MessageExpiry(from.u32()?),
            3 => Self::ContentType(from.text()?.into()),
            8 => Self::ResponseTopic(from.text()?.into()),
            9 => Self::CorrelationData(from.binary()?.into()),
            11 => match from.variable()? {
                0 => return Err(Error::Protocol("a subscription identifier is 0")),
                id => Self::SubscriptionId(id),
            },
            17 => Self::SessionExpiry(from.u32()?),
            18 => Self::AssignedClientId(from.text()?.into()),
            19 => Self::ServerKeepAlive(from.u16()?),
            21 => Self::AuthMethod(from.text()?.into()),
            22 => Self::AuthData(from.binary()?.into()),
            23 => Self::RequestProblemInfo(flag(from.u8()?)?),
            24 => Self::WillDelay(from.u32()?),
            25 => Self::RequestResponseInfo(flag(from.u8()?)?),
            26 => Self::ResponseInfo(from.text()?.into()),
            28 => Self::ServerReference(from.text()?.into()),
            31 => Self::ReasonText(from.text()?.into()),
            33 => Self::ReceiveMaximum(above_zero(from.u16()?)?),
            34 => Self::TopicAliasMaximum(from.u16()?),
            // 3.3.2.3.4: an alias of 0 has a reason code of its own, so the receiver looks at it.
            35 => Self::TopicAlias(from.u16()?),
            36 => Self::MaximumQos(flag(from.u8()?)?),
            37 => Self::RetainAvailable(flag(from.u8()?)?),
            38 => Self::User(from.text()?.into(), from.text()?.into()),
            39 => match from.u32()? {
                0 => return Err(Error::Protocol("the maximum packet size is 0")),
                bytes => Self::MaximumPacketBytes(bytes),
            },
            40 => Self::WildcardsAvailable(flag(from.u8()?)?),
            41 => Self::SubscriptionIdsAvailable(flag(from.u8()?)?),
            42 => Self::SharedAvailable(flag(from.u8()?)?),
            _ => return Err(Error::Malformed("a property is unknown")),
        })
    }

    fn write(&self, out: &mut Writer) {
        out.u8(self.number());
        match self {
            Self::PayloadFormat(byte)
            | Self::RequestProblemInfo(byte)
            | Self::RequestResponseInfo(byte)
            | Self::MaximumQos(byte)
            | Self::RetainAvailable(byte)
            | Self::WildcardsAvailable(byte)
            | Self::SubscriptionIdsAvailable(byte)
            | Self::SharedAvailable(byte) => out.u8(*byte),
            Self::ServerKeepAlive(number)
            | Self::ReceiveMaximum(number)
            | Self::TopicAliasMaximum(number)
            | Self::TopicAlias(number) => out.u16(*number),
            Self::MessageExpiry(number)
            | Self::SessionExpiry(number)
            | Self::WillDelay(number)
            | Self::MaximumPacketBytes(number) => out.u32(*number),
            Self::SubscriptionId(number) => out.variable(*number),
            Self::ContentType(text)
            | Self::ResponseTopic(text)
            | Self::AssignedClientId(text)
            | Self::AuthMethod(text)
            | Self::ResponseInfo(text)
            | Self::ServerReference(text)
            | Self::ReasonText(text) => out.text(text),
            Self::CorrelationData(bytes) | Self::AuthData(bytes) => out.binary(bytes),
            Self::User(name, value) => {
                out.text(name);
                out.text(value);
            }
        }
    }
}

/// Most properties of one packet.
pub const PROPERTIES_MAX: usize = 256;

/// The properties that stand next, in their place.
pub fn read_properties(from: &mut Reader, place: Places) -> Result<Vec<Property>, Error> {
    let bytes = from.variable()? as usize;
    let mut own = Reader::new(from.take(bytes)?);
    let mut properties = Vec::new();
    let mut seen = 0u64;
    while !own.is_empty() {
        let number = own.variable()?;
        if places(number) == 0 {
            return Err(Error::Malformed("a property is unknown"));
        }
        if places(number) & place == 0 {
            return Err(Error::Protocol("a property may not stand in this packet"));
        }
        // Several subscriptions may match one message; user properties repeat as they like.
        let repeats = number == 38 || (number == 11 && place == PUBLISH);
        if !repeats && seen & (1 << number) != 0 {
            return Err(Error::Protocol("a property stands twice"));
        }
        seen |= 1 << number;
        if properties.len() >= PROPERTIES_MAX {
            return Err(Error::Protocol("there are too many properties"));
        }
        properties.push(Property::read(number, &mut own)?);
    }
    Ok(properties)
}

pub(crate) fn write_properties<'p>(properties: impl IntoIterator<Item = &'p Property>, out: &mut Writer) {
    let mut own = Writer::default();
    properties.into_iter().for_each(|property| property.write(&mut own));
    out.variable(u32::try_from(own.bytes.len()).unwrap_or(u32::MAX));
    out.bytes.extend_from_slice(&own.bytes);
}
