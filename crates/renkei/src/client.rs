//! The command line is a client of a running server, over the same doors as everybody.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use city_outbound::{Answer, Outbound, Pattern, Policy};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;

use crate::cli::ServerOptions;

/// Longest answer that a command takes at once.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// How long a command waits for one answer.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often a busy server (429, 503) is asked again.
const BUSY_TRIES_MAX: usize = 60;
/// How long is waited before a busy server is asked again, where it does not say.
const BUSY_WAIT: Duration = Duration::from_secs(1);
/// Longest wait before a busy server is asked again, whatever it says.
const BUSY_WAIT_MAX: Duration = Duration::from_secs(30);

/// Asks one thing after the other.
pub struct Client {
    caller: Caller,
    runtime: tokio::runtime::Runtime,
}

/// Asks from within a runtime, for commands that have several requests under way. Cheap to clone.
#[derive(Clone)]
pub struct Caller {
    outbound: Outbound,
    base: Arc<str>,
    headers: HeaderMap,
}

impl Client {
    pub fn new(options: &ServerOptions) -> Result<Self> {
        let base = options.url.trim_end_matches('/').to_owned();
        let anywhere: Pattern = "*".parse()?;
        let policy = Policy {
            allow: vec![anywhere],
            allow_private: true,
            request_timeout: PATIENCE,
            response_bytes_max: ANSWER_BYTES_MAX,
            ..Policy::default()
        };
        let mut headers = HeaderMap::new();
        if let Some(tenant) = &options.tenant {
            headers.insert("ngsild-tenant", HeaderValue::try_from(tenant).context("--tenant is not plain ASCII")?);
        }
        if let Some(token) = token(options)? {
            let mut bearer =
                HeaderValue::try_from(format!("Bearer {token}")).context("The token is not plain ASCII")?;
            bearer.set_sensitive(true);
            headers.insert(http::header::AUTHORIZATION, bearer);
        }
        if let Some(purpose) = &options.asking_for {
            headers.insert("renkei-purpose", HeaderValue::try_from(purpose).context("--purpose is not plain ASCII")?);
        }
        if let Some(url) = &options.context {
            let link = format!("<{url}>; rel=\"http://www.w3.org/ns/json-ld#context\"; type=\"application/ld+json\"");
            headers.insert("link", HeaderValue::try_from(link).context("--context is not a URL")?);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let caller = Caller { outbound: Outbound::new(policy), base: base.into(), headers };
        Ok(Self { caller, runtime })
    }

    /// For requests beside each other, within `block_on`.
    pub fn caller(&self) -> Caller {
        self.caller.clone()
    }

    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    pub fn get(&self, path: &str) -> Result<Answer> {
        self.block_on(self.caller.call(Method::GET, path, Bytes::new(), None))
    }

    /// A good answer's body goes to `see` piece by piece, however long it is. A busy server is asked again.
    pub fn download(&self, path: &str, mut see: impl FnMut(Bytes) -> ControlFlow<()>) -> Result<Answer> {
        let url = format!("{}{path}", self.caller.base);
        for _ in 0..BUSY_TRIES_MAX {
            let headers = self.caller.headers.clone();
            let answer = self.block_on(self.caller.outbound.download(&url, headers, PATIENCE, &mut see));
            let answer = answer.with_context(|| {
                format!("Is a server running at {}? Start one with `renkei serve`", self.caller.base)
            })?;
            if !matches!(answer.status, 429 | 503) {
                return Ok(answer);
            }
            std::thread::sleep(answer.retry_after.unwrap_or(BUSY_WAIT).min(BUSY_WAIT_MAX));
        }
        bail!("The server at {} stayed busy", self.caller.base)
    }

    pub fn delete(&self, path: &str) -> Result<()> {
        good(self.block_on(self.caller.call(Method::DELETE, path, Bytes::new(), None))?).map(drop)
    }

    pub fn post(&self, path: &str, body: impl Into<Bytes>, content_type: &'static str) -> Result<Answer> {
        self.block_on(self.caller.call(Method::POST, path, body.into(), Some(content_type)))
    }

    pub fn put(&self, path: &str, body: impl Into<Bytes>, content_type: &'static str) -> Result<Answer> {
        self.block_on(self.caller.call(Method::PUT, path, body.into(), Some(content_type)))
    }

    /// The body of a good answer as JSON; else what the server says is wrong.
    pub fn get_json(&self, path: &str) -> Result<Value> {
        json(&good(self.get(path)?)?)
    }

    pub fn post_json(&self, path: &str, body: &Value) -> Result<Value> {
        json(&good(self.post(path, body.to_string(), "application/json")?)?)
    }
}

/// The token itself, else that of the file that is named.
fn token(options: &ServerOptions) -> Result<Option<String>> {
    let (None, Some(file)) = (&options.token, &options.token_file) else { return Ok(options.token.clone()) };
    let text =
        std::fs::read_to_string(file).with_context(|| format!("The token's file {} cannot be read", file.display()))?;
    Ok(Some(text.trim().to_owned()))
}

impl Caller {
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        content_type: Option<&'static str>,
    ) -> Result<Answer> {
        let mut headers = self.headers.clone();
        if let Some(content_type) = content_type {
            headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(content_type));
            if content_type == "application/ld+json" {
                headers.remove(http::header::LINK);
            }
        }
        let url = format!("{}{path}", self.base);
        let answer = self.outbound.call(method, &url, headers, body, ANSWER_BYTES_MAX, PATIENCE).await;
        answer.with_context(|| format!("Is a server running at {}? Start one with `renkei serve`", self.base))
    }

    /// As `call` with a POST, but a server that is busy is asked again, when it says; what it then
    /// answers is the answer. It took nothing when it said so, hence nothing is done twice.
    pub async fn post_patiently(&self, path: &str, body: Bytes, content_type: &'static str) -> Result<Answer> {
        for _ in 0..BUSY_TRIES_MAX {
            let answer = self.call(Method::POST, path, body.clone(), Some(content_type)).await?;
            if !matches!(answer.status, 429 | 503) {
                return Ok(answer);
            }
            tokio::time::sleep(answer.retry_after.unwrap_or(BUSY_WAIT).min(BUSY_WAIT_MAX)).await;
        }
        self.call(Method::POST, path, body, Some(content_type)).await
    }
}

pub fn json(answer: &Answer) -> Result<Value> {
    serde_json::from_slice(&answer.body).context("The server's answer is not JSON")
}

/// The answer if it is a good one; else the server's own words.
pub fn good(answer: Answer) -> Result<Answer> {
    if answer.is_success() {
        return Ok(answer);
    }
    let advice = match answer.status {
        401 => {
            "\nSay who you are: --token-file FILE, or RENKEI_TOKEN. Beside a server of your own, DATA/keys/operator.token is the operator's."
        }
        _ => "",
    };
    bail!("The server answered {}: {}{advice}", answer.status, detail(&answer))
}

/// The detail of a problem answer.
pub fn detail(answer: &Answer) -> String {
    let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    match (problem["detail"].as_str(), problem["code"].as_str()) {
        (Some(detail), Some(code)) => format!("{detail} ({code})"),
        (Some(detail), None) => detail.to_owned(),
        _ => String::from_utf8_lossy(&answer.body).chars().take(500).collect(),
    }
}

/// A query string from pairs; values that are absent are left out.
pub fn query_string(pairs: &[(&str, Option<&str>)]) -> String {
    let mut out = String::new();
    for (name, value) in pairs {
        let Some(value) = value else { continue };
        out.push(if out.is_empty() { '?' } else { '&' });
        out.push_str(name);
        out.push('=');
        out.push_str(&encode(value));
    }
    out
}

/// A text as a part of a path or of a query.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => out.push(char::from(byte)),
            b'-' | b'.' | b'_' | b'~' | b':' | b',' | b';' | b'(' | b')' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// A header of an answer as a number.
pub fn header_number(answer: &Answer, name: &HeaderName) -> Option<u64> {
    answer.headers.get(name)?.to_str().ok()?.parse().ok()
}
