//! Texts that come from a service and end up in an error or a log: short, on one line, without URLs or secrets.

/// A service's own error text, as it may be shown.
pub(super) const MESSAGE_MAX: usize = 200;

/// The beginning of a body that is not what it should be, as it may be shown.
pub(super) const EXCERPT_MAX: usize = 80;

/// One printable line of at most `max` characters. Words that hold a URL, a token parameter or something that
/// looks like a key (20 letters and digits in a row) become `…`, because error pages like to echo the request.
pub(super) fn clean(text: &str, max: usize) -> String {
    let mut line = String::new();
    let mut length = 0;
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        let word = if is_sensitive(word) { "…" } else { word };
        if length > 0 {
            line.push(' ');
            length += 1;
        }
        for character in word.chars() {
            if length == max {
                line.push('…');
                return line;
            }
            line.push(character);
            length += 1;
        }
    }
    line
}

/// A field name or an id: printable and short, nothing masked.
pub(super) fn printable(text: &str, max: usize) -> String {
    text.chars().filter(|character| !character.is_control()).take(max).collect()
}

/// `clean` for bytes of unknown encoding: looks at the beginning only.
pub(super) fn excerpt(body: &[u8]) -> String {
    const ENOUGH: usize = 1_024;
    let start = body.get(..body.len().min(ENOUGH)).unwrap_or_default();
    // The cut may have gone through a URL: its last word is dropped unless the body ends there.
    let text = String::from_utf8_lossy(start);
    let whole =
        if body.len() > ENOUGH { text.rsplit_once(char::is_whitespace).map_or("", |(head, _)| head) } else { &text };
    clean(whole, EXCERPT_MAX)
}

fn is_sensitive(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    if lower.contains("://") || lower.contains("token=") || lower.contains("next=") {
        return true;
    }
    let mut run = 0_u32;
    word.bytes().any(|byte| {
        run = if byte.is_ascii_alphanumeric() { run + 1 } else { 0 };
        run >= 20
    })
}

/// Does the body begin and end like JSON? A cheap look that tells an error page or a cut answer from data.
pub(super) fn looks_like_json(body: &[u8]) -> bool {
    let body = body.trim_ascii();
    matches!((body.first(), body.last()), (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']')))
}

/// JSON whose texts can be read: what is not UTF-8, and escaped halves of surrogate pairs, become U+FFFD.
/// `None` if there is nothing of that kind to mend.
pub(super) fn repaired(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let mut mended = matches!(text, std::borrow::Cow::Owned(_));
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_ref();
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let length = match (surrogate(escape), surrogate(escape.get(6..).unwrap_or_default())) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
            (Some(_), _) => {
                mended = true;
                out.push('\u{fffd}');
                rest = escape.get(6..).unwrap_or_default();
                continue;
            }
            // The character after the backslash belongs to it, so that `\\\\ud800` is text.
            (None, _) => 1 + escape.chars().nth(1).map_or(0, char::len_utf8),
        };
        let (escape, after) = escape.split_at(length);
        out.push_str(escape);
        rest = after;
    }
    out.push_str(rest);
    mended.then_some(out)
}

/// The value of a `\\uXXXX` at the start, if it is half of a surrogate pair.
fn surrogate(escape: &str) -> Option<u32> {
    let digits = escape.strip_prefix("\\u")?.get(..4)?;
    u32::from_str_radix(digits, 16).ok().filter(|value| (0xD800..=0xDFFF).contains(value))
}

/// Does it begin like a JSON object?
pub(super) fn is_object(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first() == Some(&b'{')
}

/// What is wrong with a body that does not look like JSON.
pub(super) fn not_json(body: &[u8]) -> String {
    match body.trim_ascii() {
        [] => "empty body".to_owned(),
        [b'{' | b'[', ..] => "cut JSON".to_owned(),
        other => format!("not JSON: `{}`", excerpt(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::{EXCERPT_MAX, clean, excerpt, looks_like_json, not_json, repaired};

    #[test]
    fn one_line_without_control_characters_and_bounded() {
        assert_eq!(clean("bad\r\n\u{1b}[31m  thing", 200), "bad [31m thing");
        assert_eq!(clean("ошибка", 3), "оши…");
    }

    #[test]
    fn urls_tokens_and_keys_are_masked() {
        let text = "see https://x.test/list?token=abc and token=abc or 0123456789abcdef0123456789abcdef now";
        assert_eq!(clean(text, 200), "see … and … or … now");
        assert_eq!(clean("<a href=\"https://x.test/?token=marker\">here</a>", 200), "<a …");
    }

    #[test]
    fn an_excerpt_never_ends_inside_a_url() {
        let body = format!("{} https://x.test/?token=marker", "word ".repeat(203));
        let shown = excerpt(body.as_bytes());
        assert!(shown.chars().count() <= EXCERPT_MAX + 1, "{shown}");
        let body = format!("{}https://x.test/?token=marker", " ".repeat(1_015));
        assert_eq!(excerpt(body.as_bytes()), "");
    }

    #[test]
    fn json_is_told_from_pages_and_cut_answers() {
        assert!(looks_like_json(b" {\"a\":1}\n"));
        assert!(looks_like_json(b"[]"));
        assert!(!looks_like_json(b"{\"a\":"));
        assert!(!looks_like_json(b""));
        assert_eq!(not_json(b"{\"a\":"), "cut JSON");
        assert_eq!(not_json(b"<html>Checking</html>"), "not JSON: `<html>Checking</html>`");
    }
    #[test]
    fn whole_surrogate_pairs_and_escaped_backslashes_stay() {
        let fine = r#"{"a":"\ud83d\ude00 \\ud800 \n"}"#;
        assert_eq!(repaired(fine.as_bytes()), None);
        assert_eq!(repaired(br#""\ud83d\ud83d\ude00\udc00""#).as_deref(), Some("\"\u{fffd}\\ud83d\\ude00\u{fffd}\""));
        assert_eq!(repaired(b"\"\\"), None);
    }
}
