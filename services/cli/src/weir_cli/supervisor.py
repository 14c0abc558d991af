"""Run a planned suite: start it in order, keep it alive, stop it in order.

A process that ends unasked is started again, at first soon, then after longer and longer pauses. The suite
is made to live on meanwhile; only a process that never becomes healthy at the start ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence

from weir_cli.door import drain, wait_admitted
from weir_cli.health import wait_healthy
from weir_cli.logs import Journal
from weir_cli.plan import START_ORDER, STOP_ORDER, Kind, Plan, Process
from weir_cli.process import RunningProcess, start_process

START_TIMEOUT_S = 60.0
STOP_GRACE_S = 15.0
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
# A process that lived so long was well: its next failure is a new story.
WELL_AFTER_S = 10.0
START_ATTEMPTS = 3


class StartFailed(Exception):
    """The suite did not come up; the message says which process, and shows its last words."""


class Supervisor:
    """The processes of one suite.

    Args:
        plan: Who they are.
        journal: Takes what they print, and what the supervisor has to say.
        stop_grace_s: How long a process may take to stop before it is killed.
    """

    def __init__(self, plan: Plan, journal: Journal, *, stop_grace_s: float = STOP_GRACE_S) -> None:
        self._plan = plan
        self._journal = journal
        self._stop_grace_s = stop_grace_s
        self._running: dict[str, RunningProcess] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._held: set[str] = set()
        self._stopping = asyncio.Event()
        self._started = False

    async def start(self) -> None:
        """Start everything, and return when the whole suite answers through Envoy.

        Raises:
            StartFailed: A process ends again and again, or is not healthy after a minute.
        """
        for path, text in self._plan.files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        for kinds in START_ORDER:
            await self._start_all([process for kind in kinds for process in self._plan.of_kind(kind)])
        self._started = True

    async def stop(self) -> None:
        """Stop everything, from Envoy inwards to NATS."""
        self._hold_all()
        for kind in STOP_ORDER:
            await asyncio.gather(*(self._stop_one(process) for process in self._plan.of_kind(kind)))
        await asyncio.gather(*self._keepers.values())

    def kill(self) -> None:
        """Kill everything at once; `stop` then has nothing to wait for."""
        self._hold_all()
        for running in self._running.values():
            running.kill()

    def pid(self, name: str) -> int | None:
        """Return the process id of a process, None while it does not run."""
        running = self._running.get(name)
        return running.pid if running and running.is_running else None

    async def hold(self, name: str) -> None:
        """Stop one process, and leave it stopped until `release`."""
        self._held.add(name)
        await self._running[name].stop(self._stop_grace_s)
        await self._keepers[name]

    async def release(self, name: str) -> None:
        """Start a held process again, and wait until it is healthy and the door sends requests to it."""
        (process,) = (process for process in self._plan.processes if process.name == name)
        self._held.discard(name)
        await self._start_all([process])
        await wait_admitted(self._plan.admin, process)

    def _hold_all(self) -> None:
        self._held.update(process.name for process in self._plan.processes)
        self._stopping.set()

    async def _start_all(self, processes: Sequence[Process]) -> None:
        for process in processes:
            self._keepers[process.name] = asyncio.create_task(self._keep(process), name=process.name)
        healthy = asyncio.create_task(wait_healthy(processes))
        keepers = [self._keepers[process.name] for process in processes]
        try:
            await asyncio.wait(
                [healthy, *keepers], timeout=START_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED
            )
            self._require_started(processes, healthy)
        finally:
            healthy.cancel()

    def _require_started(self, processes: Sequence[Process], healthy: asyncio.Task[None]) -> None:
        if healthy.done():
            return healthy.result()
        for process in processes:
            if self._keepers[process.name].done():
                raise StartFailed(self._last_words(process, "ended while it started"))
        names = ", ".join(process.name for process in processes)
        raise StartFailed(f"{names}: not healthy within {START_TIMEOUT_S:g} s; see {self._plan.logs}")

    def _last_words(self, process: Process, what: str) -> str:
        lines = "\n".join(f"  {line}" for line in self._journal.last_lines(process.name))
        return f"{process.name} {what}; its last words:\n{lines or '  (none)'}"

    async def _keep(self, process: Process) -> None:
        """Run a process again and again, until it is held or, at the start, fails too often."""
        failures = 0
        while process.name not in self._held:
            lived_s, code = await self._run_once(process)
            if process.name in self._held:
                return
            failures = 1 if lived_s >= WELL_AFTER_S else failures + 1
            if not self._started and failures == START_ATTEMPTS:
                return
            pause_s = min(FIRST_PAUSE_S * 2 ** (failures - 1), LONGEST_PAUSE_S)
            self._journal.say(f"{process.name} {_ending(code)}; starting it again in {pause_s:g} s")
            await self._pause(pause_s)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _run_once(self, process: Process) -> tuple[float, int]:
        """Run a process to its end; return how long it lived and how it ended."""
        start = time.monotonic()
        running = await start_process(process, self._journal)
        self._running[process.name] = running
        if process.name in self._held:  # while it was being started
            running.kill()
        code = await running.wait()
        return time.monotonic() - start, code

    async def _stop_one(self, process: Process) -> None:
        running = self._running.get(process.name)
        if running is None or not running.is_running:
            return
        if process.kind is Kind.ENVOY:
            await drain(self._plan.admin)
        await running.stop(self._stop_grace_s)


def _ending(code: int) -> str:
    return f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
