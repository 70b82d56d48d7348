//! Which signature a request carries: exactly one, by Signature Version 4, in the header or in the query. Version 2, anonymous
//! requests and requests that carry both are refused; s3s would try Version 2 first and take the query's over the header's.
//!
//! The grammar is stricter than s3s's, so that both always read the same thing.

use super::query::Query;
use crate::ops::{Code, OpError};
use crate::tenants::AccessKeyId;
use http::{HeaderMap, header};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Longest Authorization header, in bytes.
const AUTHORIZATION_BYTES_MAX: usize = 8 * 1024;

/// Where the signature is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// In the Authorization header.
    Header,
    /// In the query (a presigned URL), with its raw `X-Amz-Date` and `X-Amz-Expires`.
    Query {
        /// `X-Amz-Date`, not parsed yet.
        date: String,
        /// `X-Amz-Expires`, not parsed yet.
        expires: String,
    },
}

/// A signature's claims, none of them verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Where the signature is.
    pub placement: Placement,
    /// Who says to have signed.
    pub access_key_id: AccessKeyId,
    /// The scope's date, 8 digits.
    pub scope_date: String,
    /// The scope's region.
    pub scope_region: String,
    /// The scope's service.
    pub scope_service: String,
    /// The headers that the signature covers, lower case, each once.
    pub headers: Vec<String>,
}

impl Signed {
    /// Whether this is a presigned URL.
    #[must_use]
    pub fn is_presigned(&self) -> bool {
        matches!(self.placement, Placement::Query { .. })
    }
}

/// Finds and reads the one signature.
///
/// # Errors
/// The answer for the client when there is none, more than one, one of another version, or a malformed one.
pub fn read(headers: &HeaderMap, query: &Query) -> Result<Signed, OpError> {
    let mut in_headers = headers.get_all(header::AUTHORIZATION).iter();
    let in_header = in_headers.next();
    if in_headers.next().is_some() {
        return Err(only_one());
    }
    if ["Signature", "AWSAccessKeyId"]
        .iter()
        .any(|n| query.has_in_any_case(n))
    {
        return Err(version_2());
    }
    let in_query = [
        "X-Amz-Signature",
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-SignedHeaders",
    ]
    .iter()
    .any(|n| query.has_in_any_case(n));
    match (in_header, in_query) {
        (None, false) => Err(OpError::access_denied("Anonymous access is not allowed.")),
        (Some(_), true) => Err(only_one()),
        (None, true) => from_query(query),
        (Some(value), false) => {
            let text = value.to_str().map_err(|_| malformed())?;
            from_header(text)
        }
    }
}

/// Refuses session tokens: Lethe issues none, so that whatever came with its keys belongs to others' credentials. S3 answers the
/// same where a token does not go with its key.
///
/// # Errors
/// `InvalidToken`.
pub fn refuse_session(headers: &HeaderMap, query: &Query) -> Result<(), OpError> {
    const TOKEN: &str = "x-amz-security-token";
    match headers.contains_key(TOKEN) || query.has_in_any_case(TOKEN) {
        false => Ok(()),
        true => Err(OpError::new(
            Code::InvalidToken,
            "The provided token is malformed or otherwise invalid: these credentials have none.",
        )),
    }
}

fn from_header(text: &str) -> Result<Signed, OpError> {
    if text.starts_with("AWS ") {
        return Err(version_2());
    }
    let (algorithm, rest) = text.split_once(' ').unwrap_or((text, ""));
    match algorithm {
        ALGORITHM => {}
        "AWS4-ECDSA-P256-SHA256" => {
            return Err(OpError::not_implemented(
                "AWS4-ECDSA-P256-SHA256 is not supported. Please use AWS4-HMAC-SHA256.",
            ));
        }
        _ => return Err(OpError::invalid_argument("Unsupported Authorization Type")),
    }
    if text.len() > AUTHORIZATION_BYTES_MAX {
        return Err(malformed());
    }
    let mut fields = rest.trim_start_matches(' ').split(',');
    let mut field = |name: &str| {
        let field = fields.next()?.trim_start_matches(' ');
        field.strip_prefix(name)?.strip_prefix('=')
    };
    let (Some(credential), Some(headers), Some(signature)) = (
        field("Credential"),
        field("SignedHeaders"),
        field("Signature"),
    ) else {
        return Err(malformed());
    };
    if fields.next().is_some() || !is_signature(signature) {
        return Err(malformed());
    }
    assemble(Placement::Header, credential, headers).ok_or_else(malformed)
}

fn from_query(query: &Query) -> Result<Signed, OpError> {
    let missing = || {
        OpError::new(
            Code::AuthorizationQueryParametersError,
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, \
             X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters, each once.",
        )
    };
    let get = |name| query.unique(name).ok_or_else(missing);
    if get("X-Amz-Algorithm")? != ALGORITHM {
        return Err(OpError::new(
            Code::AuthorizationQueryParametersError,
            "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"",
        ));
    }
    let placement = Placement::Query {
        date: get("X-Amz-Date")?.to_owned(),
        expires: get("X-Amz-Expires")?.to_owned(),
    };
    let (credential, headers) = (get("X-Amz-Credential")?, get("X-Amz-SignedHeaders")?);
    let signature = get("X-Amz-Signature")?;
    if !is_signature(signature) {
        return Err(missing());
    }
    assemble(placement, credential, headers).ok_or_else(|| {
        OpError::new(
            Code::AuthorizationQueryParametersError,
            "Error parsing the X-Amz-Credential or X-Amz-SignedHeaders parameter.",
        )
    })
}

/// The claims of a form's credential. What is wrong with them is told in the words for a header's.
#[must_use]
pub fn of_form(credential: &str) -> Option<Signed> {
    assemble(Placement::Header, credential, "host")
}

/// `<access key id>/<date>/<region>/<service>/aws4_request` and `name;name;…`.
fn assemble(placement: Placement, credential: &str, headers: &str) -> Option<Signed> {
    let mut fields = credential.split('/');
    let (id, date, region) = (fields.next()?, fields.next()?, fields.next()?);
    let (service, terminator) = (fields.next()?, fields.next()?);
    let is_date = date.len() == 8 && date.bytes().all(|b| b.is_ascii_digit());
    let is_name = |s: &str| {
        (1..=64).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if fields.next().is_some()
        || terminator != "aws4_request"
        || !is_date
        || !is_name(region)
        || !is_name(service)
    {
        return None;
    }
    Some(Signed {
        placement,
        access_key_id: AccessKeyId::new(id).ok()?,
        scope_date: date.to_owned(),
        scope_region: region.to_owned(),
        scope_service: service.to_owned(),
        headers: signed_names(headers)?,
    })
}

fn signed_names(list: &str) -> Option<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for name in list.split(';') {
        let is_token = !name.is_empty()
            && name.bytes().all(|b| {
                b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&b)
            });
        if !is_token || names.iter().any(|n| n == name) {
            return None;
        }
        names.push(name.to_owned());
    }
    Some(names)
}

fn is_signature(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn only_one() -> OpError {
    OpError::invalid_argument(
        "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter or the Authorization header should be specified",
    )
}

fn version_2() -> OpError {
    OpError::invalid_request(
        "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
    )
}

fn malformed() -> OpError {
    OpError::new(
        Code::AuthorizationHeaderMalformed,
        "The authorization header that you provided is not valid.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CREDENTIAL: &str = "AKID/20260726/eu-central-1/s3/aws4_request";

    fn in_header(values: &[String]) -> Result<Signed, Code> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        read(&headers, &Query::default()).map_err(|e| e.code())
    }

    fn valid() -> String {
        format!(
            "{ALGORITHM} Credential={CREDENTIAL}, SignedHeaders=host;x-amz-date, Signature={}",
            "0a".repeat(32)
        )
    }

    #[test]
    fn header_signature_is_read() {
        let signed = in_header(&[valid()]).unwrap();
        assert_eq!(signed.access_key_id.as_str(), "AKID");
        assert_eq!(signed.scope_region, "eu-central-1");
        assert_eq!(signed.headers, ["host", "x-amz-date"]);
        assert!(!signed.is_presigned());
    }

    #[test]
    fn malformed_headers_are_refused() {
        for broken in [
            valid().replace("Signature=", "Signature=0"),
            valid().replace("/aws4_request", "/aws4_request/x"),
            valid().replace("/aws4_request", ""),
            valid().replace("20260726", "2026072"),
            valid().replace("host;x-amz-date", "host;host"),
            valid().replace("host;x-amz-date", "Host"),
            valid().replace("host;x-amz-date", ""),
            valid().replace("eu-central-1", "eu central"),
            valid().replace("eu-central-1", ""),
            format!("{}, Signature={}", valid(), "0a".repeat(32)),
            format!("{ALGORITHM} "),
        ] {
            assert_eq!(
                in_header(std::slice::from_ref(&broken)),
                Err(Code::AuthorizationHeaderMalformed),
                "{broken}"
            );
        }
    }

    #[test]
    fn version_2_is_refused_wherever_it_is() {
        let code = in_header(&["AWS AKID:c2lnbmF0dXJl".into()]);
        assert_eq!(code, Err(Code::InvalidRequest));
        for raw in [
            "AWSAccessKeyId=AKID&Expires=1&Signature=c2ln",
            "signature=x",
        ] {
            let query = Query::parse(raw).unwrap();
            let refused = read(&HeaderMap::new(), &query).unwrap_err();
            assert_eq!(refused.code(), Code::InvalidRequest, "{raw}");
        }
    }

    #[test]
    fn session_token_is_refused_in_header_and_query() {
        let mut headers = HeaderMap::new();
        assert!(refuse_session(&headers, &Query::default()).is_ok());
        let query = Query::parse("X-Amz-Security-Token=abc").unwrap();
        let refused = refuse_session(&headers, &query).unwrap_err();
        assert_eq!(refused.code(), Code::InvalidToken);
        headers.insert("x-amz-security-token", "abc".parse().unwrap());
        assert!(refuse_session(&headers, &Query::default()).is_err());
    }

    #[test]
    fn anonymous_and_doubly_signed_requests_are_refused() {
        assert_eq!(in_header(&[]), Err(Code::AccessDenied));
        assert_eq!(in_header(&[valid(), valid()]), Err(Code::InvalidArgument));
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, valid().parse().unwrap());
        let query = Query::parse("X-Amz-Signature=1").unwrap();
        let refused = read(&headers, &query).unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        for other in ["Bearer abc", "Basic YTpi", ""] {
            assert_eq!(in_header(&[other.into()]), Err(Code::InvalidArgument));
        }
    }

    #[test]
    fn presigned_query_needs_each_parameter_once() {
        let complete = format!(
            "X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={}&X-Amz-Date=20260726T000000Z&X-Amz-Expires=60\
             &X-Amz-SignedHeaders=host&X-Amz-Signature={}",
            CREDENTIAL.replace('/', "%2F"),
            "0a".repeat(32)
        );
        let code =
            |raw: &str| read(&HeaderMap::new(), &Query::parse(raw).unwrap()).map_err(|e| e.code());
        assert!(code(&complete).unwrap().is_presigned());
        let refused = Err(Code::AuthorizationQueryParametersError);
        for parameter in complete.split('&') {
            assert_eq!(code(&complete.replace(parameter, "a")), refused);
            assert_eq!(code(&format!("{complete}&{parameter}")), refused);
        }
        assert_eq!(code(&complete.to_lowercase()), refused);
    }

    proptest! {
        #[test]
        fn authorization_parser_never_panics(text in "(AWS4-HMAC-SHA256 )?(Credential=)?[ -~]{0,200}") {
            let _ = from_header(&text);
        }
    }
}
