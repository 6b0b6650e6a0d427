//! Rows of the server's answers, read by the type of their columns.

use std::cell::OnceCell;
use std::error::Error;

use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};
use uuid::Uuid;

use super::failure::Failure;
use super::parameter::EPOCH;
use crate::store::sql::{Cell, SqlError};

/// One row.
#[derive(Debug)]
pub struct Answer<'r> {
    row: &'r Row,
    /// Texts of columns that the server does not send as text.
    made: OnceCell<Box<[OnceCell<String>]>>,
}

/// A value as it came.
struct Raw<'a> {
    ty: Type,
    bytes: &'a [u8],
}

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(ty: &Type, bytes: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self { ty: ty.clone(), bytes })
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl Raw<'_> {
    fn misfit(&self, wanted: &str) -> SqlError {
        SqlError::Unreadable(format!("a column of type {} is no {wanted}", self.ty))
    }

    fn whole(&self) -> Option<i64> {
        let bytes = self.bytes;
        Some(match self.ty {
            Type::INT8 => i64::from_be_bytes(bytes.try_into().ok()?),
            Type::INT4 => i32::from_be_bytes(bytes.try_into().ok()?).into(),
            Type::INT2 => i16::from_be_bytes(bytes.try_into().ok()?).into(),
            Type::OID => u32::from_be_bytes(bytes.try_into().ok()?).into(),
            Type::BOOL => i64::from(*bytes.first()?),
            Type::TIMESTAMPTZ | Type::TIMESTAMP => {
                i64::from_be_bytes(bytes.try_into().ok()?).div_euclid(1000).checked_add(EPOCH)?
            }
            _ => return None,
        })
    }

    fn real(&self) -> Option<f64> {
        Some(match self.ty {
            Type::FLOAT8 => f64::from_be_bytes(self.bytes.try_into().ok()?),
            Type::FLOAT4 => f32::from_be_bytes(self.bytes.try_into().ok()?).into(),
            #[expect(clippy::cast_precision_loss, reason = "as the embedded engine does it")]
            _ => self.whole()? as f64,
        })
    }
}

impl<'r> Answer<'r> {
    pub(in crate::store) fn new(row: &'r Row) -> Self {
        Self { row, made: OnceCell::new() }
    }

    fn raw(&self, index: usize) -> Result<Option<Raw<'r>>, SqlError> {
        Ok(self.row.try_get(index).map_err(Failure::from)?)
    }

    pub(in crate::store) fn is_null(&self, index: usize) -> Result<bool, SqlError> {
        Ok(self.raw(index)?.is_none())
    }

    pub(in crate::store) fn int(&self, index: usize) -> Result<Option<i64>, SqlError> {
        self.raw(index)?.map(|raw| raw.whole().ok_or_else(|| raw.misfit("whole number"))).transpose()
    }

    pub(in crate::store) fn real(&self, index: usize) -> Result<Option<f64>, SqlError> {
        self.raw(index)?.map(|raw| raw.real().ok_or_else(|| raw.misfit("number"))).transpose()
    }

    pub(in crate::store) fn bool(&self, index: usize) -> Result<Option<bool>, SqlError> {
        Ok(self.int(index)?.map(|number| number != 0))
    }

    pub(in crate::store) fn bytes(&self, index: usize) -> Result<Option<&[u8]>, SqlError> {
        let Some(raw) = self.raw(index)? else { return Ok(None) };
        match raw.ty {
            Type::BYTEA => Ok(Some(raw.bytes)),
            _ => self.text(index).map(|text| text.map(str::as_bytes)),
        }
    }

    pub(in crate::store) fn text(&self, index: usize) -> Result<Option<&str>, SqlError> {
        let Some(raw) = self.raw(index)? else { return Ok(None) };
        let bytes = match raw.ty {
            Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::JSON | Type::UNKNOWN => raw.bytes,
            // After the version of the format.
            Type::JSONB => raw.bytes.get(1..).unwrap_or_default(),
            Type::UUID => {
                let id = Uuid::from_slice(raw.bytes).map_err(|_| raw.misfit("UUID"))?;
                return Ok(self.keep(index, || id.to_string()));
            }
            _ => return Err(raw.misfit("text")),
        };
        std::str::from_utf8(bytes).map(Some).map_err(|_| raw.misfit("UTF-8"))
    }

    pub(in crate::store) fn texts(&self, index: usize) -> Result<Vec<&'r str>, SqlError> {
        let texts: Option<Vec<&str>> = self.row.try_get(index).map_err(Failure::from)?;
        Ok(texts.unwrap_or_default())
    }

    pub(in crate::store) fn cell(&self, index: usize) -> Result<Cell, SqlError> {
        let Some(raw) = self.raw(index)? else { return Ok(Cell::Null) };
        Ok(match raw.ty {
            Type::BYTEA => Cell::Blob(raw.bytes.to_vec()),
            Type::BOOL => Cell::Bool(raw.whole() == Some(1)),
            Type::FLOAT4 | Type::FLOAT8 => Cell::Real(raw.real().ok_or_else(|| raw.misfit("number"))?),
            Type::JSONB => Cell::Text(without_blanks(self.text(index)?.unwrap_or_default())),
            _ => match raw.whole() {
                Some(number) => Cell::Int(number),
                None => Cell::Text(self.text(index)?.unwrap_or_default().to_owned()),
            },
        })
    }

    fn keep(&self, index: usize, make: impl FnOnce() -> String) -> Option<&str> {
        let made = self.made.get_or_init(|| vec![OnceCell::new(); self.row.len()].into_boxed_slice());
        made.get(index).map(|cell| cell.get_or_init(make).as_str())
    }
}

/// JSON without the blanks between its parts.
fn without_blanks(json: &str) -> String {
    let (mut inside, mut escaped) = (false, false);
    json.chars()
        .filter(|c| {
            let blank = !inside && *c == ' ';
            if *c == '"' && !escaped {
                inside = !inside;
            }
            escaped = inside && *c == '\\' && !escaped;
            !blank
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::without_blanks;

    #[test]
    fn blanks_inside_of_texts_stay() {
        for (text, compact) in [
            (r#"["a b", "c"]"#, r#"["a b","c"]"#),
            (r#"{"a": [1, 2], "b \" c": " "}"#, r#"{"a":[1,2],"b \" c":" "}"#),
            (r#"["a\\", "b c"]"#, r#"["a\\","b c"]"#),
        ] {
            assert_eq!(without_blanks(text), compact);
        }
    }
}
