//! What becomes of a store's faults: each one the right error, within its deadline, and nothing sent twice.

use super::S3Store;
use super::hostile::{Act, FIRST_BYTE_MS, Hostile, IDLE_MS, OBJECT, answer, refusal};
use crate::region::{
    Body, BodyError, ByteRange, CompletedPart, CopyRequest, DeleteRequest, GetRequest, HeadFields,
    ListRequest, Missing, ObjectRef, PutCondition, PutRequest, RegionError, RegionStore,
    SourceCondition, UpstreamBucket, UpstreamUploadId, VersionListRequest,
};
use crate::tenants::{ObjectKey, TenantId};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use std::future::Future;
use std::time::{Duration, Instant};

pub(super) const TENANT: TenantId = TenantId::from_bytes([7; 16]);

type Expected = fn(&RegionError) -> bool;

fn bucket() -> UpstreamBucket {
    UpstreamBucket::from_catalog("lethe-test-bucket".to_owned())
}

pub(super) fn at(key: &str) -> ObjectRef {
    ObjectRef {
        bucket: bucket(),
        key: ObjectKey::new(key).unwrap(),
    }
}

pub(super) fn put_of(body: Body, stored_bytes: u64) -> PutRequest {
    PutRequest {
        head: HeadFields::default(),
        stored_bytes,
        body,
        condition: PutCondition::Always,
    }
}

fn replayable() -> PutRequest {
    put_of(Body::Replayable(Bytes::from_static(b"0123456789")), 10)
}

pub(super) fn once(chunks: Vec<Result<Bytes, BodyError>>, stored_bytes: u64) -> PutRequest {
    put_of(Body::Once(stream::iter(chunks).boxed()), stored_bytes)
}

async fn get(store: &S3Store) -> Result<Bytes, RegionError> {
    get_with(store, &GetRequest::default()).await
}

async fn get_with(store: &S3Store, request: &GetRequest) -> Result<Bytes, RegionError> {
    let object = store.get(TENANT, &at("k"), request).await?;
    let chunks: Result<Vec<Bytes>, _> = object.body.try_collect().await;
    chunks
        .map(|c| Bytes::from(c.concat()))
        .map_err(|source| RegionError::BodyFailed {
            operation: "reading",
            source,
        })
}

/// Fails when `call` takes longer than its deadlines with room for a slow machine.
pub(super) async fn within<T>(ms: u64, call: impl Future<Output = T>) -> T {
    let started = Instant::now();
    let outcome = call.await;
    let took = started.elapsed();
    assert!(took < Duration::from_millis(ms + 1_000), "took {took:?}");
    outcome
}

fn copy_request() -> CopyRequest {
    CopyRequest {
        from: at("from"),
        from_version: None,
        source: SourceCondition {
            etag: "e".to_owned(),
        },
        head: HeadFields::default(),
        copy_tags: false,
        condition: PutCondition::Always,
    }
}

pub(super) async fn complete(store: &S3Store) -> Result<crate::region::WriteOutcome, RegionError> {
    let part = CompletedPart {
        number: 1,
        etag: "p".to_owned(),
    };
    let upload = UpstreamUploadId("u".to_owned());
    let parts = [part];
    store
        .complete_upload(TENANT, &at("k"), &upload, &parts, &PutCondition::Always)
        .await
}

macro_rules! assert_is {
    ($outcome:expr, $pattern:pat $(if $guard:expr)?) => {{
        let outcome = $outcome;
        assert!(matches!(&outcome, Err($pattern) $(if $guard)?), "{outcome:?}");
    }};
}
pub(super) use assert_is;

#[tokio::test]
async fn silent_store_read_unavailable_write_unknown() {
    let hostile = Hostile::play(vec![Act::AnswerThenHang(Vec::new())]).await;
    let store = hostile.store().await;
    // Reads are repeated: three times first byte and connect, and the pauses between.
    let reads = 3 * (FIRST_BYTE_MS + 300) + 500;
    assert_is!(
        within(reads, get(&store)).await,
        RegionError::Unavailable { .. }
    );
    let before = hostile.seen().len();
    let target = at("k");
    let put = store.put(TENANT, &target, replayable());
    assert_is!(
        within(FIRST_BYTE_MS + 300, put).await,
        RegionError::Unknown { .. }
    );
    assert_is!(
        within(1_000, complete(&store)).await,
        RegionError::Unknown { .. }
    );
    let copy = copy_request();
    assert_is!(
        within(1_000, store.copy(TENANT, &at("k"), &copy)).await,
        RegionError::Unknown { .. }
    );
    let delete = DeleteRequest::default();
    assert_is!(
        within(1_000, store.delete(TENANT, &at("k"), &delete)).await,
        RegionError::Unknown { .. }
    );
    assert_eq!(hostile.seen().len() - before, 4, "no write was sent twice");
}

#[tokio::test]
async fn body_hangs_or_breaks_stream_errs_in_time() {
    let short = format!("HTTP/1.1 200 OK\r\n{OBJECT}content-length: 10\r\n\r\nhalf");
    for act in [
        Act::AnswerThenHang(short.clone().into_bytes()),
        Act::AnswerThenClose(short.into_bytes()),
    ] {
        let hostile = Hostile::play(vec![act]).await;
        let store = hostile.store().await;
        assert_is!(
            within(IDLE_MS, get(&store)).await,
            RegionError::BodyFailed {
                source: BodyError::Source(_),
                ..
            }
        );
        assert_eq!(hostile.seen().len(), 1);
    }
}

#[tokio::test]
async fn contradicting_answers_lying() {
    let with_headers = |status: &str, headers: &str, body: &str| {
        Act::AnswerThenClose(format!("HTTP/1.1 {status}\r\n{headers}\r\n{body}").into_bytes())
    };
    let ranged = GetRequest {
        range: Some(ByteRange::Inclusive { first: 2, last: 5 }),
        ..GetRequest::default()
    };
    let matching = GetRequest {
        if_match: Some("other".to_owned()),
        ..GetRequest::default()
    };
    let plain = GetRequest::default();
    let partial = format!("{OBJECT}content-length: 4\r\n");
    let cases = [
        // The range is ignored, another one comes, or its lengths do not agree.
        (
            &ranged,
            with_headers(
                "200 OK",
                &format!("{OBJECT}content-length: 10\r\n"),
                "0123456789",
            ),
        ),
        (
            &ranged,
            with_headers(
                "206 P",
                &format!("{partial}content-range: bytes 0-3/10\r\n"),
                "0123",
            ),
        ),
        (
            &ranged,
            with_headers(
                "206 P",
                &format!("{partial}content-range: bytes 2-6/10\r\n"),
                "0123",
            ),
        ),
        (&ranged, with_headers("206 P", &partial, "0123")),
        // No length at all, no ETag, another object, a part when all was asked for, no such status.
        (
            &plain,
            with_headers(
                "200 OK",
                &format!("{OBJECT}transfer-encoding: chunked\r\n"),
                "1\r\nx\r\n0\r\n\r\n",
            ),
        ),
        (
            &plain,
            with_headers(
                "200 OK",
                "content-length: 1\r\nlast-modified: Fri, 02 Jan 2026 03:04:05 GMT\r\n",
                "x",
            ),
        ),
        (
            &matching,
            with_headers("200 OK", &format!("{OBJECT}content-length: 1\r\n"), "x"),
        ),
        (
            &plain,
            with_headers(
                "206 P",
                &format!("{partial}content-range: bytes 0-3/10\r\n"),
                "0123",
            ),
        ),
        (&plain, with_headers("299 Odd", &partial, "0123")),
        (
            &plain,
            Act::AnswerThenClose(b"SSH-2.0-whatever\r\n\r\n".to_vec()),
        ),
    ];
    for (request, act) in cases {
        let shown = format!("{act:?}");
        let hostile = Hostile::play(vec![act]).await;
        let outcome = get_with(&hostile.store().await, request).await;
        assert!(
            matches!(outcome, Err(RegionError::Lying { .. })),
            "{outcome:?} of {shown}"
        );
    }
}

#[tokio::test]
async fn huge_headers_lying_in_time() {
    let huge = format!("HTTP/1.1 200 OK\r\nx-a: {}\r\n", "a".repeat(1 << 20));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x-a: b\r\n".repeat(1_000));
    for text in [huge, many] {
        let hostile = Hostile::play(vec![Act::AnswerThenHang(text.into_bytes())]).await;
        assert_is!(
            within(FIRST_BYTE_MS, get(&hostile.store().await)).await,
            RegionError::Lying { .. }
        );
    }
}

#[tokio::test]
async fn error_under_status_200_is_an_error() {
    let cases: [(&str, Expected); 5] = [
        ("InternalError", |e| {
            matches!(e, RegionError::Unknown { .. })
        }),
        ("SlowDown", |e| matches!(e, RegionError::Unavailable { .. })),
        ("PreconditionFailed", |e| {
            matches!(e, RegionError::PreconditionFailed { .. })
        }),
        (
            "AccessDenied",
            |e| matches!(e, RegionError::Refused { code, .. } if code == "AccessDenied"),
        ),
        ("InvalidPart", |e| {
            matches!(e, RegionError::InvalidPart { .. })
        }),
    ];
    for (code, right) in cases {
        let hostile = Hostile::play(vec![Act::Answer(refusal("200 OK", code))]).await;
        let store = hostile.store().await;
        let completed = complete(&store).await.unwrap_err();
        assert!(right(&completed), "{code}: {completed:?}");
        let copied = store
            .copy(TENANT, &at("k"), &copy_request())
            .await
            .unwrap_err();
        assert!(right(&copied), "{code}: {copied:?}");
    }
}

#[tokio::test]
async fn success_without_result_lying() {
    let hostile = Hostile::play(vec![Act::Answer(answer("200 OK", "", ""))]).await;
    let store = hostile.store().await;
    assert_is!(complete(&store).await, RegionError::Lying { .. });
    assert_is!(
        store.copy(TENANT, &at("k"), &copy_request()).await,
        RegionError::Lying { .. }
    );
    assert_is!(
        store.put(TENANT, &at("k"), replayable()).await,
        RegionError::Lying { .. }
    );
}

#[tokio::test]
async fn slow_down_then_success_repeated_where_bytes_are_kept() {
    let acts = || {
        vec![
            Act::Answer(refusal("503 Slow Down", "SlowDown")),
            Act::Answer(answer("200 OK", OBJECT, "")),
        ]
    };
    let hostile = Hostile::play(acts()).await;
    get(&hostile.store().await).await.unwrap();
    assert_eq!(hostile.seen().len(), 2);

    let hostile = Hostile::play(acts()).await;
    let put = hostile
        .store()
        .await
        .put(TENANT, &at("k"), replayable())
        .await;
    assert_eq!(put.unwrap().etag, "e1");
    let bytes: Vec<_> = hostile.seen().iter().map(|seen| seen.body_bytes).collect();
    assert_eq!(bytes, [10, 10]);

    let hostile = Hostile::play(acts()).await;
    let chunks = [b"01234", b"56789"].map(|chunk| Ok(Bytes::from_static(chunk)));
    let request = once(chunks.into(), 10);
    assert_is!(
        hostile.store().await.put(TENANT, &at("k"), request).await,
        RegionError::Unavailable { .. }
    );
    assert_eq!(hostile.seen().len(), 1, "a stream is sent once");
}

#[tokio::test]
async fn stored_but_answer_dropped_unknown_and_sent_once() {
    let hostile = Hostile::play(vec![Act::AnswerThenClose(Vec::new())]).await;
    let store = hostile.store().await;
    assert_is!(
        store.put(TENANT, &at("k"), replayable()).await,
        RegionError::Unknown { .. }
    );
    let request = once(vec![Ok(Bytes::from_static(b"0123456789"))], 10);
    assert_is!(
        store.put(TENANT, &at("k"), request).await,
        RegionError::Unknown { .. }
    );
    assert_is!(complete(&store).await, RegionError::Unknown { .. });
    assert_eq!(hostile.seen().len(), 3);
    assert!(hostile.seen().iter().all(|seen| seen.complete));
}

#[tokio::test]
async fn statuses_mapped_by_what_the_caller_does_next() {
    let cases: [(&str, &str, Expected); 12] = [
        ("404 N", "NoSuchBucket", |e| {
            matches!(
                e,
                RegionError::NotFound {
                    missing: Missing::Bucket,
                    ..
                }
            )
        }),
        ("404 N", "NoSuchKey", |e| {
            matches!(
                e,
                RegionError::NotFound {
                    missing: Missing::Object,
                    ..
                }
            )
        }),
        ("404 N", "NoSuchVersion", |e| {
            matches!(
                e,
                RegionError::NotFound {
                    missing: Missing::Version,
                    ..
                }
            )
        }),
        ("412 P", "PreconditionFailed", |e| {
            matches!(e, RegionError::PreconditionFailed { .. })
        }),
        ("409 C", "ConditionalRequestConflict", |e| {
            matches!(e, RegionError::Conflict { .. })
        }),
        ("416 R", "InvalidRange", |e| {
            matches!(e, RegionError::RangeNotSatisfiable { .. })
        }),
        ("501 N", "NotImplemented", |e| {
            matches!(e, RegionError::Unsupported { .. })
        }),
        ("403 F", "AccessDenied", |e| {
            matches!(e, RegionError::Refused { status: 403, .. })
        }),
        ("301 M", "PermanentRedirect", |e| {
            matches!(e, RegionError::Refused { status: 301, .. })
        }),
        ("307 T", "TemporaryRedirect", |e| {
            matches!(e, RegionError::Refused { status: 307, .. })
        }),
        ("500 I", "InternalError", |e| {
            matches!(e, RegionError::Unavailable { .. })
        }),
        ("429 T", "TooManyRequests", |e| {
            matches!(e, RegionError::Unavailable { .. })
        }),
    ];
    for (status, code, right) in cases {
        let hostile = Hostile::play(vec![Act::Answer(refusal(status, code))]).await;
        let store = hostile.store().await;
        let error = get(&store).await.unwrap_err();
        assert!(right(&error), "{status} {code}: {error:?}");
        let tags = store.tags(TENANT, &at("k"), None).await.unwrap_err();
        assert!(right(&tags), "{status} {code}: {tags:?}");
    }
    let moved = "location: http://127.0.0.1:9/\r\n";
    let hostile = Hostile::play(vec![Act::Answer(answer("307 T", moved, ""))]).await;
    assert_is!(
        get(&hostile.store().await).await,
        RegionError::Refused { status: 307, .. }
    );
    assert_eq!(hostile.seen().len(), 1, "redirects are not followed");
    let marker = "x-amz-delete-marker: true\r\nx-amz-version-id: v9\r\n";
    let hostile = Hostile::play(vec![Act::Answer(answer("404 N", marker, ""))]).await;
    assert_is!(
        hostile.store().await.head(TENANT, &at("k"), None).await,
        RegionError::DeleteMarker { named: false, version: Some(v), .. } if v.0 == "v9"
    );
}

#[tokio::test]
async fn garbage_listings_lying() {
    let list = ListRequest {
        keys_max: 10,
        ..ListRequest::default()
    };
    let versions = VersionListRequest {
        keys_max: 10,
        ..VersionListRequest::default()
    };
    let entry = |key: &str| {
        format!(
            "<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>{key}</Key><Size>1</Size><ETag>e</ETag><LastModified>2026-01-02T03:04:05Z</LastModified></Contents></ListBucketResult>"
        )
    };
    for body in [
        "not xml at all".to_owned(),
        "<ListBucketResult><Contents>".to_owned(),
        entry("a%zz"),
        entry("%FF"),
        entry("k").replace("<Size>1</Size>", "<Size>-1</Size>"),
        entry("k")
            .replace(
                "<ListBucketResult>",
                "<ListBucketResult><IsTruncated>true</IsTruncated>",
            )
            .replace("<Key>k</Key>", ""),
    ] {
        let hostile = Hostile::play(vec![Act::Answer(answer("200 OK", "", &body))]).await;
        let store = hostile.store().await;
        let outcome = store.list(TENANT, &bucket(), &list).await;
        assert!(
            matches!(outcome, Err(RegionError::Lying { .. })),
            "{body}: {outcome:?}"
        );
        assert_is!(
            store.list_versions(TENANT, &bucket(), &versions).await,
            RegionError::Lying { .. }
        );
    }
    let endless = " ".repeat(17 << 20);
    let hostile = Hostile::play(vec![Act::Answer(answer("200 OK", "", &endless))]).await;
    let store = hostile.store().await;
    assert_is!(
        store.list(TENANT, &bucket(), &list).await,
        RegionError::Lying { .. }
    );
}

#[tokio::test]
async fn write_headers_sent_and_signed() {
    let hostile = Hostile::play(vec![Act::Answer(answer("200 OK", OBJECT, ""))]).await;
    let store = hostile.store().await;
    let mut request = replayable();
    request
        .head
        .metadata
        .insert("lethe".to_owned(), "aGVhZGVy".to_owned());
    request.head.content_disposition = Some("c3BpbGw=".to_owned());
    request.head.tags = vec![("a".to_owned(), "b c".to_owned())];
    request.condition = PutCondition::Matches("e0".to_owned());
    store.put(TENANT, &at("dir/ü +%"), request).await.unwrap();
    let head = hostile.seen()[0].head.to_ascii_lowercase();
    for expected in [
        "put /lethe-test-bucket/dir/%c3%bc%20%2b%25 http/1.1",
        "x-amz-meta-lethe: agvhzgvy",
        "content-disposition: c3bpbgw=",
        "x-amz-tagging: a=b%20c",
        "if-match: \"e0\"",
        "x-amz-content-sha256: unsigned-payload",
        "signedheaders=content-disposition;host;if-match;x-amz-content-sha256;x-amz-date;x-amz-meta-lethe;x-amz-tagging",
    ] {
        assert!(head.contains(expected), "{expected} in {head}");
    }
    let mut request = replayable();
    request.head.content_disposition = Some("a\r\nx-amz-acl: public-read".to_owned());
    assert_is!(
        store.put(TENANT, &at("k"), request).await,
        RegionError::Refused { status: 400, .. }
    );
    assert_eq!(
        hostile.seen().len(),
        1,
        "a header that is none was not sent"
    );
}

#[tokio::test]
async fn list_behind_a_common_prefix_begins_behind_all_below() {
    let empty = "<ListBucketResult><EncodingType>url</EncodingType></ListBucketResult>";
    let hostile = Hostile::play(vec![Act::Answer(answer("200 OK", "", empty))]).await;
    let store = hostile.store().await;
    // A bucket with versions would be asked for them first.
    let tree = store.with_profile(crate::region::RegionProfile {
        versioning: false,
        ..super::testbed::seaweed_profile()
    });
    for (delimiter, start_after, in_byte_order, in_a_tree) in [
        (
            Some("/"),
            "a/",
            "start-after=a%2f%f4%8f%bf%bf ",
            "start-after=a%2f%f4%8f%bf%bf ",
        ),
        (Some("/"), "a/b", "start-after=a%2fb ", "start-after=a%2fb "),
        (None, "a/b", "start-after=a%2fb ", "start-after=a%2fb%2f "),
    ] {
        let request = ListRequest {
            delimiter: delimiter.map(str::to_owned),
            start_after: Some(start_after.to_owned()),
            keys_max: 10,
            ..ListRequest::default()
        };
        for (store, expected) in [(&store, in_byte_order), (&tree, in_a_tree)] {
            store.list(TENANT, &bucket(), &request).await.unwrap();
            let head = hostile.seen().last().unwrap().head.to_ascii_lowercase();
            assert!(head.contains(expected), "{expected} in {head}");
        }
    }
}
