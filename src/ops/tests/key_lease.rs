use super::client::{Broken, Client, PART, STREAMED, drain, key, plain, stream};
use crate::ops::checksum::Declared;
use crate::ops::conditions::WriteCondition;
use crate::ops::error::Code;
use crate::ops::multipart::{UploadPart, list_parts, upload_part};
use crate::ops::put_object::{PutObject, put_object};
use crate::ops::read_object::ReadRequest;
use crate::ops::sealing::PlainStream;
use crate::ops::testing::{Setup, Testbed};
use futures::StreamExt as _;
use lethe_envelope::ObjectMetadata;
use lethe_keys::testing::ManualClock;
use std::sync::Arc;
use std::time::Duration;

/// Longer than any lease.
const LONG: Duration = Duration::from_secs(3600);

async fn testbed() -> (Testbed, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    let setup = Setup {
        key_clock: Arc::<ManualClock>::clone(&clock),
        ..Setup::default()
    };
    let bed = Testbed::with(setup).await;
    (bed, clock)
}

/// A body during whose course the lease ends.
fn outliving(body: Vec<u8>, clock: &Arc<ManualClock>) -> PlainStream {
    let clock = Arc::clone(clock);
    let mut chunks = 0;
    stream(body)
        .inspect(move |_| {
            chunks += 1;
            if chunks == 6 {
                clock.advance(LONG);
            }
        })
        .boxed()
}

#[tokio::test]
async fn put_during_which_the_lease_ends_stores_nothing() {
    let (bed, clock) = testbed().await;
    let acme = Client::acme(&bed).await;
    acme.put("k", b"old").await.unwrap();
    let put = PutObject {
        key: key("k"),
        metadata: ObjectMetadata::default(),
        tags: Vec::new(),
        lock: crate::region::ObjectLock::default(),
        condition: WriteCondition::Always,
        body: outliving(plain(1, STREAMED), &clock),
        plaintext_bytes: STREAMED as u64,
        declared: Declared::default(),
        trailers: Box::new(|| None),
        customer_key: None,
    };
    let outcome = put_object(&bed.gateway, &acme.scope, put).await;
    let code = outcome.err().map(|error| error.code());
    assert_eq!(code, Some(Code::ServiceUnavailable));
    assert_eq!(
        acme.stored("k").await.1.len() as u64,
        lethe_envelope::layout::stored_len(3)
    );
}

#[tokio::test]
async fn part_during_which_the_lease_ends_is_not_recorded() {
    let (bed, clock) = testbed().await;
    let acme = Client::acme(&bed).await;
    let upload = acme.create("k").await;
    for bytes in [STREAMED, PART] {
        let part = UploadPart {
            key: key("k"),
            upload: upload.clone(),
            number: 1,
            body: outliving(plain(1, bytes), &clock),
            plaintext_bytes: bytes as u64,
            declared: Declared::default(),
            trailers: Box::new(|| None),
            customer_key: None,
        };
        let outcome = upload_part(&bed.gateway, &acme.scope, part).await;
        let code = outcome.err().map(|error| error.code());
        assert_eq!(code, Some(Code::ServiceUnavailable));
        let at = key("k");
        let list = || list_parts(&bed.gateway, &acme.scope, &at, &upload, 0, 10, None);
        // The lease is taken again as soon as the clock stands still.
        let parts = loop {
            match list().await {
                Err(error) if error.code() == Code::ServiceUnavailable => {}
                outcome => break outcome.unwrap().parts,
            }
        };
        assert!(parts.is_empty());
        assert_eq!(acme.spooled().await, 0);
    }
}

#[tokio::test]
async fn read_during_which_the_lease_ends_breaks_off() {
    let (bed, clock) = testbed().await;
    let acme = Client::acme(&bed).await;
    let bytes = plain(1, 4 << 20);
    acme.put("k", &bytes).await.unwrap();
    let request = ReadRequest {
        with_body: true,
        ..ReadRequest::default()
    };
    let mut answer = acme.read("k", &request).await.unwrap();
    let mut body = answer.body.take().unwrap();
    let first = body.next().await.unwrap().unwrap();
    clock.advance(LONG);
    answer.body = Some(
        futures::stream::once(async { Ok(first) })
            .chain(body)
            .boxed(),
    );
    let Err(Broken::MidBody(sent)) = drain(Ok(answer)).await else {
        panic!("a clean end without keys");
    };
    assert!(bytes.starts_with(&sent) && sent.len() < bytes.len());
}
