//! The polite client against servers that misbehave: limits, retries, 429s, the breaker, redirects, caps, secrets.
//!
//! Real sockets and real time, so durations are only ever checked from below.

#![expect(clippy::unwrap_used, reason = "a broken test server is a failed test")]

use std::future::Future;
use std::io::Write;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use bytes::Bytes;
use jiff::Timestamp;
use parser::error::{Fault, Party, Severity};
use parser::http::{
    Breaker, HttpError, Limiter, Profile, Request, Response, Retry, Service, Timeouts, Window, default_classify,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

const MARKER: &str = "MARKER-5ecret-t0ken";

// ---------------------------------------------------------------------------------------------- a scripted server

/// What the server does with a request.
#[derive(Clone)]
enum Reply {
    /// These bytes, then the connection is closed.
    Raw(Vec<u8>),
    /// Nothing, for ever.
    Hang,
    /// Closes the connection without a byte.
    Close,
}

impl Reply {
    fn status(status: u16) -> Self {
        Self::with(status, "", b"{}")
    }

    fn with(status: u16, headers: &str, body: &[u8]) -> Self {
        let length = body.len();
        let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n");
        Self::Raw([head.as_bytes(), body].concat())
    }
}

struct Server {
    url: String,
    log: Arc<Mutex<Vec<(String, Instant, SystemTime)>>>,
    arrived: Arc<Notify>,
    busiest: Arc<AtomicUsize>,
}

impl Server {
    /// `script` gets the number of the request (from 0) and its head.
    async fn start(script: impl Fn(usize, &str) -> Reply + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), script)
    }

    fn on(listener: TcpListener, script: impl Fn(usize, &str) -> Reply + Send + Sync + 'static) -> Self {
        let server = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            log: Arc::default(),
            arrived: Arc::new(Notify::new()),
            busiest: Arc::default(),
        };
        let (log, arrived, busiest) = (server.log.clone(), server.arrived.clone(), server.busiest.clone());
        let (script, busy) = (Arc::new(script), Arc::new(AtomicUsize::new(0)));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (log, arrived, busiest) = (log.clone(), arrived.clone(), busiest.clone());
                let (script, busy) = (script.clone(), busy.clone());
                tokio::spawn(async move {
                    let head = read_head(&mut stream).await;
                    busiest.fetch_max(busy.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    let number = {
                        let mut log = log.lock().unwrap();
                        log.push((head.clone(), Instant::now(), SystemTime::now()));
                        log.len() - 1
                    };
                    arrived.notify_one();
                    let reply = script(number, &head);
                    tokio::task::yield_now().await;
                    busy.fetch_sub(1, Ordering::SeqCst);
                    match reply {
                        Reply::Raw(bytes) => {
                            // The client may hang up in the middle; that is its right.
                            let _ = stream.write_all(&bytes).await;
                            let _ = stream.shutdown().await;
                        }
                        Reply::Hang => std::future::pending().await,
                        Reply::Close => {}
                    }
                });
            }
        });
        server
    }

    fn seen(&self) -> usize {
        self.log.lock().unwrap().len()
    }
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        let mut buffer = [0; 2048];
        match stream.read(&mut buffer).await {
            Ok(n) if n > 0 => head.extend_from_slice(&buffer[..n]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

// ------------------------------------------------------------------------------------------------------- helpers

fn profile(base_url: &str) -> Profile {
    Profile {
        name: "kodik",
        base_url: base_url.parse().unwrap(),
        user_agent: "parser-test/1".to_owned(),
        windows: Vec::new(),
        permits: 8,
        timeouts: Timeouts {
            connect: Duration::from_secs(5),
            headers: Duration::from_secs(20),
            total: Duration::from_secs(30),
        },
        retry: Retry {
            max_attempts: 4,
            max_throttled: 3,
            base: Duration::from_millis(2),
            floor: Duration::from_millis(1),
            ceiling: Duration::from_millis(10),
            max_elapsed: Duration::from_mins(1),
        },
        breaker: Breaker {
            threshold: 100,
            cooldown: Duration::from_millis(20),
            max_cooldown: Duration::from_millis(40),
            give_up_after: Duration::from_mins(1),
        },
        max_body: 1024 * 1024,
        classify: default_classify,
    }
}

fn service(profile: Profile) -> Service {
    Service::new(profile, None).unwrap()
}

fn get() -> Request {
    Request::get("/list", "/list").secret("token", MARKER.into())
}

async fn send(service: &Service) -> Result<Response, HttpError> {
    within(service.send(get())).await
}

/// So that a deadlock fails the test instead of hanging the suite.
async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), future).await.expect("deadlock")
}

fn bucket(per_second: f64, burst: u32) -> Window {
    Window::Bucket { per_second, burst: NonZeroU32::new(burst).unwrap() }
}

async fn closed_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

// ------------------------------------------------------------------------------------------------ limits and retries

#[tokio::test]
async fn the_request_on_the_wire_is_what_was_asked_for() {
    let server = Server::start(|_, _| Reply::with(200, "x-trace: 7\r\n", b"[1]")).await;
    let service = service(profile(&format!("{}/v1/", server.url)));
    let request = Request::post_json("/import", "/import", "{\"a\":1}").query("q", "a b");
    let response = within(service.send(request)).await.unwrap();
    assert_eq!((response.status.as_u16(), &response.body[..]), (200, &b"[1]"[..]));
    assert_eq!(response.headers["x-trace"], "7");
    let head = server.log.lock().unwrap()[0].0.to_lowercase();
    for part in ["post /v1/import?q=a+b http/1.1", "user-agent: parser-test/1", "content-type: application/json"] {
        assert!(head.contains(part), "{part} not in {head}");
    }
    assert_eq!((service.name(), service.base_url().path()), ("kodik", "/v1/"));
}

#[tokio::test]
async fn refusals_are_answers_and_are_not_tried_again() {
    let server = Server::start(|_, _| Reply::status(404)).await;
    let service = service(profile(&server.url));
    assert_eq!(send(&service).await.unwrap().status.as_u16(), 404);
    assert_eq!(server.seen(), 1);
}

#[tokio::test]
async fn every_retry_pays_the_limiter() {
    let server = Server::start(|n, _| Reply::status(if n < 2 { 500 } else { 200 })).await;
    let service = service(Profile { windows: vec![bucket(10.0, 1)], ..profile(&server.url) });
    let start = Instant::now();
    send(&service).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(200), "{:?}", start.elapsed());
    let stats = service.stats();
    assert_eq!((stats.requests, stats.retries, server.seen()), (3, 2, 3));
    assert!(stats.waited > Duration::ZERO && stats.on_wire > Duration::ZERO);
}

#[tokio::test]
async fn a_global_limit_is_shared_by_services() {
    let server = Server::start(|_, _| Reply::status(200)).await;
    let global = Arc::new(Limiter::new("global", &[bucket(20.0, 1)]).unwrap());
    let one = Service::new(profile(&server.url), Some(global.clone())).unwrap();
    let two = Service::new(Profile { name: "shikimori", ..profile(&server.url) }, Some(global)).unwrap();
    let start = Instant::now();
    let sends = (0..6).map(|n| send(if n % 2 == 0 { &one } else { &two }));
    assert!(futures::future::join_all(sends).await.iter().all(Result::is_ok));
    assert!(start.elapsed() >= Duration::from_millis(250), "{:?}", start.elapsed());
}

#[tokio::test]
async fn no_more_requests_in_flight_than_permits() {
    let server = Server::start(|_, _| Reply::status(200)).await;
    let service = service(Profile { permits: 3, ..profile(&server.url) });
    let results = futures::future::join_all((0..40).map(|_| send(&service))).await;
    assert!(results.iter().all(Result::is_ok));
    assert!((1..=3).contains(&server.busiest.load(Ordering::SeqCst)));
}

#[tokio::test]
async fn back_off_holds_no_permit() {
    let server = Server::start(|n, _| Reply::status(if n == 0 { 500 } else { 200 })).await;
    let mut profile = profile(&server.url);
    profile.permits = 1;
    profile.retry.floor = Duration::from_hours(1);
    profile.retry.max_elapsed = Duration::from_hours(2);
    let service = service(profile);
    let waiting = tokio::spawn({
        let service = service.clone();
        async move { service.send(get()).await }
    });
    server.arrived.notified().await;
    assert_eq!(send(&service).await.unwrap().status.as_u16(), 200);
    waiting.abort();
}

#[tokio::test]
async fn attempts_are_capped() {
    let server = Server::start(|_, _| Reply::status(500)).await;
    let service = service(profile(&server.url));
    let error = send(&service).await.unwrap_err();
    assert!(matches!(error, HttpError::Exhausted { attempts: 4, .. }), "{error}");
    assert_eq!((server.seen(), error.severity(), error.party()), (4, Severity::Transient, Party::Source));
    assert!(error.to_string().contains("500"), "{error}");
}

#[tokio::test]
async fn elapsed_time_is_capped() {
    let server = Server::start(|_, _| Reply::status(500)).await;
    let mut profile = profile(&server.url);
    profile.retry.floor = Duration::from_secs(2);
    profile.retry.max_elapsed = Duration::from_secs(1);
    let error = send(&service(profile)).await.unwrap_err();
    assert!(matches!(error, HttpError::Exhausted { attempts: 1, .. }), "{error}");
    assert_eq!(server.seen(), 1);
}

#[tokio::test]
async fn a_body_cut_off_is_tried_again() {
    let server = Server::start(|n, _| match n {
        0 => Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".to_vec()),
        _ => Reply::with(200, "", b"whole"),
    })
    .await;
    let response = send(&service(profile(&server.url))).await.unwrap();
    assert_eq!((&response.body[..], server.seen()), (&b"whole"[..], 2));
}

#[tokio::test]
async fn silence_is_a_time_out() {
    let server = Server::start(|n, _| if n == 0 { Reply::Hang } else { Reply::status(200) }).await;
    let mut profile = profile(&server.url);
    profile.timeouts.headers = Duration::from_millis(200);
    send(&service(profile)).await.unwrap();
    assert!(server.seen() >= 2);
}

// -------------------------------------------------------------------------------------------------------------- 429

#[tokio::test]
async fn retry_after_in_seconds_holds_back_every_request() {
    let server = Server::start(|n, _| match n {
        0 => Reply::with(429, "retry-after: 1\r\n", b""),
        _ => Reply::status(200),
    })
    .await;
    let service = service(profile(&server.url));
    let first = tokio::spawn({
        let service = service.clone();
        async move { service.send(get()).await }
    });
    while service.stats().throttled == 0 {
        tokio::task::yield_now().await;
    }
    send(&service).await.unwrap();
    within(first).await.unwrap().unwrap();
    let log = server.log.lock().unwrap();
    assert_eq!(log.len(), 3);
    for (_, at, _) in &log[1..] {
        assert!(at.duration_since(log[0].1) >= Duration::from_secs(1));
    }
    assert_eq!((service.stats().throttled, service.stats().retries), (1, 1));
}

#[tokio::test]
async fn retry_after_may_be_a_date() {
    let date = Timestamp::now() + jiff::Span::new().seconds(2);
    let text = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&date).unwrap();
    let header = format!("retry-after: {text}\r\n");
    let server =
        Server::start(move |n, _| if n == 0 { Reply::with(429, &header, b"") } else { Reply::status(200) }).await;
    send(&service(profile(&server.url))).await.unwrap();
    let log = server.log.lock().unwrap();
    let arrived = log[1].2.duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!(arrived >= u64::try_from(date.as_second()).unwrap());
}

#[tokio::test]
async fn without_retry_after_the_next_window_is_waited_for() {
    let server = Server::start(|n, _| Reply::status(if n == 0 { 429 } else { 200 })).await;
    let windows = vec![Window::Counted { limit: NonZeroU32::new(1000).unwrap(), per: Duration::from_secs(1) }];
    send(&service(Profile { windows, ..profile(&server.url) })).await.unwrap();
    let log = server.log.lock().unwrap();
    let second = |n: usize| log[n].2.duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!(second(1) > second(0), "same window");
}

#[tokio::test]
async fn nothing_but_429_is_given_up() {
    let server = Server::start(|_, _| Reply::with(429, "retry-after: 0\r\n", b"")).await;
    let error = send(&service(profile(&server.url))).await.unwrap_err();
    assert!(matches!(error, HttpError::Throttled { .. }) && error.is_service_wide(), "{error}");
    assert_eq!(server.seen(), 3);
}

#[tokio::test]
async fn too_long_a_retry_after_is_an_error_at_once_for_everybody() {
    let server = Server::start(|_, _| Reply::with(429, "retry-after: 3600\r\n", b"")).await;
    let service = service(profile(&server.url));
    for _ in 0..2 {
        let error = send(&service).await.unwrap_err();
        assert!(matches!(error, HttpError::Throttled { asked: Some(_), .. }), "{error}");
        assert!(error.to_string().contains("asks to wait 3"), "{error}");
    }
    assert_eq!(server.seen(), 1, "the service was asked again although it said when");
}

// ---------------------------------------------------------------------------------------------------------- breaker

#[tokio::test]
async fn an_outage_costs_no_attempts_and_the_breaker_closes_again() {
    let server = Server::start(|n, _| if n < 9 { Reply::Close } else { Reply::status(200) }).await;
    let mut profile = profile(&server.url);
    profile.retry.max_attempts = 2;
    profile.breaker.threshold = 2;
    let service = service(profile);
    let results = futures::future::join_all((0..4).map(|_| send(&service))).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let stats = service.stats();
    assert!(stats.breaker_opened >= 2, "{stats:?}");
    assert!(stats.waited >= Duration::from_millis(20));
}

#[tokio::test]
async fn a_half_open_breaker_sends_one_probe() {
    let release = Arc::new(Notify::new());
    let server = Server::start(|n, _| if n < 6 { Reply::Close } else { Reply::Hang }).await;
    let mut profile = profile(&server.url);
    profile.breaker.threshold = 1;
    profile.breaker.give_up_after = Duration::from_millis(300);
    let service = service(profile);
    let senders: Vec<_> = (0..6)
        .map(|_| {
            let (service, release) = (service.clone(), release.clone());
            tokio::spawn(async move {
                tokio::select! {
                    result = service.send(get()) => result.map(|_| ()),
                    () = release.notified() => Ok(()),
                }
            })
        })
        .collect();
    // All but the one that hangs as the probe are told that the service is down.
    while senders.iter().filter(|sender| sender.is_finished()).count() < 5 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(server.seen(), 7, "more than one request was sent to look");
    release.notify_waiters();
    let mut down = 0;
    for sender in senders {
        match within(sender).await.unwrap() {
            Ok(()) => {}
            Err(HttpError::Down { .. }) => down += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(down, 5);
}

#[tokio::test]
async fn a_server_that_refuses_connections_and_comes_back_is_found_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut profile = profile(&format!("http://{address}"));
    profile.breaker.threshold = 2;
    let service = service(profile);
    let waiting = tokio::spawn({
        let service = service.clone();
        async move { service.send(get()).await }
    });
    while service.stats().breaker_opened < 3 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let server = Server::on(TcpListener::bind(address).await.unwrap(), |_, _| Reply::status(200));
    within(waiting).await.unwrap().unwrap();
    assert_eq!(server.seen(), 1);
    send(&service).await.unwrap();
}

#[tokio::test]
async fn a_long_outage_is_given_up_and_followers_are_told_at_once() {
    let url = closed_port().await;
    let mut profile = profile(&url);
    profile.breaker = Breaker {
        threshold: 2,
        cooldown: Duration::from_millis(10),
        max_cooldown: Duration::from_hours(1),
        give_up_after: Duration::from_millis(100),
    };
    let service = service(profile);
    for error in futures::future::join_all((0..5).map(|_| send(&service))).await {
        let error = error.unwrap_err();
        assert!(matches!(error, HttpError::Down { .. }) && error.is_service_wide(), "{error}");
        assert!(error.to_string().contains("refused"), "{error}");
    }
    let asked = service.stats().requests;
    assert!(matches!(send(&service).await, Err(HttpError::Down { .. })));
    assert_eq!(service.stats().requests, asked, "asked although it is known to be down");
}

#[tokio::test]
async fn a_cancelled_probe_does_not_leave_the_breaker_half_open() {
    let server = Server::start(|n, _| match n {
        0 => Reply::Close,
        1 => Reply::Hang,
        _ => Reply::status(200),
    })
    .await;
    let mut profile = profile(&server.url);
    profile.breaker.threshold = 1;
    let service = service(profile);
    let probing = tokio::spawn({
        let service = service.clone();
        async move { service.send(get()).await }
    });
    while server.seen() < 2 {
        server.arrived.notified().await;
    }
    let follower = tokio::spawn({
        let service = service.clone();
        async move { service.send(get()).await }
    });
    tokio::task::yield_now().await;
    probing.abort();
    within(follower).await.unwrap().unwrap();
    assert_eq!(server.seen(), 3);
}

// ------------------------------------------------------------------------------------------------ redirects and caps

#[tokio::test]
async fn a_redirect_to_another_host_is_an_error_that_names_it() {
    let location = format!("location: https://new.example/list?token={MARKER}\r\n");
    let server = Server::start(move |_, _| Reply::with(301, &location, b"")).await;
    let service = service(profile(&server.url));
    for request in [get(), Request::post_json("/graphql", "/graphql", "{}")] {
        let error = within(service.send(request)).await.unwrap_err();
        assert!(matches!(&error, HttpError::Moved { to, .. } if to == "https://new.example"), "{error}");
        assert!(error.hint().unwrap().contains("KODIK_BASE_URL"));
        assert!(!format!("{error} {error:?} {:?}", error.hint()).contains(MARKER));
    }
    assert_eq!(server.seen(), 2);
}

#[tokio::test]
async fn a_get_follows_redirects_on_its_host_and_pays_for_each() {
    let server = Server::start(|_, head| match head {
        head if head.starts_with("GET /list") => Reply::with(302, "location: /moved?x=1\r\n", b""),
        head if head.starts_with("GET /moved?x=1 ") => Reply::with(200, "", b"there"),
        _ => Reply::status(400),
    })
    .await;
    let service = service(Profile { windows: vec![bucket(10.0, 1)], ..profile(&server.url) });
    let start = Instant::now();
    assert_eq!(&send(&service).await.unwrap().body[..], b"there");
    assert!(start.elapsed() >= Duration::from_millis(100));
    assert_eq!((service.stats().requests, service.stats().retries), (2, 0));
}

#[tokio::test]
async fn endless_redirects_and_redirects_of_a_post_are_errors() {
    let server = Server::start(|_, _| Reply::with(302, "location: /list\r\n", b"")).await;
    let service = service(profile(&server.url));
    let error = send(&service).await.unwrap_err();
    assert!(matches!(&error, HttpError::Redirect { reason, .. } if reason.contains("more than 3")), "{error}");
    assert_eq!(server.seen(), 4);
    let error = within(service.send(Request::post_json("/x", "/x", "{}"))).await.unwrap_err();
    assert!(matches!(&error, HttpError::Redirect { reason, .. } if reason.contains("POST")), "{error}");
    assert_eq!(server.seen(), 5);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn bodies_are_capped_after_decompression() {
    let bomb = gzip(&vec![b' '; 4 * 1024 * 1024]);
    assert!(bomb.len() < 20_000);
    let chunked = {
        let mut raw = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        for _ in 0..40 {
            raw.extend_from_slice(b"10000\r\n");
            raw.resize(raw.len() + 0x10000, b'x');
            raw.extend_from_slice(b"\r\n");
        }
        raw.extend_from_slice(b"0\r\n\r\n");
        raw
    };
    let replies = [
        Reply::with(200, "content-encoding: gzip\r\n", &bomb),
        Reply::Raw(chunked),
        Reply::with(200, "", &vec![b'x'; 1024 * 1024 + 1]),
    ];
    let server = Server::start(move |n, _| replies[n].clone()).await;
    let service = service(profile(&server.url));
    for n in 1..=3 {
        let error = send(&service).await.unwrap_err();
        assert!(matches!(error, HttpError::TooLarge { limit: 1_048_576, .. }), "{n}: {error}");
        assert_eq!((server.seen(), error.severity()), (n, Severity::Permanent));
    }
}

#[tokio::test]
async fn a_body_of_exactly_the_cap_arrives_whole() {
    let body: Vec<u8> = (0..1024 * 1024u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let (plain, packed) = (body.clone(), gzip(&body));
    let server = Server::start(move |n, _| match n {
        0 => Reply::with(200, "", &plain),
        _ => Reply::with(200, "content-encoding: gzip\r\n", &packed),
    })
    .await;
    let service = service(profile(&server.url));
    assert_eq!(send(&service).await.unwrap().body, Bytes::from(body.clone()));
    assert_eq!(send(&service).await.unwrap().body, Bytes::from(body));
}

#[test]
fn impossible_profiles_are_refused() {
    let refused = |profile: Profile| matches!(Service::new(profile, None), Err(HttpError::Invalid { .. }));
    assert!(refused(profile("ftp://host/")));
    assert!(refused(Profile { windows: vec![bucket(0.0, 1)], ..profile("http://host/") }));
    assert!(refused(Profile { user_agent: "a\nb".to_owned(), ..profile("http://host/") }));
}

// ---------------------------------------------------------------------------------------------------------- secrets

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_secret_reaches_logs_errors_or_debug() {
    // Process-wide, so that what libraries report through `log` is caught as well.
    let captured = Captured::default();
    let writer = captured.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::level_filters::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .try_init()
        .unwrap();

    let moved = format!("location: http://other.example/?token={MARKER}\r\n");
    let same = format!("location: /again?token={MARKER}\r\n");
    let server = Server::start(move |n, _| match n {
        0 => Reply::status(200),
        1 => Reply::with(302, &same, b""),
        2 => Reply::with(429, "retry-after: 0\r\n", b""),
        3 => Reply::Close,
        4 => Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx".to_vec()),
        5 => Reply::Raw(b"garbage\r\n\r\n".to_vec()),
        6 => Reply::with(200, "content-encoding: gzip\r\n", b"no gzip"),
        _ => Reply::with(302, &moved, b""),
    })
    .await;
    let base = server.url.replace("http://", &format!("http://user:{MARKER}@"));
    let password = base64::prelude::BASE64_STANDARD.encode(format!("user:{MARKER}"));
    let live = service(Profile { retry: Retry { max_attempts: 9, ..profile("http://h").retry }, ..profile(&base) });
    let mut header = http::HeaderValue::from_static(MARKER);
    header.set_sensitive(true);
    let request = get().header(http::HeaderName::from_static("x-internal-token"), header);
    let mut shown = vec![format!("{live:?} {:?} {request:?}", profile(&base))];
    within(live.send(request.clone())).await.unwrap();
    let error = within(live.send(request)).await.unwrap_err();
    assert!(matches!(error, HttpError::Moved { .. }), "{error}");
    shown.push(format!("{error} {error:?}"));
    let mut dead = profile(&closed_port().await);
    dead.breaker.threshold = 1;
    dead.breaker.give_up_after = Duration::from_millis(1);
    let error = send(&service(dead)).await.unwrap_err();
    shown.push(format!("{error} {error:?}"));
    assert!(server.seen() >= 8);
    let head = server.log.lock().unwrap()[0].0.clone();
    for sent in [&format!("token={MARKER}"), &format!("x-internal-token: {MARKER}"), &format!("Basic {password}")] {
        assert!(head.contains(sent), "`{sent}` was never sent: {head}");
    }

    let logs = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    assert!(logs.contains("request finished") && logs.contains("/list"), "{logs}");
    for secret in [MARKER, &password] {
        assert!(!logs.contains(secret), "{logs}");
        assert!(!shown.concat().contains(secret), "{shown:?}");
    }
}
