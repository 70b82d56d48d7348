"""A certificate authority for one test run, made by the `openssl` program."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
EXTENSIONS = "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n"


@dataclass(frozen=True)
class Pair:
    """A server's certificate and its key, both PEM."""

    cert: Path
    key: Path


def openssl(*argv: str) -> None:
    done = subprocess.run(["openssl", *argv], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


class Authority:
    """A CA in a directory of its own."""

    def __init__(self, directory: Path):
        directory.mkdir(parents=True, exist_ok=True)
        self.certificate, self._key = directory / "ca.pem", directory / "ca-key.pem"
        openssl("req", "-x509", *KEY, "-days", "2", "-subj", f"/CN=Test CA {directory.name}",
                "-keyout", str(self._key), "-out", str(self.certificate))  # fmt: skip

    def issue(self, directory: Path, name: str) -> Pair:
        """A new certificate for 127.0.0.1 under `directory`; the files of an earlier one of that name are replaced."""
        pair = Pair(directory / f"{name}.pem", directory / f"{name}-key.pem")
        request, extensions = directory / f"{name}-request.pem", directory / f"{name}-extensions"
        extensions.write_text(EXTENSIONS)
        openssl("req", *KEY, "-subj", f"/CN={name}", "-keyout", str(pair.key), "-out", str(request))
        openssl("x509", "-req", "-in", str(request), "-CA", str(self.certificate), "-CAkey", str(self._key), "-days", "2",
                "-extfile", str(extensions), "-out", str(pair.cert))  # fmt: skip
        return pair
