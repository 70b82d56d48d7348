"""kill -9 of the gateway or of its store in mid-upload: the old object or the new one, never a mixture, never neither."""

import shutil
import threading
import time

import pytest
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from urllib3.exceptions import HTTPError

from test_multipart import complete, upload
from testbed.payload import MIB, body
from testbed.signed import connect, path_of, sign
from testbed.target import start

pytestmark = [
    pytest.mark.lethe_only("kills the gateway"),
    pytest.mark.timeout(400),
]

AWAY = (BotoCoreError, ClientError, HTTPClientError, HTTPError, ConnectionError)
OLD = body(6 * MIB, "old")
BUCKET = "crash"


@pytest.fixture(scope="module")
def victim(kind, tmp_path_factory):
    """A target of this module's own, killed and started again and again on one directory."""
    directory = tmp_path_factory.mktemp(f"crash-{kind}")
    running = start(kind, directory)
    running.client().create_bucket(Bucket=BUCKET)
    yield running
    running.stop()
    shutil.rmtree(directory, ignore_errors=True)


def read(target, key: str) -> bytes:
    return target.client().get_object(Bucket=BUCKET, Key=key)["Body"].read()


def half_a_put(target, key: str, data: bytes, sent: float = 0.5):
    """A PUT that has sent half (or another share) of its body and waits."""
    headers = {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD", "Content-Length": str(len(data))}
    request_target, signed = sign(target, "PUT", path_of(BUCKET, key), headers=headers, body=data)
    connection = connect(target)
    connection.putrequest("PUT", request_target, skip_accept_encoding=True)
    for name, value in signed.items():
        connection.putheader(name, value)
    connection.endheaders()
    connection.send(data[: int(len(data) * sent)])
    return connection


def in_background(action):
    def run():
        try:
            action()
        except AWAY:
            pass

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("size", (300_000, 24 * MIB))
def test_gateway_killed_with_half_a_put_sent_leaves_the_old_object(victim, size):
    key = f"half-{size}"
    victim.client().put_object(Bucket=BUCKET, Key=key, Body=OLD, Metadata={"which": "old"})
    connection = half_a_put(victim, key, body(size, "new"))
    time.sleep(0.5)
    victim.kill_and_restart()
    connection.close()
    assert read(victim, key) == OLD
    assert victim.client().head_object(Bucket=BUCKET, Key=key)["Metadata"] == {"which": "old"}
    assert [o["Size"] for o in victim.client().list_objects_v2(Bucket=BUCKET, Prefix=key)["Contents"]] == [len(OLD)]


@pytest.mark.parametrize("killed", (False, True), ids=("client gone", "gateway killed"))
def test_put_cut_before_its_first_byte_leaves_the_old_object(victim, killed):
    """SeaweedFS takes a request that ends after its head for an empty object: it must not get to see one."""
    victim.client().put_object(Bucket=BUCKET, Key="head", Body=OLD)
    connection = half_a_put(victim, "head", body(24 * MIB, "new"), sent=0)
    time.sleep(1)
    if killed:
        victim.kill_and_restart()
    connection.close()
    time.sleep(1)
    assert read(victim, "head") == OLD


def test_client_gone_with_half_a_put_sent_leaves_the_old_object(victim):
    victim.client().put_object(Bucket=BUCKET, Key="gone", Body=OLD)
    half_a_put(victim, "gone", body(24 * MIB, "new")).close()
    time.sleep(1)
    assert read(victim, "gone") == OLD


@pytest.mark.parametrize("delay_ms", (30, 120, 400))
def test_gateway_killed_at_any_time_of_a_put_leaves_old_or_new(victim, delay_ms):
    new = body(24 * MIB, f"new {delay_ms}")
    victim.client().put_object(Bucket=BUCKET, Key="any", Body=OLD)
    s3 = victim.client()
    thread = in_background(lambda: s3.put_object(Bucket=BUCKET, Key="any", Body=new))
    time.sleep(delay_ms / 1000)
    victim.kill_and_restart()
    thread.join(timeout=30)
    assert read(victim, "any") in (OLD, new)


def test_gateway_killed_between_parts_the_upload_goes_on(victim):
    where = {"Bucket": BUCKET, "Key": "parts"}
    victim.client().put_object(Body=OLD, **where)
    upload_id = victim.client().create_multipart_upload(**where)["UploadId"]
    parts = []
    for number, size in enumerate((5 * MIB, 5 * MIB, 100), 1):
        data = body(size, number)
        etag = victim.client().upload_part(UploadId=upload_id, PartNumber=number, Body=data, **where)["ETag"]
        parts.append({"PartNumber": number, "ETag": etag})
        victim.kill_and_restart()
        assert read(victim, "parts") == OLD
    complete(victim.client(), BUCKET, "parts", upload_id, parts)
    assert read(victim, "parts") == body(5 * MIB, 1) + body(5 * MIB, 2) + body(100, 3)


@pytest.mark.parametrize("delay_ms", (0, 15, 60))
def test_gateway_killed_at_any_time_of_a_complete_and_the_retry_succeeds(victim, delay_ms):
    key = f"complete-{delay_ms}"
    victim.client().put_object(Bucket=BUCKET, Key=key, Body=OLD)
    data, upload_id, parts = upload(victim.client(), BUCKET, key, [5 * MIB, 5 * MIB, 100])
    s3 = victim.client()
    thread = in_background(lambda: complete(s3, BUCKET, key, upload_id, parts))
    time.sleep(delay_ms / 1000)
    victim.kill_and_restart()
    thread.join(timeout=30)
    assert read(victim, key) in (OLD, data)
    answer = retried(lambda: complete(victim.client(), BUCKET, key, upload_id, parts), seconds=60)
    assert read(victim, key) == data
    assert victim.client().head_object(Bucket=BUCKET, Key=key)["ETag"] == answer["ETag"]


def retried(action, seconds: float):
    """Repeats what may answer 503 or 409 while a dead owner's lease lasts."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return action()
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if status not in (409, 500, 503) or time.monotonic() > deadline:
                raise
            time.sleep(1)


def test_gateway_killed_while_a_bucket_is_made_the_retry_succeeds(victim):
    for delay_ms in (0, 5, 20):
        name, s3 = f"made-{delay_ms}", victim.client()
        thread = in_background(lambda s3=s3, name=name: s3.create_bucket(Bucket=name))
        time.sleep(delay_ms / 1000)
        victim.kill_and_restart()
        thread.join(timeout=30)
        try:
            retried(lambda name=name: victim.client().create_bucket(Bucket=name), seconds=60)
        except ClientError as error:
            assert error.response["Error"]["Code"] == "BucketAlreadyOwnedByYou"
        victim.client().put_object(Bucket=name, Key="x", Body=b"x")
        victim.client().delete_object(Bucket=name, Key="x")
        victim.client().delete_bucket(Bucket=name)


def test_gateway_started_again_does_not_check_its_stores_again(victim):
    if not victim.store:
        pytest.skip("embedded regions have no check")
    victim.kill_and_restart()
    log = victim.log().decode()
    for region in ("eu-central-1", "us-east-1"):
        assert log.count(f"region {region}: checking reads and lists") == 1


def test_gateway_terminated_finishes_what_it_began(victim):
    new, done = body(16 * MIB, "drained"), []
    s3 = victim.client()
    s3.put_object(Bucket=BUCKET, Key="drain", Body=OLD)
    thread = in_background(lambda: done.append(s3.put_object(Bucket=BUCKET, Key="drain", Body=new)))
    time.sleep(0.1)
    victim.child.stop(seconds=60)
    thread.join(timeout=30)
    assert victim.child.popen.returncode == 0, "SIGTERM ends it cleanly"
    victim.start()
    assert read(victim, "drain") == (new if done else OLD) or read(victim, "drain") == new


def test_store_killed_in_mid_upload_leaves_old_or_new(victim):
    if not victim.store:
        pytest.skip("the embedded region lives in the gateway's own process")
    s3 = victim.client()
    s3.put_object(Bucket=BUCKET, Key="store", Body=OLD)
    for turn, delay_ms in enumerate((50, 250)):
        new = body(24 * MIB, f"store {turn}")
        outcome = []
        thread = in_background(
            lambda new=new, outcome=outcome: outcome.append(s3.put_object(Bucket=BUCKET, Key="store", Body=new))
        )
        time.sleep(delay_ms / 1000)
        victim.store.child.kill()
        thread.join(timeout=90)
        assert not thread.is_alive(), "an upload to a dead store must end"
        began = time.monotonic()
        with pytest.raises(AWAY) as raised:
            victim.client().get_object(Bucket=BUCKET, Key="store")
        assert time.monotonic() - began < 60
        if isinstance(raised.value, ClientError):
            assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] >= 500, "not there is not the same as away"
        victim.store.start()
        got = retried(lambda: read(victim, "store"), seconds=30)
        assert got in ((new,) if outcome else (OLD, new))
        s3.put_object(Bucket=BUCKET, Key="store", Body=OLD)
