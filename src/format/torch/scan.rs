//! Finding out what a torch zip is made of.

use std::collections::BTreeMap;

use crate::value::{Storage, StorageId};

use super::super::detect::kept_as_bytes;
use super::super::npz;
use super::super::outline::Parts;
use super::super::source::read;
use super::super::zip::{self, Directory, Entry};
use super::super::{Bound, Extra, Format, FormatError, Limits, Note, Outline, Part, Scanned, Source, Span};
use super::{ALIGNMENT, ATTACHED, BY_TEXT, DEFLATED, PREFIX, STORAGE_ORDER, TorchError};

/// From this length on, an entry beside the tensors is no longer held in memory, in bytes.
const LARGE_EXTRA_BYTES: u64 = 1 << 20;

/// Tells what kind of zip a file is that begins as one.
pub(in crate::format) fn detect(
    source: &dyn Source,
    limits: &Limits,
) -> Result<(Format, Option<Note>), FormatError> {
    let directory = match zip::directory(source, limits) {
        Ok(directory) => directory,
        Err(FormatError::Zip(error)) => {
            return match zip::row(source, limits)? {
                Some(_) => Ok((Format::TorchRow, None)),
                None => Err(error.into()),
            };
        }
        Err(error) => return Err(error),
    };
    if npz::is_one(&directory) {
        return Ok((Format::Npz, None));
    }
    let Some(prefix) = prefix_of(&directory) else {
        return Ok((Format::Zip, None));
    };
    let has = |test: &dyn Fn(&str) -> bool| {
        directory.entries.iter().any(|entry| below(prefix, &entry.name).is_some_and(test))
    };
    if !has(&|name| name == "data.pkl") || !has(&|name| name == "version") {
        return Ok((Format::Zip, None));
    }
    let byteorder = directory.entries.iter().find(|entry| below(prefix, &entry.name) == Some("byteorder"));
    if let Some(entry) = byteorder
        && zip::content(source, entry, limits)? == b"big"
    {
        return Ok((Format::Zip, Some(kept_as_bytes("a torch file of a big-endian machine"))));
    }
    if has(&|name| name == "constants.pkl" || name.starts_with("code/") || name.starts_with("tensors/")) {
        return Ok((Format::TorchArchive, None));
    }
    Ok((Format::TorchZip, None))
}

/// Finds out what a torch zip is made of, checking the CRC-32 of all entries but storages.
pub(in crate::format) fn scan(
    source: &dyn Source,
    format: Format,
    limits: &Limits,
) -> Result<Scanned, FormatError> {
    let directory = zip::directory(source, limits)?;
    let prefix = prefix_of(&directory).ok_or(TorchError::MissingEntry("data.pkl"))?.to_owned();
    let mut scan = Scan {
        source,
        format,
        limits,
        parts: Parts::default(),
        offset: 0,
        skeleton: None,
        extras: Vec::new(),
        extra_bytes: 0,
        storages: Vec::new(),
        spans: Vec::new(),
        notes: Vec::new(),
    };
    for entry in &directory.entries {
        let Some(name) = below(&prefix, &entry.name) else {
            return Err(TorchError::OutsidePrefix { name: entry.name.clone(), prefix }.into());
        };
        scan.entry(entry, name)?;
    }
    scan.literal_until(source.bytes())?;
    let trailing_bytes = source.bytes() - directory.end;
    if trailing_bytes > 0 {
        let message = format!("{trailing_bytes} bytes follow the end of the zip container");
        scan.notes.push(Note { code: "W_TRAILING_BYTES", message });
    }
    let skeleton = scan.skeleton.ok_or(TorchError::MissingEntry("data.pkl"))?;
    check_version(&scan.extras)?;
    check_byteorder(&scan.extras)?;
    let mut attributes = BTreeMap::from([
        (PREFIX.to_owned(), prefix),
        (ALIGNMENT.to_owned(), alignment(&scan.extras)?.to_string()),
    ]);
    if is_by_text(&scan.storages) {
        attributes.insert(STORAGE_ORDER.to_owned(), BY_TEXT.to_owned());
    }
    let outline = Outline {
        format,
        skeleton,
        attributes,
        extras: scan.extras,
        storages: scan.storages,
        parts: scan.parts.finish(),
    };
    Ok(Scanned { outline, spans: scan.spans, notes: scan.notes })
}

struct Scan<'a> {
    source: &'a dyn Source,
    format: Format,
    limits: &'a Limits,
    parts: Parts,
    /// Up to where the parts reach.
    offset: u64,
    skeleton: Option<Vec<u8>>,
    extras: Vec<Extra>,
    extra_bytes: u64,
    storages: Vec<Storage>,
    spans: Vec<Span>,
    notes: Vec<Note>,
}

impl Scan<'_> {
    fn entry(&mut self, entry: &Entry, name: &str) -> Result<(), FormatError> {
        self.literal_until(entry.data_offset)?;
        let part = if let Some(key) = self.storage_key(name) {
            zip::check_inflated(entry, self.limits)?;
            let id = self.storage(key, entry, entry.method == 8);
            if entry.method == 8 {
                // The deflated form is what the file is made of; the tensors look into what it inflates to.
                let form = self.storage(format!("{DEFLATED}{name}"), entry, false);
                self.parts.push(Part::Storage(form));
                self.offset = entry.data_offset + entry.stored_bytes;
                return Ok(());
            }
            Part::Storage(id)
        } else if entry.method == 0 && entry.bytes >= LARGE_EXTRA_BYTES && name != "data.pkl" {
            Part::Storage(self.storage(format!("{ATTACHED}{name}"), entry, false))
        } else if name == "data.pkl" {
            self.limits.check(Bound::SkeletonBytes, "`data.pkl`", entry.bytes.max(entry.stored_bytes))?;
            self.skeleton = Some(zip::content(self.source, entry, self.limits)?);
            Part::Skeleton
        } else {
            let most = entry.bytes.max(entry.stored_bytes);
            self.extra_bytes = self.extra_bytes.saturating_add(most);
            self.limits.check(Bound::ExtraBytes, "what lies beside the tensors", self.extra_bytes)?;
            let bytes = zip::content(self.source, entry, self.limits)?;
            self.extras.push(Extra { name: name.to_owned(), bytes });
            Part::Extra(self.extras.len() as u32 - 1)
        };
        // What is compressed comes back as it was, not compressed anew.
        if entry.method == 0 {
            self.parts.push(part);
            self.offset = entry.data_offset + entry.stored_bytes;
        }
        Ok(())
    }

    /// The key of the storage that an entry holds, if it holds one.
    fn storage_key(&self, name: &str) -> Option<String> {
        if let Some(key) = name.strip_prefix("data/") {
            return Some(key.to_owned());
        }
        if self.format == Format::TorchZip {
            return None;
        }
        // PyTorch 1.4's trial form names a storage by its address; constants are TorchScript's own.
        let key = name.strip_prefix("tensors/").map(str::to_owned);
        key.or_else(|| name.starts_with("constants/").then(|| format!("{ATTACHED}{name}")))
    }

    fn storage(&mut self, key: String, entry: &Entry, deflated: bool) -> StorageId {
        let id = StorageId(self.storages.len() as u32);
        let is_form = key.starts_with(DEFLATED);
        self.storages.push(Storage { key, bytes: if is_form { entry.stored_bytes } else { entry.bytes } });
        self.spans.push(Span {
            offset: entry.data_offset,
            bytes: entry.stored_bytes,
            crc32: (!is_form).then_some(entry.crc32),
            inflated: deflated.then_some(0),
        });
        id
    }

    fn literal_until(&mut self, end: u64) -> Result<(), FormatError> {
        let bytes = end - self.offset;
        let total = self.parts.literal_bytes().saturating_add(bytes);
        self.limits.check(Bound::LiteralBytes, "what lies between the entries", total)?;
        self.parts.literal(&read(self.source, self.offset, bytes)?);
        self.offset = end;
        Ok(())
    }
}

/// The top directory: that of the first entry.
fn prefix_of(directory: &Directory) -> Option<&str> {
    let first = directory.entries.first()?;
    first.name.split_once('/').map(|(prefix, _)| prefix)
}

/// The name below the top directory.
fn below<'a>(prefix: &str, name: &'a str) -> Option<&'a str> {
    name.strip_prefix(prefix)?.strip_prefix('/')
}

fn find<'a>(extras: &'a [Extra], name: &str) -> Option<&'a [u8]> {
    extras.iter().find(|extra| extra.name == name).map(|extra| extra.bytes.as_slice())
}

fn bad(name: &'static str, found: &[u8]) -> TorchError {
    let found = String::from_utf8_lossy(&found[..found.len().min(40)]).trim_ascii().to_owned();
    TorchError::BadEntry { name, found }
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.trim_ascii().parse().ok()
}

/// PyTorch reads versions 1 to 10 of the container (`kMinSupportedFileFormatVersion` and its maximum).
fn check_version(extras: &[Extra]) -> Result<(), TorchError> {
    let found = find(extras, "version").ok_or(TorchError::MissingEntry("version"))?;
    match number(found) {
        Some(0..=10) => Ok(()),
        _ => Err(bad("version", found)),
    }
}

fn check_byteorder(extras: &[Extra]) -> Result<(), TorchError> {
    match find(extras, "byteorder") {
        None | Some(b"little") => Ok(()),
        Some(found) => Err(bad("byteorder", found)),
    }
}

fn alignment(extras: &[Extra]) -> Result<u16, TorchError> {
    let Some(found) = find(extras, ".storage_alignment") else { return Ok(64) };
    let alignment = number(found).and_then(|alignment| u16::try_from(alignment).ok());
    alignment.filter(|&alignment| alignment > 0).ok_or_else(|| bad(".storage_alignment", found))
}

/// Whether the storages lie in the order of their keys' text where their numbers say another.
fn is_by_text(storages: &[Storage]) -> bool {
    let numbers: Option<Vec<u64>> = storages.iter().map(|storage| storage.key.parse().ok()).collect();
    numbers.is_some_and(|numbers| !numbers.is_sorted())
        && storages.is_sorted_by(|one, other| one.key < other.key)
}
