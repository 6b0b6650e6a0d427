//! `/jobs`: the four jobs, how their last runs went, and a button for each.

use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use http::{StatusCode, Uri};
use jiff::Timestamp;

use super::filters;
use super::frame::{Frame, Place, html};
use super::guard::Submitted;
use super::paging::Asked;
use super::session::Visit;
use super::shown::{Badge, moment};
use crate::backend::jobs::{RunOptions, Trigger};
use crate::model::RecordKind;
use crate::server::answer::Refusal;
use crate::server::app::Shared;
use crate::store::jobs::{JobRow, RunCounts};

/// A job as the pages show it.
#[derive(Debug, Clone)]
pub(super) struct ShownJob {
    pub(super) name: &'static str,
    pub(super) badge: Badge,
    pub(super) running: bool,
    pub(super) schedule: String,
    pub(super) next_run_at: Option<Timestamp>,
    pub(super) started_by: Option<String>,
    pub(super) started_at: Option<Timestamp>,
    pub(super) finished_at: Option<Timestamp>,
    pub(super) counts: RunCounts,
    pub(super) last_error: Option<String>,
}

impl ShownJob {
    fn new(row: JobRow, now: i64) -> Self {
        let running = row.lease_until.is_some_and(|until| until >= now);
        let (word, class) = match (row.started_at, row.finished_at) {
            _ if running => ("running", "busy"),
            (None, _) => ("never ran", "muted"),
            (Some(_), None) => ("interrupted", "warn"),
            _ if row.last_error.is_some() => ("failed", "bad"),
            _ if row.counts.failed > 0 => ("finished, some refused", "warn"),
            _ => ("finished", "good"),
        };
        let schedule = if row.next_run_at.is_none() {
            "only when asked for".to_owned()
        } else {
            format!("{} ({})", row.cron, row.zone)
        };
        Self {
            name: row.kind.as_str(),
            badge: Badge { word, class },
            running,
            schedule,
            next_run_at: row.next_run_at.map(moment),
            started_by: row.started_by,
            started_at: row.started_at.map(moment),
            finished_at: row.finished_at.map(moment),
            counts: row.counts,
            last_error: row.last_error,
        }
    }
}

/// The four of them.
pub(super) async fn shown(shared: &Shared) -> Result<Vec<ShownJob>, Refusal> {
    let now = Timestamp::now().as_millisecond();
    let rows = shared.jobs.list().await.map_err(|error| Refusal::failed("The jobs cannot be read.", &error))?;
    Ok(rows.into_iter().map(|row| ShownJob::new(row, now)).collect())
}

#[derive(Template)]
#[template(path = "jobs.html")]
struct JobsPage {
    frame: Frame,
    form_token: String,
    notice: Option<&'static str>,
    jobs: Vec<ShownJob>,
}

/// `GET /jobs`.
pub(super) async fn page(
    State(shared): State<Shared>,
    Extension(visit): Extension<Visit>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let notice = match Asked::of(&uri).text("done") {
        "started" => Some("The job has been started."),
        "running" => Some("That job is running already; it was not started again."),
        _ => None,
    };
    let jobs = shown(&shared).await?;
    let form_token = visit.form_token.clone();
    Ok(html(&JobsPage { frame: Frame::new(&visit, Place::Jobs, "Jobs"), form_token, notice, jobs }))
}

/// `POST /jobs/{job}/run`.
pub(super) async fn run(
    State(shared): State<Shared>,
    Extension(form): Extension<Submitted>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let kind: RecordKind = name
        .ok()
        .and_then(|Path(name)| name.parse().ok())
        .ok_or_else(|| Refusal::http(StatusCode::NOT_FOUND, "There is no such job."))?;
    let options = RunOptions { retry_errors: form.field("retry_errors").is_some(), limit: None };
    let begun = shared
        .jobs
        .begin(kind, Trigger::Api, options)
        .await
        .map_err(|error| Refusal::failed("The job cannot be started.", &error))?;
    let done = match begun {
        Some(begun) => {
            shared.background.spawn(begun);
            "started"
        }
        None => "running",
    };
    Ok(Redirect::to(&format!("/jobs?done={done}")).into_response())
}

#[cfg(test)]
mod tests {
    use super::ShownJob;
    use crate::model::RecordKind;
    use crate::store::jobs::{JobRow, RunCounts};

    #[test]
    fn a_job_is_in_one_state() {
        let row = JobRow {
            kind: RecordKind::Pet,
            cron: "off".to_owned(),
            zone: "UTC".to_owned(),
            lease_until: None,
            started_by: None,
            started_at: None,
            finished_at: None,
            next_run_at: None,
            counts: RunCounts::default(),
            last_error: None,
        };
        let word = |row: JobRow| ShownJob::new(row, 1000).badge.word;
        assert_eq!(word(row.clone()), "never ran");
        let begun = JobRow { started_at: Some(1), lease_until: Some(2000), ..row };
        assert_eq!(word(begun.clone()), "running");
        assert_eq!(word(JobRow { lease_until: Some(999), ..begun.clone() }), "interrupted");
        let ended = JobRow { lease_until: None, finished_at: Some(2), ..begun };
        assert_eq!(word(ended.clone()), "finished");
        let refused = RunCounts { failed: 1, ..RunCounts::default() };
        assert_eq!(word(JobRow { counts: refused, ..ended.clone() }), "finished, some refused");
        assert_eq!(word(JobRow { last_error: Some("x".to_owned()), ..ended }), "failed");
    }
}
