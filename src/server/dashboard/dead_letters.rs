//! `/dead-letters`: messages that could not be worked on, with buttons to replay or discard them.

use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use http::{StatusCode, Uri};
use jiff::Timestamp;

use super::filters;
use super::frame::{Frame, Place, html, query};
use super::guard::Submitted;
use super::paging::Asked;
use super::session::Visit;
use super::shown::{Badge, moment};
use crate::backend::dead_letters::{self, DeadLetter, DeadLettersError, Dealing, Listed, Look, Order, Selection};
use crate::server::answer::Refusal;
use crate::server::app::Shared;
use crate::store::messages::Settled;

/// Letters on the page.
const SHOWN: usize = 200;

/// Messages of each partition that the page looks at: a page is looked at often, and waited for.
const LAST: i64 = 10_000;

/// Letters that one click deals with.
const MOST: usize = 1000;

/// Characters of a value that are shown.
const LONGEST: usize = 20_000;

/// A letter as the pages show it.
#[derive(Debug)]
struct Shown {
    id: String,
    badge: Badge,
    open: bool,
    at: Option<Timestamp>,
    from: String,
    replays: u32,
    reason: String,
}

impl Shown {
    fn of(letter: &DeadLetter) -> Self {
        let part = |name| letter.context(name).unwrap_or("?");
        let (word, class) = match letter.settled {
            None => ("open", "bad"),
            Some(Settled::Replayed) => ("replayed", "good"),
            Some(Settled::Discarded) => ("discarded", "muted"),
        };
        Self {
            id: letter.id.clone(),
            badge: Badge { word, class },
            open: letter.settled.is_none(),
            at: letter.at().map(moment),
            from: format!("{}/{}/{}", part("topic"), part("partition"), part("offset")),
            replays: letter.replays(),
            reason: letter.reason(),
        }
    }
}

#[derive(Template)]
#[template(path = "deadletters.html")]
struct ListPage {
    frame: Frame,
    form_token: String,
    notice: Option<String>,
    /// None = no brokers are configured.
    topic: Option<String>,
    reason: String,
    since: String,
    all: bool,
    count: usize,
    /// There are older messages, at which it has not looked.
    cut: bool,
    letters: Vec<Shown>,
}

/// `GET /dead-letters`.
pub(super) async fn list(
    State(shared): State<Shared>,
    Extension(visit): Extension<Visit>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let asked = Asked::of(&uri);
    let all = asked.text("all") == "1";
    let mut page = ListPage {
        frame: Frame::new(&visit, Place::DeadLetters, "Dead letters"),
        form_token: visit.form_token.clone(),
        notice: Some(asked.text("done").to_owned()).filter(|done| !done.is_empty()).map(|done| said(&done)),
        topic: None,
        all,
        count: 0,
        cut: false,
        letters: Vec::new(),
        reason: asked.text("reason").to_owned(),
        since: asked.text("since").to_owned(),
    };
    if let Some(dead_letters) = &shared.dead_letters {
        let selection = Selection { all, ..selected(&page.reason, &page.since)? };
        let look = Look { most: SHOWN, order: Order::NewestFirst, whole: false, last: Some(LAST) };
        let Listed { letters, count, cut } =
            dead_letters.list(&selection, look).await.map_err(|error| failed(&error))?;
        page.topic = Some(dead_letters.topic().to_owned());
        page.letters = letters.iter().map(Shown::of).collect();
        (page.count, page.cut) = (count, cut);
    }
    Ok(html(&page))
}

/// `replayed-3-0`: what was done, to how many, and how many could not be.
fn said(done: &str) -> String {
    let mut parts = done.split('-');
    let word = if parts.next() == Some("replayed") { "sent to their topics again" } else { "given up" };
    let mut number = || parts.next().and_then(|part| part.parse::<usize>().ok()).unwrap_or(0);
    let (well, badly) = (number(), number());
    if badly > 0 { format!("{well} {word}, {badly} could not be.") } else { format!("{well} {word}.") }
}

#[derive(Template)]
#[template(path = "deadletter.html")]
struct OnePage {
    frame: Frame,
    form_token: String,
    letter: Shown,
    key: String,
    headers: Vec<(String, String)>,
    value: String,
    cut: bool,
}

/// `GET /dead-letters/{id}`.
pub(super) async fn one(
    State(shared): State<Shared>,
    Extension(visit): Extension<Visit>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let Path(id) = id.map_err(|_| unknown())?;
    let dead_letters = shared.dead_letters.as_ref().ok_or_else(unknown)?;
    let letter = dead_letters.one(&id).await.map_err(|error| failed(&error))?.ok_or_else(unknown)?;
    let text = |bytes: Option<&[u8]>| bytes.map_or_else(|| "–".to_owned(), |b| String::from_utf8_lossy(b).into_owned());
    let headers = letter.message.headers.iter().map(|(name, value)| (name.clone(), text(value.as_deref())));
    let value = text(letter.message.value.as_deref());
    Ok(html(&OnePage {
        frame: Frame::new(&visit, Place::DeadLetters, "Dead letter"),
        form_token: visit.form_token.clone(),
        letter: Shown::of(&letter),
        key: text(letter.message.key.as_deref()),
        headers: headers.collect(),
        cut: value.chars().nth(LONGEST).is_some(),
        value: value.chars().take(LONGEST).collect(),
    }))
}

/// `POST /dead-letters/replay`: all that the filter selects.
pub(super) async fn replay(state: State<Shared>, form: Extension<Submitted>) -> Result<Response, Refusal> {
    many(state, form, Settled::Replayed).await
}

/// `POST /dead-letters/discard`: likewise.
pub(super) async fn discard(state: State<Shared>, form: Extension<Submitted>) -> Result<Response, Refusal> {
    many(state, form, Settled::Discarded).await
}

/// `POST /dead-letters/{id}/replay`.
pub(super) async fn replay_one(
    State(shared): State<Shared>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    settle_one(&shared, id, Settled::Replayed).await
}

/// `POST /dead-letters/{id}/discard`.
pub(super) async fn discard_one(
    State(shared): State<Shared>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    settle_one(&shared, id, Settled::Discarded).await
}

async fn settle_one(
    shared: &Shared,
    id: Result<Path<String>, PathRejection>,
    action: Settled,
) -> Result<Response, Refusal> {
    let Path(id) = id.map_err(|_| unknown())?;
    let dead_letters = shared.dead_letters.as_ref().ok_or_else(unknown)?;
    let known = dead_letters.known(&[id]).await.map_err(|error| failed(&error))?;
    if !known.unknown.is_empty() {
        return Err(unknown());
    }
    // Whoever looks at an old page may come too late: then nothing is done.
    settle(dead_letters.deal_with(known, Selection::default(), action), action, &[]).await
}

async fn many(
    State(shared): State<Shared>,
    Extension(form): Extension<Submitted>,
    action: Settled,
) -> Result<Response, Refusal> {
    let dead_letters = shared.dead_letters.as_ref().ok_or_else(unknown)?;
    let [reason, since] = ["reason", "since"].map(|name| form.field(name).unwrap_or_default().trim());
    let selection = Selection { until: Some(Timestamp::now().as_millisecond()), ..selected(reason, since)? };
    settle(dead_letters.deal(selection, action, MOST), action, &[("reason", reason), ("since", since)]).await
}

async fn settle(mut dealing: Dealing, action: Settled, filter: &[(&str, &str)]) -> Result<Response, Refusal> {
    let (mut well, mut badly) = (0, 0);
    while let Some((_, outcome)) = dealing.next().await.map_err(|error| failed(&error))? {
        well += outcome.done.len();
        badly += outcome.failed.len();
    }
    let done = format!("{}-{well}-{badly}", action.as_str());
    let pairs = [("done", done.as_str())].into_iter().chain(filter.iter().copied());
    let pairs: Vec<_> = pairs.filter(|(_, value)| !value.is_empty()).collect();
    Ok(Redirect::to(&format!("/dead-letters?{}", query(&pairs))).into_response())
}

/// What the filter of the page selects.
fn selected(reason: &str, since: &str) -> Result<Selection, Refusal> {
    let wrong = |text: &str| Refusal::http(StatusCode::BAD_REQUEST, text.to_owned());
    let given = |text: &'_ str| (!text.is_empty()).then(|| text.to_owned());
    let reason = given(reason).map(|text| regex::Regex::new(&text)).transpose();
    let since = given(since).map(|text| dead_letters::moment(&text)).transpose();
    Ok(Selection {
        reason: reason.map_err(|_| wrong("The reason is not a regular expression."))?,
        since: since.map_err(|problem| wrong(&format!("Since: {problem}.")))?,
        ..Selection::default()
    })
}

fn failed(error: &DeadLettersError) -> Refusal {
    Refusal::busy("The dead letters cannot be read at the moment", 5).because(error.to_string())
}

fn unknown() -> Refusal {
    Refusal::http(StatusCode::NOT_FOUND, "There is no such dead letter; its topic may have forgotten it.")
}

#[cfg(test)]
mod tests {
    use super::said;

    #[test]
    fn what_was_done_is_said() {
        assert_eq!(said("replayed-3-0"), "3 sent to their topics again.");
        assert_eq!(said("discarded-1-2"), "1 given up, 2 could not be.");
        assert_eq!(said("<script>"), "0 given up.");
    }
}
