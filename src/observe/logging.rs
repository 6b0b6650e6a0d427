//! The log subscriber: standard error, text or JSON, redacted, and kept apart from progress bars.

use std::io::{self, Write};

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt, registry};

use super::json::FlatJson;
use super::redact::RedactingWriter;
use super::text::TextFields;
use super::{Redactor, traces};

/// How to log.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// A `tracing` filter.
    pub filter: String,
    /// JSON lines instead of text.
    pub json: bool,
    /// Colours.
    pub colour: bool,
    /// Blanks secrets.
    pub redactor: Redactor,
    /// Runs a write while no progress bar is on the screen.
    pub suspend: fn(&mut dyn FnMut()),
}

/// Installs the subscriber for the whole process, and that of the traces if they are wanted. Later calls do nothing.
pub fn init(options: LogOptions) {
    // What the migrations of a new file tell is of no use to anybody, unless it is asked for by name.
    let quiet = |filter: &str| format!("refinery_core=warn,{filter}");
    let filter = EnvFilter::try_new(quiet(&options.filter)).unwrap_or_else(|_| EnvFilter::new(quiet("info")));
    let filter = filter.or(filter_fn(context));
    let traces = traces::layer(&options.redactor);
    let writer = LogWriter { redactor: options.redactor, suspend: options.suspend };
    let log = fmt::layer().with_writer(writer).with_ansi(options.colour);
    let log = if options.json {
        log.json().event_format(FlatJson).with_filter(filter).boxed()
    } else {
        log.with_target(false).fmt_fields(TextFields).with_filter(filter).boxed()
    };
    let _already_installed = registry().with(log).with(traces).try_init();
}

/// A line tells what it is about, however few lines are wanted.
fn context(metadata: &Metadata<'_>) -> bool {
    let own = metadata.target().starts_with(concat!(env!("CARGO_PKG_NAME"), "::"));
    metadata.is_span() && own && *metadata.level() <= Level::INFO
}

struct LogWriter {
    redactor: Redactor,
    suspend: fn(&mut dyn FnMut()),
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = RedactingWriter<SuspendingStderr>;

    fn make_writer(&'a self) -> Self::Writer {
        self.redactor.writer(SuspendingStderr { suspend: self.suspend })
    }
}

/// Standard error that asks progress bars to step aside for each write.
struct SuspendingStderr {
    suspend: fn(&mut dyn FnMut()),
}

impl Write for SuspendingStderr {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let mut result = Ok(());
        (self.suspend)(&mut || result = io::stderr().write_all(buffer));
        result.map(|()| buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
