//! A domain's log where its section of the configuration has it.

use super::error::CommandError;
use super::regions::upstream;
use crate::config::{Config, DomainStores};
use crate::log::{BucketLog, DirLog, LogStore};
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
    let Some(backend) = &stores.log_bucket else {
        return Ok(None);
    };
    let store = S3Store::connect(upstream(backend, &config.limits), assumed()).await?;
    let bucket = UpstreamBucket::from_catalog(format!("{}-log", backend.bucket_prefix));
    let log = BucketLog::open(Arc::new(store), bucket, name).await;
    let log = log.map_err(|error| CommandError::Failed(format!("domain {name}: {error}")))?;
    Ok(Some(Arc::new(log)))
}
