//! Both sources as local HTTP servers: for the first run, for demonstrations and for tests.
//!
//! Shapes, errors, cursors and limits are those of the real services, so that any client library works against them
//! unchanged. The catalogue is the hand-written one of `fixtures/sandbox/` or a generated one of any size.

mod catalogue;
mod control;
mod data;
mod dictionaries;
mod faults;
mod filter;
mod fixture;
mod generated;
mod graphql;
mod hostile;
mod kodik;
mod limits;
mod log;
mod material;
mod params;
mod reference;
mod reply;
mod rest;
mod seasons;
mod select;
mod serve;
mod shikimori;
mod state;

use std::borrow::Cow;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::error::{Fault, Party, Severity};

pub use faults::FaultProfile;
pub use log::{LoggedRequest, Rates, RequestLog};
use state::Shared;

/// One of the two sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// Materials and links.
    Kodik,
    /// Metadata.
    Shikimori,
}

/// What the sandbox serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Titles {
    /// The hand-written catalogue: every quirk of the real sources.
    #[default]
    Fixture,
    /// A computed catalogue: nothing of it is kept in memory.
    Generated {
        /// How many titles.
        titles: u64,
        /// The same seed gives the same catalogue.
        seed: u64,
    },
}

/// How a sandbox behaves.
#[derive(Debug, Clone)]
pub struct SandboxOptions {
    /// What is served.
    pub titles: Titles,
    /// Whether the services enforce their limits with 429.
    pub limits: bool,
    /// Kodik's limit when limits are on, with a burst of five.
    pub kodik_rps: f64,
    /// Added to every answer.
    pub latency: Duration,
    /// What goes wrong.
    pub faults: FaultProfile,
    /// The only token that Kodik accepts; without one, any but `bad`.
    pub token: Option<String>,
    /// Where Kodik and Shikimori listen; port 0 = any free one.
    pub listen: (SocketAddr, SocketAddr),
    /// Where to append one JSON line for each request.
    pub request_log: Option<PathBuf>,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            titles: Titles::Fixture,
            limits: false,
            kodik_rps: 2.0,
            latency: Duration::ZERO,
            faults: FaultProfile::None,
            token: None,
            listen: (anywhere, anywhere),
            request_log: None,
        }
    }
}

/// Why a sandbox cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The address is taken or not ours.
    #[error("the sandbox cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A fixture file is wrong.
    #[error("the sandbox fixture {file} is wrong: {reason}")]
    Fixture {
        /// Its name.
        file: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The request log cannot be written.
    #[error("the sandbox cannot open its request log")]
    Log(#[source] std::io::Error),
    /// No thread or runtime for the servers.
    #[error("the sandbox cannot start its servers")]
    Start(#[source] std::io::Error),
}

impl SandboxError {
    pub(crate) fn fixture(file: &'static str, reason: String) -> Self {
        Self::Fixture { file, reason }
    }
}

impl Fault for SandboxError {
    fn severity(&self) -> Severity {
        Severity::Permanent
    }

    fn party(&self) -> Party {
        Party::Usage
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Bind { .. } => Some("choose another address, or port 0 for any free port".into()),
            Self::Log(_) => Some("the folder of the request log must exist and be writable".into()),
            Self::Fixture { .. } | Self::Start(_) => None,
        }
    }
}

/// Two running servers on a thread of their own. Dropping it stops them at once.
#[derive(Debug)]
pub struct Sandbox {
    kodik: SocketAddr,
    shikimori: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sandbox {
    /// Binds both ports and starts serving; returns when connections are accepted.
    pub fn start(options: &SandboxOptions) -> Result<Self, SandboxError> {
        let (kodik_listener, kodik) = bind(options.listen.0)?;
        let (shikimori_listener, shikimori) = bind(options.listen.1)?;
        let shared = Arc::new(Shared::new(options)?);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(SandboxError::Start)?;
        let (kodik_listener, shikimori_listener) = {
            let _guard = runtime.enter();
            (
                tokio::net::TcpListener::from_std(kodik_listener).map_err(SandboxError::Start)?,
                tokio::net::TcpListener::from_std(shikimori_listener).map_err(SandboxError::Start)?,
            )
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let state = Arc::clone(&shared);
        let serve = move || {
            runtime.block_on(async {
                let first = serve::serve(kodik_listener, Service::Kodik, Arc::clone(&state));
                let second = serve::serve(shikimori_listener, Service::Shikimori, state);
                tokio::select! {
                    _ = first => {}
                    _ = second => {}
                    _ = stopped => {}
                }
            });
            // Connections still open end with their runtime, not when their clients please.
            runtime.shutdown_background();
        };
        let thread =
            std::thread::Builder::new().name("sandbox".to_owned()).spawn(serve).map_err(SandboxError::Start)?;
        Ok(Self { kodik, shikimori, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// The value for `KODIK_BASE_URL`.
    pub fn kodik_url(&self) -> String {
        format!("http://{}", self.kodik)
    }

    /// The value for `SHIKIMORI_BASE_URL`, with `/api`.
    pub fn shikimori_url(&self) -> String {
        format!("http://{}/api", self.shikimori)
    }

    /// A token that Kodik accepts.
    pub fn token(&self) -> String {
        self.shared.kodik.token.clone().unwrap_or_else(|| "sandbox".to_owned())
    }

    /// What has been asked so far.
    pub fn log(&self) -> &RequestLog {
        &self.shared.log
    }

    /// Switches the faults while running.
    pub fn set_faults(&self, profile: FaultProfile) {
        self.shared.set_profile(profile);
    }

    /// Revokes the token, or takes that back.
    pub fn revoke_token(&self, revoked: bool) {
        self.shared.set_revoked(revoked);
    }

    /// Takes a service down (connections are closed unanswered) or back up.
    pub fn set_down(&self, service: Service, down: bool) {
        self.shared.set_down(service, down);
    }

    /// Gives a title of the fixture catalogue one more episode, updated now. `false` if there is no such title.
    pub fn touch(&self, id: u64) -> bool {
        self.shared.touch(id)
    }

    /// Stops both servers and waits for their thread.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.end();
    }
}

fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), SandboxError> {
    let fault = |source| SandboxError::Bind { address, source };
    let listener = TcpListener::bind(address).map_err(fault)?;
    listener.set_nonblocking(true).map_err(fault)?;
    let local = listener.local_addr().map_err(fault)?;
    Ok((listener, local))
}
