//! `/catalogue`: search by name, page by page.

use askama::Template;
use axum::extract::{Extension, State};
use axum::response::Response;
use http::Uri;

use super::filters;
use super::frame::{Frame, Place, html};
use super::paging::{Asked, Paging, skip};
use super::session::Visit;
use crate::server::answer::Refusal;
use crate::server::app::Shared;
use crate::store::catalogue::Found;

const SIZE: u32 = 50;

#[derive(Template)]
#[template(path = "catalogue.html")]
struct CataloguePage {
    frame: Frame,
    question: String,
    found: Vec<Found>,
    paging: Paging,
}

/// `GET /catalogue`.
pub(super) async fn page(
    State(shared): State<Shared>,
    Extension(visit): Extension<Visit>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let asked = Asked::of(&uri);
    let question = asked.text("q").to_owned();
    let page = asked.page("page");
    let found = shared
        .catalogue
        .search(question.clone(), SIZE, skip(page, SIZE))
        .await
        .map_err(|error| Refusal::failed("The catalogue does not answer.", &error))?;
    let paging = Paging::new(page, SIZE, found.total, "/catalogue").with("q", &question);
    let title = if question.is_empty() { "Catalogue".to_owned() } else { format!("Catalogue: {question}") };
    let frame = Frame::new(&visit, Place::Catalogue, title);
    Ok(html(&CataloguePage { frame, question, found: found.series, paging }))
}
