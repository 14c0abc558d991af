"""A real nats-server with JetStream, on a port of its own; to be killed and started again at will."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NATS_SERVER = Path(sys.executable).parent / "nats-server"
START_TIMEOUT_S = 10.0


class NatsServer:
    """One server process over one folder: what was stored outlives the process, and so does the port."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._folder = folder
        self._arguments = arguments
        self._port = -1  # the server takes a free one, and keeps it over restarts
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start the process and wait until it answers."""
        argv = [str(NATS_SERVER), "--jetstream", "--addr", "127.0.0.1", "--port", str(self._port)]
        argv += ["--store_dir", str(self._folder / "store"), "--log", str(self._folder / "nats.log")]
        argv += ["--ports_file_dir", str(self._folder), *self._arguments]
        self._process = subprocess.Popen(argv)
        self._port = self._wait_for_port(self._folder / f"nats-server_{self._process.pid}.ports")

    def kill(self) -> None:
        """Kill with SIGKILL: nothing is flushed, nobody is told."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Stop as an operator would."""
        self._end(signal.SIGTERM)

    def reload(self) -> None:
        """Let it read its configuration, and the files that this names, again."""
        self._running().send_signal(signal.SIGHUP)

    def freeze(self) -> None:
        """Stop answering without closing a connection; `thaw` goes on."""
        self._running().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._running().send_signal(signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()
            self._process = None

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the server is not running"
        return self._process

    def _wait_for_port(self, ports_file: Path) -> int:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self._running().poll() is None:
            try:
                urls = json.loads(ports_file.read_text())["nats"]
                return int(urls[0].rsplit(":", 1)[1])
            except (FileNotFoundError, json.JSONDecodeError):
                time.sleep(0.01)
        log = (self._folder / "nats.log").read_text()
        raise RuntimeError(f"nats-server did not start; its log:\n{log}")


@contextmanager
def running_nats(folder: Path, *arguments: str) -> Iterator[NatsServer]:
    """Run a server over `folder`, with more arguments if given, for as long as the block lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    server = NatsServer(folder, *arguments)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    """A fresh, empty server for one test."""
    with running_nats(tmp_path / "nats") as server:
        yield server
