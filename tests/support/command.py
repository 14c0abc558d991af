"""`weir run` as its users start it: a process, its lines, and all that it leads to."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

WEIR = str(Path(sys.executable).parent / "weir")
DEADLINE_S = 60.0


class Run:
    """One `weir run`; make it with `running`."""

    def __init__(self, data: Path, port: int, settings: Mapping[str, str]) -> None:
        self.url = f"http://127.0.0.1:{port}"
        environment = {"WEIR_PORT": str(port), "WEIR_DATA": str(data), "WEIR_DEMO": "0", **settings}
        self.process = subprocess.Popen(
            [WEIR, "run"],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._errors: list[str] = []
        self._readers = [
            _start_reading(self.process.stdout, self._lines.put),
            _start_reading(self.process.stderr, self._errors.append),
        ]

    @property
    def errors(self) -> str:
        """What it has written to stderr."""
        return "".join(self._errors)

    def next_line(self, timeout_s: float = DEADLINE_S) -> str:
        """Return the next line of stdout."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            try:
                return self._lines.get(timeout=0.1).rstrip("\n")
            except queue.Empty:
                assert self.process.poll() is None, f"weir run has ended:\n{self.errors}"
        raise AssertionError(f"weir run printed nothing in {timeout_s:g} s:\n{self.errors}")

    def family(self) -> dict[int, str]:
        """Return the pid and command line of every process that it started, and those that they started."""
        parents = {pid: parent for pid in _pids() if (parent := _parent(pid))}
        found = {self.process.pid}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return {pid: _command(pid) for pid in found - {self.process.pid}}

    def end(self, number: signal.Signals) -> int:
        """Send a signal; return the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(DEADLINE_S)
        for reader in self._readers:
            reader.join(DEADLINE_S)
        return code

    def close(self) -> None:
        """Kill what is left, and let go of its pipes."""
        if self.process.poll() is None:
            self.end(signal.SIGKILL)
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()


@contextmanager
def running(data: Path, port: int, **settings: str) -> Iterator[Run]:
    """Run `weir run` for as long as the block lasts, without the sample unless WEIR_DEMO says otherwise."""
    run = Run(data, port, settings)
    try:
        yield run
    finally:
        run.close()


def survivors(pids: Mapping[int, str], *, within_s: float = 5.0) -> dict[int, str]:
    """Return those of `pids` that still live after `within_s` seconds; returns at once when none does."""
    deadline = time.monotonic() + within_s
    while left := {pid: command for pid, command in pids.items() if _command(pid) == command != ""}:
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    return left


def _start_reading(stream: IO[str] | None, take: object) -> threading.Thread:
    assert stream is not None
    assert callable(take)

    def read() -> None:
        for line in stream:
            take(line)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _parent(pid: int) -> int:
    """Return the pid of a process's parent; 0 when the process is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _command(pid: int) -> str:
    """Return a process's command line; empty when it is gone, or dead and not yet collected."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
