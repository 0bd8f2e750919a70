//! A client's first packet comes in; who it is, its session and the answer go out.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use city_context::Error;
use city_model::{Permit, TenantName};
use city_mqtt::broker::{Connected, Connecting, Refusal, Staged};
use city_mqtt::packet::{Connack, Connect, Packet, Version, Will};
use city_mqtt::{Property, Reason};
use city_trust::{Asking, PUBLIC};
use tokio::sync::oneshot;

use super::rights::{Place, Rights};
use super::town::{Asked, Link, Town};
use super::towns::Towns;
use super::{ALIASES_MAX, CLIENT_ID_BYTES_MAX, KEEP_ALIVE_MAX_S, PACKET_BYTES_MAX, PENDING_MAX, SESSION_EXPIRY_MAX_S};

/// What a user name begins with that says which tenant is meant.
const TENANT_PREFIX: &str = "tenant:";
/// What the name begins with that a client without one is given.
const GIVEN_PREFIX: &str = "renkei-";

/// A client that was let in.
pub struct Guest {
    pub version: Version,
    pub client: Arc<str>,
    pub permit: Permit,
    pub rights: Rights,
    pub town: Arc<Town>,
    pub link: Arc<Link>,
    pub connection: u64,
    pub keep_alive: Option<Duration>,
    pub will: Option<Will>,
    pub session_expiry_s: u32,
    /// What the client takes at most.
    pub packet_bytes_max: usize,
    pub aliases_max: u16,
    /// Whether it wants to be told reasons in words.
    pub wants_reasons: bool,
    pub answer: Connack,
}

/// Lets a client in, or says why not.
pub async fn greet(towns: &Towns, connect: Connect, from: IpAddr) -> Result<Guest, Reason> {
    let city = &towns.city;
    let version = connect.version;
    let wishes = Wishes::of(&connect);
    if wishes.has_method {
        return Err(Reason::BAD_AUTHENTICATION_METHOD);
    }
    let permit = permit(towns, &connect, from)?;
    let rights = Rights::of(&city.trust, &permit);
    if !rights.are_any() {
        return Err(Reason::NOT_AUTHORIZED);
    }
    if let Some(will) = &connect.will
        && rights.place(&will.message.topic) != Place::Topic
    {
        return Err(Reason::NOT_AUTHORIZED);
    }
    let (client, was_given) = name(&connect)?;
    let session_expiry_s = wishes.session_expiry_s.min(SESSION_EXPIRY_MAX_S);
    let link = Arc::new(Link::default());
    let town = towns.of(&permit).await.map_err(|error| reason_of(&error))?;
    let owner = rights.owner(&permit);
    let connecting = Connecting {
        client: &client,
        owner: &owner,
        clean_start: connect.clean_start,
        expiry_s: session_expiry_s,
        receive_maximum: wishes.receive_maximum,
        now_micros: city.now().as_micros(),
    };
    let connected = town.connect(connecting, &link).map_err(|refusal| match refusal {
        Refusal::NotYours => Reason::CLIENT_ID_NOT_VALID,
        Refusal::TooMany => Reason::QUOTA_EXCEEDED,
    })?;
    let connection = connected.connection;
    let session_present = connected.session_present;
    if let Err(error) = keep(&town, &permit, connected).await {
        town.disconnect(&client, connection, None, None, city.now().as_micros());
        return Err(reason_of(&error));
    }
    let keep_alive_s = match (version, connect.keep_alive_s) {
        // 3.1.1 knows no word for a shorter one.
        (Version::V311, seconds) => seconds,
        (Version::V5, 0) => KEEP_ALIVE_MAX_S,
        (Version::V5, seconds) => seconds.min(KEEP_ALIVE_MAX_S),
    };
    let mut properties = Vec::new();
    if version == Version::V5 {
        properties.extend([
            Property::ReceiveMaximum(u16::try_from(PENDING_MAX).unwrap_or(u16::MAX)),
            Property::MaximumPacketBytes(u32::try_from(PACKET_BYTES_MAX).unwrap_or(u32::MAX)),
            Property::TopicAliasMaximum(ALIASES_MAX),
        ]);
        if was_given {
            properties.push(Property::AssignedClientId((*client).into()));
        }
        if session_expiry_s != wishes.session_expiry_s {
            properties.push(Property::SessionExpiry(session_expiry_s));
        }
        if keep_alive_s != connect.keep_alive_s {
            properties.push(Property::ServerKeepAlive(keep_alive_s));
        }
    }
    Ok(Guest {
        version,
        permit,
        rights,
        town,
        link,
        connection,
        // One and a half times what was agreed (3.1.2.10).
        keep_alive: (keep_alive_s > 0).then(|| Duration::from_millis(u64::from(keep_alive_s) * 1_500)),
        will: connect.will,
        session_expiry_s,
        packet_bytes_max: wishes.packet_bytes_max,
        aliases_max: wishes.aliases_max,
        wants_reasons: wishes.wants_reasons,
        answer: Connack { session_present, reason: Reason::SUCCESS, properties },
        client,
    })
}

/// What a CONNECT asks for beside the session.
struct Wishes {
    session_expiry_s: u32,
    receive_maximum: u16,
    packet_bytes_max: usize,
    aliases_max: u16,
    wants_reasons: bool,
    has_method: bool,
}

impl Wishes {
    fn of(connect: &Connect) -> Self {
        let mut wishes = Self {
            // A session of 3.1.1 that is not clean stays.
            session_expiry_s: if connect.version == Version::V311 && !connect.clean_start { u32::MAX } else { 0 },
            receive_maximum: u16::MAX,
            packet_bytes_max: usize::MAX,
            aliases_max: 0,
            wants_reasons: true,
            has_method: false,
        };
        for property in &connect.properties {
            match property {
                Property::SessionExpiry(seconds) => wishes.session_expiry_s = *seconds,
                Property::ReceiveMaximum(packets) => wishes.receive_maximum = *packets,
                Property::MaximumPacketBytes(bytes) => wishes.packet_bytes_max = *bytes as usize,
                Property::TopicAliasMaximum(aliases) => wishes.aliases_max = *aliases,
                Property::RequestProblemInfo(wants) => wishes.wants_reasons = *wants == 1,
                Property::AuthMethod(_) => wishes.has_method = true,
                _ => {}
            }
        }
        wishes
    }
}

/// The password is a token. A user name `tenant:NAME` says which tenant is meant, as the header NGSILD-Tenant does;
/// any other user name says nothing.
fn permit(towns: &Towns, connect: &Connect, from: IpAddr) -> Result<Permit, Reason> {
    let city = &towns.city;
    let bearer = match connect.password.as_deref().map(std::str::from_utf8) {
        Some(Err(_)) => return Err(Reason::BAD_USER_NAME_OR_PASSWORD),
        Some(Ok(text)) => Some(text),
        None => None,
    };
    let named = connect.user_name.as_deref().and_then(|name| name.strip_prefix(TENANT_PREFIX));
    let tenant = named.map(TenantName::parse).transpose().map_err(|_| Reason::BAD_USER_NAME_OR_PASSWORD)?;
    let asking = Asking { bearer, tenant: tenant.as_ref(), purpose: None, act: "mqtt", from: Some(from) };
    let permit = city.trust.issue(asking, city.now()).map_err(|error| match error {
        city_trust::Error::NobodyKnown => Reason::NOT_AUTHORIZED,
        _ => Reason::BAD_USER_NAME_OR_PASSWORD,
    })?;
    if permit.who() == PUBLIC { Err(Reason::NOT_AUTHORIZED) } else { Ok(permit) }
}

/// The client's identifier, and whether it was given one.
fn name(connect: &Connect) -> Result<(Arc<str>, bool), Reason> {
    if connect.client_id.len() > CLIENT_ID_BYTES_MAX {
        return Err(Reason::CLIENT_ID_NOT_VALID);
    }
    match (connect.version, &*connect.client_id) {
        (Version::V311, "") if !connect.clean_start => Err(Reason::CLIENT_ID_NOT_VALID),
        (_, "") => Ok((format!("{GIVEN_PREFIX}{}", uuid::Uuid::new_v4().simple()).into(), true)),
        (_, own) => Ok((own.into(), false)),
    }
}

/// A session is durable before its client is told that there is one.
async fn keep(town: &Town, permit: &Permit, connected: Connected) -> Result<(), Error> {
    if connected.rows.is_empty() {
        return Ok(());
    }
    let (reply, outcome) = oneshot::channel();
    let staged = Staged::of(connected.rows);
    town.step(|_| Some(Asked { reply: Some(reply), ..Asked::of(permit, staged) }))?;
    outcome.await.unwrap_or(Err(Error::Stopping)).map(drop)
}

/// What a client is told when the store does not take something.
pub fn reason_of(error: &Error) -> Reason {
    match error {
        Error::Refused(_) => Reason::NOT_AUTHORIZED,
        Error::Busy => Reason::SERVER_BUSY,
        Error::Commit(city_store::CommitError::DiskFull(_)) | Error::TooManyTenants => Reason::QUOTA_EXCEEDED,
        Error::Stopping => Reason::SERVER_SHUTTING_DOWN,
        _ => Reason::UNSPECIFIED,
    }
}

/// The answer to a client that is not let in.
#[must_use]
pub fn refusal(version: Version, reason: Reason) -> Vec<u8> {
    Packet::Connack(Connack { session_present: false, reason, properties: Vec::new() }).write(version)
}
