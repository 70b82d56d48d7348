//! When a termination may be asked for, approved, and carried out. Pure: times and rows are arguments.

use crate::catalog::{ApprovalMode, Termination, TerminationState};
use crate::clock::UnixMs;
use crate::tenants::TenantState;
use std::fmt;
use std::str::FromStr;

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

/// The longest grace, in days.
pub const GRACE_DAYS_MAX: u32 = 3650;

/// How long after the start of its window a shred may take before it counts as overdue.
const OVERDUE_AFTER_MS: i64 = 4 * 60 * MINUTE_MS;

/// When due shreds of a day run together: minutes after midnight, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DailyWindow(u16);

/// A text that is no time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a time of day such as 03:00")]
pub struct DailyWindowError;

impl FromStr for DailyWindow {
    type Err = DailyWindowError;

    fn from_str(text: &str) -> Result<Self, DailyWindowError> {
        let (hours, minutes) = text.split_once(':').ok_or(DailyWindowError)?;
        let number = |text: &str, below: u16| {
            let two_digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            let number = text.parse::<u16>().ok().filter(|_| two_digits);
            number.filter(|number| *number < below)
        };
        let hours = number(hours, 24).ok_or(DailyWindowError)?;
        let minutes = number(minutes, 60).ok_or(DailyWindowError)?;
        Ok(Self(hours * 60 + minutes))
    }
}

impl fmt::Display for DailyWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

/// How a domain terminates tenants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShredPolicy {
    /// Approvals.
    pub mode: ApprovalMode,
    /// Days between the request and the earliest shred.
    pub grace_days: u32,
    /// When shreds run; at once when absent.
    pub window: Option<DailyWindow>,
}

impl ShredPolicy {
    /// When the shred of a termination runs whose grace ends then: the first start of the window that is not before.
    #[must_use]
    pub fn run_at(&self, grace_end: UnixMs) -> UnixMs {
        let Some(window) = self.window else {
            return grace_end;
        };
        let offset = i64::from(window.0) * MINUTE_MS;
        let since = grace_end.0.saturating_sub(offset);
        let days = since.div_euclid(DAY_MS) + i64::from(since.rem_euclid(DAY_MS) != 0);
        UnixMs(days.saturating_mul(DAY_MS).saturating_add(offset))
    }

    /// Graces that ended by then are due now: the last start of the window, so that one batch holds a whole day's.
    #[must_use]
    pub fn due_before(&self, now: UnixMs) -> UnixMs {
        let Some(window) = self.window else {
            return now;
        };
        let offset = i64::from(window.0) * MINUTE_MS;
        let since = now.0.saturating_sub(offset);
        UnixMs(
            since
                .div_euclid(DAY_MS)
                .saturating_mul(DAY_MS)
                .saturating_add(offset),
        )
    }

    /// When a grace that begins now ends; `days` may only lengthen it.
    ///
    /// # Errors
    /// [`Forbidden::GraceTooShort`] and [`Forbidden::GraceTooLong`].
    pub fn grace_end(&self, now: UnixMs, days: Option<u32>) -> Result<UnixMs, Forbidden> {
        let days = days.unwrap_or(self.grace_days);
        if days < self.grace_days {
            return Err(Forbidden::GraceTooShort {
                days_min: self.grace_days,
            });
        }
        if days > GRACE_DAYS_MAX {
            return Err(Forbidden::GraceTooLong);
        }
        Ok(now.plus_ms(i64::from(days) * DAY_MS))
    }
}

/// What is said of a termination that the catalog knows as approved and the key store as called off.
pub const CALLED_OFF: &str = "the termination was called off: the key store knows, and this catalog, an older copy, does not; \
     `lethe tenant cancel` calls it off here, too";

/// Why something about a termination may not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// Not created yet.
    #[error("the tenant is not completely created")]
    Creating,
    /// It is being terminated already.
    #[error("the tenant's termination was asked for already")]
    Terminating,
    /// Over.
    #[error("the tenant is shredded already")]
    Shredded,
    /// Nobody has asked for its termination.
    #[error("nobody has asked for the tenant's termination: an active tenant is not shredded")]
    NotTerminating,
    /// Approvals are missing.
    #[error("the termination has {given} of {needed} approvals")]
    Unapproved {
        /// Those there are.
        given: u32,
        /// Those that it takes.
        needed: u32,
    },
    /// The grace runs.
    #[error("the termination's grace has not ended")]
    InGrace,
    /// A shred has begun or is over.
    #[error("the tenant's shred has begun: it can't be called off or approved any more")]
    Begun,
    /// It was called off.
    #[error("the termination was cancelled")]
    Cancelled,
    /// It was called off, which the catalog does not know.
    #[error("{CALLED_OFF}")]
    CalledOff,
    /// Whoever asks does not approve.
    #[error("who asked for a termination does not approve it")]
    OwnRequest,
    /// Shorter than the domain's grace.
    #[error("the grace is at least {days_min} days here")]
    GraceTooShort {
        /// The domain's.
        days_min: u32,
    },
    /// Longer than any.
    #[error("the grace is at most 3650 days")]
    GraceTooLong,
}

/// Whether a tenant's termination may be asked for.
///
/// # Errors
/// [`Forbidden`] unless it is active or suspended.
pub fn may_terminate(state: TenantState) -> Result<(), Forbidden> {
    match state {
        TenantState::Active | TenantState::Suspended => Ok(()),
        TenantState::Creating => Err(Forbidden::Creating),
        TenantState::Terminating => Err(Forbidden::Terminating),
        TenantState::Shredded => Err(Forbidden::Shredded),
    }
}

/// Whether a principal may approve. In development there is one principal, who asks and approves.
///
/// # Errors
/// [`Forbidden`] for who asked, and once it is over or its shred has begun.
pub fn may_approve(termination: &Termination, principal: &str) -> Result<(), Forbidden> {
    match termination.state {
        TerminationState::Requested | TerminationState::Approved => {}
        TerminationState::Cancelled => return Err(Forbidden::Cancelled),
        TerminationState::Shredding | TerminationState::Erased | TerminationState::Purged => {
            return Err(Forbidden::Begun);
        }
    }
    if termination.mode == ApprovalMode::Production && termination.requested_by == principal {
        return Err(Forbidden::OwnRequest);
    }
    Ok(())
}

/// Whether a tenant may be shredded now, for an operator who names it.
///
/// # Errors
/// [`Forbidden`] says what is missing.
pub fn may_shred(
    state: TenantState,
    termination: Option<&Termination>,
    now: UnixMs,
) -> Result<(), Forbidden> {
    match state {
        TenantState::Shredded => return Err(Forbidden::Shredded),
        TenantState::Creating => return Err(Forbidden::Creating),
        TenantState::Active | TenantState::Suspended => return Err(Forbidden::NotTerminating),
        TenantState::Terminating => {}
    }
    let termination = termination.ok_or(Forbidden::NotTerminating)?;
    match termination.state {
        TerminationState::Requested => Err(Forbidden::Unapproved {
            given: u32::try_from(termination.approvals.len()).unwrap_or(u32::MAX),
            needed: termination.mode.approvals_needed(),
        }),
        TerminationState::Approved if termination.grace_end > now => Err(Forbidden::InGrace),
        TerminationState::Approved | TerminationState::Shredding => Ok(()),
        TerminationState::Cancelled => Err(Forbidden::Cancelled),
        TerminationState::Erased | TerminationState::Purged => Err(Forbidden::Shredded),
    }
}

/// How a termination stands to its due date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// The grace runs.
    InGrace,
    /// The grace is over, the window is not there yet.
    Waiting,
    /// The shred should be running.
    Due,
    /// It should be over: approvals are missing, or something stands in its way.
    Overdue,
    /// The keys are destroyed, or it was called off.
    Settled,
}

impl Due {
    /// As operators see it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InGrace => "in-grace",
            Self::Waiting => "waiting",
            Self::Due => "due",
            Self::Overdue => "overdue",
            Self::Settled => "settled",
        }
    }
}

/// How a termination stands now.
#[must_use]
pub fn due(policy: &ShredPolicy, termination: &Termination, now: UnixMs) -> Due {
    let run_at = policy.run_at(termination.grace_end);
    match termination.state {
        TerminationState::Cancelled | TerminationState::Erased | TerminationState::Purged => {
            Due::Settled
        }
        _ if now < termination.grace_end => Due::InGrace,
        // What nobody approved in its grace is late at once: no window will take it.
        TerminationState::Requested => Due::Overdue,
        _ if now >= run_at.plus_ms(OVERDUE_AFTER_MS) => Due::Overdue,
        TerminationState::Shredding => Due::Due,
        TerminationState::Approved if now >= run_at => Due::Due,
        TerminationState::Approved => Due::Waiting,
    }
}

#[cfg(test)]
mod tests;
