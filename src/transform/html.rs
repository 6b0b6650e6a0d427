//! HTML to text: tags out, line breaks kept, hidden parts dropped, entities decoded. One pass, linear, no recursion.
//!
//! Not a sanitiser that keeps harmless HTML: nothing is kept. A general one cannot know which of Shikimori's elements
//! are spoilers, which are shown in two languages side by side, and where a line ends.

use std::borrow::Cow;

/// A longer tag is no tag. Shikimori's `data-attrs` are a few hundred bytes.
const MAX_TAG: usize = 4096;

/// The text of an HTML fragment. A text without `<` and `&` is returned as it is.
pub(super) fn to_text(input: &str) -> Cow<'_, str> {
    let stripped = if input.contains('<') { Cow::Owned(strip(input)) } else { Cow::Borrowed(input) };
    if !stripped.contains('&') {
        return stripped;
    }
    let decoded = html_escape::decode_html_entities(&stripped).into_owned();
    // Markup that was escaped once too often is still markup.
    Cow::Owned(if decoded.contains('<') { strip(&decoded) } else { decoded })
}

/// An element whose content is left out until its end tag.
struct Hidden<'a> {
    name: &'a str,
    depth: u32,
}

fn strip(input: &str) -> String {
    let both_languages = input.contains("name-ru");
    let mut out = String::with_capacity(input.len());
    let mut hidden: Option<Hidden<'_>> = None;
    let mut rest = input;
    while let Some(at) = rest.find('<') {
        if hidden.is_none() {
            out.push_str(&rest[..at]);
        }
        rest = &rest[at..];
        if rest.starts_with("<!--") {
            rest = rest.find("-->").map_or("", |end| &rest[end + 3..]);
            continue;
        }
        let Some(tag) = Tag::parse(rest) else {
            if hidden.is_none() {
                out.push('<');
            }
            rest = &rest[1..];
            continue;
        };
        rest = &rest[tag.len..];
        match &mut hidden {
            Some(element) if element.name.eq_ignore_ascii_case(tag.name) => {
                element.depth = if tag.closing { element.depth - 1 } else { element.depth + 1 };
                if element.depth == 0 {
                    hidden = None;
                }
            }
            Some(_) => {}
            None if tag.hides(both_languages) => {
                hidden = Some(Hidden { name: tag.name, depth: 1 });
                // What stands before and after a hidden block is still on two lines.
                out.push_str(tag.shown_if_block());
            }
            None => out.push_str(tag.shown()),
        }
    }
    if hidden.is_none() {
        out.push_str(rest);
    }
    out
}

/// One tag, `<name attributes>` or `</name>`.
struct Tag<'a> {
    name: &'a str,
    attributes: &'a str,
    /// Everything between the brackets.
    inner: &'a str,
    closing: bool,
    len: usize,
}

impl<'a> Tag<'a> {
    /// The tag at the start of `text`.
    fn parse(text: &'a str) -> Option<Self> {
        let window = &text[..text.floor_char_boundary(MAX_TAG)];
        let closing = window[1..].starts_with('/');
        let start = if closing { 2 } else { 1 };
        let name_len = window[start..].bytes().take_while(u8::is_ascii_alphanumeric).count();
        let name = &window[start..start + name_len];
        if !name.starts_with(|char: char| char.is_ascii_alphabetic()) {
            return None;
        }
        let after_name = start + name_len;
        let mut quote = None;
        for (offset, byte) in window[after_name..].bytes().enumerate() {
            match (byte, quote) {
                (b'>', None) => {
                    let end = after_name + offset;
                    let (attributes, inner) = (&window[after_name..end], &window[1..end]);
                    return Some(Self { name, attributes, inner, closing, len: end + 1 });
                }
                (b'<', None) => return None,
                (b'"' | b'\'', None) => quote = Some(byte),
                (_, Some(open)) if open == byte => quote = None,
                _ => {}
            }
        }
        None
    }

    /// Is everything up to the end tag to be left out?
    fn hides(&self, both_languages: bool) -> bool {
        let lower = self.name.to_ascii_lowercase();
        if self.closing || VOID.contains(&lower.as_str()) {
            return false;
        }
        // Foreign code, and what is not text.
        if matches!(lower.as_str(), "script" | "style" | "iframe" | "object" | "template" | "svg" | "math" | "select") {
            return true;
        }
        self.classes().is_some_and(|classes| {
            classes.split_ascii_whitespace().any(|class| {
                // The Russian name stands right beside the English one; one of the two is enough.
                class.starts_with("b-spoiler") || class == "b-source" || (class == "name-en" && both_languages)
            })
        })
    }

    fn classes(&self) -> Option<&'a str> {
        let (_, value) = self.attributes.split_once("class=")?;
        let quote = value.chars().next().filter(|char| matches!(char, '"' | '\''));
        match quote {
            Some(quote) => value[1..].split(quote).next(),
            None => value.split_ascii_whitespace().next(),
        }
    }

    fn shown_if_block(&self) -> &'static str {
        if BLOCKS.contains(&self.name.to_ascii_lowercase().as_str()) { "\n" } else { "" }
    }

    /// What stands for the tag in the text.
    fn shown(&self) -> &'a str {
        let lower = self.name.to_ascii_lowercase();
        match lower.as_str() {
            "li" if self.closing => "",
            "li" => "\n- ",
            name if BLOCKS.contains(&name) => "\n",
            name if INLINE.contains(&name) || self.closing || self.attributes.contains('=') => "",
            // `<Elder Online>` is a name in a story, not a tag; without the brackets it reads as well.
            _ => self.inner,
        }
    }
}

const VOID: [&str; 8] = ["br", "hr", "img", "input", "meta", "link", "source", "wbr"];

const BLOCKS: [&str; 25] = [
    "br",
    "hr",
    "p",
    "div",
    "ul",
    "ol",
    "li",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "blockquote",
    "table",
    "tr",
    "section",
    "article",
    "header",
    "footer",
    "center",
    "pre",
    "dl",
    "dt",
    "dd",
];

const INLINE: [&str; 44] = [
    "a",
    "abbr",
    "address",
    "audio",
    "b",
    "big",
    "body",
    "button",
    "cite",
    "code",
    "del",
    "details",
    "em",
    "embed",
    "figcaption",
    "figure",
    "font",
    "form",
    "head",
    "html",
    "i",
    "img",
    "input",
    "ins",
    "kbd",
    "label",
    "link",
    "mark",
    "meta",
    "nobr",
    "q",
    "s",
    "small",
    "source",
    "span",
    "strike",
    "strong",
    "sub",
    "summary",
    "sup",
    "td",
    "th",
    "u",
    "video",
];
