//! A place in a bucket: of a server in this process, or of the one that `S3_ENDPOINT` names, with `S3_ACCESS_KEY_ID`,
//! `S3_SECRET_ACCESS_KEY` and a bucket that is there, `S3_TEST_BUCKET`. What is put there is taken away again.

use object_store::ObjectStoreExt as _;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;

use crate::bucket::{Bucket, KEY, SECRET};

pub(crate) struct Shelf {
    store: AmazonS3,
    bucket: String,
    prefix: String,
    env: [(String, String); 3],
    _inside: Option<Bucket>,
}

impl Shelf {
    pub(crate) async fn new() -> Self {
        // Another test of the process may have done it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let given =
            |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set, and S3_ENDPOINT is"));
        let (inside, endpoint, key, secret, bucket) = if std::env::var_os("S3_ENDPOINT").is_some() {
            let keys = (given("S3_ACCESS_KEY_ID"), given("S3_SECRET_ACCESS_KEY"));
            (None, given("S3_ENDPOINT"), keys.0, keys.1, given("S3_TEST_BUCKET"))
        } else {
            let inside = Bucket::start().await;
            let endpoint = inside.endpoint();
            (Some(inside), endpoint, KEY.to_owned(), SECRET.to_owned(), "box".to_owned())
        };
        let store = AmazonS3Builder::new()
            .with_endpoint(&endpoint)
            .with_allow_http(true)
            .with_region("us-east-1")
            .with_bucket_name(&bucket)
            .with_access_key_id(&key)
            .with_secret_access_key(&secret)
            .build()
            .unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
        let env = [("S3_ENDPOINT", endpoint), ("S3_ACCESS_KEY_ID", key), ("S3_SECRET_ACCESS_KEY", secret)];
        let env = env.map(|(name, value)| (name.to_owned(), value));
        Self { store, bucket, prefix: format!("t{now}"), env, _inside: inside }
    }

    /// How the program gets there.
    pub(crate) fn env(&self) -> [(&str, &str); 3] {
        self.env.each_ref().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(crate) fn url(&self, key: &str) -> String {
        format!("s3://{}/{}/{key}", self.bucket, self.prefix)
    }

    pub(crate) fn bucket(&self) -> &str {
        &self.bucket
    }

    fn path(&self, key: &str) -> Path {
        Path::from(format!("{}/{key}", self.prefix))
    }

    pub(crate) async fn put(&self, key: &str, content: &[u8]) {
        self.store.put(&self.path(key), content.to_vec().into()).await.unwrap();
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

    pub(crate) async fn clear(&self, keys: &[&str]) {
        for key in keys {
            // It may be gone already.
            let _ = self.store.delete(&self.path(key)).await;
        }
    }
}
