use super::client::{Broken, Client, PART, STREAMED, plain};
use crate::ops::error::{Code, Detail};
use crate::ops::range::RangeSpec;
use crate::ops::testing::Testbed;
use crate::region::faulty::{Fault, Op};

/// A small single object, a streamed one, and one of three parts, each with its bytes.
async fn objects(acme: &Client<'_>) -> Vec<(&'static str, Vec<u8>)> {
    let (small, streamed) = (plain(1, 100_000), plain(2, STREAMED));
    let parts = [plain(3, PART + 1), plain(4, PART), plain(5, 70_000)];
    acme.put("small", &small).await.unwrap();
    acme.put("streamed", &streamed).await.unwrap();
    acme.multipart("parts", &[&parts[0], &parts[1], &parts[2]])
        .await;
    vec![
        ("small", small),
        ("streamed", streamed),
        ("parts", parts.concat()),
    ]
}

#[tokio::test]
async fn read_whose_connection_breaks_goes_on_from_the_last_authenticated_byte() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    for (name, bytes) in objects(&acme).await {
        // The trailer is read apart; from now on it is known, and each read of the whole is one request.
        assert_eq!(acme.get(name).await.unwrap(), bytes);
        for after_bytes in [0, 1, 55, 56, 16_455, 16_456, 16_457, 90_000] {
            let asked = bed.store.calls(Op::Get);
            bed.store
                .fail_next(Op::Get, Fault::ClosesMidBody { after_bytes });
            assert_eq!(acme.get(name).await.unwrap(), bytes, "{name} {after_bytes}");
            assert_eq!(bed.store.calls(Op::Get), asked + 2, "{name} {after_bytes}");
        }
        bed.store.fail(
            Op::Get,
            1,
            4,
            Fault::ClosesMidBody {
                after_bytes: 20_000,
            },
        );
        assert_eq!(acme.get(name).await.unwrap(), bytes, "{name} four times");
    }
}

#[tokio::test]
async fn read_whose_connection_breaks_in_a_later_part_goes_on() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let bytes = objects(&acme).await.pop().unwrap().1;
    acme.get("parts").await.unwrap();
    let first = lethe_envelope::layout::sealed_len(PART as u64 + 1);
    let second = first + lethe_envelope::layout::sealed_len(PART as u64);
    for part in [first, second] {
        for near in [-1, 0, 1, 30, 55, 56, 57, 20_000] {
            let after_bytes = part.saturating_add_signed(near);
            bed.store
                .fail_next(Op::Get, Fault::ClosesMidBody { after_bytes });
            assert_eq!(acme.get("parts").await.unwrap(), bytes, "{after_bytes}");
        }
    }
}

#[tokio::test]
async fn read_whose_connection_breaks_again_and_again_gives_up_with_an_error() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    for (name, bytes) in objects(&acme).await {
        acme.get(name).await.unwrap();
        let asked = bed.store.calls(Op::Get);
        bed.store.fail_always(
            Op::Get,
            Fault::ClosesMidBody {
                after_bytes: 10_000,
            },
        );
        let Err(Broken::MidBody(sent)) = acme.get(name).await else {
            panic!("{name} ended cleanly");
        };
        bed.store.heal();
        assert!(bytes.starts_with(&sent));
        assert_eq!(bed.store.calls(Op::Get), asked + 5, "bounded");
    }
}

#[tokio::test]
async fn read_that_cannot_be_resumed_breaks_off() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let bytes = plain(1, 100_000);
    acme.put("k", &bytes).await.unwrap();
    bed.store.fail_next(
        Op::Get,
        Fault::ClosesMidBody {
            after_bytes: 40_000,
        },
    );
    bed.store.fail(Op::Get, 2, 1, Fault::Failed);
    let Err(Broken::MidBody(sent)) = acme.get("k").await else {
        panic!("a clean end");
    };
    assert_eq!(sent, bytes[..32_768]);
}

#[tokio::test]
async fn body_of_a_wrong_length_gives_the_right_bytes_or_breaks_off() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    for (name, bytes) in objects(&acme).await {
        for by_bytes in [-1, -400, -20_000, -90_000, 1, 16, 100_000] {
            let fault = Fault::WrongLength { by_bytes };
            bed.store.fail_next(Op::Get, fault);
            match acme.get(name).await {
                Ok(sent) => assert_eq!(sent, bytes, "{name} {by_bytes}"),
                Err(Broken::MidBody(sent)) => assert!(bytes.starts_with(&sent)),
                // The trailer itself was cut or grew.
                Err(Broken::Refused(_)) => assert_eq!(name, "parts"),
            }
            bed.store.heal();
            bed.store.fail_always(Op::Get, fault);
            match acme.get(name).await {
                Ok(sent) => assert_eq!(sent, bytes, "{name} {by_bytes} always"),
                Err(Broken::MidBody(sent)) => assert!(bytes.starts_with(&sent)),
                Err(Broken::Refused(_)) => assert_eq!(name, "parts"),
            }
            bed.store.heal();
            assert_eq!(acme.get(name).await.unwrap(), bytes);
        }
    }
    let bytes = plain(1, 100_000);
    bed.store
        .fail_always(Op::Get, Fault::WrongLength { by_bytes: -60_000 });
    let Err(Broken::MidBody(sent)) = acme.get("small").await else {
        panic!("a clean end of a body that was cut");
    };
    assert!(bytes.starts_with(&sent) && sent.len() < bytes.len());
}

#[tokio::test]
async fn head_of_a_wrong_length_is_an_error_also_when_the_trailer_is_known() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    for (name, bytes) in objects(&acme).await {
        acme.get(name).await.unwrap();
        // Lengths that some other object has: only what is authenticated tells that it is not this one.
        for by_bytes in [-1, 1, -500, -1000] {
            bed.store
                .fail_next(Op::Head, Fault::WrongLength { by_bytes });
            let Err(error) = acme.head(name).await else {
                panic!("{name}: the store's word was taken for its length");
            };
            assert_eq!(error.code(), Code::InternalError);
            bed.store
                .fail_next(Op::Head, Fault::WrongLength { by_bytes });
            let suffix = RangeSpec::Suffix { bytes: 10 };
            let Err(broken) = acme.get_range(name, Some(suffix)).await else {
                panic!("{name}: a suffix of another length");
            };
            assert_eq!(broken.code(), Code::InternalError);
        }
        let head = acme.head(name).await.unwrap();
        assert_eq!(head.content_bytes, bytes.len() as u64);
    }
}

fn spec(first: usize, last: usize) -> Option<RangeSpec> {
    Some(RangeSpec::From {
        first: first as u64,
        last: Some(last as u64),
    })
}

#[tokio::test]
async fn ranges_about_every_boundary_of_parts_and_segments_are_exact() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    for first in [PART, PART + 16_383, PART + 1] {
        let parts = [plain(1, first), plain(2, PART), plain(3, 32_768)];
        acme.multipart("k", &[&parts[0], &parts[1], &parts[2]])
            .await;
        let bytes = parts.concat();
        let edges = [
            0,
            16_383,
            16_384,
            first - 1,
            first,
            first + 1,
            first + 16_384,
            first + PART - 1,
            first + PART,
            bytes.len() - 1,
        ];
        for a in edges {
            for b in edges.into_iter().filter(|b| a <= *b) {
                let sent = acme.get_range("k", spec(a, b)).await.unwrap();
                assert!(sent == bytes[a..=b], "{first}: {a}..={b}");
            }
        }
        for suffix in [1, 32_768, 32_769, PART + 32_769, bytes.len(), 1 << 40] {
            let asked = RangeSpec::Suffix {
                bytes: suffix as u64,
            };
            let sent = acme.get_range("k", Some(asked)).await.unwrap();
            let from = bytes.len().saturating_sub(suffix);
            assert!(sent == bytes[from..], "{first}: last {suffix}");
        }
        let open = RangeSpec::From {
            first: first as u64,
            last: None,
        };
        let sent = acme.get_range("k", Some(open)).await.unwrap();
        assert!(sent == bytes[first..]);
    }
}

#[tokio::test]
async fn range_past_the_end_is_refused_with_the_objects_length() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let five = plain(1, PART);
    acme.put("empty", b"").await.unwrap();
    acme.put("ten", b"0123456789").await.unwrap();
    acme.multipart("parts", &[&five, b""]).await;
    for (name, bytes) in [("empty", 0), ("ten", 10), ("parts", PART)] {
        for first in [bytes, bytes + 300, bytes + 10_000_000] {
            let Err(Broken::Refused(error)) = acme.get_range(name, spec(first, first)).await else {
                panic!("{name} {first}");
            };
            assert_eq!(error.code(), Code::InvalidRange);
            let plaintext_bytes = bytes as u64;
            assert_eq!(error.details(), [Detail::ObjectLength { plaintext_bytes }]);
        }
    }
    assert_eq!(acme.get("empty").await.unwrap(), b"");
}

#[tokio::test]
async fn read_that_the_store_fails_is_an_error_and_then_works() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    for (name, bytes) in objects(&acme).await {
        for fault in [Fault::Failed, Fault::Lost] {
            bed.store.fail_next(Op::Get, fault);
            assert!(acme.get(name).await.is_err());
            assert_eq!(acme.get(name).await.unwrap(), bytes);
        }
    }
}
