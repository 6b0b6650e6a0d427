//! A helper's share of the machine: what another one could have besides.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use crate::process::Helper;

/// A helper with all of the machine, or with a part of one core, which takes a control group (root's to make).
#[derive(Debug)]
pub(crate) struct Share {
    // Dropped first: a group with a process in it cannot be removed.
    helper: Helper,
    _group: Option<Group>,
}

#[derive(Debug)]
struct Group(PathBuf);

impl Drop for Group {
    fn drop(&mut self) {
        // What cannot be removed is an empty folder that costs nothing.
        let _ = fs::remove_dir(&self.0);
    }
}

/// Microseconds after which a group may go on.
const PERIOD: u32 = 20_000;

impl Share {
    /// `percent`: of one core; none = as much as there is.
    pub(crate) fn of(helper: Helper, percent: Option<u32>) -> anyhow::Result<Self> {
        let Some(percent) = percent else { return Ok(Self { helper, _group: None }) };
        let (first, quota) = (Path::new("/sys/fs/cgroup/cpu"), PERIOD * percent / 100);
        let old = first.exists();
        let root = if old { first } else { Path::new("/sys/fs/cgroup") };
        let group = Group(root.join(format!("parser-bench-{}", helper.0.id())));
        fs::create_dir(&group.0).with_context(|| format!("no control group at {}", group.0.display()))?;
        let write = |name: &str, text: String| {
            let place = group.0.join(name);
            fs::write(&place, text).with_context(|| format!("{} cannot be written", place.display()))
        };
        if old {
            write("cpu.cfs_period_us", PERIOD.to_string())?;
            write("cpu.cfs_quota_us", quota.to_string())?;
        } else {
            write("cpu.max", format!("{quota} {PERIOD}"))?;
        }
        write("cgroup.procs", helper.0.id().to_string())?;
        Ok(Self { helper, _group: Some(group) })
    }

    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        self.helper.cpu()
    }
}
