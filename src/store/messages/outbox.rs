//! What is to be published: written with what it tells, published by its owner, marked afterwards.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::store::sql::{Columns, CopyType, Row, Session, SqlError, Value, signed, values};

/// What a letter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LetterKind {
    /// Tells how a job ended.
    Status,
    /// A message that could not be worked on.
    DeadLetter,
}

impl LetterKind {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::DeadLetter => "dead_letter",
        }
    }
}

/// A message to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The job it is about.
    pub job: String,
    /// What it is.
    pub kind: LetterKind,
    /// Where to.
    pub topic: String,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// What it says.
    pub value: Option<Vec<u8>>,
    /// Headers in their order.
    pub headers: Vec<Header>,
    /// When it was sent; none = when it is published.
    pub sent_at: Option<i64>,
}

/// Who publishes, and until when nobody else looks after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// A name that no other process has.
    pub name: String,
    /// When its claim lapses.
    pub until: i64,
}

/// A letter that nobody is known to have published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// The letter.
    pub letter: Letter,
    /// When it was written.
    pub created_at: i64,
}

/// Where a letter is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Of which job.
    pub job: String,
    /// What it is.
    pub kind: LetterKind,
    /// The partition.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
}

const OUTBOX: (&str, &Columns<'static>) = (
    "message_outbox",
    &[
        ("job_id", CopyType::Uuid),
        ("kind", CopyType::Text),
        ("topic", CopyType::Text),
        ("message_key", CopyType::Bytea),
        ("value", CopyType::Bytea),
        ("headers", CopyType::Text),
        ("sent_at", CopyType::Int8),
        ("owner", CopyType::Text),
        ("owned_until", CopyType::Time),
        ("created_at", CopyType::Time),
    ],
);

/// Marks one letter as published, or all that are given.
/// The keys are named a second time, as a list, so that a server that believes the table to be small reads no more of it.
const MARK: (&str, &str) = (
    "UPDATE message_outbox SET published_at = ?3, partition = ?4, position = ?5, refused = NULL \
     WHERE job_id = ?1 AND kind = ?2 AND published_at IS NULL",
    "UPDATE message_outbox SET published_at = given.c3, partition = given.c4, position = given.c5, refused = NULL FROM {given} \
     WHERE job_id = given.c1 AND kind = given.c2 AND published_at IS NULL AND job_id = ANY (CAST(?1 AS uuid[]))",
);

/// Writes letters, owned.
pub fn put(session: &Session<'_>, letters: &[Letter], owner: &Owner, now: i64) -> Result<(), SqlError> {
    let headers = letters.iter().map(|letter| pack(&letter.headers)).collect::<Result<Vec<_>, _>>()?;
    let rows = letters.iter().zip(&headers).map(|(letter, headers)| {
        vec![
            (&letter.job).into(),
            letter.kind.as_str().into(),
            (&letter.topic).into(),
            letter.key.as_deref().into(),
            letter.value.as_deref().into(),
            headers.into(),
            letter.sent_at.into(),
            (&owner.name).into(),
            owner.until.into(),
            now.into(),
        ]
    });
    session.insert_set(OUTBOX, "", &rows.collect::<Vec<_>>()).map(drop)
}

/// They are in their topics.
pub fn mark(session: &Session<'_>, published: &[Published], now: i64) -> Result<(), SqlError> {
    let rows = published.iter().map(|one| {
        vec![Value::from(&one.job), one.kind.as_str().into(), now.into(), one.partition.into(), one.offset.into()]
    });
    let types = [CopyType::Uuid, CopyType::Text, CopyType::Time, CopyType::Int8, CopyType::Int8];
    session.update_set(MARK, &types, &rows.collect::<Vec<_>>()).map(drop)
}

/// The broker does not take it: it rests, claimed, and says why. It is published when that has lapsed, if it can be then.
pub fn postpone(
    session: &Session<'_>,
    job: &str,
    kind: LetterKind,
    owner: &Owner,
    reason: &str,
) -> Result<(), SqlError> {
    session.execute(
        "UPDATE message_outbox SET owned_until = ?4, refused = ?5 \
         WHERE job_id = ?1 AND kind = ?2 AND owner = ?3 AND published_at IS NULL",
        values![job, kind.as_str(), &owner.name, owner.until, reason],
    )?;
    Ok(())
}

/// Nobody can read it any more: it counts as dealt with and says why.
fn refuse(session: &Session<'_>, job: &str, kind: LetterKind, reason: &str, now: i64) -> Result<(), SqlError> {
    session.execute(
        "UPDATE message_outbox SET published_at = ?3, refused = ?4 \
         WHERE job_id = ?1 AND kind = ?2 AND published_at IS NULL",
        values![job, kind.as_str(), now, reason],
    )?;
    Ok(())
}

/// Keeps a letter for longer; `false`: it is not ours any more, or not to be published any more.
pub fn keep(session: &Session<'_>, job: &str, kind: LetterKind, owner: &Owner) -> Result<bool, SqlError> {
    let changed = session.execute(
        "UPDATE message_outbox SET owned_until = ?4 \
         WHERE job_id = ?1 AND kind = ?2 AND owner = ?3 AND published_at IS NULL",
        values![job, kind.as_str(), &owner.name, owner.until],
    )?;
    Ok(changed > 0)
}

/// Keeps all of an owner's letters for longer.
pub fn keep_all(session: &Session<'_>, owner: &Owner) -> Result<(), SqlError> {
    session.execute(
        "UPDATE message_outbox SET owned_until = ?2 WHERE owner = ?1 AND published_at IS NULL",
        values![&owner.name, owner.until],
    )?;
    Ok(())
}

/// Is there a letter that nobody looks after?
pub fn any_open(session: &Session<'_>, now: i64) -> Result<bool, SqlError> {
    session.exists("SELECT 1 FROM message_outbox WHERE published_at IS NULL AND owned_until < ?1 LIMIT 1", values![now])
}

/// Takes letters that nobody looks after, the oldest first: at most so many, and not many more bytes than given. They may
/// be in their topics already. One that cannot be read
/// counts as dealt with and says so, or it would be in the way of all others for ever; how many those are.
pub fn take_over(
    session: &Session<'_>,
    owner: &Owner,
    (most, bytes): (u32, u64),
    now: i64,
) -> Result<(Vec<Open>, u64), SqlError> {
    let sizes = session.query(
        "SELECT coalesce(length(value), 0) FROM message_outbox WHERE published_at IS NULL AND owned_until < ?1 \
         ORDER BY job_id, kind LIMIT ?2",
        values![now, most],
        |row| row.get::<u64>(0),
    )?;
    let mut sum = 0_u64;
    let fit = sizes.iter().take_while(|size| {
        let fits = sum == 0 || sum.saturating_add(**size) <= bytes;
        sum = sum.saturating_add(**size);
        fits
    });
    let most = fit.count().max(1) as u64;
    let row_id = session.engine().row_id();
    let select = format!(
        "SELECT {row_id} FROM message_outbox WHERE published_at IS NULL AND owned_until < ?3 \
         ORDER BY job_id, kind LIMIT ?4"
    );
    let taken = session.query(
        &format!(
            "UPDATE message_outbox SET owner = ?1, owned_until = ?2 WHERE {} \
             RETURNING CAST(job_id AS TEXT), kind, topic, message_key, value, headers, sent_at, created_at",
            session.engine().claimable(row_id, &select)
        ),
        values![&owner.name, owner.until, now, signed(most)?],
        read,
    )?;
    let (mut open, mut unreadable) = (Vec::with_capacity(taken.len()), 0);
    for one in taken {
        match one {
            Ok(one) => open.push(one),
            Err((job, kind, reason)) => {
                refuse(session, &job, kind, &reason, now)?;
                unreadable += 1;
            }
        }
    }
    // Ids grow with time.
    open.sort_by(|a, b| (&a.letter.job, a.letter.kind).cmp(&(&b.letter.job, b.letter.kind)));
    Ok((open, unreadable))
}

/// A letter, or which one cannot be read and why.
type Found = Result<Open, (String, LetterKind, String)>;

fn read(row: &Row<'_>) -> Result<Found, SqlError> {
    let kind = match row.text(1)? {
        "status" => LetterKind::Status,
        "dead_letter" => LetterKind::DeadLetter,
        other => return Err(SqlError::Unreadable(format!("`{other}` is no kind of letter"))),
    };
    let job: String = row.get(0)?;
    let headers = match unpack(row.text(5)?) {
        Ok(headers) => headers,
        Err(error) => return Ok(Err((job, kind, error.to_string()))),
    };
    Ok(Ok(Open {
        letter: Letter {
            job,
            kind,
            topic: row.get(2)?,
            key: row.bytes_or_null(3)?.map(<[u8]>::to_vec),
            value: row.bytes_or_null(4)?.map(<[u8]>::to_vec),
            headers,
            sent_at: row.get(6)?,
        },
        created_at: row.get(7)?,
    }))
}

/// Of each partition of a topic an offset that was written before a time, where one is known: whatever was published
/// later stands behind it.
pub fn known_positions(session: &Session<'_>, topic: &str, before: i64) -> Result<Vec<(i32, i64)>, SqlError> {
    session.query(
        "SELECT partition, max(position) FROM (SELECT partition, position FROM message_outbox \
         WHERE topic = ?1 AND published_at < ?2 AND position IS NOT NULL ORDER BY job_id DESC LIMIT 2000) AS recent \
         GROUP BY partition",
        values![topic, before],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// Name and value; the value may be missing.
pub type Header = (String, Option<Vec<u8>>);

fn pack(headers: &[Header]) -> Result<String, SqlError> {
    let pairs: Vec<(&str, Option<String>)> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_ref().map(|value| BASE64_STANDARD.encode(value))))
        .collect();
    serde_json::to_string(&pairs).map_err(|error| SqlError::Refused(error.to_string()))
}

fn unpack(text: &str) -> Result<Vec<Header>, SqlError> {
    let unreadable = || SqlError::Unreadable("the headers of a letter".to_owned());
    let pairs: Vec<(String, Option<String>)> = serde_json::from_str(text).map_err(|_| unreadable())?;
    pairs
        .into_iter()
        .map(|(name, value)| match value {
            None => Ok((name, None)),
            Some(value) => Ok((name, Some(BASE64_STANDARD.decode(value).map_err(|_| unreadable())?))),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{pack, unpack};

    #[test]
    fn headers_come_back_as_they_were() {
        let headers =
            vec![("a".to_owned(), Some(vec![0, 255, b'"'])), ("a".to_owned(), None), (String::new(), Some(Vec::new()))];
        assert_eq!(unpack(&pack(&headers).unwrap()).unwrap(), headers);
        assert!(unpack("[[\"a\",\"!\"]]").is_err());
    }
}
