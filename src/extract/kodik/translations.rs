//! `/translations/v2`: names of the translations and how many materials each has.

use bytes::Bytes;
use serde::Deserialize;

use super::envelope::Envelope;
use super::{Kodik, NAME};
use crate::extract::ExtractError;
use crate::extract::drift::{DriftKind, Root};

const ENDPOINT: &str = "/translations/v2";

/// One translation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TranslationInfo {
    /// Translation id.
    pub id: i64,
    /// Studio.
    #[serde(default)]
    pub title: String,
    /// Materials of the asked types.
    #[serde(default)]
    pub count: u64,
}

/// All translations.
#[derive(Debug, Clone)]
pub struct Translations {
    /// Those that could be read.
    pub list: Vec<TranslationInfo>,
    /// The whole answer, byte for byte.
    pub raw: Bytes,
}

impl Kodik {
    /// All translations of the configured types.
    pub async fn translations(&self) -> Result<Translations, ExtractError> {
        let body = self.ask(self.request(ENDPOINT), false).await?;
        let list = self.read_translations(&body)?;
        Ok(Translations { list, raw: body })
    }

    pub(super) fn read_translations(&self, body: &Bytes) -> Result<Vec<TranslationInfo>, ExtractError> {
        let envelope = self.envelope(ENDPOINT, body)?;
        let root = Root { source: NAME, name: "translations/v2" };
        let mut list = Vec::new();
        for item in envelope.results.as_deref().unwrap_or_default() {
            match serde_json::from_str(item.get()) {
                Ok(translation) => list.push(translation),
                Err(_) => self.drift.add(root, DriftKind::WrongType, "translations/v2.*".to_owned(), 1, ENDPOINT),
            }
        }
        Ok(list)
    }
}

/// Reads a landed answer again; what cannot be read was counted when it came and is passed over now.
pub fn parse_translations(raw: &[u8]) -> Vec<TranslationInfo> {
    let Ok(envelope) = serde_json::from_slice::<Envelope<'_>>(raw) else { return Vec::new() };
    envelope.results.unwrap_or_default().into_iter().filter_map(|item| serde_json::from_str(item.get()).ok()).collect()
}
