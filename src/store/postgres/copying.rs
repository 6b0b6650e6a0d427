//! Rows on their way to a server as binary COPY: encoded as they are taken, sent in pieces, never all in memory.

use bytes::{BufMut as _, Bytes, BytesMut};
use futures::SinkExt as _;
use tokio_postgres::types::{IsNull, ToSql as _, Type};
use tokio_postgres::{Client, Error};

use crate::store::sql::{SqlError, Value};

/// What a column of the copied table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CopyType {
    /// `text`.
    Text,
    /// `uuid`.
    Uuid,
    /// `boolean`.
    Bool,
    /// `integer`.
    Int4,
    /// `bigint`.
    Int8,
    /// `double precision`.
    Float8,
    /// `jsonb`.
    Jsonb,
    /// `bytea`.
    Bytea,
    /// `timestamp with time zone`, from milliseconds.
    Time,
}

impl CopyType {
    /// Its name in statements.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Uuid => "uuid",
            Self::Bool => "boolean",
            Self::Int4 => "integer",
            Self::Int8 => "bigint",
            Self::Float8 => "double precision",
            Self::Jsonb => "jsonb",
            Self::Bytea => "bytea",
            Self::Time => "timestamptz",
        }
    }

    fn ty(self) -> Type {
        match self {
            Self::Text => Type::TEXT,
            Self::Uuid => Type::UUID,
            Self::Bool => Type::BOOL,
            Self::Int4 => Type::INT4,
            Self::Int8 => Type::INT8,
            Self::Float8 => Type::FLOAT8,
            Self::Jsonb => Type::JSONB,
            Self::Bytea => Type::BYTEA,
            Self::Time => Type::TIMESTAMPTZ,
        }
    }
}

/// Bytes that are sent at once.
const CHUNK: usize = 256 << 10;

const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// Encodes rows.
pub(super) struct Encoder<I> {
    types: Vec<Type>,
    rows: I,
    out: BytesMut,
    fault: Option<SqlError>,
    state: State,
}

#[derive(PartialEq, Eq)]
enum State {
    Begins,
    Goes,
    Ended,
}

impl<'v, I, R> Encoder<I>
where
    I: Iterator<Item = R>,
    R: AsRef<[Value<'v>]>,
{
    pub(super) fn new(types: &[CopyType], rows: I) -> Self {
        let types = types.iter().map(|ty| ty.ty()).collect();
        Self { types, rows, out: BytesMut::with_capacity(CHUNK + (CHUNK >> 2)), fault: None, state: State::Begins }
    }

    /// The next bytes to be sent; `None` after the last, or when a value does not fit ([`Encoder::fault`]).
    fn next(&mut self) -> Option<Bytes> {
        if self.state == State::Begins {
            self.out.put_slice(HEADER);
            self.state = State::Goes;
        }
        while self.state == State::Goes && self.out.len() < CHUNK {
            let Some(row) = self.rows.next() else {
                self.out.put_i16(-1);
                self.state = State::Ended;
                continue;
            };
            if let Err(error) = self.row(row.as_ref()) {
                self.fault = Some(error);
                return None;
            }
        }
        (!self.out.is_empty()).then(|| self.out.split().freeze())
    }

    fn row(&mut self, row: &[Value<'v>]) -> Result<(), SqlError> {
        let misfit = |text: String| Err(SqlError::Refused(text));
        if row.len() != self.types.len() {
            return misfit(format!("{} values for {} columns", row.len(), self.types.len()));
        }
        self.out.put_i16(i16::try_from(row.len()).unwrap_or(i16::MAX));
        for (value, ty) in row.iter().zip(&self.types) {
            let at = self.out.len();
            self.out.put_i32(-1);
            match value.to_sql(ty, &mut self.out) {
                Ok(IsNull::Yes) => {}
                Ok(IsNull::No) => {
                    let Ok(length) = i32::try_from(self.out.len() - at - 4) else {
                        return misfit("a value is too long".to_owned());
                    };
                    self.out[at..at + 4].copy_from_slice(&length.to_be_bytes());
                }
                Err(error) => return misfit(error.to_string()),
            }
        }
        Ok(())
    }

    /// Why it ended early.
    pub(super) fn fault(&mut self) -> Option<SqlError> {
        self.fault.take()
    }

    /// Sends everything; how many rows the server has taken. After a fault the server is told to forget them.
    pub(super) async fn send(&mut self, client: &Client, sql: &str) -> Result<u64, Error> {
        let sink = client.copy_in::<_, Bytes>(sql).await?;
        futures::pin_mut!(sink);
        while let Some(bytes) = self.next() {
            sink.send(bytes).await?;
        }
        // A sink that is dropped unfinished ends the copy as failed.
        if self.fault.is_some() { Ok(0) } else { sink.finish().await }
    }
}

#[cfg(test)]
mod tests {
    use super::{CopyType, Encoder};
    use crate::store::sql::Value;

    fn encoded(rows: Vec<Vec<Value<'_>>>) -> (Vec<u8>, bool) {
        let mut encoder = Encoder::new(&[CopyType::Int4, CopyType::Text], rows.into_iter());
        let mut all = Vec::new();
        while let Some(bytes) = encoder.next() {
            all.extend_from_slice(&bytes);
        }
        (all, encoder.fault().is_some())
    }

    #[test]
    fn rows_have_the_format_of_the_server() {
        let (bytes, fault) = encoded(vec![vec![Value::Int(7), Value::Text("ab")], vec![Value::Null, Value::Text("")]]);
        let mut expected = b"PGCOPY\n\xff\r\n\0".to_vec();
        expected.extend([0; 8]);
        expected.extend([0, 2, 0, 0, 0, 4, 0, 0, 0, 7, 0, 0, 0, 2, b'a', b'b']);
        expected.extend([0, 2, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
        expected.extend([0xff, 0xff]);
        assert_eq!((bytes, fault), (expected, false));
    }

    #[test]
    fn what_does_not_fit_is_a_fault_and_no_row() {
        for row in
            [vec![Value::Int(7)], vec![Value::Int(1 << 40), Value::Null], vec![Value::Int(1), Value::Text("a\0")]]
        {
            assert!(encoded(vec![row.clone()]).1, "{row:?}");
        }
    }
}
