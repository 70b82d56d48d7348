//! Destroying the epoch that the root has left (design §3, step 6), and how it is known that it is destroyed.

use super::KeyService;
use super::rekey::Mover;
use crate::error::{KeysError, Refusal};
use crate::store::{MoveMark, MoveRow, MoveState};
use crate::tree::Epoch;
use crate::types::DestroyEvidence;

impl KeyService {
    /// Has the root provider destroy an epoch that the root has left, and sees that it opens nothing any more. KEKs are
    /// made again afterwards. Idempotent.
    ///
    /// `backup_sha256` names the backup whose restore test passed ([`KeyService::test_restore`]).
    ///
    /// # Errors
    /// [`Refusal::MoveMissing`], [`Refusal::BackupUntested`], [`Refusal::EpochInUse`]: nothing was destroyed;
    /// [`Refusal::EpochStillOpens`] when the provider says so and it is not so; [`Refusal::CanaryLost`] when the current
    /// epoch does not open what it wrapped; [`KeysError::Unavailable`]: call again.
    pub async fn destroy_epoch(
        &self,
        epoch: Epoch,
        backup_sha256: &[u8; 32],
    ) -> Result<DestroyEvidence, KeysError> {
        let core = &self.core;
        let mover = Mover {
            domain: &core.domain,
            store: &core.store,
            root: &core.root,
            now_ms: core.clock.unix_ms(),
        };
        core.check_ready().await?;
        let row = mover.movement(epoch).await?;
        if row.state == MoveState::Destroyed {
            return row.destroyed();
        }
        mover.check_destroyable(&row, backup_sha256).await?;
        mover.see_canaries_open(&row, backup_sha256).await?;
        for left in left_behind(&row) {
            core.root
                .call(
                    "destroying a root epoch",
                    core.root.root.destroy_epoch(left),
                )
                .await?;
        }
        mover.see_canary_refused(&row).await?;
        if !mover.opens(row.to, &row.canary_to).await? {
            return Err(Refusal::CanaryLost { epoch: row.to }.into());
        }
        let now_ms = core.clock.unix_ms();
        mover.mark(epoch, MoveMark::Destroyed { now_ms }).await?;
        let scrub = core.store.store.scrub();
        if let Err(error) = core.store.call("scrubbing the key store", scrub).await {
            tracing::warn!(op = "destroy_epoch", outcome = "unscrubbed", %error, "old pages of the key store remain");
        }
        mover.movement(epoch).await?.destroyed()
    }
}

/// Epochs that one move may skip and have destroyed: a move a day for decades.
const SKIPPED_MAX: u64 = 10_000;

/// The epoch that was left, and those that a restored store skipped: their keys open what was in the store that was lost, and in
/// its backups.
fn left_behind(row: &MoveRow) -> impl Iterator<Item = Epoch> {
    let skipped = row
        .from
        .0
        .saturating_add(1)
        .max(row.to.0.saturating_sub(SKIPPED_MAX));
    std::iter::once(row.from).chain((skipped..row.to.0).map(Epoch))
}

impl Mover<'_> {
    pub(super) async fn movement(&self, from: Epoch) -> Result<MoveRow, KeysError> {
        self.store
            .call(
                "reading a move of the root",
                self.store.store.movement(from),
            )
            .await?
            .ok_or(Refusal::MoveMissing { epoch: from }.into())
    }

    /// `false` from the store means that another runner was first; the next read shows what it has done.
    pub(super) async fn mark(&self, from: Epoch, mark: MoveMark) -> Result<bool, KeysError> {
        let marking = self.store.store.mark_move(from, mark);
        self.store
            .call("recording a move's progress", marking)
            .await
    }

    async fn check_destroyable(&self, row: &MoveRow, backup: &[u8; 32]) -> Result<(), KeysError> {
        let epoch = row.from;
        let moves = self.store.store.moves();
        let moves = self.store.call("reading moves of the root", moves).await?;
        // Oldest first: the epoch that a move entered shows that the provider still opens what it should.
        let older = |other: &&MoveRow| other.from < epoch && other.state != MoveState::Destroyed;
        if let Some(other) = moves.iter().find(older) {
            return Err(Refusal::MoveUnfinished { current: other.to }.into());
        }
        if row.backup.is_none_or(|(sha256, _)| sha256 != *backup) {
            return Err(Refusal::BackupUntested { epoch }.into());
        }
        let live = self
            .store
            .store
            .nodes_up_to(Epoch(row.to.0.saturating_sub(1)));
        let nodes = self.store.call("counting an epoch's nodes", live).await?;
        if nodes > 0 {
            return Err(Refusal::EpochInUse { epoch, nodes }.into());
        }
        Ok(())
    }

    /// Both epochs open what they wrapped; what cannot be shown for the current one must not cost the old one. After
    /// a destruction that was not heard of, the old one is seen to be gone, and that it had opened was seen before.
    async fn see_canaries_open(&self, row: &MoveRow, backup: &[u8; 32]) -> Result<(), KeysError> {
        if !self.opens(row.to, &row.canary_to).await? {
            return Err(Refusal::CanaryLost { epoch: row.to }.into());
        }
        let canary_opened_ms = match self.opens(row.from, &row.canary_from).await {
            Ok(true) => self.now_ms,
            Ok(false) => return Err(Refusal::CanaryLost { epoch: row.from }.into()),
            Err(KeysError::Refused {
                reason: Refusal::RootEpochMissing { .. },
            }) => row.canary_opened_ms,
            // An interrupted destruction may leave a key that is none any more.
            Err(KeysError::Corrupt { .. }) if row.state == MoveState::Destroying => {
                row.canary_opened_ms
            }
            Err(error) => return Err(error),
        };
        let mark = MoveMark::Destroying {
            backup: *backup,
            canary_opened_ms,
        };
        if self.mark(row.from, mark).await? {
            return Ok(());
        }
        // Destroyed by another runner meanwhile, and the provider is asked once more, which does no harm; or it has tested another
        // backup.
        let epoch = row.from;
        match self.movement(epoch).await?.state {
            MoveState::Destroyed => Ok(()),
            MoveState::Rekeyed | MoveState::Destroying => {
                Err(Refusal::BackupUntested { epoch }.into())
            }
        }
    }

    async fn see_canary_refused(&self, row: &MoveRow) -> Result<(), KeysError> {
        let epoch = row.from;
        match self.opens(epoch, &row.canary_from).await {
            Err(KeysError::Refused {
                reason: Refusal::RootEpochMissing { .. },
            }) => Ok(()),
            // A key is there under the destroyed one's name, whatever it opens.
            Ok(_)
            | Err(
                KeysError::Refused {
                    reason: Refusal::RootForeign { .. },
                }
                | KeysError::Corrupt { .. },
            ) => Err(Refusal::EpochStillOpens { epoch }.into()),
            Err(error) => Err(error),
        }
    }
}

impl MoveRow {
    fn destroyed(&self) -> Result<DestroyEvidence, KeysError> {
        let (Some(destroyed_ms), Some((backup_sha256, _))) = (self.destroyed_ms, self.backup)
        else {
            return Err(KeysError::Corrupt {
                what: format!("move of the root from epoch {}", self.from),
            });
        };
        Ok(DestroyEvidence {
            epoch_destroyed: self.from,
            epoch_current: self.to,
            canary_opened_ms: self.canary_opened_ms,
            destroyed_ms,
            backup_sha256,
        })
    }
}
