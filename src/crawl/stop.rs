//! Cancelling a crawl: no new title is started, titles in flight finish, the checkpoint is saved.

use std::sync::Arc;

use tokio::sync::watch;

/// A request to stop that can be awaited. Clones share it.
#[derive(Debug, Clone)]
pub struct Stop {
    sender: Arc<watch::Sender<bool>>,
}

impl Default for Stop {
    fn default() -> Self {
        Self { sender: Arc::new(watch::Sender::new(false)) }
    }
}

impl Stop {
    /// Asks the crawl to stop.
    pub fn request(&self) {
        self.sender.send_replace(true);
    }

    /// Was it asked to stop?
    pub fn is_requested(&self) -> bool {
        *self.sender.borrow()
    }

    /// Resolves when it is asked to stop.
    pub async fn requested(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.sender.subscribe().wait_for(|stop| *stop).await;
    }
}
