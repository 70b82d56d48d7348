//! `lethe serve`: wiring of a gateway, its listeners, its jobs and its signals.

use super::error::CommandError;
use super::logging::{self, LogLevel};
use super::open::{self, Opened};
use crate::admin;
use crate::config::{self, Config, Environment, Listener, TlsFiles};
use crate::edge::front::Front;
use crate::edge::{
    self, CertificateFiles, EdgeConfig, EdgeLimits, HostRules, ReloadingCertificate, Transport,
};
use crate::jobs::{Runner, RunnerSettings};
use crate::ops::authenticate::GatewayAuthenticator;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Between two looks at the admin listener's certificate files.
const CERTIFICATE_POLL: Duration = Duration::from_secs(5);

/// Listeners that are bound before anything is served, so that a taken address is found out at once.
pub(super) struct Bound {
    pub(super) s3: TcpListener,
    pub(super) admin: TcpListener,
}

impl Bound {
    pub(super) async fn bind(s3: SocketAddr, admin: SocketAddr) -> Result<Self, CommandError> {
        Ok(Self {
            s3: bind("[s3] listen", s3).await?,
            admin: bind("[admin] listen", admin).await?,
        })
    }
}

async fn bind(key: &str, address: SocketAddr) -> Result<TcpListener, CommandError> {
    TcpListener::bind(address).await.map_err(|error| {
        CommandError::failed(
            format!("{key}: {address}: {error}"),
            "stop what listens there, or choose another address",
        )
    })
}

/// Runs a production gateway until SIGTERM or SIGINT.
pub(super) async fn serve(file: &Path, environment: &Environment) -> Result<(), CommandError> {
    let config = config::load(file, environment)?;
    let level = logging::start(&config.log)?;
    let hardening = lethe_keys::harden_process();
    if !hardening.not_dumpable || !hardening.no_core_files {
        return Err(CommandError::failed(
            "this process can't be kept from dumping its memory",
            "run it where prctl and setrlimit are permitted",
        ));
    }
    if !hardening.memory_locked {
        tracing::warn!(
            op = "start",
            outcome = "unlocked",
            "memory is not locked: turn swap off, or raise the memlock limit"
        );
    }
    let metrics = metrics()?;
    let opened = open::open(&config, false, Some(metrics)).await?;
    let bound = Bound::bind(config.s3.listen, config.admin.listen).await?;
    let reload = Reload {
        file: file.to_owned(),
        environment: environment.clone(),
        level,
    };
    run_gateway(&config, opened, bound, Some(reload), async {}).await
}

pub(super) fn metrics() -> Result<metrics_exporter_prometheus::PrometheusHandle, CommandError> {
    metrics_exporter_prometheus::PrometheusBuilder::new()
        .install_recorder()
        .map_err(|error| CommandError::Failed(format!("metrics can't be collected: {error}")))
}

/// What SIGHUP reads again.
pub(super) struct Reload {
    file: std::path::PathBuf,
    environment: Environment,
    level: LogLevel,
}

/// Serves until SIGTERM or SIGINT, then drains. `ready` runs once both listeners accept.
pub(super) async fn run_gateway(
    config: &Config,
    opened: Opened,
    bound: Bound,
    reload: Option<Reload>,
    ready: impl Future<Output = ()>,
) -> Result<(), CommandError> {
    let (stop, stopping) = watch::channel(false);
    let hangups = signals(SignalKind::hangup())?;
    let mut terminations = signals(SignalKind::terminate())?;
    let mut interrupts = signals(SignalKind::interrupt())?;
    let mut tasks: JoinSet<Result<(), CommandError>> = JoinSet::new();
    if config.roles.data {
        tasks.spawn(s3(config, &opened, bound.s3, stopping.clone())?);
    }
    admin_tasks(config, &opened, bound.admin, &stopping, &mut tasks)?;
    if let Some(reload) = reload {
        tasks.spawn(follow(
            hangups,
            reload,
            opened.admin.clone(),
            stopping.clone(),
        ));
    }
    ready.await;
    tracing::info!(op = "start", outcome = "serving", s3 = %config.s3.listen, admin = %config.admin.listen, "lethe serves");
    let mut failed = None;
    tokio::select! {
        _ = terminations.recv() => {}
        _ = interrupts.recv() => {}
        ended = tasks.join_next() => failed = ended,
    }
    tracing::info!(op = "stop", outcome = "draining", "lethe stops");
    // Whoever has ended already needs no telling.
    let _nobody_listens = stop.send(true);
    let mut outcome = failed.map_or(Ok(()), settled);
    while let Some(ended) = tasks.join_next().await {
        outcome = outcome.and(settled(ended));
    }
    opened.close().await;
    outcome
}

fn settled(
    ended: Result<Result<(), CommandError>, tokio::task::JoinError>,
) -> Result<(), CommandError> {
    ended.map_err(|error| CommandError::Failed(format!("a task of the gateway ended: {error}")))?
}

pub(super) fn signals(kind: SignalKind) -> Result<Signal, CommandError> {
    signal(kind)
        .map_err(|error| CommandError::Failed(format!("signals can't be received: {error}")))
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    // An error is the sender's end, which is a stop too.
    let _ended = stopping.wait_for(|stop| *stop).await;
}

fn files(tls: &TlsFiles) -> CertificateFiles {
    CertificateFiles {
        cert: tls.cert.clone(),
        key: tls.key.clone(),
    }
}

fn s3(
    config: &Config,
    opened: &Opened,
    listener: TcpListener,
    stopping: watch::Receiver<bool>,
) -> Result<impl Future<Output = Result<(), CommandError>> + Send + 'static, CommandError> {
    let limits = &config.limits;
    let edge_config = EdgeConfig {
        transport: match &config.s3.tls {
            Some(tls) => Transport::Tls(files(tls)),
            None => Transport::PlainHttpOnLoopback,
        },
        hosts: HostRules::new(&config.s3_domains)
            .map_err(|error| CommandError::Usage(format!("[s3] domains: {error}")))?,
        limits: EdgeLimits {
            connections_max: count(limits.connections_max),
            requests_max: count(limits.requests_max),
            requests_per_tenant_max: count(limits.tenant_requests_max),
            head_bytes_max: count(limits.header_bytes_max),
            head_max: limits.header_deadline,
            body_quiet_max: limits.body_idle_deadline,
            write_quiet_max: limits.body_idle_deadline,
            credential_deadline: limits.store_deadline,
            drain_deadline: limits.drain_deadline,
            ..EdgeLimits::default()
        },
    };
    let gateway = opened.gateway.clone();
    let clock = gateway.clock().clone();
    let authenticator = Arc::new(GatewayAuthenticator(gateway.clone()));
    let front = Front::new(gateway);
    Ok(async move {
        let drained = edge::serve(
            edge_config,
            listener,
            front,
            authenticator,
            clock,
            stopped(stopping),
        )
        .await
        .map_err(|error| CommandError::Failed(error.to_string()))?;
        if drained.connections_aborted > 0 {
            let aborted = drained.connections_aborted;
            tracing::warn!(
                op = "stop",
                outcome = "aborted",
                aborted,
                "connections did not finish in time"
            );
        }
        Ok(())
    })
}

fn count(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

fn admin_tasks(
    config: &Config,
    opened: &Opened,
    listener: TcpListener,
    stopping: &watch::Receiver<bool>,
    tasks: &mut JoinSet<Result<(), CommandError>>,
) -> Result<(), CommandError> {
    let certificate = admin_certificate(&config.admin)?;
    let tls = certificate
        .as_ref()
        .map(ReloadingCertificate::server_config)
        .transpose()?;
    if let Some(certificate) = certificate {
        let stopping = stopping.clone();
        tasks.spawn(async move {
            tokio::select! {
                never = certificate.follow(CERTIFICATE_POLL) => match never {},
                () = stopped(stopping) => Ok(()),
            }
        });
    }
    if !config.roles.control {
        // Health and metrics stay; nobody operates through a gateway that is not for it.
        opened.admin.principals.store(Arc::new(Vec::new()));
    }
    let (admin, until) = (opened.admin.clone(), stopped(stopping.clone()));
    tasks.spawn(async move {
        let served = admin::serve(admin, listener, tls, until).await;
        served.map_err(|error| CommandError::Failed(format!("[admin] listen: {error}")))
    });
    if config.roles.control {
        for domain in &opened.domains {
            let owner = owner()?;
            let runner = Runner::new(domain.clone(), owner, RunnerSettings::default());
            let until = stopped(stopping.clone());
            tasks.spawn(async move {
                runner.run(until).await;
                Ok(())
            });
        }
    }
    Ok(())
}

fn admin_certificate(
    listener: &Listener,
) -> Result<Option<Arc<ReloadingCertificate>>, CommandError> {
    let loaded = listener
        .tls
        .as_ref()
        .map(|tls| ReloadingCertificate::load(files(tls)));
    Ok(loaded.transpose()?)
}

/// Names this process in the rows of the jobs that it holds.
fn owner() -> Result<String, CommandError> {
    let mut random = [0; 8];
    getrandom::fill(&mut random)
        .map_err(|_| CommandError::Failed("the system has no randomness".to_owned()))?;
    Ok(hex::encode(random))
}

/// Reads what may change without a restart whenever SIGHUP comes. Certificates and upstream credentials follow their files.
async fn follow(
    mut hangups: Signal,
    reload: Reload,
    admin: Arc<admin::Admin>,
    stopping: watch::Receiver<bool>,
) -> Result<(), CommandError> {
    let stop = stopped(stopping);
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => return Ok(()),
            _ = hangups.recv() => {}
        }
        match config::load(&reload.file, &reload.environment) {
            Ok(config) => {
                if config.roles.control {
                    admin.principals.store(Arc::new(config.principals));
                }
                match reload.level.set(&config.log.level) {
                    Ok(()) => tracing::info!(
                        op = "reload",
                        outcome = "done",
                        "principals and log level are reloaded"
                    ),
                    Err(error) => {
                        tracing::error!(op = "reload", outcome = "failed", %error, "the old log level stays")
                    }
                }
            }
            Err(error) => {
                tracing::error!(op = "reload", outcome = "refused", %error, "the old configuration stays");
            }
        }
    }
}
