"""Clients that take their time: with heads, handshakes, bodies and answers. Others are served meanwhile.

The gateway here has its shortest deadlines for heads (2 s) and bodies (2 s), and few places. A handshake has 10 s, which nothing sets.
"""

import socket
import ssl
import threading
import time
from pathlib import Path

import pytest

from testbed.abuse import Attack, Victim
from testbed.target import Gateway
from testbed.wire import Wire

pytestmark = pytest.mark.lethe_only("deadlines of the gateway's own")

LIMITS = """\
[limits]
header_deadline_s = 2
body_idle_deadline_s = 2
peer_connections_max = 200
"""
# Twice a deadline of 2 s on a machine under load.
SOON_S = 12
MIB = 1 << 20


@pytest.fixture(scope="module")
def impatient(tmp_path_factory):
    gateway = Gateway(tmp_path_factory.mktemp("impatient"), "embedded", settings=LIMITS)
    yield gateway
    gateway.stop()


@pytest.fixture(scope="module")
def impatients_victim(impatient):
    return Victim(impatient)


@pytest.fixture
def slow(impatient, impatients_victim):
    """An attacker of the impatient gateway."""
    attacker = Attack(impatient, impatients_victim)
    yield attacker
    attacker.assert_harmless()


class Customer:
    """A well-behaved client that works all the while; none of its requests may fail or take long."""

    def __init__(self, attack: Attack):
        self.attack, self.slowest_s, self.served, self._stop = attack, 0.0, 0, threading.Event()
        self.failed: BaseException | None = None
        self._thread = threading.Thread(target=self._work)

    def _work(self):
        try:
            while not self._stop.wait(0.05):
                began = time.monotonic()
                assert self.attack.reply(self.attack.probe()).status == 200
                self.slowest_s, self.served = max(self.slowest_s, time.monotonic() - began), self.served + 1
        except BaseException as failed:
            self.failed = failed

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(30)
        if self.failed:
            raise self.failed
        assert self.served and self.slowest_s < 5, self.slowest_s


def seconds_until_ended(wire: Wire) -> float:
    began = time.monotonic()
    try:
        while wire._more():
            pass
    except ssl.SSLError:
        pass
    return time.monotonic() - began


def drip(wire: Wire, data: bytes, every_s: float, until: threading.Event) -> None:
    for at in range(len(data)):
        if until.wait(every_s) or not wire.send(data[at : at + 1]):
            return


def test_head_of_a_byte_at_a_time_is_given_up(slow):
    """Slowloris: 20 connections that each send a header byte now and then."""
    stop = threading.Event()
    with Customer(slow):
        wires = [slow.connect(timeout=SOON_S) for _ in range(20)]
        drips = [threading.Thread(target=drip, args=(wire, slow.probe(), 0.3, stop)) for wire in wires]
        for thread in drips:
            thread.start()
        began = time.monotonic()
        for wire in wires:
            seconds_until_ended(wire)
            assert not wire.received, "no answer to half a head"
        assert 1 < time.monotonic() - began < SOON_S
        stop.set()
        for thread in drips:
            thread.join()


def test_connection_that_says_nothing_is_given_up(slow):
    """And one that sends nothing but empty lines."""
    with slow.connect(timeout=SOON_S) as silent, slow.connect(timeout=SOON_S) as empty:
        empty.send(b"\r\n" * 3)
        for wire in (silent, empty):
            assert seconds_until_ended(wire) < SOON_S
            assert not wire.received


def test_body_that_stops_is_given_up_with_an_answer(slow):
    """A PUT whose body never comes, in plain and in chunks; nothing is stored."""
    form = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    chunked = [("x-amz-decoded-content-length", "100"), ("x-amz-trailer", "x-amz-checksum-crc32")]
    path = f"/{slow.bucket}/new"
    plain = slow.request("PUT", path, unsigned=[("Content-Length", "100")])
    chunks = slow.request("PUT", path, headers=chunked, payload=form, unsigned=[("Content-Length", "200")])
    with Customer(slow):
        for request in (plain + b"half", chunks + b"64\r\nhalf"):
            with slow.connect(timeout=SOON_S) as wire:
                wire.send(request)
                reply = wire.reply()
                assert (reply.status, reply.code) == (400, "RequestTimeout")
                assert reply.closes


def test_body_that_drips_within_its_deadline_is_taken(slow, impatient):
    """There is no least rate; the deadline counts from the last byte. Others are served meanwhile."""
    put = slow.request("PUT", f"/{slow.bucket}/dripped", unsigned=[("Content-Length", "5")])
    with Customer(slow), slow.connect(timeout=SOON_S) as wire:
        wire.send(put)
        drip(wire, b"hello", 0.6, threading.Event())
        assert wire.reply().status == 200
    impatient.client().delete_object(Bucket=slow.bucket, Key="dripped")


def test_document_that_stops_is_given_up(slow):
    with slow.connect(timeout=SOON_S) as wire:
        wire.send(slow.request("PUT", f"/{slow.bucket}/victim", "tagging", unsigned=[("Content-Length", "100")]) + b"<Tag")
        reply = wire.reply()
        assert (reply.status, reply.code) == (400, "RequestTimeout")


def test_answer_that_nobody_reads_is_given_up(slow, impatient):
    """A GET of 32 MiB whose client reads nothing: the deadline for writing ends it, and the memory that it holds is bounded."""
    s3, bucket = impatient.client(), "unread-answers"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="large", Body=b"x" * 32 * MIB)
    before = resident_bytes(impatient)
    readers = []
    with Customer(slow):
        for _ in range(10):
            plain = socket.create_connection(impatient.address, timeout=SOON_S)
            tls = ssl.create_default_context(cafile=str(impatient.ca)).wrap_socket(plain, server_hostname=impatient.address[0])
            tls.sendall(slow.request("GET", f"/{bucket}/large"))
            readers.append(tls)
        time.sleep(5)
        grown = resident_bytes(impatient) - before
        assert grown < 10 * 16 * MIB, f"{grown >> 20} MiB for ten answers that nobody reads"
        for tls in readers:
            taken = 0
            try:
                while piece := tls.recv(1 << 16):
                    taken += len(piece)
            except (ConnectionError, ssl.SSLError):
                pass
            assert taken < 32 * MIB, "the answer went on although nobody read it"
            tls.close()
    s3.delete_object(Bucket=bucket, Key="large")
    s3.delete_bucket(Bucket=bucket)


def resident_bytes(gateway: Gateway) -> int:
    fields = Path(f"/proc/{gateway.child.pid}/statm").read_text().split()
    return int(fields[1]) * 4096


def test_half_open_handshakes_do_not_keep_others_out(slow, impatient):
    """500 connections that send half a ClientHello: those that waited longest give way."""
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    half_open = []
    try:
        with Customer(slow):
            for _ in range(500):
                connection = socket.create_connection(impatient.address, timeout=SOON_S)
                connection.sendall(hello)
                half_open.append(connection)
            assert slow.reply(slow.probe()).status == 200
            given_up = sum(is_ended(connection) for connection in half_open)
            assert given_up >= 500 - 200 - 1, "more than their places"
    finally:
        for connection in half_open:
            connection.close()
    assert slow.reply(slow.probe()).status == 200


def is_ended(connection: socket.socket) -> bool:
    connection.settimeout(0)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def test_connections_that_come_and_go_leave_nothing(slow, impatient):
    """A thousand connections, each dropped at another point of its life."""
    with Customer(slow):
        request = slow.request("PUT", f"/{slow.bucket}/new", unsigned=[("Content-Length", "100")])
        for n in range(150):
            with slow.connect(timeout=SOON_S) as wire:
                wire.send(request[: n * len(request) // 150])
        for _ in range(850):
            socket.create_connection(impatient.address, timeout=SOON_S).close()
    deadline = time.monotonic() + SOON_S
    while (left := descriptors(impatient)) > 200 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left <= 200


def descriptors(gateway: Gateway) -> int:
    return len(list(Path(f"/proc/{gateway.child.pid}/fd").iterdir()))
