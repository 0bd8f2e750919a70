//! One kept-alive HTTP/1.1 connection: a prepared request goes out, its status and size come back.

use super::workload::Prepared;
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use http::{Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A request that takes longer counts as failed, and its connection is given up.
pub const REQUEST_S_MAX: u64 = 30;
const CONNECT_S_MAX: u64 = 5;
/// How much of a wrong answer is shown.
const SHOWN_BYTES_MAX: usize = 400;

/// Where the requests go, with what each carries.
#[derive(Debug, Clone)]
pub struct Target {
    host: String,
    port: u16,
    authority: HeaderValue,
    headers: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Debug)]
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    target: Target,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub bytes: usize,
    /// The beginning of the body where the status is not a success.
    pub shown: Option<String>,
}

impl Target {
    /// `headers` are written `Name: value`.
    pub fn parse(url: &str, headers: &[String]) -> Result<Self> {
        let uri: Uri = url.parse().with_context(|| format!("--url {url} is not a URL."))?;
        if uri.scheme_str() != Some("http") {
            bail!("--url {url} must begin with http://. The load generator speaks plain HTTP only.");
        }
        if uri.path() != "/" || uri.query().is_some() {
            bail!("--url {url} must end with the port: paths such as /ngsi-ld/v1 are added by the workloads.");
        }
        let host = uri.host().with_context(|| format!("--url {url} names no host."))?.to_owned();
        let port = uri.port_u16().unwrap_or(80);
        let authority = HeaderValue::from_str(&format!("{host}:{port}"))?;
        let headers = headers.iter().map(|header| parse_header(header)).collect::<Result<_>>()?;
        Ok(Self { host, port, authority, headers })
    }

    pub async fn connect(&self) -> Result<Connection> {
        let address = (self.host.trim_matches(['[', ']']), self.port);
        let stream = timeout(Duration::from_secs(CONNECT_S_MAX), TcpStream::connect(address))
            .await
            .map_err(|_| {
                anyhow::anyhow!("{}:{} did not take a connection for {CONNECT_S_MAX} s.", self.host, self.port)
            })?
            .with_context(|| format!("Cannot connect to {}:{}. Is the server running?", self.host, self.port))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Ends by itself when the sender is dropped or the server closes.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection of the load generator ended");
            }
        });
        Ok(Connection { sender, target: self.clone() })
    }
}

fn parse_header(header: &str) -> Result<(HeaderName, HeaderValue)> {
    let (name, value) = header.split_once(':').with_context(|| format!("--header \"{header}\" has no colon."))?;
    let name = name.trim().parse().with_context(|| format!("--header \"{header}\" has no valid name."))?;
    Ok((name, HeaderValue::from_str(value.trim())?))
}

impl Connection {
    pub async fn send(&mut self, prepared: Prepared) -> Result<Answer> {
        let sent = timeout(Duration::from_secs(REQUEST_S_MAX), self.exchange(prepared)).await;
        sent.map_err(|_| anyhow::anyhow!("no answer within {REQUEST_S_MAX} s"))?
    }

    async fn exchange(&mut self, prepared: Prepared) -> Result<Answer> {
        let mut request = Request::builder().method(prepared.method).uri(prepared.path);
        request = request.header(HOST, &self.target.authority);
        if !prepared.body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        for (name, value) in &self.target.headers {
            request = request.header(name, value);
        }
        self.sender.ready().await?;
        let answer = self.sender.send_request(request.body(Full::new(prepared.body))?).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        // 207 says in its body which part failed.
        let shown = (!status.is_success() || status.as_u16() == 207)
            .then(|| String::from_utf8_lossy(&body[..body.len().min(SHOWN_BYTES_MAX)]).into_owned());
        Ok(Answer { status: status.as_u16(), bytes: body.len(), shown })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_address_is_taken() {
        assert!(Target::parse("http://127.0.0.1:1026", &["NGSILD-Tenant: a".to_owned()]).is_ok());
        assert!(Target::parse("http://[::1]:1026/", &[]).is_ok());
        for (url, header) in [
            ("https://127.0.0.1:1", "a: b"),
            ("http://h/ngsi-ld/v1", "a: b"),
            ("127.0.0.1:9", "a: b"),
            ("http://h", "none"),
            ("http://h", "a b: c"),
        ] {
            assert!(Target::parse(url, &[header.to_owned()]).is_err(), "{url} {header}");
        }
    }
}
