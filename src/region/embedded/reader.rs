//! Streams a body's bytes from its files.

use super::super::{BodyError, ByteStream, RegionError};
use super::bodies::{BodyFiles, Pin, disk_reason};
use super::rows::Extent;
use bytes::Bytes;
use futures::StreamExt;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

/// Bytes in one chunk of the stream at most, and in memory for one reader.
const CHUNK_BYTES: u64 = 256 * 1024;

/// Why a file of the body could not be read.
#[derive(Debug)]
pub(super) enum ReadFailure {
    /// The file is not there.
    Gone,
    /// The file has fewer bytes than the index says.
    Short,
    /// The disk failed.
    Io(io::Error),
}

impl ReadFailure {
    pub(super) fn into_region(self, operation: &'static str) -> RegionError {
        let lying = |reason: &str| RegionError::Lying {
            operation,
            reason: reason.to_owned(),
        };
        match self {
            Self::Gone => lying("a body file is missing"),
            Self::Short => lying("a body file is shorter than it was written"),
            Self::Io(error) => RegionError::Unavailable {
                operation,
                reason: disk_reason(&error),
            },
        }
    }
}

/// What of a body is still to be read.
pub(super) struct BodyReader {
    bodies: Arc<BodyFiles>,
    /// The first one is open when `file` is.
    extents: VecDeque<Extent>,
    file: Option<File>,
    /// Keeps the files that are not open yet.
    _pin: Option<Pin>,
}

impl BodyReader {
    /// Opens the first file; `pin` holds the others. Blocks on the disk.
    pub(super) fn open(
        bodies: Arc<BodyFiles>,
        extents: Vec<Extent>,
        pin: Option<Pin>,
    ) -> Result<Self, ReadFailure> {
        let mut reader = Self {
            bodies,
            extents: extents.into(),
            file: None,
            _pin: pin,
        };
        reader.open_first()?;
        Ok(reader)
    }

    fn open_first(&mut self) -> Result<(), ReadFailure> {
        let Some(extent) = self.extents.front() else {
            return Ok(());
        };
        let mut file = File::open(self.bodies.path(&extent.file)).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                ReadFailure::Gone
            } else {
                ReadFailure::Io(error)
            }
        })?;
        let file_bytes = file.metadata().map_err(ReadFailure::Io)?.len();
        if file_bytes < extent.first.saturating_add(extent.bytes) {
            return Err(ReadFailure::Short);
        }
        if extent.first > 0 {
            file.seek(SeekFrom::Start(extent.first))
                .map_err(ReadFailure::Io)?;
        }
        self.file = Some(file);
        Ok(())
    }

    /// The next chunk; none at the end. Blocks on the disk.
    pub(super) fn chunk(&mut self) -> Result<Option<Bytes>, ReadFailure> {
        loop {
            let Some(extent) = self.extents.front().copied() else {
                return Ok(None);
            };
            if extent.bytes == 0 {
                self.extents.pop_front();
                self.file = None;
                continue;
            }
            if self.file.is_none() {
                self.open_first()?;
            }
            let Some(file) = &mut self.file else {
                return Err(ReadFailure::Gone);
            };
            let take = extent.bytes.min(CHUNK_BYTES);
            let mut chunk = Vec::with_capacity(usize::try_from(take).unwrap_or(0));
            file.take(take)
                .read_to_end(&mut chunk)
                .map_err(ReadFailure::Io)?;
            if chunk.len() as u64 != take {
                return Err(ReadFailure::Short);
            }
            if let Some(front) = self.extents.front_mut() {
                front.first += take;
                front.bytes -= take;
            }
            return Ok(Some(chunk.into()));
        }
    }

    /// `first_chunk`, then the rest, each chunk read off the async threads when it is asked for.
    pub(super) fn into_stream(self, first_chunk: Option<Bytes>) -> ByteStream {
        let rest = futures::stream::try_unfold(self, |mut reader| async move {
            let deadline = reader.bodies.step_deadline;
            let read = tokio::task::spawn_blocking(move || {
                let chunk = reader.chunk();
                (reader, chunk)
            });
            let failed = |error: RegionError| BodyError::Source(Arc::new(error));
            let late = |reason: &str| RegionError::Unavailable {
                operation: "get",
                reason: reason.to_owned(),
            };
            let (reader, chunk) = tokio::time::timeout(deadline, read)
                .await
                .map_err(|_| failed(late("the disk took too long")))?
                .map_err(|_| failed(late("the disk's thread ended")))?;
            let chunk = chunk.map_err(|failure| failed(failure.into_region("get")))?;
            Ok(chunk.map(|chunk| (chunk, reader)))
        });
        futures::stream::iter(first_chunk.map(Ok))
            .chain(rest)
            .boxed()
    }
}
