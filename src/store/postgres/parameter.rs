//! Parameters, sent as the type that the statement wants at their place.

use std::error::Error;

use bytes::{BufMut as _, BytesMut};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use crate::store::sql::Value;

/// Milliseconds from 1970, where our times begin, to 2000, where the server's begin.
pub(super) const EPOCH: i64 = 946_684_800_000;

type Sent = Result<IsNull, Box<dyn Error + Sync + Send>>;

impl ToSql for Value<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Sent {
        match *self {
            Self::Null => Ok(IsNull::Yes),
            Self::Bool(value) if *ty == Type::BOOL => {
                out.put_u8(value.into());
                Ok(IsNull::No)
            }
            Self::Bool(value) => whole(value.into(), ty, out),
            Self::Int(value) => whole(value, ty, out),
            Self::Real(value) => real(value, ty, out),
            Self::Text(value) => text(value, ty, out),
            Self::Blob(value) if *ty == Type::BYTEA => {
                out.put_slice(value);
                Ok(IsNull::No)
            }
            Self::Blob(_) => misfit("bytes", ty),
        }
    }

    fn accepts(_: &Type) -> bool {
        // Whether a value fits is known only with the value.
        true
    }

    to_sql_checked!();
}

fn whole(value: i64, ty: &Type, out: &mut BytesMut) -> Sent {
    let large = |_| format!("{value} is too large a number for its column");
    match *ty {
        Type::INT8 => out.put_i64(value),
        Type::INT4 => out.put_i32(i32::try_from(value).map_err(large)?),
        Type::INT2 => out.put_i16(i16::try_from(value).map_err(large)?),
        #[expect(clippy::cast_precision_loss, reason = "as the embedded engine does it")]
        Type::FLOAT8 => out.put_f64(value as f64),
        Type::BOOL => out.put_u8(u8::from(value != 0)),
        Type::TIMESTAMPTZ => {
            let micros = value.checked_sub(EPOCH).and_then(|millis| millis.checked_mul(1000));
            out.put_i64(micros.ok_or_else(|| format!("{value} is no time"))?);
        }
        Type::TEXT | Type::VARCHAR => out.put_slice(value.to_string().as_bytes()),
        _ => return misfit("a whole number", ty),
    }
    Ok(IsNull::No)
}

fn real(value: f64, ty: &Type, out: &mut BytesMut) -> Sent {
    match *ty {
        Type::FLOAT8 => out.put_f64(value),
        #[expect(clippy::cast_possible_truncation, reason = "the column asks for it")]
        Type::FLOAT4 => out.put_f32(value as f32),
        _ => return misfit("a number", ty),
    }
    Ok(IsNull::No)
}

fn text(value: &str, ty: &Type, out: &mut BytesMut) -> Sent {
    match *ty {
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN | Type::JSON => {
            if value.contains('\0') {
                return Err("the text holds a NUL character".into());
            }
            out.put_slice(value.as_bytes());
        }
        Type::JSONB => {
            // The version of the format.
            out.put_u8(1);
            out.put_slice(value.as_bytes());
        }
        Type::UUID => out.put_slice(Uuid::try_parse(value).map_err(|_| "the text is no UUID")?.as_bytes()),
        Type::BYTEA => out.put_slice(value.as_bytes()),
        _ => return misfit("text", ty),
    }
    Ok(IsNull::No)
}

fn misfit(what: &str, ty: &Type) -> Sent {
    Err(format!("{what} where the statement wants {ty}").into())
}
