//! Where a listing stands: the decoded `next` value of `next_page`, and the guard against going round in circles.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};
use url::{Url, form_urlencoded};

use crate::extract::ExtractError;

/// Pages after which a listing is taken for endless: a hundred million materials.
const MAX_PAGES: usize = 1_000_000;

/// An opaque position in the listing. The URL it came from repeats the token and is never kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(String);

impl Cursor {
    /// A cursor saved earlier.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The decoded value.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes the cursor out of `next_page`, which must stay on the host of `base`.
    pub(super) fn from_next_page(next_page: &str, base: &Url) -> Result<Self, ExtractError> {
        // Tolerates a relative or a protocol-relative link.
        let url = base.join(next_page.trim()).map_err(|_| ExtractError::NoCursor)?;
        if url.host() != base.host() {
            let host = url.host_str().map_or_else(|| url.scheme().to_owned(), str::to_owned);
            return Err(ExtractError::ForeignNextPage { host });
        }
        // The value is base64, where `+` is a digit: only the percent signs are decoded.
        let query = url.query().unwrap_or_default().replace('+', "%2B");
        form_urlencoded::parse(query.as_bytes())
            .find(|(name, value)| name == "next" && !value.is_empty())
            .map(|(_, value)| Self(value.into_owned()))
            .ok_or(ExtractError::NoCursor)
    }
}

/// Remembers which cursors a listing has used (eight bytes each) and refuses one that comes again.
#[derive(Debug, Clone, Default)]
pub struct RepeatGuard {
    seen: HashSet<u64>,
}

impl RepeatGuard {
    /// Notes a cursor that is about to be followed.
    pub fn check(&mut self, cursor: &Cursor) -> Result<(), ExtractError> {
        let mut hasher = DefaultHasher::new();
        cursor.hash(&mut hasher);
        let pages = self.seen.len();
        if !self.seen.insert(hasher.finish()) {
            return Err(ExtractError::RepeatingCursor { pages });
        }
        if pages >= MAX_PAGES {
            return Err(ExtractError::EndlessListing { pages });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Cursor, RepeatGuard};
    use crate::extract::ExtractError;
    use url::Url;

    fn cursor(next_page: &str) -> Result<Cursor, ExtractError> {
        let base = Url::parse("https://kodik.test/v1/").map_err(|_| ExtractError::NoCursor)?;
        Cursor::from_next_page(next_page, &base)
    }

    #[test]
    fn quirk_02_the_cursor_is_decoded_once_and_keeps_its_padding() {
        let value = |text: &str| cursor(text).map(|cursor| cursor.as_str().to_owned()).ok();
        let url = "https://kodik.test/list?token=x&next=WzEsInMtMSJd%3D%3D&limit=100";
        assert_eq!(value(url).as_deref(), Some("WzEsInMtMSJd=="));
        assert_eq!(value("https://kodik.test/list?next=WzEs=&token=x").as_deref(), Some("WzEs="));
        assert_eq!(value("//kodik.test/list?next=a%2Bb%2Fc").as_deref(), Some("a+b/c"));
        assert_eq!(value("/list?next=a+b").as_deref(), Some("a+b"), "a plus is a base64 digit, not a space");
        assert_eq!(value("https://kodik.test/list?next=%253D").as_deref(), Some("%3D"), "decoded once, not twice");
    }

    #[test]
    fn a_foreign_host_is_named_and_nothing_else_of_its_url() {
        for foreign in [
            "https://evil.test/list?token=marker&next=abc",
            "//evil.test/list?next=abc",
            "https://evil.test:443@evil.test/list?next=abc",
            "https://kodik.test@evil.test/list?next=abc",
        ] {
            match cursor(foreign) {
                Err(error @ ExtractError::ForeignNextPage { .. }) => {
                    assert!(error.is_fatal());
                    let text = error.to_string();
                    assert!(text.contains("`evil.test`") && !text.contains("marker"), "{text}");
                }
                other => panic!("{foreign}: {other:?}"),
            }
        }
        assert!(matches!(cursor("javascript:alert(1)"), Err(ExtractError::ForeignNextPage { .. })));
    }

    #[test]
    fn a_next_page_without_a_cursor_is_an_error() {
        for page in ["https://kodik.test/list?token=x", "https://kodik.test/list?next=", "https://kodik.test/list", ""]
        {
            assert!(matches!(cursor(page), Err(ExtractError::NoCursor)), "{page}");
        }
    }

    #[test]
    fn a_cursor_that_comes_again_is_refused() {
        let mut guard = RepeatGuard::default();
        assert!(guard.check(&Cursor::new("a")).is_ok());
        assert!(guard.check(&Cursor::new("b")).is_ok());
        assert!(matches!(guard.check(&Cursor::new("a")), Err(ExtractError::RepeatingCursor { pages: 2 })));
    }
}
