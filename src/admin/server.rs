//! The admin listener: authentication, bounds and deadlines around every request, graceful shutdown.

use super::error::ApiError;
use super::health::ReadyView;
use super::principal::{Role, authenticate};
use super::state::Admin;
use super::{
    credentials, domains, health, keys, logs, objects, openapi, receipts, regions, shredding,
    tenants,
};
use crate::tenants::TenantId;
use crate::timed_io::{Phase, TimedIo};
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use serde::de::DeserializeOwned;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

/// Bytes of a request's headers.
const HEAD_BYTES_MAX: usize = 32 << 10;
/// How long a TLS handshake or a request's headers may take.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);

/// The principal behind a request.
pub(super) struct Acting {
    name: String,
    role: Role,
}

impl Acting {
    /// Whether the principal may change things.
    pub(super) fn operates(&self) -> Result<(), ApiError> {
        if self.role == Role::Operator {
            return Ok(());
        }
        let role = self.role.as_str();
        Err(ApiError::forbidden(
            format!("principal {} has the role {role}", self.name),
            Role::Operator,
        ))
    }

    /// Who it is.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the principal may approve; in development the operator does.
    pub(super) fn approves(&self, dev: bool) -> Result<(), ApiError> {
        match self.role {
            Role::Approver => Ok(()),
            Role::Operator if dev => Ok(()),
            role => Err(ApiError::forbidden(
                format!("principal {} has the role {}", self.name, role.as_str()),
                Role::Approver,
            )),
        }
    }

    /// Logs what the principal did.
    pub(super) fn done(&self, op: &'static str, tenant: Option<TenantId>) {
        let tenant = tenant.map(|tenant| tenant.to_string());
        tracing::info!(principal = self.name, op, tenant, outcome = "done", "admin");
    }
}

impl FromRequestParts<Arc<Admin>> for Acting {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, admin: &Arc<Admin>) -> Result<Self, ApiError> {
        let principals = admin.principals.load();
        let principal =
            authenticate(&principals, &parts.headers).ok_or_else(ApiError::unauthenticated)?;
        Ok(Self {
            name: principal.name.clone(),
            role: principal.role,
        })
    }
}

/// A JSON body, or an error in the API's own form.
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<Admin>> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, admin: &Arc<Admin>) -> Result<Self, ApiError> {
        match Json::<T>::from_request(request, admin).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(rejection) => Err(ApiError::invalid(
                rejection.body_text(),
                "/openapi.json describes every request's body",
            )),
        }
    }
}

/// The API's routes with their bounds.
pub fn router(admin: Arc<Admin>) -> Router {
    let limits = admin.limits;
    let slow = Router::new()
        .route("/v1/regions/{region}/check", post(regions::check))
        .route(
            "/v1/domains/{domain}/key-store/backup",
            post(receipts::back_up),
        )
        .layer(from_fn_with_state(limits.check_deadline, deadline))
        .layer(from_fn_with_state(slots(limits.checks_max), bounded));
    let effects = Router::new()
        .route("/v1/tenants/{tenant}/suspend", post(tenants::suspend))
        .route("/v1/tenants/{tenant}/resume", post(tenants::resume))
        .route(
            "/v1/tenants/{tenant}/credentials/{id}/revoke",
            post(credentials::revoke),
        )
        .route(
            "/v1/tenants/{tenant}/credentials/{id}/grant",
            post(credentials::change_grant),
        )
        .layer(from_fn_with_state(
            limits.request_deadline + limits.effect_deadline,
            deadline,
        ))
        .layer(from_fn_with_state(slots(limits.effects_max), bounded));
    let quick = Router::new()
        .route("/v1/domains", get(domains::list))
        .route("/v1/domains/{domain}", get(domains::show))
        .route("/v1/tenants", get(tenants::list).post(tenants::create))
        .route("/v1/tenants/{tenant}", get(tenants::show))
        .route(
            "/v1/tenants/{tenant}/credentials",
            get(credentials::list).post(credentials::create),
        )
        .route(
            "/v1/tenants/{tenant}/credentials/import",
            post(credentials::import),
        )
        .route("/v1/tenants/{tenant}/keys", get(keys::list))
        .route("/v1/tenants/{tenant}/keys/rotate", post(keys::rotate))
        .route("/v1/tenants/{tenant}/terminate", post(shredding::terminate))
        .route("/v1/tenants/{tenant}/approve", post(shredding::approve))
        .route("/v1/tenants/{tenant}/cancel", post(shredding::cancel))
        .route("/v1/tenants/{tenant}/receipt", get(receipts::file))
        .route("/v1/terminations", get(shredding::terminations))
        .route("/v1/shreds", get(shredding::shreds))
        .route("/v1/shreds/run", post(shredding::run))
        .route("/v1/shreds/resume", post(shredding::resume))
        .route("/v1/receipts", get(receipts::list))
        .route("/v1/domains/{domain}/trust", get(receipts::trust))
        .route("/v1/domains/{domain}/trust/rotate", post(receipts::rotate))
        .route("/v1/regions", get(regions::list))
        .route("/v1/log/{domain}/statements", get(logs::statements))
        .route("/v1/log/{domain}/{*path}", get(logs::file))
        .route("/v1/objects/inspect", post(objects::inspect))
        .layer(from_fn_with_state(limits.request_deadline, deadline))
        .layer(from_fn_with_state(slots(limits.requests_max), bounded));
    // Whoever asks these decides over the gateway's life: no operator's request keeps them waiting.
    let health = Router::new()
        .route("/metrics", get(health::metrics))
        .route("/readyz", get(health::readyz))
        .layer(Extension(Arc::new(health::Shared::<ReadyView>::default())))
        .layer(from_fn_with_state(limits.request_deadline, deadline));
    slow.merge(effects)
        .merge(quick)
        .layer(from_fn_with_state(Arc::clone(&admin), whole))
        .merge(health)
        .route("/livez", get(health::livez))
        .route("/openapi.json", get(|| async { Json(openapi::document()) }))
        .fallback(|| async {
            ApiError::not_found("there is no such path", "/openapi.json lists every path")
        })
        .method_not_allowed_fallback(|| async {
            ApiError::invalid(
                "the path has no such method",
                "/openapi.json lists every path",
            )
        })
        .with_state(admin)
}

async fn deadline(State(deadline): State<Duration>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(deadline, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::unavailable("the request took too long").into_response(),
    }
}

/// Reads a principal's request to its end before it gets a place.
async fn whole(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    // Nothing of a stranger's is kept.
    if authenticate(&admin.principals.load(), request.headers()).is_none() {
        return ApiError::unauthenticated().into_response();
    }
    let limits = &admin.limits;
    let (head, body) = request.into_parts();
    let reading = to_bytes(body, limits.body_bytes_max);
    let body = match tokio::time::timeout(limits.body_deadline, reading).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return ApiError::unreadable(limits.body_bytes_max).into_response(),
        Err(_) => return ApiError::too_slow(limits.body_deadline).into_response(),
    };
    next.run(Request::from_parts(head, Body::from(body))).await
}

/// Places for one kind of request, which those of another kind don't take.
fn slots(requests_max: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(requests_max))
}

async fn bounded(State(slots): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    match slots.try_acquire() {
        Ok(_slot) => next.run(request).await,
        Err(_) => ApiError::unavailable("too many admin requests at once").into_response(),
    }
}

/// Serves the admin API on a bound listener until `shutdown`, then lets requests finish.
///
/// # Errors
/// When a listener that is not on loopback has no TLS, or its address can't be read.
pub async fn serve(
    admin: Arc<Admin>,
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    if tls.is_none() && !listener.local_addr()?.ip().is_loopback() {
        return Err(io::Error::other(
            "plain HTTP is served on loopback only: configure [s3] tls or [admin] tls",
        ));
    }
    let limits = admin.limits;
    let router = router(admin);
    let acceptor = tls.map(TlsAcceptor::from);
    let slots = Arc::new(Semaphore::new(limits.connections_max));
    let (stop, stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        let Ok((stream, slot)) = accepted else {
            // Out of file descriptors: closing connections frees some.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (router, acceptor, stopping) = (router.clone(), acceptor.clone(), stopping.clone());
        connections.spawn(async move {
            let connection = Connection {
                router,
                stopping,
                write_quiet_max: limits.write_quiet_max,
            };
            connection.serve(stream, acceptor).await;
            drop(slot);
        });
    }
    drop(listener);
    // Every connection holds a receiver; were there none, there would be nothing to tell.
    let _nobody_listens = stop.send(true);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.drain_deadline, drained)
        .await
        .is_err()
    {
        connections.shutdown().await;
    }
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, slot))
}

struct Connection {
    router: Router,
    stopping: watch::Receiver<bool>,
    write_quiet_max: Duration,
}

impl Connection {
    async fn serve(self, stream: TcpStream, acceptor: Option<TlsAcceptor>) {
        match acceptor {
            None => self.http(stream).await,
            Some(acceptor) => {
                if let Ok(Ok(stream)) =
                    tokio::time::timeout(HEAD_DEADLINE, acceptor.accept(stream)).await
                {
                    self.http(stream).await;
                }
            }
        }
    }

    async fn http<S>(self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self {
            router,
            mut stopping,
            write_quiet_max,
        } = self;
        // Heads have hyper's own deadline; what nobody reads has none.
        let phase = Phase::new();
        phase.begin_request();
        let stream = TimedIo::new(stream, phase, HEAD_DEADLINE, write_quiet_max);
        let service = TowerToHyperService::new(
            router.map_request(|request: Request<_>| request.map(Body::new)),
        );
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_DEADLINE)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(serving);
        let stopped = async {
            // An error is the sender's end, which is a stop too.
            let _ended = stopping.wait_for(|stop| *stop).await;
        };
        let outcome = tokio::select! {
            outcome = &mut serving => outcome,
            () = stopped => {
                serving.as_mut().graceful_shutdown();
                serving.await
            }
        };
        if let Err(error) = outcome {
            tracing::debug!(op = "admin", outcome = "broken", %error, "an admin connection ended early");
        }
    }
}
