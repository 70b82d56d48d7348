//! Bucket tagging. The tags are the gateway's own, in the catalog: no upstream has to know them, and every region kind has them.

use crate::catalog::BucketSetting;
use crate::ops::error::{Code, OpError};
use crate::ops::headers::check_each_tag;
use crate::ops::scope::BucketScope;

/// Tags of one bucket.
const TAGS_MAX: usize = 50;

/// A bucket's tags, as they were put.
///
/// # Errors
/// `NoSuchTagSet` when it has none.
pub async fn get_tags(scope: &BucketScope) -> Result<Vec<(String, String)>, OpError> {
    let (catalog, bucket) = (&scope.domain.catalog, &scope.bucket.name);
    let stored = catalog.bucket_setting(scope.tenant, bucket, BucketSetting::Tagging);
    match stored.await? {
        None => Err(OpError::new(
            Code::NoSuchTagSet,
            "The TagSet does not exist",
        )),
        Some(text) => serde_json::from_str(&text)
            .map_err(|error| OpError::internal(format!("a bucket's tags do not parse: {error}"))),
    }
}

/// Replaces a bucket's tags; none at all deletes them.
///
/// # Errors
/// `BadRequest` past 50 tags, `InvalidTag` when one breaks S3's rules.
pub async fn set_tags(scope: &BucketScope, tags: &[(String, String)]) -> Result<(), OpError> {
    check(tags)?;
    let text = match tags {
        [] => None,
        tags => Some(serde_json::to_string(tags).map_err(OpError::internal)?),
    };
    let catalog = &scope.domain.catalog;
    let (tenant, bucket) = (scope.tenant, &scope.bucket.name);
    let setting = BucketSetting::Tagging;
    catalog
        .set_bucket_setting(tenant, bucket, setting, text.as_deref())
        .await?;
    Ok(())
}

fn check(tags: &[(String, String)]) -> Result<(), OpError> {
    if tags.len() > TAGS_MAX {
        return Err(OpError::new(
            Code::BadRequest,
            "Bucket tag count cannot be greater than 50",
        ));
    }
    check_each_tag(tags)?;
    let mut texts = tags.iter().flat_map(|(name, value)| [name, value]);
    match texts.all(|text| text.chars().all(is_allowed)) {
        true => Ok(()),
        false => Err(OpError::new(
            Code::InvalidTag,
            "A tag may hold letters, numbers, white space and the characters _ . : / = + - @ only",
        )),
    }
}

/// Letters, numbers and separators of any script, and a few signs.
fn is_allowed(c: char) -> bool {
    c.is_alphanumeric() || (c.is_whitespace() && !c.is_control()) || "_.:/=+-@".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    fn code(tags: &[(String, String)]) -> Result<(), Code> {
        check(tags).map_err(|error| error.code())
    }

    #[test]
    fn tags_within_s3s_rules_are_taken() {
        let longest = ("ü".repeat(128), "v".repeat(256));
        assert_eq!(code(&[longest]), Ok(()));
        let odd = tags(&[("a b", ""), ("_.:/=+-@", "数字 9"), ("A", "x"), ("a", "x")]);
        assert_eq!(code(&odd), Ok(()));
        let number = |n: usize| (format!("k{n}"), String::new());
        let fifty: Vec<_> = (0..50).map(number).collect();
        assert_eq!(code(&fifty), Ok(()));
        let more: Vec<_> = (0..51).map(number).collect();
        assert_eq!(code(&more), Err(Code::BadRequest));
    }

    #[test]
    fn tags_breaking_s3s_rules_are_invalid() {
        let (long_name, long_value) = ("k".repeat(129), "v".repeat(257));
        for bad in [
            &[("", "x")][..],
            &[("aws:x", "x")],
            &[("a", "1"), ("a", "1")],
            &[(&long_name, "")],
            &[("a", &long_value)],
            &[("a\n", "")],
            &[("a", "{}")],
            &[("a", "😀")],
        ] {
            assert_eq!(code(&tags(bad)), Err(Code::InvalidTag), "{bad:?}");
        }
    }
}
