//! One finished title: as a ledger line ([`LedgerEntry`]), and as kept in memory ([`Entry`], 40 bytes, no text).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{Outcome, SeriesId, SeriesStatus, SkipReason};

use super::line::{IndexLine, Text};

/// The end of a title in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Loaded.
    Done,
    /// The backend had it already.
    Unchanged,
    /// Tried again by the next run.
    Failed,
    /// Left out on purpose.
    Skipped,
}

/// Whether new episodes are to be expected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Airing {
    /// Airing.
    Ongoing,
    /// Announced.
    Upcoming,
    /// Finished.
    Completed,
    /// Nobody said (or a word that this build does not know).
    #[default]
    #[serde(other)]
    Unknown,
}

impl From<Option<SeriesStatus>> for Airing {
    fn from(status: Option<SeriesStatus>) -> Self {
        match status {
            None => Self::Unknown,
            Some(SeriesStatus::Ongoing) => Self::Ongoing,
            Some(SeriesStatus::Upcoming) => Self::Upcoming,
            Some(SeriesStatus::Completed) => Self::Completed,
        }
    }
}

/// Why a title failed or was skipped, as far as a run decides by it; the words are in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Neither failed nor skipped.
    None,
    /// Failed; may succeed by itself.
    Retryable,
    /// Failed; somebody has to change something first.
    Permanent,
    /// Skipped.
    Skip(SkipReason),
    /// Skipped for a reason that this build does not know.
    Other,
}

/// A content fingerprint.
pub type Fingerprint = [u8; 16];

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// The title.
    pub id: SeriesId,
    /// Its name, for people.
    pub title: String,
    /// The number of the run; set by [`Checkpoint::mark`](super::Checkpoint::mark).
    #[serde(default)]
    pub run: u32,
    /// How it ended.
    pub status: Status,
    /// Why it failed (in words) or was skipped (a [`SkipReason`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A failed title that may succeed by itself.
    #[serde(default, skip_serializing_if = "is_false")]
    pub retryable: bool,
    /// What the backend has, when it took all of it.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "super::line::hex")]
    pub fingerprint: Option<Fingerprint>,
    /// Episodes the title has now.
    #[serde(default)]
    pub episodes: u32,
    /// Episodes it is to have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub episodes_total: Option<u32>,
    /// Whether it is airing.
    #[serde(default, skip_serializing_if = "is_unknown")]
    pub airing: Airing,
    /// When the next episode airs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_episode_at: Option<Timestamp>,
    /// When it was finished.
    pub at: Timestamp,
}

impl LedgerEntry {
    /// Longer names and reasons are cut; a line stays far below [`super::ledger::MAX_LINE`].
    const MAX_TEXT: usize = 500;

    /// An entry with nothing known but its end.
    pub fn new(id: SeriesId, title: impl Into<String>, status: Status, at: Timestamp) -> Self {
        Self {
            id,
            title: title.into(),
            run: 0,
            status,
            reason: None,
            retryable: false,
            fingerprint: None,
            episodes: 0,
            episodes_total: None,
            airing: Airing::Unknown,
            next_episode_at: None,
            at,
        }
    }

    /// An entry with the status and the reason of `outcome`.
    pub fn from_outcome(id: SeriesId, title: impl Into<String>, outcome: &Outcome, at: Timestamp) -> Self {
        let mut entry = Self::new(id, title, Status::Done, at);
        match outcome {
            Outcome::Loaded { .. } => {}
            Outcome::Unchanged => entry.status = Status::Unchanged,
            Outcome::Failed(failure) => {
                entry.status = Status::Failed;
                entry.retryable = failure.retryable;
                entry.reason = Some(format!("{}/{}: {}", failure.stage, failure.code, failure.reason));
            }
            Outcome::Skipped(reason) => {
                entry.status = Status::Skipped;
                entry.reason = Some(reason.as_str().to_owned());
            }
        }
        entry
    }

    /// Bounds what a line can hold: texts cut, times to the millisecond.
    pub(super) fn bounded(mut self) -> Self {
        cut(&mut self.title);
        if let Some(reason) = &mut self.reason {
            cut(reason);
        }
        self.at = Timestamp::from_millisecond(self.at.as_millisecond()).unwrap_or(self.at);
        self.next_episode_at = self.next_episode_at.and_then(|at| Timestamp::from_second(at.as_second()).ok());
        self
    }

    /// What is kept in memory.
    pub fn compact(&self) -> Entry {
        Entry::of(&IndexLine {
            id: self.id.0,
            run: self.run,
            status: self.status,
            reason: self.reason.as_deref().map(|reason| Text(reason.into())),
            retryable: self.retryable,
            fingerprint: self.fingerprint,
            episodes: self.episodes,
            episodes_total: self.episodes_total,
            airing: self.airing,
            next_episode_at: self.next_episode_at,
            at: self.at,
        })
    }
}

/// What is known of a title without looking into the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    fingerprint: Fingerprint,
    run: u32,
    episodes: u32,
    episodes_total: u32,
    // Seconds since 1970 in 32 bits (until 2106): eight bytes each would cost 100,000 titles nearly a megabyte.
    next_episode_at: u32,
    at: u32,
    status: Status,
    reason: Reason,
    airing: Airing,
    has_fingerprint: bool,
}

impl Entry {
    pub(super) fn of(line: &IndexLine<'_>) -> Self {
        Self {
            fingerprint: line.fingerprint.unwrap_or_default(),
            has_fingerprint: line.fingerprint.is_some(),
            run: line.run,
            episodes: line.episodes,
            episodes_total: line.episodes_total.unwrap_or(u32::MAX),
            next_episode_at: line.next_episode_at.map_or(0, seconds),
            at: seconds(line.at),
            status: line.status,
            reason: reason_code(line.status, line.reason.as_ref().map(|text| text.0.as_ref()), line.retryable),
            airing: line.airing,
        }
    }

    /// What the backend has, whichever backend that is; see
    /// [`Checkpoint::known_fingerprint`](super::Checkpoint::known_fingerprint).
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.has_fingerprint.then_some(self.fingerprint)
    }

    /// The number of the run that finished it last; 0 = before this program.
    pub fn run(&self) -> u32 {
        self.run
    }

    /// Episodes it had.
    pub fn episodes(&self) -> u32 {
        self.episodes
    }

    /// Episodes it is to have.
    pub fn episodes_total(&self) -> Option<u32> {
        (self.episodes_total != u32::MAX).then_some(self.episodes_total)
    }

    /// When the next episode airs, to the second.
    pub fn next_episode_at(&self) -> Option<Timestamp> {
        (self.next_episode_at != 0).then(|| from_seconds(self.next_episode_at))
    }

    /// When it was finished, to the second.
    pub fn at(&self) -> Timestamp {
        from_seconds(self.at)
    }

    /// How it ended.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Why it failed or was skipped.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Whether it was airing.
    pub fn airing(&self) -> Airing {
        self.airing
    }

    /// Whether a mode that refreshes should look at it: airing, due, or with episodes missing.
    pub fn wants_refresh(&self, now: Timestamp) -> bool {
        self.airing == Airing::Ongoing
            || self.next_episode_at().is_some_and(|at| at <= now)
            || self.episodes_total().is_some_and(|total| self.episodes < total)
            || self.status == Status::Failed
    }
}

fn reason_code(status: Status, reason: Option<&str>, retryable: bool) -> Reason {
    match status {
        Status::Done | Status::Unchanged => Reason::None,
        Status::Failed if retryable => Reason::Retryable,
        Status::Failed => Reason::Permanent,
        Status::Skipped => reason.and_then(SkipReason::named).map_or(Reason::Other, Reason::Skip),
    }
}

fn seconds(at: Timestamp) -> u32 {
    u32::try_from(at.as_second().max(0)).unwrap_or(u32::MAX)
}

fn from_seconds(seconds: u32) -> Timestamp {
    Timestamp::from_second(i64::from(seconds)).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn cut(text: &mut String) {
    if text.len() > LedgerEntry::MAX_TEXT {
        let end = text.floor_char_boundary(LedgerEntry::MAX_TEXT);
        text.truncate(end);
        text.push('…');
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_unknown(value: &Airing) -> bool {
    *value == Airing::Unknown
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::{Airing, Entry, LedgerEntry, Reason, Status};
    use crate::checkpoint::line::IndexLine;
    use crate::model::{Failure, Outcome, SeriesId, SkipReason};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn full() -> LedgerEntry {
        LedgerEntry {
            reason: Some("contract/validation: \"no\" title".to_owned()),
            retryable: true,
            fingerprint: Some([0xab; 16]),
            episodes: 12,
            episodes_total: Some(24),
            airing: Airing::Ongoing,
            next_episode_at: Some(at(1_900_000_000)),
            run: 3,
            ..LedgerEntry::new(SeriesId(5), "Имя", Status::Failed, at(1_800_000_000))
        }
    }

    #[test]
    fn a_line_and_memory_agree() -> Result<(), Box<dyn std::error::Error>> {
        let bare = LedgerEntry::new(SeriesId(1), "", Status::Done, Timestamp::UNIX_EPOCH);
        for entry in [full(), bare] {
            let line = serde_json::to_string(&entry)?;
            assert_eq!(serde_json::from_str::<LedgerEntry>(&line)?, entry);
            let index: IndexLine<'_> = serde_json::from_str(&line)?;
            assert_eq!(index.compact(), Some(entry.compact()));
        }
        let memory = full().compact();
        assert_eq!(crate::checkpoint::fingerprint_from_hex(&"ab".repeat(16)), memory.fingerprint());
        assert_eq!(crate::checkpoint::fingerprint_from_hex("abc"), None);
        assert_eq!(memory.episodes_total(), Some(24));
        assert_eq!(memory.fingerprint(), Some([0xab; 16]));
        assert_eq!(memory.reason(), Reason::Retryable);
        assert!(size_of::<Entry>() <= 40);
        Ok(())
    }

    #[test]
    fn unknown_words_and_fields_are_tolerated_bad_ones_not() {
        let read = |text: &str| serde_json::from_str::<IndexLine<'_>>(text).ok().and_then(|line| line.compact());
        let line = r#"{"id":7,"run":1,"status":"skipped","reason":"new_\u0072eason","airing":"paused","at":"2026-01-09T12:00:00Z","x":{}}"#;
        let Some(entry) = read(line) else { panic!("not read") };
        assert_eq!((entry.reason(), entry.airing()), (Reason::Other, Airing::Unknown));
        assert_eq!(read(&line.replace("\"id\":7", "\"id\":0")), None);
        assert_eq!(read(&line.replace("skipped", "lost")), None);
        assert_eq!(read(&line.replace("2026-01-09T12:00:00Z", "yesterday")), None);
        assert_eq!(read(&line.replace("\"x\":{}", "\"fingerprint\":\"abc\"")), None);
    }

    #[test]
    fn outcomes_become_entries() {
        let from = |outcome| LedgerEntry::from_outcome(SeriesId(1), "T", &outcome, Timestamp::UNIX_EPOCH);
        assert_eq!(from(Outcome::Unchanged).status, Status::Unchanged);
        let skipped = from(Outcome::Skipped(SkipReason::Banned));
        assert_eq!(skipped.compact().reason(), Reason::Skip(SkipReason::Banned));
        let failed = from(Outcome::Failed(Failure {
            stage: "contract".into(),
            code: "validation".into(),
            reason: "я".repeat(1000),
            retryable: false,
            parts: Vec::new(),
        }))
        .bounded();
        assert_eq!(failed.compact().reason(), Reason::Permanent);
        assert!(failed.reason.is_some_and(|reason| reason.len() <= 510 && reason.ends_with('…')));
    }

    #[test]
    fn refresh_wants_the_airing_the_due_and_the_incomplete() {
        let now = at(1_900_000_000);
        let base = LedgerEntry::new(SeriesId(1), "T", Status::Done, Timestamp::UNIX_EPOCH);
        assert!(!base.compact().wants_refresh(now));
        assert!(LedgerEntry { airing: Airing::Ongoing, ..base.clone() }.compact().wants_refresh(now));
        assert!(LedgerEntry { next_episode_at: Some(now), ..base.clone() }.compact().wants_refresh(now));
        assert!(LedgerEntry { episodes: 1, episodes_total: Some(2), ..base.clone() }.compact().wants_refresh(now));
        assert!(!LedgerEntry { episodes: 2, episodes_total: Some(2), ..base }.compact().wants_refresh(now));
    }
}
