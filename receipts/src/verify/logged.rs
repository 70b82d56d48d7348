//! The log's and the witnesses' word for a receipt file, and the times that follow from it.

use crate::check::CheckName;
use crate::file::{FiledReceipt, Logged, ReceiptFile};
use crate::log::{
    Entry, OpenedCheckpoint, TreeHead, open_checkpoint, verify_consistency, verify_inclusion,
};
use crate::statement::StatementBody;
use crate::statement::rules::CLOCK_TOLERANCE_S;
use crate::text::UtcTime;
use crate::trust::Trust;

use super::Checks;
use super::signatures::Signatures;

/// What came of the receipt before.
struct Before {
    index: u64,
    head: TreeHead,
}

pub(super) fn check(
    file: &ReceiptFile,
    receipts: &[(Signatures, StatementBody)],
    trust: &Trust,
    checks: &mut Checks,
) {
    let mut before: Option<Before> = None;
    for (index, (filed, (signatures, body))) in file.receipts.iter().zip(receipts).enumerate() {
        let receipt = Some(index);
        let opened = filed
            .logged
            .as_ref()
            .map(|logged| (logged, open(logged, trust)));
        let mut witnessed = None;
        let mut log_keys = None;
        match opened {
            None => checks.missing(
                CheckName::Checkpoint,
                receipt,
                "The statement is not in the log yet.".to_owned(),
            ),
            Some((_, Err(why))) => checks.push(CheckName::Checkpoint, receipt, Err(why)),
            Some((logged, Ok(opened))) => {
                let head = opened.checkpoint.head;
                let sentence = format!("The log signed a checkpoint of {} entries.", head.size);
                checks.push(CheckName::Checkpoint, receipt, Ok(sentence));
                witnessed = cosigned(&opened, receipt, trust, checks);
                let included = statement_logged(filed, logged, &head, before.as_ref());
                checks.push(CheckName::StatementLogged, receipt, included);
                if let Some(before) = &before {
                    let grown = consistency(logged, &before.head, &head);
                    checks.push(CheckName::LogConsistency, receipt, grown);
                }
                if index == 0 {
                    keys_logged(file, logged, body, &head, checks);
                }
                before = Some(Before {
                    index: logged.index(),
                    head,
                });
                log_keys = Some(opened.signers);
            }
        }
        let finished = body.predicate.times.finished;
        let time = match witnessed {
            Some(witnessed) => {
                checks.push(CheckName::WitnessedTime, receipt, fits(finished, witnessed));
                witnessed
            }
            None => finished,
        };
        let mut windows = Windows {
            time,
            finished,
            witnessed: witnessed.is_some(),
        }
        .check(signatures, trust);
        if let (Ok(_), Some(signers)) = (&windows, log_keys) {
            let trusted = trust
                .log
                .iter()
                .zip(&trust.log_windows)
                .any(|(key, window)| signers.contains(&key.keyid()) && window.contains(time, 0));
            if !trusted {
                windows = Err(format!("The log's key was not trusted at {time}."));
            }
        }
        checks.push(CheckName::KeyWindows, receipt, windows);
        threshold(signatures, receipt, trust, checks);
    }
}

fn open(logged: &Logged, trust: &Trust) -> Result<OpenedCheckpoint, String> {
    let opened = open_checkpoint(logged.checkpoint(), &trust.log, &trust.witnesses);
    opened.map_err(|error| format!("The checkpoint cannot be relied on: {error}."))
}

/// The time at which as many witnesses as the trust file wants had cosigned: the earliest that no smaller number of
/// dishonest ones could have made up.
fn cosigned(
    opened: &OpenedCheckpoint,
    receipt: Option<usize>,
    trust: &Trust,
    checks: &mut Checks,
) -> Option<UtcTime> {
    let mut times: Vec<u64> = opened
        .cosignatures
        .iter()
        .map(|cosignature| cosignature.unix_s)
        .collect();
    times.sort_unstable();
    let wanted = usize::try_from(trust.witness_threshold).unwrap_or(usize::MAX);
    let sentence = format!(
        "{} witnesses cosigned the checkpoint; {wanted} are wanted.",
        times.len()
    );
    if times.len() < wanted {
        checks.missing(CheckName::Cosignatures, receipt, sentence);
        return None;
    }
    let time = wanted.checked_sub(1).and_then(|last| times.get(last));
    let time = match time.map(|unix_s| UtcTime::from_unix_s(*unix_s)) {
        Some(Err(_)) => {
            let why = "A cosignature's time is after the year 9999.".to_owned();
            checks.push(CheckName::Cosignatures, receipt, Err(why));
            return None;
        }
        Some(Ok(time)) => Some(time),
        None => None,
    };
    checks.push(CheckName::Cosignatures, receipt, Ok(sentence));
    time
}

fn statement_logged(
    filed: &FiledReceipt,
    logged: &Logged,
    head: &TreeHead,
    before: Option<&Before>,
) -> Result<String, String> {
    let index = logged.index();
    if before.is_some_and(|before| before.index >= index) {
        return Err("The statement is in the log before that of the stage before.".to_owned());
    }
    verify_inclusion(head, index, &filed.envelope.log_entry(), &logged.proof())
        .map_err(|error| format!("The statement is not shown to be in the log: {error}."))?;
    Ok(format!("The statement is entry {index} of the log."))
}

fn consistency(logged: &Logged, before: &TreeHead, head: &TreeHead) -> Result<String, String> {
    verify_consistency(before, head, &logged.consistency())
        .map_err(|error| format!("The log did not only grow: {error}."))?;
    Ok(format!(
        "The log grew from {} to {} entries.",
        before.size, head.size
    ))
}

fn keys_logged(
    file: &ReceiptFile,
    logged: &Logged,
    body: &StatementBody,
    head: &TreeHead,
    checks: &mut Checks,
) {
    if file.keys.is_empty() {
        let why = "The proofs of the KEK creations are not there yet.".to_owned();
        checks.missing(CheckName::KeysLogged, Some(0), why);
        return;
    }
    checks.push(
        CheckName::KeysLogged,
        Some(0),
        keys_included(file, logged, body, head),
    );
}

fn keys_included(
    file: &ReceiptFile,
    logged: &Logged,
    body: &StatementBody,
    head: &TreeHead,
) -> Result<String, String> {
    let keys = &body.predicate.keys;
    if file.keys.len() != keys.len() {
        return Err("There are not as many proofs as KEK versions.".to_owned());
    }
    let mut next = 0;
    for (key, proven) in keys.iter().zip(&file.keys) {
        let version = key.version;
        let index = proven.index();
        if index < next || index >= logged.index() {
            return Err(format!("KEK version {version} is in the log out of order."));
        }
        next = index + 1;
        verify_inclusion(head, index, &Entry(key.entry.0), &proven.proof()).map_err(|error| {
            format!("KEK version {version} is not shown to be in the log: {error}.")
        })?;
    }
    Ok(format!(
        "All {} KEK creations are in the log, before the statement.",
        keys.len()
    ))
}

fn fits(finished: UtcTime, witnessed: UtcTime) -> Result<String, String> {
    if !finished.is_by(witnessed, CLOCK_TOLERANCE_S) {
        return Err(format!(
            "The stage claims to be finished at {finished}; the witnesses saw it at {witnessed} already."
        ));
    }
    Ok(format!(
        "The witnesses saw the statement by {witnessed}; it claims {finished}."
    ))
}

struct Windows {
    time: UtcTime,
    finished: UtcTime,
    witnessed: bool,
}

impl Windows {
    /// Whether the keys that signed the statement were trusted at the time that counts, and the issuer's also at the
    /// time that it claims.
    fn check(&self, signatures: &Signatures, trust: &Trust) -> Result<String, String> {
        let time = self.time;
        if let Some(issuer) = signatures.issuer.and_then(|keyid| trust.issuer(&keyid)) {
            if !issuer.window.contains(time, 0) {
                return Err(format!("The issuer's key was not trusted at {time}."));
            }
            if !issuer.window.contains(self.finished, CLOCK_TOLERANCE_S) {
                let finished = self.finished;
                return Err(format!(
                    "The issuer's key was not trusted at the claimed {finished}."
                ));
            }
        }
        for keyid in &signatures.validators {
            let validator = trust.validator(keyid);
            if !validator.is_some_and(|validator| validator.window.contains(time, 0)) {
                return Err(format!(
                    "The key of validator {keyid} was not trusted at {time}."
                ));
            }
        }
        Ok(if self.witnessed {
            format!("The keys were trusted at {time}, which witnesses vouch for.")
        } else {
            format!("The keys were trusted at {time}, which nobody but the issuer vouches for.")
        })
    }
}

fn threshold(signatures: &Signatures, receipt: Option<usize>, trust: &Trust, checks: &mut Checks) {
    let signed = signatures.validators.len();
    let wanted = trust.validator_threshold;
    let sentence = format!("{signed} validators signed; {wanted} are wanted.");
    if u64::try_from(signed).unwrap_or(u64::MAX) < wanted {
        checks.missing(CheckName::ValidatorThreshold, receipt, sentence);
    } else {
        checks.push(CheckName::ValidatorThreshold, receipt, Ok(sentence));
    }
}
