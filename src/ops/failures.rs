//! Failures that the operations themselves find, as [`OpError`]s.

use crate::ops::error::{Code, Detail, OpError};
use crate::placement::Refusal;
use crate::region::{BodyError, RegionError};
use crate::tenants::access::{Demand, Denied, Side};
use lethe_envelope::MetadataError;
use lethe_keys::LeaseEnded;
use std::borrow::Cow;
use std::error::Error;

/// The object was replaced between two upstream requests of one answer, which starts over.
#[derive(Debug, thiserror::Error)]
#[error("the object changed while it was read")]
struct ObjectChanged;

impl OpError {
    /// What is stored is not what was sealed: corrupt, moved or forged. The client is told nothing more.
    #[must_use]
    pub fn not_authentic(cause: impl std::fmt::Display) -> Self {
        Self::new(
            Code::InternalError,
            "The stored object is not authentic and can't be served.",
        )
        .caused_by(format!("not authentic: {cause}"))
    }

    /// The failure of a further upstream request of one answer.
    #[must_use]
    pub fn further_read(error: RegionError) -> Self {
        match error {
            RegionError::PreconditionFailed { .. }
            | RegionError::NotFound { .. }
            | RegionError::DeleteMarker { .. } => Self::new(
                Code::SlowDown,
                "The object changed while it was read. Please retry.",
            )
            .caused_by(ObjectChanged),
            other => other.into(),
        }
    }

    /// Whether the answer should start over.
    #[must_use]
    pub fn is_object_changed(&self) -> bool {
        self.source().is_some_and(<dyn Error>::is::<ObjectChanged>)
    }

    /// An upstream body that broke: not the client's fault.
    #[must_use]
    pub fn upstream_body(error: BodyError) -> Self {
        Self::unavailable("The region's answer broke off. Please retry.", error)
    }
}

impl From<MetadataError> for OpError {
    fn from(error: MetadataError) -> Self {
        match error {
            MetadataError::TooLarge { .. } => Self::new(
                Code::MetadataTooLarge,
                "Your metadata headers exceed the maximum allowed metadata size.",
            ),
            other => Self::internal(other),
        }
    }
}

impl From<LeaseEnded> for OpError {
    fn from(ended: LeaseEnded) -> Self {
        Self::unavailable("The keys are unavailable. Please retry.", ended)
    }
}

impl From<Denied> for OpError {
    fn from(denied: Denied) -> Self {
        Self::access_denied(sentence(denied)).caused_by(denied)
    }
}

/// What the client is told: what is missing, and nothing of what lies out of the credential's scope.
fn sentence(denied: Denied) -> Cow<'static, str> {
    match denied {
        Denied::Expired { at } => {
            let at = jiff::Timestamp::from_millisecond(at.0).map(|at| at.to_string());
            let at = at.map_or_else(|_| String::new(), |at| format!(" on {at}"));
            format!("This credential expired{at}.").into()
        }
        Denied::Lacks { permission, side } => {
            let what = match side {
                Side::Target => "this request",
                Side::Source => "the copy's source",
            };
            format!("This credential lacks the permission {permission}, which {what} needs.").into()
        }
        Denied::OutOfScope { side, demand } => match (side, demand) {
            (Side::Source, _) => "This credential's scope does not cover the copy's source.".into(),
            (_, Demand::WholeBucket(_)) => {
                "This credential's scope does not cover this bucket as a whole.".into()
            }
            (_, Demand::Listing(_)) => {
                "This credential's scope does not cover this listing: list with a prefix that lies within the scope.".into()
            }
            _ => "This credential's scope does not cover what this request names.".into(),
        },
        Denied::Nameless(_) => "Access Denied".into(),
    }
}

impl From<Refusal> for OpError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Elsewhere(redirect) => {
                let error = Self::new(
                    Code::PermanentRedirect,
                    "Another endpoint serves this region. Send all future requests to it.",
                )
                .with(Detail::Endpoint(redirect.public_endpoint));
                match redirect.region {
                    Some(region) => error.with(Detail::Region(region)),
                    None => error,
                }
            }
            Refusal::RegionUnknown(_)
            | Refusal::OutsideDomain { .. }
            | Refusal::NotTheTenants { .. } => Self::new(
                Code::InvalidLocationConstraint,
                "The specified location-constraint is not valid: use the tenant's region.",
            ),
        }
    }
}
