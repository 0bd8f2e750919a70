//! Drives the frame over real sockets, byte by byte.
#![allow(clippy::unwrap_used, reason = "the helpers of a test may fail it")]

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use city_model::permit::Grant;
use city_model::{Mint, Permit, Powers, TenantName, Time};
use city_serve::caller::{Admitting, Caller, Knock, Porter};
use city_serve::doors::Error;
use city_serve::{
    Effect, Frame, Limits, Metering, Operation, Parameters, PathParameters, Phase, Problem, Ready, RequestId, Server,
    Stopped, WholeBody, probes,
};
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The state of these tests: what the handler `greet` says.
type Greeting = &'static str;

async fn greet(State(greeting): State<Greeting>, path: PathParameters, query: Parameters) -> Result<String, Problem> {
    query.only(&["loud"])?;
    let mark = if query.find("loud").is_some() { "!" } else { "." };
    Ok(format!("{greeting} {}{mark}", path.get("name")?))
}

async fn echo(WholeBody(body): WholeBody) -> Vec<u8> {
    body.to_vec()
}

async fn slow(request: axum::extract::Request) -> String {
    tokio::time::sleep(Duration::from_millis(400)).await;
    format!("{}", request.extensions().get::<RequestId>().unwrap().0)
}

async fn panics() -> &'static str {
    tokio::task::yield_now().await;
    panic!("on purpose")
}

async fn large() -> Response {
    Response::new(Body::from(vec![b'x'; 32 * 1024 * 1024]))
}

fn operations() -> Vec<Operation<Greeting>> {
    let test = "test";
    vec![
        Operation::new(test, "1", "greet", Method::GET, "/greet/{name}", Effect::Read, greet),
        Operation::new(test, "2", "echo", Method::POST, "/echo", Effect::Write, echo),
        Operation::new(test, "2", "see_echo", Method::GET, "/echo", Effect::Read, async || "nothing"),
        Operation::new(test, "3", "slow", Method::GET, "/slow", Effect::Read, slow),
        Operation::new(test, "4", "panics", Method::GET, "/panics", Effect::Read, panics),
        Operation::new(test, "5", "large", Method::GET, "/large", Effect::Read, large),
    ]
}

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Stopped>,
    ready: Ready,
}

/// Whoever asks may do everything.
#[derive(Clone, Copy)]
struct Everybody;

fn everybody() -> Arc<dyn Porter<Greeting>> {
    Arc::new(Everybody)
}

impl Porter<Greeting> for Everybody {
    fn release(&self, _: &Greeting, _: &Permit, answer: Response) -> Response {
        answer
    }

    fn admit(&self, _: Greeting, knock: Knock) -> Admitting {
        static MINT: OnceLock<Mint> = OnceLock::new();
        let permit = MINT.get_or_init(|| Mint::take().unwrap()).issue(Grant {
            tenant: TenantName::default_tenant(),
            who: "test".into(),
            purpose: None,
            powers: Arc::new(Powers::all()),
            epoch: 0,
            expires_at: Time::from_micros(i64::MAX),
        });
        Box::pin(async move { Ok(Caller { permit, tenant_named: false, headers: knock.headers }) })
    }
}

fn start(limits: Limits) -> Running {
    let ready = Ready::default();
    let mut operations = operations();
    operations.extend(probes::operations(&ready, &Metering::install().unwrap()));
    let frame = Frame::new(&operations, "Hello", limits, everybody()).unwrap();
    let server = Server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = server.address();
    let (stop, stopped) = oneshot::channel();
    let ended = tokio::spawn(server.serve(frame, async { drop(stopped.await) }));
    Running { address, stop, ended, ready }
}

/// Sends bytes on a new connection and reads to its end, five seconds at most.
async fn exchange(address: SocketAddr, request: impl AsRef<[u8]>) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_ref()).await.unwrap();
    read_to_end(&mut stream).await
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    tokio::time::timeout(Duration::from_secs(5), reading).await.expect("the connection stays open").ok();
    String::from_utf8_lossy(&answer).into_owned()
}

async fn get(address: SocketAddr, path: &str) -> String {
    exchange(address, format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await
}

fn status(answer: &str) -> u16 {
    answer.get(9..12).and_then(|digits| digits.parse().ok()).unwrap_or_else(|| panic!("no status in {answer:?}"))
}

fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let head = answer.split("\r\n\r\n").next()?;
    head.lines().filter_map(|line| line.split_once(": ")).find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v)
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

fn problem(answer: &str) -> serde_json::Value {
    assert_eq!(header(answer, "content-type"), Some("application/json"), "{answer}");
    let problem: serde_json::Value = serde_json::from_str(body(answer)).unwrap();
    assert_eq!(problem["status"], status(answer));
    for member in ["type", "title", "detail", "code"] {
        assert!(problem[member].is_string(), "{problem}");
    }
    problem
}

#[tokio::test]
async fn an_operation_gets_its_path_and_query_decoded() {
    let running = start(Limits::default());
    let answer = get(running.address, "/greet/urn%3Aa%2F%E6%B1%9F?loud=1").await;
    assert_eq!((status(&answer), body(&answer)), (200, "Hello urn:a/江!"));
    assert_eq!(header(&answer, "x-request-id").unwrap().len(), 36);
    let with_slash = get(running.address, "/greet/a/?loud=1").await;
    assert_eq!((status(&with_slash), body(&with_slash)), (200, "Hello a!"), "a slash at the end means the same");
    for path in ["/greet/a?quiet=1", "/greet/a?loud=1&loud=2", "/greet/a?loud=%ff", "/greet/%ff"] {
        let answer = get(running.address, path).await;
        assert_eq!(status(&answer), 400, "{path}");
        problem(&answer);
    }
}

#[tokio::test]
async fn an_unknown_path_is_404_and_a_wrong_method_405_with_the_possible_ones() {
    let running = start(Limits::default());
    let answer = get(running.address, "/nothing").await;
    assert_eq!(problem(&answer)["type"], "https://uri.etsi.org/ngsi-ld/errors/ResourceNotFound");
    assert_eq!(status(&answer), 404);

    let request = |method: &str| format!("{method} /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let answer = exchange(running.address, request("DELETE")).await;
    assert_eq!((status(&answer), header(&answer, "allow")), (405, Some("GET, HEAD, OPTIONS, POST")));
    problem(&answer);
    let answer = exchange(running.address, request("OPTIONS")).await;
    assert_eq!((status(&answer), header(&answer, "allow")), (204, Some("GET, HEAD, OPTIONS, POST")));
    let answer = exchange(running.address, request("HEAD")).await;
    assert_eq!((status(&answer), body(&answer)), (200, ""));
}

#[tokio::test]
async fn a_list_with_one_operation_twice_makes_no_router() {
    let mut twice = operations();
    twice.extend(operations());
    let refused = Frame::new(&twice, "Hello", Limits::default(), everybody()).unwrap_err();
    assert!(matches!(refused, Error::Twice { .. }), "{refused}");
}

#[tokio::test]
async fn a_body_over_its_bound_is_413_announced_or_not() {
    let running = start(Limits { body_bytes: 1000, ..Limits::default() });
    let announced = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n";
    let answer = exchange(running.address, announced).await;
    assert_eq!((status(&answer), problem(&answer)["bytes_max"].as_u64()), (413, Some(1000)));

    let chunk = format!("{:x}\r\n{}\r\n", 600, "y".repeat(600));
    let chunked = format!("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}{chunk}");
    assert_eq!(status(&exchange(running.address, chunked).await), 413);

    let exact = format!(
        "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1000\r\n\r\n{}",
        "z".repeat(1000)
    );
    let answer = exchange(running.address, exact).await;
    assert_eq!((status(&answer), body(&answer).len()), (200, 1000));
}

#[tokio::test]
async fn headers_over_their_bound_are_431() {
    let running = start(Limits { head_bytes: 8 * 1024, ..Limits::default() });
    let request = format!("GET /slow HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(9 * 1024));
    let answer = exchange(running.address, request).await;
    assert_eq!((status(&answer), &problem(&answer)["code"]), (431, &"SRV-018".into()));
    let request = format!("GET /slow HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: 1\r\n".repeat(200));
    let answer = exchange(running.address, request).await;
    assert_eq!((status(&answer), &problem(&answer)["code"]), (431, &"SRV-018".into()));
}

#[tokio::test]
async fn a_client_that_drips_its_headers_is_closed() {
    let running = start(Limits { head_time: Duration::from_millis(300), ..Limits::default() });
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let start = Instant::now();
    let mut closed = false;
    for byte in b"GET /greet/a HTTP/1.1\r\nHost: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".chunks(1) {
        stream.write_all(byte).await.ok();
        let mut answer = [0; 1];
        let read = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut answer)).await;
        if let Ok(Ok(0) | Err(_)) = read {
            closed = true;
            break;
        }
    }
    assert!(closed && start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_a_while() {
    let running = start(Limits { head_time: Duration::from_millis(200), ..Limits::default() });
    let start = Instant::now();
    let answer = exchange(running.address, "GET /greet/a HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!((status(&answer), body(&answer)), (200, "Hello a."));
    assert!(start.elapsed() >= Duration::from_millis(150) && start.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_client_that_drips_its_body_is_answered_408() {
    let running = start(Limits { body_pause: Duration::from_millis(100), ..Limits::default() });
    let request = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf";
    let answer = exchange(running.address, request).await;
    assert_eq!((status(&answer), problem(&answer)["code"].as_str()), (408, Some("SRV-004")));
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_cut_off() {
    let limits = Limits { write_pause: Duration::from_millis(200), connections: 1, ..Limits::default() };
    let running = start(limits);
    let mut stuck = TcpStream::connect(running.address).await.unwrap();
    stuck.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(status(&get(running.address, "/greet/a").await), 503);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(status(&get(running.address, "/greet/a").await), 200);
}

#[tokio::test]
async fn a_half_closed_client_still_gets_its_answer() {
    let running = start(Limits::default());
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    stream.shutdown().await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert_eq!(status(&answer), 200);
    assert_eq!(header(&answer, "x-request-id"), Some(body(&answer)));
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_on_one_connection() {
    let running = start(Limits::default());
    let one = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    let last = "GET /greet/c HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = exchange(running.address, one("/greet/a") + &one("/nothing") + &one("/greet/b") + last).await;
    let order: Vec<_> = ["Hello a.", "SRV-001", "Hello b.", "Hello c."].map(|text| answer.find(text).unwrap()).into();
    assert!(order.is_sorted(), "{order:?}");
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 3);
}

#[tokio::test]
async fn a_panic_is_answered_500_and_the_server_lives_on() {
    let running = start(Limits { requests: 1, ..Limits::default() });
    for _ in 0..3 {
        let answer = get(running.address, "/panics").await;
        assert_eq!((status(&answer), problem(&answer)["code"].as_str()), (500, Some("SRV-006")));
        assert!(!answer.contains("on purpose"));
    }
    assert_eq!(status(&get(running.address, "/greet/a").await), 200);
}

#[tokio::test]
async fn beyond_the_bound_of_requests_the_answer_is_503_but_probes_are_answered() {
    let running = start(Limits { requests: 2, ..Limits::default() });
    let address = running.address;
    let busy: Vec<_> = (0..2).map(|_| tokio::spawn(async move { get(address, "/slow").await })).collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let answer = get(address, "/greet/a").await;
    assert_eq!((status(&answer), header(&answer, "retry-after")), (503, Some("1")));
    problem(&answer);
    assert_eq!(status(&get(address, "/health/live").await), 200);
    for busy in busy {
        assert_eq!(status(&busy.await.unwrap()), 200);
    }
    assert_eq!(status(&get(address, "/greet/a").await), 200);
}

#[tokio::test]
async fn beyond_the_bound_of_connections_the_answer_is_503() {
    let running = start(Limits { connections: 1, ..Limits::default() });
    let held = TcpStream::connect(running.address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let answer = get(running.address, "/greet/a").await;
    assert_eq!((status(&answer), header(&answer, "retry-after")), (503, Some("1")));
    assert_eq!(problem(&answer)["code"], "SRV-009");
    drop(held);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(status(&get(running.address, "/greet/a").await), 200);
}

#[tokio::test]
async fn a_stop_finishes_the_request_under_way_and_refuses_new_ones() {
    let running = start(Limits::default());
    let address = running.address;
    let mut idle = TcpStream::connect(address).await.unwrap();
    // Not asked to close: the stop itself must end the connection.
    let under_way = tokio::spawn(exchange(address, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"));
    tokio::time::sleep(Duration::from_millis(100)).await;
    running.stop.send(()).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(TcpStream::connect(address).await.is_err());
    assert_eq!(status(&under_way.await.unwrap()), 200);
    assert_eq!(running.ended.await.unwrap(), Stopped { cut_off: 0 });
    assert_eq!(read_to_end(&mut idle).await, "");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let running = start(Limits { stop_time: Duration::from_millis(100), ..Limits::default() });
    let under_way = tokio::spawn(exchange(running.address, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let start = Instant::now();
    running.stop.send(()).unwrap();
    assert_eq!(running.ended.await.unwrap(), Stopped { cut_off: 1 });
    assert!(start.elapsed() < Duration::from_millis(280), "{:?}", start.elapsed());
    assert_eq!(under_way.await.unwrap(), "");
}

#[tokio::test]
async fn the_probes_say_how_the_server_is() {
    let running = start(Limits::default());
    let starting = get(running.address, "/health/ready").await;
    assert_eq!((status(&starting), header(&starting, "retry-after")), (503, Some("2")));
    running.ready.set(Phase::Ready);
    assert_eq!(body(&get(running.address, "/health/ready").await), r#"{"status":"ready"}"#);
    running.ready.set(Phase::Stopping);
    assert_eq!(status(&get(running.address, "/health/ready").await), 503);
    assert_eq!(status(&get(running.address, "/health/live").await), 200);

    get(running.address, "/greet/secret-name").await;
    let numbers = get(running.address, "/metrics").await;
    for expected in [
        r#"renkei_http_requests_total{door="test",operation="greet",status="200"}"#,
        r#"renkei_http_requests_total{door="probes",operation="ready",status="503"}"#,
        r#"renkei_http_request_seconds_bucket{door="test",operation="greet",le="0.0005"}"#,
        "renkei_http_requests_in_flight",
        "renkei_http_connections",
    ] {
        assert!(numbers.contains(expected), "{expected} is not in\n{numbers}");
    }
    assert!(!numbers.contains("secret-name"));
}

#[tokio::test]
async fn unreadable_requests_are_refused_and_leave_the_server_alive() {
    let running = start(Limits::default());
    for nonsense in [
        "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "GET /echo HTTP/1.1\r\nbad header\r\n\r\n",
    ] {
        let answer = exchange(running.address, nonsense).await;
        assert_eq!((status(&answer), &problem(&answer)["code"]), (400, &"SRV-017".into()), "{nonsense:?}");
    }
    // Behind an answer on the same connection, the refusal is told as well.
    let answers = exchange(running.address, "GET /greet/a HTTP/1.1\r\nHost: a\r\n\r\nGET /<a> HTTP/1.1\r\n\r\n").await;
    assert!(answers.contains("Hello a.") && answers.contains("\"code\":\"SRV-017\""), "{answers}");
    assert_eq!(status(&get(running.address, "/greet/a").await), 200);
}
