"""Bucket operations, and what is not implemented."""

import pytest
from botocore.exceptions import ClientError

from conftest import unique_name
from test_objects import code
from testbed.signed import call


def test_create_bucket_shows_in_the_list_and_answers_head(s3, make_bucket):
    bucket = make_bucket()
    assert bucket in [b["Name"] for b in s3.list_buckets()["Buckets"]]
    assert s3.head_bucket(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_create_bucket_again_is_already_owned_by_you(s3, bucket):
    with pytest.raises(ClientError) as raised:
        s3.create_bucket(Bucket=bucket)
    assert code(raised)[0] == 409
    assert code(raised)[1] in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists")


@pytest.mark.beyond_seaweedfs("takes some")
@pytest.mark.parametrize("name", ("ab", "Upper", "under_score", "a..b", "-a-", "192.168.1.1", "x" * 64, "dot.-dash"))
def test_create_bucket_with_a_bad_name_is_invalid_bucket_name(target, name):
    answer = call(target, "PUT", name)
    assert (answer.status, answer.error()[0]) == (400, "InvalidBucketName")


def test_delete_bucket_makes_it_gone(s3):
    bucket = unique_name()
    s3.create_bucket(Bucket=bucket)
    s3.delete_bucket(Bucket=bucket)
    with pytest.raises(ClientError) as raised:
        s3.head_bucket(Bucket=bucket)
    assert code(raised)[0] == 404
    assert bucket not in [b["Name"] for b in s3.list_buckets()["Buckets"]]
    s3.create_bucket(Bucket=bucket)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    s3.delete_bucket(Bucket=bucket)


@pytest.mark.beyond_seaweedfs("deletes the objects too unless told otherwise")
def test_delete_bucket_with_objects_is_bucket_not_empty(s3, bucket):
    s3.put_object(Bucket=bucket, Key="object", Body=b"x")
    with pytest.raises(ClientError) as raised:
        s3.delete_bucket(Bucket=bucket)
    assert code(raised) == (409, "BucketNotEmpty")
    assert s3.get_object(Bucket=bucket, Key="object")["Body"].read() == b"x"


@pytest.mark.parametrize("operation", ("head_bucket", "list_objects_v2", "delete_bucket", "get_bucket_location"))
def test_missing_bucket_is_no_such_bucket(s3, operation):
    with pytest.raises(ClientError) as raised:
        getattr(s3, operation)(Bucket=unique_name("missing"))
    assert code(raised)[0] == 404
    if operation != "head_bucket":
        assert code(raised)[1] == "NoSuchBucket"


@pytest.mark.beyond_seaweedfs("creates buckets on the fly unless told otherwise")
def test_put_into_a_missing_bucket_is_no_such_bucket(s3):
    with pytest.raises(ClientError) as raised:
        s3.put_object(Bucket=unique_name("missing"), Key="object", Body=b"x")
    assert code(raised) == (404, "NoSuchBucket")


@pytest.mark.lethe_only("its own idea of a location")
def test_bucket_location_is_the_tenants_region(target, s3, bucket):
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] == target.tenants["acme"].region
    globex = target.client("globex")
    other = unique_name()
    globex.create_bucket(Bucket=other)
    assert globex.get_bucket_location(Bucket=other).get("LocationConstraint") is None, "us-east-1 is S3's empty answer"
    globex.delete_bucket(Bucket=other)


@pytest.mark.lethe_only("takes any constraint")
def test_create_bucket_in_another_region_is_refused(target, s3):
    own, other = target.tenants["acme"].region, "ap-southeast-2"
    with pytest.raises(ClientError) as raised:
        s3.create_bucket(Bucket=unique_name(), CreateBucketConfiguration={"LocationConstraint": other})
    assert code(raised)[0] == 400
    name = unique_name()
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": own})
    s3.delete_bucket(Bucket=name)


def test_list_buckets_names_creation_dates(s3, bucket):
    row = next(b for b in s3.list_buckets()["Buckets"] if b["Name"] == bucket)
    assert row["CreationDate"].year >= 2024


@pytest.mark.lethe_only("SeaweedFS has ACLs")
def test_create_bucket_again_with_a_public_acl_is_already_owned_by_you(s3, bucket):
    with pytest.raises(ClientError) as raised:
        s3.create_bucket(Bucket=bucket, ACL="public-read")
    assert code(raised) == (409, "BucketAlreadyOwnedByYou")
    with pytest.raises(ClientError) as raised:
        s3.create_bucket(Bucket=unique_name(), ACL="public-read")
    assert code(raised) == (400, "AccessControlListNotSupported")


ABSENT = {
    "get_bucket_policy": "NoSuchBucketPolicy",
    "get_bucket_policy_status": "NoSuchBucketPolicy",
    "get_bucket_website": "NoSuchWebsiteConfiguration",
    "get_bucket_replication": "ReplicationConfigurationNotFoundError",
}


@pytest.mark.beyond_seaweedfs("implements some")
@pytest.mark.parametrize("operation", ABSENT)
def test_setting_that_no_bucket_has_is_not_found(s3, bucket, operation):
    with pytest.raises(ClientError) as raised:
        getattr(s3, operation)(Bucket=bucket)
    assert code(raised) == (404, ABSENT[operation])
    with pytest.raises(ClientError) as raised:
        getattr(s3, operation)(Bucket=unique_name())
    assert code(raised) == (404, "NoSuchBucket")


@pytest.mark.beyond_seaweedfs("implements some")
def test_setting_that_is_off_for_every_bucket_is_empty(s3, bucket):
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    for read in ("logging", "notification_configuration", "accelerate_configuration"):
        assert set(getattr(s3, f"get_bucket_{read}")(Bucket=bucket)) == {"ResponseMetadata"}, read


PUBLIC = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def encryption_rules(algorithm: str, **more) -> dict:
    return {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": algorithm} | more}]}


SETTINGS = {
    "public_access_block": (
        "PublicAccessBlockConfiguration", dict.fromkeys(PUBLIC, True), dict.fromkeys(PUBLIC, True) | {PUBLIC[2]: False}
    ),
    "bucket_ownership_controls": (
        "OwnershipControls", {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
        {"Rules": [{"ObjectOwnership": "ObjectWriter"}]},
    ),
    "bucket_encryption": (
        "ServerSideEncryptionConfiguration", encryption_rules("AES256"),
        encryption_rules("aws:kms", KMSMasterKeyID="key"),
    ),
    "bucket_request_payment": (
        "RequestPaymentConfiguration", {"Payer": "BucketOwner"}, {"Payer": "Requester"},
    ),
    "bucket_logging": (
        "BucketLoggingStatus", {}, {"LoggingEnabled": {"TargetBucket": "logs", "TargetPrefix": "a"}},
    ),
    "bucket_notification_configuration": (
        "NotificationConfiguration", {}, {"QueueConfigurations": [{"QueueArn": "arn:a", "Events": ["s3:ObjectCreated:*"]}]},
    ),
}  # fmt: skip


@pytest.mark.lethe_only("SeaweedFS implements some")
@pytest.mark.parametrize("setting", SETTINGS)
def test_setting_that_is_always_so_may_be_put_deleted_and_never_changed(s3, bucket, setting):
    def get() -> dict:
        answer = getattr(s3, f"get_{setting}")(Bucket=bucket)
        return {name: value for name, value in answer.items() if name != "ResponseMetadata"}

    name, same, other = SETTINGS[setting]
    before = get()
    getattr(s3, f"put_{setting}")(Bucket=bucket, **{name: same})
    with pytest.raises(ClientError) as raised:
        getattr(s3, f"put_{setting}")(Bucket=bucket, **{name: other})
    assert code(raised) == (501, "NotImplemented")
    if delete := getattr(s3, f"delete_{setting}", None):
        assert delete(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert get() == before
    told = before.get(name, before)
    if setting == "bucket_encryption":
        told = encryption_rules(told["Rules"][0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"])
    assert told == same


def test_deleting_a_setting_that_is_not_there_succeeds(s3, bucket):
    for setting in ("policy", "website", "replication"):
        answer = getattr(s3, f"delete_bucket_{setting}")(Bucket=bucket)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204


@pytest.mark.lethe_only("SeaweedFS has ACLs")
def test_create_bucket_with_another_ownership_is_not_implemented(s3):
    name = unique_name()
    with pytest.raises(ClientError) as raised:
        s3.create_bucket(Bucket=name, ObjectOwnership="ObjectWriter")
    assert code(raised) == (501, "NotImplemented")
    s3.create_bucket(Bucket=name, ObjectOwnership="BucketOwnerEnforced")
    s3.delete_bucket(Bucket=name)


ACCEPTED_ACLS = ("private", "bucket-owner-read", "bucket-owner-full-control")
REFUSED_ACLS = ("public-read", "public-read-write", "authenticated-read")


@pytest.mark.parametrize("acl", ACCEPTED_ACLS)
def test_put_with_an_owners_acl_is_accepted(s3, bucket, acl):
    s3.put_object(Bucket=bucket, Key="object", Body=b"x", ACL=acl)
    assert s3.get_object(Bucket=bucket, Key="object")["Body"].read() == b"x"


@pytest.mark.lethe_only("SeaweedFS has ACLs")
@pytest.mark.parametrize("acl", REFUSED_ACLS)
def test_put_with_a_public_acl_is_not_supported(s3, bucket, acl):
    with pytest.raises(ClientError) as raised:
        s3.put_object(Bucket=bucket, Key="object", Body=b"x", ACL=acl)
    assert code(raised) == (400, "AccessControlListNotSupported")
    with pytest.raises(ClientError):
        s3.head_object(Bucket=bucket, Key="object")
    with pytest.raises(ClientError) as raised:
        s3.put_bucket_acl(Bucket=bucket, ACL=acl)
    assert code(raised) == (400, "AccessControlListNotSupported")


@pytest.mark.lethe_only("SeaweedFS has ACLs")
def test_get_acl_names_the_owner_with_full_control(s3, bucket):
    s3.put_object(Bucket=bucket, Key="object", Body=b"x")
    for answer in (s3.get_bucket_acl(Bucket=bucket), s3.get_object_acl(Bucket=bucket, Key="object")):
        assert [g["Permission"] for g in answer["Grants"]] == ["FULL_CONTROL"]
        assert answer["Grants"][0]["Grantee"]["ID"] == answer["Owner"]["ID"]


UNSUPPORTED = {
    "website": ("PUT", {"website": ""}, b"<WebsiteConfiguration/>"),
    "policy": ("PUT", {"policy": ""}, b"{}"),
    "replication": (
        "PUT", {"replication": ""},
        b"<ReplicationConfiguration><Role>r</Role><Rule><Status>Enabled</Status>"
        b"<Destination><Bucket>b</Bucket></Destination></Rule></ReplicationConfiguration>",
    ),
    "analytics": ("GET", {"analytics": ""}, b""),
    "inventory": ("GET", {"inventory": ""}, b""),
    "accelerate": (
        "PUT", {"accelerate": ""}, b"<AccelerateConfiguration><Status>Enabled</Status></AccelerateConfiguration>",
    ),
}  # fmt: skip


@pytest.mark.lethe_only("SeaweedFS implements some")
@pytest.mark.parametrize("case", UNSUPPORTED)
def test_unsupported_subresource_is_not_implemented(target, bucket, case):
    method, query, body = UNSUPPORTED[case]
    answer = call(target, method, bucket, query=query, body=body)
    assert (answer.status, answer.error()[0]) == (501, "NotImplemented"), answer.body
    assert len(answer.error()[1].split()) > 3, "a sentence says why"


@pytest.mark.lethe_only("SeaweedFS implements some")
@pytest.mark.parametrize("query", ({"torrent": ""}, {"select": "", "select-type": "2"}, {"restore": ""}))
def test_unsupported_object_subresource_is_not_implemented_and_no_object(target, s3, bucket, query):
    s3.put_object(Bucket=bucket, Key="object", Body=b"kept")
    method = "GET" if "torrent" in query else "POST"
    answer = call(target, method, bucket, "object", query=query, body=b"" if method == "GET" else b"<Request/>")
    assert (answer.status, answer.error()[0]) == (501, "NotImplemented"), answer.body
    assert s3.get_object(Bucket=bucket, Key="object")["Body"].read() == b"kept"


def test_another_expected_bucket_owner_is_refused_and_changes_nothing(s3, bucket):
    s3.put_object(Bucket=bucket, Key="kept", Body=b"kept")
    owner = s3.get_bucket_acl(Bucket=bucket)["Owner"]["ID"]
    source = {"Bucket": bucket, "Key": "kept"}
    calls = {
        "put_object": {"Key": "kept", "Body": b"new"},
        "get_object": {"Key": "kept"},
        "head_object": {"Key": "kept"},
        "delete_object": {"Key": "kept"},
        "delete_objects": {"Delete": {"Objects": [{"Key": "kept"}]}},
        "copy_object": {"Key": "copy", "CopySource": source},
        "put_object_tagging": {"Key": "kept", "Tagging": {"TagSet": [{"Key": "a", "Value": "b"}]}},
        "create_multipart_upload": {"Key": "upload"},
        "list_objects_v2": {},
        "head_bucket": {},
        "delete_bucket": {},
    }
    for name, parameters in calls.items():
        with pytest.raises(ClientError) as refused:
            getattr(s3, name)(Bucket=bucket, ExpectedBucketOwner="111111111111", **parameters)
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403, name
    with pytest.raises(ClientError) as refused:
        s3.copy_object(Bucket=bucket, Key="copy", CopySource=source, ExpectedSourceBucketOwner="111111111111")
    assert refused.value.response["Error"]["Code"] == "AccessDenied"
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket, ExpectedBucketOwner=owner)["Contents"]] == ["kept"]
    assert s3.get_object(Bucket=bucket, Key="kept")["Body"].read() == b"kept"
    assert s3.get_object_tagging(Bucket=bucket, Key="kept")["TagSet"] == []
    s3.copy_object(
        Bucket=bucket, Key="copy", CopySource=source, ExpectedBucketOwner=owner, ExpectedSourceBucketOwner=owner
    )
