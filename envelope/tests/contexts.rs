//! Contexts: no two that mean different things have the same bytes.

use lethe_envelope::*;
use proptest::prelude::*;

/// Contexts of every kind with every field varied on its own.
fn contexts() -> Vec<Vec<u8>> {
    let (tenant, other) = (TenantId::from_bytes([1; 16]), TenantId::from_bytes([2; 16]));
    let object_id = ObjectId::from_bytes([1; 16]);
    let kek_id = KekId::from_bytes([1; 16]);
    let part = PartContext {
        tenant,
        object_id,
        part_number: 1,
    };
    let trailer = TrailerContext {
        tenant,
        object_id,
        plaintext_bytes: 1,
    };
    let metadata = MetadataContext { tenant, object_id };
    let dek = DekContext {
        suite: Suite::Cobblestone256,
        tenant,
        domain: "eu",
        bucket: "docs",
        object_key: "key",
        object_id,
        kek_id,
        subject: None,
        kind: Kind::Single,
        plaintext_bytes: Some(0),
        bindings_sha256: [0; 32],
    };
    let kek = KekContext {
        domain: "eu",
        node: 1,
        tenant,
        kek_id,
        generation: 1,
    };
    let node = NodeContext {
        domain: "eu",
        node: 1,
        generation: 1,
    };
    let id = ObjectId::from_bytes([9; 16]);
    let mut all: Vec<Vec<u8>> = Vec::new();
    all.extend(
        [
            part,
            PartContext {
                tenant: other,
                ..part
            },
            PartContext {
                object_id: id,
                ..part
            },
            PartContext {
                part_number: 2,
                ..part
            },
        ]
        .map(|c| c.to_bytes()),
    );
    all.extend(
        [
            trailer,
            TrailerContext {
                tenant: other,
                ..trailer
            },
            TrailerContext {
                object_id: id,
                ..trailer
            },
            TrailerContext {
                plaintext_bytes: 2,
                ..trailer
            },
        ]
        .map(|c| c.to_bytes()),
    );
    all.extend(
        [
            metadata,
            MetadataContext {
                tenant: other,
                ..metadata
            },
            MetadataContext {
                object_id: id,
                ..metadata
            },
        ]
        .map(|c| c.to_bytes()),
    );
    all.extend(
        [
            dek,
            DekContext {
                suite: Suite::Cobblestone256CustomerKey,
                ..dek
            },
            DekContext {
                tenant: other,
                ..dek
            },
            DekContext {
                domain: "us",
                ..dek
            },
            DekContext {
                bucket: "doc",
                object_key: "skey",
                ..dek
            },
            DekContext {
                bucket: "docskey",
                object_key: "",
                ..dek
            },
            DekContext {
                bucket: "docs2",
                ..dek
            },
            DekContext {
                object_key: "key2",
                ..dek
            },
            DekContext {
                object_id: id,
                ..dek
            },
            DekContext {
                kek_id: KekId::from_bytes([9; 16]),
                ..dek
            },
            DekContext {
                subject: Some("s"),
                ..dek
            },
            DekContext {
                kind: Kind::Multipart,
                ..dek
            },
            DekContext {
                plaintext_bytes: None,
                ..dek
            },
            DekContext {
                plaintext_bytes: Some(1),
                ..dek
            },
            DekContext {
                bindings_sha256: [1; 32],
                ..dek
            },
        ]
        .map(|c| c.to_bytes()),
    );
    all.extend(
        [
            kek,
            KekContext {
                domain: "us",
                ..kek
            },
            KekContext { node: 2, ..kek },
            KekContext {
                tenant: other,
                ..kek
            },
            KekContext {
                kek_id: KekId::from_bytes([9; 16]),
                ..kek
            },
            KekContext {
                generation: 2,
                ..kek
            },
        ]
        .map(|c| c.to_bytes()),
    );
    all.extend(
        [
            node,
            NodeContext {
                domain: "us",
                ..node
            },
            NodeContext { node: 2, ..node },
            NodeContext {
                generation: 2,
                ..node
            },
        ]
        .map(|c| c.to_bytes()),
    );
    all
}

#[test]
fn contexts_of_any_kind_and_field_all_differ_and_none_starts_another() {
    let contexts = contexts();
    for (index, context) in contexts.iter().enumerate() {
        for (other_index, other) in contexts.iter().enumerate() {
            let same = index == other_index;
            assert_eq!(
                context.starts_with(other),
                same,
                "{index} and {other_index}"
            );
        }
    }
}

#[test]
fn kek_commitment_key_tenant_and_id_all_count() {
    let (tenant, kek_id) = (TenantId::from_bytes([1; 16]), KekId::from_bytes([2; 16]));
    let commitment = kek_commitment(&[3; 32], tenant, kek_id);
    assert_ne!(kek_commitment(&[4; 32], tenant, kek_id), commitment);
    assert_ne!(
        kek_commitment(&[3; 32], TenantId::from_bytes([9; 16]), kek_id),
        commitment
    );
    assert_ne!(
        kek_commitment(&[3; 32], tenant, KekId::from_bytes([9; 16])),
        commitment
    );
    assert_ne!(
        kek_commitment(
            &[3; 32],
            TenantId::from_bytes([2; 16]),
            KekId::from_bytes([1; 16])
        ),
        commitment
    );
}

type Names = [String; 4];

/// One text cut at three places into four names: what a context without lengths would take for the same.
fn cut(text: &str, mut at: [usize; 3]) -> Names {
    at = at.map(|at| at % (text.len() + 1));
    at.sort_unstable();
    let [one, two, three] = at;
    [0..one, one..two, two..three, three..text.len()].map(|range| text[range].to_owned())
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[ab\\x00/.]{0,6}", 1 => Just("k".repeat(1_024))]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn dek_context_one_text_cut_differently_never_gives_the_same_bytes(
        text in text(),
        one in any::<[usize; 3]>(),
        other in any::<[usize; 3]>(),
    ) {
        let bytes = |[domain, bucket, object_key, subject]: &Names| DekContext {
            suite: Suite::Cobblestone256,
            tenant: TenantId::from_bytes([1; 16]),
            domain,
            bucket,
            object_key,
            object_id: ObjectId::from_bytes([1; 16]),
            kek_id: KekId::from_bytes([1; 16]),
            subject: Some(subject),
            kind: Kind::Multipart,
            plaintext_bytes: None,
            bindings_sha256: [0; 32],
        }.to_bytes();
        let (one, other) = (cut(&text, one), cut(&text, other));
        prop_assert_eq!(bytes(&one) == bytes(&other), one == other);
    }
}
