//! What browsers ask for and s3s does not do.

use super::Front;
use crate::edge::Browsers;
use crate::ops::OpError;
use crate::ops::cors::{self, StoredRules};
use crate::tenants::{BucketName, Caller};
use async_trait::async_trait;

#[async_trait]
impl Browsers for Front {
    async fn cors_rules(
        &self,
        caller: &Caller,
        bucket: &str,
    ) -> Result<Option<StoredRules>, OpError> {
        let Ok(bucket) = BucketName::new(bucket) else {
            return Ok(None);
        };
        let domain = &self.gateway.region(&caller.tenant.region)?.domain;
        cors::stored_rules(&*domain.catalog, caller.tenant.id, &bucket).await
    }
}
