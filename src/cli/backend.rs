//! What commands that work on the backend's store share: opening it, and the jobs' settings.

use std::path::Path;
use std::sync::Arc;

use crate::backend::BackendError;
use crate::backend::jobs::JobOptions;
use crate::backend::schedule::{Schedule, ScheduleError};
use crate::config::{JobSettings, Layers, LogFormat, Needs, Settings};
use crate::observe::Redactor;
use crate::observe::logging::{self, LogOptions};
use crate::store::{Location, Store};

use super::exit::Exit;
use super::{bars, complain, messages, place};

/// Settings, and where their store is.
pub(super) struct Backend {
    pub(super) settings: Settings,
    pub(super) redactor: Redactor,
    location: Location,
}

impl Backend {
    /// Reads the settings and starts the log.
    pub(super) fn of(layers: &Layers, folder: &Path) -> Result<Self, Exit> {
        let settings = match Settings::load(layers, Needs::default()) {
            Ok(settings) => settings,
            Err(error) => return Err(complain(&error, &Redactor::default())),
        };
        let redactor = Redactor::new(&settings.secrets());
        logging::init(LogOptions {
            filter: settings.output.log_level.clone(),
            json: settings.output.log_format == LogFormat::Json,
            colour: bars::wanted() && std::env::var_os("NO_COLOR").is_none(),
            redactor: redactor.clone(),
            suspend: bars::suspend,
        });
        let location = place::catalogue(&settings.database, &super::run::paths(&settings, folder));
        Ok(Self { settings, redactor, location })
    }

    /// Opens the store, making it if need be.
    pub(super) async fn open(&self) -> Result<Arc<Store>, BackendError> {
        Ok(Arc::new(Store::open(&self.location, 0).await?))
    }

    /// Runs one piece of work to its end.
    pub(super) fn block_on<F: Future<Output = Exit>>(&self, work: F) -> Exit {
        match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(work),
            Err(error) => {
                messages::error(&format!("cannot start: {error}"), None);
                Exit::Usage
            }
        }
    }
}

/// The jobs' settings as the backend takes them. The settings have checked both texts of each schedule.
pub(super) fn job_options(settings: &JobSettings) -> Result<JobOptions, ScheduleError> {
    let schedules = settings
        .schedules
        .iter()
        .map(|job| Ok((job.kind, Schedule::parse(&job.cron, &job.zone)?)))
        .collect::<Result<_, _>>()?;
    Ok(JobOptions { schedules, batch: settings.batch, lease: settings.lease })
}
