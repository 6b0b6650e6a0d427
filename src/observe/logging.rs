//! The log subscriber: standard error, text or JSON, redacted, and kept apart from progress bars.

use std::io::{self, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::Redactor;
use super::redact::RedactingWriter;

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

/// Installs the subscriber for the whole process. Later calls do nothing.
pub fn init(options: LogOptions) {
    // What the migrations of a new file tell is of no use to anybody, unless it is asked for by name.
    let quiet = |filter: &str| format!("refinery_core=warn,{filter}");
    let filter = EnvFilter::try_new(quiet(&options.filter)).unwrap_or_else(|_| EnvFilter::new(quiet("info")));
    let json = options.json;
    let colour = options.colour;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(LogWriter { redactor: options.redactor, suspend: options.suspend })
        .with_ansi(colour);
    let _already_installed = if json {
        builder.json().flatten_event(true).with_current_span(false).try_init()
    } else {
        builder.with_target(false).try_init()
    };
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
