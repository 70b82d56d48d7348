//! Log lines: text or JSON, with a level that reloads.

use super::error::CommandError;
use crate::config::{LogConfig, LogFormat};
use crate::edge::LOG_DIRECTIVES;
use std::io::IsTerminal as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload::Handle;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, fmt, reload};

/// Changes the log level of a running process.
#[derive(Clone)]
pub(super) struct LogLevel(Handle<EnvFilter, Registry>);

impl LogLevel {
    /// Takes a new level at once.
    pub(super) fn set(&self, level: &str) -> Result<(), CommandError> {
        let filter = filter(level)?;
        let set = self.0.reload(filter);
        set.map_err(|error| {
            CommandError::Failed(format!("the log level can't be changed: {error}"))
        })
    }
}

fn filter(level: &str) -> Result<EnvFilter, CommandError> {
    // The edge's directives come last and win: some libraries log whole requests, credentials included.
    EnvFilter::try_new(format!("{level},{LOG_DIRECTIVES}"))
        .map_err(|error| CommandError::Usage(format!("log level {level:?}: {error}")))
}

/// Starts logging to standard error.
pub(super) fn start(config: &LogConfig) -> Result<LogLevel, CommandError> {
    let (level, handle) = reload::Layer::new(filter(&config.level)?);
    let lines = fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let lines = match config.format {
        LogFormat::Text => lines.with_target(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(level)
        .with(lines)
        .try_init()
        .map_err(|error| CommandError::Failed(format!("logging can't start: {error}")))?;
    Ok(LogLevel(handle))
}
