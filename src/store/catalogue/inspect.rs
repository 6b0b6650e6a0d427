//! Everything that is stored of one title, for whoever operates the catalogue: what is switched off as well, and where
//! it came from.

use super::codec;
use crate::store::sql::{Row, Session, SqlError, values};

/// A series with what belongs to it, episodes apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspected {
    /// `kodik-shikimori`.
    pub source_name: String,
    /// The source's id.
    pub source_id: String,
    /// Its name in addresses.
    pub slug: String,
    /// Title.
    pub title: String,
    /// Other names.
    pub alternative_titles: Vec<String>,
    /// Plain text.
    pub description: Option<String>,
    /// Year.
    pub year: Option<i64>,
    /// The contract's word.
    pub status: Option<String>,
    /// Address of the poster.
    pub poster: Option<String>,
    /// Names.
    pub genres: Vec<String>,
    /// `tv`, `movie` …
    pub kind: Option<String>,
    /// Score.
    pub score: Option<f64>,
    /// Age rating.
    pub rating: Option<String>,
    /// Planned episodes.
    pub episodes_total: Option<i64>,
    /// Aired episodes.
    pub episodes_aired: Option<i64>,
    /// Next episode.
    pub next_episode_at: Option<jiff::Timestamp>,
    /// First day, as far as known.
    pub aired_on: Option<String>,
    /// Last day, as far as known.
    pub released_on: Option<String>,
    /// Names.
    pub studios: Vec<String>,
    /// `shikimori_graphql`, `shikimori_rest`, `material_data`.
    pub origin: String,
    /// The last import was a whole record, not a part of one.
    pub whole: bool,
    /// Shown to readers?
    pub is_active: bool,
    /// A person edited it; imports leave its fields alone.
    pub admin_modified: bool,
    /// Imported first.
    pub created_at: jiff::Timestamp,
    /// Changed last.
    pub updated_at: jiff::Timestamp,
    /// Its releases, preferred first.
    pub releases: Vec<InspectedRelease>,
    /// Its characters, main ones first.
    pub characters: Vec<InspectedCharacter>,
    /// What it is to others, and they to it.
    pub relations: Vec<InspectedRelation>,
}

/// What one series is to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InspectedRelation {
    /// The series that says so.
    pub from_title: String,
    /// Its name in addresses.
    pub from_slug: String,
    /// `parent`, `sequel` …: what the other one is to it.
    pub kind: String,
    /// The other one.
    pub to_title: String,
    /// Its name in addresses.
    pub to_slug: String,
}

/// A release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InspectedRelease {
    /// Translation.
    pub translation_id: i64,
    /// Its title.
    pub title: String,
    /// `voice`, `subtitles`, `unknown`.
    pub kind: String,
    /// The source's material.
    pub material_id: String,
    /// Higher = preferred.
    pub priority: i64,
    /// As the source says.
    pub quality: Option<String>,
    /// Episodes in it.
    pub episodes: i64,
    /// The source changed it.
    pub source_updated_at: Option<jiff::Timestamp>,
    /// Still offered?
    pub is_active: bool,
}

/// A character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InspectedCharacter {
    /// The source's id.
    pub source_id: String,
    /// Name.
    pub name: String,
    /// Russian name.
    pub russian: Option<String>,
    /// `main`, `supporting`.
    pub role: String,
    /// Names of its pets.
    pub pets: Vec<String>,
}

/// An episode with its players.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InspectedEpisode {
    /// Unique in the source.
    pub source_episode_id: String,
    /// Season; 0 = specials.
    pub season: u32,
    /// Number.
    pub number: u32,
    /// Title.
    pub title: Option<String>,
    /// `regular`, `special`, `joined`.
    pub class: String,
    /// Shown to readers?
    pub is_active: bool,
    /// Who switched it off by hand.
    pub disabled_by: Option<String>,
    /// Preferred first.
    pub players: Vec<InspectedPlayer>,
}

/// A player.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InspectedPlayer {
    /// `iframe`.
    pub player_type: String,
    /// `kodik`.
    pub source_name: String,
    /// Link.
    pub url: String,
    /// Higher = preferred.
    pub priority: i64,
    /// Title of its release.
    pub release: Option<String>,
    /// Shown to readers?
    pub is_active: bool,
    /// Who switched it off by hand.
    pub disabled_by: Option<String>,
}

/// A page of episodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InspectedEpisodes {
    /// On all pages.
    pub total: u64,
    /// On this one, specials last.
    pub episodes: Vec<InspectedEpisode>,
}

/// What is stored under a slug.
pub fn inspect(session: &Session<'_>, slug: &str) -> Result<Option<Inspected>, SqlError> {
    let found = session.first(
        "SELECT s.name, r.source_id, r.slug, r.title, r.alternative_titles, r.description, r.year, r.status, r.poster, \
         r.genres, r.kind, r.score, r.rating, r.episodes_total, r.episodes_aired, r.next_episode_at, r.aired_on, \
         r.released_on, r.studios, r.origin, r.fingerprint <> '', r.is_active, r.admin_modified, r.created_at, \
         r.updated_at, r.id FROM series r JOIN source s ON s.id = r.source WHERE r.slug = ?1",
        values![slug],
        |row| Ok((row.get::<i64>(25)?, series(row)?)),
    )?;
    let Some((row, mut series)) = found else { return Ok(None) };
    series.releases = session.query(
        "SELECT translation_id, title, kind, material_id, priority, quality, episodes, source_updated_at, is_active \
         FROM release WHERE series_id = ?1 ORDER BY is_active DESC, priority DESC, title, translation_id",
        values![row],
        release,
    )?;
    series.characters = session.query(
        "SELECT c.source_id, c.name, c.russian, sc.role, p.name FROM series_character sc \
         JOIN character c ON c.id = sc.character_id LEFT JOIN pet_owner o ON o.character_id = c.id \
         LEFT JOIN pet p ON p.id = o.pet_id WHERE sc.series_id = ?1 \
         ORDER BY sc.role, c.name, c.source_id, p.name IS NULL, p.name",
        values![row],
        |row| {
            Ok(InspectedCharacter {
                source_id: row.get(0)?,
                name: row.get(1)?,
                russian: row.get(2)?,
                role: row.get(3)?,
                pets: row.get::<Option<String>>(4)?.into_iter().collect(),
            })
        },
    )?;
    // Rows of one character follow each other, one for each pet.
    series.characters.dedup_by(|next, kept| {
        let same = next.source_id == kept.source_id;
        if same {
            kept.pets.append(&mut next.pets);
        }
        same
    });
    series.relations = session.query(
        "SELECT a.title, a.slug, x.kind, b.title, b.slug FROM series_relation x JOIN series a ON a.id = x.series_id \
         JOIN series b ON b.id = x.related_id WHERE x.series_id = ?1 OR x.related_id = ?1 \
         ORDER BY x.kind, a.title, b.title, a.slug, b.slug LIMIT 200",
        values![row],
        |row| {
            Ok(InspectedRelation {
                from_title: row.get(0)?,
                from_slug: row.get(1)?,
                kind: row.get(2)?,
                to_title: row.get(3)?,
                to_slug: row.get(4)?,
            })
        },
    )?;
    Ok(Some(series))
}

fn series(row: &Row<'_>) -> Result<Inspected, SqlError> {
    Ok(Inspected {
        source_name: row.get(0)?,
        source_id: row.get(1)?,
        slug: row.get(2)?,
        title: row.get(3)?,
        alternative_titles: codec::parse_list(row.text(4)?)?,
        description: row.get(5)?,
        year: row.get(6)?,
        status: row.get(7)?,
        poster: row.get(8)?,
        genres: codec::parse_list(row.text(9)?)?,
        kind: row.get(10)?,
        score: row.get(11)?,
        rating: row.get(12)?,
        episodes_total: row.get(13)?,
        episodes_aired: row.get(14)?,
        next_episode_at: row.get::<Option<i64>>(15)?.map(codec::parse_millis).transpose()?,
        aired_on: row.get(16)?,
        released_on: row.get(17)?,
        studios: codec::parse_list(row.text(18)?)?,
        origin: row.get(19)?,
        whole: row.get(20)?,
        is_active: row.get(21)?,
        admin_modified: row.get(22)?,
        created_at: codec::parse_millis(row.get(23)?)?,
        updated_at: codec::parse_millis(row.get(24)?)?,
        releases: Vec::new(),
        characters: Vec::new(),
        relations: Vec::new(),
    })
}

fn release(row: &Row<'_>) -> Result<InspectedRelease, SqlError> {
    Ok(InspectedRelease {
        translation_id: row.get(0)?,
        title: row.get(1)?,
        kind: row.get(2)?,
        material_id: row.get(3)?,
        priority: row.get(4)?,
        quality: row.get(5)?,
        episodes: row.get(6)?,
        source_updated_at: row.get::<Option<i64>>(7)?.map(codec::parse_millis).transpose()?,
        is_active: row.get(8)?,
    })
}

/// A page of the episodes of a slug, all of them, specials last.
pub fn inspect_episodes(
    session: &Session<'_>,
    slug: &str,
    limit: u32,
    skip: u32,
) -> Result<InspectedEpisodes, SqlError> {
    let total = session.one(
        "SELECT count(*) FROM episode e JOIN series r ON r.id = e.series_id WHERE r.slug = ?1",
        values![slug],
        |row| row.get(0),
    )?;
    let mut episodes: Vec<InspectedEpisode> = Vec::new();
    session.query(
        "SELECT e.source_episode_id, e.season, e.number, e.title, e.class, e.is_active, e.disabled_by, v.player_type, \
         v.player_source, v.url, v.priority, p.title, v.is_active, v.disabled_by \
         FROM (SELECT x.* FROM episode x JOIN series r ON r.id = x.series_id WHERE r.slug = ?1 \
         ORDER BY x.season = 0, x.season, x.number, x.source_episode_id LIMIT ?2 OFFSET ?3) e \
         LEFT JOIN video v ON v.episode_id = e.id LEFT JOIN release p ON p.id = v.release_id \
         ORDER BY e.season = 0, e.season, e.number, e.source_episode_id, v.is_active DESC, v.priority DESC, p.title IS NULL, p.title, v.url",
        values![slug, limit, skip],
        |row| collect(row, &mut episodes),
    )?;
    Ok(InspectedEpisodes { total, episodes })
}

/// Rows of one episode follow each other, one for each player.
fn collect(row: &Row<'_>, episodes: &mut Vec<InspectedEpisode>) -> Result<(), SqlError> {
    let id = row.text(0)?;
    if episodes.last().is_none_or(|episode| episode.source_episode_id != id) {
        episodes.push(InspectedEpisode {
            source_episode_id: id.to_owned(),
            season: row.get(1)?,
            number: row.get(2)?,
            title: row.get(3)?,
            class: row.get(4)?,
            is_active: row.get(5)?,
            disabled_by: row.get(6)?,
            players: Vec::new(),
        });
    }
    if let (Some(player_type), Some(episode)) = (row.get(7)?, episodes.last_mut()) {
        episode.players.push(InspectedPlayer {
            player_type,
            source_name: row.get(8)?,
            url: row.get(9)?,
            priority: row.get(10)?,
            release: row.get(11)?,
            is_active: row.get(12)?,
            disabled_by: row.get(13)?,
        });
    }
    Ok(())
}
