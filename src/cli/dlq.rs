//! `parser dlq list|show|replay|discard`: messages that could not be worked on.

use clap::{Args, Subcommand};

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub enum DlqCommand {
    /// List dead letters that nobody has dealt with, the newest first
    List(ListArgs),
    /// Show one dead letter whole
    Show(ShowArgs),
    /// Send dead letters to the topics they came from
    Replay(ManyArgs),
    /// Give dead letters up: they are listed no more
    Discard(ManyArgs),
}

/// Where they are, and how they are printed.
#[derive(Debug, Clone, Args)]
pub struct PlaceArgs {
    /// Brokers, `host:port,…` (`KAFKA_BROKERS`)
    #[arg(long, value_name = "LIST")]
    pub brokers: Option<String>,

    /// The consumer group whose dead letters they are (`KAFKA_GROUP`)
    #[arg(long, value_name = "ID")]
    pub group: Option<String>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Which dead letters.
#[derive(Debug, Clone, Args)]
pub struct SelectArgs {
    /// Only those whose reason (`code: message`) matches
    #[arg(long, value_name = "REGEX")]
    pub reason: Option<String>,

    /// Only those given up since then: a time (`2026-03-01T12:00:00Z`), a date, or a span (`90m`, `24h`, `7d`)
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
}

/// `parser dlq list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Which.
    #[command(flatten)]
    pub select: SelectArgs,

    /// Where.
    #[command(flatten)]
    pub place: PlaceArgs,

    /// Also those that somebody has dealt with
    #[arg(long)]
    pub all: bool,

    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
}

/// `parser dlq show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The id that the list shows
    pub id: String,

    /// Where.
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// `parser dlq replay` and `discard`.
#[derive(Debug, Args)]
pub struct ManyArgs {
    /// Ids that the list shows; none = all that the other options select
    pub ids: Vec<String>,

    /// Which.
    #[command(flatten)]
    pub select: SelectArgs,

    /// Where.
    #[command(flatten)]
    pub place: PlaceArgs,

    /// Only say which ones it would be
    #[arg(long)]
    pub dry_run: bool,
}

#[cfg(not(feature = "kafka"))]
pub(super) fn execute(_: &DlqCommand, _: crate::config::Layers, _: &std::path::Path) -> super::exit::Exit {
    super::consume::not_built()
}

#[cfg(feature = "kafka")]
pub(super) use working::execute;

#[cfg(feature = "kafka")]
mod working {
    use std::fmt::Write as _;
    use std::path::Path;

    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use serde_json::{Value, json};

    use super::{DlqCommand, ListArgs, ManyArgs, SelectArgs, ShowArgs};
    use crate::backend::dead_letters::{
        DeadLetter, DeadLetters, DeadLettersError, Listed, Look, Order, Selection, moment,
    };
    use crate::cli::backend::{Backend, block_on};
    use crate::cli::exit::Exit;
    use crate::cli::{complain, harmless, messages, print_bytes, table};
    use crate::config::Layers;
    use crate::store::messages::Settled;

    /// Letters that a dry run shows.
    const SHOWN: usize = 500;

    pub(in crate::cli) fn execute(command: &DlqCommand, mut layers: Layers, folder: &Path) -> Exit {
        let (place, select) = match command {
            DlqCommand::List(args) => (&args.place, Some(&args.select)),
            DlqCommand::Show(args) => (&args.place, None),
            DlqCommand::Replay(args) | DlqCommand::Discard(args) => (&args.place, Some(&args.select)),
        };
        for (name, value) in [("KAFKA_BROKERS", &place.brokers), ("KAFKA_GROUP", &place.group)] {
            if let Some(value) = value {
                layers.set_flag(name, value);
            }
        }
        let selection = match select.map(selection).transpose() {
            Ok(selection) => selection.unwrap_or_default(),
            Err(text) => {
                messages::error(&text, None);
                return Exit::Usage;
            }
        };
        let backend = match Backend::of(&layers, folder) {
            Ok(backend) => backend,
            Err(exit) => return exit,
        };
        block_on(async {
            let store = match backend.open().await {
                Ok(store) => store,
                Err(error) => return complain(&error, &backend.redactor),
            };
            let done = async {
                let letters = DeadLetters::new(store, backend.settings.kafka.clone())?;
                match command {
                    DlqCommand::List(args) => list(&letters, selection, args).await,
                    DlqCommand::Show(args) => show(&letters, args).await,
                    DlqCommand::Replay(args) => many(&letters, selection, args, Settled::Replayed).await,
                    DlqCommand::Discard(args) => many(&letters, selection, args, Settled::Discarded).await,
                }
            };
            let done: Result<Exit, DeadLettersError> = done.await;
            done.unwrap_or_else(|error| complain(&error, &backend.redactor))
        })
    }

    fn selection(args: &SelectArgs) -> Result<Selection, String> {
        let pattern = |text: &String| regex::Regex::new(text).map_err(|error| format!("--reason: {error}"));
        Ok(Selection {
            reason: args.reason.as_ref().map(pattern).transpose()?,
            since: args.since.as_deref().map(moment).transpose().map_err(|error| format!("--since: {error}"))?,
            ..Selection::default()
        })
    }

    async fn list(letters: &DeadLetters, selection: Selection, args: &ListArgs) -> Result<Exit, DeadLettersError> {
        let selection = Selection { all: args.all, ..selection };
        let most = usize::try_from(args.limit).unwrap_or(usize::MAX);
        let look = Look { most, order: Order::NewestFirst, whole: args.place.json, last: None };
        let Listed { letters: found, count, .. } = letters.list(&selection, look).await?;
        if args.place.json {
            let shown: Vec<Value> = found.iter().map(to_json).collect();
            return Ok(print(&format!("{}\n", json!({ "topic": letters.topic(), "count": count, "letters": shown }))));
        }
        if found.is_empty() {
            messages::say(&format!("no dead letters in `{}` that fit", letters.topic()));
            return Ok(Exit::Done);
        }
        let text = as_table(&found);
        if count > found.len() {
            messages::say(&format!("{} of {count}, the newest; `--limit` shows more", found.len()));
        }
        Ok(print(&text))
    }

    async fn show(letters: &DeadLetters, args: &ShowArgs) -> Result<Exit, DeadLettersError> {
        let Some(letter) = letters.one(&args.id).await? else {
            messages::error(&format!("there is no dead letter `{}`", args.id), Some("see `parser dlq list --all`"));
            return Ok(Exit::Usage);
        };
        if args.place.json {
            return Ok(print(&format!("{}\n", to_json(&letter))));
        }
        let mut text = String::new();
        let bytes =
            |bytes: Option<&[u8]>| bytes.map_or_else(|| "–".to_owned(), |b| String::from_utf8_lossy(b).into_owned());
        let _ = writeln!(text, "id       {}", letter.id);
        let _ = writeln!(text, "state    {}", letter.settled.map_or("open", Settled::as_str));
        let _ = writeln!(text, "from     {}", origin(&letter));
        let _ = writeln!(text, "reason   {}", letter.reason());
        let _ = writeln!(text, "replays  {}", letter.replays());
        for (name, value) in &letter.message.headers {
            let _ = writeln!(text, "header   {name}: {}", bytes(value.as_deref()));
        }
        let _ = writeln!(text, "key      {}", bytes(letter.message.key.as_deref()));
        let _ = writeln!(text, "\n{}", bytes(letter.message.value.as_deref()));
        Ok(print(&text))
    }

    async fn many(
        letters: &DeadLetters,
        selection: Selection,
        args: &ManyArgs,
        action: Settled,
    ) -> Result<Exit, DeadLettersError> {
        let mut selection = Selection {
            // Those that a replay makes are not of this selection.
            until: Some(jiff::Timestamp::now().as_millisecond()),
            ..selection
        };
        let (mut known, mut failed) = (None, Vec::new());
        if !args.ids.is_empty() {
            let found = letters.known(&args.ids).await?;
            for id in &found.unknown {
                messages::error(&format!("there is no dead letter `{id}`"), Some("see `parser dlq list --all`"));
            }
            if !found.unknown.is_empty() {
                return Ok(Exit::Usage);
            }
            let done = found.settled.iter().map(|(id, how)| (id.clone(), format!("it is {} already", how.as_str())));
            failed.extend(done);
            complain_of(&failed);
            selection.ids = args.ids.iter().cloned().collect();
            known = Some(found);
        }
        if args.dry_run {
            let look = Look { most: SHOWN, order: Order::OldestFirst, whole: args.place.json, last: None };
            let Listed { letters: found, count, .. } = letters.list(&selection, look).await?;
            let word = if action == Settled::Replayed { "replayed" } else { "discarded" };
            messages::say(&format!("{count} would be {word}"));
            let printed = print(&if args.place.json {
                let shown: Vec<Value> = found.iter().map(to_json).collect();
                format!("{}\n", json!({ "dry_run": true, "count": count, "letters": shown }))
            } else {
                as_table(&found)
            });
            return Ok(if failed.is_empty() { printed } else { Exit::SomeFailed });
        }
        let mut dealing = match known {
            Some(known) => letters.deal_with(known, selection, action),
            None => letters.deal(selection, action, usize::MAX),
        };
        let (mut printed, mut done) = (Exit::Done, Vec::new());
        let ended = loop {
            let (found, some) = match dealing.next().await {
                Ok(Some(dealt)) => dealt,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            // What is done is told at once: whatever happens to the rest, it stays done.
            complain_of(&some.failed);
            if !args.place.json {
                let told: Vec<_> = found.into_iter().filter(|letter| some.done.contains(&letter.id)).collect();
                if !told.is_empty() {
                    printed = printed.max_of(print(&as_table(&told)));
                }
            }
            done.extend(some.done);
            failed.extend(some.failed);
        };
        messages::say(&format!("{} {}, {} failed", done.len(), action.as_str(), failed.len()));
        if args.place.json {
            let failed: Vec<Value> = failed.iter().map(|(id, reason)| json!({ "id": id, "reason": reason })).collect();
            printed = print(&format!("{}\n", json!({ action.as_str(): done, "failed": failed })));
        }
        ended?;
        Ok(if failed.is_empty() { printed } else { Exit::SomeFailed })
    }

    fn complain_of(failed: &[(String, String)]) {
        for (id, reason) in failed {
            messages::error(&format!("{id}: {reason}"), None);
        }
    }

    fn origin(letter: &DeadLetter) -> String {
        let part = |name| letter.context(name).unwrap_or("?");
        format!("{}/{}/{}", part("topic"), part("partition"), part("offset"))
    }

    fn as_table(letters: &[DeadLetter]) -> String {
        let mut shown = table::plain(&["id", "when", "from", "replays", "state", "reason"]);
        for letter in letters {
            shown.add_row([
                letter.id.clone(),
                letter
                    .at()
                    .and_then(|at| jiff::Timestamp::from_millisecond(at).ok())
                    .map_or_else(String::new, |at| at.strftime("%F %T").to_string()),
                origin(letter),
                letter.replays().to_string(),
                letter.settled.map_or("open", Settled::as_str).to_owned(),
                letter.reason(),
            ]);
        }
        format!("{shown}\n")
    }

    /// A text, or null and what it is in base64.
    fn told(bytes: Option<&[u8]>) -> (Value, Option<Value>) {
        match bytes.map(std::str::from_utf8) {
            None => (Value::Null, None),
            Some(Ok(text)) => (Value::from(text), None),
            Some(Err(_)) => (Value::Null, bytes.map(|bytes| Value::from(BASE64_STANDARD.encode(bytes)))),
        }
    }

    fn to_json(letter: &DeadLetter) -> Value {
        let headers = letter.message.headers.iter().map(|(name, value)| {
            let (text, base64) = told(value.as_deref());
            [Value::from(name.as_str()), text].into_iter().chain(base64).collect()
        });
        let mut shown = json!({
            "id": letter.id,
            "state": letter.settled.map_or("open", Settled::as_str),
            "topic": letter.context("topic"),
            "partition": letter.context("partition").and_then(|text| text.parse::<i32>().ok()),
            "offset": letter.context("offset").and_then(|text| text.parse::<i64>().ok()),
            "at": letter.at().and_then(|at| jiff::Timestamp::from_millisecond(at).ok()).map(|at| at.to_string()),
            "reason": letter.reason(),
            "replays": letter.replays(),
            "headers": headers.collect::<Vec<Value>>(),
        });
        for (name, bytes) in [("key", &letter.message.key), ("value", &letter.message.value)] {
            let (text, base64) = told(bytes.as_deref());
            shown[name] = text;
            if let Some(base64) = base64 {
                shown[format!("{name}_base64")] = base64;
            }
        }
        shown
    }

    fn print(text: &str) -> Exit {
        print_bytes(harmless(text).as_bytes())
    }
}
