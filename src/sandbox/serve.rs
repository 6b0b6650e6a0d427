//! Turns the services into HTTP: a listener that can slam its door, the request's way through log, limits and faults.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Request, State};
use axum::response::Response;
use axum::serve::{IncomingStream, Listener};
use http::{Method, header};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use super::faults::{Fault, choose};
use super::kodik::{KodikRequest, Paging};
use super::log::LoggedRequest;
use super::params::Params;
use super::reply::Reply;
use super::shikimori::{self, ShikimoriRequest};
use super::state::Shared;
use super::{Service, control, hostile};

/// The largest request body that is read.
const MAX_REQUEST_BODY: usize = 1024 * 1024;

/// Serves one of the two services until the runtime is dropped.
pub(super) async fn serve(listener: TcpListener, service: Service, shared: Arc<Shared>) -> io::Result<()> {
    let door = Door { listener };
    let app = Router::new().fallback(answer).with_state((service, shared));
    axum::serve(door, app.into_make_service_with_connect_info::<Cut>()).await
}

/// Accepts connections that can be cut.
struct Door {
    listener: TcpListener,
}

impl Listener for Door {
    type Io = Line;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    let _ = stream.set_nodelay(true);
                    return (Line { stream, cut: Cut::default() }, address);
                }
                // Out of file descriptors, most likely: give the others time to end.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// Tells a connection to break instead of answering.
#[derive(Debug, Clone, Default)]
pub(super) struct Cut(Arc<AtomicBool>);

impl Connected<IncomingStream<'_, Door>> for Cut {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        stream.io().cut.clone()
    }
}

/// A connection that can be cut from inside a handler.
struct Line {
    stream: TcpStream,
    cut: Cut,
}

impl Line {
    fn broken(&self) -> Option<io::Error> {
        self.cut.0.load(Ordering::Relaxed).then(|| io::Error::from(io::ErrorKind::ConnectionReset))
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.broken() {
            Some(error) => Poll::Ready(Err(error)),
            None => Pin::new(&mut self.stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.broken() {
            Some(error) => Poll::Ready(Err(error)),
            None => Pin::new(&mut self.stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

async fn answer(
    State((service, shared)): State<(Service, Arc<Shared>)>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, MAX_REQUEST_BODY).await.unwrap_or_default();
    let path = parts.uri.path().to_owned();
    if let Some(action) = path.strip_prefix("/__sandbox/") {
        return response(control::answer(
            &shared,
            parts.method.as_str(),
            action,
            parts.uri.query().unwrap_or(""),
            &body,
        ));
    }
    let stamp = shared.log.now();
    let is_form = text_header(&parts.headers, header::CONTENT_TYPE)
        .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    let form = if is_form { std::str::from_utf8(&body).unwrap_or("") } else { "" };
    let params = Params::parse(parts.uri.query().unwrap_or(""), form);
    let mut entry = LoggedRequest {
        at_ms: stamp.at_ms,
        monotonic_us: stamp.monotonic_us,
        service,
        method: parts.method.as_str().to_owned(),
        path: path.clone(),
        query: params.encode_without(&["token"]),
        status: 0,
    };
    if shared.is_down(service) {
        shared.log.record(entry, false);
        return lost(&cut);
    }
    if !shared.admit(service, stamp.at_ms) {
        entry.status = 429;
        shared.log.record(entry, true);
        return response(too_many(service, service == Service::Kodik));
    }
    let fault = choose(shared.profile(), shared.seed, shared.next_number(service), path == "/api/graphql");
    if let Some(reply) = stand_in(fault, service, &path, &params) {
        entry.status = reply.status;
        shared.log.record(entry, false);
        return response(reply);
    }
    match fault {
        Fault::Reset => {
            shared.log.record(entry, false);
            return lost(&cut);
        }
        Fault::HugeBody => {
            entry.status = 200;
            shared.log.record(entry, false);
            return hostile::huge_body();
        }
        _ => {}
    }
    let (reply, asked) = ask(&shared, service, fault, &parts, &params, &body);
    entry.query = asked.unwrap_or(entry.query);
    entry.status = reply.status;
    shared.log.record(entry, false);
    if !shared.latency.is_zero() {
        tokio::time::sleep(shared.latency).await;
    }
    match fault {
        Fault::Delay => tokio::time::sleep(Duration::from_millis(200)).await,
        Fault::Hang => tokio::time::sleep(Duration::from_mins(1)).await,
        Fault::Truncate => return hostile::truncated(reply),
        Fault::Drip => return hostile::dripping(reply),
        _ => {}
    }
    if parts.method == Method::HEAD {
        return response(Reply { body: Vec::new(), ..reply });
    }
    response(reply)
}

/// The service's own answer, and what a GraphQL query asked for.
fn ask(
    shared: &Shared,
    service: Service,
    fault: Fault,
    parts: &http::request::Parts,
    params: &Params,
    body: &[u8],
) -> (Reply, Option<String>) {
    let (method, path) = (parts.method.as_str(), parts.uri.path());
    match service {
        Service::Kodik => {
            let host = text_header(&parts.headers, header::HOST).unwrap_or("localhost");
            let paging = match fault {
                Fault::ForeignNext => Paging::Foreign,
                Fault::RepeatCursor => Paging::Repeating,
                _ => Paging::Honest,
            };
            let refuse_token = fault == Fault::RefuseToken || shared.is_revoked();
            let request = KodikRequest { method, path, host, params, paging, refuse_token };
            (shared.kodik.answer(&shared.catalogue, &request), None)
        }
        Service::Shikimori => {
            let user_agent = text_header(&parts.headers, header::USER_AGENT);
            shikimori::answer(&shared.catalogue, &ShikimoriRequest { method, path, user_agent, params, body })
        }
    }
}

/// Answers that take the place of the service's own.
fn stand_in(fault: Fault, service: Service, path: &str, params: &Params) -> Option<Reply> {
    match fault {
        Fault::Status(503) if service == Service::Shikimori => Some(shikimori::exception()),
        Fault::Status(status) => {
            Some(Reply::html(status, "<html><head><title>Error</title></head><body>nginx</body></html>"))
        }
        Fault::TooMany { retry_after } => Some(too_many(service, retry_after)),
        Fault::GzipBomb => Some(hostile::gzip_bomb()),
        Fault::DeepJson => Some(hostile::deep_json()),
        Fault::Html => Some(hostile::challenge()),
        Fault::Moved => {
            let query = params.encode_without(&["token"]);
            let mark = if query.is_empty() { "" } else { "?" };
            let host = if service == Service::Kodik { "kodik" } else { "shikimori" };
            Some(
                Reply::html(301, "<html><body>Moved</body></html>")
                    .with("location", format!("http://{host}.moved.invalid{path}{mark}{query}")),
            )
        }
        _ => None,
    }
}

fn too_many(service: Service, retry_after: bool) -> Reply {
    let reply = match service {
        Service::Kodik => Reply::json_status(429, &serde_json::json!({ "error": "Too many requests" })),
        Service::Shikimori => Reply::text(429, "Retry later\n"),
    };
    if retry_after { reply.with("retry-after", "1") } else { reply }
}

/// An answer that never arrives: the connection breaks as soon as anything is written to it.
fn lost(cut: &Cut) -> Response {
    cut.0.store(true, Ordering::Relaxed);
    Response::new(Body::empty())
}

fn text_header(headers: &http::HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

pub(super) fn response(mut reply: Reply) -> Response {
    let body = std::mem::take(&mut reply.body);
    with_body(&reply, body.len(), Body::from(body))
}

/// The head of a reply before any body.
pub(super) fn with_body(reply: &Reply, length: usize, body: Body) -> Response {
    let mut builder = Response::builder()
        .status(reply.status)
        .header(header::CONTENT_TYPE, reply.content_type)
        .header(header::CONTENT_LENGTH, length);
    for (name, value) in &reply.headers {
        builder = builder.header(*name, value);
    }
    builder.body(body).unwrap_or_default()
}
