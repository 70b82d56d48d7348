//! Connections: accepted up to a bound, with a deadline on every wait, and let finish when the gateway stops.

use super::context::GatewayId;
use super::places::{Place, Places};
use super::service::EdgeService;
use super::{DrainOutcome, EdgeLimits, drain};
use crate::timed_io::{Phase, TimedIo};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// How long to wait when the system has no room for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What all connections share.
pub(super) struct Connections {
    pub(super) service: Arc<EdgeService>,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) limits: EdgeLimits,
}

/// Connections beside those that have a place: the refused, until they have their answer, and those that lost theirs, until they
/// are closed.
const BESIDE_MAX: usize = 256;

/// Refused connections that get an answer at the same time; more of them only close.
const REFUSED_MAX: usize = 64;

/// How long a refused connection may take to ask.
const REFUSED_HEAD_MAX: Duration = Duration::from_secs(2);

/// How long a connection that lost its place may take to complete a head.
const GIVE_WAY_WITHIN: Duration = Duration::from_millis(250);

/// Accepts connections until `shutdown`, then lets them finish within the drain deadline.
pub(super) async fn run(
    connections: Connections,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> DrainOutcome {
    let limits = connections.limits.clone();
    let connections = Arc::new(connections);
    let sockets = Arc::new(Semaphore::new(limits.connections_max + BESIDE_MAX));
    let places = Places::new(limits.connections_max, limits.connections_per_peer_max);
    let refusals = Arc::new(Semaphore::new(REFUSED_MAX));
    let (stop, stopping) = watch::channel(false);
    let mut running = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            Some(ended) = running.join_next() => {
                report(ended);
                continue;
            }
            accepted = accept(&listener, &sockets) => accepted,
        };
        let Some((stream, peer, socket)) = accepted else {
            continue;
        };
        let phase = Phase::new();
        let place = places.take(peer, &phase);
        if place.is_none() && places.may_warn() {
            tracing::warn!(%peer, "connections are refused: every place that the peer may have is busy");
        }
        let refusal = match place {
            Some(_) => None,
            None => match Arc::clone(&refusals).try_acquire_owned() {
                Ok(refusal) => Some(refusal),
                Err(_) => continue,
            },
        };
        let connections = Arc::clone(&connections);
        let stopping = stopping.clone();
        running.spawn(async move {
            let _held = (socket, refusal);
            connections.serve(stream, place, phase, stopping).await;
        });
    }
    drop(listener);
    // Nobody listens only when every connection is gone already.
    let _ = stop.send(true);
    finish(running, limits.drain_deadline).await
}

async fn accept(
    listener: &TcpListener,
    sockets: &Arc<Semaphore>,
) -> Option<(TcpStream, IpAddr, OwnedSemaphorePermit)> {
    // Past the bound new connections wait in the system's queue.
    let socket = Arc::clone(sockets).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer.ip(), socket)),
        Err(error) => {
            tracing::warn!(%error, "accepting a connection failed");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn finish(mut running: JoinSet<()>, deadline: Duration) -> DrainOutcome {
    let drained = timeout(deadline, async {
        while let Some(ended) = running.join_next().await {
            report(ended);
        }
    })
    .await;
    let connections_aborted = running.len();
    if drained.is_err() {
        tracing::warn!(
            connections_aborted,
            "drain deadline passed: connections broken off"
        );
        running.shutdown().await;
    }
    DrainOutcome {
        connections_aborted,
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked");
    }
}

impl Connections {
    /// Serves a connection; one without a place gets one answer.
    async fn serve(
        &self,
        stream: TcpStream,
        place: Option<Place>,
        phase: Phase,
        stopping: watch::Receiver<bool>,
    ) {
        // Answers are written whole; waiting for more only adds latency.
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else {
            return self.serve_http(stream, place, phase, stopping).await;
        };
        let handshake = timeout(self.limits.handshake_max, tls.accept(stream));
        let shaken = tokio::select! {
            shaken = handshake => shaken,
            () = lost(place.as_ref()) => return,
        };
        match shaken {
            Ok(Ok(stream)) => self.serve_http(stream, place, phase, stopping).await,
            Ok(Err(error)) => tracing::debug!(%error, "tls handshake failed"),
            Err(_) => tracing::debug!("tls handshake took too long"),
        }
    }

    async fn serve_http<S>(
        &self,
        stream: S,
        place: Option<Place>,
        phase: Phase,
        mut stopping: watch::Receiver<bool>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = &self.limits;
        let has_place = place.is_some();
        let head_max = match has_place {
            true => limits.head_max,
            false => limits.head_max.min(REFUSED_HEAD_MAX),
        };
        let io = TimedIo::new(stream, phase.clone(), head_max, limits.write_quiet_max);
        let service = hyper::service::service_fn(|request| {
            phase.begin_request();
            let (service, phase) = (Arc::clone(&self.service), phase.clone());
            let answered = async move {
                Ok::<_, Infallible>(match has_place {
                    true => service.answer(request, phase).await,
                    false => service.answer_without_a_place(&request, phase),
                })
            };
            Box::pin(answered) as Pin<Box<dyn Future<Output = _> + Send>>
        });
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.idle_max)
            .max_header_size(2 * limits.head_bytes_max)
            .max_headers(2 * limits.headers_max)
            .keep_alive(has_place)
            .half_close(true)
            .serve_connection(TokioIo::new(io), service);
        let (mut told, mut gives_way) = (false, false);
        let ended = loop {
            tokio::select! {
                ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break Some(ended),
                _ = stopping.wait_for(|stop| *stop), if !told => {
                    told = true;
                    Pin::new(&mut connection).graceful_shutdown();
                }
                // A request that has begun since is answered; without one the connection ends.
                () = lost(place.as_ref()), if !gives_way => {
                    gives_way = true;
                    Pin::new(&mut connection).graceful_shutdown();
                }
                () = tokio::time::sleep(GIVE_WAY_WITHIN), if gives_way && phase.is_within_head() => {
                    if phase.is_within_head() {
                        break None;
                    }
                }
            }
        };
        let was_answered = match &ended {
            Some(Ok(())) => true,
            Some(Err(error)) => {
                tracing::debug!(%error, "connection ended");
                // hyper has answered what it could not read.
                error.is_parse()
            }
            None => false,
        };
        let stream = connection.into_parts().io.into_inner().into_inner();
        match (ended, was_answered) {
            (None, _) => self.refuse_head(stream).await,
            (Some(_), true) if !gives_way => drain::linger(stream).await,
            (Some(_), true) => drain::close(stream).await,
            (Some(_), false) => {}
        }
    }

    /// Answers a head that will not be read to its end.
    async fn refuse_head<S: AsyncRead + AsyncWrite + Unpin>(&self, mut stream: S) {
        let answer = self.service.bare_refusal();
        if timeout(GIVE_WAY_WITHIN, stream.write_all(&answer))
            .await
            .is_ok()
        {
            drain::close(stream).await;
        }
    }
}

async fn lost(place: Option<&Place>) {
    match place {
        Some(place) => place.lost().await,
        None => std::future::pending().await,
    }
}

/// A random id for this gateway process.
pub(super) fn gateway_id() -> Result<GatewayId, getrandom::Error> {
    let mut id = [0; 16];
    getrandom::fill(&mut id)?;
    Ok(GatewayId(id))
}
