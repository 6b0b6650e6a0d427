//! Hands spans to the collector: OTLP over HTTP, as protobuf.
//!
//! It runs on the batch processor's thread, in a small runtime of its own, so that it neither waits for the work nor
//! holds it up. Every text passes the redactor first. A batch that cannot be sent is lost after a warning, and there is
//! one warning for each outage.

use std::borrow::Cow;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use opentelemetry::trace::Status;
use opentelemetry::{Array, KeyValue, StringValue, Value};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use prost::Message as _;
use secrecy::ExposeSecret as _;
use tokio::runtime::{Builder, Runtime};
use url::Url;

use super::TraceOptions;
use crate::observe::{Redactor, events};

/// Sends batches of spans.
#[derive(Debug)]
pub(super) struct Exporter {
    client: reqwest::Client,
    runtime: Runtime,
    endpoint: Url,
    redactor: Redactor,
    resource: ResourceAttributesWithSchema,
    /// The last batch did not arrive.
    failing: AtomicBool,
}

impl Exporter {
    pub(super) fn new(options: &TraceOptions, redactor: Redactor) -> Result<Self, String> {
        static ONCE: Once = Once::new();
        // Whoever is first installs it for all clients of the process.
        ONCE.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        for (name, value) in &options.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| error.to_string())?;
            let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|error| error.to_string())?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let client = reqwest::Client::builder()
            .default_headers(headers)
            .user_agent(concat!("parser/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .timeout(options.timeout)
            .pool_max_idle_per_host(1)
            .build()
            .map_err(|error| error.to_string())?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        Ok(Self {
            client,
            runtime,
            endpoint: options.endpoint.clone(),
            redactor,
            resource: ResourceAttributesWithSchema::default(),
            failing: AtomicBool::new(false),
        })
    }

    fn send(&self, batch: Vec<SpanData>) -> Result<(), String> {
        let spans = batch.into_iter().map(|span| self.redacted(span)).collect();
        let resource_spans = group_spans_by_resource_and_scope(spans, &self.resource);
        let body = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        self.runtime.block_on(async {
            let request = self.client.post(self.endpoint.clone()).body(body);
            // An error of the client would repeat the address.
            let answer = request.send().await.map_err(|error| crate::error::chain(&error.without_url()))?;
            let status = answer.status();
            if status.is_success() { Ok(()) } else { Err(format!("the collector answers {status}")) }
        })
    }

    fn redacted(&self, mut span: SpanData) -> SpanData {
        if let Cow::Owned(name) = self.redactor.redact(&span.name) {
            span.name = name.into();
        }
        self.redact(&mut span.attributes);
        for event in &mut span.events.events {
            if let Cow::Owned(name) = self.redactor.redact(&event.name) {
                event.name = name.into();
            }
            self.redact(&mut event.attributes);
        }
        if let Status::Error { description } = &mut span.status
            && let Cow::Owned(text) = self.redactor.redact(description)
        {
            *description = text.into();
        }
        span
    }

    fn redact(&self, attributes: &mut [KeyValue]) {
        for attribute in attributes {
            match &mut attribute.value {
                Value::String(text) => self.redact_text(text),
                Value::Array(Array::String(texts)) => texts.iter_mut().for_each(|text| self.redact_text(text)),
                _ => {}
            }
        }
    }

    fn redact_text(&self, text: &mut StringValue) {
        if let Cow::Owned(redacted) = self.redactor.redact(text.as_str()) {
            *text = redacted.into();
        }
    }
}

impl SpanExporter for Exporter {
    // The caller's thread is there for nothing else, so this blocks it and has nothing to wait for.
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        let spans = batch.len();
        std::future::ready(match self.send(batch) {
            Ok(()) => {
                if self.failing.swap(false, Ordering::Relaxed) {
                    events::traces_sent_again();
                }
                Ok(())
            }
            Err(reason) => {
                if self.failing.swap(true, Ordering::Relaxed) {
                    events::traces_still_not_sent(spans);
                } else {
                    events::traces_not_sent(spans, &self.redactor.redact(&reason));
                }
                Err(OTelSdkError::InternalFailure(String::new()))
            }
        })
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}
