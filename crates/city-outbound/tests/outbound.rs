//! Drives the way out against real servers on this machine.
#![allow(clippy::unwrap_used, reason = "the helpers of a test may fail it")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use city_outbound::{ANSWER_BYTES_KEPT, Error, Outbound, Policy, REQUESTS_PER_HOST_MAX, Stage};
use http::HeaderMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Answers every request with the same bytes, after a pause; counts connections and requests.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    most_at_once: Arc<AtomicUsize>,
}

async fn serve(answer: Vec<u8>, pause: Duration) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (connections, most_at_once) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let server = Server { address, connections: Arc::clone(&connections), most_at_once: Arc::clone(&most_at_once) };
    let at_once = Arc::new(AtomicUsize::new(0));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            connections.fetch_add(1, Ordering::SeqCst);
            let (answer, most, at_once) = (answer.clone(), Arc::clone(&most_at_once), Arc::clone(&at_once));
            tokio::spawn(async move {
                while read_request(&mut stream).await {
                    most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    tokio::time::sleep(pause).await;
                    at_once.fetch_sub(1, Ordering::SeqCst);
                    if stream.write_all(&answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    server
}

/// One head and a body of `Content-Length` bytes.
async fn read_request(stream: &mut TcpStream) -> bool {
    let mut seen = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return false,
            Ok(read) => seen.extend_from_slice(&chunk[..read]),
        }
        let text = String::from_utf8_lossy(&seen).to_ascii_lowercase();
        if let Some(head) = text.find("\r\n\r\n") {
            let length = text.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next()?.parse().ok());
            if seen.len() >= head + 4 + length.unwrap_or(0) {
                return true;
            }
        }
    }
}

fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

fn outbound(allow: &[&str], allow_private: bool) -> Outbound {
    Outbound::new(Policy {
        allow: allow.iter().map(|text| text.parse().unwrap()).collect(),
        allow_private,
        connect_timeout: Duration::from_millis(1000),
        request_timeout: Duration::from_millis(2000),
        response_bytes_max: 1024 * 1024,
    })
}

async fn post(outbound: &Outbound, url: &str) -> Result<city_outbound::Answer, Error> {
    outbound.post(url, HeaderMap::new(), Bytes::from_static(b"{}"), Duration::from_secs(2)).await
}

#[tokio::test]
async fn an_allowed_server_is_read_and_its_connection_is_used_again() {
    let server = serve(ok("{\"a\":1}"), Duration::ZERO).await;
    let outbound = outbound(&["127.0.0.1"], false);
    for _ in 0..3 {
        let fetched = outbound.get(&format!("http://{}/c", server.address), "application/ld+json", 100).await.unwrap();
        assert_eq!((fetched.status, fetched.content_type.as_deref()), (200, Some("application/json")));
        assert_eq!(fetched.body, "{\"a\":1}");
        let answer = post(&outbound, &format!("http://localhost:{}/", server.address.port())).await.unwrap();
        assert!(answer.is_success());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // One for the address, one for the name.
    assert_eq!(server.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_private_address_is_refused_however_it_is_written_and_nothing_is_connected() {
    let server = serve(ok("secret"), Duration::ZERO).await;
    let port = server.address.port();
    let outbound = outbound(&["*"], false);
    for host in ["127.0.0.1", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "localhost", "LOCALHOST.", "[::1]", "0.0.0.0"] {
        let refused = outbound.get(&format!("http://{host}:{port}/"), "*/*", 100).await.unwrap_err();
        assert!(matches!(refused, Error::NotPublic { .. }), "{host}: {refused}");
        assert!(refused.never_sent() && refused.is_refusal());
    }
    for host in ["2130706433", "0x7f.1", "0x7f000001", "0177.0.0.1", "127.1", "me@127.0.0.1", "example.org@127.0.0.1"] {
        let refused = outbound.get(&format!("http://{host}:{port}/"), "*/*", 100).await.unwrap_err();
        assert!(matches!(refused, Error::Address { .. }), "{host}: {refused}");
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_listed_name_does_not_open_the_loopback_address_behind_it() {
    let server = serve(ok("secret"), Duration::ZERO).await;
    let url = format!("http://localhost:{}/", server.address.port());
    let refused = outbound(&["localhost"], false).get(&url, "*/*", 100).await.unwrap_err();
    assert!(refused.to_string().contains("--outbound-allow"), "{refused}");
    assert!(outbound(&["localhost"], true).get(&url, "*/*", 100).await.is_ok());
}

#[tokio::test]
async fn a_host_outside_the_list_is_refused_and_the_setting_is_named() {
    let outbound = outbound(&["example.org"], true);
    let refused = outbound.get("https://example.com/a?token=t", "*/*", 100).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "No connection to example.com:443: no entry of --outbound-allow names it. Add \"example.com:443\" to --outbound-allow."
    );
    assert_eq!(outbound.check("https://example.com/"), Err(refused));
    assert_eq!(outbound.check("https://example.org/"), Ok(()));
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let inside = serve(ok("secret"), Duration::ZERO).await;
    let redirect =
        format!("HTTP/1.1 302 Found\r\nLocation: http://{}/k?t=1\r\nContent-Length: 0\r\n\r\n", inside.address);
    let server = serve(redirect.into_bytes(), Duration::ZERO).await;
    let outbound = outbound(&["127.0.0.1"], false);
    let url = format!("http://{}/", server.address);
    for refused in [outbound.get(&url, "*/*", 100).await.unwrap_err(), post(&outbound, &url).await.unwrap_err()] {
        let Error::Redirected { status, location, .. } = refused else { panic!("{refused}") };
        assert_eq!((status, location), (302, Some(format!("http://{}", inside.address))));
    }
    assert_eq!(inside.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_document_over_its_bound_is_cut_off_with_an_error() {
    let outbound = outbound(&["127.0.0.1"], false);
    let announced = serve(ok(&"x".repeat(101)), Duration::ZERO).await;
    let mut endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    endless.extend(format!("{:x}\r\n{}\r\n", 60, "y".repeat(60)).repeat(1000).into_bytes());
    let endless = serve(endless, Duration::ZERO).await;
    for server in [announced, endless] {
        let cut = outbound.get(&format!("http://{}/", server.address), "*/*", 100).await.unwrap_err();
        assert!(matches!(cut, Error::TooLong { bytes_max: 100, .. }), "{cut}");
    }
    let fitting = serve(ok(&"x".repeat(100)), Duration::ZERO).await;
    assert!(outbound.get(&format!("http://{}/", fitting.address), "*/*", 100).await.is_ok());
}

#[tokio::test]
async fn a_message_counts_as_taken_by_its_status_even_if_the_answer_is_long_or_breaks() {
    let outbound = outbound(&["127.0.0.1"], false);
    let long = serve(ok(&"x".repeat(ANSWER_BYTES_KEPT + 1)), Duration::ZERO).await;
    let answer = post(&outbound, &format!("http://{}/", long.address)).await.unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, ANSWER_BYTES_KEPT));

    let busy = b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 10\r\n\r\nhalf".to_vec();
    let busy = serve(busy, Duration::ZERO).await;
    let answer = post(&outbound, &format!("http://{}/", busy.address)).await.unwrap();
    assert_eq!((answer.status, answer.retry_after), (503, Some(Duration::from_secs(7))));
    assert!(!answer.is_success());
}

#[tokio::test]
async fn a_slow_server_is_given_up() {
    let server = serve(ok("late"), Duration::from_secs(30)).await;
    let outbound = outbound(&["127.0.0.1"], false);
    let start = Instant::now();
    let url = format!("http://{}/", server.address);
    let late = outbound.post(&url, HeaderMap::new(), Bytes::new(), Duration::from_millis(100)).await.unwrap_err();
    assert!(matches!(late, Error::TimedOut { stage: Stage::Answering, .. }), "{late}");
    assert!(!late.never_sent());
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_silent_tls_server_is_given_up_while_connecting() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let outbound = outbound(&["127.0.0.1"], false);
    let late = post(&outbound, &format!("https://{}/", listener.local_addr().unwrap())).await.unwrap_err();
    assert!(matches!(late, Error::TimedOut { stage: Stage::Connecting, .. } | Error::NoAuthorities { .. }), "{late}");
    assert!(late.never_sent());
}

#[tokio::test]
async fn a_closed_port_an_unknown_name_and_a_broken_answer_are_told_apart() {
    let outbound = outbound(&["127.0.0.1", "*.invalid"], true);
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let unreachable = post(&outbound, &format!("http://{closed}/")).await.unwrap_err();
    assert!(matches!(unreachable, Error::Unreachable { .. }), "{unreachable}");
    let unknown = post(&outbound, "http://nobody.invalid/").await.unwrap_err();
    assert!(matches!(unknown, Error::Unresolved { .. } | Error::TimedOut { .. }), "{unknown}");
    assert!(unreachable.never_sent() && unknown.never_sent() && !unreachable.is_refusal());
    let nonsense = serve(b"SSH-2.0-nonsense\r\n\r\n".to_vec(), Duration::ZERO).await;
    let broken = post(&outbound, &format!("http://{}/", nonsense.address)).await.unwrap_err();
    assert!(matches!(broken, Error::Broken { .. }) && !broken.never_sent(), "{broken}");
}

#[tokio::test]
async fn headers_that_frame_the_message_cannot_be_given() {
    let outbound = outbound(&["127.0.0.1"], false);
    for name in ["host", "Content-Length", "transfer-encoding", "connection", "proxy-authorization"] {
        let headers = HeaderMap::from_iter([(name.parse::<http::HeaderName>().unwrap(), "x".parse().unwrap())]);
        let refused = outbound.post("http://127.0.0.1/", headers, Bytes::new(), Duration::from_secs(1)).await;
        assert!(matches!(refused, Err(Error::Header { .. })), "{name}");
    }
}

#[tokio::test]
async fn one_host_gets_at_most_its_share_of_requests_at_once_and_other_hosts_do_not_wait() {
    let slow = serve(ok("slow"), Duration::from_millis(150)).await;
    let quick = serve(ok("quick"), Duration::ZERO).await;
    let outbound = outbound(&["127.0.0.1"], false);
    let requests: Vec<_> = (0..REQUESTS_PER_HOST_MAX * 2)
        .map(|_| {
            let (outbound, url) = (outbound.clone(), format!("http://{}/", slow.address));
            tokio::spawn(async move { post(&outbound, &url).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(30)).await;
    let start = Instant::now();
    post(&outbound, &format!("http://{}/", quick.address)).await.unwrap();
    assert!(start.elapsed() < Duration::from_millis(120), "{:?}", start.elapsed());
    for request in requests {
        assert!(request.await.unwrap().is_ok());
    }
    assert!(slow.most_at_once.load(Ordering::SeqCst) <= REQUESTS_PER_HOST_MAX);
}
