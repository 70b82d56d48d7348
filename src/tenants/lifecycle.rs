//! What the creation of tenants, credentials and buckets spans: the subjects of the jobs that finish it, and what a
//! credential's sealed secret is bound to.

use super::{AccessKeyId, BucketName, TenantId};
use std::fmt;
use std::str::FromStr;

/// What a job does its work to; its text is the catalog's `subject`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A tenant.
    Tenant(TenantId),
    /// A credential.
    Credential(AccessKeyId),
    /// A bucket of a tenant's.
    Bucket(TenantId, BucketName),
    /// Every upload of the domain.
    Uploads,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant(tenant) => write!(f, "tenant/{tenant}"),
            Self::Credential(id) => write!(f, "credential/{id}"),
            Self::Bucket(tenant, name) => write!(f, "bucket/{tenant}/{name}"),
            Self::Uploads => f.write_str("uploads"),
        }
    }
}

/// A text that is no job's subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a job's subject")]
pub struct SubjectError;

impl FromStr for Subject {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, SubjectError> {
        if text == "uploads" {
            return Ok(Self::Uploads);
        }
        match text.split_once('/') {
            Some(("tenant", id)) => id.parse().map(Self::Tenant).map_err(|_| SubjectError),
            Some(("credential", id)) => id.parse().map(Self::Credential).map_err(|_| SubjectError),
            Some(("bucket", rest)) => {
                let (tenant, name) = rest.split_once('/').ok_or(SubjectError)?;
                let tenant = tenant.parse().map_err(|_| SubjectError)?;
                let name = name.parse().map_err(|_| SubjectError)?;
                Ok(Self::Bucket(tenant, name))
            }
            _ => Err(SubjectError),
        }
    }
}

/// Who owns the upstream buckets of spooled parts, which every tenant of a region shares: no tenant's random id is this one.
pub const SPOOL_OWNER: TenantId = TenantId::from_bytes([0; 16]);

/// The label under which credential secrets are sealed.
pub const CREDENTIAL_SECRET_LABEL: &str = "credential";

/// What a credential's sealed secret is bound to: a row moved to another tenant or id does not open.
#[must_use]
pub fn credential_secret_fields<'a>(tenant: &'a TenantId, id: &'a AccessKeyId) -> [&'a [u8]; 2] {
    [tenant.as_bytes(), id.as_str().as_bytes()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subject_text_reads_back() {
        let tenant = TenantId::from_bytes([7; 16]);
        for subject in [
            Subject::Tenant(tenant),
            Subject::Credential("AKIA123".parse().unwrap()),
            Subject::Bucket(tenant, "docs.2026".parse().unwrap()),
            Subject::Uploads,
        ] {
            assert_eq!(subject.to_string().parse(), Ok(subject));
        }
    }

    #[test]
    fn subject_of_nothing_is_refused() {
        for text in [
            "",
            "tenant",
            "tenant/xy",
            "bucket/docs",
            "upload",
            "uploads/1",
        ] {
            assert_eq!(text.parse::<Subject>(), Err(SubjectError), "{text}");
        }
    }
}
