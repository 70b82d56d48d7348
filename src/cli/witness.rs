//! `lethe witness`.

use super::args::{WitnessArguments, WitnessCommand};
use super::client::secret;
use super::error::CommandError;
use super::files::write_private;
use super::logging;
use super::output::{Format, print};
use super::serve::signals;
use crate::clock::SystemClock;
use crate::config::{LogConfig, LogFormat};
use crate::witness::{Witness, serve as serve_witness};
use lethe_receipts::log::{KeyName, LogVerifier, WitnessKey};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::SignalKind;
use zeroize::Zeroizing;

pub(super) async fn witness(
    arguments: WitnessArguments,
    format: Format,
) -> Result<(), CommandError> {
    if let Some(WitnessCommand::Key { name, to }) = &arguments.command {
        return make_key(name, to, format);
    }
    let missing = || CommandError::Usage("give --listen, --state and --key".to_owned());
    let listen = arguments.listen.ok_or_else(missing)?;
    let state = arguments.state.ok_or_else(missing)?;
    let key_file = arguments.key.ok_or_else(missing)?;
    logging::start(&LogConfig {
        level: "info".to_owned(),
        format: LogFormat::Text,
    })?;
    let key = WitnessKey::from_text(secret(&key_file)?.as_str());
    let key =
        key.map_err(|error| CommandError::Usage(format!("{}: {error}", key_file.display())))?;
    let keys = log_keys(&arguments.origin, &arguments.log_key)?;
    let public = key.verifier().text();
    let witness = Witness::open(&state, key, keys, SystemClock)
        .map_err(|error| CommandError::Failed(error.to_string()))?;
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| CommandError::Failed(format!("listening on {listen}: {error}")))?;
    for origin in witness.origins() {
        tracing::info!(op = "witness", %origin, %listen, key = public, "cosigning this log");
    }
    let mut terminations = signals(SignalKind::terminate())?;
    let mut interrupts = signals(SignalKind::interrupt())?;
    let stop = async {
        tokio::select! {
            _ = terminations.recv() => {}
            _ = interrupts.recv() => {}
        }
    };
    serve_witness(Arc::new(witness), listener, stop).await;
    Ok(())
}

fn log_keys(origins: &[String], texts: &[String]) -> Result<Vec<LogVerifier>, CommandError> {
    let mut keys = Vec::new();
    for text in texts {
        let key = LogVerifier::from_text(text)
            .map_err(|error| CommandError::Usage(format!("--log-key {text}: {error}")))?;
        let name = key.name().to_string();
        if !origins.contains(&name) {
            let problem = format!("--log-key is of the log {name}, which no --origin names");
            return Err(CommandError::Usage(problem));
        }
        keys.push(key);
    }
    let keyless = |origin: &&String| {
        !keys
            .iter()
            .any(|key: &LogVerifier| key.name().as_str() == origin.as_str())
    };
    match origins.iter().find(keyless) {
        Some(origin) => Err(CommandError::Usage(format!(
            "--origin {origin} has no --log-key"
        ))),
        None => Ok(keys),
    }
}

fn make_key(name: &str, to: &Path, format: Format) -> Result<(), CommandError> {
    let name =
        KeyName::new(name).map_err(|error| CommandError::Usage(format!("--name: {error}")))?;
    if to.exists() {
        let problem = format!("{} exists; a key is never overwritten", to.display());
        return Err(CommandError::Usage(problem));
    }
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut())
        .map_err(|_| CommandError::Failed("the system has no randomness".to_owned()))?;
    let key = WitnessKey::from_seed(&name, &seed);
    let text = Zeroizing::new(format!("{}\n", key.text().as_str()));
    write_private(to, text.as_bytes())?;
    let view = json!({ "name": name.as_str(), "key": key.verifier().text(), "file": to.display().to_string() });
    print(format, &["name", "key", "file"], &view)
}
