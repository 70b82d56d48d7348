//! POST forms. s3s buffers an unsigned form up to 5 GB before its access check, so none reaches it: `edge/forms` serves them.

use crate::ops::{Code, OpError};
use http::request::Parts;
use http::{HeaderMap, Method, header};

/// Whether a request is a form, in whatever spelling.
#[must_use]
pub fn is_form(parts: &Parts) -> bool {
    let is_form = |value: &http::HeaderValue| {
        let lower = value.as_bytes().to_ascii_lowercase();
        lower.windows(9).any(|w| w == b"form-data")
    };
    let mut types = parts.headers.get_all(header::CONTENT_TYPE).iter();
    parts.method == Method::POST && types.any(is_form)
}

/// A form's one content type.
///
/// # Errors
/// `MalformedPOSTRequest` when it is not text.
pub fn content_type(headers: &HeaderMap) -> Result<&str, OpError> {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    match (types.next().map(|value| value.to_str()), types.next()) {
        (Some(Ok(text)), None) => Ok(text),
        _ => Err(OpError::new(
            Code::MalformedPOSTRequest,
            "The body of your POST request is not well-formed multipart/form-data: its content type is not text.",
        )),
    }
}

/// Refuses every form: none may come as far as s3s.
///
/// # Errors
/// `MethodNotAllowed`.
pub fn refuse(parts: &Parts) -> Result<(), OpError> {
    match is_form(parts) {
        false => Ok(()),
        true => Err(OpError::new(
            Code::MethodNotAllowed,
            "The specified method is not allowed against this resource.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::parts;
    use super::*;

    #[test]
    fn forms_are_refused_in_every_spelling() {
        for spelling in [
            "multipart/form-data; boundary=x",
            "MULTIPART/Form-Data;boundary=\"x\"",
            " multipart/form-data",
        ] {
            let request = parts(Method::POST, "/b", &[("content-type", spelling)]);
            let refused = refuse(&request).unwrap_err();
            assert_eq!(refused.code(), Code::MethodNotAllowed, "{spelling}");
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
