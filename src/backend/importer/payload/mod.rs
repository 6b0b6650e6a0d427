//! What the payloads of the four kinds of records hold. Fields that are not listed are ignored; a field that is absent
//! or `null` says nothing, which leaves what is stored (except under the policy `replace`).

mod persons;
mod series;
mod text;

pub use persons::{AppearancePayload, CharacterPayload, PetPayload};
pub use series::{CastPayload, EpisodePayload, RelationPayload, ReleasePayload, SeriesPayload, TranslationPayload};
pub(super) use text::{holds_nul, nullable};
