"""minio-py: objects, streams of unknown length, composed and copied objects, listings, tags, presigned URLs, errors."""

import io
import os
import sys
import urllib.parse
from datetime import timedelta

import urllib3
from minio import Minio
from minio.commonconfig import ComposeSource, CopySource, Tags
from minio.deleteobjects import DeleteObject
from minio.error import S3Error

MIB = 1024 * 1024
endpoint, bucket = urllib.parse.urlsplit(sys.argv[1]), sys.argv[2]
tls = endpoint.scheme == "https"
pool = urllib3.PoolManager(ca_certs=os.environ["AWS_CA_BUNDLE"]) if tls else urllib3.PoolManager()
client = Minio(
    endpoint=endpoint.netloc, access_key=os.environ["AWS_ACCESS_KEY_ID"], secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
    region=os.environ["AWS_REGION"], secure=tls, http_client=pool,
)  # fmt: skip


def read(key: str, **options) -> bytes:
    answer = client.get_object(bucket_name=bucket, object_name=key, **options)
    try:
        return answer.read()
    finally:
        answer.close()
        answer.release_conn()


small, large = os.urandom(70_000), os.urandom(11 * MIB + 1)
assert client.bucket_exists(bucket_name=bucket)
client.put_object(
    bucket_name=bucket, object_name="a b/ü.bin", data=io.BytesIO(small), length=len(small), content_type="image/x",
    metadata={"colour": "red"},
)  # fmt: skip
stat = client.stat_object(bucket_name=bucket, object_name="a b/ü.bin")
assert (stat.size, stat.content_type, stat.metadata["x-amz-meta-colour"]) == (70_000, "image/x", "red"), stat
assert read("a b/ü.bin") == small
assert read("a b/ü.bin", offset=65_530, length=16) == small[65_530:65_546]

# Of unknown length, in parts.
client.put_object(
    bucket_name=bucket, object_name="large", data=io.BytesIO(large), length=-1, part_size=5 * MIB
)
assert read("large") == large

client.copy_object(bucket_name=bucket, object_name="copy", source=CopySource(bucket_name=bucket, object_name="a b/ü.bin"))
assert read("copy") == small
client.compose_object(
    bucket_name=bucket, object_name="composed",
    sources=[ComposeSource(bucket_name=bucket, object_name=key) for key in ("large", "copy")],
)  # fmt: skip
assert read("composed") == large + small

for at in range(5):
    client.put_object(bucket_name=bucket, object_name=f"list/{at}/x", data=io.BytesIO(b"x"), length=1)
found = [entry.object_name for entry in client.list_objects(bucket_name=bucket, prefix="list/")]
assert found == [f"list/{at}/" for at in range(5)], found
found = [entry.object_name for entry in client.list_objects(bucket_name=bucket, prefix="list/", recursive=True)]
assert found == [f"list/{at}/x" for at in range(5)], found

tags = Tags.new_object_tags()
tags["team"] = "one two"
client.set_object_tags(bucket_name=bucket, object_name="copy", tags=tags)
assert client.get_object_tags(bucket_name=bucket, object_name="copy") == {"team": "one two"}

url = client.presigned_get_object(bucket_name=bucket, object_name="copy", expires=timedelta(minutes=1))
assert pool.request("GET", url).data == small
url = client.presigned_put_object(bucket_name=bucket, object_name="by-url", expires=timedelta(minutes=1))
assert pool.request("PUT", url, body=b"by URL").status == 200
assert read("by-url") == b"by URL"

errors = client.remove_objects(bucket_name=bucket, delete_object_list=[DeleteObject(name=key) for key in ("copy", "composed")])
assert list(errors) == []
try:
    client.stat_object(bucket_name=bucket, object_name="copy")
except S3Error as error:
    assert error.code == "NoSuchKey", error
else:
    raise AssertionError("a removed object is still there")
