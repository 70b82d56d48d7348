use super::client::{Broken, Client, PART, drain, plain};
use crate::ops::error::Code;
use crate::ops::range::RangeSpec;
use crate::ops::read_object::ReadRequest;
use crate::ops::testing::Testbed;
use crate::region::faulty::{Fault, Op};
use lethe_envelope::layout;

#[tokio::test]
async fn flipped_byte_of_a_multipart_object_is_an_error_and_never_a_wrong_byte() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let parts = [plain(1, PART), plain(2, PART + 5), plain(3, 40_000)];
    acme.multipart("k", &[&parts[0], &parts[1], &parts[2]])
        .await;
    let bytes = parts.concat();
    let (head, stored) = acme.stored("k").await;
    let second = layout::sealed_len(PART as u64) as usize;
    let third = second + layout::sealed_len(PART as u64 + 5) as usize;
    let places = [
        100,              // part 1
        second - 1,       // its last tag
        second + 3,       // part 2's salt
        second + 40,      // its commitment
        second + 56,      // its first segment
        third + 10,       // part 3's salt
        third + 30_000,   // its body
        stored.len() - 1, // the trailer's last tag
        stored.len() - 200,
    ];
    for place in places {
        let mut changed = stored.clone();
        changed[place] ^= 1;
        acme.forge("k", &head, changed).await;
        match acme.get("k").await {
            Ok(_) => panic!("byte {place}: a clean end"),
            Err(Broken::MidBody(sent)) => assert!(bytes.starts_with(&sent), "byte {place}"),
            Err(Broken::Refused(error)) => assert_eq!(error.code(), Code::InternalError),
        }
        let (first, last) = (PART as u64 - 10, bytes.len() as u64 - 1);
        let spec = RangeSpec::From {
            first,
            last: Some(last),
        };
        let wanted = &bytes[PART - 10..];
        match acme.get_range("k", Some(spec)).await {
            Ok(sent) => assert!(place == 100 && sent == wanted, "byte {place}"),
            Err(Broken::MidBody(sent)) => assert!(wanted.starts_with(&sent), "byte {place}"),
            Err(Broken::Refused(error)) => assert_eq!(error.code(), Code::InternalError),
        }
    }
    acme.forge("k", &head, stored).await;
    assert_eq!(acme.get("k").await.unwrap(), bytes);
}

/// What a whole GET of an object whose stored byte was changed gave: never a clean end, and nothing but its own bytes before that.
fn assert_broken(outcome: Result<Vec<u8>, Broken>, bytes: &[u8], at: &str) {
    match outcome {
        Ok(_) => panic!("{at}: a clean end"),
        Err(Broken::MidBody(sent)) => {
            assert!(
                sent.len() < bytes.len() && bytes.starts_with(&sent),
                "{at}: {} bytes sent",
                sent.len()
            );
        }
        Err(Broken::Refused(error)) => assert_eq!(error.code(), Code::InternalError, "{at}"),
    }
}

#[tokio::test]
async fn flipped_byte_anywhere_in_a_small_object_is_an_error() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    for plaintext_bytes in [0, 20] {
        let bytes = plain(1, plaintext_bytes);
        acme.put("single", &bytes).await.unwrap();
        acme.multipart("parts", &[&bytes]).await;
        for name in ["single", "parts"] {
            let (head, stored) = acme.stored(name).await;
            for place in 0..stored.len() {
                let mut changed = stored.clone();
                changed[place] ^= 0x80;
                acme.forge(name, &head, changed).await;
                let at = format!("byte {place} of {name} of {plaintext_bytes} bytes");
                assert_broken(acme.get(name).await, &bytes, &at);
            }
            acme.forge(name, &head, stored).await;
            assert_eq!(acme.get(name).await.unwrap(), bytes);
        }
    }
}

#[tokio::test]
async fn flipped_byte_behind_the_parts_or_at_their_ends_is_an_error() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    // Two parts' room and one part: a pad of 72 bytes. A whole number of segments: an empty last one.
    let whole = plain(1, PART + (1 << 14));
    acme.put("single", &whole).await.unwrap();
    // An empty last part, which no plaintext byte asks for.
    let first = plain(2, PART);
    acme.multipart("parts", &[&first, b""]).await;
    for (name, bytes) in [("single", &whole), ("parts", &first)] {
        let (head, stored) = acme.stored(name).await;
        let end = layout::sealed_len(bytes.len() as u64) as usize;
        assert_eq!(acme.get(name).await.unwrap(), **bytes, "{name}");
        for place in (end - 20..stored.len()).step_by(3) {
            let mut changed = stored.clone();
            changed[place] ^= 1;
            acme.forge(name, &head, changed).await;
            assert_broken(acme.get(name).await, bytes, &format!("{name} {place}"));
        }
        acme.forge(name, &head, stored).await;
        assert_eq!(acme.get(name).await.unwrap(), **bytes);
    }
}

#[tokio::test]
async fn whole_read_broken_at_any_place_near_its_end_goes_on_and_is_whole() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let whole = plain(1, 3 << 14);
    acme.put("single", &whole).await.unwrap();
    acme.multipart("parts", &[&plain(2, PART), b""]).await;
    for (name, bytes) in [("single", whole), ("parts", plain(2, PART))] {
        let (_, stored) = acme.stored(name).await;
        let end = layout::sealed_len(bytes.len() as u64);
        for place in [
            end - 17,
            end - 16,
            end - 1,
            end,
            end + 30,
            stored.len() as u64 - 1,
        ] {
            let closes = Fault::ClosesMidBody { after_bytes: place };
            bed.store.fail_next(Op::Get, closes);
            assert_eq!(acme.get(name).await.unwrap(), bytes, "{name} {place}");
        }
    }
}

#[tokio::test]
async fn flipped_trailer_of_a_streamed_object_gives_no_checksum() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    acme.put("k", &plain(1, super::client::STREAMED))
        .await
        .unwrap();
    let (head, mut stored) = acme.stored("k").await;
    let last = stored.len() - 1;
    stored[last] ^= 1;
    acme.forge("k", &head, stored).await;
    let request = ReadRequest {
        with_checksum: true,
        ..ReadRequest::default()
    };
    let refused = acme.read("k", &request).await;
    assert_eq!(refused.err().map(|e| e.code()), Some(Code::InternalError));
}

/// Every character of these values, one after the other, is made another that base64 knows too.
fn variations(text: &str) -> impl Iterator<Item = String> {
    (0..text.len()).map(|at| {
        let mut bytes = text.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    })
}

#[tokio::test]
async fn changed_header_or_sealed_metadata_is_never_served() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    acme.put("single", b"bytes").await.unwrap();
    acme.multipart("parts", &[b"bytes"]).await;
    for name in ["single", "parts"] {
        let (head, stored) = acme.stored(name).await;
        for field in ["lethe-h", "lethe-m"] {
            let value = head.fields.metadata[field].clone();
            for (at, changed) in variations(&value).enumerate().step_by(5) {
                let mut forged = head.clone();
                forged.fields.metadata.insert(field.to_owned(), changed);
                acme.forge(name, &forged, stored.clone()).await;
                let request = ReadRequest {
                    with_body: true,
                    ..ReadRequest::default()
                };
                assert!(
                    matches!(
                        drain(acme.read(name, &request).await).await,
                        Err(Broken::Refused(_))
                    ),
                    "{name} {field} {at}"
                );
                assert!(acme.head(name).await.is_err(), "{name} {field} {at}");
            }
            let mut forged = head.clone();
            forged.fields.metadata.remove(field);
            acme.forge(name, &forged, stored.clone()).await;
            assert!(acme.head(name).await.is_err(), "{name} without {field}");
        }
        acme.forge(name, &head, stored).await;
        assert_eq!(acme.get(name).await.unwrap(), b"bytes");
    }
}

#[tokio::test]
async fn object_that_lethe_did_not_write_is_not_served() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    acme.put("k", b"bytes").await.unwrap();
    let (mut head, _) = acme.stored("k").await;
    head.fields = crate::region::HeadFields::default();
    acme.forge("k", &head, b"somebody's own".to_vec()).await;
    let Err(broken) = acme.get("k").await else {
        panic!("served");
    };
    assert_eq!(broken.code(), Code::InvalidObjectState);
}
