//! Where the server is and what every new connection is told: the address with its password, time limits, TLS.

use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{Server, tls};
use crate::error::Party;
use crate::store::error::{StoreError, StoreErrorKind, StorePlace};

/// A job that waits for a lock this long is better begun anew.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// A process that stopped (not ended) in the middle of a transaction gives its locks up after this.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long the server may stay silent beyond a statement's own limit before the connection counts as lost.
pub(super) const SILENCE: Duration = Duration::from_secs(5);

/// A parsed address.
#[derive(Clone)]
pub(in crate::store) struct Target {
    pub(super) config: Config,
    pub(super) tls: MakeRustlsConnect,
    /// `postgres://host:port/database`: what may be shown.
    pub(super) shown: Arc<str>,
    pub(super) connect_timeout: Duration,
    pub(super) statement_timeout: Duration,
    pub(super) wait: Duration,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Target").field(&self.shown).finish()
    }
}

impl Target {
    /// Reads the address. What is wrong with it is said without repeating any of it.
    pub(super) fn new(server: &Server) -> Result<Self, StoreError> {
        let wrong = |what: &str| {
            let place = StorePlace::Server("postgres://…".into());
            StoreError::new(place, Party::Usage, StoreErrorKind::Address(what.to_owned()))
        };
        let (url, options) = split_options(server.url.expose_secret());
        let mut config: Config =
            url.parse().map_err(|_| wrong("it is not postgres://user:password@host:port/database"))?;
        let (mode, check) = match options.mode.as_deref() {
            None | Some("prefer" | "allow") => (SslMode::Prefer, tls::Check::Nothing),
            Some("disable") => (SslMode::Disable, tls::Check::Nothing),
            Some("require") => (SslMode::Require, tls::Check::Nothing),
            Some("verify-ca" | "verify-full") => (SslMode::Require, tls::Check::Name),
            Some(_) => return Err(wrong("sslmode is one of disable, prefer, require, verify-full")),
        };
        config.ssl_mode(mode);
        if config.get_application_name().is_none() {
            config.application_name("parser");
        }
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(wrong("it names no host"));
        }
        config.connect_timeout(server.connect_timeout);
        // A server that vanished without a word is noticed.
        config.keepalives(true).keepalives_idle(Duration::from_secs(30)).keepalives_interval(Duration::from_secs(10));
        config.keepalives_retries(3).tcp_user_timeout(Duration::from_secs(30));
        let tls = tls::connector(check, options.root.as_deref()).map_err(|text| wrong(&text))?;
        let shown = shown(&config).into();
        Ok(Self {
            config,
            tls,
            shown,
            connect_timeout: server.connect_timeout,
            statement_timeout: server.statement_timeout,
            wait: server.wait,
        })
    }

    /// What a new session is told first. The time zone does not matter to us, but to whoever reads its log.
    ///
    /// Whoever writes goes by an index. A plan that was made while a table was empty, and is kept for the life of the
    /// connection, must not be one that reads the whole table for each row: in its first minutes, before the server has
    /// looked at it, a table grows by a hundred thousand rows. The compiler of plans would take the price of a table
    /// that can only be read whole for a reason to compile. Who only reads (a dump, a copy) does read whole tables.
    pub(super) fn session(&self, access: super::Access) -> String {
        let (read_only, by_index) = match access {
            super::Access::Read => ("on", ""),
            super::Access::Write => ("off", "; SET enable_seqscan = off; SET jit = off"),
        };
        format!(
            "SET statement_timeout = {}; SET lock_timeout = {}; SET idle_in_transaction_session_timeout = {}; \
             SET TIME ZONE 'UTC'; SET client_min_messages = warning; SET default_transaction_read_only = {read_only}\
             {by_index}",
            self.statement_timeout.as_millis(),
            LOCK_TIMEOUT.as_millis(),
            IDLE_TIMEOUT.as_millis(),
        )
    }
}

/// Options of the address that are ours to understand.
#[derive(Default)]
struct OwnOptions {
    mode: Option<String>,
    root: Option<String>,
}

/// The address without `sslmode` and `sslrootcert`, and these two.
fn split_options(url: &str) -> (String, OwnOptions) {
    let mut own = OwnOptions::default();
    let Some((base, query)) = url.split_once('?') else { return (url.to_owned(), own) };
    let mut rest = Vec::new();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let value = |text: &str| Some(percent_decoded(text));
        match part.split_once('=') {
            Some(("sslmode", text)) => own.mode = value(text),
            Some(("sslrootcert", text)) => own.root = value(text),
            _ => rest.push(part),
        }
    }
    let url = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
    (url, own)
}

/// As in a query, but a plus is a plus.
fn percent_decoded(text: &str) -> String {
    url::form_urlencoded::parse(format!("v={}", text.replace('+', "%2B")).as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

fn shown(config: &Config) -> String {
    let hosts = config.get_hosts().iter().map(|host| match host {
        Host::Tcp(name) if name.contains(':') => format!("[{name}]"),
        Host::Tcp(name) => name.clone(),
        #[cfg(unix)]
        Host::Unix(path) => path.display().to_string(),
    });
    let mut hosts: Vec<String> = hosts.collect();
    if hosts.is_empty() {
        hosts = config.get_hostaddrs().iter().map(ToString::to_string).collect();
    }
    let ports = config.get_ports();
    let port = |index: usize| ports.get(index).or(ports.first()).copied().unwrap_or(5432);
    let places: Vec<_> = hosts.iter().enumerate().map(|(index, host)| format!("{host}:{}", port(index))).collect();
    let database = config.get_dbname().or(config.get_user()).unwrap_or_default();
    format!("postgres://{}/{database}", places.join(","))
}

#[cfg(test)]
mod tests {
    use super::{Server, Target};

    fn target(url: &str) -> Result<Target, crate::store::StoreError> {
        Target::new(&Server::new(url.to_owned().into()))
    }

    #[test]
    fn what_is_shown_has_no_credentials() {
        for (url, shown) in [
            ("postgres://me:S3CRET@db.test:5433/anime?sslmode=require", "postgres://db.test:5433/anime"),
            ("postgresql://me:S3CRET@db.test/anime?application_name=x&sslmode=prefer", "postgres://db.test:5432/anime"),
            ("postgres://me:S3CRET@[::1]:5433/anime", "postgres://[::1]:5433/anime"),
            ("postgres://me:S3CRET@%2Frun%2Fpostgresql/anime", "postgres:///run/postgresql:5432/anime"),
            ("postgres://me:S3CRET@a,b:6000/anime", "postgres://a:5432,b:6000/anime"),
        ] {
            let target = target(url).unwrap();
            assert_eq!(&*target.shown, shown);
            assert!(!format!("{target:?}").contains("S3CRET"));
        }
    }

    #[test]
    fn a_wrong_address_is_not_repeated() {
        for url in [
            "postgres://me:S3CRET@db.test/anime?sslmode=S3CRET",
            "postgres://me:S3C?RET=1@db.test:port/anime",
            "postgres://me:S3CRET@db.test:S3CRET/anime",
            "postgres:///anime?S3CRET=1",
        ] {
            let error = target(url).unwrap_err().to_string();
            assert!(!error.contains("S3CRET") && !error.contains("RET"), "{error}");
        }
    }
}
