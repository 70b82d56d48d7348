use super::client::{Client, PART, STREAMED, key, plain};
use crate::ops::checksum::Declared;
use crate::ops::conditions::{CopySourceConditions, WriteCondition};
use crate::ops::delete_object::{DeleteObject, delete_object};
use crate::ops::error::Code;
use crate::ops::gateway::CopyLimits;
use crate::ops::multipart::{RequestedPart, UploadPartCopy, upload_part_copy};
use crate::ops::put_object::{PutObject, put_object};
use crate::ops::range::RangeSpec;
use crate::ops::tagging;
use crate::ops::testing::{Setup, Testbed};
use crate::region::faulty::{Fault, Op};
use lethe_envelope::ObjectMetadata;
use std::sync::Arc;

const FAULTS: [Fault; 3] = [Fault::Failed, Fault::Lost, Fault::FailedButPersisted];

fn typed(content_type: &str) -> ObjectMetadata {
    ObjectMetadata {
        content_type: Some(content_type.to_owned()),
        ..ObjectMetadata::default()
    }
}

fn tags(value: &str) -> Vec<(String, String)> {
    vec![("tag".to_owned(), value.to_owned())]
}

/// A testbed where anything over 2 MiB is copied in raw parts of 5 MiB.
async fn raw_copies() -> Testbed {
    let copies = CopyLimits {
        whole_bytes_max: 2 << 20,
        part_bytes: 5 << 20,
    };
    let setup = Setup {
        copies,
        ..Setup::default()
    };
    Testbed::with(setup).await
}

async fn put_typed(acme: &Client<'_>, name: &str, body: &[u8]) {
    let put = PutObject {
        key: key(name),
        metadata: typed("text/old"),
        tags: tags("old"),
        condition: WriteCondition::Always,
        body: super::client::stream(body.to_vec()),
        plaintext_bytes: body.len() as u64,
        declared: Declared::default(),
        trailers: Box::new(|| None),
        customer_key: None,
        lock: crate::region::ObjectLock::default(),
    };
    put_object(&acme.bed.gateway, &acme.scope, put)
        .await
        .unwrap();
}

#[tokio::test]
async fn copy_takes_or_replaces_metadata_and_tags_as_directed() {
    for bed in [Testbed::new().await, raw_copies().await] {
        let acme = Client::acme(&bed).await;
        let body = plain(1, 3 << 20);
        put_typed(&acme, "k", &body).await;
        for metadata in [None, Some(typed("text/new"))] {
            for new_tags in [None, Some(tags("new")), Some(Vec::new())] {
                let mut copy = acme.copying("k", "copy");
                (copy.metadata, copy.tags) = (metadata.clone(), new_tags.clone());
                acme.copy(&copy).await.unwrap();
                let head = acme.head("copy").await.unwrap();
                let wanted = metadata.clone().unwrap_or_else(|| typed("text/old"));
                assert_eq!(head.object.metadata.content_type, wanted.content_type);
                let found = tagging::get_tags(&acme.scope, &key("copy"), None).await;
                assert_eq!(found.unwrap(), new_tags.unwrap_or_else(|| tags("old")));
                assert!(acme.get("copy").await.unwrap() == body);
            }
        }
    }
}

#[tokio::test]
async fn copy_onto_itself_needs_a_change_and_keeps_the_bytes() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let body = plain(1, STREAMED);
    put_typed(&acme, "k", &body).await;
    let mut copy = acme.copying("k", "k");
    let refused = acme.copy(&copy).await;
    assert_eq!(refused.err().map(|e| e.code()), Some(Code::InvalidRequest));
    copy.metadata = Some(typed("text/new"));
    for _ in 0..3 {
        acme.copy(&copy).await.unwrap();
        let head = acme.head("k").await.unwrap();
        assert_eq!(head.object.metadata, typed("text/new"));
        assert!(acme.get("k").await.unwrap() == body);
    }
}

#[tokio::test]
async fn copy_of_a_multipart_object_reads_by_ranges_also_when_the_source_is_gone() {
    for bed in [Testbed::new().await, raw_copies().await] {
        let acme = Client::acme(&bed).await;
        let parts = [plain(1, PART + 7), plain(2, PART), plain(3, 1)];
        acme.multipart("k", &[&parts[0], &parts[1], &parts[2]])
            .await;
        acme.copy(&acme.copying("k", "copy")).await.unwrap();
        let delete = DeleteObject {
            key: key("k"),
            version: None,
            condition: WriteCondition::Always,
            bypass_governance: false,
        };
        delete_object(&acme.scope, &delete).await.unwrap();
        let bytes = parts.concat();
        let copied = if bed.store.calls(Op::Copy) == 1 { 0 } else { 3 };
        assert_eq!(
            bed.store.calls(Op::UploadPartCopy),
            copied,
            "no data passed here"
        );
        for (first, last) in [(0, 9), (PART, PART + 50_000), (2 * PART, 2 * PART + 7)] {
            let spec = RangeSpec::From {
                first: first as u64,
                last: Some(last as u64),
            };
            let sent = acme.get_range("copy", Some(spec)).await.unwrap();
            assert!(sent == bytes[first..=last], "{first}..={last}");
        }
        assert!(acme.get("copy").await.unwrap() == bytes);
        // A copy of the copy is wrapped from the copy's place.
        acme.copy(&acme.copying("copy", "again")).await.unwrap();
        assert!(acme.get("again").await.unwrap() == bytes);
    }
}

#[tokio::test]
async fn copy_with_any_fault_is_old_or_new_and_a_retry_works() {
    let bed = Testbed::new().await;
    let raw = raw_copies().await;
    let cases = [
        (&bed, Op::Copy),
        (&raw, Op::CreateUpload),
        (&raw, Op::UploadPartCopy),
        (&raw, Op::CompleteUpload),
        (&raw, Op::Tags),
    ];
    let new = plain(1, 6 << 20);
    for (bed, op) in cases {
        let acme = Client::acme(bed).await;
        acme.put("k", &new).await.unwrap();
        for fault in FAULTS {
            acme.put("copy", b"old").await.unwrap();
            let (opened, aborted) = (
                bed.store.calls(Op::CreateUpload),
                bed.store.calls(Op::AbortUpload),
            );
            bed.store.fail_next(op, fault);
            let outcome = acme.copy(&acme.copying("k", "copy")).await;
            let found = acme.get("copy").await.unwrap();
            match outcome {
                Ok(_) => assert!(found == new, "{op:?} {fault:?}"),
                Err(_) => assert!(found == b"old" || found == new, "{op:?} {fault:?}"),
            }
            let opened = bed.store.calls(Op::CreateUpload) - opened;
            let aborted = bed.store.calls(Op::AbortUpload) - aborted;
            if matches!(op, Op::UploadPartCopy | Op::CompleteUpload) {
                assert_eq!(opened, aborted, "{op:?} {fault:?}: parts stay behind");
            }
            acme.copy(&acme.copying("k", "copy")).await.unwrap();
            assert!(acme.get("copy").await.unwrap() == new);
        }
    }
}

#[tokio::test]
async fn copy_whose_source_changes_meanwhile_is_no_mixture() {
    let bed = Arc::new(Testbed::new().await);
    let raw = Arc::new(raw_copies().await);
    for (bed, op) in [(&bed, Op::Copy), (&raw, Op::UploadPartCopy)] {
        let acme = Client::acme(bed).await;
        let (old, new) = (plain(1, 3 << 20), plain(2, 3 << 20));
        acme.put("k", &old).await.unwrap();
        let (other, body) = (Arc::clone(bed), new.clone());
        bed.store.before(op, 1, move || async move {
            Client::acme(&other).await.put("k", &body).await.unwrap();
        });
        let refused = acme.copy(&acme.copying("k", "copy")).await;
        assert_eq!(
            refused.err().map(|e| e.code()),
            Some(Code::SlowDown),
            "{op:?}"
        );
        assert_eq!(acme.found("copy").await, None);
        acme.copy(&acme.copying("k", "copy")).await.unwrap();
        assert!(acme.get("copy").await.unwrap() == new);
    }
}

#[tokio::test]
async fn copy_of_nothing_or_under_a_condition_that_fails_is_refused() {
    use crate::ops::conditions::{EntityTags, ReadConditions};
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let refused = acme.copy(&acme.copying("nothing", "copy")).await;
    assert_eq!(refused.err().map(|e| e.code()), Some(Code::NoSuchKey));
    acme.put("k", b"x").await.unwrap();
    let mut copy = acme.copying("k", "copy");
    copy.source_conditions = CopySourceConditions(ReadConditions {
        if_match: Some(EntityTags::List(Vec::new())),
        ..ReadConditions::default()
    });
    let refused = acme.copy(&copy).await;
    assert_eq!(
        refused.err().map(|e| e.code()),
        Some(Code::PreconditionFailed)
    );
    let mut copy = acme.copying("k", "copy");
    copy.condition = WriteCondition::Absent;
    acme.copy(&copy).await.unwrap();
    let refused = acme.copy(&copy).await;
    assert_eq!(
        refused.err().map(|e| e.code()),
        Some(Code::PreconditionFailed)
    );
}

fn part_copy(
    acme: &Client<'_>,
    upload: &str,
    number: u16,
    range: Option<(u64, u64)>,
) -> UploadPartCopy {
    UploadPartCopy {
        key: key("k"),
        upload: upload.to_owned(),
        number,
        source: acme.scope.clone(),
        source_key: key("source"),
        source_version: None,
        source_conditions: CopySourceConditions::default(),
        range,
        source_customer_key: acme.customer_key.clone(),
        customer_key: acme.customer_key.clone(),
    }
}

#[tokio::test]
async fn part_copied_from_ranges_of_an_object_is_those_ranges() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let source = [plain(1, PART + 3), plain(2, PART)];
    acme.multipart("source", &[&source[0], &source[1]]).await;
    let source = source.concat();
    let upload = acme.create("k").await;
    let mut listed = Vec::new();
    let wanted = [Some((5, PART as u64 + 104)), None, Some((7, 7))];
    for (number, range) in (1..).zip(wanted) {
        let copy = part_copy(&acme, &upload, number, range);
        let (answer, _) = upload_part_copy(&bed.gateway, &acme.scope, copy)
            .await
            .unwrap();
        listed.push(RequestedPart {
            number,
            etag: answer.etag,
            checksum: None,
        });
    }
    acme.complete("k", &upload, &listed).await.unwrap();
    let whole = [&source[5..PART + 105], &source, &source[7..8]].concat();
    assert!(acme.get("k").await.unwrap() == whole);
    let copy = part_copy(&acme, &upload, 1, Some((0, source.len() as u64)));
    let refused = upload_part_copy(&bed.gateway, &acme.scope, copy).await;
    assert_eq!(refused.err().map(|e| e.code()), Some(Code::InvalidArgument));
}

#[tokio::test]
async fn part_copied_from_a_source_that_breaks_off_for_good_is_the_regions_failure() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    acme.put("source", &plain(1, STREAMED)).await.unwrap();
    let upload = acme.create("k").await;
    bed.store.fail_always(
        Op::Get,
        Fault::ClosesMidBody {
            after_bytes: 20_000,
        },
    );
    let copy = part_copy(&acme, &upload, 1, None);
    let refused = upload_part_copy(&bed.gateway, &acme.scope, copy).await;
    assert_eq!(refused.err().map(|e| e.code()), Some(Code::InternalError));
    bed.store.heal();
    bed.store.fail_next(
        Op::Get,
        Fault::ClosesMidBody {
            after_bytes: 20_000,
        },
    );
    let copy = part_copy(&acme, &upload, 1, None);
    upload_part_copy(&bed.gateway, &acme.scope, copy)
        .await
        .unwrap();
}
