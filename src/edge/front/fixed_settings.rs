//! Settings that are the same for every bucket, and those that no bucket has. Tools read them routinely and take 501 for an outage;
//! so a read says what is true, a write of just that changes nothing, and any other write is refused.

use super::Call;
use crate::ops::error::{Code, OpError};
use crate::ops::scope::Access;
use http::StatusCode;
use s3s::dto;
use s3s::{S3Request, S3Response};

type Answer<O> = Result<S3Response<O>, OpError>;

/// Reads of what no bucket has: S3's own code for that.
macro_rules! absent {
    ($($read:ident($input:ident) -> $output:ident = $code:ident, $sentence:literal;)+) => {
        $(
            pub(super) async fn $read(call: Call, request: S3Request<dto::$input>) -> Answer<dto::$output> {
                call.bucket(&request.input.bucket, Access::Read).await?;
                Err(OpError::new(Code::$code, $sentence))
            }
        )+
    };
}

absent! {
    policy(GetBucketPolicyInput) -> GetBucketPolicyOutput
        = NoSuchBucketPolicy, "The bucket policy does not exist";
    policy_status(GetBucketPolicyStatusInput) -> GetBucketPolicyStatusOutput
        = NoSuchBucketPolicy, "The bucket policy does not exist";
    website(GetBucketWebsiteInput) -> GetBucketWebsiteOutput
        = NoSuchWebsiteConfiguration, "The specified bucket does not have a website configuration";
    replication(GetBucketReplicationInput) -> GetBucketReplicationOutput
        = ReplicationConfigurationNotFoundError, "The replication configuration was not found";
}

/// Reads of what is off or empty for every bucket.
macro_rules! empty {
    ($($read:ident($input:ident) -> $output:ident;)+) => {
        $(
            pub(super) async fn $read(call: Call, request: S3Request<dto::$input>) -> Answer<dto::$output> {
                call.bucket(&request.input.bucket, Access::Read).await?;
                Ok(S3Response::new(dto::$output::default()))
            }
        )+
    };
}

empty! {
    acceleration(GetBucketAccelerateConfigurationInput) -> GetBucketAccelerateConfigurationOutput;
    logging(GetBucketLoggingInput) -> GetBucketLoggingOutput;
    notification(GetBucketNotificationConfigurationInput) -> GetBucketNotificationConfigurationOutput;
}

/// Deletions that leave things as they are: of what no bucket has, or of what then is S3's default and every bucket's state.
macro_rules! unchanged_by_deletion {
    ($($delete:ident($input:ident) -> $output:ident;)+) => {
        $(
            pub(super) async fn $delete(call: Call, request: S3Request<dto::$input>) -> Answer<dto::$output> {
                call.bucket(&request.input.bucket, Access::Write).await?;
                Ok(S3Response::with_status(dto::$output::default(), StatusCode::NO_CONTENT))
            }
        )+
    };
}

unchanged_by_deletion! {
    delete_encryption(DeleteBucketEncryptionInput) -> DeleteBucketEncryptionOutput;
    delete_ownership(DeleteBucketOwnershipControlsInput) -> DeleteBucketOwnershipControlsOutput;
    delete_policy(DeleteBucketPolicyInput) -> DeleteBucketPolicyOutput;
    delete_public_access(DeletePublicAccessBlockInput) -> DeletePublicAccessBlockOutput;
    delete_replication(DeleteBucketReplicationInput) -> DeleteBucketReplicationOutput;
    delete_website(DeleteBucketWebsiteInput) -> DeleteBucketWebsiteOutput;
}

pub(super) async fn encryption(
    call: Call,
    request: S3Request<dto::GetBucketEncryptionInput>,
) -> Answer<dto::GetBucketEncryptionOutput> {
    call.bucket(&request.input.bucket, Access::Read).await?;
    let rule = dto::ServerSideEncryptionRule {
        apply_server_side_encryption_by_default: Some(dto::ServerSideEncryptionByDefault {
            kms_master_key_id: None,
            sse_algorithm: dto::ServerSideEncryption::from_static(
                dto::ServerSideEncryption::AES256,
            ),
        }),
        bucket_key_enabled: Some(false),
    };
    Ok(S3Response::new(dto::GetBucketEncryptionOutput {
        server_side_encryption_configuration: Some(dto::ServerSideEncryptionConfiguration {
            rules: vec![rule],
        }),
    }))
}

fn check_encryption(rules: &[dto::ServerSideEncryptionRule]) -> Result<(), OpError> {
    let malformed = |sentence| Err(OpError::new(Code::MalformedXML, sentence));
    let [rule] = rules else {
        return malformed("An encryption configuration has one rule.");
    };
    let Some(default) = &rule.apply_server_side_encryption_by_default else {
        return malformed("The rule needs ApplyServerSideEncryptionByDefault.");
    };
    match default.sse_algorithm.as_str() {
        dto::ServerSideEncryption::AES256 if default.kms_master_key_id.is_some() => {
            Err(OpError::invalid_argument(
                "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms",
            ))
        }
        dto::ServerSideEncryption::AES256 if rule.bucket_key_enabled != Some(true) => Ok(()),
        dto::ServerSideEncryption::AES256
        | dto::ServerSideEncryption::AWS_KMS
        | dto::ServerSideEncryption::AWS_KMS_DSSE => Err(OpError::not_implemented(
            "Every object is encrypted under its tenant's own key: the only default is AES256, without a bucket key.",
        )),
        _ => malformed("The SSEAlgorithm is not one of S3's."),
    }
}

pub(super) async fn put_encryption(
    call: Call,
    request: S3Request<dto::PutBucketEncryptionInput>,
) -> Answer<dto::PutBucketEncryptionOutput> {
    call.bucket(&request.input.bucket, Access::Write).await?;
    check_encryption(&request.input.server_side_encryption_configuration.rules)?;
    Ok(S3Response::new(dto::PutBucketEncryptionOutput::default()))
}

pub(super) async fn ownership(
    call: Call,
    request: S3Request<dto::GetBucketOwnershipControlsInput>,
) -> Answer<dto::GetBucketOwnershipControlsOutput> {
    call.bucket(&request.input.bucket, Access::Read).await?;
    let enforced = dto::ObjectOwnership::from_static(dto::ObjectOwnership::BUCKET_OWNER_ENFORCED);
    Ok(S3Response::new(dto::GetBucketOwnershipControlsOutput {
        ownership_controls: Some(dto::OwnershipControls {
            rules: vec![dto::OwnershipControlsRule {
                object_ownership: enforced,
            }],
        }),
    }))
}

/// Accepts the one ownership that there is.
pub(super) fn check_ownership(ownership: &dto::ObjectOwnership) -> Result<(), OpError> {
    match ownership.as_str() {
        dto::ObjectOwnership::BUCKET_OWNER_ENFORCED => Ok(()),
        dto::ObjectOwnership::BUCKET_OWNER_PREFERRED | dto::ObjectOwnership::OBJECT_WRITER => {
            Err(OpError::not_implemented(
                "Everything belongs to its tenant: the only object ownership is BucketOwnerEnforced.",
            ))
        }
        _ => Err(OpError::invalid_argument("Invalid object ownership.")),
    }
}

pub(super) async fn put_ownership(
    call: Call,
    request: S3Request<dto::PutBucketOwnershipControlsInput>,
) -> Answer<dto::PutBucketOwnershipControlsOutput> {
    call.bucket(&request.input.bucket, Access::Write).await?;
    match &request.input.ownership_controls.rules[..] {
        [rule] => check_ownership(&rule.object_ownership)?,
        _ => {
            return Err(OpError::new(
                Code::MalformedXML,
                "Ownership controls have one rule.",
            ));
        }
    }
    Ok(S3Response::new(
        dto::PutBucketOwnershipControlsOutput::default(),
    ))
}

pub(super) async fn public_access(
    call: Call,
    request: S3Request<dto::GetPublicAccessBlockInput>,
) -> Answer<dto::GetPublicAccessBlockOutput> {
    call.bucket(&request.input.bucket, Access::Read).await?;
    Ok(S3Response::new(dto::GetPublicAccessBlockOutput {
        public_access_block_configuration: Some(dto::PublicAccessBlockConfiguration {
            block_public_acls: Some(true),
            block_public_policy: Some(true),
            ignore_public_acls: Some(true),
            restrict_public_buckets: Some(true),
        }),
    }))
}

pub(super) async fn put_public_access(
    call: Call,
    request: S3Request<dto::PutPublicAccessBlockInput>,
) -> Answer<dto::PutPublicAccessBlockOutput> {
    call.bucket(&request.input.bucket, Access::Write).await?;
    let asked = &request.input.public_access_block_configuration;
    // What is left out is false.
    let blocks_all = [
        asked.block_public_acls,
        asked.block_public_policy,
        asked.ignore_public_acls,
        asked.restrict_public_buckets,
    ]
    .iter()
    .all(|block| *block == Some(true));
    match blocks_all {
        true => Ok(S3Response::new(dto::PutPublicAccessBlockOutput::default())),
        false => Err(OpError::not_implemented(
            "Nothing is ever public here: all four kinds of public access stay blocked.",
        )),
    }
}

pub(super) async fn request_payment(
    call: Call,
    request: S3Request<dto::GetBucketRequestPaymentInput>,
) -> Answer<dto::GetBucketRequestPaymentOutput> {
    call.bucket(&request.input.bucket, Access::Read).await?;
    Ok(S3Response::new(dto::GetBucketRequestPaymentOutput {
        payer: Some(dto::Payer::from_static(dto::Payer::BUCKET_OWNER)),
    }))
}

pub(super) async fn put_request_payment(
    call: Call,
    request: S3Request<dto::PutBucketRequestPaymentInput>,
) -> Answer<dto::PutBucketRequestPaymentOutput> {
    call.bucket(&request.input.bucket, Access::Write).await?;
    let payer = &request.input.request_payment_configuration.payer;
    match payer.as_str() {
        dto::Payer::BUCKET_OWNER => Ok(S3Response::new(
            dto::PutBucketRequestPaymentOutput::default(),
        )),
        dto::Payer::REQUESTER => Err(OpError::not_implemented(
            "Requesters never pay: the only payer is BucketOwner.",
        )),
        _ => Err(OpError::new(
            Code::MalformedXML,
            "The Payer is BucketOwner or Requester.",
        )),
    }
}

pub(super) async fn put_logging(
    call: Call,
    request: S3Request<dto::PutBucketLoggingInput>,
) -> Answer<dto::PutBucketLoggingOutput> {
    call.bucket(&request.input.bucket, Access::Write).await?;
    match request.input.bucket_logging_status.logging_enabled {
        None => Ok(S3Response::new(dto::PutBucketLoggingOutput::default())),
        Some(_) => Err(OpError::not_implemented(
            "Logging into buckets is not supported.",
        )),
    }
}

pub(super) async fn put_notification(
    call: Call,
    request: S3Request<dto::PutBucketNotificationConfigurationInput>,
) -> Answer<dto::PutBucketNotificationConfigurationOutput> {
    call.bucket(&request.input.bucket, Access::Write).await?;
    match request.input.notification_configuration == dto::NotificationConfiguration::default() {
        true => Ok(S3Response::new(
            dto::PutBucketNotificationConfigurationOutput::default(),
        )),
        false => Err(OpError::not_implemented("Notifications are not supported.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(
        algorithm: &'static str,
        key: Option<&str>,
        bucket_key: Option<bool>,
    ) -> dto::ServerSideEncryptionRule {
        dto::ServerSideEncryptionRule {
            apply_server_side_encryption_by_default: Some(dto::ServerSideEncryptionByDefault {
                kms_master_key_id: key.map(str::to_owned),
                sse_algorithm: dto::ServerSideEncryption::from_static(algorithm),
            }),
            bucket_key_enabled: bucket_key,
        }
    }

    #[test]
    fn encryption_default_other_than_the_one_there_is_is_refused() {
        let code = |rules: &[_]| check_encryption(rules).map_err(|refused| refused.code());
        let aes = || rule("AES256", None, None);
        assert_eq!(code(&[aes()]), Ok(()));
        assert_eq!(code(&[rule("AES256", None, Some(false))]), Ok(()));
        let missing = dto::ServerSideEncryptionRule::default();
        for (rules, refused) in [
            (vec![], Code::MalformedXML),
            (vec![aes(), aes()], Code::MalformedXML),
            (vec![missing], Code::MalformedXML),
            (vec![rule("rot13", None, None)], Code::MalformedXML),
            (vec![rule("AES256", Some("k"), None)], Code::InvalidArgument),
            (vec![rule("AES256", None, Some(true))], Code::NotImplemented),
            (vec![rule("aws:kms", Some("k"), None)], Code::NotImplemented),
        ] {
            assert_eq!(code(&rules), Err(refused), "{rules:?}");
        }
    }
}
