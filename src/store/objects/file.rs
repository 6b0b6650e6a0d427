//! Files of this machine, below one folder or anywhere.

use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use super::origin::{Answer, Trouble};

/// Bytes read at once.
const CHUNK: usize = 256 << 10;

/// One file.
#[derive(Debug, Clone)]
pub(super) struct FileOrigin {
    path: PathBuf,
    /// Where it must be, links followed.
    within: Option<PathBuf>,
}

impl FileOrigin {
    pub(super) fn new(path: &Path, within: Option<&Path>) -> Self {
        let path = within.map_or_else(|| path.to_owned(), |folder| folder.join(path));
        Self { path, within: within.map(Path::to_owned) }
    }

    pub(super) async fn open(&self, at: u64) -> Result<Answer, Trouble> {
        let path = tokio::fs::canonicalize(&self.path).await.map_err(|error| trouble(&error))?;
        if self.within.as_ref().is_some_and(|folder| !path.starts_with(folder)) {
            return Err(Trouble::NotAllowed("it is outside the folder that is open for imports"));
        }
        // Before it is opened: opening a pipe would wait for its other end.
        if !tokio::fs::metadata(&path).await.map_err(|error| trouble(&error))?.is_file() {
            return Err(Trouble::Refused("it is not a file".to_owned()));
        }
        let mut file = tokio::fs::File::open(&path).await.map_err(|error| trouble(&error))?;
        let (tag, length) = version(&file).await?;
        if at > length {
            return Err(Trouble::Changed);
        }
        file.seek(SeekFrom::Start(at)).await.map_err(|error| trouble(&error))?;
        let begun = tag.clone();
        let body = futures::stream::try_unfold((file, length - at, begun), |(mut file, left, begun)| async move {
            let mut chunk = BytesMut::with_capacity(CHUNK.min(usize::try_from(left).unwrap_or(CHUNK)).max(1));
            let read = file.read_buf(&mut chunk).await.map_err(|error| trouble(&error))?;
            // More than there was at the start, or less: somebody is writing it.
            if read as u64 > left || (read == 0 && left > 0) {
                return Err(Trouble::Changed);
            }
            if read == 0 {
                let (now, _) = version(&file).await?;
                return if now == begun { Ok(None) } else { Err(Trouble::Changed) };
            }
            Ok(Some((chunk.freeze(), (file, left - read as u64, begun))))
        });
        Ok(Answer { tag: Some(tag), start: at, length: Some(length), body: body.boxed() })
    }
}

/// Which version of the file it is, and its length.
pub(super) async fn version(file: &tokio::fs::File) -> Result<(String, u64), Trouble> {
    let metadata = file.metadata().await.map_err(|error| trouble(&error))?;
    let changed = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let nanos = changed.map_or(0, |time| time.as_nanos());
    #[cfg(unix)]
    let file_number = std::os::unix::fs::MetadataExt::ino(&metadata);
    #[cfg(not(unix))]
    let file_number = 0;
    Ok((format!("file:{file_number}:{nanos}:{}", metadata.len()), metadata.len()))
}

pub(super) fn trouble(error: &std::io::Error) -> Trouble {
    match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => Trouble::NotFound,
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::InvalidInput => Trouble::Refused(error.to_string()),
        std::io::ErrorKind::Interrupted | std::io::ErrorKind::TimedOut | std::io::ErrorKind::StaleNetworkFileHandle => {
            Trouble::passing(error.to_string())
        }
        _ => Trouble::Refused(error.to_string()),
    }
}

/// A body of nothing.
pub(super) fn nothing() -> futures::stream::BoxStream<'static, Result<Bytes, Trouble>> {
    futures::stream::empty().boxed()
}
