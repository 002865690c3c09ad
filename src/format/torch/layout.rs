//! The zip container byte for byte as torch writes it.
//!
//! Contents are aligned by a padding field in the local header; sizes follow the content in a descriptor;
//! the zip64 end record is always there. Checked against PyTorch 1.13 to 2.15.

use super::super::outline::Parts;
use super::super::{Outline, Part};
use super::{ALIGNMENT, ATTACHED, PREFIX};
use crate::value::StorageId;

/// From this value on, lengths and offsets are in the zip64 field.
const SATURATED: u64 = 0xffff_ffff;
/// The entry with a fingerprint of the file.
const SERIALIZATION_ID: &str = ".data/serialization_id";

/// Makes the parts of the outline: skeleton, some extras, storages, the other extras.
///
/// The second half of `.data/serialization_id` is a hash over the CRC-32 of all entries that are not
/// empty and computed anew; the first half, over their names in the order of a C++ hash table, stays as it was. Torch
/// accepts any text there.
pub(super) fn lay_out(outline: &mut Outline, extras_before: usize, storage_crcs: &[u32]) {
    let alignment = outline.attributes.get(ALIGNMENT).and_then(|text| text.parse().ok()).unwrap_or(64);
    let prefix = outline.attributes.get(PREFIX).map_or("archive", String::as_str);
    let mut archive = Archive {
        prefix: prefix.to_owned(),
        alignment,
        parts: Parts::default(),
        offset: 0,
        directory: Vec::new(),
        entries: 0,
        combined_crc: 0,
    };
    let hash = crc32fast::hash;
    archive.add("data.pkl", outline.skeleton.len() as u64, hash(&outline.skeleton), Part::Skeleton);
    let count = outline.extras.len();
    for index in 0..extras_before.min(count) {
        archive.extra(outline, index);
    }
    for (index, (storage, crc)) in outline.storages.iter().zip(storage_crcs).enumerate() {
        let name = match storage.key.strip_prefix(ATTACHED) {
            Some(name) => name.to_owned(),
            None => format!("data/{}", storage.key),
        };
        archive.add(&name, storage.bytes, *crc, Part::Storage(StorageId(index as u32)));
    }
    for index in extras_before.min(count)..count {
        archive.extra(outline, index);
    }
    outline.parts = archive.finish();
}

struct Archive {
    prefix: String,
    alignment: u64,
    parts: Parts,
    offset: u64,
    directory: Vec<u8>,
    entries: u64,
    combined_crc: u64,
}

impl Archive {
    fn extra(&mut self, outline: &mut Outline, index: usize) {
        let extra = &mut outline.extras[index];
        if extra.name == SERIALIZATION_ID && is_serialization_id(&extra.bytes) {
            extra.bytes.truncate(20);
            extra.bytes.extend(format!("{:020}", self.combined_crc).bytes());
        }
        let crc32 = crc32fast::hash(&extra.bytes);
        self.add(&extra.name, extra.bytes.len() as u64, crc32, Part::Extra(index as u32));
    }

    fn add(&mut self, name: &str, bytes: u64, crc32: u32, part: Part) {
        if bytes > 0 {
            self.combined_crc = combine(self.combined_crc, u64::from(crc32));
        }
        let name = format!("{}/{name}", self.prefix);
        let offset = self.offset;
        let (is_large, is_far) = (bytes >= SATURATED, offset >= SATURATED);
        let mut zip64 = Vec::new();
        let mut local_zip64 = Vec::new();
        if is_large || is_far {
            let field_bytes = u16::from(is_large) * 16 + u16::from(is_far) * 8;
            for (field, stored_bytes) in [(&mut zip64, bytes), (&mut local_zip64, 0)] {
                field.extend([1, 0]);
                field.extend(field_bytes.to_le_bytes());
                if is_large {
                    field.extend(bytes.to_le_bytes());
                    field.extend(stored_bytes.to_le_bytes());
                }
                if is_far {
                    field.extend(offset.to_le_bytes());
                }
            }
        }
        let unpadded = offset + 30 + name.len() as u64 + 4 + zip64.len() as u64;
        let padding = unpadded.next_multiple_of(self.alignment) - unpadded;
        let flags: u16 = if bytes > 0 { 0x808 } else { 0x800 };
        let name_bytes = (name.len() as u16).to_le_bytes();

        let mut local = Vec::with_capacity(64 + name.len() + padding as usize);
        local.extend(b"PK\x03\x04\0\0");
        local.extend(flags.to_le_bytes());
        local.extend([0; 18]);
        local.extend(name_bytes);
        local.extend((local_zip64.len() as u16 + 4 + padding as u16).to_le_bytes());
        local.extend(name.bytes());
        local.extend(local_zip64);
        local.extend(b"FB");
        local.extend((padding as u16).to_le_bytes());
        local.resize(local.len() + padding as usize, b'Z');
        self.literal(&local);

        if bytes > 0 {
            self.parts.push(part);
            self.offset += bytes;
            let mut descriptor = b"PK\x07\x08".to_vec();
            descriptor.extend(crc32.to_le_bytes());
            for _ in 0..2 {
                if zip64.is_empty() {
                    descriptor.extend((bytes as u32).to_le_bytes());
                } else {
                    descriptor.extend(bytes.to_le_bytes());
                }
            }
            self.literal(&descriptor);
        } else {
            self.parts.push(part);
        }

        let saturated = |value: u64| (value.min(SATURATED) as u32).to_le_bytes();
        self.directory.extend(b"PK\x01\x02\0\0\0\0");
        self.directory.extend(flags.to_le_bytes());
        self.directory.extend([0; 6]);
        self.directory.extend(if bytes > 0 { crc32 } else { 0 }.to_le_bytes());
        self.directory.extend(saturated(bytes));
        self.directory.extend(saturated(bytes));
        self.directory.extend(name_bytes);
        self.directory.extend((zip64.len() as u16).to_le_bytes());
        self.directory.extend([0; 10]);
        self.directory.extend(saturated(offset));
        self.directory.extend(name.bytes());
        self.directory.extend(zip64);
        self.entries += 1;
    }

    fn finish(mut self) -> Vec<Part> {
        let (directory, offset) = (std::mem::take(&mut self.directory), self.offset);
        let directory_bytes = directory.len() as u64;
        self.literal(&directory);
        let mut end = b"PK\x06\x06".to_vec();
        end.extend(44u64.to_le_bytes());
        end.extend(0x031e_u16.to_le_bytes());
        end.extend(0x002d_u16.to_le_bytes());
        end.extend([0; 8]);
        for value in [self.entries, self.entries, directory_bytes, offset] {
            end.extend(value.to_le_bytes());
        }
        end.extend(b"PK\x06\x07\0\0\0\0");
        end.extend(self.offset.to_le_bytes());
        end.extend(1u32.to_le_bytes());
        end.extend(b"PK\x05\x06\0\0\0\0");
        let entries = (self.entries.min(0xffff) as u16).to_le_bytes();
        end.extend(entries);
        end.extend(entries);
        end.extend((directory_bytes.min(SATURATED) as u32).to_le_bytes());
        end.extend((offset.min(SATURATED) as u32).to_le_bytes());
        end.extend([0; 2]);
        self.literal(&end);
        self.parts.finish()
    }

    fn literal(&mut self, bytes: &[u8]) {
        self.parts.literal(bytes);
        self.offset += bytes.len() as u64;
    }
}

fn is_serialization_id(bytes: &[u8]) -> bool {
    bytes.len() == 40 && bytes.iter().all(u8::is_ascii_digit)
}

/// `c10::hash_combine` of PyTorch's `c10/util/hash.h`.
fn combine(seed: u64, value: u64) -> u64 {
    let mixed = value.wrapping_add(0x9e37_79b9).wrapping_add(seed << 6).wrapping_add(seed >> 2);
    seed ^ mixed
}
