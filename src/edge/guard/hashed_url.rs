//! Presigned URLs that name their body's hash. S3 signs the hash in place of `UNSIGNED-PAYLOAD`; s3s always takes the latter for a
//! URL. In a header's signature it takes the hash, and what is signed is otherwise the same, so such a URL is verified as the
//! request that it would be with its signature in the header.

use super::authorization::{Placement, Signed};
use super::payload::{Form, Payload};
use super::query;
use crate::ops::{Code, OpError};
use http::request::Parts;
use http::{HeaderValue, header};

const SIGNATURE: &str = "X-Amz-Signature";
const DATE: &str = "x-amz-date";

/// Moves the signature of such a URL into the header, and says whether this was one.
///
/// # Errors
/// `AuthorizationQueryParametersError` when the URL's parts can't be headers, `InvalidArgument` when a date header contradicts it.
pub fn as_header_signed(
    parts: &mut Parts,
    signed: &Signed,
    payload: &Payload,
) -> Result<bool, OpError> {
    let (Placement::Query { date, .. }, Form::Hashed(_)) = (&signed.placement, payload.form) else {
        return Ok(false);
    };
    let raw = parts.uri.query().unwrap_or_default();
    let signature = query::Query::parse(raw)?;
    let signature = signature.unique(SIGNATURE).ok_or_else(malformed)?;
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{}/{}/{}/aws4_request, SignedHeaders={}, Signature={signature}",
        signed.access_key_id.as_str(),
        signed.scope_date,
        signed.scope_region,
        signed.scope_service,
        signed.headers.join(";"),
    );
    let authorization = HeaderValue::try_from(authorization).map_err(|_| malformed())?;
    let date = HeaderValue::try_from(date).map_err(|_| malformed())?;
    let unsigned = query::without(raw, |name| name == SIGNATURE);
    parts.uri = query::replace(&parts.uri, &unsigned).ok_or_else(malformed)?;
    parts.headers.insert(header::AUTHORIZATION, authorization);
    match parts.headers.insert(DATE, date.clone()) {
        Some(other) if other != date => Err(OpError::invalid_argument(
            "x-amz-date is there twice, with different values.",
        )),
        _ => Ok(true),
    }
}

fn malformed() -> OpError {
    OpError::new(
        Code::AuthorizationQueryParametersError,
        "The query's signature is malformed.",
    )
}

#[cfg(test)]
mod tests {
    use super::super::testing::{header_signed, parts, presigned};
    use super::*;
    use http::Method;

    const TIME: &str = "20260726T120000Z";

    fn payload(form: Form) -> Payload {
        Payload {
            form,
            declared_bytes: Some(1),
            streams_object: true,
        }
    }

    #[test]
    fn signature_moves_from_the_url_into_the_header() {
        let uri = "/b/k?X-Amz-Date=20260726T120000Z&x-id=1&X-Amz-Signature=0a";
        let mut request = parts(Method::PUT, uri, &[("host", "h")]);
        let signed = presigned("20260726", TIME, "60");
        let hashed = payload(Form::Hashed([7; 32]));
        assert!(as_header_signed(&mut request, &signed, &hashed).unwrap());
        assert_eq!(request.uri, "/b/k?X-Amz-Date=20260726T120000Z&x-id=1");
        assert_eq!(request.headers[DATE], TIME);
        assert_eq!(
            request.headers[header::AUTHORIZATION],
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260726/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-date, \
             Signature=0a"
        );
    }

    #[test]
    fn every_other_request_stays_as_it_is() {
        let uri = "/b/k?X-Amz-Signature=0a";
        let hashed = payload(Form::Hashed([7; 32]));
        for (signed, payload) in [
            (header_signed("20260726"), hashed),
            (presigned("20260726", TIME, "60"), payload(Form::Unsigned)),
        ] {
            let mut request = parts(Method::PUT, uri, &[]);
            assert!(!as_header_signed(&mut request, &signed, &payload).unwrap());
            assert_eq!(
                (request.uri.to_string(), request.headers.len()),
                (uri.into(), 0)
            );
        }
    }

    #[test]
    fn date_header_that_contradicts_the_url_is_refused() {
        let mut request = parts(
            Method::PUT,
            "/b/k?X-Amz-Signature=0a",
            &[(DATE, "20260726T120001Z")],
        );
        let signed = presigned("20260726", TIME, "60");
        let hashed = payload(Form::Hashed([7; 32]));
        assert!(as_header_signed(&mut request, &signed, &hashed).is_err());
    }
}
