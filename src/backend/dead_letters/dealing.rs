//! Letters that are replayed or discarded, in groups as they are read: what is done of a group is remembered, and can be
//! told, before the next one is begun.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::pass::{GROUP, Pass, Reading, settle};
use super::{DeadLetter, DeadLetters, DeadLettersError, PATIENCE, SETTLE, Selection};
use crate::broker::Producer;
use crate::error::chain;
use crate::observe::kafka as events;
use crate::store::StoreError;
use crate::store::messages::{self, Settled};

/// A mark outlives its letter by so much at least: clocks differ, and a letter may be written twice.
const OUTLIVES: i64 = 24 * 60 * 60 * 1000;

/// What became of some letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Ids of those that are dealt with now.
    pub done: Vec<String>,
    /// Those that could not be, with the reason.
    pub failed: Vec<(String, String)>,
}

/// What there is under some ids.
#[derive(Debug)]
pub struct Known {
    /// Those under which there is no letter.
    pub unknown: Vec<String>,
    /// Those that somebody has dealt with.
    pub settled: Vec<(String, Settled)>,
    /// Where the first of them is in each partition that has any.
    from: BTreeMap<i32, i64>,
    ids: HashSet<String>,
    /// Their letters, if these are few.
    letters: Option<Vec<DeadLetter>>,
}

/// Letters of a selection, to be dealt with.
#[derive(Debug)]
pub struct Dealing {
    letters: DeadLetters,
    action: Settled,
    source: Source,
    producer: Option<Producer>,
    /// They stay open, but are not tried twice where a letter is there twice.
    failed: HashSet<String>,
    /// How many more at most.
    left: usize,
}

/// Where its letters come from.
#[derive(Debug)]
enum Source {
    Held(Vec<DeadLetter>),
    Read { pass: Box<Pass>, from_the_beginning: bool },
}

impl DeadLetters {
    /// Looks whether there are letters of these ids, and what was done with them.
    pub async fn known(&self, asked: &[String]) -> Result<Known, DeadLettersError> {
        let ids: HashSet<String> = asked.iter().cloned().collect();
        let selection = Selection { ids: ids.clone(), all: true, ..Selection::default() };
        let mut pass = self.pass(Reading { selection, whole: true, ..Reading::default() });
        let (mut found, mut from) = (HashMap::new(), BTreeMap::new());
        let (mut letters, mut bytes) = (Some(Vec::new()), 0);
        while found.len() < ids.len() {
            let Some(group) = pass.next().await? else { break };
            for letter in group {
                let place = &letter.message.position;
                let first = from.entry(place.partition.number).or_insert(place.offset);
                *first = place.offset.min(*first);
                if found.insert(letter.id.clone(), letter.settled).is_some() {
                    continue;
                }
                bytes += letter.message.size();
                if let Some(held) = &mut letters {
                    held.push(letter);
                }
                if found.len() > GROUP.0 || bytes > GROUP.1 {
                    letters = None;
                }
            }
        }
        let unknown = asked.iter().filter(|id| !found.contains_key(*id)).cloned().collect();
        let settled = asked.iter().filter_map(|id| Some((id.clone(), (*found.get(id)?)?))).collect();
        Ok(Known { unknown, settled, from, ids, letters })
    }

    /// Deals with the letters of a selection, at most so many; [`Dealing::next`] does it.
    pub fn deal(&self, selection: Selection, action: Settled, most: usize) -> Dealing {
        let pass = Box::new(self.pass(Reading { selection, whole: true, ..Reading::default() }));
        self.dealing(Source::Read { pass, from_the_beginning: true }, action, most)
    }

    /// The same with those of some ids, as far as they are selected, too.
    pub fn deal_with(&self, known: Known, selection: Selection, action: Settled) -> Dealing {
        let Known { from, ids, letters, .. } = known;
        let selection = Selection { ids: ids.clone(), ..selection };
        if let Some(mut letters) = letters {
            letters.retain(|letter| selection.fits(letter));
            return self.dealing(Source::Held(letters), action, usize::MAX);
        }
        let pass = Box::new(self.pass(Reading { selection, from, whole: true }));
        self.dealing(Source::Read { pass, from_the_beginning: false }, action, usize::MAX)
    }

    fn dealing(&self, source: Source, action: Settled, most: usize) -> Dealing {
        Dealing { letters: self.clone(), action, source, producer: None, failed: HashSet::new(), left: most }
    }

    async fn settle(&self, ids: &[String], action: Settled) -> Result<(), StoreError> {
        let (topic, ids) = (self.topic().to_owned(), ids.to_vec());
        let now = jiff::Timestamp::now().as_millisecond();
        self.store.write(SETTLE, move |session| messages::settle(session, &topic, &ids, action, now)).await
    }

    /// Forgets what was done with letters that are certainly gone: whatever was dealt with had been written before, so it
    /// was given up before, and nothing that old is left.
    async fn forget(&self, oldest: i64) {
        let (topic, before) = (self.topic().to_owned(), oldest.saturating_sub(OUTLIVES));
        if oldest > jiff::Timestamp::now().as_millisecond() {
            return;
        }
        let forgotten =
            self.store.write(SETTLE, move |session| messages::forget_settled(session, &topic, before)).await;
        match forgotten {
            Ok(count) => events::marks_forgotten(count),
            // Whoever deals with letters next does it.
            Err(error) => events::marks_kept(&chain(&error)),
        }
    }
}

impl Dealing {
    /// Deals with the next few letters: they, and what became of them. `None`: there are no more.
    pub async fn next(&mut self) -> Result<Option<(Vec<DeadLetter>, Outcome)>, DeadLettersError> {
        loop {
            if self.left == 0 {
                return Ok(None);
            }
            let Some(mut group) = self.group().await? else { return Ok(None) };
            group.retain(|letter| letter.settled.is_none() && !self.failed.contains(&letter.id));
            group.truncate(self.left);
            if group.is_empty() {
                continue;
            }
            group.sort_by_key(|letter| (letter.at(), letter.message.position.clone()));
            self.left -= group.len();
            let outcome = match self.action {
                Settled::Replayed => self.replay(&group).await?,
                Settled::Discarded => {
                    let done: Vec<String> = group.iter().map(|letter| letter.id.clone()).collect();
                    self.letters.settle(&done, self.action).await?;
                    Outcome { done, failed: Vec::new() }
                }
            };
            self.failed.extend(outcome.failed.iter().map(|(id, _)| id.clone()));
            return Ok(Some((group, outcome)));
        }
    }

    async fn group(&mut self) -> Result<Option<Vec<DeadLetter>>, DeadLettersError> {
        match &mut self.source {
            Source::Held(letters) => {
                let mut letters = std::mem::take(letters);
                // Somebody may have dealt with them since.
                settle(&self.letters.store, &mut letters).await?;
                Ok(Some(letters).filter(|letters| !letters.is_empty()))
            }
            Source::Read { pass, from_the_beginning } => {
                let group = pass.next().await?;
                if group.is_none()
                    && std::mem::take(from_the_beginning)
                    && let Some(oldest) = pass.oldest()
                {
                    self.letters.forget(oldest).await;
                }
                Ok(group)
            }
        }
    }

    /// Sends letters to the topics they came from.
    async fn replay(&mut self, letters: &[DeadLetter]) -> Result<Outcome, DeadLettersError> {
        let producer = match &self.producer {
            Some(producer) => producer,
            None => self.producer.insert(Producer::new(&self.letters.settings.connection, PATIENCE)?),
        };
        let (mut outcome, mut sent) = (Outcome::default(), Vec::new());
        for letter in letters {
            let Some(again) = letter.again() else {
                let why = "it does not say which topic it came from".to_owned();
                outcome.failed.push((letter.id.clone(), why));
                continue;
            };
            match producer.send(&again).await {
                Ok(delivery) => sent.push((&letter.id, delivery)),
                Err(error) => outcome.failed.push((letter.id.clone(), error.to_string())),
            }
        }
        for (id, delivery) in sent {
            match delivery.await {
                Ok(_) => outcome.done.push(id.clone()),
                Err(error) => outcome.failed.push((id.clone(), error.to_string())),
            }
        }
        if let Err(error) = self.letters.settle(&outcome.done, Settled::Replayed).await {
            // Sent once more, they are the same.
            let why = format!("sent again, but that cannot be remembered: {error}");
            outcome.failed.extend(std::mem::take(&mut outcome.done).into_iter().map(|id| (id, why.clone())));
        }
        Ok(outcome)
    }
}
