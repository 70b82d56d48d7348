"""Multipart uploads in every shape that a client makes them."""

import concurrent.futures

import pytest
from botocore.exceptions import ClientError

from test_objects import code
from testbed.payload import ALGORITHMS, MIB, body, checksum

LAYOUTS = {
    "5-MiB-parts-and-one-byte": [5 * MIB, 5 * MIB, 1],
    "5.3-MiB-parts": [5_557_453, 5_557_453, 5_557_453],
    "5.3-MiB-parts-and-one-byte": [5_557_453, 5_557_453, 1],
    "unequal-parts": [7 * MIB + 3, 5 * MIB, 6 * MIB + 16384, 4 * MIB],
    "one-part": [5 * MIB],
    "one-small-part": [1000],
    "one-empty-part": [0],
    "64-MiB-parts-and-one-byte": [64 * MIB, 64 * MIB, 1],
}


def upload(s3, bucket, key, sizes, numbers=None, **create) -> tuple[bytes, str, list[dict]]:
    """Uploads parts of `sizes` in order; gives the body, the upload's id and Complete's list."""
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key=key, **create)["UploadId"]
    whole, parts = [], []
    for number, size in zip(numbers or range(1, len(sizes) + 1), sizes, strict=True):
        data = body(size, number)
        etag = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=data)["ETag"]
        whole.append(data)
        parts.append({"PartNumber": number, "ETag": etag})
    return b"".join(whole), upload_id, parts


def complete(s3, bucket, key, upload_id, parts, **more):
    return s3.complete_multipart_upload(
        Bucket=bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts}, **more
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_multipart_layout_reads_back_with_its_plaintext_length(s3, bucket, layout):
    sizes = LAYOUTS[layout]
    data, upload_id, parts = upload(s3, bucket, "object", sizes, Metadata={"colour": "red"}, ContentType="text/x-m")
    done = complete(s3, bucket, "object", upload_id, parts)
    got = s3.get_object(Bucket=bucket, Key="object")
    assert got["ContentLength"] == len(data)
    assert got["Body"].read() == data
    assert (got["Metadata"], got["ContentType"], got["ETag"]) == ({"colour": "red"}, "text/x-m", done["ETag"])
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert [(o["Key"], o["Size"], o["ETag"]) for o in listed] == [("object", len(data), done["ETag"])]


def test_multipart_ranges_across_parts_give_exactly_those_bytes(s3, bucket):
    data, upload_id, parts = upload(s3, bucket, "object", [5 * MIB, 5_557_453, 5 * MIB + 1, 100])
    complete(s3, bucket, "object", upload_id, parts)
    size, edge = len(data), 5 * MIB
    for first, last in [
        (0, 0), (edge - 1, edge), (edge, edge), (edge - 20_000, edge + 20_000), (0, size - 1),
        (1, size - 2), (size - 101, size - 1), (size - 100, size - 100), (3 * MIB, 14 * MIB),
    ]:  # fmt: skip
        got = s3.get_object(Bucket=bucket, Key="object", Range=f"bytes={first}-{last}")
        assert got["Body"].read() == data[first : last + 1], (first, last)
        assert got["ContentRange"] == f"bytes {first}-{last}/{size}"
    for length in (1, 100, 101, 5 * MIB + 150, size):
        got = s3.get_object(Bucket=bucket, Key="object", Range=f"bytes=-{length}")
        assert got["Body"].read() == data[-length:], length


def test_multipart_part_number_reads_that_part(s3, bucket):
    sizes = [5 * MIB, 5 * MIB + 5, 77]
    data, upload_id, parts = upload(s3, bucket, "object", sizes)
    complete(s3, bucket, "object", upload_id, parts)
    start = 0
    for number, size in enumerate(sizes, 1):
        got = s3.get_object(Bucket=bucket, Key="object", PartNumber=number)
        assert got["Body"].read() == data[start : start + size]
        assert (got["ContentLength"], got["PartsCount"]) == (size, 3)
        assert got["ContentRange"] == f"bytes {start}-{start + size - 1}/{len(data)}"
        assert s3.head_object(Bucket=bucket, Key="object", PartNumber=number)["ContentLength"] == size
        start += size
    with pytest.raises(ClientError) as raised:
        s3.get_object(Bucket=bucket, Key="object", PartNumber=4)
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 416


def test_single_object_part_number_one_is_the_whole(s3, bucket):
    s3.put_object(Bucket=bucket, Key="object", Body=body(1000))
    assert s3.get_object(Bucket=bucket, Key="object", PartNumber=1)["Body"].read() == body(1000)
    with pytest.raises(ClientError) as raised:
        s3.get_object(Bucket=bucket, Key="object", PartNumber=2)
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 416


@pytest.mark.beyond_seaweedfs("lists superseded attempts")
def test_part_uploaded_twice_the_last_counts(s3, bucket):
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key="object")["UploadId"]

    def put(number, data):
        return s3.upload_part(Bucket=bucket, Key="object", UploadId=upload_id, PartNumber=number, Body=data)["ETag"]

    put(1, body(6 * MIB, "first"))
    etag = put(1, body(5 * MIB, "second"))
    put(2, b"short")
    last = put(2, b"short again")
    listed = s3.list_parts(Bucket=bucket, Key="object", UploadId=upload_id)["Parts"]
    assert [(p["PartNumber"], p["Size"], p["ETag"]) for p in listed] == [(1, 5 * MIB, etag), (2, 11, last)]
    parts = [{"PartNumber": 1, "ETag": etag}, {"PartNumber": 2, "ETag": last}]
    complete(s3, bucket, "object", upload_id, parts)
    assert s3.get_object(Bucket=bucket, Key="object")["Body"].read() == body(5 * MIB, "second") + b"short again"


@pytest.mark.beyond_seaweedfs("its Complete accepts superseded attempts")
def test_complete_with_a_superseded_etag_is_invalid_part(s3, bucket):
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key="object")["UploadId"]
    where = {"Bucket": bucket, "Key": "object", "UploadId": upload_id, "PartNumber": 1}
    old = s3.upload_part(Body=body(5 * MIB, "old"), **where)["ETag"]
    s3.upload_part(Body=body(5 * MIB, "new"), **where)
    with pytest.raises(ClientError) as raised:
        complete(s3, bucket, "object", upload_id, [{"PartNumber": 1, "ETag": old}])
    assert code(raised) == (400, "InvalidPart")


def test_part_uploaded_by_two_clients_at_once_is_one_of_them_whole(target, s3, bucket):
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key="object")["UploadId"]
    bodies = [body(5 * MIB + i, f"racer {i}") for i in range(4)]

    def put(data):
        where = {"Bucket": bucket, "Key": "object", "UploadId": upload_id, "PartNumber": 1}
        return s3.upload_part(Body=data, **where)["ETag"]

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        etags = list(pool.map(put, bodies))
    current = s3.list_parts(Bucket=bucket, Key="object", UploadId=upload_id)["Parts"]
    numbers = [p for p in current if p["ETag"] in etags]
    winner = numbers[-1]
    complete(s3, bucket, "object", upload_id, [{"PartNumber": 1, "ETag": winner["ETag"]}])
    got = s3.get_object(Bucket=bucket, Key="object")["Body"].read()
    assert got == bodies[etags.index(winner["ETag"])]
    assert len(got) == winner["Size"]


def test_complete_repeated_gives_the_same_answer(s3, bucket):
    data, upload_id, parts = upload(s3, bucket, "object", [5 * MIB, 10])
    first = complete(s3, bucket, "object", upload_id, parts)
    for _ in range(3):
        again = complete(s3, bucket, "object", upload_id, parts)
        assert (again["ETag"], again["Key"], again["Bucket"]) == (first["ETag"], "object", bucket)
    assert s3.get_object(Bucket=bucket, Key="object")["Body"].read() == data


@pytest.mark.beyond_seaweedfs("answers NoSuchUpload to some")
def test_complete_by_many_clients_at_once_makes_one_object(s3, bucket):
    data, upload_id, parts = upload(s3, bucket, "object", [5 * MIB, 10])

    def attempt(_):
        try:
            return complete(s3, bucket, "object", upload_id, parts)["ETag"]
        except ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] in (409, 503), error
            return None

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        etags = set(pool.map(attempt, range(6))) - {None}
    assert len(etags) == 1
    assert s3.get_object(Bucket=bucket, Key="object")["Body"].read() == data


def test_complete_with_sparse_part_numbers_keeps_their_order(s3, bucket):
    data, upload_id, parts = upload(s3, bucket, "object", [5 * MIB, 5 * MIB, 9], numbers=[3, 700, 10_000])
    complete(s3, bucket, "object", upload_id, parts)
    assert s3.get_object(Bucket=bucket, Key="object")["Body"].read() == data


def test_complete_with_parts_uploaded_out_of_order_reads_in_number_order(s3, bucket):
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key="object")["UploadId"]
    etags = {}
    for number in (3, 1, 2):
        size = 10 if number == 3 else 5 * MIB
        where = {"Bucket": bucket, "Key": "object", "UploadId": upload_id, "PartNumber": number}
        etags[number] = s3.upload_part(Body=body(size, number), **where)["ETag"]
    complete(s3, bucket, "object", upload_id, [{"PartNumber": n, "ETag": etags[n]} for n in (1, 2, 3)])
    expected = body(5 * MIB, 1) + body(5 * MIB, 2) + body(10, 3)
    assert s3.get_object(Bucket=bucket, Key="object")["Body"].read() == expected


def test_complete_of_a_subset_of_parts_leaves_the_others_out(s3, bucket):
    _, upload_id, parts = upload(s3, bucket, "object", [5 * MIB, 5 * MIB, 5 * MIB])
    complete(s3, bucket, "object", upload_id, [parts[0], parts[2]])
    got = s3.get_object(Bucket=bucket, Key="object")
    assert got["ContentLength"] == 10 * MIB
    assert got["Body"].read() == body(5 * MIB, 1) + body(5 * MIB, 3)


BAD_LISTS = {
    "out of order": (lambda parts: [parts[1], parts[0]], "InvalidPartOrder"),
    "never uploaded": (lambda parts: [*parts, {"PartNumber": 9, "ETag": parts[0]["ETag"]}], "InvalidPart"),
    "another ETag": (lambda parts: [parts[0] | {"ETag": '"' + "0" * 32 + '"'}], "InvalidPart"),
}


@pytest.mark.parametrize("case", BAD_LISTS)
def test_complete_with_a_bad_list_is_refused_and_stores_nothing(s3, bucket, case):
    change, expected = BAD_LISTS[case]
    _, upload_id, parts = upload(s3, bucket, "object", [5 * MIB, 5 * MIB])
    with pytest.raises(ClientError) as raised:
        complete(s3, bucket, "object", upload_id, change(parts))
    assert code(raised) == (400, expected)
    with pytest.raises(ClientError):
        s3.head_object(Bucket=bucket, Key="object")
    assert complete(s3, bucket, "object", upload_id, parts)["ETag"], "a right list still succeeds"


def test_complete_with_a_small_part_in_the_middle_is_entity_too_small(s3, bucket):
    _, upload_id, parts = upload(s3, bucket, "object", [5 * MIB - 1, 5 * MIB])
    with pytest.raises(ClientError) as raised:
        complete(s3, bucket, "object", upload_id, parts)
    assert code(raised) == (400, "EntityTooSmall")


@pytest.mark.beyond_seaweedfs("answers 404")
def test_complete_without_parts_is_malformed(s3, bucket):
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key="object")["UploadId"]
    with pytest.raises(ClientError) as raised:
        complete(s3, bucket, "object", upload_id, [])
    assert code(raised)[0] == 400


@pytest.mark.beyond_seaweedfs("answers InvalidPart")
@pytest.mark.parametrize("number", (0, 10_001))
def test_part_number_out_of_range_is_invalid_argument(s3, bucket, number):
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key="object")["UploadId"]
    with pytest.raises(ClientError) as raised:
        s3.upload_part(Bucket=bucket, Key="object", UploadId=upload_id, PartNumber=number, Body=b"x")
    assert code(raised) == (400, "InvalidArgument")


def test_upload_id_unknown_is_no_such_upload(s3, bucket):
    where = {"Bucket": bucket, "Key": "object", "UploadId": "0123456789abcdef" * 2}
    calls = (
        lambda: s3.upload_part(PartNumber=1, Body=b"x", **where),
        lambda: s3.list_parts(**where),
        lambda: s3.complete_multipart_upload(MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": '"x"'}]}, **where),
        lambda: s3.abort_multipart_upload(**where),
    )
    for attempt in calls:
        with pytest.raises(ClientError) as raised:
            attempt()
        assert code(raised) == (404, "NoSuchUpload")


def test_upload_id_under_another_key_is_no_such_upload(s3, bucket):
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key="object")["UploadId"]
    with pytest.raises(ClientError) as raised:
        s3.upload_part(Bucket=bucket, Key="other", UploadId=upload_id, PartNumber=1, Body=b"x")
    assert code(raised) == (404, "NoSuchUpload")


def test_abort_forgets_the_upload(s3, bucket):
    _, upload_id, parts = upload(s3, bucket, "object", [5 * MIB, 3])
    s3.abort_multipart_upload(Bucket=bucket, Key="object", UploadId=upload_id)
    with pytest.raises(ClientError) as raised:
        complete(s3, bucket, "object", upload_id, parts)
    assert code(raised) == (404, "NoSuchUpload")
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_list_parts_pages_with_plaintext_sizes(s3, bucket):
    sizes = [5 * MIB, 5 * MIB + 1, 5 * MIB + 2, 5 * MIB + 3, 44]
    _, upload_id, parts = upload(s3, bucket, "object", sizes)
    where = {"Bucket": bucket, "Key": "object", "UploadId": upload_id}
    seen, marker = [], 0
    while True:
        page = s3.list_parts(MaxParts=2, PartNumberMarker=marker, **where)
        assert len(page["Parts"]) <= 2
        seen += [(p["PartNumber"], p["Size"], p["ETag"]) for p in page["Parts"]]
        if not page["IsTruncated"]:
            break
        marker = page["NextPartNumberMarker"]
    assert seen == [(p["PartNumber"], size, p["ETag"]) for p, size in zip(parts, sizes, strict=True)]


def test_list_multipart_uploads_names_open_uploads_of_the_bucket(s3, make_bucket):
    bucket, other = make_bucket(), make_bucket()
    ids = {key: s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"] for key in ("a/1", "a/2", "b/1")}
    s3.create_multipart_upload(Bucket=other, Key="elsewhere")
    listed = {u["Key"]: u["UploadId"] for u in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]}
    assert listed == ids
    prefixed = s3.list_multipart_uploads(Bucket=bucket, Prefix="a/")["Uploads"]
    assert [u["Key"] for u in prefixed] == ["a/1", "a/2"]


@pytest.mark.beyond_seaweedfs("gives no markers")
def test_list_multipart_uploads_pages(s3, bucket):
    ids = {f"k{i}": s3.create_multipart_upload(Bucket=bucket, Key=f"k{i}")["UploadId"] for i in range(5)}
    seen, markers = {}, {}
    while True:
        page = s3.list_multipart_uploads(Bucket=bucket, MaxUploads=2, **markers)
        seen |= {u["Key"]: u["UploadId"] for u in page.get("Uploads", [])}
        if not page["IsTruncated"]:
            break
        markers = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
    assert seen == ids


def test_upload_part_copy_of_ranges_reads_back(s3, bucket):
    source = body(12 * MIB + 5, "source")
    s3.put_object(Bucket=bucket, Key="source", Body=source)
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key="object")["UploadId"]
    where = {"Bucket": bucket, "Key": "object", "UploadId": upload_id, "CopySource": f"{bucket}/source"}
    ranges = [(100, 5 * MIB + 350), (7 * MIB, 12 * MIB + 4), (0, 0)]
    parts = []
    for number, (first, last) in enumerate(ranges, 1):
        copied = s3.upload_part_copy(PartNumber=number, CopySourceRange=f"bytes={first}-{last}", **where)
        parts.append({"PartNumber": number, "ETag": copied["CopyPartResult"]["ETag"]})
    complete(s3, bucket, "object", upload_id, parts)
    expected = b"".join(source[first : last + 1] for first, last in ranges)
    assert s3.get_object(Bucket=bucket, Key="object")["Body"].read() == expected


def test_upload_part_copy_of_a_multipart_source_across_its_parts(s3, make_bucket):
    bucket, other = make_bucket(), make_bucket()
    source, upload_id, parts = upload(s3, bucket, "source", [5 * MIB, 5 * MIB, 5])
    complete(s3, bucket, "source", upload_id, parts)
    upload_id = s3.create_multipart_upload(Bucket=other, Key="object")["UploadId"]
    copied = s3.upload_part_copy(
        Bucket=other, Key="object", UploadId=upload_id, PartNumber=1, CopySource=f"{bucket}/source",
        CopySourceRange=f"bytes={4 * MIB}-{10 * MIB + 1}",
    )  # fmt: skip
    complete(s3, other, "object", upload_id, [{"PartNumber": 1, "ETag": copied["CopyPartResult"]["ETag"]}])
    assert s3.get_object(Bucket=other, Key="object")["Body"].read() == source[4 * MIB : 10 * MIB + 2]


@pytest.mark.beyond_seaweedfs("answers InvalidRange")
def test_upload_part_copy_range_past_the_source_is_refused(s3, bucket):
    s3.put_object(Bucket=bucket, Key="source", Body=body(1000))
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key="object")["UploadId"]
    with pytest.raises(ClientError) as raised:
        s3.upload_part_copy(
            Bucket=bucket, Key="object", UploadId=upload_id, PartNumber=1, CopySource=f"{bucket}/source",
            CopySourceRange="bytes=0-1000",
        )  # fmt: skip
    assert code(raised) == (400, "InvalidArgument")


def test_get_object_attributes_of_multipart_names_its_parts(s3, bucket):
    sizes = [5 * MIB, 5 * MIB + 9, 3]
    create = {"ChecksumAlgorithm": "SHA256"}
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key="object", **create)["UploadId"]
    parts = []
    for number, size in enumerate(sizes, 1):
        where = {"Bucket": bucket, "Key": "object", "UploadId": upload_id, "PartNumber": number}
        done = s3.upload_part(Body=body(size, number), ChecksumAlgorithm="SHA256", **where)
        parts.append({"PartNumber": number, "ETag": done["ETag"], "ChecksumSHA256": done["ChecksumSHA256"]})
    complete(s3, bucket, "object", upload_id, parts)
    wanted = ["ObjectSize", "ObjectParts", "Checksum"]
    got = s3.get_object_attributes(Bucket=bucket, Key="object", ObjectAttributes=wanted)
    assert got["ObjectSize"] == sum(sizes)
    assert got["ObjectParts"]["TotalPartsCount"] == 3
    assert [(p["PartNumber"], p["Size"]) for p in got["ObjectParts"]["Parts"]] == list(enumerate(sizes, 1))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_multipart_checksums_of_parts_and_whole_are_verified_and_kept(s3, bucket, algorithm):
    field = f"Checksum{algorithm}"
    kind = "COMPOSITE" if algorithm in ("SHA1", "SHA256") else "FULL_OBJECT"
    upload_id = s3.create_multipart_upload(
        Bucket=bucket, Key="object", ChecksumAlgorithm=algorithm, ChecksumType=kind
    )["UploadId"]
    where = {"Bucket": bucket, "Key": "object", "UploadId": upload_id}
    datas = [body(5 * MIB, 1), body(100, 2)]
    with pytest.raises(ClientError) as raised:
        s3.upload_part(PartNumber=1, Body=datas[0], **where, **{field: checksum(algorithm, b"something else")})
    assert code(raised) == (400, "BadDigest")
    parts = []
    for number, data in enumerate(datas, 1):
        own = checksum(algorithm, data)
        done = s3.upload_part(PartNumber=number, Body=data, **where, **{field: own})
        assert done[field] == own
        parts.append({"PartNumber": number, "ETag": done["ETag"], field: own})
    done = complete(s3, bucket, "object", upload_id, parts)
    if kind == "FULL_OBJECT":
        assert done[field] == checksum(algorithm, b"".join(datas))
    else:
        assert done[field].endswith("-2")
    head = s3.head_object(Bucket=bucket, Key="object", ChecksumMode="ENABLED")
    assert (head[field], head["ChecksumType"]) == (done[field], kind)


@pytest.mark.beyond_seaweedfs("ignores the declared object size")
def test_complete_with_a_wrong_declared_object_size_is_refused(s3, bucket):
    data, upload_id, parts = upload(s3, bucket, "object", [5 * MIB, 3])
    with pytest.raises(ClientError) as raised:
        complete(s3, bucket, "object", upload_id, parts, MpuObjectSize=len(data) + 1)
    assert code(raised)[0] == 400
    with pytest.raises(ClientError):
        s3.head_object(Bucket=bucket, Key="object")
    complete(s3, bucket, "object", upload_id, parts, MpuObjectSize=len(data))


def test_multipart_over_an_object_replaces_it_only_at_complete(s3, bucket):
    s3.put_object(Bucket=bucket, Key="object", Body=b"old")
    data, upload_id, parts = upload(s3, bucket, "object", [5 * MIB])
    assert s3.get_object(Bucket=bucket, Key="object")["Body"].read() == b"old"
    complete(s3, bucket, "object", upload_id, parts)
    assert s3.get_object(Bucket=bucket, Key="object")["Body"].read() == data
