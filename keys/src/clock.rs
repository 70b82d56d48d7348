//! Time as the lease sees it: a clock that runs through suspend, and a timer on it.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

/// The source of time; leases and caches take it as an argument so that tests can own it.
#[async_trait]
pub trait Clock: Debug + Send + Sync + 'static {
    /// Time since boot, suspend included.
    fn boot(&self) -> Duration;

    /// Wall-clock time in milliseconds since 1970; for records only, never for a decision.
    fn unix_ms(&self) -> i64;

    /// Returns once [`Clock::boot`] has reached `deadline`.
    async fn sleep_until(&self, deadline: Duration);
}

/// The machine's own clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

/// A timer of the runtime stands still during suspend, so a sleep looks at the boot clock at least this often.
const SUSPEND_CHECK: Duration = Duration::from_millis(500);

#[async_trait]
impl Clock for SystemClock {
    fn boot(&self) -> Duration {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::new(
            u64::try_from(now.tv_sec).unwrap_or(0),
            u32::try_from(now.tv_nsec).unwrap_or(0),
        )
    }

    fn unix_ms(&self) -> i64 {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        now.tv_sec
            .saturating_mul(1_000)
            .saturating_add(now.tv_nsec / 1_000_000)
    }

    async fn sleep_until(&self, deadline: Duration) {
        loop {
            let now = self.boot();
            if now >= deadline {
                return;
            }
            tokio::time::sleep((deadline - now).min(SUSPEND_CHECK)).await;
        }
    }
}
