//! Traces: a collector receives them whole, nobody else's business is in them, and nobody waits for a collector.

use std::fmt::Write as _;
use std::net::TcpListener;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::json;
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::world::{Served, TOKEN, ask};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// A collector.
struct Collector {
    runtime: tokio::runtime::Runtime,
    server: MockServer,
}

impl Collector {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let server = runtime.block_on(async {
            let server = MockServer::start().await;
            let takes = Mock::given(method("POST"))
                .and(path("/v1/traces"))
                .and(header("content-type", "application/x-protobuf"))
                .and(header("authorization", "Bearer of-the-collector"));
            takes.respond_with(ResponseTemplate::new(200)).mount(&server).await;
            server
        });
        Self { runtime, server }
    }

    fn serve(&self, more: &[(&str, &str)]) -> Served {
        let address = self.server.uri();
        let mut env = vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", address.as_str()),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20of-the-collector"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test"),
        ];
        env.extend_from_slice(more);
        Served::with(&env)
    }

    /// What it was sent, as it came.
    fn bodies(&self) -> Vec<Vec<u8>> {
        let received = self.runtime.block_on(self.server.received_requests()).unwrap();
        received.into_iter().map(|request| request.body).collect()
    }

    /// Every span, with the resource's attributes checked.
    fn spans(&self) -> Vec<Span> {
        let mut all = Vec::new();
        for body in self.bodies() {
            for of_resource in ExportTraceServiceRequest::decode(body.as_slice()).unwrap().resource_spans {
                let attributes = of_resource.resource.unwrap().attributes;
                let said = |name: &str| {
                    let found = attributes.iter().find(|attribute| attribute.key == name);
                    found.and_then(|attribute| text(attribute.value.clone()?.value?)).unwrap_or_default()
                };
                assert_eq!((said("service.name"), said("deployment.environment")), ("parser".into(), "test".into()));
                all.extend(of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans));
            }
        }
        all
    }
}

fn text(value: Any) -> Option<String> {
    match value {
        Any::StringValue(text) => Some(text),
        Any::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}

fn attribute(span: &Span, name: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == name)?;
    text(found.value.clone()?.value?)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn one<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
    let names: Vec<_> = spans.iter().map(|span| &span.name).collect();
    assert_eq!(found.len(), 1, "`{name}` in {names:?}");
    found[0]
}

/// An import of one record, sent by somebody who is traced; its id.
fn import(served: &Served) -> String {
    let parent = format!("00-{TRACE}-{CALLER}-01");
    let headers = [
        ("X-Internal-Token", TOKEN),
        ("Content-Type", "application/json"),
        ("traceparent", parent.as_str()),
        ("X-Trace-ID", "request-of-the-test"),
    ];
    let post = |path: &str, body: serde_json::Value| {
        let answer = ask(served.address, "POST", path, &headers, body.to_string().as_bytes());
        assert!(answer.status < 300, "{}", answer.text);
        answer.json()
    };
    let id = post("/api/v1/imports", json!({ "source": "s" }))["id"].as_str().unwrap().to_owned();
    let record = json!({ "kind": "series", "source_name": "s", "external_id": "1", "payload": { "title": "One" } });
    post(&format!("/api/v1/imports/{id}/batches"), json!([record, record]));
    served.poll_until(|| {
        let shown = ask(served.address, "GET", &format!("/api/v1/imports/{id}"), &headers[..1], b"").json();
        shown["results"]["completed"].as_u64().unwrap() + shown["results"]["unchanged"].as_u64().unwrap() == 2
    });
    id
}

#[test]
fn a_callers_trace_goes_on_to_what_its_request_causes() {
    let collector = Collector::new();
    let mut served = collector.serve(&[("LOG_FORMAT", "json"), ("LOG_LEVEL", "debug")]);
    let id = import(&served);
    let run = ask(served.address, "POST", "/api/v1/jobs/series/run", &[("X-Internal-Token", TOKEN)], b"");
    assert_eq!(run.status, 202, "{}", run.text);
    served.stop();
    let spans = collector.spans();

    let request = one(&spans, "POST /api/v1/imports/{id}/batches");
    assert_eq!((hex(&request.trace_id), hex(&request.parent_span_id)), (TRACE.into(), CALLER.into()));
    assert_eq!(request.kind, 2, "a server's");
    assert_eq!(attribute(request, "http.response.status_code").as_deref(), Some("202"));
    assert_eq!(attribute(request, "request_id").as_deref(), Some("request-of-the-test"));
    let receive = one(&spans, "receive batch");
    assert_eq!((&receive.trace_id, &receive.parent_span_id), (&request.trace_id, &request.span_id));
    assert_eq!(attribute(receive, "import"), Some(id.clone()));
    // Records are brought in later, by whoever is free: a trace of their own, with the import's id.
    let records: Vec<_> = spans.iter().filter(|span| span.name == "import record").collect();
    assert_eq!(records.len(), 2);
    assert!(records.iter().all(|span| attribute(span, "import").as_ref() == Some(&id)), "{records:?}");
    assert_eq!(attribute(one(&spans, "job series"), "job").as_deref(), Some("series"));
    assert!(spans.iter().all(|span| !span.trace_id.is_empty() && span.end_time_unix_nano >= span.start_time_unix_nano));

    // The log names the same trace.
    let served_line = served
        .log_lines()
        .into_iter()
        .find(|line| line["message"] == "request served" && line["route"] == "/api/v1/imports/{id}/batches");
    assert_eq!(served_line.unwrap()["trace_id"], "request-of-the-test", "an event's own field wins");
    let job = served.log_lines().into_iter().find(|line| line["message"] == "job started").unwrap();
    assert_eq!(job["job"], "series");

    // Neither the server's token nor the collector's is in what was sent.
    for body in collector.bodies() {
        let body = String::from_utf8_lossy(&body).into_owned();
        assert!(!body.contains(TOKEN) && !body.contains("of-the-collector"), "{body}");
    }
}

#[test]
fn texts_of_spans_are_redacted() {
    let collector = Collector::new();
    let mut served = collector.serve(&[]);
    // A caller that puts the token where it does not belong.
    let headers = [("X-Internal-Token", TOKEN), ("X-Trace-ID", TOKEN)];
    ask(served.address, "GET", "/api/v1/imports", &headers, b"");
    served.stop();
    let spans = collector.spans();
    assert_eq!(attribute(one(&spans, "GET /api/v1/imports"), "request_id").as_deref(), Some("[secret]"));
}

#[test]
fn only_the_wanted_share_is_sent_but_a_callers_choice_wins() {
    let collector = Collector::new();
    let mut served = collector.serve(&[("OTEL_TRACES_SAMPLER_ARG", "0")]);
    served.get("/api/v1/anime");
    let parent = format!("00-{TRACE}-{CALLER}-01");
    ask(served.address, "GET", "/readyz", &[("traceparent", &parent)], b"");
    let no_parent = format!("00-{TRACE}-{CALLER}-00");
    ask(served.address, "GET", "/healthz", &[("traceparent", &no_parent)], b"");
    ask(served.address, "GET", "/openapi.json", &[("traceparent", "00-nonsense")], b"");
    served.stop();
    let names: Vec<_> = collector.spans().into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["GET /readyz"]);
}

#[test]
fn nothing_is_sent_unless_an_address_is_set() {
    let collector = Collector::new();
    let mut served = collector.serve(&[("OTEL_EXPORTER_OTLP_ENDPOINT", ""), ("LOG_LEVEL", "info")]);
    served.get("/api/v1/anime");
    served.stop();
    assert_eq!(collector.bodies(), Vec::<Vec<u8>>::new());
    assert!(!served.log().contains("traces"), "{}", served.log());
}

#[test]
fn a_collector_that_is_down_or_hangs_costs_a_warning() {
    // One port that nobody listens on, and one where nobody answers.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for (address, timeout) in [(closed, "10000"), (silent.local_addr().unwrap(), "200")] {
        let endpoint = format!("http://{address}");
        let mut served =
            Served::with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), ("OTEL_EXPORTER_OTLP_TIMEOUT", timeout)]);
        assert_eq!(served.get("/api/v1/anime").status, 200);
        served.poll_until(|| served.get("/metrics").text.contains("parser_traces_lost_total"));
        assert_eq!(served.get("/api/v1/anime").status, 200);
        served.stop();
        let log = served.log();
        assert_eq!(log.matches("traces cannot be sent").count(), 1, "one warning for an outage: {log}");
    }
}
