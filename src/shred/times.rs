//! The times that receipts claim, in the order of the steps that they are of (`docs/receipts.md`).
//!
//! Each was read from the clock of whichever gateway did the step. A step was done after the one before it, and before now: a time
//! that says otherwise is the clock's error, and is brought to the nearest that can be. What a receipt claims is then never earlier
//! than what was done.

use super::error::ShredError;
use super::evidence::{BackedUp, Destroyed, FenceRecord};
use lethe_receipts::statement::FenceScope;
use lethe_receipts::{CheckName, Statement, StatementError};

const SECOND_MS: i64 = 1000;

/// What an erasure's times are, once in order.
pub(super) struct ErasureTimes {
    pub(super) started_ms: i64,
    pub(super) fence_ms: i64,
    pub(super) backup_ms: i64,
    pub(super) destroyed_ms: i64,
}

fn ms(unix_s: u64) -> i64 {
    i64::try_from(unix_s)
        .unwrap_or(i64::MAX)
        .saturating_mul(SECOND_MS)
}

/// `time_ms`, not before `from_ms` and then not after `now_ms`; where the two exclude each other, the order of the steps counts.
fn within(time_ms: i64, from_ms: i64, now_ms: i64) -> i64 {
    time_ms.min(now_ms).max(from_ms)
}

/// When the stage that follows `before` may have begun: not before that one did, nor in the grace.
pub(super) fn started_ms(before: &Statement, time_ms: i64, now_ms: i64) -> i64 {
    let predicate = &before.body().predicate;
    let grace_end = predicate.termination.grace_ended.unix_s();
    let from = predicate.times.started.unix_s().max(grace_end);
    within(time_ms, ms(from), now_ms)
}

/// The times of an erasure that follows `revoked`.
pub(super) fn of_erasure(
    revoked: &Statement,
    started: i64,
    fence: &FenceRecord,
    backup: &BackedUp,
    destroyed: &Destroyed,
    now_ms: i64,
) -> ErasureTimes {
    let fences = &revoked.body().predicate.fences;
    let tenant = fences
        .iter()
        .find(|fence| fence.scope == FenceScope::Tenant);
    let tenant_ms = tenant.map_or(i64::MIN, |fence| ms(fence.raised_at.unix_s()));
    let fence_ms = within(fence.raised_ms, tenant_ms, now_ms);
    let backup_ms = within(backup.at_ms, fence_ms, now_ms);
    let destroyed_ms = within(destroyed.at_ms, backup_ms, now_ms);
    ErasureTimes {
        started_ms: started_ms(revoked, started, now_ms),
        fence_ms,
        backup_ms,
        destroyed_ms,
    }
}

/// Whether a statement can't be made because of the times in its evidence.
pub(super) fn out_of_order(error: &ShredError) -> bool {
    matches!(
        error,
        ShredError::Statement(StatementError::Evidence {
            check: CheckName::ClaimedTimes,
            ..
        })
    )
}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn time_outside_its_step_is_brought_to_the_nearest_inside() {
        for (time, from, now, expected) in [
            (5, 3, 9, 5),
            (1, 3, 9, 3),
            (12, 3, 9, 9),
            // A clock that is behind the step before it: the order counts, and whoever issues waits for the clock.
            (5, 7, 6, 7),
            (8, 7, 6, 7),
        ] {
            assert_eq!(within(time, from, now), expected, "{time} {from} {now}");
        }
    }
}
