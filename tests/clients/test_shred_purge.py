"""What a purge leaves of a shredded tenant in a store with versions, object lock, open uploads and a spool: nothing, or what it says."""

import datetime
import json
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from test_serve import eventually, issue
from testbed.certificates import Authority
from testbed.installation import REGION, Serving
from testbed.payload import MIB, body
from testbed.seaweedfs import ADMIN, READER, SeaweedFS
from testbed.shredding import Shredding, statements, wait_until_purged

pytestmark = [pytest.mark.no_server, pytest.mark.lethe_only("shreds"), pytest.mark.timeout(500)]

# More than a page of a purge.
KEYS = 560
MARKED = 40
NAMES = ("victim", "locked", "forbidden", "survivor")
# A store that walks directories has them in another order than that of bytes, and its own pages lose some.
MIXED = [f"{name}{sign}{n}" for name in ("a", "a b", "ab") for sign in ("!", "/", "-", ".", " ", "0", "/x/", "/x!") for n in range(4)]
MIXED += ["a", "ab", "a/x", "é/1", "é!1", "z/a/b/c", "z/a!b", "z"]
PAGES = (1, 7, 50, 1000)


def mixed(n: int) -> str:
    return f"k{n % 20}{'/!-'[n % 3]}{n}"


@dataclass
class Site:
    """A domain with one gateway on a SeaweedFS."""

    made: Shredding
    gateway: Serving
    store: SeaweedFS
    ids: dict[str, str] = field(default_factory=dict)

    def s3(self, name: str):
        return self.gateway.client(name)

    def catalog(self) -> sqlite3.Connection:
        return sqlite3.connect(self.made.directory / "eu/catalog.db", timeout=10)

    def upstream(self, tenant: str) -> dict[str, str]:
        """A tenant's buckets and what the store calls them."""
        with self.catalog() as rows:
            return dict(rows.execute("SELECT name, upstream FROM buckets WHERE tenant = ?", (bytes.fromhex(self.ids[tenant]),)))

    def progress(self, tenant: str) -> dict | None:
        """How far a purge is, as the catalog has it."""
        with self.catalog() as rows:
            found = rows.execute("SELECT body FROM shred_evidence WHERE state = 'purged' AND tenant = ?",
                                 (bytes.fromhex(self.ids[tenant]),)).fetchone()  # fmt: skip
        return found and json.loads(found[0])

    def terminate(self, tenant: str) -> None:
        # It waits for a gateway that was killed until that one's lease is over: longer than a request may take.
        for _ in range(4):
            done = self.made.run("tenant", "terminate", tenant, gateway=self.gateway)
            if "repeat the command" not in done.stderr:
                break
        assert done.returncode == 0, done.stderr
        for role in ("carol", "dave"):
            done = self.made.run("tenant", "approve", tenant, gateway=self.gateway, role=role)
            assert done.returncode == 0, done.stderr

    def status(self) -> list[dict]:
        return self.made.json("shred", "status", gateway=self.gateway)

    def purged(self, tenant: str) -> dict:
        """The purge that a tenant's verified receipt states."""
        wait_until_purged(self.status, self.ids[tenant])
        receipt, trust = self.made.directory / f"{tenant}.receipt.json", self.made.directory / "trust.json"
        for argv in (("receipt", "get", tenant, "--to", str(receipt)), ("receipt", "trust", "eu", "--to", str(trust))):
            done = self.made.run(*argv, gateway=self.gateway)
            assert done.returncode == 0, done.stderr
        assert self.made.json("receipt", "verify", str(receipt), "--trust", str(trust))["verdict"] == "verified"
        return statements(receipt)[2]["predicate"]["purge"]

    def kill_in_the_middle(self, tenant: str) -> dict:
        """Kills the gateway once the purge has something to show, and starts it again; answers how far it was."""
        deadline = time.monotonic() + 200
        while not (found := self.progress(tenant)) or not any(found["counts"].values()):
            assert time.monotonic() < deadline, self.status()
            time.sleep(0.01)
        # Some of what was counted is deleted by now.
        time.sleep(0.2)
        self.gateway.child.kill()
        with self.catalog() as rows:
            rows.execute("UPDATE shreds SET lease_until = 0 WHERE state <> 'purged'")
        killed = self.progress(tenant)
        self.gateway.start()
        return killed


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    directory = tmp_path_factory.mktemp("shred-purge")
    store = SeaweedFS(directory / "seaweedfs", Authority(directory / "store-ca"))
    made = Shredding(directory / "site", store, grace_days=0)
    try:
        made.json("domain", "init", "eu", "--config", "lethe.toml")
        made.json("region", "check", REGION, "--config", "lethe.toml")
        running = Site(made, made.serve(), store)
        for name in NAMES:
            running.ids[name] = made.json("tenant", "create", name, "--region", REGION, gateway=running.gateway)["id"]
            issue(made, running.gateway, name, name)
            running.s3(name).create_bucket(Bucket=f"{name}-docs")
        yield running
    finally:
        made.stop()
        store.stop()


def versioned(site, name: str) -> None:
    wanted = {"Status": "Enabled"}
    site.s3(name).put_bucket_versioning(Bucket=f"{name}-docs", VersioningConfiguration=wanted)


def left(store, buckets: list[str]) -> dict[str, list]:
    """What the store still has of these buckets: versions, delete markers, objects and uploads."""
    client, found = store.client(), {}
    there = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
    for bucket in buckets:
        if bucket not in there:
            continue
        listed = client.list_object_versions(Bucket=bucket)
        uploads = client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
        found[bucket] = [*listed.get("Versions", []), *listed.get("DeleteMarkers", []), *uploads]
    return found


def open_uploads(s3, bucket: str) -> None:
    """Two uploads; their parts below 5 MiB are spooled, one of them twice."""
    for key, parts in (("one", (5 * MIB, MIB)), ("two", (1000, 1000))):
        upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        for number, length in enumerate(parts, 1):
            s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=body(length, key))


def test_purge_killed_twice_leaves_nothing_and_counts_nothing_twice(site):
    s3, bucket = site.s3("victim"), "victim-docs"
    s3.create_bucket(Bucket="victim-plain")
    versioned(site, "victim")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: s3.put_object(Bucket=bucket, Key=mixed(n % (KEYS - MARKED)), Body=b"x" * 10), range(KEYS)))
        list(pool.map(lambda n: s3.delete_object(Bucket=bucket, Key=mixed(n)), range(MARKED)))
        list(pool.map(lambda n: s3.put_object(Bucket="victim-plain", Key=f"p{n}", Body=b"x"), range(30)))
    open_uploads(s3, bucket)
    with site.catalog() as rows:
        (spooled,) = rows.execute("SELECT count(*) FROM attempts WHERE tenant = ? AND spool_key IS NOT NULL",
                                  (bytes.fromhex(site.ids["victim"]),)).fetchone()  # fmt: skip
        (spool,) = {upstream for (upstream,) in rows.execute("SELECT spool_bucket FROM regions WHERE spool_bucket IS NOT NULL")}
        (upload,) = rows.execute("SELECT id FROM uploads WHERE tenant = ? LIMIT 1", (bytes.fromhex(site.ids["victim"]),)).fetchone()
    assert spooled == 3 and len(site.store.client().list_objects_v2(Bucket=spool)["Contents"]) == 3
    # What an attempt leaves whose gateway was killed before it wrote it down.
    site.store.client().put_object(Bucket=spool, Key=f"{upload}/9/9", Body=b"nobody knows")
    buckets = list(site.upstream("victim").values())
    assert len(buckets) == 2 and left(site.store, buckets)
    site.terminate("victim")
    killed = [site.kill_in_the_middle("victim") for _ in range(2)]
    print("killed at", [progress["counts"] for progress in killed])
    purge = site.purged("victim")
    counted = {name: purge[name] for name in ("objects", "versions", "deleteMarkers", "uploads", "spooled")}
    assert counted == {"objects": 30, "versions": KEYS, "deleteMarkers": MARKED, "uploads": 2, "spooled": 4}
    assert (purge["status"], purge["held"]) == ("complete", [])
    assert left(site.store, buckets) == {}, "not even the buckets"
    assert "Contents" not in site.store.client().list_objects_v2(Bucket=spool)


def listed(s3, bucket: str, size: int, **more) -> list[tuple[str, str]]:
    """All versions, delete markers and common prefixes, by pages of one size."""
    found, marker = [], {}
    while True:
        page = s3.list_object_versions(Bucket=bucket, MaxKeys=size, **more, **marker)
        rows = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        found += [(row["Key"], row["VersionId"]) for row in rows]
        found += [(row["Prefix"], "") for row in page.get("CommonPrefixes", [])]
        if not page["IsTruncated"]:
            return found
        marker = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page.get("NextVersionIdMarker", "")}


def test_versions_are_listed_once_each_at_every_page_size(site):
    s3, bucket = site.s3("survivor"), "survivor-docs"
    versioned(site, "survivor")
    wanted = set()
    with ThreadPoolExecutor(8) as pool:
        for key, done in zip(MIXED, pool.map(lambda key: s3.put_object(Bucket=bucket, Key=key, Body=b"x"), MIXED)):
            wanted.add((key, done["VersionId"]))
    again = [("a", s3.put_object(Bucket=bucket, Key="a", Body=b"y")["VersionId"]) for _ in range(9)]
    marker = ("z/a!b", s3.delete_object(Bucket=bucket, Key="z/a!b")["VersionId"])
    wanted |= {*again, marker}
    assert len(MIXED) == 104 and len(wanted) == 114
    for size in PAGES:
        found = listed(s3, bucket, size)
        assert len(found) == len(set(found)) and set(found) == wanted, size
        folded = [key for key, version in listed(s3, bucket, size, Delimiter="/") if not version]
        assert sorted(folded) == ["a b/", "a/", "ab/", "z/", "é/"], size
        below = listed(s3, bucket, size, Prefix="a/")
        assert sorted(below) == sorted(one for one in wanted if one[0].startswith("a/")), size


def credentials(site, pair: tuple[str, str]) -> None:
    """What the gateway asks the store with; it reads the file again when it changes."""
    file = site.made.directory / "upstream-credentials"
    file.write_text(f"[default]\naws_access_key_id = {pair[0]}\naws_secret_access_key = {pair[1]}\n")


def test_purge_that_the_store_forbids_fails_with_the_reason_and_is_not_called_held(site):
    versioned(site, "forbidden")
    for _ in range(3):
        site.s3("forbidden").put_object(Bucket="forbidden-docs", Key="k", Body=b"x")
    buckets = list(site.upstream("forbidden").values())
    credentials(site, READER)
    try:
        time.sleep(2)
        site.terminate("forbidden")
        eventually(lambda: "AccessDenied" in (shred_of(site, "forbidden").get("last_error") or ""), "the reason", 120)
        assert shred_of(site, "forbidden")["state"] == "receipted"
        assert not (site.progress("forbidden") or {}).get("held")
        assert len(left(site.store, buckets)[buckets[0]]) == 3
    finally:
        credentials(site, ADMIN)
    time.sleep(2)
    site.made.json("shred", "resume", gateway=site.gateway)
    purge = site.purged("forbidden")
    assert (purge["status"], purge["versions"], purge["held"]) == ("complete", 3, [])
    assert left(site.store, buckets) == {}


def shred_of(site, tenant: str) -> dict:
    found = [row for row in site.status() if site.ids[tenant] in row["tenants"]]
    return found[0] if found else {}


def test_version_under_object_lock_is_held_and_the_rest_is_deleted(site):
    versioned(site, "locked")
    s3, client = site.s3("locked"), site.store.client()
    s3.create_bucket(Bucket="locked-again")
    s3.put_object(Bucket="locked-again", Key="k", Body=b"x")
    bucket, plain = (site.upstream("locked")[name] for name in ("locked-docs", "locked-again"))
    client.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"})
    for _ in range(3):
        s3.put_object(Bucket="locked-docs", Key="k", Body=b"x")
    version = client.list_object_versions(Bucket=bucket)["Versions"][0]["VersionId"]
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
    retention = {"Mode": "COMPLIANCE", "RetainUntilDate": until}
    client.put_object_retention(Bucket=bucket, Key="k", VersionId=version, Retention=retention)
    site.terminate("locked")
    purge = site.purged("locked")
    assert (purge["status"], purge["versions"]) == ("held", 2)
    assert [held["versionId"] for held in purge["held"]] == [version]
    assert [one["VersionId"] for one in left(site.store, [bucket])[bucket]] == [version]
    assert left(site.store, [plain]) == {}, "nothing in it was held"
    site.s3("survivor").put_object(Bucket="survivor-docs", Key="k", Body=b"still served")
