//! What follows the last chunk of an aws-chunked body: nothing, or exactly the checksum that the head announced, and its signature
//! where chunks are signed. s3s accepts an announced trailer that is not there, and any other that is.

use super::checksums::ChecksumHeader;

/// What a body's end must consist of.
#[derive(Clone, Copy, Debug)]
pub struct TrailerRules {
    /// The checksum that the head announced.
    pub checksum: Option<ChecksumHeader>,
    /// Whether chunks, and so the trailer, are signed.
    pub signed: bool,
}

/// Checks the lines behind the last chunk.
///
/// # Errors
/// What is wrong with them.
pub fn check(block: &[u8], rules: TrailerRules) -> Result<(), &'static str> {
    let (mut checksums, mut signatures) = (0, 0);
    let lines = block.split(|b| *b == b'\n');
    for line in lines.map(|l| l.strip_suffix(b"\r").unwrap_or(l)) {
        if line.is_empty() {
            continue;
        }
        let text = std::str::from_utf8(line).map_err(|_| "a trailer is not text")?;
        let (name, value) = text.split_once(':').ok_or("a trailer has no value")?;
        let name = name.to_ascii_lowercase();
        if name == "x-amz-trailer-signature" {
            signatures += 1;
            continue;
        }
        match ChecksumHeader::from_header_name(&name) {
            Some(found) if Some(found) == rules.checksum => {
                if !found.is_value(value.trim_matches([' ', '\t'])) {
                    return Err("the trailer's checksum is not a value of its algorithm");
                }
                checksums += 1;
            }
            _ => return Err("a trailer was not announced"),
        }
    }
    if checksums != usize::from(rules.checksum.is_some()) {
        return Err("the announced trailer must be there once");
    }
    if signatures != usize::from(rules.checksum.is_some() && rules.signed) {
        return Err("the trailer's signature must be there once where chunks are signed");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNSIGNED: TrailerRules = TrailerRules {
        checksum: Some(ChecksumHeader::Crc32),
        signed: false,
    };

    #[test]
    fn announced_trailer_must_be_there_once() {
        assert!(check(b"x-amz-checksum-crc32:AAAAAA==\r\n\r\n", UNSIGNED).is_ok());
        assert!(check(b"X-Amz-Checksum-CRC32: AAAAAA==\n", UNSIGNED).is_ok());
        for wrong in [
            &b""[..],
            b"\r\n",
            b"x-amz-checksum-crc32:AAAAAA==\r\nx-amz-checksum-crc32:AAAAAA==\r\n",
            b"x-amz-checksum-crc32c:AAAAAA==\r\n",
            b"x-amz-checksum-crc32:AAAA\r\n",
            b"x-amz-checksum-crc32:AAAAAA==\r\nx-amz-meta-a:1\r\n",
            b"x-amz-checksum-crc32:AAAAAA==\r\nx-amz-trailer-signature:00\r\n",
            b"x-amz-checksum-crc32\r\n",
            b"\xFF:\r\n",
        ] {
            assert!(check(wrong, UNSIGNED).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn signed_trailer_needs_its_signature() {
        let rules = TrailerRules {
            signed: true,
            ..UNSIGNED
        };
        let complete = b"x-amz-checksum-crc32:AAAAAA==\r\nx-amz-trailer-signature:00\r\n\r\n";
        assert!(check(complete, rules).is_ok());
        assert!(check(b"x-amz-checksum-crc32:AAAAAA==\r\n", rules).is_err());
    }

    #[test]
    fn unannounced_trailers_are_refused() {
        let none = TrailerRules {
            checksum: None,
            signed: true,
        };
        assert!(check(b"\r\n", none).is_ok());
        assert!(check(b"x-amz-trailer-signature:00\r\n", none).is_err());
        assert!(check(b"x-amz-checksum-crc32:AAAAAA==\r\n", none).is_err());
    }
}
