//! A disk that fills up.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::cluster::{Cluster, sql};

/// A disk of a few MiB; a shell that waits for this process to end takes it away again.
pub(crate) struct SmallDisk {
    folder: PathBuf,
    guard: Child,
}

impl SmallDisk {
    /// `None` (said aloud) where this user may not mount anything, which CI does not accept of root.
    pub(crate) fn mount() -> Option<Self> {
        let folder = tempfile::Builder::new().prefix("disk-").tempdir().unwrap().keep();
        let image = folder.with_extension("img");
        // A disk in memory, or one in a file.
        let ways = [
            "mount -t tmpfs -o size=32m,mode=0777 tmpfs \"$1\"",
            "truncate -s 32M \"$2\" && mke2fs -q -F \"$2\" && mount -o loop \"$2\" \"$1\" && rmdir \"$1/lost+found\"",
        ];
        let run = |script: &str| {
            let mut shell = Command::new("sh");
            shell.args(["-c", script, "sh"]).args([&folder, &image]).stdout(Stdio::null()).stderr(Stdio::null());
            shell.status().is_ok_and(|status| status.success())
        };
        if !ways.into_iter().any(run) {
            let root = run("test \"$(id -u)\" = 0");
            assert!(!root || std::env::var("CI").is_err(), "root can mount neither a tmpfs nor a file here");
            println!("skipped: this user may not mount a small disk");
            std::fs::remove_dir(&folder).unwrap();
            return None;
        }
        run("mkdir \"$1/space\" && chown --reference=\"$1\" \"$1/space\" && chmod 0777 \"$1\"");
        let clean_up = "read _; umount -l \"$1\"; rmdir \"$1\"; rm -f \"$2\"";
        let mut guard = Command::new("sh");
        guard.args(["-c", clean_up, "sh"]).args([&folder, &image]).stdin(Stdio::piped());
        let guard = std::os::unix::process::CommandExt::process_group(&mut guard, 0).spawn().unwrap();
        Some(Self { folder, guard })
    }

    fn balloon(&self) -> PathBuf {
        self.folder.join("balloon")
    }

    /// Leaves no byte free.
    pub(crate) fn fill(&self) {
        let mut file = std::fs::File::create(self.balloon()).unwrap();
        for size in [1 << 20, 4096] {
            while file.write_all(&vec![1; size]).is_ok() {}
        }
    }

    /// Leaves so many bytes free.
    pub(crate) fn fill_but(&self, free: u64) {
        self.fill();
        let file = std::fs::OpenOptions::new().write(true).open(self.balloon()).unwrap();
        let length = file.metadata().unwrap().len();
        file.set_len(length.checked_sub(free).unwrap()).unwrap();
    }

    /// A folder on it that servers may own.
    pub(crate) fn space(&self) -> PathBuf {
        self.folder.join("space")
    }

    pub(crate) fn free(&self) {
        std::fs::remove_file(self.balloon()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

impl Cluster {
    /// An empty database whose files are all on this disk.
    pub(crate) fn database_on(&self, disk: &SmallDisk) -> String {
        let folder = disk.space();
        Self::own(&folder);
        let database = self.database();
        let server = database.url[..=database.url.rfind('/').unwrap()].to_owned();
        sql(&database.url, &format!("CREATE TABLESPACE small LOCATION '{}'", folder.display()));
        sql(&database.url, "CREATE DATABASE on_small TEMPLATE template0 TABLESPACE small");
        format!("{server}on_small")
    }
}
