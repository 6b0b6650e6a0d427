//! Writes one Kodik material as JSON, straight into the answer's buffer.

use std::io::Write;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::data::{Material, Title};
use super::params::Params;
use super::reference::REFERENCE;
use super::seasons::Season;

/// Which optional parts a request asked for.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "one per request parameter")]
pub(crate) struct Shape {
    seasons: bool,
    episodes: bool,
    episodes_data: bool,
    material_data: bool,
}

impl Shape {
    /// `with_seasons`, `with_episodes`, `with_episodes_data`, `with_material_data`.
    pub(crate) fn of(params: &Params) -> Self {
        Self {
            seasons: params.flag("with_seasons"),
            episodes: params.flag("with_episodes"),
            episodes_data: params.flag("with_episodes_data"),
            material_data: params.flag("with_material_data"),
        }
    }
}

/// Appends the material to `out`.
pub(crate) fn write(out: &mut Vec<u8>, title: &Title, material: &Material, shape: Shape) {
    if material.raw.is_empty() && material.absent.is_empty() {
        write_plain(out, title, material, shape);
        return;
    }
    let mut plain = Vec::new();
    write_plain(&mut plain, title, material, shape);
    let Ok(Value::Object(mut object)) = serde_json::from_slice(&plain) else { return };
    for field in &material.absent {
        object.remove(field);
    }
    for (field, value) in &material.raw {
        // What was not asked for stays away, even if a fixture overrides it.
        if !matches!(field.as_str(), "seasons" | "material_data") || object.contains_key(field) {
            object.insert(field.clone(), value.clone());
        }
    }
    put(out, &Value::Object(object));
}

fn write_plain(out: &mut Vec<u8>, title: &Title, material: &Material, shape: Shape) {
    raw(out, "{\"id\":");
    text(out, &material.id);
    raw(out, ",\"type\":");
    text(out, material.kind());
    raw(out, ",\"link\":");
    link(out, material, if material.is_serial() { "serial" } else { "video" }, "", "");
    let russian = title.russian.as_deref().filter(|name| !name.is_empty()).unwrap_or(&title.name);
    field(out, "title", russian);
    field(out, "title_orig", &title.name);
    let others: Vec<&str> = title.english.iter().chain(&title.synonyms).map(String::as_str).collect();
    if !others.is_empty() {
        field(out, "other_title", &others.join(" / "));
    }
    if let Some(translation) = REFERENCE.translation(material.voice) {
        let _ = write!(out, ",\"translation\":{{\"id\":{}", translation.id);
        field(out, "title", &translation.title);
        field(out, "type", &translation.kind);
        raw(out, "}");
    }
    let _ = write!(out, ",\"year\":{}", title.year().unwrap_or(2020));
    if let Some(last) = material.seasons.last() {
        let episodes: u32 = material.seasons.iter().map(Season::count).sum();
        let number: u32 = last.key.parse().unwrap_or(1);
        let _ = write!(out, ",\"last_season\":{number},\"last_episode\":{},\"episodes_count\":{episodes}", last.last());
    }
    for (name, value) in [("kinopoisk_id", &title.kinopoisk), ("imdb_id", &title.imdb)] {
        if let Some(value) = value {
            field(out, name, value);
        }
    }
    if let Some(number) = title.worldart {
        field(out, "worldart_link", &format!("http://www.world-art.ru/animation/animation.php?id={number}"));
    }
    let _ = write!(out, ",\"shikimori_id\":\"{}\"", title.id);
    field(out, "quality", &material.quality);
    let _ = write!(out, ",\"camrip\":{},\"lgbt\":false,\"blocked_countries\":", material.camrip);
    put(out, &json!(material.blocked_countries));
    if material.is_serial() {
        raw(out, ",\"blocked_seasons\":");
        put(out, material.blocked_seasons.as_ref().unwrap_or(&json!({})));
    }
    field(out, "created_at", &time(material.created_at));
    field(out, "updated_at", &time(material.updated_at));
    if material.is_serial() && (shape.seasons || shape.episodes || shape.episodes_data) {
        write_seasons(out, material, shape);
    }
    if shape.material_data && !material.lacks("material_data") {
        raw(out, ",\"material_data\":");
        put(out, &material_data(title));
    }
    raw(out, ",\"screenshots\":[");
    let (_, number) = digest(material, "", "");
    let kind = if material.is_serial() { "seria" } else { "video" };
    for shot in 1..=5 {
        let comma = if shot == 1 { "" } else { "," };
        let _ = write!(out, "{comma}\"https://i.kodikres.com/screenshots/{kind}/{number}/{shot}.jpg\"");
    }
    raw(out, "]}");
}

fn write_seasons(out: &mut Vec<u8>, material: &Material, shape: Shape) {
    raw(out, ",\"seasons\":{");
    for (index, season) in material.seasons.iter().enumerate() {
        if index > 0 {
            raw(out, ",");
        }
        text(out, &season.key);
        raw(out, ":{\"link\":");
        link(out, material, "season", &season.key, "");
        if let Some(title) = &season.title {
            field(out, "title", title);
        }
        if shape.episodes || shape.episodes_data {
            raw(out, ",\"episodes\":{");
            let mut first = true;
            season.for_each_key(|key| {
                if !std::mem::take(&mut first) {
                    raw(out, ",");
                }
                text(out, key);
                raw(out, ":");
                if shape.episodes_data {
                    write_episode_data(out, material, &season.key, key);
                } else {
                    link(out, material, "seria", &season.key, key);
                }
            });
            raw(out, "}");
        }
        raw(out, "}");
    }
    raw(out, "}");
}

fn write_episode_data(out: &mut Vec<u8>, material: &Material, season: &str, key: &str) {
    raw(out, "{\"link\":");
    link(out, material, "seria", season, key);
    let (_, number) = digest(material, season, key);
    // Titles of episodes are the exception.
    if number.is_multiple_of(3) {
        field(out, "title", &format!("Серия {key}"));
    }
    let _ = write!(out, ",\"screenshots\":[\"https://i.kodikres.com/screenshots/seria/{number}/1.jpg\"]}}");
}

/// `//host/seria/123456/0123…/720p`: the same material, season and episode always give the same link.
fn link(out: &mut Vec<u8>, material: &Material, kind: &str, season: &str, episode: &str) {
    let (hash, number) = digest(material, season, episode);
    let number = if kind == "serial" || kind == "video" {
        material.id.split_once('-').map_or("", |(_, number)| number).to_owned()
    } else {
        number.to_string()
    };
    let _ = write!(out, "\"{}/{kind}/{number}/{}/720p\"", material.host, hash.as_str());
}

/// A stable 32-digit hash and a stable number for a link.
fn digest(material: &Material, season: &str, episode: &str) -> (Hex, u32) {
    let mut hasher = blake3::Hasher::new();
    hasher.update(material.id.as_bytes()).update(b"|");
    hasher.update(season.as_bytes()).update(b"|").update(episode.as_bytes());
    let bytes = hasher.finalize();
    let bytes = bytes.as_bytes();
    let number = u32::from_le_bytes([bytes[16], bytes[17], bytes[18], bytes[19]]) % 1_900_000 + 100_000;
    (Hex::of(bytes), number)
}

/// 32 hexadecimal digits without an allocation.
struct Hex([u8; 32]);

impl Hex {
    fn of(bytes: &[u8; 32]) -> Self {
        let mut digits = [0; 32];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
            pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
            pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
        }
        Self(digits)
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

fn material_data(title: &Title) -> Value {
    let mut data = serde_json::Map::new();
    let mut set = |name: &str, value: Value| data.insert(name.to_owned(), value);
    let russian = title.russian.as_deref().filter(|name| !name.is_empty()).unwrap_or(&title.name);
    set("title", json!(russian));
    set("anime_title", json!(russian));
    set("title_en", json!(title.name));
    set("other_titles", json!(title.synonyms));
    set("other_titles_en", json!(title.english.iter().collect::<Vec<_>>()));
    set("other_titles_jp", json!(title.japanese.iter().collect::<Vec<_>>()));
    if let Some(kind) = &title.kind {
        set("anime_kind", json!(kind));
    }
    set("all_status", json!(title.status));
    set("anime_status", json!(title.status));
    if let Some(year) = title.year() {
        set("year", json!(year));
    }
    if let Some(description) = &title.text {
        let stripped = strip_tags(description);
        set("description", json!(stripped));
        set("anime_description", json!(stripped));
    }
    let poster = format!("https://shikimori.example/uploads/poster/animes/{}/main.jpeg", title.id);
    set("poster_url", json!(poster));
    set("anime_poster_url", json!(poster));
    set("screenshots", json!([]));
    set("duration", json!(title.minutes));
    set("countries", json!(["Япония"]));
    let genres: Vec<&str> =
        title.genres.iter().filter_map(|id| REFERENCE.genre(*id)).map(|genre| genre.russian.as_str()).collect();
    set("all_genres", json!(genres));
    set("genres", json!(["аниме", "мультфильм"]));
    set("anime_genres", json!(genres));
    let studios: Vec<&str> =
        title.studios.iter().filter_map(|id| REFERENCE.studio(*id)).map(|studio| studio.name.as_str()).collect();
    set("anime_studios", json!(studios));
    if title.score > 0.0 {
        set("shikimori_rating", rating(title.score));
        set("shikimori_votes", json!(100 + title.id % 5000));
    }
    if let Some(from) = title.from.as_deref().filter(|from| from.len() == 10) {
        set("aired_at", json!(from));
        set("premiere_world", json!(from));
    }
    if let Some(to) = &title.to {
        set("released_at", json!(to));
    }
    if let Some(next) = title.next.as_deref().and_then(|next| next.parse::<Timestamp>().ok()) {
        set("next_episode_at", json!(next.to_string()));
    }
    let mpaa = title.rating.to_uppercase().replace("_PLUS", "+").replace('_', "-");
    set("rating_mpaa", json!(if mpaa == "RX" { "Rx" } else { &mpaa }));
    set("episodes_total", json!(title.episodes));
    set("episodes_aired", json!(if title.status == "released" { title.episodes } else { title.aired }));
    for (name, value) in &title.meta {
        if value.is_null() {
            data.remove(name);
        } else {
            data.insert(name.clone(), value.clone());
        }
    }
    Value::Object(data)
}

/// The joined metadata loses Shikimori's tags together with their text: `маг , ранее скрывавшийся`.
fn strip_tags(description: &str) -> String {
    let mut text = description.to_owned();
    for tag in ["character", "anime", "person", "manga"] {
        while let Some(start) = text.find(&format!("[{tag}=")) {
            let close = format!("[/{tag}]");
            let Some(end) = text[start..].find(&close) else { break };
            text.replace_range(start..start + end + close.len(), "");
        }
    }
    text
}

/// Whole ratings arrive as integers.
#[expect(clippy::cast_possible_truncation, reason = "a score is between 0 and 10")]
fn rating(score: f64) -> Value {
    if (score - score.round()).abs() < f64::EPSILON { json!(score as i64) } else { json!(score) }
}

fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).unwrap_or_default().to_string()
}

fn raw(out: &mut Vec<u8>, json: &str) {
    out.extend_from_slice(json.as_bytes());
}

fn text(out: &mut Vec<u8>, value: &str) {
    let _ = serde_json::to_writer(out, value);
}

fn put(out: &mut Vec<u8>, value: &Value) {
    let _ = serde_json::to_writer(out, value);
}

fn field(out: &mut Vec<u8>, name: &str, value: &str) {
    let _ = write!(out, ",\"{name}\":");
    text(out, value);
}
