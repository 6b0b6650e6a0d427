//! What a series looks like after an import: good data never give way to nothing, or to data of a poorer origin.

use super::plan::FieldChange;
use crate::model::{Date, MetadataOrigin, Release, SeriesStatus, TranslationKind};
use crate::store::catalogue::{SeriesRow, StoredRelease, StoredSeries, origin_word, translation_kind};

/// The series as it shall be and which fields that changes; `None` = it stays as it is.
///
/// * A row that a person edited stays.
/// * A record made from Kodik's own data leaves a row made from Shikimori's alone, as a whole: mixing the two field by
///   field would show one title under another's description.
/// * A value that is missing (or an empty list) leaves the stored one, except for `next_episode_at`, where "none" is
///   news: the last episode has aired. With `replace` every missing value is news.
pub(super) fn series(
    stored: &StoredSeries,
    new: &SeriesRow,
    origin: MetadataOrigin,
    replace: bool,
) -> Option<(SeriesRow, MetadataOrigin, Vec<FieldChange>)> {
    let poorer = |origin| origin == MetadataOrigin::MaterialData;
    if stored.admin_modified || (poorer(origin) && !poorer(stored.origin) && !replace) {
        return None;
    }
    let mut merged = stored.series.clone();
    let mut fields = Vec::new();
    let mut merge = Merge { fields: &mut fields, replace };
    merge.required("title", &mut merged.title, &new.title);
    merge.list("alternative_titles", &mut merged.alternative_titles, &new.alternative_titles);
    merge.text("description", &mut merged.description, new.description.as_ref());
    merge.value("year", &mut merged.year, new.year, |year| year.to_string());
    merge.value("status", &mut merged.status, new.status, |status: SeriesStatus| status.as_str().to_owned());
    merge.text("poster", &mut merged.poster, new.poster.as_ref());
    merge.list("genres", &mut merged.genres, &new.genres);
    let (into, from) = (&mut merged.signals, &new.signals);
    merge.text("kind", &mut into.kind, from.kind.as_ref());
    merge.value("score", &mut into.score, from.score, |score| score.to_string());
    merge.text("rating", &mut into.rating, from.rating.as_ref());
    merge.value("duration_minutes", &mut into.duration_minutes, from.duration_minutes, |n| n.to_string());
    merge.value("episodes_total", &mut into.episodes_total, from.episodes_total, |n| n.to_string());
    merge.value("episodes_aired", &mut into.episodes_aired, from.episodes_aired, |n| n.to_string());
    // The table keeps milliseconds.
    let next = from.next_episode_at.and_then(|at| jiff::Timestamp::from_millisecond(at.as_millisecond()).ok());
    if into.next_episode_at != next && (replace || !(next.is_none() && poorer(origin))) {
        let show = |at: Option<jiff::Timestamp>| at.map(|at| at.to_string());
        merge.changed("next_episode_at", show(into.next_episode_at), show(next));
        into.next_episode_at = next;
    }
    merge.value("aired_on", &mut into.aired_on, from.aired_on, date);
    merge.value("released_on", &mut into.released_on, from.released_on, date);
    merge.list("studios", &mut into.studios, &from.studios);
    merge.text("franchise", &mut into.franchise, from.franchise.as_ref());
    merge.text("season", &mut into.season, from.season.as_ref());
    merge.text("imdb_id", &mut into.imdb_id, from.imdb_id.as_ref());
    merge.text("kinopoisk_id", &mut into.kinopoisk_id, from.kinopoisk_id.as_ref());
    if poorer(stored.origin) && !poorer(origin) {
        // Even with equal fields: from now on the row is protected.
        merge.changed("origin", Some(origin_word(stored.origin).to_owned()), Some(origin_word(origin).to_owned()));
    }
    if fields.is_empty() { None } else { Some((merged, origin, fields)) }
}

/// What a release's own record leaves out stays as it is stored.
pub(super) fn release(stored: &StoredRelease, new: &mut Release) {
    if new.translation.title.is_empty() {
        new.translation.title.clone_from(&stored.title);
    }
    let kinds = [TranslationKind::Voice, TranslationKind::Subtitles];
    if new.translation.kind == TranslationKind::Unknown
        && let Some(kind) = kinds.into_iter().find(|kind| translation_kind(*kind) == stored.kind)
    {
        new.translation.kind = kind;
    }
    if new.quality.is_none() {
        new.quality.clone_from(&stored.quality);
    }
    if new.updated_at.is_none() {
        new.updated_at = stored.source_updated_at.and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
    }
}

fn date(date: Date) -> String {
    let Date { year, month, day } = date;
    format!("{year}-{}-{}", month.unwrap_or_default(), day.unwrap_or_default())
}

struct Merge<'a> {
    fields: &'a mut Vec<FieldChange>,
    replace: bool,
}

impl Merge<'_> {
    fn changed(&mut self, name: &'static str, old: Option<String>, new: Option<String>) {
        self.fields.push(FieldChange { name, old, new });
    }

    fn required(&mut self, name: &'static str, into: &mut String, from: &str) {
        if into != from && !from.is_empty() {
            let old = std::mem::replace(into, from.to_owned());
            self.changed(name, Some(old), Some(from.to_owned()));
        }
    }

    fn text(&mut self, name: &'static str, into: &mut Option<String>, from: Option<&String>) {
        if let Some(from) = from
            && into.as_ref() != Some(from)
        {
            let old = into.replace(from.clone());
            self.changed(name, old, Some(from.clone()));
        } else if from.is_none()
            && self.replace
            && let Some(old) = into.take()
        {
            self.changed(name, Some(old), None);
        }
    }

    fn value<T: Copy + PartialEq>(
        &mut self,
        name: &'static str,
        into: &mut Option<T>,
        from: Option<T>,
        show: fn(T) -> String,
    ) {
        if let Some(from) = from
            && *into != Some(from)
        {
            let old = into.replace(from);
            self.changed(name, old.map(show), Some(show(from)));
        } else if from.is_none()
            && self.replace
            && let Some(old) = into.take()
        {
            self.changed(name, Some(show(old)), None);
        }
    }

    fn list(&mut self, name: &'static str, into: &mut Vec<String>, from: &[String]) {
        if (self.replace || !from.is_empty()) && into != from {
            let old = std::mem::replace(into, from.to_vec());
            self.changed(name, Some(old.join(", ")), Some(from.join(", ")));
        }
    }
}
