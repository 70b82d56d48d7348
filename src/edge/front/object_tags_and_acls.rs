//! Objects' tags, and their ACL calls that change nothing.

use super::objects::existing_key;
use super::{Call, convert};
use crate::ops::error::{Code, OpError};
use crate::ops::scope::{self, Access};
use crate::ops::{headers, tagging};
use s3s::dto;
use s3s::{S3Request, S3Response};

type Answer<O> = Result<S3Response<O>, OpError>;

pub(super) async fn get_tags(
    call: Call,
    request: S3Request<dto::GetObjectTaggingInput>,
) -> Answer<dto::GetObjectTaggingOutput> {
    let input = &request.input;
    let scope = call.bucket(&input.bucket, Access::Read).await?;
    let key = existing_key(&scope, &input.key)?;
    let version = scope::version(input.version_id.as_deref())?;
    let mut tags = tagging::get_tags(&scope, &key, version.as_ref()).await?;
    // One order whatever the region keeps.
    tags.sort();
    Ok(S3Response::new(dto::GetObjectTaggingOutput {
        tag_set: convert::tags(tags),
        version_id: input.version_id.clone(),
    }))
}

async fn replace_tags(
    call: &Call,
    (bucket, key): (&str, &str),
    version: Option<&str>,
    tags: &[(String, String)],
) -> Result<(), OpError> {
    let scope = call.bucket(bucket, Access::Write).await?;
    let key = existing_key(&scope, key)?;
    let version = scope::version(version)?;
    tagging::set_tags(&scope, &key, version.as_ref(), tags).await
}

pub(super) async fn put_tags(
    call: Call,
    request: S3Request<dto::PutObjectTaggingInput>,
) -> Answer<dto::PutObjectTaggingOutput> {
    let input = request.input;
    let tags: Option<Vec<_>> = input
        .tagging
        .tag_set
        .into_iter()
        .map(|tag| Some((tag.key?, tag.value?)))
        .collect();
    let tags =
        tags.ok_or_else(|| OpError::new(Code::MalformedXML, "A tag needs a key and a value."))?;
    headers::check_tags(&tags)?;
    replace_tags(
        &call,
        (&input.bucket, &input.key),
        input.version_id.as_deref(),
        &tags,
    )
    .await?;
    Ok(S3Response::new(dto::PutObjectTaggingOutput {
        version_id: input.version_id,
    }))
}

pub(super) async fn delete_tags(
    call: Call,
    request: S3Request<dto::DeleteObjectTaggingInput>,
) -> Answer<dto::DeleteObjectTaggingOutput> {
    let input = request.input;
    replace_tags(
        &call,
        (&input.bucket, &input.key),
        input.version_id.as_deref(),
        &[],
    )
    .await?;
    Ok(S3Response::with_status(
        dto::DeleteObjectTaggingOutput {
            version_id: input.version_id,
        },
        http::StatusCode::NO_CONTENT,
    ))
}

pub(super) async fn get_acl(
    call: Call,
    request: S3Request<dto::GetObjectAclInput>,
) -> Answer<dto::GetObjectAclOutput> {
    let input = &request.input;
    let scope = call.bucket(&input.bucket, Access::Read).await?;
    let key = existing_key(&scope, &input.key)?;
    let version = scope::version(input.version_id.as_deref())?;
    scope
        .region
        .store
        .head(scope.tenant, &scope.at(&key), version.as_ref())
        .await?;
    Ok(S3Response::new(dto::GetObjectAclOutput {
        grants: Some(vec![super::buckets::full_control(&call)]),
        owner: Some(call.owner()),
        ..Default::default()
    }))
}

pub(super) async fn put_acl(
    call: Call,
    request: S3Request<dto::PutObjectAclInput>,
) -> Answer<dto::PutObjectAclOutput> {
    let input = &request.input;
    let scope = call.bucket(&input.bucket, Access::Write).await?;
    let key = existing_key(&scope, &input.key)?;
    let version = scope::version(input.version_id.as_deref())?;
    scope
        .region
        .store
        .head(scope.tenant, &scope.at(&key), version.as_ref())
        .await?;
    super::buckets::check_acl(
        &call,
        &request.headers,
        input.access_control_policy.as_ref(),
    )?;
    Ok(S3Response::new(dto::PutObjectAclOutput::default()))
}
