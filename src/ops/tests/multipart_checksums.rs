use super::client::{Client, PART, key, plain, stream};
use crate::ops::checksum::Declared;
use crate::ops::error::Code;
use crate::ops::multipart::{RequestedPart, UploadPart, complete_upload, upload_part};
use crate::ops::read_object::ReadRequest;
use crate::ops::testing::Testbed;
use lethe_envelope::Checksum;
use lethe_envelope::ChecksumAlgorithm::{self, Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
use lethe_envelope::ChecksumType::{self, Composite, FullObject};

fn digest(algorithm: ChecksumAlgorithm, bytes: &[u8]) -> Checksum {
    let mut verifier = Declared::default().computing(Some(algorithm)).verifier();
    verifier.update(bytes);
    verifier.finish(None).unwrap().unwrap()
}

fn whole(algorithm: ChecksumAlgorithm, kind: ChecksumType, parts: &[Vec<u8>]) -> Checksum {
    let bytes = match kind {
        FullObject => parts.concat(),
        Composite => parts
            .iter()
            .flat_map(|part| digest(algorithm, part).value)
            .collect(),
    };
    Checksum {
        checksum_type: kind,
        ..digest(algorithm, &bytes)
    }
}

#[tokio::test]
async fn checksum_of_every_algorithm_and_type_is_that_of_the_parts_or_the_whole() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let kinds = [
        (Crc32, Composite),
        (Crc32, FullObject),
        (Crc32c, Composite),
        (Crc32c, FullObject),
        (Crc64Nvme, FullObject),
        (Sha1, Composite),
        (Sha256, Composite),
    ];
    let parts = [plain(1, PART), plain(2, 1000)];
    for (algorithm, kind) in kinds {
        let upload = acme
            .create_with("k", Some(algorithm), Some(kind))
            .await
            .unwrap();
        let mut listed = Vec::new();
        for (number, body) in (1..).zip(&parts) {
            let answer = acme.part_answer("k", &upload, number, body).await.unwrap();
            assert_eq!(answer.checksum, Some(digest(algorithm, body)));
            listed.push(RequestedPart {
                number,
                etag: answer.etag,
                checksum: answer.checksum,
            });
        }
        let expected = whole(algorithm, kind, &parts);
        let mut complete = acme.completion("k", &upload, &listed);
        complete.checksum = Some(digest(algorithm, b"something else"));
        let refused = complete_upload(&bed.gateway, &acme.scope, &complete).await;
        assert_eq!(refused.err().map(|e| e.code()), Some(Code::BadDigest));
        let mut wrong = listed.clone();
        wrong[0].checksum = wrong[1].checksum.clone();
        let refused = acme.complete("k", &upload, &wrong).await;
        assert_eq!(refused.err().map(|e| e.code()), Some(Code::InvalidPart));
        complete.checksum = Some(expected.clone());
        let answer = complete_upload(&bed.gateway, &acme.scope, &complete)
            .await
            .unwrap();
        assert_eq!(
            answer.checksum,
            Some((expected.clone(), 2)),
            "{algorithm:?} {kind:?}"
        );
        let again = complete_upload(&bed.gateway, &acme.scope, &complete)
            .await
            .unwrap();
        assert_eq!(again.checksum, Some((expected.clone(), 2)));
        let request = ReadRequest {
            with_checksum: true,
            ..ReadRequest::default()
        };
        let head = acme.read("k", &request).await.unwrap();
        assert_eq!(head.checksum, Some((expected, 2)));
        let request = ReadRequest {
            part_number: Some(2),
            ..request
        };
        let part = acme.read("k", &request).await.unwrap();
        assert_eq!(part.checksum, Some((digest(algorithm, &parts[1]), 1)));
    }
}

#[tokio::test]
async fn checksum_type_that_the_algorithm_cannot_have_is_refused() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    for (algorithm, kind) in [
        (Some(Sha1), Some(FullObject)),
        (Some(Sha256), Some(FullObject)),
        (Some(Crc64Nvme), Some(Composite)),
        (None, Some(FullObject)),
    ] {
        let refused = acme.create_with("k", algorithm, kind).await;
        assert_eq!(refused.err().map(|e| e.code()), Some(Code::InvalidRequest));
    }
}

#[tokio::test]
async fn part_with_another_algorithm_or_a_wrong_checksum_is_refused_and_not_kept() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let upload = acme.create_with("k", Some(Crc32), None).await.unwrap();
    for (name, value, code) in [
        ("x-amz-checksum-crc32c", "4waSgw==", Code::InvalidRequest),
        ("x-amz-checksum-crc32", "AAAAAA==", Code::BadDigest),
        ("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==", Code::BadDigest),
    ] {
        for bytes in [100, 2 << 20, PART] {
            let headers = [(
                http::HeaderName::from_static(name),
                http::HeaderValue::from_static(value),
            )];
            let part = UploadPart {
                key: key("k"),
                upload: upload.clone(),
                number: 1,
                body: stream(plain(1, bytes)),
                plaintext_bytes: bytes as u64,
                declared: Declared::from_headers(&headers.into_iter().collect()).unwrap(),
                trailers: Box::new(|| None),
                customer_key: None,
            };
            let refused = upload_part(&bed.gateway, &acme.scope, part).await;
            assert_eq!(
                refused.err().map(|e| e.code()),
                Some(code),
                "{name} {bytes}"
            );
        }
    }
    let at = key("k");
    let parts =
        crate::ops::multipart::list_parts(&bed.gateway, &acme.scope, &at, &upload, 0, 10, None);
    assert!(parts.await.unwrap().parts.is_empty());
    assert_eq!(acme.spooled().await, 0);
}
