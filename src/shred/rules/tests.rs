use super::*;
use crate::catalog::{Approval, TerminationId};
use crate::tenants::TenantId;

const DAY: i64 = 86_400_000;
const HOUR: i64 = 3_600_000;

fn policy(window: Option<&str>) -> ShredPolicy {
    ShredPolicy {
        mode: ApprovalMode::Production,
        grace_days: 30,
        window: window.map(|text| text.parse().unwrap()),
    }
}

fn termination(state: TerminationState, mode: ApprovalMode) -> Termination {
    Termination {
        id: TerminationId::from_bytes([1; 16]),
        tenant: TenantId::from_bytes([2; 16]),
        requested_by: "alice".to_owned(),
        requested: UnixMs(0),
        grace_end: UnixMs(30 * DAY),
        mode,
        state,
        approvals: vec![Approval {
            principal: "bob".to_owned(),
            at: UnixMs(1),
        }],
        cancelled: None,
        shred: None,
        sealed_inventory_key: None,
    }
}

#[test]
fn window_text_is_a_time_of_day() {
    for good in ["00:00", "03:00", "23:59"] {
        assert_eq!(good.parse::<DailyWindow>().unwrap().to_string(), good);
    }
    for bad in [
        "",
        "3:00",
        "03:0",
        "24:00",
        "03:60",
        "03-00",
        "+3:00",
        "03:000",
        "０３:00",
    ] {
        assert_eq!(bad.parse::<DailyWindow>(), Err(DailyWindowError), "{bad}");
    }
}

#[test]
fn run_is_the_first_window_after_the_grace() {
    let at_three = policy(Some("03:00"));
    for (grace_end, expected) in [
        (0, 3 * HOUR),
        (3 * HOUR, 3 * HOUR),
        (3 * HOUR + 1, DAY + 3 * HOUR),
        (DAY - 1, DAY + 3 * HOUR),
        (-1, 3 * HOUR),
    ] {
        assert_eq!(
            at_three.run_at(UnixMs(grace_end)).0,
            expected,
            "{grace_end}"
        );
    }
    assert_eq!(policy(None).run_at(UnixMs(77)).0, 77);
}

#[test]
fn due_before_agrees_with_the_run() {
    let at_three = policy(Some("03:00"));
    for now in (0..5 * DAY).step_by(977_777) {
        let before = at_three.due_before(UnixMs(now));
        for grace_end in (0..5 * DAY).step_by(1_333_333) {
            let taken = UnixMs(grace_end) <= before;
            let runs = at_three.run_at(UnixMs(grace_end)) <= UnixMs(now);
            assert_eq!(taken, runs, "grace ended {grace_end}, now {now}");
        }
    }
}

#[test]
fn approval_after_the_grace_waits_for_the_next_window() {
    let at_three = policy(Some("03:00"));
    let (end, late) = (30 * DAY, 31 * DAY + 12 * HOUR);
    let mut row = termination(TerminationState::Approved, ApprovalMode::Production);
    let approval = |principal: &str, at| Approval {
        principal: principal.to_owned(),
        at: UnixMs(at),
    };
    row.approvals.push(approval("carol", late));
    assert_eq!(at_three.runs(&row).0, 32 * DAY + 3 * HOUR);
    assert_eq!(due(&at_three, &row, UnixMs(late + HOUR)), Due::Waiting);
    let window = UnixMs(32 * DAY + 3 * HOUR);
    assert_eq!(due(&at_three, &row, window), Due::Due);
    // A third approval, after the two that it took, changes nothing.
    row.approvals.push(approval("dave", late + 2 * DAY));
    assert_eq!(at_three.runs(&row), window);
    assert_eq!(policy(None).runs(&row).0, late);
    row.approvals.truncate(1);
    assert_eq!(at_three.runs(&row).0, end + 3 * HOUR);
}

#[test]
fn grace_asked_for_again_is_the_one_that_runs_or_refused() {
    let row = termination(TerminationState::Requested, ApprovalMode::Production);
    assert_eq!(same_grace(&row, None), Ok(()));
    assert_eq!(same_grace(&row, Some(30)), Ok(()));
    for days in [0, 29, 31, 99_999] {
        let refused = same_grace(&row, Some(days)).unwrap_err();
        let told = refused.to_string();
        assert!(told.contains("1970-01-31T00:00:00Z"), "{told}");
    }
}

#[test]
fn grace_is_only_lengthened() {
    let policy = policy(None);
    let now = UnixMs(5);
    assert_eq!(policy.grace_end(now, None), Ok(UnixMs(5 + 30 * DAY)));
    assert_eq!(policy.grace_end(now, Some(31)), Ok(UnixMs(5 + 31 * DAY)));
    let short = Forbidden::GraceTooShort { days_min: 30 };
    assert_eq!(policy.grace_end(now, Some(29)), Err(short));
    assert_eq!(
        policy.grace_end(now, Some(3651)),
        Err(Forbidden::GraceTooLong)
    );
}

#[test]
fn terminate_wants_an_active_or_suspended_tenant() {
    for (state, expected) in [
        (TenantState::Creating, Err(Forbidden::Creating)),
        (TenantState::Active, Ok(())),
        (TenantState::Suspended, Ok(())),
        (TenantState::Terminating, Err(Forbidden::Terminating)),
        (TenantState::Shredded, Err(Forbidden::Shredded)),
    ] {
        assert_eq!(may_terminate(state), expected, "{state:?}");
    }
}

#[test]
fn approval_is_another_principals_while_nothing_has_begun() {
    use ApprovalMode::{Dev, Production};
    use TerminationState::{Approved, Cancelled, Erased, Purged, Requested, Shredding};
    for (state, mode, principal, expected) in [
        (Requested, Production, "bob", Ok(())),
        (Approved, Production, "carol", Ok(())),
        (Requested, Production, "alice", Err(Forbidden::OwnRequest)),
        (Requested, Dev, "alice", Ok(())),
        (Cancelled, Dev, "alice", Err(Forbidden::Cancelled)),
        (Shredding, Production, "bob", Err(Forbidden::Begun)),
        (Erased, Production, "bob", Err(Forbidden::Begun)),
        (Purged, Production, "bob", Err(Forbidden::Begun)),
    ] {
        let found = may_approve(&termination(state, mode), principal);
        assert_eq!(found, expected, "{state:?} {mode:?} {principal}");
    }
}

#[test]
fn shred_wants_termination_approvals_and_grace() {
    use TerminationState::{Approved, Cancelled, Erased, Purged, Requested, Shredding};
    let terminating = TenantState::Terminating;
    let end = 30 * DAY;
    let unapproved = Forbidden::Unapproved {
        given: 1,
        needed: 2,
    };
    for (tenant, state, now, expected) in [
        (
            TenantState::Active,
            None,
            end,
            Err(Forbidden::NotTerminating),
        ),
        (
            TenantState::Active,
            Some(Cancelled),
            end,
            Err(Forbidden::NotTerminating),
        ),
        (
            TenantState::Suspended,
            None,
            end,
            Err(Forbidden::NotTerminating),
        ),
        (TenantState::Creating, None, end, Err(Forbidden::Creating)),
        (
            TenantState::Shredded,
            Some(Purged),
            end,
            Err(Forbidden::Shredded),
        ),
        (terminating, None, end, Err(Forbidden::NotTerminating)),
        (terminating, Some(Requested), end, Err(unapproved)),
        (
            terminating,
            Some(Approved),
            end - 1,
            Err(Forbidden::InGrace),
        ),
        (terminating, Some(Approved), end, Ok(())),
        (terminating, Some(Shredding), end, Ok(())),
        (terminating, Some(Erased), end, Err(Forbidden::Shredded)),
    ] {
        let row = state.map(|state| termination(state, ApprovalMode::Production));
        let found = may_shred(tenant, row.as_ref(), UnixMs(now));
        assert_eq!(found, expected, "{tenant:?} {state:?} {now}");
    }
}

#[test]
fn due_goes_from_grace_over_waiting_to_overdue() {
    use TerminationState::{Approved, Cancelled, Erased, Requested, Shredding};
    let at_three = policy(Some("03:00"));
    let end = 30 * DAY;
    for (state, now, expected) in [
        (Requested, end - 1, Due::InGrace),
        (Approved, end - 1, Due::InGrace),
        (Requested, end, Due::Overdue),
        (Approved, end, Due::Waiting),
        (Approved, end + 3 * HOUR, Due::Due),
        (Shredding, end + 3 * HOUR, Due::Due),
        (Shredding, end + 7 * HOUR, Due::Overdue),
        (Approved, end + 7 * HOUR, Due::Overdue),
        (Erased, end + 9 * HOUR, Due::Settled),
        (Cancelled, end + 9 * HOUR, Due::Settled),
    ] {
        let row = termination(state, ApprovalMode::Production);
        assert_eq!(
            due(&at_three, &row, UnixMs(now)),
            expected,
            "{state:?} {now}"
        );
    }
}
