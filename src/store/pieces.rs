//! The records of one object after another, found in the index some at a time.

use std::collections::VecDeque;

use crate::object::ObjectId;

use super::ahead::Piece;
use super::error::StoreError;
use super::list::FrameList;
use super::reader::{Found, LOOKUPS, Reader};

/// The records of objects, in order.
pub(super) struct Pieces<'r, 'a> {
    reader: &'r Reader<'a>,
    ids: &'r mut dyn Iterator<Item = ObjectId>,
    /// Objects that have been looked up, and the place of the first of them.
    next: VecDeque<ObjectId>,
    place: usize,
    /// The object whose frames are at hand, and the next of them.
    open: Option<(ObjectId, FrameList, usize)>,
}

impl<'r, 'a> Pieces<'r, 'a> {
    pub fn of(reader: &'r Reader<'a>, ids: &'r mut dyn Iterator<Item = ObjectId>) -> Self {
        Pieces { reader, ids, next: VecDeque::new(), place: 0, open: None }
    }

    fn step(&mut self) -> Result<Option<Piece>, StoreError> {
        loop {
            if let Some((id, list, next)) = &mut self.open {
                let frame = *next;
                *next += 1;
                if frame < list.frames.len() {
                    if frame.is_multiple_of(LOOKUPS) {
                        let end = list.frames.len().min(frame + LOOKUPS);
                        self.reader.look_ahead(&list.frames[frame..end])?;
                    }
                    return self.reader.piece(self.place - 1, *id, list, frame).map(Some);
                }
                self.open = None;
            }
            if self.next.is_empty() {
                self.next.extend(self.ids.take(LOOKUPS));
                self.reader.look_ahead(self.next.make_contiguous())?;
            }
            let Some(id) = self.next.pop_front() else { return Ok(None) };
            self.place += 1;
            match self.reader.find(id)? {
                Found::One(record) => return Ok(Some((self.place - 1, id, self.reader.chain(record)?))),
                Found::Many(list) => self.open = Some((id, list, 0)),
            }
        }
    }
}

impl Iterator for Pieces<'_, '_> {
    type Item = Result<Piece, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}
