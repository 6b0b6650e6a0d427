//! The contract's three request bodies, parsed into what the backend takes.
//!
//! Fields and limits are the contract's. Unknown fields are ignored. Whole numbers may also come as `5.0` or `"5"`, and
//! booleans as `0`, `1` or words, because the existing backend takes those. What the tables cannot hold (an empty name,
//! a number beyond 32 bits, U+0000) is invalid here instead of failing there.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::Value;
use utoipa::ToSchema;

use super::answer::Refusal;
use super::described;
use crate::backend::{EpisodePart, VideoPart};
use crate::model::SeriesStatus;
use crate::store::catalogue::{Card, TitleKey, VideoKey};

/// A series.
#[derive(Deserialize, ToSchema)]
#[schema(as = AnimeImport, example = json!({
    "source_name": "kodik-shikimori", "source_id": "1", "title": "Cowboy Bebop", "alternative_titles": ["Ковбой Бибоп"],
    "description": "Space bounty hunters.", "year": 1998, "status": "completed", "poster": "https://img.example/1.jpg",
    "genres": ["Action", "Sci-Fi"],
}))]
pub(super) struct AnimeBody {
    /// Who says so.
    source_name: Name,
    /// Its id there.
    source_id: Name,
    /// The display title; the slug is made from the first one.
    title: Name,
    /// Other titles.
    alternative_titles: Option<Vec<Text>>,
    /// Plain text.
    description: Option<Text>,
    /// Of the first broadcast.
    #[schema(schema_with = described::year)]
    year: Option<Whole>,
    /// Where its broadcast stands.
    status: Option<Status>,
    /// Its address.
    poster: Option<Text>,
    /// Names.
    genres: Option<Vec<Text>>,
}

/// Episodes of one series.
#[derive(Deserialize, ToSchema)]
#[schema(as = EpisodesImport, example = json!({
    "source_name": "kodik-shikimori", "anime_source_id": "1",
    "episodes": [{ "source_episode_id": "1:1", "number": 1, "title": "Asteroid Blues", "is_available": true }],
}))]
pub(super) struct EpisodesBody {
    /// Who says so.
    source_name: Name,
    /// The series' id there.
    anime_source_id: Name,
    /// At least one; they are taken or refused one by one, but one that is invalid spoils them all.
    #[schema(min_items = 1)]
    episodes: Vec<EpisodeBody>,
}

/// One episode.
#[derive(Deserialize, ToSchema)]
#[schema(as = EpisodeImport)]
struct EpisodeBody {
    /// Its id at the source, which no other series there may have.
    source_episode_id: Name,
    /// In its season.
    #[schema(schema_with = described::number)]
    number: Whole,
    /// If it has one.
    title: Option<Text>,
    /// `false` switches it off.
    #[serde(default = "yes")]
    #[schema(schema_with = described::truth, required = false)]
    is_available: Truth,
}

/// One video of one episode.
#[derive(Deserialize, ToSchema)]
#[schema(as = VideoImport, example = json!({
    "source_name": "kodik-shikimori", "source_episode_id": "1:1",
    "player": { "type": "iframe", "url": "https://player.example/1", "source_name": "kodik", "priority": 10 },
}))]
pub(super) struct VideoBody {
    /// Who says so.
    source_name: Name,
    /// The episode's id there.
    source_episode_id: Name,
    /// Where it plays.
    player: PlayerBody,
}

/// One player link; the address and the name together are its identity.
#[derive(Deserialize, ToSchema)]
#[schema(as = PlayerImport)]
struct PlayerBody {
    /// `iframe`, `hls`, …
    r#type: Text,
    /// Its address.
    url: Name,
    /// Whose player it is.
    source_name: Text,
    /// Higher = preferred.
    #[serde(default)]
    #[schema(schema_with = described::priority, required = false)]
    priority: Whole,
}

fn yes() -> Truth {
    Truth(true)
}

/// `…/import/anime`.
pub(super) fn anime(body: AnimeBody) -> Result<(TitleKey, Card), Refusal> {
    let year = match body.year {
        None => None,
        Some(Whole(year)) => match u16::try_from(year) {
            Ok(year) if (1900..=2100).contains(&year) => Some(year),
            _ => return Err(Refusal::invalid("year is not between 1900 and 2100")),
        },
    };
    let list = |list: Option<Vec<Text>>| list.unwrap_or_default().into_iter().map(|text| text.0).collect();
    let key = TitleKey { source_name: body.source_name.0, source_id: body.source_id.0 };
    let card = Card {
        title: body.title.0,
        alternative_titles: list(body.alternative_titles),
        description: non_empty(body.description),
        year,
        status: body.status.map(|status| status.0),
        poster: non_empty(body.poster),
        genres: list(body.genres),
    };
    Ok((key, card))
}

/// `…/import/episodes`.
pub(super) fn episodes(body: EpisodesBody) -> Result<(TitleKey, Vec<EpisodePart>), Refusal> {
    if body.episodes.is_empty() {
        return Err(Refusal::invalid("there are no episodes"));
    }
    let key = TitleKey { source_name: body.source_name.0, source_id: body.anime_source_id.0 };
    let part = |episode: EpisodeBody| {
        let number = i32::try_from(episode.number.0).ok().and_then(|number| u32::try_from(number).ok());
        Ok(EpisodePart {
            source_episode_id: episode.source_episode_id.0,
            number: number.ok_or_else(|| Refusal::invalid("number is negative or too large"))?,
            title: non_empty(episode.title),
            is_available: episode.is_available.0,
        })
    };
    Ok((key, body.episodes.into_iter().map(part).collect::<Result<_, _>>()?))
}

/// `…/import/video`.
pub(super) fn video(body: VideoBody) -> Result<VideoPart, Refusal> {
    let VideoBody { source_name, source_episode_id, player } = body;
    let priority = i32::try_from(player.priority.0).map_err(|_| Refusal::invalid("priority is too large"))?;
    let key = VideoKey {
        source_name: source_name.0,
        source_episode_id: source_episode_id.0,
        url: player.url.0,
        player_source: player.source_name.0,
    };
    Ok(VideoPart { key, player_type: player.r#type.0, priority })
}

fn non_empty(text: Option<Text>) -> Option<String> {
    text.map(|text| text.0).filter(|text| !text.is_empty())
}

/// A text without U+0000, which not every engine can hold.
#[derive(ToSchema)]
#[schema(pattern = r"^[^\x00]*$")]
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.contains('\0') { Err(D::Error::custom("holds U+0000")) } else { Ok(Self(text)) }
    }
}

/// A text that is not empty.
#[derive(ToSchema)]
#[schema(min_length = 1, pattern = r"^[^\x00]+$")]
struct Name(String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Text(text) = Text::deserialize(deserializer)?;
        if text.is_empty() { Err(D::Error::custom("is empty")) } else { Ok(Self(text)) }
    }
}

/// A whole number.
#[derive(Default)]
struct Whole(i64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = match Value::deserialize(deserializer)? {
            Value::Number(number) => number.as_i64().or_else(|| number.as_f64().and_then(whole)),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.map(Self).ok_or_else(|| D::Error::custom("is no whole number"))
    }
}

/// `5.0` as 5.
fn whole(number: f64) -> Option<i64> {
    // Printed without an exponent and without a fraction, so there is no rounding on the way.
    (number.fract() == 0.0 && number.abs() < 9e15).then(|| format!("{number:.0}").parse().ok()).flatten()
}

/// A boolean.
struct Truth(bool);

impl<'de> Deserialize<'de> for Truth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let truth = match Value::deserialize(deserializer)? {
            Value::Bool(truth) => Some(truth),
            Value::Number(number) => match number.as_f64() {
                Some(0.0) => Some(false),
                Some(1.0) => Some(true),
                _ => None,
            },
            Value::String(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" | "t" | "y" => Some(true),
                "false" | "0" | "no" | "off" | "f" | "n" => Some(false),
                _ => None,
            },
            _ => None,
        };
        truth.map(Self).ok_or_else(|| D::Error::custom("is neither true nor false"))
    }
}

/// One of the contract's three words.
#[derive(ToSchema)]
#[schema(value_type = described::Status)]
struct Status(SeriesStatus);

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        status(&word).map(Self).ok_or_else(|| D::Error::custom("is not ongoing, completed or upcoming"))
    }
}

/// The status of the contract's word.
pub(super) fn status(word: &str) -> Option<SeriesStatus> {
    [SeriesStatus::Ongoing, SeriesStatus::Completed, SeriesStatus::Upcoming]
        .into_iter()
        .find(|status| status.as_str() == word)
}

#[cfg(test)]
mod tests {
    use super::super::body::parse;
    use super::{anime, episodes, video};

    #[test]
    fn numbers_and_booleans_come_in_several_dresses() {
        for number in ["5", "5.0", "\"5\""] {
            let json = format!(
                r#"{{"source_name":"s","anime_source_id":"1","episodes":[{{"source_episode_id":"1:5","number":{number},"is_available":"no"}}]}}"#
            );
            let (_, parts) = parse(json.as_bytes()).and_then(episodes).unwrap();
            assert_eq!((parts[0].number, parts[0].is_available), (5, false), "{number}");
        }
        for number in ["5.5", "-1", "2147483648", "true", "null", "\"\"", "[]", "1e300"] {
            let json = format!(
                r#"{{"source_name":"s","anime_source_id":"1","episodes":[{{"source_episode_id":"1:5","number":{number}}}]}}"#
            );
            assert!(parse(json.as_bytes()).and_then(episodes).is_err(), "{number} was accepted");
        }
    }

    #[test]
    fn the_priority_has_a_default_and_must_fit() {
        let body = |priority: &str| {
            format!(
                r#"{{"source_name":"s","source_episode_id":"1:1","player":{{"type":"iframe","url":"u","source_name":"k"{priority}}}}}"#
            )
        };
        let of = |priority: &str| parse(body(priority).as_bytes()).and_then(video).map(|video| video.priority);
        assert_eq!(of("").unwrap(), 0);
        assert_eq!(of(r#","priority":-7"#).unwrap(), -7);
        assert!(of(r#","priority":2147483648"#).is_err());
        assert!(of(r#","priority":null"#).is_err());
    }

    #[test]
    fn the_reason_of_a_refusal_names_the_field_and_not_the_value() {
        let json = br#"{"source_name":"s","source_id":"1","title":"T","status":"S3CRET"}"#;
        let refusal = parse(json).and_then(anime).unwrap_err();
        let cause = refusal.cause().unwrap();
        assert!(cause.contains("`status`") && !cause.contains("S3CRET"), "{cause}");
    }
}
