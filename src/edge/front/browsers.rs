//! What browsers ask for and s3s does not do.

use super::{Front, locks};
use crate::edge::Browsers;
use crate::edge::customer_keys::CustomerKeys;
use crate::edge::forms::VerifiedForm;
use crate::ops::checksum::Declared;
use crate::ops::cors::Rules;
use crate::ops::post_object::{self, PostObject};
use crate::ops::put_object::PutAnswer;
use crate::ops::scope::{self, Access};
use crate::ops::sealing::PlainStream;
use crate::ops::{OpError, headers};
use crate::tenants::access::{self, Ask, Operation};
use crate::tenants::{BucketName, Caller};
use async_trait::async_trait;
use std::sync::Arc;

#[async_trait]
impl Browsers for Front {
    async fn cors_rules(
        &self,
        caller: &Caller,
        bucket: &str,
    ) -> Result<Option<Arc<Rules>>, OpError> {
        let (Ok(name), grant) = (BucketName::new(bucket), &caller.grant) else {
            return Ok(None);
        };
        // Whether a bucket out of scope has rules tells that it is there.
        if grant.expired(self.gateway.clock().now()).is_some() || !grant.scope.touches(bucket) {
            return Ok(None);
        }
        let catalog = &*self.gateway.region(&caller.tenant.region)?.domain.catalog;
        let rules = self.cors_rules.rules(catalog, caller.tenant.id, &name);
        rules.await
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMs;
    use crate::ops::cors::{self, CorsRule};
    use crate::ops::testing::{Testbed, bucket_scope};
    use crate::tenants::access::{Grant, Scope};

    #[tokio::test]
    async fn rules_are_for_credentials_that_reach_the_bucket() {
        let bed = Testbed::new().await;
        let scope = bucket_scope(&bed.gateway, &bed.acme, "docs", Access::Write).await;
        let rule = CorsRule {
            allowed_origins: vec!["*".to_owned()],
            allowed_methods: vec!["GET".to_owned()],
            ..CorsRule::default()
        };
        cors::set_rules(&scope.unwrap(), vec![rule]).await.unwrap();
        let front = Front::new(Arc::clone(&bed.gateway));
        let told = async |scope: &[&str], expires: Option<UnixMs>| {
            let caller = Caller {
                grant: Arc::new(Grant {
                    scope: Scope::of(scope).unwrap(),
                    expires,
                    ..Grant::unrestricted()
                }),
                ..bed.acme.clone()
            };
            let rules = front.cors_rules(&caller, "docs").await;
            rules.unwrap().is_some()
        };
        for scope in [&["*"][..], &["docs"], &["docs:a/"], &["more", "docs:b"]] {
            assert!(told(scope, None).await, "{scope:?}");
            assert!(!told(scope, Some(UnixMs(1))).await, "{scope:?}");
        }
        for scope in [&["more"][..], &["doc:a/", "docs2"]] {
            assert!(!told(scope, None).await, "{scope:?}");
        }
        assert!(
            front
                .cors_rules(&bed.globex, "docs")
                .await
                .unwrap()
                .is_none()
        );
    }
}
