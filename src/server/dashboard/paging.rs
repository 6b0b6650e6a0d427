//! Pages of a long list: which one was asked for, and links to the others.

use http::Uri;

use super::filters;
use super::frame::query;

/// Nobody reads further than this; the search narrows it down.
const LAST: u64 = 100_000;

/// Where one is in a list.
#[derive(Debug, Clone)]
pub(super) struct Paging {
    page: u64,
    size: u32,
    total: u64,
    path: String,
    /// What else is in the address.
    others: Vec<(&'static str, String)>,
    /// The name of the page's number in the address.
    name: &'static str,
}

/// What an address says behind its `?`. Nonsense there is no reason to refuse a page.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked(Vec<(String, String)>);

impl Asked {
    pub(super) fn of(uri: &Uri) -> Self {
        let pairs = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        // What cannot be seen is not shown back either.
        Self(pairs.map(|(name, value)| (name.into_owned(), value.replace(char::is_control, ""))).collect())
    }

    /// A value without the space around it; empty if there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value.trim())
    }

    /// The number of a page; nonsense is the first.
    pub(super) fn page(&self, name: &str) -> u64 {
        self.text(name).parse().unwrap_or(1).clamp(1, LAST)
    }
}

/// Rows before that page.
pub(super) fn skip(page: u64, size: u32) -> u32 {
    u32::try_from(page.saturating_sub(1).saturating_mul(size.into())).unwrap_or(u32::MAX)
}

impl Paging {
    pub(super) fn new(page: u64, size: u32, total: u64, path: impl Into<String>) -> Self {
        Self { page, size, total, path: path.into(), others: Vec::new(), name: "page" }
    }

    /// Keeps something else of the address.
    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        if !value.is_empty() {
            self.others.push((name, value.to_owned()));
        }
        self
    }

    /// The same under another name, when a page has two lists.
    pub(super) fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    pub(super) fn last(&self) -> u64 {
        self.total.div_ceil(self.size.into()).clamp(1, LAST)
    }

    /// Is there more than one page?
    pub(super) fn needed(&self) -> bool {
        self.total > u64::from(self.size) || self.page > 1
    }

    /// `51–100 of 1 234`.
    pub(super) fn position(&self) -> String {
        let first = (self.page - 1).saturating_mul(self.size.into()) + 1;
        let last = (first + u64::from(self.size) - 1).min(self.total);
        if first > self.total {
            return format!("nothing here; {} in all", filters::grouped(self.total));
        }
        format!("{}–{} of {}", filters::grouped(first), filters::grouped(last), filters::grouped(self.total))
    }

    pub(super) fn previous(&self) -> Option<String> {
        (self.page > 1).then(|| self.link((self.page - 1).min(self.last())))
    }

    pub(super) fn next(&self) -> Option<String> {
        (self.page < self.last()).then(|| self.link(self.page + 1))
    }

    fn link(&self, page: u64) -> String {
        let number = page.to_string();
        let mut pairs: Vec<(&str, &str)> = self.others.iter().map(|(name, value)| (*name, value.as_str())).collect();
        if page > 1 {
            pairs.push((self.name, &number));
        }
        if pairs.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, query(&pairs)) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Asked, Paging, skip};

    #[test]
    fn pages_know_their_neighbours() {
        let paging = Paging::new(2, 50, 120, "/catalogue").with("q", "a&b c");
        assert_eq!(paging.previous().as_deref(), Some("/catalogue?q=a%26b+c"));
        assert_eq!(paging.next().as_deref(), Some("/catalogue?q=a%26b+c&page=3"));
        assert_eq!(paging.position(), "51–100 of 120");
        let only = Paging::new(1, 50, 50, "/x");
        assert!(!only.needed() && only.previous().is_none() && only.next().is_none());
        let beyond = Paging::new(99, 50, 120, "/x");
        assert_eq!(beyond.previous().as_deref(), Some("/x?page=3"));
        assert!(beyond.needed() && beyond.next().is_none());
        let asked = |text: &str| Asked::of(&format!("/x?q=+a%26b&{text}").parse().unwrap());
        assert_eq!(asked("").text("q"), "a&b");
        for nonsense in ["", "page", "page=0", "page=-1", "page=x", "page=", "page=%ff", "page=2&page=3&%%%"] {
            assert_eq!(asked(nonsense).page("page"), if nonsense.contains('2') { 2 } else { 1 }, "{nonsense}");
        }
        assert_eq!(asked("page=99999999999999").page("page"), 100_000);
        assert_eq!(skip(3, 50), 100);
    }
}
