use super::client::{Client, MIB, PART, plain};
use crate::ops::error::Code;
use crate::ops::etag::ClientEtag;
use crate::ops::multipart::{RequestedPart, complete_upload, list_parts};
use crate::ops::read_object::ReadRequest;
use crate::ops::testing::Testbed;
use crate::region::faulty::Op;
use crate::region::{Body, RegionStore as _, UploadPartRequest};
use crate::tenants::UploadId;
use bytes::Bytes;

#[tokio::test]
async fn upload_of_any_last_part_reads_as_its_parts() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let (five, odd) = (plain(1, PART), plain(2, PART + 300_001));
    let layouts: [&[&[u8]]; 8] = [
        &[&five, b"x"],
        &[&five, b""],
        &[b""],
        &[b"only"],
        &[&five],
        &[&odd, &five],
        &[&five, &odd, &plain(3, 2 * MIB)],
        &[&odd, &plain(4, 16_384)],
    ];
    for parts in layouts {
        let answer = acme.multipart("k", parts).await;
        let whole = parts.concat();
        assert_eq!(acme.get("k").await.unwrap(), whole);
        let head = acme.head("k").await.unwrap();
        assert_eq!(head.content_bytes, whole.len() as u64);
        assert_eq!(head.object.client_etag(), answer.etag);
        let (stored, body) = acme.stored("k").await;
        assert_eq!(
            lethe_envelope::layout::plaintext_len_of_stored(stored.stored_bytes),
            Some(whole.len() as u64),
            "listings show this"
        );
        assert_eq!(stored.stored_bytes, body.len() as u64);
        for (number, part) in (1..).zip(parts) {
            let request = ReadRequest {
                part_number: Some(number),
                with_body: true,
                ..ReadRequest::default()
            };
            let answer = acme.read("k", &request).await.unwrap();
            assert_eq!(answer.parts_count, Some(parts.len()));
            let sent = super::client::drain(Ok(answer)).await.unwrap();
            assert_eq!(sent, *part);
        }
        assert_eq!(acme.spooled().await, 0);
    }
}

#[tokio::test]
async fn part_numbers_up_to_the_last_work_and_beyond_are_refused() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let five = plain(1, PART);
    let upload = acme.create("k").await;
    let mut listed = Vec::new();
    for (number, body) in [(7, &five), (9999, &five), (10_000, &plain(2, PART + 1))] {
        listed.push(acme.part("k", &upload, number, body).await.unwrap());
    }
    for number in [0, 10_001, u16::MAX] {
        let refused = acme.part("k", &upload, number, b"x").await;
        assert_eq!(refused.err().map(|e| e.code()), Some(Code::InvalidArgument));
    }
    acme.complete("k", &upload, &listed).await.unwrap();
    let whole = [&five[..], &five, &plain(2, PART + 1)].concat();
    assert_eq!(acme.get("k").await.unwrap(), whole);
}

#[tokio::test]
async fn parts_uploaded_but_not_listed_are_not_in_the_object() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let five = plain(1, PART);
    for last in [&b"x"[..], &five] {
        for unlisted in [3, 9_999, 10_000] {
            let upload = acme.create("k").await;
            let mut listed = Vec::new();
            for (number, body) in [(1, &five[..]), (2, last)] {
                listed.push(acme.part("k", &upload, number, body).await.unwrap());
            }
            acme.part("k", &upload, unlisted, &five).await.unwrap();
            acme.complete("k", &upload, &listed).await.unwrap();
            assert_eq!(acme.get("k").await.unwrap(), [&five, last].concat());
            assert_eq!(acme.spooled().await, 0);
        }
    }
}

#[tokio::test]
async fn part_uploaded_twice_counts_as_its_last_attempt() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    for bytes in [10, PART] {
        let (one, two) = (plain(1, bytes), plain(2, bytes));
        let upload = acme.create("k").await;
        let first = acme.part("k", &upload, 1, &one).await.unwrap();
        let other = acme.part("k", &upload, 1, &two).await.unwrap();
        assert_ne!(first.etag, other.etag);
        let stale = acme.complete("k", &upload, &[first]).await;
        assert_eq!(stale.err().map(|e| e.code()), Some(Code::InvalidPart));
        acme.complete("k", &upload, &[other]).await.unwrap();
        assert_eq!(acme.get("k").await.unwrap(), two);

        let upload = acme.create("k").await;
        let first = acme.part("k", &upload, 1, &one).await.unwrap();
        acme.part("k", &upload, 1, &one).await.unwrap();
        // The same content twice: to S3 these would be one ETag.
        acme.complete("k", &upload, &[first]).await.unwrap();
        assert_eq!(acme.get("k").await.unwrap(), one);
    }
}

#[tokio::test]
async fn part_replaced_by_one_on_the_other_side_of_the_minimum_is_the_last_one() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let (five, small) = (plain(1, PART), plain(2, 100));
    for (before, after) in [(&five, &small), (&small, &five)] {
        let upload = acme.create("k").await;
        acme.part("k", &upload, 1, before).await.unwrap();
        let listed = acme.part("k", &upload, 1, after).await.unwrap();
        acme.complete("k", &upload, &[listed]).await.unwrap();
        assert_eq!(acme.get("k").await.unwrap(), *after);
    }
}

async fn code_of(acme: &Client<'_>, upload: &str, list: &[RequestedPart]) -> Option<Code> {
    let outcome = acme.complete("k", upload, list).await;
    outcome.err().map(|error| error.code())
}

#[tokio::test]
async fn complete_of_an_impossible_list_is_refused_and_a_right_one_works_after_it() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let five = plain(1, PART);
    let upload = acme.create("k").await;
    let a = acme.part("k", &upload, 1, &five).await.unwrap();
    let small = acme.part("k", &upload, 2, b"small").await.unwrap();
    let c = acme.part("k", &upload, 3, b"last").await.unwrap();
    let list = |parts: &[&RequestedPart]| parts.iter().map(|p| (*p).clone()).collect::<Vec<_>>();
    let wrong = RequestedPart {
        etag: ClientEtag::from_client("d41d8cd98f00b204e9800998ecf8427e-1"),
        ..a.clone()
    };
    let missing = RequestedPart {
        number: 4,
        ..c.clone()
    };
    let cases = [
        (list(&[&a, &small, &c]), Code::EntityTooSmall),
        (list(&[&c, &a]), Code::InvalidPartOrder),
        (list(&[&wrong, &c]), Code::InvalidPart),
        (list(&[&a, &missing]), Code::InvalidPart),
        (Vec::new(), Code::MalformedXML),
    ];
    for (list, code) in cases {
        assert_eq!(code_of(&acme, &upload, &list).await, Some(code));
    }
    let mut sized = acme.completion("k", &upload, &[a.clone(), c.clone()]);
    sized.plaintext_bytes = Some(PART as u64 + 5);
    let refused = complete_upload(&bed.gateway, &acme.scope, &sized).await;
    assert_eq!(refused.err().map(|e| e.code()), Some(Code::InvalidRequest));
    // Of a number named twice the last counts, and it counts once.
    sized.parts = vec![wrong, a, c];
    sized.plaintext_bytes = Some(PART as u64 + 4);
    let answer = complete_upload(&bed.gateway, &acme.scope, &sized).await;
    let (_, parts) = answer.unwrap().checksum.unwrap();
    assert_eq!(parts, 2);
    assert_eq!(acme.get("k").await.unwrap(), [&five[..], b"last"].concat());
}

/// Stores garbage as an upstream part, as an attempt does that lands late.
async fn land_late(acme: &Client<'_>, upload: &str, number: u16) {
    let id = UploadId::new(upload).unwrap();
    let row = acme.scope.domain.catalog.upload(acme.scope.tenant, &id);
    let request = UploadPartRequest {
        upload: row.await.unwrap().upstream.unwrap(),
        number,
        stored_bytes: 7,
        body: Body::Replayable(Bytes::from_static(b"garbage")),
        in_lock_bucket: false,
    };
    let store = &acme.bed.store;
    store
        .upload_part(acme.scope.tenant, &acme.at("k"), request)
        .await
        .unwrap();
}

/// Before upstream is asked to complete, a late attempt lands at this number.
async fn complete_while_landing(reserved: u16, last: &[u8]) {
    let bed = std::sync::Arc::new(Testbed::new().await);
    let acme = Client::acme(&bed).await;
    let five = plain(1, PART);
    let upload = acme.create("k").await;
    let id = UploadId::new(&upload).unwrap();
    let (catalog, now) = (&acme.scope.domain.catalog, bed.gateway.clock().now());
    catalog
        .begin_attempt(acme.scope.tenant, &id, reserved, now)
        .await
        .unwrap();
    let mut listed = Vec::new();
    for (number, body) in [(1, &five[..]), (2, last)] {
        listed.push(acme.part("k", &upload, number, body).await.unwrap());
    }
    let (other, of) = (std::sync::Arc::clone(&bed), upload.clone());
    bed.store.before(Op::CompleteUpload, 1, move || async move {
        land_late(&Client::acme(&other).await, &of, reserved).await;
    });
    acme.complete("k", &upload, &listed).await.unwrap();
    assert_eq!(acme.get("k").await.unwrap(), [&five, last].concat());
}

#[tokio::test]
async fn attempt_reserved_above_the_list_cannot_replace_pad_and_trailer() {
    complete_while_landing(3, &plain(2, PART)).await;
}

#[tokio::test]
async fn attempt_landing_on_the_spooled_tails_number_does_not_stop_complete() {
    complete_while_landing(2, b"small").await;
}

#[tokio::test]
async fn parts_are_listed_as_their_last_attempts_in_pages() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let upload = acme.create("k").await;
    for (number, body) in [(5, &b"five"[..]), (2, b"two"), (9, b"nine"), (2, b"too")] {
        acme.part("k", &upload, number, body).await.unwrap();
    }
    let key = super::client::key("k");
    let page = list_parts(&bed.gateway, &acme.scope, &key, &upload, 0, 2, None)
        .await
        .unwrap();
    let numbers: Vec<_> = page.parts.iter().map(|part| part.attempt.number).collect();
    assert_eq!((numbers, page.truncated), (vec![2, 5], true));
    assert_eq!(page.parts[0].attempt.stored.plaintext_bytes, 3);
    let page = list_parts(&bed.gateway, &acme.scope, &key, &upload, 5, 2, None)
        .await
        .unwrap();
    assert_eq!((page.parts.len(), page.truncated), (1, false));
}
