//! `/catalogue/{slug}`: everything that is stored of one title, and where it came from.

use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use http::{StatusCode, Uri};

use super::filters;
use super::frame::{Frame, Place, html};
use super::paging::{Asked, Paging, skip};
use super::session::Visit;
use crate::server::answer::Refusal;
use crate::server::app::Shared;
use crate::store::catalogue::{Inspected, InspectedEpisode};

/// Episodes on a page.
const SIZE: u32 = 50;

#[derive(Template)]
#[template(path = "title.html")]
struct TitlePage {
    frame: Frame,
    series: Inspected,
    poster: Option<String>,
    origin: &'static str,
    episodes: Vec<InspectedEpisode>,
    paging: Paging,
}

/// `GET /catalogue/{slug}`.
pub(super) async fn page(
    State(shared): State<Shared>,
    Extension(visit): Extension<Visit>,
    slug: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let failed = |error| Refusal::failed("The catalogue does not answer.", &error);
    let unknown = || Refusal::http(StatusCode::NOT_FOUND, "There is no title with this address in the catalogue.");
    let Path(slug) = slug.map_err(|_| unknown())?;
    let series = shared.catalogue.inspect(slug.clone()).await.map_err(failed)?.ok_or_else(unknown)?;
    let page = Asked::of(&uri).page("episodes");
    let found = shared.catalogue.inspect_episodes(slug.clone(), SIZE, skip(page, SIZE)).await.map_err(failed)?;
    let path = format!("/catalogue/{}", series.slug);
    Ok(html(&TitlePage {
        frame: Frame::new(&visit, Place::Catalogue, series.title.clone()),
        poster: series.poster.as_deref().and_then(filters::link),
        origin: origin(&series.origin),
        series,
        episodes: found.episodes,
        paging: Paging::new(page, SIZE, found.total, path).named("episodes"),
    }))
}

/// What the table's word means.
fn origin(word: &str) -> &'static str {
    match word {
        "shikimori_graphql" => "Shikimori (GraphQL)",
        "shikimori_rest" => "Shikimori (REST, without poster)",
        "material_data" => "Kodik’s own data, or a backend’s client that does not say",
        _ => "unknown",
    }
}
