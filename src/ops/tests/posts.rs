use super::client::{Client, MIB, STREAMED, key, plain, stream};
use crate::ops::checksum::Declared;
use crate::ops::error::{Code, OpError};
use crate::ops::post_object::{PART_BYTES, PostObject, post_object};
use crate::ops::put_object::PutAnswer;
use crate::ops::testing::Testbed;
use crate::region::BodyError;
use crate::region::faulty::{Fault, Op};
use futures::StreamExt as _;
use lethe_envelope::ObjectMetadata;

const PIECE: usize = PART_BYTES as usize;

fn posting(body: crate::ops::sealing::PlainStream, headers: &[(&'static str, &str)]) -> PostObject {
    let headers = headers
        .iter()
        .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
        .collect();
    PostObject {
        lock: crate::region::ObjectLock::default(),
        customer_key: None,
        key: key("k"),
        metadata: ObjectMetadata::default(),
        tags: Vec::new(),
        declared: Declared::from_headers(&headers).unwrap(),
        body,
    }
}

async fn post(acme: &Client<'_>, post: PostObject) -> Result<PutAnswer, OpError> {
    post_object(&acme.bed.gateway, &acme.scope, post).await
}

/// Neither an upload nor a spooled piece of one.
async fn nothing_is_left(acme: &Client<'_>) {
    let open = crate::ops::multipart::list_uploads(&acme.scope, "", None, 10);
    assert!(open.await.unwrap().uploads.is_empty());
    assert_eq!(acme.spooled().await, 0);
}

#[tokio::test]
async fn post_of_any_length_reads_back() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    for bytes in [
        0,
        1,
        MIB,
        STREAMED,
        PIECE - 1,
        PIECE,
        PIECE + 1,
        2 * PIECE,
        2 * PIECE + 6 * MIB,
    ] {
        let body = plain(bytes as u64, bytes);
        let answer = post(&acme, posting(stream(body.clone()), &[]))
            .await
            .unwrap();
        let head = acme.head("k").await.unwrap();
        assert_eq!(answer.etag, head.object.client_etag(), "{bytes}");
        assert!(acme.found("k").await == Some(body), "{bytes}");
        nothing_is_left(&acme).await;
    }
}

#[tokio::test]
async fn post_whose_body_fails_leaves_the_old_object_and_nothing_else() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let old = plain(1, 100);
    acme.put("k", &old).await.unwrap();
    for bytes in [0, 10, STREAMED, PIECE, PIECE + 1, 2 * PIECE + 10] {
        let broken = futures::stream::iter([Err(BodyError::Incomplete)]);
        let body = stream(plain(2, bytes)).chain(broken).boxed();
        let refused = post(&acme, posting(body, &[])).await.err().unwrap();
        assert_eq!(refused.code(), Code::IncompleteBody, "{bytes}");
        assert_eq!(acme.found("k").await, Some(old.clone()), "{bytes}");
        nothing_is_left(&acme).await;
    }
}

#[tokio::test]
async fn post_whose_part_or_completion_fails_leaves_nothing() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    for op in [Op::CreateUpload, Op::UploadPart, Op::CompleteUpload] {
        bed.store.fail_next(op, Fault::Failed);
        let body = stream(plain(3, 2 * PIECE + 6 * MIB));
        assert!(post(&acme, posting(body, &[])).await.is_err(), "{op:?}");
        bed.store.heal();
        assert_eq!(acme.found("k").await, None, "{op:?}");
        nothing_is_left(&acme).await;
    }
}

#[tokio::test]
async fn post_with_another_digest_than_declared_is_refused_and_stores_nothing() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let sha256 = (
        "x-amz-checksum-sha256",
        "A6xUeVmXpvVjUlUJxZNbMuzUeVZQhXrQ7wR6qAgqYxI=",
    );
    for declared in [
        ("content-md5", "XrY7u+Ae7tCTyyK7j1rNww=="),
        ("x-amz-checksum-crc32", "AAAAAA=="),
        sha256,
    ] {
        for bytes in [10, STREAMED, PIECE + 10] {
            let body = stream(plain(4, bytes));
            let refused = post(&acme, posting(body, &[declared])).await.err().unwrap();
            assert_eq!(refused.code(), Code::BadDigest, "{declared:?} {bytes}");
            assert_eq!(acme.found("k").await, None);
            nothing_is_left(&acme).await;
        }
    }
}

#[tokio::test]
async fn post_with_the_right_digest_keeps_a_checksum_that_parts_can_make() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    for bytes in [10, PIECE + 10] {
        let body = plain(5, bytes);
        let crc32 = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, &body);
        let crc32 = u32::try_from(crc32).unwrap().to_be_bytes();
        let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, crc32);
        let declared = [("x-amz-checksum-crc32", text.as_str())];
        let answer = post(&acme, posting(stream(body.clone()), &declared))
            .await
            .unwrap();
        assert_eq!(answer.checksum.unwrap().value, crc32, "{bytes}");
        let request = crate::ops::read_object::ReadRequest {
            with_checksum: true,
            ..Default::default()
        };
        let read = acme.read("k", &request).await.unwrap();
        assert_eq!(read.checksum.unwrap().0.value, crc32, "{bytes}");
    }
}
