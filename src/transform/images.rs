//! Posters and portraits: real ones, with absolute addresses.

use super::links::Link;

/// Shikimori's REST answers show this instead of an image that is missing (or that only GraphQL has).
const PLACEHOLDER: &str = "/assets/globals/missing";

/// The first candidate that is a real image.
pub(super) fn first(candidates: &[&str], base: &str) -> Option<String> {
    candidates.iter().find_map(|candidate| absolute(candidate, base))
}

/// The absolute address of an image; `None` for placeholders and for what is no address. Relative paths are looked up
/// at `base`, everything else is made https.
pub(super) fn absolute(raw: &str, base: &str) -> Option<String> {
    let raw = raw.trim();
    if raw.contains(PLACEHOLDER) {
        return None;
    }
    if !raw.starts_with('/') || raw.starts_with("//") {
        return Link::parse(raw).map(|link| link.to_https());
    }
    let url = [base.trim_end_matches('/'), raw].concat();
    // The base is the operator's and keeps its scheme: a local stand-in speaks http.
    Link::parse(&url).is_some().then_some(url)
}

#[cfg(test)]
mod tests {
    use super::absolute;

    #[test]
    fn images_are_absolute_and_real() {
        let at = |raw| absolute(raw, "https://shikimori.example/");
        let relative = at("/system/animes/original/21.jpg?1711950000");
        assert_eq!(relative.as_deref(), Some("https://shikimori.example/system/animes/original/21.jpg?1711950000"));
        assert_eq!(at("//desu.example/1.jpg").as_deref(), Some("https://desu.example/1.jpg"));
        assert_eq!(at("http://desu.example/1.jpg").as_deref(), Some("https://desu.example/1.jpg"));
        for missing in
            ["/assets/globals/missing_original.jpg", "https://x.example/assets/globals/missing_x96.jpg", "", "x.jpg"]
        {
            assert_eq!(at(missing), None, "{missing}");
        }
        assert_eq!(absolute("/1.jpg", "http://127.0.0.1:9").as_deref(), Some("http://127.0.0.1:9/1.jpg"));
        assert_eq!(absolute("/1.jpg", ""), None);
    }
}
