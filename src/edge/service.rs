//! One request from its head to its answer's last byte: guard, credential, s3s, answer.

use super::auth::{self, EdgeAccess, EdgeAuth, RESOLVED};
use super::browsers::Browsers;
use super::context::{GatewayId, RequestContext, RequestId};
use super::cors::{Asked, CrossOrigin};
use super::forms::Forms;
use super::guard::body::{Declared, FaultSlot, GuardedBody};
use super::guard::payload::DOCUMENT_BYTES_MAX;
use super::guard::{self, forms, framing, hashed_url, scope};
use super::host::HostRules;
use super::limits::{DocumentBytes, InFlight, Shares};
use super::verified::{Parser, VerifiedRoute};
use super::{EdgeLimits, answer, customer_keys, error, long};
use crate::clock::Clock;
use crate::ops::OpError;
use crate::tenants::{Authenticator, TenantId};
use crate::timed_io::Phase;
use answer::Answer;
use bytes::Bytes;
use http::request::Parts;
use http::uri::Scheme;
use http::{HeaderValue, Request, Response, header};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, S3, StdError};
use std::sync::Arc;

/// Serves requests; one for all connections.
pub(super) struct EdgeService {
    verifier: S3Service,
    /// For presigned URLs that name their body's hash.
    url_verifier: S3Service,
    authenticator: Arc<dyn Authenticator>,
    cross_origin: CrossOrigin,
    forms: Forms,
    clock: Arc<dyn Clock>,
    hosts: HostRules,
    limits: EdgeLimits,
    in_flight: InFlight,
    documents: DocumentBytes,
    gateway: GatewayId,
    /// How clients reach this service: an answer that holds a URL needs it.
    scheme: Scheme,
}

/// How old a presigned URL may be that is verified as if it were signed in its headers: the guard has checked its time.
const URL_SKEW_S_MAX: u32 = 8 * 24 * 3600;

/// What stands behind the s3s that only verifies.
struct NoOperations;

impl S3 for NoOperations {}

fn builder(s3: impl S3, hosts: &HostRules, config: S3Config) -> S3ServiceBuilder {
    let mut builder = S3ServiceBuilder::new(s3);
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
    builder.set_host(hosts.clone());
    builder
}

impl EdgeService {
    pub(super) fn new(
        s3: impl S3 + Browsers + Clone,
        authenticator: Arc<dyn Authenticator>,
        clock: Arc<dyn Clock>,
        hosts: HostRules,
        limits: EdgeLimits,
        gateway: GatewayId,
        scheme: Scheme,
    ) -> Self {
        let shares: Arc<Shares<TenantId>> = Shares::new(limits.requests_per_tenant_max);
        let browsers: Arc<dyn Browsers> = Arc::new(s3.clone());
        let mut config = S3Config::default();
        config.xml_max_body_size = usize::try_from(DOCUMENT_BYTES_MAX).unwrap_or(usize::MAX);
        let parser = builder(s3, &hosts, config);
        let access = EdgeAccess { shares };
        let forms = Forms {
            browsers: Arc::clone(&browsers),
            authenticator: Arc::clone(&authenticator),
            access: access.clone(),
            hosts: hosts.clone(),
            credential_deadline: limits.credential_deadline,
            body: limits.body,
            body_quiet_max: limits.body_quiet_max,
            pieces: DocumentBytes::new(limits.forms_bytes_max),
            scheme: scheme.clone(),
        };
        let parser = Arc::new(Parser::new(parser, access));
        let verifier = |skew_s_max: Option<u32>| {
            let mut config = S3Config::default();
            if let Some(skew_s_max) = skew_s_max {
                config.presigned_url_max_skew_time_secs = skew_s_max;
            }
            let mut verifier = builder(NoOperations, &hosts, config);
            verifier.set_auth(EdgeAuth);
            verifier.set_route(VerifiedRoute(Arc::clone(&parser)));
            verifier.build()
        };
        Self {
            verifier: verifier(None),
            url_verifier: verifier(Some(URL_SKEW_S_MAX)),
            cross_origin: CrossOrigin::new(
                browsers,
                Arc::clone(&authenticator),
                limits.credential_deadline,
            ),
            forms,
            authenticator,
            clock,
            hosts,
            in_flight: InFlight::new(limits.requests_max),
            documents: DocumentBytes::new(limits.documents_bytes_max),
            limits,
            gateway,
            scheme,
        }
    }

    /// Answers one request; `phase` learns when its answer is through.
    pub(super) async fn answer<B>(&self, request: Request<B>, phase: Phase) -> Response<Answer>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    {
        let id = RequestId::random();
        let (parts, body) = request.into_parts();
        let context =
            RequestContext::new(*id.as_ref().unwrap_or(&RequestId::NONE), parts.uri.path());
        let is_head = parts.method == http::Method::HEAD;
        let has_body = !body.is_end_stream();
        let expects = parts.headers.contains_key(header::EXPECT);
        let faults = FaultSlot::default();
        let asked = Asked::of(&parts, &self.hosts);
        let served = match id {
            Ok(_) => {
                let served = self.serve(parts, body, &context, &faults);
                served.await
            }
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
        if let (Some(asked), Some(caller)) = (asked, context.verified()) {
            let headers = response.headers_mut();
            self.cross_origin.decorate(&asked, &caller, headers).await;
        }
        let status = response.status();
        let is_error = status.is_client_error() || status.is_server_error();
        // The body may not have been read to its end. Then the connection closes, after a while (`drain`), and the client must know
        // before it sends another request on it. And where no body came, no `100 Continue` was sent: clients that wait for one (botocore
        // before 2023) take the answer, and then misread the next one on the connection.
        if (has_body && is_error) || (!has_body && expects) {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        answer::shape(&mut response, &context, self.gateway, is_head);
        Answer::of(response, context, phase)
    }

    /// Answers one request of a connection that found no place.
    pub(super) fn answer_without_a_place<B>(
        &self,
        request: &Request<B>,
        phase: Phase,
    ) -> Response<Answer> {
        let id = RequestId::random().unwrap_or(RequestId::NONE);
        let context = RequestContext::new(id, request.uri().path());
        let mut response = self.refuse(&OpError::slow_down(), &context);
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
        let is_head = request.method() == http::Method::HEAD;
        answer::shape(&mut response, &context, self.gateway, is_head);
        Answer::of(response, context, phase)
    }

    /// The answer to a head that is not read to its end, as it goes over the connection.
    pub(super) fn bare_refusal(&self) -> Vec<u8> {
        let id = RequestId::random().unwrap_or(RequestId::NONE);
        let response = error::to_response(&OpError::slow_down(), id, self.gateway);
        let body = response.body().bytes().unwrap_or_default();
        let head = format!(
            "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/xml\r\ncontent-length: {}\r\nretry-after: 1\r\n\
             x-amz-request-id: {id}\r\nserver: Lethe\r\nconnection: close\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), &body].concat()
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
        framing::head_fits(&parts, self.limits.head_bytes_max, self.limits.headers_max)?;
        if parts.method == http::Method::OPTIONS {
            return self.cross_origin.preflight(&parts, &self.hosts).await;
        }
        let now = self.clock.now();
        customer_keys::mark_sensitive(&mut parts.headers);
        if forms::is_form(&parts) {
            let served = self.forms.serve(&parts, body, context, now);
            return served.await;
        }
        let admission = guard::inspect(&mut parts, &self.hosts, &self.limits.body, now)?;
        // Once more, for those that came in the query.
        customer_keys::mark_sensitive(&mut parts.headers);
        if self.scheme != Scheme::HTTPS {
            customer_keys::refuse_unencrypted(&parts.headers)?;
        }
        let signed = &admission.signed;
        let resolved = auth::resolve(
            &*self.authenticator,
            &signed.access_key_id,
            self.limits.credential_deadline,
        )
        .await?;
        scope::check_region(signed, &resolved.caller.tenant.region)?;
        if admission.document.is_some() {
            let bytes = admission.payload.declared_bytes.unwrap_or(0);
            let tenant = resolved.caller.tenant.id;
            context.hold_document(self.documents.take(tenant, bytes)?);
        }
        let body = GuardedBody::new(
            body,
            &admission.payload,
            admission.document,
            &self.limits.body,
            self.limits.body_quiet_max,
            faults.clone(),
        );
        parts.extensions.insert(Arc::clone(context));
        parts.extensions.insert(self.scheme.clone());
        parts.extensions.insert(Declared {
            plaintext_bytes: admission.payload.declared_bytes,
            faults: faults.clone(),
        });
        let verifier = match hashed_url::as_header_signed(&mut parts, signed, &admission.payload)? {
            true => &self.url_verifier,
            false => &self.verifier,
        };
        let request = Request::from_parts(parts, Body::http_body_unsync(body));
        let verifier = verifier.clone();
        let answering = RESOLVED.scope(resolved, async move {
            let answered = verifier.call(request).await;
            answered.map_err(|failed| OpError::internal(StdError::from(failed)))
        });
        match admission.may_take_long {
            false => answering.await,
            true => {
                let times = self.limits.long_answers;
                long::answer(tokio::spawn(answering), context, self.gateway, times).await
            }
        }
    }
}
