//! Multipart uploads: their rows and listings. Attempts and completion are next door.

use super::super::database::{DatabaseError, Row, Statement};
use super::super::{
    Attempt, AttemptId, CatalogError, CompletedUpload, JobFence, NewAttempt, NewUpload, Spooled,
    StaleBefore, Upload, UploadPage, UploadState, UploadStore, UpstreamOwner,
};
use super::codes::{self, Coded};
use super::{SqlCatalog, Work, at};
use crate::clock::UnixMs;
use crate::region::UpstreamUploadId;
use crate::tenants::{BucketName, ObjectKey, RegionName, TenantId, UploadId};
use async_trait::async_trait;
use lethe_envelope::{KekId, ObjectId};

/// Keys are UTF-8, in which this byte does not occur: it is above every key.
const ABOVE_EVERY_KEY: u8 = 0xff;

/// Upload ids are hexadecimal digits: this is above every one of them.
const ABOVE_EVERY_ID: &str = "~";

/// A question for what [`upload_of`] reads.
macro_rules! select_uploads {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            " id, bucket, object_key, object_id, kek_id, header, sealed_metadata, checksum_algorithm, checksum_type, created, ",
            "state, upstream, part_list, answer_etag, answer_version, active, region FROM uploads ",
            $after
        )
    };
}
pub(super) use select_uploads;

pub(super) fn upload_of(row: &Row) -> Result<Upload, DatabaseError> {
    let new = NewUpload {
        id: codes::name(row, "id", UploadId::new)?,
        bucket: codes::name(row, "bucket", BucketName::new)?,
        key: codes::object_key(row, "object_key")?,
        object_id: ObjectId::from_bytes(row.array("object_id")?),
        kek_id: KekId::from_bytes(row.array("kek_id")?),
        header: row.get("header")?,
        sealed_metadata: row.get("sealed_metadata")?,
        checksum: codes::checksum_kind(row, "checksum_algorithm", "checksum_type")?,
        created: UnixMs(row.get("created")?),
    };
    let answer = match row.get::<Option<String>>("answer_etag")? {
        None => None,
        Some(etag) => Some(CompletedUpload {
            etag,
            version: row.get("answer_version")?,
        }),
    };
    Ok(Upload {
        new,
        state: codes::state(row, "state")?,
        upstream: row.get::<Option<String>>("upstream")?.map(UpstreamUploadId),
        part_list: row.get("part_list")?,
        answer,
        active: UnixMs(row.get("active")?),
        region: codes::name(row, "region", RegionName::new)?,
    })
}

fn question(tenant: TenantId, upload: &UploadId) -> Statement {
    Statement::new(select_uploads!("SELECT", "WHERE tenant = $1 AND id = $2"))
        .bind(tenant)
        .bind(upload.as_str())
}

/// The upload, in the transaction that could not change it.
pub(super) async fn found(
    work: &mut Work,
    tenant: TenantId,
    upload: &UploadId,
) -> Result<Upload, CatalogError> {
    match work.row(question(tenant, upload)).await? {
        Some(row) => upload_of(&row).map_err(at(work.operation)),
        None => Err(work.not_found("upload")),
    }
}

/// The first byte string above all that begin with the prefix.
fn above_prefix(prefix: &str) -> Vec<u8> {
    let mut above = prefix.as_bytes().to_vec();
    match above.last_mut() {
        // UTF-8 has no byte 0xff, so this never overflows.
        Some(last) => *last = last.saturating_add(1),
        None => above.push(ABOVE_EVERY_KEY),
    }
    above
}

/// Why an upload could not be added: its bucket is missing or not active, or it is there already.
async fn why_not_begun(
    work: &mut Work,
    tenant: TenantId,
    new: &NewUpload,
) -> Result<(), CatalogError> {
    let question = Statement::new("SELECT name FROM buckets WHERE tenant = $1 AND name = $2")
        .bind(tenant)
        .bind(new.bucket.as_str());
    match work.row(question).await? {
        Some(_) => Err(work.conflict("the bucket is not active")),
        None => Err(work.not_found("bucket")),
    }
}

#[async_trait]
impl UploadStore for SqlCatalog {
    async fn begin_upload(&self, tenant: TenantId, new: &NewUpload) -> Result<(), CatalogError> {
        let mut work = self.begin("begin_upload").await?;
        // Changing the bucket's row makes this wait for whoever moves the bucket to `Deleting`, and the other way round.
        let active = Statement::new(
            "UPDATE buckets SET uploads_begun = uploads_begun + 1
             WHERE tenant = $1 AND name = $2 AND state = 'active'",
        )
        .bind(tenant)
        .bind(new.bucket.as_str());
        if work.change(active).await? != 1 {
            return why_not_begun(&mut work, tenant, new).await;
        }
        let (algorithm, checksum_type) = codes::checksum_kind_values(new.checksum);
        let insert = Statement::new(
            "INSERT INTO uploads (tenant, id, bucket, object_key, object_id, kek_id, header, sealed_metadata,
                 checksum_algorithm, checksum_type, created, state, active, fence, lease_until, attempts_begun,
                 attempts_finished, region)
             SELECT $1, $2, name, $4, $5, $6, $7, $8, $9, $10, $11, $12, $11, 0, 0, 0, 0, region
             FROM buckets WHERE tenant = $1 AND name = $3 ON CONFLICT DO NOTHING",
        )
        .bind(tenant)
        .bind(new.id.as_str())
        .bind(new.bucket.as_str())
        .bind(new.key.as_str().as_bytes())
        .bind(new.object_id)
        .bind(new.kek_id)
        .bind(new.header.as_str())
        .bind(new.sealed_metadata.as_slice())
        .bind(algorithm)
        .bind(checksum_type)
        .bind(new.created)
        .bind(UploadState::Creating.code());
        if work.change(insert).await? == 1 {
            return work.commit().await;
        }
        if found(&mut work, tenant, &new.id).await?.new == *new {
            Ok(())
        } else {
            Err(work.exists("upload"))
        }
    }

    async fn open_upload(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        upstream: &str,
    ) -> Result<(), CatalogError> {
        let mut work = self.begin("open_upload").await?;
        let update = Statement::new(
            "UPDATE uploads SET state = 'open', upstream = $3
             WHERE tenant = $1 AND id = $2 AND state = 'creating'",
        )
        .bind(tenant)
        .bind(upload.as_str())
        .bind(upstream);
        if work.change(update).await? == 1 {
            return work.commit().await;
        }
        let found = found(&mut work, tenant, upload).await?;
        let same = found.upstream.is_some_and(|found| found.0 == upstream);
        if found.state == UploadState::Open && same {
            Ok(())
        } else {
            Err(work.conflict("the upload is not being created"))
        }
    }

    async fn upload(&self, tenant: TenantId, upload: &UploadId) -> Result<Upload, CatalogError> {
        let operation = "upload";
        let row = self
            .read_one(operation, "upload", question(tenant, upload))
            .await?;
        upload_of(&row).map_err(at(operation))
    }

    /// Those being completed are listed too, until they are.
    async fn uploads(
        &self,
        tenant: TenantId,
        bucket: &BucketName,
        prefix: &str,
        after: Option<(&str, Option<&UploadId>)>,
        rows_max: u32,
    ) -> Result<UploadPage, CatalogError> {
        let operation = "uploads";
        let (after_key, after_id) = match after {
            None => ("", ""),
            Some((key, None)) => (key, ABOVE_EVERY_ID),
            Some((key, Some(id))) => (key, id.as_str()),
        };
        let question = Statement::new(select_uploads!(
            "SELECT",
            "WHERE tenant = $1 AND bucket = $2 AND state IN ('open', 'completing')
                 AND object_key >= $3 AND object_key < $4 AND (object_key, id) > ($5, $6)
             ORDER BY object_key, id LIMIT $7"
        ))
        .bind(tenant)
        .bind(bucket.as_str())
        .bind(prefix.as_bytes())
        .bind(above_prefix(prefix).as_slice())
        .bind(after_key.as_bytes())
        .bind(after_id)
        .bind(i64::from(rows_max).saturating_add(1));
        let rows = self.read(operation, question).await?;
        let wanted = usize::try_from(rows_max).unwrap_or(usize::MAX);
        let uploads = rows.iter().take(wanted).map(upload_of);
        Ok(UploadPage {
            uploads: uploads.collect::<Result<_, _>>().map_err(at(operation))?,
            truncated: rows.len() > wanted,
        })
    }

    async fn begin_attempt(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        number: u16,
        now: UnixMs,
    ) -> Result<AttemptId, CatalogError> {
        self.insert_attempt(tenant, upload, number, now).await
    }

    async fn finish_attempt(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        attempt: AttemptId,
        finished: &NewAttempt,
        now: UnixMs,
    ) -> Result<(), CatalogError> {
        self.make_attempt_current(tenant, upload, attempt, finished, now)
            .await
    }

    async fn parts(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        after: u16,
        rows_max: u32,
    ) -> Result<Vec<Attempt>, CatalogError> {
        self.current_attempts(tenant, upload, after, rows_max).await
    }

    async fn part_number_max(
        &self,
        tenant: TenantId,
        upload: &UploadId,
    ) -> Result<u16, CatalogError> {
        self.highest_attempt(tenant, upload).await
    }

    async fn attempts(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        number: u16,
    ) -> Result<Vec<Attempt>, CatalogError> {
        self.finished_attempts(tenant, upload, number).await
    }

    async fn begin_complete(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        now: UnixMs,
        lease_ms: i64,
    ) -> Result<JobFence, CatalogError> {
        self.take_completion(tenant, upload, now, lease_ms).await
    }

    async fn renew_complete(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        fence: JobFence,
        lease_until: UnixMs,
    ) -> Result<(), CatalogError> {
        self.prolong_completion(tenant, upload, fence, lease_until)
            .await
    }

    async fn fix_part_list(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        fence: JobFence,
        part_list: &[u8],
    ) -> Result<bool, CatalogError> {
        self.record_part_list(tenant, upload, fence, part_list)
            .await
    }

    async fn release_complete(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        fence: JobFence,
    ) -> Result<(), CatalogError> {
        self.give_back_completion(tenant, upload, fence).await
    }

    async fn reopen_upload(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        fence: JobFence,
    ) -> Result<(), CatalogError> {
        self.give_up_part_list(tenant, upload, fence).await
    }

    async fn finish_complete(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        fence: JobFence,
        answer: &CompletedUpload,
        now: UnixMs,
    ) -> Result<(), CatalogError> {
        self.record_answer(tenant, upload, fence, answer, now).await
    }

    async fn begin_abort(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        now: UnixMs,
    ) -> Result<Upload, CatalogError> {
        self.mark_aborting(tenant, upload, now).await
    }

    async fn forget_upload(&self, tenant: TenantId, upload: &UploadId) -> Result<(), CatalogError> {
        self.delete_upload(tenant, upload).await
    }

    async fn stale_uploads(
        &self,
        before: &StaleBefore,
        after: Option<&(TenantId, Upload)>,
        rows_max: u32,
    ) -> Result<Vec<(TenantId, Upload)>, CatalogError> {
        self.stale_rows(before, after, rows_max).await
    }

    async fn upstream_owner(
        &self,
        tenant: TenantId,
        bucket: &BucketName,
        key: &ObjectKey,
        upstream: &UpstreamUploadId,
        begun_before: UnixMs,
    ) -> Result<UpstreamOwner, CatalogError> {
        let operation = "upstream_owner";
        let question = Statement::new(
            "SELECT upstream FROM uploads WHERE tenant = $1 AND bucket = $2 AND object_key = $3
                 AND (upstream = $4 OR (upstream IS NULL AND created >= $5))
             ORDER BY CASE WHEN upstream IS NULL THEN 1 ELSE 0 END LIMIT 1",
        )
        .bind(tenant)
        .bind(bucket.as_str())
        .bind(key.as_str().as_bytes())
        .bind(upstream.0.as_str())
        .bind(begun_before);
        let rows = self.read(operation, question).await?;
        let Some(row) = rows.first() else {
            return Ok(UpstreamOwner::Nobody);
        };
        let recorded: Option<String> = row.get("upstream").map_err(at(operation))?;
        Ok(recorded.map_or(UpstreamOwner::Undecided, |_| UpstreamOwner::Recorded))
    }

    async fn has_upload(&self, upload: &UploadId) -> Result<bool, CatalogError> {
        let question = Statement::new("SELECT 1 FROM uploads WHERE id = $1 LIMIT 1");
        let rows = self
            .read("has_upload", question.bind(upload.as_str()))
            .await?;
        Ok(!rows.is_empty())
    }

    async fn spooled(
        &self,
        tenant: TenantId,
        upload: &UploadId,
    ) -> Result<Vec<Spooled>, CatalogError> {
        self.spooled_attempts(tenant, upload).await
    }
}
