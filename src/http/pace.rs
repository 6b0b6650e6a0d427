//! The layer between permits and the wire: waits for tokens, sends, and tells the limiter what a 429 asked for.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::time::Instant;
use tower::Service;

use super::breaker::Gate;
use super::call::{Call, Failure};
use super::jitter::Jitter;
use super::limiter::{Limiter, TooLong};
use super::stats::Counters;
use super::transport::Transport;
use super::{HttpError, Response};

/// Redirects within the same origin that are followed; each pays a token.
const MAX_HOPS: u32 = 3;

/// Everything below the permits.
pub(super) struct Pace {
    pub(super) service: &'static str,
    pub(super) limiter: Limiter,
    pub(super) global: Option<Arc<Limiter>>,
    /// No 429 makes a request wait longer than this.
    pub(super) patience: Duration,
    /// No wait after a 429 is shorter than this.
    pub(super) floor: Duration,
    pub(super) gate: Arc<Gate>,
    pub(super) jitter: Arc<Jitter>,
    pub(super) transport: Transport,
    pub(super) counters: Arc<Counters>,
}

/// A [`Pace`] as a tower service.
#[derive(Clone)]
pub(super) struct Paced(pub(super) Arc<Pace>);

impl Service<Call> for Paced {
    type Response = Response;
    type Error = Failure;
    type Future = BoxFuture<'static, Result<Response, Failure>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let pace = Arc::clone(&self.0);
        Pin::from(Box::new(async move { pace.send(&call).await }))
    }
}

impl Pace {
    async fn send(&self, call: &Call) -> Result<Response, Failure> {
        let mut target = None;
        for _ in 0..=MAX_HOPS {
            self.wait(call).await?;
            if target.is_none() && call.ready.sent() > 1 {
                self.counters.update(|stats| stats.retries += 1);
            }
            let sent = Instant::now();
            let url = target.take().unwrap_or_else(|| call.ready.url.clone());
            match self.transport.send(call, url).await {
                Err(Failure::Hop(next)) => target = Some(next),
                Err(Failure::Throttled { asked, .. }) => {
                    let wait = self.hold(sent, asked);
                    return Err(Failure::Throttled { asked, wait });
                }
                Ok(response) => {
                    self.limiter.hold().answered(sent);
                    return Ok(response);
                }
                Err(other) => return Err(other),
            }
        }
        Err(Failure::Final(HttpError::Redirect {
            service: self.service,
            endpoint: call.ready.endpoint,
            reason: format!("more than {MAX_HOPS} redirects"),
        }))
    }

    /// Waits for tokens; then looks whether the breaker still wants this request to go.
    async fn wait(&self, call: &Call) -> Result<(), Failure> {
        let queued = Instant::now();
        let admitted = self.limiter.acquire(self.global.as_deref(), self.patience).await;
        let waited = queued.elapsed();
        self.counters.waited(waited);
        if let Err(TooLong(asked)) = admitted {
            return Err(Failure::Unsent(HttpError::Throttled {
                service: self.service,
                endpoint: call.ready.endpoint,
                waited,
                asked: Some(asked),
            }));
        }
        if self.gate.is_current(call.ticket) { Ok(()) } else { Err(Failure::Recalled) }
    }

    /// Makes the whole service wait after a 429, and says how long.
    fn hold(&self, sent: Instant, asked: Option<Duration>) -> Duration {
        // The wall clock only finds the edge of the server's window; all waiting is on the monotonic clock.
        let epoch = Duration::try_from(Timestamp::now().as_duration()).unwrap_or_default();
        let now = Instant::now();
        let mut hold = self.limiter.hold();
        let wait = hold.wait(sent, asked, epoch, self.jitter.next()).max(self.floor);
        hold.set(sent, now, wait);
        wait
    }
}
