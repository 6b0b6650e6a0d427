//! Accepts connections and lets them end.
//!
//! An own loop instead of the framework's, because that one puts no bound on how long a client may take for a request's
//! head or on how many connections there are, and waits without end for the last one to close.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tower::Service as _;

use super::patient::Patient;
use super::probes::Peer;
use crate::observe::events;

/// Open connections, idle ones included. More wait in the system's queue.
const CONNECTIONS: usize = 1024;

/// How long clients are waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For a request's head (on an idle connection from the answer before), and for an answer's next bytes to be taken.
    pub(super) idle: Duration,
    /// For what is in flight when the server stops.
    pub(super) end: Duration,
}

/// Bytes of a request's head.
const HEAD_BYTES: usize = 64 * 1024;

/// Serves until `stop` is ready, then gives what is in flight some time to finish.
pub(super) async fn serve(listener: TcpListener, app: Router, stop: impl Future<Output = ()>, patience: Patience) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let (closing, closed) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = accept(&listener, &places) => accepted,
        };
        if let Some((stream, peer, place)) = accepted {
            connections.spawn(connection(
                Patient::new(stream, patience.idle),
                peer,
                app.clone(),
                closed.clone(),
                place,
            ));
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    events::server_stopping(connections.len());
    // Nobody listens any more when the last connection has ended already.
    let _ = closing.send(true);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(patience.end, all).await.is_err() {
        events::server_cut(connections.len());
        connections.shutdown().await;
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    let Ok((stream, peer)) = listener.accept().await else {
        // Out of file descriptors, most likely: give the others time to end.
        tokio::time::sleep(Duration::from_millis(50)).await;
        return None;
    };
    // Answers are small and whole: waiting to fill a packet would only delay them.
    let _ = stream.set_nodelay(true);
    Some((stream, peer, place))
}

async fn connection(
    stream: Patient,
    peer: SocketAddr,
    app: Router,
    mut closed: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
) {
    let service = service_fn(move |request: http::Request<Incoming>| {
        let mut app = app.clone();
        async move {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(Peer(peer));
            poll_fn(|context| tower::Service::<http::Request<Body>>::poll_ready(&mut app, context)).await?;
            app.call(request).await
        }
    });
    let _counted = events::connection_open();
    let idle = stream.patience();
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(idle)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service)
    );
    tokio::select! {
        // A connection that broke has nobody left to tell.
        _ = &mut connection => return,
        _ = closed.wait_for(|closed| *closed) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
