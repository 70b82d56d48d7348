//! A domain's log where its section of the configuration has it.

use super::error::CommandError;
use super::regions::upstream;
use crate::config::{Config, DomainStores};
use crate::log::{BucketLog, DirLog, LogReader, LogStore};
use crate::region::check::assumed;
use crate::region::{S3Store, UpstreamBucket};
use crate::tenants::DomainName;
use std::sync::Arc;

/// Opens a domain's log; `None` where its section names none.
pub(super) async fn open(
    config: &Config,
    name: &DomainName,
    stores: &DomainStores,
) -> Result<Option<Arc<dyn LogStore>>, CommandError> {
    if let Some(dir) = &stores.log_dir {
        return Ok(Some(Arc::new(DirLog::new(dir.clone()))));
    }
    let Some((store, bucket)) = bucket(config, stores).await? else {
        return Ok(None);
    };
    let log = BucketLog::open(store, bucket, name).await;
    let log = log.map_err(|error| CommandError::Failed(format!("domain {name}: {error}")))?;
    Ok(Some(Arc::new(log)))
}

/// A domain's log for who only reads it: it may be away, and nothing is written, not even to see what the store does.
pub(super) async fn reader(
    config: &Config,
    name: &DomainName,
    stores: &DomainStores,
) -> Result<Option<Arc<dyn LogReader>>, CommandError> {
    if let Some(dir) = &stores.log_dir {
        return Ok(Some(Arc::new(DirLog::new(dir.clone()))));
    }
    let found = bucket(config, stores).await?;
    Ok(found.map(|(store, bucket)| -> Arc<dyn LogReader> {
        Arc::new(BucketLog::reader(store, bucket, name))
    }))
}

async fn bucket(
    config: &Config,
    stores: &DomainStores,
) -> Result<Option<(Arc<S3Store>, UpstreamBucket)>, CommandError> {
    let Some(backend) = &stores.log_bucket else {
        return Ok(None);
    };
    let store = S3Store::connect(upstream(backend, &config.limits), assumed()).await?;
    let bucket = UpstreamBucket::from_catalog(format!("{}-log", backend.bucket_prefix));
    Ok(Some((Arc::new(store), bucket)))
}
