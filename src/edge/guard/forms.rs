//! POST forms. s3s buffers an unsigned form up to 5 GB before its access check, so none reaches it.

use crate::ops::OpError;
use http::request::Parts;
use http::{Method, header};

/// Refuses every POST whose content type is a form's.
///
/// # Errors
/// `NotImplemented`.
pub fn refuse(parts: &Parts) -> Result<(), OpError> {
    let is_form = |value: &http::HeaderValue| {
        let lower = value.as_bytes().to_ascii_lowercase();
        lower.windows(9).any(|w| w == b"form-data")
    };
    let mut types = parts.headers.get_all(header::CONTENT_TYPE).iter();
    if parts.method == Method::POST && types.any(is_form) {
        return Err(OpError::not_implemented(
            "POST forms are not supported yet. Please use a presigned PUT.",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::parts;
    use super::*;
    use crate::ops::Code;

    #[test]
    fn forms_are_refused_in_every_spelling() {
        for spelling in [
            "multipart/form-data; boundary=x",
            "MULTIPART/Form-Data;boundary=\"x\"",
            " multipart/form-data",
        ] {
            let request = parts(Method::POST, "/b", &[("content-type", spelling)]);
            let refused = refuse(&request).unwrap_err();
            assert_eq!(refused.code(), Code::NotImplemented, "{spelling}");
        }
    }

    #[test]
    fn other_posts_and_puts_of_forms_pass() {
        let xml = parts(
            Method::POST,
            "/b?delete",
            &[("content-type", "application/xml")],
        );
        assert!(refuse(&xml).is_ok());
        let put = parts(
            Method::PUT,
            "/b/k",
            &[("content-type", "multipart/form-data")],
        );
        assert!(refuse(&put).is_ok());
    }
}
