"""Sorts tests into areas of S3 by their names, so that tables can be read."""

import re

# The first that matches counts.
AREAS = (
    ("object lock", r"object_lock"),
    ("SSE-C", r"sse_c|sse-c|encryption_sse_c|encrypted_transfer|encryption_key|_sse_customer"),
    ("server-side encryption", r"sse_kms|sse_s3|sse-kms|sse-s3|encryption|_enc\b|put_obj_enc|sses3|default_upload"),
    ("POST forms", r"post_object"),
    ("CORS", r"cors"),
    ("lifecycle", r"lifecycle"),
    ("policies and public access", r"policy|public_block|block_public|ignore_public|public_acl|PolicyStatus|publicaccess"),
    ("ACLs and anonymous access", r"acl|access_bucket|anonymous|_anon|grant|object_raw|public_read|unreadable_bucket"),
    ("tagging", r"tagging|_tags?(_|$)|tagset"),
    ("checksums and digests", r"cksum|checksum|md5|crc|sha256"),
    ("conditions", r"ifmatch|if_match|ifnone|if_none|ifmodified|ifunmodified|if_modified|if_unmodified|ifnonmatch|if_non|current_object_if"),
    ("versioning", r"version"),
    ("multipart uploads", r"multipart|upload_part"),
    ("copies", r"copy"),
    ("ranges", r"range"),
    ("listings", r"_list|listv2|list_v2"),
    ("deletion of many", r"multi_object|multi_objectv2|concurrent"),
    ("requests and headers", r"header|100_continue|expect|content_length|contentlength|date|authorization|auth|ua_|user_agent|request_id"),
    ("buckets", r"bucket"),
    ("objects", r""),
)  # fmt: skip


def area(test: str) -> str:
    """The area of a test, by its function's name and parameters."""
    name = test.rsplit("::", 1)[-1]
    return next(label for label, pattern in AREAS if re.search(pattern, name))
