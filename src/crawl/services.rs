//! Builds the polite client of each service from the settings.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::config::{HttpSettings, Settings};
use crate::extract::{kodik, shikimori};
use crate::http::{Breaker, HttpError, Limiter, Profile, Response, Retry, Service, Timeouts, Verdict, Window};
use crate::load::contract;

/// The clients of a run. A backend client exists only for a backend over HTTP.
#[derive(Debug, Clone)]
pub struct Services {
    /// Kodik.
    pub kodik: Service,
    /// Shikimori.
    pub shikimori: Service,
    /// The backend, unless it is embedded.
    pub backend: Option<Service>,
}

impl Services {
    /// All clients; they share the global limiter if there is one.
    ///
    /// # Errors
    /// A client that cannot be built (TLS).
    pub fn new(settings: &Settings) -> Result<Self, HttpError> {
        let global =
            settings.global_rate.map(|rate| Limiter::new("all services", &[bucket(rate)]).map(Arc::new)).transpose()?;
        let build = |name, base_url: &Url, windows, permits, classify: fn(&Response) -> Verdict| {
            Service::new(profile(&settings.http, name, base_url, windows, permits, classify), global.clone())
        };
        let rate = settings.shikimori.rate;
        let windows = [(rate.per_second, Duration::from_secs(1)), (rate.per_minute, Duration::from_secs(60))];
        let windows = windows.into_iter().filter_map(|(limit, per)| Some(counted(limit?, per))).collect();
        let backend = settings.backend.as_ref().map(|backend| {
            let windows = backend.rate.map(bucket).into_iter().collect();
            // A title's videos are sent side by side, and titles are, too.
            let permits = settings.concurrency.saturating_mul(2);
            build("backend", &backend.base_url, windows, permits, contract::classify)
        });
        Ok(Self {
            kodik: build(
                "kodik",
                &settings.kodik.base_url,
                settings.kodik.rate.map(bucket).into_iter().collect(),
                settings.concurrency,
                kodik::classify,
            )?,
            shikimori: build(
                "shikimori",
                &shikimori::normalise_base(settings.shikimori.base_url.clone()),
                windows,
                settings.concurrency,
                shikimori::classify,
            )?,
            backend: backend.transpose()?,
        })
    }

    /// Every client, for reports.
    pub fn all(&self) -> impl Iterator<Item = &Service> {
        [&self.kodik, &self.shikimori].into_iter().chain(self.backend.as_ref())
    }
}

/// One request at a time at a steady pace: a burst would only move waiting around, and a run that is killed and
/// resumed starts without a debt.
fn bucket(per_second: f64) -> Window {
    Window::Bucket { per_second, burst: NonZeroU32::MIN }
}

/// A window that the service counts. A rate below one per window is stretched into a longer window.
fn counted(limit: f64, per: Duration) -> Window {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "settings allow 0.01 to 10000")]
    match NonZeroU32::new(limit.floor() as u32) {
        Some(limit) => Window::Counted { limit, per },
        None => Window::Counted { limit: NonZeroU32::MIN, per: per.div_f64(limit) },
    }
}

fn profile(
    http: &HttpSettings,
    name: &'static str,
    base_url: &Url,
    windows: Vec<Window>,
    permits: usize,
    classify: fn(&Response) -> Verdict,
) -> Profile {
    let max_attempts = http.max_retries + 1;
    Profile {
        name,
        base_url: base_url.clone(),
        user_agent: http.user_agent.clone(),
        windows,
        permits,
        timeouts: Timeouts { connect: http.connect_timeout, headers: http.timeout, total: http.timeout },
        retry: Retry {
            max_attempts,
            max_throttled: 10,
            base: http.backoff_base,
            floor: (http.backoff_base / 10).max(Duration::from_millis(10)).min(http.backoff_max),
            ceiling: http.backoff_max,
            max_elapsed: http.max_elapsed,
        },
        breaker: Breaker {
            // No request may use up its attempts on an outage before the breaker takes over the waiting.
            threshold: http.breaker.threshold.min(max_attempts),
            cooldown: http.breaker.cooldown,
            max_cooldown: Duration::from_secs(60).max(http.breaker.cooldown),
            give_up_after: http.breaker.give_up,
        },
        max_body: http.max_body,
        classify,
    }
}
