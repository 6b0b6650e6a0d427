//! Whose a message is: nobody's yet, or one that has been done before.
//!
//! A message without a key, and one that is replayed, is known by its mark. One with a key is the same as the one before it
//! under that key if it says the same and was sent not much later, or whatever it says ([`Sameness`]). Each key has one job that holds its mark, that of its
//! last message. A job that has lost it to a later message is still known by its place, should that come again, and so is
//! a message that said nothing new.

use std::collections::HashMap;

use super::jobs::{JOB, JobEnd, NewJob};
use crate::model::messages::TransferStatus;
use crate::store::sql::{CopyType, Session, SqlError, Value, signed};

/// When a message with a key is the one before it under that key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sameness {
    /// If it says the same and was sent within so many milliseconds of it.
    Content {
        /// Milliseconds.
        window: i64,
    },
    /// Whatever it says.
    Key,
}

/// Whose a message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// Ours: nobody has seen it.
    New,
    /// It has been begun, under this id, and not ended.
    Begun(String),
    /// It is done.
    Done(String),
}

/// A job as it is stored, or is about to be.
#[derive(Debug, Clone)]
struct Known {
    id: String,
    ended: bool,
    content: Option<String>,
    place: String,
    sent_at: i64,
    /// Its place in the batch, if it is of this one.
    own: Option<usize>,
}

impl Known {
    fn claim(&self) -> Claim {
        if self.ended || self.own.is_some() { Claim::Done(self.id.clone()) } else { Claim::Begun(self.id.clone()) }
    }
}

/// A stored job that loses its mark.
#[derive(Debug, PartialEq, Eq)]
struct Freed {
    mark: String,
    /// What it gets instead.
    place: String,
    id: String,
}

/// What is to be done about a batch.
#[derive(Debug, Default, PartialEq, Eq)]
struct Decided {
    claims: Vec<Claim>,
    /// Jobs of the batch that lose their mark to a later one of it.
    passed: Vec<usize>,
    /// Stored jobs that lose their marks.
    freed: Vec<Freed>,
    /// Messages of the batch that say what the job before them said; that job's id.
    same: Vec<(usize, String)>,
}

/// How often jobs are begun anew, in the same transaction, because another was quicker. Each time another has ended.
const TURNS: usize = 20;

/// Begins jobs, in their order. If another transaction has just begun one of them, or a message under one of their keys,
/// this one is waited for and found; if that happens again and again, the whole is [`SqlError::Overtaken`]: the next
/// try finds it.
pub fn claim(session: &Session<'_>, jobs: &[NewJob], sameness: Sameness, now: i64) -> Result<Vec<Claim>, SqlError> {
    // Only a key can be in two partitions, whose messages are worked on side by side.
    let turns = if jobs.iter().any(|job| job.content.is_some()) { TURNS } else { 0 };
    for _ in 0..turns {
        match session.attempt(|| begin(session, jobs, sameness, now))? {
            Err(error) if error.is_overtaken() => {}
            done => return done,
        }
    }
    begin(session, jobs, sameness, now)
}

fn begin(session: &Session<'_>, jobs: &[NewJob], sameness: Sameness, now: i64) -> Result<Vec<Claim>, SqlError> {
    let Decided { claims, passed, freed, same } = decide(jobs, known(session, jobs)?, sameness);
    let freed: Vec<_> =
        freed.iter().map(|one| vec![(&one.mark).into(), (&one.place).into(), (&one.id).into()]).collect();
    session.update_set(FREE, &[CopyType::Text, CopyType::Text, CopyType::Uuid], &freed)?;
    let mut new: Vec<(String, NewJob)> = Vec::new();
    for (index, (job, claim)) in jobs.iter().zip(&claims).enumerate() {
        if *claim == Claim::New {
            let mark = if passed.contains(&index) { job.place() } else { job.mark.clone() };
            new.push((mark, job.clone()));
        }
    }
    for (job, before) in same.into_iter().filter_map(|(index, before)| Some((jobs.get(index)?, before))) {
        let reason = Some(format!("the same as job {before}"));
        let end = JobEnd { status: TransferStatus::Completed, total: 0, processed: 0, reason };
        new.push((job.place(), NewJob { end, ..job.clone() }));
    }
    // In one order, so that two transactions with the same messages cannot wait for each other.
    new.sort_by(|(a, _), (b, _)| a.cmp(b));
    let rows = new.iter().map(|(mark, job)| {
        Ok(vec![
            (&job.id).into(),
            mark.into(),
            (&job.content).into(),
            (&job.topic).into(),
            job.partition.into(),
            job.offset.into(),
            job.kind.as_str().into(),
            (&job.domain).into(),
            (&job.group).into(),
            job.end.status.as_str().into(),
            signed(job.end.total)?.into(),
            signed(job.end.processed)?.into(),
            (&job.end.reason).into(),
            job.sent_at.into(),
            now.into(),
            now.into(),
        ])
    });
    let rows = rows.collect::<Result<Vec<Vec<Value<'_>>>, SqlError>>()?;
    let inserted = session.insert_set(JOB, "ON CONFLICT (mark) DO NOTHING", &rows)?;
    if inserted == rows.len() as u64 { Ok(claims) } else { Err(SqlError::Overtaken) }
}

/// Gives a mark away, if it is still this job's. The marks are named a second time, as a list, so that a server that
/// believes the table to be small reads no more of it.
const FREE: (&str, &str) = (
    "UPDATE message_job SET mark = ?2 WHERE mark = ?1 AND id = ?3",
    "UPDATE message_job SET mark = given.c2 FROM {given} \
     WHERE mark = given.c1 AND id = given.c3 AND mark = ANY (CAST(?1 AS text[]))",
);

/// Stored jobs by their marks: those of these jobs, and of their places.
fn known(session: &Session<'_>, jobs: &[NewJob]) -> Result<HashMap<String, Known>, SqlError> {
    let places = jobs.iter().filter(|job| job.content.is_some()).map(NewJob::place);
    let marks: Vec<String> = jobs.iter().map(|job| job.mark.clone()).chain(places).collect();
    let marks = serde_json::to_string(&marks).map_err(|error| SqlError::Refused(error.to_string()))?;
    let select = format!("SELECT w.value FROM {}", session.engine().texts("?1"));
    let sql = format!(
        "SELECT mark, CAST(id AS TEXT), status, content, topic, partition, position, sent_at FROM message_job WHERE {}",
        session.engine().among("mark", &select)
    );
    let found = session.query(&sql, &[Value::from(&marks)], |row| {
        let sent_at = row.get(7)?;
        let known = Known {
            id: row.get(1)?,
            ended: row.text(2)? != "PROCESSING",
            content: row.get(3)?,
            place: place(row.text(4)?, row.get(5)?, row.get(6)?, sent_at),
            sent_at,
            own: None,
        };
        Ok((row.get(0)?, known))
    })?;
    Ok(found.into_iter().collect())
}

/// Where a message is, as a mark: the same place of a topic that was made anew is another time.
pub(super) fn place(topic: &str, partition: i64, offset: i64, sent_at: i64) -> String {
    format!("at:{topic}/{partition}/{offset}/{sent_at}")
}

fn decide(jobs: &[NewJob], mut known: HashMap<String, Known>, sameness: Sameness) -> Decided {
    let mut decided = Decided::default();
    for (index, job) in jobs.iter().enumerate() {
        // It has come before, and another has come since.
        if let Some(known) = known.get(&job.place()).filter(|_| job.content.is_some()) {
            decided.claims.push(known.claim());
            continue;
        }
        let holder = known.get(&job.mark);
        let same = holder.filter(|holder| match sameness {
            Sameness::Key => true,
            Sameness::Content { window } => {
                // The same words, but said again much later: they mean it. A replay is the same whenever it comes.
                let late = job.content.is_some() && job.sent_at > holder.sent_at.saturating_add(window);
                holder.content == job.content && !late
            }
        });
        if let Some(same) = same {
            let claim = same.claim();
            if job.content.is_some() && same.place != job.place() && matches!(claim, Claim::Done(_)) {
                let same = same.clone();
                decided.same.push((index, same.id.clone()));
                known.insert(job.place(), same);
            }
            decided.claims.push(claim);
            continue;
        }
        match holder {
            Some(Known { own: Some(own), .. }) => decided.passed.push(*own),
            Some(Known { id, place, .. }) => {
                decided.freed.push(Freed { mark: job.mark.clone(), place: place.clone(), id: id.clone() });
            }
            None => {}
        }
        let own = Known {
            id: job.id.clone(),
            ended: true,
            content: job.content.clone(),
            place: job.place(),
            sent_at: job.sent_at,
            own: Some(index),
        };
        known.insert(job.mark.clone(), own);
        decided.claims.push(Claim::New);
    }
    decided
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::super::jobs::{JobEnd, JobKind};
    use super::{Claim, Freed, Known, NewJob, Sameness, decide};

    /// A message: its key, what it says, when it is sent.
    type Said = (Option<u8>, u8, i64);

    fn job(offset: usize, (key, says, sent_at): Said, attempt: usize) -> NewJob {
        NewJob {
            id: format!("{offset}/{attempt}"),
            mark: key.map_or_else(|| format!("place:{offset}"), |key| format!("key:{key}")),
            content: key.map(|_| says.to_string()),
            topic: "t".to_owned(),
            partition: 0,
            offset: i64::try_from(offset).unwrap(),
            kind: JobKind::References,
            domain: None,
            group: None,
            end: JobEnd::begun(),
            sent_at,
        }
    }

    /// The store, as the statements leave it.
    #[derive(Default)]
    struct Stored(HashMap<String, Known>);

    impl Stored {
        /// What is new of some jobs, done in one transaction.
        fn bring(&mut self, jobs: &[NewJob], sameness: Sameness) -> Vec<usize> {
            let decided = decide(jobs, self.0.clone(), sameness);
            for Freed { mark, place, id } in &decided.freed {
                let known = self.0.remove(mark).unwrap();
                assert_eq!(known.id, *id);
                assert!(self.0.insert(place.clone(), known).is_none());
            }
            let mut new = Vec::new();
            for (index, (job, claim)) in jobs.iter().zip(&decided.claims).enumerate() {
                let same = decided.same.iter().any(|(same, _)| *same == index);
                if *claim == Claim::New || same {
                    let own = *claim == Claim::New && !decided.passed.contains(&index);
                    let mark = if own { job.mark.clone() } else { job.place() };
                    let known = Known {
                        id: job.id.clone(),
                        ended: true,
                        content: job.content.clone(),
                        place: job.place(),
                        sent_at: job.sent_at,
                        own: None,
                    };
                    assert!(self.0.insert(mark, known).is_none(), "a mark twice");
                    if same {
                        continue;
                    }
                    new.push(usize::try_from(job.offset).unwrap());
                }
            }
            new
        }
    }

    proptest! {
        /// Whatever comes again from an earlier place on, and however it is cut into transactions: each message that says
        /// something new is done once, in order, and the last of each key stands; where keys alone count, the first.
        #[test]
        fn each_message_is_done_once_and_the_last_word_of_each_key_stands(
            said in prop::collection::vec((prop::option::of(0..3_u8), 0..3_u8, 0..100_i64), 1..30),
            runs in prop::collection::vec((0..30_usize, 1..8_usize), 1..6),
            window in prop::option::of(0..60_i64),
        ) {
            let sameness = window.map_or(Sameness::Key, |window| Sameness::Content { window });
            let mut stored = Stored::default();
            let (mut done, mut reached) = (Vec::new(), 0);
            for (attempt, (from, batch)) in runs.into_iter().chain([(0, 5)]).enumerate() {
                // A consumer goes on at most where the last one stopped.
                let from = from.min(reached);
                let to = if attempt % 2 == 0 { said.len() } else { (from + batch).min(said.len()) };
                let jobs: Vec<_> = (from..to).map(|offset| job(offset, said[offset], attempt)).collect();
                for some in jobs.chunks(batch) {
                    done.extend(stored.bring(some, sameness));
                }
                reached = reached.max(to);
            }
            let mut expected = Vec::new();
            let mut last: HashMap<u8, (u8, i64)> = HashMap::new();
            for (offset, (key, says, sent_at)) in said.iter().copied().enumerate() {
                let same = key.and_then(|key| last.get(&key)).is_some_and(|(before, at)| {
                    window.is_none_or(|window| *before == says && sent_at <= at + window)
                });
                if !same {
                    expected.push(offset);
                    last.extend(key.map(|key| (key, (says, sent_at))));
                }
            }
            prop_assert_eq!(done, expected);
        }
    }
}
