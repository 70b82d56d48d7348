//! Entries for the log, moves of the root, exports and imports.

use super::kills::FailAt;
use super::*;
use crate::secret::{NodeWrap, Wrapped};
use tokio::sync::mpsc;

/// A wrap that says which node it is under, in place of real ones.
struct Relabel;

const MOVED: u8 = 0x5A;
const UNOPENED: u8 = 0xBD;

impl Rewrap for Relabel {
    fn rewrap(&self, row: &KekRow) -> Option<Wrapped> {
        (row.wrapped[0] != UNOPENED).then_some([MOVED; WRAPPED_BYTES])
    }
}

fn canary(byte: u8) -> Canary {
    Canary {
        wrapped: [byte; WRAPPED_BYTES].into(),
        sum: [byte; 32],
    }
}

fn plan(victims: &[TenantId]) -> MovePlan {
    let mut victims = victims.to_vec();
    victims.sort_unstable_by_key(|victim| *victim.as_bytes());
    let nodes = Place::all()
        .map(|place| {
            let fresh = victims
                .iter()
                .any(|victim| Place::of_tenant(*victim) == place);
            NodeRow {
                place,
                generation: FIRST_GENERATION + u64::from(fresh),
                epoch: Epoch(2),
                // Longer than what was there: another provider's.
                wrapped: NodeWrap::new(&[MOVED; WRAPPED_BYTES + 9]).unwrap(),
            }
        })
        .collect();
    MovePlan {
        from: Epoch(1),
        to: Epoch(2),
        victims,
        nodes,
        canary_from: canary(1),
        canary_to: canary(2),
        now_ms: 9,
        fenced: true,
    }
}

/// Two tenants of one place, by trying.
fn neighbours() -> (TenantId, TenantId) {
    let one = TenantId::random().unwrap();
    loop {
        let two = TenantId::random().unwrap();
        if Place::of_tenant(one) == Place::of_tenant(two) {
            return (one, two);
        }
    }
}

async fn pending(store: &SqlKeyStore) -> Vec<[u8; 32]> {
    let pending = store.pending_entries(100).await.unwrap();
    assert!(pending.is_sorted_by_key(|entry| entry.number));
    pending.iter().map(|entry| entry.entry).collect()
}

fn pending_kek(tenant: TenantId, version: u32) -> (KekRow, PendingLeaf) {
    let (mut row, leaf) = kek(tenant, version);
    row.info.state = KekState::Pending;
    (row, leaf)
}

async fn states(store: &SqlKeyStore, tenant: TenantId) -> Vec<(u32, KekState)> {
    let keks = store.keks(tenant).await.unwrap();
    keks.iter().map(|kek| (kek.version, kek.state)).collect()
}

pub(super) async fn pending_kek_seals_when_its_entry_is_recorded(url: &StoreUrl) {
    let store = initialised(url).await;
    let tenant = TenantId::random().unwrap();
    let (first, leaf) = pending_kek(tenant, 1);
    assert_eq!(
        store.insert_kek(&first, &leaf).await,
        Ok(InsertKek::Inserted)
    );
    assert_eq!(store.active_kek(tenant).await, Ok(None));
    // A version is not followed before it is active.
    let (second, leaf) = pending_kek(tenant, 2);
    assert_eq!(
        store.insert_kek(&second, &leaf).await,
        Ok(InsertKek::VersionTaken)
    );
    let statement = Announcement::Statement {
        receipt_id: [4; 16],
    };
    for _ in 0..2 {
        store.queue_entry(statement, &[5; 32], 1).await.unwrap();
    }
    store
        .queue_entry(Announcement::Override, &[6; 32], 1)
        .await
        .unwrap();
    let expected = vec![first.leaf_hash, [5; 32], [6; 32]];
    assert_eq!(pending(&store).await, expected);
    assert_eq!(store.pending_entries(1).await.unwrap().len(), 1);

    assert_eq!(
        store.record_sequenced(0, &[first.leaf_hash]).await,
        Ok(Sequenced::Recorded(vec![tenant]))
    );
    assert_eq!(states(&store, tenant).await, [(1, KekState::Active)]);
    assert_eq!(store.head().await.unwrap().log_size, 1);
    assert_eq!(
        store.insert_kek(&second, &leaf).await,
        Ok(InsertKek::Inserted)
    );
    let waiting = [(1, KekState::Active), (2, KekState::Pending)];
    assert_eq!(states(&store, tenant).await, waiting);
    // Given again from the start, with what came since.
    let all = [first.leaf_hash, [5; 32], [6; 32], second.leaf_hash];
    assert_eq!(
        store.record_sequenced(0, &all).await,
        Ok(Sequenced::Recorded(vec![tenant]))
    );
    assert_eq!(
        store.record_sequenced(0, &all).await,
        Ok(Sequenced::Recorded(vec![]))
    );
    let rotated = [(1, KekState::DecryptOnly), (2, KekState::Active)];
    assert_eq!(states(&store, tenant).await, rotated);
    assert_eq!(
        store
            .newest_kek(tenant)
            .await
            .unwrap()
            .map(|kek| kek.info.version),
        Some(2)
    );
    assert_eq!(pending(&store).await, Vec::<[u8; 32]>::new());
    assert_eq!(store.head().await.unwrap().log_size, 4);
    assert_eq!(store.entry_index(&[6; 32]).await, Ok(Some(Some(2))));
    assert_eq!(store.entry_index(&[7; 32]).await, Ok(None));
    let creations = store.creations(tenant).await.unwrap();
    let indices: Vec<_> = creations
        .iter()
        .map(|creation| (creation.version, creation.index))
        .collect();
    assert_eq!(indices, [(1, Some(0)), (2, Some(3))]);
}

pub(super) async fn log_that_is_not_this_stores_is_not_recorded(url: &StoreUrl) {
    let store = initialised(url).await;
    let (row, leaf) = pending_kek(TenantId::random().unwrap(), 1);
    store.insert_kek(&row, &leaf).await.unwrap();
    assert_eq!(
        store.record_sequenced(1, &[row.leaf_hash]).await,
        Ok(Sequenced::Gap { log_size: 0 })
    );
    // All or nothing: what was known before the unknown entry is not recorded either.
    assert_eq!(
        store.record_sequenced(0, &[row.leaf_hash, [8; 32]]).await,
        Ok(Sequenced::Unknown { index: 1 })
    );
    assert_eq!(store.head().await.unwrap().log_size, 0);
    assert_eq!(states(&store, row.tenant).await, [(1, KekState::Pending)]);
    store.accept_log_size(2).await.unwrap();
    store.accept_log_size(1).await.unwrap();
    assert_eq!(store.head().await.unwrap().log_size, 2);
    assert_eq!(
        store.record_sequenced(0, &[row.leaf_hash, [8; 32]]).await,
        Ok(Sequenced::Recorded(vec![row.tenant]))
    );
}

/// A victim with two versions, a neighbour in its place, and a tenant elsewhere.
struct World {
    store: SqlKeyStore,
    victim: TenantId,
    neighbour: KekRow,
    elsewhere: KekRow,
}

async fn world(url: &StoreUrl) -> World {
    let store = initialised(url).await;
    let (victim, neighbour) = neighbours();
    for version in [1, 2] {
        let (row, leaf) = kek(victim, version);
        assert_eq!(store.insert_kek(&row, &leaf).await, Ok(InsertKek::Inserted));
    }
    let mut rows = Vec::new();
    for tenant in [neighbour, TenantId::random().unwrap()] {
        let (row, leaf) = kek(tenant, 1);
        assert_eq!(store.insert_kek(&row, &leaf).await, Ok(InsertKek::Inserted));
        rows.push(row);
    }
    let (elsewhere, neighbour) = (rows.pop().unwrap(), rows.pop().unwrap());
    assert_ne!(
        elsewhere.place, neighbour.place,
        "a 1-in-1,024 chance: run again"
    );
    World {
        store,
        victim,
        neighbour,
        elsewhere,
    }
}

impl World {
    async fn fence(&self) {
        let fence = FenceScope::Tenant(self.victim);
        self.store.raise_fence(fence, 1).await.unwrap();
    }

    async fn assert_untouched(&self) {
        let head = self.store.head().await.unwrap();
        assert_eq!((head.epoch, head.held), (Epoch(1), false));
        assert_eq!(self.store.keks(self.victim).await.unwrap().len(), 2);
        for row in [&self.neighbour, &self.elsewhere] {
            assert_eq!(
                self.store.kek(row.info.kek_id).await.unwrap().as_ref(),
                Some(row)
            );
        }
        assert_eq!(self.store.nodes().await.unwrap(), tree());
        assert_eq!(self.store.moves().await.unwrap(), vec![]);
    }

    async fn assert_moved(&self) {
        let head = self.store.head().await.unwrap();
        assert_eq!((head.epoch, head.held), (Epoch(2), true));
        assert_eq!(self.store.keks(self.victim).await.unwrap(), vec![]);
        assert_eq!(self.store.creations(self.victim).await.unwrap().len(), 2);
        let moved = KekRow {
            generation: FIRST_GENERATION + 1,
            wrapped: [MOVED; WRAPPED_BYTES],
            ..self.neighbour.clone()
        };
        assert_eq!(
            self.store.kek(moved.info.kek_id).await.unwrap(),
            Some(moved)
        );
        let elsewhere = self.elsewhere.info.kek_id;
        assert_eq!(
            self.store.kek(elsewhere).await.unwrap().as_ref(),
            Some(&self.elsewhere)
        );
        assert_eq!(
            self.store.nodes().await.unwrap(),
            plan(&[self.victim]).nodes
        );
        assert_eq!(self.store.nodes_up_to(Epoch(1)).await, Ok(0));
        let moves = self.store.moves().await.unwrap();
        assert_eq!(moves.len(), 1);
        assert_eq!(
            (
                moves[0].nodes,
                moves[0].keks_rewrapped,
                moves[0].keks_deleted
            ),
            (u64::from(PLACES), 1, 2)
        );
        assert_eq!(
            self.store.movement(Epoch(1)).await.unwrap().as_ref(),
            moves.first()
        );
    }
}

pub(super) async fn move_leaves_the_victims_behind(url: &StoreUrl) {
    let world = world(url).await;
    let store = &world.store;
    let plan = plan(&[world.victim]);
    let refused = store.move_root(&plan, &Relabel).await.unwrap();
    assert_eq!(refused, MoveOutcome::NotFenced(world.victim));
    world.fence().await;
    // One survivor that does not open stops everything.
    let wrap = |byte: u8| {
        sqlx::query("UPDATE keks SET wrapped = $1 WHERE kek_id = $2")
            .bind(vec![byte; WRAPPED_BYTES])
            .bind(world.neighbour.info.kek_id.as_bytes().to_vec())
    };
    wrap(UNOPENED).execute(&store.pool).await.unwrap();
    let kek_id = hex::encode(world.neighbour.info.kek_id.as_bytes());
    let refused = store.move_root(&plan, &Relabel).await.unwrap();
    assert_eq!(refused, MoveOutcome::Unopened(kek_id));
    wrap(0xAB).execute(&store.pool).await.unwrap();
    world.assert_untouched().await;

    let moved = store.move_root(&plan, &Relabel).await.unwrap();
    assert!(matches!(moved, MoveOutcome::Moved(_)), "{moved:?}");
    world.assert_moved().await;
    assert_eq!(
        store.move_root(&plan, &Relabel).await,
        Ok(MoveOutcome::NotCurrent)
    );
    // No KEK is made, and none of the victim's ever again.
    let (row, leaf) = kek(TenantId::random().unwrap(), 1);
    assert_eq!(store.insert_kek(&row, &leaf).await, Ok(InsertKek::Held));
    let destroying = |backup: u8| MoveMark::Destroying {
        backup: [backup; 32],
        canary_opened_ms: 10,
    };
    assert_eq!(
        store.mark_move(Epoch(1), destroying(3)).await,
        Ok(false),
        "without a backup"
    );
    assert_eq!(
        store
            .mark_move(Epoch(1), MoveMark::Destroyed { now_ms: 12 })
            .await,
        Ok(false)
    );
    let backed_up = |backup: u8| MoveMark::BackedUp {
        sha256: [backup; 32],
        now_ms: 9,
    };
    let destroyed = MoveMark::Destroyed { now_ms: 12 };
    // A destruction whose end is not known is gone on with after another backup, and with that one alone.
    for (mark, marked) in [
        (backed_up(3), true),
        (destroying(3), true),
        (backed_up(4), true),
        (destroying(3), false),
        (destroying(4), true),
        (destroyed, true),
        (backed_up(5), false),
        (destroying(4), false),
    ] {
        let done = store.mark_move(Epoch(1), mark).await;
        assert_eq!(done, Ok(marked), "{mark:?}");
    }
    assert!(!store.head().await.unwrap().held);
    let (mut again, leaf) = kek(world.victim, 1);
    again.generation = FIRST_GENERATION + 1;
    assert_eq!(store.insert_kek(&again, &leaf).await, Ok(InsertKek::Erased));
    let current = KekRow {
        generation: if row.place == again.place {
            FIRST_GENERATION + 1
        } else {
            FIRST_GENERATION
        },
        ..row
    };
    assert_eq!(
        store.insert_kek(&current, &leaf).await,
        Ok(InsertKek::Inserted)
    );
}

pub(super) async fn move_killed_at_any_statement_is_whole_or_absent(fresh: &dyn Fn() -> StoreUrl) {
    let url = fresh();
    let world = world(&url).await;
    world.fence().await;
    let plan = plan(&[world.victim]);
    for statement in 0.. {
        let gate = FailAt::statement(statement);
        let killed = SqlKeyStore::new(&url, DEADLINE, gate.clone()).unwrap();
        let outcome = killed.move_root(&plan, &Relabel).await;
        if !gate.has_failed() {
            assert!(matches!(outcome, Ok(MoveOutcome::Moved(_))), "{outcome:?}");
            panic!("the last kill is after the commit");
        }
        outcome.unwrap_err();
        if world.store.head().await.unwrap().epoch == Epoch(2) {
            assert!(statement >= 15, "only {statement} statements were killed");
            break;
        }
        world.assert_untouched().await;
    }
    world.assert_moved().await;
}

async fn exported(store: &SqlKeyStore) -> Vec<Record> {
    let (sender, mut receiver) = mpsc::channel(1);
    let (done, records) = tokio::join!(store.export(sender), async {
        let mut records = Vec::new();
        while let Some(page) = receiver.recv().await {
            records.extend(page);
        }
        records
    });
    done.unwrap();
    records
}

async fn import(
    store: &SqlKeyStore,
    records: &[Record],
    end: bool,
) -> Result<Imported, StoreError> {
    store.begin_init(IDENTITY, "eu", 1).await?;
    let (sender, receiver) = mpsc::channel(1);
    let (done, ()) = tokio::join!(store.import(receiver), async {
        for page in records.chunks(700) {
            if sender.send(Some(page.to_vec())).await.is_err() {
                break;
            }
        }
        if end {
            let _ended = sender.send(None).await;
        }
        drop(sender);
    });
    done
}

pub(super) async fn export_is_imported_as_it_was(fresh: &dyn Fn() -> StoreUrl) {
    let world = world(&fresh()).await;
    world.fence().await;
    let statement = Announcement::Statement {
        receipt_id: [4; 16],
    };
    world
        .store
        .queue_entry(statement, &[5; 32], 1)
        .await
        .unwrap();
    world
        .store
        .move_root(&plan(&[world.victim]), &Relabel)
        .await
        .unwrap();
    let first = world.store.pending_entries(1).await.unwrap()[0].entry;
    world.store.record_sequenced(0, &[first]).await.unwrap();
    let records = exported(&world.store).await;

    let url = fresh();
    let store = open(&url);
    assert_eq!(import(&store, &records, false).await, Ok(Imported::Broken));
    assert_eq!(store.head().await.unwrap().phase, Phase::Initializing);
    for statement in 0.. {
        let gate = FailAt::statement(statement);
        let killed = SqlKeyStore::new(&url, DEADLINE, gate.clone()).unwrap();
        let outcome = import(&killed, &records, true).await;
        assert!(
            gate.has_failed(),
            "killed after the commit at last: {outcome:?}"
        );
        let head = store.head().await.unwrap();
        if head.phase == Phase::Restoring {
            assert!(statement >= 8, "only {statement} statements were killed");
            break;
        }
        assert_eq!(count(&store.pool, "SELECT COUNT(*) FROM nodes").await, 0);
    }
    assert_eq!(import(&store, &records, true).await, Ok(Imported::NotEmpty));
    assert!(store.finish_restore().await.unwrap());
    assert!(!store.finish_restore().await.unwrap());
    assert_eq!(exported(&store).await, records);
    let restored = World { store, ..world };
    restored.assert_moved().await;
    // Another domain's store is not written over.
    let other = open(&fresh());
    other
        .begin_init(KeyStoreIdentity::from_bytes([9; 16]), "eu", 1)
        .await
        .unwrap();
    assert_eq!(import(&other, &records, true).await, Ok(Imported::NotEmpty));
}
