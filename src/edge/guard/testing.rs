//! What the guard's tests make requests of.

use super::authorization::{Placement, Signed};
use crate::tenants::AccessKeyId;
use http::request::Parts;

pub(crate) fn header_signed(scope_date: &str) -> Signed {
    Signed {
        placement: Placement::Header,
        access_key_id: AccessKeyId::new("AKIDEXAMPLE").unwrap(),
        scope_date: scope_date.into(),
        scope_region: "us-east-1".into(),
        scope_service: "s3".into(),
        headers: vec!["host".into(), "x-amz-date".into()],
    }
}

pub(crate) fn presigned(scope_date: &str, date: &str, expires: &str) -> Signed {
    Signed {
        placement: Placement::Query {
            date: date.into(),
            expires: expires.into(),
        },
        ..header_signed(scope_date)
    }
}

pub(crate) fn parts(method: http::Method, uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = http::Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}
