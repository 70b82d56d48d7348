//! Ids, headers, checksums and the single body as values: one form each, redacted where secret.

use lethe_envelope::header::HEADER_CHARS_MAX;
use lethe_envelope::*;

fn draft(single: bool) -> HeaderDraft {
    HeaderDraft {
        kek_id: KekId::from_bytes([1; 16]),
        kek_commitment: [2; 32],
        object_id: ObjectId::from_bytes([3; 16]),
        single: single.then_some(SinglePart {
            salt: [4; 24],
            commitment: [5; 32],
            plaintext_bytes: 6,
        }),
        customer_check: None,
    }
}

#[test]
fn id_text_has_one_form() {
    let id = TenantId::from_bytes(std::array::from_fn(|index| index as u8 * 17));
    assert_eq!(id.to_string(), "00112233445566778899aabbccddeeff");
    assert_eq!(format!("{id:?}"), id.to_string());
    assert_eq!(id.to_string().parse(), Ok(id));
    for text in [
        "",
        "00",
        "00112233445566778899AABBCCDDEEFF",
        "00112233445566778899aabbccddeef",
        "zz112233445566778899aabbccddeeff",
    ] {
        assert_eq!(text.parse::<TenantId>(), Err(IdError), "{text}");
    }
    assert_ne!(ObjectId::random(), ObjectId::random());
}

#[test]
fn debug_of_secrets_shows_nothing_of_the_keys() {
    let dek = Dek::from_bytes(zeroize::Zeroizing::new([0xab; 32]));
    assert_eq!(dek.expose(), &[0xab; 32]);
    assert_eq!(format!("{dek:?}"), "Dek(redacted)");
    let sealer = Sealer::new(Engine::Ring, dek.expose(), b"context").unwrap();
    let customer_key = CustomerKey::from_bytes(&[0xab; 32]);
    assert_eq!(format!("{customer_key:?}"), "CustomerKey(redacted)");
    let (tenant, kek_id) = (TenantId::from_bytes([1; 16]), KekId::from_bytes([2; 16]));
    let secret = CustomerSecret::new(&[0xab; 32], tenant, kek_id, &customer_key);
    assert_eq!(format!("{secret:?}"), "CustomerSecret(redacted)");
    let shown = format!("{sealer:?}");
    assert!(!shown.contains("171") && !shown.contains("ab,"), "{shown}");
}

#[test]
fn header_of_either_kind_comes_back_and_stays_under_700_characters() {
    for single in [false, true] {
        let header = draft(single).with_wrapped_dek([7; 104]);
        let text = header.encode();
        assert_eq!(Header::decode(&text), Ok(header));
        assert_eq!(header.kind == Kind::Single, single);
        assert!(text.len() <= HEADER_CHARS_MAX);
        assert_eq!(header.draft(), draft(single));
    }
    const { assert!(HEADER_CHARS_MAX < 700) };
}

fn with_check(single: bool) -> HeaderDraft {
    HeaderDraft {
        customer_check: Some(CustomerCheck::from_bytes([8; 16])),
        ..draft(single)
    }
}

#[test]
fn header_with_a_customer_check_comes_back_and_is_another_suite() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    for single in [false, true] {
        let header = with_check(single).with_wrapped_dek([7; 104]);
        let text = header.encode();
        assert_eq!(Header::decode(&text), Ok(header));
        assert_eq!(header.suite(), Suite::Cobblestone256CustomerKey);
        assert_eq!(header.draft(), with_check(single));
        assert!(text.len() <= HEADER_CHARS_MAX);
        let plain = draft(single).with_wrapped_dek([7; 104]);
        assert_eq!(plain.suite(), Suite::Cobblestone256);
        let bytes = |text: &str| STANDARD.decode(text).unwrap().len();
        assert_eq!(bytes(&text), bytes(&plain.encode()) + 16);
    }
}

#[test]
fn header_whose_suite_and_length_disagree_is_refused() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    for single in [false, true] {
        for (draft, other) in [(draft(single), 2), (with_check(single), 1)] {
            let text = draft.with_wrapped_dek([7; 104]).encode();
            let mut bytes = STANDARD.decode(text).unwrap();
            bytes[1] = other;
            let decoded = Header::decode(&STANDARD.encode(&bytes));
            assert_eq!(decoded, Err(HeaderError::Malformed), "suite {other}");
        }
    }
}

#[test]
fn header_of_another_version_suite_kind_or_length_is_refused() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let bytes = STANDARD
        .decode(draft(true).with_wrapped_dek([7; 104]).encode())
        .unwrap();
    let decode = |bytes: &[u8]| Header::decode(&STANDARD.encode(bytes));
    assert!(decode(&bytes).is_ok());
    let changed = |at: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = value;
        decode(&bytes)
    };
    assert_eq!(
        changed(0, 2),
        Err(HeaderError::Unknown {
            version: 2,
            suite: 1
        })
    );
    assert_eq!(
        changed(1, 9),
        Err(HeaderError::Unknown {
            version: 1,
            suite: 9
        })
    );
    assert_eq!(changed(2, 0), Err(HeaderError::Malformed));
    assert_eq!(
        changed(2, 2),
        Err(HeaderError::Malformed),
        "multipart of a single's length"
    );
    assert_eq!(changed(2, 3), Err(HeaderError::Malformed));
    assert_eq!(
        changed(3 + 64 + 56, 1),
        Err(HeaderError::Malformed),
        "P over 5 TiB"
    );
    for length in 0..bytes.len() {
        assert_eq!(
            decode(&bytes[..length]),
            Err(HeaderError::Malformed),
            "{length} bytes"
        );
    }
    assert_eq!(
        decode(&[bytes.as_slice(), &[0]].concat()),
        Err(HeaderError::Malformed)
    );
    assert_eq!(
        Header::decode(&"A".repeat(1 << 20)),
        Err(HeaderError::Malformed)
    );
}

#[test]
fn bindings_every_field_but_the_wrapped_dek_counts() {
    let base = draft(true);
    let single = base.single.unwrap();
    let bindings = base.bindings_sha256(b"metadata");
    assert_eq!(
        base.with_wrapped_dek([7; 104]).bindings_sha256(b"metadata"),
        bindings
    );
    assert_eq!(
        base.with_wrapped_dek([8; 104]).bindings_sha256(b"metadata"),
        bindings
    );
    let others = [
        HeaderDraft {
            kek_id: KekId::from_bytes([9; 16]),
            ..base
        },
        HeaderDraft {
            kek_commitment: [9; 32],
            ..base
        },
        with_check(true),
        HeaderDraft {
            customer_check: Some(CustomerCheck::from_bytes([9; 16])),
            ..base
        },
        HeaderDraft {
            object_id: ObjectId::from_bytes([9; 16]),
            ..base
        },
        HeaderDraft {
            single: None,
            ..base
        },
        HeaderDraft {
            single: Some(SinglePart {
                salt: [9; 24],
                ..single
            }),
            ..base
        },
        HeaderDraft {
            single: Some(SinglePart {
                commitment: [9; 32],
                ..single
            }),
            ..base
        },
        HeaderDraft {
            single: Some(SinglePart {
                plaintext_bytes: 9,
                ..single
            }),
            ..base
        },
    ];
    for other in others {
        assert_ne!(other.bindings_sha256(b"metadata"), bindings, "{other:?}");
    }
    assert_ne!(base.bindings_sha256(b"metadatb"), bindings);
    assert_ne!(base.bindings_sha256(b""), bindings);
}

#[test]
fn checksum_codes_are_stable_and_unknown_ones_refused() {
    for (code, algorithm) in (1..).zip(ChecksumAlgorithm::ALL) {
        assert_eq!(algorithm.code(), code);
        assert_eq!(ChecksumAlgorithm::from_code(code), Ok(algorithm));
        assert!(algorithm.value_bytes() <= 64);
        let wrong = Checksum::new(
            algorithm,
            ChecksumType::FullObject,
            vec![0; algorithm.value_bytes() + 1],
        );
        assert!(matches!(wrong, Err(ChecksumError::Length { .. })));
    }
    assert_eq!(
        ChecksumAlgorithm::from_code(0),
        Err(ChecksumError::UnknownAlgorithm(0))
    );
    assert_eq!(
        ChecksumAlgorithm::from_code(11),
        Err(ChecksumError::UnknownAlgorithm(11))
    );
    assert_eq!(ChecksumType::from_code(1), Ok(ChecksumType::FullObject));
    assert_eq!(ChecksumType::from_code(2), Ok(ChecksumType::Composite));
    assert_eq!(
        ChecksumType::from_code(0),
        Err(ChecksumError::UnknownType(0))
    );
}

fn single(plaintext_bytes: u64) -> SingleSealer {
    let (tenant, id) = (TenantId::from_bytes([1; 16]), ObjectId::from_bytes([2; 16]));
    SingleSealer::new(
        Engine::Ring,
        &Dek::generate().unwrap(),
        tenant,
        id,
        plaintext_bytes,
    )
    .unwrap()
}

#[test]
fn single_body_of_any_length_is_as_long_as_the_layout_says() {
    for length in [0, 1, 16_383, 16_384, 16_385, 5 << 20, (15 << 20) + 7] {
        let mut sealer = single(length);
        let mut body = Vec::new();
        sealer.seal(&vec![1; length as usize], &mut body).unwrap();
        let pins = sealer.single_part();
        sealer.finish(None, &mut body).unwrap();
        assert_eq!(
            body.len() as u64,
            layout::stored_len(length),
            "length {length}"
        );
        assert_eq!(body[..56], pins.prologue());
        assert_eq!(pins.plaintext_bytes, length);
    }
}

#[test]
fn single_body_longer_or_shorter_than_announced_is_refused() {
    let mut sealer = single(10);
    let mut body = Vec::new();
    sealer.seal(&[0; 4], &mut body).unwrap();
    let longer = sealer.seal(&[0; 7], &mut body);
    assert_eq!(
        longer,
        Err(SingleError::Length {
            announced: 10,
            found: 11
        })
    );
    let before = body.len();
    let shorter = sealer.finish(None, &mut body);
    assert_eq!(
        shorter,
        Err(SingleError::Length {
            announced: 10,
            found: 4
        })
    );
    assert_eq!(body.len(), before, "an unfinished body grew");
}

#[test]
fn single_body_with_an_impossible_checksum_or_length_is_refused() {
    let checksum = Checksum {
        algorithm: ChecksumAlgorithm::Sha1,
        checksum_type: ChecksumType::FullObject,
        value: vec![0; 19],
    };
    let mut body = Vec::new();
    assert!(matches!(
        single(0).finish(Some(checksum), &mut body),
        Err(SingleError::Trailer(_))
    ));
    assert!(body.is_empty());
    let (tenant, id) = (TenantId::from_bytes([1; 16]), ObjectId::from_bytes([2; 16]));
    let over = layout::PLAINTEXT_BYTES_MAX + 1;
    let refused = SingleSealer::new(Engine::Ring, &Dek::generate().unwrap(), tenant, id, over);
    assert_eq!(
        refused.err(),
        Some(SingleError::TooLarge {
            plaintext_bytes: over
        })
    );
}
