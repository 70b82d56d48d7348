//! One request from its head to its answer's last byte: guard, credential, s3s, answer.

use super::auth::{self, EdgeAccess, EdgeAuth, RESOLVED};
use super::context::{GatewayId, RequestContext, RequestId};
use super::guard::body::{Declared, FaultSlot, GuardedBody};
use super::guard::payload::DOCUMENT_BYTES_MAX;
use super::guard::{self, scope};
use super::host::HostRules;
use super::io::Phase;
use super::limits::{InFlight, Shares};
use super::reads::ReadRoute;
use super::{EdgeLimits, answer, error};
use crate::clock::Clock;
use crate::ops::OpError;
use crate::tenants::{Authenticator, TenantId};
use answer::Answer;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Request, Response, header};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, S3, StdError};
use std::sync::Arc;

/// Serves requests; one for all connections.
pub(super) struct EdgeService {
    s3: S3Service,
    authenticator: Arc<dyn Authenticator>,
    clock: Arc<dyn Clock>,
    hosts: HostRules,
    limits: EdgeLimits,
    in_flight: InFlight,
    gateway: GatewayId,
}

impl EdgeService {
    pub(super) fn new(
        s3: impl S3 + Clone,
        authenticator: Arc<dyn Authenticator>,
        clock: Arc<dyn Clock>,
        hosts: HostRules,
        limits: EdgeLimits,
        gateway: GatewayId,
    ) -> Self {
        let shares: Arc<Shares<TenantId>> = Shares::new(limits.requests_per_tenant_max);
        let access = EdgeAccess { shares };
        let mut builder = Self::builder(s3.clone(), &hosts);
        builder.set_auth(EdgeAuth);
        builder.set_access(access.clone());
        builder.set_route(ReadRoute {
            verified: Self::builder(s3, &hosts).build(),
            access,
        });
        Self {
            s3: builder.build(),
            authenticator,
            clock,
            hosts,
            in_flight: InFlight::new(limits.requests_max),
            limits,
            gateway,
        }
    }

    fn builder(s3: impl S3, hosts: &HostRules) -> S3ServiceBuilder {
        let mut config = S3Config::default();
        config.xml_max_body_size = usize::try_from(DOCUMENT_BYTES_MAX).unwrap_or(usize::MAX);
        let mut builder = S3ServiceBuilder::new(s3);
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        builder.set_host(hosts.clone());
        builder
    }

    /// Answers one request; `phase` learns when its answer is through.
    pub(super) async fn answer<B>(&self, request: Request<B>, phase: Phase) -> Response<Answer>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    {
        let id = RequestId::random();
        let context = RequestContext::new(*id.as_ref().unwrap_or(&RequestId::NONE));
        let (parts, body) = request.into_parts();
        let is_head = parts.method == http::Method::HEAD;
        let has_body = !body.is_end_stream();
        let faults = FaultSlot::default();
        let served = match id {
            Ok(_) => self.serve(parts, body, &context, &faults).await,
            Err(failed) => Err(failed),
        };
        let mut response = match served {
            // s3s answers a broken document with an internal error; the guard knows better.
            Ok(response) if response.status().is_server_error() => match faults.get() {
                Some(fault) => self.refuse(&fault.into(), &context),
                None => response,
            },
            Ok(response) => response,
            Err(refused) => self.refuse(&refused, &context),
        };
        let status = response.status();
        if has_body && (status.is_client_error() || status.is_server_error()) {
            // The body may not have been read to its end. Then the connection closes, after a while (`drain`), and the client
            // must know before it sends another request on it.
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        answer::shape(&mut response, context.id(), self.gateway, is_head);
        Answer::of(response, context, phase)
    }

    fn refuse(&self, refused: &OpError, context: &RequestContext) -> Response<Body> {
        error::to_response(refused, context.id(), self.gateway)
    }

    async fn serve<B>(
        &self,
        mut parts: Parts,
        body: B,
        context: &Arc<RequestContext>,
        faults: &FaultSlot,
    ) -> Result<Response<Body>, OpError>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    {
        context.hold_place(self.in_flight.enter()?);
        let now = self.clock.now();
        let admission = guard::inspect(&mut parts, &self.hosts, &self.limits.body, now)?;
        let signed = &admission.signed;
        let resolved = auth::resolve(
            &*self.authenticator,
            &signed.access_key_id,
            self.limits.credential_deadline,
        )
        .await?;
        scope::check_region(signed, &resolved.caller.tenant.region)?;
        let body = GuardedBody::new(
            body,
            &admission.payload,
            admission.document,
            &self.limits.body,
            self.limits.body_quiet_max,
            faults.clone(),
        );
        parts.extensions.insert(Arc::clone(context));
        parts.extensions.insert(Declared {
            plaintext_bytes: admission.payload.declared_bytes,
            faults: faults.clone(),
        });
        let request = Request::from_parts(parts, Body::http_body_unsync(body));
        let answered = RESOLVED.scope(resolved, self.s3.call(request)).await;
        answered.map_err(|failed| OpError::internal(StdError::from(failed)))
    }
}
