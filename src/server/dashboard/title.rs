//! `/catalogue/{slug}`: everything that is stored of one title, and where it came from.

use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use http::{StatusCode, Uri};
use jiff::Timestamp;

use super::filters;
use super::frame::{Frame, Place, html};
use super::paging::{Asked, Paging, skip};
use super::session::Visit;
use super::shown::{Badge, moment};
use super::staging;
use crate::server::answer::Refusal;
use crate::server::app::Shared;
use crate::store::catalogue::{Inspected, InspectedEpisode};
use crate::store::staging::Passage;

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
    passages: Vec<ShownPassage>,
}

/// A staged record that was about the title.
struct ShownPassage {
    id: i64,
    shape: String,
    badge: Badge,
    error: Option<String>,
    import: Option<String>,
    observed_at: Option<Timestamp>,
    updated_at: Timestamp,
}

impl From<Passage> for ShownPassage {
    fn from(passage: Passage) -> Self {
        Self {
            id: passage.id,
            shape: if passage.shape.is_empty() { "whole record".to_owned() } else { passage.shape },
            badge: staging::badge(passage.state, false),
            error: passage.error,
            import: passage.import,
            observed_at: passage.observed_at.map(moment),
            updated_at: moment(passage.updated_at),
        }
    }
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
    let passages =
        shared.catalogue.lineage(series.source_name.clone(), series.source_id.clone()).await.map_err(failed)?;
    let path = format!("/catalogue/{}", series.slug);
    Ok(html(&TitlePage {
        frame: Frame::new(&visit, Place::Catalogue, series.title.clone()),
        poster: series.poster.as_deref().and_then(filters::link),
        origin: origin(&series.origin),
        series,
        episodes: found.episodes,
        passages: passages.into_iter().map(ShownPassage::from).collect(),
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
