//! From text to a value graph.

use std::collections::HashSet;

use num_bigint::BigInt;

use crate::value::{Graph, Kind, NodeId, Tail};

use super::super::Limits;
use super::super::pickle::text;
use super::JsonError;

/// Reads a document, without recursion.
pub(in crate::format) fn read(bytes: &[u8], limits: &Limits) -> Result<Graph, JsonError> {
    let mut reader = Reader {
        input: bytes,
        offset: 0,
        limits,
        graph: Graph { nodes: Vec::new(), root: NodeId(0), storages: Vec::new() },
        open: Vec::new(),
    };
    reader.document()?;
    Ok(reader.graph)
}

/// A container whose end has not come yet.
struct Open {
    node: NodeId,
    /// Of an object: its keys so far, and the one whose value comes next.
    keys: Option<(HashSet<String>, NodeId)>,
}

struct Reader<'a> {
    input: &'a [u8],
    offset: usize,
    limits: &'a Limits,
    graph: Graph,
    open: Vec<Open>,
}

type Step<T = ()> = Result<T, JsonError>;

impl Reader<'_> {
    fn document(&mut self) -> Step {
        loop {
            // A value begins here.
            self.space();
            let value = self.value()?;
            self.attach(value);
            let is_container = matches!(self.graph.kind(value), Kind::List | Kind::Dict);
            if is_container && self.enter(value)? {
                continue;
            }
            // A value ended here: more may follow in what is open.
            loop {
                self.space();
                let Some(open) = self.open.last() else {
                    return match self.peek() {
                        None => Ok(()),
                        Some(_) => Err(self.expected("the end of the document")),
                    };
                };
                let (end, expected) = match open.keys {
                    Some(_) => (b'}', "`,` or `}`"),
                    None => (b']', "`,` or `]`"),
                };
                match self.peek() {
                    Some(b',') => {
                        self.offset += 1;
                        self.space();
                        self.key()?;
                        break;
                    }
                    Some(byte) if byte == end => {
                        self.offset += 1;
                        self.open.pop();
                    }
                    _ => return Err(self.expected(expected)),
                }
            }
        }
    }

    /// Opens a container; false if it is empty, and then it is closed again.
    fn enter(&mut self, node: NodeId) -> Step<bool> {
        self.space();
        let is_object = matches!(self.graph.kind(node), Kind::Dict);
        if self.peek() == Some(if is_object { b'}' } else { b']' }) {
            self.offset += 1;
            return Ok(false);
        }
        if self.open.len() as u64 >= self.limits.nesting {
            return Err(JsonError::Limit { what: "nested values", limit: self.limits.nesting });
        }
        self.open.push(Open { node, keys: is_object.then(|| (HashSet::new(), node)) });
        self.key()?;
        Ok(true)
    }

    /// In an object, reads the key and its colon.
    fn key(&mut self) -> Step {
        if !matches!(self.open.last(), Some(Open { keys: Some(_), .. })) {
            return Ok(());
        }
        let offset = self.offset;
        if self.peek() != Some(b'"') {
            return Err(self.expected("a key"));
        }
        let kind = self.string()?;
        let known = match &kind {
            Kind::Str(text) => text.clone(),
            // Keys with lone surrogates are told apart by their escapes; no text can be the same.
            Kind::SurrogateStr(bytes) => format!("\0{bytes:?}"),
            _ => String::new(),
        };
        let node = self.add(kind)?;
        if let Some(Open { keys: Some((keys, next)), .. }) = self.open.last_mut() {
            *next = node;
            if !keys.insert(known.clone()) {
                return Err(JsonError::DuplicateKey { offset, key: known });
            }
        }
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.expected("`:`"));
        }
        self.offset += 1;
        Ok(())
    }

    fn attach(&mut self, value: NodeId) {
        match self.open.last() {
            None => self.graph.root = value,
            Some(Open { node, keys: Some((_, key)) }) => {
                let step = Tail::Set(*key, value);
                self.graph.node_mut(*node).tail.push(step);
            }
            Some(Open { node, keys: None }) => {
                self.graph.node_mut(*node).tail.push(Tail::Append(value));
            }
        }
    }

    /// Reads a scalar, or the bracket that begins a container.
    fn value(&mut self) -> Step<NodeId> {
        const WORDS: &[(&str, Kind)] = &[
            ("true", Kind::Bool(true)),
            ("false", Kind::Bool(false)),
            ("null", Kind::None),
            ("NaN", Kind::Float(crate::value::FloatBits(f64::NAN.to_bits()))),
            ("Infinity", Kind::Float(crate::value::FloatBits(f64::INFINITY.to_bits()))),
            ("-Infinity", Kind::Float(crate::value::FloatBits(f64::NEG_INFINITY.to_bits()))),
        ];
        let rest = &self.input[self.offset..];
        let kind = match rest.first() {
            Some(b'{') => {
                self.offset += 1;
                Kind::Dict
            }
            Some(b'[') => {
                self.offset += 1;
                Kind::List
            }
            Some(b'"') => self.string()?,
            Some(_) => match WORDS.iter().find(|(word, _)| rest.starts_with(word.as_bytes())) {
                Some((word, kind)) => {
                    self.offset += word.len();
                    kind.clone()
                }
                None => self.number()?,
            },
            None => return Err(self.expected("a value")),
        };
        self.add(kind)
    }

    fn number(&mut self) -> Step<Kind> {
        let start = self.offset;
        let mut is_float = false;
        self.accept(b"-");
        match self.peek() {
            Some(b'0') => self.offset += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err(self.expected("a value")),
        }
        if self.accept(b".") {
            is_float = true;
            self.digits()?;
        }
        if self.accept(b"eE") {
            is_float = true;
            self.accept(b"+-");
            self.digits()?;
        }
        let token = &self.input[start..self.offset];
        if !is_float && token.len() > self.limits.digits {
            let limit = self.limits.digits as u64;
            return Err(JsonError::Limit { what: "digits in an integer", limit });
        }
        let token = std::str::from_utf8(token).expect("a number is ASCII");
        if is_float {
            return Ok(Kind::Float(token.parse::<f64>().expect("a JSON number is a float").into()));
        }
        Ok(match token.parse() {
            Ok(value) => Kind::Int(value),
            Err(_) => Kind::BigInt(token.parse::<BigInt>().expect("a JSON integer is an integer")),
        })
    }

    fn digits(&mut self) -> Step {
        let rest = &self.input[self.offset..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.offset += count;
        if count == 0 { Err(self.expected("a digit")) } else { Ok(()) }
    }

    fn string(&mut self) -> Step<Kind> {
        let start = self.offset;
        self.offset += 1;
        let mut out = Vec::new();
        loop {
            let rest = &self.input[self.offset..];
            let plain =
                rest.iter().take_while(|&&byte| byte != b'"' && byte != b'\\' && byte >= 0x20).count();
            out.extend_from_slice(&rest[..plain]);
            self.offset += plain;
            match self.peek() {
                Some(b'"') => {
                    self.offset += 1;
                    let kind = text::from_surrogatepass(out);
                    return kind.ok_or(JsonError::Syntax { offset: start, expected: "UTF-8 text" });
                }
                Some(b'\\') => {
                    self.offset += 1;
                    self.escape(&mut out)?;
                }
                _ => return Err(self.expected("the rest of the text")),
            }
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Step {
        let byte = self.peek().ok_or_else(|| self.expected("an escape"))?;
        self.offset += 1;
        out.push(match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let mut code = self.hex4()?;
                // A pair of escapes is one character; a surrogate alone stays one.
                if (0xd800..0xdc00).contains(&code) && self.input[self.offset..].starts_with(b"\\u") {
                    let back = self.offset;
                    self.offset += 2;
                    let low = self.hex4()?;
                    if (0xdc00..0xe000).contains(&low) {
                        code = 0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                    } else {
                        self.offset = back;
                    }
                }
                text::push_code_point(out, code).expect("four digits are a code point or surrogate");
                return Ok(());
            }
            _ => return Err(self.expected("an escape")),
        });
        Ok(())
    }

    fn hex4(&mut self) -> Step<u32> {
        let digits = self.input.get(self.offset..self.offset + 4);
        let code = digits.and_then(|digits| {
            digits.iter().try_fold(0, |code, &digit| Some(code << 4 | char::from(digit).to_digit(16)?))
        });
        let code = code.ok_or_else(|| self.expected("four hexadecimal digits"))?;
        self.offset += 4;
        Ok(code)
    }

    fn add(&mut self, kind: Kind) -> Step<NodeId> {
        let limit = self.limits.nodes.min(u64::from(u32::MAX));
        if self.graph.nodes.len() as u64 >= limit {
            return Err(JsonError::Limit { what: "values", limit });
        }
        Ok(self.graph.add(kind))
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.offset += 1;
        }
    }

    fn accept(&mut self, any: &[u8]) -> bool {
        let found = self.peek().is_some_and(|byte| any.contains(&byte));
        self.offset += usize::from(found);
        found
    }

    fn peek(&self) -> Option<u8> {
        self.input.get(self.offset).copied()
    }

    fn expected(&self, expected: &'static str) -> JsonError {
        JsonError::Syntax { offset: self.offset, expected }
    }
}
