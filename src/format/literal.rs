//! Python literals: what `ast.literal_eval` reads, as far as headers use it.

/// A literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Int(i64),
    Bool(bool),
    Tuple(Vec<Value>),
    List(Vec<Value>),
}

/// Literals inside each other; deeper ones are refused.
const MOST_NESTING: usize = 24;

/// Reads one literal that takes the whole text.
pub(super) fn parse(text: &str) -> Option<Value> {
    let mut parser = Parser { text, offset: 0 };
    let value = parser.value(0)?;
    parser.space();
    (parser.offset == text.len()).then_some(value)
}

/// Reads a dict with text keys: each key, its value, and the value's own text.
pub(super) fn parse_with_slices(text: &str) -> Option<Vec<(String, Value, &str)>> {
    let mut parser = Parser { text, offset: 0 };
    let mut fields = Vec::new();
    parser.expect(b'{')?;
    while !parser.take(b'}') {
        let Value::Text(key) = parser.value(0)? else { return None };
        parser.expect(b':')?;
        parser.space();
        let start = parser.offset;
        let value = parser.value(0)?;
        fields.push((key, value, &text[start..parser.offset]));
        if !parser.take(b',') {
            parser.expect(b'}')?;
            break;
        }
    }
    parser.space();
    (parser.offset == text.len()).then_some(fields)
}

struct Parser<'a> {
    text: &'a str,
    offset: usize,
}

impl Parser<'_> {
    fn rest(&self) -> &[u8] {
        &self.text.as_bytes()[self.offset..]
    }

    fn space(&mut self) {
        self.offset += self.rest().iter().take_while(|byte| b" \t\r\n".contains(byte)).count();
    }

    fn take(&mut self, byte: u8) -> bool {
        self.space();
        let found = self.rest().first() == Some(&byte);
        self.offset += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.take(byte).then_some(())
    }

    fn word(&mut self, word: &str) -> bool {
        let found = self.rest().starts_with(word.as_bytes());
        self.offset += if found { word.len() } else { 0 };
        found
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > MOST_NESTING {
            return None;
        }
        self.space();
        let first = *self.rest().first()?;
        match first {
            b'\'' | b'"' => self.quoted(),
            b'(' => {
                self.offset += 1;
                self.items(b')', depth).map(|(mut items, comma)| match (items.len(), comma) {
                    (1, false) => items.pop().expect("there is one"),
                    _ => Value::Tuple(items),
                })
            }
            b'[' => {
                self.offset += 1;
                self.items(b']', depth).map(|(items, _)| Value::List(items))
            }
            b'-' | b'0'..=b'9' => self.int(),
            _ if self.word("True") => Some(Value::Bool(true)),
            _ if self.word("False") => Some(Value::Bool(false)),
            _ => None,
        }
    }

    /// Items up to the closing bracket, and whether a comma followed the last.
    fn items(&mut self, close: u8, depth: usize) -> Option<(Vec<Value>, bool)> {
        let mut items = Vec::new();
        let mut comma = false;
        while !self.take(close) {
            if !items.is_empty() && !comma {
                return None;
            }
            items.push(self.value(depth + 1)?);
            comma = self.take(b',');
        }
        Some((items, comma))
    }

    fn int(&mut self) -> Option<Value> {
        let digits = self.rest().iter().skip(1).take_while(|byte| byte.is_ascii_digit()).count() + 1;
        let value = self.text[self.offset..self.offset + digits].parse().ok()?;
        self.offset += digits;
        // Python 2 wrote its long integers so.
        self.word("L");
        Some(Value::Int(value))
    }

    fn quoted(&mut self) -> Option<Value> {
        let quote = *self.rest().first()? as char;
        let mut text = String::new();
        let mut letters = self.text[self.offset + 1..].char_indices();
        while let Some((place, letter)) = letters.next() {
            match letter {
                letter if letter == quote => {
                    self.offset += 1 + place + letter.len_utf8();
                    return Some(Value::Text(text));
                }
                // An escaped letter is kept with its escape: names are only compared, never shown.
                '\\' => {
                    text.push('\\');
                    text.push(letters.next()?.1);
                }
                letter => text.push(letter),
            }
        }
        None
    }
}
