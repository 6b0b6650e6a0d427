//! The existing import contract: series, then episodes of it, then one video at a time.
//!
//! Success is 200: series and video answer `{"success": true, "message", "errors": null}`, episodes
//! `{"success", "total", "imported", "errors"}`, where `success: false` means that some were not taken. 404 means that
//! the series (or episode) has to be sent first, 422 that the body is not the contract's. A failure of the store is 500
//! without the reason; the log has it under the trace id.
//!
//! Deliberately unlike the backend that this contract comes from: `null` (or nothing, or an empty list) leaves what is
//! stored; one video cannot become two rows; what a person switched off stays off; a slug is never empty and does not
//! change when the title does, so that addresses keep working.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::Refusal;
use super::app::Shared;
use super::body::Sent;
use super::payload;
use crate::model::Change;
use crate::observe::events;

/// The answer to a series or a video.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "success": true, "message": "Anime imported successfully: Cowboy Bebop", "errors": null }))]
pub(super) struct Imported {
    /// Always true.
    success: bool,
    /// What was done.
    message: String,
    /// Always null.
    #[schema(required)]
    errors: Option<Vec<String>>,
}

impl Imported {
    fn new(message: impl Into<String>) -> Json<Self> {
        Json(Self { success: true, message: message.into(), errors: None })
    }
}

/// The answer to episodes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "success": true, "total": 2, "imported": 2, "errors": [] }))]
pub(super) struct EpisodesImported {
    /// False when some were not taken.
    success: bool,
    /// How many were sent.
    total: usize,
    /// How many were taken.
    imported: usize,
    /// Why the others were not, one line each.
    errors: Vec<String>,
}

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(anime)).routes(routes!(episodes)).routes(routes!(video))
}

/// Import a series
///
/// Creates it, or updates what is sent; what is null, missing or an empty list leaves what is stored.
#[utoipa::path(
    post,
    path = "/api/v1/internal/import/anime",
    operation_id = "importAnime",
    tag = "contract",
    security(("internal_token" = [])),
    request_body = payload::AnimeBody,
    responses((status = 200, description = "Stored, or known already", body = Imported)),
)]
async fn anime(State(shared): State<Shared>, Sent(body): Sent<payload::AnimeBody>) -> Result<Json<Imported>, Refusal> {
    let (key, card) = payload::anime(body)?;
    let message = format!("Anime imported successfully: {}", card.title);
    let change = shared
        .catalogue
        .import_card(key, card)
        .await
        .map_err(|error| Refusal::failed("Failed to import anime", &error))?;
    events::part_imported("anime", word(change));
    Ok(Imported::new(message))
}

/// Import episodes of a series
#[utoipa::path(
    post,
    path = "/api/v1/internal/import/episodes",
    operation_id = "importEpisodes",
    tag = "contract",
    security(("internal_token" = [])),
    request_body = payload::EpisodesBody,
    responses(
        (status = 200, description = "Some or all of them are stored", body = EpisodesImported),
        (status = 404, description = "The series has to be sent first"),
    ),
)]
async fn episodes(
    State(shared): State<Shared>,
    Sent(body): Sent<payload::EpisodesBody>,
) -> Result<Json<EpisodesImported>, Refusal> {
    let (key, episodes) = payload::episodes(body)?;
    let name = format!("{}/{}", key.source_name, key.source_id);
    let outcome = shared
        .catalogue
        .import_episodes(key, episodes)
        .await
        .map_err(|error| Refusal::failed("Failed to import episodes", &error))?;
    let Some(outcome) = outcome else {
        events::part_imported("episodes", "orphan");
        return Err(Refusal::http(StatusCode::NOT_FOUND, format!("Anime not found: {name}")));
    };
    events::part_imported(
        "episodes",
        match (outcome.errors.is_empty(), outcome.written) {
            (false, _) => "partial",
            (true, 0) => "unchanged",
            (true, _) => "updated",
        },
    );
    Ok(Json(EpisodesImported {
        success: outcome.errors.is_empty(),
        total: outcome.total,
        imported: outcome.imported,
        errors: outcome.errors,
    }))
}

/// Import one video of an episode
#[utoipa::path(
    post,
    path = "/api/v1/internal/import/video",
    operation_id = "importVideo",
    tag = "contract",
    security(("internal_token" = [])),
    request_body = payload::VideoBody,
    responses(
        (status = 200, description = "Stored, or known already", body = Imported),
        (status = 404, description = "The episode has to be sent first"),
    ),
)]
async fn video(State(shared): State<Shared>, Sent(body): Sent<payload::VideoBody>) -> Result<Json<Imported>, Refusal> {
    let video = payload::video(body)?;
    let name = format!("{}/{}", video.key.source_name, video.key.source_episode_id);
    let change = shared
        .catalogue
        .import_video(video)
        .await
        .map_err(|error| Refusal::failed("Failed to import video source", &error))?;
    let Some(change) = change else {
        events::part_imported("video", "orphan");
        return Err(Refusal::http(StatusCode::NOT_FOUND, format!("Episode not found: {name}")));
    };
    events::part_imported("video", word(change));
    Ok(Imported::new("Video source imported successfully"))
}

fn word(change: Option<Change>) -> &'static str {
    match change {
        Some(Change::Created) => "created",
        Some(Change::Updated) => "updated",
        None => "unchanged",
    }
}
