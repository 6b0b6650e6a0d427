//! Work that goes on behind the answers: the jobs, by their schedule and as asked for. It ends with the server.

use std::sync::Mutex;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::backend::jobs::{Begun, Jobs};

/// What is going on.
#[derive(Debug)]
pub(super) struct Background {
    jobs: Jobs,
    stop: watch::Sender<bool>,
    tasks: Mutex<JoinSet<()>>,
}

impl Background {
    pub(super) fn new(jobs: Jobs) -> Self {
        Self { jobs, stop: watch::Sender::new(false), tasks: Mutex::new(JoinSet::new()) }
    }

    fn add(&self, task: impl Future<Output = ()> + Send + 'static) {
        // Nobody panics while holding it; and if somebody did, the set would still be whole.
        let mut tasks = self.tasks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Starts jobs when they are due, from now on.
    pub(super) fn keep_schedule(&self) {
        let (jobs, stop) = (self.jobs.clone(), self.stop.subscribe());
        self.add(async move { jobs.keep_schedule(stop).await });
    }

    /// Runs a job that has begun.
    pub(super) fn spawn(&self, begun: Begun) {
        let (jobs, stop) = (self.jobs.clone(), self.stop.subscribe());
        self.add(async move {
            // The job's table and the log have the outcome.
            let _ = jobs.run(begun, &stop).await;
        });
    }

    /// Lets everything end after what it is at, and waits for that.
    pub(super) async fn finish(&self) {
        self.stop.send_replace(true);
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        while tasks.join_next().await.is_some() {}
    }
}
