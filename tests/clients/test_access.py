"""What a credential may do within its tenant: every operation by several credentials, scopes and ways around them, expiry, changes."""

import datetime
import json
import time
from itertools import count

import pytest
from botocore.exceptions import ClientError

from conftest import empty, unique_name
from testbed.access import grant, issue, lethe, update
from testbed.payload import MIB, body
from testbed.signed import call, path_of, presign, send

pytestmark = pytest.mark.lethe_only("grants are Lethe's own")

PERMISSIONS = ("read", "write", "list", "delete", "admin")
DENIED = ("AccessDenied", "403")


def outcome(action) -> str:
    """`ok`, or the S3 code that an action fails with."""
    try:
        action()
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "ok"


def is_denied(action) -> bool:
    return outcome(action) in DENIED


def message(action) -> str:
    with pytest.raises(ClientError) as failed:
        action()
    assert failed.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert failed.value.response["Error"]["Code"] == "AccessDenied"
    return failed.value.response["Error"]["Message"]


class World:
    """Buckets of acme's: `one` with objects below `in/` and `out/`, `two` with the same, and names that are free."""

    def __init__(self, target):
        self.target, self.owner, self.numbers = target, target.client(), count()
        self.one, self.two, self.free = unique_name("one"), unique_name("two"), unique_name("free")
        for bucket in (self.one, self.two):
            self.owner.create_bucket(Bucket=bucket)
            for key in ("in/object", "out/object"):
                self.owner.put_object(Bucket=bucket, Key=key, Body=f"{bucket} {key}".encode())

    def object(self, where: dict) -> dict:
        """A new object beside `where`."""
        place = {"Bucket": where["Bucket"], "Key": f"{where['Key']}-{next(self.numbers)}"}
        self.owner.put_object(Body=b"x", **place)
        return place

    def upload(self, where: dict) -> dict:
        """An open upload with one part."""
        place = self.object(where)
        place["UploadId"] = self.owner.create_multipart_upload(**place)["UploadId"]
        self.owner.upload_part(PartNumber=1, Body=b"part", **place)
        return place

    def parts(self, upload: dict) -> dict:
        listed = self.owner.list_parts(**upload)["Parts"]
        return {"Parts": [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in listed]}


@pytest.fixture(scope="module")
def world(target):
    made = World(target)
    yield made
    for bucket in (made.one, made.two, made.free):
        empty(made.owner, bucket)


def operations(world, s3, where: dict, source: dict) -> dict:
    """Every operation on a place, by name: the permissions that it needs, whether it needs the whole bucket, and how it is called."""
    owner, bucket, prefix = world.owner, where["Bucket"], where["Key"].split("/")[0] + "/"
    acl = {"Grants": owner.get_bucket_acl(Bucket=bucket)["Grants"], "Owner": owner.get_bucket_acl(Bucket=bucket)["Owner"]}
    tags = {"TagSet": [{"Key": "k", "Value": "v"}]}
    upload = world.upload(where)
    return {
        "head_object": ("read", lambda: s3.head_object(**where)),
        "get_object": ("read", lambda: s3.get_object(**where)),
        "get_object_attributes": ("read", lambda: s3.get_object_attributes(ObjectAttributes=["ETag"], **where)),
        "get_object_tagging": ("read", lambda: s3.get_object_tagging(**where)),
        "get_object_acl": ("read", lambda: s3.get_object_acl(**where)),
        "put_object": ("write", lambda: s3.put_object(Body=b"x", **world.object(where))),
        "put_object_tagging": ("write", lambda: s3.put_object_tagging(Tagging=tags, **where)),
        "delete_object_tagging": ("write", lambda: s3.delete_object_tagging(**where)),
        "put_object_acl": ("write", lambda: s3.put_object_acl(ACL="private", **where)),
        "copy_object": ("read,write", lambda: s3.copy_object(CopySource=source, **world.object(where))),
        "create_multipart_upload": ("write", lambda: s3.create_multipart_upload(**world.object(where))),
        "upload_part": ("write", lambda: s3.upload_part(PartNumber=2, Body=b"y", **world.upload(where))),
        "upload_part_copy": ("read,write", lambda: s3.upload_part_copy(PartNumber=2, CopySource=source, **world.upload(where))),
        "list_parts": ("write", lambda: s3.list_parts(**upload)),
        "complete_multipart_upload": ("write", lambda: complete(world, s3, world.upload(where))),
        "abort_multipart_upload": ("write", lambda: s3.abort_multipart_upload(**world.upload(where))),
        "list_objects": ("list", lambda: s3.list_objects(Bucket=bucket, Prefix=prefix)),
        "list_objects_v2": ("list", lambda: s3.list_objects_v2(Bucket=bucket, Prefix=prefix)),
        "list_object_versions": ("list", lambda: s3.list_object_versions(Bucket=bucket, Prefix=prefix)),
        "list_multipart_uploads": ("list", lambda: s3.list_multipart_uploads(Bucket=bucket, Prefix=prefix)),
        "delete_object": ("delete", lambda: s3.delete_object(**world.object(where))),
        "delete_objects": ("delete", lambda: delete_all(s3, bucket, [world.object(where)["Key"]])),
        "head_bucket": ("", lambda: s3.head_bucket(Bucket=bucket)),
        "get_bucket_location": ("", lambda: s3.get_bucket_location(Bucket=bucket)),
        "get_bucket_versioning": ("", lambda: s3.get_bucket_versioning(Bucket=bucket)),
        "get_bucket_acl": ("", lambda: s3.get_bucket_acl(Bucket=bucket)),
        "put_bucket_acl": ("admin whole", lambda: s3.put_bucket_acl(Bucket=bucket, AccessControlPolicy=acl)),
        # Refused with another code where they are allowed: the bucket is there already, is not empty, and nothing is configured.
        "create_bucket": ("admin whole", lambda: s3.create_bucket(Bucket=bucket)),
        "delete_bucket": ("admin whole", lambda: s3.delete_bucket(Bucket=bucket)),
        "put_bucket_versioning": (
            "admin whole",
            lambda: s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={}),
        ),
    }


def complete(world, s3, upload: dict) -> None:
    s3.complete_multipart_upload(MultipartUpload=world.parts(upload), **upload)


def delete_all(s3, bucket: str, keys: list[str]) -> None:
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys]})
    if errors := answer.get("Errors"):
        raise ClientError({"Error": {"Code": errors[0]["Code"]}}, "DeleteObjects")


NOT_DENIED = {
    "create_bucket": {"BucketAlreadyOwnedByYou"}, "delete_bucket": {"BucketNotEmpty"},
    "put_bucket_versioning": {"IllegalVersioningConfigurationException"},
}  # fmt: skip


@pytest.mark.parametrize("allow", [*PERMISSIONS, "read,list", "read,write,list,delete"])
def test_every_operation_is_decided_by_its_permission_and_scope(target, world, allow):
    issue(target, "limited", allow, f"{world.one}:in/")
    s3, has = target.client("limited"), set(allow.split(","))
    inside = {"Bucket": world.one, "Key": "in/object"}
    for name, (needs, action) in operations(world, s3, inside, inside).items():
        permission, _, whole = needs.partition(" ")
        if set(filter(None, permission.split(","))) <= has and not whole:
            assert outcome(action) in NOT_DENIED.get(name, {"ok"}), f"{name} by {allow}"
        else:
            assert is_denied(action), f"{name} by {allow}: {outcome(action)}"
    # Out of the scope nothing but what tells of the bucket itself, and of another bucket nothing.
    for where in ({"Bucket": world.one, "Key": "out/object"}, {"Bucket": world.two, "Key": "in/object"}):
        for name, (needs, action) in operations(world, s3, where, where).items():
            if not needs and where["Bucket"] == world.one:
                assert outcome(action) == "ok", name
            else:
                assert is_denied(action), f"{name} by {allow} at {where}: {outcome(action)}"
    assert world.owner.get_object(Bucket=world.one, Key="out/object")["Body"].read() == f"{world.one} out/object".encode()


def test_whole_bucket_in_scope_is_administered_and_others_are_not(target, world):
    issue(target, "admin", "admin", world.one, world.free)
    s3, inside = target.client("admin"), {"Bucket": world.one, "Key": "in/object"}
    for name, (needs, action) in operations(world, s3, inside, inside).items():
        if needs in ("", "admin whole"):
            assert outcome(action) in NOT_DENIED.get(name, {"ok"}), name
        else:
            assert is_denied(action), name
    s3.create_bucket(Bucket=world.free)
    s3.delete_bucket(Bucket=world.free)
    assert is_denied(lambda: s3.delete_bucket(Bucket=world.two))
    assert is_denied(lambda: s3.create_bucket(Bucket=unique_name()))


def test_credential_without_restrictions_may_do_everything(target, world):
    issue(target, "full")
    s3, inside = target.client("full"), {"Bucket": world.one, "Key": "in/object"}
    for name, (_, action) in operations(world, s3, inside, inside).items():
        assert outcome(action) in NOT_DENIED.get(name, {"ok"}), name


def test_copy_needs_read_on_its_source_and_write_on_its_destination(target, world):
    issue(target, "copier", "read,write", f"{world.one}:in/")
    s3 = target.client("copier")
    inside = {"Bucket": world.one, "Key": "in/object"}
    for outside in ({"Bucket": world.one, "Key": "out/object"}, {"Bucket": world.two, "Key": "in/object"}):
        copy = {"CopySource": outside, "Bucket": world.one, "Key": "in/copy"}
        assert "source" in message(lambda copy=copy: s3.copy_object(**copy))
        part = {**world.upload(inside), "PartNumber": 2, "CopySource": outside}
        assert "source" in message(lambda part=part: s3.upload_part_copy(**part))
        assert is_denied(lambda outside=outside: s3.copy_object(CopySource=inside, **outside))
    assert outcome(lambda: world.owner.head_object(Bucket=world.one, Key="in/copy")) == "404"
    s3.copy_object(CopySource=inside, Bucket=world.one, Key="in/copy")


def test_delete_list_is_decided_key_by_key(target, world):
    issue(target, "deleter", "delete", f"{world.one}:in/")
    s3 = target.client("deleter")
    inside = [world.object({"Bucket": world.one, "Key": "in/d"})["Key"] for _ in range(3)]
    outside = [world.object({"Bucket": world.one, "Key": "out/d"})["Key"], "in", "inn/x", "never/was"]
    keys = [inside[0], *outside, *inside[1:]]
    answer = s3.delete_objects(Bucket=world.one, Delete={"Objects": [{"Key": key} for key in keys]})
    assert sorted(entry["Key"] for entry in answer["Deleted"]) == sorted(inside)
    assert sorted(entry["Key"] for entry in answer["Errors"]) == sorted(outside)
    assert {entry["Code"] for entry in answer["Errors"]} == {"AccessDenied"}
    # What is there and what is not answer alike.
    assert len({entry["Message"] for entry in answer["Errors"]}) == 1
    world.owner.head_object(Bucket=world.one, Key=outside[0])
    for key in inside:
        assert outcome(lambda key=key: world.owner.head_object(Bucket=world.one, Key=key)) == "404"


def test_listing_of_buckets_holds_those_in_scope(target, world):
    def names(s3, **query):
        return [bucket["Name"] for bucket in s3.list_buckets(**query)["Buckets"]]

    issue(target, "lister", "list", f"{world.one}:in/", unique_name("nothing"))
    assert names(target.client("lister")) == [world.one]
    assert names(target.client("lister"), Prefix=world.two) == []
    issue(target, "lister", "list")
    assert {world.one, world.two} <= set(names(target.client("lister")))
    issue(target, "writer", "write", world.one)
    assert "list" in message(target.client("writer").list_buckets)


def test_listing_needs_a_prefix_within_the_scope(target, world):
    issue(target, "lister", "list", f"{world.one}:in/", f"{world.two}:out/o")
    s3 = target.client("lister")
    listings = (s3.list_objects, s3.list_objects_v2, s3.list_object_versions, s3.list_multipart_uploads)
    for listing in listings:
        for prefix in ("in/", "in/ob", "in/nothing/"):
            assert outcome(lambda: listing(Bucket=world.one, Prefix=prefix)) == "ok", f"{listing} {prefix}"  # noqa: B023
        for prefix in ("", "i", "in", "out/", "inn", "/in/", "IN/"):
            assert is_denied(lambda: listing(Bucket=world.one, Prefix=prefix)), f"{listing} {prefix}"  # noqa: B023
        assert is_denied(lambda: listing(Bucket=world.one)), listing  # noqa: B023
        assert is_denied(lambda: listing(Bucket=world.two, Prefix="out/")), listing  # noqa: B023
        assert is_denied(lambda: listing(Bucket=world.one, Delimiter="/")), listing  # noqa: B023
    assert "prefix" in message(lambda: s3.list_objects_v2(Bucket=world.one))
    # Neither a marker nor a delimiter leads out of it.
    page = s3.list_objects_v2(Bucket=world.one, Prefix="in/", StartAfter="", Delimiter="/")
    assert all(entry["Key"].startswith("in/") for entry in page["Contents"])
    page = s3.list_objects_v2(Bucket=world.one, Prefix="in/", StartAfter="in0")
    assert page["KeyCount"] == 0
    page = s3.list_objects_v2(Bucket=world.two, Prefix="out/o")
    assert {entry["Key"] for entry in page["Contents"]} >= {"out/object"}


@pytest.mark.parametrize(
    "key", ["in", "inn/x", "in%2Fobject", "%69n/object", "/in/object", "./in/object", "x/../in/object", "in\\object", "in\0/object"]
)
def test_key_that_is_only_written_like_one_in_scope_is_denied(target, world, key):
    issue(target, "reader", "read,write,list", f"{world.one}:in/")
    for method, headers, data in (("GET", {}, b""), ("HEAD", {}, b""), ("PUT", {}, b"x"),
                                  ("PUT", {"x-amz-copy-source": f"/{world.one}/in/object"}, b"")):  # fmt: skip
        answer = call(target, method, world.one, key, headers=headers, body=data, tenant="reader")
        assert answer.status == 403, f"{method} {answer}"
        assert method == "HEAD" or answer.error()[0] == "AccessDenied", answer


@pytest.mark.parametrize("key", ["in/../out/object", "in/./../out/object", "in/..%2Fout/object", "in//../../out/object"])
def test_key_that_begins_in_scope_never_reaches_out_of_it(target, world, key):
    """A key is its bytes: what another program would take for a path is one key below `in/`, or refused."""
    issue(target, "escaper", "read,write,list,delete", f"{world.one}:in/")
    secret = f"{world.one} out/object".encode()
    read = call(target, "GET", world.one, key, tenant="escaper")
    assert read.status in (400, 404) and secret not in read.body, read
    copy = call(target, "PUT", world.one, "in/got", tenant="escaper",
                headers={"x-amz-copy-source": path_of(world.one, key)})  # fmt: skip
    assert copy.status in (400, 404), copy
    call(target, "PUT", world.one, key, body=b"overwritten", tenant="escaper")
    call(target, "DELETE", world.one, key, tenant="escaper")
    prefix = key.removesuffix("object")
    for query in ({"list-type": "2", "prefix": prefix}, {"prefix": prefix}, {"versions": "", "prefix": prefix}):
        listed = call(target, "GET", world.one, query=query, tenant="escaper")
        assert b"<Key>" not in listed.body, listed
    assert world.owner.get_object(Bucket=world.one, Key="out/object")["Body"].read() == secret


def test_bucket_out_of_scope_answers_alike_whether_it_is_there_or_not(target, world):
    issue(target, "scoped", None, world.one)
    s3, nothing = target.client("scoped"), unique_name("nothing")

    def answers(bucket):
        where = {"Bucket": bucket, "Key": "in/object"}
        actions = (
            lambda: s3.get_object(**where), lambda: s3.head_object(**where), lambda: s3.put_object(Body=b"", **where),
            lambda: s3.delete_object(**where), lambda: s3.list_objects_v2(Bucket=bucket), lambda: s3.head_bucket(Bucket=bucket),
            lambda: s3.create_bucket(Bucket=bucket), lambda: s3.delete_bucket(Bucket=bucket),
            lambda: s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "in/object"}]}),
            lambda: s3.upload_part(UploadId="0" * 32, PartNumber=1, Body=b"", **where),
        )  # fmt: skip
        for action in actions:
            with pytest.raises(ClientError) as failed:
                action()
            status = failed.value.response["ResponseMetadata"]["HTTPStatusCode"]
            yield status, failed.value.response["Error"]["Code"], failed.value.response["Error"]["Message"]

    told = list(answers(world.two))
    assert told == list(answers(nothing))
    assert {status for status, *_ in told} == {403}
    assert outcome(lambda: world.owner.head_bucket(Bucket=nothing)) == "404"


def test_missing_object_is_a_403_to_who_may_not_list(target, world):
    issue(target, "reader", "read,write", world.one)
    issue(target, "both", "read,write,list", world.one)
    missing = {"Bucket": world.one, "Key": "in/missing"}
    for label, head, get in (("reader", "403", "AccessDenied"), ("both", "404", "NoSuchKey")):
        s3 = target.client(label)
        assert outcome(lambda: s3.head_object(**missing)) == head  # noqa: B023
        assert outcome(lambda: s3.get_object(**missing)) == get  # noqa: B023
        copy = {"CopySource": missing, "Bucket": world.one, "Key": "in/copy2"}
        assert outcome(lambda: s3.copy_object(**copy)) == get  # noqa: B023
        assert s3.get_object(Bucket=world.one, Key="in/object")["Body"].read()
    assert "list" in message(lambda: target.client("reader").get_object(**missing))


def test_missing_object_is_a_403_to_who_may_change_it_and_not_list(target, world):
    issue(target, "writer", "write", world.one)
    issue(target, "both", "write,list", world.one)
    missing = {"Bucket": world.one, "Key": "in/missing"}
    tags = {"TagSet": [{"Key": "k", "Value": "v"}]}
    for label, told in (("writer", "AccessDenied"), ("both", "NoSuchKey")):
        s3 = target.client(label)
        assert outcome(lambda: s3.put_object_tagging(Tagging=tags, **missing)) == told  # noqa: B023
        assert outcome(lambda: s3.delete_object_tagging(**missing)) == told  # noqa: B023
        assert outcome(lambda: s3.put_object_acl(ACL="private", **missing)) == told  # noqa: B023


def test_cors_rules_of_a_bucket_out_of_scope_are_told_by_nothing(target, world):
    rule = {"AllowedOrigins": ["https://a.test"], "AllowedMethods": ["GET"]}
    world.owner.put_bucket_cors(Bucket=world.two, CORSConfiguration={"CORSRules": [rule]})
    issue(target, "scoped", "read", f"{world.one}:in/")
    nothing, origin = unique_name("nothing"), {"Origin": "https://a.test"}
    ask = origin | {"Access-Control-Request-Method": "GET"}

    def told(bucket, tenant):
        url = presign(target, "GET", f"/{bucket}/in/object", tenant=tenant)
        for answer in (send(target, "GET", url, origin), send(target, "GET", url), send(target, "OPTIONS", url, ask)):
            names = {n: v for n, v in answer.headers.items() if n.startswith("access-control-") or n == "vary"}
            yield answer.status, answer.error()[0], names

    assert list(told(world.two, "scoped")) == list(told(nothing, "scoped"))
    allowed = send(target, "GET", presign(target, "GET", f"/{world.two}/in/object"), origin)
    assert (allowed.status, allowed.headers["access-control-allow-origin"]) == (200, "https://a.test")


def test_refusal_names_the_missing_permission(target, world):
    issue(target, "reader", "read", world.one)
    s3, where = target.client("reader"), {"Bucket": world.one, "Key": "in/object"}
    for permission, action in (
        ("write", lambda: s3.put_object(Body=b"", **where)),
        ("delete", lambda: s3.delete_object(**where)),
        ("list", lambda: s3.list_objects_v2(Bucket=world.one)),
        ("admin", lambda: s3.delete_bucket(Bucket=world.one)),
    ):
        assert f"permission {permission}," in message(action)


def test_upload_is_refused_before_its_body_and_leaves_nothing(target, world):
    issue(target, "reader", "read", world.one)
    key = {"Bucket": world.one, "Key": "in/refused"}
    assert is_denied(lambda: target.client("reader").put_object(Body=body(MIB // 2), **key))
    assert outcome(lambda: world.owner.head_object(**key)) == "404"


def test_presigned_url_acts_as_its_credential(target, world):
    key_id = issue(target, "signer", "read", f"{world.one}:in/")
    inside = presign(target, "GET", path_of(world.one, "in/object"), tenant="signer")
    outside = presign(target, "GET", path_of(world.one, "out/object"), tenant="signer")
    write = presign(target, "PUT", path_of(world.one, "in/object"), tenant="signer")
    assert send(target, "GET", inside).status == 200
    assert send(target, "GET", outside).error()[0] == "AccessDenied"
    assert send(target, "PUT", write, body=b"x").error()[0] == "AccessDenied"
    update(target, key_id, *grant(None, f"{world.one}:out/"))
    assert send(target, "GET", inside).error()[0] == "AccessDenied"
    assert send(target, "GET", outside).status == 200


def in_seconds(seconds: int) -> str:
    at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_expired_credential_is_refused_also_where_it_is_cached(target, world):
    key_id = issue(target, "brief", None, expires=in_seconds(600))
    s3, url = target.client("brief"), presign(target, "GET", path_of(world.one, "in/object"), tenant="brief")
    where = {"Bucket": world.one, "Key": "in/object"}
    assert s3.get_object(**where)["Body"].read() and send(target, "GET", url).status == 200
    # On a busy machine the command takes longer than that.
    for seconds in (3, 10, 40):
        soon = in_seconds(seconds)
        if lethe(target, "credential", "update", "acme", key_id, "--expires", soon, succeeds=None).returncode == 0:
            break
    deadline = time.monotonic() + 90
    while outcome(lambda: s3.get_object(**where)) == "ok":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert f"expired on {soon}" in message(lambda: s3.get_object(**where))
    assert f"expired on {soon}" in send(target, "GET", url).error()[1]
    assert is_denied(s3.list_buckets)
    listed = json.loads(lethe(target, "credential", "list", "acme").stdout)
    assert next(one for one in listed if one["access_key_id"] == key_id)["state"] == "expired"
    update(target, key_id, "--expires", "never")
    assert outcome(lambda: s3.get_object(**where)) == "ok"


def test_change_is_effective_when_the_command_returns_and_leaves_the_rest(target, world):
    key_id = issue(target, "changing", "read", world.one)
    s3, where = target.client("changing"), {"Bucket": world.one, "Key": "in/object"}
    for _ in range(3):
        assert outcome(lambda: s3.get_object(**where)) == "ok"
        changed = update(target, key_id, "--scope", world.two)
        assert (changed["allow"], changed["scope"]) == (["read"], [world.two])
        assert is_denied(lambda: s3.get_object(**where))
        assert update(target, key_id, "--scope", "*")["allow"] == ["read"]
        assert outcome(lambda: s3.get_object(**where)) == "ok"
        assert update(target, key_id, "--allow", "write,list")["scope"] == ["*"]
        assert is_denied(lambda: s3.get_object(**where))
        update(target, key_id, "--allow", "read", "--scope", world.one)


def test_imported_credential_is_restricted_alike(target, world, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("an-existing-secret-of-acme\n")
    key_id = unique_name("AKIA")
    flags = ("acme", "--access-key-id", key_id, "--secret-file", str(secret))
    lethe(target, "credential", "import", *flags, *grant("read", f"{world.one}:in/"))
    target.use("imported", target.tenants["acme"].region, key_id, "an-existing-secret-of-acme")
    s3 = target.client("imported")
    assert outcome(lambda: s3.get_object(Bucket=world.one, Key="in/object")) == "ok"
    assert is_denied(lambda: s3.get_object(Bucket=world.one, Key="out/object"))
    lethe(target, "credential", "import", *flags)
    said = lethe(target, "credential", "import", *flags, "--scope", "*", succeeds=False)
    assert "credential update" in said.stderr
    assert is_denied(lambda: s3.get_object(Bucket=world.one, Key="out/object"))


def test_grant_that_makes_no_sense_is_refused_with_what_to_write(target):
    for flags, says in (
        (("--allow", "reed"), "read, write, list, delete, admin"),
        (("--scope", "docs:"), "BUCKET alone"),
        (("--scope", "No_Bucket"), "BUCKET:PREFIX"),
        (("--expires", "tomorrow"), "2027-01-01T00:00:00Z"),
        (("--expires", "2020-01-01T00:00:00Z"), "not in the future"),
    ):
        said = lethe(target, "credential", "create", "acme", *flags, succeeds=False)
        assert says in said.stderr, said.stderr
    said = lethe(target, "credential", "update", "acme", target.tenants["acme"].access_key_id, succeeds=False)
    assert "allow, scope and expires" in said.stderr
