"""A TLS connection to which a test writes any bytes, and which reads answers one by one."""

import functools
import socket
import ssl
from dataclasses import dataclass
from xml.etree import ElementTree

from .target import Target


@dataclass(frozen=True)
class Reply:
    """One answer as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str | None:
        """The S3 error code of its document."""
        try:
            return ElementTree.fromstring(self.body).findtext("Code")
        except ElementTree.ParseError:
            return None

    @property
    def closes(self) -> bool:
        return self.headers.get("connection", "").lower() == "close"


@functools.cache
def context(ca: str, protocols: tuple[str, ...] = ()) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=ca)
    if protocols:
        made.set_alpn_protocols(list(protocols))
    return made


class Wire:
    """One connection. `received` is all that came over it."""

    def __init__(self, target: Target, timeout: float = 10, protocols: tuple[str, ...] = ()):
        plain = socket.create_connection(target.address, timeout=timeout)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.tls = context(str(target.ca), protocols).wrap_socket(plain, server_hostname=target.address[0])
        except BaseException:
            plain.close()
            raise
        self.received = bytearray()
        self._taken = 0

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_):
        self.tls.close()

    def send(self, data: bytes) -> bool:
        """Whether all of it was taken: a server that has answered may close before."""
        try:
            self.tls.sendall(data)
        except (ConnectionError, ssl.SSLError):
            return False
        return True

    def _more(self) -> bool:
        try:
            piece = self.tls.recv(65536)
        except (ConnectionError, ssl.SSLEOFError):
            piece = b""
        self.received += piece
        return bool(piece)

    def _line(self) -> bytes | None:
        while (end := self.received.find(b"\r\n", self._taken)) < 0:
            if not self._more():
                return None
        line = bytes(self.received[self._taken : end])
        self._taken = end + 2
        return line

    def _bytes(self, length: int) -> bytes:
        while len(self.received) < self._taken + length and self._more():
            pass
        taken = bytes(self.received[self._taken : self._taken + length])
        self._taken += len(taken)
        return taken

    def reply(self, is_head: bool = False) -> Reply | None:
        """The next answer, but for `100 Continue`; None at the connection's end."""
        line = self._line()
        if line is None:
            return None
        version, status = line.split(b" ", 2)[:2]
        assert version in (b"HTTP/1.1", b"HTTP/1.0"), line
        headers: dict[str, str] = {}
        while line := self._line():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        if int(status) == 100:
            return self.reply(is_head)
        body = b""
        if is_head or int(status) in (204, 304):
            pass
        elif headers.get("transfer-encoding") == "chunked":
            while size := int(self._line() or b"0", 16):
                body += self._bytes(size)
                self._line()
            self._line()
        elif "content-length" in headers:
            body = self._bytes(int(headers["content-length"]))
        else:
            while self._more():
                pass
            body = self._bytes(len(self.received))
        return Reply(int(status), headers, body)

    def ended(self) -> bool:
        """Whether the connection ends with nothing more on it; waits as long as its timeout."""
        try:
            return not self._more() and self._taken >= len(self.received)
        except TimeoutError:
            return False
