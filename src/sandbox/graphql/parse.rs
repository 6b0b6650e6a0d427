//! A parser for the part of GraphQL that clients of this API use: one query operation with variables, arguments of
//! every sort, nested fields, aliases, inline and named fragments.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// How deep selections may nest before the text is refused, whatever the schema says.
const MAX_NESTING: usize = 32;

/// One selected field.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    /// The name under which the answer carries it.
    pub(super) alias: String,
    pub(super) name: String,
    pub(super) arguments: Vec<(String, Value)>,
    pub(super) selections: Vec<Field>,
}

impl Field {
    /// The value of an argument; an explicit `null` counts as absent.
    pub(super) fn argument(&self, name: &str) -> Option<&Value> {
        self.arguments.iter().find(|(key, _)| key == name).map(|(_, value)| value).filter(|value| !value.is_null())
    }

    /// 1 for a leaf.
    pub(super) fn depth(&self) -> usize {
        1 + self.selections.iter().map(Self::depth).max().unwrap_or(0)
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Name(String),
    Text(String),
    Number(String),
    /// One of `{ } ( ) [ ] : ! = $ @ |` or `...` (written as a dot).
    Mark(char),
}

/// The selected fields of the operation, variables filled in.
pub(super) fn parse(query: &str, variables: &Map<String, Value>) -> Result<Vec<Field>, String> {
    let tokens = tokens(query)?;
    let mut parser = Parser { tokens, at: 0, variables: variables.clone(), fragments: HashMap::new() };
    parser.collect_fragments()?;
    parser.at = 0;
    parser.operation()
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        match letter {
            ' ' | '\t' | '\r' | '\n' | ',' | '\u{feff}' => {}
            '#' => while letters.next_if(|(_, next)| *next != '\n').is_some() {},
            '{' | '}' | '(' | ')' | '[' | ']' | ':' | '!' | '=' | '$' | '@' | '|' => tokens.push(Token::Mark(letter)),
            '.' => {
                if letters.next_if(|(_, next)| *next == '.').is_none()
                    || letters.next_if(|(_, next)| *next == '.').is_none()
                {
                    return Err(unexpected("."));
                }
                tokens.push(Token::Mark('.'));
            }
            '"' => tokens.push(Token::Text(string(&mut letters)?)),
            '-' | '0'..='9' => {
                let mut end = at + 1;
                while letters
                    .next_if(|(_, next)| next.is_ascii_digit() || matches!(next, '.' | 'e' | 'E' | '+' | '-'))
                    .is_some()
                {
                    end += 1;
                }
                tokens.push(Token::Number(text[at..end].to_owned()));
            }
            'a'..='z' | 'A'..='Z' | '_' => {
                let mut end = at + 1;
                while letters.next_if(|(_, next)| next.is_ascii_alphanumeric() || *next == '_').is_some() {
                    end += 1;
                }
                tokens.push(Token::Name(text[at..end].to_owned()));
            }
            other => return Err(unexpected(&other.to_string())),
        }
    }
    Ok(tokens)
}

fn string(letters: &mut std::iter::Peekable<std::str::CharIndices<'_>>) -> Result<String, String> {
    let mut text = String::new();
    while let Some((_, letter)) = letters.next() {
        match letter {
            '"' => return Ok(text),
            '\\' => match letters.next().map(|(_, escaped)| escaped) {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some('r') => text.push('\r'),
                Some('u') => {
                    let digits: String = letters.by_ref().take(4).map(|(_, digit)| digit).collect();
                    let code = u32::from_str_radix(&digits, 16).map_err(|_| unexpected(&digits))?;
                    text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                Some(other) => text.push(other),
                None => break,
            },
            other => text.push(other),
        }
    }
    Err("Parse error: the string does not end".to_owned())
}

fn unexpected(what: &str) -> String {
    format!("Parse error on \"{what}\"")
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    variables: Map<String, Value>,
    fragments: HashMap<String, usize>,
}

impl Parser {
    /// Notes where each named fragment's selections begin.
    fn collect_fragments(&mut self) -> Result<(), String> {
        let mut depth = 0_usize;
        for (at, token) in self.tokens.iter().enumerate() {
            match token {
                Token::Mark('{') => depth += 1,
                Token::Mark('}') => depth = depth.checked_sub(1).ok_or_else(|| unexpected("}"))?,
                Token::Name(word) if depth == 0 && word == "fragment" => {
                    if let (Some(Token::Name(name)), Some(Token::Mark('{'))) =
                        (self.tokens.get(at + 1), self.tokens.get(at + 4))
                    {
                        self.fragments.insert(name.clone(), at + 4);
                    }
                }
                _ => {}
            }
        }
        if depth == 0 { Ok(()) } else { Err("Parse error: a closing brace is missing".to_owned()) }
    }

    fn operation(&mut self) -> Result<Vec<Field>, String> {
        while let Some(token) = self.tokens.get(self.at) {
            match token {
                Token::Mark('{') => return self.selections(0),
                Token::Name(word) if word == "query" => {
                    self.at += 1;
                    if matches!(self.tokens.get(self.at), Some(Token::Name(_))) {
                        self.at += 1;
                    }
                    if self.eat('(') {
                        self.definitions()?;
                    }
                    return self.selections(0);
                }
                Token::Name(word) if word == "fragment" => self.skip_fragment(),
                Token::Name(word) if word == "mutation" => {
                    return Err("Schema is not configured for mutations".to_owned());
                }
                _ => return Err(unexpected(&self.shown())),
            }
        }
        Err("No query string was present".to_owned())
    }

    fn skip_fragment(&mut self) {
        let mut depth = 0_usize;
        while let Some(token) = self.tokens.get(self.at) {
            self.at += 1;
            match token {
                Token::Mark('{') => depth += 1,
                Token::Mark('}') if depth == 1 => return,
                Token::Mark('}') => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    /// `($ids: String!, $limit: PositiveInt = 50)`: only the defaults matter.
    fn definitions(&mut self) -> Result<(), String> {
        while !self.eat(')') {
            self.expect('$')?;
            let name = self.name()?;
            self.expect(':')?;
            let mut required = false;
            while let Some(Token::Name(_) | Token::Mark('[' | ']' | '!')) = self.tokens.get(self.at) {
                required = self.tokens[self.at] == Token::Mark('!');
                self.at += 1;
            }
            if self.eat('=') {
                let value = self.value(0)?;
                self.variables.entry(name.clone()).or_insert(value);
            } else if required && self.variables.get(&name).is_none_or(Value::is_null) {
                return Err(format!("Variable ${name} of required type was provided invalid value"));
            }
        }
        Ok(())
    }

    fn selections(&mut self, depth: usize) -> Result<Vec<Field>, String> {
        if depth > MAX_NESTING {
            return Err("Query is nested too deeply".to_owned());
        }
        self.expect('{')?;
        let mut fields = Vec::new();
        while !self.eat('}') {
            if self.eat('.') {
                self.fragment(depth, &mut fields)?;
                continue;
            }
            let first = self.name()?;
            let (alias, name) = if self.eat(':') { (first, self.name()?) } else { (first.clone(), first) };
            let mut arguments = Vec::new();
            if self.eat('(') {
                while !self.eat(')') {
                    let argument = self.name()?;
                    self.expect(':')?;
                    arguments.push((argument, self.value(0)?));
                }
            }
            let selections = if self.tokens.get(self.at) == Some(&Token::Mark('{')) {
                self.selections(depth + 1)?
            } else {
                Vec::new()
            };
            fields.push(Field { alias, name, arguments, selections });
        }
        Ok(fields)
    }

    fn fragment(&mut self, depth: usize, fields: &mut Vec<Field>) -> Result<(), String> {
        match self.tokens.get(self.at) {
            Some(Token::Name(word)) if word == "on" => {
                self.at += 1;
                self.name()?;
                fields.append(&mut self.selections(depth + 1)?);
            }
            Some(Token::Name(_)) => {
                let name = self.name()?;
                let start =
                    *self.fragments.get(&name).ok_or_else(|| format!("Fragment {name} was used, but not defined"))?;
                let back = std::mem::replace(&mut self.at, start);
                fields.append(&mut self.selections(depth + 1)?);
                self.at = back;
            }
            _ => fields.append(&mut self.selections(depth + 1)?),
        }
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > MAX_NESTING {
            return Err("Query is nested too deeply".to_owned());
        }
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        match token {
            Some(Token::Text(text)) => Ok(Value::String(text)),
            Some(Token::Number(number)) => serde_json::from_str(&number).map_err(|_| unexpected(&number)),
            Some(Token::Name(word)) => Ok(match word.as_str() {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                "null" => Value::Null,
                // An enum value.
                _ => Value::String(word),
            }),
            Some(Token::Mark('$')) => {
                let name = self.name()?;
                Ok(self.variables.get(&name).cloned().unwrap_or_default())
            }
            Some(Token::Mark('[')) => {
                let mut items = Vec::new();
                while !self.eat(']') {
                    items.push(self.value(depth + 1)?);
                }
                Ok(Value::Array(items))
            }
            _ => {
                self.at -= 1;
                Err(unexpected(&self.shown()))
            }
        }
    }

    fn name(&mut self) -> Result<String, String> {
        match self.tokens.get(self.at) {
            Some(Token::Name(name)) => {
                self.at += 1;
                Ok(name.clone())
            }
            _ => Err(unexpected(&self.shown())),
        }
    }

    fn eat(&mut self, mark: char) -> bool {
        let found = self.tokens.get(self.at) == Some(&Token::Mark(mark));
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, mark: char) -> Result<(), String> {
        if self.eat(mark) { Ok(()) } else { Err(unexpected(&self.shown())) }
    }

    fn shown(&self) -> String {
        match self.tokens.get(self.at) {
            None => "end of file".to_owned(),
            Some(Token::Mark(mark)) => mark.to_string(),
            Some(Token::Name(text) | Token::Text(text) | Token::Number(text)) => text.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::parse;

    #[test]
    fn variables_defaults_aliases_and_fragments() {
        let Ok(variables) = serde_json::from_value::<Map<_, _>>(json!({ "ids": "1,2" })) else { panic!() };
        let query = r"query Some($ids: String!, $limit: PositiveInt = 50) { # a comment
            list: animes(ids: $ids, limit: $limit, order: id, censored: false) { id ...Names poster { ... on Poster { originalUrl } } }
        }
        fragment Names on Anime { name russian }";
        let fields = parse(query, &variables).unwrap();
        let list = &fields[0];
        assert_eq!((list.alias.as_str(), list.name.as_str()), ("list", "animes"));
        assert_eq!(list.argument("ids"), Some(&json!("1,2")));
        assert_eq!(list.argument("limit"), Some(&json!(50)));
        assert_eq!(list.argument("order"), Some(&json!("id")));
        let names: Vec<_> = list.selections.iter().map(|field| field.name.as_str()).collect();
        assert_eq!(names, ["id", "name", "russian", "poster"]);
        assert_eq!(list.depth(), 3);
    }

    #[test]
    fn nonsense_is_refused() {
        for query in [
            "",
            "{",
            "{ animes(",
            "}",
            "{ a ... b }",
            "query($x: Int!) { animes { id } }",
            "fragment A on B { ...A } { ...A }",
        ] {
            assert!(parse(query, &Map::new()).is_err(), "{query}");
        }
        assert!(parse(&"{a".repeat(1000), &Map::new()).is_err());
    }
}
