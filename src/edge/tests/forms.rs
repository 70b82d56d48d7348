//! POST forms as browsers and strangers send them.

use super::harness::{KEY, REGION, Reply, SECRET, SUSPENDED, Server, TERMINATING};
use super::trivial_s3::RULED;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

const DAY: &str = "20200101";

fn hmac(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.chain_update(data).finalize().into_bytes().to_vec()
}

fn signature(secret: &str, region: &str, policy: &str) -> String {
    let mut key = format!("AWS4{secret}").into_bytes();
    for scope in [DAY, region, "s3", "aws4_request"] {
        key = hmac(&key, scope.as_bytes());
    }
    hex::encode(hmac(&key, policy.as_bytes()))
}

/// A form for `bucket`, changed by the tests.
#[derive(Clone)]
struct Form {
    bucket: &'static str,
    fields: Vec<(String, String)>,
    /// What stands behind the fields.
    rest: Vec<u8>,
    headers: String,
}

fn part(disposition: &str, content: &[u8]) -> Vec<u8> {
    let head = format!("--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n");
    [head.as_bytes(), content, b"\r\n"].concat()
}

fn file(content: &[u8]) -> Vec<u8> {
    part("name=\"file\"; filename=\"f.txt\"", content)
}

impl Form {
    /// Fields that a credential's policy allows; more conditions than those for the signature's fields, bucket and key.
    fn signed(bucket: &'static str, key_id: &str, secret: &str, region: &str, more: &str) -> Self {
        let credential = format!("{key_id}/{DAY}/{region}/s3/aws4_request");
        let policy = format!(
            r#"{{"expiration": "2100-01-01T00:00:00Z", "conditions": [{{"bucket": "{bucket}"}}, ["starts-with", "$key", "up/"],
                {{"x-amz-algorithm": "AWS4-HMAC-SHA256"}}, {{"x-amz-credential": "{credential}"}},
                {{"x-amz-date": "{DAY}T000000Z"}}{more}]}}"#
        );
        Self::of(
            bucket,
            &STANDARD.encode(policy),
            &credential,
            secret,
            region,
        )
    }

    fn of(
        bucket: &'static str,
        policy: &str,
        credential: &str,
        secret: &str,
        region: &str,
    ) -> Self {
        let date = format!("{DAY}T000000Z");
        let signature = signature(secret, region, policy);
        let fields = [
            ("key", "up/${filename}"),
            ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
            ("x-amz-credential", credential),
            ("x-amz-date", date.as_str()),
            ("policy", policy),
            ("x-amz-signature", signature.as_str()),
        ];
        Self {
            bucket,
            fields: fields.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec(),
            rest: file(b"hello"),
            headers: String::new(),
        }
    }

    fn new() -> Self {
        Self::signed("bucket", KEY, SECRET, REGION, "")
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(n, _)| n != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(n, _)| n != name);
        self
    }

    fn rest(mut self, rest: &[&[u8]]) -> Self {
        self.rest = rest.concat();
        self
    }

    fn body(&self) -> Vec<u8> {
        let fields = self.fields.iter();
        let fields: Vec<_> = fields
            .map(|(name, value)| part(&format!("name=\"{name}\""), value.as_bytes()))
            .collect();
        [&fields.concat()[..], &self.rest, b"--b--\r\n"].concat()
    }

    fn head(&self, content_bytes: usize) -> String {
        format!(
            "POST /{} HTTP/1.1\r\nhost: localhost\r\ncontent-type: multipart/form-data; boundary=b\r\n\
             content-length: {content_bytes}\r\n{}\r\n",
            self.bucket, self.headers
        )
    }

    async fn send(&self, server: &Server) -> Reply {
        let body = self.body();
        let head = self.head(body.len());
        server.send_raw(&[head.as_bytes(), &body].concat()).await
    }
}

async fn refused(server: &Server, form: Form, status: u16, code: &str) {
    let reply = form.send(server).await;
    assert_eq!(
        (reply.status, reply.code()),
        (status, code),
        "{}",
        reply.body
    );
    assert!(server.s3.bodies().is_empty(), "nothing is stored");
}

#[tokio::test]
async fn form_that_its_policy_allows_is_stored() {
    let server = Server::start().await;
    let reply = Form::new().send(&server).await;
    assert_eq!(
        (reply.status, reply.body.as_str()),
        (204, ""),
        "{}",
        reply.head
    );
    assert!(
        reply
            .head
            .contains("location: http://localhost/bucket/up/f.txt\r\n")
    );
    assert!(reply.head.contains("etag: \"abc-1\"\r\n"));
    assert_eq!(
        server.s3.calls(),
        [format!("post bucket/up/f.txt by {KEY}")]
    );
    assert_eq!(server.s3.bodies(), ["hello"]);
    // A field behind the file means nothing, and neither has it a condition.
    let button = part("name=\"submit\"", b"Upload");
    let anywhere = Form::signed("bucket", KEY, SECRET, "us-east-1", "");
    let reply = anywhere.rest(&[&file(b""), &button]).send(&server).await;
    assert_eq!(reply.status, 204, "{}", reply.body);
    assert_eq!(server.s3.bodies(), ["hello", ""]);
}

#[tokio::test]
async fn form_without_a_right_signature_is_refused() {
    let server = Server::start().await;
    let signed_by = |id: &str, secret: &str| Form::signed("bucket", id, secret, REGION, "");
    for (form, status, code) in [
        (signed_by(KEY, "wrong"), 403, "SignatureDoesNotMatch"),
        (
            Form::new().with("x-amz-signature", "00"),
            403,
            "SignatureDoesNotMatch",
        ),
        (
            Form::new().with("x-amz-signature", "not hexadecimal"),
            403,
            "SignatureDoesNotMatch",
        ),
        // Signed for another day and region than it says.
        (
            Form::new()
                .with(
                    "x-amz-credential",
                    &format!("{KEY}/20200102/{REGION}/s3/aws4_request"),
                )
                .with("x-amz-date", "20200102T000000Z"),
            403,
            "SignatureDoesNotMatch",
        ),
        (
            Form::new().with(
                "x-amz-credential",
                &format!("{KEY}/{DAY}/us-east-1/s3/aws4_request"),
            ),
            403,
            "SignatureDoesNotMatch",
        ),
        (signed_by("AKIDUNKNOWN", SECRET), 403, "InvalidAccessKeyId"),
        (signed_by("AKIDSHREDDED", SECRET), 403, "InvalidAccessKeyId"),
        (signed_by("AKIDELSEWHERE", SECRET), 301, "PermanentRedirect"),
        (signed_by("AKIDAWAY", SECRET), 503, "ServiceUnavailable"),
        (signed_by(SUSPENDED, SECRET), 403, "AccessDenied"),
        (signed_by(TERMINATING, SECRET), 403, "AccessDenied"),
        (signed_by(SUSPENDED, "wrong"), 403, "SignatureDoesNotMatch"),
        (
            Form::signed("bucket", KEY, SECRET, "us-west-9", ""),
            400,
            "AuthorizationHeaderMalformed",
        ),
        (
            Form::new().with("x-amz-credential", KEY),
            400,
            "InvalidArgument",
        ),
        (
            Form::new().with("x-amz-algorithm", "AWS4-HMAC-SHA1"),
            400,
            "InvalidArgument",
        ),
        (
            Form::new().with("x-amz-date", "20200102T000000Z"),
            400,
            "InvalidArgument",
        ),
        (Form::new().without("x-amz-date"), 400, "InvalidArgument"),
        (Form::new().without("policy"), 400, "InvalidArgument"),
        (
            Form::new().without("x-amz-signature"),
            400,
            "InvalidArgument",
        ),
        (
            Form::new()
                .with("AWSAccessKeyId", KEY)
                .with("signature", "x"),
            400,
            "InvalidRequest",
        ),
        (
            Form::new().with("x-amz-security-token", "x"),
            400,
            "InvalidToken",
        ),
        (
            Form {
                fields: vec![("key".into(), "up/a".into())],
                ..Form::new()
            },
            403,
            "AccessDenied",
        ),
    ] {
        refused(&server, form, status, code).await;
    }
    assert!(server.s3.calls().is_empty());
}

#[tokio::test]
async fn form_that_its_policy_does_not_allow_is_refused() {
    let server = Server::start().await;
    let credential = format!("{KEY}/{DAY}/{REGION}/s3/aws4_request");
    let signed = |policy: &str| {
        Form::of(
            "bucket",
            &STANDARD.encode(policy),
            &credential,
            SECRET,
            REGION,
        )
    };
    let mut other = Form::new();
    other.bucket = "other";
    let policy = Form::new().fields[4].1.clone();
    for (form, status, code) in [
        (other, 403, "AccessDenied"),
        (Form::new().with("key", "down/a"), 403, "AccessDenied"),
        (Form::new().with("acl", "private"), 403, "AccessDenied"),
        (Form::new().with("x-amz-meta-a", "b"), 403, "AccessDenied"),
        (Form::new().with("bucket", "other"), 403, "AccessDenied"),
        (
            Form::signed("bucket", KEY, SECRET, REGION, r#", {"acl": "private"}"#),
            403,
            "AccessDenied",
        ),
        (
            signed(r#"{"expiration": "2020-01-01T00:00:00Z", "conditions": []}"#),
            403,
            "AccessDenied",
        ),
        (
            signed(r#"{"expiration": "2100-01-01T00:00:00Z"}"#),
            400,
            "InvalidPolicyDocument",
        ),
        (
            Form::of("bucket", "no base64!", &credential, SECRET, REGION),
            400,
            "InvalidPolicyDocument",
        ),
        (Form::new().without("key"), 400, "InvalidArgument"),
        (Form::new().with("POLICY", &policy), 400, "InvalidArgument"),
    ] {
        refused(&server, form, status, code).await;
    }
    assert!(server.s3.calls().is_empty());
}

#[tokio::test]
async fn file_of_another_length_than_allowed_is_refused() {
    let server = Server::start().await;
    let range = |range: &str| {
        let more = format!(r#", ["content-length-range", {range}]"#);
        Form::signed("bucket", KEY, SECRET, REGION, &more)
    };
    refused(&server, range("0, 4"), 400, "EntityTooLarge").await;
    refused(&server, range("6, 100"), 400, "EntityTooSmall").await;
    refused(&server, range("6, 4"), 400, "EntityTooLarge").await;
    let reply = range("5, 5").send(&server).await;
    assert_eq!(reply.status, 204, "{}", reply.body);
}

#[tokio::test]
async fn form_that_is_none_is_refused() {
    let server = Server::start().await;
    let files = [&file(b"a")[..], &file(b"b")].concat();
    let long = part("name=x-ignore-a", &[b'a'; 21 * 1024]);
    let with_headers = |headers: &str| Form {
        headers: headers.into(),
        ..Form::new()
    };
    for (form, status, code) in [
        (
            Form::new().rest(&[]),
            400,
            "IncorrectNumberOfFilesInPostRequest",
        ),
        (
            Form::new().rest(&[&files]),
            400,
            "IncorrectNumberOfFilesInPostRequest",
        ),
        (
            Form {
                fields: Vec::new(),
                ..Form::new()
            },
            403,
            "AccessDenied",
        ),
        (
            Form::new().rest(&[&long, &file(b"a")]),
            400,
            "MaxPostPreDataLengthExceededError",
        ),
        (
            Form::new().rest(&[&file(b"a"), &long]),
            400,
            "MaxPostPreDataLengthExceededError",
        ),
        (
            Form::new().rest(&[b"--b\r\nx: y\r\n\r\n\r\n"]),
            400,
            "MalformedPOSTRequest",
        ),
        (
            Form::new().rest(&[&file(b"a"), b"--bc\r\n"]),
            400,
            "MalformedPOSTRequest",
        ),
        (with_headers("x-amz-acl: private\r\n"), 403, "AccessDenied"),
        (
            with_headers("authorization: AWS4-HMAC-SHA256 x\r\n"),
            400,
            "InvalidArgument",
        ),
        (
            Form {
                bucket: "bucket/key",
                ..Form::new()
            },
            405,
            "MethodNotAllowed",
        ),
        (
            Form {
                bucket: "",
                ..Form::new()
            },
            405,
            "MethodNotAllowed",
        ),
        (
            Form {
                bucket: "bucket?delete",
                ..Form::new()
            },
            501,
            "NotImplemented",
        ),
        (
            Form {
                bucket: "bucket?X-Amz-Signature=1",
                ..Form::new()
            },
            400,
            "InvalidArgument",
        ),
    ] {
        refused(&server, form, status, code).await;
    }
    let chunked = "POST /bucket HTTP/1.1\r\nhost: localhost\r\ncontent-type: multipart/form-data; boundary=b\r\n\
                   transfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    let reply = server.send_raw(chunked.as_bytes()).await;
    assert_eq!(reply.code(), "MissingContentLength");
    for content_type in [
        "multipart/form-data",
        "multipart/form-data; boundary=b\r\ncontent-type: text/plain",
        "x-form-data",
    ] {
        let head = format!(
            "POST /bucket HTTP/1.1\r\nhost: localhost\r\ncontent-type: {content_type}\r\ncontent-length: 1\r\n\r\n-"
        );
        let reply = server.send_raw(head.as_bytes()).await;
        assert!(
            [400, 405].contains(&reply.status),
            "{content_type} {}",
            reply.status
        );
    }
    assert!(server.s3.bodies().is_empty());
}

#[tokio::test]
async fn form_that_breaks_off_anywhere_stores_nothing() {
    let server = Server::start().await;
    let form = Form::new().rest(&[&file(&[b'x'; 5000])]);
    let body = form.body();
    let head = form.head(body.len());
    // The last two bytes are behind the form's end, but the request is not whole without them.
    for sent in [
        0,
        10,
        200,
        body.len() - 3000,
        body.len() - 9,
        body.len() - 2,
        body.len() - 1,
    ] {
        let mut stream = server.connect().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&body[..sent]).await.unwrap();
        drop(stream);
    }
    for _ in 0..200 {
        let failed = server
            .s3
            .calls()
            .iter()
            .filter(|call| *call == "post failed")
            .count();
        if failed == 4 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let calls = server.s3.calls();
    // Those whose fields were whole began, and ended with an error that the operation sees although its client is gone.
    assert_eq!(
        calls.iter().filter(|call| *call == "post failed").count(),
        4,
        "{calls:?}"
    );
    assert!(server.s3.bodies().is_empty());
}

#[tokio::test]
async fn refusal_comes_before_the_file() {
    let server = Server::start().await;
    let form = Form::new().with("key", "down/a");
    let fields = form
        .clone()
        .rest(&[b"--b\r\ncontent-disposition: form-data; name=file\r\n\r\n"])
        .body();
    let head = form.head(1 << 30);
    let mut stream = server.connect().await;
    stream.write_all(head.as_bytes()).await.unwrap();
    // Without the end that the form would have behind the file.
    stream
        .write_all(&fields[..fields.len() - b"--b--\r\n".len()])
        .await
        .unwrap();
    let reply = Reply::read(&mut stream).await.unwrap();
    assert_eq!(reply.code(), "AccessDenied");
}

#[tokio::test]
async fn answer_to_a_form_carries_what_the_rules_of_its_bucket_say() {
    let server = Server::start().await;
    let form = |secret| {
        let mut form = Form::signed(RULED, KEY, secret, REGION, "");
        form.headers = "origin: https://a.app.test\r\n".into();
        form
    };
    // The rules of that bucket allow no POST; that they were asked shows. Who only names a key has none looked up.
    for (secret, status) in [(SECRET, 204), ("wrong", 403)] {
        let reply = form(secret).send(&server).await;
        assert_eq!(reply.status, status);
        let was_asked = reply.head.contains("vary: Origin");
        assert_eq!(was_asked, secret == SECRET, "{}", reply.head);
        assert!(!reply.head.contains("access-control-"), "{}", reply.head);
    }
}
