"""Checksums of whole objects: in headers, in trailers, right and wrong, and Content-MD5."""

import pytest
from botocore.exceptions import ClientError

from test_objects import code
from testbed.payload import ALGORITHMS, MIB, body, checksum, md5
from testbed.signed import Answer, call

SIZES = (100, 3 * MIB)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_checksum_header_is_kept_and_answered(s3, bucket, algorithm, size):
    data, field = body(size), f"Checksum{algorithm}"
    own = checksum(algorithm, data)
    assert s3.put_object(Bucket=bucket, Key="object", Body=data, **{field: own})[field] == own
    head = s3.head_object(Bucket=bucket, Key="object", ChecksumMode="ENABLED")
    assert head[field] == own
    got = s3.get_object(Bucket=bucket, Key="object", ChecksumMode="ENABLED")
    assert got[field] == own and got["Body"].read() == data


@pytest.mark.beyond_seaweedfs("names no type")
def test_checksum_type_of_a_whole_object_is_named(s3, bucket):
    s3.put_object(Bucket=bucket, Key="object", Body=b"x", ChecksumAlgorithm="CRC32")
    assert s3.head_object(Bucket=bucket, Key="object", ChecksumMode="ENABLED")["ChecksumType"] == "FULL_OBJECT"
    wanted = ["Checksum"]
    got = s3.get_object_attributes(Bucket=bucket, Key="object", ObjectAttributes=wanted)
    assert got["Checksum"]["ChecksumCRC32"] == checksum("CRC32", b"x")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_checksum_header_wrong_is_bad_digest_and_not_stored(s3, bucket, algorithm, size):
    s3.put_object(Bucket=bucket, Key="object", Body=b"old")
    wrong = {f"Checksum{algorithm}": checksum(algorithm, b"another body")}
    with pytest.raises(ClientError) as raised:
        s3.put_object(Bucket=bucket, Key="object", Body=body(size), **wrong)
    assert code(raised) == (400, "BadDigest")
    assert s3.get_object(Bucket=bucket, Key="object")["Body"].read() == b"old"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_checksum_chosen_by_boto3_is_verified_and_answered(s3, bucket, algorithm):
    """Over TLS boto3 sends these as trailers of unsigned chunks."""
    data, field = body(200_000), f"Checksum{algorithm}"
    done = s3.put_object(Bucket=bucket, Key="object", Body=data, ChecksumAlgorithm=algorithm)
    assert done[field] == checksum(algorithm, data)
    got = s3.get_object(Bucket=bucket, Key="object", ChecksumMode="ENABLED")
    assert got["Body"].read() == data and got[field] == done[field]


def trailer_put(target, bucket, data: bytes, name: str, value: str, announced: str | None = None,
                decoded: int | None = None, chunk: int = 64 * 1024, cut: bool = False,
                encoding: str = "aws-chunked") -> Answer:  # fmt: skip
    """An unsigned chunked PUT whose checksum follows in the trailer."""
    coded = b"".join(
        b"%x\r\n%s\r\n" % (len(piece), piece)
        for piece in (data[i : i + chunk] for i in range(0, len(data), chunk))
    )
    if not cut:
        coded += b"0\r\n" + f"{name}:{value}\r\n\r\n".encode()
    headers = {
        "Content-Encoding": encoding, "X-Amz-Trailer": announced or name,
        "X-Amz-Decoded-Content-Length": str(len(data) if decoded is None else decoded),
        "X-Amz-Content-SHA256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    }  # fmt: skip
    return call(target, "PUT", bucket, "object", headers=headers, body=coded)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_checksum_trailer_right_is_kept_and_answered(target, s3, bucket, algorithm, size):
    data = body(size)
    answer = trailer_put(target, bucket, data, f"x-amz-checksum-{algorithm.lower()}", checksum(algorithm, data))
    assert answer.status == 200, answer.body
    got = s3.get_object(Bucket=bucket, Key="object", ChecksumMode="ENABLED")
    assert got["Body"].read() == data
    assert got[f"Checksum{algorithm}"] == checksum(algorithm, data)


@pytest.mark.beyond_seaweedfs("keeps aws-chunked")
def test_content_encoding_is_kept_without_aws_chunked(target, s3, bucket):
    trailer_put(target, bucket, b"abc", "x-amz-checksum-crc32", checksum("CRC32", b"abc"))
    assert s3.head_object(Bucket=bucket, Key="object").get("ContentEncoding") in (None, "")
    encoding = {"encoding": "gzip,aws-chunked"}
    trailer_put(target, bucket, b"abc", "x-amz-checksum-crc32", checksum("CRC32", b"abc"), **encoding)
    assert s3.head_object(Bucket=bucket, Key="object")["ContentEncoding"] == "gzip"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_checksum_trailer_wrong_is_bad_digest_and_not_stored(target, s3, bucket, algorithm, size):
    s3.put_object(Bucket=bucket, Key="object", Body=b"old")
    wrong = checksum(algorithm, b"another body")
    answer = trailer_put(target, bucket, body(size), f"x-amz-checksum-{algorithm.lower()}", wrong)
    assert answer.status == 400
    assert answer.error()[0] == "BadDigest" or target.kind == "direct"
    assert s3.get_object(Bucket=bucket, Key="object")["Body"].read() == b"old"


@pytest.mark.beyond_seaweedfs("accepts what it does not know")
@pytest.mark.parametrize("case", ("unknown algorithm", "not the announced one", "shorter", "longer", "no last chunk"))
def test_chunked_body_malformed_is_refused_and_not_stored(target, s3, bucket, case):
    data = body(200_000)
    right = {"name": "x-amz-checksum-crc32", "value": checksum("CRC32", data)}
    changed = {
        "unknown algorithm": {"name": "x-amz-checksum-rot13"},
        "not the announced one": {"announced": "x-amz-checksum-sha256"},
        "shorter": {"decoded": len(data) + 1},
        "longer": {"decoded": len(data) - 1},
        "no last chunk": {"cut": True},
    }[case]
    answer = trailer_put(target, bucket, data, **(right | changed))
    assert answer.status == 400, (answer.status, answer.body)
    with pytest.raises(ClientError):
        s3.head_object(Bucket=bucket, Key="object")


@pytest.mark.beyond_seaweedfs("accepts what it does not know")
def test_checksum_header_of_an_unknown_algorithm_is_refused(target, bucket):
    headers = {"x-amz-checksum-rot13": "AAAAAA=="}
    assert call(target, "PUT", bucket, "object", headers=headers, body=b"x").status == 400
    assert call(target, "HEAD", bucket, "object").status == 404


@pytest.mark.beyond_seaweedfs("answers checksums of the whole with a range")
def test_checksum_is_not_answered_for_a_range(s3, bucket):
    data = body(100_000)
    s3.put_object(Bucket=bucket, Key="object", Body=data, ChecksumAlgorithm="CRC32")
    got = s3.get_object(Bucket=bucket, Key="object", Range="bytes=0-9", ChecksumMode="ENABLED")
    assert not [name for name in got if name.startswith("Checksum")]


@pytest.mark.parametrize("size", SIZES)
def test_content_md5_right_is_stored(s3, bucket, size):
    data = body(size)
    s3.put_object(Bucket=bucket, Key="object", Body=data, ContentMD5=md5(data))
    assert s3.get_object(Bucket=bucket, Key="object")["Body"].read() == data


@pytest.mark.parametrize("size", SIZES)
def test_content_md5_wrong_is_bad_digest_and_not_stored(s3, bucket, size):
    with pytest.raises(ClientError) as raised:
        s3.put_object(Bucket=bucket, Key="object", Body=body(size), ContentMD5=md5(b"another body"))
    assert code(raised) == (400, "BadDigest")
    with pytest.raises(ClientError):
        s3.head_object(Bucket=bucket, Key="object")


def test_content_md5_malformed_is_invalid_digest(target, bucket):
    answer = call(target, "PUT", bucket, "object", headers={"Content-MD5": "not base64"}, body=b"x")
    assert (answer.status, answer.error()[0]) == (400, "InvalidDigest")


def test_content_md5_wrong_on_a_part_is_bad_digest(s3, bucket):
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key="object")["UploadId"]
    where = {"Bucket": bucket, "Key": "object", "UploadId": upload_id, "PartNumber": 1}
    with pytest.raises(ClientError) as raised:
        s3.upload_part(Body=body(5 * MIB), ContentMD5=md5(b"another body"), **where)
    assert code(raised) == (400, "BadDigest")
    assert not s3.list_parts(Bucket=bucket, Key="object", UploadId=upload_id).get("Parts")


@pytest.mark.beyond_seaweedfs("answers 500")
@pytest.mark.parametrize("kind_of_chunks", ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD",))
def test_signed_chunks_with_a_changed_byte_are_refused_and_not_stored(target, s3, bucket, kind_of_chunks):
    """The first chunk's signature covers other bytes than the body has."""
    data = body(100_000)
    coded = b"%x;chunk-signature=%s\r\n%s\r\n0;chunk-signature=%s\r\n\r\n" % (len(data), b"0" * 64, data, b"0" * 64)
    headers = {
        "Content-Encoding": "aws-chunked",
        "X-Amz-Decoded-Content-Length": str(len(data)),
        "X-Amz-Content-SHA256": kind_of_chunks,
    }
    answer = call(target, "PUT", bucket, "object", headers=headers, body=coded)
    assert (answer.status, answer.error()[0]) == (403, "SignatureDoesNotMatch")
    with pytest.raises(ClientError):
        s3.head_object(Bucket=bucket, Key="object")
