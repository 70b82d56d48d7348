"""Lifecycle rules: told as they were put, refused as at S3, and carried out by whatever the region's store has for it."""

import hashlib
import time
from base64 import b64encode
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError

from conftest import empty, unique_name
from test_multipart import complete, upload
from test_objects import code
from test_post_forms import encode, post, presigned
from testbed.access import issue
from testbed.payload import MIB, body
from testbed.signed import call

PAST = datetime(2020, 1, 1, tzinfo=UTC)
FUTURE = datetime(2040, 1, 1, tzinfo=UTC)
TAG = {"Key": "team", "Value": "a & b"}
SIZES = {"ObjectSizeGreaterThan": 100_000, "ObjectSizeLessThan": 5 * 2**40}


def rule(name: str | None = "rule", status: str = "Enabled", **parts) -> dict:
    return ({"ID": name} if name else {}) | {"Status": status} | parts


def put(s3, bucket: str, *rules: dict) -> None:
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": list(rules)})


def rules_of(s3, bucket: str) -> list[dict]:
    return s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]


def refused(action, *argv, **named) -> tuple[int, str]:
    with pytest.raises(ClientError) as raised:
        action(*argv, **named)
    return code(raised)


DAYS = {"Expiration": {"Days": 30}}
RULES = [
    rule("old form", Prefix="logs/", **DAYS),
    rule("all", Filter={}, AbortIncompleteMultipartUpload={"DaysAfterInitiation": 7}),
    rule("prefix", "Disabled", Filter={"Prefix": "a/ü&<"}, Expiration={"Date": FUTURE}),
    rule("tag", Filter={"Tag": TAG}, **DAYS),
    rule("larger", Filter={"ObjectSizeGreaterThan": 0}, **DAYS),
    rule("smaller", Filter={"ObjectSizeLessThan": 12_345}, **DAYS),
    rule("and", Filter={"And": {"Prefix": "b/", "Tags": [TAG, {"Key": "z", "Value": ""}], **SIZES}}, **DAYS),
    rule("markers", Filter={"Prefix": ""}, Expiration={"ExpiredObjectDeleteMarker": True}),
    rule("versions", Filter={}, NoncurrentVersionExpiration={"NoncurrentDays": 1, "NewerNoncurrentVersions": 100}),
]


def test_rules_of_every_kind_are_told_as_they_were_put_until_deleted(s3, bucket):
    assert refused(rules_of, s3, bucket) == (404, "NoSuchLifecycleConfiguration")
    for rules in (RULES, RULES[:1], RULES[1:]):
        put(s3, bucket, *rules)
        assert rules_of(s3, bucket) == rules
    for _ in range(2):
        assert s3.delete_bucket_lifecycle(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"] == 204
        assert refused(rules_of, s3, bucket) == (404, "NoSuchLifecycleConfiguration")


@pytest.mark.beyond_seaweedfs("gives rules no names")
def test_rules_without_a_name_get_one_each_that_stays(s3, bucket):
    put(s3, bucket, rule(None, Filter={}, **DAYS), rule(None, Prefix="a", **DAYS))
    first, second = rules_of(s3, bucket)
    assert first["ID"] and second["ID"] and first["ID"] != second["ID"]
    assert rules_of(s3, bucket) == [first, second]


def test_rules_go_with_their_bucket(s3):
    name = unique_name()
    s3.create_bucket(Bucket=name)
    put(s3, name, RULES[0])
    s3.delete_bucket(Bucket=name)
    s3.create_bucket(Bucket=name)
    assert refused(rules_of, s3, name) == (404, "NoSuchLifecycleConfiguration")
    s3.delete_bucket(Bucket=name)


ONE = {"Prefix": "a"}
BAD = {
    "two names alike": ("InvalidArgument", [rule(Filter=ONE, **DAYS), rule(Filter={}, **DAYS)]),
    "long name": ("InvalidArgument", [rule("n" * 256, Filter=ONE, **DAYS)]),
    "no action": ("InvalidRequest", [rule(Filter=ONE)]),
    "days 0": ("InvalidArgument", [rule(Filter=ONE, Expiration={"Days": 0})]),
    "days -1": ("InvalidArgument", [rule(Filter=ONE, Expiration={"Days": -1})]),
    "noon": ("InvalidArgument", [rule(Filter=ONE, Expiration={"Date": datetime(2040, 1, 1, 12, tzinfo=UTC)})]),
    "days and date": ("MalformedXML", [rule(Filter=ONE, Expiration={"Days": 1, "Date": FUTURE})]),
    "status": ("MalformedXML", [rule(status="enabled", Filter=ONE, **DAYS)]),
    "neither": ("MalformedXML", [rule(**DAYS)]),
    "both": ("MalformedXML", [rule(Prefix="a", Filter=ONE, **DAYS)]),
    "two conditions": ("MalformedXML", [rule(Filter={"Prefix": "a", "Tag": TAG}, **DAYS)]),
    "tags and uploads": (
        "InvalidRequest", [rule(Filter={"Tag": TAG}, AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1})],
    ),
    "tags and markers": ("InvalidRequest", [rule(Filter={"Tag": TAG}, Expiration={"ExpiredObjectDeleteMarker": True})]),
    "sizes and uploads": (
        "InvalidRequest",
        [rule(Filter={"ObjectSizeLessThan": 5}, AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1})],
    ),
    "sizes crossed": (
        "InvalidRequest", [rule(Filter={"And": {"ObjectSizeGreaterThan": 5, "ObjectSizeLessThan": 5}}, **DAYS)],
    ),
    "size past 5 TiB": ("InvalidRequest", [rule(Filter={"ObjectSizeGreaterThan": 5 * 2**40 + 1}, **DAYS)]),
    "long prefix": ("InvalidRequest", [rule(Filter={"Prefix": "p" * 1025}, **DAYS)]),
    "kept 101": (
        "InvalidArgument",
        [rule(Filter=ONE, NoncurrentVersionExpiration={"NoncurrentDays": 1, "NewerNoncurrentVersions": 101})],
    ),
    "1,001 rules": ("MalformedXML", [rule(str(n), Filter=ONE, **DAYS) for n in range(1001)]),
    "none": ("MalformedXML", []),
}  # fmt: skip


@pytest.mark.beyond_seaweedfs("takes nearly everything")
@pytest.mark.parametrize("case", BAD)
def test_rules_that_s3_refuses_are_refused_with_its_code_and_change_nothing(s3, bucket, case):
    put(s3, bucket, RULES[0])
    expected, rules = BAD[case]
    assert refused(put, s3, bucket, *rules) == (400, expected)
    assert rules_of(s3, bucket) == RULES[:1]


@pytest.mark.beyond_seaweedfs("takes disabled ones")
@pytest.mark.parametrize("status", ("Enabled", "Disabled"))
def test_transitions_are_not_implemented(s3, bucket, status):
    moved = {"Days": 1, "StorageClass": "GLACIER"}
    noncurrent = {"NoncurrentDays": 1, "StorageClass": "GLACIER"}
    for transitions in ({"Transitions": [moved]}, {"NoncurrentVersionTransitions": [noncurrent]}):
        assert refused(put, s3, bucket, rule(status=status, Filter={}, **DAYS, **transitions)) == (501, "NotImplemented")
    assert refused(rules_of, s3, bucket) == (404, "NoSuchLifecycleConfiguration")


def document(inside: str, head: str = "", root: str = "LifecycleConfiguration") -> bytes:
    return f"{head}<{root}>{inside}</{root}>".encode()


GOOD = "<Rule><ID>r</ID><Status>Enabled</Status><Filter/><Expiration><Days>9</Days></Expiration></Rule>"
LAUGHS = '<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>'
HOSTILE = {
    "no XML": b"{}",
    "nothing": b"<LifecycleConfiguration/>",
    "cut off": document(GOOD)[:-4],
    "entities": document(GOOD.replace("r<", "&c;<"), LAUGHS),
    "external": document(GOOD.replace("r<", "&e;<"), '<!DOCTYPE l [<!ENTITY e SYSTEM "file:///etc/passwd">]>'),
    "unknown element": document(GOOD.replace("<Filter/>", "<Filter/><Delete>all</Delete>")),
    "unknown condition": document(GOOD.replace("<Filter/>", "<Filter><Owner>me</Owner></Filter>")),
    "another namespace's elements": document(GOOD.replace("Filter/>", 'x:Filter xmlns:x="urn:x"/>')),
    "another root": document(GOOD, root="CORSConfiguration"),
    "a huge number": document(GOOD.replace(">9<", f">{'9' * 400}<")),
    "a number past 32 bits": document(GOOD.replace(">9<", ">4294967297<")),
    "a fraction": document(GOOD.replace(">9<", ">1.5<")),
    "deep": document("<Rule>" * 20_000),
    "not UTF-8": document(GOOD).replace(b"<ID>r", b"<ID>\xff"),
    "CDATA": document(GOOD.replace("<ID>r", "<ID><![CDATA[r]]>")),
    "twice": document(GOOD.replace("<Filter/>", "<Filter/><Filter><Prefix>a</Prefix></Filter>")),
}


@pytest.mark.beyond_seaweedfs("takes some")
@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_document_is_refused_and_changes_nothing(target, s3, bucket, case):
    put(s3, bucket, RULES[0])
    answer = call(target, "PUT", bucket, query={"lifecycle": ""}, body=HOSTILE[case])
    assert answer.status == 400, answer.body
    assert answer.error()[0] in ("MalformedXML", "InvalidRequest", "MissingRequestBodyError"), answer.body
    assert rules_of(s3, bucket) == RULES[:1]


@pytest.mark.beyond_seaweedfs("asks for no digest")
def test_document_needs_a_digest_that_fits(target, s3, bucket):
    text = document(GOOD)
    unsigned = {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}

    def sent(headers: dict[str, str]) -> tuple[int, str | None]:
        answer = call(target, "PUT", bucket, query={"lifecycle": ""}, headers=unsigned | headers, body=text)
        return answer.status, answer.error()[0]

    assert sent({}) == (400, "InvalidRequest")
    assert sent({"Content-MD5": b64encode(hashlib.md5(b"another").digest()).decode()}) == (400, "BadDigest")
    assert refused(rules_of, s3, bucket) == (404, "NoSuchLifecycleConfiguration")
    assert sent({"Content-MD5": b64encode(hashlib.md5(text).digest()).decode()}) == (200, None)
    assert [found["ID"] for found in rules_of(s3, bucket)] == ["r"]


@pytest.mark.lethe_only("tenants")
def test_rules_of_anothers_bucket_answer_as_for_no_bucket(target, s3, bucket):
    put(s3, bucket, RULES[0])
    other = target.client("globex")
    for name in (bucket, unique_name("missing")):
        assert refused(put, other, name, RULES[1]) == (404, "NoSuchBucket")
        assert refused(rules_of, other, name) == (404, "NoSuchBucket")
        assert refused(other.delete_bucket_lifecycle, Bucket=name) == (404, "NoSuchBucket")
    assert rules_of(s3, bucket) == RULES[:1]


@pytest.mark.lethe_only("grants")
def test_rules_need_the_permission_admin_on_the_whole_bucket(target, s3, bucket):
    put(s3, bucket, RULES[0])
    grants = {"writer": ["read,write,list,delete"], "below": ["admin", f"{bucket}:logs/"], "admin": ["admin", bucket]}
    for label, grant in grants.items():
        issue(target, label, *grant)
        client = target.client(label)
        if label == "admin":
            put(client, bucket, RULES[1])
            assert rules_of(client, bucket) == RULES[1:2]
            continue
        for action in (lambda c: put(c, bucket, RULES[1]), lambda c: rules_of(c, bucket),
                       lambda c: c.delete_bucket_lifecycle(Bucket=bucket)):  # fmt: skip
            assert refused(action, client) == (403, "AccessDenied"), label
        assert rules_of(s3, bucket) == RULES[:1]


@pytest.mark.lethe_only("looks behind the gateway")
def test_rules_changed_in_the_store_itself_are_not_told_as_ones_own(target, s3, bucket):
    if target.kind == "embedded":
        pytest.skip("nobody reaches an embedded store but its gateway")
    put(s3, bucket, RULES[0])
    store = target.store.client()
    (upstream,) = [b["Name"] for b in store.list_buckets()["Buckets"] if has_rules(store, b["Name"])]
    put(store, upstream, rule("foreign", Filter={}, **DAYS))
    assert refused(rules_of, s3, bucket) == (409, "OperationAborted")
    put(s3, bucket, RULES[1])
    assert rules_of(s3, bucket) == RULES[1:2]
    store.delete_bucket_lifecycle(Bucket=upstream)
    assert refused(rules_of, s3, bucket) == (409, "OperationAborted")
    s3.delete_bucket_lifecycle(Bucket=bucket)
    assert refused(rules_of, s3, bucket) == (404, "NoSuchLifecycleConfiguration")


def has_rules(store, bucket: str) -> bool:
    try:
        return bool(rules_of(store, bucket))
    except ClientError as error:
        assert error.response["Error"]["Code"] == "NoSuchLifecycleConfiguration"
        return False


@pytest.fixture
def expiring(kind, request):
    """A target whose store carries out lifecycle rules when told to, and the telling."""
    if kind == "embedded":
        # It does so when it starts, and every hour.
        own = request.getfixturevalue("own_target")
        return own, lambda: (own.stop(), own.start())
    shared = request.getfixturevalue("target")
    return shared, shared.store.carry_out_lifecycle


def keys_of(s3, bucket: str) -> set[str]:
    return {found["Key"] for found in s3.list_objects_v2(Bucket=bucket).get("Contents", [])}


def wait_for(look, expected, seconds: float = 60) -> None:
    """Waits until a look sees what is expected; the last one must."""
    deadline = time.monotonic() + seconds
    while look() != expected and time.monotonic() < deadline:
        time.sleep(0.1)
    assert look() == expected


def test_objects_written_in_every_way_go_when_a_rule_says_so_and_others_stay(expiring):
    target, carry_out = expiring
    s3, bucket = target.client(), unique_name("expiring")
    s3.create_bucket(Bucket=bucket)
    for folder in ("go", "stay"):
        s3.put_object(Bucket=bucket, Key=f"{folder}/put", Body=b"small")
        s3.put_object(Bucket=bucket, Key=f"{folder}/streamed", Body=body(3 * MIB))
        if target.kind != "direct":
            s3.put_object(Bucket=bucket, Key=f"{folder}/", Body=b"")
        _, upload_id, parts = upload(s3, bucket, f"{folder}/parts", [5 * MIB, 100])
        complete(s3, bucket, f"{folder}/parts", upload_id, parts)
        s3.copy_object(Bucket=bucket, Key=f"{folder}/copy", CopySource={"Bucket": bucket, "Key": f"{folder}/put"})
        posted = post(target, bucket, encode(presigned(s3, bucket, f"{folder}/form"), b"posted"))
        assert posted.status == 204, posted.body
    s3.put_object(Bucket=bucket, Key="tagged", Body=b"", Tagging="team=a%20%26%20b&other=x")
    s3.put_object(Bucket=bucket, Key="tagged otherwise", Body=b"", Tagging="team=b")
    open_upload = s3.create_multipart_upload(Bucket=bucket, Key="go/open")["UploadId"]
    etag = s3.upload_part(Bucket=bucket, Key="go/open", UploadId=open_upload, PartNumber=1, Body=b"part")["ETag"]
    everything = keys_of(s3, bucket)
    put(
        s3, bucket, rule("go", Filter={"Prefix": "go/"}, Expiration={"Date": PAST}),
        rule("tag", Filter={"Tag": TAG}, Expiration={"Date": PAST}),
        rule("later", Filter={"Prefix": "stay/"}, Expiration={"Date": FUTURE}),
        rule("off", "Disabled", Filter={}, Expiration={"Date": PAST}),
    )  # fmt: skip
    carry_out()
    s3 = target.client()
    staying = {key for key in everything if key.startswith("stay/")} | {"tagged otherwise"}
    wait_for(lambda: keys_of(s3, bucket), staying)
    assert refused(s3.get_object, Bucket=bucket, Key="go/put") == (404, "NoSuchKey")
    assert s3.get_object(Bucket=bucket, Key="stay/streamed")["Body"].read() == body(3 * MIB)
    # What is under way stays under way.
    complete(s3, bucket, "go/open", open_upload, [{"PartNumber": 1, "ETag": etag}])
    assert s3.get_object(Bucket=bucket, Key="go/open")["Body"].read() == b"part"
    s3.delete_bucket_lifecycle(Bucket=bucket)
    empty(s3, bucket)


SIZE_BOUNDS = (0, 1, 1000, 16_383, 16_384, 5 * MIB)


@pytest.mark.beyond_seaweedfs("takes a bound of 0 for none")
def test_sizes_are_those_of_the_plaintext_to_the_byte(expiring):
    target, carry_out = expiring
    s3, bucket = target.client(), unique_name("sized")
    s3.create_bucket(Bucket=bucket)
    rules, staying = [], set()
    for bound in SIZE_BOUNDS:
        for size in {max(bound - 1, 0), bound, bound + 1}:
            for side in ("more", "less"):
                key = f"{side}-than-{bound}/{size}"
                s3.put_object(Bucket=bucket, Key=key, Body=body(size))
                if not (size > bound if side == "more" else size < bound):
                    staying.add(key)
        for side, name in (("more", "ObjectSizeGreaterThan"), ("less", "ObjectSizeLessThan")):
            if side == "more" or bound:
                condition = {"And": {"Prefix": f"{side}-than-{bound}/", name: bound}}
                rules.append(rule(f"{side} {bound}", Filter=condition, Expiration={"Date": PAST}))
    # Three parts of them: as many bytes as one part has, and the same stored length.
    for parts in ([5 * MIB, 1], [5 * MIB]):
        key = f"more-than-{5 * MIB}/parts-{sum(parts)}"
        _, upload_id, listed = upload(s3, bucket, key, parts)
        complete(s3, bucket, key, upload_id, listed)
        if sum(parts) == 5 * MIB:
            staying.add(key)
    put(s3, bucket, *rules)
    carry_out()
    s3 = target.client()
    wait_for(lambda: keys_of(s3, bucket), staying)
    s3.delete_bucket_lifecycle(Bucket=bucket)
    empty(s3, bucket)


def test_versions_and_locked_objects_outlive_the_rules_that_may_not_delete_them(expiring):
    target, carry_out = expiring
    if target.kind == "embedded":
        pytest.skip("the embedded region has neither versions nor locks")
    s3, bucket, locked = target.client(), unique_name("versioned"), unique_name("locked")
    s3.create_bucket(Bucket=bucket)
    s3.create_bucket(Bucket=locked, ObjectLockEnabledForBucket=True)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket=bucket, Key="object", Body=b"kept below")["VersionId"]
    held = s3.put_object(Bucket=locked, Key="object", Body=b"held", ObjectLockLegalHoldStatus="ON")["VersionId"]
    for name in (bucket, locked):
        put(s3, name, rule(Filter={}, Expiration={"Date": PAST}))
    carry_out()
    wait_for(lambda: keys_of(s3, bucket), set())
    for name, kept, data in ((bucket, version, b"kept below"), (locked, held, b"held")):
        assert s3.get_object(Bucket=name, Key="object", VersionId=kept)["Body"].read() == data
        s3.delete_bucket_lifecycle(Bucket=name)
    s3.put_object_legal_hold(Bucket=locked, Key="object", VersionId=held, LegalHold={"Status": "OFF"})
    empty(s3, bucket)
    empty(s3, locked)
