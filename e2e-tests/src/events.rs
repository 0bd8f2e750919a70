//! A reader of Server-Sent Events over a connection of its own.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::wait::PATIENCE;

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub id: Option<u64>,
    pub name: String,
    pub data: Value,
}

/// An open stream.
#[derive(Debug)]
pub struct Events {
    lines: BufReader<TcpStream>,
    pub status: u16,
}

impl Events {
    /// Opens a stream; headers go as they are given. An answer other than 200 is left to be read as text.
    ///
    /// # Panics
    ///
    /// When nothing answers there.
    #[must_use]
    pub fn open(address: &str, path: &str, headers: &[(&str, &str)]) -> Self {
        let mut stream = TcpStream::connect(address).expect("a server is there");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out can be set");
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n{headers}\r\n")
            .expect("the request is sent");
        let mut lines = BufReader::new(stream);
        let mut status = String::new();
        lines.read_line(&mut status).expect("a status comes");
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line");
        let mut header = String::from("x");
        while !header.trim().is_empty() {
            header.clear();
            lines.read_line(&mut header).expect("headers come");
        }
        let mut events = Self { lines, status };
        if status == 200 {
            // The first word is how soon to come back: from here on nothing is missed.
            while events.line().is_some_and(|line| !line.starts_with("retry:")) {}
        }
        events
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(line.trim_end().to_owned()),
        }
    }

    /// The next event; `None` where the stream has ended.
    pub fn next_event(&mut self) -> Option<Event> {
        let mut event = Event { id: None, name: String::new(), data: Value::Null };
        loop {
            let line = self.line()?;
            // The last chunk of the body.
            if line == "0" {
                return None;
            }
            match line.split_once(": ") {
                Some(("id", id)) => event.id = id.parse().ok(),
                Some(("event", name)) => name.clone_into(&mut event.name),
                Some(("data", data)) => {
                    event.data = serde_json::from_str(data).ok()?;
                    return Some(event);
                }
                _ => {}
            }
        }
    }

    /// So many events.
    ///
    /// # Panics
    ///
    /// When the stream ends before.
    pub fn take(&mut self, count: usize) -> Vec<Event> {
        (0..count).map(|at| self.next_event().unwrap_or_else(|| panic!("event {at} of {count} did not come"))).collect()
    }

    /// Whether nothing comes within the time.
    pub fn is_silent_for(&mut self, span: Duration) -> bool {
        self.lines.get_ref().set_read_timeout(Some(span)).expect("a time-out can be set");
        let silent = self.next_event().is_none();
        self.lines.get_ref().set_read_timeout(Some(PATIENCE)).expect("a time-out can be set");
        silent
    }
}
