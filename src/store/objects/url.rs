//! Addresses of objects, parsed once: a path, `file://`, `http(s)://`, `s3://bucket/key`.

use std::fmt;
use std::path::PathBuf;

use url::Url;

use super::ObjectError;

/// Where an object is. What is shown of it (`Display`, `Debug`) never holds a query.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum ObjectUrl {
    /// A file of this machine; a relative path counts from the folder that may be read.
    File(PathBuf),
    /// An HTTP server's.
    Http(Url),
    /// A bucket's.
    S3 {
        /// Bucket.
        bucket: String,
        /// Key, as it is: nothing in it is percent-encoded.
        key: String,
    },
}

/// Parameters of a query that carry a secret (also as `X-Amz-…`): such addresses would have to be kept in the store.
const SECRET_PARAMETERS: &[&str] = &[
    "signature",
    "sig",
    "token",
    "access_token",
    "auth",
    "authorization",
    "password",
    "secret",
    "key",
    "api_key",
    "apikey",
    "awsaccesskeyid",
];

impl ObjectUrl {
    /// Parses an address.
    pub fn parse(text: &str) -> Result<Self, ObjectError> {
        let malformed = |reason| Err(ObjectError::Malformed { address: without_query(text), reason });
        if text.is_empty() {
            return malformed("it is empty");
        }
        if text.chars().any(char::is_control) {
            return malformed("it holds control characters");
        }
        let Some((scheme, rest)) = text.split_once("://") else { return Ok(Self::File(PathBuf::from(text))) };
        match scheme.to_ascii_lowercase().as_str() {
            "s3" => match rest.split_once('/') {
                Some((bucket, _)) if !is_bucket(bucket) => malformed("its bucket's name is none"),
                Some((bucket, key)) if is_key(key) => Ok(Self::S3 { bucket: bucket.to_owned(), key: key.to_owned() }),
                Some(_) => malformed("its key is empty or holds an empty part, `.` or `..`"),
                None => malformed("it has no key"),
            },
            "file" => match Url::parse(text).ok().and_then(|url| url.to_file_path().ok()) {
                Some(path) => Ok(Self::File(path)),
                None => malformed("a file's address is `file:///path`"),
            },
            "http" | "https" => match Url::parse(text) {
                Err(_) => malformed("it cannot be parsed"),
                Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                    Err(ObjectError::Malformed { address: shown(&url), reason: "it must not hold a user or password" })
                }
                Ok(url) if url.query_pairs().any(|(name, _)| is_secret(&name)) => {
                    malformed("it must not be signed or hold a token: it would have to be kept")
                }
                Ok(mut url) => {
                    url.set_fragment(None);
                    Ok(Self::Http(url))
                }
            },
            _ => malformed("only file, http, https and s3 are read"),
        }
    }

    /// The whole address, to be kept and parsed again; `Display` leaves the query out.
    pub fn whole(&self) -> String {
        match self {
            Self::Http(url) => url.as_str().to_owned(),
            other => other.to_string(),
        }
    }

    /// The last part of the path: the object's own name.
    pub fn name(&self) -> &str {
        match self {
            Self::File(path) => path.file_name().and_then(|name| name.to_str()).unwrap_or_default(),
            Self::Http(url) => url.path().rsplit('/').next().unwrap_or_default(),
            Self::S3 { key, .. } => key.rsplit('/').next().unwrap_or_default(),
        }
    }
}

impl fmt::Display for ObjectUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Http(url) => f.write_str(&shown(url)),
            Self::S3 { bucket, key } => write!(f, "s3://{bucket}/{key}"),
        }
    }
}

impl fmt::Debug for ObjectUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectUrl({self})")
    }
}

/// An HTTP address without user, password, query and fragment.
fn shown(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

/// A text that may be an address, cut where secrets may begin.
fn without_query(text: &str) -> String {
    let start = text.find("://").map_or(0, |at| at + 3);
    let (head, rest) = text.split_at(start);
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let authority = rest.find('/').unwrap_or(rest.len());
    let rest = rest[..authority].rfind('@').map_or(rest, |at| &rest[at + 1..]);
    // Whoever put a whole file here does not get it back.
    format!("{head}{rest}").chars().filter(|c| !c.is_control()).take(500).collect()
}

fn is_secret(parameter: &str) -> bool {
    let name = parameter.to_ascii_lowercase();
    name.starts_with("x-amz-") || name.starts_with("x-goog-") || SECRET_PARAMETERS.contains(&name.as_str())
}

fn is_bucket(name: &str) -> bool {
    (1..=255).contains(&name.len())
        && !name.starts_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

fn is_key(key: &str) -> bool {
    key.len() <= 1024 && key.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::ObjectUrl;

    #[test]
    fn every_kind_is_parsed() {
        let s3 = ObjectUrl::S3 { bucket: "b-1".to_owned(), key: "a b/ü.jsonl".to_owned() };
        assert_eq!(ObjectUrl::parse("s3://b-1/a b/ü.jsonl"), Ok(s3));
        for (text, path) in [
            ("data/x.jsonl", "data/x.jsonl"),
            ("/data/x.jsonl", "/data/x.jsonl"),
            ("file:///data/a%20b", "/data/a b"),
            ("file:///data/../etc/x", "/etc/x"),
        ] {
            assert_eq!(ObjectUrl::parse(text), Ok(ObjectUrl::File(PathBuf::from(path))), "{text}");
        }
        let http = ObjectUrl::parse("HTTPS://Host.example:8443/a/b.gz?format=x#top").unwrap();
        assert_eq!(http.whole(), "https://host.example:8443/a/b.gz?format=x");
        assert_eq!(http.to_string(), "https://host.example:8443/a/b.gz");
        assert_eq!(http.name(), "b.gz");
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_secrets() {
        for text in [
            "",
            "s3://bucket",
            "s3://bucket/",
            "s3:///key",
            "s3://b/a//b",
            "s3://b/../c",
            "s3://me:S3CRET@b/c",
            "file://host/x",
            "ftp://host/x",
            "http://",
            "http://me:S3CRET@host/x",
            "http://S3CRET@host/x",
            "https://host/x?X-Amz-Signature=S3CRET",
            "https://host/x?a=1&token=S3CRET",
            "a\0b",
            "gopher://me:S3CRET@host/x?S3CRET",
        ] {
            let error = ObjectUrl::parse(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("S3CRET"), "{text}: {error:?}");
        }
    }
}
