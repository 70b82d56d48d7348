//! The framing of aws-chunked bodies, checked before s3s reads them. s3s holds a whole chunk of up to 4 GiB in memory, reads only
//! the first eight digits of a size, takes an end between two chunks for the body's end, and does not compare the sum with the
//! declared length.
//!
//! Signed chunks are passed on as they are, bounded in size. Unsigned ones are framed anew in the pieces that arrive, because
//! clients send whole objects as one chunk there, and nothing covers the boundaries.

use super::payload::{Form, Payload};
use super::trailer::{self, TrailerRules};
use bytes::{Buf, Bytes};
use std::collections::VecDeque;

/// Longest chunk line: 16 digits, the extension, 64 digits, CRLF.
const LINE_BYTES_MAX: usize = 128;

/// Most bytes behind the last chunk.
const TAIL_BYTES_MAX: usize = 4096;

const CRLF: &[u8] = b"\r\n";

/// What is wrong with the framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// The chunks have fewer or more bytes than declared, or the body ended between or within them.
    #[error("the chunks do not have the length that was declared")]
    Length,
    /// The bytes are not aws-chunked.
    #[error("the body is not aws-chunked: {0}")]
    Malformed(&'static str),
}

#[derive(Debug)]
enum State {
    /// Within a chunk's line.
    Line(Vec<u8>),
    /// Within a chunk's bytes, so many left.
    Data(u64),
    /// Behind a chunk's bytes, so many bytes of CRLF seen.
    DataEnd(usize),
    /// Behind the last chunk's line, which is kept with what follows.
    Tail { line: Bytes, block: Vec<u8> },
}

/// Follows one body's framing.
#[derive(Debug)]
pub struct ChunkedFraming {
    state: State,
    rules: TrailerRules,
    decoded_bytes_left: u64,
    signed_chunk_bytes_max: u64,
}

impl ChunkedFraming {
    /// The framing of a payload, if it has one.
    #[must_use]
    pub fn of(payload: &Payload, signed_chunk_bytes_max: u64) -> Option<Self> {
        let rules = match payload.form {
            Form::Unsigned | Form::Hashed(_) => return None,
            Form::SignedChunks { trailer } => TrailerRules {
                checksum: trailer,
                signed: true,
            },
            Form::UnsignedChunks { trailer } => TrailerRules {
                checksum: Some(trailer),
                signed: false,
            },
        };
        Some(Self {
            state: State::Line(Vec::new()),
            rules,
            decoded_bytes_left: payload.declared_bytes.unwrap_or(0),
            signed_chunk_bytes_max,
        })
    }

    /// Follows some more bytes, and appends what s3s may read.
    ///
    /// # Errors
    /// [`FramingError`]: the body must end with an error here, and nothing more may be pushed.
    pub fn push(
        &mut self,
        mut input: Bytes,
        out: &mut VecDeque<Bytes>,
    ) -> Result<(), FramingError> {
        while !input.is_empty() {
            match &mut self.state {
                State::Line(line) => {
                    let end = input.iter().position(|b| *b == b'\n').map(|i| i + 1);
                    let piece = input.split_to(end.unwrap_or(input.len()));
                    if line.len() + piece.len() > LINE_BYTES_MAX {
                        return Err(FramingError::Malformed("a chunk's line is too long"));
                    }
                    line.extend_from_slice(&piece);
                    if end.is_some() {
                        let line = Bytes::from(std::mem::take(line));
                        self.begin_chunk(line, out)?;
                    }
                }
                State::Data(left) => {
                    let fits = usize::try_from(*left)
                        .unwrap_or(usize::MAX)
                        .min(input.len());
                    let piece = input.split_to(fits);
                    *left -= fits as u64;
                    let is_whole = *left == 0;
                    self.pass_on(piece, out);
                    if is_whole {
                        self.state = State::DataEnd(0);
                    }
                }
                State::DataEnd(seen) => {
                    if CRLF.get(*seen) != Some(&input.get_u8()) {
                        return Err(FramingError::Malformed(
                            "a chunk does not end where it should",
                        ));
                    }
                    *seen += 1;
                    if *seen == CRLF.len() {
                        if self.rules.signed {
                            out.push_back(Bytes::from_static(CRLF));
                        }
                        self.state = State::Line(Vec::new());
                    }
                }
                State::Tail { block, .. } => {
                    if block.len() + input.len() > TAIL_BYTES_MAX {
                        return Err(FramingError::Malformed("the trailer is too long"));
                    }
                    block.extend_from_slice(&input);
                    input.clear();
                }
            }
        }
        Ok(())
    }

    /// The body's end: appends the last chunk and the trailer, which s3s gets only now.
    ///
    /// # Errors
    /// [`FramingError`] when the body must not end here, or not like this.
    pub fn finish(&mut self, out: &mut VecDeque<Bytes>) -> Result<(), FramingError> {
        let State::Tail { line, block } = &mut self.state else {
            return Err(FramingError::Length);
        };
        trailer::check(block, self.rules).map_err(FramingError::Malformed)?;
        out.push_back(std::mem::take(line));
        if !block.is_empty() {
            out.push_back(Bytes::from(std::mem::take(block)));
        }
        Ok(())
    }

    fn begin_chunk(&mut self, line: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), FramingError> {
        let size = chunk_bytes(&line, self.rules.signed)
            .ok_or(FramingError::Malformed("a chunk's line is not one"))?;
        self.decoded_bytes_left = self
            .decoded_bytes_left
            .checked_sub(size)
            .ok_or(FramingError::Length)?;
        if size == 0 {
            if self.decoded_bytes_left != 0 {
                return Err(FramingError::Length);
            }
            let block = Vec::new();
            self.state = State::Tail { line, block };
            return Ok(());
        }
        if self.rules.signed {
            if size > self.signed_chunk_bytes_max {
                return Err(FramingError::Malformed("a signed chunk is too large"));
            }
            out.push_back(line);
        }
        self.state = State::Data(size);
        Ok(())
    }

    fn pass_on(&self, piece: Bytes, out: &mut VecDeque<Bytes>) {
        if self.rules.signed {
            out.push_back(piece);
        } else {
            out.push_back(Bytes::from(format!("{:x}\r\n", piece.len())));
            out.push_back(piece);
            out.push_back(Bytes::from_static(CRLF));
        }
    }
}

/// The size on a chunk's line: `<hex>CRLF` or `<hex>;chunk-signature=<64 hex>CRLF`.
fn chunk_bytes(line: &[u8], signed: bool) -> Option<u64> {
    let text = std::str::from_utf8(line.strip_suffix(CRLF)?).ok()?;
    let digits = if signed {
        let (digits, signature) = text.split_once(";chunk-signature=")?;
        let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if signature.len() != 64 || !signature.bytes().all(is_hex) {
            return None;
        }
        digits
    } else {
        text
    };
    // s3s reads eight digits: signed sizes are bounded below that, unsigned ones are written anew.
    let digits_max = if signed { 8 } else { 16 };
    if !(1..=digits_max).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::super::checksums::ChecksumHeader;
    use super::*;
    use proptest::prelude::*;

    const UNSIGNED: Form = Form::UnsignedChunks {
        trailer: ChecksumHeader::Crc32,
    };
    const SIGNED: Form = Form::SignedChunks { trailer: None };
    const TRAILER: &str = "x-amz-checksum-crc32:AAAAAA==\r\n\r\n";

    fn framing(form: Form, declared_bytes: u64) -> ChunkedFraming {
        let payload = Payload {
            form,
            declared_bytes: Some(declared_bytes),
            streams_object: true,
        };
        ChunkedFraming::of(&payload, 100).unwrap()
    }

    /// Pushes a body in pieces and gives what s3s would read.
    fn run(form: Form, declared: u64, body: &[u8], piece: usize) -> Result<Vec<u8>, FramingError> {
        let mut framing = framing(form, declared);
        let mut out = VecDeque::new();
        for piece in body.chunks(piece.max(1)) {
            framing.push(Bytes::copy_from_slice(piece), &mut out)?;
        }
        framing.finish(&mut out)?;
        Ok(out.iter().flatten().copied().collect())
    }

    fn signed(size: &str, data: &str) -> String {
        format!("{size};chunk-signature={}\r\n{data}\r\n", "0".repeat(64))
    }

    #[test]
    fn signed_body_is_passed_on_as_it_is() {
        let body = signed("3", "abc") + &signed("02", "de") + &signed("0", "");
        for piece in [1, 2, 7, 1000] {
            let passed = run(SIGNED, 5, body.as_bytes(), piece).unwrap();
            assert_eq!(passed, body.as_bytes());
        }
    }

    #[test]
    fn unsigned_body_is_framed_in_the_pieces_that_arrive() {
        let body = format!("5\r\nabcde\r\n0\r\n{TRAILER}");
        let passed = run(UNSIGNED, 5, body.as_bytes(), 1000).unwrap();
        assert_eq!(passed, body.as_bytes());
        let passed = run(UNSIGNED, 5, body.as_bytes(), 3).unwrap();
        let expected = format!("3\r\nabc\r\n2\r\nde\r\n0\r\n{TRAILER}");
        assert_eq!(String::from_utf8(passed).unwrap(), expected);
    }

    #[test]
    fn huge_unsigned_chunk_is_passed_on_without_being_held() {
        let mut framing = framing(UNSIGNED, 1 << 40);
        let mut out = VecDeque::new();
        let line = Bytes::from_static(b"10000000000\r\nabc");
        framing.push(line, &mut out).unwrap();
        let passed: Vec<u8> = out.iter().flatten().copied().collect();
        assert_eq!(passed, b"3\r\nabc\r\n");
    }

    #[test]
    fn end_between_or_within_chunks_is_an_error() {
        for body in [
            "",
            "5\r\nabcde\r\n",
            "5\r\nabcde",
            "5\r\nab",
            "5\r\nabcde\r\n0",
            "5",
        ] {
            let ended = run(UNSIGNED, 5, body.as_bytes(), 4);
            assert_eq!(ended, Err(FramingError::Length), "{body:?}");
        }
        let without_last = signed("3", "abc");
        let ended = run(SIGNED, 3, without_last.as_bytes(), 100);
        assert_eq!(ended, Err(FramingError::Length));
    }

    #[test]
    fn sum_of_chunks_must_be_the_declared_length() {
        let body = format!("5\r\nabcde\r\n0\r\n{TRAILER}");
        for declared in [0, 4, 6] {
            let ended = run(UNSIGNED, declared, body.as_bytes(), 100);
            assert_eq!(ended, Err(FramingError::Length), "{declared}");
        }
        let mut out = VecDeque::new();
        let early = framing(UNSIGNED, 4).push(Bytes::from(body), &mut out);
        assert_eq!(early, Err(FramingError::Length));
        assert!(out.is_empty(), "refused before a byte of the chunk");
    }

    #[test]
    fn oversized_signed_chunk_is_refused() {
        let body = signed("65", &"a".repeat(101));
        let ended = run(SIGNED, 101, body.as_bytes(), 1000);
        assert!(matches!(ended, Err(FramingError::Malformed(_))));
    }

    #[test]
    fn malformed_lines_are_refused() {
        for line in [
            "\r\n",
            "5\n",
            "0x5\r\n",
            "+5\r\n",
            "5 \r\n",
            "5;a=b\r\n",
            "g\r\n",
            "00000000000000005\r\n",
            "5\r\nabcdeX\r\n",
        ] {
            let ended = run(UNSIGNED, 5, line.as_bytes(), 100);
            assert!(matches!(ended, Err(FramingError::Malformed(_))), "{line:?}");
        }
        for line in [
            "5\r\n",
            "5;chunk-signature=00\r\n",
            "000000005;chunk-signature=",
        ] {
            let line = format!("{line}{}\r\n", "0".repeat(64));
            let ended = run(SIGNED, 5, line.as_bytes(), 100);
            assert!(matches!(ended, Err(FramingError::Malformed(_))), "{line:?}");
        }
        let endless = run(UNSIGNED, 5, &[b'0'; 1000], 10);
        assert!(matches!(endless, Err(FramingError::Malformed(_))));
    }

    #[test]
    fn missing_trailer_is_refused_before_the_last_chunk_is_passed_on() {
        let mut framing = framing(UNSIGNED, 1);
        let mut out = VecDeque::new();
        let body = Bytes::from_static(b"1\r\na\r\n0\r\n\r\n");
        framing.push(body, &mut out).unwrap();
        assert!(framing.finish(&mut out).is_err());
        let passed: Vec<u8> = out.iter().flatten().copied().collect();
        assert_eq!(passed, b"1\r\na\r\n");
    }

    proptest! {
        #[test]
        fn framing_never_panics_and_never_passes_on_too_much(
            body in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'0'), Just(b'3'), any::<u8>()], 0..200),
            declared in 0u64..50,
            piece in 1usize..20,
        ) {
            let _ = run(SIGNED, declared, &body, piece);
            if let Ok(passed) = run(UNSIGNED, declared, &body, piece) {
                prop_assert!(passed.len() as u64 >= declared);
            }
        }

        #[test]
        fn any_split_of_an_unsigned_body_passes(chunks in proptest::collection::vec(1usize..40, 0..6), piece in 1usize..60) {
            let mut body = String::new();
            for size in &chunks {
                body += &format!("{size:x}\r\n{}\r\n", "q".repeat(*size));
            }
            body += &format!("0\r\n{TRAILER}");
            let declared = chunks.iter().sum::<usize>() as u64;
            let passed = run(UNSIGNED, declared, body.as_bytes(), piece).unwrap();
            let data = passed.iter().filter(|b| **b == b'q').count() as u64;
            prop_assert_eq!(data, declared);
        }
    }
}
