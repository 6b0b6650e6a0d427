//! One reading of the dead-letter topic, in groups: what is held at once is bounded, however long the topic is.
//!
//! A thread reads; whoever takes the groups asks the store what was done with their letters. The thread waits while
//! nobody takes the next one, and ends when nobody will.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{DeadLetter, DeadLettersError, Selection};
use crate::broker::{BrokerError, Next, Reader};
use crate::store::Store;
use crate::store::messages;

/// Letters of a group, and their bytes, about. Three groups are held at once: one is read, one waits, one is dealt with.
pub(super) const GROUP: (usize, usize) = (500, 4 << 20);

/// What is to be read.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) selection: Selection,
    /// Offsets from which on; others: from their beginning.
    pub(super) from: BTreeMap<i32, i64>,
    /// With their keys, values and all headers; else only with what a list shows.
    pub(super) whole: bool,
}

/// See the head of the file.
#[derive(Debug)]
pub(super) struct Pass {
    store: Arc<Store>,
    selection: Arc<Selection>,
    groups: mpsc::Receiver<Vec<DeadLetter>>,
    reading: Option<JoinHandle<Result<Firsts, BrokerError>>>,
    firsts: Option<Firsts>,
}

/// Of the first letter of each partition that has any: when we gave it up. None = it is not ours.
type Firsts = BTreeMap<i32, Option<i64>>;

impl Pass {
    pub(super) fn begin(store: Arc<Store>, reader: Reader, topic: String, reading: Reading) -> Self {
        let Reading { selection, from, whole } = reading;
        let selection = Arc::new(selection);
        let fits = Arc::clone(&selection);
        let (send, groups) = mpsc::channel(1);
        let reading = tokio::task::spawn_blocking(move || {
            let (mut firsts, mut group, mut bytes) = (Firsts::new(), Vec::new(), 0);
            let mut awaited = fits.ids.clone();
            reader.read(&topic, &from, |message| {
                let number = message.position.partition.number;
                let letter = DeadLetter::new(message);
                firsts.entry(number).or_insert_with(|| letter.given_up());
                // Behind the last of some ids there is nothing to look for.
                let next = if awaited.remove(&letter.id) && awaited.is_empty() { Next::Enough } else { Next::More };
                if !fits.fits(&letter) {
                    return next;
                }
                let letter = if whole { letter } else { letter.head() };
                bytes += letter.message.size();
                group.push(letter);
                if next == Next::Enough || (group.len() < GROUP.0 && bytes < GROUP.1) {
                    return next;
                }
                bytes = 0;
                if send.blocking_send(std::mem::take(&mut group)).is_ok() { Next::More } else { Next::Enough }
            })?;
            // Nobody may want it any more.
            let _ = send.blocking_send(group);
            Ok(firsts)
        });
        Self { store, selection, groups, reading: Some(reading), firsts: None }
    }

    /// The next letters that are selected, each with what was done with it; `None`: there are no more.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<DeadLetter>>, DeadLettersError> {
        while let Some(mut group) = self.groups.recv().await {
            settle(&self.store, &mut group).await?;
            let mut seen = HashSet::new();
            group.retain(|letter| self.selection.takes_settled(letter) && seen.insert(letter.id.clone()));
            if !group.is_empty() {
                return Ok(Some(group));
            }
        }
        if let Some(reading) = self.reading.take() {
            self.firsts = Some(reading.await.map_err(|error| BrokerError::own(error.to_string()))??);
        }
        Ok(None)
    }

    /// After the end of a reading from the very beginning: when the oldest letter that is left was given up. None =
    /// nobody can tell, or there is none.
    ///
    /// What was given up before is gone from the topic: each partition is in the order in which its letters were written,
    /// and each was written after it was given up. (Letters of equal age may be, so they are not gone.)
    pub(super) fn oldest(&self) -> Option<i64> {
        let firsts = self.firsts.as_ref()?;
        firsts.values().copied().collect::<Option<Vec<i64>>>()?.into_iter().min()
    }
}

/// Asks the store what was done with letters.
pub(super) async fn settle(store: &Store, letters: &mut [DeadLetter]) -> Result<(), DeadLettersError> {
    if letters.is_empty() {
        return Ok(());
    }
    let ids: Vec<String> = letters.iter().map(|letter| letter.id.clone()).collect();
    let settled = store.read(move |session| messages::settled(session, &ids)).await?;
    for letter in letters {
        letter.settled = settled.get(&letter.id).copied();
    }
    Ok(())
}
