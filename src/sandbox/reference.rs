//! The small dictionaries both sources share: genres, studios, translations.

use std::sync::LazyLock;

use serde::Deserialize;

/// One genre of Shikimori.
#[derive(Debug, Deserialize)]
pub(crate) struct Genre {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) russian: String,
    /// `genre`, `theme` or `demographic`; REST always says `genre`.
    pub(crate) kind: String,
}

/// One animation studio.
#[derive(Debug, Deserialize)]
pub(crate) struct Studio {
    pub(crate) id: u32,
    pub(crate) name: String,
}

/// One translation of Kodik.
#[derive(Debug, Deserialize)]
pub(crate) struct Translation {
    pub(crate) id: u32,
    pub(crate) title: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
}

/// All dictionaries.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Reference {
    pub(crate) genres: Vec<Genre>,
    pub(crate) studios: Vec<Studio>,
    pub(crate) translations: Vec<Translation>,
}

/// Parsed once; a fault in the embedded file is caught by the tests of this module.
pub(crate) static REFERENCE: LazyLock<Reference> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../fixtures/sandbox/reference.json")).unwrap_or_default());

impl Reference {
    /// The genre of this id.
    pub(crate) fn genre(&self, id: u32) -> Option<&Genre> {
        self.genres.iter().find(|genre| genre.id == id)
    }

    /// The studio of this id.
    pub(crate) fn studio(&self, id: u32) -> Option<&Studio> {
        self.studios.iter().find(|studio| studio.id == id)
    }

    /// The translation of this id.
    pub(crate) fn translation(&self, id: u32) -> Option<&Translation> {
        self.translations.iter().find(|translation| translation.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::REFERENCE;

    #[test]
    fn embedded_dictionaries_are_read() {
        assert!(REFERENCE.genres.len() > 20);
        assert!(REFERENCE.studios.len() > 10);
        assert!(REFERENCE.translations.len() >= 33);
    }
}
