//! Names: one form for each, every other name once, the language it is in, and the slug: the short ASCII name of a
//! series in addresses.

use std::collections::HashSet;

/// Longer slugs are cut at a word.
const MAX_LENGTH: usize = 80;

/// More names of one entity are a mistake.
const MOST: usize = 100;

/// The script that most of a name is in, which is as near to its language as a name alone tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    /// Romaji or English.
    Latin,
    /// Russian and its neighbours.
    Cyrillic,
    /// Kana or kanji.
    Japanese,
    /// Korean.
    Korean,
    /// Anything else, and names without a letter.
    Other,
}

/// In which script most letters of a name are.
pub fn language(name: &str) -> Language {
    let mut counts = [0_usize; 4];
    for c in name.chars() {
        let at = match c {
            'A'..='Z' | 'a'..='z' | '\u{C0}'..='\u{24F}' => 0,
            '\u{400}'..='\u{52F}' => 1,
            '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' => 2,
            '\u{1100}'..='\u{11FF}' | '\u{AC00}'..='\u{D7AF}' => 3,
            _ => continue,
        };
        counts[at] += 1;
    }
    let most = counts.iter().copied().max().filter(|most| *most > 0);
    match counts.iter().position(|count| Some(*count) == most) {
        Some(0) => Language::Latin,
        Some(1) => Language::Cyrillic,
        Some(2) => Language::Japanese,
        Some(3) => Language::Korean,
        _ => Language::Other,
    }
}

/// The name on one line: no control characters, single spaces; `None` when nothing is left.
pub fn normal(name: &str) -> Option<String> {
    let mut normal = String::with_capacity(name.len());
    for word in name.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !normal.is_empty() {
            normal.push(' ');
        }
        normal.push_str(word);
    }
    (!normal.is_empty()).then_some(normal)
}

/// Other names in their order, each once and none the title; letter case makes no other name.
pub fn alternatives(title: &str, names: &[String]) -> Vec<String> {
    let mut seen = HashSet::from([title.to_lowercase()]);
    names.iter().filter_map(|name| normal(name)).filter(|name| seen.insert(name.to_lowercase())).take(MOST).collect()
}

/// Names that are a list of their own (genres, studios): each once.
pub fn distinct(names: &[String]) -> Vec<String> {
    alternatives("", names)
}

/// The Russian name among a person's names: what is given, else a name that is in Cyrillic.
pub fn russian(given: Option<&str>, name: &str) -> Option<String> {
    given.and_then(normal).or_else(|| normal(name).filter(|name| language(name) == Language::Cyrillic))
}

/// The slug a series would like to have: from the ASCII part of its title, else from the title transliterated, else
/// from the first other name that gives one, else from its id, which is the source's. Never empty.
pub fn slug_of(title: &str, alternatives: &[String], id: &str) -> String {
    std::iter::once(title)
        .chain(alternatives.iter().map(String::as_str))
        .flat_map(|name| [ascii_slug(name), ascii_slug(&transliterate(name))])
        .find(|slug| !slug.is_empty())
        .unwrap_or_else(|| match ascii_slug(id) {
            id if id.is_empty() => "series".to_owned(),
            id => format!("series-{id}"),
        })
}

/// Letters and digits in lower case, everything else as single dashes between them.
fn ascii_slug(name: &str) -> String {
    let mut slug = String::with_capacity(name.len().min(MAX_LENGTH));
    let mut letters = 0;
    for c in name.chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
            letters += usize::from(c.is_ascii_alphabetic());
        } else if !matches!(c, '\'' | '’' | '`') && !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    // A Cyrillic title with a "2" in it is no ASCII title.
    if letters == 0 && name.chars().any(|c| c.is_alphabetic() && !c.is_ascii()) {
        return String::new();
    }
    if slug.len() > MAX_LENGTH {
        slug.truncate(MAX_LENGTH);
        if let Some(end) = slug.rfind('-').filter(|end| *end > MAX_LENGTH / 2) {
            slug.truncate(end);
        }
    }
    slug.truncate(slug.trim_end_matches('-').len());
    slug
}

/// Cyrillic by the table of Russian passports; other letters stay as they are.
fn transliterate(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for c in name.chars().flat_map(char::to_lowercase) {
        match letter(c) {
            Some(latin) => text.push_str(latin),
            None => text.push(c),
        }
    }
    text
}

fn letter(c: char) -> Option<&'static str> {
    Some(match c {
        'а' => "a",
        'б' => "b",
        'в' => "v",
        'г' | 'ґ' => "g",
        'д' => "d",
        'е' | 'ё' | 'э' | 'є' => "e",
        'ж' => "zh",
        'з' => "z",
        'и' | 'і' | 'й' => "i",
        'ї' => "yi",
        'к' => "k",
        'л' => "l",
        'м' => "m",
        'н' => "n",
        'о' => "o",
        'п' => "p",
        'р' => "r",
        'с' => "s",
        'т' => "t",
        'у' | 'ў' => "u",
        'ф' => "f",
        'х' => "kh",
        'ц' => "ts",
        'ч' => "ch",
        'ш' => "sh",
        'щ' => "shch",
        'ы' => "y",
        'ю' => "iu",
        'я' => "ia",
        'ъ' | 'ь' => "",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Language, alternatives, language, normal, russian, slug_of};

    fn named(title: &str, others: &[&str]) -> String {
        let others: Vec<String> = others.iter().map(|&name| name.to_owned()).collect();
        slug_of(title, &others, "5114")
    }

    #[test]
    fn slugs_are_ascii_and_never_empty() {
        assert_eq!(named("Kaze no Tani: Part 2!", &[]), "kaze-no-tani-part-2");
        assert_eq!(named("Don't Stop", &[]), "dont-stop");
        assert_eq!(named("Щит и Меч 2", &[]), "shchit-i-mech-2");
        assert_eq!(named("風の谷", &["Ветер"]), "veter");
        assert_eq!(named("風の谷", &[]), "series-5114");
        assert_eq!(named("86", &[]), "86");
        assert_eq!(named("!!!", &[]), "series-5114");
        assert!(named(&"long ".repeat(60), &[]).len() <= 80);
        assert_eq!(slug_of("風", &[], "tt/0042"), "series-tt-0042");
        assert_eq!(slug_of("風", &[], "風"), "series");
    }

    #[test]
    fn a_name_tells_its_language() {
        assert_eq!(language("Shizuka na Ie 2"), Language::Latin);
        assert_eq!(language("Тихий дом (TV)"), Language::Cyrillic);
        assert_eq!(language("静かな家 TV"), Language::Japanese);
        assert_eq!(language("조용한 집"), Language::Korean);
        assert_eq!(language("86"), Language::Other);
        assert_eq!(russian(None, "Аой Мори").as_deref(), Some("Аой Мори"));
        assert_eq!(russian(None, "Aoi Mori"), None);
        assert_eq!(russian(Some(" Аой "), "Aoi").as_deref(), Some("Аой"));
    }

    #[test]
    fn other_names_come_once_and_are_not_the_title() {
        let names: Vec<String> = ["B", " b ", "A", "C\n D", "", "\u{7}"].map(str::to_owned).into();
        assert_eq!(alternatives("a", &names), ["B", "C D"]);
    }

    proptest! {
        #[test]
        fn every_title_has_a_slug_that_fits_into_an_address(title in ".{0,120}", id in ".{0,20}") {
            let slug = slug_of(&title, &[], &id);
            prop_assert!(!slug.is_empty() && slug.len() <= 80 + "series-".len());
            prop_assert!(slug.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'));
            prop_assert!(!slug.starts_with('-') && !slug.ends_with('-') && !slug.contains("--"));
        }

        #[test]
        fn a_normal_name_stays_as_it_is(name in ".{0,40}") {
            let once = normal(&name);
            prop_assert_eq!(once.as_deref().and_then(normal), once.clone());
        }
    }
}
