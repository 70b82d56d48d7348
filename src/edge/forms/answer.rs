//! What a form that was stored is answered with: what its fields ask for
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html>).

use super::fields::Fields;
use crate::edge::customer_keys;
use crate::edge::host::Addressing;
use crate::ops::put_object::PutAnswer;
use crate::ops::{OpError, headers};
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use quick_xml::escape::escape;
use s3s::Body;

/// Where the object is, as the client called the host.
pub(super) struct Place<'a> {
    pub(super) scheme: &'a str,
    pub(super) host: &'a str,
    pub(super) addressing: &'a Addressing,
    pub(super) bucket: &'a str,
    pub(super) key: &'a str,
}

fn encode(text: &str, kept: &[u8]) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || kept.contains(&byte) {
            true => encoded.push(char::from(byte)),
            false => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

impl Place<'_> {
    fn url(&self) -> String {
        let (scheme, host, key) = (self.scheme, self.host, encode(self.key, b"/"));
        match self.addressing {
            Addressing::Bucket(_) => format!("{scheme}://{host}/{key}"),
            Addressing::Path => format!("{scheme}://{host}/{}/{key}", self.bucket),
        }
    }
}

/// Answers as the fields ask for.
///
/// # Errors
/// Never for a form that was stored: its fields have been read before.
pub(super) fn answer(
    fields: &Fields,
    place: &Place<'_>,
    stored: &PutAnswer,
) -> Result<Response<Body>, OpError> {
    let etag = stored.etag.quoted();
    let encryption = headers::server_side_encryption(&fields.headers()?)?;
    let mut response = Response::new(Body::empty());
    let mut set = |name: HeaderName, value: String| {
        // Version ids come from the region; one that is no header value is left out.
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    };
    set(header::ETAG, etag.clone());
    match fields.get(customer_keys::KEY_MD5) {
        None => set(
            HeaderName::from_static("x-amz-server-side-encryption"),
            encryption.to_owned(),
        ),
        Some(md5) => {
            set(
                HeaderName::from_static(customer_keys::ALGORITHM),
                "AES256".to_owned(),
            );
            set(
                HeaderName::from_static(customer_keys::KEY_MD5),
                md5.to_owned(),
            );
        }
    }
    if let Some(version) = &stored.version {
        set(
            HeaderName::from_static("x-amz-version-id"),
            version.0.clone(),
        );
    }
    if let Some(expiration) = &stored.expiration {
        set(
            HeaderName::from_static("x-amz-expiration"),
            expiration.clone(),
        );
    }
    if let Some(url) = redirect(fields, place, &etag) {
        set(header::LOCATION, url);
        *response.status_mut() = StatusCode::SEE_OTHER;
        return Ok(response);
    }
    set(header::LOCATION, place.url());
    *response.status_mut() = match fields.get("success_action_status") {
        Some("200") => StatusCode::OK,
        Some("201") => StatusCode::CREATED,
        // S3 does not mind any other value.
        _ => StatusCode::NO_CONTENT,
    };
    if response.status() == StatusCode::CREATED {
        let xml = HeaderValue::from_static("application/xml");
        response.headers_mut().insert(header::CONTENT_TYPE, xml);
        *response.body_mut() = Body::from(document(place, &etag));
    }
    Ok(response)
}

fn document(place: &Place<'_>, etag: &str) -> String {
    let url = place.url();
    let (url, bucket, key) = (escape(&url), escape(place.bucket), escape(place.key));
    let etag = escape(etag);
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<PostResponse><Location>{url}</Location><Bucket>{bucket}</Bucket>\
         <Key>{key}</Key><ETag>{etag}</ETag></PostResponse>"
    )
}

/// Where the client is to go: the URL of the form, with what was stored. One that is no URL is as none.
fn redirect(fields: &Fields, place: &Place<'_>, etag: &str) -> Option<String> {
    let asked = fields
        .get("success_action_redirect")
        .or(fields.get("redirect"))?;
    let lower = asked.to_ascii_lowercase();
    let is_url = ["http://", "https://"]
        .iter()
        .any(|s| lower.strip_prefix(s).is_some_and(|rest| !rest.is_empty()));
    if !is_url || !asked.bytes().all(|b| b.is_ascii_graphic()) {
        return None;
    }
    let (url, fragment) = match asked.split_once('#') {
        Some((url, fragment)) => (url, format!("#{fragment}")),
        None => (asked, String::new()),
    };
    let joint = if url.contains('?') { '&' } else { '?' };
    let (bucket, key, etag) = (
        encode(place.bucket, b""),
        encode(place.key, b""),
        encode(etag, b""),
    );
    Some(format!(
        "{url}{joint}bucket={bucket}&key={key}&etag={etag}{fragment}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::ClientEtag;
    use crate::region::VersionId;

    fn answered(pairs: &[(&str, &str)], addressing: &Addressing) -> Response<Body> {
        let mut fields = Fields::default();
        for (name, value) in pairs {
            fields.add(name, (*value).to_owned()).unwrap();
        }
        let place = Place {
            scheme: "https",
            host: "docs.s3.example.com:9443",
            addressing,
            bucket: "docs",
            key: "a b/ü&<",
        };
        let stored = PutAnswer {
            etag: ClientEtag::from_upstream("abc"),
            version: Some(VersionId("v1".into())),
            checksum: None,
            expiration: Some("expiry-date=\"x\"".into()),
        };
        answer(&fields, &place, &stored).unwrap()
    }

    #[test]
    fn status_is_the_one_that_the_form_asks_for() {
        let by_host = Addressing::Bucket("docs".into());
        for (asked, status) in [
            ("200", 200),
            ("201", 201),
            ("204", 204),
            ("404", 204),
            ("", 204),
        ] {
            let response = answered(&[("success_action_status", asked)], &by_host);
            assert_eq!(response.status(), status, "{asked}");
            let headers = response.headers();
            assert_eq!(headers[header::ETAG], "\"abc-1\"");
            assert_eq!(headers["x-amz-version-id"], "v1");
            let url = "https://docs.s3.example.com:9443/a%20b/%C3%BC%26%3C";
            assert_eq!(headers[header::LOCATION], url);
            let body = response.body().bytes().unwrap();
            let expected = match status {
                201 => format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<PostResponse><Location>{url}</Location><Bucket>docs</Bucket>\
                     <Key>a b/ü&amp;&lt;</Key><ETag>&quot;abc-1&quot;</ETag></PostResponse>"
                ),
                _ => String::new(),
            };
            assert_eq!(String::from_utf8(body.to_vec()).unwrap(), expected);
        }
        let by_path = answered(&[], &Addressing::Path);
        let url = "https://docs.s3.example.com:9443/docs/a%20b/%C3%BC%26%3C";
        assert_eq!(by_path.headers()[header::LOCATION], url);
    }

    #[test]
    fn redirect_goes_to_the_forms_url_with_what_was_stored() {
        let told = "bucket=docs&key=a%20b%2F%C3%BC%26%3C&etag=%22abc-1%22";
        for (name, asked, expected) in [
            (
                "success_action_redirect",
                "https://a.test/x",
                Some(format!("https://a.test/x?{told}")),
            ),
            (
                "redirect",
                "HTTP://a.test?y=1#z",
                Some(format!("HTTP://a.test?y=1&{told}#z")),
            ),
            ("success_action_redirect", "javascript:alert(1)", None),
            ("success_action_redirect", "//a.test", None),
            ("success_action_redirect", "https://", None),
            ("success_action_redirect", "https://a.test/\r\nx: y", None),
            ("success_action_redirect", "https://a.test/ü", None),
        ] {
            let pairs = [(name, asked), ("success_action_status", "201")];
            let response = answered(&pairs, &Addressing::Path);
            match expected {
                Some(url) => {
                    assert_eq!(response.status(), 303, "{asked}");
                    assert_eq!(response.headers()[header::LOCATION], url);
                }
                None => assert_eq!(response.status(), 201, "{asked}"),
            }
        }
    }
}
