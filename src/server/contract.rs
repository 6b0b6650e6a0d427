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
use axum::body::Body;
use axum::extract::State;
use http::StatusCode;
use serde::Serialize;

use super::answer::Refusal;
use super::app::Shared;
use super::{gate, payload};
use crate::model::Change;
use crate::observe::events;

/// The answer to a series or a video.
#[derive(Debug, Serialize)]
pub(super) struct Imported {
    success: bool,
    message: String,
    errors: Option<Vec<String>>,
}

impl Imported {
    fn new(message: impl Into<String>) -> Json<Self> {
        Json(Self { success: true, message: message.into(), errors: None })
    }
}

/// The answer to episodes.
#[derive(Debug, Serialize)]
pub(super) struct EpisodesImported {
    success: bool,
    total: usize,
    imported: usize,
    errors: Vec<String>,
}

/// `POST …/import/anime`.
pub(super) async fn anime(State(shared): State<Shared>, body: Body) -> Result<Json<Imported>, Refusal> {
    let (key, card) = payload::anime(&gate::json_body(&shared, body).await?)?;
    let message = format!("Anime imported successfully: {}", card.title);
    let change = shared
        .catalogue
        .import_card(key, card)
        .await
        .map_err(|error| Refusal::failed("Failed to import anime", &error))?;
    events::part_imported("anime", word(change));
    Ok(Imported::new(message))
}

/// `POST …/import/episodes`.
pub(super) async fn episodes(State(shared): State<Shared>, body: Body) -> Result<Json<EpisodesImported>, Refusal> {
    let (key, episodes) = payload::episodes(&gate::json_body(&shared, body).await?)?;
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

/// `POST …/import/video`.
pub(super) async fn video(State(shared): State<Shared>, body: Body) -> Result<Json<Imported>, Refusal> {
    let video = payload::video(&gate::json_body(&shared, body).await?)?;
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
