//! The front: S3's messages to operations and back. No decisions of its own.

mod asks;
mod attributes;
mod browsers;
mod bucket_settings;
mod buckets;
mod convert;
mod copies;
mod fixed_settings;
pub(super) mod lifecycle;
mod listings;
mod locks;
mod multipart;
mod object_tags_and_acls;
mod objects;
mod owners;
mod service;
mod uploads;

use super::context::{RequestContext, RequestId};
use super::customer_keys::CustomerKeys;
use super::error;
use super::guard::body::Declared;
use super::verified::Verification;
use crate::ops::cors::RulesCache;
use crate::ops::error::{Code, OpError};
use crate::ops::gateway::Gateway;
use crate::ops::scope::{self, Access, BucketScope, TenantScope};
use crate::ops::sealing::{PlainStream, Trailers};
use crate::region::BodyError;
use crate::tenants::Caller;
use crate::tenants::access::{self, Authorized};
use asks::Asks;
use futures::{StreamExt as _, TryStreamExt as _};
use owners::ExpectedOwners;
use s3s::dto::StreamingBlob;
use s3s::{S3Request, S3Response, S3Result};
use std::future::Future;
use std::sync::Arc;

/// S3's operations over a gateway.
#[derive(Clone)]
pub struct Front {
    gateway: Arc<Gateway>,
    cors_rules: Arc<RulesCache>,
}

impl Front {
    /// A front for a gateway.
    #[must_use]
    pub fn new(gateway: Arc<Gateway>) -> Self {
        Self {
            gateway,
            cors_rules: Arc::default(),
        }
    }

    /// Runs one operation as the verified caller.
    async fn run<I, O, F, Work>(
        &self,
        mut request: S3Request<I>,
        work: F,
    ) -> S3Result<S3Response<O>>
    where
        F: FnOnce(Call, S3Request<I>) -> Work + Send,
        Work: Future<Output = Result<S3Response<O>, OpError>> + Send,
        I: Asks + Send,
    {
        let context = request.extensions.get::<Arc<RequestContext>>().cloned();
        let id = context
            .as_ref()
            .map_or(RequestId::NONE, |context| context.id());
        let verification = request.extensions.remove::<Verification>();
        let caller = request.extensions.get::<Caller>().cloned();
        let (Some(verification), Some(caller)) = (verification, caller) else {
            return Err(error::to_s3(OpError::access_denied("Access Denied"), id));
        };
        let customer_keys = verification.restore(&mut request);
        if let Some(context) = &context {
            context.operation_begins();
        }
        let authorized = request.input.ask().and_then(|ask| {
            let now = self.gateway.clock().now();
            Ok(access::decide(&caller, &ask, now)?)
        });
        let authorized = authorized.map_err(|denied| error::to_s3(denied, id))?;
        let declared = request.extensions.get::<Declared>().cloned();
        let call = Call {
            gateway: Arc::clone(&self.gateway),
            caller,
            authorized: authorized.clone(),
            declared,
            owners: ExpectedOwners::of(&request.headers),
            customer_keys,
        };
        work(call, request)
            .await
            .map_err(|failed| error::to_s3(as_told(failed, &authorized), id))
    }
}

/// What the caller is told of a failure.
fn as_told(failed: OpError, authorized: &Authorized) -> OpError {
    match failed.code() {
        Code::NoSuchKey | Code::NoSuchVersion if !authorized.tells_what_is_missing() => {
            OpError::nothing_to_read().caused_by(failed)
        }
        _ => failed,
    }
}

/// One verified call.
#[derive(Clone)]
struct Call {
    gateway: Arc<Gateway>,
    caller: Caller,
    authorized: Authorized,
    declared: Option<Declared>,
    owners: ExpectedOwners,
    customer_keys: CustomerKeys,
}

/// A request's body with its length.
struct IncomingBody {
    stream: PlainStream,
    plaintext_bytes: u64,
    trailers: Trailers,
}

impl Call {
    fn tenant(&self, access: Access) -> Result<TenantScope, OpError> {
        scope::tenant_scope(&self.gateway, &self.authorized, access)
    }

    async fn bucket(&self, name: &str, access: Access) -> Result<BucketScope, OpError> {
        let bucket = scope::bucket_scope(&self.gateway, &self.authorized, name, access).await?;
        self.owners.check_bucket(&self.owner_id())?;
        Ok(bucket)
    }

    /// The bucket that a copy reads.
    async fn source_bucket(&self, name: &str) -> Result<BucketScope, OpError> {
        let source = self.authorized.source();
        let source = source.ok_or_else(|| OpError::internal("no copy was decided on"))?;
        let bucket = scope::bucket_scope(&self.gateway, source, name, Access::Read).await?;
        self.owners.check_source(&self.owner_id())?;
        Ok(bucket)
    }

    /// The owner of every bucket that the caller can name.
    fn owner_id(&self) -> String {
        self.caller.tenant.id.to_string()
    }

    /// The decoded body: it fails before its last byte when it is not what was declared.
    fn body<I>(
        &self,
        body: Option<StreamingBlob>,
        request: &S3Request<I>,
    ) -> Result<IncomingBody, OpError> {
        let declared = self
            .declared
            .as_ref()
            .ok_or_else(|| OpError::internal("the guard declared nothing of the body"))?;
        let trailing = request.trailing_headers.clone();
        let trailers: Trailers = Box::new(move || trailing.and_then(|trailing| trailing.take()));
        let plaintext_bytes = declared.plaintext_bytes.unwrap_or(0);
        let stream = match body {
            Some(body) => declared.stream(body).map_err(BodyError::from).boxed(),
            None => futures::stream::empty().boxed(),
        };
        Ok(IncomingBody {
            stream,
            plaintext_bytes,
            trailers,
        })
    }

    fn owner(&self) -> s3s::dto::Owner {
        s3s::dto::Owner {
            id: Some(self.owner_id()),
            display_name: Some(self.caller.tenant.name.to_string()),
        }
    }
}
