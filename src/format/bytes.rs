//! Plain bytes: whatever no other format claims.
//!
//! A longer file is cut where its content says (FastCDC, Xia et al., USENIX ATC 2016), so that what was shifted by
//! an insertion is still cut in the same places and stored once.

use std::collections::BTreeMap;
use std::io::{self, Read};

use fastcdc::v2020::{Error as ChunkError, StreamCDC};

use crate::value::{Graph, Kind, NodeId, Storage, StorageId};

use super::{Format, FormatError, Outline, Part, Scanned, Source, Span};

/// The key of the storage of a file that is not cut.
const CONTENT: &str = "content";
/// Up to this length in bytes a file is not cut.
const MOST_WHOLE_BYTES: u64 = 1 << 20;
/// Shortest, average and longest chunk, in bytes. The last chunk of a file may be shorter.
const CHUNK_BYTES: [usize; 3] = [128 << 10, 512 << 10, 1 << 20];
/// The same for files from [`LARGE_BYTES`] on, so that the list of chunks stays short.
const LARGE_CHUNK_BYTES: [usize; 3] = [1 << 20, 4 << 20, 16 << 20];
/// From this length in bytes on a file is large.
const LARGE_BYTES: u64 = 128 << 30;
/// Chunks of a file; what is left after them is one storage.
const MOST_CHUNKS: usize = 1 << 20;

pub(super) fn scan(source: &dyn Source) -> Result<Scanned, FormatError> {
    let bytes = source.bytes();
    let mut ends = Vec::new();
    if bytes > MOST_WHOLE_BYTES {
        let [least, average, most] = if bytes < LARGE_BYTES { CHUNK_BYTES } else { LARGE_CHUNK_BYTES };
        let mut end = 0;
        for chunk in StreamCDC::new(Bytes { source, offset: 0 }, least, average, most).take(MOST_CHUNKS) {
            end += chunk.map_err(|error| failed(end, error))?.length as u64;
            ends.push(end);
        }
    }
    if ends.last().is_none_or(|end| *end < bytes) {
        ends.push(bytes);
    }
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let spans: Vec<Span> = starts
        .zip(&ends)
        .map(|(start, end)| Span { offset: start, bytes: end - start, crc32: None, inflated: None })
        .collect();
    let key = |place: usize| if spans.len() == 1 { CONTENT.to_owned() } else { place.to_string() };
    let outline = Outline {
        format: Format::Bytes,
        skeleton: Vec::new(),
        attributes: BTreeMap::new(),
        extras: Vec::new(),
        storages: spans
            .iter()
            .enumerate()
            .map(|(i, span)| Storage { key: key(i), bytes: span.bytes })
            .collect(),
        parts: (0..spans.len() as u32).map(|place| Part::Storage(StorageId(place))).collect(),
    };
    Ok(Scanned { outline, spans, notes: Vec::new() })
}

fn failed(offset: u64, error: ChunkError) -> FormatError {
    let source = match error {
        ChunkError::IoError(error) => error,
        _ => io::ErrorKind::UnexpectedEof.into(),
    };
    FormatError::Read { offset, source }
}

/// A source as a stream from its start.
struct Bytes<'a> {
    source: &'a dyn Source,
    offset: u64,
}

impl Read for Bytes<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(self.source.bytes() - self.offset).unwrap_or(usize::MAX);
        let length = buffer.len().min(rest);
        self.source.read_at(self.offset, &mut buffer[..length])?;
        self.offset += length as u64;
        Ok(length)
    }
}

/// A file without bytes has nothing to store.
pub(super) fn scan_empty() -> Scanned {
    let outline = Outline {
        format: Format::Bytes,
        skeleton: Vec::new(),
        attributes: BTreeMap::new(),
        extras: Vec::new(),
        storages: Vec::new(),
        parts: Vec::new(),
    };
    Scanned { outline, spans: Vec::new(), notes: Vec::new() }
}

pub(super) fn decode(outline: &Outline) -> Graph {
    Graph { nodes: vec![Kind::None.into()], root: NodeId(0), storages: outline.storages.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes without a pattern that repeats.
    fn noise(count: usize) -> Vec<u8> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"noise");
        let mut bytes = vec![0; count];
        hasher.finalize_xof().fill(&mut bytes);
        bytes
    }

    fn chunks(file: &Vec<u8>) -> Vec<Vec<u8>> {
        let scanned = scan(file).unwrap();
        let cut = |span: &Span| file[span.offset as usize..(span.offset + span.bytes) as usize].to_vec();
        scanned.spans.iter().map(cut).collect()
    }

    #[test]
    fn chunks_cover_the_file_within_their_bounds() {
        for bytes in [1, MOST_WHOLE_BYTES as usize, MOST_WHOLE_BYTES as usize + 1, 5_000_001] {
            let file = noise(bytes);
            let chunks = chunks(&file);
            assert!(chunks.concat() == file);
            assert_eq!(chunks.len() == 1, bytes as u64 <= MOST_WHOLE_BYTES || chunks[0].len() == bytes);
            let (_, whole) = chunks.split_last().unwrap();
            assert!(whole.iter().all(|chunk| (CHUNK_BYTES[0]..=CHUNK_BYTES[2]).contains(&chunk.len())));
        }
    }

    #[test]
    fn an_insertion_leaves_the_chunks_behind_it_as_they_were() {
        let before = noise(8 << 20);
        let after = [&before[..1000], b"inserted", &before[1000..]].concat();
        let (before, after) = (chunks(&before), chunks(&after));
        let same = after.iter().filter(|chunk| before.contains(chunk)).count();
        assert!(same + 2 >= after.len(), "{same} of {}", after.len());
    }
}
