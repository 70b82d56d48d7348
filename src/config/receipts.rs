//! What a domain's section says of terminations, receipts, validators and witnesses.

use super::error::Problem;
use super::raw::{RawDomain, RawShred, RawValidator, RawWitness};
use crate::shred::RootBackups;
use crate::shred::rules::{DailyWindow, GRACE_DAYS_MAX};
use lethe_receipts::log::WitnessVerifier;
use lethe_receipts::text::{Base64, Text, UtcTime};
use lethe_receipts::{PublicKey, TrustedValidator};
use std::time::Duration;

/// How a domain terminates tenants and who else signs for it.
#[derive(Clone, Debug)]
pub struct ReceiptConfig {
    /// Days between the request of a termination and the earliest shred.
    pub grace_days: u32,
    /// When due shreds of a day run.
    pub window: Option<DailyWindow>,
    /// How long one tenant's inventory may take.
    pub inventory: Duration,
    /// Who sanitizes, as certificates name them; the domain when absent.
    pub organization: Option<String>,
    /// How long copies of the root provider are kept.
    pub root_backups: RootBackups,
    /// Second parties.
    pub validators: Vec<TrustedValidator>,
    /// How many of them must sign.
    pub validator_threshold: u64,
    /// Witnesses of the log with their URLs.
    pub witnesses: Vec<(String, WitnessVerifier)>,
    /// How many of them must cosign.
    pub witness_threshold: u64,
}

impl ReceiptConfig {
    /// What `lethe dev` works with: no grace, no window, nobody else, and nobody's word on copies of the root.
    #[must_use]
    pub fn dev() -> Self {
        Self {
            grace_days: 0,
            window: None,
            inventory: Duration::from_secs(600),
            organization: None,
            root_backups: RootBackups::Unknown,
            validators: Vec::new(),
            validator_threshold: 0,
            witnesses: Vec::new(),
            witness_threshold: 0,
        }
    }
}

pub(super) fn receipts(name: &str, raw: &RawDomain) -> Result<ReceiptConfig, Problem> {
    let empty = RawShred::default();
    let shred = raw.shred.as_ref().unwrap_or(&empty);
    let at = |key: &str, problem: String, hint: &str| {
        Problem::at(&["domains", name, "shred", key], problem, hint)
    };
    let number = |key: &str, value: Option<u64>, default: u32, max: u32| {
        let value = value.unwrap_or(u64::from(default));
        u32::try_from(value)
            .ok()
            .filter(|value| *value <= max)
            .ok_or_else(|| {
                let hint = format!("write a number from 0 to {max}");
                at(key, format!("{value} is out of range"), &hint)
            })
    };
    let window = shred.window.as_deref().unwrap_or("03:00");
    let window = match window {
        "none" => None,
        text => Some(text.parse::<DailyWindow>().map_err(|_| {
            let hint = "write a time of day, UTC, such as \"03:00\", or \"none\" to shred as soon as the grace ends";
            at("window", format!("{text:?} is not a time of day"), hint)
        })?),
    };
    let minutes = number("inventory_minutes", shred.inventory_minutes, 60, 24 * 60)?;
    let kept = match shred.root_backup_days {
        None => RootBackups::Unknown,
        some => RootBackups::KeptDays(number("root_backup_days", some, 0, 36_500)?),
    };
    let witnesses = many(name, "witnesses", &raw.witnesses, witness)?;
    let validators = many(name, "validators", &raw.validators, validator)?;
    Ok(ReceiptConfig {
        grace_days: number("grace_days", shred.grace_days, 30, GRACE_DAYS_MAX)?,
        window,
        inventory: Duration::from_secs(u64::from(minutes) * 60),
        organization: shred.organization.clone(),
        root_backups: kept,
        validator_threshold: threshold(
            name,
            "validator_threshold",
            raw.validator_threshold,
            validators.len(),
        )?,
        validators,
        witness_threshold: threshold(
            name,
            "witness_threshold",
            raw.witness_threshold,
            witnesses.len(),
        )?,
        witnesses,
    })
}

/// A field of a list's item, what is wrong with it, and how to mend it.
type Mistake = (&'static str, String, &'static str);

fn many<R, T>(
    name: &str,
    key: &str,
    raw: &[R],
    parse: fn(&R) -> Result<T, Mistake>,
) -> Result<Vec<T>, Problem> {
    let parsed = raw.iter().enumerate().map(|(index, one)| {
        parse(one).map_err(|(field, problem, hint)| {
            let index = index.to_string();
            Problem::at(&["domains", name, key, &index, field], problem, hint)
        })
    });
    parsed.collect()
}

fn witness(raw: &RawWitness) -> Result<(String, WitnessVerifier), Mistake> {
    let key = WitnessVerifier::from_text(&raw.key).map_err(|error| {
        let hint = "write the verifier key that `lethe witness` printed: name+hash+base64";
        ("key", format!("is not a witness's key: {error}"), hint)
    })?;
    Ok((raw.url.trim_end_matches('/').to_owned(), key))
}

fn validator(raw: &RawValidator) -> Result<TrustedValidator, Mistake> {
    let bytes: Base64<32> = raw.public_key.clone().try_into().map_err(|_| {
        let hint = "write the raw 32-byte Ed25519 public key in base64";
        ("public_key", "is not a public key".to_owned(), hint)
    })?;
    let public_key = PublicKey::from_bytes(&bytes.0).map_err(|error| {
        let hint = "ask the validator for their public key again";
        ("public_key", format!("can't be used: {error}"), hint)
    })?;
    let name = Text::try_from(raw.name.as_str())
        .map_err(|error| ("name", error.to_string(), "write a name for people"))?;
    let time = |field: &'static str, text: &str| {
        text.parse::<UtcTime>()
            .map_err(|error| (field, error.to_string(), "write 2026-01-31T00:00:00Z"))
    };
    Ok(TrustedValidator {
        name,
        keyid: public_key.key_id(),
        public_key: bytes,
        not_before: time("not_before", &raw.not_before)?,
        not_after: raw
            .not_after
            .as_deref()
            .map(|text| time("not_after", text))
            .transpose()?,
    })
}

fn threshold(name: &str, key: &str, wanted: Option<u64>, there: usize) -> Result<u64, Problem> {
    let wanted = wanted.unwrap_or(0);
    if wanted > u64::try_from(there).unwrap_or(u64::MAX) {
        return Err(Problem::at(
            &["domains", name, key],
            format!("{wanted} are wanted and {there} are listed"),
            "list more, or want fewer",
        ));
    }
    Ok(wanted)
}
