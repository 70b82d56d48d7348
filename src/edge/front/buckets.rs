//! Buckets: creation, deletion, location, versioning and the ACL calls that change nothing.

use super::fixed_settings::check_ownership;
use super::{Call, convert};
use crate::ops::buckets;
use crate::ops::error::{Code, OpError};
use crate::ops::headers;
use crate::ops::scope::Access;
use crate::region::Versioning;
use crate::tenants::{BucketName, RegionName};
use http::HeaderMap;
use s3s::dto;
use s3s::{S3Request, S3Response};

type Answer<O> = Result<S3Response<O>, OpError>;

fn name(text: &str) -> Result<BucketName, OpError> {
    BucketName::new(text).map_err(|error| {
        OpError::new(
            Code::InvalidBucketName,
            format!("The specified bucket is not valid: the {error}."),
        )
    })
}

pub(super) async fn create(
    call: Call,
    request: S3Request<dto::CreateBucketInput>,
) -> Answer<dto::CreateBucketOutput> {
    let input = &request.input;
    if let Err(refused) = check_acl(&call, &request.headers, None) {
        // Of a bucket that is there S3 says so first.
        return Err(match call.bucket(&input.bucket, Access::Write).await {
            Ok(_) => buckets::already_owned(),
            Err(_) => refused,
        });
    }
    if let Some(ownership) = &input.object_ownership {
        check_ownership(ownership)?;
    }
    let configuration = input.create_bucket_configuration.as_ref();
    if configuration.is_some_and(|configuration| {
        configuration.bucket.is_some() || configuration.location.is_some()
    }) {
        return Err(OpError::not_implemented(
            "Directory buckets are not supported.",
        ));
    }
    let constraint = configuration
        .and_then(|configuration| configuration.location_constraint.as_ref())
        .filter(|constraint| !constraint.as_str().is_empty())
        .map(|constraint| RegionName::new(constraint.as_str()))
        .transpose()
        .map_err(|_| {
            OpError::new(
                Code::InvalidLocationConstraint,
                "The specified location-constraint is not valid",
            )
        })?;
    let (gateway, authorized, name) = (&call.gateway, &call.authorized, name(&input.bucket)?);
    let bucket = match input.object_lock_enabled_for_bucket.unwrap_or(false) {
        true => buckets::create_lock_bucket(gateway, authorized, name, constraint.as_ref()).await?,
        false => buckets::create_bucket(gateway, authorized, name, constraint.as_ref()).await?,
    };
    Ok(S3Response::new(dto::CreateBucketOutput {
        location: Some(format!("/{}", bucket.name)),
    }))
}

pub(super) async fn delete(
    call: Call,
    request: S3Request<dto::DeleteBucketInput>,
) -> Answer<dto::DeleteBucketOutput> {
    let scope = call.tenant(Access::Write)?;
    let bucket = call.bucket(&request.input.bucket, Access::Write).await;
    let name = match bucket {
        Ok(scope) => scope.bucket.name,
        // A deletion that was cut off is finished by repeating it.
        Err(error) if error.code() == Code::NoSuchBucket => {
            call.owners.check_bucket(&call.owner_id())?;
            BucketName::new(request.input.bucket.as_str()).map_err(|_| OpError::no_such_bucket())?
        }
        Err(error) => return Err(error),
    };
    buckets::delete_bucket(&call.gateway, &scope, &name).await?;
    Ok(S3Response::with_status(
        dto::DeleteBucketOutput::default(),
        http::StatusCode::NO_CONTENT,
    ))
}

pub(super) async fn head(
    call: Call,
    request: S3Request<dto::HeadBucketInput>,
) -> Answer<dto::HeadBucketOutput> {
    let scope = call.bucket(&request.input.bucket, Access::Read).await?;
    Ok(S3Response::new(dto::HeadBucketOutput {
        bucket_region: Some(scope.bucket.region.to_string()),
        ..Default::default()
    }))
}

pub(super) async fn list(
    call: Call,
    request: S3Request<dto::ListBucketsInput>,
) -> Answer<dto::ListBucketsOutput> {
    let input = request.input;
    let scope = call.tenant(Access::Read)?;
    let max = match input.max_buckets {
        None => 10_000,
        Some(max) => usize::try_from(max)
            .ok()
            .filter(|max| (1..=10_000).contains(max))
            .ok_or_else(|| {
                OpError::invalid_argument(
                    "Argument max-buckets must be an integer between 1 and 10000",
                )
            })?,
    };
    let prefix = input.prefix.clone().unwrap_or_default();
    let after = input.continuation_token.unwrap_or_default();
    let mut rest = scope
        .domain
        .catalog
        .buckets(scope.tenant)
        .await?
        .into_iter()
        .filter(|bucket| {
            call.authorized.may_name(bucket.name.as_str())
                && bucket.name.as_str().starts_with(&prefix)
                && (after.is_empty() || bucket.name.as_str() > after.as_str())
                && input
                    .bucket_region
                    .as_ref()
                    .is_none_or(|region| region.as_str() == bucket.region.as_str())
        });
    let page: Vec<dto::Bucket> = rest
        .by_ref()
        .take(max)
        .map(|bucket| dto::Bucket {
            bucket_region: Some(bucket.region.to_string()),
            creation_date: Some(convert::timestamp(bucket.created)),
            name: Some(bucket.name.to_string()),
        })
        .collect();
    let next = rest
        .next()
        .and(page.last())
        .and_then(|bucket| bucket.name.clone());
    Ok(S3Response::new(dto::ListBucketsOutput {
        buckets: Some(page),
        continuation_token: next,
        owner: Some(call.owner()),
        prefix: input.prefix,
    }))
}

pub(super) async fn location(
    call: Call,
    request: S3Request<dto::GetBucketLocationInput>,
) -> Answer<dto::GetBucketLocationOutput> {
    let scope = call.bucket(&request.input.bucket, Access::Read).await?;
    // S3 answers an empty constraint for us-east-1.
    let constraint = Some(scope.bucket.region.to_string()).filter(|region| region != "us-east-1");
    Ok(S3Response::new(dto::GetBucketLocationOutput {
        location_constraint: constraint.map(dto::BucketLocationConstraint::from),
    }))
}

pub(super) async fn get_versioning(
    call: Call,
    request: S3Request<dto::GetBucketVersioningInput>,
) -> Answer<dto::GetBucketVersioningOutput> {
    let scope = call.bucket(&request.input.bucket, Access::Read).await?;
    let state = match scope.region.store.profile().versioning {
        true => {
            scope
                .region
                .store
                .versioning(scope.tenant, &scope.bucket.upstream)
                .await?
        }
        false => Versioning::Off,
    };
    let status = match state {
        Versioning::Off => None,
        Versioning::Enabled => Some(dto::BucketVersioningStatus::ENABLED),
        Versioning::Suspended => Some(dto::BucketVersioningStatus::SUSPENDED),
    };
    Ok(S3Response::new(dto::GetBucketVersioningOutput {
        mfa_delete: None,
        status: status.map(dto::BucketVersioningStatus::from_static),
    }))
}

pub(super) async fn put_versioning(
    call: Call,
    request: S3Request<dto::PutBucketVersioningInput>,
) -> Answer<dto::PutBucketVersioningOutput> {
    let input = &request.input;
    let scope = call.bucket(&input.bucket, Access::Write).await?;
    if input.mfa.is_some()
        || input
            .versioning_configuration
            .mfa_delete
            .as_ref()
            .is_some_and(|mfa| mfa.as_str() == dto::MFADelete::ENABLED)
    {
        return Err(OpError::not_implemented("MFA delete is not supported."));
    }
    let state = match input
        .versioning_configuration
        .status
        .as_ref()
        .map(dto::BucketVersioningStatus::as_str)
    {
        Some(dto::BucketVersioningStatus::ENABLED) => Versioning::Enabled,
        Some(dto::BucketVersioningStatus::SUSPENDED) => Versioning::Suspended,
        _ => {
            return Err(OpError::new(
                Code::IllegalVersioningConfigurationException,
                "The Versioning element must be specified: use Enabled or Suspended.",
            ));
        }
    };
    buckets::set_versioning(&scope, state).await?;
    Ok(S3Response::new(dto::PutBucketVersioningOutput::default()))
}

/// The only grant that there is.
pub(super) fn full_control(call: &Call) -> dto::Grant {
    let owner = call.owner();
    dto::Grant {
        grantee: Some(dto::Grantee {
            display_name: owner.display_name,
            email_address: None,
            id: owner.id,
            type_: dto::Type::from_static(dto::Type::CANONICAL_USER),
            uri: None,
        }),
        permission: Some(dto::Permission::from_static(dto::Permission::FULL_CONTROL)),
    }
}

/// Accepts an ACL that changes nothing: a private canned one, or the owner's full control.
pub(super) fn check_acl(
    call: &Call,
    sent: &HeaderMap,
    policy: Option<&dto::AccessControlPolicy>,
) -> Result<(), OpError> {
    headers::check_supported(sent)?;
    let Some(policy) = policy else { return Ok(()) };
    let own = call.owner().id;
    let is_own = |grant: &dto::Grant| {
        grant
            .permission
            .as_ref()
            .is_some_and(|permission| permission.as_str() == dto::Permission::FULL_CONTROL)
            && grant
                .grantee
                .as_ref()
                .is_some_and(|grantee| grantee.id == own)
    };
    match policy
        .grants
        .as_ref()
        .is_none_or(|grants| grants.iter().all(is_own))
    {
        true => Ok(()),
        false => Err(headers::acl_not_supported()),
    }
}

pub(super) async fn get_acl(
    call: Call,
    request: S3Request<dto::GetBucketAclInput>,
) -> Answer<dto::GetBucketAclOutput> {
    call.bucket(&request.input.bucket, Access::Read).await?;
    Ok(S3Response::new(dto::GetBucketAclOutput {
        grants: Some(vec![full_control(&call)]),
        owner: Some(call.owner()),
    }))
}

pub(super) async fn put_acl(
    call: Call,
    request: S3Request<dto::PutBucketAclInput>,
) -> Answer<dto::PutBucketAclOutput> {
    call.bucket(&request.input.bucket, Access::Write).await?;
    check_acl(
        &call,
        &request.headers,
        request.input.access_control_policy.as_ref(),
    )?;
    Ok(S3Response::new(dto::PutBucketAclOutput::default()))
}
