//! Wrapping, unwrapping, rotation and sealed secrets.

use lethe_envelope::{Dek, DekContext, KekId, ObjectId};
use lethe_keys::{KekState, KeysError, Refusal, SECRET_BYTES_MAX, SecretContext};

use crate::domain::{Domain, Object, context, tenant};

#[tokio::test]
async fn wrapped_dek_opens_after_a_restart() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let object = Object::new(&keys).await;
    assert!(object.opens(&keys).await);
    let identity = keys.identity();
    keys.close().await.unwrap();
    assert_eq!(object.open(&keys).await.unwrap_err(), KeysError::LeaseEnded);
    let keys = domain.open(identity).await.unwrap();
    assert!(object.opens(&keys).await);
}

#[tokio::test]
async fn sealing_kek_is_the_one_that_was_created() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let tenant = tenant();
    assert_eq!(
        keys.sealing_kek(tenant).await,
        Err(KeysError::TenantUnknown { tenant })
    );
    assert_eq!(
        keys.rotate(tenant).await,
        Err(KeysError::TenantUnknown { tenant })
    );
    assert_eq!(keys.list(tenant).await, Ok(vec![]));
    let created = keys.create_tenant_keys(tenant).await.unwrap();
    assert_eq!((created.version, created.state), (1, KekState::Active));
    assert_eq!(keys.sealing_kek(tenant).await, Ok(created.clone()));
    assert_eq!(keys.create_tenant_keys(tenant).await, Ok(created.clone()));
    assert_eq!(keys.list(tenant).await, Ok(vec![created]));
}

#[tokio::test]
async fn rotation_seals_under_the_new_and_opens_under_the_old() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let object = Object::new(&keys).await;
    assert_eq!(
        keys.sealing_kek(object.tenant).await.unwrap().kek_id,
        object.kek_id
    );
    let second = keys.rotate(object.tenant).await.unwrap();
    assert_eq!(second.version, 2);
    assert_eq!(keys.sealing_kek(object.tenant).await, Ok(second.clone()));
    assert!(object.opens(&keys).await);
    let old = context(object.tenant, object.kek_id);
    let refused = keys
        .wrap_dek(object.tenant, &object.kek_id, &object.dek, &old)
        .await;
    assert_eq!(
        refused,
        Err(KeysError::KekNotSealing {
            kek_id: object.kek_id
        })
    );
    let new = context(object.tenant, second.kek_id);
    assert!(
        keys.wrap_dek(object.tenant, &second.kek_id, &object.dek, &new)
            .await
            .is_ok()
    );
    assert_ne!(
        keys.list(object.tenant).await.unwrap()[0].commitment,
        second.commitment
    );
}

#[tokio::test]
async fn rotation_elsewhere_is_seen_within_a_lease() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let (other, clock, _) = domain.another_gateway(keys.identity()).await;
    let tenant = tenant();
    let first = keys.create_tenant_keys(tenant).await.unwrap();
    assert_eq!(
        other.sealing_kek(tenant).await.unwrap().kek_id,
        first.kek_id
    );
    let second = keys.rotate(tenant).await.unwrap();
    for _ in 0..3 {
        clock.advance(crate::domain::LEASE / 3);
        crate::domain::eventually("the lease is renewed", || {
            other.lease_state().remaining == Some(crate::domain::LEASE)
        })
        .await;
    }
    assert_eq!(
        other.sealing_kek(tenant).await.unwrap().kek_id,
        second.kek_id
    );
}

#[tokio::test]
async fn wrap_with_any_bit_flipped_is_not_authentic() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let object = Object::new(&keys).await;
    let context = context(object.tenant, object.kek_id);
    for bit in 0..object.wrapped.len() * 8 {
        let mut flipped = object.wrapped;
        flipped[bit / 8] ^= 1 << (bit % 8);
        let outcome = keys
            .unwrap_dek(object.tenant, &object.kek_id, &flipped, &context)
            .await;
        assert_eq!(outcome.unwrap_err(), KeysError::NotAuthentic, "bit {bit}");
    }
}

#[tokio::test]
async fn wrap_under_any_other_context_is_refused() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let object = Object::new(&keys).await;
    let good = context(object.tenant, object.kek_id);
    let foreign = [
        DekContext {
            bucket: "doc",
            object_key: "sa/b",
            ..good
        },
        DekContext {
            object_key: "a/c",
            ..good
        },
        DekContext {
            object_id: ObjectId::from_bytes([5; 16]),
            ..good
        },
        DekContext {
            subject: Some("x"),
            ..good
        },
        DekContext {
            plaintext_bytes: None,
            ..good
        },
        DekContext {
            plaintext_bytes: Some(12),
            ..good
        },
        DekContext {
            bindings_sha256: [5; 32],
            ..good
        },
    ];
    for context in foreign {
        let outcome = keys
            .unwrap_dek(object.tenant, &object.kek_id, &object.wrapped, &context)
            .await;
        assert_eq!(outcome.unwrap_err(), KeysError::NotAuthentic, "{context:?}");
    }
    let mismatched = [
        DekContext {
            domain: "us",
            ..good
        },
        DekContext {
            tenant: tenant(),
            ..good
        },
        DekContext {
            kek_id: KekId::random().unwrap(),
            ..good
        },
    ];
    for context in mismatched {
        let outcome = keys
            .unwrap_dek(object.tenant, &object.kek_id, &object.wrapped, &context)
            .await;
        assert_eq!(
            outcome.unwrap_err(),
            KeysError::Refused {
                reason: Refusal::ContextMismatch
            }
        );
    }
}

#[tokio::test]
async fn kek_of_another_tenant_is_unknown() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let (mine, theirs) = (Object::new(&keys).await, Object::new(&keys).await);
    let context = context(mine.tenant, theirs.kek_id);
    let unknown = KeysError::KekUnknown {
        kek_id: theirs.kek_id,
    };
    // Once while the KEK is in memory for its owner, once from the store.
    let cached = keys
        .unwrap_dek(mine.tenant, &theirs.kek_id, &theirs.wrapped, &context)
        .await;
    assert_eq!(cached.unwrap_err(), unknown);
    keys.rotate(theirs.tenant).await.unwrap();
    let stored = keys
        .unwrap_dek(mine.tenant, &theirs.kek_id, &theirs.wrapped, &context)
        .await;
    assert_eq!(stored.unwrap_err(), unknown);
    let wrapped = keys
        .wrap_dek(
            mine.tenant,
            &theirs.kek_id,
            &Dek::generate().unwrap(),
            &context,
        )
        .await;
    assert_eq!(wrapped, Err(unknown));
}

#[tokio::test]
async fn deleted_kek_is_unknown_after_a_lease_at_most() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let object = Object::new(&keys).await;
    assert!(object.opens(&keys).await);
    assert_eq!(domain.sql("DELETE FROM keks").await, 1);
    assert!(object.opens(&keys).await);
    domain.clock.advance(crate::domain::LEASE);
    crate::domain::eventually("a new lease", || keys.lease_state().remaining.is_some()).await;
    assert_eq!(
        object.open(&keys).await.unwrap_err(),
        KeysError::KekUnknown {
            kek_id: object.kek_id
        }
    );
}

#[tokio::test]
async fn kek_row_moved_to_another_tenant_is_corrupt() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let object = Object::new(&keys).await;
    assert_eq!(
        domain
            .sql("UPDATE keks SET commitment = zeroblob(32)")
            .await,
        1
    );
    let (other, _, _) = domain.another_gateway(keys.identity()).await;
    let what = format!("kek {}", object.kek_id);
    assert_eq!(
        object.open(&other).await.unwrap_err(),
        KeysError::Corrupt { what: what.clone() }
    );
    assert_eq!(
        other.sealing_kek(object.tenant).await,
        Err(KeysError::Corrupt { what })
    );
    domain
        .sql("UPDATE keks SET tenant = X'01010101010101010101010101010101'")
        .await;
    let thief = lethe_envelope::TenantId::from_bytes([1; 16]);
    let stolen = other
        .unwrap_dek(
            thief,
            &object.kek_id,
            &object.wrapped,
            &context(thief, object.kek_id),
        )
        .await;
    assert!(
        matches!(stolen, Err(KeysError::Corrupt { .. })),
        "{stolen:?}"
    );
}

#[tokio::test]
async fn pending_kek_wraps_and_opens_nothing() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let object = Object::new(&keys).await;
    domain.sql("UPDATE keks SET state = 'pending'").await;
    let (other, _, _) = domain.another_gateway(keys.identity()).await;
    let pending = KeysError::KekPending {
        tenant: object.tenant,
    };
    assert_eq!(object.open(&other).await.unwrap_err(), pending);
    assert_eq!(other.sealing_kek(object.tenant).await, Err(pending));
}

fn credential<'a>(fields: &'a [&'a [u8]]) -> SecretContext<'a> {
    SecretContext {
        label: "credential",
        fields,
    }
}

#[tokio::test]
async fn secret_opens_under_its_context_alone() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let fields: [&[u8]; 2] = [b"a", b"bc"];
    let sealed = keys
        .seal_secret(&credential(&fields), b"hunter2")
        .await
        .unwrap();
    assert!(!sealed.windows(7).any(|window| window == b"hunter2"));
    assert_ne!(
        sealed,
        keys.seal_secret(&credential(&fields), b"hunter2")
            .await
            .unwrap()
    );
    keys.close().await.unwrap();
    let keys = domain.open(keys.identity()).await.unwrap();
    assert_eq!(
        keys.open_secret(&credential(&fields), &sealed)
            .await
            .unwrap()
            .as_slice(),
        b"hunter2"
    );
    let shifted: [&[u8]; 2] = [b"ab", b"c"];
    let longer: [&[u8]; 3] = [b"a", b"bc", b""];
    for context in [
        credential(&shifted),
        credential(&longer),
        credential(&fields[..1]),
        SecretContext {
            label: "token",
            fields: &fields,
        },
    ] {
        assert_eq!(
            keys.open_secret(&context, &sealed).await,
            Err(KeysError::NotAuthentic),
            "{context:?}"
        );
    }
}

#[tokio::test]
async fn secret_with_any_change_is_not_authentic() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    let sealed = keys
        .seal_secret(&credential(&[]), b"hunter2")
        .await
        .unwrap();
    for bit in 0..sealed.len() * 8 {
        let mut flipped = sealed.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(
            keys.open_secret(&credential(&[]), &flipped).await,
            Err(KeysError::NotAuthentic),
            "bit {bit}"
        );
    }
    for length in 0..sealed.len() {
        let cut = keys.open_secret(&credential(&[]), &sealed[..length]).await;
        assert_eq!(cut, Err(KeysError::NotAuthentic), "length {length}");
    }
}

#[tokio::test]
async fn secret_over_its_limit_is_refused() {
    let domain = Domain::sqlite();
    let keys = domain.ready().await;
    assert!(
        keys.seal_secret(&credential(&[]), &vec![0; SECRET_BYTES_MAX])
            .await
            .is_ok()
    );
    let refused = keys
        .seal_secret(&credential(&[]), &vec![0; SECRET_BYTES_MAX + 1])
        .await;
    let reason = Refusal::SecretTooLong {
        secret_bytes: SECRET_BYTES_MAX + 1,
    };
    assert_eq!(refused, Err(KeysError::Refused { reason }));
}
