//! Reads an object to its end, however often the connection breaks: goes on at the byte where it stopped, as long as it
//! still is the same object.

use std::time::Duration;

use bytes::{Buf as _, Bytes};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};

use super::origin::{Answer, Origin, Trouble};
use super::{ObjectError, ObjectUrl};
use crate::observe::events;

/// After this many bytes since the last break, breaks are counted anew. So a source that gives a few bytes at a time and
/// breaks for ever comes to an end.
const PROGRESS: u64 = 1 << 20;

/// Longest wait that a source may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How long and how often a source is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For an answer's head, and for each next piece of it.
    pub timeout: Duration,
    /// Breaks without progress before it is given up; at least 1.
    pub tries: u32,
    /// Upper bound of the first wait's random length; doubles each time.
    pub backoff: Duration,
    /// Most bytes that are read of one object; none = all.
    pub max_bytes: Option<u64>,
}

/// An object that is being read: its bytes as they are kept at the source.
pub struct Object {
    url: ObjectUrl,
    origin: Origin,
    patience: Patience,
    tag: Option<String>,
    length: Option<u64>,
    /// The next byte.
    at: u64,
    body: Option<BoxStream<'static, Result<Bytes, Trouble>>>,
    /// Bytes of the answer before the next byte.
    skip: u64,
    failures: u32,
    since: u64,
    ended: bool,
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Object").field("url", &self.url).field("at", &self.at).finish_non_exhaustive()
    }
}

impl Object {
    /// Asks for the object from byte `at` on. With a tag it must still be the version that had this tag.
    pub(super) async fn open(
        url: ObjectUrl,
        origin: Origin,
        patience: Patience,
        at: u64,
        tag: Option<&str>,
    ) -> Result<Self, ObjectError> {
        let tag = tag.map(str::to_owned);
        let (body, length) = (None, None);
        let mut object =
            Self { url, origin, patience, tag, length, at, body, skip: 0, failures: 0, since: 0, ended: false };
        object.connect().await?;
        Ok(object)
    }

    /// What tells this version of the object from others; to be kept with a position in it.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Bytes of the whole object, if the source says.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// The byte that the next piece begins with.
    pub fn offset(&self) -> u64 {
        self.at
    }

    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ObjectError> {
        while !self.ended {
            let Some(body) = &mut self.body else {
                self.connect().await?;
                continue;
            };
            let trouble = match tokio::time::timeout(self.patience.timeout, body.next()).await {
                Err(_) => Trouble::passing("no more bytes in time"),
                Ok(Some(Ok(piece))) => match self.taken(piece)? {
                    Some(piece) => return Ok(Some(piece)),
                    None => continue,
                },
                Ok(Some(Err(trouble))) => trouble,
                Ok(None) if self.length.is_some_and(|length| self.at < length) => {
                    Trouble::passing("it ended before its end")
                }
                Ok(None) => {
                    self.ended = true;
                    self.body = None;
                    break;
                }
            };
            self.body = None;
            self.failed(trouble).await?;
        }
        Ok(None)
    }

    /// The pieces as a stream; it ends after the first error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, ObjectError>> + Send {
        futures::stream::try_unfold(self, |mut object| async move {
            let piece = object.next().await?;
            Ok(piece.map(|piece| (piece, object)))
        })
    }

    /// What of a piece is new.
    fn taken(&mut self, mut piece: Bytes) -> Result<Option<Bytes>, ObjectError> {
        let known = usize::try_from(self.skip).unwrap_or(usize::MAX).min(piece.len());
        piece.advance(known);
        self.skip -= known as u64;
        if piece.is_empty() {
            return Ok(None);
        }
        self.at += piece.len() as u64;
        self.since += piece.len() as u64;
        if self.since >= PROGRESS {
            self.failures = 0;
        }
        if self.length.is_some_and(|length| self.at > length) {
            return Err(self.fault(Trouble::Nonsense("it is longer than it says".to_owned())));
        }
        self.within_limit(self.at)?;
        Ok(Some(piece))
    }

    fn within_limit(&self, bytes: u64) -> Result<(), ObjectError> {
        match self.patience.max_bytes {
            Some(limit) if bytes > limit => Err(ObjectError::TooLarge { address: self.url.to_string(), limit }),
            _ => Ok(()),
        }
    }

    /// Asks until there is an answer for the next byte.
    async fn connect(&mut self) -> Result<(), ObjectError> {
        loop {
            let answer = self.origin.open(self.at, self.tag.as_deref()).await;
            match answer.and_then(|answer| self.same(answer)) {
                Ok(answer) => {
                    if let Some(length) = answer.length {
                        self.within_limit(length)?;
                    }
                    self.skip = self.at.saturating_sub(answer.start);
                    self.length = answer.length.or(self.length);
                    self.tag = answer.tag.or_else(|| self.tag.take());
                    self.body = Some(answer.body);
                    return Ok(());
                }
                Err(trouble) => self.failed(trouble).await?,
            }
        }
    }

    /// The answer, if it is of the object that was begun.
    fn same(&self, answer: Answer) -> Result<Answer, Trouble> {
        let other_tag = matches!((&self.tag, &answer.tag), (Some(old), Some(new)) if old != new);
        let other_length = matches!((self.length, answer.length), (Some(old), Some(new)) if old != new);
        let shorter = answer.length.is_some_and(|length| length < self.at);
        if other_tag || other_length || shorter { Err(Trouble::Changed) } else { Ok(answer) }
    }

    /// Waits before the next try, or gives up.
    async fn failed(&mut self, trouble: Trouble) -> Result<(), ObjectError> {
        let Trouble::Passing { reason, after } = trouble else { return Err(self.fault(trouble)) };
        self.failures += 1;
        self.since = 0;
        if self.failures >= self.patience.tries {
            return Err(self.fault(Trouble::Passing { reason, after }));
        }
        let wait = match after {
            Some(seconds) => Duration::from_secs(seconds).min(LONGEST_WAIT),
            None => jittered(self.patience.backoff, self.failures),
        };
        events::object_resumed(self.origin.kind(), self.at, self.failures, &reason, wait);
        tokio::time::sleep(wait).await;
        Ok(())
    }

    fn fault(&self, trouble: Trouble) -> ObjectError {
        let (offset, tries) = (self.at, self.failures);
        fault(&self.url, trouble, offset, tries)
    }
}

/// A trouble in the words of the room's callers.
pub(super) fn fault(url: &ObjectUrl, trouble: Trouble, offset: u64, tries: u32) -> ObjectError {
    let address = url.to_string();
    match trouble {
        Trouble::Passing { reason, .. } if offset > 0 => ObjectError::Cut { address, offset, tries, reason },
        Trouble::Passing { reason, .. } => ObjectError::Unavailable { address, tries, reason },
        Trouble::Changed => ObjectError::Changed { address },
        Trouble::NotFound => ObjectError::NotFound { address },
        Trouble::Refused(reason) => ObjectError::Refused { address, reason },
        Trouble::Redirected(status) => ObjectError::Redirected { address, status },
        Trouble::Nonsense(reason) => ObjectError::Nonsense { address, reason },
        Trouble::NotAllowed(reason) => ObjectError::NotAllowed { address, reason },
    }
}

/// A random wait below a bound that doubles with each failure, and above a tenth of it.
fn jittered(base: Duration, failures: u32) -> Duration {
    use std::hash::{BuildHasher as _, RandomState};
    let bound = base.saturating_mul(1 << failures.saturating_sub(1).min(6)).min(LONGEST_WAIT);
    // The standard library's per-process randomness is plenty: waits only must differ.
    let share = u32::try_from(RandomState::new().hash_one(failures) >> 32).unwrap_or(0);
    bound.mul_f64(0.1 + 0.9 * f64::from(share) / f64::from(u32::MAX))
}
