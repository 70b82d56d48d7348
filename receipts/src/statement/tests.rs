//! Builders: what they refuse, and what they fill in.

use super::*;
use crate::fixtures::world::{
    FINISHED, HORIZON, erased_evidence, issuer, purged_evidence, revoked_evidence, statements,
    text, time,
};
use crate::json::INTEGER_MAX;
use crate::keys::ValidatorKey;
use crate::text::UtcTime;

fn revoked() -> Statement {
    Statement::revoked(revoked_evidence("acme")).unwrap()
}

/// The check that evidence for the stage `erased` fails once it is changed so.
fn refused(change: fn(&mut Erased)) -> CheckName {
    let mut evidence = erased_evidence("acme");
    change(&mut evidence);
    match Statement::erased(&revoked(), evidence) {
        Err(StatementError::Evidence { check, .. }) => check,
        other => panic!("{other:?}"),
    }
}

#[test]
fn evidence_that_does_not_show_an_erasure_makes_no_statement() {
    assert_eq!(
        refused(|evidence| evidence.root.canary_destroyed.after = CanaryOutcome::Opened),
        CheckName::RootDestruction
    );
    assert_eq!(
        refused(|evidence| evidence.root.canary_current = CanaryOutcome::Refused),
        CheckName::RootDestruction
    );
    assert_eq!(
        refused(|evidence| evidence.backup.victims_found = 1),
        CheckName::Backup
    );
    assert_eq!(
        refused(|evidence| evidence.fence.number = 7),
        CheckName::Fences
    );
    assert_eq!(
        refused(|evidence| evidence.inventory.root = None),
        CheckName::Inventory
    );
    assert_eq!(
        refused(|evidence| evidence.root.provider = text("pkcs11")),
        CheckName::RootDestruction
    );
    assert_eq!(
        refused(|evidence| evidence.horizon = horizon_at(FINISHED[1] - 3901)),
        CheckName::ClaimedTimes
    );
    assert_eq!(
        refused(|evidence| evidence.root.destroyed_at = time(FINISHED[1] + 301)),
        CheckName::ClaimedTimes
    );
}

#[test]
fn revocation_without_enough_approvers_or_keys_makes_no_statement() {
    let refused = |change: fn(&mut Revoked)| {
        let mut evidence = revoked_evidence("acme");
        change(&mut evidence);
        match Statement::revoked(evidence) {
            Err(StatementError::Evidence { check, .. }) => check,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        refused(|evidence| evidence.termination.approvals.truncate(1)),
        CheckName::Approvals
    );
    assert_eq!(
        refused(|evidence| evidence.termination.requested_by = text("alice")),
        CheckName::Approvals
    );
    assert_eq!(
        refused(|evidence| evidence.termination.approvals[1].at = time(FINISHED[0] - 99)),
        CheckName::ClaimedTimes
    );
    assert_eq!(
        refused(|evidence| evidence.keys.clear()),
        CheckName::KeyChain
    );
    assert_eq!(
        refused(|evidence| {
            evidence.keys.remove(1);
        }),
        CheckName::KeyChain
    );
}

#[test]
fn stage_of_the_wrong_statement_before_is_refused() {
    let [revoked, erased, purged] = statements("acme");
    let wrong = |wanted| Err(StatementError::Stage { wanted });
    for before in [&erased, &purged] {
        let made = Statement::erased(before, erased_evidence("acme"));
        assert_eq!(made, wrong(Stage::Revoked));
    }
    for before in [&revoked, &purged] {
        let made = Statement::purged(before, purged_evidence("acme"));
        assert_eq!(made, wrong(Stage::Erased));
    }
}

fn worth(change: impl Fn(&mut Erased)) -> (Option<Assurance>, Option<Method>) {
    let mut evidence = erased_evidence("acme");
    change(&mut evidence);
    let statement = Statement::erased(&revoked(), evidence).unwrap();
    let predicate = &statement.body().predicate;
    (predicate.assurance, predicate.sanitization.method)
}

fn horizon_at(unix_s: u64) -> Horizon {
    Horizon::At(time(unix_s))
}

#[test]
fn assurance_is_what_the_evidence_deserves() {
    let logical = (Some(Assurance::Logical), Some(Method::Clear));
    let bounded = (Some(Assurance::Bounded), Some(Method::Purge));
    assert_eq!(
        worth(|evidence| evidence.horizon = Horizon::Unknown),
        logical
    );
    assert_eq!(
        worth(|evidence| evidence.horizon = horizon_at(FINISHED[1] + 1)),
        logical
    );
    assert_eq!(
        worth(|evidence| evidence.horizon = horizon_at(FINISHED[1])),
        bounded
    );
    assert_eq!(
        worth(|evidence| evidence.horizon = horizon_at(HORIZON)),
        bounded
    );
}

#[test]
fn root_in_hardware_deserves_more_only_once_no_copy_is_left() {
    let mut root = erased_evidence("acme").root;
    root.assurance = ProviderAssurance::Hardware;
    let deserved = |horizon| Assurance::deserved(&root, horizon, time(FINISHED[1]));
    assert_eq!(deserved(horizon_at(HORIZON)), Assurance::Hardware);
    assert_eq!(deserved(horizon_at(FINISHED[1] + 1)), Assurance::Logical);
    assert_eq!(deserved(Horizon::Unknown), Assurance::Logical);
    assert_eq!(Assurance::Hardware.method(), Method::Purge);
}

#[test]
fn assurance_rises_once_the_horizon_has_passed() {
    let mut evidence = erased_evidence("acme");
    evidence.horizon = horizon_at(FINISHED[1] + 86_400);
    let erased = Statement::erased(&revoked(), evidence).unwrap();
    let purged = Statement::purged(&erased, purged_evidence("acme")).unwrap();
    let assurance = |statement: &Statement| statement.body().predicate.assurance;
    assert_eq!(assurance(&erased), Some(Assurance::Logical));
    assert_eq!(assurance(&purged), Some(Assurance::Bounded));
}

#[test]
fn number_past_2_53_makes_no_statement() {
    let mut evidence = erased_evidence("acme");
    evidence.inventory.bytes = INTEGER_MAX + 1;
    let made = Statement::erased(&revoked(), evidence);
    assert!(matches!(made, Err(StatementError::Form(_))), "{made:?}");
}

#[test]
fn statement_reads_back_from_its_envelope() {
    for statement in statements("acme") {
        let envelope = Envelope::issue(&statement, &issuer());
        let stored = Envelope::from_json(envelope.to_json().unwrap().as_bytes()).unwrap();
        assert_eq!(Statement::from_envelope(&stored).unwrap(), statement);
        assert_eq!(stored.statement_digest(), statement.digest());
    }
}

#[test]
fn log_entry_stays_when_a_validator_signs() {
    let mut envelope = Envelope::issue(&revoked(), &issuer());
    let (entry, digest) = (envelope.log_entry(), envelope.statement_digest());
    let validator = ValidatorKey::from_random([3; 32]);
    envelope.validate(&validator).unwrap();
    assert_eq!(
        (envelope.log_entry(), envelope.statement_digest()),
        (entry, digest)
    );
    let again = envelope.validate(&validator);
    assert_eq!(again, Err(crate::ValidateError::SignedAlready));
    let issuer_in_disguise = ValidatorKey::from_pem(&issuer().to_pem().unwrap()).unwrap();
    let own = envelope.validate(&issuer_in_disguise);
    assert_eq!(own, Err(crate::ValidateError::SignedAlready));
}

#[test]
fn disclosures_name_what_weakens_a_receipt() {
    let says = |statement: &Statement, what: &str| {
        let risks = &statement.body().predicate.residual_risks;
        risks.iter().any(|risk| risk.as_str().contains(what))
    };
    let mut evidence = erased_evidence("acme");
    evidence.root.provider = text("file");
    evidence.root.assurance = ProviderAssurance::Software;
    evidence.horizon = Horizon::Unknown;
    let erased = Statement::erased(&revoked(), evidence).unwrap();
    assert!(says(&erased, "The root was a file"));
    assert!(says(&erased, "Nobody said when the last copy"));
    assert!(says(&erased, "did not answer a fence"));
    let [_, _, purged] = statements("acme");
    assert!(says(&purged, "Stores hold 1 object versions"));
    assert!(!says(&purged, "Nobody said"));
}

#[test]
fn times_may_be_out_of_order_by_the_tolerance_and_no_more() {
    let finished_at = |unix_s: u64| {
        let mut evidence = erased_evidence("acme");
        evidence.root.destroyed_at = UtcTime::from_unix_s(unix_s).unwrap();
        evidence.horizon = Horizon::Unknown;
        Statement::erased(&revoked(), evidence).is_ok()
    };
    assert!(finished_at(FINISHED[1] + 300));
    assert!(!finished_at(FINISHED[1] + 301));
}
