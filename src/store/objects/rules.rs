//! Which objects may be read: a folder, a list of hosts, a list of buckets. Pure; what is not listed is not read.
//!
//! Hosts: `files.example.org` is this host on its scheme's own port (80, 443), `minio:9000` this host on this port,
//! `.example.org` every name below `example.org` (not itself), again with or without a port. `[::1]:8080` and
//! `10.0.0.5` are addresses. Private and loopback addresses are reached only through a host that is listed by its full
//! name or as an address: whoever owns a name below `.example.org` cannot point it into this network.
//!
//! Buckets: `catalogue` is the whole bucket, `catalogue/daily/` only keys that begin with `daily/`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use url::{Host, Url};

use super::{ObjectError, ObjectUrl};
use crate::config::ObjectSettings;

/// What may be read.
#[derive(Debug, Clone)]
pub(super) enum Rules {
    /// Whatever the person at the terminal names.
    Everything,
    /// What is listed.
    Listed {
        /// The folder, canonical.
        folder: Option<PathBuf>,
        hosts: Vec<HostRule>,
        buckets: Vec<BucketRule>,
    },
}

/// One host, or all below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostRule {
    /// Lower case, without the leading dot.
    name: String,
    below: bool,
    port: Option<u16>,
}

/// One bucket, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BucketRule {
    bucket: String,
    prefix: String,
}

impl Rules {
    /// Reads the lists; the folder must be there.
    pub(super) fn new(settings: &ObjectSettings) -> Result<Self, ObjectError> {
        let folder = settings.folder.as_ref().map(|folder| {
            let fault = |reason: String| ObjectError::Rule {
                setting: "IMPORT_FILES_PATH",
                rule: folder.display().to_string(),
                reason,
            };
            let canonical = folder.canonicalize().map_err(|error| fault(error.to_string()))?;
            if canonical.is_dir() { Ok(canonical) } else { Err(fault("it is not a folder".to_owned())) }
        });
        Ok(Self::Listed {
            folder: folder.transpose()?,
            hosts: settings.hosts.iter().map(|rule| HostRule::parse(rule)).collect::<Result<_, _>>()?,
            buckets: settings.buckets.iter().map(|rule| BucketRule::parse(rule)).collect::<Result<_, _>>()?,
        })
    }

    /// May it be read, as far as its address tells? Files are looked at again when they are opened.
    pub(super) fn check(&self, url: &ObjectUrl) -> Result<(), ObjectError> {
        let Self::Listed { folder, hosts, buckets } = self else { return Ok(()) };
        let reason = match url {
            ObjectUrl::File(_) if folder.is_none() => "no folder is open for imports",
            ObjectUrl::File(path) if path.components().any(|part| part == std::path::Component::ParentDir) => {
                "`..` leads out of folders"
            }
            ObjectUrl::File(_) => return Ok(()),
            ObjectUrl::Http(url) if hosts.iter().any(|rule| rule.allows(url)) => return Ok(()),
            ObjectUrl::Http(_) => "its host is not listed",
            ObjectUrl::S3 { bucket, key } if buckets.iter().any(|rule| rule.allows(bucket, key)) => return Ok(()),
            ObjectUrl::S3 { .. } => "its bucket is not listed",
        };
        Err(ObjectError::NotAllowed { address: url.to_string(), reason })
    }

    /// May a name lead to private addresses? Only if it is listed in full.
    pub(super) fn trusts(&self, name: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Listed { hosts, .. } => hosts.iter().any(|rule| !rule.below && rule.name.eq_ignore_ascii_case(name)),
        }
    }

    /// The folder that relative paths count from, and whether a file may be elsewhere.
    pub(super) fn folder(&self) -> Option<&Path> {
        match self {
            Self::Everything => None,
            Self::Listed { folder, .. } => folder.as_deref(),
        }
    }
}

impl HostRule {
    fn parse(text: &str) -> Result<Self, ObjectError> {
        let fault = |reason: &str| ObjectError::Rule {
            setting: "IMPORT_HOSTS",
            rule: text.to_owned(),
            reason: reason.to_owned(),
        };
        let (below, rest) = text.strip_prefix('.').map_or((false, text), |rest| (true, rest));
        if rest.is_empty() || rest.contains(['/', '@', '?', '#', '*', '%']) {
            return Err(fault("a host, `host:port` or `.suffix`, without scheme and path"));
        }
        // The URL parser knows what a host is, and writes it in the way in which it will be compared.
        let url = Url::parse(&format!("x-rule://{rest}/")).map_err(|error| fault(&error.to_string()))?;
        let port = url.port();
        let url = Url::parse(&format!("http://{rest}/")).map_err(|error| fault(&error.to_string()))?;
        let host = url.host().ok_or_else(|| fault("it has no host"))?;
        if below && !matches!(host, Host::Domain(_)) {
            return Err(fault("nothing is below an address"));
        }
        Ok(Self { name: host.to_string(), below, port })
    }

    fn allows(&self, url: &Url) -> bool {
        let Some(host) = url.host() else { return false };
        let host = host.to_string();
        let host = host.trim_end_matches('.');
        let named = if self.below {
            host.strip_suffix(self.name.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
        } else {
            host == self.name
        };
        // `Url::port` is none for the scheme's own port.
        named && self.port.map_or(url.port().is_none(), |port| url.port_or_known_default() == Some(port))
    }
}

impl BucketRule {
    fn parse(text: &str) -> Result<Self, ObjectError> {
        let (bucket, prefix) = text.split_once('/').unwrap_or((text, ""));
        if bucket.is_empty() || bucket.contains(['*', ':']) {
            return Err(ObjectError::Rule {
                setting: "IMPORT_BUCKETS",
                rule: text.to_owned(),
                reason: "`bucket` or `bucket/prefix`".to_owned(),
            });
        }
        Ok(Self { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }

    fn allows(&self, bucket: &str, key: &str) -> bool {
        self.bucket == bucket && key.starts_with(&self.prefix)
    }
}

/// Is it an address of the whole internet (not private, loopback, link-local, multicast, documentation …)?
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_public_v4(v4),
            None => is_public_v6(v6),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        // Carrier NAT, protocol assignments, benchmarks.
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b)))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    // Global unicast without documentation, 6to4, Teredo (which carry IPv4 addresses) and protocol assignments.
    (first & 0xe000) == 0x2000 && first != 0x2002 && !(first == 0x2001 && (second < 0x200 || second == 0xdb8))
}

#[cfg(test)]
mod tests {
    use super::{BucketRule, HostRule, is_public};
    use url::Url;

    fn allows(rule: &str, url: &str) -> bool {
        HostRule::parse(rule).unwrap().allows(&Url::parse(url).unwrap())
    }

    #[test]
    fn hosts_are_compared_whole() {
        assert!(allows("files.example.org", "https://FILES.example.org/x"));
        assert!(allows("files.example.org", "http://files.example.org:80/x"));
        assert!(allows("files.example.org", "http://files.example.org./x"));
        assert!(!allows("files.example.org", "http://files.example.org:8080/x"));
        assert!(!allows("files.example.org", "http://files.example.org.evil.test/x"));
        assert!(!allows("example.org", "http://files.example.org/x"));
        assert!(allows("minio:9000", "http://minio:9000/b/k"));
        assert!(!allows("minio:9000", "http://minio/b/k"));
        assert!(allows("host:443", "https://host/x"));
        assert!(!allows("host:443", "http://host/x"));
        assert!(allows("[::1]:8080", "http://[0:0::1]:8080/x"));
        assert!(allows("127.0.0.1:80", "http://127.1/x"), "another spelling of the same address");
        assert!(!allows("127.0.0.1", "http://localhost/x"));
    }

    #[test]
    fn a_suffix_is_what_is_below_it() {
        assert!(allows(".example.org", "https://a.b.example.org/x"));
        assert!(!allows(".example.org", "https://example.org/x"));
        assert!(!allows(".example.org", "https://badexample.org/x"));
        assert!(!allows(".example.org", "https://a.example.org:444/x"));
        assert!(allows(".example.org:444", "https://a.example.org:444/x"));
    }

    #[test]
    fn rules_that_are_none_are_refused() {
        for rule in ["", ".", "*", "*.example.org", "https://a", "a/b", "me@a", ".10.0.0.1", "a:x", "a:99999"] {
            assert!(HostRule::parse(rule).is_err(), "{rule}");
        }
        for rule in ["", "/x", "*", "s3://b"] {
            assert!(BucketRule::parse(rule).is_err(), "{rule}");
        }
    }

    #[test]
    fn buckets_and_prefixes() {
        let whole = BucketRule::parse("b").unwrap();
        let part = BucketRule::parse("b/daily/").unwrap();
        assert!(whole.allows("b", "x") && !whole.allows("bb", "x"));
        assert!(part.allows("b", "daily/x") && !part.allows("b", "dailyx") && !part.allows("c", "daily/x"));
    }

    #[test]
    fn private_addresses_are_known() {
        for address in [
            "127.0.0.1",
            "10.1.2.3",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "::1",
            "fe80::1",
            "fd00::1",
            "::ffff:10.0.0.1",
            "2002:a00::1",
            "64:ff9b::a00:1",
            "224.0.0.1",
            "255.255.255.255",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }
}
