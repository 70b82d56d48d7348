"""Listings of 10,000 keys: pages, prefixes, delimiters, and the plaintext's sizes."""

import concurrent.futures
import threading
from urllib.parse import unquote

import pytest

from conftest import unique_name
from testbed.payload import body
from testbed.signed import call, connect

KEYS = 10_000


def expected_objects() -> dict[str, int]:
    """Key → plaintext length: 100 folders of 100, and lengths that move around a segment's edges."""
    return {f"dir{i % 100:02}/sub{i % 7}/obj{i:05}.dat": (i * 37) % 700 for i in range(KEYS)}


@pytest.fixture(scope="session")
def listed(target):
    """A bucket of 10,000 objects."""
    bucket = unique_name("list")
    target.client().create_bucket(Bucket=bucket)
    local = threading.local()

    def put(item):
        key, size = item
        if not hasattr(local, "connection"):
            local.connection = connect(target)
        headers = {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}
        answer = call(target, "PUT", bucket, key, headers=headers, body=body(size), connection=local.connection)
        assert answer.status == 200, answer.body

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for _ in pool.map(put, expected_objects().items()):
            pass
    return bucket


def pages(s3, bucket, **arguments):
    """Every page of a v2 listing; no two pages overlap and none is over its limit."""
    limit, token = arguments.get("MaxKeys", 1000), {}
    while True:
        page = s3.list_objects_v2(Bucket=bucket, **arguments, **token)
        count = len(page.get("Contents", [])) + len(page.get("CommonPrefixes", []))
        assert page["KeyCount"] == count <= limit
        yield page
        if not page["IsTruncated"]:
            return
        assert count, "a truncated page must move on"
        token = {"ContinuationToken": page["NextContinuationToken"]}


def keys_and_prefixes(pages_) -> tuple[list[tuple[str, int]], list[str]]:
    objects, prefixes = [], []
    for page in pages_:
        objects += [(o["Key"], o["Size"]) for o in page.get("Contents", [])]
        prefixes += [p["Prefix"] for p in page.get("CommonPrefixes", [])]
    return objects, prefixes


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page_size", (1000, 777))
def test_list_v2_pages_through_10000_keys_with_plaintext_sizes(s3, listed, page_size):
    objects, prefixes = keys_and_prefixes(pages(s3, listed, MaxKeys=page_size))
    assert objects == sorted(expected_objects().items())
    assert prefixes == []


def test_list_v2_delimiter_folds_into_common_prefixes(s3, listed):
    objects, prefixes = keys_and_prefixes(pages(s3, listed, Delimiter="/", MaxKeys=30))
    assert objects == []
    assert prefixes == [f"dir{i:02}/" for i in range(100)]
    objects, prefixes = keys_and_prefixes(pages(s3, listed, Delimiter="/", Prefix="dir07/"))
    assert (objects, prefixes) == ([], [f"dir07/sub{i}/" for i in range(7)])
    objects, prefixes = keys_and_prefixes(pages(s3, listed, Delimiter="/", Prefix="dir07/sub3/"))
    assert prefixes == []
    assert objects == sorted((k, s) for k, s in expected_objects().items() if k.startswith("dir07/sub3/"))


def test_list_v2_prefix_inside_a_name_selects(s3, listed):
    objects, _ = keys_and_prefixes(pages(s3, listed, Prefix="dir1"))
    assert objects == sorted((k, s) for k, s in expected_objects().items() if k.startswith("dir1"))


def test_list_v2_delimiter_of_another_character_folds(kind, s3, listed):
    objects, prefixes = keys_and_prefixes(pages(s3, listed, Delimiter="sub", Prefix="dir07/"))
    assert (objects, prefixes) == ([], ["dir07/sub"])
    objects, prefixes = keys_and_prefixes(pages(s3, listed, Delimiter="7", MaxKeys=100))
    keys = sorted(expected_objects())
    folded = sorted({k[: k.index("7") + 1] for k in keys if "7" in k})
    in_order = sorted if kind == "seaweedfs" else list
    assert in_order(prefixes) == folded
    assert in_order(k for k, _ in objects) == [k for k in keys if "7" not in k]


def test_list_versions_delimiter_of_another_character_folds(s3, bucket):
    for key in ("a-1", "a-2", "b", "c-1"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    versions, prefixes, marker = [], [], {}
    for _ in range(4):
        page = s3.list_object_versions(Bucket=bucket, Delimiter="-", MaxKeys=1, **marker)
        versions += [v["Key"] for v in page.get("Versions", [])]
        prefixes += [p["Prefix"] for p in page.get("CommonPrefixes", [])]
        if not page["IsTruncated"]:
            break
        marker = {"KeyMarker": page["NextKeyMarker"]}
        if "NextVersionIdMarker" in page:
            marker["VersionIdMarker"] = page["NextVersionIdMarker"]
    assert (versions, prefixes) == (["b"], ["a-", "c-"])


def test_list_v2_start_after_begins_behind_it(s3, listed):
    every = sorted(expected_objects())
    after = every[4999]
    objects, _ = keys_and_prefixes(pages(s3, listed, StartAfter=after))
    assert [key for key, _ in objects] == every[5000:]
    objects, _ = keys_and_prefixes(pages(s3, listed, StartAfter="dir99/sub6/zzz"))
    assert objects == []


def test_list_v1_pages_by_marker(s3, listed):
    seen, marker = [], ""
    while True:
        page = s3.list_objects(Bucket=listed, Marker=marker, MaxKeys=900)
        seen += [(o["Key"], o["Size"]) for o in page.get("Contents", [])]
        if not page["IsTruncated"]:
            break
        marker = page.get("NextMarker") or page["Contents"][-1]["Key"]
    assert seen == sorted(expected_objects().items())


def test_list_v1_delimiter_gives_a_next_marker(s3, listed):
    prefixes, marker = [], ""
    while True:
        page = s3.list_objects(Bucket=listed, Delimiter="/", Marker=marker, MaxKeys=40)
        prefixes += [p["Prefix"] for p in page.get("CommonPrefixes", [])]
        if not page["IsTruncated"]:
            break
        marker = page["NextMarker"]
    assert prefixes == [f"dir{i:02}/" for i in range(100)]


def test_list_object_versions_of_an_unversioned_bucket_lists_null_versions(s3, listed):
    page = s3.list_object_versions(Bucket=listed, Prefix="dir07/sub3/")
    expected = sorted((k, s) for k, s in expected_objects().items() if k.startswith("dir07/sub3/"))
    assert [(v["Key"], v["Size"]) for v in page["Versions"]] == expected
    assert {(v["VersionId"], v["IsLatest"]) for v in page["Versions"]} == {("null", True)}


def test_list_max_keys_zero_is_an_empty_page(s3, listed):
    page = s3.list_objects_v2(Bucket=listed, MaxKeys=0)
    assert (page["KeyCount"], page["IsTruncated"]) == (0, False)


def test_list_of_an_empty_bucket_is_empty(s3, bucket):
    page = s3.list_objects_v2(Bucket=bucket)
    assert (page["KeyCount"], page["IsTruncated"]) == (0, False)
    assert "Contents" not in page


@pytest.mark.beyond_seaweedfs("takes any token")
def test_list_v2_continuation_token_garbage_is_refused(target, bucket):
    answer = call(target, "GET", bucket, query={"list-type": "2", "continuation-token": "garbage!"})
    assert (answer.status, answer.error()[0]) == (400, "InvalidArgument")


def test_list_v2_continuation_token_empty_begins_at_the_beginning(s3, bucket):
    s3.put_object(Bucket=bucket, Key="object", Body=b"x")
    page = s3.list_objects_v2(Bucket=bucket, ContinuationToken="")
    assert (page["ContinuationToken"], page["IsTruncated"]) == ("", False)
    assert [o["Key"] for o in page["Contents"]] == ["object"]


def test_list_v2_names_the_owner_only_when_asked(s3, bucket):
    s3.put_object(Bucket=bucket, Key="object", Body=b"x")
    assert "Owner" not in s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    assert s3.list_objects_v2(Bucket=bucket, FetchOwner=True)["Contents"][0]["Owner"]["ID"]


@pytest.mark.lethe_only("SeaweedFS lists out of S3's byte order")
def test_list_order_is_byte_order_on_embedded_regions(target, s3, bucket):
    keys = ["a", "a-b", "a/b", "a/c/d", "a0", "A", "z", "é", "\U0001f600", "￿"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    got = [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    in_order = sorted(keys, key=lambda k: k.encode())
    assert got == in_order if target.kind == "embedded" else sorted(got) == sorted(in_order)


def test_emptied_folder_lists_no_key(target, s3, bucket):
    for key in ("f/one", "f/g/two"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    gone = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in ("f/one", "f/g/two")]})
    assert not gone.get("Errors")
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    page = s3.list_objects_v2(Bucket=bucket, Prefix="f/", Delimiter="/")
    assert "Contents" not in page
    prefixes = [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
    assert prefixes in ([[]] if target.kind == "embedded" else [[], ["f/g/"]])


@pytest.mark.beyond_seaweedfs("ends such a listing early")
def test_folder_of_an_objects_name_behind_a_full_page_is_listed(s3, bucket):
    keys = ["0", "a", "a/1", "a/2"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    for limit in (1, 2, 3):
        objects, _ = keys_and_prefixes(pages(s3, bucket, MaxKeys=limit))
        assert sorted(key for key, _ in objects) == keys
        v1 = s3.get_paginator("list_objects").paginate(Bucket=bucket, PaginationConfig={"PageSize": limit})
        assert sorted(entry["Key"] for page in v1 for entry in page.get("Contents", [])) == keys
        objects, prefixes = keys_and_prefixes(pages(s3, bucket, MaxKeys=limit, Delimiter="/"))
        assert (sorted(key for key, _ in objects), prefixes) == (["0", "a"], ["a/"])
        objects, prefixes = keys_and_prefixes(pages(s3, bucket, MaxKeys=limit, Delimiter="2"))
        assert (sorted(key for key, _ in objects), prefixes) == (["0", "a", "a/1"], ["a/2"])
    filler = [f"0{n:04}" for n in range(998)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for _ in pool.map(lambda key: s3.put_object(Bucket=bucket, Key=key, Body=b""), filler):
            pass
    objects, _ = keys_and_prefixes(pages(s3, bucket))
    assert sorted(key for key, _ in objects) == sorted(keys + filler)


@pytest.mark.beyond_seaweedfs("takes `a//` for `a/`")
def test_prefix_that_no_key_may_have_lists_nothing(s3, bucket):
    for key in ("a/1", "a/b/own", "x"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    for prefix in ("a//", "a//1", "a///", "a/b//", "a/b//o", "/", "//", "/a/", "a/./", "a/../x", "../", "a\\"):
        for more in ({}, {"Delimiter": "/"}, {"Delimiter": "b"}):
            arguments = {"Bucket": bucket, "Prefix": prefix} | more
            for page in (
                s3.list_objects(**arguments), s3.list_objects_v2(**arguments), s3.list_object_versions(**arguments),
                s3.list_multipart_uploads(**arguments),
            ):  # fmt: skip
                found = [page.get(name) for name in ("Contents", "Versions", "Uploads", "CommonPrefixes") if page.get(name)]
                # boto3 asks for encoded listings, and decodes the prefix of some of them only.
                assert (found, page["IsTruncated"], unquote(page["Prefix"])) == ([], False, prefix), arguments
