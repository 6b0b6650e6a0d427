//! Many rows as parameters of one statement: a list for each column.

use std::error::Error;

use bytes::{BufMut as _, BytesMut};
use tokio_postgres::types::{IsNull, Kind, ToSql, Type, to_sql_checked};

use crate::store::sql::Value;

/// Rows, column by column.
#[derive(Debug)]
pub struct Set<'s, 'v>(Vec<List<'s, 'v>>);

impl<'s, 'v> Set<'s, 'v> {
    /// Rows of so many columns each; what a row lacks is NULL.
    pub fn of(columns: usize, rows: &'s [Vec<Value<'v>>]) -> Self {
        Self((0..columns).map(|column| List { rows, column }).collect())
    }

    pub(super) fn lists(&self) -> &[List<'s, 'v>] {
        &self.0
    }
}

/// One column of all rows.
#[derive(Debug)]
pub(super) struct List<'s, 'v> {
    rows: &'s [Vec<Value<'v>>],
    column: usize,
}

impl ToSql for List<'_, '_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let Kind::Array(member) = ty.kind() else {
            return Err(format!("a list where the statement wants {ty}").into());
        };
        let count = i32::try_from(self.rows.len()).map_err(|_| "too many rows for one statement")?;
        // One dimension, which may hold NULLs, and begins with 1.
        out.put_i32(1);
        out.put_i32(1);
        out.put_u32(member.oid());
        out.put_i32(count);
        out.put_i32(1);
        for row in self.rows {
            let at = out.len();
            out.put_i32(-1);
            if let IsNull::No = row.get(self.column).copied().unwrap_or(Value::Null).to_sql(member, out)? {
                let length = i32::try_from(out.len() - at - 4).map_err(|_| "a value is too long")?;
                out[at..at + 4].copy_from_slice(&length.to_be_bytes());
            }
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        // As of a single value: that is known only with the values.
        true
    }

    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use tokio_postgres::types::{ToSql as _, Type};

    use super::Set;
    use crate::store::sql::Value;

    #[test]
    fn a_list_has_the_format_of_the_server() {
        let rows = [vec![Value::Int(7), Value::Text("a")], vec![Value::Null, Value::Text("bc")]];
        let set = Set::of(2, &rows);
        let mut out = BytesMut::new();
        set.lists()[0].to_sql(&Type::INT4_ARRAY, &mut out).unwrap();
        let mut expected = vec![0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 23, 0, 0, 0, 2, 0, 0, 0, 1];
        expected.extend([0, 0, 0, 4, 0, 0, 0, 7, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(out.to_vec(), expected);
        out.clear();
        set.lists()[1].to_sql(&Type::TEXT_ARRAY, &mut out).unwrap();
        assert_eq!(out[20..].to_vec(), [0, 0, 0, 1, b'a', 0, 0, 0, 2, b'b', b'c']);
        assert!(set.lists()[0].to_sql(&Type::INT4, &mut out).is_err());
    }
}
