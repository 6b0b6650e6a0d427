//! Objects that are read for imports: files, HTTP, S3. Opened only where the rules allow, read in bounded pieces, resumed
//! at the byte where a connection broke, unpacked by content and cut into lines.
//!
//! ```text
//! ObjectUrl::parse → Sources::lines(url, from) → Frame (line or oversize), each with its number and offset
//! ```

mod credentials;
mod error;
mod file;
mod http;
mod lines;
mod listing;
mod origin;
mod reading;
mod rules;
mod s3;
mod unpack;
mod url;

use std::io;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use futures::StreamExt as _;
use futures::stream::BoxStream;

use crate::config::ObjectSettings;
use file::FileOrigin;
use http::HttpOrigin;
use origin::{Origin, Trouble};
use rules::Rules;
use s3::S3;

pub use self::url::ObjectUrl;
pub use error::ObjectError;
pub use lines::{Frame, Framer, LINE_CAP, Lines, Position};
pub use listing::MOST_LISTED;
pub use reading::{Object, Patience};
pub use unpack::{Packing, Unpacker};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);

/// Bytes of an unpacked object.
pub type ObjectBytes = BoxStream<'static, Result<Bytes, ObjectError>>;

/// Where objects are read from, and which. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sources {
    rules: Rules,
    client: reqwest::Client,
    s3: S3,
    patience: Patience,
}

/// Where to begin in an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartAt<'a> {
    /// The first line to be given.
    pub position: Position,
    /// The version that the position is of, as [`ObjectLines::tag`] gave it; another one is refused as changed.
    pub tag: Option<&'a str>,
}

impl StartAt<'_> {
    /// The start of whatever version there is.
    pub const START: Self = Self { position: Position::START, tag: None };
}

/// The lines of an object.
pub struct ObjectLines {
    tag: Option<String>,
    length: Option<u64>,
    lines: Lines<ObjectBytes>,
}

impl std::fmt::Debug for ObjectLines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectLines").field("position", &self.lines.position()).finish_non_exhaustive()
    }
}

impl ObjectLines {
    /// The next line; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Frame>, ObjectError> {
        self.lines.next().await
    }

    /// Where the line after the last given one begins: with the tag, all that is needed to go on there later.
    pub fn position(&self) -> Position {
        self.lines.position()
    }

    /// Which version of the object is read; none if its source has no way to say.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Bytes of the object as it is kept, packed or not, if the source says.
    pub fn length(&self) -> Option<u64> {
        self.length
    }
}

impl Sources {
    /// Sources for whoever posts an address: only what the settings list is read.
    pub fn listed(settings: &ObjectSettings) -> Result<Self, ObjectError> {
        Self::new(Rules::new(settings)?, settings, Some(settings.max_object))
    }

    /// Sources for the person at the terminal, who may read what they can.
    pub fn unrestricted(settings: &ObjectSettings) -> Result<Self, ObjectError> {
        Self::new(Rules::Everything, settings, None)
    }

    fn new(rules: Rules, settings: &ObjectSettings, max_bytes: Option<u64>) -> Result<Self, ObjectError> {
        let fault = |reason| ObjectError::Rule { setting: "IMPORT_HOSTS", rule: String::new(), reason };
        let client = http::client(&rules, CONNECT.min(settings.timeout)).map_err(fault)?;
        // The endpoint is the operator's own setting, wherever it leads.
        let own = http::client(&Rules::Everything, CONNECT.min(settings.timeout)).map_err(fault)?;
        let s3 = S3::new(&settings.s3, own, settings.timeout);
        let ObjectSettings { timeout, tries, backoff, .. } = *settings;
        let patience = Patience { timeout, tries, backoff, max_bytes };
        Ok(Self { rules, client, s3, patience })
    }

    /// May it be read? Asks nobody, so that an address can be refused when it is posted.
    pub fn check(&self, url: &ObjectUrl) -> Result<(), ObjectError> {
        self.rules.check(&self.resolved(url)?)
    }

    /// The bytes of an object from byte `at` on, as they are kept. With a tag, only if it still is that version.
    pub async fn open(&self, url: &ObjectUrl, at: u64, tag: Option<&str>) -> Result<Object, ObjectError> {
        self.check(url)?;
        let origin = self.origin(&self.resolved(url)?).map_err(|trouble| reading::fault(url, trouble, 0, 0))?;
        Object::open(url.clone(), origin, self.patience, at, tag).await
    }

    /// The lines of an object, unpacked, each at most `cap` bytes. A packed object is unpacked from its start again to
    /// come to a later position; a plain one is asked for from there on.
    pub async fn lines(&self, url: &ObjectUrl, from: StartAt<'_>, cap: usize) -> Result<ObjectLines, ObjectError> {
        let mut object = self.open(url, 0, from.tag).await?;
        let tag = object.tag().map(str::to_owned);
        let length = object.length();
        let skip = from.position.offset;
        let (head, packing) = head(&mut object).await?;
        let bytes: ObjectBytes = if skip > 0 && packing == Packing::Plain {
            object = self.open(url, skip, tag.as_deref()).await?;
            object.into_stream().boxed()
        } else {
            let whole = futures::stream::iter(head.into_iter().map(Ok)).chain(object.into_stream()).boxed();
            skipped(unpacked(url.clone(), whole), skip, url.clone())
        };
        Ok(ObjectLines { tag, length, lines: Lines::starting_at(bytes, from.position, cap) })
    }

    /// An HTTP address at the endpoint of S3 is a bucket and a key, and asked for as such: signed.
    fn resolved(&self, url: &ObjectUrl) -> Result<ObjectUrl, ObjectError> {
        match (url, &self.s3.endpoint) {
            (ObjectUrl::Http(http), Some(endpoint)) if http.origin() == endpoint.origin() => {
                let base = endpoint.path().trim_end_matches('/');
                let path = http.path().strip_prefix(base).unwrap_or(http.path()).trim_start_matches('/');
                let decoded = percent_decoded(path);
                ObjectUrl::parse(&format!("s3://{decoded}"))
            }
            _ => Ok(url.clone()),
        }
    }

    fn origin(&self, url: &ObjectUrl) -> Result<Origin, Trouble> {
        Ok(match url {
            ObjectUrl::File(path) => Origin::File(FileOrigin::new(path, self.rules.folder())),
            ObjectUrl::Http(url) => Origin::Http(HttpOrigin {
                client: self.client.clone(),
                url: url.clone(),
                timeout: self.patience.timeout,
            }),
            ObjectUrl::S3 { bucket, key } => Origin::S3(self.s3.origin(bucket, key)?),
        })
    }
}

/// Unpacks a stream of bytes if its first ones say that it is packed.
pub fn unpacked(url: ObjectUrl, packed: ObjectBytes) -> ObjectBytes {
    let damaged = move |error: &io::Error| ObjectError::Damaged { address: url.to_string(), reason: error.to_string() };
    let start = (packed, Unpacker::default(), damaged, false);
    futures::stream::try_unfold(start, |(mut packed, mut unpacker, damaged, mut ended)| async move {
        loop {
            if let Some(piece) = unpacker.pull().map_err(|error| damaged(&error))? {
                return Ok(Some((piece, (packed, unpacker, damaged, ended))));
            }
            if ended {
                return Ok(None);
            }
            if let Some(piece) = packed.next().await {
                unpacker.push(piece?).map_err(|error| damaged(&error))?;
                continue;
            }
            ended = true;
            if let Some(rest) = unpacker.finish().map_err(|error| damaged(&error))? {
                return Ok(Some((rest, (packed, unpacker, damaged, ended))));
            }
        }
    })
    .boxed()
}

/// The first pieces, enough to tell the packing.
async fn head(object: &mut Object) -> Result<(Vec<Bytes>, Packing), ObjectError> {
    let (mut pieces, mut magic) = (Vec::new(), Vec::new());
    while magic.len() < 4
        && let Some(piece) = object.next().await?
    {
        magic.extend(piece.iter().take(4));
        pieces.push(piece);
    }
    Ok((pieces, Packing::of(&magic)))
}

/// A stream without its first bytes; it must have them.
fn skipped(bytes: ObjectBytes, skip: u64, url: ObjectUrl) -> ObjectBytes {
    if skip == 0 {
        return bytes;
    }
    futures::stream::try_unfold((bytes, skip, url), |(mut bytes, mut skip, url)| async move {
        loop {
            match bytes.next().await {
                Some(piece) => {
                    let mut piece = piece?;
                    let known = usize::try_from(skip).unwrap_or(usize::MAX).min(piece.len());
                    piece.advance(known);
                    skip -= known as u64;
                    if !piece.is_empty() {
                        return Ok(Some((piece, (bytes, skip, url))));
                    }
                }
                None if skip > 0 => return Err(ObjectError::Changed { address: url.to_string() }),
                None => return Ok(None),
            }
        }
    })
    .boxed()
}

/// The text behind `%20`; what is no text stays as it is.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let code = tail.get(..2).and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        match code {
            Some(byte) if first == b'%' => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}
