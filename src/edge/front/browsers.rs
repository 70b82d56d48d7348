//! What browsers ask for and s3s does not do.

use super::{Front, locks};
use crate::edge::Browsers;
use crate::edge::customer_keys::CustomerKeys;
use crate::edge::forms::VerifiedForm;
use crate::ops::checksum::Declared;
use crate::ops::cors::{self, StoredRules};
use crate::ops::post_object::{self, PostObject};
use crate::ops::put_object::PutAnswer;
use crate::ops::scope::{self, Access};
use crate::ops::sealing::PlainStream;
use crate::ops::{OpError, headers};
use crate::tenants::access::{self, Ask, Operation};
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

    async fn post_object(
        &self,
        caller: &Caller,
        form: &VerifiedForm,
        file: PlainStream,
    ) -> Result<PutAnswer, OpError> {
        let gateway = &self.gateway;
        let ask = Ask::to(Operation::PostObject)
            .in_bucket(form.bucket())
            .at(form.key());
        let authorized = access::decide(caller, &ask, gateway.clock().now())?;
        let scope = scope::bucket_scope(gateway, &authorized, form.bucket(), Access::Write).await?;
        let fields = form.fields();
        let mut said = fields.headers()?;
        let keys = CustomerKeys::take_from(&mut said);
        headers::check_supported_but_lock(&said)?;
        let customer_key = keys.of_object(&said)?;
        let tags = fields.tags()?;
        headers::check_tags(&tags)?;
        let post = PostObject {
            key: scope.key(form.key())?,
            metadata: headers::object_metadata(&said, Some(&fields.metadata()?))?,
            tags,
            lock: locks::asked_in(&said)?,
            customer_key: customer_key.map(|sent| sent.key()),
            declared: Declared::from_headers(&said)?,
            body: file,
        };
        post_object::post_object(gateway, &scope, post).await
    }
}
