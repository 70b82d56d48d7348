//! The sentences of errors that s3s answers without one.

/// What an error of s3s's own means, by its code.
pub(super) fn sentence(code: &str) -> &'static str {
    SENTENCES
        .iter()
        .find(|(known, _)| *known == code)
        .map_or("The request can't be carried out.", |(_, sentence)| {
            sentence
        })
}

const SENTENCES: &[(&str, &str)] = &[
    ("AccessDenied", "Access Denied"),
    (
        "AuthorizationHeaderMalformed",
        "The authorization header that you provided is not valid.",
    ),
    (
        "AuthorizationQueryParametersError",
        "The authentication parameters of the query are not valid.",
    ),
    (
        "EntityTooLarge",
        "Your proposed upload exceeds the maximum allowed object size.",
    ),
    (
        "IncompleteBody",
        "You did not provide the number of bytes specified by the Content-Length HTTP header.",
    ),
    (
        "InternalError",
        "The gateway failed to carry out the request.",
    ),
    (
        "InvalidAccessKeyId",
        "The access key id that you provided does not exist in our records.",
    ),
    (
        "InvalidArgument",
        "A header or parameter of the request has a value that it can't have.",
    ),
    ("InvalidBucketName", "The specified bucket is not valid."),
    ("InvalidRequest", "The request is not valid."),
    ("InvalidURI", "The specified URI couldn't be parsed."),
    ("KeyTooLongError", "Your key is too long."),
    (
        "MalformedXML",
        "The XML that you provided was not well-formed or did not validate against the published schema.",
    ),
    ("MaxMessageLengthExceeded", "Your request was too big."),
    (
        "MethodNotAllowed",
        "The specified method is not allowed against this resource.",
    ),
    (
        "MissingContentLength",
        "You must provide the Content-Length HTTP header.",
    ),
    ("MissingRequestBodyError", "The request body is empty."),
    (
        "NotImplemented",
        "A header, parameter or operation of the request is not implemented.",
    ),
    (
        "RequestTimeTooSkewed",
        "The difference between the request time and the current time is too large.",
    ),
    (
        "SignatureDoesNotMatch",
        "The request signature that the gateway calculated does not match the signature that you provided. Check your key and \
         signing method.",
    ),
    (
        "XAmzContentSHA256Mismatch",
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
    ),
];
