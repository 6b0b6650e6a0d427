//! What the sources say, typed but not yet interpreted. Unknown fields and wrong types are handled at the edge
//! (`extract::drift`), which also counts them; nothing here panics or guesses.

pub mod kodik;
mod shape;
pub mod shikimori;

use super::ids::SeriesId;

/// Everything the sources say about one title: the input of `transform`.
#[derive(Debug, Clone)]
pub struct RawTitle {
    /// The Shikimori id that groups the materials.
    pub id: SeriesId,
    /// All materials of the title (a complete view), in the source's order.
    pub materials: Vec<kodik::Material>,
    /// The metadata, or why there is none.
    pub metadata: RawMetadata,
    /// `/roles`, when asked for.
    pub roles: Option<Vec<shikimori::Role>>,
}

/// Metadata of one title as one of Shikimori's two APIs gave it.
#[derive(Debug, Clone)]
pub enum RawMetadata {
    /// From GraphQL.
    GraphQl(Box<shikimori::GraphAnime>),
    /// From REST `/api/animes/:id`.
    Rest(Box<shikimori::RestAnime>),
    /// Shikimori hides the title; the record is made from `material_data` alone.
    MaterialDataOnly,
}
