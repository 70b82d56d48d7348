use super::*;
use crate::{ObjectId, TenantId};
use proptest::prelude::*;

fn context() -> MetadataContext {
    MetadataContext {
        tenant: TenantId::from_bytes([1; 16]),
        object_id: ObjectId::from_bytes([2; 16]),
    }
}

fn usual_system_headers() -> ObjectMetadata {
    ObjectMetadata {
        content_type: Some("application/vnd.openxmlformats-officedocument".to_owned()),
        content_disposition: Some(
            "attachment; filename=\"quarterly report, final.docx\"".to_owned(),
        ),
        content_encoding: Some("gzip".to_owned()),
        content_language: Some("de-AT".to_owned()),
        cache_control: Some("private, max-age=31536000".to_owned()),
        expires: Some("Wed, 21 Oct 2026 07:28:00 GMT".to_owned()),
        checksum: Some(Checksum {
            algorithm: ChecksumAlgorithm::Sha256,
            checksum_type: ChecksumType::FullObject,
            value: vec![0xff; 32],
        }),
        ..ObjectMetadata::default()
    }
}

/// `entries` entries that count 2,048 bytes together.
fn full_user(entries: usize) -> BTreeMap<String, String> {
    let mut user: BTreeMap<String, String> = (0..entries)
        .map(|index| (format!("{index:04}"), "v".repeat(2_048 / entries - 4)))
        .collect();
    let missing = 2_048 - user_metadata_len(&user);
    user.first_entry()
        .unwrap()
        .get_mut()
        .push_str(&"v".repeat(missing));
    assert_eq!(user_metadata_len(&user), 2_048);
    user
}

#[test]
fn metadata_2048_user_bytes_beside_usual_headers_fit_3300_characters() {
    for entries in [1, 2, 10, 20] {
        let metadata = ObjectMetadata {
            user: full_user(entries),
            ..usual_system_headers()
        };
        let dek = Dek::generate().unwrap();
        let sealed = metadata.seal(Engine::AesGcm, &dek, &context()).unwrap();
        let characters = sealed.len().div_ceil(3) * 4;
        assert!(characters <= 3_300, "{entries} entries take {characters}");
        let opened = ObjectMetadata::open(Engine::Ring, &dek, &context(), &sealed);
        assert_eq!(opened, Ok(metadata));
    }
    // As many headers as an HTTP server takes.
    let metadata = ObjectMetadata {
        user: full_user(100),
        ..usual_system_headers()
    };
    assert!(metadata.encode().unwrap().len() <= PADDED_BYTES_MAX);
    // Upstream room: 2,048 less the two names and a header, and 2,000 less the prefix.
    let room = 2_048 - 2 * 7 - crate::header::HEADER_CHARS_MAX + 2_000 - "lethe;".len();
    assert!(SEALED_METADATA_BYTES_MAX.div_ceil(3) * 4 <= room);
}

#[test]
fn metadata_over_either_bound_is_too_large() {
    let mut user = full_user(3);
    user.insert("x".to_owned(), String::new());
    let metadata = ObjectMetadata {
        user,
        ..ObjectMetadata::default()
    };
    assert_eq!(
        metadata.encode(),
        Err(MetadataError::TooLarge {
            found: 2_049,
            max: 2_048
        })
    );

    for length in [PADDED_BYTES_MAX, 40_000, 1 << 20] {
        let content_type = Some("t".repeat(length));
        let metadata = ObjectMetadata {
            content_type,
            ..ObjectMetadata::default()
        };
        assert!(
            matches!(metadata.encode(), Err(MetadataError::TooLarge { .. })),
            "{length}"
        );
    }
    let most = ObjectMetadata {
        content_type: Some("t".repeat(PADDED_BYTES_MAX - 3)),
        ..ObjectMetadata::default()
    };
    assert_eq!(most.encode().unwrap().len(), PADDED_BYTES_MAX);
}

#[test]
fn metadata_lengths_show_buckets_only() {
    for (value, wanted) in [(0, 64), (57, 64), (58, 128), (121, 128), (122, 192)] {
        let metadata = ObjectMetadata {
            user: [("abc".to_owned(), "v".repeat(value))].into(),
            ..ObjectMetadata::default()
        };
        assert_eq!(metadata.encode().unwrap().len(), wanted, "value of {value}");
    }
    assert_eq!(*ObjectMetadata::default().encode().unwrap(), [0; 64]);
}

#[test]
fn metadata_any_other_encoding_is_refused() {
    let padded = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes.resize(bytes.len().max(1).next_multiple_of(64), 0);
        bytes
    };
    let accepted: [&[u8]; 4] = [
        &[],
        &[1, 1, b'a'],
        &[1, 0, 3, 0],
        &[8, 2, 1, b'a', 0, 1, b'b', 0],
    ];
    for bytes in accepted {
        assert!(
            ObjectMetadata::decode(&padded(bytes)).is_some(),
            "{bytes:?}"
        );
    }
    let refused: [(&str, &[u8]); 15] = [
        ("unknown field", &[9, 1, b'a']),
        ("field twice", &[1, 1, b'a', 1, 1, b'a']),
        ("fields out of order", &[3, 1, b'a', 1, 1, b'a']),
        ("field behind the padding", &[1, 1, b'a', 0, 3, 1, b'a']),
        ("non-zero padding", &[1, 1, b'a', 0, 0, 0x80]),
        ("long form of a short length", &[1, 0x80, 1, b'a']),
        ("not UTF-8", &[1, 1, 0xff]),
        ("length behind the end", &[1, 0x83, 0xff]),
        ("user names out of order", &[8, 2, 1, b'b', 0, 1, b'a', 0]),
        ("user name twice", &[8, 2, 1, b'a', 0, 1, b'a', 0]),
        ("no user entries", &[8, 0]),
        (
            "more user entries than there are",
            &[8, 3, 1, b'a', 0, 1, b'b'],
        ),
        ("checksum algorithm 0", &[7, 0, 1]),
        ("checksum algorithm unknown", &[7, 11, 1, 1, 1, 1, 1]),
        ("checksum type 0", &[7, 1, 0, 1, 1, 1, 1]),
    ];
    for (why, bytes) in refused {
        assert_eq!(ObjectMetadata::decode(&padded(bytes)), None, "{why}");
    }
    let content = [&[1, 64][..], &[b'a'; 64]].concat();
    assert!(ObjectMetadata::decode(&padded(&content)).is_some());
    let mut bucket_more = padded(&content);
    bucket_more.extend([0; 64]);
    assert_eq!(
        ObjectMetadata::decode(&bucket_more),
        None,
        "a bucket too many"
    );
    assert_eq!(ObjectMetadata::decode(&content), None, "no bucket at all");
    assert_eq!(ObjectMetadata::decode(&[]), None, "empty");
    assert_eq!(ObjectMetadata::decode(&[0; 128]), None, "two empty buckets");
}

#[test]
fn metadata_checksum_of_a_wrong_length_does_not_seal() {
    let mut metadata = usual_system_headers();
    metadata.checksum.as_mut().unwrap().value.pop();
    assert!(matches!(
        metadata.encode(),
        Err(MetadataError::Checksum(ChecksumError::Length { .. }))
    ));
}

prop_compose! {
    fn any_metadata()(
        user in prop::collection::btree_map("[a-z0-9é-]{0,40}", "\\PC{0,60}", 0..8),
        texts in prop::collection::vec(prop::option::of("\\PC{0,80}"), 6),
        algorithm in prop::option::of(prop::sample::select(&ChecksumAlgorithm::ALL[..])),
        composite in any::<bool>(),
    ) -> ObjectMetadata {
        let mut texts = texts.into_iter();
        let mut text = || texts.next().flatten();
        ObjectMetadata {
            user,
            content_type: text(),
            content_disposition: text(),
            content_encoding: text(),
            content_language: text(),
            cache_control: text(),
            expires: text(),
            checksum: algorithm.map(|algorithm| Checksum {
                algorithm,
                checksum_type: if composite { ChecksumType::Composite } else { ChecksumType::FullObject },
                value: vec![0xa5; algorithm.value_bytes()],
            }),
        }
    }
}

proptest! {
    #[test]
    fn metadata_anything_that_fits_comes_back(metadata in any_metadata()) {
        match metadata.encode() {
            Ok(encoded) => {
                prop_assert_eq!(encoded.len() % BUCKET_BYTES, 0);
                prop_assert_eq!(ObjectMetadata::decode(&encoded), Some(metadata));
            }
            Err(error) => prop_assert!(
                matches!(error, MetadataError::TooLarge { .. }), "{error}"
            ),
        }
    }
}
