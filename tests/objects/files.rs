//! Files: only below the folder, whatever links and dots say.

use std::os::unix::fs::symlink;

use parser::store::objects::{ObjectUrl, Sources, StartAt};
use tempfile::TempDir;

use crate::world::{bytes, bytes_from, gzip, lines, listed, settings, text};

struct House {
    root: TempDir,
    sources: Sources,
}

impl House {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let open = root.path().join("open");
        std::fs::create_dir_all(open.join("sub")).unwrap();
        std::fs::write(root.path().join("secret"), "secret").unwrap();
        std::fs::write(open.join("a"), "a\n").unwrap();
        let sources = listed(&[("IMPORT_FILES_PATH", open.to_str().unwrap())]);
        Self { root, sources }
    }

    fn path(&self, name: &str) -> String {
        self.root.path().join(name).to_str().unwrap().to_owned()
    }

    async fn code(&self, address: &str) -> &'static str {
        bytes(&self.sources, address).await.unwrap_err().code()
    }
}

#[tokio::test]
async fn files_below_the_folder_are_read() {
    let house = House::new();
    let absolute = house.path("open/a");
    for address in ["a", "./a", &absolute, &format!("file://{absolute}"), &format!("file://localhost{absolute}")] {
        assert_eq!(bytes(&house.sources, address).await.unwrap(), b"a\n", "{address}");
    }
    symlink(house.path("open/a"), house.path("open/link")).unwrap();
    assert_eq!(bytes(&house.sources, "link").await.unwrap(), b"a\n", "a link that stays inside");
    assert_eq!(bytes_from(&house.sources, "a", 1, None).await.unwrap(), b"\n");
    assert_eq!(bytes_from(&house.sources, "a", 2, None).await.unwrap(), b"");
}

#[tokio::test]
async fn nothing_else_is_read() {
    let house = House::new();
    symlink(house.path("secret"), house.path("open/link")).unwrap();
    symlink(house.root.path(), house.path("open/out")).unwrap();
    let secret = house.path("secret");
    let dots = house.path("open/sub/../../secret");
    for address in [
        "../secret",
        "sub/../../secret",
        "link",
        "out/secret",
        &secret,
        &format!("file://{secret}"),
        &dots,
        &format!("file://{}", house.path("open/sub/%2e%2e/%2e%2e/secret")),
        &format!("file://{}", house.path("open/..%2fsecret")),
        "/etc/passwd",
    ] {
        assert_eq!(house.code(address).await, "object_not_allowed", "{address}");
    }
    // A folder beside it whose name begins alike.
    std::fs::create_dir(house.path("open2")).unwrap();
    std::fs::write(house.path("open2/x"), "x").unwrap();
    assert_eq!(house.code(&house.path("open2/x")).await, "object_not_allowed");
    let none = listed(&[]);
    assert_eq!(bytes(&none, &house.path("open/a")).await.unwrap_err().code(), "object_not_allowed");
}

#[tokio::test]
async fn what_is_no_file_is_refused_at_once() {
    let house = House::new();
    assert!(std::process::Command::new("mkfifo").arg(house.path("open/pipe")).status().unwrap().success());
    for address in ["sub", ".", "pipe"] {
        assert_eq!(house.code(address).await, "object_refused", "{address}");
    }
    assert_eq!(house.code("missing").await, "object_not_found");
    assert_eq!(house.code("a/b").await, "object_not_found");
    assert!(Sources::listed(&settings(&[("IMPORT_FILES_PATH", "/nowhere/at/all")])).is_err());
    assert!(Sources::listed(&settings(&[("IMPORT_FILES_PATH", &house.path("secret"))])).is_err());
}

#[tokio::test]
async fn the_person_at_the_terminal_reads_what_they_can() {
    let house = House::new();
    let sources = Sources::unrestricted(&settings(&[])).unwrap();
    assert_eq!(bytes(&sources, &house.path("secret")).await.unwrap(), b"secret");
}

#[tokio::test]
async fn a_file_that_is_written_while_it_is_read_is_found_out() {
    let house = House::new();
    std::fs::write(house.path("open/big"), text(1_000_000)).unwrap();
    let url = ObjectUrl::parse("big").unwrap();
    let mut object = house.sources.open(&url, 0, None).await.unwrap();
    let tag = object.tag().unwrap().to_owned();
    object.next().await.unwrap().unwrap();
    std::fs::OpenOptions::new().write(true).open(house.path("open/big")).unwrap().set_len(500_000).unwrap();
    let error = loop {
        match object.next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("nobody noticed"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), "object_changed");
    assert_eq!(house.sources.open(&url, 0, Some(&tag)).await.unwrap_err().code(), "object_changed");
}

#[tokio::test]
async fn packed_files_are_told_by_content() {
    let house = House::new();
    let content = text(300_000);
    std::fs::write(house.path("open/plain.gz"), &content).unwrap();
    std::fs::write(house.path("open/gzip"), gzip(&content)).unwrap();
    std::fs::write(house.path("open/zstd.txt"), zstd::encode_all(&content[..], 1).unwrap()).unwrap();
    let expected = lines(&house.sources, "plain.gz", StartAt::START).await.unwrap();
    for name in ["gzip", "zstd.txt"] {
        assert_eq!(lines(&house.sources, name, StartAt::START).await.unwrap(), expected, "{name}");
    }
    let packed = gzip(&content);
    std::fs::write(house.path("open/cut"), &packed[..packed.len() / 2]).unwrap();
    let error = lines(&house.sources, "cut", StartAt::START).await.unwrap_err();
    assert_eq!(error.code(), "object_damaged");
    std::fs::write(house.path("open/empty"), b"").unwrap();
    assert_eq!(lines(&house.sources, "empty", StartAt::START).await.unwrap(), Vec::<String>::new());
}
