//! Statements: what a receipt says, made only from the evidence that its stage needs (`docs/receipts.md` §4, §5).
//!
//! A [`Statement`] cannot be put together field by field. Each stage is built from the one before it and from the
//! evidence of what happened since, and is held to the rules that verifiers hold it to.

mod disclosures;
mod predicate;
pub(crate) mod rules;

use sha2::{Digest, Sha256};

use crate::check::CheckName;
use crate::envelope::{Envelope, PAYLOAD_TYPE, pae};
use crate::json::{self, JsonError};
use crate::text::{Hex, Text};

pub use predicate::{
    Approval, Assurance, Backup, CanaryOutcome, DestroyedCanary, DigestSet, Domain, Fence,
    FenceScope, GatewayFence, GatewayOutcome, HELD_LISTED_MAX, HeldObject, Horizon, Inventory,
    InventoryStatus, KeyCreation, Method, Mode, PREDICATE_TYPE, Predicate, ProviderAssurance,
    Purge, PurgeStatus, RootDestruction, STATEMENT_TYPE, Sanitization, Stage, StageTimes,
    StatementBody, Subject, TECHNIQUE, Tenant, Termination, TestResult,
};
use rules::Rule;

/// Why there is no statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// The evidence breaks a rule that verifiers check: what it would state is not so.
    #[error("make statement: {check}: {why}")]
    Evidence {
        /// The check that it would fail.
        check: CheckName,
        /// The verifier's sentence.
        why: String,
    },
    /// The statement is not of the stage that must come before.
    #[error("make statement: the one before must be of stage {wanted}")]
    Stage {
        /// The stage that must come before.
        wanted: Stage,
    },
    /// A payload is no statement, or a value has no JSON form.
    #[error(transparent)]
    Form(#[from] JsonError),
}

/// Who answers for the sanitization, for the certificate.
#[derive(Debug, Clone)]
pub struct Sanitizer {
    /// Who sanitizes: the configuration's text, or the domain's name.
    pub organization: Text,
    /// Which media: e.g. the regions and their stores.
    pub media_description: Text,
    /// This program's version.
    pub tool_version: Text,
}

/// A fence that every gateway has come under.
#[derive(Debug, Clone)]
pub struct RaisedFence {
    /// The key store's fence number.
    pub number: u64,
    /// When it was raised.
    pub raised_at: crate::text::UtcTime,
    /// The lease, in seconds.
    pub lease_seconds: u64,
    /// Every gateway that held a lease.
    pub gateways: Vec<GatewayFence>,
}

impl RaisedFence {
    fn of(self, scope: FenceScope) -> Fence {
        Fence {
            number: self.number,
            scope,
            raised_at: self.raised_at,
            lease_seconds: self.lease_seconds,
            gateways: self.gateways,
        }
    }
}

/// What the stage `revoked` is made of.
#[derive(Debug, Clone)]
pub struct Revoked {
    /// 16 random bytes.
    pub receipt_id: Hex<16>,
    /// The domain.
    pub domain: Domain,
    /// The tenant.
    pub tenant: Tenant,
    /// Who answers for it.
    pub sanitizer: Sanitizer,
    /// The decision.
    pub termination: Termination,
    /// Claimed times.
    pub times: StageTimes,
    /// Every KEK that the tenant ever had, by version.
    pub keys: Vec<KeyCreation>,
    /// The fence around the tenant.
    pub fence: RaisedFence,
}

/// What the stage `erased` adds.
#[derive(Debug, Clone)]
pub struct Erased {
    /// 16 random bytes.
    pub receipt_id: Hex<16>,
    /// Claimed times.
    pub times: StageTimes,
    /// The fence around the superseded nodes.
    pub fence: RaisedFence,
    /// What ciphertext there was.
    pub inventory: Inventory,
    /// The destruction of the root epoch.
    pub root: RootDestruction,
    /// The backup that was made and tested.
    pub backup: Backup,
    /// When the last copy of the destroyed root expires.
    pub horizon: Horizon,
}

/// What the stage `purged` adds.
#[derive(Debug, Clone)]
pub struct Purged {
    /// 16 random bytes.
    pub receipt_id: Hex<16>,
    /// Claimed times.
    pub times: StageTimes,
    /// The deletion of the ciphertext.
    pub purge: Purge,
}

/// A statement that keeps every rule for its stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    body: StatementBody,
    payload: String,
}

impl Statement {
    /// States that no gateway can decrypt the tenant's objects any more.
    ///
    /// # Errors
    /// [`StatementError::Evidence`] when the evidence does not say so; [`StatementError::Form`].
    pub fn revoked(evidence: Revoked) -> Result<Self, StatementError> {
        let last_entry = evidence.keys.last().map_or(Hex([0; 32]), |key| key.entry);
        let sanitization = Sanitization {
            organization: evidence.sanitizer.organization,
            media_type: Text::lossy("object storage"),
            media_description: evidence.sanitizer.media_description,
            method: None,
            technique: TECHNIQUE.to_owned(),
            tool: Text::lossy("lethe"),
            tool_version: evidence.sanitizer.tool_version,
            verification_method: Text::lossy(disclosures::VERIFICATION_METHOD),
            location: evidence.domain.jurisdiction.clone(),
            personnel: evidence.termination.requested_by.clone(),
        };
        let predicate = Predicate {
            stage: Stage::Revoked,
            receipt_id: evidence.receipt_id,
            previous: None,
            domain: evidence.domain,
            tenant: evidence.tenant,
            sanitization,
            termination: evidence.termination,
            times: evidence.times,
            keys: evidence.keys,
            fences: vec![evidence.fence.of(FenceScope::Tenant)],
            inventory: None,
            root: None,
            backup: None,
            root_backup_horizon: None,
            assurance: None,
            purge: None,
            not_covered: Vec::new(),
            residual_risks: Vec::new(),
        };
        let subject = Subject {
            name: rules::subject_name(&predicate.tenant),
            digest: DigestSet { sha256: last_entry },
        };
        let body = StatementBody {
            statement_type: STATEMENT_TYPE.to_owned(),
            predicate_type: PREDICATE_TYPE.to_owned(),
            subject: vec![subject],
            predicate,
        };
        Self::finished(body, None)
    }

    /// States that the root epoch which every copy of the tenant's keys hangs from is destroyed. The assurance is the
    /// one that the evidence deserves.
    ///
    /// # Errors
    /// [`StatementError`].
    pub fn erased(revoked: &Self, evidence: Erased) -> Result<Self, StatementError> {
        let mut body = revoked.successor(Stage::Revoked, evidence.receipt_id)?;
        let predicate = &mut body.predicate;
        predicate.stage = Stage::Erased;
        predicate.times = evidence.times;
        predicate.fences.push(evidence.fence.of(FenceScope::Nodes));
        predicate.inventory = Some(evidence.inventory);
        predicate.root = Some(evidence.root);
        predicate.backup = Some(evidence.backup);
        predicate.root_backup_horizon = Some(evidence.horizon);
        Self::finished(body, Some(revoked))
    }

    /// States that the tenant's ciphertext is deleted, as far as its stores let it be.
    ///
    /// # Errors
    /// [`StatementError`].
    pub fn purged(erased: &Self, evidence: Purged) -> Result<Self, StatementError> {
        let mut body = erased.successor(Stage::Erased, evidence.receipt_id)?;
        body.predicate.stage = Stage::Purged;
        body.predicate.times = evidence.times;
        body.predicate.purge = Some(evidence.purge);
        Self::finished(body, Some(erased))
    }

    /// Reads back a statement that this or another program made.
    ///
    /// # Errors
    /// [`StatementError::Form`] when it is none; [`StatementError::Evidence`] when it breaks a rule for its stage.
    pub fn from_envelope(envelope: &Envelope) -> Result<Self, StatementError> {
        let form = |why: &str| StatementError::Form(JsonError::Shape(why.to_owned()));
        if envelope.payload_type() != PAYLOAD_TYPE {
            return Err(form("the payload type is not in-toto's"));
        }
        let body: StatementBody = json::from_strict(envelope.payload())?;
        let payload = json::to_canonical(&body)?;
        if payload.as_bytes() != envelope.payload() {
            return Err(form("the payload is not in RFC 8785 form"));
        }
        check(rules::alone(&body))?;
        Ok(Self { body, payload })
    }

    /// What the statement says.
    #[must_use]
    pub fn body(&self) -> &StatementBody {
        &self.body
    }

    /// What is signed, in RFC 8785 form.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.payload.as_bytes()
    }

    /// The digest by which the next stage names this statement.
    #[must_use]
    pub fn digest(&self) -> Hex<32> {
        Hex(Sha256::digest(pae(PAYLOAD_TYPE, self.payload())).into())
    }

    fn successor(
        &self,
        wanted: Stage,
        receipt_id: Hex<16>,
    ) -> Result<StatementBody, StatementError> {
        if self.body.predicate.stage != wanted {
            return Err(StatementError::Stage { wanted });
        }
        let mut body = self.body.clone();
        body.predicate.receipt_id = receipt_id;
        body.predicate.previous = Some(DigestSet {
            sha256: self.digest(),
        });
        Ok(body)
    }

    /// Fills in what follows from the rest and holds the whole to the rules.
    fn finished(mut body: StatementBody, before: Option<&Self>) -> Result<Self, StatementError> {
        let predicate = &mut body.predicate;
        if let (Some(root), Some(horizon)) = (&predicate.root, predicate.root_backup_horizon) {
            let assurance = Assurance::deserved(root, horizon, predicate.times.finished);
            predicate.assurance = Some(assurance);
            predicate.sanitization.method = Some(assurance.method());
        }
        predicate.not_covered = disclosures::not_covered(predicate);
        predicate.residual_risks = disclosures::residual_risks(predicate);
        check(rules::alone(&body))?;
        if let Some(before) = before {
            check(rules::after(&before.body, &before.digest(), &body))?;
        }
        let payload = json::to_canonical(&body)?;
        Ok(Self { body, payload })
    }
}

fn check(rules: Vec<Rule>) -> Result<(), StatementError> {
    for (check, result) in rules {
        result.map_err(|why| StatementError::Evidence { check, why })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
