//! Attempts at an upload's parts.
//!
//! The upload's row hands out attempt ids and finish numbers, so that it is locked by every change here: an attempt can't begin or
//! finish while the upload leaves `Open`, and of two attempts that finish at once one is the last.

use super::super::database::{DatabaseError, Row, Statement};
use super::super::{Attempt, AttemptId, CatalogError, NewAttempt, Spooled};
use super::{SqlCatalog, Work, at, codes, uploads};
use crate::clock::UnixMs;
use crate::tenants::{TenantId, UploadId};

/// Superseded attempts at one part that are kept, for a store that held on to an older one.
const SUPERSEDED_KEPT: i64 = 32;

/// Attempts at one part that may be recorded at once, unfinished and spooled ones included.
const ATTEMPTS_MAX: u32 = 1_000;

fn attempt_of(row: &Row) -> Result<Attempt, DatabaseError> {
    Ok(Attempt {
        id: AttemptId(row.get("id")?),
        number: codes::number(row, "number")?,
        stored: NewAttempt {
            upstream_etag: row.get("upstream_etag")?,
            salt: row.array("salt")?,
            commitment: row.array("commitment")?,
            plaintext_bytes: codes::number(row, "plaintext_bytes")?,
            sealed_checksum: row.get("sealed_checksum")?,
            spool_key: codes::optional_object_key(row, "spool_key")?,
        },
        finished: UnixMs(row.get("finished")?),
    })
}

/// Why an open upload's row could not be changed.
async fn why_not_open(work: &mut Work, tenant: TenantId, upload: &UploadId) -> CatalogError {
    match uploads::found(work, tenant, upload).await {
        Ok(_) => work.conflict("the upload is not open"),
        Err(error) => error,
    }
}

impl SqlCatalog {
    pub(super) async fn insert_attempt(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        number: u16,
        now: UnixMs,
    ) -> Result<AttemptId, CatalogError> {
        let operation = "begin_attempt";
        let mut work = self.begin(operation).await?;
        let reserve = Statement::new(
            "UPDATE uploads SET attempts_begun = attempts_begun + 1, active = $3
             WHERE tenant = $1 AND id = $2 AND state = 'open' RETURNING attempts_begun",
        )
        .bind(tenant)
        .bind(upload.as_str())
        .bind(now);
        let Some(row) = work.row(reserve).await? else {
            return Err(why_not_open(&mut work, tenant, upload).await);
        };
        let id: i64 = row.get("attempts_begun").map_err(at(operation))?;
        let insert = Statement::new(
            "INSERT INTO attempts (tenant, upload, id, number, begun, is_current)
             SELECT $1, $2, $3, $4, $5, 0 WHERE
                 (SELECT COUNT(*) FROM attempts WHERE tenant = $1 AND upload = $2 AND number = $4) < $6",
        )
        .bind(tenant)
        .bind(upload.as_str())
        .bind(id)
        .bind(i64::from(number))
        .bind(now)
        .bind(i64::from(ATTEMPTS_MAX));
        if work.change(insert).await? != 1 {
            return Err(CatalogError::Quota {
                operation,
                quota: "attempts at one part",
                max: u64::from(ATTEMPTS_MAX),
            });
        }
        work.commit().await?;
        Ok(AttemptId(id))
    }

    pub(super) async fn make_attempt_current(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        attempt: AttemptId,
        finished: &NewAttempt,
        now: UnixMs,
    ) -> Result<(), CatalogError> {
        let operation = "finish_attempt";
        let mut work = self.begin(operation).await?;
        let count = Statement::new(
            "UPDATE uploads SET attempts_finished = attempts_finished + 1, active = $3
             WHERE tenant = $1 AND id = $2 AND state = 'open' RETURNING attempts_finished",
        )
        .bind(tenant)
        .bind(upload.as_str())
        .bind(now);
        let Some(row) = work.row(count).await? else {
            return Err(why_not_open(&mut work, tenant, upload).await);
        };
        let order: i64 = row.get("attempts_finished").map_err(at(operation))?;
        let Some(number) =
            record_finished(&mut work, tenant, upload, attempt, finished, now).await?
        else {
            return why_not_finished(&mut work, tenant, upload, attempt, finished).await;
        };
        let part = |text| {
            Statement::new(text)
                .bind(tenant)
                .bind(upload.as_str())
                .bind(number)
        };
        work.change(part(
            "UPDATE attempts SET is_current = 0
             WHERE tenant = $1 AND upload = $2 AND number = $3 AND is_current = 1",
        ))
        .await?;
        let current = Statement::new(
            "UPDATE attempts SET is_current = 1, finish_order = $4
             WHERE tenant = $1 AND upload = $2 AND id = $3",
        )
        .bind(tenant)
        .bind(upload.as_str())
        .bind(attempt.0)
        .bind(order);
        if work.change(current).await? != 1 {
            return Err(work.not_found("attempt"));
        }
        work.change(
            part(
                "DELETE FROM attempts WHERE tenant = $1 AND upload = $2 AND number = $3 AND is_current = 0
                     AND spool_key IS NULL AND finish_order <= COALESCE(
                         (SELECT finish_order FROM attempts
                          WHERE tenant = $1 AND upload = $2 AND number = $3 AND finish_order IS NOT NULL
                          ORDER BY finish_order DESC LIMIT 1 OFFSET $4), 0)",
            )
            .bind(SUPERSEDED_KEPT.saturating_add(1)),
        )
        .await?;
        work.commit().await
    }

    pub(super) async fn current_attempts(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        after: u16,
        rows_max: u32,
    ) -> Result<Vec<Attempt>, CatalogError> {
        let operation = "parts";
        let question = Statement::new(
            "SELECT id, number, finished, upstream_etag, salt, commitment, plaintext_bytes, sealed_checksum, spool_key
             FROM attempts WHERE tenant = $1 AND upload = $2 AND is_current = 1 AND number > $3
             ORDER BY number LIMIT $4",
        )
        .bind(tenant)
        .bind(upload.as_str())
        .bind(i64::from(after))
        .bind(i64::from(rows_max));
        let rows = self.read(operation, question).await?;
        rows.iter()
            .map(attempt_of)
            .collect::<Result<_, _>>()
            .map_err(at(operation))
    }

    pub(super) async fn highest_attempt(
        &self,
        tenant: TenantId,
        upload: &UploadId,
    ) -> Result<u16, CatalogError> {
        let operation = "part_number_max";
        let question = Statement::new(
            "SELECT COALESCE(MAX(number), 0) AS number FROM attempts WHERE tenant = $1 AND upload = $2",
        )
        .bind(tenant)
        .bind(upload.as_str());
        let row = self.read_one(operation, "attempt", question).await?;
        codes::number(&row, "number").map_err(at(operation))
    }

    pub(super) async fn finished_attempts(
        &self,
        tenant: TenantId,
        upload: &UploadId,
        number: u16,
    ) -> Result<Vec<Attempt>, CatalogError> {
        let operation = "attempts";
        let question = Statement::new(
            "SELECT id, number, finished, upstream_etag, salt, commitment, plaintext_bytes, sealed_checksum, spool_key
             FROM attempts WHERE tenant = $1 AND upload = $2 AND number = $3 AND finished IS NOT NULL
             ORDER BY finish_order DESC",
        )
        .bind(tenant)
        .bind(upload.as_str())
        .bind(i64::from(number));
        let rows = self.read(operation, question).await?;
        rows.iter()
            .map(attempt_of)
            .collect::<Result<_, _>>()
            .map_err(at(operation))
    }

    pub(super) async fn spooled_attempts(
        &self,
        tenant: TenantId,
        upload: &UploadId,
    ) -> Result<Vec<Spooled>, CatalogError> {
        let operation = "spooled";
        let question = Statement::new(
            "SELECT id, spool_key FROM attempts
             WHERE tenant = $1 AND upload = $2 AND spool_key IS NOT NULL ORDER BY id",
        )
        .bind(tenant)
        .bind(upload.as_str());
        let rows = self.read(operation, question).await?;
        let spooled = rows.iter().map(|row| {
            Ok(Spooled {
                attempt: AttemptId(row.get("id")?),
                key: codes::object_key(row, "spool_key")?,
            })
        });
        spooled.collect::<Result<_, _>>().map_err(at(operation))
    }
}

/// Fills in an attempt that had not finished; returns its part's number.
async fn record_finished(
    work: &mut Work,
    tenant: TenantId,
    upload: &UploadId,
    attempt: AttemptId,
    finished: &NewAttempt,
    now: UnixMs,
) -> Result<Option<i64>, CatalogError> {
    let Ok(plaintext_bytes) = i64::try_from(finished.plaintext_bytes) else {
        return Err(work.conflict("the part is longer than any part"));
    };
    let spool_key = finished.spool_key.as_ref();
    let update = Statement::new(
        "UPDATE attempts SET finished = $4, upstream_etag = $5, salt = $6, commitment = $7, plaintext_bytes = $8,
             sealed_checksum = $9, spool_key = $10
         WHERE tenant = $1 AND upload = $2 AND id = $3 AND finished IS NULL RETURNING number",
    )
    .bind(tenant)
    .bind(upload.as_str())
    .bind(attempt.0)
    .bind(now)
    .bind(finished.upstream_etag.as_str())
    .bind(finished.salt.as_slice())
    .bind(finished.commitment.as_slice())
    .bind(plaintext_bytes)
    .bind(finished.sealed_checksum.as_deref())
    .bind(spool_key.map(|key| key.as_str().as_bytes()));
    let row = work.row(update).await?;
    let number = row.map(|row| row.get("number")).transpose();
    number.map_err(at(work.operation))
}

/// A repetition of the same result succeeds and changes nothing, not even which attempt is current.
async fn why_not_finished(
    work: &mut Work,
    tenant: TenantId,
    upload: &UploadId,
    attempt: AttemptId,
    finished: &NewAttempt,
) -> Result<(), CatalogError> {
    let question = Statement::new(
        "SELECT id, number, finished, upstream_etag, salt, commitment, plaintext_bytes, sealed_checksum, spool_key
         FROM attempts WHERE tenant = $1 AND upload = $2 AND id = $3",
    )
    .bind(tenant)
    .bind(upload.as_str())
    .bind(attempt.0);
    let Some(row) = work.row(question).await? else {
        return Err(work.not_found("attempt"));
    };
    let found = attempt_of(&row).map_err(at(work.operation))?;
    if found.stored == *finished {
        Ok(())
    } else {
        Err(work.conflict("the attempt has finished with another result"))
    }
}
