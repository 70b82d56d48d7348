//! Runs a domain's due jobs: claims one under a lease, renews it while it works, and finishes or retries it by its fence.

use super::domain::JobDomain;
use super::finish::FinishError;
use crate::catalog::{CatalogError, Job, JobKind};
use crate::tenants::Subject;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How a runner paces itself.
#[derive(Clone, Copy, Debug)]
pub struct RunnerSettings {
    /// How long a claimed job is this runner's without a renewal.
    pub lease: Duration,
    /// How long it waits when nothing is due.
    pub poll: Duration,
    /// How long one try may take.
    pub attempt_deadline: Duration,
    /// How long between two sweeps of stale uploads.
    pub sweep_every: Duration,
    /// The first wait before another try; it doubles up to `backoff_max`.
    pub backoff: Duration,
    /// The longest wait between the tries that count.
    pub backoff_max: Duration,
}

impl Default for RunnerSettings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(30),
            poll: Duration::from_secs(2),
            attempt_deadline: Duration::from_secs(300),
            sweep_every: Duration::from_secs(900),
            backoff: Duration::from_secs(5),
            backoff_max: Duration::from_secs(3600),
        }
    }
}

/// After so many tries a job is looked at once a day only; it is never dropped, since what it finishes would stay undone.
const ATTEMPTS_MAX: u32 = 16;
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Most jobs are written before the row that they finish, so a missing row may still come.
const MISSING_ATTEMPTS_MAX: u32 = 4;
/// How long a job waits for a gateway that serves its region.
const ELSEWHERE: Duration = Duration::from_secs(60);

/// Runs one domain's jobs.
pub struct Runner {
    domain: Arc<JobDomain>,
    owner: String,
    settings: RunnerSettings,
    /// Whether this runner has seen to it that there is a job that sweeps.
    sweeps: AtomicBool,
}

enum Outcome {
    Done,
    Again(String),
    /// Another gateway's to do.
    Elsewhere,
    /// Another runner has it: touch nothing.
    Lost,
}

impl Runner {
    /// A runner; `owner` is unique to this process.
    #[must_use]
    pub fn new(domain: Arc<JobDomain>, owner: String, settings: RunnerSettings) -> Self {
        Self {
            domain,
            owner,
            settings,
            sweeps: AtomicBool::new(false),
        }
    }

    /// Runs due jobs until `stop` resolves; the job at hand is then dropped, and another owner takes it after its lease.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            let pass = async {
                if let Err(error) = self.run_due().await {
                    tracing::warn!(op = "jobs", outcome = "failed", %error, "jobs wait for the catalog");
                }
                tokio::time::sleep(self.settings.poll).await;
            };
            tokio::select! {
                () = &mut stop => return,
                () = pass => {}
            }
        }
    }

    /// Runs what is due now; returns how many jobs were tried.
    ///
    /// # Errors
    /// [`CatalogError`] when jobs can't be claimed or settled.
    pub async fn run_due(&self) -> Result<u32, CatalogError> {
        let catalog = &self.domain.catalog;
        let now = self.domain.clock.now();
        // Once: enqueueing it makes it due now, and its row stays for good.
        if !self.sweeps.load(Ordering::SeqCst) {
            let subject = Subject::Uploads.to_string();
            catalog
                .enqueue(JobKind::SweepUploads, &subject, now)
                .await?;
            self.sweeps.store(true, Ordering::SeqCst);
        }
        let mut tried = 0;
        while let Some(job) = catalog
            .claim(
                &self.owner,
                self.domain.clock.now(),
                millis(self.settings.lease),
            )
            .await?
        {
            tried += 1;
            let outcome = self.attempt(&job).await;
            match self.settle(&job, outcome).await {
                // Whoever took it over settles it.
                Ok(()) | Err(CatalogError::Conflict { .. } | CatalogError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(tried)
    }

    async fn attempt(&self, job: &Job) -> Outcome {
        let work = tokio::time::timeout(self.settings.attempt_deadline, self.work(job));
        tokio::pin!(work);
        let renewal = self.settings.lease / 3;
        loop {
            tokio::select! {
                done = &mut work => return match done {
                    Ok(Ok(())) => Outcome::Done,
                    Ok(Err(error)) if error.is_not_found() && is_over(job) => Outcome::Done,
                    Ok(Err(FinishError::RegionElsewhere(_))) => Outcome::Elsewhere,
                    Ok(Err(error)) => Outcome::Again(error.to_string()),
                    Err(_) => Outcome::Again("it took longer than its deadline".to_owned()),
                },
                () = tokio::time::sleep(renewal) => {
                    let until = self.domain.clock.now().plus_ms(millis(self.settings.lease));
                    let renewed = self.domain.catalog.renew(job.id, job.fence, until).await;
                    // On other errors there are two more renewals before the lease ends; the work is idempotent in any case.
                    if let Err(CatalogError::Conflict { .. } | CatalogError::NotFound { .. }) = renewed {
                        return Outcome::Lost;
                    }
                }
            }
        }
    }

    async fn work(&self, job: &Job) -> Result<(), FinishError> {
        let subject: Subject = job
            .subject
            .parse()
            .map_err(|_| FinishError::SubjectUnknown)?;
        match (job.kind, subject) {
            (JobKind::FinishTenant, Subject::Tenant(id)) => {
                self.domain.finish_tenant(id).await.map(drop)
            }
            (JobKind::FinishCredential, Subject::Credential(id)) => {
                self.domain.finish_credential(&id).await.map(drop)
            }
            (JobKind::FinishBucket, Subject::Bucket(tenant, name)) => {
                self.domain.finish_bucket(tenant, &name).await
            }
            (JobKind::SweepUploads, Subject::Uploads) => {
                let swept = self.domain.sweep_uploads().await?;
                if swept.forgotten > 0 || swept.failed > 0 || swept.orphans > 0 {
                    tracing::info!(
                        op = "sweep-uploads",
                        forgotten = swept.forgotten,
                        failed = swept.failed,
                        orphans = swept.orphans,
                        outcome = "done",
                        "stale uploads were dropped"
                    );
                }
                Ok(())
            }
            _ => Err(FinishError::SubjectUnknown),
        }
    }

    async fn settle(&self, job: &Job, outcome: Outcome) -> Result<(), CatalogError> {
        let catalog = &self.domain.catalog;
        let now = self.domain.clock.now();
        match outcome {
            Outcome::Lost => Ok(()),
            Outcome::Elsewhere => {
                let reason = "this gateway does not serve its region";
                let due = now.plus_ms(millis(ELSEWHERE));
                catalog.retry(job.id, job.fence, due, reason).await
            }
            // A sweep is never over: its row stays, due again.
            Outcome::Done if job.kind == JobKind::SweepUploads => {
                let due = now.plus_ms(millis(self.settings.sweep_every));
                catalog.retry(job.id, job.fence, due, "").await
            }
            Outcome::Done => catalog.finish(job.id, job.fence).await,
            Outcome::Again(reason) => {
                // A sweep's tries count its good ones too, so they say nothing about how long it has failed.
                let wait = match job.kind {
                    JobKind::SweepUploads => self.settings.sweep_every,
                    _ => self.backoff(job.attempts),
                };
                tracing::warn!(
                    op = ?job.kind, attempts = job.attempts, outcome = "retry",
                    wait_ms = millis(wait), reason, "a job failed"
                );
                catalog
                    .retry(job.id, job.fence, now.plus_ms(millis(wait)), &reason)
                    .await
            }
        }
    }

    fn backoff(&self, attempts: u32) -> Duration {
        if attempts >= ATTEMPTS_MAX {
            return DAY;
        }
        let doubled = self.settings.backoff.saturating_mul(1 << attempts.min(16));
        doubled.min(self.settings.backoff_max)
    }
}

/// Whether a job's row that is missing will not come any more. A bucket's is there before its job, so it was deleted.
fn is_over(job: &Job) -> bool {
    job.kind == JobKind::FinishBucket || job.attempts >= MISSING_ATTEMPTS_MAX
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
