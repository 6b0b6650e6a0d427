//! The HTTP layer alone, all its layers on and no limit set, against the smallest backend.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt as _;
use parser::http::{Breaker, Profile, Request, Retry, Service, Timeouts, default_classify};

use crate::backend::Backend;
use crate::options::Options;
use crate::process::own_cpu;
use crate::report::{about, figure, float};

const REQUESTS: u32 = 50_000;
const IN_FLIGHT: usize = 8;

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let (mut rates, mut costs) = (Vec::new(), Vec::new());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for _ in 0..options.runs {
        let backend = Backend::start()?;
        let service = Service::new(profile(&backend.url)?, None)?;
        let (started, cpu) = (Instant::now(), own_cpu()?);
        runtime.block_on(send(&service))?;
        rates.push(f64::from(REQUESTS) / started.elapsed().as_secs_f64());
        costs.push(own_cpu()?.saturating_sub(cpu).as_secs_f64() * 1e6 / float(REQUESTS.into()));
    }
    about(
        &format!("http: {REQUESTS} POSTs of 300 bytes, {IN_FLIGHT} in flight"),
        &format!("-- http --runs {}", options.runs),
    );
    figure("  requests a second", rates, "1/s", None);
    figure("  CPU a request", costs, "µs", None);
    Ok(())
}

async fn send(service: &Service) -> anyhow::Result<()> {
    let body = Bytes::from(format!("{{\"text\":\"{}\"}}", "x".repeat(289)));
    let requests = (0..REQUESTS).map(|_| {
        let request = Request::post_json("/api/v1/internal/import/video", "/video", body.clone());
        service.send(request)
    });
    let mut answers = futures::stream::iter(requests).buffer_unordered(IN_FLIGHT);
    while let Some(answer) = answers.next().await {
        answer?;
    }
    Ok(())
}

fn profile(url: &str) -> anyhow::Result<Profile> {
    let second = Duration::from_secs(1);
    Ok(Profile {
        name: "backend",
        base_url: url.parse()?,
        user_agent: "benchmark".to_owned(),
        windows: Vec::new(),
        permits: IN_FLIGHT,
        timeouts: Timeouts { connect: 10 * second, headers: 30 * second, total: 30 * second },
        retry: Retry {
            max_attempts: 1,
            max_throttled: 1,
            base: second,
            floor: second,
            ceiling: second,
            max_elapsed: 30 * second,
        },
        breaker: Breaker { threshold: 3, cooldown: second, max_cooldown: second, give_up_after: 30 * second },
        max_body: 1 << 20,
        classify: default_classify,
    })
}
