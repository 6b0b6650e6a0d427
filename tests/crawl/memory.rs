//! Memory does not grow with the catalogue: what grows is the ledger in memory, some dozens of bytes a title.

use crate::harness::{Run, State, generated};

/// The child's highest resident memory, in KiB.
fn peak(titles: u64) -> u64 {
    let (sandbox, state) = (generated(titles), State::new());
    let mut run = Run::new(&sandbox, &state, &["--mode", "full"]).start();
    let status = format!("/proc/{}/status", run.id());
    let mut peak = 0;
    // The last look before the end is the one that counts; a process that has ended shows none.
    run.until("the end", || {
        let status = std::fs::read_to_string(&status).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(peak);
        false
    });
    let finished = run.wait();
    assert_eq!(finished.summary()["titles"]["created"], titles, "{finished:#?}");
    assert!(peak > 1024, "{peak} KiB is no process");
    peak
}

#[test]
fn four_times_the_titles_take_no_more_memory() {
    let (few, many) = (peak(400), peak(1_600));
    // 1,200 titles more: their ledger entries are 0.1 MiB; caches of SQLite and of the allocator settle in the rest.
    // A record kept by mistake would be 10 KiB and more for each title.
    assert!(many < few + 8 * 1024, "{few} KiB with 400 titles, {many} KiB with 1,600");
}
