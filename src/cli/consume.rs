//! `parser consume`: messages into imports and nodes, until SIGINT or SIGTERM.

use clap::Args;

use crate::config::Layers;

pub(super) const HELP: &str = "\
Exit codes:
  0    stopped by a signal; what was done is committed
  2    usage or settings, or this build has no Kafka support
  4    the broker refuses this client, or the store cannot be used (one that is away is waited for)

Needs a build with `--features kafka`. Brokers and how they are reached: the settings that begin with KAFKA.";

/// What a build without Kafka says.
#[cfg(not(feature = "kafka"))]
pub(super) fn not_built() -> super::exit::Exit {
    super::messages::error(
        "this build has no Kafka support",
        Some(
            "build it with `cargo build --release --features kafka` (needs libssl-dev and pkg-config), or use the image",
        ),
    );
    super::exit::Exit::Usage
}

/// Flags that `parser consume` and `parser serve --consume` share.
#[derive(Debug, Clone, Default, Args)]
pub struct TopicArgs {
    /// Brokers, `host:port,…` (`KAFKA_BROKERS`).
    #[arg(long, value_name = "LIST")]
    pub brokers: Option<String>,

    /// The consumer group (`KAFKA_GROUP`).
    #[arg(long, value_name = "ID")]
    pub group: Option<String>,

    /// Topics of node requests, a regular expression for the whole name (`KAFKA_TOPICS`).
    #[arg(long, value_name = "REGEX")]
    pub topics: Option<String>,
}

impl TopicArgs {
    pub(super) fn apply(&self, layers: &mut Layers) {
        for (name, value) in
            [("KAFKA_BROKERS", &self.brokers), ("KAFKA_GROUP", &self.group), ("KAFKA_TOPICS", &self.topics)]
        {
            if let Some(value) = value {
                layers.set_flag(name, value);
            }
        }
    }
}

/// `parser consume`.
#[derive(Debug, Args)]
pub struct ConsumeArgs {
    /// Which brokers, group and topics.
    #[command(flatten)]
    pub topics: TopicArgs,

    /// Where to answer `/metrics`, `/healthz` and `/readyz` (`CONSUME_LISTEN`).
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
}

#[cfg(not(feature = "kafka"))]
pub(super) fn execute(_: &ConsumeArgs, _: Layers, _: &std::path::Path) -> super::exit::Exit {
    not_built()
}

#[cfg(feature = "kafka")]
pub(super) use running::{Beside, execute};

#[cfg(feature = "kafka")]
mod running {
    use std::io::Write as _;
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::sync::watch;

    use super::ConsumeArgs;
    use crate::backend::BackendError;
    use crate::backend::imports::{Imports, Limits};
    use crate::broker::BrokerError;
    use crate::bulk::Worker;
    use crate::cli::backend::Backend;
    use crate::cli::exit::Exit;
    use crate::cli::signals::Signals;
    use crate::cli::{complain, messages};
    use crate::config::{KafkaSettings, Layers, Settings};
    use crate::consume::Consume;
    use crate::observe::metrics::Metrics;
    use crate::observe::{Redactor, kafka as events};
    use crate::server::{Probes, Server};
    use crate::store::Store;
    use crate::store::objects::Sources;

    /// How long is waited for a store that is away at the start, before it is tried again.
    const AWAY: Duration = Duration::from_secs(2);

    pub(in crate::cli) fn execute(args: &ConsumeArgs, mut layers: Layers, folder: &Path) -> Exit {
        args.topics.apply(&mut layers);
        if let Some(listen) = &args.listen {
            layers.set_flag("CONSUME_LISTEN", listen);
        }
        let backend = match Backend::of(&layers, folder) {
            Ok(backend) => backend,
            Err(exit) => return exit,
        };
        let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                messages::error(&format!("cannot start: {error}"), None);
                return Exit::Usage;
            }
        };
        let exit = runtime.block_on(run(&backend));
        // Somebody may still be reading a topic; nobody waits for what is found there.
        runtime.shutdown_timeout(Duration::from_secs(1));
        exit
    }

    /// Joins the group, or says why not.
    fn join(
        settings: &KafkaSettings,
        store: Arc<Store>,
        imports: Imports,
        sources: Sources,
        redactor: &Redactor,
    ) -> Result<Consume, Exit> {
        if settings.connection.brokers.is_empty() {
            messages::error("KAFKA_BROKERS is not set", Some("set it to `host:port,…`, or use `--brokers`"));
            return Err(Exit::Usage);
        }
        Consume::join(settings, store, imports, sources).map_err(|error| complain(&error, redactor))
    }

    /// Opens the store. One that is away is waited for, as it is later: nobody has to start a consumer again.
    async fn open(backend: &Backend, signals: &mut Signals) -> Result<Arc<Store>, Exit> {
        let mut waited = false;
        loop {
            match backend.open().await {
                Ok(store) => {
                    if waited {
                        events::store_is_back();
                    }
                    return Ok(store);
                }
                Err(BackendError::Store(error)) if error.is_transient() => {
                    waited = true;
                    events::store_waited_for(&backend.redactor.redact(&error.to_string()), AWAY);
                }
                Err(error) => return Err(complain(&error, &backend.redactor)),
            }
            tokio::select! {
                () = tokio::time::sleep(AWAY) => {}
                _ = signals.next() => return Err(Exit::Done),
            }
        }
    }

    async fn run(backend: &Backend) -> Exit {
        let settings = &backend.settings;
        let metrics = Metrics::install();
        // Taken over before anything begins: from then on a signal is a clean end.
        let mut signals = match Signals::install() {
            Ok(signals) => signals,
            Err(error) => {
                messages::error(&format!("cannot wait for signals: {error}"), None);
                return Exit::Usage;
            }
        };
        let opened = async {
            let sources = Sources::listed(&settings.objects);
            let sources = sources.map_err(|error| complain(&error, &backend.redactor))?;
            let store = open(backend, &mut signals).await?;
            let probes = match settings.kafka.listen {
                Some(address) => {
                    Some(Probes::bind(address).await.map_err(|error| complain(&error, &backend.redactor))?)
                }
                None => None,
            };
            Ok::<_, Exit>((store, sources, probes))
        };
        let (store, sources, probes) = match opened.await {
            Ok(opened) => opened,
            Err(exit) => return exit,
        };
        let imports = Imports::new(Arc::clone(&store), limits(settings), Some(sources.clone()));
        let consume =
            match join(&settings.kafka, Arc::clone(&store), imports.clone(), sources.clone(), &backend.redactor) {
                Ok(consume) => consume,
                Err(exit) => return exit,
            };
        // If nobody reads that, it consumes all the same.
        let _ = announce(probes.as_ref());
        let (stop, stopped) = watch::channel(false);
        let ended = |mut stopped: watch::Receiver<bool>| async move {
            // A sender that is gone means the same.
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        let folding = tokio::spawn(metrics.clone().keep_folded());
        let ready = consume.ready();
        let answering = probes.map(|probes| {
            tokio::spawn(probes.run(metrics, Arc::clone(&store), move || ready.is_ready(), ended(stopped.clone())))
        });
        let worker = Worker::new(imports.clone(), sources, settings.objects.max_line);
        let worked = stopped.clone();
        let mut working = tokio::spawn(async move { worker.run(worked).await });
        let consuming = consume.run(stopped);
        tokio::pin!(consuming);
        let mut told = false;
        let done = loop {
            tokio::select! {
                biased;
                done = &mut consuming => break done,
                // Files would wait for it for ever.
                ended = &mut working, if !told => {
                    let error = ended.err().map_or_else(|| "it has ended".to_owned(), |error| error.to_string());
                    stop.send_replace(true);
                    let _ = (&mut consuming).await;
                    break Err(BrokerError::own(format!("the worker of files broke down: {error}")));
                }
                signal = signals.next() => {
                    // The second one: at once.
                    if std::mem::replace(&mut told, true) {
                        return signal;
                    }
                    stop.send_replace(true);
                }
            }
        };
        stop.send_replace(true);
        folding.abort();
        // What a worker holds is given back, or lapses.
        if !working.is_finished() {
            let _ = tokio::time::timeout(Duration::from_secs(5), working).await;
        }
        if let Some(answering) = answering {
            let _ = answering.await;
        }
        match done {
            Ok(()) => Exit::Done,
            Err(error) => complain(&error, &backend.redactor),
        }
    }

    /// A consumer in the process of a server, on the same store.
    pub(in crate::cli) struct Beside {
        stop: watch::Sender<bool>,
        task: tokio::task::JoinHandle<Result<(), BrokerError>>,
        ended: Option<Result<(), BrokerError>>,
    }

    impl Beside {
        /// Joins the group.
        pub(in crate::cli) fn begin(settings: &Settings, server: &Server, redactor: &Redactor) -> Result<Self, Exit> {
            let sources = Sources::listed(&settings.objects).map_err(|error| complain(&error, redactor))?;
            let consume = join(&settings.kafka, server.store(), server.imports(), sources, redactor)?;
            let (stop, stopped) = watch::channel(false);
            Ok(Self { stop, task: tokio::spawn(consume.run(stopped)), ended: None })
        }

        /// Resolves when it has ended by itself; without one, never.
        pub(in crate::cli) async fn ended(beside: Option<&mut Self>) {
            match beside {
                Some(beside) if beside.ended.is_none() => {
                    beside.ended = Some((&mut beside.task).await.unwrap_or_else(|error| Err(broke_down(&error))));
                }
                _ => std::future::pending().await,
            }
        }

        /// Asks it to end.
        pub(in crate::cli) fn stop(beside: Option<&Self>) {
            if let Some(beside) = beside {
                beside.stop.send_replace(true);
            }
        }

        /// Waits for its end.
        pub(in crate::cli) async fn finish(self, redactor: &Redactor) -> Exit {
            self.stop.send_replace(true);
            let ended = match self.ended {
                Some(ended) => ended,
                None => self.task.await.unwrap_or_else(|error| Err(broke_down(&error))),
            };
            ended.map_or_else(|error| complain(&error, redactor), |()| Exit::Done)
        }
    }

    fn broke_down(error: &tokio::task::JoinError) -> BrokerError {
        BrokerError::own(format!("the consumer broke down: {error}"))
    }

    fn announce(probes: Option<&Probes>) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        if let Some(probes) = probes {
            writeln!(out, "probes on http://{}", probes.address())?;
        }
        writeln!(out, "consuming")?;
        out.flush()
    }

    fn limits(settings: &Settings) -> Limits {
        Limits {
            record_bytes: settings.objects.max_line,
            batch_bytes: settings.imports.max_batch,
            workers: settings.imports.workers,
            attempts: settings.imports.attempts,
            lease: settings.imports.lease,
            idle: settings.server.request_timeout,
            bulk: settings.imports.bulk.clone(),
        }
    }
}
