//! A place in a bucket: of a server in this process, or of the one that `S3_ENDPOINT` names, with `S3_ACCESS_KEY_ID`,
//! `S3_SECRET_ACCESS_KEY`, a bucket that is there, `S3_TEST_BUCKET`, and `S3_REGION`. What is below the place's prefix when
//! the test ends, however it ends, is taken away.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{StreamExt as _, TryStreamExt as _};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{ObjectStore as _, ObjectStoreExt as _, RetryConfig};

use crate::bucket::{Bucket, KEY, SECRET};

/// Requests of one test at a time.
const AT_ONCE: usize = 16;

/// Which server, and who asks.
#[derive(Clone)]
pub(crate) struct Access {
    pub(crate) endpoint: String,
    pub(crate) key: String,
    pub(crate) secret: String,
    pub(crate) region: String,
    bucket: String,
}

pub(crate) struct Shelf {
    store: AmazonS3,
    pub(crate) access: Access,
    prefix: String,
    inside: Option<Bucket>,
}

impl Shelf {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        // Another test of the process may have done it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let given = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let needed = |name: &str| given(name).unwrap_or_else(|| panic!("{name} is not set, and S3_ENDPOINT is"));
        let (inside, access) = if let Some(endpoint) = given("S3_ENDPOINT") {
            let (key, secret) = (needed("S3_ACCESS_KEY_ID"), needed("S3_SECRET_ACCESS_KEY"));
            let region = given("S3_REGION").unwrap_or_else(|| "us-east-1".to_owned());
            (None, Access { endpoint, key, secret, region, bucket: needed("S3_TEST_BUCKET") })
        } else {
            let inside = Bucket::start();
            let [key, secret, region, bucket] = [KEY, SECRET, "us-east-1", "box"].map(str::to_owned);
            let endpoint = inside.endpoint();
            (Some(inside), Access { endpoint, key, secret, region, bucket })
        };
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
        let prefix = format!("t{now}x{}x{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self { store: access.store(), access, prefix, inside }
    }

    /// How the program gets there.
    pub(crate) fn env(&self) -> Vec<(&str, &str)> {
        let Access { endpoint, key, secret, region, .. } = &self.access;
        vec![
            ("S3_ENDPOINT", endpoint),
            ("S3_ACCESS_KEY_ID", key),
            ("S3_SECRET_ACCESS_KEY", secret),
            ("S3_REGION", region),
        ]
    }

    /// The same, but for one value.
    pub(crate) fn env_but<'a>(&'a self, name: &'a str, value: &'a str) -> Vec<(&'a str, &'a str)> {
        self.env().into_iter().filter(|(other, _)| *other != name).chain([(name, value)]).collect()
    }

    pub(crate) fn url(&self, key: &str) -> String {
        format!("s3://{}/{}", self.access.bucket, self.key(key))
    }

    /// Its whole key.
    pub(crate) fn key(&self, key: &str) -> String {
        format!("{}/{key}", self.prefix)
    }

    pub(crate) fn bucket(&self) -> &str {
        &self.access.bucket
    }

    /// Is it a server of this process?
    pub(crate) fn is_inside(&self) -> bool {
        self.inside.is_some()
    }

    /// `host:port` for somebody to stand in between; `None` (said aloud) where the way there is encrypted.
    pub(crate) fn plain(&self) -> Option<String> {
        let Some(place) = self.access.endpoint.strip_prefix("http://") else {
            println!("skipped: a connection to {} cannot be cut, it is encrypted", self.access.endpoint);
            return None;
        };
        let place = place.trim_end_matches('/');
        Some(if place.contains(':') { place.to_owned() } else { format!("{place}:80") })
    }

    fn path(&self, key: &str) -> Path {
        Path::parse(self.key(key)).unwrap()
    }

    pub(crate) async fn put(&self, key: &str, content: &[u8]) {
        self.store.put(&self.path(key), content.to_vec().into()).await.unwrap();
    }

    /// Each with its key as its content.
    pub(crate) async fn put_all(&self, keys: &[String]) {
        futures::stream::iter(keys)
            .for_each_concurrent(AT_ONCE, async |key: &String| self.put(key, key.as_bytes()).await)
            .await;
    }

    /// Which of these are there?
    pub(crate) async fn left<const N: usize>(&self, keys: [&str; N]) -> [bool; N] {
        let mut left = [false; N];
        for (left, key) in left.iter_mut().zip(keys) {
            *left = match self.store.head(&self.path(key)).await {
                Ok(_) => true,
                Err(object_store::Error::NotFound { .. }) => false,
                Err(error) => panic!("{error}"),
            };
        }
        left
    }
}

impl Access {
    fn store(&self) -> AmazonS3 {
        AmazonS3Builder::new()
            .with_endpoint(&self.endpoint)
            .with_allow_http(true)
            .with_region(&self.region)
            .with_bucket_name(&self.bucket)
            .with_access_key_id(&self.key)
            .with_secret_access_key(&self.secret)
            // Whoever names a server that is not there hears of it soon.
            .with_retry(RetryConfig { max_retries: 2, ..RetryConfig::default() })
            .build()
            .unwrap()
    }
}

/// Takes away what is below a prefix.
async fn clear(store: AmazonS3, prefix: Path) -> object_store::Result<()> {
    let kept: Vec<_> = store.list(Some(&prefix)).map_ok(|object| object.location).try_collect().await?;
    let gone = futures::stream::iter(kept).map(|key| {
        let store = &store;
        async move { store.delete(&key).await }
    });
    gone.buffer_unordered(AT_ONCE).try_collect().await
}

impl Drop for Shelf {
    fn drop(&mut self) {
        let (access, prefix) = (self.access.clone(), Path::from(self.prefix.as_str()));
        // A thread of its own: the test may be inside a runtime.
        let clearing = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(clear(access.store(), prefix))
        });
        let cleared = clearing.join();
        if !std::thread::panicking() {
            cleared.unwrap().unwrap();
        }
    }
}
