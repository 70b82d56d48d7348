//! What an auditor should look at in a termination: where its receipts say less than they could, or came late.

use crate::catalog::{ReceiptRow, Termination};
use crate::clock::UnixMs;
use crate::shred::rules::{Due, LATE_AFTER_MS};
use crate::shred::{TerminationView, proof_is_witnessed};
use lethe_receipts::Envelope;
use lethe_receipts::statement::{
    Assurance, GatewayOutcome, InventoryStatus, Mode, Predicate, PurgeStatus, Statement,
};

const HOUR_MS: i64 = 60 * 60 * 1000;

/// What the receipts of one termination say.
#[derive(Default)]
pub(super) struct Facts {
    /// When the keys were destroyed.
    pub(super) destroyed: Option<UnixMs>,
    unreadable: bool,
    unlogged: bool,
    unwitnessed: bool,
    dev: bool,
    logical: bool,
    partial: bool,
    held: u64,
    expired: usize,
}

impl Facts {
    pub(super) fn of(receipts: &[ReceiptRow]) -> Self {
        let mut facts = Self::default();
        for receipt in receipts {
            match receipt.proof.as_deref().map(proof_is_witnessed) {
                None => facts.unlogged = true,
                Some(Ok(witnessed)) => facts.unwitnessed |= !witnessed,
                Some(Err(_)) => facts.unreadable = true,
            }
            let envelope = Envelope::from_json(receipt.envelope.as_bytes()).ok();
            let statement = envelope.and_then(|found| Statement::from_envelope(&found).ok());
            match statement {
                Some(statement) => facts.add(&statement.body().predicate),
                None => facts.unreadable = true,
            }
        }
        facts
    }

    fn add(&mut self, predicate: &Predicate) {
        self.dev |= predicate.termination.mode == Mode::Dev;
        self.logical |= predicate.assurance == Some(Assurance::Logical);
        if let Some(root) = &predicate.root {
            let seconds = i64::try_from(root.destroyed_at.unix_s()).unwrap_or(i64::MAX);
            self.destroyed = Some(UnixMs(seconds.saturating_mul(1000)));
        }
        if let Some(inventory) = &predicate.inventory {
            self.partial |= inventory.status == InventoryStatus::Partial;
        }
        if let Some(purge) = &predicate.purge
            && purge.status == PurgeStatus::Held
        {
            self.held = purge.held_objects;
        }
        let answers = predicate.fences.iter().flat_map(|fence| &fence.gateways);
        let expired = answers.filter(|one| one.outcome == GatewayOutcome::Expired);
        // Each stage repeats the fences of the one before.
        self.expired = self.expired.max(expired.count());
    }

    /// In sentences for people; none where everything is as it should be.
    pub(super) fn exceptions(&self, view: &TerminationView) -> Vec<String> {
        let mut found = Vec::new();
        let mut when = |holds: bool, text: &str| {
            if holds {
                found.push(text.to_owned());
            }
        };
        when(view.due == Due::Overdue, "overdue");
        when(view.termination.cancelled.is_some(), "cancelled");
        when(self.unreadable, "a receipt can't be read");
        when(self.unlogged, "a receipt is not in the log yet");
        when(self.unwitnessed, "a receipt has too few cosignatures");
        when(self.dev, "one approver was enough");
        when(self.logical, "assurance logical");
        when(self.partial, "inventory partial");
        if let Some(hours) = self.late_h(view) {
            found.push(format!("late by {hours} h"));
        }
        if self.held > 0 {
            found.push(format!("{} object versions held", self.held));
        }
        if self.expired > 0 {
            found.push(format!("{} fences not answered", self.expired));
        }
        found
    }

    fn late_h(&self, view: &TerminationView) -> Option<i64> {
        let late_ms = self.destroyed?.0.saturating_sub(view.run_at.0);
        (late_ms > LATE_AFTER_MS).then_some(late_ms / HOUR_MS)
    }
}

/// The receipts of a termination: none of one that was called off, whose tenant may have those of another.
pub(super) fn has_receipts(termination: &Termination) -> bool {
    termination.cancelled.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Approval, ApprovalMode, TerminationId, TerminationState};
    use crate::tenants::TenantId;

    fn view(due: Due) -> TerminationView {
        TerminationView {
            termination: Termination {
                id: TerminationId::from_bytes([1; 16]),
                tenant: TenantId::from_bytes([2; 16]),
                requested_by: "alice".to_owned(),
                requested: UnixMs(0),
                grace_end: UnixMs(0),
                mode: ApprovalMode::Production,
                state: TerminationState::Purged,
                approvals: Vec::new(),
                cancelled: None,
                shred: None,
                sealed_inventory_key: None,
            },
            due,
            run_at: UnixMs(HOUR_MS),
            waits: None,
        }
    }

    #[test]
    fn shred_that_is_as_it_should_be_has_no_exceptions() {
        let facts = Facts {
            destroyed: Some(UnixMs(HOUR_MS + LATE_AFTER_MS)),
            ..Facts::default()
        };
        assert_eq!(facts.exceptions(&view(Due::Settled)), [""; 0]);
    }

    #[test]
    fn everything_that_is_less_than_it_could_be_is_told() {
        let facts = Facts {
            destroyed: Some(UnixMs(241 * HOUR_MS)),
            unreadable: true,
            unlogged: true,
            unwitnessed: true,
            dev: true,
            logical: true,
            partial: true,
            held: 7,
            expired: 2,
        };
        let mut view = view(Due::Overdue);
        view.termination.cancelled = Some(Approval {
            principal: "alice".to_owned(),
            at: UnixMs(1),
        });
        let expected = [
            "overdue",
            "cancelled",
            "a receipt can't be read",
            "a receipt is not in the log yet",
            "a receipt has too few cosignatures",
            "one approver was enough",
            "assurance logical",
            "inventory partial",
            "late by 240 h",
            "7 object versions held",
            "2 fences not answered",
        ];
        assert_eq!(facts.exceptions(&view), expected);
    }

    #[test]
    fn receipt_that_is_damaged_is_an_exception() {
        let row = ReceiptRow {
            id: crate::catalog::ReceiptId::from_bytes([3; 16]),
            tenant: TenantId::from_bytes([2; 16]),
            stage: crate::catalog::ReceiptStage::Revoked,
            envelope: "{}".to_owned(),
            entry: [0; 32],
            issued: UnixMs(0),
            logged: None,
            proof: None,
        };
        let facts = Facts::of(&[row]);
        let told = facts.exceptions(&view(Due::Settled));
        let expected = ["a receipt can't be read", "a receipt is not in the log yet"];
        assert_eq!(told, expected);
    }
}
