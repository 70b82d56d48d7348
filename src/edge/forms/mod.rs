//! POST forms: how browsers upload (<https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html>). s3s would buffer an unsigned
//! form up to 5 GB before its access check, so forms never reach it. Here the fields are read within their bounds, the policy's
//! signature is verified and the policy held against them, and only then is the file read.

mod answer;
mod body;
pub(in crate::edge) mod fields;
pub(in crate::edge) mod multipart;
pub(in crate::edge) mod policy;
mod signature;
mod tagging;

pub use fields::Fields;
pub use policy::FileBytes;
pub use signature::VerifiedForm;

use super::auth::{self, EdgeAccess};
use super::browsers::Browsers;
use super::context::RequestContext;
use super::customer_keys;
use super::guard::body::{FaultSlot, GuardedBody};
use super::guard::payload::{Form, Payload};
use super::guard::query::Query;
use super::guard::subresource::Level;
use super::guard::{self, BodyLimits, bucket_named, forms, framing, scope};
use super::host::HostRules;
use super::limits::DocumentBytes;
use crate::clock::UnixMs;
use crate::ops::post_object::PART_BYTES;
use crate::ops::read_object::BUFFERED_BYTES_MAX;
use crate::ops::{Code, OpError};
use crate::tenants::Authenticator;
use body::FormBody;
use bytes::Bytes;
use http::request::Parts;
use http::uri::Scheme;
use http::{HeaderMap, Response, header};
use s3s::Body;
use signature::Claims;
use std::sync::Arc;
use std::time::Duration;

/// What forms are served with.
pub(super) struct Forms {
    pub(super) browsers: Arc<dyn Browsers>,
    pub(super) authenticator: Arc<dyn Authenticator>,
    pub(super) access: EdgeAccess,
    pub(super) hosts: HostRules,
    pub(super) credential_deadline: Duration,
    pub(super) body: BodyLimits,
    pub(super) body_quiet_max: Duration,
    /// Room for the pieces of files that are held in memory.
    pub(super) pieces: DocumentBytes,
    /// How clients reach the listener.
    pub(super) scheme: Scheme,
}

/// A form's head that may be one.
struct FormHead {
    bucket: String,
    content_type: String,
    content_bytes: u64,
}

impl Forms {
    /// Stores a form's file and answers as the form asks for.
    ///
    /// # Errors
    /// The answer for the client; then nothing was stored, or the region's answer was lost.
    pub(super) async fn serve<B>(
        &self,
        parts: &Parts,
        body: B,
        context: &Arc<RequestContext>,
        now: UnixMs,
    ) -> Result<Response<Body>, OpError>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    {
        let head = self.head(parts)?;
        let mut body = FormBody::new(self.guarded(body, &head), &head.content_type)?;
        let (fields, filename) = body.fields().await?;
        if self.scheme != Scheme::HTTPS {
            customer_keys::refuse_unencrypted_among(fields.names())?;
        }
        let claims = Claims::of(&fields)?;
        let key = &claims.signed.access_key_id;
        let resolved = auth::resolve(&*self.authenticator, key, self.credential_deadline).await?;
        scope::check_region(&claims.signed, &resolved.caller.tenant.region)?;
        let place = (head.bucket.as_str(), filename.as_str());
        let form = VerifiedForm::of(&claims, fields, &resolved, place, now)?;
        let admitted = self.access.admit_form(&form, &resolved, context);
        context.record_target("PostObject", Some(form.bucket()), Some(form.key()));
        admitted?;
        let room = match head.content_bytes <= BUFFERED_BYTES_MAX {
            true => None,
            false => {
                let piece_bytes = head.content_bytes.min(PART_BYTES);
                Some(self.pieces.take(resolved.caller.tenant.id, piece_bytes)?)
            }
        };
        let browsers = Arc::clone(&self.browsers);
        let form = Arc::new(form);
        let file = body.file(form.file_bytes());
        // In a task of its own: when the client goes, what was begun must still be taken back.
        let storing = tokio::spawn({
            let form = Arc::clone(&form);
            async move {
                let stored = browsers.post_object(&resolved.caller, &form, file).await;
                drop(room);
                stored
            }
        });
        let stored = storing.await.map_err(OpError::internal)??;
        let host = framing::single_host(parts)?;
        let place = answer::Place {
            scheme: self.scheme.as_str(),
            host,
            addressing: &self.hosts.addressing(host),
            bucket: form.bucket(),
            key: form.key(),
        };
        answer::answer(form.fields(), &place, &stored)
    }

    fn guarded<B>(&self, body: B, head: &FormHead) -> GuardedBody<B> {
        let payload = Payload {
            form: Form::Unsigned,
            declared_bytes: Some(head.content_bytes),
            streams_object: true,
        };
        let (limits, quiet) = (&self.body, self.body_quiet_max);
        GuardedBody::new(body, &payload, None, limits, quiet, FaultSlot::default())
    }

    fn head(&self, parts: &Parts) -> Result<FormHead, OpError> {
        let host = framing::single_host(parts)?;
        framing::no_conflicts(parts)?;
        let addressing = self.hosts.addressing(host);
        let bucket = bucket_named(&addressing, parts.uri.path());
        let bucket = match (bucket, guard::level(&addressing, parts.uri.path())?) {
            (Some(bucket), Level::Bucket) => bucket,
            _ => {
                return Err(OpError::new(
                    Code::MethodNotAllowed,
                    "The specified method is not allowed against this resource: a form is sent to a bucket.",
                ));
            }
        };
        let query = Query::parse(parts.uri.query().unwrap_or_default())?;
        only_the_form_says_what(&parts.headers, &query)?;
        let content_type = forms::content_type(&parts.headers)?.to_owned();
        let content_bytes = content_bytes(&parts.headers)?;
        if content_bytes > self.body.body_bytes_max {
            return Err(OpError::new(
                Code::EntityTooLarge,
                "Your proposed upload exceeds the maximum allowed size",
            ));
        }
        Ok(FormHead {
            bucket,
            content_type,
            content_bytes,
        })
    }
}

/// Whatever the policy does not cover must not say anything: neither headers nor the query.
fn only_the_form_says_what(headers: &HeaderMap, query: &Query) -> Result<(), OpError> {
    if headers.contains_key(header::AUTHORIZATION)
        || query
            .names()
            .any(|n| n.to_ascii_lowercase().starts_with("x-amz-"))
    {
        return Err(OpError::invalid_argument(
            "Only one auth mechanism allowed: a form is signed by its policy.",
        ));
    }
    if let Some(name) = query.names().find(|name| !name.starts_with("x-")) {
        return Err(OpError::not_implemented(format!(
            "The query parameter {name} is not supported with a form."
        )));
    }
    let unsigned = |name: &&http::HeaderName| name.as_str().starts_with("x-amz-");
    match headers.keys().find(unsigned) {
        None => Ok(()),
        Some(name) => Err(OpError::access_denied(format!(
            "There were headers present in the request which were not signed: {name}. A form says everything in its fields."
        ))),
    }
}

/// The declared length, without which nobody knows how much is to come.
fn content_bytes(headers: &HeaderMap) -> Result<u64, OpError> {
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse().ok());
    length.ok_or_else(|| {
        OpError::new(
            Code::MissingContentLength,
            "You must provide the Content-Length HTTP header.",
        )
    })
}
