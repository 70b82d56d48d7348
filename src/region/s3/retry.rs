//! Retries, bounded and with jitter. [`RegionError::Unavailable`] says that nothing was done: that alone is repeated.

use crate::region::RegionError;
use std::future::Future;
use std::time::Duration;
use tokio::time::Instant;

const FIRST_PAUSE_MS: u64 = 50;
const PAUSE_MS_MAX: u64 = 2_000;

/// How often and for how long to try.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retries {
    pub(super) attempts_max: u32,
    /// No attempt begins later than this after the first.
    pub(super) begin_within: Duration,
}

/// Calls `attempt` until it does something or the retries are used up.
pub(super) async fn until_done<T, F, A>(retries: &Retries, attempt: A) -> Result<T, RegionError>
where
    A: FnMut() -> F,
    F: Future<Output = Result<T, RegionError>>,
{
    until_done_while(retries, || true, attempt).await
}

/// As [`until_done`], as long as `again` allows it.
pub(super) async fn until_done_while<T, F, A>(
    retries: &Retries,
    again: impl Fn() -> bool,
    mut attempt: A,
) -> Result<T, RegionError>
where
    A: FnMut() -> F,
    F: Future<Output = Result<T, RegionError>>,
{
    let started = Instant::now();
    let mut attempts = 0;
    loop {
        attempts += 1;
        let outcome = attempt().await;
        let nothing_done = matches!(outcome, Err(RegionError::Unavailable { .. }));
        if !nothing_done || attempts >= retries.attempts_max || !again() {
            return outcome;
        }
        let pause = pause(attempts);
        if started.elapsed() + pause > retries.begin_within {
            return outcome;
        }
        tokio::time::sleep(pause).await;
    }
}

/// Anything from half to all of an exponentially growing pause.
fn pause(attempts: u32) -> Duration {
    let full = FIRST_PAUSE_MS
        .saturating_mul(1 << attempts.saturating_sub(1).min(16))
        .min(PAUSE_MS_MAX);
    let half = full / 2;
    // Without randomness there is no jitter, which is no reason to fail.
    let jitter = getrandom::u64().unwrap_or_default() % (half + 1);
    Duration::from_millis(half + jitter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn unavailable() -> RegionError {
        RegionError::Unavailable {
            operation: "test",
            reason: String::new(),
        }
    }

    const RETRIES: Retries = Retries {
        attempts_max: 3,
        begin_within: Duration::from_secs(10),
    };

    #[tokio::test]
    async fn until_done_always_unavailable_stops_at_the_bound() {
        let calls = Cell::new(0);
        let outcome: Result<(), _> = until_done(&RETRIES, || async {
            calls.set(calls.get() + 1);
            Err(unavailable())
        })
        .await;
        assert!(matches!(outcome, Err(RegionError::Unavailable { .. })));
        assert_eq!(calls.get(), 3);
    }

    #[tokio::test]
    async fn until_done_unknown_never_repeated() {
        let calls = Cell::new(0);
        let outcome: Result<(), _> = until_done(&RETRIES, || async {
            calls.set(calls.get() + 1);
            Err(RegionError::Unknown {
                operation: "test",
                reason: String::new(),
            })
        })
        .await;
        assert!(outcome.is_err());
        assert_eq!(calls.get(), 1);
    }

    #[tokio::test]
    async fn until_done_while_source_used_not_repeated() {
        let calls = Cell::new(0);
        let outcome: Result<(), _> = until_done_while(
            &RETRIES,
            || false,
            || async {
                calls.set(calls.get() + 1);
                Err(unavailable())
            },
        )
        .await;
        assert!(outcome.is_err());
        assert_eq!(calls.get(), 1);
    }
}
