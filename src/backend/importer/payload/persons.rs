//! Payloads of characters and pets.

use serde::{Deserialize, Serialize};

use super::nullable;
use crate::backend::importer::IdText;

/// The payload of a `character` record.
///
/// ```json
/// {"name": "Aoi Mori", "russian": "Аой Мори", "image": "https://img.example/73.jpg",
///  "series": ["5114", {"id": "9253", "role": "main"}]}
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"name": "Aoi Mori", "russian": "Аой Мори", "image": "https://img.example/73.jpg",
    "series": ["5114", {"id": "9253", "role": "main"}]}))]
pub struct CharacterPayload {
    /// Romanised name.
    pub name: String,
    /// Russian name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub russian: Option<String>,
    /// Address of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Addresses of all images, best first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<Vec<String>>,
    /// The series it is in; all of them, so that one that is not listed any more is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<Vec<AppearancePayload>>,
}

/// A series that a character is in: its id, or its id and the role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum AppearancePayload {
    /// With the role.
    Role {
        /// The source's id of the series.
        id: IdText,
        /// `main` or `supporting`.
        #[serde(default)]
        role: Option<String>,
    },
    /// In a supporting role.
    Id(IdText),
}

/// The payload of a `pet` record.
///
/// ```json
/// {"name": "Kuro", "species": "cat", "owners": ["73"]}
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"name": "Kuro", "species": "cat", "owners": ["73"]}))]
pub struct PetPayload {
    /// Romanised name.
    pub name: String,
    /// Russian name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub russian: Option<String>,
    /// `cat`, `dragon`, …; open set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub species: Option<String>,
    /// Plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Address of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Addresses of all images, best first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<Vec<String>>,
    /// The source's id of the one character it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<IdText>,
    /// Ids of all characters it belongs to, so that one that is not listed any more is taken back.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Option::is_none")]
    pub owners: Option<Vec<IdText>>,
}
