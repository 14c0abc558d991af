"""One process of the suite: started on a leash, listened to, and ended with all that it started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from weir_cli.logs import Journal
from weir_cli.plan import Kind, Process

_LEASH = str(Path(__file__).with_name("leash.py"))
_LINE_BYTES = 1024 * 1024
_LAST_WORDS_S = 1.0


class RunningProcess:
    """A started process; make it with `start_process`."""

    def __init__(
        self,
        process: Process,
        child: asyncio.subprocess.Process,
        readers: list[asyncio.Task[None]],
        journal: Journal,
    ) -> None:
        self._name = process.name
        self._stop_signal = process.stop_signal
        self._child = child
        self._readers = readers
        self._journal = journal

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def is_running(self) -> bool:
        return self._child.returncode is None

    async def wait(self) -> int:
        """Wait for the end; return the exit code, negative for a signal. Nothing it started is left then."""
        code = await self._child.wait()
        self._signal_group(signal.SIGKILL)
        # What left the group may still hold the pipes, but has nothing to tell us.
        _, silent = await asyncio.wait(self._readers, timeout=_LAST_WORDS_S)
        for reader in silent:
            reader.cancel()
        return code

    async def stop(self, grace_s: float) -> None:
        """Ask the process to stop; kill it when it has not within `grace_s` seconds."""
        if not self.is_running:
            return
        self._child.send_signal(self._stop_signal)
        try:
            async with asyncio.timeout(grace_s):
                await self._child.wait()
        except TimeoutError:
            self._journal.say(f"{self._name} did not stop within {grace_s:g} s: killed")
            self.kill()
            await self._child.wait()

    def kill(self) -> None:
        """Kill the process, and whatever it started, at once."""
        self._signal_group(signal.SIGKILL)

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


async def start_process(process: Process, journal: Journal) -> RunningProcess:
    """Start a process in a group of its own, so that a Ctrl-C on the terminal reaches only the supervisor.

    It is killed when the thread that called this ends, however that comes about.
    """

    def take(line: str) -> None:
        journal.take(process.name, line)

    def take_output(line: str) -> None:
        journal.take(process.name, line, is_access_log=process.kind is Kind.ENVOY)

    output, output_reader = await _open_pipe(take_output)
    errors, errors_reader = await _open_pipe(take)
    leash = (sys.executable, "-I", "-S", _LEASH, str(os.getpid()))
    try:
        child = await asyncio.create_subprocess_exec(
            *leash,
            *process.argv,
            env=process.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            start_new_session=True,
        )
    finally:
        os.close(output)
        os.close(errors)
    return RunningProcess(process, child, [output_reader, errors_reader], journal)


async def _open_pipe(take: Callable[[str], None]) -> tuple[int, asyncio.Task[None]]:
    """Open a pipe; return its writing end and the task that passes its lines to `take`.

    A pipe of asyncio's subprocesses would not do: their `wait` lasts until every grandchild has closed it.
    """
    reading, writing = os.pipe()
    stream = asyncio.StreamReader(limit=_LINE_BYTES)
    protocol = asyncio.StreamReaderProtocol(stream)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: protocol, os.fdopen(reading, "rb", 0)
    )
    return writing, asyncio.create_task(_read(stream, transport, take))


async def _read(
    stream: asyncio.StreamReader, pipe: asyncio.ReadTransport, take: Callable[[str], None]
) -> None:
    try:
        while line := await _read_line(stream):
            take(line.decode(errors="replace").rstrip("\n"))
    finally:
        pipe.close()


async def _read_line(stream: asyncio.StreamReader) -> bytes:
    """Read one line, or the first part of one that is longer than a line should be; empty at the end."""
    try:
        return await stream.readuntil(b"\n")
    except asyncio.IncompleteReadError as end:
        return end.partial
    except asyncio.LimitOverrunError as overrun:
        return await stream.readexactly(overrun.consumed)
