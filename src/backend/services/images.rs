//! Images: absolute addresses of real pictures, each once, and which of them is shown.

use url::Url;

/// Longer addresses are nobody's images, and no key.
const LONGEST: usize = 2_000;

/// More candidates are of no use to anybody.
const MOST: usize = 100;

/// Parts of addresses that sites show instead of a picture they do not have.
const PLACEHOLDERS: &[&str] = &["/assets/globals/missing", "/missing_", "no-image", "no_image", "noimage", "no-poster"];

/// The images of one entity.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Images {
    /// The one that readers see.
    pub shown: Option<String>,
    /// All of them, when the record lists them: the address, and whether it is the one that is shown.
    pub all: Option<Vec<(String, bool)>>,
}

/// The address, made absolute; `None` for placeholders and for what is no address of a picture.
pub fn address(raw: &str) -> Option<String> {
    let raw = raw.trim();
    let lower = raw.to_ascii_lowercase();
    if raw.is_empty() || raw.len() > LONGEST || PLACEHOLDERS.iter().any(|part| lower.contains(part)) {
        return None;
    }
    let text = if raw.starts_with("//") { format!("https:{raw}") } else { raw.to_owned() };
    let url = Url::parse(&text).ok()?;
    let fetched = matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(|host| !host.is_empty());
    // A password in an address would be shown to every reader.
    (fetched && url.username().is_empty() && url.password().is_none()).then_some(text)
}

/// The image that is shown (the one that is named, else the first that is usable) and all candidates: each once, in the
/// sender's order, the shown one marked.
pub fn choose(named: Option<&str>, listed: Option<&[String]>) -> Images {
    let named = named.and_then(address);
    let Some(listed) = listed else { return Images { shown: named, all: None } };
    let mut candidates: Vec<String> = Vec::with_capacity(listed.len().min(MOST));
    for image in named.iter().cloned().chain(listed.iter().filter_map(|raw| address(raw))) {
        if candidates.len() < MOST && !candidates.iter().any(|known| same(known, &image)) {
            candidates.push(image);
        }
    }
    let shown = candidates.first().cloned();
    let all = candidates.into_iter().enumerate().map(|(at, image)| (image, at == 0)).collect();
    Images { shown, all: Some(all) }
}

/// All images when a record names the one that is shown and lists none: the others that are stored stay candidates.
pub fn show(shown: &str, stored: &[(String, bool)]) -> Vec<(String, bool)> {
    let others = stored.iter().map(|(image, _)| image).filter(|image| !same(image, shown));
    std::iter::once((shown.to_owned(), true)).chain(others.map(|image| (image.clone(), false))).take(MOST).collect()
}

/// The same picture by either scheme.
fn same(a: &str, b: &str) -> bool {
    let bare = |address: &str| address.split_once(':').map_or(0, |(scheme, _)| scheme.len());
    a[bare(a)..] == b[bare(b)..]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{address, choose, show};

    fn list(images: &[&str]) -> Vec<String> {
        images.iter().map(|&image| image.to_owned()).collect()
    }

    #[test]
    fn only_absolute_addresses_of_real_pictures_count() {
        assert_eq!(address(" https://img.example/1.jpg?2 ").as_deref(), Some("https://img.example/1.jpg?2"));
        assert_eq!(address("//img.example/1.jpg").as_deref(), Some("https://img.example/1.jpg"));
        for no in [
            "",
            "/1.jpg",
            "1.jpg",
            "ftp://img.example/1.jpg",
            "javascript:alert(1)",
            "https://me:secret@img.example/1.jpg",
            "https://shikimori.example/assets/globals/missing_original.jpg",
            "https://img.example/No-Image.png",
        ] {
            assert_eq!(address(no), None, "{no}");
        }
        assert_eq!(address(&format!("https://img.example/{}", "x".repeat(3_000))), None);
    }

    #[test]
    fn the_named_image_is_shown_and_every_image_comes_once() {
        let listed = list(&["https://a.example/2.jpg", "/relative.jpg", "http://a.example/1.jpg", "//a.example/2.jpg"]);
        let images = choose(Some("https://a.example/1.jpg"), Some(&listed));
        assert_eq!(images.shown.as_deref(), Some("https://a.example/1.jpg"));
        let all = images.all.unwrap();
        assert_eq!(all, [("https://a.example/1.jpg".to_owned(), true), ("https://a.example/2.jpg".to_owned(), false)]);
        let images = choose(Some("/missing.jpg"), Some(&listed));
        assert_eq!(images.shown.as_deref(), Some("https://a.example/2.jpg"), "the first that is usable");
        assert_eq!(choose(None, None), super::Images::default());
        assert_eq!(choose(None, Some(&[])).all, Some(Vec::new()));
    }

    #[test]
    fn a_new_image_is_shown_and_the_others_stay() {
        let first = show("https://a.example/1.jpg", &[]);
        assert_eq!(first, [("https://a.example/1.jpg".to_owned(), true)]);
        let second = show("https://a.example/2.jpg", &first);
        assert_eq!(
            second,
            [("https://a.example/2.jpg".to_owned(), true), ("https://a.example/1.jpg".to_owned(), false)]
        );
        assert_eq!(show("http://a.example/1.jpg", &second).len(), 2, "the same by another scheme");
        assert_eq!(show("https://a.example/1.jpg", &second)[0], first[0], "back again");
    }

    proptest! {
        #[test]
        fn at_most_one_image_is_shown(
            named in prop::option::of("(https?:)?//[ab]/[0-9]"),
            listed in prop::collection::vec("(https?:)?//[ab]/[0-9]|x", 0..20),
        ) {
            let images = choose(named.as_deref(), Some(&listed));
            let all = images.all.unwrap();
            prop_assert_eq!(all.iter().filter(|(_, shown)| *shown).count(), usize::from(!all.is_empty()));
            let first = all.iter().find(|(_, shown)| *shown).map(|(image, _)| image.clone());
            prop_assert_eq!(first, images.shown);
        }
    }
}
