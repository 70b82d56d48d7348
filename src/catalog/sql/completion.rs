//! The ends of an upload: completing under a lease and a fence, aborting, forgetting, sweeping.

use super::super::database::{DatabaseError, Statement};
use super::super::{CatalogError, CompletedUpload, JobFence, StaleBefore, Upload, UploadState};
use super::uploads::select_uploads;
use super::{SqlCatalog, Work, at, codes, uploads};
use crate::clock::UnixMs;
use crate::tenants::{TenantId, UploadId};

const FENCED: &str = "the upload is not being completed under this fence";

/// The state and fence of an upload that could not be changed.
async fn state_and_fence(
    work: &mut Work,
    tenant: TenantId,
    upload: &UploadId,
) -> Result<(UploadState, JobFence), CatalogError> {
    let question = Statement::new("SELECT state, fence FROM uploads WHERE tenant = $1 AND id = $2")
        .bind(tenant)
        .bind(upload.as_str());
    let Some(row) = work.row(question).await? else {
        return Err(work.not_found("upload"));
    };
    let state = codes::state(&row, "state").map_err(at(work.operation))?;
    let fence = row.get("fence").map_err(at(work.operation))?;
    Ok((state, JobFence(fence)))
}

impl SqlCatalog {
    pub(super) async fn take_completion(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        now: UnixMs,
        lease_ms: i64,
    ) -> Result<JobFence, CatalogError> {
        let operation = "begin_complete";
        let mut work = self.begin(operation).await?;
        let take = Statement::new(
            "UPDATE uploads SET state = 'completing', fence = fence + 1, lease_until = $4, active = $3
             WHERE tenant = $1 AND id = $2
                 AND (state = 'open' OR (state = 'completing' AND lease_until <= $3)) RETURNING fence",
        )
        .bind(tenant)
        .bind(upload.as_str())
        .bind(now)
        .bind(now.plus_ms(lease_ms));
        if let Some(row) = work.row(take).await? {
            let fence = row.get("fence").map_err(at(operation))?;
            work.commit().await?;
            return Ok(JobFence(fence));
        }
        let reason = match state_and_fence(&mut work, tenant, upload).await?.0 {
            UploadState::Completed => "the upload is completed",
            UploadState::Aborting => "the upload is being aborted",
            UploadState::Creating => "the upload is being created",
            UploadState::Open | UploadState::Completing => "the upload is being completed",
        };
        Err(work.conflict(reason))
    }

    pub(super) async fn prolong_completion(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        fence: JobFence,
        lease_until: UnixMs,
    ) -> Result<(), CatalogError> {
        let mut work = self.begin("renew_complete").await?;
        let renew = Statement::new(
            "UPDATE uploads SET lease_until = $4 WHERE tenant = $1 AND id = $2 AND state = 'completing' AND fence = $3",
        )
        .bind(tenant)
        .bind(upload.as_str())
        .bind(fence.0)
        .bind(lease_until);
        if work.change(renew).await? == 1 {
            return work.commit().await;
        }
        state_and_fence(&mut work, tenant, upload).await?;
        Err(work.conflict(FENCED))
    }

    pub(super) async fn record_part_list(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        fence: JobFence,
        part_list: &[u8],
    ) -> Result<bool, CatalogError> {
        let mut work = self.begin("fix_part_list").await?;
        let fix = Statement::new(
            "UPDATE uploads SET part_list = $4 WHERE tenant = $1 AND id = $2 AND state = 'completing'
                 AND fence = $3 AND part_list IS NULL",
        )
        .bind(tenant)
        .bind(upload.as_str())
        .bind(fence.0)
        .bind(part_list);
        if work.change(fix).await? == 1 {
            work.commit().await?;
            return Ok(true);
        }
        let same = Statement::new(
            "SELECT id FROM uploads WHERE tenant = $1 AND id = $2 AND state = 'completing'
                 AND fence = $3 AND part_list = $4",
        )
        .bind(tenant)
        .bind(upload.as_str())
        .bind(fence.0)
        .bind(part_list);
        if work.row(same).await?.is_some() {
            return Ok(false);
        }
        let found = state_and_fence(&mut work, tenant, upload).await?;
        Err(work.conflict(if found == (UploadState::Completing, fence) {
            "another part list is fixed"
        } else {
            FENCED
        }))
    }

    pub(super) async fn give_back_completion(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        fence: JobFence,
    ) -> Result<(), CatalogError> {
        let mut work = self.begin("release_complete").await?;
        let release = Statement::new(
            "UPDATE uploads SET lease_until = 0,
                 state = CASE WHEN part_list IS NULL THEN 'open' ELSE 'completing' END
             WHERE tenant = $1 AND id = $2 AND state = 'completing' AND fence = $3",
        )
        .bind(tenant)
        .bind(upload.as_str())
        .bind(fence.0);
        if work.change(release).await? == 1 {
            return work.commit().await;
        }
        // A repetition: nobody has taken the lease since.
        if state_and_fence(&mut work, tenant, upload).await? == (UploadState::Open, fence) {
            return Ok(());
        }
        Err(work.conflict(FENCED))
    }

    pub(super) async fn give_up_part_list(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        fence: JobFence,
    ) -> Result<(), CatalogError> {
        let mut work = self.begin("reopen_upload").await?;
        let reopen = Statement::new(
            "UPDATE uploads SET lease_until = 0, state = 'open', part_list = NULL
             WHERE tenant = $1 AND id = $2 AND state = 'completing' AND fence = $3",
        )
        .bind(tenant)
        .bind(upload.as_str())
        .bind(fence.0);
        if work.change(reopen).await? == 1 {
            return work.commit().await;
        }
        // A repetition: nobody has taken the lease since.
        if state_and_fence(&mut work, tenant, upload).await? == (UploadState::Open, fence) {
            return Ok(());
        }
        Err(work.conflict(FENCED))
    }

    pub(super) async fn record_answer(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        fence: JobFence,
        answer: &CompletedUpload,
        now: UnixMs,
    ) -> Result<(), CatalogError> {
        let mut work = self.begin("finish_complete").await?;
        let finish = Statement::new(
            "UPDATE uploads SET state = 'completed', completed = $4, active = $4, lease_until = 0,
                 answer_etag = $5, answer_version = $6
             WHERE tenant = $1 AND id = $2 AND state = 'completing' AND fence = $3",
        )
        .bind(tenant)
        .bind(upload.as_str())
        .bind(fence.0)
        .bind(now)
        .bind(answer.etag.as_str())
        .bind(answer.version.as_deref());
        if work.change(finish).await? == 1 {
            return work.commit().await;
        }
        let (_, found_fence) = state_and_fence(&mut work, tenant, upload).await?;
        let found = uploads::found(&mut work, tenant, upload).await?;
        let repeated = found.state == UploadState::Completed
            && found_fence == fence
            && found.answer.as_ref() == Some(answer);
        if repeated {
            return Ok(());
        }
        Err(work.conflict(FENCED))
    }

    /// An upload whose completion was given back with its part list fixed, or whose lease on that ended, can be aborted: nobody is
    /// completing it.
    pub(super) async fn mark_aborting(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        now: UnixMs,
    ) -> Result<Upload, CatalogError> {
        let mut work = self.begin("begin_abort").await?;
        let abort = Statement::new(
            "UPDATE uploads SET state = 'aborting' WHERE tenant = $1 AND id = $2
                 AND (state IN ('creating', 'open', 'aborting') OR (state = 'completing' AND lease_until <= $3))",
        )
        .bind(tenant)
        .bind(upload.as_str())
        .bind(now);
        let aborting = work.change(abort).await? == 1;
        let found = uploads::found(&mut work, tenant, upload).await?;
        if aborting {
            work.commit().await?;
            return Ok(found);
        }
        Err(work.conflict(match found.state {
            UploadState::Completed => "the upload is completed",
            _ => "the upload is being completed",
        }))
    }

    pub(super) async fn delete_upload(
        &self,
        tenant: TenantId,
        upload: &UploadId,
    ) -> Result<(), CatalogError> {
        let mut work = self.begin("forget_upload").await?;
        let of_upload = |text| Statement::new(text).bind(tenant).bind(upload.as_str());
        // Neither state is ever left, so attempts can't come back between the two statements.
        let attempts = of_upload(
            "DELETE FROM attempts WHERE tenant = $1 AND upload = $2 AND EXISTS
                 (SELECT 1 FROM uploads WHERE tenant = $1 AND id = $2 AND state IN ('aborting', 'completed'))",
        );
        work.change(attempts).await?;
        let row = of_upload(
            "DELETE FROM uploads WHERE tenant = $1 AND id = $2 AND state IN ('aborting', 'completed')",
        );
        if work.change(row).await? == 1 {
            return work.commit().await;
        }
        match state_and_fence(&mut work, tenant, upload).await {
            Err(CatalogError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(work.conflict("the upload is neither aborted nor completed")),
        }
    }

    /// Those whose completion was given up are stale as open ones are.
    pub(super) async fn stale_rows(
        &self,
        before: &StaleBefore,
        after: Option<&(TenantId, Upload)>,
        rows_max: u32,
    ) -> Result<Vec<(TenantId, Upload)>, CatalogError> {
        let operation = "stale_uploads";
        let question = Statement::new(select_uploads!(
            "SELECT tenant,",
            "WHERE ((state = 'open' AND active < $1)
                 OR (state = 'completing' AND active < $1 AND lease_until < $1)
                 OR (state = 'creating' AND active < $2)
                 OR (state = 'aborting' AND active < $3)
                 OR (state = 'completed' AND completed < $4))
                 AND (active, tenant, id) > ($5, $6, $7)
             ORDER BY active, tenant, id LIMIT $8"
        ))
        .bind(before.idle)
        .bind(before.creating)
        .bind(before.aborting)
        .bind(before.completed)
        .bind(after.map_or(i64::MIN, |(_, upload)| upload.active.0))
        .bind(after.map_or(&[][..], |(tenant, _)| tenant.as_bytes().as_slice()))
        .bind(after.map_or("", |(_, upload)| upload.new.id.as_str()))
        .bind(i64::from(rows_max));
        let rows = self.read(operation, question).await?;
        let stale = rows.iter().map(|row| {
            let tenant = TenantId::from_bytes(row.array("tenant")?);
            Ok::<_, DatabaseError>((tenant, uploads::upload_of(row)?))
        });
        stale.collect::<Result<_, _>>().map_err(at(operation))
    }
}
