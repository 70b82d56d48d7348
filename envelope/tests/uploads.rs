//! The records of uploads: a checksum opens for its own attempt alone, a digest tells lists apart and keys too.

use lethe_envelope::*;
use proptest::prelude::*;

fn dek(byte: u8) -> Dek {
    Dek::from_bytes(zeroize::Zeroizing::new([byte; 32]))
}

fn attempt(seed: u8) -> AttemptContext {
    AttemptContext {
        tenant: TenantId::from_bytes([seed; 16]),
        object_id: ObjectId::from_bytes([seed; 16]),
        part_number: u64::from(seed) + 1,
        commitment: [seed; 32],
    }
}

fn any_checksum() -> impl Strategy<Value = Checksum> {
    let algorithm = proptest::sample::select(&ChecksumAlgorithm::ALL[..]);
    (algorithm, any::<[u8; 64]>(), any::<bool>()).prop_map(|(algorithm, value, composite)| {
        let kind = match composite {
            true => ChecksumType::Composite,
            false => ChecksumType::FullObject,
        };
        Checksum::new(algorithm, kind, value[..algorithm.value_bytes()].to_vec()).unwrap()
    })
}

fn record(number: u16, plaintext_bytes: u64, checksum: Option<Checksum>, pin: u8) -> PartRecord {
    PartRecord {
        number,
        checksum,
        plaintext_bytes,
        salt: [pin; 24],
        commitment: [pin; 32],
    }
}

proptest! {
    #[test]
    fn sealed_checksum_opens_to_itself_and_for_no_other_attempt_or_key(checksum in any_checksum(), flip in 0..138usize) {
        let engine = Engine::fastest();
        let (key, own) = (dek(1), attempt(1));
        let sealed = checksum.seal(engine, &key, &own).unwrap();
        prop_assert_eq!(sealed.len(), upload::SEALED_CHECKSUM_BYTES);
        prop_assert_eq!(Checksum::open(engine, &key, &own, &sealed).unwrap(), checksum.clone());
        prop_assert_ne!(checksum.seal(engine, &key, &own).unwrap(), sealed.clone());
        prop_assert!(Checksum::open(engine, &dek(2), &own, &sealed).is_err());
        let other = attempt(2);
        for context in [
            AttemptContext { tenant: other.tenant, ..own },
            AttemptContext { object_id: other.object_id, ..own },
            AttemptContext { part_number: other.part_number, ..own },
            AttemptContext { commitment: other.commitment, ..own },
        ] {
            prop_assert!(Checksum::open(engine, &key, &context, &sealed).is_err());
        }
        let mut altered = sealed.clone();
        altered[flip] ^= 1;
        prop_assert!(Checksum::open(engine, &key, &own, &altered).is_err());
        prop_assert!(Checksum::open(engine, &key, &own, &sealed[..flip]).is_err());
        let part = PartContext { tenant: own.tenant, object_id: own.object_id, part_number: own.part_number };
        prop_assert!(open_message(engine, key.expose(), &part.to_bytes(), &sealed).is_err());
    }

    #[test]
    fn digest_is_of_numbers_lengths_and_checksums_under_this_key(
        checksum in any_checksum(), other in any_checksum(), number in 1..9_999u16, plaintext_bytes in 0..1u64 << 40,
    ) {
        let own = attempt(1);
        let digest = |key: &Dek, parts: &[PartRecord]| part_list_digest(key, own.tenant, own.object_id, parts);
        let list = [record(number, plaintext_bytes, Some(checksum.clone()), 1)];
        let of_list = digest(&dek(1), &list);
        let repinned = [record(number, plaintext_bytes, Some(checksum.clone()), 2)];
        prop_assert_eq!(digest(&dek(1), &repinned), of_list);
        prop_assert_ne!(digest(&dek(2), &list), of_list);
        prop_assume!(checksum.value != other.value);
        for different in [
            vec![record(number + 1, plaintext_bytes, Some(checksum.clone()), 1)],
            vec![record(number, plaintext_bytes + 1, Some(checksum.clone()), 1)],
            vec![record(number, plaintext_bytes, None, 1)],
            vec![record(number, plaintext_bytes, Some(other), 1)],
            [&list[..], &[record(number + 1, 0, None, 1)]].concat(),
            vec![],
        ] {
            prop_assert_ne!(digest(&dek(1), &different), of_list);
        }
        let elsewhere = attempt(2);
        prop_assert_ne!(part_list_digest(&dek(1), elsewhere.tenant, own.object_id, &list), of_list);
        prop_assert_ne!(part_list_digest(&dek(1), own.tenant, elsewhere.object_id, &list), of_list);
    }
}
