"""Runs S3 clients as a person would, with nothing of the caller's environment."""

import subprocess
from pathlib import Path

COMMAND_SECONDS = 120
DEBIAN_AWS = "/usr/bin/aws"


class Commands:
    """Runs clients against a target with nothing of the caller's environment."""

    def __init__(self, target, home: Path):
        self.target, self.home = target, home
        self.env = target.environment(home)
        self.retries = []
        if target.kind != "direct":
            # One try each: a retry would hide an answer that should not have been.
            self.env["AWS_MAX_ATTEMPTS"] = "1"
            self.retries = ["--retry-count", "0"]

    def run(self, *argv: str, check: bool = True, env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
        done = subprocess.run(
            argv, env=self.env | (env or {}), cwd=self.home, stdin=subprocess.DEVNULL, capture_output=True,
            encoding="utf-8", errors="replace", timeout=COMMAND_SECONDS, check=False,
        )  # fmt: skip
        if check:
            assert done.returncode == 0, f"{argv}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done

    def aws(self, *argv: str, **options):
        return self.run("aws", "--endpoint-url", self.target.endpoint, *argv, **options)

    def s5cmd(self, *argv: str, **options):
        return self.run("s5cmd", *self.retries, "--endpoint-url", self.target.endpoint, *argv, **options)

    def rclone(self, *argv: str, **options):
        who = self.target.tenants["acme"]
        settings = {
            "TYPE": "s3", "PROVIDER": "Other", "ENDPOINT": self.target.endpoint, "REGION": who.region,
            "ACCESS_KEY_ID": who.access_key_id, "SECRET_ACCESS_KEY": who.secret_access_key, "FORCE_PATH_STYLE": "true",
        }  # fmt: skip
        env = {f"RCLONE_CONFIG_REMOTE_{name}": value for name, value in settings.items()}
        return self.run("rclone", "--config=", "--retries=1", "--low-level-retries=1", *argv, env=env, **options)

    def s3cmd(self, *argv: str, **options):
        who, address = self.target.tenants["acme"], "{}:{}".format(*self.target.address)
        tls = ["--ssl", "--ca-certs", str(self.target.ca)] if self.target.ca else ["--no-ssl"]
        return self.run(
            "s3cmd", "--config", "/dev/null", "--no-progress", *tls, "--host", address, "--host-bucket", address,
            "--region", who.region, "--access_key", who.access_key_id, "--secret_key", who.secret_access_key,
            *argv, **options,
        )  # fmt: skip

    def debian_aws(self, *argv: str, **options):
        """Debian's own AWS CLI v2, older than the checksums that clients send by default since 2025."""
        return self.run(DEBIAN_AWS, "--endpoint-url", self.target.endpoint, *argv, **options)

    def program(self, *argv: str, **options):
        """A program of `programs/`, given the endpoint and a bucket; its interpreter first."""
        *interpreter, bucket = argv
        env = {"NODE_EXTRA_CA_CERTS": str(self.target.ca)} if self.target.ca else {}
        return self.run(*interpreter, self.target.endpoint, bucket, env=env, **options)

    def restic(self, repository: str, *argv: str, **options):
        tls = ["--cacert", str(self.target.ca)] if self.target.ca else []
        env = {"RESTIC_PASSWORD": "restic's own", "RESTIC_CACHE_DIR": str(self.home / "cache")}
        url = f"s3:{self.target.endpoint}/{repository}"
        return self.run("restic", *tls, "--repo", url, *argv, env=env, **options)
