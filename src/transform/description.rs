//! A description as plain text: no markup of any kind, no spoilers, tidy lines.
//!
//! The stages run in this order because each may uncover what the next removes: HTML tags and entities (`&#91;` is a
//! bracket), invisible characters, BB-code, then white space and a last guard over `<`.

use std::borrow::Cow;

use super::metadata::Description;
use super::text::is_invisible;
use super::{bbcode, html};

/// Real descriptions are below 20 KiB. The rest of a longer one is cut off, so that a hostile one costs little.
const MAX_BYTES: usize = 256 * 1024;

/// The description as plain text; `None` when nothing is left.
pub(super) fn plain(raw: Option<Description<'_>>) -> Option<String> {
    let (Description::BbCode(text) | Description::Html(text)) = raw?;
    let text = &text[..text.floor_char_boundary(MAX_BYTES)];
    // Rendered HTML still holds BB-code for entries that were not found, and BB-code may hold HTML.
    let text = html::to_text(text);
    let text = visible(&text);
    let text = bbcode::to_text(&text);
    let text = tidy(&text);
    (!text.is_empty()).then_some(text)
}

/// One kind of line end, plain spaces, nothing invisible.
fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_odd) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(is_odd) {
        out.push_str(&rest[..at]);
        let mut after = rest[at..].chars();
        match after.next() {
            Some('\r') => {
                out.push('\n');
                rest = after.as_str().strip_prefix('\n').unwrap_or(after.as_str());
                continue;
            }
            Some('\u{2028}' | '\u{2029}') => out.push('\n'),
            Some(space) if space.is_whitespace() => out.push(' '),
            _ => {}
        }
        rest = after.as_str();
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Is it white space other than space and line feed, or does it show nothing at all?
fn is_odd(char: char) -> bool {
    match char {
        // Nearly all of every description.
        ' '..='~' | '\n' | '\u{400}'..='\u{52F}' => false,
        other => other.is_whitespace() || is_invisible(other),
    }
}

/// Lines trimmed and single-spaced, at most one blank line in a row, without Markdown's line marks and empty list
/// items.
fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut blank = false;
    for line in text.lines() {
        let start = out.len();
        let gap = if blank { "\n\n" } else { "\n" };
        push_line(&mut out, unmarked(line), if start == 0 { "" } else { gap });
        match out[start..].trim() {
            "" => blank = true,
            // An empty list item is not even a blank line.
            "-" => out.truncate(start),
            _ => blank = false,
        }
    }
    out
}

/// Without the marks of a Markdown quote or heading.
fn unmarked(line: &str) -> &str {
    let line = line.trim();
    let quoted = line.trim_start_matches("> ");
    let heading = quoted.trim_start_matches('#');
    if heading.len() < quoted.len() && heading.starts_with(' ') { heading } else { quoted }
}

/// Appends the words of a line. A `<` that could open a tag is left out: plain text is shown by somebody's HTML.
/// Removing a whole run of them at once leaves nothing that could open one anew.
fn push_line(out: &mut String, line: &str, gap: &str) {
    let mut separator = gap;
    for word in line.split(' ').filter(|word| !word.is_empty()) {
        out.push_str(separator);
        separator = " ";
        let mut rest = word;
        while let Some(at) = rest.find('<') {
            out.push_str(&rest[..at]);
            let after = rest[at..].trim_start_matches('<');
            if !after.starts_with(|char: char| char.is_ascii_alphabetic() || matches!(char, '/' | '!' | '?')) {
                out.push_str(&rest[at..rest.len() - after.len()]);
            }
            rest = after;
        }
        out.push_str(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::{Description, plain};

    fn bb(text: &str) -> String {
        plain(Some(Description::BbCode(text))).unwrap_or_default()
    }

    fn html(text: &str) -> String {
        plain(Some(Description::Html(text))).unwrap_or_default()
    }

    #[test]
    fn lines_are_tidy() {
        assert_eq!(bb("  Раз\u{A0}\u{A0}два \r\n\r\n\r\n\r\nтри\r"), "Раз два\n\nтри");
        assert_eq!(bb("> цитата\n## Глава\n#тег"), "цитата\nГлава\n#тег");
        assert_eq!(plain(Some(Description::BbCode("[br] \u{200B}"))), None);
        assert_eq!(plain(None), None);
    }

    #[test]
    fn entities_and_tags_are_decoded_before_bbcode() {
        assert_eq!(bb("&#91;b&#93;Том&#91;/b&#93; &amp; Джерри<br>2 < 3, <3"), "Том & Джерри\n2 < 3, <3");
        assert_eq!(bb("игра <Иггдрасиль> и <Elder Online>"), "игра <Иггдрасиль> и Elder Online");
    }

    #[test]
    fn nothing_that_could_open_a_tag_remains() {
        for text in [
            "&lt;script&gt;alert(1)&lt;/script&gt;",
            "&amp;lt;script&amp;gt;",
            "<[b]script>",
            "<<[i]<script src=x>",
            "<scr<script>ipt>",
            "<\u{200B}script>",
            "[<character=1]",
            "[character=1",
            "[cha[b]racter=1]",
            "&#60;!-- x",
        ] {
            let shown = bb(text);
            assert!(!shown.contains("<s") && !shown.contains("<!") && !shown.contains("<c"), "{text} → {shown}");
            assert!(!shown.contains("[character="), "{text} → {shown}");
        }
    }

    #[test]
    fn rendered_html_is_read_as_text() {
        let rendered = "<div class=\"b-text_with_paragraphs\">Герой <a class=\"b-link\" data-attrs=\"{&quot;id&quot;:1}\">\
            <span class=\"name-en\">Taro</span><span class=\"name-ru\">Таро</span></a> &quot;спит&quot;.<br class=\"br\">\
            <span class='b-entry-404'><del>[character=9]Ханако[/character]</del></span>\
            <div class=\"b-spoiler\"><label>спойлер</label><div>умрёт</div></div> Конец.\
            <div class=\"b-source hidden\">сайт</div></div>";
        assert_eq!(html(rendered), "Герой Таро \"спит\".\nХанако\nКонец.");
        assert_eq!(html("<div class=\"b-text_with_paragraphs\"></div>"), "");
    }

    #[test]
    fn hostile_length_is_cut_on_a_character() {
        assert!(bb(&"я".repeat(400_000)).len() <= super::MAX_BYTES);
    }
}
