//! What is left in the store: letters that nobody looks after any more, and jobs that nobody needs any more.
//!
//! A crash, or a commit whose answer was lost, leaves letters that are not marked and may or may not be in their topics.
//! When their claim has lapsed, whoever takes them over looks into the topic first, for the job's id in the headers, from
//! a place that is certainly before them. However long that takes, the claim is renewed meanwhile.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::desk::now;
use super::letters::JOB_ID;
use super::outbox::{MARK, Posted, mark};
use crate::broker::{Next, Reader};
use crate::error::chain;
use crate::observe::kafka as events;
use crate::store::messages::{self, LetterKind, Open, Owner, Published};
use crate::store::{Store, StoreError};

/// Letters that are taken over at once, and their bytes, about.
const TAKEN: (u32, u64) = (500, 16 << 20);

/// How often jobs are forgotten.
const FORGET: Duration = Duration::from_secs(30);

/// Jobs that are forgotten in one transaction.
const FORGOTTEN: u32 = 2000;

/// Who takes over.
#[derive(Debug)]
pub(super) struct Leftovers {
    pub(super) store: Arc<Store>,
    pub(super) reader: Reader,
    pub(super) lease: Duration,
}

type Found = HashMap<(String, LetterKind), Published>;

impl Leftovers {
    /// Letters that nobody looks after and that are not in their topics.
    pub(super) async fn take(&self) -> Result<Vec<Posted>, String> {
        let text = |error: StoreError| chain(&error);
        if !self.store.read(move |session| messages::any_open(session, now())).await.map_err(text)? {
            return Ok(Vec::new());
        }
        // A name of its own: what waits here under an older claim must not take it for that.
        let name = Uuid::now_v7().to_string();
        let claim = Owner { name: name.clone(), until: until(self.lease) };
        let (taken, unreadable) = self
            .store
            .write(MARK, move |session| messages::take_over(session, &claim, TAKEN, now()))
            .await
            .map_err(text)?;
        if unreadable > 0 {
            events::outbox_unreadable(unreadable);
        }
        if taken.is_empty() {
            return Ok(Vec::new());
        }
        // If that fails, they stay as they are until this claim lapses, too.
        let found = self.find(&taken, &name).await?;
        events::outbox_recovered(taken.len(), found.len());
        mark(&self.store, found.values().cloned().collect()).await;
        let owner = self.renew(&name).await?;
        let letters = taken.into_iter().map(|open| Posted { letter: open.letter, owner: owner.clone() });
        Ok(letters.filter(|one| !found.contains_key(&(one.letter.job.clone(), one.letter.kind))).collect())
    }

    async fn renew(&self, name: &str) -> Result<Owner, String> {
        let owner = Owner { name: name.to_owned(), until: until(self.lease) };
        let claim = owner.clone();
        let renewed = self.store.write(MARK, move |session| messages::keep_all(session, &claim)).await;
        renewed.map(|()| owner).map_err(|error| chain(&error))
    }

    /// Which of them are in their topics.
    async fn find(&self, taken: &[Open], name: &str) -> Result<Found, String> {
        let mut topics: BTreeMap<(String, LetterKind), (i64, HashSet<String>)> = BTreeMap::new();
        for Open { letter, created_at } in taken {
            let key = (letter.topic.clone(), letter.kind);
            let (earliest, jobs) = topics.entry(key).or_insert((*created_at, HashSet::new()));
            *earliest = (*created_at).min(*earliest);
            jobs.insert(letter.job.clone());
        }
        let mut found = HashMap::new();
        for ((topic, kind), (earliest, jobs)) in topics {
            let asked = topic.clone();
            // Whoever published before may have another clock.
            let before = earliest.saturating_sub(millis(self.lease));
            let known = self.store.read(move |session| messages::known_positions(session, &asked, before)).await;
            let from: BTreeMap<i32, i64> = known.map_err(|error| chain(&error))?.into_iter().collect();
            // Where something has been published there is a topic, whatever a broker says that has just started.
            let reader = if from.is_empty() { self.reader.clone() } else { self.reader.strict() };
            let mut reading = tokio::task::spawn_blocking(move || {
                let mut seen = Vec::new();
                let read = reader.read(&topic, &from, |message| {
                    if let Some(job) = message.header(JOB_ID).filter(|job| jobs.contains(*job)) {
                        let (partition, offset) = (message.position.partition.number, message.position.offset);
                        seen.push(Published { job: job.to_owned(), kind, partition, offset });
                    }
                    Next::More
                });
                read.map(|()| seen)
            });
            let read = loop {
                tokio::select! {
                    read = &mut reading => break read,
                    () = tokio::time::sleep(self.lease / 3) => {
                        self.renew(name).await?;
                    }
                }
            };
            let seen = read.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
            found.extend(seen.into_iter().map(|one| ((one.job.clone(), kind), one)));
        }
        Ok(found)
    }
}

/// When a claim of now lapses.
pub(super) fn until(lease: Duration) -> i64 {
    now().saturating_add(millis(lease))
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Forgets jobs that ended so long ago, for ever.
pub(super) async fn forget(store: Arc<Store>, keep: Duration) {
    loop {
        let before = now().saturating_sub(millis(keep));
        let forgotten = store.write(MARK, move |session| messages::forget(session, before, FORGOTTEN)).await;
        match forgotten {
            // There are more.
            Ok(count) if count >= u64::from(FORGOTTEN) => continue,
            Ok(_) => {}
            Err(error) => events::outbox_failed(&chain(&error)),
        }
        tokio::time::sleep(FORGET).await;
    }
}
