//! A store on either engine, and titles to put into it.

use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use parser::backend::Catalogue;
use parser::load::Embedded;
use parser::model::*;
use parser::sandbox::Sandbox;
use parser::store::sqlite::CrashPoints;
use parser::store::{Location, Server, Store};
use serde_json::Value;
use tempfile::TempDir;

use crate::cluster::{self, Database};

/// Passed by every change that a test makes itself.
pub(crate) const POINTS: CrashPoints = CrashPoints { before: "test.before_commit", after: "test.after_commit" };

/// The `source_name` of all titles.
pub(crate) const SOURCE: &str = "kodik-shikimori";

/// Where a store is; gone when dropped.
pub(crate) enum Place {
    Sqlite(TempDir),
    Postgres(Database),
}

impl Place {
    /// An empty place on each engine; `None` = there is no PostgreSQL here.
    pub(crate) fn both() -> Option<[Self; 2]> {
        Some([Self::sqlite(), Self::Postgres(cluster::database()?)])
    }

    pub(crate) fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    /// As in `DATABASE_URL`.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => format!("sqlite:{}", folder.path().join("catalog.db").display()),
            Self::Postgres(database) => database.url.clone(),
        }
    }

    pub(crate) fn location(&self) -> Location {
        match self {
            Self::Sqlite(folder) => Location::File(folder.path().join("catalog.db")),
            Self::Postgres(database) => Location::Server(server(&database.url)),
        }
    }

    pub(crate) async fn store(&self) -> Store {
        Store::open(&self.location(), 1).await.unwrap()
    }

    pub(crate) async fn catalogue(&self) -> Catalogue {
        Catalogue::new(Arc::new(self.store().await), SOURCE)
    }

    pub(crate) async fn loader(&self) -> Embedded {
        Embedded::new(self.catalogue().await)
    }
}

pub(crate) fn server(url: &str) -> Server {
    Server { wait: Duration::from_secs(60), ..Server::new(url.to_owned().into()) }
}

/// The binary, to its end, with nothing in its environment but this.
pub(crate) fn parser(folder: &Path, args: &[&str], env: &[(&str, &str)]) -> Output {
    crate::world::command(folder, args, env).output().unwrap()
}

/// What it printed; it must have succeeded.
pub(crate) fn printed(output: Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// `parser dump` of a database.
pub(crate) fn dump(url: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    printed(parser(folder.path(), &["dump"], &[("DATABASE_URL", url)]))
}

/// A title with so many episodes, each in all of these translations.
pub(crate) fn record(id: u64, title: &str, episodes: u32, translations: &[i64]) -> TitleRecord {
    let numbers = 1..=episodes;
    let priority = |translation: i64| 100 - i32::try_from(translation).unwrap();
    TitleRecord {
        series: Series {
            id: SeriesId(id),
            title: title.to_owned(),
            alternative_titles: vec!["Звёздный \"путь\"".into(), "星の道, один".into()],
            description: Some("A road\nof stars.".into()),
            year: Some(2021),
            status: Some(SeriesStatus::Ongoing),
            poster: Some(format!("https://img.test/{id}.jpg")),
            genres: vec!["Drama".into(), "Slice of Life".into()],
            signals: Signals {
                kind: Some("tv".into()),
                score: Some(7.53),
                next_episode_at: jiff::Timestamp::from_millisecond(1_700_000_000_123).ok(),
                aired_on: Some(Date { year: 2021, month: Some(4), day: None }),
                studios: vec!["Studio A".into()],
                ..Signals::default()
            },
        },
        episodes: numbers
            .clone()
            .map(|number| Episode {
                id: EpisodeId(format!("{id}:{number}")),
                season: 1,
                key: EpisodeKey::Whole(number),
                number,
                title: (number == 1).then(|| "Начало".to_owned()),
                class: EpisodeClass::Regular,
            })
            .collect(),
        releases: translations
            .iter()
            .map(|&translation| Release {
                material_id: MaterialId(format!("serial-{id}{translation}")),
                translation: Translation {
                    id: TranslationId(translation),
                    title: format!("Studio {translation}"),
                    kind: TranslationKind::Voice,
                },
                priority: priority(translation),
                quality: Some("WEB-DLRip 720p".into()),
                camrip: false,
                episodes,
                blocked_countries: vec!["RU".into()],
                blocked_seasons: vec![],
                updated_at: None,
            })
            .collect(),
        videos: numbers
            .flat_map(|number| translations.iter().map(move |&translation| (number, translation)))
            .map(|(number, translation)| Video {
                episode_id: EpisodeId(format!("{id}:{number}")),
                translation_id: TranslationId(translation),
                url: format!("https://player.test/seria/{id}{number}{translation}/abc/720p"),
                priority: priority(translation),
            })
            .collect(),
        characters: None,
        withheld: Withheld::default(),
        origin: MetadataOrigin::ShikimoriGraphql,
    }
}

pub(crate) fn character(id: u64, name: &str) -> Character {
    Character { id, name: name.to_owned(), russian: None, image: None, role: CharacterRole::Main }
}

/// `parser run` into this place; its summary.
pub(crate) fn crawl(sandbox: &Sandbox, place: &Place, args: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let (kodik, shikimori, url) = (sandbox.kodik_url(), sandbox.shikimori_url(), place.url());
    let env = [
        ("KODIK_BASE_URL", kodik.as_str()),
        ("SHIKIMORI_BASE_URL", shikimori.as_str()),
        ("KODIK_API_TOKEN", "any"),
        ("KODIK_RATE_LIMIT_RPS", "0"),
        ("SHIKIMORI_RATE_LIMIT_RPS", "0"),
        ("SHIKIMORI_RATE_LIMIT_RPM", "0"),
        ("FETCH_CHARACTERS", "true"),
        ("DATABASE_URL", url.as_str()),
    ];
    let mut all = vec!["run", "--mode", "full", "--json"];
    all.extend_from_slice(args);
    let printed = printed(parser(folder.path(), &all, &env));
    serde_json::from_str(printed.lines().last().filter(|_| args.contains(&"--dry-run")).unwrap_or(&printed)).unwrap()
}
