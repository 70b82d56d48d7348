//! What a write's headers say of the object: metadata to seal, tags, and what Lethe must refuse rather than ignore.

use crate::ops::error::{Code, OpError};
use http::HeaderMap;
use lethe_envelope::{ObjectMetadata, user_metadata_len};
use std::collections::BTreeMap;

/// User metadata of a request as the protocol front decoded it.
pub type UserMetadata = std::collections::HashMap<String, String>;

const ENCRYPTION: &str = "x-amz-server-side-encryption";
/// Headers that go with `aws:kms` alone.
const OF_KMS: [&str; 2] = [
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-context",
];
const USER_METADATA_BYTES_MAX: usize = 2048;
const TAGS_MAX: usize = 10;

fn text(headers: &HeaderMap, name: &str) -> Result<Option<String>, OpError> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    // Header values are opaque bytes; only UTF-8 can be stored and given back as it came.
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| {
        OpError::new(
            Code::InvalidArgument,
            format!("The {name} header is not valid UTF-8."),
        )
    })?;
    Ok(Some(text.to_owned()))
}

/// Content-Encoding without `aws-chunked`, which is the transport's and not the object's.
fn content_encoding(headers: &HeaderMap) -> Result<Option<String>, OpError> {
    let Some(value) = text(headers, "content-encoding")? else {
        return Ok(None);
    };
    let kept: Vec<&str> = value
        .split(',')
        .map(str::trim)
        .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("aws-chunked"))
        .collect();
    Ok((!kept.is_empty()).then(|| kept.join(",")))
}

/// The metadata of a write, without its checksum.
///
/// # Errors
/// `MetadataTooLarge` past 2,048 bytes of user metadata; `InvalidArgument` for text that can't be kept as it is.
pub fn object_metadata(
    headers: &HeaderMap,
    user: Option<&UserMetadata>,
) -> Result<ObjectMetadata, OpError> {
    let user: BTreeMap<String, String> = user
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
        .collect();
    if user_metadata_len(&user) > USER_METADATA_BYTES_MAX {
        return Err(OpError::new(
            Code::MetadataTooLarge,
            "Your metadata headers exceed the maximum allowed metadata size of 2,048 bytes.",
        ));
    }
    Ok(ObjectMetadata {
        user,
        content_type: text(headers, "content-type")?.filter(|value| !value.is_empty()),
        content_disposition: text(headers, "content-disposition")?,
        content_encoding: content_encoding(headers)?,
        content_language: text(headers, "content-language")?,
        cache_control: text(headers, "cache-control")?,
        expires: text(headers, "expires")?,
        checksum: None,
    })
}

/// Tags from `x-amz-tagging`.
///
/// # Errors
/// `InvalidTag` when they break S3's rules.
pub fn tags(headers: &HeaderMap) -> Result<Vec<(String, String)>, OpError> {
    let Some(value) = text(headers, "x-amz-tagging")? else {
        return Ok(Vec::new());
    };
    let decode = |text: &str| {
        percent_encoding::percent_decode_str(&text.replace('+', " "))
            .decode_utf8()
            .map(std::borrow::Cow::into_owned)
            .map_err(|_| OpError::new(Code::InvalidArgument, "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates."))
    };
    let mut tags = Vec::new();
    for pair in value.split('&').filter(|pair| !pair.is_empty()) {
        let (name, tag) = pair.split_once('=').unwrap_or((pair, ""));
        tags.push((decode(name)?, decode(tag)?));
    }
    check_tags(&tags)?;
    Ok(tags)
}

/// S3's rules for tags: at most 10, names of 1 to 128 characters, values of up to 256, no name twice.
///
/// # Errors
/// `BadRequest` or `InvalidTag`, as S3 answers.
pub fn check_tags(tags: &[(String, String)]) -> Result<(), OpError> {
    if tags.len() > TAGS_MAX {
        return Err(OpError::new(
            Code::BadRequest,
            "Object tags cannot be greater than 10",
        ));
    }
    check_each_tag(tags)
}

/// S3's rules for tags of anything, whatever their number.
///
/// # Errors
/// `InvalidTag`.
pub(crate) fn check_each_tag(tags: &[(String, String)]) -> Result<(), OpError> {
    let mut seen = std::collections::BTreeSet::new();
    for (name, value) in tags {
        if !(1..=128).contains(&name.chars().count()) || name.starts_with("aws:") {
            return Err(OpError::new(
                Code::InvalidTag,
                "The TagKey you have provided is invalid",
            ));
        }
        if value.chars().count() > 256 {
            return Err(OpError::new(
                Code::InvalidTag,
                "The TagValue you have provided is invalid",
            ));
        }
        if !seen.insert(name) {
            return Err(OpError::new(
                Code::InvalidTag,
                "Cannot provide multiple Tags with the same key",
            ));
        }
    }
    Ok(())
}

/// Refuses what a write asks for and Lethe does not do; nothing of it is silently dropped.
///
/// # Errors
/// `AccessControlListNotSupported`, `NotImplemented`, `InvalidStorageClass` or `InvalidArgument`.
pub fn check_supported(headers: &HeaderMap) -> Result<(), OpError> {
    let mut names = headers.keys();
    if names.any(|name| name.as_str().starts_with("x-amz-object-lock-")) {
        return Err(OpError::invalid_request(
            "Object lock is asked for where an object is created: in PutObject, CopyObject and CreateMultipartUpload.",
        ));
    }
    check_supported_but_lock(headers)
}

/// As [`check_supported`], for operations that create an object, which may ask for object lock.
///
/// # Errors
/// As [`check_supported`].
pub fn check_supported_but_lock(headers: &HeaderMap) -> Result<(), OpError> {
    if let Some(acl) = text(headers, "x-amz-acl")? {
        check_acl(&acl)?;
    }
    for (name, _) in headers {
        let name = name.as_str();
        if name.starts_with("x-amz-grant-") {
            return Err(acl_not_supported());
        }
        if name.starts_with("x-amz-server-side-encryption-customer-")
            || name.starts_with("x-amz-copy-source-server-side-encryption-customer-")
        {
            // The edge has taken out those that it knows.
            return Err(OpError::not_implemented(
                "A header of encryption with customer-provided keys is not known.",
            ));
        }
    }
    if headers.contains_key("x-amz-website-redirect-location") {
        return Err(OpError::not_implemented(
            "Website redirects are not supported.",
        ));
    }
    match text(headers, "x-amz-storage-class")?.as_deref() {
        None | Some("STANDARD") => {}
        Some(_) => {
            return Err(OpError::new(
                Code::InvalidStorageClass,
                "The storage class you specified is not valid: use STANDARD.",
            ));
        }
    }
    server_side_encryption(headers).map(drop)
}

/// The same for a read, which can't choose an encryption.
///
/// # Errors
/// Those of [`check_supported`], and `InvalidArgument` for an encryption header.
pub fn check_read(headers: &HeaderMap) -> Result<(), OpError> {
    check_supported(headers)?;
    match headers.contains_key(ENCRYPTION) {
        false => Ok(()),
        true => Err(OpError::invalid_argument(format!(
            "The header {ENCRYPTION} is not supported for this operation."
        ))),
    }
}

/// Refuses ACLs that would grant anything: everything is private to the tenant.
///
/// # Errors
/// `AccessControlListNotSupported`.
pub fn check_acl(acl: &str) -> Result<(), OpError> {
    match acl {
        "private" | "bucket-owner-read" | "bucket-owner-full-control" => Ok(()),
        _ => Err(acl_not_supported()),
    }
}

/// S3's answer where ACLs are switched off.
#[must_use]
pub fn acl_not_supported() -> OpError {
    OpError::new(
        Code::AccessControlListNotSupported,
        "The bucket does not allow ACLs: everything is private to its tenant.",
    )
}

/// The server-side encryption that the client asked for, to be answered; every object is encrypted anyway.
///
/// # Errors
/// `InvalidArgument` for a method that S3 does not know, and for a key of AWS KMS with another method.
pub fn server_side_encryption(headers: &HeaderMap) -> Result<&'static str, OpError> {
    match text(headers, ENCRYPTION)?.as_deref() {
        Some("aws:kms") => Ok("aws:kms"),
        None | Some("AES256") if OF_KMS.iter().any(|name| headers.contains_key(*name)) => {
            Err(OpError::invalid_argument(
                "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms",
            ))
        }
        None | Some("AES256") => Ok("AES256"),
        Some(_) => Err(OpError::new(
            Code::InvalidArgument,
            "The encryption method specified is not supported",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn content_encoding_loses_aws_chunked_only() {
        for (sent, kept) in [
            ("aws-chunked", None),
            ("gzip, aws-chunked", Some("gzip")),
            ("AWS-Chunked,gzip,br", Some("gzip,br")),
            ("gzip", Some("gzip")),
        ] {
            let metadata = object_metadata(&headers(&[("content-encoding", sent)]), None).unwrap();
            assert_eq!(metadata.content_encoding.as_deref(), kept, "{sent}");
        }
    }

    #[test]
    fn user_metadata_of_2048_bytes_is_kept_and_2049_refused() {
        let user = |bytes: usize| UserMetadata::from([("a".to_owned(), "v".repeat(bytes - 1))]);
        assert!(object_metadata(&HeaderMap::new(), Some(&user(2048))).is_ok());
        assert!(object_metadata(&HeaderMap::new(), Some(&user(2049))).is_err());
    }

    #[test]
    fn header_that_lethe_would_have_to_ignore_is_refused() {
        for (name, value) in [
            ("x-amz-acl", "public-read"),
            ("x-amz-grant-read", "id=1"),
            ("x-amz-object-lock-mode", "COMPLIANCE"),
            ("x-amz-server-side-encryption-customer-key", "x"),
            ("x-amz-website-redirect-location", "/"),
            ("x-amz-storage-class", "GLACIER"),
            ("x-amz-server-side-encryption", "rot13"),
            ("x-amz-server-side-encryption-aws-kms-key-id", "key"),
            ("x-amz-server-side-encryption-context", "e30="),
        ] {
            assert!(
                check_supported(&headers(&[(name, value)])).is_err(),
                "{name}"
            );
        }
        for (name, value) in [
            ("x-amz-acl", "private"),
            ("x-amz-storage-class", "STANDARD"),
            ("x-amz-server-side-encryption", "aws:kms"),
        ] {
            assert!(
                check_supported(&headers(&[(name, value)])).is_ok(),
                "{name}"
            );
        }
    }

    #[test]
    fn encryption_is_for_writes_and_its_key_for_kms() {
        let kms = ("x-amz-server-side-encryption", "aws:kms");
        let key = ("x-amz-server-side-encryption-aws-kms-key-id", "key");
        assert_eq!(
            server_side_encryption(&headers(&[kms, key])).unwrap(),
            "aws:kms"
        );
        assert!(check_read(&headers(&[kms])).is_err());
        assert!(check_read(&HeaderMap::new()).is_ok());
    }

    #[test]
    fn tags_breaking_s3s_rules_are_refused() {
        let parsed = tags(&headers(&[("x-amz-tagging", "a=1&b+c=%C3%BC&d")])).unwrap();
        assert_eq!(
            parsed,
            [
                ("a".into(), "1".into()),
                ("b c".into(), "ü".into()),
                ("d".into(), String::new())
            ]
        );
        let eleven: String = (0..11).map(|n| format!("k{n}=v&")).collect();
        for bad in [
            "a=1&a=2",
            "aws:x=1",
            "=1",
            &eleven,
            &format!("{}=1", "k".repeat(129)),
            &format!("k={}", "v".repeat(257)),
        ] {
            assert!(tags(&headers(&[("x-amz-tagging", bad)])).is_err(), "{bad}");
        }
    }
}
