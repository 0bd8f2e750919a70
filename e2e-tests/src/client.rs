//! A small HTTP/1.1 client that hides nothing: it never retries, and says when no answer came.

use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::wait::PATIENCE;

/// A connection unused for longer is not used again: the server may have closed it.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// One keep-alive connection to a server.
#[derive(Debug)]
pub struct Client {
    address: String,
    headers: Vec<(String, String)>,
    connection: RefCell<Option<(BufReader<TcpStream>, Instant)>>,
}

/// What was answered.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// # Panics
    ///
    /// When the body is not JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("the body of a {} is not JSON ({error}): {}", self.status, self.text()))
    }

    /// The answer, if it has this status.
    ///
    /// # Panics
    ///
    /// When it has another.
    #[track_caller]
    #[must_use]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// The body as JSON, of an answer that must have this status.
    #[track_caller]
    #[must_use]
    pub fn json_of(self, status: u16) -> Value {
        self.expect(status).json()
    }
}

/// A request on its way.
#[derive(Debug)]
pub struct Request<'c> {
    client: &'c Client,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Request<'_> {
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A JSON body; as JSON-LD where it brings an @context.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        let first = body.as_array().and_then(|items| items.first()).unwrap_or(body);
        let media = if first.get("@context").is_some() { "application/ld+json" } else { "application/json" };
        self.body(media, body.to_string())
    }

    #[must_use]
    pub fn body(mut self, media: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self.header("content-type", media)
    }

    /// A `Link` header to an @context.
    #[must_use]
    pub fn context(self, url: &str) -> Self {
        let link = format!("<{url}>; rel=\"http://www.w3.org/ns/json-ld#context\"; type=\"application/ld+json\"");
        self.header("link", &link)
    }

    /// The answer, or why none came; then nobody knows whether it was done.
    pub fn send(self) -> io::Result<Answer> {
        let Self { client, method, path, headers, body } = self;
        let reused = client.connection.borrow_mut().take().filter(|(_, used)| used.elapsed() < IDLE_MAX);
        let mut connection = match reused {
            Some((connection, _)) => connection,
            None => BufReader::new(connect(&client.address)?),
        };
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", client.address);
        for (name, value) in client.headers.iter().chain(&headers) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if body.is_some() || !matches!(method.as_str(), "GET" | "HEAD" | "DELETE") {
            head.push_str(&format!("content-length: {}\r\n", body.as_ref().map_or(0, Vec::len)));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend(body.unwrap_or_default());
        // A server may refuse a large body before it has read it all: the answer counts, not the write.
        let written = connection.get_mut().write_all(&bytes);
        let answer = read_answer(&mut connection, &method);
        let answer = match (answer, written) {
            (Ok(answer), Ok(())) => answer,
            (Ok(answer), Err(_)) => return Ok(answer),
            (Err(error), Ok(())) | (Err(_), Err(error)) => return Err(error),
        };
        if answer.header("connection").is_none_or(|value| !value.eq_ignore_ascii_case("close")) {
            *client.connection.borrow_mut() = Some((connection, Instant::now()));
        }
        Ok(answer)
    }

    /// The answer of a server that must be there.
    ///
    /// # Panics
    ///
    /// When no answer came.
    #[track_caller]
    #[must_use]
    pub fn answer(self) -> Answer {
        let what = format!("{} {}", self.method, self.path);
        match self.send() {
            Ok(answer) => answer,
            Err(error) => panic!("{what} was not answered: {error}"),
        }
    }
}

impl Client {
    #[must_use]
    pub fn new(address: &str) -> Self {
        Self { address: address.to_owned(), headers: Vec::new(), connection: RefCell::new(None) }
    }

    /// The same server, with a connection of its own, by this token.
    #[must_use]
    pub fn token(&self, token: &str) -> Self {
        self.with_header("authorization", &format!("Bearer {token}"))
    }

    /// The same server, with a connection of its own, for this purpose.
    #[must_use]
    pub fn purpose(&self, purpose: &str) -> Self {
        self.with_header("renkei-purpose", purpose)
    }

    /// The same server, as this tenant.
    #[must_use]
    pub fn tenant(&self, tenant: &str) -> Self {
        self.with_header("NGSILD-Tenant", tenant)
    }

    #[must_use]
    pub fn with_header(&self, name: &str, value: &str) -> Self {
        let mut headers = self.headers.clone();
        headers.push((name.to_owned(), value.to_owned()));
        Self { address: self.address.clone(), headers, connection: RefCell::new(None) }
    }

    #[must_use]
    pub fn request(&self, method: &str, path: &str) -> Request<'_> {
        Request { client: self, method: method.to_owned(), path: path.to_owned(), headers: Vec::new(), body: None }
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.request("GET", path).answer()
    }

    #[track_caller]
    pub fn delete(&self, path: &str) -> Answer {
        self.request("DELETE", path).answer()
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.request("POST", path).json(body).answer()
    }

    #[track_caller]
    pub fn patch(&self, path: &str, body: &Value) -> Answer {
        self.request("PATCH", path).json(body).answer()
    }

    #[track_caller]
    pub fn put(&self, path: &str, body: &Value) -> Answer {
        self.request("PUT", path).json(body).answer()
    }

    /// Sends bytes as they are on a connection of their own, and gives the answer, if one came.
    pub fn raw(&self, bytes: &[u8]) -> io::Result<Answer> {
        let mut connection = BufReader::new(connect(&self.address)?);
        let written = connection.get_mut().write_all(bytes);
        match read_answer(&mut connection, "GET") {
            Ok(answer) => Ok(answer),
            Err(error) => Err(written.err().unwrap_or(error)),
        }
    }
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn broken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// The first line's words and the headers of a message.
pub(crate) type Head = (Vec<String>, Vec<(String, String)>);

pub(crate) fn read_head(from: &mut impl BufRead) -> io::Result<Head> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let words = line.trim_end().splitn(3, ' ').map(str::to_owned).collect();
    let mut headers = Vec::new();
    loop {
        let mut line = Vec::new();
        if from.read_until(b'\n', &mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        if line.is_empty() {
            return Ok((words, headers));
        }
        let (name, value) = line.split_once(':').ok_or_else(|| broken("a header has no colon"))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

pub(crate) fn read_body(from: &mut impl BufRead, headers: &[(String, String)]) -> io::Result<Option<Vec<u8>>> {
    let find = |name: &str| headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
    if find("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        let mut body = Vec::new();
        loop {
            let mut line = String::new();
            from.read_line(&mut line)?;
            let length = usize::from_str_radix(line.trim(), 16).map_err(|_| broken("a chunk has no length"))?;
            let at = body.len();
            body.resize(at + length, 0);
            from.read_exact(&mut body[at..])?;
            from.read_line(&mut String::new())?;
            if length == 0 {
                return Ok(Some(body));
            }
        }
    }
    let Some(length) = find("content-length") else { return Ok(None) };
    let mut body = vec![0; length.parse().map_err(|_| broken("content-length is no number"))?];
    from.read_exact(&mut body)?;
    Ok(Some(body))
}

fn read_answer(connection: &mut BufReader<TcpStream>, method: &str) -> io::Result<Answer> {
    loop {
        let (words, headers) = read_head(connection)?;
        let status = words.get(1).and_then(|word| word.parse().ok()).ok_or_else(|| broken("no status line"))?;
        if (100..200).contains(&status) {
            continue;
        }
        if method == "HEAD" || status == 204 || status == 304 {
            return Ok(Answer { status, headers, body: Vec::new() });
        }
        let body = match read_body(connection, &headers)? {
            Some(body) => body,
            None => {
                let mut rest = Vec::new();
                connection.read_to_end(&mut rest)?;
                rest
            }
        };
        return Ok(Answer { status, headers, body });
    }
}

/// Percent-encodes a part of a path or a query.
#[must_use]
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// A path with a query string of encoded values.
#[must_use]
pub fn path_with(path: &str, parameters: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    format!("{path}?{}", pairs.join("&"))
}
