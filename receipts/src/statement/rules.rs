//! The rules that a statement keeps alone and after the one before it (`docs/receipts.md` §5).
//!
//! Builders and verifiers share them: what is issued here is what is accepted elsewhere.

use std::collections::HashSet;

use crate::check::CheckName;
use crate::log::kek_entry;
use crate::text::{Hex, Text, UtcTime};

use super::predicate::{
    Assurance, CanaryOutcome, Fence, FenceScope, HELD_LISTED_MAX, Horizon, InventoryStatus, Method,
    Mode, Predicate, PurgeStatus, Sanitization, Stage, StatementBody, Tenant, TestResult,
    provider_ceiling,
};

/// By how much claimed times of different machines may be out of order, in seconds.
pub(crate) const CLOCK_TOLERANCE_S: u64 = 300;
/// Longest lease that a fence may name, in seconds.
const LEASE_SECONDS_MAX: u64 = 3600;

/// A check with its sentence, as `Err` when the rule is broken.
pub(crate) type Rule = (CheckName, Result<String, String>);

/// What a statement's subject is called.
pub(crate) fn subject_name(tenant: &Tenant) -> String {
    format!("tenant:{}", tenant.id)
}

/// The rules for one statement.
pub(crate) fn alone(body: &StatementBody) -> Vec<Rule> {
    let predicate = &body.predicate;
    let mut rules = vec![
        (CheckName::KeyChain, key_chain(predicate)),
        (CheckName::Subject, subject(body)),
        (CheckName::Approvals, approvals(predicate)),
    ];
    let evidence = stage_evidence(predicate);
    let complete = evidence.is_ok();
    rules.push((CheckName::StageEvidence, evidence));
    rules.push((CheckName::Fences, fences(predicate)));
    if complete && predicate.stage > Stage::Revoked {
        rules.push((CheckName::Inventory, inventory(predicate)));
        rules.push((CheckName::RootDestruction, root_destruction(predicate)));
        rules.push((CheckName::Backup, backup(predicate)));
        rules.push((CheckName::Assurance, assurance(predicate)));
    }
    if complete && predicate.stage == Stage::Purged {
        rules.push((CheckName::Purge, purge(predicate)));
    }
    rules.push((CheckName::Disclosures, disclosures(predicate)));
    rules.push((CheckName::ClaimedTimes, claimed_times(predicate)));
    rules
}

/// The rules for a statement and the one before it, whose digest is given.
pub(crate) fn after(
    before: &StatementBody,
    before_digest: &Hex<32>,
    body: &StatementBody,
) -> Vec<Rule> {
    vec![
        (
            CheckName::Previous,
            previous(before_digest, &body.predicate),
        ),
        (CheckName::SameFacts, same_facts(before, body)),
    ]
}

fn ensure(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds {
        Ok(())
    } else {
        Err(otherwise.to_owned())
    }
}

fn key_chain(predicate: &Predicate) -> Result<String, String> {
    ensure(!predicate.keys.is_empty(), "No KEK is listed.")?;
    let mut previous = Hex([0; 32]);
    let mut version = 0;
    for key in &predicate.keys {
        version += 1;
        if key.version != version {
            return Err(format!(
                "KEK version {} stands where version {version} must.",
                key.version
            ));
        }
        if key.previous != previous {
            return Err(format!(
                "KEK version {version} does not follow the version before."
            ));
        }
        let entry = kek_entry(
            &key.nonce.0,
            &key.kek_id.0,
            &key.commitment.0,
            &key.previous.0,
        );
        if entry.0 != key.entry.0 {
            return Err(format!(
                "The log entry of KEK version {version} is not that of its id and commitment."
            ));
        }
        previous = key.entry;
    }
    Ok(format!(
        "All {version} KEK versions are listed, each chained to the one before."
    ))
}

fn subject(body: &StatementBody) -> Result<String, String> {
    let [subject] = body.subject.as_slice() else {
        return Err("There is not exactly one subject.".to_owned());
    };
    let tenant = &body.predicate.tenant;
    ensure(
        subject.name == subject_name(tenant),
        "The subject is not the tenant of the predicate.",
    )?;
    let last = body.predicate.keys.last().map(|key| key.entry);
    ensure(
        last == Some(subject.digest.sha256),
        "The subject's digest is not the log entry of the last KEK.",
    )?;
    Ok(format!(
        "The subject is tenant {}, and its digest commits to the KEKs.",
        tenant.id
    ))
}

fn approvals(predicate: &Predicate) -> Result<String, String> {
    let termination = &predicate.termination;
    let approvals = &termination.approvals;
    let different: HashSet<&Text> = approvals
        .iter()
        .map(|approval| &approval.principal)
        .collect();
    ensure(
        different.len() == approvals.len(),
        "An approver is listed twice.",
    )?;
    ensure(
        termination.mode == Mode::Dev || !different.contains(&termination.requested_by),
        "Who asked for the termination approved it.",
    )?;
    match (termination.mode, approvals.len()) {
        (Mode::Production, 0 | 1) => Err("Two different approvers are needed.".to_owned()),
        (Mode::Dev, 0) => Err("An approver is needed.".to_owned()),
        (mode, count) => Ok(format!(
            "{count} different approvers, as mode {mode} wants."
        )),
    }
}

fn stage_evidence(predicate: &Predicate) -> Result<String, String> {
    let stage = predicate.stage;
    let erasure = [
        ("inventory", predicate.inventory.is_some()),
        ("root", predicate.root.is_some()),
        ("backup", predicate.backup.is_some()),
        ("rootBackupHorizon", predicate.root_backup_horizon.is_some()),
        ("assurance", predicate.assurance.is_some()),
        (
            "sanitization.method",
            predicate.sanitization.method.is_some(),
        ),
    ];
    let expected = erasure
        .into_iter()
        .map(|(field, there)| (field, there, stage > Stage::Revoked))
        .chain([
            ("purge", predicate.purge.is_some(), stage == Stage::Purged),
            (
                "previous",
                predicate.previous.is_some(),
                stage > Stage::Revoked,
            ),
        ]);
    for (field, there, wanted) in expected {
        match (there, wanted) {
            (false, true) => return Err(format!("Stage {stage} needs {field}.")),
            (true, false) => return Err(format!("Stage {stage} cannot have {field} yet.")),
            _ => {}
        }
    }
    Ok(format!("The evidence is that of stage {stage}."))
}

fn fences(predicate: &Predicate) -> Result<String, String> {
    let scopes: Vec<FenceScope> = predicate.fences.iter().map(|fence| fence.scope).collect();
    let wanted: &[FenceScope] = match predicate.stage {
        Stage::Revoked => &[FenceScope::Tenant],
        Stage::Erased | Stage::Purged => &[FenceScope::Tenant, FenceScope::Nodes],
    };
    if scopes != wanted {
        return Err(format!(
            "Stage {} needs {}.",
            predicate.stage,
            if wanted.len() == 1 {
                "one fence around the tenant"
            } else {
                "a fence around the tenant, then one around the nodes"
            }
        ));
    }
    if let [tenant, nodes] = predicate.fences.as_slice() {
        ensure(
            nodes.number > tenant.number,
            "The second fence is not newer than the first.",
        )?;
    }
    predicate.fences.iter().try_for_each(fence)?;
    let gateways = predicate.fences.iter().map(|fence| fence.gateways.len());
    let gateways: Vec<String> = gateways.map(|count| count.to_string()).collect();
    Ok(format!(
        "Gateways that came under the fences: {}.",
        gateways.join(", then ")
    ))
}

fn fence(fence: &Fence) -> Result<(), String> {
    ensure(
        (1..=LEASE_SECONDS_MAX).contains(&fence.lease_seconds),
        "A fence's lease is not from 1 to 3600 seconds.",
    )?;
    let gateways: HashSet<_> = fence
        .gateways
        .iter()
        .map(|gateway| gateway.gateway)
        .collect();
    ensure(
        gateways.len() == fence.gateways.len(),
        "A gateway is listed twice under a fence.",
    )
}

fn inventory(predicate: &Predicate) -> Result<String, String> {
    let Some(inventory) = &predicate.inventory else {
        return Err("There is no inventory.".to_owned());
    };
    match inventory.status {
        InventoryStatus::Complete => {
            ensure(
                inventory.uncounted.is_empty() && inventory.root.is_some(),
                "A complete inventory has a root and nothing uncounted.",
            )?;
            Ok(format!(
                "{} objects with {} bytes were counted.",
                inventory.objects, inventory.bytes
            ))
        }
        InventoryStatus::Partial => {
            ensure(
                !inventory.uncounted.is_empty(),
                "A partial inventory must say what was not counted.",
            )?;
            Ok(format!(
                "{} objects with {} bytes were counted, and the receipt says what was not.",
                inventory.objects, inventory.bytes
            ))
        }
    }
}

fn root_destruction(predicate: &Predicate) -> Result<String, String> {
    let Some(root) = &predicate.root else {
        return Err("There is no evidence of a destruction.".to_owned());
    };
    ensure(
        root.epoch_current > root.epoch_destroyed,
        "The current epoch is not newer than the destroyed one.",
    )?;
    let canary = &root.canary_destroyed;
    ensure(
        canary.before == CanaryOutcome::Opened,
        "The canary of the destroyed epoch did not open before: that it fails now shows nothing.",
    )?;
    ensure(
        canary.after == CanaryOutcome::Refused,
        "The canary of the destroyed epoch still opens.",
    )?;
    ensure(
        root.canary_current == CanaryOutcome::Opened,
        "The canary of the current epoch does not open: the provider may just be away.",
    )?;
    if root.assurance > provider_ceiling(root.provider.as_str()) {
        return Err(format!(
            "A provider {} is not {}.",
            root.provider, root.assurance
        ));
    }
    Ok(format!(
        "Epoch {} is destroyed ({}, {}); its canary opened before and is refused now.",
        root.epoch_destroyed, root.provider, root.assurance
    ))
}

fn backup(predicate: &Predicate) -> Result<String, String> {
    let Some(backup) = &predicate.backup else {
        return Err("There is no backup.".to_owned());
    };
    ensure(
        backup.restore_test == TestResult::Passed,
        "The backup's restore test failed.",
    )?;
    ensure(backup.victims_found == 0, "The backup holds erased keys.")?;
    Ok(format!(
        "A backup of {} nodes and {} KEKs was restored and holds no erased key.",
        backup.nodes, backup.keks
    ))
}

fn assurance(predicate: &Predicate) -> Result<String, String> {
    let (Some(claimed), Some(root), Some(horizon)) = (
        predicate.assurance,
        &predicate.root,
        predicate.root_backup_horizon,
    ) else {
        return Err("There is no assurance.".to_owned());
    };
    let deserved = Assurance::deserved(root, horizon, predicate.times.finished);
    if claimed > deserved {
        return Err(format!(
            "The assurance is {claimed}; the evidence is worth {deserved}."
        ));
    }
    if predicate.sanitization.method == Some(Method::Purge) && claimed == Assurance::Logical {
        return Err("The method purge needs more assurance than logical.".to_owned());
    }
    Ok(format!(
        "The assurance is {claimed}, and the evidence is worth {deserved}."
    ))
}

fn purge(predicate: &Predicate) -> Result<String, String> {
    let Some(purge) = &predicate.purge else {
        return Err("There is no purge.".to_owned());
    };
    let listed = u64::try_from(purge.held.len()).unwrap_or(u64::MAX);
    let listed_max = u64::try_from(HELD_LISTED_MAX).unwrap_or(u64::MAX);
    ensure(
        listed == purge.held_objects.min(listed_max),
        "The held objects listed are not as many as there are, up to 1000.",
    )?;
    match (purge.status, purge.held_objects) {
        (PurgeStatus::Complete, 0) => Ok(format!(
            "{} objects and {} further versions are deleted.",
            purge.objects, purge.versions
        )),
        (PurgeStatus::Held, 1..) => Ok(format!(
            "{} objects and {} further versions are deleted; stores still hold {}.",
            purge.objects, purge.versions, purge.held_objects
        )),
        _ => Err("The purge's status is not what its held objects say.".to_owned()),
    }
}

fn disclosures(predicate: &Predicate) -> Result<String, String> {
    ensure(
        !predicate.not_covered.is_empty() && !predicate.residual_risks.is_empty(),
        "The receipt does not say what it does not cover or what could go wrong.",
    )?;
    Ok("The receipt says what it does not cover and what could go wrong.".to_owned())
}

fn claimed_times(predicate: &Predicate) -> Result<String, String> {
    let termination = &predicate.termination;
    let finished = predicate.times.finished;
    let raised = |scope| {
        let fence = predicate.fences.iter().find(|fence| fence.scope == scope);
        fence.map(|fence| fence.raised_at)
    };
    for approval in &termination.approvals {
        in_order(&[
            ("request", Some(termination.requested_at)),
            ("approval", Some(approval.at)),
            ("fence around the tenant", raised(FenceScope::Tenant)),
            ("end of the stage", Some(finished)),
        ])?;
    }
    let destroyed_at = predicate.root.as_ref().map(|root| root.destroyed_at);
    let last_copy = match predicate.root_backup_horizon {
        Some(Horizon::At(last_copy)) => Some(last_copy),
        Some(Horizon::Unknown) | None => None,
    };
    in_order(&[
        ("destruction", destroyed_at),
        ("horizon of the root's copies", last_copy),
    ])?;
    in_order(&[
        ("request", Some(termination.requested_at)),
        ("end of the grace", Some(termination.grace_ended)),
        ("fence around the tenant", raised(FenceScope::Tenant)),
        ("fence around the nodes", raised(FenceScope::Nodes)),
        ("backup", predicate.backup.as_ref().map(|backup| backup.at)),
        ("destruction", destroyed_at),
        ("end of the stage", Some(finished)),
    ])?;
    in_order(&[
        ("end of the grace", Some(termination.grace_ended)),
        ("beginning of the stage", Some(predicate.times.started)),
        ("end of the stage", Some(finished)),
    ])?;
    Ok(format!(
        "The claimed times follow each other; the stage was finished at {finished}."
    ))
}

/// Whether no time is more than the tolerance before any that must come before it.
fn in_order(times: &[(&str, Option<UtcTime>)]) -> Result<(), String> {
    let mut latest: Option<(&str, UtcTime)> = None;
    for (name, time) in times {
        let Some(time) = *time else { continue };
        match latest {
            Some((before_name, before)) if !before.is_by(time, CLOCK_TOLERANCE_S) => {
                return Err(format!(
                    "The {name} ({time}) is before the {before_name} ({before})."
                ));
            }
            Some((_, before)) if before >= time => {}
            _ => latest = Some((name, time)),
        }
    }
    Ok(())
}

fn previous(before_digest: &Hex<32>, predicate: &Predicate) -> Result<String, String> {
    let named = predicate.previous.as_ref().map(|digest| digest.sha256);
    ensure(
        named == Some(*before_digest),
        "The statement names another statement than the one before it.",
    )?;
    Ok("The statement names the one before it.".to_owned())
}

fn same_facts(before: &StatementBody, body: &StatementBody) -> Result<String, String> {
    let (old, new) = (&before.predicate, &body.predicate);
    let without_method = |sanitization: &Sanitization| Sanitization {
        method: None,
        ..sanitization.clone()
    };
    let mut facts = vec![
        ("subject", before.subject == body.subject),
        ("domain", old.domain == new.domain),
        ("tenant", old.tenant == new.tenant),
        (
            "sanitization",
            without_method(&old.sanitization) == without_method(&new.sanitization),
        ),
        ("termination", old.termination == new.termination),
        ("keys", old.keys == new.keys),
        ("fences", new.fences.starts_with(&old.fences)),
    ];
    if old.stage > Stage::Revoked {
        facts.extend([
            ("fences", old.fences == new.fences),
            ("inventory", old.inventory == new.inventory),
            ("root", old.root == new.root),
            ("backup", old.backup == new.backup),
            (
                "rootBackupHorizon",
                old.root_backup_horizon == new.root_backup_horizon,
            ),
        ]);
    }
    for (fact, same) in facts {
        if !same {
            return Err(format!("The {fact} is not that of the stage before."));
        }
    }
    ensure(
        old.receipt_id != new.receipt_id,
        "The receipt id is that of the stage before.",
    )?;
    in_order(&[
        ("beginning of the stage before", Some(old.times.started)),
        ("beginning of the stage", Some(new.times.started)),
    ])?;
    in_order(&[
        ("end of the stage before", Some(old.times.finished)),
        ("end of the stage", Some(new.times.finished)),
    ])?;
    Ok("The statement repeats the facts of the stage before.".to_owned())
}
