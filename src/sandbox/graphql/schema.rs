//! The types of the API: which fields exist, what they contain and what they cost.

use super::parse::Field;

/// Name, type of the object it holds ("" for scalars), own cost.
type Known = (&'static str, &'static str, usize);

const QUERY: &[Known] = &[("animes", "Anime", 1)];

const ANIME: &[Known] = &[
    ("id", "", 1),
    ("malId", "", 1),
    ("name", "", 1),
    ("russian", "", 1),
    ("licenseNameRu", "", 1),
    ("english", "", 1),
    ("japanese", "", 1),
    ("synonyms", "", 1),
    ("kind", "", 1),
    ("rating", "", 1),
    ("score", "", 1),
    ("status", "", 1),
    ("origin", "", 1),
    ("episodes", "", 1),
    ("episodesAired", "", 1),
    ("duration", "", 1),
    ("airedOn", "IncompleteDate", 1),
    ("releasedOn", "IncompleteDate", 1),
    ("url", "", 1),
    ("season", "", 1),
    ("franchise", "", 1),
    ("poster", "Poster", 5),
    ("fansubbers", "", 1),
    ("fandubbers", "", 1),
    ("licensors", "", 1),
    ("createdAt", "", 1),
    ("updatedAt", "", 1),
    ("nextEpisodeAt", "", 1),
    ("isCensored", "", 1),
    ("genres", "Genre", 1),
    ("studios", "Studio", 1),
    ("externalLinks", "ExternalLink", 10),
    ("personRoles", "PersonRole", 10),
    ("characterRoles", "CharacterRole", 10),
    ("related", "Related", 10),
    ("videos", "Video", 10),
    ("screenshots", "Screenshot", 10),
    ("chronology", "Anime", 50),
    ("scoresStats", "ScoreStat", 1),
    ("statusesStats", "StatusStat", 1),
    ("description", "", 1),
    ("descriptionHtml", "", 1),
    ("descriptionSource", "", 1),
    ("opengraphImageUrl", "", 1),
];

const DATE: &[Known] = &[("year", "", 1), ("month", "", 1), ("day", "", 1), ("date", "", 1)];
const POSTER: &[Known] = &[
    ("id", "", 1),
    ("originalUrl", "", 1),
    ("mainUrl", "", 1),
    ("main2xUrl", "", 1),
    ("mainAltUrl", "", 1),
    ("mainAlt2xUrl", "", 1),
    ("previewUrl", "", 1),
    ("preview2xUrl", "", 1),
    ("previewAltUrl", "", 1),
    ("previewAlt2xUrl", "", 1),
    ("miniUrl", "", 1),
    ("mini2xUrl", "", 1),
    ("miniAltUrl", "", 1),
    ("miniAlt2xUrl", "", 1),
];
const GENRE: &[Known] = &[("id", "", 1), ("name", "", 1), ("russian", "", 1), ("kind", "", 1), ("entryType", "", 1)];
const STUDIO: &[Known] = &[("id", "", 1), ("name", "", 1), ("imageUrl", "", 1)];
const LINK: &[Known] = &[("id", "", 1), ("kind", "", 1), ("url", "", 1), ("createdAt", "", 1), ("updatedAt", "", 1)];
const PERSON_ROLE: &[Known] = &[("id", "", 1), ("rolesRu", "", 1), ("rolesEn", "", 1), ("person", "Subject", 1)];
const CHARACTER_ROLE: &[Known] = &[("id", "", 1), ("rolesRu", "", 1), ("rolesEn", "", 1), ("character", "Subject", 1)];
const SUBJECT: &[Known] =
    &[("id", "", 1), ("malId", "", 1), ("name", "", 1), ("russian", "", 1), ("url", "", 1), ("poster", "Poster", 5)];
const RELATED: &[Known] = &[
    ("id", "", 1),
    ("relationKind", "", 1),
    ("relationText", "", 1),
    ("relationRu", "", 1),
    ("relationEn", "", 1),
    ("anime", "Anime", 1),
    ("manga", "Manga", 1),
];
const MANGA: &[Known] = &[("id", "", 1), ("name", "", 1), ("russian", "", 1)];
const VIDEO: &[Known] =
    &[("id", "", 1), ("url", "", 1), ("name", "", 1), ("kind", "", 1), ("playerUrl", "", 1), ("imageUrl", "", 1)];
const SCREENSHOT: &[Known] = &[("id", "", 1), ("originalUrl", "", 1), ("x166Url", "", 1), ("x332Url", "", 1)];
const SCORE: &[Known] = &[("score", "", 1), ("count", "", 1)];
const STATUS: &[Known] = &[("status", "", 1), ("count", "", 1)];

fn fields_of(kind: &str) -> &'static [Known] {
    match kind {
        "Query" => QUERY,
        "Anime" => ANIME,
        "IncompleteDate" => DATE,
        "Poster" => POSTER,
        "Genre" => GENRE,
        "Studio" => STUDIO,
        "ExternalLink" => LINK,
        "PersonRole" => PERSON_ROLE,
        "CharacterRole" => CHARACTER_ROLE,
        "Subject" => SUBJECT,
        "Related" => RELATED,
        "Manga" => MANGA,
        "Video" => VIDEO,
        "Screenshot" => SCREENSHOT,
        "ScoreStat" => SCORE,
        "StatusStat" => STATUS,
        _ => &[],
    }
}

/// The arguments of `animes`.
const ARGUMENTS: [&str; 18] = [
    "page",
    "limit",
    "order",
    "kind",
    "status",
    "season",
    "score",
    "duration",
    "rating",
    "origin",
    "genre",
    "studio",
    "franchise",
    "censored",
    "mylist",
    "ids",
    "excludeIds",
    "search",
];

/// The cost of the selections, or what is wrong with them.
pub(super) fn check(kind: &str, selections: &[Field]) -> Result<usize, String> {
    let mut cost = 0;
    for field in selections {
        if field.name == "__typename" {
            continue;
        }
        let Some((_, holds, own)) = fields_of(kind).iter().find(|(name, ..)| *name == field.name) else {
            return Err(format!("Field '{}' doesn't exist on type '{kind}'", field.name));
        };
        for (argument, _) in &field.arguments {
            if kind != "Query" || !ARGUMENTS.contains(&argument.as_str()) {
                return Err(format!("Field '{}' doesn't accept argument '{argument}'", field.name));
            }
        }
        match (holds.is_empty(), field.selections.is_empty()) {
            (true, false) => {
                return Err(format!("Selections can't be made on scalars (field '{}' on type '{kind}')", field.name));
            }
            (false, true) => {
                return Err(format!(
                    "Field must have selections (field '{}' returns {holds} but has no selections)",
                    field.name
                ));
            }
            _ => {}
        }
        cost += own + if holds.is_empty() { 0 } else { check(holds, &field.selections)? };
    }
    Ok(cost)
}
