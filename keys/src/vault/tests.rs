use super::*;
use crate::secret::KeyBytes;
use crate::store::FenceRow;
use crate::testing::ManualClock;
use crate::types::KekState;

const IDENTITY: KeyStoreIdentity = KeyStoreIdentity::from_bytes([1; 16]);
const LEASE: Duration = Duration::from_secs(300);
const TENANT: TenantId = TenantId::from_bytes([2; 16]);

fn answer(epoch: u64, fence: u64) -> Renewed {
    Renewed {
        renewals: 2,
        identity: IDENTITY,
        epoch: Epoch(epoch),
        fence,
        fences: Vec::new(),
    }
}

fn leased() -> (Arc<ManualClock>, Vault) {
    let clock = Arc::new(ManualClock::default());
    let vault = Vault::new(clock.clone(), IDENTITY, LEASE);
    vault.renewed(clock.boot(), &answer(1, 0)).unwrap();
    (clock, vault)
}

fn key() -> KeyBytes {
    KeyBytes::from_slice(&[0xA5; 32]).unwrap()
}

fn node() -> Node {
    Node {
        generation: 1,
        key: NodeKey(key()),
    }
}

fn kek() -> CachedKek {
    let info = KekInfo {
        kek_id: KekId::from_bytes([3; 16]),
        version: 1,
        commitment: [0; 32],
        state: KekState::Active,
        created_ms: 0,
    };
    CachedKek {
        tenant: TENANT,
        info,
        key: Kek(key()),
    }
}

#[test]
fn lease_counts_from_the_sending_of_its_renewal() {
    let (clock, vault) = leased();
    let sent = clock.boot();
    clock.advance(Duration::from_secs(100));
    vault.renewed(sent, &answer(1, 0)).unwrap();
    assert_eq!(
        vault.lease_state().remaining,
        Some(LEASE - Duration::from_secs(100))
    );
    // A late answer to an early renewal takes nothing away.
    vault.renewed(clock.boot(), &answer(1, 0)).unwrap();
    vault.renewed(sent, &answer(1, 0)).unwrap();
    assert_eq!(vault.lease_state().remaining, Some(LEASE));
}

#[test]
fn no_lease_before_the_first_renewal() {
    let vault = Vault::new(Arc::new(ManualClock::default()), IDENTITY, LEASE);
    assert!(!vault.lease_lasts());
    assert!(matches!(vault.begin_load(), Err(KeysError::LeaseEnded)));
    assert_eq!(vault.check(TENANT), Err(KeysError::LeaseEnded));
}

#[test]
fn key_read_before_a_drop_is_not_kept_after_it() {
    let nodes = Renewed {
        fences: vec![FenceRow {
            fence: 1,
            scope: FenceScope::Nodes,
        }],
        ..answer(1, 1)
    };
    let tenant = FenceRow {
        fence: 1,
        scope: FenceScope::Tenant(TENANT),
    };
    let tenant = Renewed {
        fences: vec![tenant],
        ..answer(1, 1)
    };
    for (what, answer, node_is_kept) in [
        ("epoch", answer(2, 0), false),
        ("nodes", nodes, false),
        ("tenant", tenant, true),
    ] {
        let (clock, vault) = leased();
        let ticket = vault.begin_load().unwrap();
        vault.renewed(clock.boot(), &answer).unwrap();
        assert!(matches!(vault.put_kek(ticket, kek()), Err(Stale)), "{what}");
        assert_eq!(
            vault.put_node(ticket, Place::SERVICE, node()).is_ok(),
            node_is_kept,
            "{what}"
        );
        assert_eq!(
            vault.population(),
            (usize::from(node_is_kept), 0, 0),
            "{what}"
        );
    }
    let (clock, vault) = leased();
    let ticket = vault.begin_load().unwrap();
    clock.advance(LEASE);
    vault.sweep();
    vault.renewed(clock.boot(), &answer(1, 0)).unwrap();
    assert!(matches!(vault.put_kek(ticket, kek()), Err(Stale)));
}

#[test]
fn store_that_fell_behind_ends_the_lease() {
    for behind in [answer(1, 5), answer(2, 4)] {
        let (clock, vault) = leased();
        vault.renewed(clock.boot(), &answer(2, 5)).unwrap();
        assert!(vault.lease_lasts());
        let refused = vault.renewed(clock.boot(), &behind);
        assert!(
            matches!(refused, Err(KeysError::Refused { .. })),
            "{refused:?}"
        );
        assert!(!vault.lease_lasts());
        // The right store brings it back.
        vault.renewed(clock.boot(), &answer(2, 5)).unwrap();
        assert!(vault.lease_lasts());
    }
}

#[test]
fn closed_vault_takes_no_renewal() {
    let (clock, vault) = leased();
    vault.close();
    vault.renewed(clock.boot(), &answer(1, 0)).unwrap();
    assert!(!vault.lease_lasts());
}

#[test]
fn full_cache_makes_room() {
    let mut entries: HashMap<usize, ()> = (0..KEKS_MAX).map(|entry| (entry, ())).collect();
    make_room(&mut entries);
    assert_eq!(entries.len(), KEKS_MAX - 1);
    make_room(&mut entries);
    assert_eq!(entries.len(), KEKS_MAX - 1);
}

#[test]
fn debug_of_key_material_is_redacted() {
    let printed = format!(
        "{:?} {:?} {:?} {:?}",
        node(),
        kek(),
        key(),
        crate::secret::RootKey(key())
    );
    assert!(printed.contains("redacted"));
    assert!(
        !printed.contains("165") && !printed.to_lowercase().contains("a5"),
        "{printed}"
    );
}
