//! Checks, their names and the verdict they add up to (`docs/receipts.md` §9).

use std::fmt;

use serde::Serialize;

macro_rules! check_names {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// The stable name of a check, the same in every verifier.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum CheckName { $($(#[$doc])* $name,)* }

        impl CheckName {
            /// Every name, in the order in which checks are made.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The name as it is written.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

check_names! {
    /// The trust file is one, and its keys are sound.
    TrustFile = "trust-file",
    /// No key has two roles or stands twice.
    TrustRoles = "trust-roles",
    /// The receipt file is one.
    ReceiptFile = "receipt-file",
    /// The payload type is in-toto's.
    PayloadType = "payload-type",
    /// The first signature is a trusted issuer's and holds.
    IssuerSignature = "issuer-signature",
    /// Further signatures are nobody's twice, not an issuer's, and hold.
    ValidatorSignatures = "validator-signatures",
    /// The payload is its own RFC 8785 form.
    PayloadCanonical = "payload-canonical",
    /// The payload is a statement of our type with all its fields and no others.
    StatementFormat = "statement-format",
    /// The statement is of the trust file's domain.
    Domain = "domain",
    /// The stages are revoked, erased, purged, from the first and without a gap.
    Stages = "stages",
    /// The KEK creations are complete and chained.
    KeyChain = "key-chain",
    /// The subject is the tenant, and commits to its keys.
    Subject = "subject",
    /// Enough different people approved.
    Approvals = "approvals",
    /// The evidence is that of the stage.
    StageEvidence = "stage-evidence",
    /// Every gateway came under the stage's fences.
    Fences = "fences",
    /// The inventory adds up.
    Inventory = "inventory",
    /// The root epoch is shown to be destroyed.
    RootDestruction = "root-destruction",
    /// The backup was tested and holds no erased key.
    Backup = "backup",
    /// The assurance is deserved.
    Assurance = "assurance",
    /// The purge adds up.
    Purge = "purge",
    /// The receipt says what it does not cover.
    Disclosures = "disclosures",
    /// Claimed times follow each other.
    ClaimedTimes = "claimed-times",
    /// The statement names the one before by its digest.
    Previous = "previous",
    /// The statement repeats the facts of the one before.
    SameFacts = "same-facts",
    /// A checkpoint of the trusted log is there and its signature holds.
    Checkpoint = "checkpoint",
    /// Enough witnesses cosigned the checkpoint.
    Cosignatures = "cosignatures",
    /// The statement is in the log.
    StatementLogged = "statement-logged",
    /// The log only grew between two stages.
    LogConsistency = "log-consistency",
    /// The KEK creations are in the log, before the statement.
    KeysLogged = "keys-logged",
    /// The claimed times fit the time that the witnesses saw.
    WitnessedTime = "witnessed-time",
    /// The keys were trusted at that time.
    KeyWindows = "key-windows",
    /// Enough validators signed.
    ValidatorThreshold = "validator-threshold",
    /// The last stage is at least `erased`.
    Erasure = "erasure",
}

impl fmt::Display for CheckName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It holds.
    Ok,
    /// It is broken: the receipt is invalid.
    Failed,
    /// What it needs is not there yet.
    Missing,
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Missing => "missing",
        })
    }
}

/// One check that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its stable name.
    pub name: CheckName,
    /// Which receipt of the file it is about, from 0; none for the whole.
    pub receipt: Option<usize>,
    /// What came of it.
    pub outcome: Outcome,
    /// The same for people, in one sentence.
    pub sentence: String,
}

/// The one answer about a receipt file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every check holds.
    Verified,
    /// A check is broken.
    Invalid,
    /// No check is broken, and something is not there yet.
    Incomplete,
}

impl Verdict {
    /// The verdict that checks add up to.
    #[must_use]
    pub fn of(checks: &[Check]) -> Self {
        if checks.iter().any(|check| check.outcome == Outcome::Failed) {
            Self::Invalid
        } else if checks.iter().any(|check| check.outcome == Outcome::Missing) {
            Self::Incomplete
        } else {
            Self::Verified
        }
    }

    /// The exit code of a program that ends with this verdict (design §4).
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Verified => 0,
            Self::Invalid => 3,
            Self::Incomplete => 4,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Verified => "verified",
            Self::Invalid => "invalid",
            Self::Incomplete => "incomplete",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_names_are_written_as_they_are_shown() {
        for name in CheckName::ALL {
            assert_eq!(serde_json::to_value(name).unwrap(), name.as_str());
        }
    }

    #[test]
    fn no_check_at_all_is_not_asked_for() {
        let check = |outcome| Check {
            name: CheckName::Purge,
            receipt: None,
            outcome,
            sentence: String::new(),
        };
        let verdict = |outcomes: &[Outcome]| {
            Verdict::of(&outcomes.iter().copied().map(check).collect::<Vec<_>>())
        };
        assert_eq!(verdict(&[Outcome::Ok]), Verdict::Verified);
        assert_eq!(
            verdict(&[Outcome::Missing, Outcome::Ok]),
            Verdict::Incomplete
        );
        assert_eq!(
            verdict(&[Outcome::Missing, Outcome::Failed]),
            Verdict::Invalid
        );
    }
}
