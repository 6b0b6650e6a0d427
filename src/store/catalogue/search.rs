//! Search by name: every word of the question must occur in the names (title and alternatives) or in the slug.
//!
//! The engines do not agree on what the lower case of a letter is, SQLite knows only ASCII's. So names are folded here,
//! when they are written, and the engines compare what is folded already.

use std::fmt::Write as _;

use super::codec;
use crate::store::sql::{Row, Session, SqlError, Value, values};

/// More words do not make a question clearer.
const WORDS: usize = 8;

/// A longer question is cut.
const LONGEST: usize = 200;

/// A series in the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its name in addresses.
    pub slug: String,
    /// Title.
    pub title: String,
    /// Other names.
    pub alternative_titles: Vec<String>,
    /// Year.
    pub year: Option<i64>,
    /// The contract's word.
    pub status: Option<String>,
    /// `kodik-shikimori`.
    pub source_name: String,
    /// The source's id.
    pub source_id: String,
    /// Shown to readers?
    pub is_active: bool,
    /// Changed last.
    pub updated_at: jiff::Timestamp,
}

/// One page of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundPage {
    /// On all pages.
    pub total: u64,
    /// On this one.
    pub series: Vec<Found>,
}

/// What is searched of a series.
pub(super) fn text_of(title: &str, alternatives: &[String]) -> String {
    let mut text = fold(title);
    for name in alternatives {
        text.push('\n');
        text.push_str(&fold(name));
    }
    text
}

/// Lower case, `ё` as `е`, words apart by one space; punctuation is a space too, unless there is nothing else.
fn fold(name: &str) -> String {
    let mut folded = String::with_capacity(name.len());
    for c in name.chars().flat_map(char::to_lowercase) {
        match c {
            'ё' => folded.push('е'),
            // Marks that stand apart from their letter, and the letter that has its mark with it.
            '\u{300}'..='\u{36f}' => {}
            'й' => folded.push('и'),
            c if c.is_alphanumeric() => folded.push(c),
            _ if folded.is_empty() || folded.ends_with(' ') => {}
            _ => folded.push(' '),
        }
    }
    folded.truncate(folded.trim_end().len());
    if folded.is_empty() { name.trim().to_lowercase() } else { folded }
}

/// A page of the series that a question finds, names that begin with it first. An empty question finds all.
pub fn search(session: &Session<'_>, question: &str, limit: u32, skip: u32) -> Result<FoundPage, SqlError> {
    let question: String = question.chars().filter(|c| *c != '\0').take(LONGEST).collect();
    let whole = fold(&question);
    let patterns: Vec<String> = whole.split(' ').filter(|word| !word.is_empty()).take(WORDS).map(anywhere).collect();
    let id = question.trim();
    // ?1 is the id, then the words, then what only the page needs.
    let mut condition = String::from("TRUE");
    for at in 2..patterns.len() + 2 {
        let _ = write!(condition, " AND (r.search_text LIKE ?{at} ESCAPE '\\' OR r.slug LIKE ?{at} ESCAPE '\\')");
    }
    let condition = format!("(({condition}) OR r.source_id = ?1)");
    let mut all: Vec<Value<'_>> = vec![Value::from(id)];
    all.extend(patterns.iter().map(Value::from));
    let total = session.one(&format!("SELECT count(*) FROM series r WHERE {condition}"), &all, |row| row.get(0))?;
    let begins = format!("{}%", escaped(&whole));
    all.extend([Value::from(&begins), Value::from(limit), Value::from(skip)]);
    let (begins_at, limit_at, skip_at) = (all.len() - 2, all.len() - 1, all.len());
    let series = session.query(
        &format!(
            "SELECT r.slug, r.title, r.alternative_titles, r.year, r.status, s.name, r.source_id, r.is_active, \
             r.updated_at FROM series r JOIN source s ON s.id = r.source WHERE {condition} \
             ORDER BY coalesce(r.search_text, '') NOT LIKE ?{begins_at} ESCAPE '\\', r.title, r.slug \
             LIMIT ?{limit_at} OFFSET ?{skip_at}"
        ),
        &all,
        found,
    )?;
    Ok(FoundPage { total, series })
}

fn found(row: &Row<'_>) -> Result<Found, SqlError> {
    Ok(Found {
        slug: row.get(0)?,
        title: row.get(1)?,
        alternative_titles: codec::parse_list(row.text(2)?)?,
        year: row.get(3)?,
        status: row.get(4)?,
        source_name: row.get(5)?,
        source_id: row.get(6)?,
        is_active: row.get(7)?,
        updated_at: codec::parse_millis(row.get(8)?)?,
    })
}

fn anywhere(word: &str) -> String {
    format!("%{}%", escaped(word))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// Are there rows without their searched text?
pub fn lacks(session: &Session<'_>) -> Result<bool, SqlError> {
    session.exists("SELECT 1 FROM series WHERE search_text IS NULL LIMIT 1", &[])
}

/// Makes the searched text of up to `limit` rows that have none yet; how many there were.
pub fn fill(session: &Session<'_>, limit: u32) -> Result<u64, SqlError> {
    let rows = session.query(
        "SELECT id, title, alternative_titles FROM series WHERE search_text IS NULL ORDER BY id LIMIT ?1",
        values![limit],
        |row| Ok((row.get::<i64>(0)?, text_of(row.text(1)?, &codec::parse_list(row.text(2)?)?))),
    )?;
    for (row, text) in &rows {
        session
            .execute("UPDATE series SET search_text = ?2 WHERE id = ?1 AND search_text IS NULL", values![*row, text])?;
    }
    Ok(rows.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::{escaped, fold, text_of};

    #[test]
    fn names_are_folded_alike_in_every_alphabet() {
        assert_eq!(fold("  Steins;Gate: 0 "), "steins gate 0");
        assert_eq!(fold("ЁЖИК в Тумане"), "ежик в тумане");
        assert_eq!(fold("Йога"), fold("Йога"));
        assert_eq!(fold("Ōkami"), "ōkami");
        assert_eq!(fold("風の谷"), "風の谷");
        assert_eq!(fold("!!!"), "!!!");
        assert_eq!(fold(""), "");
        assert_eq!(text_of("Один", &["ONE".to_owned()]), "один\none");
        assert_eq!(escaped("50%_\\"), "50\\%\\_\\\\");
    }
}
