"""Requests signed by hand and sent as they are: for what boto3 would refuse, mend or normalise first."""

import http.client
import ssl
from dataclasses import dataclass
from urllib.parse import quote
from xml.etree import ElementTree

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from .target import Target


@dataclass(frozen=True)
class Answer:
    """A whole answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def error(self) -> tuple[str | None, str | None]:
        """The S3 code and message of an error's XML."""
        try:
            root = ElementTree.fromstring(self.body)
        except ElementTree.ParseError:
            return None, None
        return root.findtext("Code"), root.findtext("Message")


class _Auth(S3SigV4Auth):
    """Signs the payload hash that the request already names."""

    def _should_sha256_sign_payload(self, request):
        return True

    def payload(self, request):
        return request.headers.get("X-Amz-Content-SHA256") or super().payload(request)

    def _modify_request_before_signing(self, request):
        given = request.headers.get("X-Amz-Content-SHA256")
        super()._modify_request_before_signing(request)
        if given:
            del request.headers["X-Amz-Content-SHA256"]
            request.headers["X-Amz-Content-SHA256"] = given


def path_of(bucket: str | None = None, key: str | None = None) -> str:
    """The path-style path: every byte but unreserved ones and `/` percent-encoded, nothing normalised."""
    path = "/" + (bucket or "")
    return path if key is None else path + "/" + quote(key, safe="/-_.~")


def connect(target: Target, timeout: float = 30) -> http.client.HTTPConnection:
    host, port = target.address
    if target.ca:
        context = ssl.create_default_context(cafile=str(target.ca))
        return http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
    return http.client.HTTPConnection(host, port, timeout=timeout)


def sign(target: Target, method: str, path: str, query: dict[str, str] | None = None,
         headers: dict[str, str] | None = None, body: bytes = b"", tenant: str = "acme",
         region: str | None = None) -> tuple[str, dict[str, str]]:  # fmt: skip
    """The request target and headers of a request signed in its headers."""
    who = target.tenants[tenant]
    url = target.endpoint + path
    if query:
        url += "?" + "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in sorted(query.items()))
    request = AWSRequest(method=method, url=url, headers=headers or {}, data=body)
    _Auth(Credentials(who.access_key_id, who.secret_access_key), "s3", region or who.region).add_auth(request)
    return url.removeprefix(target.endpoint), dict(request.headers.items())


def presign(target: Target, method: str, path: str, expires_s: int = 300, tenant: str = "acme",
            headers: dict[str, str] | None = None, query: dict[str, str] | None = None) -> str:  # fmt: skip
    """The request target of a presigned URL."""
    who = target.tenants[tenant]
    request = AWSRequest(method=method, url=target.endpoint + path, headers=headers or {}, params=query or {})
    credentials = Credentials(who.access_key_id, who.secret_access_key)
    S3SigV4QueryAuth(credentials, "s3", who.region, expires=expires_s).add_auth(request)
    return request.url.removeprefix(target.endpoint)


def send(target: Target, method: str, request_target: str, headers: dict[str, str] | None = None,
         body: bytes = b"", connection: http.client.HTTPConnection | None = None) -> Answer:  # fmt: skip
    """Sends one request as given and reads the whole answer."""
    own = connection is None
    connection = connection or connect(target)
    try:
        connection.putrequest(method, request_target, skip_host=True, skip_accept_encoding=True)
        names = {name.lower() for name in headers or {}}
        host, port = target.address
        if "host" not in names:
            connection.putheader("Host", f"{host}:{port}")
        if "content-length" not in names and (body or method in ("PUT", "POST")):
            connection.putheader("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        connection.endheaders(body if body else None)
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        if own:
            connection.close()


def call(target: Target, method: str, bucket: str | None = None, key: str | None = None,
         query: dict[str, str] | None = None, headers: dict[str, str] | None = None, body: bytes = b"",
         tenant: str = "acme", connection: http.client.HTTPConnection | None = None) -> Answer:  # fmt: skip
    """Signs and sends one request."""
    request_target, signed = sign(target, method, path_of(bucket, key), query, headers, body, tenant)
    return send(target, method, request_target, signed, body, connection)
