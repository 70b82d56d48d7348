"""XML documents that were never meant to be read, for every operation that takes one."""

import base64
import hashlib

import pytest

pytestmark = [pytest.mark.lethe_only("SeaweedFS reads XML by rules of its own"), pytest.mark.one_variant("the edge answers")]

NAMESPACE = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
MIB = 1 << 20


class Operation:
    """One that takes a document: how it is called, the document's root, and its content with one `LEAF` of text."""

    def __init__(self, method: str, path: str, query: str, root: str, content: str, leaf: str):
        self.method, self.path, self.query, self.root, self.content, self.leaf = method, path, query, root, content, leaf

    def document(self, leaf: str | None = None, root: str | None = None, before: str = "") -> str:
        root = root or self.root
        return f"{before}<{root}{NAMESPACE}>{self.content.replace('LEAF', leaf or self.leaf)}</{root}>"


TAG = "<TagSet><Tag><Key>k</Key><Value>LEAF</Value></Tag></TagSet>"
UPLOAD = "uploadId=00000000000000000000000000000000"
OPERATIONS = {
    "DeleteObjects": Operation("POST", "", "delete", "Delete", "<Object><Key>LEAF</Key></Object>", "victim"),
    "CompleteMultipartUpload": Operation(
        "POST", "/new", UPLOAD, "CompleteMultipartUpload", "<Part><PartNumber>1</PartNumber><ETag>LEAF</ETag></Part>", "&quot;0&quot;"
    ),
    "PutObjectTagging": Operation("PUT", "/victim", "tagging", "Tagging", TAG, "v"),
    "PutBucketTagging": Operation("PUT", "", "tagging", "Tagging", TAG, "v"),
    "PutBucketCors": Operation(
        "PUT", "", "cors", "CORSConfiguration",
        "<CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>LEAF</AllowedOrigin></CORSRule>", "https://evil.example",
    ),
    "PutBucketVersioning": Operation("PUT", "", "versioning", "VersioningConfiguration", "<Status>LEAF</Status>", "Enabled"),
    "PutObjectLockConfiguration": Operation(
        "PUT", "", "object-lock", "ObjectLockConfiguration", "<ObjectLockEnabled>LEAF</ObjectLockEnabled>", "Enabled"
    ),
    "PutObjectRetention": Operation(
        "PUT", "/victim", "retention", "Retention",
        "<Mode>LEAF</Mode><RetainUntilDate>2099-01-01T00:00:00Z</RetainUntilDate>", "COMPLIANCE",
    ),
    "PutObjectLegalHold": Operation("PUT", "/victim", "legal-hold", "LegalHold", "<Status>LEAF</Status>", "ON"),
    "PutObjectAcl": Operation(
        "PUT", "/victim", "acl", "AccessControlPolicy", "<Owner><ID>LEAF</ID></Owner><AccessControlList/>", "x"
    ),
    "CreateBucket": Operation(
        "PUT", "-new", "", "CreateBucketConfiguration", "<LocationConstraint>LEAF</LocationConstraint>", "eu-central-1"
    ),
    "PutBucketEncryption": Operation(
        "PUT", "", "encryption", "ServerSideEncryptionConfiguration",
        "<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>LEAF</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule>",
        "aws:kms",
    ),
    "PutPublicAccessBlock": Operation(
        "PUT", "", "publicAccessBlock", "PublicAccessBlockConfiguration", "<BlockPublicAcls>LEAF</BlockPublicAcls>", "false"
    ),
    "PutBucketOwnershipControls": Operation(
        "PUT", "", "ownershipControls", "OwnershipControls", "<Rule><ObjectOwnership>LEAF</ObjectOwnership></Rule>", "ObjectWriter"
    ),
    "PutBucketRequestPayment": Operation(
        "PUT", "", "requestPayment", "RequestPaymentConfiguration", "<Payer>LEAF</Payer>", "Requester"
    ),
}  # fmt: skip

LAUGHS = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
QUADRATIC = f'<!DOCTYPE a [<!ENTITY a "{"a" * 100_000}">]>'

ATTACKS = {
    "billion laughs": lambda o: o.document("&a9;", before=f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a0 "ha">{LAUGHS}]>'),
    "quadratic blowup": lambda o: o.document("&a;" * 10_000, before=QUADRATIC),
    "external entity": lambda o: o.document("&a;", before='<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]>'),
    "external parameter entity": lambda o: o.document(before='<!DOCTYPE a [<!ENTITY % a SYSTEM "http://127.0.0.1:1/">%a;]>'),
    "external DTD": lambda o: o.document(before='<!DOCTYPE a SYSTEM "http://127.0.0.1:1/evil.dtd">'),
    "DTD in lower case": lambda o: o.document(before="<!doctype a>"),
    "undefined entity": lambda o: o.document("&evil;"),
    "reference to NUL": lambda o: o.document("a&#0;"),
    "reference above Unicode": lambda o: o.document("a&#x110000;"),
    "reference to a surrogate": lambda o: o.document("a&#xD800;"),
    "CDATA": lambda o: o.document("<![CDATA[a]]>"),
    "deep nesting": lambda o: o.document("<a>" * 10_000 + "</a>" * 10_000),
    "deep nesting without an end": lambda o: "<a>" * 50_000,
    "root within itself": lambda o: o.document(root=o.root).replace(o.content[:1], f"<{o.root}>" * 1000, 1),
    "comment without an end": lambda o: o.document(before="<!--" + " " * 500_000),
    "comments, then nothing": lambda o: "<!---->" * 50_000,
    "attributes without end": lambda o: f"<{o.root} " + 'a="b" ' * 50_000,
    "not UTF-8": lambda o: o.document("a\udcff\udcfe"),
    "overlong UTF-8": lambda o: o.document("a\udcc0\udcaf"),
    "unknown root": lambda o: o.document(root="Evil"),
    "root in lower case": lambda o: o.document(root=o.root.lower()),
    "root in a namespace by prefix": lambda o: o.document(root="s3:" + o.root),
    "unknown element": lambda o: o.document().replace(f"</{o.root}>", f"<Evil/></{o.root}>"),
    "element in another namespace by prefix": lambda o: o.document().replace(f"</{o.root}>", f'<a:b xmlns:a="x"/></{o.root}>'),
    "two roots": lambda o: o.document() + o.document(),
    "end of another element": lambda o: o.document().replace(f"</{o.root}>", "</Evil>"),
    "without its end": lambda o: o.document().removesuffix(f"</{o.root}>"),
    "end too many": lambda o: o.document() + f"</{o.root}>",
    "JSON": lambda o: '{"Delete": {"Objects": [{"Key": "victim"}]}}',
    "text alone": lambda o: "victim",
    "NULs": lambda o: "\0" * 10_000,
}


def encoded(document: str) -> bytes:
    return document.encode("utf-8", "surrogateescape")


def send(attack, operation: Operation, body: bytes) -> bytes:
    covered = [("Content-MD5", base64.b64encode(hashlib.md5(body).digest()).decode())]
    path = f"/{attack.bucket}{operation.path}"
    return attack.request(operation.method, path, operation.query, covered, body=body)


@pytest.fixture(scope="module", autouse=True)
def settings(target, victim):
    """What the documents would have changed beside objects is unchanged at the end."""
    s3, bucket = target.client(), victim.bucket

    def seen():
        found = [s3.get_object_tagging(Bucket=bucket, Key="victim")["TagSet"], s3.get_bucket_versioning(Bucket=bucket).get("Status")]
        for read in (s3.get_bucket_tagging, s3.get_bucket_cors, s3.get_object_lock_configuration):
            try:
                found.append({k: v for k, v in read(Bucket=bucket).items() if k != "ResponseMetadata"})
            except s3.exceptions.ClientError as error:
                found.append(error.response["Error"]["Code"])
        return [*found, sorted(b["Name"] for b in s3.list_buckets()["Buckets"] if b["Name"].startswith("victim"))]

    before = seen()
    yield
    assert seen() == before


@pytest.mark.parametrize("operation", OPERATIONS)
def test_document_that_no_parser_should_read_is_malformed(attack, operation):
    """Entity bombs, external entities, depth, encodings, namespaces: one code for all of them, and nothing is done."""
    which = OPERATIONS[operation]
    wrong = {}
    for name, make in ATTACKS.items():
        reply = attack.reply(send(attack, which, encoded(make(which))))
        if (reply.status, reply.code) != (400, "MalformedXML") or "x-amz-request-id" not in reply.headers:
            wrong[name] = (reply.status, reply.code)
    assert not wrong


@pytest.mark.parametrize("encoding", ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp037"))
def test_document_in_another_encoding_is_malformed(attack, encoding):
    """An encoding that hides markup from who checks it, and not from who reads it."""
    for operation in OPERATIONS.values():
        body = operation.document(before=f'<?xml version="1.0" encoding="{encoding}"?>').encode(encoding)
        attack.refused(send(attack, operation, body), 400, "MalformedXML", closes=True)


def test_element_that_must_be_there_once_is_refused_twice(attack):
    """Two readers, one taking the first and one the last."""
    for name, operation in OPERATIONS.items():
        inner = operation.content.split("LEAF")[0].rpartition("<")[2].rstrip(">")
        if name == "PutBucketCors":
            continue  # A rule may name several origins.
        twice = operation.document(f"{operation.leaf}</{inner}><{inner}>{operation.leaf}")
        reply = attack.reply(send(attack, operation, encoded(twice)))
        assert (reply.status, reply.code) == (400, "MalformedXML"), name


@pytest.mark.parametrize("length", (4 * MIB + 1, 10 * MIB))
def test_document_over_the_cap_is_refused_before_it_is_read(attack, length):
    """A comment of 10 MB."""
    for operation in OPERATIONS.values():
        head = send(attack, operation, b"<!--").replace(b"Content-Length: 4", b"Content-Length: %d" % length)
        attack.refused(head, 400, "MaxMessageLengthExceeded", closes=True)


def test_document_within_the_cap_but_without_a_length_is_bounded(attack):
    """Chunked encoding must not be a way around the cap."""
    post = attack.request("POST", f"/{attack.bucket}", "delete", unsigned=[("Transfer-Encoding", "chunked")])
    attack.refused(post + b"5\r\n<a></\r\n0\r\n\r\n", 411, "MissingContentLength", closes=True)


def complete(*parts: tuple[int, str]) -> bytes:
    entries = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in parts)
    return f"<CompleteMultipartUpload>{entries}</CompleteMultipartUpload>".encode()


COMPLETIONS = {
    "10,000 parts that were never sent": ("InvalidPart", [(n, "0") for n in range(1, 10_001)]),
    "10,001 parts": ("MalformedXML", [(n, "0") for n in range(1, 10_002)]),
    "40,000 times one part": ("MalformedXML", [(1, "0")] * 40_000),
    "unsorted": ("InvalidPartOrder", [(2, "SECOND"), (1, "FIRST")]),
    "part 0": ("InvalidPart", [(0, "FIRST")]),
    "part -1": ("InvalidPart", [(-1, "FIRST")]),
    "part 2^32 + 1": ("MalformedXML", [((1 << 32) + 1, "FIRST")]),
    "part 10,001": ("InvalidPart", [(10_001, "FIRST")]),
    "anothers ETag": ("InvalidPart", [(1, "SECOND"), (2, "FIRST")]),
    "no parts": ("MalformedXML", []),
}


def test_part_list_that_can_not_be_is_refused_and_the_upload_stays(attack, make_bucket, s3):
    """Part lists of any length, order and content; at the end the right one still completes the upload."""
    bucket = make_bucket()
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    sent = {}
    for number, data in ((1, b"a" * 5 * MIB), (2, b"b")):
        sent[number] = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=number, Body=data)["ETag"]
    etags = {"FIRST": sent[1], "SECOND": sent[2]}
    for name, (code, parts) in COMPLETIONS.items():
        body = complete(*((number, etags.get(etag, etag)) for number, etag in parts))
        reply = attack.reply(attack.request("POST", f"/{bucket}/k", f"uploadId={upload}", body=body))
        assert (reply.status, reply.code) == (400, code), name
    body = complete((1, "of a number named twice the last counts"), *sent.items())
    assert attack.reply(attack.request("POST", f"/{bucket}/k", f"uploadId={upload}", body=body)).status == 200
    assert s3.head_object(Bucket=bucket, Key="k")["ContentLength"] == 5 * MIB + 1


def delete_list(*objects: str) -> bytes:
    return f"<Delete>{''.join(f'<Object>{each}</Object>' for each in objects)}</Delete>".encode()


def delete(attack, bucket: str, body: bytes):
    payload = hashlib.sha256(body).hexdigest()
    return attack.reply(attack.request("POST", f"/{bucket}", "delete", payload=payload, body=body))


def test_delete_list_of_1000_is_done_and_of_1001_not_at_all(attack, make_bucket, s3):
    bucket = make_bucket()
    s3.put_object(Bucket=bucket, Key="k0", Body=b"")
    keys = [f"<Key>k{n}</Key>" for n in range(1001)]
    reply = delete(attack, bucket, delete_list(*keys))
    assert (reply.status, reply.code) == (400, "MalformedXML")
    assert [e["Key"] for e in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["k0"]
    reply = delete(attack, bucket, delete_list(*keys[:1000]))
    assert reply.status == 200 and reply.body.count(b"<Deleted>") == 1000
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


ENTRIES = {
    "no key": "<VersionId>null</VersionId>",
    "key twice": "<Key>victim</Key><Key>other</Key>",
    "key as an attribute": '<Object Key="victim"/>',
    "element in the key": "<Key>vic<b/>tim</Key>",
    "misspelt version": "<Key>victim</Key><VersionID>0</VersionID>",
    "version in a namespace": '<Key>victim</Key><s:VersionId xmlns:s="x">0</s:VersionId>',
    "CDATA in the key": "<Key>vic<![CDATA[-]]>tim</Key>",
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_delete_list_with_one_wrong_entry_deletes_nothing(attack, entry):
    """What a reader passes over would delete another object than the list names."""
    reply = delete(attack, attack.bucket, delete_list("<Key>none</Key>", ENTRIES[entry], "<Key>victim</Key>"))
    assert (reply.status, reply.code) == (400, "MalformedXML")


def test_comments_and_instructions_within_a_key_are_no_part_of_it(attack, make_bucket, s3):
    """As XML has it: the text around them is one text."""
    bucket = make_bucket()
    for key in ("vic", "tim", "victim"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    reply = delete(attack, bucket, delete_list("<Key>vic<!-- <Key>tim</Key> --><?tim?>tim</Key>"))
    assert reply.status == 200 and b"<Key>victim</Key>" in reply.body
    assert [e["Key"] for e in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["tim", "vic"]
