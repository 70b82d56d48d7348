"""Signature Version 4 with every part of it changeable: what an SDK would never send has to be signed rightly, too."""

import datetime
import hashlib
import hmac
from dataclasses import dataclass, replace
from urllib.parse import quote, unquote_to_bytes

from .target import Target

ALGORITHM = "AWS4-HMAC-SHA256"
NOTHING = hashlib.sha256(b"").hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"

Headers = list[tuple[str, str]]


def encoded(text: str | bytes) -> str:
    return quote(text, safe="-_.~")


def canonical_path(path: str) -> str:
    """Decoded once and encoded in the one way that the signature knows; nothing else is normalised."""
    return quote(unquote_to_bytes(path), safe="/-_.~")


def canonical_query(query: str) -> str:
    """A raw query sorted by name, then value, as the signature has it."""
    pairs = [parameter.partition("=")[::2] for parameter in query.split("&") if parameter]
    pairs = [(encoded(unquote_to_bytes(name)), encoded(unquote_to_bytes(value))) for name, value in pairs]
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


@dataclass(frozen=True)
class Signer:
    """Signs as one credential; `replace` makes one that claims something else."""

    access_key_id: str
    secret: str
    region: str
    host: str
    late_s: float = 0
    service: str = "s3"
    scope_date: str | None = None

    @classmethod
    def of(cls, target: Target, tenant: str = "acme") -> "Signer":
        who = target.tenants[tenant]
        return cls(who.access_key_id, who.secret_access_key, who.region, "{}:{}".format(*target.address))

    def but(self, **changes) -> "Signer":
        return replace(self, **changes)

    @property
    def date(self) -> str:
        at = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=self.late_s)
        return at.strftime("%Y%m%dT%H%M%SZ")

    def scope(self, date: str) -> str:
        return f"{self.scope_date or date[:8]}/{self.region}/{self.service}/aws4_request"

    def mac(self, date: str, text: str) -> str:
        key = b"AWS4" + self.secret.encode()
        for part in self.scope(date).split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        return hmac.digest(key, text.encode(), "sha256").hex()

    def signature(self, method: str, path: str, query: str, headers: Headers, names: list[str], payload: str, date: str) -> str:
        values = {name: ",".join(v.strip() for n, v in headers if n.lower() == name) for name in names}
        canonical = "\n".join(
            [method, canonical_path(path), canonical_query(query), *(f"{n}:{values[n]}" for n in names), "", ";".join(names), payload]
        )
        digest = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
        return self.mac(date, "\n".join([ALGORITHM, date, self.scope(date), digest]))

    def headers(self, method: str, path: str, query: str = "", headers: Headers = (), payload: str = UNSIGNED,
                date: str | None = None, names: list[str] | None = None) -> Headers:  # fmt: skip
        """The request's headers and those that sign it: Host, the date, the payload's hash and the authorization."""
        date = date or self.date
        given = {name.lower() for name, _ in headers}
        own = [("Host", self.host), ("x-amz-date", date), ("x-amz-content-sha256", payload)]
        every = [(n, v) for n, v in own if n.lower() not in given] + list(headers)
        names = names or sorted({n.lower() for n, _ in every if n.lower().startswith("x-amz-") or n.lower() == "host"})
        signature = self.signature(method, path, query, every, names, payload, date)
        claim = f"Credential={self.access_key_id}/{self.scope(date)}, SignedHeaders={';'.join(names)}, Signature={signature}"
        return [*every, ("Authorization", f"{ALGORITHM} {claim}")]

    def presigned(self, method: str, path: str, expires: str = "300", query: str = "", headers: Headers = (),
                  payload: str = UNSIGNED, date: str | None = None) -> str:  # fmt: skip
        """The query of a presigned URL; `headers` beside Host are covered, too."""
        date = date or self.date
        every = [("host", self.host), *headers]
        names = sorted(n.lower() for n, _ in every)
        own = {
            "X-Amz-Algorithm": ALGORITHM, "X-Amz-Credential": f"{self.access_key_id}/{self.scope(date)}",
            "X-Amz-Date": date, "X-Amz-Expires": expires, "X-Amz-SignedHeaders": ";".join(names),
        }  # fmt: skip
        query = "&".join([*filter(None, [query]), *(f"{n}={encoded(v)}" for n, v in own.items())])
        return query + "&X-Amz-Signature=" + self.signature(method, path, query, every, names, payload, date)

    def chunk_signature(self, date: str, previous: str, data: bytes) -> str:
        parts = [f"{ALGORITHM}-PAYLOAD", date, self.scope(date), previous, NOTHING, hashlib.sha256(data).hexdigest()]
        return self.mac(date, "\n".join(parts))

    def trailer_signature(self, date: str, previous: str, trailer: bytes) -> str:
        parts = [f"{ALGORITHM}-TRAILER", date, self.scope(date), previous, hashlib.sha256(trailer).hexdigest()]
        return self.mac(date, "\n".join(parts))


def signature_of(headers: Headers) -> str:
    """The signature in an authorization header: the seed of signed chunks."""
    return dict(headers)["Authorization"].rpartition("=")[2]
