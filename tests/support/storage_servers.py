"""Servers that object storage of the clouds is tried against: each a process on a port of its own.

S3 is moto (a wheel), Azure Blob Storage is Azurite (npm). Of Google Cloud Storage there is no emulator that
speaks its XML interface, which obstore uses: `support.cloud_storage` stands for it, and serves moto as well.
What Weir is told of them it is told as of the clouds: a URL, and the environment.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from pathlib import Path
from typing import ClassVar

from support.http2 import NODE
from support.ports import free_ports

TOOLS = Path(__file__).parents[2] / ".tools"
START_TIMEOUT_S = 60.0
BUCKET = "weir-objects"
# Azurite's own account, the same everywhere.
AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
AZURE_VERSION = "2023-11-03"


@dataclass(slots=True, kw_only=True)
class StorageServer:
    """One server; make it with `running_storage`."""

    folder: Path
    scheme: ClassVar[str] = ""
    port: int = field(default_factory=lambda: free_ports(1)[0])
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What `WEIR_STORAGE_URL` is set to."""
        return f"{self.scheme}://{BUCKET}/some/folder"

    def argv(self) -> list[str]:
        """How the server is started."""
        raise NotImplementedError

    def environment(self, port: int) -> Mapping[str, str]:
        """Tell a service who it is and where the server is, as the cloud's own tools would be told."""
        raise NotImplementedError

    def create_bucket(self) -> None:
        raise NotImplementedError

    def start(self) -> None:
        """Start the server, and wait until its bucket is there."""
        with (self.folder / f"{self.scheme}.log").open("ab") as log:
            self._process = subprocess.Popen(self.argv(), stdout=log, stderr=log, cwd=self.folder)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._listens():
            log_text = (self.folder / f"{self.scheme}.log").read_text()
            assert self._process.poll() is None, f"the {self.scheme} server has ended:\n{log_text}"
            assert time.monotonic() < deadline, f"the {self.scheme} server did not start:\n{log_text}"
            time.sleep(0.05)
        self.create_bucket()

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Stop answering without closing a connection; `thaw` goes on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _ask(self, path: str, *, method: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", body, dict(headers), method=method
        )
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            return bytes(response.read())


class S3Server(StorageServer):
    """moto: S3 in memory, with conditional writes."""

    scheme = "s3"

    def argv(self) -> list[str]:
        return [sys.executable, str(Path(__file__).with_name("cloud_storage.py")), "s3", str(self.port)]

    def environment(self, port: int) -> Mapping[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": "tester",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        }

    def create_bucket(self) -> None:
        self._ask(f"/{BUCKET}", method="PUT", headers={})

    def read(self, key: str) -> bytes:
        """Read an object past everything; FileNotFoundError if there is none."""
        path = f"/{self.url.removeprefix('s3://')}/{key}"
        try:
            return self._ask(path, method="GET", headers={"authorization": "AWS tester:any"})
        except urllib.error.HTTPError as error:
            if error.code != HTTPStatus.NOT_FOUND:
                raise
            raise FileNotFoundError(key) from error

    def unfinished_uploads(self) -> str:
        """List the multipart uploads that were neither completed nor given up."""
        return self._ask(f"/{BUCKET}?uploads", method="GET", headers={}).decode()


class AzureServer(StorageServer):
    """Azurite: Azure Blob Storage in memory."""

    scheme = "az"

    def argv(self) -> list[str]:
        main = TOOLS / "azurite/node_modules/azurite/dist/src/blob/main.js"
        assert main.exists(), "there is no Azurite: `make .tools/azurite/.installed` installs it"
        listen = ("--blobHost", "127.0.0.1", "--blobPort", str(self.port))
        quiet = ("--inMemoryPersistence", "--silent", "--disableTelemetry", "--skipApiVersionCheck")
        return [str(NODE), str(main), *listen, *quiet]

    def environment(self, port: int) -> Mapping[str, str]:
        return {
            "AZURE_STORAGE_ACCOUNT_NAME": AZURE_ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": AZURE_KEY,
            "AZURE_STORAGE_ENDPOINT": f"http://127.0.0.1:{port}/{AZURE_ACCOUNT}",
        }

    def create_bucket(self) -> None:
        date = formatdate(usegmt=True)
        signed = f"x-ms-date:{date}\nx-ms-version:{AZURE_VERSION}\n/{AZURE_ACCOUNT}/{AZURE_ACCOUNT}/{BUCKET}"
        # The twelve headers that a signature may cover; the type is what urllib adds by itself.
        covered = ["PUT", "", "", "", "", "application/x-www-form-urlencoded", *[""] * 6]
        text = "\n".join([*covered, f"{signed}\nrestype:container"])
        digest = hmac.new(base64.b64decode(AZURE_KEY), text.encode(), hashlib.sha256).digest()
        headers = {
            "x-ms-date": date,
            "x-ms-version": AZURE_VERSION,
            "authorization": f"SharedKey {AZURE_ACCOUNT}:{base64.b64encode(digest).decode()}",
        }
        self._ask(f"/{AZURE_ACCOUNT}/{BUCKET}?restype=container", method="PUT", headers=headers)


class GoogleServer(StorageServer):
    """See `support.cloud_storage`."""

    scheme = "gs"

    def argv(self) -> list[str]:
        return [sys.executable, str(Path(__file__).with_name("cloud_storage.py")), "gs", str(self.port)]

    def environment(self, port: int) -> Mapping[str, str]:
        account = {
            "gcs_base_url": f"http://127.0.0.1:{port}",
            "disable_oauth": True,
            "client_email": "",
            "private_key": "",
            "private_key_id": "",
        }
        return {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(account)}

    def create_bucket(self) -> None:
        self._ask(f"/{BUCKET}", method="PUT", headers={})


SERVERS: Mapping[str, type[StorageServer]] = {"s3": S3Server, "az": AzureServer, "gs": GoogleServer}


@contextmanager
def running_storage(scheme: str, folder: Path) -> Iterator[StorageServer]:
    """Run the server of a scheme for as long as the block lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    server = SERVERS[scheme](folder=folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextmanager
def told(variables: Mapping[str, str]) -> Iterator[None]:
    """Have variables in this process's environment for the time of a block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
