//! Traces for an OpenTelemetry collector: off until settings name one.
//!
//! Spans are those of `spans`. They wait in a bounded queue and are sent in batches by a thread of their own; when the
//! queue is full, spans are lost, never time. A collector that is down costs a warning. At the end of the process
//! [`finish`] sends what is left, within a deadline.
//!
//! A trace that a caller has begun goes on here ([`continues`]), and one that has begun here goes on elsewhere
//! ([`traceparent`]): the `traceparent` header of W3C, on HTTP and on messages alike.

mod export;

use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, SpanLimits,
};
use secrecy::SecretString;
use tracing::{Level, Metadata, Span};
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt as _};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;
use url::Url;

use super::Redactor;
use export::Exporter;

/// Spans that wait to be sent.
const QUEUE: usize = 4096;

/// Spans of one request to the collector.
const BATCH: usize = 512;

/// How long spans wait for company.
const DELAY: Duration = Duration::from_secs(2);

/// What the end of the process may wait for the collector.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Events and attributes of one span: a span of a long import must not grow with it.
const PER_SPAN: u32 = 64;

/// Where traces go.
#[derive(Debug, Clone)]
pub struct TraceOptions {
    /// The collector's address for traces.
    pub endpoint: Url,
    /// Headers of every request to it.
    pub headers: Vec<(String, SecretString)>,
    /// One request to it.
    pub timeout: Duration,
    /// `service.name`.
    pub service: String,
    /// What else is said of this process.
    pub attributes: Vec<(String, String)>,
    /// The share of traces that are kept.
    pub ratio: f64,
}

static OPTIONS: OnceLock<TraceOptions> = OnceLock::new();
static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// Says where traces go, before the log starts. Only the first call counts.
pub fn configure(options: TraceOptions) {
    let _ = OPTIONS.set(options);
}

/// The layer beside the log's; `None` = no traces.
pub(super) fn layer<S>(redactor: &Redactor) -> Option<impl Layer<S> + use<S>>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    let options = OPTIONS.get()?;
    let tracer = tracer(options, redactor)?;
    let layer: OpenTelemetryLayer<S, SdkTracer> = tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_error_events_to_status(true);
    Some(layer.with_filter(filter_fn(ours)))
}

/// Spans of our own, and what they log: what libraries trace may hold addresses and would cost more than it tells.
fn ours(metadata: &Metadata<'_>) -> bool {
    let own = metadata.target().starts_with(concat!(env!("CARGO_PKG_NAME"), "::"));
    own && *metadata.level() <= if metadata.is_span() { Level::DEBUG } else { Level::INFO }
}

fn tracer(options: &TraceOptions, redactor: &Redactor) -> Option<SdkTracer> {
    let own = [
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", uuid::Uuid::now_v7().to_string()),
        KeyValue::new("process.pid", i64::from(std::process::id())),
    ];
    let told = options.attributes.iter().map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
    let resource = Resource::builder_empty()
        .with_attributes(own)
        .with_attributes(told)
        .with_service_name(options.service.clone())
        .build();
    let exporter = match Exporter::new(options, redactor.clone()) {
        Ok(exporter) => exporter,
        Err(reason) => {
            super::events::traces_not_sent(0, &reason);
            return None;
        }
    };
    let config = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE)
        .with_max_export_batch_size(BATCH)
        .with_scheduled_delay(DELAY)
        .build();
    let limits = SpanLimits {
        max_events_per_span: PER_SPAN,
        max_attributes_per_span: PER_SPAN,
        max_links_per_span: PER_SPAN,
        ..SpanLimits::default()
    };
    let provider = SdkTracerProvider::builder()
        .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(config).build())
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(options.ratio))))
        .with_span_limits(limits)
        .with_resource(resource)
        .build();
    let tracer = provider.tracer(env!("CARGO_PKG_NAME"));
    PROVIDER.set(provider).ok().map(|()| tracer)
}

/// Sends what is left. Whatever is not sent in time is lost.
pub fn finish() {
    if let Some(provider) = PROVIDER.get() {
        // The exporter has said already why it could not.
        let _ = provider.shutdown_with_timeout(LAST_WORDS);
    }
}

/// The two headers of W3C.
struct Carrier {
    parent: Option<String>,
    state: Option<String>,
}

const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";

impl Extractor for Carrier {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            PARENT => self.parent.as_deref(),
            STATE => self.state.as_deref(),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec![PARENT, STATE]
    }
}

impl Injector for Carrier {
    fn set(&mut self, key: &str, value: String) {
        match key {
            PARENT => self.parent = Some(value),
            STATE => self.state = Some(value).filter(|state| !state.is_empty()),
            _ => {}
        }
    }
}

/// The span goes on with the trace of whoever sent these headers: of a request, or of a message. Anything that is no
/// such header changes nothing. Call it before the span is entered.
pub fn continues(span: &Span, traceparent: Option<&[u8]>, tracestate: Option<&[u8]>) {
    if PROVIDER.get().is_none() {
        return;
    }
    let text = |bytes: Option<&[u8]>| bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).map(str::to_owned);
    let Some(parent) = text(traceparent) else { return };
    let carrier = Carrier { parent: Some(parent), state: text(tracestate) };
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
    if context.span().span_context().is_valid() {
        // A span that nobody records has no parent either.
        let _ = span.set_parent(context);
    }
}

/// The current trace as headers for the next one: `traceparent`, and `tracestate` if there is one. Empty without traces.
pub fn traceparent() -> Vec<(&'static str, String)> {
    if PROVIDER.get().is_none() {
        return Vec::new();
    }
    let mut carrier = Carrier { parent: None, state: None };
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut carrier);
    let state = carrier.state.map(|state| (STATE, state));
    carrier.parent.map(|parent| (PARENT, parent)).into_iter().chain(state).collect()
}

/// The trace id of this span, to join the log with the trace.
pub(super) fn trace_id(span: &tracing::span::Id) -> Option<String> {
    PROVIDER.get()?;
    let context = tracing::dispatcher::get_default(|dispatch| tracing_opentelemetry::get_otel_context(span, dispatch));
    let context = context?.span().span_context().clone();
    context.is_valid().then(|| context.trace_id().to_string())
}
