//! A ledger line as read into memory: nothing is copied that memory does not keep, because a start reads all of them.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;

use super::entry::{Airing, Entry, Fingerprint, Status};

/// The fields of a line that memory needs; everything else is passed over without a copy.
#[derive(Deserialize)]
pub(super) struct IndexLine<'a> {
    pub(super) id: u64,
    #[serde(default)]
    pub(super) run: u32,
    pub(super) status: Status,
    #[serde(default, borrow)]
    pub(super) reason: Option<Text<'a>>,
    #[serde(default)]
    pub(super) retryable: bool,
    #[serde(default, with = "hex")]
    pub(super) fingerprint: Option<Fingerprint>,
    #[serde(default)]
    pub(super) episodes: u32,
    #[serde(default)]
    pub(super) episodes_total: Option<u32>,
    #[serde(default)]
    pub(super) airing: Airing,
    #[serde(default)]
    pub(super) next_episode_at: Option<Timestamp>,
    pub(super) at: Timestamp,
}

/// `Option<Cow>` would always copy; a `Cow` in a type of its own borrows when it can.
#[derive(Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

impl IndexLine<'_> {
    /// The entry, unless the id is none.
    pub(super) fn compact(&self) -> Option<Entry> {
        let is_id = self.id > 0 && i64::try_from(self.id).is_ok();
        is_id.then(|| Entry::of(self))
    }
}

/// A fingerprint from its 32 hex digits, as [`TitleRecord::fingerprint`](crate::model::TitleRecord::fingerprint) gives it.
pub fn from_hex(text: &str) -> Option<Fingerprint> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    if text.len() != 32 {
        return None;
    }
    let mut bytes = Fingerprint::default();
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// Fingerprints as 32 hex digits.
pub(super) mod hex {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::{Fingerprint, Text, from_hex};

    #[expect(clippy::ref_option, reason = "the signature serde asks for")]
    pub(in crate::checkpoint) fn serialize<S: Serializer>(
        value: &Option<Fingerprint>,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let Some(bytes) = value else { return out.serialize_none() };
        let mut text = [0_u8; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        out.serialize_str(std::str::from_utf8(&text).unwrap_or_default())
    }

    pub(in crate::checkpoint) fn deserialize<'de, D: Deserializer<'de>>(
        input: D,
    ) -> Result<Option<Fingerprint>, D::Error> {
        let Some(Text(text)) = Option::<Text<'de>>::deserialize(input)? else { return Ok(None) };
        from_hex(&text).map(Some).ok_or_else(|| D::Error::custom("a fingerprint has 32 hex digits"))
    }
}
