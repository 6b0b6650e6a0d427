//! `parser sandbox`: both sources as a local server, for demonstrations and for trying a setup without tokens.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::sandbox::{FaultProfile, Sandbox, SandboxError, SandboxOptions, Titles};

/// What `parser sandbox` is told.
#[derive(Debug, Clone, Args)]
pub struct SandboxArgs {
    /// Where Kodik listens; Shikimori takes the next port (port 0 = any free ones)
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8090")]
    pub listen: SocketAddr,
    /// Where Shikimori listens, if not on the next port
    #[arg(long, value_name = "ADDR")]
    pub listen_shikimori: Option<SocketAddr>,
    /// Serve this many generated titles instead of the bundled catalogue
    #[arg(long, value_name = "N")]
    pub titles: Option<u64>,
    /// Seed of the generated catalogue
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// Whether the services enforce their rate limits
    #[arg(long, value_enum, default_value_t = Switch::Off)]
    pub limits: Switch,
    /// Delay of every answer
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub latency_ms: u64,
    /// What goes wrong: none, flaky, rate-limited, bad-token, truncated, slow, hostile, foreign-next,
    /// repeating-cursor, huge-body, gzip-bomb, deep-json, html, moved, graphql-down
    #[arg(long, value_name = "PROFILE", default_value_t = FaultProfile::None)]
    pub faults: FaultProfile,
    /// The only token that is accepted; without it any but `bad`
    #[arg(long, value_name = "TOKEN")]
    pub token: Option<String>,
    /// Append one JSON line for each request
    #[arg(long, value_name = "FILE")]
    pub request_log: Option<PathBuf>,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

impl SandboxArgs {
    /// The options of the sandbox.
    pub fn options(&self) -> SandboxOptions {
        let next_port = if self.listen.port() == 0 { 0 } else { self.listen.port().wrapping_add(1) };
        let neighbour = SocketAddr::new(self.listen.ip(), next_port);
        SandboxOptions {
            titles: self.titles.map_or(Titles::Fixture, |titles| Titles::Generated { titles, seed: self.seed }),
            limits: self.limits == Switch::On,
            latency: Duration::from_millis(self.latency_ms),
            faults: self.faults,
            token: self.token.clone(),
            listen: (self.listen, self.listen_shikimori.unwrap_or(neighbour)),
            request_log: self.request_log.clone(),
            ..SandboxOptions::default()
        }
    }
}

/// Why the command ended early.
#[derive(Debug, thiserror::Error)]
pub enum SandboxCommandError {
    /// The servers did not start.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The addresses could not be printed.
    #[error("cannot print the addresses")]
    Output(#[from] std::io::Error),
}

/// Starts both servers, says where they are, and serves until Ctrl-C.
pub async fn run(args: SandboxArgs, out: &mut (dyn Write + Send)) -> Result<(), SandboxCommandError> {
    let sandbox = Sandbox::start(&args.options())?;
    let (kodik, shikimori, token) = (sandbox.kodik_url(), sandbox.shikimori_url(), sandbox.token());
    writeln!(out, "kodik      {kodik}")?;
    writeln!(out, "shikimori  {shikimori}")?;
    writeln!(out)?;
    writeln!(out, "KODIK_BASE_URL={kodik} SHIKIMORI_BASE_URL={shikimori} KODIK_API_TOKEN={token}")?;
    out.flush()?;
    tokio::signal::ctrl_c().await?;
    sandbox.stop();
    Ok(())
}
