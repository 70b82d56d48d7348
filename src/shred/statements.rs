//! Statements of the evidence that the steps have left.

use super::domain::{RootBackups, ShredDomain};
use super::error::ShredError;
use super::evidence::{
    BackedUp, Destroyed, FenceOutcome, FenceRecord, Fenced, HeldVersion, Inventory, Rekeyed,
};
use super::progress::Progress;
use super::times;
use crate::catalog::{ApprovalMode, ReceiptId, Termination};
use crate::clock::UnixMs;
use crate::tenants::Tenant;
use lethe_receipts::statement::{
    self as said, Approval, CanaryOutcome, DestroyedCanary, Domain, GatewayFence, GatewayOutcome,
    HeldObject, Horizon, InventoryStatus, KeyCreation, Mode, ProviderAssurance, Purge, PurgeStatus,
    RaisedFence, RootDestruction, Sanitizer, StageTimes, Statement, TestResult,
};
use lethe_receipts::text::{Hex, Text, UtcTime};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

fn time(ms: i64) -> Result<UtcTime, ShredError> {
    let seconds = u64::try_from(ms.div_euclid(1000)).unwrap_or(0);
    UtcTime::from_unix_s(seconds).map_err(|error| ShredError::Unreadable {
        what: "evidence",
        reason: error.to_string(),
    })
}

fn hex<const N: usize>(text: &str) -> Result<Hex<N>, ShredError> {
    text.parse().map_err(|_| ShredError::Unreadable {
        what: "evidence",
        reason: "a digest is not hexadecimal".to_owned(),
    })
}

fn stage_times(started_ms: i64, finished: UnixMs) -> Result<StageTimes, ShredError> {
    Ok(StageTimes {
        started: time(started_ms)?,
        finished: time(finished.0)?,
    })
}

fn fence(record: &FenceRecord) -> Result<RaisedFence, ShredError> {
    let gateways = record.gateways.iter().map(|one| {
        Ok(GatewayFence {
            gateway: hex(&one.gateway)?,
            outcome: match one.outcome {
                FenceOutcome::Acknowledged => GatewayOutcome::Acknowledged,
                FenceOutcome::Expired => GatewayOutcome::Expired,
            },
        })
    });
    Ok(RaisedFence {
        number: record.number,
        raised_at: time(record.raised_ms)?,
        lease_seconds: record.lease_s,
        gateways: gateways.collect::<Result<_, ShredError>>()?,
    })
}

fn termination(row: &Termination) -> Result<said::Termination, ShredError> {
    let approvals = row.approvals.iter().map(|one| {
        Ok(Approval {
            principal: Text::lossy(&one.principal),
            // It was given after the request: a time before is a clock's error.
            at: time(one.at.0.max(row.requested.0))?,
        })
    });
    Ok(said::Termination {
        mode: match row.mode {
            ApprovalMode::Production => Mode::Production,
            ApprovalMode::Dev => Mode::Dev,
        },
        requested_at: time(row.requested.0)?,
        requested_by: Text::lossy(&row.requested_by),
        approvals: approvals.collect::<Result<_, ShredError>>()?,
        grace_ended: time(row.grace_end.0)?,
    })
}

/// The statement that no gateway can decrypt.
pub(super) fn revoked(
    domain: &ShredDomain,
    id: ReceiptId,
    tenant: &Tenant,
    row: &Termination,
    keys: Vec<KeyCreation>,
    fenced: &Fenced,
    now: UnixMs,
) -> Result<Statement, ShredError> {
    let certificate = &domain.certificate;
    let pair = certificate.pairs.get(&tenant.region).cloned().flatten();
    // Nothing here copies objects to the pair: what the stores themselves do is among what a receipt does not cover.
    let media = format!("objects in region {}", tenant.region);
    Ok(Statement::revoked(said::Revoked {
        receipt_id: Hex(*id.as_bytes()),
        domain: Domain {
            name: Text::lossy(domain.stores.name.as_str()),
            jurisdiction: Text::lossy(&certificate.jurisdiction),
        },
        tenant: said::Tenant {
            id: Hex(*tenant.id.as_bytes()),
            label: Text::lossy(tenant.name.as_str()),
            region: Text::lossy(tenant.region.as_str()),
            pair: pair.map(|pair| Text::lossy(pair.as_str())),
        },
        sanitizer: Sanitizer {
            organization: Text::lossy(&certificate.organization),
            media_description: Text::lossy(&media),
            tool_version: Text::lossy(env!("CARGO_PKG_VERSION")),
        },
        termination: termination(row)?,
        times: stage_times(fenced.span.started_ms, now)?,
        keys,
        fence: fence(&fenced.fence)?,
    })?)
}

/// What the erasure of one tenant rests on, besides the statement before.
pub(super) struct Erasure<'a> {
    pub(super) rekeyed: &'a Rekeyed,
    pub(super) fence: &'a FenceRecord,
    pub(super) inventory: &'a Inventory,
    pub(super) backup: &'a BackedUp,
    pub(super) destroyed: &'a Destroyed,
}

/// The statement that the root epoch is destroyed.
pub(super) fn erased(
    domain: &ShredDomain,
    id: ReceiptId,
    revoked: &Statement,
    erasure: &Erasure<'_>,
    now: UnixMs,
) -> Result<Statement, ShredError> {
    let ordered = times::of_erasure(
        revoked,
        erasure.rekeyed.started_ms,
        erasure.fence,
        erasure.backup,
        erasure.destroyed,
        now.0,
    );
    let destroyed = &Destroyed {
        at_ms: ordered.destroyed_ms,
        ..erasure.destroyed.clone()
    };
    let raised = FenceRecord {
        raised_ms: ordered.fence_ms,
        ..erasure.fence.clone()
    };
    let horizon = match domain.certificate.root_backups {
        RootBackups::Unknown => Horizon::Unknown,
        RootBackups::KeptDays(days) => {
            let kept_ms = i64::from(days) * DAY_MS;
            Horizon::At(time(destroyed.at_ms.saturating_add(kept_ms))?)
        }
    };
    Ok(Statement::erased(
        revoked,
        said::Erased {
            receipt_id: Hex(*id.as_bytes()),
            times: stage_times(ordered.started_ms, now)?,
            fence: fence(&raised)?,
            inventory: inventory(erasure.inventory)?,
            root: root(destroyed)?,
            backup: said::Backup {
                sha256: hex(&erasure.backup.sha256)?,
                at: time(ordered.backup_ms)?,
                nodes: erasure.backup.nodes,
                keks: erasure.backup.keks,
                restore_test: TestResult::Passed,
                victims_found: 0,
            },
            horizon,
        },
    )?)
}

fn inventory(found: &Inventory) -> Result<said::Inventory, ShredError> {
    Ok(said::Inventory {
        status: if found.complete {
            InventoryStatus::Complete
        } else {
            InventoryStatus::Partial
        },
        objects: found.objects,
        bytes: found.bytes,
        root: found.root.as_deref().map(hex).transpose()?,
        uncounted: found
            .uncounted
            .iter()
            .map(|text| Text::lossy(text))
            .collect(),
    })
}

fn root(destroyed: &Destroyed) -> Result<RootDestruction, ShredError> {
    // Only the evidence of a destruction that was seen is ever stored: the canaries are in the key crate's hands.
    Ok(RootDestruction {
        provider: Text::lossy(&destroyed.provider),
        assurance: match destroyed.assurance.as_str() {
            "hardware" => ProviderAssurance::Hardware,
            "service" => ProviderAssurance::Service,
            "software" => ProviderAssurance::Software,
            other => {
                return Err(ShredError::Unreadable {
                    what: "evidence",
                    reason: format!("no assurance is called {other}"),
                });
            }
        },
        epoch_destroyed: destroyed.epoch_destroyed,
        epoch_current: destroyed.epoch_current,
        canary_destroyed: DestroyedCanary {
            before: CanaryOutcome::Opened,
            after: CanaryOutcome::Refused,
        },
        canary_current: CanaryOutcome::Opened,
        destroyed_at: time(destroyed.at_ms)?,
        evidence: Text::lossy(&destroyed.evidence),
    })
}

/// The statement that the ciphertext is deleted.
pub(super) fn purged(
    id: ReceiptId,
    erased: &Statement,
    progress: &Progress,
    now: UnixMs,
) -> Result<Statement, ShredError> {
    let listed = u64::try_from(progress.held.len()).unwrap_or(u64::MAX);
    let held_objects = listed.saturating_add(progress.held_more);
    let counts = &progress.counts;
    Ok(Statement::purged(
        erased,
        said::Purged {
            receipt_id: Hex(*id.as_bytes()),
            times: stage_times(times::started_ms(erased, progress.started_ms, now.0), now)?,
            purge: Purge {
                status: if held_objects == 0 {
                    PurgeStatus::Complete
                } else {
                    PurgeStatus::Held
                },
                objects: counts.objects,
                versions: counts.versions,
                delete_markers: counts.delete_markers,
                uploads: counts.uploads,
                spooled: counts.spooled,
                bytes: counts.bytes,
                held_objects,
                held: progress.held.iter().map(held).collect::<Result<_, _>>()?,
            },
        },
    )?)
}

/// Receipts count in seconds: one that is begun is held to its end. What they have no date for is as good as without an end, and must
/// not keep the receipt from being issued.
fn held_until(until_ms: i64) -> Option<UtcTime> {
    time(until_ms.saturating_add(999)).ok()
}

fn held(one: &HeldVersion) -> Result<HeldObject, ShredError> {
    Ok(HeldObject {
        bucket: hex(&one.bucket)?,
        key: hex(&one.key)?,
        version_id: Text::lossy(one.version.as_deref().unwrap_or("null")),
        until: one.until_ms.and_then(held_until),
    })
}
