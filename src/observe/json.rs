//! One JSON object a line, flat: what an event says and what its spans say stand side by side, so that a line about a
//! message carries the job, topic, partition and offset of that message wherever it was logged.
//!
//! The event's own fields win over those of its spans, inner spans over outer ones.

use std::fmt;

use serde::ser::Serializer as _;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// See the head of this file.
pub(super) struct FlatJson;

impl<S> FormatEvent<S, JsonFields> for FlatJson
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let mut line = Line::default();
        line.put("timestamp", format!("{:.6}", jiff::Timestamp::now()));
        line.put("level", metadata.level().as_str());
        event.record(&mut line);
        // Records of the `log` crate say in fields where they are from.
        let target = line.take("log.target").unwrap_or_else(|| metadata.target().into());
        line.0.retain(|(name, _)| !name.starts_with("log."));
        for span in context.event_scope().into_iter().flatten() {
            let of_span = span
                .extensions()
                .get::<FormattedFields<JsonFields>>()
                .and_then(|fields| serde_json::from_str::<Map<String, Value>>(&fields.fields).ok());
            for (name, value) in of_span.into_iter().flatten() {
                // Not what is only there for traces, nor what the event or an inner span says of itself.
                if !name.starts_with("otel.") {
                    line.put(&name, value);
                }
            }
        }
        if let Some(trace) = context.lookup_current().and_then(|span| super::traces::trace_id(&span.id())) {
            line.put("trace_id", trace);
        }
        line.put("target", target);
        let mut bytes = Vec::with_capacity(256);
        let pairs = line.0.iter().map(|(name, value)| (name, value));
        serde_json::Serializer::new(&mut bytes).collect_map(pairs).map_err(|_| fmt::Error)?;
        writeln!(writer, "{}", String::from_utf8_lossy(&bytes))
    }
}

/// The fields in their order, each once. Values keep their types.
#[derive(Default)]
struct Line(Vec<(String, Value)>);

impl Line {
    /// Unless it is there already.
    fn put(&mut self, name: &str, value: impl Into<Value>) {
        if !self.0.iter().any(|(known, _)| known == name) {
            self.0.push((name.to_owned(), value.into()));
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(at).1)
    }
}

impl Visit for Line {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field.name(), value.to_string());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), format!("{value:?}"));
    }
}
