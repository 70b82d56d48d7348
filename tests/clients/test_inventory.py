"""An inventory's root, computed from docs/receipts.md alone out of what the tenant could see before its shred."""

import sys
from pathlib import Path

import pytest

from testbed.shredding import Operator, statements, wait_until_purged
from testbed.target import Gateway

sys.path.append(str(Path(__file__).resolve().parents[1] / "receipts"))
import inventory  # noqa: E402

pytestmark = [pytest.mark.no_server, pytest.mark.lethe_only("shreds"), pytest.mark.timeout(400)]

KEYS = ("words", "a/b", "a.b", "ä", "z", "\U0001f512")


def seen(operator, bucket, key):
    """The fields of one entry, and its stored length, as `object inspect` shows them."""
    shown = operator.json("object", "inspect", "victim", bucket, key)
    commitment = bytes.fromhex(shown["header"]["kek_commitment"])
    return bucket, key, shown["version"] or "", shown["stored_bytes"], shown["etag"], commitment


def test_inventory_root_is_computed_from_the_document_and_the_tenants_key(tmp_path):
    gateway = Gateway(tmp_path, "embedded")
    try:
        operator = Operator(gateway)
        tenant = operator.tenant("victim", "plain")
        s3 = gateway.client("victim")
        for key in KEYS:
            s3.put_object(Bucket="plain", Key=key, Body=key.encode() * 100)
        upload = s3.create_multipart_upload(Bucket="plain", Key="unfinished")["UploadId"]
        s3.upload_part(Bucket="plain", Key="unfinished", UploadId=upload, PartNumber=1, Body=b"part")
        s3.create_bucket(Bucket="kept", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        s3.put_object(Bucket="kept", Key="other", Body=b"other")

        fields = [seen(operator, "kept", "other")]
        fields += [seen(operator, "plain", key) for key in sorted(KEYS, key=str.encode)]
        key = bytes.fromhex(operator.json("tenant", "terminate", "victim")["inventory_key"])
        operator.json("tenant", "approve", "victim")
        operator.json("shred", "run", "--now", "--tenant", "victim")
        wait_until_purged(lambda: operator.json("shred", "status"), tenant)
        receipt = tmp_path / "victim.receipt.json"
        operator.works("receipt", "get", "victim", "--to", str(receipt))
    finally:
        gateway.stop()
    found = statements(receipt)[1]["predicate"]["inventory"]
    assert (found["status"], found["objects"]) == ("complete", len(fields))
    assert found["bytes"] == sum(stored for _, _, _, stored, _, _ in fields)
    assert found["root"] == inventory.root([inventory.entry(key, *each) for each in fields]).hex()
    other = inventory.root([inventory.entry(bytes(32), *each) for each in fields])
    assert found["root"] != other.hex(), "nobody without the key computes it"
