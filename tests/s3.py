"""A real S3 server (SeaweedFS) on loopback, on free ports, ended by its pid."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

USER, SECRET = "trainer", "not-a-secret-of-anybody"
BUCKET = "models"


@dataclass(frozen=True)
class Bucket:
    endpoint: str
    url: str = f"s3://{BUCKET}/retuned"
    env: tuple[tuple[str, str], ...] = (
        ("AWS_ACCESS_KEY_ID", USER),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_REGION", "us-east-1"),
    )


def free_ports(n: int) -> list[int]:
    with ExitStack() as stack:
        found = [stack.enter_context(closing(socket.socket())) for _ in range(n)]
        for one in found:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in found]


@contextmanager
def bucket(folder: Path) -> Iterator[Bucket]:
    """The server with one bucket and one user; the caller puts `env` into the environment."""
    folder.mkdir(parents=True)
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    users = [{"name": USER, "credentials": [{"accessKey": USER, "secretKey": SECRET}], "actions": actions}]
    (folder / "s3.json").write_text(json.dumps({"identities": users}))
    names = ("master", "volume", "filer", "s3")
    ports = free_ports(2 * len(names))
    options = [f"-{name}.port={port}" for name, port in zip(names, ports, strict=False)]
    options += [f"-{name}.port.grpc={port}" for name, port in zip(names, ports[len(names) :], strict=True)]
    command = [str(Path(sys.executable).with_name("weed")), "server", "-s3", f"-s3.config={folder / 's3.json'}", f"-dir={folder}"]
    command += ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-volume.max=20", "-master.volumeSizeLimitMB=16", "-s3.iam=false"]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0", *options]
    with (folder / "weed.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        found = Bucket(endpoint=f"http://127.0.0.1:{ports[3]}")
        _make_bucket(found, process, folder / "weed.log")
        yield found
    finally:
        process.kill()  # it does not heed SIGTERM for long
        process.wait(timeout=10)


def _make_bucket(of: Bucket, process: subprocess.Popen[bytes], log: Path) -> None:
    """In a process of its own: credentials come from its environment."""
    code = (
        "import sys; from pyarrow.fs import S3FileSystem as S; "
        "fs = S(endpoint_override=sys.argv[1], scheme='http', allow_bucket_creation=True, connect_timeout=2, request_timeout=5); "
        "fs.create_dir(sys.argv[2]); out = fs.open_output_stream(sys.argv[2] + '/first'); out.write(b'1'); out.close()"
    )
    deadline = time.monotonic() + 60.0
    while True:
        assert process.poll() is None, log.read_text()[-3000:]
        made = subprocess.run(
            [sys.executable, "-c", code, of.endpoint.removeprefix("http://"), BUCKET],
            env={**os.environ, **dict(of.env)},
            capture_output=True,
            check=False,
            timeout=60,
        )
        if made.returncode == 0:
            return
        assert time.monotonic() < deadline, made.stderr.decode()[-1000:] + log.read_text()[-3000:]
        time.sleep(0.3)  # between two looks
