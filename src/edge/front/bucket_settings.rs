//! What a tenant sets of a bucket and the gateway keeps itself: tags and CORS rules.

use super::{Call, convert};
use crate::ops::error::{Code, OpError};
use crate::ops::scope::Access;
use crate::ops::{bucket_tagging, cors};
use s3s::dto;
use s3s::{S3Request, S3Response};

type Answer<O> = Result<S3Response<O>, OpError>;

pub(super) async fn get_tags(
    call: Call,
    request: S3Request<dto::GetBucketTaggingInput>,
) -> Answer<dto::GetBucketTaggingOutput> {
    let scope = call.bucket(&request.input.bucket, Access::Read).await?;
    let tags = bucket_tagging::get_tags(&scope).await?;
    Ok(S3Response::new(dto::GetBucketTaggingOutput {
        tag_set: convert::tags(tags),
    }))
}

pub(super) async fn put_tags(
    call: Call,
    request: S3Request<dto::PutBucketTaggingInput>,
) -> Answer<dto::PutBucketTaggingOutput> {
    let input = request.input;
    let scope = call.bucket(&input.bucket, Access::Write).await?;
    let tags: Option<Vec<_>> = input
        .tagging
        .tag_set
        .into_iter()
        .map(|tag| Some((tag.key?, tag.value?)))
        .collect();
    let tags =
        tags.ok_or_else(|| OpError::new(Code::MalformedXML, "A tag needs a key and a value."))?;
    bucket_tagging::set_tags(&scope, &tags).await?;
    Ok(no_content(dto::PutBucketTaggingOutput::default()))
}

pub(super) async fn delete_tags(
    call: Call,
    request: S3Request<dto::DeleteBucketTaggingInput>,
) -> Answer<dto::DeleteBucketTaggingOutput> {
    let scope = call.bucket(&request.input.bucket, Access::Write).await?;
    bucket_tagging::set_tags(&scope, &[]).await?;
    Ok(no_content(dto::DeleteBucketTaggingOutput::default()))
}

pub(super) async fn get_cors(
    call: Call,
    request: S3Request<dto::GetBucketCorsInput>,
) -> Answer<dto::GetBucketCorsOutput> {
    let scope = call.bucket(&request.input.bucket, Access::Read).await?;
    let rules = cors::get_rules(&scope).await?;
    Ok(S3Response::new(dto::GetBucketCorsOutput {
        cors_rules: Some(rules.into_iter().map(to_dto).collect()),
    }))
}

pub(super) async fn put_cors(
    call: Call,
    request: S3Request<dto::PutBucketCorsInput>,
) -> Answer<dto::PutBucketCorsOutput> {
    let input = request.input;
    let scope = call.bucket(&input.bucket, Access::Write).await?;
    let rules = input.cors_configuration.cors_rules;
    let rules = rules.into_iter().map(of_dto).collect::<Result<_, _>>()?;
    cors::set_rules(&scope, rules).await?;
    Ok(S3Response::new(dto::PutBucketCorsOutput::default()))
}

pub(super) async fn delete_cors(
    call: Call,
    request: S3Request<dto::DeleteBucketCorsInput>,
) -> Answer<dto::DeleteBucketCorsOutput> {
    let scope = call.bucket(&request.input.bucket, Access::Write).await?;
    cors::delete_rules(&scope).await?;
    Ok(no_content(dto::DeleteBucketCorsOutput::default()))
}

fn no_content<O>(output: O) -> S3Response<O> {
    S3Response::with_status(output, http::StatusCode::NO_CONTENT)
}

fn of_dto(rule: dto::CORSRule) -> Result<cors::CorsRule, OpError> {
    let max_age_s = rule.max_age_seconds.map(u32::try_from).transpose();
    Ok(cors::CorsRule {
        id: rule.id,
        allowed_origins: rule.allowed_origins,
        allowed_methods: rule.allowed_methods,
        allowed_headers: rule.allowed_headers.unwrap_or_default(),
        expose_headers: rule.expose_headers.unwrap_or_default(),
        max_age_s: max_age_s.map_err(|_| {
            OpError::invalid_request("MaxAgeSeconds in a CORS rule must not be negative.")
        })?,
    })
}

fn to_dto(rule: cors::CorsRule) -> dto::CORSRule {
    let listed = |texts: Vec<String>| (!texts.is_empty()).then_some(texts);
    dto::CORSRule {
        id: rule.id,
        allowed_origins: rule.allowed_origins,
        allowed_methods: rule.allowed_methods,
        allowed_headers: listed(rule.allowed_headers),
        expose_headers: listed(rule.expose_headers),
        // It was an i32 on its way in.
        max_age_seconds: rule.max_age_s.and_then(|s| i32::try_from(s).ok()),
    }
}
