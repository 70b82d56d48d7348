//! Buckets.

use super::super::database::{DatabaseError, Row, Statement};
use super::super::{
    Bucket, BucketSetting, BucketState, BucketStore, BucketVersioning, CatalogError, Change,
    JobKind, NewBucket,
};
use super::codes::{self, Coded};
use super::{SqlCatalog, Work, at};
use crate::clock::UnixMs;
use crate::region::UpstreamBucket;
use crate::tenants::{BucketName, RegionName, Subject, TenantId};
use async_trait::async_trait;
use std::sync::Arc;

/// The only object format there is; a bucket keeps the one it was made with.
const FORMAT: u32 = 1;

/// When the job looks after a bucket that was begun, in milliseconds: later than any request's deadline.
const FINISH_AFTER_MS: i64 = 60_000;

pub(super) fn bucket_of(row: &Row) -> Result<Bucket, DatabaseError> {
    let object_lock: i64 = row.get("object_lock")?;
    Ok(Bucket {
        name: codes::name(row, "name", BucketName::new)?,
        region: codes::name(row, "region", RegionName::new)?,
        upstream: UpstreamBucket::from_catalog(row.get("upstream")?),
        format: codes::number(row, "format")?,
        state: codes::state(row, "state")?,
        versioning: codes::state(row, "versioning")?,
        object_lock: object_lock != 0,
        created: UnixMs(row.get("created")?),
    })
}

fn question(tenant: TenantId, name: &BucketName) -> Statement {
    Statement::new(
        "SELECT name, region, upstream, format, state, versioning, object_lock, created FROM buckets
         WHERE tenant = $1 AND name = $2",
    )
    .bind(tenant)
    .bind(name.as_str())
}

async fn found(
    work: &mut Work,
    tenant: TenantId,
    name: &BucketName,
) -> Result<Option<Bucket>, CatalogError> {
    let row = work.row(question(tenant, name)).await?;
    let bucket = row.as_ref().map(bucket_of).transpose();
    bucket.map_err(at(work.operation))
}

/// Commits an update of an active bucket, or says why there was none to make.
async fn change_active(
    mut work: Work,
    update: Statement,
    tenant: TenantId,
    name: &BucketName,
) -> Result<(), CatalogError> {
    if work.change(update).await? == 1 {
        return work
            .commit_with(&Change::Bucket(tenant, name.clone()))
            .await;
    }
    match found(&mut work, tenant, name).await? {
        None => Err(work.not_found("bucket")),
        Some(_) => Err(work.conflict("the bucket is not active")),
    }
}

async fn tenant_exists(work: &mut Work, tenant: TenantId) -> Result<bool, CatalogError> {
    let question = Statement::new("SELECT id FROM tenants WHERE id = $1").bind(tenant);
    Ok(work.row(question).await?.is_some())
}

#[async_trait]
impl BucketStore for SqlCatalog {
    async fn begin_bucket(
        &self,
        tenant: TenantId,
        new: &NewBucket,
        buckets_max: u32,
    ) -> Result<Bucket, CatalogError> {
        let mut work = self.begin("begin_bucket").await?;
        // Counting in the tenant's row makes racing requests of one tenant take turns.
        let count = Statement::new(
            "UPDATE tenants SET bucket_count = bucket_count + 1 WHERE id = $1 AND bucket_count < $2",
        )
        .bind(tenant)
        .bind(i64::from(buckets_max));
        let counted = work.change(count).await? == 1;
        if let Some(bucket) = found(&mut work, tenant, &new.name).await? {
            return Ok(bucket);
        }
        if !counted {
            if !tenant_exists(&mut work, tenant).await? {
                return Err(work.not_found("tenant"));
            }
            return Err(CatalogError::Quota {
                operation: work.operation,
                quota: "bucket",
                max: u64::from(buckets_max),
            });
        }
        // Object lock needs versions, so that it comes with them.
        let versioning = match new.object_lock {
            true => BucketVersioning::Enabled,
            false => BucketVersioning::Off,
        };
        let insert = Statement::new(
            "INSERT INTO buckets (tenant, name, region, upstream, format, state, versioning, created, object_lock, uploads_begun)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0) ON CONFLICT DO NOTHING",
        )
        .bind(tenant)
        .bind(new.name.as_str())
        .bind(new.region.as_str())
        .bind(new.upstream.as_str())
        .bind(i64::from(FORMAT))
        .bind(BucketState::Creating.code())
        .bind(versioning.code())
        .bind(new.created)
        .bind(i64::from(new.object_lock));
        if work.change(insert).await? != 1 {
            return Err(work.exists("upstream bucket"));
        }
        // In the same transaction: a bucket that is begun is finished, whatever becomes of the request.
        let subject = Subject::Bucket(tenant, new.name.clone()).to_string();
        let due = new.created.plus_ms(FINISH_AFTER_MS);
        work.enqueue(JobKind::FinishBucket, &subject, due).await?;
        let change = Change::Bucket(tenant, new.name.clone());
        work.commit_with(&change).await?;
        Ok(Bucket {
            name: new.name.clone(),
            region: new.region.clone(),
            upstream: new.upstream.clone(),
            format: FORMAT,
            state: BucketState::Creating,
            versioning,
            object_lock: new.object_lock,
            created: new.created,
        })
    }

    async fn move_bucket(
        &self,
        tenant: TenantId,
        name: &BucketName,
        upstream: &UpstreamBucket,
        from: &[BucketState],
        to: BucketState,
    ) -> Result<(), CatalogError> {
        let mut work = self.begin("move_bucket").await?;
        let update = Statement::new(
            "UPDATE buckets SET state = $4 WHERE tenant = $1 AND name = $2 AND upstream = $3 AND state IN ($5, $6, $7)",
        )
        .bind(tenant)
        .bind(name.as_str())
        .bind(upstream.as_str())
        .bind(to.code());
        let update = codes::state_codes::<_, 3>(from)
            .into_iter()
            .fold(update, Statement::bind);
        if work.change(update).await? == 1 {
            return work
                .commit_with(&Change::Bucket(tenant, name.clone()))
                .await;
        }
        match found(&mut work, tenant, name).await? {
            None => Err(work.not_found("bucket")),
            Some(bucket) if bucket.upstream != *upstream => {
                Err(work.conflict("another bucket has this name now"))
            }
            Some(bucket) if bucket.state == to => Ok(()),
            Some(_) => Err(work.conflict("the bucket is in another state")),
        }
    }

    async fn set_bucket_versioning(
        &self,
        tenant: TenantId,
        name: &BucketName,
        versioning: BucketVersioning,
    ) -> Result<(), CatalogError> {
        let work = self.begin("set_bucket_versioning").await?;
        let update = Statement::new(
            "UPDATE buckets SET versioning = $3 WHERE tenant = $1 AND name = $2 AND state = 'active'",
        )
        .bind(tenant)
        .bind(name.as_str())
        .bind(versioning.code());
        change_active(work, update, tenant, name).await
    }

    async fn set_bucket_object_lock(
        &self,
        tenant: TenantId,
        name: &BucketName,
    ) -> Result<(), CatalogError> {
        let work = self.begin("set_bucket_object_lock").await?;
        let update = Statement::new(
            "UPDATE buckets SET object_lock = 1 WHERE tenant = $1 AND name = $2 AND state = 'active'",
        )
        .bind(tenant)
        .bind(name.as_str());
        change_active(work, update, tenant, name).await
    }

    async fn set_bucket_setting(
        &self,
        tenant: TenantId,
        name: &BucketName,
        setting: BucketSetting,
        value: Option<&str>,
    ) -> Result<(), CatalogError> {
        let work = self.begin("set_bucket_setting").await?;
        let update = Statement::new(match setting {
            BucketSetting::Tagging => {
                "UPDATE buckets SET tagging = $3 WHERE tenant = $1 AND name = $2 AND state = 'active'"
            }
            BucketSetting::Cors => {
                "UPDATE buckets SET cors = $3 WHERE tenant = $1 AND name = $2 AND state = 'active'"
            }
            BucketSetting::Lifecycle => {
                "UPDATE buckets SET lifecycle = $3 WHERE tenant = $1 AND name = $2 AND state = 'active'"
            }
        })
        .bind(tenant)
        .bind(name.as_str())
        .bind(value);
        change_active(work, update, tenant, name).await
    }

    async fn bucket_setting(
        &self,
        tenant: TenantId,
        name: &BucketName,
        setting: BucketSetting,
    ) -> Result<Option<Arc<str>>, CatalogError> {
        let operation = "bucket_setting";
        let question = Statement::new(match setting {
            BucketSetting::Tagging => {
                "SELECT tagging AS value FROM buckets WHERE tenant = $1 AND name = $2"
            }
            BucketSetting::Cors => {
                "SELECT cors AS value FROM buckets WHERE tenant = $1 AND name = $2"
            }
            BucketSetting::Lifecycle => {
                "SELECT lifecycle AS value FROM buckets WHERE tenant = $1 AND name = $2"
            }
        })
        .bind(tenant)
        .bind(name.as_str());
        let rows = self.read(operation, question).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let value: Option<String> = row.get("value").map_err(at(operation))?;
        Ok(value.map(Arc::from))
    }

    /// Uploads that are left are set to `Aborting`, so that none appears in a later bucket of that name and the sweeping job drops
    /// what they spooled.
    async fn forget_bucket(
        &self,
        tenant: TenantId,
        name: &BucketName,
        upstream: &UpstreamBucket,
    ) -> Result<(), CatalogError> {
        let mut work = self.begin("forget_bucket").await?;
        // The tenant's row first, as in `begin_bucket`: the other order would be a deadlock.
        let count = Statement::new(
            "UPDATE tenants SET bucket_count = bucket_count - 1 WHERE id = $1 AND bucket_count > 0",
        )
        .bind(tenant);
        let counted = work.change(count).await? == 1;
        let delete = Statement::new(
            "DELETE FROM buckets WHERE tenant = $1 AND name = $2 AND upstream = $3 AND state = 'deleting'",
        )
        .bind(tenant)
        .bind(name.as_str())
        .bind(upstream.as_str());
        if work.change(delete).await? != 1 {
            return match found(&mut work, tenant, name).await? {
                Some(bucket) if bucket.upstream == *upstream => {
                    Err(work.conflict("the bucket is not being deleted"))
                }
                _ => Ok(()),
            };
        }
        if !counted {
            return Err(CatalogError::Corrupt {
                operation: work.operation,
                reason: "the tenant's bucket count is too low".to_owned(),
            });
        }
        let abort = Statement::new(
            "UPDATE uploads SET state = 'aborting' WHERE tenant = $1 AND bucket = $2",
        )
        .bind(tenant)
        .bind(name.as_str());
        work.change(abort).await?;
        work.commit_with(&Change::Bucket(tenant, name.clone()))
            .await
    }

    async fn bucket(&self, tenant: TenantId, name: &BucketName) -> Result<Bucket, CatalogError> {
        let operation = "bucket";
        let row = self
            .read_one(operation, "bucket", question(tenant, name))
            .await?;
        bucket_of(&row).map_err(at(operation))
    }

    async fn buckets(&self, tenant: TenantId) -> Result<Vec<Bucket>, CatalogError> {
        let operation = "buckets";
        let question = Statement::new(
            "SELECT name, region, upstream, format, state, versioning, object_lock, created FROM buckets
             WHERE tenant = $1 AND state = 'active' ORDER BY name",
        )
        .bind(tenant);
        let rows = self.read(operation, question).await?;
        rows.iter()
            .map(bucket_of)
            .collect::<Result<_, _>>()
            .map_err(at(operation))
    }

    async fn bucket_has_uploads(
        &self,
        tenant: TenantId,
        name: &BucketName,
    ) -> Result<bool, CatalogError> {
        let question = Statement::new(
            "SELECT id FROM uploads WHERE tenant = $1 AND bucket = $2
                 AND state IN ('creating', 'open', 'completing') LIMIT 1",
        )
        .bind(tenant)
        .bind(name.as_str());
        let rows = self.read("bucket_has_uploads", question).await?;
        Ok(!rows.is_empty())
    }
}
