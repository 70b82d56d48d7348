"""What the abuse tests share: a victim that must stay unchanged and unread, and an attacker whose every byte is looked at."""

import secrets

from .sigv4 import UNSIGNED, Headers, Signer
from .target import Target
from .wire import Reply, Wire


class Victim:
    """Objects with one secret: of another tenant, and of the attacker's own but for another purpose."""

    def __init__(self, target: Target):
        self.target = target
        self.secret = secrets.token_hex(16).encode()
        self.buckets = {tenant: f"victim-{secrets.token_hex(6)}" for tenant in ("acme", "globex")}
        self.etags = {}
        for tenant, bucket in self.buckets.items():
            s3 = target.client(tenant)
            s3.create_bucket(Bucket=bucket)
            self.etags[tenant] = s3.put_object(Bucket=bucket, Key="victim", Body=self.secret)["ETag"]

    @property
    def bucket(self) -> str:
        """The bucket of the attacker's own tenant."""
        return self.buckets["acme"]

    def assert_unharmed(self) -> None:
        """The object is what it was, and alone."""
        for tenant, bucket in self.buckets.items():
            s3 = self.target.client(tenant)
            found = s3.get_object(Bucket=bucket, Key="victim")
            assert (found["ETag"], found["Body"].read()) == (self.etags[tenant], self.secret), tenant
            listed = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
            assert [entry["Key"] for entry in listed] == ["victim"], tenant
            assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket), tenant

    def remove(self) -> None:
        for tenant, bucket in self.buckets.items():
            s3 = self.target.client(tenant)
            s3.delete_object(Bucket=bucket, Key="victim")
            s3.delete_bucket(Bucket=bucket)


def raw(method: str, request_target: str, headers: Headers, body: bytes = b"", version: str = "HTTP/1.1") -> bytes:
    """A request as it goes over the wire: headers as given and no others."""
    lines = [f"{method} {request_target} {version}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body


class Attack:
    """A tenant's client without manners. What it was answered is searched for the victim's secret when the test is over."""

    def __init__(self, target: Target, victim: Victim):
        self.target, self.victim = target, victim
        self.signer = Signer.of(target)
        self.bucket = victim.bucket
        self._wires: list[Wire] = []

    def connect(self, timeout: float = 10) -> Wire:
        wire = Wire(self.target, timeout)
        self._wires.append(wire)
        return wire

    def request(self, method: str, path: str, query: str = "", headers: Headers = (), body: bytes | None = None,
                payload: str = UNSIGNED, signer: Signer | None = None, unsigned: Headers = (), names: list[str] | None = None,
                date: str | None = None) -> bytes:  # fmt: skip
        """A request rightly signed, and then `unsigned` headers."""
        signed = (signer or self.signer).headers(method, path, query, list(headers), payload, date, names)
        length = [] if body is None else [("Content-Length", str(len(body)))]
        return raw(method, f"{path}?{query}" if query else path, [*signed, *length, *unsigned], body or b"")

    def probe(self) -> bytes:
        """A request that any connection answers with 200 and this bucket's location."""
        return self.request("GET", f"/{self.bucket}", "location")

    def reply(self, data: bytes, is_head: bool = False) -> Reply:
        """The one answer to these bytes on a connection of their own."""
        with self.connect() as wire:
            wire.send(data)
            reply = wire.reply(is_head)
            assert reply, "no answer"
            return reply

    def refused(self, data: bytes, status: int, code: str | None, closes: bool | None = None) -> Reply:
        """Sends bytes that must have exactly one answer, this error, after which the connection closes or serves on as the
        answer says."""
        with self.connect() as wire:
            wire.send(data)
            reply = wire.reply()
            assert reply, "no answer"
            assert (reply.status, reply.code) == (status, code), reply
            assert code is None or reply.headers["x-amz-request-id"], reply
            assert closes is None or reply.closes == closes, reply
            self._assert_nothing_behind(wire, reply)
            return reply

    def _assert_nothing_behind(self, wire: Wire, reply: Reply) -> None:
        if reply.closes:
            assert wire.ended(), f"more than one answer: {bytes(wire.received)!r}"
            return
        assert wire.send(self.probe()), "an open connection takes the next request"
        following = wire.reply()
        assert following and following.status == 200 and b"LocationConstraint" in following.body, (reply, following)

    def assert_harmless(self) -> None:
        """Nobody was read or changed, and the next client is served."""
        for wire in self._wires:
            assert self.victim.secret not in wire.received, "the victim was read"
        self.victim.assert_unharmed()
