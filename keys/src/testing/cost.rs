//! What a phase of a benchmark costs this process.

use std::future::Future;
use std::time::{Duration, Instant};

/// Time and memory of a phase.
pub struct Cost {
    /// By the clock.
    pub wall: Duration,
    /// Of all threads.
    pub cpu: Duration,
    /// The most memory that it had, beyond what it had before, in KiB.
    pub more_kib: u64,
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (wall, cpu) = (self.wall.as_secs_f64(), self.cpu.as_secs_f64());
        let more_mib = self.more_kib.div_ceil(1_024);
        write!(
            f,
            "{cpu:.2} s cpu, {wall:.2} s, {more_mib} MiB more memory at most"
        )
    }
}

fn cpu() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(
        now.tv_sec.unsigned_abs(),
        u32::try_from(now.tv_nsec).unwrap_or(0),
    )
}

/// A number of `/proc/self/status`, in KiB.
fn status_kib(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Runs a phase; where the system does not tell, its memory is 0.
pub async fn cost<T>(phase: impl Future<Output = T>) -> (T, Cost) {
    // Takes the peak back to what there is now.
    let reset = std::fs::write("/proc/self/clear_refs", "5").is_ok();
    let (began, cpu_before, before) = (Instant::now(), cpu(), status_kib("VmRSS:"));
    let outcome = phase.await;
    let peak = status_kib("VmHWM:").filter(|_| reset);
    let cost = Cost {
        wall: began.elapsed(),
        cpu: cpu().saturating_sub(cpu_before),
        more_kib: peak
            .zip(before)
            .map_or(0, |(peak, before)| peak.saturating_sub(before)),
    };
    (outcome, cost)
}
