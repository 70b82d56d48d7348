//! Which query parameters a request may have. s3s 0.14.1 falls back to the plain operation when it knows no route, so that
//! `PUT ?renameObject` or `PUT /bucket/key?policy` would overwrite an object and `DELETE /bucket?abac` would delete a bucket.
//!
//! So the table lists what s3s routes, by method and level; on writes everything else is refused, whatever S3 adds one day.

use super::query::Query;
use crate::ops::{Code, Detail, OpError};
use http::Method;

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Nothing: the service itself.
    Service,
    /// A bucket.
    Bucket,
    /// An object.
    Object,
}

const PLAIN: [Method; 5] = [
    Method::GET,
    Method::HEAD,
    Method::PUT,
    Method::DELETE,
    Method::POST,
];
const GET: &[Method] = &[Method::GET];
const POST: &[Method] = &[Method::POST];
const GET_PUT: &[Method] = &[Method::GET, Method::PUT];
const GET_HEAD: &[Method] = &[Method::GET, Method::HEAD];
const GET_PUT_DELETE: &[Method] = &[Method::GET, Method::PUT, Method::DELETE];
const GET_POST_DELETE: &[Method] = &[Method::GET, Method::POST, Method::DELETE];
const ANY_UPLOAD: &[Method] = &[Method::GET, Method::PUT, Method::POST, Method::DELETE];

/// The subresources that s3s routes to an operation of their own.
const ROUTED: &[(&str, Level, &[Method])] = &[
    ("accelerate", Level::Bucket, GET_PUT),
    ("acl", Level::Bucket, GET_PUT),
    ("analytics", Level::Bucket, GET_PUT_DELETE),
    ("cors", Level::Bucket, GET_PUT_DELETE),
    ("delete", Level::Bucket, POST),
    ("encryption", Level::Bucket, GET_PUT_DELETE),
    ("intelligent-tiering", Level::Bucket, GET_PUT_DELETE),
    ("inventory", Level::Bucket, GET_PUT_DELETE),
    ("lifecycle", Level::Bucket, GET_PUT_DELETE),
    ("location", Level::Bucket, GET),
    ("logging", Level::Bucket, GET_PUT),
    ("metadataTable", Level::Bucket, GET_POST_DELETE),
    ("metrics", Level::Bucket, GET_PUT_DELETE),
    ("notification", Level::Bucket, GET_PUT),
    ("object-lock", Level::Bucket, GET_PUT),
    ("ownershipControls", Level::Bucket, GET_PUT_DELETE),
    ("policy", Level::Bucket, GET_PUT_DELETE),
    ("policyStatus", Level::Bucket, GET),
    ("publicAccessBlock", Level::Bucket, GET_PUT_DELETE),
    ("replication", Level::Bucket, GET_PUT_DELETE),
    ("requestPayment", Level::Bucket, GET_PUT),
    ("session", Level::Bucket, GET),
    ("tagging", Level::Bucket, GET_PUT_DELETE),
    ("uploads", Level::Bucket, GET),
    ("versioning", Level::Bucket, GET_PUT),
    ("versions", Level::Bucket, GET),
    ("website", Level::Bucket, GET_PUT_DELETE),
    ("acl", Level::Object, GET_PUT),
    ("attributes", Level::Object, GET),
    ("legal-hold", Level::Object, GET_PUT),
    ("restore", Level::Object, POST),
    ("retention", Level::Object, GET_PUT),
    ("select", Level::Object, POST),
    ("tagging", Level::Object, GET_PUT_DELETE),
    ("torrent", Level::Object, GET),
    ("uploads", Level::Object, POST),
    ("uploadId", Level::Object, ANY_UPLOAD),
];

/// Subresources of S3 that s3s has no route for, in any method.
const UNROUTED: &[&str] = &[
    "abac",
    "annotation",
    "metadataAnnotationTable",
    "metadataConfiguration",
    "metadataInventoryTable",
    "metadataJournalTable",
    "renameObject",
];

/// Operations that Lethe has not, refused here because s3s would first find fault with their documents.
const NOT_IMPLEMENTED: &[&str] = &["restore", "select"];

/// What lists and reads may have besides; elsewhere these mean nothing.
const READS: &[&str] = &[
    "bucket-region",
    "continuation-token",
    "delimiter",
    "encoding-type",
    "fetch-owner",
    "id",
    "key-marker",
    "list-type",
    "marker",
    "max-buckets",
    "max-keys",
    "max-parts",
    "max-uploads",
    "part-number-marker",
    "partNumber",
    "prefix",
    "start-after",
    "upload-id-marker",
    "version-id-marker",
    "versionId",
];

/// Subresources of an object that are each version's own.
const OF_VERSIONS: &[&str] = &[
    "acl",
    "attributes",
    "legal-hold",
    "restore",
    "retention",
    "select",
    "tagging",
    "torrent",
];

/// Subresources of a bucket of which there are several, told apart by `id`.
const WITH_ID: &[&str] = &["analytics", "intelligent-tiering", "inventory", "metrics"];

/// Refuses what would silently become another operation.
///
/// # Errors
/// `NotImplemented` for a parameter that is not known here, `MethodNotAllowed` for a subresource of another level or method,
/// `InvalidArgument` and `InvalidRequest` for parameters that do not go together.
pub fn check(method: &Method, level: Level, query: &Query) -> Result<(), OpError> {
    refuse_repeated(query)?;
    let selected = selected(method, level, query)?;
    if selected.is_none() && !plain(level).contains(method) {
        return Err(method_not_allowed(
            "The specified method is not allowed against this resource.".to_owned(),
            plain(level),
        ));
    }
    if let Some(name) = selected.filter(|name| NOT_IMPLEMENTED.contains(name)) {
        return Err(OpError::not_implemented(format!(
            "Lethe does not implement the subresource {name} of objects."
        )));
    }
    for name in query.names() {
        let is_selected = selected == Some(name);
        if !is_selected && !is_custom(name) && !modifies(name, selected, method, level, query) {
            return Err(unexpected(name));
        }
    }
    if *method == Method::PUT && query.has("uploadId") != query.has("partNumber") {
        return Err(OpError::invalid_request(
            "A part upload needs both the partNumber and the uploadId parameter.",
        ));
    }
    if [&Method::GET, &Method::HEAD].contains(&method)
        && query.has("uploadId")
        && query.has("partNumber")
    {
        return Err(OpError::invalid_request(
            "The partNumber and uploadId parameters do not go together here.",
        ));
    }
    Ok(())
}

/// s3s reads a parameter that is there twice as missing: a delete of a version would become a delete of the object.
fn refuse_repeated(query: &Query) -> Result<(), OpError> {
    let repeated = query
        .names()
        .find(|name| !is_custom(name) && query.unique(name).is_none());
    match repeated {
        None => Ok(()),
        Some(name) => Err(OpError::invalid_argument(format!(
            "The query parameter {name} must be there once."
        ))),
    }
}

/// The one subresource that the request selects, if any.
fn selected<'q>(
    method: &Method,
    level: Level,
    query: &'q Query,
) -> Result<Option<&'q str>, OpError> {
    let mut selected = None;
    for name in query.names() {
        let mut routes = ROUTED.iter().filter(|(n, ..)| *n == name).peekable();
        if routes.peek().is_none() {
            continue;
        }
        if !routes.any(|(_, at, methods)| *at == level && methods.contains(method)) {
            return Err(method_not_allowed(
                format!("The subresource {name} does not go with this method on this resource."),
                routed(name, level),
            ));
        }
        if let Some(other) = selected.replace(name) {
            return Err(OpError::invalid_argument(format!(
                "Conflicting query string parameters: {other}, {name}"
            )));
        }
    }
    Ok(selected)
}

/// The methods of a subresource; none where the level has no such subresource.
fn routed(name: &str, level: Level) -> &'static [Method] {
    let route = ROUTED.iter().find(|(n, at, _)| *n == name && *at == level);
    route.map_or(&[], |(.., methods)| methods)
}

/// The methods of a resource without a subresource: forms are posted to buckets.
fn plain(level: Level) -> &'static [Method] {
    match level {
        Level::Service => GET,
        Level::Bucket => &PLAIN,
        Level::Object => &PLAIN[..4],
    }
}

fn method_not_allowed(sentence: String, allowed: &[Method]) -> OpError {
    let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    OpError::new(Code::MethodNotAllowed, sentence).with(Detail::Allow(names.join(", ")))
}

/// What S3 leaves to signatures, SDKs and access logs: every name that begins with `x-`.
fn is_custom(name: &str) -> bool {
    name.get(..2)
        .is_some_and(|start| start.eq_ignore_ascii_case("x-"))
}

/// Whether a parameter may accompany what is selected.
fn modifies(
    name: &str,
    selected: Option<&str>,
    method: &Method,
    level: Level,
    query: &Query,
) -> bool {
    if UNROUTED.contains(&name) {
        return false;
    }
    let of_version = match selected {
        None => [&Method::GET, &Method::HEAD, &Method::DELETE].contains(&method),
        Some(subresource) => OF_VERSIONS.contains(&subresource),
    };
    match name {
        "versionId" => level == Level::Object && of_version,
        "partNumber" if *method == Method::PUT => level == Level::Object,
        "id" if !GET_HEAD.contains(method) => selected.is_some_and(|s| WITH_ID.contains(&s)),
        "select-type" => selected == Some("select"),
        // An unknown subresource looks like this; an unknown parameter with a value changes no read.
        _ if GET_HEAD.contains(method) => {
            READS.contains(&name) || is_response(name) || !query.is_empty_value(name)
        }
        _ => is_response(name),
    }
}

fn is_response(name: &str) -> bool {
    name.starts_with("response-")
}

fn unexpected(name: &str) -> OpError {
    match name {
        "versionId" => OpError::invalid_argument("This operation does not accept a version-id."),
        "partNumber" => {
            OpError::invalid_request("The partNumber parameter does not go with this operation.")
        }
        _ => OpError::not_implemented(format!(
            "The query parameter {name} is not supported with this method."
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(method: &Method, level: Level, query: &str) -> Result<(), Code> {
        check(method, level, &Query::parse(query).unwrap()).map_err(|e| e.code())
    }

    #[test]
    fn subresources_of_buckets_are_refused_on_objects_and_the_service() {
        for (name, level, _) in ROUTED {
            let both = ["acl", "tagging", "uploads"];
            if *level == Level::Bucket && !both.contains(name) {
                for method in [&Method::PUT, &Method::DELETE, &Method::POST, &Method::GET] {
                    for other in [Level::Object, Level::Service] {
                        let refused = code(method, other, name);
                        assert_eq!(refused, Err(Code::MethodNotAllowed), "{method} {name}");
                    }
                }
            }
        }
    }

    #[test]
    fn method_that_a_resource_has_not_is_refused_with_those_that_it_has() {
        use Level::{Bucket, Object, Service};
        for (method, level, query, allowed) in [
            (Method::PUT, Service, "", "GET"),
            (Method::POST, Object, "x-id=1", "GET, HEAD, PUT, DELETE"),
            (Method::POST, Bucket, "policy", "GET, PUT, DELETE"),
            (Method::PUT, Object, "policy", ""),
        ] {
            let refused = check(&method, level, &Query::parse(query).unwrap()).unwrap_err();
            assert_eq!(refused.code(), Code::MethodNotAllowed, "{query}");
            assert_eq!(
                refused.details(),
                [Detail::Allow(allowed.into())],
                "{query}"
            );
        }
    }

    #[test]
    fn parameters_of_objects_are_refused_on_buckets() {
        for query in [
            "uploadId=x",
            "versionId=x",
            "partNumber=1",
            "retention",
            "torrent",
        ] {
            for method in [&Method::DELETE, &Method::PUT, &Method::POST] {
                let refused = code(method, Level::Bucket, query);
                assert!(refused.is_err(), "{method} {query}");
            }
        }
    }

    #[test]
    fn subresources_without_a_route_are_refused() {
        for (method, level, query) in [
            (Method::PUT, Level::Object, "renameObject"),
            (Method::GET, Level::Bucket, "abac=1"),
            (Method::DELETE, Level::Bucket, "abac"),
            (Method::DELETE, Level::Bucket, "of-tomorrow"),
            (Method::DELETE, Level::Object, "of-tomorrow=1"),
            (Method::PUT, Level::Object, "Policy"),
            (Method::GET, Level::Object, "of-tomorrow"),
            (Method::DELETE, Level::Bucket, "prefix=a"),
        ] {
            assert_eq!(
                code(&method, level, query),
                Err(Code::NotImplemented),
                "{query}"
            );
        }
        for (method, level, query) in [
            (Method::DELETE, Level::Bucket, "versioning"),
            (Method::DELETE, Level::Object, "uploads"),
            (Method::PUT, Level::Object, "torrent="),
            (Method::DELETE, Level::Object, "x-a=b&acl"),
            (Method::HEAD, Level::Object, "acl"),
        ] {
            assert_eq!(
                code(&method, level, query),
                Err(Code::MethodNotAllowed),
                "{query}"
            );
        }
    }

    #[test]
    fn part_upload_without_its_number_is_refused() {
        for query in ["uploadId=x", "partNumber=1"] {
            let refused = code(&Method::PUT, Level::Object, query);
            assert_eq!(refused, Err(Code::InvalidRequest));
        }
        let refused = code(&Method::DELETE, Level::Object, "partNumber=1");
        assert_eq!(refused, Err(Code::InvalidRequest));
        for (method, query) in [
            (Method::PUT, "partNumber=1&uploadId=x"),
            (Method::GET, "partNumber=1"),
            (Method::DELETE, "uploadId=x"),
        ] {
            assert_eq!(code(&method, Level::Object, query), Ok(()), "{query}");
        }
    }

    #[test]
    fn conflicting_and_repeated_parameters_are_refused() {
        for (method, query) in [
            (Method::DELETE, "versionId=a&versionId=b"),
            (Method::DELETE, "uploadId=a&tagging"),
            (Method::DELETE, "uploadId=a&versionId=b"),
            (Method::PUT, "versionId=a"),
            (Method::PUT, "acl&tagging"),
            (Method::POST, "uploads&uploadId=x"),
        ] {
            let refused = code(&method, Level::Object, query);
            assert_eq!(refused, Err(Code::InvalidArgument), "{query}");
        }
    }

    #[test]
    fn supported_operations_pass_with_their_parameters() {
        use Level::{Bucket, Object, Service};
        for (method, level, query) in [
            (Method::GET, Service, "prefix=&max-buckets=3"),
            (Method::PUT, Bucket, ""),
            (Method::DELETE, Bucket, "x-id=DeleteBucket"),
            (Method::GET, Bucket, "list-type=2&prefix=&delimiter=/"),
            (Method::GET, Bucket, "versions&x-id=ListObjectVersions"),
            (Method::GET, Bucket, "uploads&upload-id-marker=&key-marker="),
            (Method::PUT, Bucket, "versioning"),
            (Method::PUT, Bucket, "inventory&id=1"),
            (Method::POST, Bucket, "delete"),
            (
                Method::PUT,
                Object,
                "x-id=PutObject&X-Amz-Date=1&X-Amz-Date=2",
            ),
            (Method::PUT, Object, "tagging"),
            (Method::DELETE, Object, "tagging&versionId=1"),
            (Method::DELETE, Object, "versionId=1"),
            (Method::GET, Object, "response-expires=&v=3"),
            (
                Method::GET,
                Object,
                "uploadId=x&max-parts=2&part-number-marker=1",
            ),
            (Method::POST, Object, "uploads"),
            (Method::POST, Object, "uploadId=x"),
        ] {
            assert_eq!(code(&method, level, query), Ok(()), "{method} {query}");
        }
    }

    #[test]
    fn operation_that_lethe_has_not_is_refused_before_its_document_is_read() {
        for query in ["select&select-type=2", "restore"] {
            let refused = code(&Method::POST, Level::Object, query);
            assert_eq!(refused, Err(Code::NotImplemented), "{query}");
        }
    }
}
