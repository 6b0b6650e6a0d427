//! What an import changes, as plain data. Empty = nothing to write.

use std::borrow::Cow;

use crate::model::{
    CharacterRole, EpisodeClass, MetadataOrigin, Series, SeriesStatus, Signals, TranslationId, TranslationKind, Writes,
};

/// Everything that changes for one title.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    /// The series' own row.
    pub series: SeriesPut,
    /// Kept with the series so that the same record is recognised next time.
    pub fingerprint: String,
    /// New and changed episodes.
    pub episodes: Vec<Put<EpisodeRow>>,
    /// Episodes to switch off.
    pub episodes_off: Vec<i64>,
    /// New and changed releases.
    pub releases: Vec<Put<ReleaseRow>>,
    /// Releases to switch off.
    pub releases_off: Vec<i64>,
    /// New and changed videos.
    pub videos: Vec<Put<VideoRow>>,
    /// Videos to switch off.
    pub videos_off: Vec<i64>,
    /// New and changed characters.
    pub characters: Vec<CharacterRow>,
    /// New and changed links between the series and a character, by the character's source id. A character that is not
    /// there yet is linked when it arrives.
    pub character_links: Vec<(String, CharacterRole)>,
    /// Characters that are not the series' any more, by source id.
    pub characters_unlinked: Vec<String>,
}

/// The series' row.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum SeriesPut {
    /// Not there yet.
    Insert {
        /// All fields.
        series: Box<SeriesRow>,
        /// Where they came from.
        origin: MetadataOrigin,
        /// What the slug starts with; the store appends `-1`, `-2` … until it is free.
        slug: String,
    },
    /// Fields differ.
    Update {
        /// Row.
        row: i64,
        /// All fields as they shall be.
        series: Box<SeriesRow>,
        /// Where they came from.
        origin: MetadataOrigin,
    },
    /// Fields are the same (or not ours to change); only the book-keeping may move.
    Keep {
        /// Row.
        row: i64,
    },
    /// No series row at all (the state before anything is decided).
    #[default]
    None,
}

/// A row to insert (`row` absent) or to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put<T> {
    /// The stored row, if there is one.
    pub row: Option<i64>,
    /// Its data.
    pub data: T,
}

/// Another row of the same title: stored already, or the n-th new one of these changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowRef {
    /// Row id.
    Stored(i64),
    /// Index into the list of puts.
    New(usize),
}

/// Whether a row is switched on; a person's "off" is never touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// Visible.
    On,
    /// Not offered now; comes back when it is offered again.
    Off,
    /// Stays as a person left it.
    Disabled,
}

impl Switch {
    pub(super) fn is_active(self) -> bool {
        self == Self::On
    }
}

/// Data of a series' row, as far as imports carry it.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesRow {
    /// Never empty.
    pub title: String,
    /// Other names.
    pub alternative_titles: Vec<String>,
    /// Plain text.
    pub description: Option<String>,
    /// 1900..=2100.
    pub year: Option<u16>,
    /// Airing, finished, announced.
    pub status: Option<SeriesStatus>,
    /// Address of the poster.
    pub poster: Option<String>,
    /// Names.
    pub genres: Vec<String>,
    /// Everything else.
    pub signals: Signals,
}

impl From<&Series> for SeriesRow {
    fn from(series: &Series) -> Self {
        Self {
            title: series.title.clone(),
            alternative_titles: series.alternative_titles.clone(),
            description: series.description.clone(),
            year: series.year,
            status: series.status,
            poster: series.poster.clone(),
            genres: series.genres.clone(),
            signals: series.signals.clone(),
        }
    }
}

/// Data of a character's row, as a series tells them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CharacterRow {
    /// The source's id.
    pub source_id: String,
    /// Name.
    pub name: String,
    /// Russian name.
    pub russian: Option<String>,
    /// Address of an image.
    pub image: Option<String>,
}

/// Data of an episode's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpisodeRow {
    /// Unique in the source.
    pub source_episode_id: String,
    /// Season.
    pub season: u32,
    /// Key as the source writes it.
    pub key: String,
    /// Number.
    pub number: u32,
    /// Title.
    pub title: Option<String>,
    /// Class.
    pub class: EpisodeClass,
    /// On or disabled.
    pub switch: Switch,
}

/// Data of a release's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseRow {
    /// Translation.
    pub translation_id: TranslationId,
    /// Its title.
    pub title: String,
    /// Its kind.
    pub kind: TranslationKind,
    /// Source material.
    pub material_id: String,
    /// Priority.
    pub priority: i32,
    /// Quality.
    pub quality: Option<String>,
    /// Camera copy.
    pub camrip: bool,
    /// Episodes.
    pub episodes: u32,
    /// Countries.
    pub blocked_countries: Vec<String>,
    /// Seasons.
    pub blocked_seasons: Vec<String>,
    /// Milliseconds since 1970.
    pub source_updated_at: Option<i64>,
}

/// Data of a video's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoRow {
    /// Whose video.
    pub episode: RowRef,
    /// In which release.
    pub release: Option<RowRef>,
    /// `iframe`.
    pub player_type: Cow<'static, str>,
    /// `kodik`.
    pub player_source: Cow<'static, str>,
    /// Link.
    pub url: String,
    /// Priority.
    pub priority: i32,
    /// On or disabled.
    pub switch: Switch,
}

impl Changes {
    /// Is there anything to write, book-keeping aside?
    pub fn is_empty(&self) -> bool {
        self.writes().total() == 0
    }

    /// How many rows of each kind these changes write. The series' row counts when its data change, not when only the
    /// fingerprint and the time beside it move; a switched-off episode counts as an episode written.
    pub fn writes(&self) -> Writes {
        Writes {
            series: u64::from(matches!(self.series, SeriesPut::Insert { .. } | SeriesPut::Update { .. })),
            episodes: count(&self.episodes) + count(&self.episodes_off),
            videos: count(&self.videos),
            releases: count(&self.releases) + count(&self.releases_off),
            characters: count(&self.characters) + count(&self.character_links) + count(&self.characters_unlinked),
            deactivated: count(&self.videos_off),
            ..Writes::default()
        }
    }
}

fn count<T>(rows: &[T]) -> u64 {
    rows.len() as u64
}
