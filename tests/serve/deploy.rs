//! What `deploy/` holds fits the program: metrics that are asked for exist, settings that are set exist, Prometheus takes
//! the rules and answers every panel, Kubernetes' schemas take the manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::world::{DEADLINE, Served, TOKEN, ask};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn file(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Says that a program is missing; under `CI=true` that is a failure.
fn skipped(program: &str, remedy: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{program} is not installed: {remedy}");
    eprintln!("SKIPPED: {program} is not installed: {remedy}");
}

fn installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// A program of `.tools/deploy`.
fn tool(name: &str) -> Option<PathBuf> {
    let program = root().join(".tools/deploy/bin").join(name);
    if program.exists() {
        return Some(program);
    }
    skipped(name, "run .ci/deploy.sh");
    None
}

/// The words of a text that are metrics' names.
fn metric_names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("parser_") && word.len() > 7).map(str::to_owned).collect()
}

/// Every metric of the program, as Prometheus shows it.
fn exported() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(root().join("src/observe")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for kind in ["counter!(", "gauge!(", "histogram!("] {
            for part in text.split(kind).skip(1) {
                // A list of names that begin at 0.
                if part.starts_with("name)") {
                    continue;
                }
                let Some(name) = part.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next()) else {
                    panic!("{}: a {kind} whose name is no literal", path.display());
                };
                if kind == "histogram!(" {
                    names.extend(["_bucket", "_sum", "_count"].map(|suffix| format!("{name}{suffix}")));
                } else {
                    names.insert(name.to_owned());
                }
            }
        }
    }
    assert!(names.contains("parser_server_requests_total"), "{names:?}");
    names
}

fn dashboard() -> Value {
    serde_json::from_str(&file("deploy/grafana/dashboards/parser.json")).unwrap()
}

/// Title and question of every panel, with the variables filled in.
fn questions() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for panel in dashboard()["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let question =
                target["expr"].as_str().unwrap().replace("$instance", ".*").replace("$__rate_interval", "1m");
            assert!(!question.contains('$'), "{question}: a variable that the dashboard does not have");
            all.push((panel["title"].as_str().unwrap().to_owned(), question));
        }
    }
    all
}

#[test]
fn every_metric_that_is_asked_for_exists() {
    let exported = exported();
    for path in [
        "deploy/grafana/dashboards/parser.json",
        "deploy/prometheus/alerts.yml",
        "deploy/prometheus/alerts.test.yml",
        "deploy/kubernetes/consume.yaml",
        "deploy/kubernetes/prometheus-adapter.yaml",
        "deploy/README.md",
    ] {
        let asked = metric_names(&file(path));
        // A text may speak of a histogram as a whole.
        let whole = |name: &str| path == "deploy/README.md" && exported.contains(&format!("{name}_bucket"));
        let missing: Vec<_> = asked.iter().filter(|name| !exported.contains(*name) && !whole(name)).collect();
        assert!(missing.is_empty(), "{path}: {missing:?}");
    }
}

#[test]
fn the_dashboard_is_whole() {
    let dashboard = dashboard();
    let mut ids = BTreeSet::new();
    let mut places: Vec<(i64, i64, i64, i64)> = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_i64().unwrap()), "{title}: its id is taken");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_i64().unwrap());
        assert!(x + w <= 24, "{title}: too wide");
        let overlaps = places.iter().any(|(a, b, v, g)| x < a + v && *a < x + w && y < b + g && *b < y + h);
        assert!(!overlaps, "{title}: lies on another");
        places.push((x, y, w, h));
        if panel["type"] == "row" {
            continue;
        }
        let source = &panel["datasource"]["uid"];
        assert_eq!(source, "${datasource}", "{title}");
        assert!(!panel["targets"].as_array().unwrap().is_empty(), "{title}: asks nothing");
    }
}

fn promtool(folder: &Path, args: &[&str]) {
    let output = Command::new("promtool").args(args).current_dir(folder).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "promtool {args:?}: {said}");
}

/// The configuration of the stack, in a folder, with the token where it says, and these instead of the names.
fn configured(folder: &Path, server: SocketAddr) {
    std::fs::write(folder.join("token"), TOKEN).unwrap();
    std::fs::copy(root().join("deploy/prometheus/alerts.yml"), folder.join("alerts.yml")).unwrap();
    let text = file("deploy/prometheus/prometheus.yml");
    let targets = "{ names: [serve], type: A, port: 8000, refresh_interval: 15s }";
    assert!(text.contains(targets) && text.contains("/run/secrets/internal_token"), "{text}");
    let text = text
        .replace("/run/secrets/internal_token", folder.join("token").to_str().unwrap())
        .replacen("dns_sd_configs:", "static_configs:", 1)
        .replace(targets, &format!("{{ targets: [\"{server}\"] }}"))
        .replace("scrape_interval: 15s", "scrape_interval: 1s")
        .replace("evaluation_interval: 15s", "evaluation_interval: 1s");
    std::fs::write(folder.join("prometheus.yml"), text).unwrap();
}

#[test]
fn prometheus_takes_configuration_and_rules() {
    if !installed("promtool") {
        return skipped("promtool", "apt-get install prometheus");
    }
    let folder = tempfile::tempdir().unwrap();
    configured(folder.path(), "127.0.0.1:1".parse().unwrap());
    promtool(folder.path(), &["check", "config", "prometheus.yml"]);
    let rules = root().join("deploy/prometheus");
    promtool(&rules, &["check", "rules", "alerts.yml"]);
    promtool(&rules, &["test", "rules", "alerts.test.yml"]);
    // Every alert is tested, and can fire.
    let tests = file("deploy/prometheus/alerts.test.yml");
    for name in file("deploy/prometheus/alerts.yml").lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        let fires = tests.split("alertname: ").skip(1).any(|test| {
            test.lines().next() == Some(name) && test.lines().nth(1).is_some_and(|line| line.contains("exp_alerts"))
        });
        assert!(fires, "{name}: no test makes it fire");
    }
}

struct Prometheus {
    child: Child,
    address: SocketAddr,
    folder: PathBuf,
}

impl Prometheus {
    fn start(folder: &Path) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new("prometheus")
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .arg(format!("--web.listen-address={address}"))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.join("prometheus.log")).unwrap())
            .spawn()
            .unwrap();
        let prometheus = Self { child, address, folder: folder.to_owned() };
        prometheus.poll("is ready", |prometheus| {
            std::net::TcpStream::connect(prometheus.address).is_ok()
                && ask(prometheus.address, "GET", "/-/ready", &[], b"").status == 200
        });
        prometheus
    }

    fn poll(&self, what: &str, so: impl Fn(&Self) -> bool) {
        let started = Instant::now();
        while !so(self) {
            let log = || std::fs::read_to_string(self.folder.join("prometheus.log")).unwrap_or_default();
            assert!(started.elapsed() < DEADLINE, "it never {what}:\n{}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn get(&self, path: &str) -> Value {
        let answer = ask(self.address, "GET", path, &[], b"");
        let body: Value = serde_json::from_str(&unchunked(&answer)).unwrap();
        assert_eq!(body["status"], "success", "{path}: {body}");
        body["data"].clone()
    }

    fn query(&self, question: &str) -> Vec<Value> {
        let asked: String = url::form_urlencoded::byte_serialize(question.as_bytes()).collect();
        self.get(&format!("/api/v1/query?query={asked}"))["result"].as_array().unwrap().clone()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The body of an answer that may come in chunks.
fn unchunked(answer: &super::world::Answer) -> String {
    if answer.header("transfer-encoding") != Some("chunked") {
        return answer.text.clone();
    }
    let (mut rest, mut body) = (answer.text.as_str(), String::new());
    while let Some((size, more)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        body.push_str(&more[..size]);
        rest = more[size..].trim_start_matches("\r\n");
        if size == 0 {
            break;
        }
    }
    body
}

#[test]
fn prometheus_scrapes_a_server_and_answers_every_panel() {
    if !installed("prometheus") {
        return skipped("prometheus", "apt-get install prometheus");
    }
    let served = Served::with(&[]);
    served.import_anime("1", "One");
    let folder = tempfile::tempdir().unwrap();
    configured(folder.path(), served.address);
    let prometheus = Prometheus::start(folder.path());
    prometheus.poll("sees the server up", |prometheus| {
        served.get("/api/v1/anime");
        prometheus.query("up{job=\"parser-serve\"} == 1").len() == 1
            && !prometheus.query("rate(parser_server_requests_total[1m]) > 0").is_empty()
    });
    let questions = questions();
    assert!(questions.len() > 30, "{questions:?}");
    let mut silent = BTreeSet::new();
    for (panel, question) in &questions {
        if prometheus.query(question).is_empty() {
            silent.insert(panel.as_str());
        }
    }
    // What this server has surely done is seen.
    for panel in ["Processes up", "Requests", "Time to answer (p99)", "Connections and requests in work"] {
        assert!(!silent.contains(panel), "{panel}: nothing to see");
    }
    let rules = prometheus.get("/api/v1/rules");
    let healthy = rules["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
    let names: BTreeSet<_> = healthy.map(|rule| rule["name"].as_str().unwrap().to_owned()).collect();
    assert!(names.contains("ParserDeadLetters") && names.contains("ParserCrawlOld"), "{names:?}");
}

/// The documents of a YAML file.
fn yaml(python: &Path, path: &str) -> Vec<Value> {
    const CODE: &str = "import sys, json, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    let output = Command::new(python).args(["-c", CODE, path]).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Are these settings of the program? (The table has those of events in every build.)
fn known(names: impl IntoIterator<Item = String>, place: &str) {
    let settings: BTreeSet<&str> = parser::config::SETTINGS.iter().map(|setting| setting.name).collect();
    assert!(settings.contains("KAFKA_BROKERS"), "the table lacks events");
    for name in names {
        assert!(settings.contains(name.as_str()), "{place}: `{name}` is not a setting");
    }
}

fn names(map: &Value) -> Vec<String> {
    map.as_object().into_iter().flat_map(|map| map.keys().cloned()).collect()
}

const MANIFESTS: &str = "deploy/kubernetes";

/// Files that are no manifests.
const OTHERS: [&str; 2] = ["kustomization.yaml", "prometheus-adapter.yaml"];

fn manifests() -> Vec<String> {
    let files = std::fs::read_dir(root().join(MANIFESTS)).unwrap();
    let mut names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| !OTHERS.contains(&name.as_str()));
    names.sort();
    names
}

#[test]
fn kubernetes_takes_the_manifests() {
    let Some(validate) = tool("kubernetes-validate") else { return };
    for version in ["1.31", "1.34"] {
        let mut command = Command::new(&validate);
        command.args(["--strict", "-k", version]).args(manifests()).current_dir(root().join(MANIFESTS));
        let output = command.output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && said.contains("passed for resource cronjob/crawl"), "{version}: {said}");
    }
}

#[test]
fn manifests_fit_the_program_and_each_other() {
    let Some(python) = tool("python3") else { return };
    let listed = yaml(&python, "deploy/kubernetes/kustomization.yaml").remove(0);
    let mut applied: Vec<_> =
        listed["resources"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    applied.push("secret.example.yaml".to_owned());
    applied.sort();
    assert_eq!(applied, manifests(), "kustomization.yaml");

    let mut by_kind: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for name in manifests() {
        for document in yaml(&python, &format!("{MANIFESTS}/{name}")) {
            let kind = document["kind"].as_str().unwrap().to_owned();
            assert!(kind == "Namespace" || document["metadata"]["namespace"] == "parser", "{name}: {kind}");
            by_kind.entry(kind).or_default().push(document);
        }
    }
    known(names(&by_kind["ConfigMap"][0]["data"]), "config.yaml");
    known(names(&by_kind["Secret"][0]["stringData"]), "secret.example.yaml");
    let mut pods: Vec<_> = by_kind["Deployment"].iter().map(|found| found["spec"]["template"].clone()).collect();
    pods.push(by_kind["CronJob"][0]["spec"]["jobTemplate"]["spec"]["template"].clone());
    for pod in &pods {
        let spec = &pod["spec"];
        let container = &spec["containers"][0];
        let name = container["name"].as_str().unwrap();
        assert_eq!(spec["securityContext"]["runAsNonRoot"], true, "{name}");
        assert_eq!(spec["automountServiceAccountToken"], false, "{name}");
        let limits = &container["securityContext"];
        let strict = limits["readOnlyRootFilesystem"] == true && limits["allowPrivilegeEscalation"] == false;
        assert!(strict && limits["capabilities"]["drop"][0] == "ALL", "{name}: {limits}");
        let sized = &container["resources"];
        assert!(sized["requests"]["cpu"].is_string() && sized["limits"]["memory"].is_string(), "{name}");
        let set = container["env"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned());
        known(set, name);
        let command = container["args"][0].as_str().unwrap();
        assert!(["serve", "consume", "run"].contains(&command), "{name}: {command}");
        for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
            let wanted = if command == "run" { None } else { Some(()) };
            assert_eq!(container.get(probe).map(|_| ()), wanted, "{name}: {probe}");
        }
    }
    assert_eq!(by_kind["CronJob"][0]["spec"]["concurrencyPolicy"], "Forbid");
    for kind in ["PodDisruptionBudget", "HorizontalPodAutoscaler", "NetworkPolicy", "Service", "PersistentVolumeClaim"]
    {
        assert!(by_kind.contains_key(kind), "{kind}");
    }
}

#[test]
fn the_compose_file_fits_the_program() {
    let Some(python) = tool("python3") else { return };
    let stack = yaml(&python, "deploy/compose.yaml").remove(0);
    let services = stack["services"].as_object().unwrap();
    for (name, service) in services {
        let image = service["image"].as_str().unwrap();
        let pinned = image.rsplit_once(':').is_some_and(|(_, tag)| !tag.is_empty() && tag != "latest");
        assert!(pinned, "{name}: {image}");
        for port in service["ports"].as_array().into_iter().flatten() {
            assert!(port.as_str().unwrap().starts_with("127.0.0.1:"), "{name}: {port} is open to everybody");
        }
        for (other, how) in service["depends_on"].as_object().into_iter().flatten() {
            let checked = services[other].get("healthcheck").is_some();
            assert!(how["condition"] != "service_healthy" || checked, "{name}: {other} has no health check");
        }
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let from = volume.as_str().unwrap().split(':').next().unwrap();
            let there = match from.strip_prefix("./") {
                Some(path) => root().join("deploy").join(path).exists(),
                None => stack["volumes"].get(from).is_some(),
            };
            assert!(there, "{name}: {volume}");
        }
        if image.starts_with("parser:") {
            known(names(&service["environment"]), name);
            assert_eq!(service["read_only"], true, "{name}");
        }
    }
    assert_eq!(services["consume"]["scale"], 2);
    // The token of a laptop is one that the server takes.
    let token = services["serve"]["environment"]["INTERNAL_TOKEN"].as_str().unwrap();
    assert!(token.trim_start_matches("${INTERNAL_TOKEN:-").trim_end_matches('}').len() >= 32, "{token}");
    // Every variable is told of.
    let told = file("deploy/env.example");
    let text = file("deploy/compose.yaml");
    for part in text.split("${").skip(1) {
        let variable = part.split([':', '}']).next().unwrap();
        let build = ["PARSER_TAG", "PARSER_COMMIT"].contains(&variable);
        assert!(build || told.contains(&format!("\n{variable}=")), "env.example lacks {variable}");
    }
}

#[test]
fn the_dockerfile_is_in_order() {
    let Some(hadolint) = tool("hadolint") else { return };
    let output = Command::new(hadolint).args(["--no-color", "Dockerfile"]).current_dir(root()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.is_empty(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}
