//! What both servers and the controls share while the sandbox runs.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::catalogue::Catalogue;
use super::faults::FaultProfile;
use super::kodik::Kodik;
use super::limits::{Bucket, Windows};
use super::log::RequestLog;
use super::{SandboxError, SandboxOptions, Service, Titles};

/// How many requests Kodik allows at once before its rate counts.
const KODIK_BURST: f64 = 5.0;

/// The state of a sandbox.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) catalogue: Catalogue,
    pub(crate) kodik: Kodik,
    pub(crate) log: RequestLog,
    pub(crate) latency: Duration,
    pub(crate) seed: u64,
    limits: Option<Mutex<(Bucket, Windows)>>,
    profile: Mutex<FaultProfile>,
    revoked: AtomicBool,
    down: [AtomicBool; 2],
    numbers: [AtomicU64; 2],
}

impl Shared {
    pub(crate) fn new(options: &SandboxOptions) -> Result<Self, SandboxError> {
        let seed = match options.titles {
            Titles::Fixture => 0,
            Titles::Generated { seed, .. } => seed,
        };
        Ok(Self {
            catalogue: Catalogue::open(options.titles)?,
            kodik: Kodik::new(options.token.clone()),
            log: RequestLog::open(options.request_log.as_deref()).map_err(SandboxError::Log)?,
            latency: options.latency,
            seed,
            limits: options
                .limits
                .then(|| Mutex::new((Bucket::new(options.kodik_rps, KODIK_BURST), Windows::default()))),
            profile: Mutex::new(options.faults),
            revoked: AtomicBool::new(false),
            down: Default::default(),
            numbers: Default::default(),
        })
    }

    /// Whether the service's own limit lets a request pass.
    pub(crate) fn admit(&self, service: Service, at_ms: u64) -> bool {
        let Some(limits) = &self.limits else { return true };
        let mut limits = limits.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match service {
            Service::Kodik => limits.0.admit(at_ms),
            Service::Shikimori => limits.1.admit(at_ms),
        }
    }

    /// The current fault profile.
    pub(crate) fn profile(&self) -> FaultProfile {
        *self.profile.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Switches the profile; its requests are counted from 0 again.
    pub(crate) fn set_profile(&self, profile: FaultProfile) {
        *self.profile.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = profile;
        for number in &self.numbers {
            number.store(0, Ordering::Relaxed);
        }
    }

    /// The number of this request under the current profile.
    pub(crate) fn next_number(&self, service: Service) -> u64 {
        self.numbers[index(service)].fetch_add(1, Ordering::Relaxed)
    }

    /// Whether connections are closed unanswered.
    pub(crate) fn is_down(&self, service: Service) -> bool {
        self.down[index(service)].load(Ordering::Relaxed)
    }

    pub(crate) fn set_down(&self, service: Service, down: bool) {
        self.down[index(service)].store(down, Ordering::Relaxed);
    }

    /// Whether the token has been revoked.
    pub(crate) fn is_revoked(&self) -> bool {
        self.revoked.load(Ordering::Relaxed)
    }

    pub(crate) fn set_revoked(&self, revoked: bool) {
        self.revoked.store(revoked, Ordering::Relaxed);
    }

    /// Marks a title as changed now. `false` if it is unknown or the catalogue cannot change.
    pub(crate) fn touch(&self, id: u64) -> bool {
        self.kodik.forget_totals();
        self.catalogue.touch(id, i64::try_from(self.log.now().at_ms / 1000).unwrap_or(0))
    }
}

fn index(service: Service) -> usize {
    usize::from(service == Service::Shikimori)
}
