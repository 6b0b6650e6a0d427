//! The reading side: bytes into chunks, chunks to threads that parse them, and a queue of what they will give, in the
//! order of the file.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use futures::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use super::Meter;
use super::chunks::{Chunk, Chunks};
use super::input::Input;
use super::parse::{self, Rules};
use crate::bulk::BulkError;
use crate::store::imported::{Key, Rows};
use crate::store::objects::Position;

/// Chunks that wait; their bytes are bounded apart.
pub(super) const QUEUE: usize = 64;

/// KiB of chunks and what was made of them that are on their way, over all files.
const BUDGET: u32 = 32 << 10;

/// What the writing side gets.
#[derive(Debug)]
pub(super) enum Item {
    Chunk {
        rows: oneshot::Receiver<Rows>,
        /// Its share of the budget, until its rows are in.
        share: OwnedSemaphorePermit,
    },
    /// Here a transaction may end.
    Cut,
    /// That was the whole file. Without it the reader has failed.
    End,
}

/// How many bytes may be on their way. Each file has its own, so that no file waits for another one's writer.
#[derive(Debug)]
pub(super) struct Budget {
    free: Arc<Semaphore>,
    all: u32,
}

impl Budget {
    pub(super) fn new(files: usize) -> Self {
        let all = (BUDGET / u32::try_from(files).unwrap_or(BUDGET)).max(4 << 10);
        Self { free: Arc::new(Semaphore::new(all as usize)), all }
    }

    /// Waits for room for a chunk and its rows.
    async fn share(&self, chunk: &Chunk) -> Option<OwnedSemaphorePermit> {
        let cost = u32::try_from(chunk.bytes.len() / 1024 * 4 + 1).unwrap_or(u32::MAX).min(self.all);
        Arc::clone(&self.free).acquire_many_owned(cost).await.ok()
    }
}

/// What reads one file.
pub(super) struct Reader {
    pub(super) rules: Arc<OnceLock<Arc<Rules>>>,
    pub(super) threads: Arc<Semaphore>,
    pub(super) budget: Budget,
    pub(super) unit_rows: Option<u64>,
    pub(super) max_line: usize,
    pub(super) meter: Arc<Meter>,
}

impl Reader {
    /// Reads to the end, or until nobody listens or somebody stops it.
    pub(super) async fn run(
        self,
        input: Input,
        from: Position,
        send: mpsc::Sender<Item>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), BulkError> {
        tokio::select! {
            biased;
            // A sender that is gone means that nobody can stop it any more.
            Ok(_) = stop.wait_for(|stop| *stop) => Ok(()),
            done = self.read(input, from, &send) => done,
        }
    }

    async fn read(&self, input: Input, from: Position, send: &mpsc::Sender<Item>) -> Result<(), BulkError> {
        let meter = Arc::clone(&self.meter);
        let mut bytes = input.bytes(move |read| {
            meter.read.fetch_add(read, Ordering::Relaxed);
        });
        let (mut chunks, mut unit_began) = (Chunks::new(from, self.max_line), from.line);
        loop {
            let piece = bytes.next().await.transpose()?;
            if let Some(piece) = &piece {
                chunks.push(piece);
            }
            loop {
                let chunk = if piece.is_some() { chunks.take() } else { chunks.take().or_else(|| chunks.finish()) };
                let Some(chunk) = chunk else { break };
                let end = chunk.end.line;
                if !self.parse(chunk, send).await {
                    return Ok(());
                }
                if self.unit_rows.is_some_and(|rows| end - unit_began >= rows) {
                    unit_began = end;
                    if send.send(Item::Cut).await.is_err() {
                        return Ok(());
                    }
                }
            }
            if piece.is_none() {
                // Nobody listens any more only when the run has ended otherwise.
                let _ = send.send(Item::End).await;
                return Ok(());
            }
        }
    }

    /// Has a chunk parsed; `false` = nobody wants it.
    async fn parse(&self, chunk: Chunk, send: &mpsc::Sender<Item>) -> bool {
        let Some(share) = self.budget.share(&chunk).await else { return false };
        let Ok(thread) = Arc::clone(&self.threads).acquire_owned().await else { return false };
        let rules = match self.rules.get() {
            Some(rules) => Arc::clone(rules),
            None => match parse::key_of(&chunk) {
                Some(key) => Arc::clone(self.rules.get_or_init(|| Arc::new(Rules::new(key, None, false)))),
                // Nothing but lines that are rejected anyway.
                None => Arc::new(Rules::new(Key::Line, None, false)),
            },
        };
        let (reply, rows) = oneshot::channel();
        tokio::task::spawn_blocking(move || {
            // If nobody waits for it any more, it was in vain.
            let _ = reply.send(parse::parse(&chunk, &rules));
            drop(thread);
        });
        send.send(Item::Chunk { rows, share }).await.is_ok()
    }
}
