//! User metadata needs names. s3s drops what has none, and its value would be lost without a word.

use crate::ops::OpError;
use http::HeaderMap;

/// Refuses an `x-amz-meta-` header with nothing behind the prefix.
///
/// # Errors
/// `InvalidArgument`.
pub fn check(headers: &HeaderMap) -> Result<(), OpError> {
    match headers.contains_key("x-amz-meta-") {
        false => Ok(()),
        true => Err(OpError::invalid_argument(
            "A metadata header needs a name behind x-amz-meta-.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn metadata_without_a_name_is_refused() {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-meta-a", HeaderValue::from_static("1"));
        assert!(check(&headers).is_ok());
        headers.insert("x-amz-meta-", HeaderValue::from_static("1"));
        assert!(check(&headers).is_err());
    }
}
