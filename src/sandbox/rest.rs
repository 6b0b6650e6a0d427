//! Shikimori's REST objects: the brief and the full anime, images, screenshots, videos.

use serde_json::{Value, json};

use super::data::{Poster, Title};
use super::generated::mix;
use super::reference::{REFERENCE, Studio};

/// The object that lists and relations carry.
pub(crate) fn brief(title: &Title) -> Value {
    let mut value = json!({
        "id": title.id,
        "name": title.name,
        "russian": title.russian,
        "image": poster(title),
        "url": format!("/animes/{}", title.slug()),
        "kind": title.kind,
        "score": score(title.score),
        "status": title.status,
        "episodes": title.episodes,
        "episodes_aired": if title.status == "released" { 0 } else { title.aired },
        "aired_on": title.from.as_deref().map(rest_date),
        "released_on": title.to.as_deref().map(rest_date),
    });
    patch(&mut value, title);
    value
}

/// `/api/animes/:id`.
pub(crate) fn full(title: &Title) -> Value {
    let mut value = brief(title);
    let Value::Object(object) = &mut value else { return value };
    let Value::Object(more) = json!({
        "rating": title.rating,
        "english": [title.english],
        "japanese": [title.japanese],
        "synonyms": title.synonyms,
        "license_name_ru": title.license,
        "duration": title.minutes,
        "description": title.text,
        "description_html": description_html(title),
        "description_source": title.source,
        "franchise": title.franchise,
        "favoured": false,
        "anons": title.status == "anons",
        "ongoing": title.status == "ongoing",
        "thread_id": title.id + 200_000,
        "topic_id": title.id + 200_000,
        "myanimelist_id": title.id,
        "rates_scores_stats": scores(title).iter().map(|(name, value)| json!({ "name": name, "value": value })).collect::<Vec<_>>(),
        "rates_statuses_stats": statuses(title).iter().map(|(_, name, value)| json!({ "name": name, "value": value })).collect::<Vec<_>>(),
        "updated_at": updated_at(title),
        "next_episode_at": title.next,
        "fansubbers": ["Тихие субтитры"],
        "fandubbers": [],
        "licensors": title.license.iter().map(|_| "Северное кино").collect::<Vec<_>>(),
        "genres": title.genres.iter().filter_map(|id| REFERENCE.genre(*id)).map(|genre| json!({
            "id": genre.id, "name": genre.name, "russian": genre.russian, "kind": "genre", "entry_type": "Anime",
        })).collect::<Vec<_>>(),
        "studios": title.studios.iter().filter_map(|id| REFERENCE.studio(*id)).map(studio).collect::<Vec<_>>(),
        "videos": videos(title).into_iter().take(2).collect::<Vec<_>>(),
        "screenshots": screenshots(title).into_iter().take(2).collect::<Vec<_>>(),
        "user_rate": null,
    }) else {
        return value;
    };
    object.extend(more);
    patch(&mut value, title);
    value
}

fn patch(value: &mut Value, title: &Title) {
    if let Value::Object(object) = value {
        object.extend(title.rest.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
}

/// A studio of REST.
pub(crate) fn studio(studio: &Studio) -> Value {
    json!({
        "id": studio.id,
        "name": studio.name,
        "filtered_name": studio.name.trim_start_matches("Studio "),
        "real": true,
        "image": if studio.id.is_multiple_of(2) { Some(format!("/system/studios/original/{}.png?1351013196", studio.id)) } else { None },
    })
}

fn poster(title: &Title) -> Value {
    if title.poster == Poster::Both { image("animes", title.id) } else { missing_image() }
}

/// Relative paths with the time of the upload.
pub(crate) fn image(kind: &str, id: u64) -> Value {
    let path = |size: &str| format!("/system/{kind}/{size}/{id}.jpg?1711952400");
    json!({ "original": path("original"), "preview": path("preview"), "x96": path("x96"), "x48": path("x48") })
}

/// The placeholder.
pub(crate) fn missing_image() -> Value {
    let path = |size: &str| format!("/assets/globals/missing_{size}.jpg");
    json!({ "original": path("original"), "preview": path("preview"), "x96": path("x96"), "x48": path("x48") })
}

/// A string with at least one decimal.
fn score(score: f64) -> String {
    let text = score.to_string();
    if text.contains('.') { text } else { format!("{text}.0") }
}

/// Unknown parts become 01, an unknown year 1901.
fn rest_date(date: &str) -> String {
    let mut parts = date.split('-');
    let year = parts.next().filter(|year| *year != "0000").unwrap_or("1901");
    format!("{year}-{}-{}", parts.next().unwrap_or("01"), parts.next().unwrap_or("01"))
}

/// Moscow time with milliseconds.
pub(crate) fn updated_at(title: &Title) -> String {
    format!("{}-06-14T{:02}:23:41.507+03:00", title.year().unwrap_or(2023).max(2011), title.id % 24)
}

/// The rendered description: never null.
pub(crate) fn description_html(title: &Title) -> String {
    if let Some(html) = &title.html {
        return html.clone();
    }
    let Some(text) = &title.text else { return "<div class=\"b-text_with_paragraphs\"></div>".to_owned() };
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!("<div class=\"b-text_with_paragraphs\">{}</div>", text.replace("\r\n", "<br>"))
}

/// How many people gave each mark.
pub(crate) fn scores(title: &Title) -> Vec<(u32, u64)> {
    if title.score <= 0.0 {
        return Vec::new();
    }
    (1..=10).rev().map(|mark| (mark, mix(title.id * 16 + u64::from(mark)) % 900 + 1)).collect()
}

/// How many people have it in which list: the key of GraphQL, the localised name of REST, the count.
pub(crate) fn statuses(title: &Title) -> Vec<(&'static str, &'static str, u64)> {
    let names = [
        ("planned", "Запланировано"),
        ("completed", "Просмотрено"),
        ("watching", "Смотрю"),
        ("dropped", "Брошено"),
        ("on_hold", "Отложено"),
    ];
    names.into_iter().enumerate().map(|(at, (key, name))| (key, name, mix(title.id * 8 + at as u64) % 4000)).collect()
}

/// The hash in the file name of a screenshot.
pub(crate) fn screenshot_hash(title: &Title, number: u64) -> String {
    let one = mix(title.id * 64 + number);
    format!("{one:016x}{:016x}{:08x}", mix(one), mix(one + 1) >> 32)
}

/// `/api/animes/:id/screenshots`.
pub(crate) fn screenshots(title: &Title) -> Vec<Value> {
    let count = if title.status == "anons" { 0 } else { 4 };
    (0..count)
        .map(|number| {
            let hash = screenshot_hash(title, number);
            json!({
                "original": format!("/system/screenshots/original/{hash}.jpg?1669472373"),
                "preview": format!("/system/screenshots/x332/{hash}.jpg?1669472373"),
            })
        })
        .collect()
}

/// `/api/animes/:id/videos`.
pub(crate) fn videos(title: &Title) -> Vec<Value> {
    if !title.id.is_multiple_of(2) {
        return Vec::new();
    }
    vec![json!({
        "id": title.id * 3, "url": format!("https://video.example/watch?v={}", title.id),
        "image_url": format!("http://img.video.example/{}/hq.jpg", title.id),
        "player_url": format!("http://video.example/embed/{}", title.id),
        "name": null, "kind": "pv", "hosting": "youtube",
    })]
}

/// One node of `/franchise`.
pub(crate) fn franchise_node(title: &Title, weight: usize) -> Value {
    let kind = match title.kind.as_deref() {
        Some("movie") => "Фильм",
        Some("ova") => "OVA",
        Some("special" | "tv_special") => "Спецвыпуск",
        _ => "TV Сериал",
    };
    json!({
        "id": title.id, "date": 1_669_472_373, "name": title.russian.as_deref().unwrap_or(&title.name),
        "image_url": poster(title)["x96"], "url": format!("/animes/{}", title.slug()), "year": title.year(),
        "kind": kind, "weight": weight,
    })
}

/// The Russian label of a relation.
pub(crate) fn relation_russian(label: &str) -> &'static str {
    match label {
        "Sequel" => "Продолжение",
        "Prequel" => "Предыстория",
        "Side Story" => "Другая история",
        "Parent Story" => "Первоисточник",
        "Summary" => "Обобщение",
        "Spin-off" => "Ответвление",
        _ => "Прочее",
    }
}

#[cfg(test)]
mod tests {
    use super::{rest_date, score};

    #[test]
    fn dates_fill_what_is_unknown() {
        assert_eq!(rest_date("2013"), "2013-01-01");
        assert_eq!(rest_date("2013-04"), "2013-04-01");
        assert_eq!(rest_date("0000-04-05"), "1901-04-05");
    }

    #[test]
    fn scores_are_strings_with_a_decimal() {
        assert_eq!(score(0.0), "0.0");
        assert_eq!(score(8.72), "8.72");
    }
}
