use super::super::checksums::ChecksumHeader;
use super::super::payload::Form;
use super::super::query::Query;
use super::super::testing::parts;
use super::*;
use futures::StreamExt;
use http_body_util::{BodyExt, StreamBody};
use sha2::{Digest, Sha256};

const LIMITS: BodyLimits = BodyLimits {
    body_bytes_max: 1000,
    signed_chunk_bytes_max: 100,
};
const QUIET: Duration = Duration::from_millis(100);

fn payload(form: Form, declared_bytes: u64, streams_object: bool) -> Payload {
    Payload {
        form,
        declared_bytes: Some(declared_bytes),
        streams_object,
    }
}

type Item = Result<Frame<Bytes>, std::io::Error>;

fn guarded(
    items: Vec<Item>,
    payload: Payload,
    then_hang: bool,
) -> (
    GuardedBody<impl Body<Data = Bytes, Error = std::io::Error> + Unpin>,
    FaultSlot,
) {
    let faults = FaultSlot::default();
    let request = parts(http::Method::POST, "/b?delete", &[]);
    let query = Query::parse("").unwrap();
    let document = DocumentCheck::of(&request, &query, &payload).unwrap();
    let pending = futures::stream::pending().take(usize::from(then_hang));
    let stream = futures::stream::iter(items).chain(pending);
    let body = GuardedBody::new(
        StreamBody::new(Box::pin(stream)),
        &payload,
        document,
        &LIMITS,
        QUIET,
        faults.clone(),
    );
    (body, faults)
}

fn data(text: &'static str) -> Item {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

#[tokio::test]
async fn broken_connection_is_an_incomplete_body() {
    let items = vec![data("abc"), Err(std::io::Error::other("reset"))];
    let (body, faults) = guarded(items, payload(Form::Unsigned, 5, true), false);
    assert_eq!(body.collect().await.unwrap_err(), BodyFault::Incomplete);
    assert_eq!(faults.get(), Some(BodyFault::Incomplete));
}

#[tokio::test]
async fn silent_client_times_out() {
    let began = Instant::now();
    let (mut body, faults) = guarded(vec![data("abc")], payload(Form::Unsigned, 5, true), true);
    assert!(body.frame().await.unwrap().is_ok());
    let failed = body.frame().await.unwrap();
    assert_eq!(failed.err(), Some(BodyFault::TimedOut));
    assert!((QUIET..5 * QUIET).contains(&began.elapsed()));
    assert_eq!(faults.get(), Some(BodyFault::TimedOut));
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn document_with_another_hash_fails_at_its_end() {
    let right = Form::Hashed(Sha256::digest(b"abc").into());
    let (body, _) = guarded(vec![data("abc")], payload(right, 3, false), false);
    assert_eq!(body.collect().await.unwrap().to_bytes(), "abc");
    let (body, _) = guarded(vec![data("abd")], payload(right, 3, false), false);
    assert_eq!(body.collect().await.unwrap_err(), BodyFault::Hash);
}

#[tokio::test]
async fn chunked_body_that_ends_between_chunks_fails() {
    let form = Form::UnsignedChunks {
        trailer: ChecksumHeader::Crc32,
    };
    let (body, faults) = guarded(vec![data("3\r\nabc\r\n")], payload(form, 3, true), false);
    assert_eq!(body.collect().await.unwrap_err(), BodyFault::Incomplete);
    assert_eq!(faults.get(), Some(BodyFault::Incomplete));
}

async fn declared(
    plaintext_bytes: u64,
    items: Vec<Result<Bytes, StdError>>,
) -> Vec<Result<Bytes, BodyError>> {
    let declared = Declared {
        plaintext_bytes: Some(plaintext_bytes),
        faults: FaultSlot::default(),
    };
    declared
        .stream(futures::stream::iter(items))
        .collect()
        .await
}

fn item(text: &'static str) -> Result<Bytes, StdError> {
    Ok(Bytes::from_static(text.as_bytes()))
}

#[tokio::test]
async fn body_of_the_declared_length_is_passed_on() {
    let items = declared(5, vec![item("abc"), item(""), item("de")]).await;
    let text: Vec<u8> = items.into_iter().flat_map(|i| i.unwrap()).collect();
    assert_eq!(text, b"abcde");
    assert!(declared(0, vec![]).await.is_empty());
}

#[tokio::test]
async fn last_byte_is_kept_back_when_the_end_is_bad() {
    let bad = |text: &'static str| Err(StdError::from(text));
    let items = declared(
        5,
        vec![
            item("abc"),
            item("de"),
            bad("AwsChunkedStreamError: SignatureMismatch"),
        ],
    )
    .await;
    assert_eq!(items.len(), 2);
    assert_eq!(items[0].as_ref().unwrap(), "abc");
    let code = OpError::from(items.into_iter().nth(1).unwrap().unwrap_err()).code();
    assert_eq!(code, Code::SignatureDoesNotMatch);
}

#[tokio::test]
async fn body_of_another_length_fails_and_never_ends_cleanly() {
    for (declared_bytes, texts) in [(5, vec!["abc"]), (2, vec!["abc"]), (3, vec!["abc", "d"])] {
        let items = declared(declared_bytes, texts.iter().map(|t| item(t)).collect()).await;
        let released: usize = items.iter().flatten().map(Bytes::len).sum();
        assert!(matches!(items.last(), Some(Err(BodyError::Incomplete))));
        assert!((released as u64) < declared_bytes);
    }
}

#[tokio::test]
async fn first_fault_wins_over_what_s3s_makes_of_it() {
    let declared = Declared {
        plaintext_bytes: Some(5),
        faults: FaultSlot::default(),
    };
    declared.faults.set(BodyFault::TimedOut);
    let items = vec![Err(StdError::from("AwsChunkedStreamError: Underlying"))];
    let mut stream = declared.stream(futures::stream::iter(items));
    let failed = stream.next().await.unwrap();
    assert!(matches!(failed, Err(BodyError::TimedOut)));
}
