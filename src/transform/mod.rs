//! Raw answers in, one [`TitleRecord`] out. Pure: no I/O, no clock, the same input always gives the same record.
//!
//! [`title`] reads from top to bottom as the record is made; every rule lives in the file of its name. The order in
//! which a source lists the materials of a title means nothing and changes nothing in the record.

mod bbcode;
mod characters;
mod dates;
mod description;
mod episodes;
mod error;
mod genres;
mod html;
mod images;
mod keys;
mod links;
mod metadata;
mod names;
mod releases;
mod rules;
mod seasons;
mod signals;
mod text;
mod videos;

pub use error::TransformError;
pub use rules::{Language, Rules, TranslationSelector, UnknownLanguage, UnusableSelector};

use crate::model::raw::RawTitle;
use crate::model::{Series, TitleRecord, Withheld};

use metadata::Metadata;

/// Everything the sources say about one title, made into the record that every loader receives.
///
/// # Errors
/// When the input holds no material, or no name at all under which the title could be shown.
pub fn title(raw: &RawTitle, rules: &Rules) -> Result<TitleRecord, TransformError> {
    let materials = releases::distinct(&raw.materials);
    if materials.is_empty() {
        return Err(TransformError::NoMaterials { id: raw.id });
    }

    let metadata = Metadata::of(&raw.metadata, &materials);
    let year = dates::year(&metadata, &materials);
    let names = names::choose(&metadata, &materials, year, rules).ok_or(TransformError::NoTitle { id: raw.id })?;
    let status = dates::status(metadata.status);

    let series = Series {
        id: raw.id,
        title: names.title,
        alternative_titles: names.alternatives,
        description: description::plain(metadata.description),
        year,
        status,
        poster: images::first(&metadata.posters, &rules.shikimori_asset_base),
        genres: genres::names(&metadata.genres, rules.genre_language),
        signals: signals::of(&metadata, status, &materials),
    };

    let uploads = releases::choose(&materials, rules);
    let merged = episodes::merge(raw.id, &uploads.kept, rules);
    let releases = releases::describe(&uploads.kept, &merged.episodes_per_upload);

    Ok(TitleRecord {
        series,
        episodes: merged.episodes,
        releases,
        videos: merged.videos,
        characters: raw.roles.as_deref().map(|roles| characters::of(roles, &rules.shikimori_asset_base)),
        withheld: Withheld {
            specials: merged.specials,
            joined: merged.joined,
            reuploads: uploads.reuploads,
            excluded: uploads.excluded,
            unlinked: merged.unlinked,
        },
        origin: metadata.origin,
    })
}
