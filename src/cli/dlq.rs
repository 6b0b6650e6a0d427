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

/// Which dead letters.
#[derive(Debug, Clone, Args)]
pub struct SelectArgs {
    /// Only those whose reason (`code: message`) matches
    #[arg(long, value_name = "REGEX")]
    pub reason: Option<String>,

    /// Only those given up since then: a time (`2026-03-01T12:00:00Z`), a date, or a span (`90m`, `24h`, `7d`)
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,

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

/// `parser dlq list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Which.
    #[command(flatten)]
    pub select: SelectArgs,

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
    pub select: SelectArgs,
}

/// `parser dlq replay` and `discard`.
#[derive(Debug, Args)]
pub struct ManyArgs {
    /// Ids that the list shows; none = all that the other options select
    pub ids: Vec<String>,

    /// Which.
    #[command(flatten)]
    pub select: SelectArgs,

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

    use serde_json::{Value, json};

    use super::{DlqCommand, ListArgs, ManyArgs, SelectArgs, ShowArgs};
    use crate::backend::dead_letters::{DeadLetter, DeadLetters, DeadLettersError, Order, Outcome, Selection};
    use crate::cli::backend::{Backend, block_on};
    use crate::cli::exit::Exit;
    use crate::cli::{complain, harmless, messages, print_bytes, table};
    use crate::config::Layers;
    use crate::store::messages::Settled;

    /// Letters that are dealt with together.
    const SOME: usize = 1000;

    pub(in crate::cli) fn execute(command: &DlqCommand, mut layers: Layers, folder: &Path) -> Exit {
        let select = match command {
            DlqCommand::List(args) => &args.select,
            DlqCommand::Show(args) => &args.select,
            DlqCommand::Replay(args) | DlqCommand::Discard(args) => &args.select,
        };
        for (name, value) in [("KAFKA_BROKERS", &select.brokers), ("KAFKA_GROUP", &select.group)] {
            if let Some(value) = value {
                layers.set_flag(name, value);
            }
        }
        let selection = match selection(select) {
            Ok(selection) => selection,
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
            since: args.since.as_deref().map(moment).transpose()?,
            ..Selection::default()
        })
    }

    /// Milliseconds since 1970.
    fn moment(text: &str) -> Result<i64, String> {
        let wrong = || format!("--since: `{text}` is neither a time, nor a date, nor a span like `90m`");
        if let Ok(at) = text.parse::<jiff::Timestamp>() {
            return Ok(at.as_millisecond());
        }
        if let Ok(date) = text.parse::<jiff::civil::Date>() {
            let at = date.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| wrong())?;
            return Ok(at.timestamp().as_millisecond());
        }
        let unit = text.chars().last().ok_or_else(wrong)?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return Err(wrong()),
        };
        let count: i64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| wrong())?;
        let span = count.checked_mul(seconds * 1000).filter(|span| *span >= 0).ok_or_else(wrong)?;
        Ok(jiff::Timestamp::now().as_millisecond().saturating_sub(span))
    }

    async fn list(letters: &DeadLetters, selection: Selection, args: &ListArgs) -> Result<Exit, DeadLettersError> {
        let selection = Selection { all: args.all, ..selection };
        let most = usize::try_from(args.limit).unwrap_or(usize::MAX);
        let (found, count) = letters.list(&selection, most, Order::NewestFirst).await?;
        if args.select.json {
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
        if args.select.json {
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
            ids: args.ids.clone(),
            // Those that a replay makes are not of this selection.
            until: Some(jiff::Timestamp::now().as_millisecond()),
            ..selection
        };
        if args.dry_run {
            let (found, count) = letters.list(&selection, SOME, Order::OldestFirst).await?;
            let word = if action == Settled::Replayed { "replayed" } else { "discarded" };
            messages::say(&format!("{count} would be {word}"));
            return Ok(print(&if args.select.json {
                let shown: Vec<Value> = found.iter().map(to_json).collect();
                format!("{}\n", json!({ "dry_run": true, "count": count, "letters": shown }))
            } else {
                as_table(&found)
            }));
        }
        let mut outcome = Outcome::default();
        let mut shown = String::new();
        loop {
            let (found, _) = letters.list(&selection, SOME, Order::OldestFirst).await?;
            if found.is_empty() {
                break;
            }
            if !args.select.json {
                shown.push_str(&as_table(&found));
            }
            let some = match action {
                Settled::Replayed => letters.replay(&found).await?,
                Settled::Discarded => letters.discard(&found).await?,
            };
            // They stay open, but are not tried for ever.
            selection.but.extend(some.failed.iter().map(|(id, _)| id.clone()));
            outcome.done.extend(some.done);
            outcome.failed.extend(some.failed);
        }
        for (id, reason) in &outcome.failed {
            messages::error(&format!("{id}: {reason}"), None);
        }
        let result = if args.select.json {
            let failed: Vec<Value> =
                outcome.failed.iter().map(|(id, reason)| json!({ "id": id, "reason": reason })).collect();
            format!("{}\n", json!({ action.as_str(): outcome.done, "failed": failed }))
        } else {
            messages::say(&format!("{} {}, {} failed", outcome.done.len(), action.as_str(), outcome.failed.len()));
            shown
        };
        let printed = print(&result);
        Ok(if outcome.failed.is_empty() { printed } else { Exit::SomeFailed })
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

    fn to_json(letter: &DeadLetter) -> Value {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_or(Value::Null, Value::String);
        let headers: Vec<Value> = letter
            .message
            .headers
            .iter()
            .map(|(name, value)| json!([name, value.as_deref().map_or(Value::Null, text)]))
            .collect();
        json!({
            "id": letter.id,
            "state": letter.settled.map_or("open", Settled::as_str),
            "topic": letter.context("topic"),
            "partition": letter.context("partition").and_then(|text| text.parse::<i32>().ok()),
            "offset": letter.context("offset").and_then(|text| text.parse::<i64>().ok()),
            "at": letter.at().and_then(|at| jiff::Timestamp::from_millisecond(at).ok()).map(|at| at.to_string()),
            "reason": letter.reason(),
            "replays": letter.replays(),
            "key": letter.message.key.as_deref().map_or(Value::Null, text),
            "value": letter.message.value.as_deref().map_or(Value::Null, text),
            "headers": headers,
        })
    }

    fn print(text: &str) -> Exit {
        print_bytes(harmless(text).as_bytes())
    }

    #[cfg(test)]
    mod tests {
        use super::moment;

        #[test]
        fn times_dates_and_spans_are_understood() {
            assert_eq!(moment("1970-01-01T00:00:01Z"), Ok(1000));
            assert_eq!(moment("1970-01-02"), Ok(86_400_000));
            let now = jiff::Timestamp::now().as_millisecond();
            let span = moment("2h").unwrap();
            assert!((now - 7_200_000 - span).abs() < 60_000);
            for wrong in ["", "h", "-1h", "yesterday", "9999999999999999999d"] {
                assert!(moment(wrong).is_err(), "{wrong}");
            }
        }
    }
}
