//! Bodies as they look through a fault.

use super::Fault;
use crate::region::{Body, BodyError, ByteStream, StoredObject};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;

fn flip(chunk: Bytes, chunk_first: u64, at: u64) -> Bytes {
    let inside = at
        .checked_sub(chunk_first)
        .and_then(|offset| usize::try_from(offset).ok())
        .filter(|offset| *offset < chunk.len());
    let Some(offset) = inside else {
        return chunk;
    };
    let mut changed = BytesMut::from(chunk.as_ref());
    if let Some(byte) = changed.get_mut(offset) {
        *byte ^= 1;
    }
    changed.freeze()
}

fn flip_stream(stream: ByteStream, at: u64) -> ByteStream {
    let mut first = 0;
    stream
        .map(move |item| {
            item.map(|chunk| {
                let chunk_bytes = chunk.len() as u64;
                let chunk = flip(chunk, first, at);
                first += chunk_bytes;
                chunk
            })
        })
        .boxed()
}

pub(super) fn flip_body(body: Body, fault: Option<Fault>) -> Body {
    match (fault, body) {
        (Some(Fault::FlippedByte { at }), Body::Replayable(bytes)) => {
            Body::Replayable(flip(bytes, 0, at))
        }
        (Some(Fault::FlippedByte { at }), Body::Once(stream)) => {
            Body::Once(flip_stream(stream, at))
        }
        (_, body) => body,
    }
}

/// The first `bytes` bytes of a stream, then `end`.
fn cut(stream: ByteStream, bytes: u64, end: Option<BodyError>) -> ByteStream {
    let head = stream.scan(bytes, |left, item| {
        let passed = match item {
            _ if *left == 0 => None,
            Err(error) => {
                *left = 0;
                Some(Err(error))
            }
            Ok(mut chunk) => {
                chunk.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= chunk.len() as u64;
                Some(Ok(chunk))
            }
        };
        std::future::ready(passed)
    });
    head.chain(futures::stream::iter(end.map(Err))).boxed()
}

/// A stored object as it looks through a fault.
pub(super) fn distort(mut object: StoredObject, fault: Option<Fault>) -> StoredObject {
    object.body = match fault {
        Some(Fault::ClosesMidBody { after_bytes }) => {
            cut(object.body, after_bytes, Some(BodyError::Incomplete))
        }
        Some(Fault::WrongLength { by_bytes }) if by_bytes < 0 => {
            let bytes = object.body_bytes.saturating_add_signed(by_bytes);
            cut(object.body, bytes, None)
        }
        Some(Fault::WrongLength { by_bytes }) => {
            let zeros = Bytes::from(vec![0; usize::try_from(by_bytes).unwrap_or(0)]);
            let zeros = futures::stream::iter([Ok(zeros)]);
            object.body.chain(zeros).boxed()
        }
        Some(Fault::FlippedByte { at }) => flip_stream(object.body, at),
        _ => object.body,
    };
    object
}

/// Takes what a store takes of a body before the connection breaks.
pub(super) async fn take(body: Body, bytes: u64) {
    if let Body::Once(mut stream) = body {
        let mut taken = 0;
        while taken < bytes {
            match stream.next().await {
                Some(Ok(chunk)) => taken += chunk.len() as u64,
                _ => break,
            }
        }
    }
}
