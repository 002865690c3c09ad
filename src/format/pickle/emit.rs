//! Writing single opcodes: numbers, text, the memo and the frames.

use std::collections::HashMap;

use num_bigint::BigInt;

use super::op::*;
use super::{PickleError, text};

/// From protocol 4 on, a frame that is this long ends before the next value, and longer texts and bytes
/// lie between frames.
const FRAME_BYTES: usize = 64 << 10;
/// Bytes of a frame's head: opcode and length.
const FRAME_HEAD_BYTES: usize = 9;

/// Opcodes so far, and what of them can be referred to.
pub(super) struct Emitter {
    pub protocol: u8,
    pub out: Vec<u8>,
    /// Entries of the memo.
    pub entries: u32,
    texts: HashMap<String, u32>,
    globals: HashMap<(String, String), u32>,
    /// Where the current frame begins.
    frame: Option<usize>,
}

impl Emitter {
    /// Begins a pickle.
    pub fn new(protocol: u8) -> Emitter {
        let mut emitter = Emitter {
            protocol,
            out: Vec::new(),
            entries: 0,
            texts: HashMap::new(),
            globals: HashMap::new(),
            frame: None,
        };
        if protocol >= 2 {
            emitter.out.extend([PROTO, protocol]);
        }
        emitter.open_frame();
        emitter
    }

    /// Ends the pickle.
    pub fn finish(mut self) -> Vec<u8> {
        self.out.push(STOP);
        self.close_frame();
        self.out
    }

    pub fn op(&mut self, opcode: u8) {
        self.out.push(opcode);
    }

    /// Ends a tuple; up to three items have no mark in protocol 2 and later.
    pub fn tuple(&mut self, length: usize) {
        match length {
            0 if self.protocol >= 1 => self.out.push(EMPTY_TUPLE),
            0 => self.out.extend([MARK, TUPLE]),
            1..=3 if self.protocol >= 2 => self.out.push(TUPLE1 + (length - 1) as u8),
            _ => self.out.push(TUPLE),
        }
        if length > 0 {
            self.put();
        }
    }

    pub fn bool(&mut self, value: bool) {
        match (self.protocol >= 2, value) {
            (true, true) => self.out.push(NEWTRUE),
            (true, false) => self.out.push(NEWFALSE),
            (false, true) => self.line(INT, b"01"),
            (false, false) => self.line(INT, b"00"),
        }
    }

    pub fn int(&mut self, value: &BigInt) {
        match (i32::try_from(value), u8::try_from(value), u16::try_from(value)) {
            (Ok(value), ..) if self.protocol == 0 => self.line(INT, value.to_string().as_bytes()),
            (_, Ok(value), _) => self.out.extend([BININT1, value]),
            (_, _, Ok(value)) => {
                self.out.push(BININT2);
                self.out.extend(value.to_le_bytes());
            }
            (Ok(value), ..) => {
                self.out.push(BININT);
                self.out.extend(value.to_le_bytes());
            }
            _ if self.protocol < 2 => self.line(LONG, format!("{value}L").as_bytes()),
            _ => {
                let bytes = value.to_signed_bytes_le();
                self.counted(Some(LONG1), LONG4, LONG4, &bytes);
            }
        }
    }

    /// Text known by its value.
    pub fn text(&mut self, value: &str) {
        if let Some(&index) = self.texts.get(value) {
            self.get(index);
            return;
        }
        self.unicode(value.as_bytes());
        let index = self.put();
        self.texts.insert(value.to_owned(), index);
    }

    pub fn unicode(&mut self, value: &[u8]) {
        match self.protocol {
            0 => self.line(UNICODE, &text::raw_unicode_escape(value)),
            1..=3 => self.counted(None, BINUNICODE, BINUNICODE8, value),
            _ => self.counted(Some(SHORT_BINUNICODE), BINUNICODE, BINUNICODE8, value),
        }
    }

    /// A global, known by its name; returns its memo entry.
    pub fn global(&mut self, module: &str, name: &str) -> Result<u32, PickleError> {
        let key = (module.to_owned(), name.to_owned());
        if let Some(&index) = self.globals.get(&key) {
            self.get(index);
            return Ok(index);
        }
        let index = self.new_global(module, name)?;
        self.globals.insert(key, index);
        Ok(index)
    }

    /// A global that no other one of its name is taken for: what is done to it is done to it alone.
    pub fn new_global(&mut self, module: &str, name: &str) -> Result<u32, PickleError> {
        if self.protocol >= 4 {
            for text in [module, name] {
                self.boundary();
                self.text(text);
            }
            self.out.push(STACK_GLOBAL);
        } else {
            if module.contains('\n') || name.contains('\n') {
                return Err(PickleError::Unwritable("a class with a line break in its name"));
            }
            self.line(GLOBAL, module.as_bytes());
            self.out.extend(name.bytes());
            self.out.push(b'\n');
        }
        Ok(self.put())
    }

    pub fn line(&mut self, opcode: u8, line: &[u8]) {
        self.out.push(opcode);
        self.out.extend(line);
        self.out.push(b'\n');
    }

    /// Bytes after an opcode with room for their length: one byte where that is enough and there is such
    /// an opcode, else four, else eight.
    pub fn counted(&mut self, short: Option<u8>, opcode: u8, opcode8: u8, bytes: &[u8]) {
        let length = bytes.len() as u64;
        match (short, u8::try_from(length), u32::try_from(length)) {
            (Some(short), Ok(length), _) => self.payload(short, &[length], bytes),
            (_, _, Ok(length)) => self.payload(opcode, &length.to_le_bytes(), bytes),
            _ => self.payload(opcode8, &length.to_le_bytes(), bytes),
        }
    }

    pub fn payload(&mut self, opcode: u8, length: &[u8], bytes: &[u8]) {
        let is_framed = bytes.len() < FRAME_BYTES;
        if !is_framed {
            self.close_frame();
        }
        self.out.push(opcode);
        self.out.extend(length);
        self.out.extend(bytes);
        if !is_framed {
            self.open_frame();
        }
    }

    /// Ends the frame if it is long enough, as may be done before each value.
    pub fn boundary(&mut self) {
        if self.frame.is_some_and(|start| self.out.len() - start - FRAME_HEAD_BYTES >= FRAME_BYTES) {
            self.close_frame();
            self.open_frame();
        }
    }

    fn open_frame(&mut self) {
        if self.protocol >= 4 {
            self.frame = Some(self.out.len());
            self.out.extend([0; FRAME_HEAD_BYTES]);
        }
    }

    fn close_frame(&mut self) {
        let Some(start) = self.frame.take() else { return };
        let bytes = self.out.len() - start - FRAME_HEAD_BYTES;
        if bytes < 4 {
            // Too short to be worth a head.
            self.out.drain(start..start + FRAME_HEAD_BYTES);
        } else {
            self.out[start] = FRAME;
            self.out[start + 1..start + FRAME_HEAD_BYTES].copy_from_slice(&(bytes as u64).to_le_bytes());
        }
    }

    /// Puts what is on the stack into the memo and returns the entry.
    pub fn put(&mut self) -> u32 {
        let index = self.entries;
        self.entries += 1;
        match u8::try_from(index) {
            _ if self.protocol >= 4 => self.out.push(MEMOIZE),
            _ if self.protocol == 0 => self.line(PUT, index.to_string().as_bytes()),
            Ok(index) => self.out.extend([BINPUT, index]),
            Err(_) => {
                self.out.push(LONG_BINPUT);
                self.out.extend(index.to_le_bytes());
            }
        }
        index
    }

    /// Takes an entry from the memo.
    pub fn get(&mut self, index: u32) {
        match u8::try_from(index) {
            _ if self.protocol == 0 => self.line(GET, index.to_string().as_bytes()),
            Ok(index) => self.out.extend([BINGET, index]),
            Err(_) => {
                self.out.push(LONG_BINGET);
                self.out.extend(index.to_le_bytes());
            }
        }
    }
}
