//! Subresources that s3s 0.14.1 does not route. It falls back to the plain operation, so that `PUT ?renameObject` would overwrite
//! an object with nothing and `DELETE ?abac` would delete a bucket.

use super::query::Query;
use crate::ops::OpError;
use http::Method;

/// S3's subresources that s3s has no route for, in any method.
const UNROUTED: &[&str] = &[
    "abac",
    "annotation",
    "metadataAnnotationTable",
    "metadataConfiguration",
    "metadataInventoryTable",
    "metadataJournalTable",
    "renameObject",
];

/// Subresources that s3s routes for some methods only: elsewhere they would become the plain operation.
const ROUTED: &[(&str, &[Method])] = &[
    ("accelerate", &[Method::GET, Method::PUT]),
    ("acl", &[Method::GET, Method::PUT, Method::HEAD]),
    ("attributes", &[Method::GET]),
    ("delete", &[Method::POST]),
    ("legal-hold", &[Method::GET, Method::PUT]),
    ("location", &[Method::GET]),
    ("logging", &[Method::GET, Method::PUT]),
    ("notification", &[Method::GET, Method::PUT]),
    ("object-lock", &[Method::GET, Method::PUT]),
    ("policyStatus", &[Method::GET]),
    ("requestPayment", &[Method::GET, Method::PUT]),
    ("restore", &[Method::POST]),
    ("retention", &[Method::GET, Method::PUT]),
    ("select", &[Method::POST]),
    ("session", &[Method::GET]),
    ("torrent", &[Method::GET]),
    ("uploads", &[Method::GET, Method::POST]),
    ("versioning", &[Method::GET, Method::PUT]),
    ("versions", &[Method::GET]),
];

/// Refuses what would silently become another operation.
///
/// # Errors
/// `NotImplemented`, or `InvalidRequest` for a part number without its upload.
pub fn check(method: &Method, query: &Query) -> Result<(), OpError> {
    for name in query.names() {
        let routed = ROUTED.iter().find(|(n, _)| *n == name);
        let misdirected = routed.is_some_and(|(_, methods)| !methods.contains(method));
        if misdirected || UNROUTED.contains(&name) {
            return Err(OpError::not_implemented(format!(
                "The subresource {name} is not supported with this method."
            )));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Code;

    fn code(method: &Method, query: &str) -> Result<(), Code> {
        check(method, &Query::parse(query).unwrap()).map_err(|e| e.code())
    }

    #[test]
    fn subresources_without_a_route_are_refused() {
        for (method, query) in [
            (Method::PUT, "renameObject"),
            (Method::DELETE, "abac"),
            (Method::DELETE, "versioning"),
            (Method::DELETE, "uploads"),
            (Method::PUT, "torrent="),
            (Method::DELETE, "a=b&acl"),
        ] {
            assert_eq!(code(&method, query), Err(Code::NotImplemented), "{query}");
        }
    }

    #[test]
    fn part_upload_without_its_number_is_refused() {
        for query in ["uploadId=x", "partNumber=1"] {
            assert_eq!(code(&Method::PUT, query), Err(Code::InvalidRequest));
        }
        assert_eq!(code(&Method::PUT, "partNumber=1&uploadId=x"), Ok(()));
        assert_eq!(code(&Method::GET, "partNumber=1"), Ok(()));
        assert_eq!(code(&Method::DELETE, "uploadId=x"), Ok(()));
    }

    #[test]
    fn plain_operations_and_unknown_parameters_pass() {
        for (method, query) in [
            (Method::GET, "list-type=2&prefix=&delimiter=/"),
            (Method::GET, "versions&x-id=ListObjectVersions"),
            (Method::PUT, "tagging"),
            (Method::DELETE, "tagging&versionId=1"),
            (Method::POST, "delete"),
        ] {
            assert_eq!(code(&method, query), Ok(()), "{query}");
        }
    }
}
