"""A store that changes, swaps, cuts or mixes up what it holds: errors, never wrong bytes with a clean end."""

import pytest
from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError, ResponseStreamingError
from urllib3.exceptions import HTTPError

from conftest import unique_name
from test_multipart import complete, upload
from testbed.payload import MIB, body
from testbed.stored import Upstream, files_under, files_with, flip_at

pytestmark = pytest.mark.lethe_only("plain SeaweedFS believes its disk")

BROKEN = (ClientError, HTTPClientError, HTTPError, IncompleteReadError, ResponseStreamingError, ConnectionError)
SIZE = 3 * MIB + 5000


def read_outcome(s3, bucket: str, key: str, whole: bytes, **arguments) -> str:
    """`right` when every byte came; `broken` when an error told that not; fails on any wrong byte or clean short end."""
    got = b""
    try:
        answer = s3.get_object(Bucket=bucket, Key=key, **arguments)
        for chunk in answer["Body"].iter_chunks(16 * 1024):
            got += chunk
    except BROKEN as error:
        assert whole.startswith(got), f"wrong bytes before {error!r}"
        if isinstance(error, ClientError):
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] >= 400
        return "broken"
    assert got == whole, f"a clean end after {len(got)} of {len(whole)} bytes, some of them wrong"
    return "right"


def single(s3, bucket, size=SIZE) -> bytes:
    data = body(size, "victim")
    s3.put_object(Bucket=bucket, Key="object", Body=data, Metadata={"kept": "as it was"})
    return data


def multi(s3, bucket) -> bytes:
    data, upload_id, parts = upload(s3, bucket, "object", [5 * MIB, 5 * MIB + 7, 900])
    complete(s3, bucket, "object", upload_id, parts)
    return data


MAKERS = {"single": single, "multipart": multi}


def new_files(target, before: set) -> list:
    return [p for p in files_under(target.dir) if p not in before and p.stat().st_size > MIB]


@pytest.mark.parametrize("shape", MAKERS)
@pytest.mark.parametrize("where", (0, 80, 0.3, 0.7, -400, -1))
def test_flipped_byte_in_a_stored_file_gives_an_error_or_the_right_bytes(target, s3, bucket, shape, where):
    """In the files of the embedded region, and in SeaweedFS's volumes."""
    if target.kind == "embedded":
        before = set(files_under(target.dir))
        data = MAKERS[shape](s3, bucket)
        bodies = new_files(target, before)
        assert bodies, "no body file: the store keeps bodies elsewhere than in files"
        path = max(bodies, key=lambda p: p.stat().st_size) if shape == "single" else bodies[0]
        first, length = 0, path.stat().st_size
    else:
        if where != 0.3:
            pytest.skip("SeaweedFS itself tries 13 s before it gives up such a read: one place will do, the lies below do the rest")
        upstream = Upstream(target)
        before = upstream.buckets()
        fresh = unique_name()
        s3.create_bucket(Bucket=fresh)
        data = MAKERS[shape](s3, fresh)
        (upstream_bucket,) = upstream.buckets() - before
        stored, _ = upstream.read(upstream_bucket, "object")
        # A chunk of a volume is contiguous: its first 64 bytes tell where it begins.
        path, first, length = needle(target, stored)
        bucket = fresh
    assert read_outcome(s3, bucket, "object", data) == "right"
    offset = where if isinstance(where, int) and where >= 0 else int(length * where) if where > 0 else length + where
    flip_at(path, first + offset)
    outcome = read_outcome(s3, bucket, "object", data)
    if isinstance(where, float):
        assert outcome == "broken", "the flipped byte lies in the sealed body"
    target.client().delete_object(Bucket=bucket, Key="object")


def needle(target, stored: bytes) -> tuple:
    """Where a stored body's first chunk lies in SeaweedFS's volume files."""
    for path in target.store.data.glob("*.dat"):
        content = path.read_bytes()
        at = content.find(stored[:64])
        if at >= 0:
            length = next(n for n in (4 * MIB, 2 * MIB, MIB, 1) if content[at : at + n] == stored[:n])
            return path, at, min(length, len(stored))
    raise AssertionError("the stored body is in no volume")


@pytest.mark.parametrize("change", ("cut", "emptied", "removed", "extended"))
def test_file_of_another_length_gives_an_error(target, s3, bucket, change):
    if target.kind != "embedded":
        pytest.skip("SeaweedFS variant: test_lying_upstream_is_never_believed")
    before = set(files_under(target.dir))
    data = single(s3, bucket)
    (path,) = new_files(target, before)
    length = path.stat().st_size
    with path.open("r+b") as file:
        if change == "extended":
            file.seek(length)
            file.write(b"\0" * 100)
        else:
            file.truncate({"cut": length - 1000, "emptied": 0, "removed": 0}[change])
    if change == "removed":
        path.unlink()
    outcome = read_outcome(s3, bucket, "object", data)
    assert outcome == "broken" or change == "extended"


@pytest.fixture
def upstream_pair(target):
    """SeaweedFS's own view, and two objects of acme in a bucket whose upstream name is known."""
    if target.kind != "seaweedfs":
        pytest.skip("needs an upstream with an interface of its own")
    s3, upstream = target.client(), Upstream(target)
    before = upstream.buckets()
    bucket = unique_name()
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="warm", Body=b"x")
    (stored,) = upstream.buckets() - before
    yield s3, upstream, bucket, stored
    for key in ("object", "other", "warm"):
        upstream.client.delete_object(Bucket=stored, Key=key)
    s3.delete_bucket(Bucket=bucket)


LIES = {
    "first byte flipped": lambda data: bytes([data[0] ^ 1]) + data[1:],
    "middle byte flipped": lambda data: data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :],
    "segments swapped": lambda data: data[: 56 + 16400] + data[56 + 32800 : 56 + 49200] + data[56 + 16400 : 56 + 32800]
    + data[56 + 49200 :],
    "segment dropped": lambda data: data[: 56 + 16400] + data[56 + 32800 :],
    "cut to half": lambda data: data[: len(data) // 2],
    "cut by one": lambda data: data[:-1],
    "one longer": lambda data: data + b"\0",
    "emptied": lambda data: b"",
    "all zero": lambda data: bytes(len(data)),
}  # fmt: skip


@pytest.mark.parametrize("shape", MAKERS)
@pytest.mark.parametrize("lie", LIES)
def test_lying_upstream_is_never_believed(upstream_pair, shape, lie):
    s3, upstream, bucket, stored = upstream_pair
    data = MAKERS[shape](s3, bucket)
    sealed, kept = upstream.read(stored, "object")
    upstream.write(stored, "object", sealed, kept)
    assert read_outcome(s3, bucket, "object", data) == "right", "the same bytes written back still open"
    upstream.write(stored, "object", LIES[lie](sealed), kept)
    outcome = read_outcome(s3, bucket, "object", data)
    assert outcome == "broken" or lie in ("one longer", "cut by one")
    middle = len(data) // 2
    read_outcome(s3, bucket, "object", data[middle - 10 : middle + 10], Range=f"bytes={middle - 10}-{middle + 9}")


def test_objects_swapped_by_the_store_are_refused(upstream_pair):
    s3, upstream, bucket, stored = upstream_pair
    one, two = body(200_000, "one"), body(200_000, "two")
    s3.put_object(Bucket=bucket, Key="object", Body=one)
    s3.put_object(Bucket=bucket, Key="other", Body=two)
    sealed_one, sealed_two = upstream.read(stored, "object"), upstream.read(stored, "other")
    upstream.write(stored, "object", *sealed_two)
    upstream.write(stored, "other", *sealed_one)
    assert read_outcome(s3, bucket, "object", one) == "broken"
    assert read_outcome(s3, bucket, "other", two) == "broken"


def test_body_under_anothers_head_is_refused(upstream_pair):
    s3, upstream, bucket, stored = upstream_pair
    one, two = body(200_000, "one"), body(200_000, "two")
    s3.put_object(Bucket=bucket, Key="object", Body=one)
    s3.put_object(Bucket=bucket, Key="other", Body=two)
    upstream.write(stored, "object", upstream.read(stored, "other")[0], upstream.read(stored, "object")[1])
    assert read_outcome(s3, bucket, "object", one) == "broken"


def test_metadata_value_changed_by_the_store_is_refused(upstream_pair):
    s3, upstream, bucket, stored = upstream_pair
    data = single(s3, bucket)
    sealed, kept = upstream.read(stored, "object")
    for name, value in kept["Metadata"].items():
        middle = len(value) // 2
        changed = value[:middle] + ("A" if value[middle] != "A" else "B") + value[middle + 1 :]
        upstream.write(stored, "object", sealed, kept | {"Metadata": kept["Metadata"] | {name: changed}})
        assert read_outcome(s3, bucket, "object", data) == "broken", name
        without = {k: v for k, v in kept["Metadata"].items() if k != name}
        upstream.write(stored, "object", sealed, kept | {"Metadata": without})
        assert read_outcome(s3, bucket, "object", data) == "broken", name


def test_sealed_metadata_of_a_copy_and_its_source_cannot_be_swapped(upstream_pair):
    s3, upstream, bucket, stored = upstream_pair
    data = body(1000)
    s3.put_object(Bucket=bucket, Key="object", Body=data, Metadata={"owner": "first"})
    s3.copy_object(
        Bucket=bucket, Key="other", CopySource={"Bucket": bucket, "Key": "object"}, MetadataDirective="REPLACE",
        Metadata={"owner": "other"},
    )  # fmt: skip
    (sealed, kept), (_, other) = upstream.read(stored, "object"), upstream.read(stored, "other")
    differing = [name for name in kept["Metadata"] if kept["Metadata"][name] != other["Metadata"].get(name)]
    assert len(differing) >= 2, "a wrapped key and sealed metadata of its own each"
    for name in differing:
        mixed = kept["Metadata"] | {name: other["Metadata"][name]}
        upstream.write(stored, "object", sealed, kept | {"Metadata": mixed})
        assert read_outcome(s3, bucket, "object", data) == "broken", name


def test_object_that_lethe_did_not_write_is_listed_but_never_served(upstream_pair):
    s3, upstream, bucket, stored = upstream_pair
    upstream.write(stored, "other", b"not sealed", {})
    assert ("other", 10) in [(o["Key"], o["Size"]) for o in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert read_outcome(s3, bucket, "other", b"") == "broken"


def test_stored_bodies_of_equal_plaintexts_differ(upstream_pair):
    s3, upstream, bucket, stored = upstream_pair
    for key in ("object", "other"):
        s3.put_object(Bucket=bucket, Key=key, Body=bytes(100_000))
    one, two = upstream.read(stored, "object")[0], upstream.read(stored, "other")[0]
    assert len(one) == len(two) and one != two
    assert not [i for i in range(0, len(one) - 64, 64) if one[i : i + 64] in two]


def test_upstream_bucket_name_tells_neither_tenant_nor_bucket(target, s3):
    if target.kind != "seaweedfs":
        s3.create_bucket(Bucket=(bucket := unique_name("telling")))
        names = [str(path.relative_to(target.dir)) for path in (target.dir / "regions").rglob("*")]
        assert names and not [name for name in names if "acme" in name or "telling" in name]
        assert not files_with(bucket.encode(), target.dir / "regions")
        s3.delete_bucket(Bucket=bucket)
        return
    upstream = Upstream(target)
    before = upstream.buckets()
    bucket = unique_name("telling")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="x", Body=b"x")
    (name,) = upstream.buckets() - before
    assert "acme" not in name and "telling" not in name
    prefix, _, random_part = name.rpartition("-")
    assert prefix and len(random_part) == 26 and set(random_part) <= set("abcdefghijklmnopqrstuvwxyz234567")
    s3.delete_object(Bucket=bucket, Key="x")
    s3.delete_bucket(Bucket=bucket)
    assert name not in upstream.buckets()


def test_spilled_metadata_changed_by_the_store_is_refused(upstream_pair):
    """2 KB of user metadata do not fit beside the header: what lies in Content-Disposition is sealed just as well."""
    s3, upstream, bucket, stored = upstream_pair
    data = body(1000)
    s3.put_object(Bucket=bucket, Key="object", Body=data, Metadata={"m": "x" * 2047})
    sealed, kept = upstream.read(stored, "object")
    spilled = kept.get("ContentDisposition")
    if spilled is None:
        pytest.skip("this store has room for all of it beside the header: nothing spills")
    assert len(spilled) > 100 and "xxxx" not in spilled
    middle = len(spilled) // 2
    changed = spilled[:middle] + ("A" if spilled[middle] != "A" else "B") + spilled[middle + 1 :]
    for disposition in (changed, spilled[:middle]):
        upstream.write(stored, "object", sealed, kept | {"ContentDisposition": disposition})
        assert read_outcome(s3, bucket, "object", data) == "broken"
