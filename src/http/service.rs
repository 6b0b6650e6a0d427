//! One remote service behind all its layers.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderValue;
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
use super::transport::{Transport, without_credentials};
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
    pub fn new(mut profile: Profile, global: Option<Arc<Limiter>>) -> Result<Self, HttpError> {
        let authorization = basic_auth(&profile.base_url);
        without_credentials(&mut profile.base_url);
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
            transport: Transport::new(Arc::clone(&profile), authorization, Arc::clone(&counters))?,
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

    /// What all requests are relative to, without credentials.
    pub fn base_url(&self) -> &Url {
        &self.inner.profile.base_url
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("profile", &self.inner.profile).finish_non_exhaustive()
    }
}

/// The `Authorization` header that a base URL with user and password asks for.
fn basic_auth(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decoded = |part| percent_decode(part).collect::<Vec<u8>>();
    let credentials = [&decoded(url.username())[..], b":", &decoded(url.password().unwrap_or_default())].concat();
    let mut value = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(credentials))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The bytes of a URL part; what is no escape stays as it is.
fn percent_decode(part: &str) -> impl Iterator<Item = u8> {
    let mut rest = part.as_bytes();
    std::iter::from_fn(move || {
        let (&first, tail) = rest.split_first()?;
        let escape = (first == b'%').then(|| tail.get(..2)).flatten();
        let escaped = escape.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        rest = if escaped.is_some() { &tail[2..] } else { tail };
        Some(escaped.unwrap_or(first))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_the_base_url_become_a_header() {
        assert_eq!(basic_auth(&"http://h/".parse().unwrap()), None);
        let value = basic_auth(&"http://us%3Aer:p%40ss%@h/".parse().unwrap()).unwrap();
        let encoded = value.to_str().unwrap().strip_prefix("Basic ").unwrap();
        assert_eq!(BASE64_STANDARD.decode(encoded).unwrap(), b"us:er:p@ss%");
        assert!(value.is_sensitive());
    }
}
