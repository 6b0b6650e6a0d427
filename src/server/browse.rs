//! What sites read. Nothing here needs a token, and nothing internal is shown: no source, no source's ids, nothing that
//! is switched off.
//!
//! - `GET /api/v1/anime` – an array. `skip` (0), `limit` (50, at most 100), `year`, `status` (`ongoing`, `completed`,
//!   `upcoming`), `genre` (exact name; the case of ASCII letters does not matter), `sort` (`title`, `year`, `created_at`,
//!   `updated_at`), `order` (`asc`, `desc`). The header `X-Total-Count` says how many there are on all pages.
//!   Each item: `id`, `title`, `slug`, `description`, `year`, `status`, `poster`, `genres`, `created_at`.
//! - `GET /api/v1/anime/{slug}` – the same with `alternative_titles` and `updated_at`.
//! - `GET /api/v1/anime/{slug}/episodes` – an array by season and number, specials (season 0) last: `id`, `number`,
//!   `title`, `season`, `video_sources` (preferred first: `id`, `type`, `url`, `source_name`, `priority`).
//!
//! Ids are UUIDs made from the natural keys: the same title has the same id in every copy of a catalogue.

use axum::Json;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::answer::Refusal;
use super::app::Shared;
use super::described;
use super::params::{InPath, InQuery};
use super::payload;
use crate::store::catalogue::{Query, ShownEpisode, ShownPlayer, ShownSeries, Sort};

const TOTAL: HeaderName = HeaderName::from_static("x-total-count");

/// A page's default and largest size.
const PAGE: (u32, u32) = (50, 100);

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// How many to leave out at the beginning.
    #[param(required = false, value_type = i64, minimum = 0, maximum = 4_294_967_295_u32, default = 0)]
    skip: Option<u32>,
    /// How many to answer.
    #[param(required = false, value_type = i64, minimum = 1, maximum = 100, default = 50)]
    limit: Option<u32>,
    /// Only those of this year; 0 = of any.
    #[param(required = false, nullable = false)]
    year: Option<i64>,
    #[param(required = false, schema_with = described::shown_status)]
    status: Option<String>,
    /// Only those of this genre, by its exact name (the case of ASCII letters does not matter).
    #[param(required = false, nullable = false)]
    genre: Option<String>,
    #[param(required = false, schema_with = described::sorted_by)]
    sort: Option<String>,
    #[param(required = false, schema_with = described::direction)]
    order: Option<String>,
}

/// One series in a list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Anime, example = json!({
    "id": "6ea3a5b1-0f2f-8d54-8a36-1a1ad1ec0a4b", "title": "Cowboy Bebop", "slug": "cowboy-bebop", "description": "Space bounty hunters.",
    "year": 1998, "status": "completed", "poster": "https://img.example/1.jpg", "genres": ["Action", "Sci-Fi"],
    "created_at": "2026-01-02T03:04:05.678Z",
}))]
struct Item {
    /// The same in every copy of a catalogue.
    id: Uuid,
    /// The display title.
    title: String,
    /// Its address below `/api/v1/anime`; never empty, and kept when the title changes.
    slug: String,
    /// Plain text.
    #[schema(required)]
    description: Option<String>,
    /// Of the first broadcast.
    #[schema(required)]
    year: Option<i64>,
    /// `ongoing`, `completed` or `upcoming`.
    #[schema(required)]
    status: Option<String>,
    /// Its address.
    #[schema(required)]
    poster: Option<String>,
    /// Names.
    genres: Vec<String>,
    /// When it came into the catalogue.
    #[schema(value_type = String, format = DateTime)]
    created_at: jiff::Timestamp,
}

/// One series with everything.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AnimeDetail)]
struct Detail {
    #[serde(flatten)]
    item: Item,
    /// Other titles it is known by.
    alternative_titles: Vec<String>,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: jiff::Timestamp,
}

/// One episode with its videos.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "1d0e2a55-7d86-8c3d-9a35-7f6a3d2f5b11", "number": 1, "title": "Asteroid Blues", "season": 1, "video_sources": [{
        "id": "a7a2ff0a-3f8c-8f0e-8c5d-2c8a5b0f6d21", "type": "iframe", "url": "https://player.example/1", "source_name": "kodik",
        "priority": 10,
    }],
}))]
struct Episode {
    /// The same in every copy of a catalogue.
    id: Uuid,
    /// In its season; 0 is possible.
    number: u32,
    /// If it has one.
    #[schema(required)]
    title: Option<String>,
    /// 0 = specials.
    season: u32,
    /// Preferred first.
    video_sources: Vec<VideoSource>,
}

/// One way to watch an episode.
#[derive(Debug, Serialize, ToSchema)]
struct VideoSource {
    /// The same in every copy of a catalogue.
    id: Uuid,
    /// Of the player: `iframe`, `hls`, …
    r#type: String,
    /// Of the player.
    url: String,
    /// Whose player it is.
    source_name: String,
    /// Higher = preferred.
    priority: i64,
}

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(series)).routes(routes!(episodes))
}

/// Lets pages of other origins read: these answers are for everybody.
pub(super) async fn for_browsers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("X-Total-Count, X-Trace-ID"));
    response
}

/// The catalogue, page by page
#[utoipa::path(
    get,
    path = "/api/v1/anime",
    operation_id = "listAnime",
    tag = "catalogue",
    params(Asked),
    responses((
        status = 200,
        description = "One page",
        body = [Item],
        headers(("X-Total-Count" = u64, description = "How many there are on all pages")),
    )),
)]
async fn list(State(shared): State<Shared>, InQuery(asked): InQuery<Asked>) -> Result<impl IntoResponse, Refusal> {
    let query = query(asked)?;
    let page =
        shared.catalogue.page(query).await.map_err(|error| Refusal::failed("Failed to retrieve anime list", &error))?;
    let items: Vec<Item> = page.series.into_iter().map(item).collect();
    Ok(([(TOTAL, HeaderValue::from(page.total))], Json(items)))
}

/// One series
#[utoipa::path(
    get,
    path = "/api/v1/anime/{slug}",
    operation_id = "getAnime",
    tag = "catalogue",
    params(("slug" = String, Path, description = "Its slug", example = "cowboy-bebop")),
    responses(
        (status = 200, description = "The series", body = Detail),
        (status = 404, description = "There is none with this slug"),
    ),
)]
async fn series(State(shared): State<Shared>, InPath(slug): InPath<String>) -> Result<impl IntoResponse, Refusal> {
    let found = shared
        .catalogue
        .by_slug(slug.clone())
        .await
        .map_err(|error| Refusal::failed("Failed to retrieve anime", &error))?;
    let mut series = found.ok_or_else(|| unknown(&slug))?;
    let alternative_titles = std::mem::take(&mut series.alternative_titles);
    let updated_at = series.updated_at;
    Ok(Json(Detail { item: item(series), alternative_titles, updated_at }))
}

/// The episodes of one series
///
/// By season and number, specials (season 0) last.
#[utoipa::path(
    get,
    path = "/api/v1/anime/{slug}/episodes",
    operation_id = "listEpisodes",
    tag = "catalogue",
    params(("slug" = String, Path, description = "Its slug", example = "cowboy-bebop")),
    responses(
        (status = 200, description = "All of them", body = [Episode]),
        (status = 404, description = "There is no series with this slug"),
    ),
)]
async fn episodes(State(shared): State<Shared>, InPath(slug): InPath<String>) -> Result<impl IntoResponse, Refusal> {
    let found = shared
        .catalogue
        .episodes_by_slug(slug.clone())
        .await
        .map_err(|error| Refusal::failed("Failed to retrieve episodes", &error))?;
    let episodes = found.ok_or_else(|| unknown(&slug))?;
    Ok(Json(episodes.into_iter().map(episode).collect::<Vec<_>>()))
}

fn unknown(slug: &str) -> Refusal {
    Refusal::http(StatusCode::NOT_FOUND, format!("Anime not found: {slug}"))
}

fn query(asked: Asked) -> Result<Query, Refusal> {
    let limit = asked.limit.unwrap_or(PAGE.0);
    if !(1..=PAGE.1).contains(&limit) {
        return Err(Refusal::invalid("limit is not between 1 and 100"));
    }
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let status = given(asked.status)
        .map(|word| payload::status(&word).ok_or_else(|| Refusal::invalid("there is no such status")))
        .transpose()?;
    let sort = match given(asked.sort).as_deref() {
        None | Some("title") => Sort::Title,
        Some("year") => Sort::Year,
        Some("created_at") => Sort::Created,
        Some("updated_at") => Sort::Updated,
        Some(_) => return Err(Refusal::invalid("cannot sort by that")),
    };
    let descending = match given(asked.order).as_deref() {
        None | Some("asc") => false,
        Some("desc") => true,
        Some(_) => return Err(Refusal::invalid("order is neither asc nor desc")),
    };
    let skip = asked.skip.unwrap_or(0);
    // Year 0 is no filter, as in the existing backend.
    let year = asked.year.filter(|year| *year != 0);
    Ok(Query { skip, limit, year, status, genre: given(asked.genre), sort, descending })
}

fn item(series: ShownSeries) -> Item {
    Item {
        id: id(&["series", &series.source_name, &series.source_id]),
        title: series.title,
        slug: series.slug,
        description: series.description,
        year: series.year,
        status: series.status,
        poster: series.poster,
        genres: series.genres,
        created_at: series.created_at,
    }
}

fn episode(episode: ShownEpisode) -> Episode {
    let (source, own) = (episode.source_name, episode.source_episode_id);
    let video_source = |player: ShownPlayer| VideoSource {
        id: id(&["video", &source, &own, &player.source_name, &player.url]),
        r#type: player.player_type,
        url: player.url,
        source_name: player.source_name,
        priority: player.priority,
    };
    Episode {
        id: id(&["episode", &source, &own]),
        number: episode.number,
        title: episode.title,
        season: episode.season,
        video_sources: episode.players.into_iter().map(video_source).collect(),
    }
}

/// A UUID (version 8) of a natural key.
fn id(key: &[&str]) -> Uuid {
    let mut hasher = blake3::Hasher::new();
    for part in key {
        // With the length in front, no two keys run together to the same bytes.
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let mut bytes = [0_u8; 16];
    hasher.finalize_xof().fill(&mut bytes);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}
