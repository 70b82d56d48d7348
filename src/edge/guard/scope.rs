//! What a signature is for: the service `s3`, in the tenant's region or in us-east-1 (what clients sign for when they know no
//! region). s3s accepts every region, and the service `sts`.

use super::authorization::Signed;
use crate::ops::{Code, Detail, OpError};
use crate::tenants::RegionName;

const ANYWHERE: &str = "us-east-1";

/// Checks the scope's service.
///
/// # Errors
/// The answer for the client when the request is signed for another service.
pub fn check_service(signed: &Signed) -> Result<(), OpError> {
    if signed.scope_service == "s3" {
        return Ok(());
    }
    Err(malformed(
        signed,
        "The credential scope is malformed; incorrect service: this endpoint belongs to \"s3\"."
            .into(),
    ))
}

/// Checks the scope's region against the tenant's.
///
/// # Errors
/// The answer that names the region that the client should sign for.
pub fn check_region(signed: &Signed, tenant_region: &RegionName) -> Result<(), OpError> {
    if signed.scope_region == tenant_region.as_str() || signed.scope_region == ANYWHERE {
        return Ok(());
    }
    let message = format!(
        "The credential scope is malformed; the region '{}' is wrong; expecting '{tenant_region}'",
        signed.scope_region
    );
    Err(malformed(signed, message).with(Detail::Region(tenant_region.clone())))
}

fn malformed(signed: &Signed, message: String) -> OpError {
    let code = if signed.is_presigned() {
        Code::AuthorizationQueryParametersError
    } else {
        Code::AuthorizationHeaderMalformed
    };
    OpError::new(code, message)
}

#[cfg(test)]
mod tests {
    use super::super::testing::header_signed;
    use super::*;

    #[test]
    fn scope_of_another_service_is_refused() {
        let mut signed = header_signed("20260726");
        assert!(check_service(&signed).is_ok());
        for service in ["sts", "S3", "iam", "s3express"] {
            signed.scope_service = service.into();
            let refused = check_service(&signed).unwrap_err();
            assert_eq!(refused.code(), Code::AuthorizationHeaderMalformed);
        }
    }

    #[test]
    fn scope_of_another_region_names_the_right_one() {
        let home = RegionName::new("eu-central-1").unwrap();
        let mut signed = header_signed("20260726");
        for region in ["eu-central-1", "us-east-1"] {
            signed.scope_region = region.into();
            assert!(check_region(&signed, &home).is_ok());
        }
        signed.scope_region = "eu-west-3".into();
        let refused = check_region(&signed, &home).unwrap_err();
        assert_eq!(refused.code(), Code::AuthorizationHeaderMalformed);
        assert_eq!(refused.details(), [Detail::Region(home)]);
    }
}
