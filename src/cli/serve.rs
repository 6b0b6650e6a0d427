//! `parser serve`: the import API on the catalogue, until SIGINT or SIGTERM.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use secrecy::ExposeSecret as _;

use crate::checkpoint::StatePaths;
use crate::config::{Layers, LogFormat, Needs, Settings};
use crate::observe::Redactor;
use crate::observe::logging::{self, LogOptions};
use crate::observe::metrics::Metrics;
use crate::server::{self, Obtained, Server, Token};

use super::consume::TopicArgs;
use super::exit::Exit;
use super::signals::Signals;
use super::{bars, complain, messages, place};

/// `parser serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Where to listen (`LISTEN`); port 0 = any free one.
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,

    /// Consume messages in the same process, as `parser consume` does.
    #[arg(long)]
    pub consume: bool,

    /// Which brokers, group and topics.
    #[command(flatten)]
    pub topics: TopicArgs,
}

#[expect(clippy::too_many_lines, reason = "one thing after the other, from settings to the end")]
pub(super) fn execute(args: &ServeArgs, mut layers: Layers, folder: &Path) -> Exit {
    if let Some(listen) = &args.listen {
        layers.set_flag("LISTEN", listen);
    }
    args.topics.apply(&mut layers);
    #[cfg(not(feature = "kafka"))]
    if args.consume {
        return super::consume::not_built();
    }
    let settings = match Settings::load(&layers, Needs::default()) {
        Ok(settings) => settings,
        Err(error) => return complain(&error, &Redactor::default()),
    };
    let paths = super::run::paths(&settings, folder);
    let token_file = token_file(&paths);
    let given = settings.server.token.as_ref();
    let obtained = match server::obtain(given, settings.server.listen, &token_file) {
        Ok(obtained) => obtained,
        Err(error) => return complain(&error, &Redactor::new(&settings.secrets())),
    };
    let mut secrets = settings.secrets();
    secrets.push(obtained.secret().clone());
    let redactor = Redactor::new(&secrets);
    logging::init(LogOptions {
        filter: settings.output.log_level.clone(),
        json: settings.output.log_format == LogFormat::Json,
        colour: bars::wanted() && std::env::var_os("NO_COLOR").is_none(),
        redactor: redactor.clone(),
        suspend: bars::suspend,
    });
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            messages::error(&format!("cannot start: {error}"), None);
            return Exit::Usage;
        }
    };
    let jobs = match super::backend::job_options(&settings.jobs) {
        Ok(jobs) => jobs,
        Err(error) => {
            messages::error(&error.to_string(), None);
            return Exit::Usage;
        }
    };
    let options = server::Options {
        listen: settings.server.listen,
        token: Token::new(obtained.secret()),
        catalog: place::catalogue(&settings.database, &paths),
        max_body: settings.server.max_body,
        request_timeout: settings.server.request_timeout,
        max_requests: settings.server.max_requests,
        max_requests_per_token: settings.server.max_requests_per_token,
        idle_timeout: settings.server.idle_timeout,
        shutdown: settings.server.shutdown,
        imports: settings.imports.clone(),
        objects: settings.objects.clone(),
        jobs,
        metrics: Metrics::install(),
        kafka: settings.kafka.clone(),
        dashboard: server::DashboardOptions { secure: settings.server.https, health: paths.health.clone() },
    };
    runtime.block_on(async {
        // Taken over before anything is announced: from then on a signal is a clean end.
        let mut signals = match Signals::install() {
            Ok(signals) => signals,
            Err(error) => {
                messages::error(&format!("cannot wait for signals: {error}"), None);
                return Exit::Usage;
            }
        };
        let server = match Server::bind(options).await {
            Ok(server) => server,
            Err(error) => return complain(&error, &redactor),
        };
        #[cfg(feature = "kafka")]
        let mut beside = match args.consume.then(|| super::consume::Beside::begin(&settings, &server, &redactor)) {
            Some(Err(exit)) => return exit,
            Some(Ok(beside)) => Some(beside),
            None => None,
        };
        // If nobody listens to that, it serves all the same.
        let _ = announce(server.address(), &obtained, &token_file);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = server.run(async {
            // A sender that is gone means the same.
            let _ = stopped.await;
        });
        tokio::pin!(serving);
        let mut stop = Some(stop);
        loop {
            #[cfg(feature = "kafka")]
            let consumed = super::consume::Beside::ended(beside.as_mut());
            #[cfg(not(feature = "kafka"))]
            let consumed = std::future::pending::<()>();
            tokio::select! {
                biased;
                () = &mut serving => break,
                // Messages cannot be consumed, and never will: that is not what was asked for.
                () = consumed, if stop.is_some() => drop(stop.take()),
                signal = signals.next() => match stop.take() {
                    Some(stop) => {
                        drop(stop);
                        #[cfg(feature = "kafka")]
                        super::consume::Beside::stop(beside.as_ref());
                    }
                    // The second one: at once.
                    None => return signal,
                },
            }
        }
        #[cfg(feature = "kafka")]
        if let Some(beside) = beside {
            return beside.finish(&redactor).await;
        }
        Exit::Done
    })
}

/// The address, and a token that was made just now; never again later.
fn announce(address: SocketAddr, token: &Obtained, file: &Path) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "listening on http://{address}")?;
    match token {
        Obtained::Given(_) => {}
        Obtained::Kept(_) => writeln!(out, "the token is in {}", file.display())?,
        Obtained::Made(token) => {
            writeln!(out, "made a token and kept it in {}:", file.display())?;
            writeln!(out, "INTERNAL_TOKEN={}", token.expose_secret())?;
        }
    }
    out.flush()
}

/// `token` in the state's folder, or with the stem of its siblings.
fn token_file(paths: &StatePaths) -> PathBuf {
    if paths.lock.extension().is_some() {
        paths.lock.with_extension("token")
    } else {
        paths.lock.with_file_name("token")
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{StatePaths, token_file};

    #[test]
    fn the_token_lies_beside_the_state() {
        let at = |path| token_file(&StatePaths::resolve(Path::new(path), Path::new("/srv")));
        assert_eq!(at("state"), Path::new("/srv/state/token"));
        assert_eq!(at("data/foo.json"), Path::new("/srv/data/foo.token"));
    }
}
