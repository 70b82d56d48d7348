"""TLS, and what a listener answers to what is no TLS or no S3."""

import socket
import ssl

import pytest

from testbed.signed import call, path_of, presign

pytestmark = pytest.mark.lethe_only("TLS of the gateway's own")


def handshake(target, version: ssl.TLSVersion) -> str:
    """Handshakes with one version alone; OpenSSL's own floor is lifted so that the refusal is the gateway's."""
    context = ssl.create_default_context(cafile=str(target.ca))
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with socket.create_connection(target.address, timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname=target.address[0]) as tls:
            return tls.version()


@pytest.mark.parametrize("version", (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3))
def test_tls_of_today_is_spoken(target, version):
    context = ssl.create_default_context(cafile=str(target.ca))
    context.minimum_version = context.maximum_version = version
    with socket.create_connection(target.address, timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname=target.address[0]) as tls:
            assert tls.version() == version.name.replace("_", ".")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("version", (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1))
def test_tls_below_1_2_is_refused(target, version):
    with pytest.raises((ssl.SSLError, ConnectionError)) as raised:
        handshake(target, version)
    assert "NO_PROTOCOLS_AVAILABLE" not in str(raised.value), "this client could not even ask"


def test_tls_of_another_ca_is_not_trusted(target):
    context = ssl.create_default_context()
    with socket.create_connection(target.address, timeout=10) as plain:
        with pytest.raises(ssl.SSLCertVerificationError):
            context.wrap_socket(plain, server_hostname=target.address[0])


def test_plain_http_on_the_tls_port_is_refused(target, s3, bucket):
    s3.put_object(Bucket=bucket, Key="object", Body=b"plain secret")
    url = presign(target, "GET", path_of(bucket, "object"))
    with socket.create_connection(target.address, timeout=10) as plain:
        plain.sendall(f"GET {url} HTTP/1.1\r\nHost: {target.endpoint}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        try:
            while chunk := plain.recv(65536):
                answer += chunk
        except ConnectionError:
            pass
    assert b"plain secret" not in answer
    assert not answer.startswith(b"HTTP/1.1 2") and b"<Error>" not in answer


def test_silent_connection_does_not_stop_others(target, bucket):
    idle = [socket.create_connection(target.address, timeout=10) for _ in range(50)]
    try:
        assert call(target, "GET", bucket).status == 200
    finally:
        for connection in idle:
            connection.close()


def test_header_flood_is_refused_and_the_next_request_served(target, bucket):
    context = ssl.create_default_context(cafile=str(target.ca))
    with socket.create_connection(target.address, timeout=20) as plain:
        with context.wrap_socket(plain, server_hostname=target.address[0]) as tls:
            answer = b""
            try:
                tls.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
                for number in range(4096):
                    tls.sendall(b"x-filler-%d: %s\r\n" % (number, b"f" * 1000))
                tls.sendall(b"\r\n")
                answer = tls.recv(4096)
            except (ConnectionError, ssl.SSLError):
                pass
    assert not answer.startswith(b"HTTP/1.1 2")
    assert call(target, "GET", bucket).status == 200


@pytest.mark.lethe_only("SeaweedFS keeps the connection")
def test_empty_put_that_expects_to_continue_ends_its_connection(target, bucket):
    """botocore before 2023 misreads the next answer on a connection on which it waited for a 100 in vain."""
    expecting = {"Expect": "100-continue"}
    answer = call(target, "PUT", bucket, "empty", headers=expecting)
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert "connection" not in call(target, "PUT", bucket, "full", headers=expecting, body=b"x").headers
    assert "connection" not in call(target, "PUT", bucket, "empty").headers
