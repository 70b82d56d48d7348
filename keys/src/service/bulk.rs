//! Work on a whole key store, page by page: no page takes for ever, and how far it is can be seen.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::KeysError;

/// What one page may take, of the store or of the place for backups: far more than one needs, far less than all of them do.
const PAGE_DEADLINE: Duration = Duration::from_secs(60);

/// Between two lines about progress.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Bounds the wait for one page.
pub(super) async fn page<T>(
    operation: &'static str,
    one: impl Future<Output = T>,
) -> Result<T, KeysError> {
    within(PAGE_DEADLINE, operation, one).await
}

async fn within<T>(
    deadline: Duration,
    operation: &'static str,
    one: impl Future<Output = T>,
) -> Result<T, KeysError> {
    tokio::time::timeout(deadline, one)
        .await
        .map_err(|_| crate::calls::late(operation))
}

/// How far such work is.
pub(super) struct Progress {
    op: &'static str,
    began: Instant,
    told: Instant,
    records: u64,
}

impl Progress {
    pub(super) fn new(op: &'static str) -> Self {
        let now = Instant::now();
        Self {
            op,
            began: now,
            told: now,
            records: 0,
        }
    }

    /// Counts a page, and tells once in a while.
    pub(super) fn add(&mut self, records: usize) {
        self.records = self.records.saturating_add(records as u64);
        if self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            let elapsed_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
            let (op, records) = (self.op, self.records);
            tracing::info!(
                op,
                records,
                elapsed_ms,
                outcome = "working",
                "the key store is worked through"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn page_that_never_comes_is_unavailable() {
        let deadline = Duration::from_millis(1);
        let never = std::future::pending::<()>();
        let late = within(deadline, "reading a backup", never).await;
        let operation = late.map_err(|error| match error {
            KeysError::Unavailable { operation, .. } => operation,
            _ => "another error",
        });
        assert_eq!(operation, Err("reading a backup"));
    }
}
