//! Kills at every statement, each followed by a retry: exactly one outcome.

use super::*;

/// Fails at the n-th statement, and lets everything pass before and after.
pub(super) struct FailAt {
    remaining: AtomicUsize,
}

impl FailAt {
    pub(super) fn statement(number: usize) -> Arc<Self> {
        Arc::new(Self {
            remaining: AtomicUsize::new(number),
        })
    }

    pub(super) fn has_failed(&self) -> bool {
        self.remaining.load(Ordering::SeqCst) == usize::MAX
    }
}

impl StatementGate for FailAt {
    fn pass(&self) -> Result<(), StoreError> {
        let before = self
            .remaining
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                Some(if left == usize::MAX {
                    left
                } else {
                    left.checked_sub(1).unwrap_or(usize::MAX)
                })
            });
        if before == Ok(0) {
            Err(StoreError::Unavailable("killed".to_owned()))
        } else {
            Ok(())
        }
    }
}

/// Kills init at every statement, then finishes it: one identity, one tree.
pub(super) async fn init_killed_at_any_statement_is_finished_by_a_retry(
    fresh: &dyn Fn() -> StoreUrl,
) {
    for statement in 0.. {
        let url = fresh();
        let gate = FailAt::statement(statement);
        let store = SqlKeyStore::new(&url, DEADLINE, gate.clone()).unwrap();
        let killed = async {
            store.begin_init(IDENTITY, "eu", 1).await?;
            store.finish_init(&tree(), 2).await
        };
        let outcome = killed.await;
        if !gate.has_failed() {
            assert_eq!(outcome, Ok(true));
            assert!(statement >= 10, "only {statement} statements were killed");
            return;
        }
        let store = open(&url);
        let head = store
            .begin_init(KeyStoreIdentity::from_bytes([9; 16]), "eu", 1)
            .await
            .unwrap();
        if head.phase != Phase::Ready {
            assert!(store.finish_init(&tree(), 2).await.unwrap());
        }
        let after = store.head().await.unwrap();
        assert_eq!(
            (after.identity, after.phase),
            (head.identity, Phase::Ready),
            "killed at statement {statement}"
        );
        assert_eq!(
            count(&store.pool, "SELECT COUNT(*) FROM nodes").await,
            i64::from(PLACES)
        );
        assert_eq!(count(&store.pool, "SELECT COUNT(*) FROM epochs").await, 1);
        assert_eq!(
            count(&store.pool, "SELECT COUNT(*) FROM key_store").await,
            1
        );
    }
}

/// Kills an insertion at every statement: the KEK, its leaf and its predecessor's state are all old or all new.
pub(super) async fn kek_killed_at_any_statement_is_whole_or_absent(url: &StoreUrl) {
    let store = initialised(url).await;
    for version in [1, 2] {
        for statement in 0.. {
            let tenant = TenantId::random().unwrap();
            if version == 2 {
                let (first, leaf) = kek(tenant, 1);
                store.insert_kek(&first, &leaf).await.unwrap();
            }
            let gate = FailAt::statement(statement);
            let killed = SqlKeyStore::new(url, DEADLINE, gate.clone()).unwrap();
            let (row, leaf) = kek(tenant, version);
            let outcome = killed.insert_kek(&row, &leaf).await;
            if !gate.has_failed() {
                assert_eq!(outcome, Ok(InsertKek::Inserted));
                assert!(statement >= 5, "only {statement} statements were killed");
                break;
            }
            let retried = store.insert_kek(&row, &leaf).await.unwrap();
            let active = store.active_kek(tenant).await.unwrap();
            assert_eq!(
                active.as_ref(),
                Some(&row),
                "version {version} killed at statement {statement}: {retried:?}"
            );
            assert_eq!(store.keks(tenant).await.unwrap().len(), version as usize);
            let leaves: i64 =
                sqlx::query_scalar("SELECT COUNT(*) FROM log_entries WHERE tenant = $1")
                    .bind(tenant.as_bytes().to_vec())
                    .fetch_one(&store.pool)
                    .await
                    .unwrap();
            assert_eq!(leaves, i64::from(version));
        }
    }
}
