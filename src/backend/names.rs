//! Slugs: the short ASCII name of a series in addresses.

use crate::model::Series;

/// Longer slugs are cut at a word.
const MAX_LENGTH: usize = 80;

/// The slug a series would like to have: from the ASCII part of its title, else from the title transliterated, else
/// from the first other name that gives one, else from its id. Never empty.
pub fn slug(series: &Series) -> String {
    slug_of(&series.title, &series.alternative_titles, &series.id.to_string())
}

/// The same from the parts; `id` is the source's.
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
    use super::{slug, slug_of};
    use crate::model::{Series, SeriesId, Signals};

    fn named(title: &str, others: &[&str]) -> String {
        slug(&Series {
            id: SeriesId(5114),
            title: title.to_owned(),
            alternative_titles: others.iter().map(|&name| name.to_owned()).collect(),
            description: None,
            year: None,
            status: None,
            poster: None,
            genres: Vec::new(),
            signals: Signals::default(),
        })
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
}
