//! Whose buckets the client means: S3's guard against writing into a bucket that someone else has made under a known name.

use crate::ops::error::OpError;
use http::{HeaderMap, HeaderValue};

/// What a request says of its buckets' owners.
#[derive(Clone, Debug, Default)]
pub(super) struct ExpectedOwners {
    bucket: Option<HeaderValue>,
    source: Option<HeaderValue>,
}

impl ExpectedOwners {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        Self {
            bucket: headers.get("x-amz-expected-bucket-owner").cloned(),
            source: headers.get("x-amz-source-expected-bucket-owner").cloned(),
        }
    }

    /// Compares with the owner that listings name.
    pub(super) fn check_bucket(&self, owner: &str) -> Result<(), OpError> {
        check(self.bucket.as_ref(), owner)
    }

    /// The same for a copy's source.
    pub(super) fn check_source(&self, owner: &str) -> Result<(), OpError> {
        check(self.source.as_ref(), owner)
    }
}

fn check(expected: Option<&HeaderValue>, owner: &str) -> Result<(), OpError> {
    match expected {
        Some(expected) if expected.as_bytes() != owner.as_bytes() => {
            Err(OpError::access_denied("Access Denied"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_header_is_compared_with_its_own_buckets_owner() {
        let of = |name: &'static str, value: &'static str| {
            ExpectedOwners::of(&HeaderMap::from_iter([(
                http::HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )]))
        };
        let (bucket, source) = (
            "x-amz-expected-bucket-owner",
            "x-amz-source-expected-bucket-owner",
        );
        assert!(ExpectedOwners::default().check_bucket("me").is_ok());
        assert!(of(bucket, "me").check_bucket("me").is_ok());
        for other in ["you", "", "ME", "me2"] {
            assert!(of(bucket, other).check_bucket("me").is_err(), "{other}");
            assert!(of(bucket, other).check_source("me").is_ok(), "{other}");
            assert!(of(source, other).check_source("me").is_err(), "{other}");
            assert!(of(source, other).check_bucket("me").is_ok(), "{other}");
        }
    }
}
