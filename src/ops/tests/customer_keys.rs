//! Objects with customer keys: nothing of them without their key, whatever was read or cached before, and no mixing.

use super::client::{Broken, Client, PART, STREAMED, customer_key, key, plain};
use crate::ops::conditions::CopySourceConditions;
use crate::ops::error::{Code, OpError};
use crate::ops::multipart::{RequestedPart, UploadPartCopy, list_parts, upload_part_copy};
use crate::ops::range::RangeSpec;
use crate::ops::read_object::ReadRequest;
use crate::ops::tagging;
use crate::ops::testing::Testbed;
use crate::region::StoredHead;
use crate::region::faulty::Op;
use lethe_envelope::{CustomerCheck, Header};

/// Every way to read an object.
fn reads() -> Vec<ReadRequest> {
    let range = Some(RangeSpec::From {
        first: 3,
        last: Some(9),
    });
    let (whole, part_number) = (ReadRequest::default(), Some(1));
    [false, true]
        .into_iter()
        .flat_map(|with_body| {
            [(None, None), (range, None), (None, part_number)].map(|(range, part_number)| {
                ReadRequest {
                    range,
                    part_number,
                    with_body,
                    with_checksum: true,
                    ..whole.clone()
                }
            })
        })
        .collect()
}

/// Asserts that no way to read the object gives anything but this.
async fn assert_refused(client: &Client<'_>, name: &str, code: Code) {
    for read in reads() {
        let outcome = client.read(name, &read).await.err();
        assert_eq!(outcome.map(|e| e.code()), Some(code), "{name}: {read:?}");
    }
    for metadata in [None, Some(lethe_envelope::ObjectMetadata::default())] {
        let mut copy = client.copying(name, "never");
        (copy.customer_key, copy.metadata) = (None, metadata);
        let refused = client.copy(&copy).await.err();
        assert_eq!(refused.map(|e| e.code()), Some(code), "copy of {name}");
    }
}

fn code<T>(outcome: Result<T, OpError>) -> Option<Code> {
    outcome.err().map(|error| error.code())
}

#[tokio::test]
async fn object_with_a_customer_key_is_read_with_that_key_and_nothing_else() {
    let bed = Testbed::new().await;
    let plainly = Client::acme(&bed).await;
    let (ours, other) = (plainly.with_key(1), plainly.with_key(2));
    let small = plain(1, 1000);
    let streamed = plain(2, STREAMED);
    let parts = [plain(3, PART), plain(4, 77)];
    ours.put("small", &small).await.unwrap();
    ours.put("streamed", &streamed).await.unwrap();
    ours.put("empty", b"").await.unwrap();
    ours.multipart("parts", &[&parts[0], &parts[1]]).await;
    let joined = parts.concat();
    for (name, bytes) in [
        ("small", &small),
        ("streamed", &streamed),
        ("parts", &joined),
    ] {
        // Twice: what the right key has brought into a cache is nobody else's.
        for _ in 0..2 {
            assert_refused(&plainly, name, Code::InvalidRequest).await;
            assert_refused(&other, name, Code::AccessDenied).await;
            assert!(ours.get(name).await.unwrap() == *bytes, "{name}");
            for read in reads() {
                ours.read(name, &read).await.unwrap();
            }
        }
    }
    assert_eq!(ours.get("empty").await.unwrap(), b"");
    assert_eq!(
        code(plainly.head("empty").await),
        Some(Code::InvalidRequest)
    );
    assert!(plainly.found("never").await.is_none());
    // No key for tags and for deleting.
    let at = key("small");
    let tags = vec![("a".to_owned(), "b".to_owned())];
    tagging::set_tags(&plainly.scope, &at, None, &tags)
        .await
        .unwrap();
    let found = tagging::get_tags(&plainly.scope, &at, None).await;
    assert_eq!(found.unwrap(), tags);
    assert_eq!(ours.get("small").await.unwrap(), small);
}

#[tokio::test]
async fn plain_object_is_not_served_to_who_brings_a_customer_key() {
    let bed = Testbed::new().await;
    let plainly = Client::acme(&bed).await;
    plainly.put("k", b"bytes").await.unwrap();
    assert_refused(&plainly.with_key(1), "k", Code::InvalidRequest).await;
    assert_eq!(plainly.get("k").await.unwrap(), b"bytes");
}

/// The head with its header changed.
fn with_header(head: &StoredHead, change: impl FnOnce(&mut Header)) -> StoredHead {
    let mut head = head.clone();
    let text = head.fields.metadata.get_mut("lethe-h").unwrap();
    let mut header = Header::decode(text).unwrap();
    change(&mut header);
    *text = header.encode();
    head
}

#[tokio::test]
async fn header_that_a_store_changed_opens_with_no_key() {
    let bed = Testbed::new().await;
    let plainly = Client::acme(&bed).await;
    let (ours, other) = (plainly.with_key(1), plainly.with_key(2));
    ours.put("k", b"bytes").await.unwrap();
    ours.put("same", b"bytes").await.unwrap();
    other.put("other", b"bytes").await.unwrap();
    plainly.put("plain", b"bytes").await.unwrap();
    let (head, body) = ours.stored("k").await;
    let header_of = async |name: &str| {
        let (head, _) = plainly.stored(name).await;
        Header::decode(&head.fields.metadata["lethe-h"]).unwrap()
    };
    let (same, others, plains) = (
        header_of("same").await,
        header_of("other").await,
        header_of("plain").await,
    );
    let changed = [
        // Nobody is told that it needs a key.
        with_header(&head, |header| header.customer_check = None),
        with_header(&head, |header| {
            header.customer_check = None;
            header.wrapped_dek = plains.wrapped_dek;
        }),
        // The check of another object with the same key, and of one with the key of whoever asks.
        with_header(&head, |header| header.customer_check = same.customer_check),
        with_header(&head, |header| {
            header.customer_check = others.customer_check;
        }),
        with_header(&head, |header| {
            header.customer_check = Some(CustomerCheck::from_bytes([0; 16]));
        }),
        with_header(&head, |header| header.wrapped_dek = same.wrapped_dek),
        with_header(&head, |header| {
            header.wrapped_dek = others.wrapped_dek;
            header.customer_check = others.customer_check;
        }),
    ];
    for (index, head) in changed.iter().enumerate() {
        ours.forge("k", head, body.clone()).await;
        for client in [&plainly, &ours, &other] {
            assert!(client.get("k").await.is_err(), "change {index}");
            assert!(client.head("k").await.is_err(), "change {index}");
        }
    }
    // A key that is asked for where there was none.
    let (head, body) = plainly.stored("plain").await;
    let added = with_header(&head, |header| header.customer_check = same.customer_check);
    plainly.forge("plain", &added, body).await;
    for client in [&plainly, &ours, &other] {
        assert!(client.get("plain").await.is_err());
    }
    // A damaged object is told from a wrong key.
    let (head, body) = ours.stored("same").await;
    let flipped = with_header(&head, |header| header.wrapped_dek[100] ^= 1);
    ours.forge("same", &flipped, body).await;
    assert_eq!(code(ours.head("same").await), Some(Code::InternalError));
    assert_eq!(code(other.head("same").await), Some(Code::AccessDenied));
}

#[tokio::test]
async fn copy_takes_a_customer_key_changes_it_and_loses_it_without_data() {
    let bed = Testbed::new().await;
    let plainly = Client::acme(&bed).await;
    let clients = [plainly.with_key(1), plainly.with_key(2), plainly];
    let bytes = [plain(1, PART), plain(2, 9)];
    let whole = bytes.concat();
    for from in &clients {
        from.put("single", &whole).await.unwrap();
        from.multipart("parts", &[&bytes[0], &bytes[1]]).await;
        let reads = bed.store.calls(Op::Get);
        for name in ["single", "parts"] {
            for to in &clients {
                let mut copy = from.copying(name, &format!("copy-of-{name}"));
                copy.customer_key.clone_from(&to.customer_key);
                from.copy(&copy).await.unwrap();
            }
        }
        // Trailers alone, and no bodies.
        assert!(bed.store.calls(Op::Get) - reads <= 6);
        for name in ["single", "parts"] {
            for to in &clients {
                let mut copy = from.copying(name, "copy");
                copy.customer_key.clone_from(&to.customer_key);
                from.copy(&copy).await.unwrap();
                for reader in &clients {
                    let is_its = std::ptr::eq(reader, to);
                    match reader.get("copy").await {
                        Ok(read) => assert!(is_its && read == whole, "{name}"),
                        Err(broken) => assert!(!is_its, "{name}: {broken:?}"),
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn copy_onto_itself_may_change_nothing_but_the_customer_key() {
    let bed = Testbed::new().await;
    let plainly = Client::acme(&bed).await;
    let (ours, other) = (plainly.with_key(1), plainly.with_key(2));
    plainly.put("k", b"bytes").await.unwrap();
    let steps = [(&plainly, &ours), (&ours, &other), (&other, &plainly)];
    for (from, to) in steps {
        let mut copy = from.copying("k", "k");
        copy.customer_key.clone_from(&to.customer_key);
        from.copy(&copy).await.unwrap();
        assert_eq!(to.get("k").await.unwrap(), b"bytes");
        assert!(from.get("k").await.is_err());
    }
    let nothing = plainly.copy(&plainly.copying("k", "k")).await;
    assert_eq!(code(nothing), Some(Code::InvalidRequest));
}

#[tokio::test]
async fn upload_takes_parts_and_its_end_with_the_key_that_it_began_with() {
    let bed = Testbed::new().await;
    let plainly = Client::acme(&bed).await;
    let (ours, other) = (plainly.with_key(1), plainly.with_key(2));
    for (right, wrong) in [(&ours, [&other, &plainly]), (&plainly, [&ours, &other])] {
        let upload = right.create("k").await;
        let body = plain(1, 1000);
        let mut listed: Vec<RequestedPart> = Vec::new();
        for client in wrong {
            let refused = client.part("k", &upload, 1, &body).await;
            assert_eq!(code(refused), Some(Code::InvalidRequest));
        }
        listed.push(right.part("k", &upload, 1, &body).await.unwrap());
        for client in wrong {
            let refused = client.complete("k", &upload, &listed).await;
            assert_eq!(code(refused), Some(Code::InvalidRequest));
        }
        right.complete("k", &upload, &listed).await.unwrap();
        // Repeated, its answer is for those who know the key.
        for client in wrong {
            let refused = client.complete("k", &upload, &listed).await;
            assert_eq!(code(refused), Some(Code::InvalidRequest));
        }
        right.complete("k", &upload, &listed).await.unwrap();
        assert_eq!(right.get("k").await.unwrap(), body);
        for client in wrong {
            assert!(matches!(client.get("k").await, Err(Broken::Refused(_))));
        }
    }
}

#[tokio::test]
async fn part_copied_needs_the_sources_key_and_the_uploads() {
    let bed = Testbed::new().await;
    let plainly = Client::acme(&bed).await;
    let (source, upload) = (plainly.with_key(1), plainly.with_key(2));
    let body = plain(1, PART + 5);
    source.put("source", &body).await.unwrap();
    let id = upload.create("k").await;
    let part = |source_key: Option<u8>, upload_key: Option<u8>| UploadPartCopy {
        key: key("k"),
        upload: id.clone(),
        number: 1,
        source: plainly.scope.clone(),
        source_key: key("source"),
        source_version: None,
        source_conditions: CopySourceConditions::default(),
        range: None,
        source_customer_key: source_key.map(customer_key),
        customer_key: upload_key.map(customer_key),
    };
    for (source_key, upload_key, expected) in [
        (None, Some(2), Code::InvalidRequest),
        (Some(2), Some(2), Code::AccessDenied),
        (Some(1), None, Code::InvalidRequest),
        (Some(1), Some(1), Code::InvalidRequest),
    ] {
        let copy = part(source_key, upload_key);
        let refused = upload_part_copy(&bed.gateway, &plainly.scope, copy).await;
        assert_eq!(
            code(refused),
            Some(expected),
            "{source_key:?} {upload_key:?}"
        );
    }
    let copy = part(Some(1), Some(2));
    let (answer, _) = upload_part_copy(&bed.gateway, &plainly.scope, copy)
        .await
        .unwrap();
    let listed = RequestedPart {
        number: 1,
        etag: answer.etag,
        checksum: answer.checksum,
    };
    upload.complete("k", &id, &[listed]).await.unwrap();
    assert!(upload.get("k").await.unwrap() == body);
    assert_eq!(
        source.get("k").await.unwrap_err().code(),
        Code::AccessDenied
    );
}

#[tokio::test]
async fn listed_parts_show_their_checksums_to_the_key_alone() {
    let bed = Testbed::new().await;
    let plainly = Client::acme(&bed).await;
    let ours = plainly.with_key(1);
    let upload = ours.create("k").await;
    ours.part("k", &upload, 1, b"bytes").await.unwrap();
    let list = async |client: &Client<'_>| {
        let customer_key = client.customer_key.as_deref();
        list_parts(
            &bed.gateway,
            &client.scope,
            &key("k"),
            &upload,
            0,
            10,
            customer_key,
        )
        .await
    };
    let shown = |page: &crate::ops::multipart::PartPage| page.parts[0].checksum.is_some();
    assert!(shown(&list(&ours).await.unwrap()));
    assert!(!shown(&list(&plainly).await.unwrap()));
    let refused = list(&plainly.with_key(2)).await;
    assert_eq!(code(refused), Some(Code::InvalidRequest));
}

#[tokio::test]
async fn catalog_and_store_hold_nothing_of_a_customer_key() {
    let bed = Testbed::new().await;
    let ours = Client::acme(&bed).await.with_key(0x5a);
    ours.put("k", b"bytes").await.unwrap();
    let upload = ours.create("upload").await;
    ours.part("upload", &upload, 1, b"bytes").await.unwrap();
    let mut files = 0;
    for file in bed.files() {
        let bytes = std::fs::read(&file).unwrap();
        files += 1;
        let is_key = |window: &[u8]| window.iter().all(|byte| *byte == 0x5a);
        assert!(!bytes.windows(32).any(is_key), "{}", file.display());
    }
    assert!(files > 5, "the search finds no files");
}
