//! The protocol of a pickle, without reading its values.

use super::PickleError;
use super::op::*;

/// The frame of one pickle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The protocol: as stated, or the first that has all its opcodes where that is newer. Readers do not hold a
    /// pickle to what it states, so one that states 2 may hold bytes as only protocol 3 has them.
    pub protocol: u8,
    /// Length in bytes, STOP included. Other pickles may follow.
    pub bytes: usize,
}

/// Goes over the opcodes of the pickle at the start of these bytes, which [`read`](super::read) has found sound.
///
/// # Errors
///
/// If the bytes end before STOP.
pub fn extent(bytes: &[u8]) -> Result<Extent, PickleError> {
    let (mut protocol, mut offset) = (0, 0);
    loop {
        let cut = PickleError::Truncated { offset };
        let Some((&opcode, rest)) = bytes.get(offset..).and_then(<[u8]>::split_first) else {
            return Err(cut);
        };
        protocol = protocol.max(since(opcode));
        if opcode == PROTO {
            protocol = protocol.max(*rest.first().ok_or(PickleError::Truncated { offset })?);
        }
        let Some(argument) = argument_bytes(opcode, rest).filter(|length| *length <= rest.len()) else {
            return Err(cut);
        };
        offset += 1 + argument;
        if opcode == STOP {
            return Ok(Extent { protocol, bytes: offset });
        }
    }
}

/// Length of what belongs to an opcode, as far as that can be told.
fn argument_bytes(opcode: u8, rest: &[u8]) -> Option<usize> {
    let line = |rest: &[u8]| Some(rest.iter().position(|byte| *byte == b'\n')? + 1);
    let counted = |width: usize| {
        let mut length = [0; 8];
        length[..width].copy_from_slice(rest.get(..width)?);
        usize::try_from(u64::from_le_bytes(length)).ok()?.checked_add(width)
    };
    match opcode {
        INT | LONG | FLOAT | STRING | UNICODE | PERSID | GET | PUT => line(rest),
        GLOBAL | INST => {
            let module = line(rest)?;
            Some(module + line(&rest[module..])?)
        }
        PROTO | BININT1 | BINGET | BINPUT | EXT1 => Some(1),
        BININT2 | EXT2 => Some(2),
        BININT | LONG_BINGET | LONG_BINPUT | EXT4 => Some(4),
        BINFLOAT | FRAME => Some(8),
        SHORT_BINSTRING | SHORT_BINUNICODE | SHORT_BINBYTES | LONG1 => counted(1),
        BINSTRING | BINUNICODE | BINBYTES | LONG4 => counted(4),
        BINUNICODE8 | BINBYTES8 | BYTEARRAY8 => counted(8),
        _ => Some(0),
    }
}

/// The protocol that an opcode came with.
///
/// Source: `proto` of each opcode in CPython's `Lib/pickletools.py`.
fn since(opcode: u8) -> u8 {
    match opcode {
        BYTEARRAY8 | NEXT_BUFFER | READONLY_BUFFER => 5,
        SHORT_BINUNICODE..=FRAME => 4,
        BINBYTES | SHORT_BINBYTES => 3,
        PROTO..=LONG4 => 2,
        POP_MARK | BININT | BININT1 | BININT2 | BINFLOAT | BINSTRING | SHORT_BINSTRING | BINUNICODE
        | BINPERSID | EMPTY_LIST | EMPTY_DICT | EMPTY_TUPLE | APPENDS | SETITEMS | OBJ | BINGET
        | LONG_BINGET | BINPUT | LONG_BINPUT => 1,
        _ => 0,
    }
}
