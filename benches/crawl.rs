//! What the parts of a crawl cost: parsing and transforming a title, its fingerprint, its import, its mark.
//!
//! Inputs are those of the generated sandbox, fetched once through the ordinary sources.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use jiff::Timestamp;
use parser::checkpoint::{Checkpoint, LedgerEntry, RunMode, RunSpec, StatePaths, Status};
use parser::crawl::Services;
use parser::extract::kodik::parse_material;
use parser::extract::shikimori::parse_graph;
use parser::extract::{Drift, Fetched, Kodik, KodikOptions, Order, Shikimori, ShikimoriOptions};
use parser::load::Embedded;
use parser::model::raw::{RawMetadata, RawTitle};
use parser::model::{SeriesId, TitleRecord};
use parser::sandbox::{Sandbox, SandboxOptions, Titles};
use parser::transform::{self, Rules};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Raw titles as the sources send them: materials and metadata.
struct Samples {
    materials: Vec<Vec<bytes::Bytes>>,
    metadata: Vec<bytes::Bytes>,
    titles: Vec<RawTitle>,
    records: Vec<TitleRecord>,
}

fn runtime() -> Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap_or_else(|error| panic!("no runtime: {error}"))
}

fn samples() -> Samples {
    runtime().block_on(fetch()).unwrap_or_else(|error| panic!("no samples: {error:#}"))
}

async fn fetch() -> anyhow::Result<Samples> {
    let titles = Titles::Generated { titles: 40, seed: 1 };
    let sandbox = Sandbox::start(&SandboxOptions { titles, ..SandboxOptions::default() })?;
    let mut layers = parser::config::Layers::default();
    layers.set_sandbox("KODIK_BASE_URL", &sandbox.kodik_url());
    layers.set_sandbox("SHIKIMORI_BASE_URL", &sandbox.shikimori_url());
    layers.set_sandbox("KODIK_API_TOKEN", &sandbox.token());
    let settings = parser::config::Settings::load(&layers, parser::config::Needs { kodik_token: true })?;
    let services = Services::new(&settings)?;
    let drift = Drift::default();
    let kodik = Kodik::new(services.kodik, sandbox.token().into(), KodikOptions::default(), drift.clone());
    let shikimori = Shikimori::new(services.shikimori, ShikimoriOptions::default());

    let mut materials: BTreeMap<SeriesId, Vec<bytes::Bytes>> = BTreeMap::new();
    let mut cursor = None;
    loop {
        let page = kodik.list_page(cursor.as_ref(), Order::OldestFirst).await?;
        for material in page.materials {
            if let Some(series) = material.series {
                materials.entry(series).or_default().push(material.raw);
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let ids: Vec<_> = materials.keys().copied().collect();
    let mut samples = Samples { materials: Vec::new(), metadata: Vec::new(), titles: Vec::new(), records: Vec::new() };
    for (id, fetched) in shikimori.metadata(&ids).await? {
        let (Fetched::GraphQl(raw), Some(of_title)) = (fetched, materials.remove(&id)) else { continue };
        let metadata = RawMetadata::GraphQl(Box::new(parse_graph(&raw, &drift)?));
        let parsed = of_title.iter().map(|raw| parse_material(raw, &drift)).collect::<Result<_, _>>()?;
        let title = RawTitle { id, materials: parsed, metadata, roles: None };
        samples.records.push(transform::title(&title, &Rules::default())?);
        samples.materials.push(of_title);
        samples.metadata.push(raw);
        samples.titles.push(title);
    }
    Ok(samples)
}

/// Everything pure, one iteration = all samples; divide by the number of elements for one title.
fn pure(criterion: &mut Criterion) {
    let samples = samples();
    let drift = Drift::default();
    let rules = Rules::default();
    let mut group = criterion.benchmark_group("title");
    group.throughput(Throughput::Elements(samples.titles.len() as u64));
    group.bench_function("parse_materials", |bencher| {
        bencher.iter(|| {
            for raw in samples.materials.iter().flatten() {
                black_box(parse_material(raw, &drift).is_ok());
            }
        });
    });
    group.bench_function("parse_metadata", |bencher| {
        bencher.iter(|| {
            for raw in &samples.metadata {
                black_box(parse_graph(raw, &drift).is_ok());
            }
        });
    });
    group.bench_function("transform", |bencher| {
        bencher.iter(|| {
            for title in &samples.titles {
                black_box(transform::title(title, &rules).is_ok());
            }
        });
    });
    group.bench_function("fingerprint", |bencher| {
        bencher.iter(|| {
            for record in &samples.records {
                black_box(record.fingerprint());
            }
        });
    });
    group.finish();
}

/// Importing into the embedded catalogue: new titles (each commit waits for the disk), then the same again.
fn embedded(criterion: &mut Criterion) {
    let samples = samples();
    let runtime = runtime();
    let open = || {
        let folder = TempDir::new().unwrap_or_else(|error| panic!("no folder: {error}"));
        let path = folder.path().join("catalog.db");
        let loader = runtime.block_on(Embedded::open(&path, "kodik-shikimori"));
        (loader.unwrap_or_else(|error| panic!("no catalogue: {error}")), folder)
    };
    let load = |loader: &Embedded| {
        for record in &samples.records {
            black_box(runtime.block_on(loader.load(record)).is_ok());
        }
    };
    let mut group = criterion.benchmark_group("embedded");
    group.throughput(Throughput::Elements(samples.records.len() as u64)).sample_size(20);
    group.bench_function("new", |bencher| {
        bencher.iter_batched_ref(open, |(loader, _folder)| load(loader), BatchSize::PerIteration);
    });
    let (loader, _folder) = open();
    load(&loader);
    group.bench_function("unchanged", |bencher| bencher.iter(|| load(&loader)));
    group.finish();
}

fn entry(id: u64) -> LedgerEntry {
    let mut entry =
        LedgerEntry::new(SeriesId(id), format!("Invented Title No. {id}"), Status::Done, Timestamp::UNIX_EPOCH);
    entry.fingerprint = Some(u128::from(id).to_be_bytes());
    entry.episodes = 12;
    entry
}

async fn filled(folder: &Path, titles: u64) -> Result<Checkpoint, parser::checkpoint::StateError> {
    let now = Timestamp::UNIX_EPOCH;
    let checkpoint = Checkpoint::open(&StatePaths::resolve(folder, folder), now, "benchmark")?;
    checkpoint.begin_run(RunSpec::new(RunMode::Full), now).await?;
    let marks = futures::stream::iter((1..=titles).map(|id| checkpoint.mark(entry(id))));
    let mut marks = futures::StreamExt::buffer_unordered(marks, 1000);
    while let Some(marked) = futures::StreamExt::next(&mut marks).await {
        marked?;
    }
    drop(marks);
    Ok(checkpoint)
}

/// One mark, durable, with few and with many titles done; and opening a state of many.
fn checkpoint(criterion: &mut Criterion) {
    let runtime = runtime();
    let fill = |titles| {
        let folder = TempDir::new().unwrap_or_else(|error| panic!("no folder: {error}"));
        let checkpoint = runtime.block_on(filled(folder.path(), titles));
        (checkpoint.unwrap_or_else(|error| panic!("no state: {error}")), folder)
    };
    let mut group = criterion.benchmark_group("checkpoint");
    for titles in [1_000, 100_000] {
        let (checkpoint, _folder) = fill(titles);
        let mut id = titles;
        group.bench_function(BenchmarkId::new("mark", titles), |bencher| {
            bencher.iter(|| {
                id += 1;
                black_box(runtime.block_on(checkpoint.mark(entry(id))).is_ok());
            });
        });
    }
    let (checkpoint, folder) = fill(100_000);
    drop(checkpoint);
    let paths = StatePaths::resolve(folder.path(), folder.path());
    group.sample_size(20).bench_function("open/100000", |bencher| {
        bencher.iter(|| black_box(Checkpoint::open(&paths, Timestamp::UNIX_EPOCH, "benchmark").is_ok()));
    });
    group.finish();
}

criterion_group!(benches, pure, embedded, checkpoint);
criterion_main!(benches);
