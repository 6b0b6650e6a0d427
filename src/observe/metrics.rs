//! The metrics recorder and its text, for a file (cron has no port to scrape) or a route.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Buckets of every `*_seconds` histogram.
const SECONDS: &[f64] = &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Of what may take an hour: jobs of messages, from when they were sent.
const LONG: &[f64] =
    &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0];

/// Time between two foldings.
const UPKEEP: Duration = Duration::from_secs(1);

/// The installed recorder.
#[derive(Clone)]
pub struct Metrics {
    handle: Option<PrometheusHandle>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// Installs the process-wide recorder. A second call (only tests do that) gives an empty one.
    pub fn install() -> Self {
        let long = |name: &str| Matcher::Full(name.to_owned());
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
            .and_then(|builder| builder.set_buckets_for_metric(long("parser_kafka_job_duration_seconds"), LONG))
            .and_then(|builder| builder.set_buckets_for_metric(long("node_import_total_duration_seconds"), LONG))
            .ok()
            .and_then(|builder| builder.install_recorder().ok());
        Self { handle }
    }

    /// Folds recorded samples into their buckets, again and again, for as long as it is polled. Without it every
    /// sample of a run stays in memory until the end.
    pub async fn keep_folded(self) {
        let Some(handle) = self.handle else { return };
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            ticks.tick().await;
            handle.run_upkeep();
        }
    }

    /// Prometheus text.
    pub fn render(&self) -> String {
        self.handle.as_ref().map(PrometheusHandle::render).unwrap_or_default()
    }

    /// Folds what was recorded into the buckets, as rendering does. A long-lived process that nobody scrapes has to
    /// call this now and then: until it is folded, every recorded duration takes memory.
    pub fn fold(&self) {
        if let Some(handle) = &self.handle {
            handle.run_upkeep();
        }
    }

    /// Writes the text to a file, whole or not at all: the textfile collector must not read half of it.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_to(&self, path: &Path) -> std::io::Result<()> {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(self.render().as_bytes())?;
        // The collector runs as another user.
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }
}
