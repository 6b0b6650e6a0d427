//! What the answers of the imports API mean for a title.

use serde::Deserialize;

use super::failed;
use crate::http::Response;
use crate::model::{Change, Outcome, ResultStatus, Writes};

/// Texts of a backend are cut here: they end up in reports.
const MAX_TEXT: usize = 300;

/// The answer to a batch of one record.
#[derive(Debug)]
pub(super) enum Answer {
    /// It is there.
    Sent(Sent),
    /// The token is wrong: nothing will ever be accepted.
    BadToken(String),
    /// The import takes nothing more, or is not there.
    Closed(String),
    /// This title will not be accepted.
    Refused { code: String, message: String, retryable: bool },
}

/// A batch that is there.
#[derive(Debug)]
pub(super) enum Sent {
    /// It has ended, with this for the title.
    Ended(Outcome),
    /// It has not.
    Open,
}

/// The answer to a new import.
#[derive(Debug)]
pub(super) enum Made {
    /// Titles may be sent to it.
    Open(String),
    /// It was made before, and takes nothing more.
    Closed,
    /// The token is wrong.
    BadToken(String),
    /// Something else is wrong.
    Refused(String),
}

#[derive(Deserialize)]
struct Import {
    id: String,
    finalised: bool,
    status: crate::model::ImportStatus,
}

#[derive(Deserialize)]
struct Batch {
    results: Option<Vec<RecordResult>>,
}

#[derive(Deserialize)]
struct RecordResult {
    status: ResultStatus,
    change: Option<Change>,
    writes: Option<Writes>,
    code: Option<String>,
    message: Option<String>,
    #[serde(default)]
    retryable: bool,
}

#[derive(Deserialize, Default)]
struct Problem {
    #[serde(default)]
    detail: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    trace_id: String,
}

/// Understands the answer to a new import.
pub(super) fn of_import(response: &Response) -> Made {
    if response.status.is_success() {
        return match serde_json::from_slice::<Import>(&response.body) {
            Ok(import) if import.finalised || import.status.is_final() => Made::Closed,
            Ok(import) => Made::Open(import.id),
            Err(_) => Made::Refused("its answer is none of this API; is BACKEND_BASE_URL right?".to_owned()),
        };
    }
    let (problem, message) = problem(response);
    match response.status.as_u16() {
        401 | 403 => Made::BadToken(message),
        // Another version of this program has used the key.
        409 | 422 if problem.code == "idempotency_key_reused" => Made::Closed,
        _ => Made::Refused(message),
    }
}

/// Understands the answer to a batch of one record.
pub(super) fn of_batch(response: &Response) -> Answer {
    if response.status.is_success() {
        let Ok(batch) = serde_json::from_slice::<Batch>(&response.body) else {
            let message = "its answer is none of this API; is BACKEND_BASE_URL right?".to_owned();
            return Answer::Refused { code: "bad_answer".to_owned(), message, retryable: false };
        };
        let result = batch.results.and_then(|results| results.into_iter().next());
        return Answer::Sent(result.map_or(Sent::Open, |result| Sent::Ended(outcome(result))));
    }
    let (problem, message) = problem(response);
    match (response.status.as_u16(), problem.code.as_str()) {
        (401 | 403, _) => Answer::BadToken(message),
        (404, _) | (409, "import_finalised" | "import_ended" | "import_cancelled") => Answer::Closed(message),
        (409, "idempotency_key_in_use") => Answer::Sent(Sent::Open),
        (status, code) => {
            let code = if code.is_empty() { format!("http_{status}") } else { code.to_owned() };
            Answer::Refused { code, message, retryable: status >= 500 || status == 400 }
        }
    }
}

fn outcome(result: RecordResult) -> Outcome {
    match result.status {
        ResultStatus::Unchanged => Outcome::Unchanged,
        ResultStatus::Completed => Outcome::Loaded {
            change: result.change.unwrap_or(Change::Updated),
            writes: result.writes.unwrap_or_default(),
        },
        ResultStatus::Failed => {
            let code = result.code.unwrap_or_else(|| "failed".to_owned());
            failed(&cut(&code), cut(&result.message.unwrap_or_default()), result.retryable)
        }
        // An ended batch has none of these.
        ResultStatus::Created | ResultStatus::Started | ResultStatus::Retrying => {
            failed("unfinished", "the backend has not finished it".to_owned(), true)
        }
    }
}

/// `status 409: The import has been finalised … (trace 0af7…)`.
fn problem(response: &Response) -> (Problem, String) {
    let problem = serde_json::from_slice::<Problem>(&response.body).unwrap_or_default();
    let mut line = format!("status {}", response.status.as_u16());
    if !problem.detail.is_empty() {
        line = format!("{line}: {}", cut(&problem.detail));
    }
    if !problem.trace_id.is_empty() {
        line = format!("{line} (trace {})", cut(&problem.trace_id));
    }
    (problem, line)
}

/// A foreign text on one line of bounded length.
fn cut(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};

    use super::{Answer, Made, Sent, of_batch, of_import};
    use crate::http::Response;
    use crate::model::{Change, Outcome};

    fn answer(status: u16, body: &'static str) -> Response {
        let status = StatusCode::from_u16(status).unwrap();
        Response { status, headers: HeaderMap::new(), body: Bytes::from_static(body.as_bytes()) }
    }

    #[test]
    fn an_ended_batch_is_an_outcome() {
        let created = r#"{"batch":{},"results":[{"status":"completed","change":"created",
            "writes":{"series":1,"episodes":2,"videos":3,"releases":1,"characters":0,"deactivated":0}}]}"#;
        let Answer::Sent(Sent::Ended(Outcome::Loaded { change, writes })) = of_batch(&answer(200, created)) else {
            panic!("not loaded")
        };
        assert_eq!((change, writes.total()), (Change::Created, 7));
        let same = r#"{"batch":{},"results":[{"status":"unchanged"}]}"#;
        assert!(matches!(of_batch(&answer(200, same)), Answer::Sent(Sent::Ended(Outcome::Unchanged))));
        let bad = r#"{"batch":{},"results":[{"status":"failed","code":"invalid_field","message":"`x` is bad\n"}]}"#;
        let Answer::Sent(Sent::Ended(Outcome::Failed(failure))) = of_batch(&answer(200, bad)) else {
            panic!("not failed")
        };
        assert_eq!((failure.stage.as_str(), failure.code.as_str()), ("batch", "invalid_field"));
        assert_eq!(failure.reason, "`x` is bad ");
        assert!(matches!(of_batch(&answer(202, r#"{"batch":{},"results":null}"#)), Answer::Sent(Sent::Open)));
    }

    #[test]
    fn refusals_are_told_apart() {
        let closed = answer(409, r#"{"code":"import_finalised","detail":"closed","trace_id":"t-1"}"#);
        let Answer::Closed(message) = of_batch(&closed) else { panic!("not closed") };
        assert_eq!(message, "status 409: closed (trace t-1)");
        assert!(matches!(of_batch(&answer(403, "{}")), Answer::BadToken(_)));
        assert!(matches!(of_batch(&answer(413, "{}")), Answer::Refused { retryable: false, .. }));
        assert!(matches!(of_batch(&answer(200, "<html>")), Answer::Refused { .. }));
        assert!(matches!(of_import(&answer(200, "<html>")), Made::Refused(_)));
        let open = r#"{"id":"i","finalised":false,"status":"created"}"#;
        assert!(matches!(of_import(&answer(201, open)), Made::Open(id) if id == "i"));
        let ended = r#"{"id":"i","finalised":true,"status":"completed"}"#;
        assert!(matches!(of_import(&answer(200, ended)), Made::Closed));
    }
}
