//! Objects whose DEK is wrapped under the tenant's KEK and a customer key together (`docs/format.md` §6.1).

mod support;

use lethe_envelope::{
    CustomerCheck, CustomerKey, CustomerSecret, Header, HeaderDraft, KekId, ObjectId, TenantId,
};
use proptest::prelude::*;
use support::*;

const OURS: [u8; 32] = [0xc1; 32];
const OTHER: [u8; 32] = [0xc2; 32];

fn secret(kek: &[u8; 32], tenant: TenantId, kek_id: KekId, key: [u8; 32]) -> CustomerSecret {
    CustomerSecret::new(kek, tenant, kek_id, &CustomerKey::from_bytes(&key))
}

fn ours() -> Place {
    Place::acme().with_customer_key(OURS)
}

/// One object of each kind under our customer key.
fn written() -> [Written; 2] {
    let parts: [(u16, &[u8]); 2] = [(1, &vec![7; 5 << 20]), (2, b"end")];
    [
        put(&ours(), b"contents", &metadata("single")),
        multipart(&ours(), &parts, &metadata("parts")),
    ]
}

fn with_header(stored: &Stored, header: &Header) -> Stored {
    Stored {
        header: header.encode(),
        ..stored.clone()
    }
}

#[test]
fn object_opens_with_both_keys_and_with_neither_alone() {
    for Written { stored, .. } in written() {
        assert!(read(&ours(), &stored).is_some());
        let alone = [
            Place::acme(),
            Place::acme().with_customer_key(OTHER),
            Place {
                kek: [0; 32],
                ..ours()
            },
            // The customer key in the KEK's place, and the other way round.
            Place {
                kek: OURS,
                ..Place::acme()
            },
            Place {
                kek: OURS,
                ..Place::acme()
            }
            .with_customer_key(Place::acme().kek),
        ];
        for wrong in alone {
            assert_eq!(read(&wrong, &stored), None);
            // A reader who believes the store's clear fields is no better off.
            let mut header = Header::decode(&stored.header).unwrap();
            header.kek_commitment = wrong.draft(header.object_id).kek_commitment;
            header.customer_check = wrong.draft(header.object_id).customer_check;
            assert_eq!(read(&wrong, &with_header(&stored, &header)), None);
        }
    }
}

#[test]
fn customer_key_stripped_from_the_header_is_refused() {
    for Written { stored, .. } in written() {
        let mut header = Header::decode(&stored.header).unwrap();
        header.customer_check = None;
        let stripped = with_header(&stored, &header);
        assert_eq!(read(&Place::acme(), &stripped), None);
        assert_eq!(read(&ours(), &stripped), None);
    }
}

#[test]
fn customer_key_added_to_the_header_is_refused() {
    let written = put(&Place::acme(), b"contents", &metadata("plain"));
    assert!(read(&Place::acme(), &written.stored).is_some());
    let mut header = Header::decode(&written.stored.header).unwrap();
    // Even the check that would be right: a store may have it from a copy of the same object.
    header.customer_check = ours().draft(header.object_id).customer_check;
    let added = with_header(&written.stored, &header);
    assert_eq!(read(&Place::acme(), &added), None);
    assert_eq!(read(&ours(), &added), None);
}

#[test]
fn wrap_or_check_of_another_object_is_refused() {
    let one = put(&ours(), b"one", &metadata("x"));
    let same = put(&ours(), b"one", &metadata("x"));
    let other = put(&ours().with_customer_key(OTHER), b"one", &metadata("x"));
    for foreign in [&same, &other] {
        let theirs = Header::decode(&foreign.stored.header).unwrap();
        let mut header = Header::decode(&one.stored.header).unwrap();
        header.wrapped_dek = theirs.wrapped_dek;
        assert_eq!(read(&ours(), &with_header(&one.stored, &header)), None);
        let mut header = Header::decode(&one.stored.header).unwrap();
        assert_ne!(header.customer_check, theirs.customer_check);
        header.customer_check = theirs.customer_check;
        assert_eq!(read(&ours(), &with_header(&one.stored, &header)), None);
    }
}

#[test]
fn header_and_metadata_any_bit_flipped_are_refused() {
    let [Written { stored, .. }, _] = written();
    for bit in 0..stored.header.len() * 8 {
        let mut header = stored.header.clone().into_bytes();
        header[bit / 8] ^= 1 << (bit % 8);
        let Ok(header) = String::from_utf8(header) else {
            continue;
        };
        let tampered = Stored {
            header,
            ..stored.clone()
        };
        assert_eq!(read(&ours(), &tampered), None, "bit {bit}");
    }
    for bit in 0..stored.metadata.len() * 8 {
        let mut tampered = stored.clone();
        tampered.metadata[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(read(&ours(), &tampered), None, "bit {bit}");
    }
}

#[test]
fn copies_take_a_customer_key_change_it_and_lose_it_without_their_data() {
    let at = |name: &str| Place {
        object_key: name.to_owned(),
        ..Place::acme()
    };
    let places = [
        at("plain"),
        at("ours").with_customer_key(OURS),
        at("other").with_customer_key(OTHER),
    ];
    for from in &places {
        for written in [
            put(from, b"contents", &metadata("from")),
            multipart(from, &[(1, b"contents")], &metadata("from")),
        ] {
            for to in &places {
                let copied = copy(&written, to, &metadata("to"));
                assert!(copied.body == written.stored.body);
                for reader in &places {
                    let reader = Place {
                        object_key: to.object_key.clone(),
                        ..reader.clone()
                    };
                    let opened = read(&reader, &copied);
                    assert_eq!(opened.is_some(), reader.customer_key == to.customer_key);
                    assert!(opened.is_none_or(|read| read.metadata == metadata("to")));
                }
            }
        }
    }
}

#[test]
fn check_is_another_in_every_object() {
    let draft = |id: u8| ours().draft(ObjectId::from_bytes([id; 16]));
    assert_eq!(draft(1).customer_check, draft(1).customer_check);
    assert_ne!(draft(1).customer_check, draft(2).customer_check);
    assert_eq!(
        Place::acme()
            .draft(ObjectId::from_bytes([1; 16]))
            .customer_check,
        None
    );
    let zero = HeaderDraft {
        customer_check: Some(CustomerCheck::from_bytes([0; 16])),
        ..draft(1)
    };
    assert_ne!(zero.bindings_sha256(b""), draft(1).bindings_sha256(b""));
}

proptest! {
    #[test]
    fn customer_secret_depends_on_every_bit_of_what_it_is_made_of(
        kek in any::<[u8; 32]>(),
        key in any::<[u8; 32]>(),
        tenant in any::<[u8; 16]>(),
        kek_id in any::<[u8; 16]>(),
        bit in 0_usize..(32 + 32 + 16 + 16) * 8,
    ) {
        let object_id = ObjectId::from_bytes([1; 16]);
        let values = |kek: &[u8; 32], tenant, kek_id, key| {
            let secret = secret(kek, TenantId::from_bytes(tenant), KekId::from_bytes(kek_id), key);
            (**secret.wrapping_key(), *secret.check(object_id).as_bytes())
        };
        let (wrapping_key, check) = values(&kek, tenant, kek_id, key);
        prop_assert_eq!((wrapping_key, check), values(&kek, tenant, kek_id, key));
        prop_assert_ne!(wrapping_key, kek);
        prop_assert_ne!(wrapping_key, key);
        prop_assert_ne!(&wrapping_key[..16], &check[..]);

        let (mut kek, mut key, mut tenant, mut kek_id) = (kek, key, tenant, kek_id);
        let fields: [&mut [u8]; 4] = [&mut kek, &mut key, &mut tenant, &mut kek_id];
        let mut at = bit / 8;
        for field in fields {
            if let Some(byte) = field.get_mut(at) {
                *byte ^= 1 << (bit % 8);
                break;
            }
            at -= field.len();
        }
        let changed = values(&kek, tenant, kek_id, key);
        prop_assert_ne!(wrapping_key, changed.0);
        prop_assert_ne!(check, changed.1);
    }
}
