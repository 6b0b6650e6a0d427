//! The one thread that writes the state. Marks that arrive while it waits for the disk go together: one append, one
//! fsync, one replacement for all of them. A caller is answered when its mark is durable, never before.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use super::atomic_file;
use super::entry::LedgerEntry;
use super::error::StateError;
use super::ledger::{Appender, Entries};
use super::paths::StatePaths;
use super::run::RunState;
use super::state::Document;

/// Marks waiting beyond this many make their callers wait.
const QUEUE: usize = 1024;
/// No group is larger, so that a line is never kept waiting for a long queue.
const MAX_GROUP: usize = 256;

/// The document and the run that is going on.
#[derive(Debug, Clone)]
pub(super) struct Live {
    pub(super) document: Document,
    /// A run of mode `one`: it has a number and counters, but must not take the place of an unfinished long run.
    pub(super) side: Option<RunState>,
}

impl Live {
    pub(super) fn run(&self) -> Option<&RunState> {
        self.side.as_ref().or(self.document.run.as_ref())
    }

    pub(super) fn run_mut(&mut self) -> Option<&mut RunState> {
        self.side.as_mut().or(self.document.run.as_mut())
    }
}

/// What everybody reads.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) live: Live,
    pub(super) entries: Entries,
}

impl Memory {
    /// Takes finished titles in: entries, counters.
    fn take(&mut self, marks: &[LedgerEntry]) {
        for mark in marks {
            let entry = mark.compact();
            let prior = self.entries.insert(mark.id.0, entry);
            if let Some(run) = self.live.run_mut() {
                if let Some(prior) = prior.filter(|prior| prior.run() == run.seq) {
                    run.counters.remove(prior.status());
                }
                run.counters.add(entry.status());
            }
        }
        self.live.document.ledger.entries = self.entries.len() as u64;
    }
}

/// Held for moments only, never over a wait for the disk.
#[derive(Debug)]
pub(super) struct Shared(Mutex<Memory>);

impl Shared {
    pub(super) fn new(memory: Memory) -> Arc<Self> {
        Arc::new(Self(Mutex::new(memory)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A change of the document.
pub(super) type Change = Box<dyn FnOnce(&mut Live) -> Result<(), StateError> + Send>;
type Reply = oneshot::Sender<Result<(), StateError>>;

/// What is asked of the writer.
pub(super) enum Command {
    Mark(LedgerEntry),
    Update(Change),
}

/// Answers for memory only: a read-only state behaves like any other, and writes nothing.
pub(super) fn apply_in_memory(shared: &Shared, command: Command) -> Result<(), StateError> {
    let mut memory = shared.lock();
    match command {
        Command::Mark(mark) => {
            memory.take(&[mark]);
            Ok(())
        }
        Command::Update(change) => {
            let mut live = memory.live.clone();
            change(&mut live)?;
            memory.live = live;
            Ok(())
        }
    }
}

/// The writing thread's handle; dropping it waits for what is under way.
#[derive(Debug)]
pub(super) struct Writer {
    paths: StatePaths,
    queue: Option<mpsc::Sender<(Command, Reply)>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(paths: &StatePaths, shared: Arc<Shared>, ledger: Appender) -> Result<Self, StateError> {
        let (queue, commands) = mpsc::channel(QUEUE);
        let work = Work { paths: paths.clone(), shared, ledger, lines: Vec::new(), written: Vec::new() };
        let thread = std::thread::Builder::new()
            .name("checkpoint".to_owned())
            .spawn(move || work.run(commands))
            .map_err(|error| StateError::io("start the writer of", &paths.checkpoint, error))?;
        Ok(Self { paths: paths.clone(), queue: Some(queue), thread: Some(thread) })
    }

    /// Returns when the command is durable.
    pub(super) async fn ask(&self, command: Command) -> Result<(), StateError> {
        let stopped = || StateError::WriterStopped { path: self.paths.checkpoint.clone() };
        let (reply, answer) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        queue.send((command, reply)).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has already failed every waiting caller.
            thread.join().ok();
        }
    }
}

struct Work {
    paths: StatePaths,
    shared: Arc<Shared>,
    ledger: Appender,
    /// Reused from group to group.
    lines: Vec<u8>,
    /// The checkpoint as it is on disk; the same is not written twice.
    written: Vec<u8>,
}

/// Marks, and at most one change after them.
#[derive(Default)]
struct Group {
    marks: Vec<LedgerEntry>,
    replies: Vec<Reply>,
    update: Option<(Change, Reply)>,
}

impl Group {
    fn is_full(&self) -> bool {
        self.update.is_some() || self.marks.len() >= MAX_GROUP
    }

    fn add(&mut self, (command, reply): (Command, Reply)) {
        match command {
            Command::Mark(mark) => {
                self.marks.push(mark);
                self.replies.push(reply);
            }
            Command::Update(change) => self.update = Some((change, reply)),
        }
    }
}

impl Work {
    fn run(mut self, mut commands: mpsc::Receiver<(Command, Reply)>) {
        while let Some(first) = commands.blocking_recv() {
            let mut group = Group::default();
            group.add(first);
            while !group.is_full()
                && let Ok(next) = commands.try_recv()
            {
                group.add(next);
            }
            self.write(group);
        }
    }

    /// A caller that went away (its future was dropped) needs no answer; its mark is done all the same.
    fn write(&mut self, group: Group) {
        let Group { marks, replies, update } = group;
        let mut result = Ok(());
        if !marks.is_empty() {
            result = self.append(&marks);
            if result.is_ok() {
                self.shared.lock().take(&marks);
            }
        }
        let mut live = self.shared.lock().live.clone();
        let mut changed = Ok(());
        let mut update_reply = None;
        if let Some((change, reply)) = update {
            update_reply = Some(reply);
            changed = match &result {
                Ok(()) => change(&mut live),
                Err(error) => Err(error.clone()),
            };
            if changed.is_err() {
                live = self.shared.lock().live.clone();
            }
        }
        if result.is_ok() {
            result = self.replace(&live.document);
        }
        match (&result, &changed) {
            (Ok(()), Ok(())) => self.shared.lock().live = live,
            (Err(error), Ok(())) => changed = Err(error.clone()),
            _ => {}
        }
        for reply in replies {
            reply.send(result.clone()).ok();
        }
        if let Some(reply) = update_reply {
            reply.send(changed).ok();
        }
    }

    fn append(&mut self, marks: &[LedgerEntry]) -> Result<(), StateError> {
        fail::fail_point!("checkpoint.mark.before_ledger");
        self.lines.clear();
        for mark in marks {
            serde_json::to_writer(&mut self.lines, mark)
                .map_err(|error| StateError::io("append to", &self.paths.ledger, error.into()))?;
            self.lines.push(b'\n');
        }
        self.ledger.append(&self.lines)?;
        fail::fail_point!("checkpoint.mark.after_ledger");
        Ok(())
    }

    fn replace(&mut self, document: &Document) -> Result<(), StateError> {
        let bytes = document.to_bytes(&self.paths.checkpoint)?;
        if bytes != self.written {
            atomic_file::replace(&self.paths.checkpoint, &bytes)?;
            self.written = bytes;
        }
        fail::fail_point!("checkpoint.mark.after_state");
        Ok(())
    }
}
