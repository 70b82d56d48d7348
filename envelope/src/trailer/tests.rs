use super::*;

fn part(number: u16, plaintext_bytes: u64) -> PartRecord {
    PartRecord {
        number,
        checksum: None,
        plaintext_bytes,
        salt: [1; 24],
        commitment: [2; 32],
    }
}

fn id() -> ObjectId {
    ObjectId::from_bytes([3; 16])
}

fn checksum(checksum_type: ChecksumType) -> Checksum {
    Checksum {
        algorithm: ChecksumAlgorithm::Crc64Nvme,
        checksum_type,
        value: vec![0xc4; 8],
    }
}

fn rich() -> Trailer {
    let mut first = part(2, 6 << 20);
    first.checksum = Some(checksum(ChecksumType::FullObject));
    Trailer::new(
        id(),
        Some(checksum(ChecksumType::Composite)),
        vec![first, part(9, 11)],
    )
    .unwrap()
}

#[test]
fn trailer_parts_that_no_object_has_are_refused() {
    let new = |parts| Trailer::new(id(), None, parts).unwrap_err();
    assert_eq!(new(vec![]), TrailerError::PartCount { count: 0, max: 1 });
    assert_eq!(
        new(vec![part(0, 1)]),
        TrailerError::PartNumber { number: 0 }
    );
    assert_eq!(
        new(vec![part(10_001, 1)]),
        TrailerError::PartNumber { number: 10_001 }
    );
    let big = 5 << 20;
    assert_eq!(
        new(vec![part(2, big), part(1, 1)]),
        TrailerError::PartNumber { number: 1 }
    );
    assert_eq!(
        new(vec![part(2, big), part(2, 1)]),
        TrailerError::PartNumber { number: 2 }
    );
    let small = new(vec![part(1, big - 1), part(2, big)]);
    assert_eq!(
        small,
        TrailerError::PartTooSmall {
            number: 1,
            plaintext_bytes: big - 1
        }
    );
    assert_eq!(
        new(vec![part(1, 0), part(2, 0)]),
        TrailerError::PartCount { count: 2, max: 1 }
    );
    let over = PLAINTEXT_BYTES_MAX + 1;
    assert_eq!(
        new(vec![part(1, over)]),
        TrailerError::PlaintextLength {
            plaintext_bytes: over
        }
    );
    let (wide, sum) = (1 << 40, (1 << 40) + 1);
    let refused = new(vec![part(1, wide), part(2, 1)]);
    assert_eq!(
        refused,
        TrailerError::PlaintextLength {
            plaintext_bytes: sum
        }
    );
    let overflow = new(vec![part(1, u64::MAX), part(2, 2)]);
    assert_eq!(
        overflow,
        TrailerError::PlaintextLength {
            plaintext_bytes: u64::MAX
        }
    );
    let many = (1..=10_001).map(|number| part(number, big)).collect();
    assert_eq!(
        new(many),
        TrailerError::PartCount {
            count: 10_001,
            max: 10_000
        }
    );
}

#[test]
fn trailer_fields_rewritten_after_new_do_not_seal() {
    let mut trailer = rich();
    trailer.plaintext_bytes += 1;
    let dek = Dek::generate().unwrap();
    let sealed = trailer.seal_with_pad(Engine::Ring, &dek, TenantId::from_bytes([0; 16]));
    assert!(matches!(sealed, Err(TrailerError::PlaintextLength { .. })));
}

#[test]
fn trailer_checksums_that_cannot_be_are_refused() {
    let mut short = checksum(ChecksumType::FullObject);
    short.value.pop();
    let new = |whole, of_part| {
        let mut part = part(1, 5);
        part.checksum = of_part;
        Trailer::new(id(), whole, vec![part]).unwrap_err()
    };
    assert!(matches!(
        new(Some(short.clone()), None),
        TrailerError::Checksum(_)
    ));
    assert!(matches!(new(None, Some(short)), TrailerError::Checksum(_)));
    let composite = new(None, Some(checksum(ChecksumType::Composite)));
    assert_eq!(composite, TrailerError::PartChecksumType { number: 1 });
}

#[test]
fn trailer_encoding_has_one_form() {
    let trailer = rich();
    let encoded = trailer.encode().unwrap();
    assert_eq!(encoded.len(), 160 + 128 * 2);
    assert_eq!(Trailer::decode(&encoded), Some(trailer));
    let refused_at = |at: usize, value: u8| {
        let mut changed = encoded.to_vec();
        assert_ne!(changed[at], value);
        changed[at] = value;
        assert_eq!(Trailer::decode(&changed), None, "byte {at} set to {value}");
    };
    refused_at(7, 1); // P is not the parts' sum
    refused_at(9, 3); // more parts than there is room for
    refused_at(9, 1); // a part behind the count
    refused_at(10, 0); // a value without an algorithm
    refused_at(10, 99); // unknown algorithm
    refused_at(10, 1); // shorter algorithm, so that the value's rest is padding
    refused_at(11, 0); // no type
    refused_at(11, 3); // unknown type
    refused_at(12, 1); // reserved
    refused_at(15, 1);
    refused_at(40, 1); // checksum's padding
    refused_at(96, 1); // reserved
    refused_at(159, 1);
    refused_at(161, 9); // number not rising
    refused_at(162, 0); // a part's value without an algorithm
    refused_at(415, 1); // a value where there is no checksum
    for length in [0, 8, 159, 160, 161, 288, 415] {
        assert_eq!(Trailer::decode(&encoded[..length]), None, "cut to {length}");
    }
    let longer = [encoded.as_slice(), &[0; 128]].concat();
    assert_eq!(Trailer::decode(&longer), None);
}

#[test]
fn trailer_claiming_another_object_than_its_context_is_malformed() {
    let (dek, tenant) = (Dek::generate().unwrap(), TenantId::from_bytes([7; 16]));
    let trailer = Trailer::new(id(), None, vec![part(1, 5)]).unwrap();
    let open = |context: TrailerContext| {
        let plaintext = trailer.encode().unwrap();
        let sealed =
            message::seal_message(Engine::Ring, dek.expose(), &context.to_bytes(), &plaintext)
                .unwrap();
        let TrailerContext {
            tenant,
            object_id,
            plaintext_bytes,
        } = context;
        Trailer::open(
            Engine::Ring,
            &dek,
            tenant,
            object_id,
            plaintext_bytes,
            &sealed,
        )
    };
    let context = TrailerContext {
        tenant,
        object_id: id(),
        plaintext_bytes: 5,
    };
    assert_eq!(open(context), Ok(trailer.clone()));
    let other_id = TrailerContext {
        object_id: ObjectId::from_bytes([9; 16]),
        ..context
    };
    assert_eq!(open(other_id), Err(TrailerError::Malformed));
    let other_length = TrailerContext {
        plaintext_bytes: 6,
        ..context
    };
    assert_eq!(open(other_length), Err(TrailerError::Malformed));
}

#[test]
fn parts_for_range_behind_the_end_or_turned_around_is_empty() {
    let trailer = rich();
    assert_eq!(
        trailer
            .parts_for_range(trailer.plaintext_bytes, u64::MAX)
            .count(),
        0
    );
    assert_eq!(trailer.parts_for_range(5, 4).count(), 0);
    let empty = Trailer::new(id(), None, vec![part(1, 0)]).unwrap();
    assert_eq!(empty.parts_for_range(0, u64::MAX).count(), 0);
}
