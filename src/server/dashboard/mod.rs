//! The dashboard: pages for a person at a browser, made here from what the backend says.
//!
//! Nothing is built beforehand and nothing comes from elsewhere: templates, one style sheet and one script are part of
//! the program. Every page works without the script, which only keeps what is on the page up to date.
//!
//! Who may: whoever has signed in with the server's token (`login`). The browser then has a session (`session`), never
//! the token. A change needs the session's form token besides and has to come from one of these pages (`guard`).

mod assets;
mod catalogue;
#[cfg(feature = "kafka")]
mod dead_letters;
mod failure;
mod filters;
mod frame;
mod guard;
mod imports;
mod jobs;
mod kept;
mod live;
mod login;
mod overview;
mod paging;
mod session;
mod shown;
mod sources;
mod staging;
mod throttle;
mod title;

use std::path::PathBuf;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};

use super::app::Shared;
use super::gate;
use super::token::Token;
use kept::Kept;
use session::Sessions;
use throttle::Throttle;

/// What the dashboard keeps.
#[derive(Debug)]
pub(super) struct Dashboard {
    sessions: Sessions,
    throttle: Throttle,
    kept: Kept,
    options: DashboardOptions,
}

/// How the dashboard is reached and what it shows.
#[derive(Debug, Clone, Default)]
pub struct DashboardOptions {
    /// Browsers reach it by https only, so cookies are for https only.
    pub secure: bool,
    /// Where a crawl leaves how its services fared.
    pub health: PathBuf,
}

impl Dashboard {
    pub(super) fn new(token: &Token, options: DashboardOptions) -> Self {
        Self {
            sessions: Sessions::new(token, options.secure),
            throttle: Throttle::default(),
            kept: Kept::default(),
            options,
        }
    }
}

pub(super) use guard::lets_in;

/// The pages. What is not a page (JSON, probes) is elsewhere.
pub(super) fn routes(shared: &Shared) -> Router<Shared> {
    let inside = Router::new()
        .route("/", get(overview::page))
        .route("/live", get(live::changes))
        .route("/imports", get(imports::list))
        .route("/imports/{id}", get(imports::one))
        .route("/imports/{id}/failed", get(imports::failed))
        .route("/imports/{id}/retry", post(imports::retry))
        .route("/imports/{id}/cancel", post(imports::cancel))
        .route("/jobs", get(jobs::page))
        .route("/jobs/{job}/run", post(jobs::run))
        .route("/staging", get(staging::all))
        .route("/staging/{kind}", get(staging::rows))
        .route("/staging/{kind}/requeue", post(staging::requeue_all))
        .route("/staging/{kind}/{id}", get(staging::row))
        .route("/staging/{kind}/{id}/requeue", post(staging::requeue))
        .route("/staging/{kind}/{id}/discard", post(staging::discard))
        .route("/catalogue", get(catalogue::page))
        .route("/catalogue/{slug}", get(title::page))
        .route("/sources", get(sources::page))
        .route("/logout", post(login::out));
    #[cfg(feature = "kafka")]
    let inside = inside
        .route("/dead-letters", get(dead_letters::list))
        .route("/dead-letters/replay", post(dead_letters::replay))
        .route("/dead-letters/discard", post(dead_letters::discard))
        .route("/dead-letters/{id}", get(dead_letters::one))
        .route("/dead-letters/{id}/replay", post(dead_letters::replay_one))
        .route("/dead-letters/{id}/discard", post(dead_letters::discard_one));
    let inside = inside.route_layer(from_fn_with_state(shared.clone(), guard::signed_in));
    let outside = Router::new()
        .route("/login", get(login::page).post(login::sign_in))
        .route("/assets/{name}", get(assets::asset));
    inside
        .merge(outside)
        .route_layer(from_fn_with_state(shared.clone(), gate::bounded))
        .route_layer(from_fn(failure::as_page))
        .route_layer(from_fn(guard::hardened))
}
