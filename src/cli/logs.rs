//! A domain's log and signing keys, opened for whoever grows the log or issues receipts.

use super::error::CommandError;
use super::log_store;
use crate::config::{Config, DomainConfig, DomainStores};
use crate::log::{LogReader, LogStore, WitnessPeer, Witnesses, read_tile};
use crate::signing::{Signing, SigningError, TrustSettings};
use crate::tenants::DomainName;
use lethe_keys::{BEYOND_MAX, NewestCheckpoint};
use lethe_receipts::log::{Entry, TILE_WIDTH, TileKind, TilePath, decode_entries};
use lethe_receipts::text::Base64;
use lethe_receipts::{PublicKey, TrustedWitness};
use std::sync::Arc;

/// A domain's log with the keys that sign for it.
pub(super) struct OpenLog {
    pub(super) signing: Arc<Signing>,
    pub(super) store: Arc<dyn LogStore>,
    pub(super) witnesses: Witnesses,
}

impl From<SigningError> for CommandError {
    fn from(error: SigningError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Opens a domain's log; `None` where its section has no log or no signing keys.
pub(super) async fn open_log(
    config: &Config,
    name: &DomainName,
    domain: &DomainConfig,
    stores: &DomainStores,
) -> Result<Option<OpenLog>, CommandError> {
    let Some(signing_dir) = &stores.signing_dir else {
        return Ok(None);
    };
    let Some(store) = log_store::open(config, name, stores).await? else {
        return Ok(None);
    };
    let signing = Arc::new(Signing::open(signing_dir, name)?);
    let peers = domain
        .receipts
        .witnesses
        .iter()
        .map(|(url, key)| WitnessPeer {
            url: url.clone(),
            key: key.clone(),
        });
    let verifiers = vec![signing.log_key()?.verifier()];
    let origin = signing.origin().clone();
    let witnesses = Witnesses::new(origin, verifiers, peers.collect(), None)
        .map_err(|error| CommandError::Failed(format!("domain {name}: witnesses: {error}")))?;
    Ok(Some(OpenLog {
        signing,
        store,
        witnesses,
    }))
}

/// Who else a domain's trust file names.
pub(super) fn trust_settings(domain: &DomainConfig, dev: bool) -> TrustSettings {
    let receipts = &domain.receipts;
    let witnesses = receipts.witnesses.iter().filter_map(|(_, key)| {
        let public_key = PublicKey::from_bytes(key.public_key()).ok()?;
        Some(TrustedWitness {
            name: key.name().to_string(),
            keyid: public_key.key_id(),
            public_key: Base64(*key.public_key()),
        })
    });
    TrustSettings {
        dev,
        validators: receipts.validators.clone(),
        validator_threshold: receipts.validator_threshold,
        witnesses: witnesses.collect(),
        witness_threshold: receipts.witness_threshold,
    }
}

/// What the log and its witnesses hold, from what the key store has recorded on.
///
/// # Errors
/// When the log can't be read, is behind its witnesses, or is another one than they have seen: no key store is opened then.
pub(super) async fn newest(
    name: &DomainName,
    log: &OpenLog,
    recorded: u64,
) -> Result<NewestCheckpoint, CommandError> {
    let failed = |problem: &dyn std::fmt::Display| {
        CommandError::failed(
            format!("domain {name}: the log: {problem}"),
            "the key store is compared with the newest checkpoint before it opens; bring log and witnesses back",
        )
    };
    let newest = log.witnesses.newest(log.store.as_ref()).await;
    let newest = newest.map_err(|error| failed(&error))?;
    if newest.rolled_back() {
        return Err(failed(
            &"a witness has seen more of it than its store holds: it was rolled back",
        ));
    }
    for (witness, problem) in &newest.silent {
        tracing::warn!(op = "open", %name, witness, problem, outcome = "unasked", "a witness could not be asked for the newest checkpoint");
    }
    let log_size = newest.greatest.map_or(0, |(head, _)| head.size);
    let reader: &dyn LogReader = log.store.as_ref();
    let beyond = entries(reader, recorded, log_size).await;
    Ok(NewestCheckpoint {
        log_size,
        beyond: beyond.map_err(|error| failed(&error))?,
        erased: Vec::new(),
    })
}

/// The log's entries from `first` to `size`; none when they are more than a crash explains.
async fn entries(reader: &dyn LogReader, first: u64, size: u64) -> Result<Vec<[u8; 32]>, String> {
    let most = u64::try_from(BEYOND_MAX).unwrap_or(u64::MAX);
    if first >= size || size - first > most {
        return Ok(Vec::new());
    }
    let width = u64::from(TILE_WIDTH);
    let mut found = Vec::new();
    let mut next = first;
    while next < size {
        let index = next / width;
        let begin = index * width;
        let bundle = (size - begin).min(width);
        let path = u16::try_from(bundle)
            .ok()
            .and_then(|bundle| TilePath::new(TileKind::Entries, index, bundle))
            .ok_or_else(|| format!("it has no entry {next}"))?;
        let bytes = read_tile(reader, &path).await;
        let bytes = bytes.map_err(|error| error.to_string())?;
        let entries: Vec<Entry> =
            decode_entries(&bytes).ok_or_else(|| format!("{path} is damaged"))?;
        let skipped = usize::try_from(next - begin).unwrap_or(usize::MAX);
        let wanted = usize::try_from(bundle).unwrap_or(usize::MAX);
        let entries = entries.get(skipped..wanted);
        let entries = entries.ok_or_else(|| format!("{path} is too short"))?;
        found.extend(entries.iter().map(|entry| entry.0));
        next = begin + bundle;
    }
    Ok(found)
}
