//! Settings of the objects that imports read: which may be, where S3 is, and how patient to be.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::reader::Reader;

/// What imports may read, and how.
#[derive(Debug, Clone)]
pub struct ObjectSettings {
    /// The folder whose files may be read; `None` = none.
    pub folder: Option<PathBuf>,
    /// Hosts that may be asked; `store::objects` reads the rules.
    pub hosts: Vec<String>,
    /// Buckets that may be asked.
    pub buckets: Vec<String>,
    /// Most bytes of one object, as it is kept.
    pub max_object: u64,
    /// Longest line.
    pub max_line: usize,
    /// For an answer and for each next piece of it.
    pub timeout: Duration,
    /// Broken connections without progress before an object is given up.
    pub tries: u32,
    /// Upper bound of the first random wait after one; doubles each time.
    pub backoff: Duration,
    /// S3.
    pub s3: S3Settings,
}

/// Where S3 is and who asks.
#[derive(Debug, Clone)]
pub struct S3Settings {
    /// `None` = Amazon's of the region.
    pub endpoint: Option<Url>,
    /// Region.
    pub region: String,
    /// Keys that were given; else those of the profile.
    pub keys: Option<S3Keys>,
    /// The profile that was asked for.
    pub profile: Option<String>,
    /// The file of profiles.
    pub credentials_file: Option<PathBuf>,
}

/// Keys of S3.
#[derive(Debug, Clone)]
pub struct S3Keys {
    /// Access key.
    pub id: String,
    /// Secret access key.
    pub secret: SecretString,
    /// Token of temporary keys.
    pub session: Option<SecretString>,
}

impl ObjectSettings {
    /// Secret texts, for the redaction of logs.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &SecretString> {
        self.s3.keys.iter().flat_map(|keys| std::iter::once(&keys.secret).chain(&keys.session))
    }
}

pub(super) fn read(reader: &mut Reader<'_>) -> ObjectSettings {
    ObjectSettings {
        folder: reader.text("IMPORT_FILES_PATH").map(PathBuf::from),
        hosts: reader.list("IMPORT_HOSTS"),
        buckets: reader.list("IMPORT_BUCKETS"),
        max_object: u64::from(reader.number("IMPORT_MAX_OBJECT_MIB", 1..=16_777_216)) << 20,
        max_line: usize::try_from(reader.number("IMPORT_MAX_LINE_MIB", 1..=256)).unwrap_or(1) << 20,
        timeout: reader.seconds("IMPORT_READ_TIMEOUT_SECONDS"),
        tries: reader.number("IMPORT_READ_TRIES", 1..=100),
        backoff: reader.seconds("IMPORT_READ_BACKOFF_SECONDS"),
        s3: s3(reader),
    }
}

/// Each of its settings may also stand where the tools of Amazon look for it.
fn s3(reader: &mut Reader<'_>) -> S3Settings {
    let amazon = |reader: &Reader<'_>, name: &str| reader.layers.get(name).map(|(text, _)| text.to_owned());
    let endpoint = reader.url("S3_ENDPOINT").or_else(|| amazon(reader, "AWS_ENDPOINT_URL")?.parse().ok());
    let region = reader.text("S3_REGION").or_else(|| amazon(reader, "AWS_REGION"));
    let own_profile = reader.text("S3_PROFILE");
    let id = reader.text("S3_ACCESS_KEY_ID");
    let secret = reader.secret("S3_SECRET_ACCESS_KEY");
    let session = reader.secret("S3_SESSION_TOKEN");
    let keys = match (id, secret) {
        (Some(id), Some(secret)) => Some(S3Keys { id, secret, session }),
        // A profile that was asked for by our own setting wins over keys that lie about in the environment.
        (None, None) if own_profile.is_some() => None,
        (None, None) => amazon(reader, "AWS_ACCESS_KEY_ID").and_then(|id| {
            let secret = amazon(reader, "AWS_SECRET_ACCESS_KEY")?.into();
            Some(S3Keys { id, secret, session: amazon(reader, "AWS_SESSION_TOKEN").map(Into::into) })
        }),
        (id, _) => {
            let missing = if id.is_some() { "S3_SECRET_ACCESS_KEY" } else { "S3_ACCESS_KEY_ID" };
            reader.fault(missing, "is not set, but its other half is", None);
            None
        }
    };
    let profile = own_profile.or_else(|| amazon(reader, "AWS_PROFILE"));
    let credentials_file = amazon(reader, "AWS_SHARED_CREDENTIALS_FILE")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(amazon(reader, "HOME")?).join(".aws/credentials")));
    S3Settings { endpoint, region: region.unwrap_or_else(|| "us-east-1".to_owned()), keys, profile, credentials_file }
}
