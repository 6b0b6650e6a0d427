//! The typed settings that the rest of the program sees.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::database::{DatabasePlace, DatabaseSettings};
use super::reader::Reader;
use super::{
    ConfigError, ImportSettings, JobSettings, Layers, ObjectSettings, Origin, SETTINGS, TelemetrySettings, imports,
    jobs, objects, telemetry,
};

/// All settings, parsed.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Kodik.
    pub kodik: KodikSettings,
    /// Shikimori.
    pub shikimori: ShikimoriSettings,
    /// The backend over HTTP; `None` = embedded.
    pub backend: Option<BackendSettings>,
    /// `source_name` of every record.
    pub source_name: String,
    /// Titles in flight.
    pub concurrency: usize,
    /// Rate over all services; `None` = unlimited.
    pub global_rate: Option<f64>,
    /// Time-outs, retries, body cap.
    pub http: HttpSettings,
    /// Batches without a success before the run stops.
    pub max_consecutive_errors: u32,
    /// Rules of the transform.
    pub transform: TransformSettings,
    /// Also ask for `/roles`.
    pub fetch_characters: bool,
    /// Load hidden titles from `material_data`.
    pub load_hidden_titles: bool,
    /// Where the state is.
    pub state: StateSettings,
    /// Where the backend's tables are.
    pub database: DatabaseSettings,
    /// Reports and logs.
    pub output: OutputSettings,
    /// `parser serve`.
    pub server: ServerSettings,
    /// Files and buckets that imports read.
    pub objects: ObjectSettings,
    /// What bounds imports.
    pub imports: ImportSettings,
    /// The jobs of the backend.
    pub jobs: JobSettings,
    /// Traces.
    pub telemetry: TelemetrySettings,
    /// Every setting as `parser diagnose` shows it.
    pub shown: Vec<ShownSetting>,
}

/// Kodik's settings.
#[derive(Debug, Clone)]
pub struct KodikSettings {
    /// `None` only where no token is needed.
    pub token: Option<SecretString>,
    /// API address.
    pub base_url: Url,
    /// Requests per second; `None` = unlimited.
    pub rate: Option<f64>,
    /// Material types.
    pub types: Vec<String>,
    /// Ask for episode titles.
    pub episode_titles: bool,
}

/// Shikimori's settings.
#[derive(Debug, Clone)]
pub struct ShikimoriSettings {
    /// API address.
    pub base_url: Url,
    /// Both windows.
    pub rate: RateSettings,
}

/// Shikimori's two windows; `None` = unlimited.
#[derive(Debug, Clone, Copy)]
pub struct RateSettings {
    /// Requests in any second.
    pub per_second: Option<f64>,
    /// Requests in any minute.
    pub per_minute: Option<f64>,
}

/// A backend over HTTP.
#[derive(Debug, Clone)]
pub struct BackendSettings {
    /// Address.
    pub base_url: Url,
    /// `X-Internal-Token`.
    pub token: SecretString,
    /// Requests per second; `None` = unlimited.
    pub rate: Option<f64>,
    /// How it is spoken to; `None` = it is asked.
    pub api: Option<BackendApi>,
}

/// How a backend is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendApi {
    /// By imports.
    Batch,
    /// By the existing contract.
    Contract,
}

/// HTTP behaviour shared by all services.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// `User-Agent`.
    pub user_agent: String,
    /// One attempt.
    pub timeout: Duration,
    /// TCP and TLS.
    pub connect_timeout: Duration,
    /// Bytes after decompression.
    pub max_body: u64,
    /// Retries after the first attempt.
    pub max_retries: u32,
    /// First delay's bound.
    pub backoff_base: Duration,
    /// Longest delay's bound.
    pub backoff_max: Duration,
    /// No retry after this.
    pub max_elapsed: Duration,
    /// Circuit breaker.
    pub breaker: BreakerSettings,
}

/// Circuit breaker.
#[derive(Debug, Clone, Copy)]
pub struct BreakerSettings {
    /// Outages in a row.
    pub threshold: u32,
    /// First pause.
    pub cooldown: Duration,
    /// Stop the run after this.
    pub give_up: Duration,
}

/// Rules of the transform, as text; `transform::Rules` parses what is left.
#[derive(Debug, Clone)]
pub struct TransformSettings {
    /// Display title preference.
    pub title_languages: Vec<String>,
    /// `english` or `russian`.
    pub genres_in_russian: bool,
    /// Most preferred first.
    pub translation_priorities: Vec<String>,
    /// Not loaded.
    pub translations_excluded: Vec<String>,
    /// Send season 0.
    pub include_specials: bool,
    /// Send `1-2`.
    pub include_joined: bool,
}

/// Paths of the state, as given; `checkpoint::StatePaths` resolves them.
#[derive(Debug, Clone)]
pub struct StateSettings {
    /// `STATE_PATH`.
    pub path: PathBuf,
    /// `LANDING_PATH`.
    pub landing: Option<PathBuf>,
}

/// Reports and logs.
#[derive(Debug, Clone)]
pub struct OutputSettings {
    /// `--report`.
    pub report: Option<PathBuf>,
    /// `--metrics-file`.
    pub metrics_file: Option<PathBuf>,
    /// A `tracing` filter.
    pub log_level: String,
    /// Text or JSON.
    pub log_format: LogFormat,
}

/// `parser serve`.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// `X-Internal-Token`; `None` = one has to be made.
    pub token: Option<SecretString>,
    /// Bytes of a request body.
    pub max_body: usize,
    /// One request.
    pub request_timeout: Duration,
    /// Requests at once.
    pub max_requests: usize,
    /// Those of one token.
    pub max_requests_per_token: usize,
    /// A request's head, and a pause in taking an answer.
    pub idle_timeout: Duration,
    /// How long requests in flight may take at the end.
    pub shutdown: Duration,
    /// Browsers reach it by https.
    pub https: bool,
}

/// Log format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One readable line for each event.
    Text,
    /// One JSON object for each event.
    Json,
}

/// One setting as `parser diagnose` shows it; secrets are masked already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownSetting {
    /// Name.
    pub name: &'static str,
    /// Value, `set (hidden)`, or empty.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// What the command needs beyond well-formed values.
#[derive(Debug, Clone, Copy, Default)]
pub struct Needs {
    /// The run asks Kodik, so the token must be there.
    pub kodik_token: bool,
}

impl Settings {
    /// Parses all settings.
    ///
    /// # Errors
    /// [`ConfigError::Settings`] with every fault found.
    pub fn load(layers: &Layers, needs: Needs) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(layers);
        match read(&mut reader, needs) {
            Some(settings) if reader.faults.is_empty() => Ok(settings),
            _ => Err(ConfigError::Settings(reader.faults)),
        }
    }

    /// Every setting with its origin, secrets masked; works with faulty settings, too.
    pub fn shown(layers: &Layers) -> Vec<ShownSetting> {
        SETTINGS
            .iter()
            .map(|setting| match layers.get(setting.name) {
                Some((_, origin)) if setting.secret => {
                    ShownSetting { name: setting.name, value: "set (hidden)".to_owned(), origin }
                }
                Some((text, origin)) => ShownSetting { name: setting.name, value: text.to_owned(), origin },
                None => ShownSetting { name: setting.name, value: setting.default.to_owned(), origin: Origin::Default },
            })
            .collect()
    }

    /// All secret texts, for the redaction of logs.
    pub fn secrets(&self) -> Vec<SecretString> {
        // The backend's token is the server's: one setting.
        let tokens = self.kodik.token.iter().chain(&self.server.token).chain(self.objects.secrets());
        let tokens = tokens.chain(self.telemetry.secrets()).cloned();
        tokens.chain(self.database.place.iter().flat_map(DatabasePlace::secrets)).collect()
    }
}

const ROMAJI: &[(&str, ())] = &[("romaji", ()), ("english", ()), ("russian", ()), ("japanese", ())];

#[expect(clippy::too_many_lines, reason = "a flat list, one line for each setting")]
fn read(reader: &mut Reader<'_>, needs: Needs) -> Option<Settings> {
    let unlimited = |rate: f64| (rate > 0.0).then_some(rate);

    let kodik_token = reader.secret("KODIK_API_TOKEN");
    if needs.kodik_token && kodik_token.is_none() {
        reader.fault(
            "KODIK_API_TOKEN",
            "is not set",
            Some("put it into the environment or `.env`; without one, try `parser run --mode full --sandbox`"),
        );
    }
    let shared_given = reader.given("RATE_LIMIT_RPS");
    let shared = reader.rate("RATE_LIMIT_RPS").unwrap_or(2.0);
    let kodik = KodikSettings {
        token: kodik_token,
        base_url: reader.url("KODIK_BASE_URL")?,
        rate: unlimited(reader.rate("KODIK_RATE_LIMIT_RPS").unwrap_or(shared)),
        types: reader.list("KODIK_TYPES"),
        episode_titles: reader.flag("EPISODE_TITLES"),
    };
    let shikimori = ShikimoriSettings {
        base_url: reader.url("SHIKIMORI_BASE_URL")?,
        rate: RateSettings {
            per_second: unlimited(reader.rate("SHIKIMORI_RATE_LIMIT_RPS").unwrap_or(if shared_given {
                shared
            } else {
                5.0
            })),
            per_minute: unlimited(reader.rate("SHIKIMORI_RATE_LIMIT_RPM").unwrap_or(90.0)),
        },
    };

    let backend_url = reader.url("BACKEND_BASE_URL");
    let internal_token = reader.secret("INTERNAL_TOKEN");
    let backend_rate = unlimited(reader.rate("BACKEND_RATE_LIMIT_RPS").unwrap_or(0.0));
    let apis = [("auto", None), ("batch", Some(BackendApi::Batch)), ("contract", Some(BackendApi::Contract))];
    let api = reader.choice("BACKEND_API", &apis).flatten();
    let backend = match (backend_url, internal_token.clone()) {
        (Some(base_url), Some(token)) => Some(BackendSettings { base_url, token, rate: backend_rate, api }),
        (Some(_), None) => {
            let hint = Some("it must equal the backend's own INTERNAL_TOKEN");
            reader.fault("INTERNAL_TOKEN", "is not set, but BACKEND_BASE_URL is", hint);
            None
        }
        (None, _) => None,
    };

    let user_agent = reader.text("USER_AGENT")?;
    if http::HeaderValue::from_str(&user_agent).is_err() {
        reader.fault("USER_AGENT", "holds characters that a header cannot carry", Some("plain ASCII, one line"));
    }

    let database = super::database::read(reader);

    let title_languages = reader.list("TITLE_LANGUAGES");
    for language in &title_languages {
        if !ROMAJI.iter().any(|(name, ())| name == language) {
            reader.fault(
                "TITLE_LANGUAGES",
                format!("`{language}` is not a title language"),
                Some("any of romaji, english, russian, japanese, separated by commas"),
            );
        }
    }
    let genres_in_russian = reader.choice("GENRE_LANGUAGE", &[("english", false), ("russian", true)]);

    let log_level = reader.text("LOG_LEVEL")?;
    if log_level.parse::<tracing_subscriber::EnvFilter>().is_err() {
        reader.fault("LOG_LEVEL", format!("`{log_level}` is not a log filter"), Some("for example `info` or `debug`"));
    }

    Some(Settings {
        kodik,
        shikimori,
        backend,
        source_name: reader.text("SOURCE_NAME")?,
        concurrency: usize::try_from(reader.number("CONCURRENCY", 1..=64)).unwrap_or(1),
        global_rate: unlimited(reader.rate("GLOBAL_RATE_LIMIT_RPS").unwrap_or(0.0)),
        http: HttpSettings {
            user_agent,
            timeout: reader.seconds("HTTP_TIMEOUT_SECONDS"),
            connect_timeout: reader.seconds("HTTP_CONNECT_TIMEOUT_SECONDS"),
            max_body: u64::from(reader.number("HTTP_MAX_BODY_MIB", 1..=1024)) << 20,
            max_retries: reader.number("MAX_RETRIES", 0..=20),
            backoff_base: reader.seconds("BACKOFF_BASE_SECONDS"),
            backoff_max: reader.seconds("BACKOFF_MAX_SECONDS"),
            max_elapsed: reader.seconds("RETRY_MAX_ELAPSED_SECONDS"),
            breaker: BreakerSettings {
                threshold: reader.number("BREAKER_THRESHOLD", 1..=100),
                cooldown: reader.seconds("BREAKER_COOLDOWN_SECONDS"),
                give_up: reader.seconds("BREAKER_GIVE_UP_SECONDS"),
            },
        },
        max_consecutive_errors: reader.number("MAX_CONSECUTIVE_ERRORS", 1..=1000),
        transform: TransformSettings {
            title_languages,
            genres_in_russian: genres_in_russian.unwrap_or(false),
            translation_priorities: reader.list("TRANSLATION_PRIORITIES"),
            translations_excluded: reader.list("TRANSLATIONS_EXCLUDED"),
            include_specials: reader.flag("INCLUDE_SPECIALS"),
            include_joined: reader.flag("INCLUDE_JOINED_EPISODES"),
        },
        fetch_characters: reader.flag("FETCH_CHARACTERS"),
        load_hidden_titles: reader.flag("LOAD_HIDDEN_TITLES"),
        state: StateSettings {
            path: PathBuf::from(reader.text("STATE_PATH")?),
            landing: reader.text("LANDING_PATH").map(PathBuf::from),
        },
        database,
        output: OutputSettings {
            report: reader.text("REPORT_PATH").map(PathBuf::from),
            metrics_file: reader.text("METRICS_FILE").map(PathBuf::from),
            log_level,
            log_format: reader
                .choice("LOG_FORMAT", &[("text", LogFormat::Text), ("json", LogFormat::Json)])
                .unwrap_or(LogFormat::Text),
        },
        server: ServerSettings {
            listen: reader.listen("LISTEN")?,
            token: internal_token,
            max_body: usize::try_from(reader.number("SERVER_MAX_BODY_MIB", 1..=256)).unwrap_or(1) << 20,
            request_timeout: reader.seconds("SERVER_REQUEST_TIMEOUT_SECONDS"),
            max_requests: usize::try_from(reader.number("SERVER_MAX_REQUESTS", 1..=65_536)).unwrap_or(1),
            max_requests_per_token: usize::try_from(reader.number("SERVER_MAX_REQUESTS_PER_TOKEN", 1..=65_536))
                .unwrap_or(1),
            idle_timeout: reader.seconds("SERVER_IDLE_TIMEOUT_SECONDS"),
            shutdown: reader.seconds("SERVER_SHUTDOWN_SECONDS"),
            https: reader.url("PUBLIC_URL").is_some_and(|url| url.scheme() == "https"),
        },
        objects: objects::read(reader),
        imports: imports::read(reader),
        jobs: jobs::read(reader),
        telemetry: telemetry::read(reader),
        shown: Settings::shown(reader.layers),
    })
}

#[cfg(test)]
mod tests {
    use super::super::reader::Reader;
    use super::{ConfigError, Layers, Needs, Settings, read};

    #[test]
    fn every_setting_of_the_table_is_read() {
        let layers = Layers::from_environment([]);
        let mut reader = Reader::new(&layers);
        assert!(read(&mut reader, Needs::default()).is_some());
        assert_eq!(reader.unread(), Vec::<&str>::new());
        assert_eq!(reader.faults, Vec::new());
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        let layers = Layers::from_environment([
            ("CONCURRENCY", "many"),
            ("KODIK_BASE_URL", "ftp://x"),
            ("BACKEND_BASE_URL", "http://backend.test"),
            ("INCLUDE_SPECIALS", "maybe"),
        ]);
        let Err(ConfigError::Settings(faults)) = Settings::load(&layers, Needs { kodik_token: true }) else {
            panic!("accepted");
        };
        let names: Vec<_> = faults.iter().map(|fault| fault.name).collect();
        assert_eq!(names, ["KODIK_API_TOKEN", "KODIK_BASE_URL", "INTERNAL_TOKEN", "CONCURRENCY", "INCLUDE_SPECIALS"]);
    }

    #[test]
    fn an_address_with_a_password_is_refused_and_not_repeated() {
        let layers = Layers::from_environment([("BACKEND_BASE_URL", "http://me:S3CRET@backend.test")]);
        let error = Settings::load(&layers, Needs::default()).unwrap_err().to_string();
        assert!(error.contains("BACKEND_BASE_URL") && !error.contains("S3CRET"), "{error}");
    }

    #[test]
    fn the_predecessors_rate_is_the_default_of_the_sources_only() {
        let layers = Layers::from_environment([("RATE_LIMIT_RPS", "1.5"), ("KODIK_RATE_LIMIT_RPS", "0")]);
        let settings = Settings::load(&layers, Needs::default()).unwrap();
        assert_eq!(settings.kodik.rate, None);
        assert_eq!(settings.shikimori.rate.per_second, Some(1.5));
        assert_eq!(settings.shikimori.rate.per_minute, Some(90.0));
    }
}
