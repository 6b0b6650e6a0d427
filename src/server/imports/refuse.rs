//! What stands against a request about imports, as a status.

use http::StatusCode;

use crate::backend::imports::{ImportsError, Refused};
use crate::error::{Fault as _, Severity, chain};
use crate::server::answer::Refusal;

/// The refusal of an error.
pub(in crate::server) fn refusal(error: &ImportsError) -> Refusal {
    match error {
        ImportsError::Backend(error) if error.severity() == Severity::Transient => {
            Refusal::busy("The store is busy or away", 2).because(chain(error))
        }
        ImportsError::Backend(error) => Refusal::failed("The import could not be worked on", error),
        ImportsError::Refused(refused) => refused_as(refused),
    }
}

fn refused_as(refused: &Refused) -> Refusal {
    let (status, code) = match refused {
        Refused::NoSuchImport => (StatusCode::NOT_FOUND, "import_not_found"),
        Refused::NoSuchBatch => (StatusCode::NOT_FOUND, "batch_not_found"),
        Refused::NoReferences => (StatusCode::NOT_FOUND, "references_not_kept"),
        Refused::Finalised => (StatusCode::CONFLICT, "import_finalised"),
        Refused::Ended(_) => (StatusCode::CONFLICT, "import_ended"),
        Refused::NotEnded => (StatusCode::CONFLICT, "import_not_ended"),
        Refused::NothingFailed => (StatusCode::CONFLICT, "nothing_failed"),
        Refused::KeyReused => (StatusCode::CONFLICT, "idempotency_key_reused"),
        Refused::KeyInUse => (StatusCode::CONFLICT, "idempotency_key_in_use"),
        Refused::SamePlace => (StatusCode::CONFLICT, "storage_url_known"),
        Refused::Format(_) => (StatusCode::CONFLICT, "format_mismatch"),
        Refused::OfCommand => (StatusCode::CONFLICT, "import_of_command"),
        Refused::Place(_) => (StatusCode::UNPROCESSABLE_ENTITY, "storage_url_invalid"),
        Refused::PlaceForbidden(_) => (StatusCode::FORBIDDEN, "storage_url_forbidden"),
        Refused::Cut(_) => (StatusCode::BAD_REQUEST, "body_cut"),
        Refused::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "batch_too_large"),
        Refused::Cancelled => (StatusCode::CONFLICT, "import_cancelled"),
    };
    let refusal = Refusal::coded(status, code, refused.to_string());
    if matches!(refused, Refused::KeyInUse) { refusal.after(5) } else { refusal }
}
