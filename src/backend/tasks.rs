//! Work that goes on beside a loop that waits for the store itself.
//!
//! It is spawned, not merely polled by that loop: what is not polled while the loop waits could be given a connection that
//! it does not use, and the loop would wait for just that one.

use tokio::task::JoinError;

/// What a task has come to. A panic goes on here; `None` = it was cancelled.
pub fn outcome<T>(done: Result<T, JoinError>) -> Option<T> {
    match done.map_err(JoinError::try_into_panic) {
        Ok(outcome) => Some(outcome),
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        Err(Err(_)) => None,
    }
}
