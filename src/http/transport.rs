//! The innermost layer: one attempt on the wire, from the request to a judged answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, header};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::body::{Body, TooLarge};
use super::call::{Call, Failure};
use super::stats::Counters;
use super::{HttpError, Profile, Response, Verdict};
use crate::error;
use crate::observe::events;

/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(30);

/// A reqwest client and what it may do.
pub(super) struct Transport {
    client: reqwest::Client,
    profile: Arc<Profile>,
    authorization: Option<HeaderValue>,
    counters: Arc<Counters>,
}

impl Transport {
    /// `authorization` goes with every request that does not bring its own.
    pub(super) fn new(
        profile: Arc<Profile>,
        authorization: Option<HeaderValue>,
        counters: Arc<Counters>,
    ) -> Result<Self, HttpError> {
        install_crypto();
        let invalid = |reason: String| HttpError::Invalid { service: profile.name, reason };
        if !matches!(profile.base_url.scheme(), "http" | "https") || !profile.base_url.has_host() {
            return Err(invalid(format!("`{}` is no HTTP scheme", profile.base_url.scheme())));
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(&profile.user_agent)
            .redirect(reqwest::redirect::Policy::none())
            // A retry that the limiter does not see would break the limit.
            .retry(reqwest::retry::never())
            .connect_timeout(profile.timeouts.connect)
            .tcp_nodelay(true)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(profile.permits.max(1));
        if profile.base_url.scheme() == "http" {
            builder = builder.http1_only();
        }
        if is_loopback(&profile.base_url) {
            // A proxy of the environment cannot reach this machine's own ports: the sandbox, a local backend.
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|e| invalid(explain(e)))?;
        Ok(Self { client, profile, authorization, counters })
    }

    /// Sends the request to `url` once and judges the answer.
    pub(super) async fn send(&self, call: &Call, url: Url) -> Result<Response, Failure> {
        let started = Instant::now();
        let result = self.exchange(call, url, started).await;
        let took = started.elapsed();
        self.counters.update(|stats| {
            stats.requests += 1;
            stats.on_wire += took;
        });
        call.ready.update(|progress| progress.last_wire = took);
        let (name, endpoint) = (self.profile.name, call.ready.endpoint);
        match &result {
            Ok(Arrived::Answer(response)) => events::request_finished(name, endpoint, response.status.as_u16(), took),
            Ok(Arrived::Redirect(status, _)) => events::request_finished(name, endpoint, *status, took),
            Err(Failure::Retry(reason) | Failure::Outage(reason)) => {
                events::request_failed(name, endpoint, reason, took);
            }
            Err(Failure::Final(error)) => events::request_failed(name, endpoint, &error.to_string(), took),
            Err(_) => {}
        }
        let judged = result.and_then(|arrived| self.judge(arrived));
        if matches!(&judged, Err(Failure::Retry(_) | Failure::Outage(_) | Failure::Final(_))) {
            self.counters.update(|stats| stats.failed += 1);
        }
        judged
    }

    fn judge(&self, arrived: Arrived) -> Result<Response, Failure> {
        match arrived {
            Arrived::Redirect(_, failure) => Err(failure),
            Arrived::Answer(response) => match (self.profile.classify)(&response) {
                Verdict::Done => Ok(response),
                Verdict::Retry(reason) => Err(Failure::Retry(reason)),
                Verdict::Outage(reason) => Err(Failure::Outage(reason)),
                Verdict::Throttled(asked) => {
                    self.counters.update(|stats| stats.throttled += 1);
                    Err(Failure::Throttled { asked, wait: Duration::ZERO })
                }
            },
        }
    }

    async fn exchange(&self, call: &Call, url: Url, started: Instant) -> Result<Arrived, Failure> {
        let timeouts = self.profile.timeouts;
        let deadline = started + timeouts.total;
        let mut request = reqwest::Request::new(call.ready.method.clone(), url);
        request.headers_mut().clone_from(&call.ready.headers);
        if let Some(value) = &self.authorization {
            request.headers_mut().entry(header::AUTHORIZATION).or_insert_with(|| value.clone());
        }
        *request.body_mut() = call.ready.body.clone().map(Into::into);

        let head = timeout_at(deadline.min(started + timeouts.headers), self.client.execute(request)).await;
        let mut response = match head {
            Err(_) => return Err(Failure::Outage("no response head in time".to_owned())),
            Ok(Err(error)) if error.is_builder() => {
                let reason = explain(error);
                return Err(Failure::Final(HttpError::Invalid { service: self.profile.name, reason }));
            }
            Ok(Err(error)) => return Err(Failure::Outage(explain(error))),
            Ok(Ok(response)) => response,
        };
        if matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
            let failure = self.redirect(call, &response);
            return Ok(Arrived::Redirect(response.status().as_u16(), failure));
        }
        let body = match timeout_at(deadline, self.body(call, &mut response)).await {
            Err(_) => return Err(Failure::Outage("body not complete in time".to_owned())),
            Ok(body) => body?,
        };
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        Ok(Arrived::Answer(Response { status, headers, body }))
    }

    /// The body, up to the cap.
    async fn body(&self, call: &Call, response: &mut reqwest::Response) -> Result<Bytes, Failure> {
        let limit = self.profile.max_body;
        let too_large = |TooLarge| {
            let endpoint = call.ready.endpoint;
            Failure::Final(HttpError::TooLarge { service: self.profile.name, endpoint, limit })
        };
        let mut body = Body::new(limit, response.content_length()).map_err(too_large)?;
        loop {
            let chunk = response.chunk().await.map_err(|e| Failure::Retry(format!("body cut off: {}", explain(e))))?;
            let Some(chunk) = chunk else { break };
            body.push(chunk).map_err(too_large)?;
        }
        Ok(body.whole())
    }

    /// Where a redirect leads: on within the same origin, or nowhere.
    fn redirect(&self, call: &Call, response: &reqwest::Response) -> Failure {
        let (service, endpoint) = (self.profile.name, call.ready.endpoint);
        let refuse = |reason: String| Failure::Final(HttpError::Redirect { service, endpoint, reason });
        let status = response.status();
        let target = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
        let Some(mut target) = target.and_then(|target| response.url().join(target).ok()) else {
            return refuse(format!("redirect ({status}) without a usable target"));
        };
        if target.origin() != response.url().origin() {
            let to = target.origin().ascii_serialization();
            return Failure::Final(HttpError::Moved { service, endpoint, to });
        }
        if call.ready.method != Method::GET {
            return refuse(format!("redirect ({status}) of a {} is not followed", call.ready.method));
        }
        without_credentials(&mut target);
        Failure::Hop(target)
    }
}

/// Takes user and password out of a URL, because connection pools log what is before the path.
pub(super) fn without_credentials(url: &mut Url) {
    // Both fail only for URLs that cannot have credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
}

/// What came over the wire.
enum Arrived {
    Answer(Response),
    Redirect(u16, Failure),
}

/// The whole cause of a failed attempt, without its URL.
fn explain(error: reqwest::Error) -> String {
    error::chain(&error.without_url())
}

/// Makes ring the process's TLS provider, once; whoever installed one before wins.
fn install_crypto() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

/// Is the address one of this machine's own?
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
