//! The only room that opens a connection to the outside.
//!
//! An address text comes in; it is read in its plain form alone, held against the operator's
//! allow-list, resolved here, and every resolved address is checked; one connection to a checked
//! address is made, and a bounded answer goes out. Redirects are never followed. What is refused
//! says which host, why, and which setting would allow it.

mod address;
mod connect;
mod error;
mod policy;
mod target;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER, USER_AGENT};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

pub use address::Reach;
pub use error::{Error, Stage};
pub use policy::{InvalidPattern, Pattern, Policy};
pub use target::ADDRESS_BYTES_MAX;

use connect::{Checked, Timed, explain};
use target::Target;

/// Requests under way to one host and port; more wait until their time is over.
pub const REQUESTS_PER_HOST_MAX: usize = 32;
/// Requests under way altogether; more wait. It keeps file descriptors for those who come in.
pub const REQUESTS_MAX: usize = 512;
/// Hosts that are remembered before those without a request under way are forgotten.
const HOSTS_REMEMBERED_MAX: usize = 1024;
/// Kept open for the next request to the same host, and for how long.
const IDLE_PER_HOST_MAX: usize = 8;
const IDLE_TIME_MAX: Duration = Duration::from_secs(30);
/// Status line and headers of an answer.
const HEAD_BYTES_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 100;
/// As much of the answer to a `post` is kept; its status decides, the rest is not read.
pub const ANSWER_BYTES_KEPT: usize = 64 * 1024;

const AGENT: HeaderValue = HeaderValue::from_static(concat!("renkei/", env!("CARGO_PKG_VERSION")));

/// The way out. Cheap to clone; clones share connections and bounds.
#[derive(Clone)]
pub struct Outbound {
    inner: Arc<Inner>,
}

struct Inner {
    policy: Arc<Policy>,
    plain: Client<Timed<Checked>, Full<Bytes>>,
    /// `None` on a machine without certificate authorities.
    secure: Option<Client<Timed<HttpsConnector<Checked>>, Full<Bytes>>>,
    all: Arc<Semaphore>,
    hosts: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// The whole answer to a `get`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    pub status: u16,
    pub content_type: Option<String>,
    pub body: Bytes,
}

impl Fetched {
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// What the other side said to a `post`. The body is its beginning, at most [`ANSWER_BYTES_KEPT`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub content_type: Option<String>,
    /// From `Retry-After` in its form of seconds.
    pub retry_after: Option<Duration>,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// An answer whose head has come; its body may still be on its way.
struct Begun {
    target: Target,
    answer: Answer,
    incoming: Incoming,
    _place: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

/// How the body of an answer is taken.
enum Take {
    /// A longer one is an error.
    Whole { bytes_max: usize },
    /// A longer or broken one counts as its beginning.
    Beginning { bytes_max: usize },
}

impl std::fmt::Debug for Outbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbound").field("policy", &self.inner.policy).finish_non_exhaustive()
    }
}

impl Outbound {
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        let policy = Arc::new(policy);
        let checked = Checked::new(Arc::clone(&policy));
        let mut client = Client::builder(TokioExecutor::new());
        client
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIME_MAX)
            .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
            .http1_max_buf_size(HEAD_BYTES_MAX)
            .http1_max_headers(HEADERS_MAX)
            // Names mean the same in any case (RFC 9110), yet many small receivers look for `Link`.
            .http1_title_case_headers(true);
        let secure = hyper_rustls::HttpsConnectorBuilder::new().with_native_roots();
        let secure = match secure {
            Ok(builder) => Some(builder.https_only().enable_http1().wrap_connector(checked.clone())),
            Err(why) => {
                tracing::warn!(%why, "https to the outside is off: this machine has no certificate authorities");
                None
            }
        };
        let secure = secure.map(|connector| client.build(Timed::new(connector, Arc::clone(&policy))));
        let plain = client.build(Timed::new(checked, Arc::clone(&policy)));
        let all = Arc::new(Semaphore::new(REQUESTS_MAX));
        Self { inner: Arc::new(Inner { policy, plain, secure, all, hosts: Mutex::default() }) }
    }

    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.inner.policy
    }

    /// Would this address be tried at all? Says it early, when a subscription is made; asks no DNS,
    /// so a name may still be refused for its addresses later.
    pub fn check(&self, url: &str) -> Result<(), Error> {
        let target = Target::parse(url)?;
        self.inner.policy.check_host(&target.host, target.port)
    }

    /// Where a request to this address arrives: scheme, host, port and path, the same text for every way of
    /// writing it. Another name of the same machine is another place.
    pub fn place(url: &str) -> Result<String, Error> {
        Ok(Target::parse(url)?.place())
    }

    /// Fetches a document of at most `bytes_max` (and never more than the policy's bound).
    pub async fn get(&self, url: &str, accept: &str, bytes_max: usize) -> Result<Fetched, Error> {
        let accept = HeaderValue::from_str(accept).map_err(|_| Error::Header { name: "accept".into() })?;
        let headers = HeaderMap::from_iter([(ACCEPT, accept)]);
        let bytes_max = bytes_max.min(self.inner.policy.response_bytes_max);
        let timeout = self.inner.policy.request_timeout;
        let answer = self.exchange(Method::GET, url, headers, Bytes::new(), timeout, Take::Whole { bytes_max }).await?;
        Ok(Fetched { status: answer.status, content_type: answer.content_type, body: answer.body })
    }

    /// Sends one message once. The answer's status is the result, also when its body breaks off:
    /// who has said 200 has taken the message.
    pub async fn post(&self, url: &str, headers: HeaderMap, body: Bytes, timeout: Duration) -> Result<Answer, Error> {
        if let Some(name) = headers.keys().find(|name| is_ours(name)) {
            return Err(Error::Header { name: name.to_string() });
        }
        let bytes_max = ANSWER_BYTES_KEPT.min(self.inner.policy.response_bytes_max);
        self.exchange(Method::POST, url, headers, body, timeout, Take::Beginning { bytes_max }).await
    }

    /// One exchange as a client of a server that we run: any method, and the whole answer of at most `bytes_max`.
    pub async fn call(
        &self,
        method: Method,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
        bytes_max: usize,
        timeout: Duration,
    ) -> Result<Answer, Error> {
        if let Some(name) = headers.keys().find(|name| is_ours(name)) {
            return Err(Error::Header { name: name.to_string() });
        }
        self.exchange(method, url, headers, body, timeout, Take::Whole { bytes_max }).await
    }

    /// As `call` with a GET, for answers of any length: a good one goes to `see` piece by piece, and the
    /// answer that is given then has no body. `pause` bounds the wait for its head and for each piece;
    /// nothing more is taken from the connection while `see` is at work.
    pub async fn download(
        &self,
        url: &str,
        headers: HeaderMap,
        pause: Duration,
        mut see: impl FnMut(Bytes) -> ControlFlow<()>,
    ) -> Result<Answer, Error> {
        if let Some(name) = headers.keys().find(|name| is_ours(name)) {
            return Err(Error::Header { name: name.to_string() });
        }
        let begun = self.begin(Method::GET, url, headers, Bytes::new(), pause).await?;
        let Begun { target, mut answer, mut incoming, _place } = begun;
        if !answer.is_success() {
            let mut body = BytesMut::new();
            let take = Take::Beginning { bytes_max: ANSWER_BYTES_KEPT };
            let _ = tokio::time::timeout(pause, read(&mut incoming, &mut body, &take, &target)).await;
            answer.body = body.freeze();
            return Ok(answer);
        }
        let host = || target.host.to_string();
        loop {
            let frame = tokio::time::timeout(pause, incoming.frame()).await;
            let late = |_| Error::TimedOut { host: host(), port: target.port, after: pause, stage: Stage::Answering };
            let Some(frame) = frame.map_err(late)? else { return Ok(answer) };
            let broken = |why| Error::Broken { host: host(), port: target.port, why };
            let frame = frame.map_err(|why| explain(why.into(), broken))?;
            if let Ok(data) = frame.into_data()
                && see(data).is_break()
            {
                return Ok(answer);
            }
        }
    }

    async fn exchange(
        &self,
        method: Method,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
        timeout: Duration,
        take: Take,
    ) -> Result<Answer, Error> {
        let deadline = Instant::now() + timeout;
        let Begun { target, mut answer, mut incoming, _place } =
            self.begin(method, url, headers, body, timeout).await?;
        let mut body = BytesMut::new();
        let reading = read(&mut incoming, &mut body, &take, &target);
        match (tokio::time::timeout_at(deadline, reading).await, &take) {
            (Ok(Ok(())), _) | (_, Take::Beginning { .. }) => {}
            (Ok(Err(why)), Take::Whole { .. }) => return Err(why),
            (Err(_), Take::Whole { .. }) => {
                let (host, port) = (target.host.to_string(), target.port);
                return Err(Error::TimedOut { host, port, after: timeout, stage: Stage::Answering });
            }
        }
        answer.body = body.freeze();
        Ok(answer)
    }

    /// Sends a request and waits for the head of its answer.
    async fn begin(
        &self,
        method: Method,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Begun, Error> {
        let target = Target::parse(url)?;
        self.inner.policy.check_host(&target.host, target.port)?;
        let deadline = Instant::now() + timeout;
        let give_up =
            |stage| Error::TimedOut { host: target.host.to_string(), port: target.port, after: timeout, stage };
        let broken = |why| Error::Broken { host: target.host.to_string(), port: target.port, why };

        let place = tokio::time::timeout_at(deadline, self.inner.place(&target)).await;
        let _place = place.map_err(|_| give_up(Stage::Waiting))??;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = target.uri.clone();
        *request.headers_mut() = headers;
        request.headers_mut().insert(USER_AGENT, AGENT);

        let sent = self.inner.send(request, &target)?;
        let response = match tokio::time::timeout_at(deadline, sent).await {
            Ok(Ok(response)) => response,
            Ok(Err(why)) => return Err(explain(why.into(), broken)),
            Err(_) => return Err(give_up(Stage::Answering)),
        };
        if let Some(redirected) = redirection(&target, &response) {
            return Err(redirected);
        }
        let text = |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let (content_type, retry_after) = (text(CONTENT_TYPE).map(str::to_owned), text(RETRY_AFTER));
        let retry_after = retry_after.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let answer = Answer { status, content_type, retry_after, headers, body: Bytes::new() };
        Ok(Begun { answer, incoming: response.into_body(), target, _place })
    }
}

impl Inner {
    async fn place(&self, target: &Target) -> Result<(OwnedSemaphorePermit, OwnedSemaphorePermit), Error> {
        let key = format!("{}:{}", target.host, target.port);
        let of_host = {
            let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
            if hosts.len() >= HOSTS_REMEMBERED_MAX {
                hosts.retain(|_, places| Arc::strong_count(places) > 1);
            }
            Arc::clone(hosts.entry(key).or_insert_with(|| Arc::new(Semaphore::new(REQUESTS_PER_HOST_MAX))))
        };
        // A slow host's requests queue for their own host first and hold nothing of the others'.
        let closed = |_| Error::Unreachable {
            host: target.host.to_string(),
            port: target.port,
            why: "the server is stopping.".into(),
        };
        let first = of_host.acquire_owned().await.map_err(closed)?;
        let second = Arc::clone(&self.all).acquire_owned().await.map_err(closed)?;
        Ok((first, second))
    }

    fn send(
        &self,
        request: Request<Full<Bytes>>,
        target: &Target,
    ) -> Result<hyper_util::client::legacy::ResponseFuture, Error> {
        if request.uri().scheme_str() != Some("https") {
            return Ok(self.plain.request(request));
        }
        match &self.secure {
            Some(client) => Ok(client.request(request)),
            None => Err(Error::NoAuthorities { host: target.host.to_string(), port: target.port }),
        }
    }
}

async fn read(incoming: &mut Incoming, body: &mut BytesMut, take: &Take, target: &Target) -> Result<(), Error> {
    let (Take::Whole { bytes_max } | Take::Beginning { bytes_max }) = *take;
    let too_long = || Error::TooLong { host: target.host.to_string(), port: target.port, bytes_max };
    if matches!(take, Take::Whole { .. }) && incoming.size_hint().lower() > bytes_max as u64 {
        return Err(too_long());
    }
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|why| {
            explain(why.into(), |why| Error::Broken { host: target.host.to_string(), port: target.port, why })
        })?;
        let Some(data) = frame.data_ref() else { continue };
        let room = bytes_max - body.len();
        body.extend_from_slice(data.get(..room).unwrap_or(data));
        if data.len() > room {
            return Err(too_long());
        }
    }
    Ok(())
}

/// 304 belongs to caching and points nowhere.
fn redirection(target: &Target, response: &Response<Incoming>) -> Option<Error> {
    let status = response.status();
    if !status.is_redirection() || status.as_u16() == 304 {
        return None;
    }
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let location = location.and_then(|text| Target::parse(text).ok());
    let location = location.map(|to| format!("{}://{}:{}", to.uri.scheme_str().unwrap_or("http"), to.host, to.port));
    Some(Error::Redirected { host: target.host.to_string(), port: target.port, status: status.as_u16(), location })
}

/// Headers that frame the message or name the host: whoever sets them can smuggle a second request.
fn is_ours(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "host"
            | "content-length"
            | "transfer-encoding"
            | "connection"
            | "keep-alive"
            | "upgrade"
            | "te"
            | "trailer"
            | "expect"
    ) || name.as_str().starts_with("proxy-")
}
