//! A witness's HTTP side: two paths, small bodies, deadlines.
//!
//! Plain HTTP: everything that is said is signed, and nothing of it is secret. Put a proxy in front for TLS.

use super::state::{AddError, Witness};
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use lethe_receipts::log::AddCheckpoint;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

const CONNECTIONS_MAX: usize = 64;
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
const HEAD_BYTES_MAX: usize = 16 << 10;
/// A whole request with its answer, body and disk included.
const REQUEST_DEADLINE: Duration = Duration::from_secs(15);
/// A connection, however busy.
const CONNECTION_DEADLINE: Duration = Duration::from_secs(300);
const DRAIN_DEADLINE: Duration = Duration::from_secs(5);

/// The two paths: `POST /add-checkpoint` of C2SP tlog-witness, and `GET /checkpoint/<hex SHA-256 of the origin>`.
pub fn router(witness: Arc<Witness>) -> Router {
    Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .route("/checkpoint/{log}", get(checkpoint))
        .layer(DefaultBodyLimit::max(AddCheckpoint::BYTES_MAX))
        .layer(from_fn(deadline))
        .with_state(witness)
}

async fn deadline(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_DEADLINE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "the request took too long\n",
        ),
    }
}

fn plain(status: StatusCode, text: impl Into<String>) -> Response {
    let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8")];
    (status, headers, text.into()).into_response()
}

async fn add_checkpoint(State(witness): State<Arc<Witness>>, body: String) -> Response {
    let Ok(request) = AddCheckpoint::parse(&body) else {
        return plain(StatusCode::BAD_REQUEST, "not an add-checkpoint request\n");
    };
    let error = match witness.add(request).await {
        Ok(line) => return plain(StatusCode::OK, line),
        Err(error) => error,
    };
    let refused = matches!(
        error,
        AddError::Inconsistent | AddError::Unsigned(_) | AddError::Disk(_)
    );
    if refused {
        tracing::warn!(op = "add-checkpoint", outcome = "refused", %error, "a checkpoint is not cosigned");
    }
    let status = match error {
        AddError::UnknownLog => StatusCode::NOT_FOUND,
        AddError::Unsigned(_) => StatusCode::FORBIDDEN,
        AddError::OldSize => StatusCode::BAD_REQUEST,
        AddError::Conflict { known } => {
            let headers = [(CONTENT_TYPE, "text/x.tlog.size")];
            return (StatusCode::CONFLICT, headers, format!("{known}\n")).into_response();
        }
        AddError::Inconsistent => StatusCode::UNPROCESSABLE_ENTITY,
        AddError::Disk(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    plain(status, format!("{error}\n"))
}

async fn checkpoint(State(witness): State<Arc<Witness>>, Path(log): Path<String>) -> Response {
    match witness.newest(&log).await {
        Some(checkpoint) => plain(StatusCode::OK, checkpoint.to_string()),
        None => plain(StatusCode::NOT_FOUND, "nothing was cosigned of that log\n"),
    }
}

/// Serves a witness on a bound listener until `shutdown`, then lets requests finish.
pub async fn serve(
    witness: Arc<Witness>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) {
    let router = router(witness);
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (stop, stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        while connections.try_join_next().is_some() {}
        let accept = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            let slot = slot.map_err(io::Error::other)?;
            Ok::<_, io::Error>((listener.accept().await?.0, slot))
        };
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept => accepted,
        };
        let Ok((stream, slot)) = accepted else {
            // Out of file descriptors: closing connections frees some.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (router, stopping) = (router.clone(), stopping.clone());
        connections.spawn(async move {
            let serving = connection(stream, router, stopping);
            let _late = tokio::time::timeout(CONNECTION_DEADLINE, serving).await;
            drop(slot);
        });
    }
    drop(listener);
    // Every connection holds a receiver; were there none, there would be nothing to tell.
    let _nobody_listens = stop.send(true);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_DEADLINE, drained).await.is_err() {
        connections.shutdown().await;
    }
}

async fn connection(stream: TcpStream, router: Router, mut stopping: watch::Receiver<bool>) {
    let service =
        TowerToHyperService::new(router.map_request(|request: Request<_>| request.map(Body::new)));
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
        tracing::debug!(op = "witness", outcome = "broken", %error, "a connection ended early");
    }
}
