//! Counts the attempts that are made on behalf of one piece of work, whichever services it asks.

use std::cell::Cell;

tokio::task_local! {
    static ATTEMPTS: Cell<u32>;
}

/// Runs `work` and tells how many requests went out on the wire for it, retries included.
pub async fn count_attempts<F: Future>(work: F) -> (F::Output, u32) {
    ATTEMPTS
        .scope(Cell::new(0), async {
            let output = work.await;
            (output, ATTEMPTS.with(Cell::get))
        })
        .await
}

/// One more attempt, if anybody counts.
pub(super) fn count() {
    // Outside of `count_attempts` nobody does.
    let _ = ATTEMPTS.try_with(|attempts| attempts.set(attempts.get() + 1));
}
