//! Settings of imports that come by the API.

use std::time::Duration;

use super::bulk::{self, BulkSettings};
use super::reader::Reader;

/// What bounds imports.
#[derive(Debug, Clone)]
pub struct ImportSettings {
    /// Bytes of one batch that comes with its request.
    pub max_batch: u64,
    /// Records that are worked on at once; 0 = what suits the engine.
    pub workers: usize,
    /// Attempts of a record before it fails.
    pub attempts: u32,
    /// How long a claim holds without being renewed.
    pub lease: Duration,
    /// Files of rows.
    pub bulk: BulkSettings,
}

pub(super) fn read(reader: &mut Reader<'_>) -> ImportSettings {
    ImportSettings {
        max_batch: u64::from(reader.number("IMPORT_MAX_BATCH_MIB", 1..=1_048_576)) << 20,
        workers: usize::try_from(reader.number("IMPORT_WORKERS", 0..=256)).unwrap_or(0),
        attempts: reader.number("IMPORT_ATTEMPTS", 1..=100),
        lease: reader.seconds("IMPORT_LEASE_SECONDS"),
        bulk: bulk::read(reader),
    }
}
