//! One remote service behind all its layers.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tower::ServiceExt;
use tower::limit::ConcurrencyLimit;
use tower::retry::Retry;
use url::Url;

use super::breaker::{Gate, Guarded};
use super::call::{Call, Failure};
use super::jitter::Jitter;
use super::limiter::Limiter;
use super::pace::{Pace, Paced};
use super::policy::Breaker;
use super::retry::Retries;
use super::stats::{Counters, Stats};
use super::transport::Transport;
use super::{HttpError, Profile, Request, Response};

/// A remote service; clones share every limit.
#[derive(Clone)]
pub struct Service {
    inner: Arc<Inner>,
}

struct Inner {
    profile: Arc<Profile>,
    /// Breaker, permits, limiter, wire; each request puts its own retries around it.
    stack: Guarded<ConcurrencyLimit<Paced>>,
    jitter: Arc<Jitter>,
    counters: Arc<Counters>,
}

impl Service {
    /// Builds the client and its layers. `global` (if any) is an additional limit shared by several services.
    pub fn new(profile: Profile, global: Option<Arc<Limiter>>) -> Result<Self, HttpError> {
        let profile = Arc::new(profile);
        let counters = Arc::new(Counters::default());
        let jitter = Arc::new(Jitter::new());
        let breaker = Breaker {
            threshold: profile.breaker.threshold.clamp(1, profile.retry.max_attempts.max(1)),
            ..profile.breaker
        };
        let gate = Arc::new(Gate::new(profile.name, breaker, Arc::clone(&counters)));
        let pace = Pace {
            service: profile.name,
            limiter: Limiter::new(profile.name, &profile.windows)?,
            global,
            patience: profile.retry.max_elapsed,
            floor: profile.retry.floor,
            gate: Arc::clone(&gate),
            jitter: Arc::clone(&jitter),
            transport: Transport::new(Arc::clone(&profile), Arc::clone(&counters))?,
            counters: Arc::clone(&counters),
        };
        let permits = Arc::new(Semaphore::new(profile.permits.clamp(1, Semaphore::MAX_PERMITS)));
        let permitted = ConcurrencyLimit::with_semaphore(Paced(Arc::new(pace)), permits);
        let stack = Guarded::new(permitted, gate);
        Ok(Self { inner: Arc::new(Inner { profile, stack, jitter, counters }) })
    }

    /// Sends a request through all layers and returns the first answer that the service's classifier calls done.
    /// Dropping the future at any time gives back everything it holds.
    pub async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let Inner { profile, stack, jitter, .. } = &*self.inner;
        let call = Call::new(&profile.base_url, request);
        let endpoint = call.ready.endpoint;
        let retries = Retries::new(profile.name, profile.retry, Arc::clone(jitter));
        let result = Retry::new(retries, stack.clone()).oneshot(call).await;
        result.map_err(|failure| {
            let last = match failure {
                Failure::Final(error) | Failure::Unsent(error) => return error,
                // The layers above turn all of these into one of the two; should they not, it is still an error.
                Failure::Retry(reason) | Failure::Outage(reason) => reason,
                Failure::Throttled { .. } => "rate-limited".to_owned(),
                Failure::Hop(_) => "redirected".to_owned(),
                Failure::Recalled => "not sent".to_owned(),
            };
            HttpError::Exhausted { service: profile.name, endpoint, attempts: 1, last }
        })
    }

    /// The counters so far.
    pub fn stats(&self) -> Stats {
        self.inner.counters.snapshot()
    }

    /// The service's name in logs, metrics and reports.
    pub fn name(&self) -> &'static str {
        self.inner.profile.name
    }

    /// What all requests are relative to.
    pub fn base_url(&self) -> &Url {
        &self.inner.profile.base_url
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("profile", &self.inner.profile).finish_non_exhaustive()
    }
}
