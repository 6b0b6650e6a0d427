//! Shikimori's BB-code to text: tags out, what they enclose kept, spoilers and media dropped.
//!
//! A description must not spoil, so the content of `[spoiler…]` and `||…||` is left out, and an unclosed spoiler hides
//! the rest of the text. One pass over the input, no recursion, linear time. Every `[` in the result belongs to a
//! complete pair of brackets that is no tag (`[Some Title]`, `[1]`); all other brackets are left out, so that removing
//! one tag can never assemble another.

/// A longer pair of brackets is no tag.
const MAX_TAG: usize = 512;

/// The text without BB-code.
pub(super) fn to_text(text: &str) -> String {
    let mut scanner =
        Scanner { text, at: 0, out: String::with_capacity(text.len()), hiding: Hiding::Nothing, no_pair_before: 0 };
    scanner.run();
    scanner.out
}

/// What is being left out at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hiding {
    Nothing,
    /// Inside so many spoilers.
    Spoiler(u32),
    /// Until the end tag of this element.
    Media(&'static str),
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    out: String,
    hiding: Hiding,
    /// No `||` before this position has a partner: remembered, so that no line is searched twice.
    no_pair_before: usize,
}

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn emit(&mut self, text: &str) {
        if self.hiding == Hiding::Nothing {
            self.out.push_str(text);
        }
    }

    fn run(&mut self) {
        // Bytes, not characters: the three are ASCII, and most of the text is not.
        while let Some(offset) = self.rest().bytes().position(|byte| matches!(byte, b'[' | b']' | b'|')) {
            self.emit(&self.rest()[..offset]);
            self.at += offset;
            match self.text.as_bytes()[self.at] {
                b'[' => self.bracket(),
                b'|' => self.bar(),
                _ => self.at += 1,
            }
        }
        self.emit(self.rest());
    }

    /// `||hidden||` on one line.
    fn bar(&mut self) {
        let rest = self.rest();
        if !rest.starts_with("||") || self.hiding != Hiding::Nothing {
            self.emit("|");
            self.at += 1;
            return;
        }
        if self.at >= self.no_pair_before {
            let mut search = 2;
            while let Some(offset) = rest[search..].find(['|', '\n']) {
                search += offset;
                if rest[search..].starts_with("||") {
                    self.at += search + 2;
                    return;
                }
                if rest[search..].starts_with('\n') {
                    break;
                }
                search += 1;
            }
            self.no_pair_before = self.at + search;
        }
        self.emit("||");
        self.at += 2;
    }

    /// At a `[`.
    fn bracket(&mut self) {
        let rest = self.rest();
        let window = &rest[..rest.floor_char_boundary(MAX_TAG)];
        if let Some(name) = wiki_link(window) {
            self.emit(name.rsplit('|').next().unwrap_or(name).trim());
            self.at += name.len() + 4;
            return;
        }
        let inner = &window[1..];
        match inner.find(['[', ']', '\n']) {
            Some(end) if inner[end..].starts_with(']') => {
                self.at += end + 2;
                self.tag(&inner[..end]);
            }
            // Never closed: the bracket goes, the text stays.
            _ => self.at += 1,
        }
    }

    /// A complete pair of brackets; the position is behind it.
    fn tag(&mut self, content: &'a str) {
        let (closing, body) = content.strip_prefix('/').map_or((false, content), |body| (true, body));
        let name_len =
            body.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'*')).count();
        let (name, arguments) = body.split_at(name_len);
        let tag = Kind::of(&name.to_ascii_lowercase()).filter(|kind| kind.takes(arguments));

        if let Hiding::Media(until) = self.hiding {
            if closing && name.eq_ignore_ascii_case(until) {
                self.hiding = Hiding::Nothing;
            }
            return;
        }
        match tag {
            Some(Kind::Spoiler) => self.spoiler(closing),
            Some(Kind::Format | Kind::Alone) => {}
            Some(Kind::Block) => self.emit("\n"),
            Some(Kind::Item) => self.emit(if closing { "" } else { "\n- " }),
            Some(Kind::Media(element)) => self.media(element, closing),
            Some(Kind::Entity) if closing => {}
            Some(Kind::Entity) => self.entity(name, arguments),
            None => self.literal(content, closing, name, arguments),
        }
    }

    fn spoiler(&mut self, closing: bool) {
        let depth = if let Hiding::Spoiler(depth) = self.hiding { depth } else { 0 };
        let depth = if closing { depth.saturating_sub(1) } else { depth.saturating_add(1) };
        self.hiding = if depth == 0 { Hiding::Nothing } else { Hiding::Spoiler(depth) };
    }

    /// `[img]…[/img]`. Without an end tag there is no content to leave out.
    fn media(&mut self, element: &'static str, closing: bool) {
        if closing || self.hiding != Hiding::Nothing {
            return;
        }
        let rest = self.rest();
        // Looking a bounded way ahead keeps the scan linear; addresses are short.
        let ahead = &rest[..rest.floor_char_boundary(4 * MAX_TAG)];
        let is_end = |at: usize| {
            let name = &ahead.as_bytes()[at + 2..];
            name.len() > element.len()
                && name[..element.len()].eq_ignore_ascii_case(element.as_bytes())
                && name[element.len()] == b']'
        };
        if ahead.match_indices("[/").any(|(at, _)| is_end(at)) {
            self.hiding = Hiding::Media(element);
        }
    }

    /// `[anime=1]Text[/anime]` keeps its text, `[anime]1[/anime]` loses its number, `[anime=1 Text]` alone gives its
    /// trailing words.
    fn entity(&mut self, name: &str, arguments: &str) {
        let rest = self.rest();
        let Some(arguments) = arguments.strip_prefix('=') else {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            if rest[digits..].starts_with("[/") {
                self.at += digits;
            }
            return;
        };
        if !arguments.contains(char::is_alphabetic) || is_enclosing(rest, name) {
            return;
        }
        let mut words = arguments.split_whitespace().skip(1).filter(|word| !word.starts_with("fallback=")).peekable();
        if words.peek().is_none() {
            // `[person=1 fallback=Name]` shows the fallback where the person is not known, as here.
            let fallback = arguments.split_whitespace().find_map(|word| word.strip_prefix("fallback="));
            self.emit(fallback.unwrap_or_default());
            return;
        }
        for (index, word) in words.enumerate() {
            if index > 0 {
                self.emit(" ");
            }
            self.emit(word);
        }
    }

    /// Brackets that are no known tag. A title or a footnote stays as written.
    fn literal(&mut self, content: &str, closing: bool, name: &str, arguments: &str) {
        let looks_like_tag = !name.is_empty() && (closing || arguments.starts_with('='));
        if looks_like_tag {
            return;
        }
        // With these inside, the brackets could still become a tag when the text is tidied.
        if content.contains(['=', '<', '|']) || closing {
            self.emit(content);
            return;
        }
        self.emit("[");
        self.emit(content);
        self.emit("]");
    }
}

/// `[[name]]` or `[[transcription|name]]`: what is between the brackets.
fn wiki_link(window: &str) -> Option<&str> {
    let inner = window.strip_prefix("[[")?;
    let end = inner.find(['[', ']', '\n'])?;
    (end > 0 && inner[end..].starts_with("]]")).then_some(&inner[..end])
}

/// Does the next tag end the element?
fn is_enclosing(rest: &str, name: &str) -> bool {
    let ahead = &rest[..rest.floor_char_boundary(MAX_TAG)];
    let next = ahead.find('[').and_then(|at| ahead[at..].strip_prefix("[/"));
    next.and_then(|end| end.get(..name.len())).is_some_and(|end| end.eq_ignore_ascii_case(name))
}

/// What a tag means for plain text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Something with a page of its own.
    Entity,
    /// Changes only the looks.
    Format,
    /// Begins and ends on a line of its own.
    Block,
    /// A list item.
    Item,
    /// Left out with its content.
    Media(&'static str),
    /// Has no content.
    Alone,
    Spoiler,
}

impl Kind {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "anime" | "manga" | "ranobe" | "character" | "person" | "user" | "comment" | "topic" | "message"
            | "club" | "club_page" | "collection" | "article" | "contest" | "version" | "critique" | "review"
            | "ban" | "mention" | "entry" | "profile" | "news" | "studio" => Self::Entity,
            "b" | "i" | "u" | "s" | "size" | "color" | "span" | "solid" | "url" | "code" | "font" | "small"
            | "strong" | "em" | "del" => Self::Format,
            "br" | "hr" | "p" | "div" | "center" | "right" | "left" | "list" | "ul" | "ol" | "quote" | "h1" | "h2"
            | "h3" | "h4" | "h5" | "h6" | "pre" => Self::Block,
            "*" | "li" => Self::Item,
            "img" => Self::Media("img"),
            "video" => Self::Media("video"),
            "html5_video" => Self::Media("html5_video"),
            "source" => Self::Media("source"),
            "wall" => Self::Media("wall"),
            "youtube" => Self::Media("youtube"),
            "image" | "poster" | "anime_poster" | "manga_poster" | "ranobe_poster" | "character_poster"
            | "person_poster" | "animes" | "mangas" | "ranobes" | "characters" | "people" | "replies" | "poll"
            | "broadcast" | "contest_round" | "contest_match" | "contest_status" | "hentai" | "main_page" => {
                Self::Alone
            }
            "spoiler" | "spoiler_block" | "spoiler_v1" => Self::Spoiler,
            _ => return None,
        })
    }

    /// `[Character song]` names a piece of music; `[character=1]` is a tag.
    fn takes(self, arguments: &str) -> bool {
        match self {
            Self::Entity | Self::Alone | Self::Media(_) => {
                arguments.is_empty() || arguments.starts_with('=') || arguments.contains('=')
            }
            Self::Format | Self::Block | Self::Item | Self::Spoiler => {
                arguments.is_empty() || arguments.starts_with(['=', ' '])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::to_text;

    #[test]
    fn tags_give_the_text_they_enclose() {
        let cases = [
            ("[character=1]Таро[/character] и [i]кот[/i]", "Таро и кот"),
            ("Встреча с [character=40].", "Встреча с ."),
            ("[anime]1[/anime]Дом", "Дом"),
            ("[anime=1 fallback=x Тихий Дом]!", "Тихий Дом!"),
            ("[person=8001 fallback=Орихара], хвост", "Орихара, хвост"),
            ("[anime=1 Quiet]Тихий[/anime]", "Тихий"),
            ("[[Taro|Таро]] и [[Ханако]]", "Таро и Ханако"),
            ("[url=https://x.example]сайт[/url]", "сайт"),
            ("[mention=5]nick[/mention], [user=3 Nick]", "nick, Nick"),
            ("[list][*]раз[*]два[/list]", "\n\n- раз\n- два\n"),
            ("[quote=c1;2;Автор]слова[/quote]", "\nслова\n"),
            ("см. [Some Title] и [1]", "см. [Some Title] и [1]"),
            ("[Character song] звучит", "[Character song] звучит"),
            ("[unknown=5]x[/unknown]", "x"),
            ("[B]Крик[/B] [size=20]и шёпот[/size]", "Крик и шёпот"),
            ("[прим.: см. [i]тут[/i]]", "прим.: см. тут"),
            ("a]b[c", "abc"),
            ("один | два || три", "один | два || три"),
        ];
        for (raw, expected) in cases {
            assert_eq!(to_text(raw), expected, "{raw}");
        }
    }

    #[test]
    fn spoilers_and_media_vanish_with_their_content() {
        let cases = [
            ("до [spoiler=Финал]умрёт [spoiler]дважды[/spoiler] точно[/spoiler] после", "до  после"),
            ("до ||умрёт|| после", "до  после"),
            ("до [spoiler_block=x]a[/spoiler_block][spoiler_v1]b[/spoiler_v1] после", "до  после"),
            ("до [spoiler]всё остальное", "до "),
            ("[img]https://x.example/1.png[/img][poster=1][image=5 w=10]x", "x"),
            ("[IMG]https://x.example/1.png[/Img]x", "x"),
            ("[img]без конца", "без конца"),
            ("[source]https://x.example[/source]", ""),
            ("[/spoiler]x", "x"),
        ];
        for (raw, expected) in cases {
            assert_eq!(to_text(raw), expected, "{raw}");
        }
    }

    #[test]
    fn removing_a_tag_never_assembles_another() {
        for raw in ["[cha[b]racter=1]", "[[b]b]x", "[[[character=1]]", "[anime_[poster=5]poster=5]", "[b\u{0}]"] {
            let text = to_text(raw);
            assert!(
                !text.contains("[character=") && !text.contains("[b]") && !text.contains("poster=5]"),
                "{raw} → {text}"
            );
        }
    }

    #[test]
    fn hostile_nesting_is_linear() {
        // Quadratic time over these would take minutes.
        for piece in ["[", "[[", "||", "[spoiler]", "[img]", "|| [b]", "[anime=1 x]", "[/", "|\n||"] {
            to_text(&piece.repeat(256 * 1024 / piece.len()));
        }
    }
}
