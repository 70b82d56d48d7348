"""Bucket tags, and CORS rules as browsers meet them."""

import pytest
from botocore.exceptions import ClientError

from conftest import unique_name
from test_objects import code
from testbed.signed import call, presign, send, sign

TAGS = [{"Key": "Team", "Value": "one"}, {"Key": "a b_.:/=+-@ü", "Value": ""}]


def test_bucket_tags_are_put_read_replaced_and_deleted(s3, bucket):
    with pytest.raises(ClientError) as raised:
        s3.get_bucket_tagging(Bucket=bucket)
    assert code(raised) == (404, "NoSuchTagSet")
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": TAGS})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == TAGS
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": TAGS[:1]})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == TAGS[:1]
    deleted = s3.delete_bucket_tagging(Bucket=bucket)
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    with pytest.raises(ClientError) as raised:
        s3.get_bucket_tagging(Bucket=bucket)
    assert code(raised) == (404, "NoSuchTagSet")


@pytest.mark.beyond_seaweedfs("keeps a deleted bucket's tags or takes anything")
@pytest.mark.parametrize(
    ("tags", "expected"),
    (
        ([{"Key": f"k{i}", "Value": "v"} for i in range(51)], "BadRequest"),
        ([{"Key": "same", "Value": "1"}, {"Key": "same", "Value": "2"}], "InvalidTag"),
        ([{"Key": "k" * 129, "Value": "v"}], "InvalidTag"),
        ([{"Key": "k", "Value": "v" * 257}], "InvalidTag"),
        ([{"Key": "aws:k", "Value": "v"}], "InvalidTag"),
        ([{"Key": "k", "Value": "{}"}], "InvalidTag"),
    ),
    ids=("too-many", "twice", "long-key", "long-value", "aws", "characters"),
)
def test_bucket_tags_that_break_the_rules_are_refused_and_change_nothing(s3, bucket, tags, expected):
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": TAGS})
    with pytest.raises(ClientError) as raised:
        s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    assert code(raised) == (400, expected)
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == TAGS
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": f"k{i}", "Value": "v"} for i in range(50)]})
    assert len(s3.get_bucket_tagging(Bucket=bucket)["TagSet"]) == 50


def test_settings_of_a_deleted_bucket_are_gone_with_it(s3, make_bucket):
    bucket = make_bucket()
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": TAGS})
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [RULE]})
    s3.delete_bucket(Bucket=bucket)
    make_bucket(name=bucket)
    for operation, missing in (("tagging", "NoSuchTagSet"), ("cors", "NoSuchCORSConfiguration")):
        with pytest.raises(ClientError) as raised:
            getattr(s3, f"get_bucket_{operation}")(Bucket=bucket)
        assert code(raised) == (404, missing)


@pytest.mark.lethe_only("tenants")
def test_settings_of_anothers_bucket_answer_as_for_no_bucket(target, bucket):
    other, missing = target.client("globex"), unique_name("missing")
    target.client().put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": TAGS})
    target.client().put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [RULE]})
    for name in (bucket, missing):
        for operation, arguments in {
            "put_bucket_tagging": {"Tagging": {"TagSet": TAGS}}, "get_bucket_tagging": {}, "delete_bucket_tagging": {},
            "put_bucket_cors": {"CORSConfiguration": {"CORSRules": [RULE]}}, "get_bucket_cors": {}, "delete_bucket_cors": {},
        }.items():  # fmt: skip
            with pytest.raises(ClientError) as raised:
                getattr(other, operation)(Bucket=name, **arguments)
            assert code(raised) == (404, "NoSuchBucket"), operation
    assert target.client().get_bucket_tagging(Bucket=bucket)["TagSet"] == TAGS


RULE = {
    "ID": "app", "AllowedOrigins": ["https://*.app.test"], "AllowedMethods": ["GET", "PUT"], "AllowedHeaders": ["x-amz-*"],
    "ExposeHeaders": ["ETag"], "MaxAgeSeconds": 77,
}  # fmt: skip
ORIGIN = {"Origin": "https://a.app.test"}
ASKED = ORIGIN | {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "X-Amz-Date"}


def about_origins(answer) -> dict[str, str]:
    return {
        name.removeprefix("access-control-"): value
        for name, value in answer.headers.items()
        if name.startswith("access-control-")
    }


@pytest.mark.beyond_seaweedfs("answers an age of 0 where none was put")
def test_cors_rules_are_put_read_replaced_and_deleted(s3, bucket):
    with pytest.raises(ClientError) as raised:
        s3.get_bucket_cors(Bucket=bucket)
    assert code(raised) == (404, "NoSuchCORSConfiguration")
    any_origin = {"AllowedOrigins": ["*"], "AllowedMethods": ["HEAD"]}
    for rules in ([RULE], [any_origin, RULE]):
        s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": rules})
        assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == rules
    assert s3.delete_bucket_cors(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"] == 204
    with pytest.raises(ClientError) as raised:
        s3.get_bucket_cors(Bucket=bucket)
    assert code(raised) == (404, "NoSuchCORSConfiguration")


@pytest.mark.beyond_seaweedfs("takes some")
@pytest.mark.parametrize(
    "rules",
    (
        [RULE] * 101,
        [RULE | {"AllowedOrigins": ["https://*.*.test"]}],
        [RULE | {"AllowedMethods": ["PATCH"]}],
        [RULE | {"AllowedHeaders": ["x-*-*"]}],
        [RULE | {"ExposeHeaders": ["x-*"]}],
        [RULE | {"ID": "i" * 256}],
        [RULE | {"MaxAgeSeconds": -1}],
    ),
    ids=("too-many", "origin", "method", "header", "exposed", "id", "age"),
)
def test_cors_rules_that_s3_refuses_are_refused_and_change_nothing(s3, bucket, rules):
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [RULE]})
    with pytest.raises(ClientError) as raised:
        s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": rules})
    assert code(raised) == (400, "InvalidRequest")
    assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == [RULE]


@pytest.mark.lethe_only("SeaweedFS does not know whose bucket a presigned URL means")
def test_preflight_of_a_presigned_url_is_decided_by_the_rules(target, s3, bucket):
    url = presign(target, "PUT", f"/{bucket}/object")
    assert send(target, "OPTIONS", url).status == 400
    no_rules = send(target, "OPTIONS", url, ASKED)
    assert (no_rules.status, no_rules.error()[0]) == (403, "AccessForbidden")
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [RULE]})
    answer = send(target, "OPTIONS", url, ASKED)
    assert answer.status == 200
    assert about_origins(answer) == {
        "allow-origin": ORIGIN["Origin"], "allow-credentials": "true", "allow-methods": "GET, PUT",
        "allow-headers": "x-amz-date", "expose-headers": "ETag", "max-age": "77",
    }  # fmt: skip
    assert "Origin" in answer.headers["vary"]
    for refused in (
        ASKED | {"Origin": "https://app.test"},
        ASKED | {"Access-Control-Request-Method": "DELETE"},
        ASKED | {"Access-Control-Request-Headers": "x-amz-date, authorization"},
    ):
        answer = send(target, "OPTIONS", url, refused)
        assert (answer.status, answer.error()[0], about_origins(answer)) == (403, "AccessForbidden", {})


@pytest.mark.lethe_only("tenants")
def test_preflight_tells_missing_buckets_from_others_by_nothing(target, s3, bucket):
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [RULE]})
    plain = [send(target, "OPTIONS", f"/{name}/object", ASKED) for name in (bucket, unique_name("missing"))]
    assert [(a.status, about_origins(a)) for a in plain] == [(200, about_origins(plain[0]))] * 2
    assert about_origins(plain[0])["allow-origin"] == "*"
    assert "allow-credentials" not in about_origins(plain[0])
    # Another tenant's URL for a bucket of that name means that tenant's bucket, which is not there.
    for name in (bucket, unique_name("missing")):
        answer = send(target, "OPTIONS", presign(target, "PUT", f"/{name}/object", tenant="globex"), ASKED)
        assert (answer.status, answer.error()[0], about_origins(answer)) == (403, "AccessForbidden", {})


@pytest.mark.beyond_seaweedfs("says so without Origin too, or not on errors")
def test_answers_carry_what_the_rules_say_errors_included(target, s3, bucket):
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [RULE]})
    s3.put_object(Bucket=bucket, Key="object", Body=b"x")
    for key, status in (("object", 200), ("missing", 404)):
        answer = call(target, "GET", bucket, key, headers=ORIGIN)
        assert answer.status == status
        assert about_origins(answer) == {
            "allow-origin": ORIGIN["Origin"], "allow-credentials": "true", "allow-methods": "GET, PUT",
            "expose-headers": "ETag", "max-age": "77",
        }  # fmt: skip
    path, headers = sign(target, "GET", f"/{bucket}/object")
    for more in ({"Origin": "https://other.test"}, {}):
        answer = send(target, "GET", path, headers | more)
        assert (answer.status, about_origins(answer)) == (200, {})
        assert "Origin" in answer.headers["vary"]
    s3.delete_bucket_cors(Bucket=bucket)
    answer = send(target, "GET", path, headers | ORIGIN)
    assert (answer.status, about_origins(answer)) == (200, {})
