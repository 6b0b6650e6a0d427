//! A database, topics of one's own, and consumers as processes.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Headers as _, Message as _, OwnedHeaders, OwnedMessage};
use rdkafka::metadata::MetadataPartition;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cluster::{Database, database, sql};

/// Nothing here takes longer, so whatever does hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(240);

pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) url: String,
    database: Option<Database>,
    /// Ends were looked at.
    ended: AtomicBool,
    pub(crate) brokers: String,
    /// Of all of its topics and its group.
    pub(crate) name: String,
    /// More settings of its consumers.
    pub(crate) env: Vec<(String, String)>,
    /// More properties of the test's own clients.
    pub(crate) properties: Vec<(String, String)>,
}

impl World {
    /// On a database of the shared cluster; `None` without one.
    pub(crate) fn new(brokers: &str) -> Option<Self> {
        let database = database()?;
        let url = database.url.clone();
        let mut world = Self::on(brokers, &url);
        world.database = Some(database);
        Some(world)
    }

    /// On a given database.
    pub(crate) fn on(brokers: &str, url: &str) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
        Self {
            folder: tempfile::tempdir().unwrap(),
            url: url.to_owned(),
            database: None,
            ended: AtomicBool::new(false),
            brokers: brokers.to_owned(),
            name: format!("t{now}x{}x{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)),
            env: Vec::new(),
            properties: Vec::new(),
        }
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.env.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn users(&self) -> String {
        format!("{}-users", self.name)
    }

    pub(crate) fn catalogue(&self) -> String {
        format!("{}-catalogue", self.name)
    }

    pub(crate) fn statuses(&self) -> String {
        format!("{}-transfer-job-status-retrieval", self.users())
    }

    pub(crate) fn dead_letters(&self) -> String {
        format!("{}-dlq", self.name)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parser"));
        command.args(args).current_dir(self.folder.path()).env_clear().stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.envs([
            ("DATABASE_URL", self.url.as_str()),
            ("KAFKA_BROKERS", &self.brokers),
            ("KAFKA_GROUP", &self.name),
            ("KAFKA_TOPICS", &format!("{}.*-users", self.name)),
            ("KAFKA_CATALOGUE_TOPICS", &format!("{}.*-catalogue", self.name)),
            (
                "KAFKA_PROPERTIES",
                "session.timeout.ms=6000,heartbeat.interval.ms=500,topic.metadata.refresh.interval.ms=300,\
                 reconnect.backoff.max.ms=500",
            ),
            ("KAFKA_UNKNOWN_GROUPS", "create"),
            ("KAFKA_LEASE_SECONDS", "4"),
            ("KAFKA_BACKOFF_SECONDS", "0.05"),
            ("IMPORT_LEASE_SECONDS", "2"),
            ("DATABASE_CONNECTIONS", "4"),
            ("DATABASE_WAIT_SECONDS", "2"),
            ("IMPORT_FILES_PATH", self.folder.path().to_str().unwrap()),
            ("LOG_LEVEL", "info"),
        ]);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// A consumer, once it has joined.
    pub(crate) fn consume(&self) -> Consuming {
        self.consume_with(&[])
    }

    pub(crate) fn consume_with(&self, env: &[(&str, &str)]) -> Consuming {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let log = self.path(&format!("log{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        let mut command = self.command(&["consume"]);
        command.envs(env.iter().copied()).stdout(Stdio::null()).stderr(std::fs::File::create(&log).unwrap());
        Consuming { child: command.spawn().unwrap(), log }
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// What a command prints as JSON.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let done = self.run(args);
        let text = String::from_utf8_lossy(&done.stderr).into_owned();
        serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("{args:?}: {text}"))
    }

    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config
    }

    /// Makes a topic.
    pub(crate) fn topic(&self, name: &str, partitions: i32) {
        let client: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let topics = [NewTopic::new(name, partitions, TopicReplication::Fixed(1))];
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(10)));
        let made = futures::executor::block_on(client.create_topics(&topics, &options)).unwrap();
        for one in made {
            one.unwrap();
        }
    }

    /// Sends messages to a topic, in order, and waits until they are there.
    pub(crate) fn send(&self, topic: &str, messages: &[Sent]) {
        let mut config = self.client();
        config.set("acks", "all").set("enable.idempotence", "true").set("linger.ms", "2");
        config.set("partitioner", "murmur2_random");
        let producer: BaseProducer = config.create().unwrap();
        for message in messages {
            let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic);
            record.key = message.key.as_deref().map(str::as_bytes);
            record.payload = Some(message.value.as_bytes());
            record.partition = message.partition;
            record.timestamp = message.at;
            if !message.headers.is_empty() {
                let headers = message.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
                    headers.insert(Header { key, value: value.as_deref() })
                });
                record.headers = Some(headers);
            }
            while let Err((error, back)) = producer.send(record) {
                assert!(format!("{error}").contains("Queue full"), "{error}");
                producer.poll(Duration::from_millis(20));
                record = back;
            }
        }
        producer.flush(DEADLINE).unwrap();
    }

    /// Everything in a topic, in the order of each partition.
    pub(crate) fn read(&self, topic: &str) -> Vec<OwnedMessage> {
        let mut config = self.client();
        config.set("group.id", "reader").set("enable.partition.eof", "true").set("enable.auto.commit", "false");
        config.set("fetch.wait.max.ms", "20").set("allow.auto.create.topics", "false");
        let consumer: BaseConsumer = config.create().unwrap();
        let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(10)).unwrap();
        let known = metadata.topics().first().filter(|topic| topic.error().is_none());
        let mut open: Vec<i32> = known.iter().flat_map(|topic| topic.partitions()).map(MetadataPartition::id).collect();
        let mut list = rdkafka::TopicPartitionList::new();
        for number in &open {
            list.add_partition_offset(topic, *number, rdkafka::Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        let (mut read, started) = (Vec::new(), Instant::now());
        while !open.is_empty() {
            assert!(started.elapsed() < DEADLINE, "{topic} does not end");
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => read.push(message.detach()),
                Some(Err(KafkaError::PartitionEOF(number))) => open.retain(|one| *one != number),
                Some(Err(error)) => panic!("{topic}: {error}"),
                None => {}
            }
        }
        read
    }

    /// Waits until a topic holds so many, and gives them.
    pub(crate) fn wait_for(&self, topic: &str, count: usize) -> Vec<OwnedMessage> {
        let started = Instant::now();
        loop {
            let read = self.read(topic);
            if read.len() >= count {
                return read;
            }
            assert!(started.elapsed() < DEADLINE, "{} of {count} in {topic}: {}", read.len(), self.logs());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Final statuses in a topic by job id; each job has one, or this fails.
    fn finals(&self, topic: &str) -> BTreeMap<String, Value> {
        let mut ends: BTreeMap<String, Value> = BTreeMap::new();
        for message in self.read(topic) {
            let status = value(&message);
            if status["status"] != "PROCESSING" {
                let id = status["jobId"].as_str().unwrap().to_owned();
                if let Some(before) = ends.insert(id, status.clone()) {
                    panic!("told twice: {before} {status}: {}", self.logs());
                }
            }
        }
        ends
    }

    /// The same of requests for nodes, once there are so many.
    pub(crate) fn ends(&self, count: usize) -> BTreeMap<String, Value> {
        self.ended.store(true, Ordering::Relaxed);
        let started = Instant::now();
        loop {
            let ends = self.finals(&self.statuses());
            if ends.len() >= count {
                return ends;
            }
            assert!(started.elapsed() < DEADLINE, "{} of {count} are told: {}", ends.len(), self.logs());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub(crate) fn sql(&self, statements: &str) -> Vec<Vec<String>> {
        sql(&self.url, statements)
    }

    /// The first value of the first row, a number.
    pub(crate) fn count(&self, statement: &str) -> usize {
        self.sql(statement)[0][0].parse().unwrap()
    }

    /// Waits until a count is at least so much.
    pub(crate) fn until(&self, statement: &str, least: usize) {
        let started = Instant::now();
        // The tables are made by the first process.
        while self.sql("SELECT to_regclass('message_job') IS NOT NULL AND to_regclass('nodes') IS NOT NULL")[0][0]
            != "t"
            || self.count(statement) < least
        {
            assert!(started.elapsed() < DEADLINE, "{statement} < {least}: {}", self.logs());
            // Counting many rows is a load of its own.
            std::thread::sleep(Duration::from_millis(if least > 10_000 { 500 } else { 20 }));
        }
    }

    pub(crate) fn logs(&self) -> String {
        let mut text = String::new();
        for entry in std::fs::read_dir(self.folder.path()).unwrap().flatten() {
            if entry.file_name().to_string_lossy().starts_with("log") {
                std::fs::File::open(entry.path()).unwrap().read_to_string(&mut text).unwrap();
            }
        }
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

/// A second final status may come late: at the end of each test that looked at any, all are looked at once more.
impl Drop for World {
    fn drop(&mut self) {
        if self.ended.load(Ordering::Relaxed) && !std::thread::panicking() {
            self.finals(&self.statuses());
            self.finals(&format!("{}-transfer-job-status-retrieval", self.catalogue()));
        }
    }
}

/// A running consumer; killed when dropped.
pub(crate) struct Consuming {
    pub(crate) child: Child,
    log: PathBuf,
}

impl Consuming {
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until its log says something.
    pub(crate) fn says(&self, text: &str) {
        let started = Instant::now();
        while !self.log().contains(text) {
            assert!(started.elapsed() < DEADLINE, "never says `{text}`: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Has its partitions.
    pub(crate) fn joined(self) -> Self {
        self.says("partitions assigned");
        self
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it when something is done; its exit code.
    pub(crate) fn stop_after(self, done: impl FnOnce()) -> Option<i32> {
        done();
        self.stop()
    }

    /// Ends it by a signal; its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Consuming {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A message to be sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sent {
    pub(crate) key: Option<String>,
    pub(crate) value: String,
    pub(crate) partition: Option<i32>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
    pub(crate) at: Option<i64>,
}

/// Nodes of ids.
pub(crate) fn references(group: &str, ids: &[&str]) -> Sent {
    let value = json!({ "domainId": "acme", "groupId": group, "referenceIds": ids }).to_string();
    Sent { value, ..Sent::default() }
}

/// A file of nodes.
pub(crate) fn file(name: &str) -> Sent {
    let value = json!({ "domainId": "acme", "filePath": name, "fileName": name, "contentType": "text/csv" });
    Sent { value: value.to_string(), ..Sent::default() }
}

impl Sent {
    pub(crate) fn to(self, partition: i32) -> Self {
        Self { partition: Some(partition), ..self }
    }

    pub(crate) fn key(self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self }
    }
}

pub(crate) fn raw(value: &str) -> Sent {
    Sent { value: value.to_owned(), ..Sent::default() }
}

pub(crate) fn value(message: &OwnedMessage) -> Value {
    serde_json::from_slice(message.payload().unwrap()).unwrap()
}

pub(crate) fn header(message: &OwnedMessage, name: &str) -> Option<String> {
    let headers = message.headers()?;
    let header = headers.iter().filter(|header| header.key == name).last()?;
    Some(String::from_utf8_lossy(header.value?).into_owned())
}

pub(crate) fn key(message: &OwnedMessage) -> Option<String> {
    message.key().map(|key| String::from_utf8_lossy(key).into_owned())
}

pub(crate) const NODES: &str = "SELECT count(*) FROM nodes";
