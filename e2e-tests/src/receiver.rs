//! A webhook receiver: it listens, notes what comes, and answers what the test says.

use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::client::{read_body, read_head};
use crate::wait::eventually;

/// One notification that came in.
#[derive(Debug, Clone)]
pub struct Received {
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Value,
    /// What the receiver answered; `None` where it hung up.
    pub answered: Option<u16>,
}

impl Received {
    /// The notification's id.
    #[must_use]
    pub fn id(&self) -> &str {
        self.body["id"].as_str().unwrap_or_default()
    }

    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The entities it tells of.
    #[must_use]
    pub fn data(&self) -> &[Value] {
        self.body["data"].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    #[must_use]
    pub fn taken(&self) -> bool {
        self.answered.is_some_and(|status| (200..300).contains(&status))
    }
}

/// What to do with a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    Status(u16),
    HangUp,
}

type Decide = dyn Fn(&Received) -> Reply + Send + Sync;

/// Listens until it is dropped.
pub struct Receiver {
    address: String,
    received: Arc<Mutex<Vec<Received>>>,
    stop: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Receiver {
    /// Takes everything.
    #[must_use]
    pub fn start() -> Self {
        Self::deciding(0, |_| Reply::Status(204))
    }

    /// Takes everything, at this port.
    #[must_use]
    pub fn at(port: u16) -> Self {
        Self::deciding(port, |_| Reply::Status(204))
    }

    /// Answers as `decide` says; it is asked with what came, before that is noted.
    ///
    /// # Panics
    ///
    /// When the port cannot be had.
    #[must_use]
    pub fn deciding(port: u16, decide: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("a receiver can listen");
        let address = listener.local_addr().expect("a listener has an address").to_string();
        let received = Arc::new(Mutex::new(Vec::new()));
        let (stop, open) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let receiver =
            Self { address, received: Arc::clone(&received), stop: Arc::clone(&stop), open: Arc::clone(&open) };
        let decide: Arc<Decide> = Arc::new(decide);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                lock(&open).extend(stream.try_clone());
                let (received, decide) = (Arc::clone(&received), Arc::clone(&decide));
                std::thread::spawn(move || {
                    // The other side hung up: nothing more comes from there.
                    let _ = take_all(stream, &received, &*decide);
                });
            }
        });
        receiver
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/notify", self.address)
    }

    /// Everything that came so far.
    #[must_use]
    pub fn all(&self) -> Vec<Received> {
        lock(&self.received).clone()
    }

    #[must_use]
    pub fn count(&self) -> usize {
        lock(&self.received).len()
    }

    /// Looks at everything that came without copying it.
    pub fn look<T>(&self, look: impl FnOnce(&[Received]) -> T) -> T {
        look(&lock(&self.received))
    }

    /// Waits until so many came, and gives all.
    #[must_use]
    pub fn wait_for(&self, count: usize) -> Vec<Received> {
        eventually(&format!("{count} notifications have come; {} did", self.count()), || {
            (self.count() >= count).then(|| self.all())
        })
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the listener, so that it sees the stop and lets the port go.
        let _ = TcpStream::connect(&self.address);
        for stream in lock(&self.open).drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take_all(stream: TcpStream, received: &Mutex<Vec<Received>>, decide: &Decide) -> std::io::Result<()> {
    let mut connection = BufReader::new(stream);
    loop {
        let (words, headers) = read_head(&mut connection)?;
        let body = read_body(&mut connection, &headers)?.unwrap_or_default();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let path = words.get(1).cloned().unwrap_or_default();
        let mut one = Received { path, headers, body, answered: None };
        let reply = decide(&one);
        if let Reply::Status(status) = reply {
            one.answered = Some(status);
        }
        // Noted before it is answered: what was acknowledged has been seen.
        lock(received).push(one);
        let Reply::Status(status) = reply else {
            connection.get_ref().shutdown(std::net::Shutdown::Both)?;
            return Ok(());
        };
        let answer = if status == 204 {
            "HTTP/1.1 204 No Content\r\n\r\n".to_owned()
        } else {
            format!("HTTP/1.1 {status} Answer\r\ncontent-length: 0\r\n\r\n")
        };
        connection.get_mut().write_all(answer.as_bytes())?;
    }
}

/// A port that nobody listens at, for an endpoint that is down and comes up later.
///
/// # Panics
///
/// When the system gives none.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the system gives a port");
    listener.local_addr().expect("a listener has an address").port()
}
