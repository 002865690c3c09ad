//! Random access to the bytes of a file.

use std::fs::File;
use std::io;
use std::sync::Arc;

use super::FormatError;

/// Random access to the bytes of one file.
pub trait Source {
    /// Length in bytes.
    fn bytes(&self) -> u64;

    /// Fills the buffer from `offset` on.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or ends before the buffer is full.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// The open file that has all the bytes at the same places, for those who read it on several threads; `None`
    /// where there is no such file.
    fn file(&self) -> Option<&Arc<File>> {
        None
    }
}

/// An open file as a [`Source`]; its length is taken when it is made.
#[derive(Debug)]
pub struct FileSource {
    file: Arc<File>,
    bytes: u64,
}

impl FileSource {
    /// Takes an open file.
    ///
    /// # Errors
    ///
    /// If its length cannot be found.
    pub fn new(file: File) -> io::Result<FileSource> {
        let bytes = file.metadata()?.len();
        Ok(FileSource { file: Arc::new(file), bytes })
    }
}

impl Source for FileSource {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    #[cfg(unix)]
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self.file.as_ref(), buffer, offset)
    }

    #[cfg(not(unix))]
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        use std::io::{Read, Seek, SeekFrom};
        let mut file = self.file.as_ref();
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(buffer)
    }

    fn file(&self) -> Option<&Arc<File>> {
        Some(&self.file)
    }
}

impl Source for &[u8] {
    fn bytes(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let found = usize::try_from(offset)
            .ok()
            .and_then(|start| self.get(start..start.checked_add(buffer.len())?))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(found);
        Ok(())
    }
}

impl Source for Vec<u8> {
    fn bytes(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.as_slice().read_at(offset, buffer)
    }
}

/// A part of a source as one of its own.
pub(super) struct Window<'a> {
    source: &'a dyn Source,
    offset: u64,
    bytes: u64,
}

impl<'a> Window<'a> {
    /// The part from `offset` on, which the caller found to lie within the source.
    pub fn new(source: &'a dyn Source, offset: u64, bytes: u64) -> Window<'a> {
        Window { source, offset, bytes }
    }
}

impl Source for Window<'_> {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64).filter(|end| *end <= self.bytes);
        end.ok_or(io::ErrorKind::UnexpectedEof)?;
        self.source.read_at(self.offset + offset, buffer)
    }
}

/// Reads `bytes` bytes from `offset` on, which the caller found to lie within the file and a limit.
pub(super) fn read(source: &dyn Source, offset: u64, bytes: u64) -> Result<Vec<u8>, FormatError> {
    let failed = |source| FormatError::Read { offset, source };
    if offset.checked_add(bytes).is_none_or(|end| end > source.bytes()) {
        return Err(failed(io::ErrorKind::UnexpectedEof.into()));
    }
    let mut buffer = vec![0; usize::try_from(bytes).map_err(|_| failed(io::ErrorKind::OutOfMemory.into()))?];
    source.read_at(offset, &mut buffer).map_err(failed)?;
    Ok(buffer)
}
