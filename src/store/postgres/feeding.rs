//! COPY of bytes that are encoded already, as many as there are: whoever sends waits for the server, so nothing piles up.

use std::pin::Pin;

use bytes::Bytes;
use futures::SinkExt as _;
use tokio_postgres::CopyInSink;

use super::transaction::Transaction;
use crate::store::sql::SqlError;

/// A COPY that takes bytes. Dropped before its end, it fails.
pub struct CopyIn<'t, 'c> {
    transaction: &'t Transaction<'c>,
    sink: Pin<Box<CopyInSink<Bytes>>>,
}

impl std::fmt::Debug for CopyIn<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CopyIn").finish_non_exhaustive()
    }
}

impl<'c> Transaction<'c> {
    /// Begins a `COPY … FROM STDIN`. Nothing else is asked of the server before its end.
    pub(in crate::store) fn feed_in<'t>(&'t self, sql: &str) -> Result<CopyIn<'t, 'c>, SqlError> {
        self.settle()?;
        let sink = self.wait(self.client().copy_in(sql))?;
        Ok(CopyIn { transaction: self, sink: Box::pin(sink) })
    }
}

impl CopyIn<'_, '_> {
    /// Sends bytes.
    pub(in crate::store) fn send(&mut self, bytes: Bytes) -> Result<(), SqlError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.transaction.wait(self.sink.send(bytes))
    }

    /// The end; from now on the rows are there.
    pub(in crate::store) fn finish(mut self) -> Result<(), SqlError> {
        self.transaction.wait(self.sink.as_mut().finish()).map(drop)
    }
}
