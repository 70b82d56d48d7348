//! Connections: accepted up to a bound, with a deadline on every wait, and let finish when the gateway stops.

use super::context::GatewayId;
use super::io::{Phase, TimedIo};
use super::limits::Shares;
use super::service::EdgeService;
use super::{DrainOutcome, EdgeLimits, drain};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
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

/// Accepts connections until `shutdown`, then lets them finish within the drain deadline.
pub(super) async fn run(
    connections: Connections,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> DrainOutcome {
    let limits = connections.limits.clone();
    let connections = Arc::new(connections);
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let peers = Shares::new(limits.connections_per_peer_max);
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
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, peer, place)) = accepted else {
            continue;
        };
        let Some(share) = peers.take(peer) else {
            tracing::debug!(%peer, "connection refused: the peer has too many");
            continue;
        };
        let connections = Arc::clone(&connections);
        let stopping = stopping.clone();
        running.spawn(async move {
            let _held = (place, share);
            connections.serve(stream, stopping).await;
        });
    }
    drop(listener);
    // Nobody listens only when every connection is gone already.
    let _ = stop.send(true);
    finish(running, limits.drain_deadline).await
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, IpAddr, OwnedSemaphorePermit)> {
    // Past the bound new connections wait in the system's queue.
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer.ip(), place)),
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
    async fn serve(&self, stream: TcpStream, stopping: watch::Receiver<bool>) {
        // Answers are written whole; waiting for more only adds latency.
        let _ = stream.set_nodelay(true);
        match &self.tls {
            None => self.serve_http(stream, stopping).await,
            Some(tls) => {
                let handshake = timeout(self.limits.handshake_max, tls.accept(stream));
                match handshake.await {
                    Ok(Ok(stream)) => self.serve_http(stream, stopping).await,
                    Ok(Err(error)) => tracing::debug!(%error, "tls handshake failed"),
                    Err(_) => tracing::debug!("tls handshake took too long"),
                }
            }
        }
    }

    async fn serve_http<S>(&self, stream: S, mut stopping: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = &self.limits;
        let phase = Phase::new();
        let io = TimedIo::new(
            stream,
            phase.clone(),
            limits.head_max,
            limits.write_quiet_max,
        );
        let service = hyper::service::service_fn(|request| {
            phase.begin_request();
            let (service, phase) = (Arc::clone(&self.service), phase.clone());
            let answered = async move { Ok::<_, Infallible>(service.answer(request, phase).await) };
            Box::pin(answered) as Pin<Box<dyn Future<Output = _> + Send>>
        });
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.idle_max)
            .max_header_size(limits.head_bytes_max)
            .max_headers(limits.headers_max)
            .half_close(true)
            .serve_connection(TokioIo::new(io), service);
        let mut told = false;
        let ended = loop {
            tokio::select! {
                ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break ended,
                _ = stopping.wait_for(|stop| *stop), if !told => {
                    told = true;
                    Pin::new(&mut connection).graceful_shutdown();
                }
            }
        };
        let was_answered = match &ended {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(%error, "connection ended");
                // hyper has answered what it could not read.
                error.is_parse()
            }
        };
        if was_answered {
            drain::linger(connection.into_parts().io.into_inner().into_inner()).await;
        }
    }
}

/// A random id for this gateway process.
pub(super) fn gateway_id() -> Result<GatewayId, getrandom::Error> {
    let mut id = [0; 16];
    getrandom::fill(&mut id)?;
    Ok(GatewayId(id))
}
