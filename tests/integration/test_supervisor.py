"""The supervisor over small programs: it restarts, waits, explains, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import weir_cli
from support.ports import free_ports
from weir_cli.address import Address
from weir_cli.logs import Journal
from weir_cli.plan import STOP_ORDER, Kind, Plan, Process
from weir_cli.supervisor import StartFailed, Supervisor

SLEEPS = "import time; print('up', flush=True); time.sleep(60)"
SERVES = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
IGNORES_SIGTERM = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(60)
"""
HAS_A_CHILD = """
import subprocess, time
print(subprocess.Popen(["sleep", "60"]).pid, flush=True)
time.sleep(60)
"""
NOTES_ITS_END = """
import signal, sys, time
def end(*_):
    with open(sys.argv[1], "a") as notes:
        print(sys.argv[2], file=notes)
    sys.exit()
signal.signal(signal.SIGTERM, end)
print("up", flush=True)
time.sleep(60)
"""


def _process(code: str, *arguments: str, kind: Kind = Kind.ABR, http_health: str | None = None) -> Process:
    return Process(
        name=str(kind),
        kind=kind,
        argv=(sys.executable, "-c", code, *arguments),
        environment=dict(os.environ),
        listens=(),
        http_health=http_health,
    )


def _plan(folder: Path, *processes: Process) -> Plan:
    public, admin = (Address(port=port) for port in free_ports(2))
    return Plan(processes=processes, files={}, data=folder, public=public, admin=admin)


class Suite:
    """A supervisor over a few programs, and what it says."""

    def __init__(self, folder: Path, *processes: Process, stop_grace_s: float = 5.0) -> None:
        self.terminal = io.StringIO()
        self._plan = _plan(folder, *processes)
        self.journal = Journal(self._plan.logs, self.terminal)
        self.supervisor = Supervisor(self._plan, self.journal, stop_grace_s=stop_grace_s)

    async def printed(self, name: str, count: int = 1) -> tuple[str, ...]:
        """Wait until a process has printed so many lines."""
        await _until(lambda: len(self.journal.last_lines(name)) >= count)
        return self.journal.last_lines(name)

    async def pid(self, name: str, *, other_than: int | None = None) -> int:
        """Wait until a process runs, under another pid than the one given."""
        await _until(lambda: self.supervisor.pid(name) not in {None, other_than})
        pid = self.supervisor.pid(name)
        assert pid is not None
        return pid


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - other processes set no event
            await asyncio.sleep(0.01)


@asynccontextmanager
async def _started(folder: Path, *processes: Process, stop_grace_s: float = 5.0) -> AsyncIterator[Suite]:
    suite = Suite(folder, *processes, stop_grace_s=stop_grace_s)
    try:
        await suite.supervisor.start()
        yield suite
    finally:
        suite.supervisor.kill()
        await suite.supervisor.stop()
        suite.journal.close()


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


async def _gone(pid: int) -> None:
    await _until(lambda: not _lives(pid))


async def test_start_waits_until_the_process_is_healthy(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    process = _process(SERVES, str(port), http_health=f"http://127.0.0.1:{port}/")
    async with _started(tmp_path, process):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()


async def test_killed_process_runs_again_and_it_is_said(tmp_path: Path) -> None:
    async with _started(tmp_path, _process(SLEEPS)) as suite:
        first = await suite.pid("abr")
        os.kill(first, 9)
        assert await suite.pid("abr", other_than=first) != first
        assert "abr was killed by signal 9; starting it again in 0.2 s" in suite.terminal.getvalue()


async def test_pauses_between_restarts_grow(tmp_path: Path) -> None:
    async with _started(tmp_path, _process(SLEEPS)) as suite:
        pid = None
        for _ in range(3):
            pid = await suite.pid("abr", other_than=pid)
            os.kill(pid, 9)
        await suite.pid("abr", other_than=pid)
        pauses = [line.rpartition(" in ")[2] for line in suite.terminal.getvalue().splitlines()]
        assert pauses == ["0.2 s", "0.4 s", "0.8 s"]


async def test_process_that_cannot_start_fails_the_start_with_its_last_words(tmp_path: Path) -> None:
    suite = Suite(
        tmp_path, _process("raise SystemExit('no such setting')", http_health="http://127.0.0.1:1/")
    )
    with pytest.raises(StartFailed, match=r"abr ended while it started(.|\n)*no such setting"):
        await suite.supervisor.start()
    await suite.supervisor.stop()
    suite.journal.close()


async def test_nothing_that_a_dead_process_started_is_left(tmp_path: Path) -> None:
    async with _started(tmp_path, _process(HAS_A_CHILD)) as suite:
        (child, *_) = await suite.printed("abr")
        os.kill(await suite.pid("abr"), 9)
        await _gone(int(child))


async def test_stop_goes_from_the_door_inwards(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    processes = [_process(NOTES_ITS_END, str(notes), kind, kind=kind) for kind in Kind]
    async with _started(tmp_path, *processes) as suite:
        for kind in Kind:
            await suite.printed(kind)
        pids = [await suite.pid(kind) for kind in Kind]
        await suite.supervisor.stop()
        assert notes.read_text().split() == list(STOP_ORDER)
        assert not any(_lives(pid) for pid in pids)
        assert "starting it again" not in suite.terminal.getvalue()


async def test_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    async with _started(tmp_path, _process(IGNORES_SIGTERM), stop_grace_s=0.3) as suite:
        await suite.printed("abr")
        pid = await suite.pid("abr")
        await suite.supervisor.stop()
        assert not _lives(pid)
        assert "abr did not stop within 0.3 s: killed" in suite.terminal.getvalue()


async def test_held_process_stays_down_until_it_is_released(tmp_path: Path) -> None:
    async with _started(tmp_path, _process(SLEEPS)) as suite:
        first = await suite.pid("abr")
        await suite.supervisor.hold("abr")
        await asyncio.sleep(0.5)
        assert suite.supervisor.pid("abr") is None
        await suite.supervisor.release("abr")
        assert await suite.pid("abr") != first


async def test_long_line_is_taken_in_pieces(tmp_path: Path) -> None:
    code = "import time; print('x' * 3_000_000, flush=True); print('after', flush=True); time.sleep(60)"
    async with _started(tmp_path, _process(code)) as suite:
        lines = await suite.printed("abr", 4)
        assert (sum(map(len, lines[:-1])), lines[-1]) == (3_000_000, "after")


async def test_processes_die_with_a_starter_that_is_killed() -> None:
    leash = Path(weir_cli.__file__).with_name("leash.py")
    starter = f"""
import os, subprocess, time
leash = [{sys.executable!r}, "-I", "-S", {str(leash)!r}, str(os.getpid())]
print(subprocess.Popen([*leash, "/bin/sleep", "60"]).pid, flush=True)
time.sleep(60)
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", starter, stdout=subprocess.PIPE)
    assert process.stdout is not None
    child = int(await process.stdout.readline())
    await _until(lambda: Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")[0] == b"/bin/sleep")
    process.kill()
    await process.wait()
    await _gone(child)
