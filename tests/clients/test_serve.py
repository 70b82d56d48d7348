"""`lethe serve` and the commands around it, run as a platform team runs them: on SQLite with an embedded region, and on two
PostgreSQL servers with an S3 region over TLS and two gateways."""

import http.client
import json
import secrets
import signal
import socket
import ssl
import time

import pytest
from botocore.exceptions import ClientError

from testbed.certificates import Authority
from testbed.installation import REGION, Installation
from testbed.payload import MIB, body
from testbed.process import free_port
from testbed.seaweedfs import SeaweedFS
from testbed.signed import call, connect, path_of, sign

pytestmark = [pytest.mark.no_server, pytest.mark.lethe_only("the gateway's own commands"), pytest.mark.timeout(400)]
# A change of one gateway is known at another after its next poll of the catalog, which is a second away.
KNOWN_SECONDS = 20


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A SeaweedFS that speaks TLS by a CA of its own."""
    directory = tmp_path_factory.mktemp("store")
    running = SeaweedFS(directory / "seaweedfs", Authority(directory / "store-ca"))
    yield running
    running.stop()


@pytest.fixture(scope="module", params=("sqlite", "postgres"))
def installation(request, tmp_path_factory):
    """A domain that `domain init` made and whose region passed its check, without a gateway yet."""
    upstream = request.getfixturevalue("store") if request.param == "postgres" else None
    made = Installation(tmp_path_factory.mktemp(request.param), request.param, upstream)
    try:
        made.first = made.json("domain", "init", "eu", "--config", "lethe.toml")
        if upstream:
            made.unchecked = made.refused("serve", "--config", "lethe.toml", code=2)
        made.check = made.json("region", "check", REGION, "--config", "lethe.toml")
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def gateway(installation):
    return installation.serve()


@pytest.fixture(scope="module")
def acme(installation, gateway):
    """Tenant acme with a credential that `gateway.client("acme")` uses; its bucket is `docs`."""
    installation.json("tenant", "create", "acme", "--region", REGION, gateway=gateway)
    issue(installation, gateway, "acme", "acme")
    gateway.client("acme").create_bucket(Bucket="docs")
    return installation


@pytest.fixture
def bare(tmp_path):
    """An SQLite installation of the test's own, which nothing was done to yet."""
    made = Installation(tmp_path / "bare", "sqlite")
    yield made
    made.stop()


def issue(installation, gateway, tenant: str, label: str) -> dict:
    issued = installation.json("credential", "create", tenant, gateway=gateway)
    gateway.use(label, issued["access_key_id"], issued["secret_access_key"])
    return issued


def eventually(holds, what: str, seconds: float = KNOWN_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.1)


def refusal(action) -> str | None:
    """The S3 code that an action fails with."""
    try:
        action()
    except ClientError as error:
        return error.response["Error"]["Code"]
    return None


# The domain's making, before anything serves.


def test_domain_init_and_migrate_repeated_change_nothing(installation):
    again = installation.json("domain", "init", "eu", "--config", "lethe.toml")
    assert again == installation.first
    assert len({again["catalog_identity"], again["key_store_identity"]}) == 2
    assert installation.json("migrate", "--config", "lethe.toml") == [{"domain": "eu", "state": "up to date"}]
    assert installation.json("domain", "init", "eu", "--config", "lethe.toml") == installation.first


def test_region_check_from_the_configuration_passes_and_says_what_the_store_can_do(installation):
    assert installation.check["passed"] is True and installation.check["missing"] == []
    assert installation.check["profile"]["conditional_put"] is True


def test_serve_refuses_a_region_without_a_stored_check_and_names_the_command(installation):
    if not installation.store:
        pytest.skip("`domain init` makes and checks embedded regions")
    assert f"region {REGION} was never checked" in installation.unchecked
    assert f"lethe region check {REGION} --config lethe.toml" in installation.unchecked


def test_doctor_finds_everything_well_and_changes_nothing(installation):
    findings = installation.json("doctor", "--config", "lethe.toml")
    assert all(finding["ok"] for finding in findings), findings
    subjects = {finding["subject"] for finding in findings}
    assert {"configuration", "[s3] tls", "[admin] tls", "directory", "domain eu: catalog", f"region {REGION}"} <= subjects


# A gateway serves.


def test_tenant_commands_show_one_and_the_same_tenant(acme, gateway):
    shown = acme.json("tenant", "show", "acme", gateway=gateway)
    assert shown["state"] == "active" and shown["region"] == REGION and shown["domain"] == "eu"
    assert acme.json("tenant", "create", "acme", "--region", REGION, gateway=gateway) == shown
    assert acme.json("tenant", "show", shown["id"], gateway=gateway) == shown
    assert shown in acme.json("tenant", "list", gateway=gateway)
    said = acme.refused("tenant", "create", "acme2", "--region", "eu-west-3", gateway=gateway, code=2)
    assert "eu-west-3" in said
    said = acme.refused("tenant", "show", "nobody", gateway=gateway, code=2)
    assert "nobody" in said


def test_tables_are_the_default_for_people(acme, gateway):
    done = acme.run("tenant", "list", gateway=gateway, output="table")
    header, first, *_ = done.stdout.splitlines()
    assert header.split()[:2] == ["NAME", "ID"] and "acme" in first


def test_put_and_get_of_small_large_and_multipart_objects(acme, gateway):
    s3 = gateway.client("acme")
    for size in (0, 1000, 3 * MIB):
        s3.put_object(Bucket="docs", Key=f"o{size}", Body=body(size), Metadata={"colour": "blue"})
        got = s3.get_object(Bucket="docs", Key=f"o{size}")
        assert got["Body"].read() == body(size) and got["Metadata"] == {"colour": "blue"}
    where = {"Bucket": "docs", "Key": "parts"}
    upload_id = s3.create_multipart_upload(**where)["UploadId"]
    parts = []
    for number, size in enumerate((5 * MIB, 100), 1):
        etag = s3.upload_part(UploadId=upload_id, PartNumber=number, Body=body(size), **where)["ETag"]
        parts.append({"PartNumber": number, "ETag": etag})
    s3.complete_multipart_upload(UploadId=upload_id, MultipartUpload={"Parts": parts}, **where)
    assert s3.get_object(**where)["Body"].read() == body(5 * MIB) + body(100)


def test_imported_credential_works_at_once_and_importing_is_repeatable(acme, gateway):
    key_id, secret = f"AKIA{secrets.token_hex(8).upper()}", secrets.token_hex(20)
    file = acme.directory / "imported-secret"
    file.write_text(secret + "\n")
    command = ("credential", "import", "acme", "--access-key-id", key_id, "--secret-file", str(file))
    imported = acme.json(*command, gateway=gateway)
    assert imported["access_key_id"] == key_id and imported["state"] == "active"
    assert acme.json(*command, gateway=gateway) == imported
    gateway.use("imported", key_id, secret)
    assert gateway.client("imported").get_object(Bucket="docs", Key="o1000")["Body"].read() == body(1000)
    file.write_text(secrets.token_hex(20))
    assert "taken" in acme.refused(*command, gateway=gateway, code=2)
    assert secret not in json.dumps(acme.json("credential", "list", "acme", gateway=gateway))


def test_revoked_credential_is_refused_when_the_command_returns_and_for_good(acme, gateway):
    issued = issue(acme, gateway, "acme", "leaver")
    client = gateway.client("leaver")
    assert client.list_objects_v2(Bucket="docs")["KeyCount"] > 0
    revoked = acme.json("credential", "revoke", "acme", issued["access_key_id"], gateway=gateway)
    assert revoked["state"] == "revoked"
    assert refusal(lambda: client.list_objects_v2(Bucket="docs")) == "InvalidAccessKeyId"
    states = {c["access_key_id"]: c["state"] for c in acme.json("credential", "list", "acme", gateway=gateway)}
    assert states[issued["access_key_id"]] == "revoked"
    file = acme.directory / "revoked-secret"
    file.write_text(issued["secret_access_key"])
    said = acme.refused("credential", "import", "acme", "--access-key-id", issued["access_key_id"], "--secret-file", str(file),
                        gateway=gateway)  # fmt: skip
    assert "never works again" in said


def test_suspended_tenant_is_refused_until_it_is_resumed(acme, gateway):
    s3 = gateway.client("acme")
    assert acme.json("tenant", "suspend", "acme", gateway=gateway)["state"] == "suspended"
    assert refusal(lambda: s3.list_buckets()) == "AccessDenied"
    assert acme.json("tenant", "resume", "acme", gateway=gateway)["state"] == "active"
    assert [b["Name"] for b in s3.list_buckets()["Buckets"]] == ["docs"]


def test_rotated_key_seals_new_objects_and_opens_old_ones(acme, gateway):
    s3 = gateway.client("acme")
    s3.put_object(Bucket="docs", Key="old", Body=b"old")
    before = acme.json("key", "list", "acme", gateway=gateway)
    rotated = acme.json("key", "rotate", "acme", gateway=gateway)
    after = acme.json("key", "list", "acme", gateway=gateway)
    assert rotated["version"] == len(before) + 1 and after[-1] == rotated
    assert [kek["state"] for kek in after] == ["decrypt-only"] * len(before) + ["active"]
    s3.put_object(Bucket="docs", Key="new", Body=b"new")
    assert s3.get_object(Bucket="docs", Key="old")["Body"].read() == b"old"
    headers = {key: acme.json("object", "inspect", "acme", "docs", key, gateway=gateway)["header"] for key in ("old", "new")}
    assert headers["old"]["kek_id"] == before[-1]["kek_id"]
    assert headers["old"]["kek_commitment"] == before[-1]["commitment"]
    assert headers["new"]["kek_id"] == rotated["kek_id"]


def test_object_inspect_tells_the_header_and_not_the_content(acme, gateway):
    content = secrets.token_hex(16).encode()
    etag = gateway.client("acme").put_object(Bucket="docs", Key="inspected", Body=content)["ETag"]
    inspected = acme.json("object", "inspect", "acme", "docs", "inspected", gateway=gateway)
    assert inspected["plaintext_bytes"] == len(content) < inspected["stored_bytes"]
    assert etag.strip('"') in (inspected["etag"], inspected["etag"] + "-1"), "the store's own"
    assert inspected["header"]["kind"] == "single"
    assert content.decode() not in json.dumps(inspected)
    missing = secrets.token_hex(8)
    said = acme.refused("object", "inspect", "acme", "docs", missing, gateway=gateway, code=2)
    assert missing not in said, "object keys are not repeated"


def test_region_list_shows_the_stored_check(acme, gateway):
    (region,) = acme.json("region", "list", gateway=gateway)
    assert region["name"] == REGION and region["pair"] == "eu-west-3" and region["check"]["passed"] is True
    assert region["backend"] == ("s3" if acme.store else "embedded")


def test_region_check_of_a_served_region_keeps_its_objects(acme, gateway):
    checked = acme.json("region", "check", REGION, gateway=gateway)
    assert checked["check"]["passed"] is True
    assert checked["check"]["checked_ms"] > acme.check["checked_ms"]
    assert gateway.client("acme").get_object(Bucket="docs", Key="o1000")["Body"].read() == body(1000)


def test_domain_show_tells_the_identities_that_init_made(acme, gateway):
    shown = acme.json("domain", "show", "eu", gateway=gateway)
    assert shown == acme.json("domain", "show", gateway=gateway)[0] | {"lease_remaining_ms": shown["lease_remaining_ms"]}
    for key in ("catalog_identity", "key_store_identity"):
        assert shown[key] == acme.first[key]
    assert 0 < shown["lease_remaining_ms"] <= 30_000


# The admin listener.


def test_admin_api_over_tls_wants_a_token_and_a_role(acme, gateway):
    assert gateway.get("/livez", None)[0] == 200
    ready = json.loads(gateway.get("/readyz", None)[1])
    assert ready["ready"] and {d["kind"] for d in ready["dependencies"]} >= {"catalog", "key-store", "key-lease", "region"}
    assert gateway.get("/v1/tenants", None)[0] == 401
    assert gateway.get("/v1/tenants", secrets.token_hex(16))[0] == 401
    assert gateway.get("/v1/tenants", acme.token("auditor"))[0] == 200
    assert [t["name"] for t in acme.json("tenant", "list", gateway=gateway)] == ["acme"]
    said = acme.refused("tenant", "suspend", "acme", gateway=gateway, role="auditor", code=2)
    assert "bob" in said and "auditor" in said and "operator" in said


def test_command_refuses_an_admin_endpoint_that_another_ca_signed(acme, gateway):
    other = Authority(acme.directory / "other-ca")
    said = acme.refused("tenant", "list", gateway=gateway, ca=other.certificate, code=2)
    assert gateway.admin_endpoint in said and "certificate" in said and "--admin-ca" in said


def test_admin_listener_with_tls_answers_no_plain_http(gateway):
    host, port = gateway.admin_endpoint.removeprefix("https://").split(":")
    plain = http.client.HTTPConnection(host, int(port), timeout=10)
    plain.connect()
    with pytest.raises((http.client.HTTPException, OSError)):
        plain.request("GET", "/livez")
        plain.getresponse()
    plain.close()


# Reload.


def served_certificate(gateway, endpoint: str) -> bytes:
    host, port = endpoint.removeprefix("https://").split(":")
    context = ssl.create_default_context(cafile=str(gateway.ca))
    with socket.create_connection((host, int(port)), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname=host) as secured:
            return secured.getpeercert(binary_form=True)


def test_new_certificates_are_served_and_open_connections_stay(acme, gateway):
    endpoints = {"s3": gateway.endpoint, "admin": gateway.admin_endpoint}
    before = {name: served_certificate(gateway, endpoint) for name, endpoint in endpoints.items()}
    connection = connect(gateway)
    held = call(gateway, "GET", "docs", "o1000", tenant="acme", connection=connection)
    assert held.status == 200
    peer = connection.sock.getsockname()
    for name in endpoints:
        acme.authority.issue(acme.directory, name)
    for name, endpoint in endpoints.items():
        eventually(lambda name=name, endpoint=endpoint: served_certificate(gateway, endpoint) != before[name],
                   f"the new certificate at {endpoint}", 30)  # fmt: skip
    again = call(gateway, "GET", "docs", "o1000", tenant="acme", connection=connection)
    assert again.body == body(1000) and connection.sock.getsockname() == peer, "the old connection was not dropped"
    connection.close()


def test_certificate_that_can_not_be_served_leaves_the_old_one(acme, gateway):
    before, file = served_certificate(gateway, gateway.endpoint), acme.directory / "s3.pem"
    good = file.read_text()
    file.write_text("not a certificate")
    eventually(lambda: "certificate kept" in gateway.log(), "an error in the log", 30)
    assert served_certificate(gateway, gateway.endpoint) == before
    file.write_text(good)
    assert gateway.child.popen.poll() is None


def test_sighup_reloads_principals_and_a_broken_file_changes_nothing(acme, gateway):
    text, token = acme.file.read_text(), secrets.token_hex(16)
    acme.tokens["newcomer"] = acme.directory / "newcomer-token"
    acme.tokens["newcomer"].write_text(token)
    assert gateway.get("/v1/tenants", token)[0] == 401
    added = f'[[admin.principals]]\nname = "carol"\nrole = "auditor"\ntoken_sha256 = "{acme.token_sha256("newcomer")}"\n'
    acme.file.write_text(text.replace("[gateway]", added + "[gateway]"))
    gateway.child.popen.send_signal(signal.SIGHUP)
    eventually(lambda: gateway.get("/v1/tenants", token)[0] == 200, "the new principal")
    acme.file.write_text(text + "\nnonsense = 1\n")
    gateway.child.popen.send_signal(signal.SIGHUP)
    eventually(lambda: "the old configuration stays" in gateway.log(), "an error in the log")
    assert gateway.get("/v1/tenants", token)[0] == 200
    acme.file.write_text(text)
    gateway.child.popen.send_signal(signal.SIGHUP)
    eventually(lambda: gateway.get("/v1/tenants", token)[0] == 401, "the principal's end")


# Two gateways on the same stores.


@pytest.fixture(scope="module")
def second(acme):
    if not acme.store:
        pytest.skip("one process alone opens an embedded region")
    changes = [(f'"127.0.0.1:{port}"', f'"127.0.0.1:{free_port()}"') for port in acme.ports]
    return acme.serve(acme.changed("second.toml", *changes))


def test_two_gateways_serve_one_world(acme, gateway, second):
    issued = issue(acme, gateway, "acme", "both")
    second.use("both", issued["access_key_id"], issued["secret_access_key"])
    here, there = gateway.client("both"), second.client("both")
    eventually(lambda: refusal(there.list_buckets) is None, "the credential at the other gateway")
    here.create_bucket(Bucket="shared")
    eventually(lambda: refusal(lambda: there.head_bucket(Bucket="shared")) is None, "the bucket at the other gateway")
    here.put_object(Bucket="shared", Key="k", Body=body(2 * MIB))
    assert there.get_object(Bucket="shared", Key="k")["Body"].read() == body(2 * MIB)
    there.put_object(Bucket="shared", Key="k", Body=b"overwritten there")
    assert here.get_object(Bucket="shared", Key="k")["Body"].read() == b"overwritten there"


def test_upload_begun_at_one_gateway_is_completed_at_the_other(acme, gateway, second):
    issued = issue(acme, gateway, "acme", "both")
    second.use("both", issued["access_key_id"], issued["secret_access_key"])
    here, there = gateway.client("both"), second.client("both")
    eventually(lambda: refusal(there.list_buckets) is None, "the credential at the other gateway")
    where = {"Bucket": "docs", "Key": "split"}
    upload_id = here.create_multipart_upload(**where)["UploadId"]
    parts = []
    for number, (client, size) in enumerate(((here, 5 * MIB), (there, 77)), 1):
        etag = client.upload_part(UploadId=upload_id, PartNumber=number, Body=body(size), **where)["ETag"]
        parts.append({"PartNumber": number, "ETag": etag})
    there.complete_multipart_upload(UploadId=upload_id, MultipartUpload={"Parts": parts}, **where)
    assert here.get_object(**where)["Body"].read() == body(5 * MIB) + body(77)


def test_key_rotated_at_one_gateway_opens_at_the_other(acme, gateway, second):
    issued = issue(acme, second, "acme", "both")
    gateway.use("both", issued["access_key_id"], issued["secret_access_key"])
    eventually(lambda: refusal(gateway.client("both").list_buckets) is None, "the credential at the other gateway")
    acme.json("key", "rotate", "acme", gateway=second)
    second.client("both").put_object(Bucket="docs", Key="rotated", Body=b"under the new key")
    assert gateway.client("both").get_object(Bucket="docs", Key="rotated")["Body"].read() == b"under the new key"


def test_credential_revoked_at_one_gateway_is_refused_at_the_other(acme, gateway, second):
    issued = issue(acme, gateway, "acme", "revoked")
    second.use("revoked", issued["access_key_id"], issued["secret_access_key"])
    client = second.client("revoked")
    eventually(lambda: refusal(client.list_buckets) is None, "the credential at the other gateway")
    acme.json("credential", "revoke", "acme", issued["access_key_id"], gateway=gateway)
    eventually(lambda: refusal(client.list_buckets) == "InvalidAccessKeyId", "the refusal at the other gateway")


def test_grant_changed_at_one_gateway_holds_at_the_other_when_the_command_returns(acme, gateway, second):
    issued = issue(acme, gateway, "acme", "narrowed")
    key_id = issued["access_key_id"]
    for one in (gateway, second):
        one.use("narrowed", key_id, issued["secret_access_key"])
    gateway.client("acme").put_object(Bucket="docs", Key="narrowed/object", Body=b"x")
    where = {"Bucket": "docs", "Key": "narrowed/object"}
    here, there = gateway.client("narrowed"), second.client("narrowed")
    eventually(lambda: refusal(there.list_buckets) is None, "the credential at the other gateway")
    for client in (here, there):
        assert refusal(lambda client=client: client.get_object(**where)) is None
    for flags, expected in (
        (("--allow", "list"), "AccessDenied"),
        (("--allow", "read", "--scope", "docs:narrowed/"), None),
        (("--scope", "docs:other/"), "AccessDenied"),
        (("--scope", "*"), None),
    ):
        changed = acme.json("credential", "update", "acme", key_id, *flags, gateway=gateway)
        assert changed["gateways"]["acknowledged"] >= 2
        for client in (here, there):
            assert refusal(lambda client=client: client.get_object(**where)) == expected, flags
    acme.json("credential", "revoke", "acme", key_id, gateway=gateway)
    for client in (here, there):
        assert refusal(lambda client=client: client.get_object(**where)) == "InvalidAccessKeyId"
    acme.refused("credential", "update", "acme", key_id, "--allow", "read", gateway=gateway, code=2)


def test_gateway_killed_leaves_the_other_serving(acme, gateway, second):
    issued = issue(acme, second, "acme", "survivor")
    gateway.child.kill()
    second.use("survivor", issued["access_key_id"], issued["secret_access_key"])
    s3 = second.client("survivor")
    s3.put_object(Bucket="docs", Key="survived", Body=b"x")
    assert s3.get_object(Bucket="docs", Key="o1000")["Body"].read() == body(1000)
    gateway.start()
    assert gateway.client("acme").get_object(Bucket="docs", Key="survived")["Body"].read() == b"x"


# Stopping. These restart the gateway that all tests above use, so they stay below them.


def test_sigterm_finishes_a_running_upload_and_accepts_nothing_new(acme, gateway):
    data = body(12 * MIB, "drain")
    headers = {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD", "Content-Length": str(len(data))}
    request_target, signed = sign(gateway, "PUT", path_of("docs", "drained"), headers=headers, body=data)
    connection = connect(gateway, timeout=60)
    connection.putrequest("PUT", request_target, skip_accept_encoding=True)
    for name, value in signed.items():
        connection.putheader(name, value)
    connection.endheaders()
    connection.send(data[: len(data) // 2])
    gateway.child.popen.send_signal(signal.SIGTERM)
    eventually(lambda: "draining" in gateway.log(), "that it drains")
    eventually(lambda: not accepts(gateway), "that it accepts nothing new")
    connection.send(data[len(data) // 2 :])
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200
    connection.close()
    assert gateway.child.popen.wait(timeout=30) == 0
    gateway.start()
    assert gateway.client("acme").get_object(Bucket="docs", Key="drained")["Body"].read() == data


def accepts(gateway) -> bool:
    try:
        connect(gateway, timeout=5).connect()
    except OSError:
        return False
    return True


def test_sigterm_does_not_wait_for_ever_for_a_client_that_stops_sending(acme, gateway):
    slow = acme.changed("impatient.toml", ("drain_deadline_s = 20", "drain_deadline_s = 1"))
    gateway.child.stop()
    gateway.file = slow
    gateway.start()
    headers = {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD", "Content-Length": str(4 * MIB)}
    request_target, signed = sign(gateway, "PUT", path_of("docs", "stalled"), headers=headers, body=b"")
    connection = connect(gateway)
    connection.putrequest("PUT", request_target, skip_accept_encoding=True)
    for name, value in (signed | {"Content-Length": str(4 * MIB)}).items():
        connection.putheader(name, value)
    connection.endheaders()
    connection.send(body(MIB))
    time.sleep(0.5)
    gateway.child.popen.send_signal(signal.SIGTERM)
    gateway.child.popen.wait(timeout=20)
    connection.close()
    gateway.file = acme.file
    gateway.start()
    assert refusal(lambda: gateway.client("acme").head_object(Bucket="docs", Key="stalled")) == "404"


def test_key_store_away_a_gateway_goes_on_and_then_recovers(acme, gateway):
    if not acme.servers:
        pytest.skip("a file does not go away")
    s3, key_store = gateway.client("acme"), acme.servers[1]
    s3.put_object(Bucket="docs", Key="before", Body=b"before")
    key_store.pause()
    assert s3.get_object(Bucket="docs", Key="before")["Body"].read() == b"before", "within the lease"
    said = acme.refused("serve", "--config", str(acme.changed(
        "third.toml", *((f'"127.0.0.1:{port}"', f'"127.0.0.1:{free_port()}"') for port in acme.ports))), code=2)  # fmt: skip
    assert "key store" in said
    eventually(lambda: refusal(lambda: s3.get_object(Bucket="docs", Key="before")) is not None, "the lease's end", 60)
    assert gateway.get("/readyz", None)[0] == 503
    key_store.start()
    eventually(lambda: refusal(lambda: s3.get_object(Bucket="docs", Key="before")) is None, "its recovery", 60)
    assert gateway.get("/readyz", None)[0] == 200
