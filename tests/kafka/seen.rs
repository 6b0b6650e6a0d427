//! What is seen of a consumer: its log says of every message which one it is about.

use std::fmt::Write as _;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use serde_json::Value;

use crate::brokers;
use crate::world::{Sent, World, raw, references};

#[test]
fn every_line_about_a_message_says_which_one() {
    let Some(broker) = brokers::noida() else { return };
    let Some(world) = World::new(&broker.address) else { return };
    world.topic(&world.users(), 1);
    world.send(&world.users(), &[references("g", &["n1"]), raw("poison"), references("g", &["n2"])]);
    let consumer = world.consume_with(&[("LOG_FORMAT", "json"), ("LOG_LEVEL", "debug"), ("KAFKA_INSTANCE_ID", "one")]);
    world.until("SELECT count(*) FROM message_outbox WHERE published_at IS NOT NULL", 4);
    let log = consumer.log();
    assert_eq!(consumer.stop(), Some(0));
    let jobs = world.sql("SELECT id FROM message_job ORDER BY position");
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect();
    let about = |message: &str| -> Vec<(String, String, i64, i64)> {
        let found = lines.iter().filter(|line| line["message"] == message);
        let mut found: Vec<_> = found
            .map(|line| {
                let text = |name: &str| line[name].as_str().unwrap_or_else(|| panic!("{name}: {line}")).to_owned();
                let number = |name: &str| line[name].as_i64().unwrap_or_else(|| panic!("{name}: {line}"));
                (text("job"), text("topic"), number("partition"), number("offset"))
            })
            .collect();
        found.sort_by_key(|line| line.3);
        found
    };
    let expected = |offset: i64| (jobs[usize::try_from(offset).unwrap()][0].clone(), world.users(), 0, offset);
    assert_eq!(about("dead letter"), [expected(1)]);
    assert_eq!(about("message done"), [expected(0), expected(1), expected(2)]);
}

#[test]
fn a_message_goes_on_with_the_trace_of_its_sender() {
    let Some(broker) = brokers::noida() else { return };
    let Some(world) = World::new(&broker.address) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let collector = runtime.block_on(async {
        let server = wiremock::MockServer::start().await;
        let all = wiremock::Mock::given(wiremock::matchers::path("/v1/traces"));
        all.respond_with(wiremock::ResponseTemplate::new(200)).mount(&server).await;
        server
    });
    world.topic(&world.users(), 1);
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = format!("00-{trace}-b7ad6b7169203331-01");
    let header = ("traceparent".to_owned(), Some(parent.into_bytes()));
    world.send(&world.users(), &[Sent { headers: vec![header], ..references("g", &["n1"]) }]);
    let endpoint = collector.uri();
    let consumer = world.consume_with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), ("KAFKA_INSTANCE_ID", "one")]);
    world.until("SELECT count(*) FROM message_outbox WHERE published_at IS NOT NULL", 1);
    assert_eq!(consumer.stop(), Some(0));
    let requests = runtime.block_on(collector.received_requests()).unwrap();
    let spans: Vec<_> = requests
        .iter()
        .flat_map(|request| ExportTraceServiceRequest::decode(request.body.as_slice()).unwrap().resource_spans)
        .flat_map(|of_resource| of_resource.scope_spans)
        .flat_map(|of_scope| of_scope.spans)
        .collect();
    let found = spans.iter().find(|span| span.name == format!("process {}", world.users())).expect("its span");
    let hex = |bytes: &[u8]| {
        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
    };
    assert_eq!((hex(&found.trace_id), hex(&found.parent_span_id)), (trace.into(), "b7ad6b7169203331".into()));
}
