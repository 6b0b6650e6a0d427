//! Child processes and what they cost, read from `/proc`: nothing of this program is in the figures.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

/// A helper process that ends with this value.
#[derive(Debug)]
pub(crate) struct Helper(pub(crate) Child);

impl Drop for Helper {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Helper {
    /// Starts it and returns the first line of its output that `wanted` accepts.
    pub(crate) fn start<T>(command: &mut Command, wanted: impl Fn(&str) -> Option<T>) -> anyhow::Result<(Self, T)> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut helper = Self(child);
        let output = helper.0.stdout.take().context("no output")?;
        for line in BufReader::new(output).lines() {
            if let Some(found) = wanted(&line?) {
                return Ok((helper, found));
            }
        }
        anyhow::bail!("a helper ended before it was ready: {command:?}")
    }
}

impl Helper {
    /// User and system time of it so far.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let (_, user, system) = times(&format!("/proc/{}", self.0.id()))?;
        Ok(user + system)
    }

    /// Resident set now, and the largest so far, bytes.
    pub(crate) fn memory(&self) -> anyhow::Result<(u64, u64)> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        kib(&status, "VmRSS:").zip(kib(&status, "VmHWM:")).context("no memory in the status")
    }
}

/// User and system time so far of a process, of its children, and of those that have ended and been waited for.
pub(crate) fn family_cpu(parent: u32) -> anyhow::Result<Duration> {
    let mut total = Duration::ZERO;
    for entry in fs::read_dir("/proc")?.flatten() {
        let name = entry.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // It may have ended meanwhile: then it is in its parent's sum.
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((_, rest)) = stat.rsplit_once(") ") else { continue };
        let fields: Vec<&str> = rest.split(' ').collect();
        let ticks = |range: std::ops::Range<usize>| {
            fields.get(range).into_iter().flatten().filter_map(|field| field.parse::<u32>().ok()).sum::<u32>()
        };
        if id == parent {
            total += TICK * ticks(11..15);
        } else if fields.get(1).and_then(|field| field.parse().ok()) == Some(parent) {
            total += TICK * ticks(11..13);
        }
    }
    Ok(total)
}

/// What a process cost.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    /// User and system time of all its threads.
    pub(crate) cpu: Duration,
    /// Of it, system time.
    pub(crate) system: Duration,
    /// Largest resident set, bytes.
    pub(crate) peak: u64,
    /// Resident set at a tenth, two tenths … of the way, bytes.
    pub(crate) memory: Vec<u64>,
    pub(crate) output: String,
}

/// Time between two looks at a process.
const LOOK: Duration = Duration::from_millis(5);

/// The kernel counts a process's time in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);

/// Runs a command to its end; it must succeed.
pub(crate) fn measure(command: &mut Command, log: &Path) -> anyhow::Result<Cost> {
    let log_file = fs::File::create(log)?;
    let started = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log_file).spawn()?;
    let mut stdout = child.stdout.take().context("no output")?;
    let reader = thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).map(|_| text)
    });
    let folder = format!("/proc/{}", child.id());
    let (mut peak, mut samples) = (0, Vec::new());
    // A process that has ended stays readable, times and all, until somebody waits for it.
    let (wall, cpu, system) = loop {
        let (state, user, system) = times(&folder)?;
        if state == 'Z' || state == 'X' {
            break (started.elapsed(), user + system, system);
        }
        if let Ok(status) = fs::read_to_string(format!("{folder}/status")) {
            peak = peak.max(kib(&status, "VmHWM:").unwrap_or(0));
            samples.push(kib(&status, "VmRSS:").unwrap_or(0));
        }
        thread::sleep(LOOK);
    };
    let status = child.wait()?;
    ensure!(status.success(), "{command:?} ended with {status}; its log is {}", log.display());
    let output = reader.join().map_err(|_| anyhow::anyhow!("the reader panicked"))??;
    let memory = (1..=10).filter_map(|tenth| samples.get((samples.len() * tenth / 10).max(1) - 1).copied()).collect();
    Ok(Cost { wall, cpu, system, peak, memory, output })
}

/// User and system time of this process.
pub(crate) fn own_cpu() -> anyhow::Result<Duration> {
    let (_, user, system) = times("/proc/self")?;
    Ok(user + system)
}

/// State, user time, system time.
fn times(folder: &str) -> anyhow::Result<(char, Duration, Duration)> {
    let stat = fs::read_to_string(format!("{folder}/stat"))?;
    // The name stands in parentheses and may hold anything.
    let rest = stat.rsplit_once(") ").context("unreadable stat")?.1;
    let mut fields = rest.split(' ');
    let state = fields.next().and_then(|state| state.chars().next()).context("no state")?;
    let mut ticks = fields.skip(10).map(str::parse::<u32>);
    let mut next = || anyhow::Ok(TICK * ticks.next().context("no time")??);
    Ok((state, next()?, next()?))
}

fn kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}
