"""What every answer carries, and errors as S3's clients read them: ids, the resource, ranges, methods, characters."""

from xml.etree import ElementTree

import pytest

from testbed.payload import MIB, body
from testbed.signed import call, path_of, presign, send


def error_element(answer, name: str) -> str | None:
    return ElementTree.fromstring(answer.body).findtext(name)


ANSWERS = {
    "a read": ("GET", "object", {}, {}),
    "a head": ("HEAD", "object", {}, {}),
    "not modified": ("GET", "object", {}, {"If-None-Match": "*"}),
    "no key": ("GET", "missing", {}, {}),
    "head of no key": ("HEAD", "missing", {}, {}),
    "a range past the end": ("GET", "object", {}, {"Range": "bytes=100-"}),
    "a condition": ("GET", "object", {}, {"If-Match": '"other"'}),
    "a bad parameter": ("GET", "object", {"partNumber": "x"}, {}),
    "a bad method": ("PATCH", "object", {}, {}),
    "a listing": ("GET", None, {"list-type": "2"}, {}),
}  # fmt: skip


@pytest.mark.beyond_seaweedfs("has fewer ids")
@pytest.mark.parametrize("case", ANSWERS)
def test_answer_names_request_host_and_time_and_an_error_what_was_asked_for(target, s3, bucket, case):
    s3.put_object(Bucket=bucket, Key="object", Body=b"x")
    method, key, query, headers = ANSWERS[case]
    answer = call(target, method, bucket, key, query=query, headers=headers)
    assert answer.headers["x-amz-request-id"] and answer.headers["x-amz-id-2"] and answer.headers["date"]
    if answer.status >= 400 and method != "HEAD":
        assert error_element(answer, "RequestId") == answer.headers["x-amz-request-id"]
        assert error_element(answer, "HostId") == answer.headers["x-amz-id-2"]
        assert error_element(answer, "Resource") == path_of(bucket, key)
        assert error_element(answer, "Code") and error_element(answer, "Message")


@pytest.mark.beyond_seaweedfs("names no resource")
def test_error_names_its_resource_as_it_was_sent(target, bucket):
    answer = call(target, "GET", bucket, "a&<b>\u00e9\n")
    assert error_element(answer, "Resource") == f"/{bucket}/a%26%3Cb%3E%C3%A9%0A"


@pytest.mark.beyond_seaweedfs("answers with a plain text")
def test_error_of_an_unverified_request_has_the_same_shape(target, s3, bucket):
    s3.put_object(Bucket=bucket, Key="object", Body=b"x")
    url = presign(target, "GET", path_of(bucket, "object"))
    refused = {
        "SignatureDoesNotMatch": send(target, "GET", url[:-4] + "0000"),
        "AccessDenied": send(target, "GET", path_of(bucket, "object")),
    }
    for expected, answer in refused.items():
        assert (answer.status, answer.error()[0]) == (403, expected)
        assert error_element(answer, "RequestId") == answer.headers["x-amz-request-id"]
        assert error_element(answer, "HostId") == answer.headers["x-amz-id-2"]
        assert error_element(answer, "Resource") == path_of(bucket, "object")


@pytest.mark.beyond_seaweedfs("names no length")
def test_range_past_the_end_names_the_objects_length(target, s3, bucket):
    s3.put_object(Bucket=bucket, Key="object", Body=b"0123456789")
    for method in ("GET", "HEAD"):
        answer = call(target, method, bucket, "object", headers={"Range": "bytes=10-"})
        assert (answer.status, answer.headers["content-range"]) == (416, "bytes */10")
        if method == "GET":
            assert (answer.error()[0], error_element(answer, "ActualObjectSize")) == ("InvalidRange", "10")


NOT_ALLOWED = {
    "an unknown method": ("PATCH", True, {}, "GET, HEAD, PUT, POST, DELETE"),
    "POST to an object": ("POST", True, {}, "GET, HEAD, PUT, DELETE"),
    "PUT of a read-only subresource": ("PUT", True, {"torrent": ""}, "GET"),
    "DELETE of a bucket's setting": ("DELETE", False, {"versioning": ""}, "GET, PUT"),
    "a bucket's setting on an object": ("PUT", True, {"versioning": ""}, ""),
}


@pytest.mark.beyond_seaweedfs("answers otherwise")
@pytest.mark.parametrize("case", NOT_ALLOWED)
def test_method_that_is_not_allowed_names_those_that_are(target, s3, bucket, case):
    s3.put_object(Bucket=bucket, Key="object", Body=b"kept")
    method, on_object, query, allowed = NOT_ALLOWED[case]
    answer = call(target, method, bucket, "object" if on_object else None, query=query, body=b"")
    assert (answer.status, answer.error()[0], answer.headers["allow"]) == (405, "MethodNotAllowed", allowed)
    assert s3.get_object(Bucket=bucket, Key="object")["Body"].read() == b"kept"


@pytest.mark.beyond_seaweedfs("answers otherwise")
@pytest.mark.parametrize("method", ("PUT", "POST", "DELETE", "HEAD"))
def test_service_has_a_listing_and_nothing_else(target, method):
    answer = call(target, method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET")


@pytest.mark.beyond_seaweedfs("writes them as they are")
def test_control_characters_in_a_listing_are_references(target, bucket):
    answer = call(target, "GET", bucket, query={"list-type": "2", "prefix": "a\x01\r\nb"})
    assert b"<Prefix>a&#x1;&#xD;\nb</Prefix>" in answer.body
    readable = call(target, "GET", bucket, query={"list-type": "2", "prefix": "a\r\nb", "start-after": "\r"})
    root = ElementTree.fromstring(readable.body)
    namespace = root.tag.removesuffix("ListBucketResult")
    assert (root.findtext(f"{namespace}Prefix"), root.findtext(f"{namespace}StartAfter")) == ("a\r\nb", "\r")


@pytest.mark.lethe_only("embedded regions keep any key")
def test_key_with_a_carriage_return_is_listed_and_deleted_as_it_is(kind, target, s3, bucket):
    if kind != "embedded":
        pytest.skip("SeaweedFS changes such keys")
    s3.put_object(Bucket=bucket, Key="a\rb", Body=b"x")
    listed = ElementTree.fromstring(call(target, "GET", bucket, query={"list-type": "2"}).body)
    assert [key.text for key in listed.iter() if key.tag.endswith("}Key")] == ["a\rb"]


def test_object_that_looks_like_a_document_is_not_rewritten(s3, bucket):
    data = b'<GetObjectAttributesResponse xmlns="x"><ETag>"a"</ETag>\x01\r</GetObjectAttributesResponse>'
    s3.put_object(Bucket=bucket, Key="object", Body=data, ContentType="application/xml")
    assert s3.get_object(Bucket=bucket, Key="object")["Body"].read() == data


@pytest.mark.beyond_seaweedfs("ignores the part number of a HEAD")
def test_complete_names_the_objects_url_and_head_of_a_part_answers_as_a_read_of_it_would(target, s3, bucket):
    upload = {"Bucket": bucket, "Key": "object"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    sizes = [5 * MIB, 7]
    parts = [
        {"PartNumber": n, "ETag": s3.upload_part(PartNumber=n, Body=body(size), **upload)["ETag"]}
        for n, size in enumerate(sizes, 1)
    ]
    completed = s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **upload)
    assert completed["Location"] == target.endpoint.rstrip("/") + path_of(bucket, "object")
    for number, size in enumerate(sizes, 1):
        read, head = (call(target, m, bucket, "object", query={"partNumber": str(number)}) for m in ("GET", "HEAD"))
        assert (read.status, head.status) == (206, 206)
        assert int(head.headers["content-length"]) == len(read.body) == size
        for name in ("content-range", "x-amz-mp-parts-count", "etag", "content-length"):
            assert head.headers[name] == read.headers[name], name
        assert head.headers["x-amz-mp-parts-count"] == "2"
    beyond = call(target, "GET", bucket, "object", query={"partNumber": "3"})
    assert (beyond.status, beyond.error()[0]) == (416, "InvalidPartNumber")
