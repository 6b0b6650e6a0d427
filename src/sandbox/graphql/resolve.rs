//! The values behind the fields, computed only when asked for.

use serde_json::{Map, Value, json};

use super::super::catalogue::Catalogue;
use super::super::data::{Poster, Subject, Title};
use super::super::reference::REFERENCE;
use super::super::rest;
use super::super::select::season;
use super::parse::Field;

/// Where the sandbox says that pictures live.
const STATIC: &str = "https://shikimori.example";

/// One element of `animes`.
pub(super) fn anime(catalogue: &Catalogue, title: &Title, selections: &[Field]) -> Value {
    let mut object = Map::new();
    for field in selections {
        let value = match field.name.as_str() {
            "__typename" => json!("Anime"),
            name if title.graphql.contains_key(name) => title.graphql[name].clone(),
            "related" => title
                .related
                .iter()
                .enumerate()
                .filter_map(|(index, (label, id))| related(catalogue, title, index, label, *id, field))
                .collect(),
            "chronology" => {
                let others = title.related.iter().filter_map(|(_, id)| catalogue.title(*id));
                std::iter::once(title.clone())
                    .chain(others)
                    .map(|it| anime(catalogue, &it, &field.selections))
                    .collect()
            }
            name => project(value_of(title, name), &field.selections),
        };
        object.insert(field.alias.clone(), value);
    }
    Value::Object(object)
}

fn related(catalogue: &Catalogue, title: &Title, index: usize, label: &str, id: u64, field: &Field) -> Option<Value> {
    let other = catalogue.title(id)?;
    let mut object = Map::new();
    for part in &field.selections {
        let value = match part.name.as_str() {
            "__typename" => json!("Related"),
            "id" => json!((title.id * 10 + index as u64).to_string()),
            "relationKind" => json!(label.to_lowercase().replace([' ', '-'], "_")),
            "relationEn" => json!(label),
            "relationText" | "relationRu" => json!(rest::relation_russian(label)),
            "anime" => anime(catalogue, &other, &part.selections),
            _ => Value::Null,
        };
        object.insert(part.alias.clone(), value);
    }
    Some(Value::Object(object))
}

/// Keeps the selected fields of an object, or of each object of a list.
fn project(value: Value, selections: &[Field]) -> Value {
    match value {
        Value::Array(items) if !selections.is_empty() => {
            items.into_iter().map(|item| project(item, selections)).collect()
        }
        Value::Object(mut object) if !selections.is_empty() => {
            let mut kept = Map::new();
            for field in selections {
                let value = object.get_mut(&field.name).map(|value| value.clone()).unwrap_or_default();
                kept.insert(field.alias.clone(), project(value, &field.selections));
            }
            Value::Object(kept)
        }
        other => other,
    }
}

fn value_of(title: &Title, name: &str) -> Value {
    match name {
        "id" | "malId" => json!(title.id.to_string()),
        "name" => json!(title.name),
        "russian" => json!(title.russian),
        "licenseNameRu" => json!(title.license),
        "english" => json!(title.english),
        "japanese" => json!(title.japanese),
        "synonyms" => json!(title.synonyms),
        "kind" => json!(title.kind),
        "rating" => json!(title.rating),
        "score" => json!(title.score),
        "status" => json!(title.status),
        "origin" => json!("manga"),
        "episodes" => json!(title.episodes),
        "episodesAired" => json!(if title.status == "released" { 0 } else { title.aired }),
        "duration" => json!(title.minutes),
        "airedOn" => date(title.from.as_deref()),
        "releasedOn" => date(title.to.as_deref()),
        "url" => json!(format!("{STATIC}/animes/{}", title.slug())),
        "season" => json!(season(title)),
        "franchise" => json!(title.franchise),
        "poster" if title.poster == Poster::None => Value::Null,
        "poster" => poster("animes", title.id),
        "fansubbers" => json!(["Тихие субтитры"]),
        "licensors" => json!(title.license.iter().map(|_| "Северное кино").collect::<Vec<_>>()),
        "createdAt" => json!("2015-02-01T12:00:00+03:00"),
        "updatedAt" => json!(rest::updated_at(title).replace(".507", "")),
        "nextEpisodeAt" => json!(title.next),
        "isCensored" => json!(title.is_adult()),
        "description" => json!(title.text),
        "descriptionHtml" => json!(rest::description_html(title)),
        "descriptionSource" => json!(title.source),
        "opengraphImageUrl" => json!(format!("{STATIC}/opengraph/{}.jpg", title.id)),
        "genres" => genres(title),
        "studios" => studios(title),
        "scoresStats" => {
            rest::scores(title).iter().map(|(score, count)| json!({ "score": score, "count": count })).collect()
        }
        "statusesStats" => {
            rest::statuses(title).iter().map(|(status, _, count)| json!({ "status": status, "count": count })).collect()
        }
        "screenshots" => screenshots(title),
        "videos" => videos(title),
        "externalLinks" => json!([{
            "__typename": "ExternalLink", "id": (title.id * 10).to_string(), "kind": "official_site",
            "url": format!("https://{}.example.jp/", title.id), "createdAt": null, "updatedAt": null,
        }]),
        "characterRoles" => roles(title, "character"),
        "personRoles" => roles(title, "person"),
        _ => json!([]),
    }
}

fn genres(title: &Title) -> Value {
    let genres = title.genres.iter().filter_map(|id| REFERENCE.genre(*id));
    genres
        .map(|genre| {
            json!({
                "__typename": "Genre", "id": genre.id.to_string(), "name": genre.name, "russian": genre.russian,
                "kind": genre.kind, "entryType": "Anime",
            })
        })
        .collect()
}

fn studios(title: &Title) -> Value {
    let studios = title.studios.iter().filter_map(|id| REFERENCE.studio(*id));
    studios
        .map(|studio| {
            let image =
                studio.id.is_multiple_of(2).then(|| format!("{STATIC}/system/studios/original/{}.png", studio.id));
            json!({ "__typename": "Studio", "id": studio.id.to_string(), "name": studio.name, "imageUrl": image })
        })
        .collect()
}

fn screenshots(title: &Title) -> Value {
    let count = rest::screenshots(title).len() as u64;
    (0..count)
        .map(|number| {
            let hash = rest::screenshot_hash(title, number);
            let url = |size: &str| format!("{STATIC}/system/screenshots/{size}/{hash}.jpg");
            json!({
                "__typename": "Screenshot", "id": (title.id * 8 + number).to_string(), "originalUrl": url("original"),
                "x166Url": url("x166"), "x332Url": url("x332"),
            })
        })
        .collect()
}

fn videos(title: &Title) -> Value {
    let videos = rest::videos(title).into_iter();
    videos
        .map(|video| {
            json!({
                "__typename": "Video", "id": video["id"].to_string(), "url": video["url"], "name": video["name"],
                "kind": video["kind"], "playerUrl": video["player_url"], "imageUrl": video["image_url"],
            })
        })
        .collect()
}

/// Unknown parts are null, and `date` with them.
fn date(text: Option<&str>) -> Value {
    let mut parts =
        text.unwrap_or_default().split('-').map(|part| part.parse::<u32>().ok().filter(|number| *number > 0));
    let (year, month, day) = (parts.next().flatten(), parts.next().flatten(), parts.next().flatten());
    let whole = year.and(month).and(day).and(text);
    json!({ "__typename": "IncompleteDate", "year": year, "month": month, "day": day, "date": whole })
}

fn poster(kind: &str, id: u64) -> Value {
    let mut poster = Map::new();
    poster.insert("__typename".to_owned(), json!("Poster"));
    poster.insert("id".to_owned(), json!(id.to_string()));
    let hash = blake3::hash(format!("{kind}/{id}").as_bytes()).to_hex();
    let file = &hash.as_str()[..32];
    let names = [
        "original",
        "main",
        "main2x",
        "mainAlt",
        "mainAlt2x",
        "preview",
        "preview2x",
        "previewAlt",
        "previewAlt2x",
        "mini",
        "mini2x",
        "miniAlt",
        "miniAlt2x",
    ];
    for name in names {
        let part = if name == "original" { String::new() } else { format!("{name}-") };
        poster.insert(format!("{name}Url"), json!(format!("{STATIC}/uploads/poster/{kind}/{id}/{part}{file}.jpeg")));
    }
    Value::Object(poster)
}

fn roles(title: &Title, side: &str) -> Value {
    let mut list = Vec::new();
    for (index, role) in title.roles.iter().enumerate() {
        let (subject, kind) = match side {
            "person" => (&role.person, "people"),
            _ => (&role.character, "characters"),
        };
        if let Some(subject) = subject {
            list.push(json!({
                "__typename": if side == "person" { "PersonRole" } else { "CharacterRole" },
                "id": (title.id * 100 + index as u64).to_string(),
                "rolesRu": role.roles_russian, "rolesEn": role.roles, side: subject_value(subject, kind),
            }));
        }
    }
    Value::Array(list)
}

fn subject_value(subject: &Subject, kind: &str) -> Value {
    json!({
        "__typename": if kind == "people" { "Person" } else { "Character" },
        "id": subject.id.to_string(), "malId": subject.id.to_string(), "name": subject.name, "russian": subject.russian,
        "url": format!("{STATIC}/{kind}/{}", subject.id),
        "poster": if subject.poster { poster(kind, subject.id) } else { Value::Null },
    })
}
