//! Streams with their checksum behind them: `aws-chunked` with one chunk and one trailer, signed as
//! `STREAMING-UNSIGNED-PAYLOAD-TRAILER`. A stream's checksum is not known before its end, and AWS refuses a PUT under object lock
//! without one.

use super::CRC64NVME;
use super::errors::Call;
use super::lean::Template;
use crate::region::{ByteStream, RegionError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, TryStreamExt as _, stream};

/// Bytes of a CRC-64 in base64.
const VALUE_BYTES: u64 = 12;

fn head(stored_bytes: u64) -> String {
    format!("{stored_bytes:x}\r\n")
}

fn tail(value: &str) -> String {
    format!("\r\n0\r\n{CRC64NVME}:{value}\r\n\r\n")
}

/// Length of the whole body of a chunk of `stored_bytes`.
fn encoded_bytes(stored_bytes: u64) -> u64 {
    let around = head(stored_bytes).len() + tail("").len();
    stored_bytes + around as u64 + VALUE_BYTES
}

/// The request and the body that carry `stored_bytes` (at least 1) of `body`, and that body's length.
///
/// Nothing of the end is sent unless the source ended well, and the first bytes only go with the source's own first ones.
pub(super) fn with_trailer(
    call: Call,
    template: Template,
    body: ByteStream,
    stored_bytes: u64,
) -> Result<(Template, ByteStream, u64), RegionError> {
    with_trailer_claiming(call, template, body, stored_bytes, |crc| crc)
}

/// As [`with_trailer`], with the checksum that `claim` makes of the right one (`region check`).
pub(super) fn with_trailer_claiming(
    call: Call,
    template: Template,
    body: ByteStream,
    stored_bytes: u64,
    claim: fn(u64) -> u64,
) -> Result<(Template, ByteStream, u64), RegionError> {
    let mut template = template
        .header(call, "content-encoding", "aws-chunked")?
        .header(call, "x-amz-trailer", CRC64NVME.as_str())?
        .header(
            call,
            "x-amz-decoded-content-length",
            &stored_bytes.to_string(),
        )?;
    template.has_trailer = true;
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Nvme);
    let mut opening = Some(head(stored_bytes));
    // `Some` is data, `None` is the source's good end.
    let marked = body.map_ok(Some).chain(stream::iter([Ok(None)]));
    let encoded = marked.map_ok(move |piece| match piece {
        Some(data) if data.is_empty() => data,
        Some(data) => {
            digest.update(&data);
            match opening.take() {
                Some(opening) => {
                    let mut first = BytesMut::with_capacity(opening.len() + data.len());
                    first.extend_from_slice(opening.as_bytes());
                    first.extend_from_slice(&data);
                    first.freeze()
                }
                None => data,
            }
        }
        None => Bytes::from(tail(
            &STANDARD.encode(claim(digest.finalize()).to_be_bytes()),
        )),
    });
    Ok((template, encoded.boxed(), encoded_bytes(stored_bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::region::{BodyError, Missing};
    use http::Method;

    fn wrapped(pieces: Vec<Result<Bytes, BodyError>>, stored_bytes: u64) -> (ByteStream, u64) {
        let call = Call::write("put", Missing::Bucket);
        let template = Template::new(Method::PUT, "b", Some("k"));
        let body = stream::iter(pieces).boxed();
        let (_, body, bytes) = with_trailer(call, template, body, stored_bytes).unwrap();
        (body, bytes)
    }

    #[tokio::test]
    async fn stream_is_one_chunk_with_its_checksum_behind_it() {
        // CRC-64/NVME of "123456789" is AE8B14860A799888 in the catalogue of parametrised CRC algorithms.
        let pieces = ["1234", "", "56789"].map(|piece| Ok(Bytes::from_static(piece.as_bytes())));
        let (body, bytes) = wrapped(pieces.into(), 9);
        let sent: Vec<Bytes> = body.try_collect().await.unwrap();
        assert_eq!(
            sent[0],
            &b"9\r\n1234"[..],
            "the head leaves with data behind it"
        );
        let sent = sent.concat();
        assert_eq!(sent.len() as u64, bytes);
        let text = String::from_utf8(sent).unwrap();
        assert_eq!(
            text,
            "9\r\n123456789\r\n0\r\nx-amz-checksum-crc64nvme:rosUhgp5mIg=\r\n\r\n"
        );
    }

    #[tokio::test]
    async fn stream_that_fails_has_no_end() {
        let pieces = vec![
            Ok(Bytes::from_static(b"1234")),
            Err(BodyError::Incomplete),
            Ok(Bytes::from_static(b"56789")),
        ];
        let (mut body, _) = wrapped(pieces, 9);
        assert_eq!(body.next().await.unwrap().unwrap(), &b"9\r\n1234"[..]);
        assert!(body.next().await.unwrap().is_err());
    }
}
