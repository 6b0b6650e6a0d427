//! The table of settings: name, default, meaning. `.env.example`, the README's table and `parser diagnose` are made
//! from it, and a test keeps them in step.

use std::fmt::Write as _;

use super::registry_kafka::ROWS as KAFKA;

/// A group of settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Tokens and addresses.
    Services,
    /// How fast and how patient.
    Limits,
    /// What becomes of the data.
    Data,
    /// State, reports, logs.
    Output,
    /// `parser serve`.
    Server,
    /// What imports read.
    Objects,
    /// `parser consume` and `parser dlq`.
    Kafka,
}

impl Section {
    /// The heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Services => "Services",
            Self::Limits => "Limits and patience",
            Self::Data => "Data",
            Self::Output => "State, reports, logs",
            Self::Server => "The server (`parser serve`)",
            Self::Objects => "Files and object storage for imports",
            Self::Kafka => "Events (`parser consume`, `parser dlq`)",
        }
    }
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Environment variable.
    pub name: &'static str,
    /// The default as text; empty = none.
    pub default: &'static str,
    /// Never shown.
    pub secret: bool,
    /// Where it is listed.
    pub section: Section,
    /// One or two sentences.
    pub doc: &'static str,
}

pub(super) const fn setting(section: Section, name: &'static str, default: &'static str, doc: &'static str) -> Setting {
    Setting { name, default, secret: false, section, doc }
}

pub(super) const fn secret(section: Section, name: &'static str, doc: &'static str) -> Setting {
    Setting { name, default: "", secret: true, section, doc }
}

use Section::{Data, Limits, Objects, Output, Server, Services};

/// Every setting, in the order in which they are shown.
pub static SETTINGS: &[Setting] = &ALL;

static ALL: [Setting; GENERAL.len() + KAFKA.len()] = {
    let mut all = [GENERAL[0]; GENERAL.len() + KAFKA.len()];
    let mut at = 0;
    while at < all.len() {
        all[at] = if at < GENERAL.len() { GENERAL[at] } else { KAFKA[at - GENERAL.len()] };
        at += 1;
    }
    all
};

const GENERAL: &[Setting] = &[
    secret(Services, "KODIK_API_TOKEN", "Kodik API token. Required, except with `--sandbox` and `--from-landing`."),
    setting(Services, "KODIK_BASE_URL", "https://kodik-api.com", "Address of the Kodik API. It has moved before."),
    setting(
        Services,
        "SHIKIMORI_BASE_URL",
        "https://shikimori.io/api",
        "Address of the Shikimori API, with or without `/api`. It has moved before.",
    ),
    setting(
        Services,
        "USER_AGENT",
        concat!("parser/", env!("CARGO_PKG_VERSION")),
        "Sent with every request. Shikimori wants the name of your OAuth2 application here and bans browsers' names.",
    ),
    setting(
        Services,
        "BACKEND_BASE_URL",
        "",
        "Backend that receives the catalogue. Empty = the embedded one (see `DATABASE_URL`).",
    ),
    setting(
        Services,
        "BACKEND_API",
        "auto",
        "How that backend is spoken to: `batch` (a title is one request), `contract` (one for each part of it), `auto` \
         (it is asked).",
    ),
    secret(
        Services,
        "INTERNAL_TOKEN",
        "The backend's `X-Internal-Token`. Required with `BACKEND_BASE_URL`; `parser serve` makes one if it is empty.",
    ),
    secret(
        Services,
        "DATABASE_URL",
        "Where the catalogue is kept: `sqlite:PATH`, or `postgres://user:password@host:5432/database?sslmode=…` \
         (PostgreSQL 15 or newer). Empty = `catalog.db` in the state folder.",
    ),
    setting(Services, "SOURCE_NAME", "kodik-shikimori", "`source_name` of every record."),
    setting(
        Limits,
        "CONCURRENCY",
        "4",
        "Titles (and a title's videos) in flight to a backend, 1–64. Into the embedded catalogue at least 24 go together.",
    ),
    setting(Limits, "RATE_LIMIT_RPS", "2", "Requests per second to a source that has no rate of its own below."),
    setting(
        Limits,
        "KODIK_RATE_LIMIT_RPS",
        "",
        "Requests per second to Kodik. Empty = `RATE_LIMIT_RPS`, 0 = unlimited.",
    ),
    setting(
        Limits,
        "SHIKIMORI_RATE_LIMIT_RPS",
        "",
        "Requests in any second to Shikimori. Empty = 5, or `RATE_LIMIT_RPS` if that is set; 0 = unlimited.",
    ),
    setting(Limits, "SHIKIMORI_RATE_LIMIT_RPM", "90", "Requests in any minute to Shikimori. 0 = unlimited."),
    setting(Limits, "BACKEND_RATE_LIMIT_RPS", "0", "Requests per second to the backend. 0 = unlimited."),
    setting(Limits, "GLOBAL_RATE_LIMIT_RPS", "0", "Requests per second to all services together. 0 = unlimited."),
    setting(Limits, "HTTP_TIMEOUT_SECONDS", "30", "One attempt, body included."),
    setting(Limits, "HTTP_CONNECT_TIMEOUT_SECONDS", "10", "TCP and TLS of one attempt."),
    setting(Limits, "HTTP_MAX_BODY_MIB", "32", "Largest answer that is read, after decompression."),
    setting(Limits, "MAX_RETRIES", "3", "Retries of one request after its first attempt."),
    setting(Limits, "BACKOFF_BASE_SECONDS", "1", "Upper bound of the first retry's random delay; doubles each time."),
    setting(Limits, "BACKOFF_MAX_SECONDS", "60", "Longest upper bound of a retry's delay."),
    setting(
        Limits,
        "RETRY_MAX_ELAPSED_SECONDS",
        "300",
        "No retry starts after this long; also the longest `Retry-After` that is waited for.",
    ),
    setting(Limits, "BREAKER_THRESHOLD", "3", "Outages in a row after which a service is left alone for a while."),
    setting(Limits, "BREAKER_COOLDOWN_SECONDS", "5", "How long it is left alone at first; doubles up to a minute."),
    setting(
        Limits,
        "BREAKER_GIVE_UP_SECONDS",
        "600",
        "A service that is down for this long stops the run (exit 3 or 4); `--resume` goes on.",
    ),
    setting(
        Limits,
        "MAX_CONSECUTIVE_ERRORS",
        "10",
        "Batches of 50 titles in a row without one success after which the run stops.",
    ),
    setting(
        Limits,
        "DATABASE_CONNECTIONS",
        "8",
        "Connections to PostgreSQL: as many changes and questions run at once.",
    ),
    setting(Limits, "DATABASE_CONNECT_TIMEOUT_SECONDS", "5", "One attempt to connect to PostgreSQL."),
    setting(Limits, "DATABASE_STATEMENT_TIMEOUT_SECONDS", "30", "One statement on PostgreSQL."),
    setting(
        Limits,
        "DATABASE_WAIT_SECONDS",
        "10",
        "How long a change waits for a free connection to PostgreSQL, and for a lost server to come back.",
    ),
    setting(Data, "KODIK_TYPES", "anime,anime-serial", "Material types that are listed."),
    setting(
        Data,
        "TITLE_LANGUAGES",
        "romaji,english,russian,japanese",
        "Preference for the display title. Romaji first, because the backend's slug is ASCII.",
    ),
    setting(Data, "GENRE_LANGUAGE", "english", "`english` or `russian`."),
    setting(
        Data,
        "TRANSLATION_PRIORITIES",
        "",
        "Translation ids or names, most preferred first (`610,AniDUB`). The others: voice before subtitles.",
    ),
    setting(Data, "TRANSLATIONS_EXCLUDED", "", "Translation ids or names that are not loaded."),
    setting(Data, "INCLUDE_SPECIALS", "false", "Also send episodes of season 0."),
    setting(Data, "INCLUDE_JOINED_EPISODES", "false", "Also send joined or odd episodes such as `1-2`."),
    setting(Data, "EPISODE_TITLES", "false", "Ask Kodik for episode titles (larger pages)."),
    setting(Data, "FETCH_CHARACTERS", "false", "Ask Shikimori for the characters: one more request for each title."),
    setting(
        Data,
        "LOAD_HIDDEN_TITLES",
        "false",
        "Load titles that Shikimori hides (404, 451) from Kodik's `material_data` instead of skipping them.",
    ),
    setting(
        Output,
        "STATE_PATH",
        "state",
        "Folder of the state, or a `.json` file whose siblings hold the rest. Relative to the working directory.",
    ),
    setting(Output, "LANDING_PATH", "", "Raw payloads, SQLite. Empty = `landing.db` beside the state."),
    setting(Output, "REPORT_PATH", "", "Write the run's report as JSON (same as `--report`)."),
    setting(Output, "METRICS_FILE", "", "Write the run's metrics as Prometheus text (same as `--metrics-file`)."),
    setting(
        Output,
        "LOG_LEVEL",
        "info",
        "`error`, `warn`, `info`, `debug`, `trace`, or a filter (`info,parser::http=debug`).",
    ),
    setting(Output, "LOG_FORMAT", "text", "`text` or `json`, on standard error."),
    setting(
        Output,
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "",
        "OpenTelemetry collector that traces are sent to (`http://localhost:4318`; OTLP over HTTP, protobuf). Empty = no \
         traces.",
    ),
    setting(
        Output,
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "",
        "The same as the whole address, if it does not end in `/v1/traces`.",
    ),
    secret(Output, "OTEL_EXPORTER_OTLP_HEADERS", "Headers for the collector, `name=value,…`, values percent-encoded."),
    setting(Output, "OTEL_EXPORTER_OTLP_TIMEOUT", "10000", "Milliseconds that one request to it may take."),
    setting(Output, "OTEL_SERVICE_NAME", "parser", "`service.name` of the traces."),
    setting(Output, "OTEL_RESOURCE_ATTRIBUTES", "", "What else they say of this process, `name=value,…`."),
    setting(
        Output,
        "OTEL_TRACES_SAMPLER_ARG",
        "1",
        "Share of traces that are kept, 0 to 1. Who calls with a `traceparent` has chosen already.",
    ),
    setting(
        Server,
        "LISTEN",
        "127.0.0.1:8000",
        "Where `parser serve` listens (same as `--listen`). Beyond this machine only with an own `INTERNAL_TOKEN` of \
         at least 32 characters.",
    ),
    setting(Server, "SERVER_MAX_BODY_MIB", "1", "Largest request body that is read."),
    setting(Server, "SERVER_REQUEST_TIMEOUT_SECONDS", "30", "One request, from its head to its answer."),
    setting(
        Server,
        "SERVER_MAX_REQUESTS",
        "256",
        "Requests that are worked on at once; more are told to come back (503, `Retry-After`).",
    ),
    setting(
        Server,
        "SERVER_MAX_REQUESTS_PER_TOKEN",
        "128",
        "Those of them that may belong to one token, so that importers leave room for readers (429, `Retry-After`).",
    ),
    setting(
        Server,
        "SERVER_IDLE_TIMEOUT_SECONDS",
        "60",
        "How long a client may take for the head of its next request, and for the next bytes of an answer.",
    ),
    setting(
        Server,
        "SERVER_SHUTDOWN_SECONDS",
        "10",
        "How long requests in flight may take to finish after SIGINT or SIGTERM.",
    ),
    setting(
        Server,
        "PUBLIC_URL",
        "",
        "Where browsers reach `parser serve` if a proxy stands before it. With `https://…` the dashboard's cookies are for \
         https only; what a proxy says in `X-Forwarded-*` is never believed.",
    ),
    setting(
        Objects,
        "IMPORT_FILES_PATH",
        "",
        "Folder whose files a `storage_url` may name; relative names count from it. Empty = no files.",
    ),
    setting(
        Objects,
        "IMPORT_HOSTS",
        "",
        "Hosts that a `storage_url` may name: `files.example.org`, `minio:9000`, `.example.org` for all below it. \
         Without a port only 80 and 443. Private addresses only through hosts that are listed in full.",
    ),
    setting(
        Objects,
        "IMPORT_BUCKETS",
        "",
        "Buckets that a `storage_url` may name: `catalogue`, or `catalogue/daily/` for the keys that begin so.",
    ),
    setting(
        Objects,
        "IMPORT_MAX_OBJECT_MIB",
        "10240",
        "Largest object that a `storage_url` may lead to, as it is kept.",
    ),
    setting(Objects, "IMPORT_MAX_LINE_MIB", "10", "Longest line; a longer one fails alone."),
    setting(
        Objects,
        "IMPORT_MAX_BATCH_MIB",
        "1024",
        "Largest batch that comes with its request, as JSON lines. (A JSON array is bounded like a line.)",
    ),
    setting(
        Objects,
        "IMPORT_WORKERS",
        "0",
        "Records that are worked on at once. 0 = what suits the database (64 for SQLite, 8 for PostgreSQL).",
    ),
    setting(
        Objects,
        "IMPORT_ATTEMPTS",
        "8",
        "Attempts of a record while the database is busy or away, before it fails with the reason.",
    ),
    setting(
        Objects,
        "IMPORT_LEASE_SECONDS",
        "30",
        "How long a record that a server works on is left alone by others when that server has died.",
    ),
    setting(
        Objects,
        "IMPORT_BULK_ROWS",
        "0",
        "Rows of one transaction of a file import; `--batch-size` goes before. 0 = what suits the database.",
    ),
    setting(Objects, "IMPORT_BULK_IN_FLIGHT", "8", "Transactions of one file on their way at once."),
    setting(Objects, "IMPORT_BULK_FILES", "2", "Files that one server works on at once."),
    setting(
        Objects,
        "IMPORT_BULK_ROW_SECONDS",
        "0.05",
        "How long a transaction of a file import may take for each of its rows, before it is undone and tried again;",
    ),
    setting(Objects, "IMPORT_BULK_SHORTEST_SECONDS", "1", "but never less than this,"),
    setting(Objects, "IMPORT_BULK_LONGEST_SECONDS", "30", "and never more than this."),
    setting(Objects, "IMPORT_READ_TIMEOUT_SECONDS", "30", "Wait for an answer, and for each next piece of it."),
    setting(
        Objects,
        "IMPORT_READ_TRIES",
        "5",
        "Broken connections without progress before an object is given up; each goes on where the last one broke.",
    ),
    setting(
        Objects,
        "IMPORT_READ_BACKOFF_SECONDS",
        "0.5",
        "Upper bound of the first random wait after a broken connection; doubles each time.",
    ),
    setting(
        Objects,
        "S3_ENDPOINT",
        "",
        "Address of an S3-compatible store (path style). Empty = `AWS_ENDPOINT_URL`, else Amazon's. An http(s) address \
         that begins with it is a bucket and a key.",
    ),
    setting(Objects, "S3_REGION", "", "Region. Empty = `AWS_REGION`, else `us-east-1`."),
    setting(
        Objects,
        "S3_ACCESS_KEY_ID",
        "",
        "Access key. Empty = `AWS_ACCESS_KEY_ID`, else that of the profile in `~/.aws/credentials`.",
    ),
    secret(Objects, "S3_SECRET_ACCESS_KEY", "Its secret. Empty = `AWS_SECRET_ACCESS_KEY`, else that of the profile."),
    secret(Objects, "S3_SESSION_TOKEN", "Token of temporary keys. Empty = `AWS_SESSION_TOKEN`."),
    setting(Objects, "S3_PROFILE", "", "Profile whose keys are used. Empty = `AWS_PROFILE`, else `default`."),
    setting(
        Server,
        "JOB_CHARACTER_CRON",
        "10 2 * * *",
        "When staged characters are brought into the catalogue: minute, hour, day of month, month, day of week; `off` = \
         only when asked for.",
    ),
    setting(Server, "JOB_PET_CRON", "20 2 * * *", "The same for pets."),
    setting(Server, "JOB_SERIES_CRON", "30 2 * * *", "The same for series."),
    setting(Server, "JOB_RELEASE_CRON", "40 2 * * *", "The same for releases."),
    setting(Server, "JOBS_ZONE", "UTC", "Time zone of these four (`Europe/Berlin`)."),
    setting(Server, "JOB_CHARACTER_ZONE", "", "Time zone of one of them. Empty = `JOBS_ZONE`."),
    setting(Server, "JOB_PET_ZONE", "", "The same for pets."),
    setting(Server, "JOB_SERIES_ZONE", "", "The same for series."),
    setting(Server, "JOB_RELEASE_ZONE", "", "The same for releases."),
    setting(Server, "JOB_BATCH", "10", "Staged records of a job that are processed at once."),
    setting(
        Server,
        "JOB_LEASE_SECONDS",
        "60",
        "After so long without a sign of life of its process, others take over a job and what it has claimed.",
    ),
];

/// The text of `.env.example`.
pub fn dotenv_example() -> String {
    let mut text = String::from(
        "# Settings of `parser`. Copy to `.env` and fill in what you need; every line is optional but the token.\n\
         # An empty value means the default. Flags win over the environment, the environment wins over this file.\n",
    );
    let mut section = None;
    for setting in SETTINGS {
        if section != Some(setting.section) {
            let _ = write!(text, "\n# --- {} ---\n", setting.section.title());
            section = Some(setting.section);
        }
        let _ = write!(text, "\n# {}\n", setting.doc);
        if setting.secret {
            let _ = writeln!(text, "{}=", setting.name);
        } else if setting.default.contains(' ') {
            let _ = writeln!(text, "#{}=\"{}\"", setting.name, setting.default);
        } else {
            // A value with spaces is one only in quotes.
            let quote = if setting.default.contains(' ') { "\"" } else { "" };
            let _ = writeln!(text, "#{}={quote}{}{quote}", setting.name, setting.default);
        }
    }
    text
}

/// The settings table of the README.
pub fn markdown_table() -> String {
    let mut text = String::from("| setting | default | meaning |\n|---|---|---|\n");
    for setting in SETTINGS {
        let default = match setting.default {
            "" => "–".to_owned(),
            value => format!("`{value}`"),
        };
        let _ = writeln!(text, "| `{}` | {default} | {} |", setting.name, setting.doc);
    }
    text
}
