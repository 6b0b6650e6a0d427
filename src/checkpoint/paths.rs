//! Which files a state consists of. `STATE_PATH` names a folder or a JSON file; all paths are absolute.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

/// The files of one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatePaths {
    /// The small, atomically replaced document.
    pub checkpoint: PathBuf,
    /// One line for each finished title, append-only.
    pub ledger: PathBuf,
    /// Held by the running process.
    pub lock: PathBuf,
    /// Raw pages as the sources sent them.
    pub landing: PathBuf,
    /// What a backend over HTTP has acknowledged.
    pub sent: PathBuf,
    /// The embedded catalogue.
    pub catalog: PathBuf,
    /// How the services fared in the newest run.
    pub health: PathBuf,
    /// The folder of all of them.
    pub dir: PathBuf,
}

impl StatePaths {
    /// The file of a state whose `STATE_PATH` names a folder.
    pub const CHECKPOINT_NAME: &'static str = "checkpoint.json";

    /// Finds the files that belong to `state_path`; a relative one counts from `cwd`.
    ///
    /// - An existing folder, or a path that ends in `/`, or one without `.json` that does not exist yet, is a folder:
    ///   `checkpoint.json`, `ledger.jsonl`, `lock`, `landing.db`, `catalog.db` and `health.json` are in it.
    /// - An existing file, or any path ending in `.json`, is the checkpoint; the others are beside it and carry its
    ///   stem: `foo.json` has `foo.ledger.jsonl`, `foo.lock`, `foo.landing.db`, `foo.catalog.db`.
    ///   A file named `checkpoint.json` means its folder, so that both ways of naming one state find the same files.
    ///
    /// `~` is not expanded here: the shell does that, and a `.env` file has to give the whole path.
    pub fn resolve(state_path: &Path, cwd: &Path) -> Self {
        let absolute = lexically_clean(&cwd.join(state_path));
        let ends_in_slash = state_path.as_os_str().as_encoded_bytes().last() == Some(&b'/');
        let json = absolute.extension().is_some_and(|ext| ext.eq_ignore_ascii_case("json"));
        let is_file = !ends_in_slash && !absolute.is_dir() && (absolute.is_file() || json);
        let (dir, stem) = if is_file {
            let dir = absolute.parent().unwrap_or(Path::new("/")).to_path_buf();
            (dir, absolute.file_stem().filter(|_| absolute.file_name() != Some(OsStr::new(Self::CHECKPOINT_NAME))))
        } else {
            (absolute.clone(), None)
        };
        let named = |name: &str| match stem {
            Some(stem) => {
                let mut full = stem.to_os_string();
                full.push(".");
                full.push(name);
                dir.join(full)
            }
            None => dir.join(name),
        };
        Self {
            checkpoint: if is_file { absolute.clone() } else { dir.join(Self::CHECKPOINT_NAME) },
            ledger: named("ledger.jsonl"),
            lock: named("lock"),
            landing: named("landing.db"),
            sent: named("sent.db"),
            catalog: named("catalog.db"),
            health: named("health.json"),
            dir,
        }
    }

    /// Where lines go that `parser state repair` takes out of the ledger.
    pub fn rejects(&self) -> PathBuf {
        with_suffix(&self.ledger, ".rejects")
    }

    /// A free name for a backup of `file`: `checkpoint.json.v1.20260109T120000Z.bak`.
    pub(super) fn backup(file: &Path, kind: &str, now: jiff::Timestamp) -> PathBuf {
        let stamp = now.strftime("%Y%m%dT%H%M%SZ");
        let first = with_suffix(file, &format!(".{kind}.{stamp}.bak"));
        let mut candidate = first.clone();
        let mut count = 1_u32;
        while candidate.symlink_metadata().is_ok() {
            count += 1;
            candidate = with_suffix(file, &format!(".{kind}.{stamp}-{count}.bak"));
        }
        candidate
    }
}

/// Adds text to the file name as it is (an extension would replace the old one).
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(suffix);
    PathBuf::from(name)
}

/// Drops `.`; keeps `..`, because behind a symbolic link it does not mean the parent's name.
fn lexically_clean(path: &Path) -> PathBuf {
    path.components().filter(|part| !matches!(part, Component::CurDir)).collect()
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::StatePaths;

    fn resolve(path: &str, cwd: &Path) -> StatePaths {
        StatePaths::resolve(Path::new(path), cwd)
    }

    #[test]
    fn every_form_of_state_path() -> std::io::Result<()> {
        let cwd = tempfile::tempdir()?;
        let at = |name: &str| cwd.path().join(name);
        std::fs::create_dir(at("old.json"))?;
        std::fs::File::create(at("plain"))?;

        let folder = resolve("./state", cwd.path());
        assert_eq!(folder.checkpoint, at("state/checkpoint.json"));
        assert_eq!(folder.ledger, at("state/ledger.jsonl"));
        assert_eq!(folder.lock, at("state/lock"));
        assert_eq!(folder.landing, at("state/landing.db"));
        assert_eq!(folder.catalog, at("state/catalog.db"));
        assert_eq!(folder.health, at("state/health.json"));
        assert_eq!(folder.rejects(), at("state/ledger.jsonl.rejects"));
        for same in ["state", "state/", "state/checkpoint.json", "././state/."] {
            assert_eq!(resolve(same, cwd.path()), folder, "{same}");
        }

        let file = resolve("data/foo.json", cwd.path());
        assert_eq!(file.checkpoint, at("data/foo.json"));
        assert_eq!(file.ledger, at("data/foo.ledger.jsonl"));
        assert_eq!(file.lock, at("data/foo.lock"));
        assert_eq!(file.landing, at("data/foo.landing.db"));
        assert_eq!(file.catalog, at("data/foo.catalog.db"));
        assert_eq!(file.dir, at("data"));

        assert_eq!(resolve("old.json", cwd.path()).checkpoint, at("old.json/checkpoint.json"), "an existing folder");
        assert_eq!(resolve("new.json/", cwd.path()).checkpoint, at("new.json/checkpoint.json"), "a slash at the end");
        assert_eq!(resolve("plain", cwd.path()).checkpoint, at("plain"), "an existing file");
        assert_eq!(resolve("plain", cwd.path()).ledger, at("plain.ledger.jsonl"));
        assert_eq!(resolve("v1.2", cwd.path()).checkpoint, at("v1.2/checkpoint.json"), "a dot is no file");
        assert_eq!(resolve("~/x", cwd.path()).checkpoint, at("~/x/checkpoint.json"), "`~` is not expanded");
        assert_eq!(resolve("/abs/x.JSON", cwd.path()).ledger, PathBuf::from("/abs/x.ledger.jsonl"));
        Ok(())
    }
}
