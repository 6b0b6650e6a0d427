//! A real S3-protocol server in this process: signatures checked, path style, objects in a folder. Tests have it by a
//! `Shelf`, which may be a place of another server.

use std::net::SocketAddr;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tempfile::TempDir;

pub(crate) const KEY: &str = "test-key";
pub(crate) const SECRET: &str = "test-secret-that-nobody-knows";

/// A running server with an empty bucket `box`. It ends when this is dropped.
pub(crate) struct Bucket {
    _root: TempDir,
    address: SocketAddr,
    _ends: tokio::sync::oneshot::Sender<()>,
}

impl Bucket {
    /// On a thread of its own: it answers whatever the test's own runtime waits for.
    pub(crate) fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("box")).unwrap();
        let mut service = S3ServiceBuilder::new(FileSystem::new(root.path()).unwrap());
        service.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let service = service.build();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let (ends, ended) = tokio::sync::oneshot::channel::<()>();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.spawn(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    let service = service.clone();
                    tokio::spawn(async move {
                        let served = Builder::new(TokioExecutor::new());
                        let _ = served.serve_connection(TokioIo::new(stream), service).await;
                    });
                }
            });
            // Nothing is ever sent: the other half goes.
            let _ = runtime.block_on(ended);
        });
        Self { _root: root, address, _ends: ends }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}
