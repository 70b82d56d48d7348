//! The bytes of a backup (`docs/format.md`, key store backups): a label, records, and an end that sums them up.

use sha2::{Digest, Sha256};

use super::bodies::{decode, encode};
use crate::store::Record;

pub(crate) const EXTENSION: &str = ".lethe-keys";

const LABEL: &[u8; 16] = b"lethe/v1/keys\0\0\0";

/// The longest record: a move of the root with as many victims as there may be.
const RECORD_BYTES_MAX: usize = 1 << 20;

/// What is wrong with a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormatError {
    #[error("it is no key store backup of this version")]
    Label,
    #[error("it ends before its end")]
    Truncated,
    #[error("a record is damaged")]
    Record,
    #[error("its digest or its counts do not match its contents")]
    Sum,
}

/// Encodes a backup piece by piece.
pub(crate) struct Encoder {
    bytes: Vec<u8>,
    sum: Sha256,
    pub(crate) nodes: u64,
    pub(crate) keks: u64,
    pub(crate) length: u64,
}

impl Encoder {
    pub(crate) fn new() -> Self {
        Self {
            bytes: LABEL.to_vec(),
            sum: Sha256::new(),
            nodes: 0,
            keks: 0,
            length: 0,
        }
    }

    /// `false` when the record is too long to be one.
    #[must_use]
    pub(crate) fn push(&mut self, record: &Record) -> bool {
        match record {
            Record::Node(_) => self.nodes += 1,
            Record::Kek(_) => self.keks += 1,
            _ => {}
        }
        let (kind, body) = encode(record);
        self.frame(kind, &body)
    }

    fn frame(&mut self, kind: u8, body: &[u8]) -> bool {
        let Ok(length) = u32::try_from(body.len()) else {
            return false;
        };
        self.bytes.push(kind);
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(body);
        body.len() <= RECORD_BYTES_MAX
    }

    /// What has been encoded since the last time.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let bytes = std::mem::take(&mut self.bytes);
        self.sum.update(&bytes);
        self.length += bytes.len() as u64;
        bytes
    }

    /// The last bytes, and the SHA-256 of the whole file.
    pub(crate) fn finish(mut self) -> (Vec<u8>, [u8; 32], u64) {
        let mut last = self.take();
        let mut body = self.sum.clone().finalize().to_vec();
        body.extend_from_slice(&self.nodes.to_be_bytes());
        body.extend_from_slice(&self.keks.to_be_bytes());
        let _fits = self.frame(END, &body);
        last.extend(self.take());
        let length = self.length;
        (last, self.sum.finalize().into(), length)
    }
}

/// Decodes a backup from pieces of any length.
pub(crate) struct Decoder {
    bytes: Vec<u8>,
    at: usize,
    labelled: bool,
    ended: bool,
    sum: Sha256,
    file: Sha256,
    pub(crate) nodes: u64,
    pub(crate) keks: u64,
}

impl Decoder {
    pub(crate) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            at: 0,
            labelled: false,
            ended: false,
            sum: Sha256::new(),
            file: Sha256::new(),
            nodes: 0,
            keks: 0,
        }
    }

    /// Takes a piece and answers the records that are complete with it.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<Vec<Record>, FormatError> {
        self.file.update(piece);
        self.bytes.drain(..self.at);
        self.at = 0;
        self.bytes.extend_from_slice(piece);
        if !self.labelled {
            let Some(label) = self.bytes.first_chunk::<16>() else {
                return Ok(Vec::new());
            };
            if label != LABEL {
                return Err(FormatError::Label);
            }
            self.sum.update(label);
            self.labelled = true;
            self.at = LABEL.len();
        }
        let mut records = Vec::new();
        while let Some((kind, frame)) = self.frame()? {
            let body = &self.bytes[self.at + FRAME_BYTES..self.at + frame];
            if kind == END {
                self.check_end(body)?;
                self.ended = true;
            } else {
                let record = decode(kind, body).ok_or(FormatError::Record)?;
                match record {
                    Record::Node(_) => self.nodes += 1,
                    Record::Kek(_) => self.keks += 1,
                    _ => {}
                }
                records.push(record);
                self.sum.update(&self.bytes[self.at..self.at + frame]);
            }
            self.at += frame;
        }
        Ok(records)
    }

    /// The next frame's kind and whole length, if it is there.
    fn frame(&self) -> Result<Option<(u8, usize)>, FormatError> {
        let rest = &self.bytes[self.at..];
        if self.ended {
            // Whatever comes behind the end is not summed.
            return if rest.is_empty() {
                Ok(None)
            } else {
                Err(FormatError::Record)
            };
        }
        let Some((kind, rest)) = rest.split_first() else {
            return Ok(None);
        };
        let Some(length) = rest.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length) as usize;
        if length > RECORD_BYTES_MAX {
            return Err(FormatError::Record);
        }
        Ok((rest.len() >= 4 + length).then_some((*kind, FRAME_BYTES + length)))
    }

    fn check_end(&self, body: &[u8]) -> Result<(), FormatError> {
        let mut expected = self.sum.clone().finalize().to_vec();
        expected.extend_from_slice(&self.nodes.to_be_bytes());
        expected.extend_from_slice(&self.keks.to_be_bytes());
        if body == expected {
            Ok(())
        } else {
            Err(FormatError::Sum)
        }
    }

    /// The SHA-256 of the whole file, when it had its end.
    pub(crate) fn finish(self) -> Result<[u8; 32], FormatError> {
        if self.ended {
            Ok(self.file.finalize().into())
        } else {
            Err(FormatError::Truncated)
        }
    }
}

const FRAME_BYTES: usize = 5;
const END: u8 = 255;
