//! Cross-origin rules of a bucket: what they may be, where they are kept, and which of them decides a request.
//!
//! The rules open nothing: who may do what is the signature's business. They tell browsers whose scripts may read the answers.

use crate::catalog::{BucketSetting, Catalog};
use crate::ops::error::{Code, OpError};
use crate::ops::scope::BucketScope;
use crate::tenants::{BucketName, TenantId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

mod rules;

pub use rules::{CorsRequest, CorsVerdict, Rules, RulesCache};

const RULES_MAX: usize = 100;
const ID_CHARS_MAX: usize = 255;
/// As the rules are kept.
const RULES_BYTES_MAX: usize = 64 << 10;
/// Each may be held against each header that a preflight asks for, and preflights are not signed.
const WILDCARD_HEADERS_MAX: usize = 1_000;

/// The methods that a rule may allow.
pub const METHODS: [&str; 5] = ["GET", "PUT", "POST", "DELETE", "HEAD"];

/// One rule, as it was put
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_CORSRule.html>).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorsRule {
    /// Its name, up to 255 characters.
    pub id: Option<String>,
    /// Whose scripts; each with at most one `*`.
    pub allowed_origins: Vec<String>,
    /// With which of [`METHODS`].
    pub allowed_methods: Vec<String>,
    /// With which request headers; each with at most one `*`.
    pub allowed_headers: Vec<String>,
    /// Which of the answer's headers they may read.
    pub expose_headers: Vec<String>,
    /// How long a browser may keep the preflight's answer, in seconds.
    pub max_age_s: Option<u32>,
}

/// Refuses rules that S3 refuses.
///
/// # Errors
/// `MalformedXML` for no rule at all, `InvalidRequest` for what a rule may not say.
pub fn check(rules: &[CorsRule]) -> Result<(), OpError> {
    if rules.is_empty() {
        return Err(OpError::new(
            Code::MalformedXML,
            "The XML you provided was not well-formed or did not validate against our published schema: a CORS configuration has \
             at least one rule.",
        ));
    }
    if rules.len() > RULES_MAX {
        return Err(OpError::invalid_request(
            "The number of CORS rules should not exceed allowed limit of 100 rules.",
        ));
    }
    let headers = rules.iter().flat_map(|rule| &rule.allowed_headers);
    if headers.filter(|text| text.contains('*')).count() > WILDCARD_HEADERS_MAX {
        return Err(OpError::invalid_request(
            "A CORS configuration can not have more than 1000 AllowedHeaders with a wildcard.",
        ));
    }
    rules.iter().try_for_each(check_rule)
}

fn check_rule(rule: &CorsRule) -> Result<(), OpError> {
    let invalid = |message: String| Err(OpError::invalid_request(message));
    if rule.allowed_origins.is_empty() || rule.allowed_methods.is_empty() {
        return invalid("A CORS rule needs an AllowedOrigin and an AllowedMethod.".to_owned());
    }
    if rule
        .id
        .as_ref()
        .is_some_and(|id| id.chars().count() > ID_CHARS_MAX)
    {
        return invalid("The ID of a CORS rule can not have more than 255 characters.".to_owned());
    }
    let unknown = |m: &&String| !METHODS.contains(&m.as_str());
    if let Some(method) = rule.allowed_methods.iter().find(unknown) {
        return invalid(format!(
            "Found unsupported HTTP method in CORS config. Unsupported method is {method}"
        ));
    }
    let many = |text: &&String| text.matches('*').count() > 1;
    for (name, texts) in [
        ("AllowedOrigin", &rule.allowed_origins),
        ("AllowedHeader", &rule.allowed_headers),
    ] {
        if let Some(text) = texts.iter().find(many) {
            return invalid(format!(
                "{name} \"{text}\" can not have more than one wildcard."
            ));
        }
    }
    let no_origin = |text: &&String| text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic());
    if let Some(text) = rule.allowed_origins.iter().find(no_origin) {
        return invalid(format!("AllowedOrigin \"{text}\" is no origin."));
    }
    for text in &rule.allowed_headers {
        if !is_token(text) {
            return invalid(format!("AllowedHeader \"{text}\" is no header name."));
        }
    }
    for text in &rule.expose_headers {
        if text.contains('*') {
            return invalid(format!(
                "ExposeHeader \"{text}\" contains wildcard. We currently do not support wildcard for ExposeHeader"
            ));
        }
        if !is_token(text) {
            return invalid(format!("ExposeHeader \"{text}\" is no header name."));
        }
    }
    Ok(())
}

/// A header's name (RFC 9110 §5.6.2), `*` included.
fn is_token(text: &str) -> bool {
    let is_sign = |b: u8| b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || is_sign(b))
}

/// A bucket's rules as the catalog keeps them, not yet read.
#[derive(Clone, Debug)]
pub struct StoredRules(Arc<str>);

impl StoredRules {
    /// The rules.
    ///
    /// # Errors
    /// `InternalError` when they are none.
    pub fn read(&self) -> Result<Vec<CorsRule>, OpError> {
        serde_json::from_str(&self.0).map_err(|error| {
            OpError::internal(format!("a bucket's CORS rules do not parse: {error}"))
        })
    }

    /// Rules as the catalog keeps them.
    ///
    /// # Errors
    /// As [`check`]; `MaxMessageLengthExceeded` past 64 KiB.
    pub fn of(rules: &[CorsRule]) -> Result<Self, OpError> {
        check(rules)?;
        let text = serde_json::to_string(rules).map_err(OpError::internal)?;
        match text.len() <= RULES_BYTES_MAX {
            true => Ok(Self(text.into())),
            false => Err(OpError::new(
                Code::MaxMessageLengthExceeded,
                "The CORS configuration is too big: 64 KB are allowed.",
            )),
        }
    }
}

/// A bucket's rules, whether the bucket is there or not: a request that nobody has verified yet may ask.
///
/// # Errors
/// The catalog is away.
pub async fn stored_rules(
    catalog: &dyn Catalog,
    tenant: TenantId,
    bucket: &BucketName,
) -> Result<Option<StoredRules>, OpError> {
    let stored = catalog.bucket_setting(tenant, bucket, BucketSetting::Cors);
    Ok(stored.await?.map(StoredRules))
}

/// A bucket's rules, as they were put.
///
/// # Errors
/// `NoSuchCORSConfiguration` when it has none.
pub async fn get_rules(scope: &BucketScope) -> Result<Vec<CorsRule>, OpError> {
    let catalog = &*scope.domain.catalog;
    match stored_rules(catalog, scope.tenant, &scope.bucket.name).await? {
        Some(stored) => stored.read(),
        None => Err(OpError::new(
            Code::NoSuchCORSConfiguration,
            "The CORS configuration does not exist",
        )),
    }
}

/// Replaces a bucket's rules.
///
/// # Errors
/// As [`check`]; `MaxMessageLengthExceeded` past 64 KiB.
pub async fn set_rules(scope: &BucketScope, rules: Vec<CorsRule>) -> Result<(), OpError> {
    let stored = StoredRules::of(&rules)?;
    store(scope, Some(&stored.0)).await
}

/// Deletes a bucket's rules, if it has any.
///
/// # Errors
/// The catalog is away.
pub async fn delete_rules(scope: &BucketScope) -> Result<(), OpError> {
    store(scope, None).await
}

async fn store(scope: &BucketScope, text: Option<&str>) -> Result<(), OpError> {
    let (catalog, bucket) = (&scope.domain.catalog, &scope.bucket.name);
    catalog
        .set_bucket_setting(scope.tenant, bucket, BucketSetting::Cors, text)
        .await?;
    Ok(())
}

#[cfg(test)]
#[path = "cors/tests.rs"]
mod tests;
