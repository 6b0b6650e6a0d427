//! Links as sources write them: protocol-relative, http, or worse. Parsed without allocating; only a link that is used
//! becomes a text.

use std::borrow::Cow;

/// Longer links are not links.
const MAX_BYTES: usize = 2048;

/// A link to some host over the web.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link<'a> {
    host: Cow<'a, str>,
    path: &'a str,
    tail: &'a str,
}

impl<'a> Link<'a> {
    /// `//host/…`, `http://host/…` or `https://host/…`; everything else is no link.
    pub(super) fn parse(raw: &'a str) -> Option<Self> {
        let text = raw.trim();
        let unsafe_byte = |byte: u8| byte <= b' ' || byte == 0x7F || matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'`');
        if text.len() > MAX_BYTES || text.bytes().any(unsafe_byte) {
            return None;
        }
        let (rest, plain_http) = match text.strip_prefix("//") {
            Some(rest) => (rest, false),
            None => match text.split_once("://")? {
                (scheme, rest) if scheme.eq_ignore_ascii_case("https") => (rest, false),
                (scheme, rest) if scheme.eq_ignore_ascii_case("http") => (rest, true),
                _ => return None,
            },
        };
        let host_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (host, after) = rest.split_at(host_end);
        let path_end = after.find(['?', '#']).unwrap_or(after.len());
        let (path, tail) = after.split_at(path_end);
        // Port 80 belongs to the scheme that is dropped; nothing answers https there.
        let host = if plain_http { host.strip_suffix(":80").unwrap_or(host) } else { host };
        let (name, port) = host.split_once(':').unwrap_or((host, "0"));
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        let name_is_usable = name.bytes().all(is_name) && name.bytes().any(|byte| byte.is_ascii_alphanumeric());
        if !name_is_usable || port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let host = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(host.to_ascii_lowercase())
        } else {
            Cow::Borrowed(host)
        };
        Some(Self { host, path, tail })
    }

    /// What makes two links the same: host and path, without scheme, query and fragment.
    pub(super) fn identity(&self) -> (&str, &'a str) {
        (&self.host, self.path)
    }

    /// The whole link over https.
    pub(super) fn to_https(&self) -> String {
        let mut url = String::with_capacity(8 + self.host.len() + self.path.len() + self.tail.len());
        for part in ["https://", &self.host, self.path, self.tail] {
            url.push_str(part);
        }
        url
    }
}

#[cfg(test)]
mod tests {
    use super::Link;

    #[test]
    fn links_become_https() {
        let cases = [
            ("//player.example/seria/1/ab/720p", "https://player.example/seria/1/ab/720p"),
            ("http://player.example/seria/1/ab/720p", "https://player.example/seria/1/ab/720p"),
            ("HTTPS://Player.EXAMPLE/Seria/1?x=1#y", "https://player.example/Seria/1?x=1#y"),
            (" //player.example:8443/a ", "https://player.example:8443/a"),
            ("http://player.example:80/a", "https://player.example/a"),
            ("//player.example", "https://player.example"),
        ];
        for (raw, expected) in cases {
            assert_eq!(Link::parse(raw).map(|link| link.to_https()).as_deref(), Some(expected), "{raw}");
        }
    }

    #[test]
    fn what_leads_nowhere_is_no_link() {
        for raw in [
            "",
            "//",
            "///path",
            "/seria/1",
            "player.example/a",
            "javascript:alert(1)",
            "ftp://player.example/a",
            "https://",
            "https://?a",
            "//user@player.example/a",
            "//player.example/a b",
            "//player.example/\"x",
            "//pl<b>ayer/a",
            "//player.example:/a",
            "//player.example:x/a",
            "//.../a",
            "http://:80/a",
            "//плеер.рф/a",
        ] {
            assert_eq!(Link::parse(raw), None, "{raw}");
        }
        assert_eq!(Link::parse(&format!("//a/{}", "x".repeat(3000))), None);
    }

    #[test]
    fn scheme_query_and_host_case_do_not_make_a_difference() {
        let one = Link::parse("//A.example/x?season=1").expect("a link");
        let other = Link::parse("http://a.example/x#t").expect("a link");
        assert_eq!(one.identity(), other.identity());
        assert_ne!(one.identity(), Link::parse("//a.example/X").expect("a link").identity());
    }
}
