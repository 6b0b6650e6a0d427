//! What a bucket has below a prefix, and taking away what was imported.

use std::path::Path as FilePath;

use futures::StreamExt as _;
use object_store::path::Path;
use object_store::{ObjectStore as _, ObjectStoreExt as _};

use super::origin::Trouble;
use super::s3::{S3, trouble};
use super::{ObjectError, ObjectUrl, Sources, file, reading};

/// Objects of one listing at most: more would be a mistake in the prefix more often than not, and need not fit in memory.
pub const MOST_LISTED: usize = 100_000;

impl Sources {
    /// The objects whose addresses begin with `prefix` (`s3://bucket/` and the beginning of a key), in the order of
    /// their keys. An address that ends with `/` names a folder.
    pub async fn list(&self, prefix: &str) -> Result<Vec<ObjectUrl>, ObjectError> {
        let malformed = |reason| ObjectError::Malformed { address: prefix.to_owned(), reason };
        let (bucket, begin) = prefix
            .strip_prefix("s3://")
            .and_then(|rest| rest.split_once('/'))
            .filter(|(bucket, _)| !bucket.is_empty())
            .ok_or_else(|| malformed("only buckets are listed: `s3://bucket/prefix`"))?;
        let mut tries = 1;
        loop {
            let shown = ObjectUrl::S3 { bucket: bucket.to_owned(), key: begin.to_owned() };
            match self.list_once(bucket, begin).await {
                Ok(found) => return Ok(found),
                Err(Trouble::Passing { .. }) if tries < self.patience.tries => {
                    tokio::time::sleep(self.patience.backoff * tries).await;
                    tries += 1;
                }
                Err(trouble) => return Err(reading::fault(&shown, trouble, 0, tries)),
            }
        }
    }

    async fn list_once(&self, bucket: &str, begin: &str) -> Result<Vec<ObjectUrl>, Trouble> {
        let store = self.s3.store(bucket)?;
        // Servers are asked by whole folders; the rest of the prefix is for us to compare.
        let folder = begin.rsplit_once('/').map_or("", |(folder, _)| folder);
        let folder = Path::parse(folder).map_err(|_| Trouble::Refused("no store has such keys".to_owned()))?;
        let mut listed = store.list(Some(&folder).filter(|folder| !folder.as_ref().is_empty()));
        let mut found = Vec::new();
        loop {
            let next = tokio::time::timeout(self.patience.timeout, listed.next()).await;
            let Some(object) = next.map_err(|_| Trouble::passing("no answer in time".to_owned()))? else { break };
            let key = object.map_err(|error| trouble(&error))?.location.to_string();
            let url = ObjectUrl::S3 { bucket: bucket.to_owned(), key };
            if matches!(&url, ObjectUrl::S3 { key, .. } if key.starts_with(begin)) && self.rules.check(&url).is_ok() {
                found.push(url);
            }
            if found.len() > MOST_LISTED {
                return Err(Trouble::Refused(format!("more than {MOST_LISTED} objects begin so")));
            }
        }
        found.sort_by_key(ToString::to_string);
        Ok(found)
    }

    /// Takes an object away if it still is the version `tag`: what came in its place meanwhile was not imported.
    pub async fn delete(&self, url: &ObjectUrl, tag: &str) -> Result<(), ObjectError> {
        self.check(url)?;
        let resolved = self.resolved(url)?;
        let gone = match &resolved {
            ObjectUrl::File(path) => delete_file(path, tag).await,
            ObjectUrl::S3 { bucket, key } => delete_object(&self.s3, bucket, key, tag, self.patience.timeout).await,
            ObjectUrl::Http(_) => Err(Trouble::Refused("nothing is deleted over HTTP".to_owned())),
        };
        gone.map_err(|trouble| reading::fault(url, trouble, 0, 1))
    }
}

async fn delete_file(path: &FilePath, tag: &str) -> Result<(), Trouble> {
    let open = tokio::fs::File::open(path).await.map_err(|error| file::trouble(&error))?;
    if file::version(&open).await?.0 != tag {
        return Err(Trouble::Changed);
    }
    tokio::fs::remove_file(path).await.map_err(|error| file::trouble(&error))
}

async fn delete_object(
    s3: &S3,
    bucket: &str,
    key: &str,
    tag: &str,
    timeout: std::time::Duration,
) -> Result<(), Trouble> {
    let store = s3.store(bucket)?;
    let path = Path::parse(key).map_err(|_| Trouble::Refused("no store has such a key".to_owned()))?;
    let late = |_| Trouble::passing("no answer in time".to_owned());
    let head = tokio::time::timeout(timeout, store.head(&path)).await.map_err(late)?;
    let now = head.map_err(|error| trouble(&error))?.e_tag.map(|etag| format!("etag:{etag}"));
    if now.as_deref() != Some(tag) {
        return Err(Trouble::Changed);
    }
    let deleted = tokio::time::timeout(timeout, store.delete(&path)).await.map_err(late)?;
    deleted.map_err(|error| trouble(&error))
}
