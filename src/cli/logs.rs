//! A domain's log and signing keys, opened for whoever grows the log or issues receipts.

use super::error::CommandError;
use super::log_store;
use super::statements::Beside;
use crate::config::{Config, DomainConfig, DomainStores};
use crate::log::{LogReader, LogStore, Newest, WitnessPeer, Witnesses, read_tile};
use crate::signing::{PublishedLog, Signing, SigningError, TrustSettings, check_roles};
use crate::tenants::DomainName;
use lethe_keys::{BEYOND_MAX, KeyServiceConfig, NewestCheckpoint};
use lethe_receipts::log::{Entry, TILE_WIDTH, TileKind, TilePath, TreeHead, decode_entries};
use lethe_receipts::text::Base64;
use lethe_receipts::{PublicKey, TrustedWitness};
use std::sync::Arc;

/// A domain's log with the keys that sign for it.
pub(super) struct OpenLog {
    pub(super) signing: Arc<Signing>,
    pub(super) store: Arc<dyn LogStore>,
    pub(super) witnesses: Witnesses,
}

/// A domain's log for who only compares with it.
pub(super) struct ReadLog {
    pub(super) reader: Arc<dyn LogReader>,
    pub(super) witnesses: Witnesses,
    pub(super) published: PublishedLog,
}

/// What the log is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To grow: it has to answer.
    Growing,
    /// To compare with: its witnesses can answer in its place.
    Comparing,
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
    check_roles(signing_dir, name, &trust_settings(domain, false))?;
    let witnesses = witnesses(name, domain, signing.published_log())?;
    Ok(Some(OpenLog {
        signing,
        store,
        witnesses,
    }))
}

/// Opens a domain's log for reading, without its secret keys; `None` where its section has no log or no signing keys.
pub(super) async fn read_log(
    config: &Config,
    name: &DomainName,
    domain: &DomainConfig,
    stores: &DomainStores,
) -> Result<Option<ReadLog>, CommandError> {
    let Some(signing_dir) = &stores.signing_dir else {
        return Ok(None);
    };
    let Some(reader) = log_store::reader(config, name, stores).await? else {
        return Ok(None);
    };
    let published = PublishedLog::read(signing_dir, name)?;
    check_roles(signing_dir, name, &trust_settings(domain, false))?;
    let witnesses = witnesses(name, domain, &published)?;
    Ok(Some(ReadLog {
        reader,
        witnesses,
        published,
    }))
}

fn witnesses(
    name: &DomainName,
    domain: &DomainConfig,
    log: &PublishedLog,
) -> Result<Witnesses, CommandError> {
    let peers = domain
        .receipts
        .witnesses
        .iter()
        .map(|(url, key)| WitnessPeer {
            url: url.clone(),
            key: key.clone(),
        });
    Witnesses::new(log.origin.clone(), log.keys.clone(), peers.collect(), None)
        .map_err(|error| CommandError::Failed(format!("domain {name}: witnesses: {error}")))
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

/// A log that is compared with, by what of it is public.
#[derive(Clone, Copy)]
pub(super) struct Compared<'a> {
    pub(super) reader: &'a dyn LogReader,
    pub(super) witnesses: &'a Witnesses,
    pub(super) published: &'a PublishedLog,
}

impl OpenLog {
    pub(super) fn compared(&self) -> Compared<'_> {
        Compared {
            reader: self.store.as_ref(),
            witnesses: &self.witnesses,
            published: self.signing.published_log(),
        }
    }
}

impl ReadLog {
    pub(super) fn compared(&self) -> Compared<'_> {
        Compared {
            reader: self.reader.as_ref(),
            witnesses: &self.witnesses,
            published: &self.published,
        }
    }
}

/// What the log and its witnesses hold, from what the key store has `recorded` on; `None` where there is no key store to compare.
/// With the log's own tree, of which the signature is verified; `None` where it has none.
///
/// # Errors
/// When neither log nor witnesses say, the log is behind its witnesses or the key store, or another one than they have seen: no
/// key store is opened then.
pub(super) async fn newest(
    name: &DomainName,
    log: Compared<'_>,
    recorded: Option<(u64, &KeyServiceConfig)>,
    purpose: Purpose,
) -> Result<(NewestCheckpoint, Option<TreeHead>), CommandError> {
    let reader = log.reader;
    let failed = |problem: &dyn std::fmt::Display| {
        CommandError::failed(
            format!("domain {name}: the log: {problem}"),
            format!(
                "the key store is compared with the newest checkpoint before it opens; bring log and witnesses back; `lethe log rebuild --domain {name}` writes a log that is lost again"
            ),
        )
    };
    let newest = log.witnesses.newest(reader).await;
    let newest = newest.map_err(|error| failed(&error))?;
    for (witness, problem) in &newest.silent {
        tracing::warn!(op = "open", %name, witness, problem, outcome = "unasked", "a witness could not be asked for the newest checkpoint");
    }
    let log_size = newest.greatest.as_ref().map_or(0, |(head, _)| head.size);
    let known = recorded.map_or(0, |(size, _)| size);
    if let Some(reason) = absent(&newest, known) {
        if purpose == Purpose::Growing || newest.greatest.is_none() {
            return Err(failed(&reason));
        }
        tracing::warn!(op = "open", %name, reason, outcome = "away", "the log is not there: the key store is compared with its witnesses alone");
        let newest = NewestCheckpoint {
            log_size,
            beyond: Vec::new(),
            erased: Vec::new(),
        };
        return Ok((newest, None));
    }
    let held = newest.log.map_or(0, |head| head.size);
    if held < known {
        let problem =
            format!("it holds {held} entries, and the key store knows {known}: it was rolled back");
        return Err(failed(&problem));
    }
    if newest.rolled_back() {
        return Err(failed(&format!(
            "a witness has seen {log_size} entries of it, and its store holds {held}: it was rolled back"
        )));
    }
    let (beyond, erased) = match recorded {
        Some((size, keys)) => {
            let beyond = entries(reader, size, log_size).await;
            let beyond = beyond.map_err(|error| failed(&error))?;
            let beside = Beside {
                domain: name,
                reader,
                published: log.published,
                head: newest.log,
            };
            let erased = beside.erased_since(keys).await?;
            for problem in &erased.passed_over {
                tracing::warn!(op = "open", %name, %problem, outcome = "passed over", "a statement beside the log is not the log's");
            }
            (beyond, erased.tenants)
        }
        None => (Vec::new(), Vec::new()),
    };
    let checkpoint = NewestCheckpoint {
        log_size,
        beyond,
        erased,
    };
    Ok((checkpoint, newest.log))
}

/// Why the log itself says nothing; `None` where it does.
fn absent(newest: &Newest, known: u64) -> Option<String> {
    if let Some(away) = &newest.away {
        return Some(away.clone());
    }
    let nothing = newest.log.is_none() && known > 0;
    nothing.then(|| format!("it has no checkpoint, and the key store knows {known} entries"))
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
