//! Settings of the four jobs that bring staged records into the catalogue.

use std::time::Duration;

use super::reader::Reader;
use crate::model::RecordKind;

/// When the jobs run, and how.
#[derive(Debug, Clone)]
pub struct JobSettings {
    /// Of each job: the cron expression (or `off`) and its time zone, both well-formed.
    pub schedules: Vec<JobSchedule>,
    /// Records of a job that are processed at once.
    pub batch: u32,
    /// How long a claim lasts without renewal.
    pub lease: Duration,
}

/// When one job runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSchedule {
    /// Which.
    pub kind: RecordKind,
    /// Cron expression, or `off`.
    pub cron: String,
    /// Time zone.
    pub zone: String,
}

/// The settings of each job: cron, zone.
const NAMES: [(RecordKind, &str, &str); 4] = [
    (RecordKind::Character, "JOB_CHARACTER_CRON", "JOB_CHARACTER_ZONE"),
    (RecordKind::Pet, "JOB_PET_CRON", "JOB_PET_ZONE"),
    (RecordKind::Series, "JOB_SERIES_CRON", "JOB_SERIES_ZONE"),
    (RecordKind::Release, "JOB_RELEASE_CRON", "JOB_RELEASE_ZONE"),
];

pub(super) fn read(reader: &mut Reader<'_>) -> JobSettings {
    let shared = zone(reader, "JOBS_ZONE").unwrap_or_else(|| "UTC".to_owned());
    let mut schedules = Vec::with_capacity(NAMES.len());
    for (kind, cron_name, zone_name) in NAMES {
        let cron = reader.text(cron_name).unwrap_or_default();
        if !cron.eq_ignore_ascii_case("off") && cron.parse::<croner::Cron>().is_err() {
            reader.fault(
                cron_name,
                format!("`{cron}` is not a cron expression"),
                Some("minute, hour, day of month, month, day of week (`10 2 * * *`), or `off`"),
            );
        }
        let zone = zone(reader, zone_name).unwrap_or_else(|| shared.clone());
        schedules.push(JobSchedule { kind, cron, zone });
    }
    JobSettings { schedules, batch: reader.number("JOB_BATCH", 1..=1_000), lease: reader.seconds("JOB_LEASE_SECONDS") }
}

fn zone(reader: &mut Reader<'_>, name: &'static str) -> Option<String> {
    let zone = reader.text(name)?;
    if jiff::tz::TimeZone::get(&zone).is_err() {
        let hint = Some("`UTC`, `Europe/Berlin`, …; this system may lack the package tzdata");
        reader.fault(name, format!("`{zone}` is not a time zone that this system knows"), hint);
    }
    Some(zone)
}
