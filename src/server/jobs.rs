//! The four jobs: how they stand, and running one now.
//!
//! - `GET /api/v1/jobs` – all of them.
//! - `GET /api/v1/jobs/{job}` – one.
//! - `POST /api/v1/jobs/{job}/run` – 202: it runs from now on, in the background; 409: it runs already, here or in
//!   another process.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::Refusal;
use super::app::Shared;
use super::params::{InPath, InQuery};
use crate::backend::jobs::{RunOptions, Trigger};
use crate::model::RecordKind;
use crate::store::jobs::{JobRow, RunCounts};
use crate::store::staging::KindCounts;

/// Where a job stands.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum JobState {
    /// Never ran.
    New,
    /// At work.
    Running,
    /// The last run came to its end.
    Finished,
    /// The last run could not go on.
    Failed,
    /// The last run's process ended before it did.
    Interrupted,
}

/// A job.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"name": "series", "state": "finished", "cron": "30 2 * * *", "zone": "UTC",
    "next_run_at": "2026-03-02T02:30:00Z", "started_by": "schedule", "started_at": "2026-03-01T02:30:00Z",
    "finished_at": "2026-03-01T02:30:07Z", "last_error": null,
    "counts": {"written": 12, "unchanged": 3, "waiting": 0, "failed": 1},
    "staged": {"init": 0, "waiting": 0, "processing": 0, "processed": 15, "with_errors": 1}}))]
struct Job {
    /// What it processes.
    name: RecordKind,
    /// Where it stands.
    state: JobState,
    /// When it runs by itself: a cron expression, or `off`.
    cron: String,
    /// The time zone of that.
    zone: String,
    /// When that is next.
    #[schema(value_type = Option<String>, format = "date-time")]
    next_run_at: Option<jiff::Timestamp>,
    /// Who started the last run: `schedule`, `api`, `command`.
    started_by: Option<String>,
    /// The last run's beginning.
    #[schema(value_type = Option<String>, format = "date-time")]
    started_at: Option<jiff::Timestamp>,
    /// Its end.
    #[schema(value_type = Option<String>, format = "date-time")]
    finished_at: Option<jiff::Timestamp>,
    /// Why it did not go well.
    last_error: Option<String>,
    /// What became of the records of the last run, or of the one that is going on.
    counts: RunCounts,
    /// The rows of its staging table.
    staged: KindCounts,
}

/// All jobs.
#[derive(Debug, Serialize, ToSchema)]
struct JobList {
    /// In the order in which they run by default.
    jobs: Vec<Job>,
}

/// What a run does beside the ordinary.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct RunQuery {
    /// Also try what was refused before.
    #[serde(default)]
    retry_errors: bool,
    /// Process at most so many records.
    #[param(minimum = 1)]
    limit: Option<u32>,
}

/// A run that has begun.
#[derive(Debug, Serialize, ToSchema)]
struct Started {
    /// The job.
    job: RecordKind,
    /// Always `running`.
    state: JobState,
}

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show)).routes(routes!(run))
}

fn time(millis: Option<i64>) -> Option<jiff::Timestamp> {
    millis.and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok())
}

fn job(row: JobRow, staged: KindCounts, now: i64) -> Job {
    let state = match (&row.lease_until, row.started_at, row.finished_at) {
        (Some(until), ..) if *until >= now => JobState::Running,
        (_, None, _) => JobState::New,
        (_, Some(_), None) => JobState::Interrupted,
        (_, Some(_), Some(_)) if row.last_error.is_some() => JobState::Failed,
        (_, Some(_), Some(_)) => JobState::Finished,
    };
    Job {
        name: row.kind,
        state,
        cron: row.cron,
        zone: row.zone,
        next_run_at: time(row.next_run_at),
        started_by: row.started_by,
        started_at: time(row.started_at),
        finished_at: time(row.finished_at),
        last_error: row.last_error,
        counts: row.counts,
        staged,
    }
}

async fn all(shared: &Shared) -> Result<Vec<Job>, Refusal> {
    let failed = |error: &_| Refusal::failed("Failed to read the jobs", error);
    let now = jiff::Timestamp::now().as_millisecond();
    let mut jobs = Vec::new();
    for row in shared.jobs.list().await.map_err(|error| failed(&error))? {
        let staged = shared.staging.counts(row.kind).await.map_err(|error| failed(&error))?;
        jobs.push(job(row, staged, now));
    }
    Ok(jobs)
}

fn known(name: &str) -> Result<RecordKind, Refusal> {
    name.parse().map_err(|_| Refusal::http(StatusCode::NOT_FOUND, "There is no such job"))
}

/// All jobs
///
/// When each runs next, how its last run went, and what is staged for it.
#[utoipa::path(
    get,
    path = "/api/v1/jobs",
    operation_id = "listJobs",
    tag = "jobs",
    security(("internal_token" = []), ("bearer" = [])),
    responses((status = 200, description = "The four jobs", body = JobList)),
)]
async fn list(State(shared): State<Shared>) -> Result<Json<JobList>, Refusal> {
    Ok(Json(JobList { jobs: all(&shared).await? }))
}

/// One job
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{job}",
    operation_id = "getJob",
    tag = "jobs",
    security(("internal_token" = []), ("bearer" = [])),
    params(("job" = String, Path, description = "`character`, `pet`, `series` or `release`")),
    responses(
        (status = 200, description = "The job", body = Job),
        (status = 404, description = "There is no such job"),
    ),
)]
async fn show(State(shared): State<Shared>, InPath(name): InPath<String>) -> Result<Json<Job>, Refusal> {
    let kind = known(&name)?;
    let job = all(&shared).await?.into_iter().find(|job| job.name == kind);
    job.map(Json).ok_or_else(|| Refusal::http(StatusCode::NOT_FOUND, "There is no such job"))
}

/// Run a job now
///
/// It runs in the background, whatever its schedule says; `GET` shows how far it is.
#[utoipa::path(
    post,
    path = "/api/v1/jobs/{job}/run",
    operation_id = "runJob",
    tag = "jobs",
    security(("internal_token" = []), ("bearer" = [])),
    params(("job" = String, Path, description = "`character`, `pet`, `series` or `release`"), RunQuery),
    responses(
        (status = 202, description = "It runs from now on", body = Started),
        (status = 404, description = "There is no such job"),
        (status = 409, description = "It runs already, here or in another process"),
    ),
)]
async fn run(
    State(shared): State<Shared>,
    InPath(name): InPath<String>,
    InQuery(query): InQuery<RunQuery>,
) -> Result<(StatusCode, Json<Started>), Refusal> {
    let kind = known(&name)?;
    if query.limit == Some(0) {
        return Err(Refusal::invalid("limit is below 1"));
    }
    let options = RunOptions { retry_errors: query.retry_errors, limit: query.limit.map(u64::from) };
    // A task of its own: if this request is given up while the store is busy, a run that has begun is carried out all the
    // same, and does not block the job until its lease has lapsed.
    let starting = tokio::spawn(async move {
        let begun = shared.jobs.begin(kind, Trigger::Api, options).await?;
        Ok(begun.map(|begun| shared.background.spawn(begun)).is_some())
    });
    let started = starting.await.map_err(|error| Refusal::internal(error.to_string()))?;
    if !started.map_err(|error| Refusal::failed("Failed to start the job", &error))? {
        return Err(Refusal::coded(StatusCode::CONFLICT, "job_running", "The job is running already"));
    }
    Ok((StatusCode::ACCEPTED, Json(Started { job: kind, state: JobState::Running })))
}
