//! Settings: one table of names (`registry`), one lookup through the layers (`layers`), one typed result
//! (`settings`). All faults are reported at once; every value remembers where it came from.

mod bulk;
mod database;
mod fault;
mod imports;
mod jobs;
mod kafka;
mod layers;
mod objects;
mod reader;
mod registry;
mod registry_kafka;
mod settings;
mod telemetry;

pub use bulk::BulkSettings;
pub use database::{DatabasePlace, DatabaseSettings};
pub use fault::{ConfigError, SettingFault};
pub use imports::ImportSettings;
pub use jobs::{JobSchedule, JobSettings};
pub use kafka::{KafkaConnection, KafkaSettings};
pub use layers::{Layers, Origin};
pub use objects::{ObjectSettings, S3Keys, S3Settings};
pub use registry::{SETTINGS, Section, Setting, dotenv_example, markdown_table};
pub use settings::{
    BackendApi, BackendSettings, BreakerSettings, HttpSettings, KodikSettings, LogFormat, Needs, OutputSettings,
    RateSettings, ServerSettings, Settings, ShikimoriSettings, ShownSetting, StateSettings, TransformSettings,
};
pub use telemetry::TelemetrySettings;
