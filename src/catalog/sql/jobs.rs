//! Background jobs. A fence grows with every claim; whoever holds an older one changes nothing any more.

use super::super::database::{DatabaseError, Row, Statement};
use super::super::{CatalogError, Job, JobFence, JobId, JobKind, JobStore};
use super::codes::{self, Coded};
use super::{SqlCatalog, Work, at};
use crate::clock::UnixMs;
use async_trait::async_trait;

/// How many due jobs one claim tries before it lets the racing claimers have them.
const CANDIDATES: i64 = 8;

fn job_of(row: &Row) -> Result<Job, DatabaseError> {
    Ok(Job {
        id: JobId(row.get("id")?),
        kind: codes::state(row, "kind")?,
        subject: row.get("subject")?,
        fence: JobFence(row.get("fence")?),
        due: UnixMs(row.get("due")?),
        attempts: codes::number(row, "attempts")?,
        last_error: row.get("last_error")?,
    })
}

impl Work {
    /// Adds a job, or has the one that is there run (again) no later than `due`.
    pub(super) async fn enqueue(
        &mut self,
        kind: JobKind,
        subject: &str,
        due: UnixMs,
    ) -> Result<JobId, CatalogError> {
        let insert = Statement::new(
            "INSERT INTO jobs (kind, subject, due, lease_until, fence, attempts, enqueued, enqueued_at_claim)
             VALUES ($1, $2, $3, 0, 0, 0, 1, 0)
             ON CONFLICT (kind, subject) DO UPDATE SET enqueued = jobs.enqueued + 1,
                 due = CASE WHEN excluded.due < jobs.due THEN excluded.due ELSE jobs.due END
             RETURNING id",
        )
        .bind(kind.code())
        .bind(subject)
        .bind(due);
        match self.row(insert).await? {
            Some(row) => Ok(JobId(row.get("id").map_err(at(self.operation))?)),
            None => Err(self.not_found("job")),
        }
    }

    async fn job_exists(&mut self, job: JobId) -> Result<bool, CatalogError> {
        let question = Statement::new("SELECT id FROM jobs WHERE id = $1").bind(job.0);
        Ok(self.row(question).await?.is_some())
    }

    /// Why a job of this fence could not be changed.
    async fn why_not_held(&mut self, job: JobId) -> CatalogError {
        match self.job_exists(job).await {
            Ok(true) => self.conflict("the job is held under another fence"),
            Ok(false) => self.not_found("job"),
            Err(error) => error,
        }
    }
}

#[async_trait]
impl JobStore for SqlCatalog {
    /// A job that is there becomes due no later than `due`. If it is running, it runs again: what this call asks for may have come
    /// after the running owner looked.
    async fn enqueue(
        &self,
        kind: JobKind,
        subject: &str,
        due: UnixMs,
    ) -> Result<JobId, CatalogError> {
        let mut work = self.begin("enqueue").await?;
        let id = work.enqueue(kind, subject, due).await?;
        work.commit().await?;
        Ok(id)
    }

    async fn claim(
        &self,
        owner: &str,
        now: UnixMs,
        lease_ms: i64,
    ) -> Result<Option<Job>, CatalogError> {
        let operation = "claim";
        let due = Statement::new(
            "SELECT id FROM jobs WHERE due <= $1 AND lease_until <= $1 ORDER BY due, id LIMIT $2",
        )
        .bind(now)
        .bind(CANDIDATES);
        for row in self.read(operation, due).await? {
            let id: i64 = row.get("id").map_err(at(operation))?;
            let mut work = self.begin(operation).await?;
            let take = Statement::new(
                "UPDATE jobs SET owner = $2, lease_until = $4, fence = fence + 1, attempts = attempts + 1,
                     enqueued_at_claim = enqueued
                 WHERE id = $1 AND due <= $3 AND lease_until <= $3
                 RETURNING id, kind, subject, fence, due, attempts, last_error",
            )
            .bind(id)
            .bind(owner)
            .bind(now)
            .bind(now.plus_ms(lease_ms));
            if let Some(row) = work.row(take).await? {
                let job = job_of(&row).map_err(at(operation))?;
                work.commit().await?;
                return Ok(Some(job));
            }
        }
        Ok(None)
    }

    async fn renew(&self, job: JobId, fence: JobFence, until: UnixMs) -> Result<(), CatalogError> {
        let mut work = self.begin("renew").await?;
        let renew = Statement::new(
            "UPDATE jobs SET lease_until = $3 WHERE id = $1 AND fence = $2 AND owner IS NOT NULL",
        )
        .bind(job.0)
        .bind(fence.0)
        .bind(until);
        if work.change(renew).await? == 1 {
            return work.commit().await;
        }
        Err(work.why_not_held(job).await)
    }

    async fn finish(&self, job: JobId, fence: JobFence) -> Result<(), CatalogError> {
        let mut work = self.begin("finish").await?;
        let held = |text| Statement::new(text).bind(job.0).bind(fence.0);
        let again = held(
            "UPDATE jobs SET owner = NULL, lease_until = 0, attempts = 0, last_error = NULL
             WHERE id = $1 AND fence = $2 AND owner IS NOT NULL AND enqueued > enqueued_at_claim",
        );
        if work.change(again).await? == 1 {
            return work.commit().await;
        }
        let delete = held("DELETE FROM jobs WHERE id = $1 AND fence = $2 AND owner IS NOT NULL");
        if work.change(delete).await? == 1 {
            return work.commit().await;
        }
        if work.job_exists(job).await? {
            return Err(work.conflict("the job is held under another fence"));
        }
        Ok(())
    }

    async fn retry(
        &self,
        job: JobId,
        fence: JobFence,
        due: UnixMs,
        reason: &str,
    ) -> Result<(), CatalogError> {
        let mut work = self.begin("retry").await?;
        let retry = Statement::new(
            "UPDATE jobs SET owner = NULL, lease_until = 0, due = $3, last_error = $4
             WHERE id = $1 AND fence = $2 AND owner IS NOT NULL",
        )
        .bind(job.0)
        .bind(fence.0)
        .bind(due)
        .bind(codes::reason(reason).as_str());
        if work.change(retry).await? == 1 {
            return work.commit().await;
        }
        Err(work.why_not_held(job).await)
    }

    async fn jobs(&self, rows_max: u32) -> Result<Vec<Job>, CatalogError> {
        let operation = "jobs";
        let question = Statement::new(
            "SELECT id, kind, subject, fence, due, attempts, last_error FROM jobs ORDER BY id LIMIT $1",
        )
        .bind(i64::from(rows_max));
        let rows = self.read(operation, question).await?;
        rows.iter()
            .map(job_of)
            .collect::<Result<_, _>>()
            .map_err(at(operation))
    }
}
