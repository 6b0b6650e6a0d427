//! Imports over HTTP: make one, send batches, ask what has become of every record, watch it happen.
//!
//! | route | what |
//! |---|---|
//! | `POST /api/v1/imports` | make an import (`Idempotency-Key`) |
//! | `GET /api/v1/imports`, `/{id}`, `/{id}/summary` | see them |
//! | `POST /api/v1/imports/{id}/batches` | send records: a JSON array, JSON lines, or `{"storage_url": …}`; `{"reference_ids": […]}` of nodes |
//! | `GET …/batches`, `…/batches/{batch}`, `…/batches/{batch}/results`, `…/results` | see what became of them |
//! | `GET …/references` | see which rows of an import that a message asked for are in |
//! | `PATCH …/finalise`, `POST …/cancel`, `POST …/retry` | close it, stop it, try again what failed |
//! | `GET …/events` | server-sent events |

mod events;
mod jobs;
mod new_import;
mod references;
mod refuse;
mod results;
mod send;
mod types;

pub(super) use events::Streams;
pub(super) use refuse::refusal;
pub(super) use results::failed;

use utoipa_axum::router::OpenApiRouter;

use super::app::Shared;

/// The routes of this folder.
pub(super) fn routes() -> OpenApiRouter<Shared> {
    jobs::routes().merge(send::routes()).merge(results::routes()).merge(references::routes()).merge(events::routes())
}
