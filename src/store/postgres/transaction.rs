//! An open transaction on one connection: what a job's session does on this engine.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::future::{join_all, try_join_all};
use futures::stream::ReadyChunks;
use tokio::runtime::Runtime;
use tokio_postgres::{Row, RowStream};

use super::answer::Answer;
use super::connection::Connection;
use super::copying::{CopyType, Encoder};
use super::failure::Failure;
use super::sets::Set;
use super::target::SILENCE;
use crate::store::sql::{SqlError, Value};

/// Rows that are on their way to the server at once.
const PIPELINE: usize = 256;

/// Rows of an answer that are taken from the wire at once.
const CHUNK: usize = 128;

/// An answer that is being read.
struct Open {
    /// `None` = everything is off the wire.
    chunks: Option<Pin<Box<ReadyChunks<RowStream>>>>,
    rows: VecDeque<Row>,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Open").field("waiting", &self.rows.len()).finish_non_exhaustive()
    }
}

/// One open transaction.
#[derive(Debug)]
pub struct Transaction<'c> {
    runtime: &'c Runtime,
    connection: &'c Connection,
    /// Changes nothing.
    question: bool,
    open: RefCell<Vec<Rc<RefCell<Open>>>>,
    limit: Cell<Option<Duration>>,
    /// When the whole transaction has taken too long.
    deadline: Cell<Option<Instant>>,
    failed: Cell<bool>,
    lost: Cell<bool>,
    stale: Cell<bool>,
}

impl<'c> Transaction<'c> {
    pub(super) fn new(runtime: &'c Runtime, connection: &'c Connection, question: bool) -> Self {
        Self {
            runtime,
            connection,
            question,
            open: RefCell::default(),
            limit: Cell::new(Some(connection.limit)),
            deadline: Cell::new(None),
            failed: Cell::new(false),
            lost: Cell::new(false),
            stale: Cell::new(false),
        }
    }

    /// Has a statement failed, so that the server will not commit?
    pub(super) fn failed(&self) -> bool {
        self.failed.get()
    }

    /// What has failed is about to be undone by rolling back to a savepoint; should that fail, it counts again.
    pub(in crate::store) fn forgive(&self) {
        self.failed.set(false);
    }

    /// Is the connection of no use any more, or better made anew?
    pub(super) fn spoilt(&self) -> bool {
        self.lost.get() || self.stale.get()
    }

    /// Is the connection gone?
    pub(super) fn lost(&self) -> bool {
        self.lost.get()
    }

    /// Whom statements of another kind are sent to.
    pub(super) fn client(&self) -> &tokio_postgres::Client {
        &self.connection.client
    }

    pub(super) fn wait<T>(
        &self,
        future: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, SqlError> {
        let left = self.deadline.get().map(|end| end.saturating_duration_since(Instant::now()) + SILENCE);
        let limit = [self.limit.get(), left].into_iter().flatten().min();
        let answer = self.runtime.block_on(async {
            match limit {
                Some(limit) => tokio::time::timeout(limit, future).await.map_err(|_| Failure::Silent(limit)),
                None => Ok(future.await),
            }
        });
        answer.and_then(|result| result.map_err(Failure::from)).map_err(|failure| {
            self.failed.set(true);
            self.lost.set(self.lost.get() || failure.loses_connection());
            self.stale.set(self.stale.get() || failure.is_stale_plan());
            SqlError::from(failure)
        })
    }

    /// From now on the statements of this transaction may take as long as they need.
    pub(in crate::store) fn take_time(&self) -> Result<(), SqlError> {
        self.limit.set(None);
        self.batch("SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0")
    }

    /// The server ends a statement that takes longer than `limit`, and all that follow together end by then, too.
    pub(in crate::store) fn end_within(&self, limit: Duration) -> Result<(), SqlError> {
        self.deadline.set(Some(Instant::now() + limit));
        self.batch(&format!("SET LOCAL statement_timeout = {}", limit.as_millis().max(1)))
    }

    /// Copies rows into a table; how many. Memory does not grow with their number.
    pub(in crate::store) fn copy_in<'v, R: AsRef<[Value<'v>]>>(
        &self,
        sql: &str,
        types: &[CopyType],
        rows: impl Iterator<Item = R>,
    ) -> Result<u64, SqlError> {
        self.settle()?;
        let mut encoder = Encoder::new(types, rows);
        let sent = self.wait(encoder.send(&self.connection.client, sql));
        if let Some(fault) = encoder.fault() {
            // The server has been told, and the transaction is lost with it.
            self.failed.set(true);
            return Err(fault);
        }
        sent
    }

    pub(in crate::store) fn batch(&self, sql: &str) -> Result<(), SqlError> {
        self.settle()?;
        self.wait(self.connection.client.batch_execute(sql))
    }

    pub(in crate::store) fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<u64, SqlError> {
        self.settle()?;
        self.wait(async {
            let statement = self.connection.statement(sql).await?;
            self.connection.client.execute_raw(&statement, values).await
        })
    }

    pub(in crate::store) fn execute_many<'v>(
        &self,
        sql: &str,
        rows: impl IntoIterator<Item = Vec<Value<'v>>>,
    ) -> Result<u64, SqlError> {
        self.settle()?;
        let mut touched = 0;
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let some: Vec<_> = rows.by_ref().take(PIPELINE).collect();
            touched += self.wait(async {
                let statement = self.connection.statement(sql).await?;
                // All are sent before the first is waited for; after one failed the server refuses the rest.
                let sent = some.iter().map(|values| self.connection.client.execute_raw(&statement, values));
                let answers = join_all(sent).await.into_iter().collect::<Result<Vec<_>, _>>()?;
                Ok(answers.into_iter().sum::<u64>())
            })?;
        }
        Ok(touched)
    }

    /// Runs a change for a set of rows.
    pub(in crate::store) fn execute_set(&self, sql: &str, set: &Set<'_, '_>) -> Result<u64, SqlError> {
        self.settle()?;
        self.wait(async {
            let statement = self.connection.statement(sql).await?;
            self.connection.client.execute_raw(&statement, set.lists()).await
        })
    }

    /// The same, with an answer, of which each row is handed over as it comes.
    pub(in crate::store) fn query_set(
        &self,
        sql: &str,
        set: &Set<'_, '_>,
        take: impl FnMut(Answer<'_>) -> Result<(), SqlError>,
    ) -> Result<(), SqlError> {
        self.settle()?;
        let answer = self.wait(async {
            let statement = self.connection.statement(sql).await?;
            self.connection.client.query_raw(&statement, set.lists()).await
        })?;
        self.hand_over(answer, take)
    }

    /// The first row of each answer.
    pub(in crate::store) fn first_of_many<'v>(
        &self,
        sql: &str,
        rows: impl IntoIterator<Item = Vec<Value<'v>>>,
        mut take: impl FnMut(Answer<'_>) -> Result<(), SqlError>,
    ) -> Result<(), SqlError> {
        self.settle()?;
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let some: Vec<_> = rows.by_ref().take(PIPELINE).collect();
            let answers = self.wait(async {
                let statement = self.connection.statement(sql).await?;
                let statement = &statement;
                let sent = some.iter().map(|values| async move {
                    let mut answer = Box::pin(self.connection.client.query_raw(statement, values).await?);
                    answer.next().await.transpose()
                });
                try_join_all(sent).await
            })?;
            for row in answers {
                let row = row.ok_or_else(|| SqlError::Unreadable("an answer without a row".to_owned()))?;
                take(Answer::new(&row))?;
            }
        }
        Ok(())
    }

    /// Hands over each row as it comes; memory does not grow with the answer, unless the taker asks on meanwhile.
    pub(in crate::store) fn each(
        &self,
        sql: &str,
        values: &[Value<'_>],
        take: impl FnMut(Answer<'_>) -> Result<(), SqlError>,
    ) -> Result<(), SqlError> {
        self.hand_over(self.ask(sql, values)?, take)
    }

    fn hand_over(
        &self,
        answer: RowStream,
        mut take: impl FnMut(Answer<'_>) -> Result<(), SqlError>,
    ) -> Result<(), SqlError> {
        let chunks = Box::pin(answer.ready_chunks(CHUNK));
        let open = Rc::new(RefCell::new(Open { chunks: Some(chunks), rows: VecDeque::new() }));
        self.open.borrow_mut().push(Rc::clone(&open));
        let taken = loop {
            let row = open.borrow_mut().rows.pop_front();
            let result = match row {
                Some(row) => take(Answer::new(&row)).map(|()| true),
                None => self.more(&open),
            };
            match result {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.open.borrow_mut().retain(|other| !Rc::ptr_eq(other, &open));
        taken
    }

    /// Takes more rows of an answer from the wire; `false` = there are none.
    fn more(&self, open: &RefCell<Open>) -> Result<bool, SqlError> {
        let mut open = open.borrow_mut();
        let Some(chunks) = open.chunks.as_mut() else { return Ok(false) };
        let next = self.wait(async {
            chunks.next().await.map(|rows| rows.into_iter().collect::<Result<Vec<_>, _>>()).transpose()
        });
        if !matches!(next, Ok(Some(_))) {
            open.chunks = None;
        }
        let Some(rows) = next? else { return Ok(false) };
        open.rows.extend(rows);
        Ok(true)
    }

    /// Answers come one after the other on the wire: the next can only be read when those before it are.
    pub(super) fn settle(&self) -> Result<(), SqlError> {
        for open in self.open.borrow().iter() {
            while self.more(open)? {}
        }
        Ok(())
    }

    pub(in crate::store) fn first(&self, sql: &str, values: &[Value<'_>]) -> Result<Option<Row>, SqlError> {
        self.settle()?;
        let values = self.asked(values);
        self.wait(async {
            let statement = self.connection.statement(sql).await?;
            let mut answer = Box::pin(self.connection.client.query_raw(&statement, values.iter()).await?);
            answer.next().await.transpose()
        })
    }

    /// No text of the server holds a NUL character, so whoever asks for one finds nothing; a change is refused instead.
    fn asked<'v>(&self, values: &'v [Value<'v>]) -> Cow<'v, [Value<'v>]> {
        let impossible = |value: &Value<'_>| matches!(value, Value::Text(text) if text.contains('\0'));
        if !self.question || !values.iter().any(impossible) {
            return Cow::Borrowed(values);
        }
        values.iter().map(|value| if impossible(value) { Value::Text("\u{FFFD}") } else { *value }).collect()
    }

    fn ask(&self, sql: &str, values: &[Value<'_>]) -> Result<RowStream, SqlError> {
        self.settle()?;
        let values = self.asked(values);
        self.wait(async {
            let statement = self.connection.statement(sql).await?;
            self.connection.client.query_raw(&statement, values.iter()).await
        })
    }
}
