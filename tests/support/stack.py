"""The whole suite for end-to-end tests: what `weir run` would start, and levers to hurt it."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, TypeVar

from support.ports import free_base
from weir_cli.health import wait_healthy
from weir_cli.logs import Journal
from weir_cli.plan import Kind, Plan, Wishes, plan_suite
from weir_cli.runner import find_programs
from weir_cli.supervisor import START_TIMEOUT_S, Supervisor

T = TypeVar("T")


class Stack:
    """A running suite; make it with `running_stack`.

    Processes are named as in `weir run`: "nats", "distributor", "abr", "transcoder", "hls-gateway", "envoy",
    further replicas "transcoder-2" and so on.
    """

    def __init__(self, plan: Plan, terminal: TextIO) -> None:
        self.plan = plan
        self._journal = Journal(plan.logs, terminal)
        self._supervisor = Supervisor(plan, self._journal)
        self._loop = asyncio.new_event_loop()
        # The processes die with the thread that started them, so it lives as long as they should.
        self._thread = threading.Thread(target=self._loop.run_forever, name="stack", daemon=True)

    @property
    def url(self) -> str:
        """Where clients connect: http://127.0.0.1:PORT."""
        return self.plan.url

    @property
    def address(self) -> str:
        """The same for gRPC: host:port."""
        return str(self.plan.public)

    @property
    def objects(self) -> Path:
        """The folder of object storage."""
        return self.plan.data / "objects"

    def read_object(self, key: str) -> bytes:
        """Read an object from there."""
        return (self.objects / key).read_bytes()

    def grpc_address(self, name: str) -> str:
        """Return the own gRPC port of a service, past Envoy."""
        return str(self._process(name).grpc_health)

    def http_address(self, name: str = "hls-gateway") -> str:
        """Return the own HTTP port of a gateway, past Envoy."""
        return str(self._process(name).listens[-1])

    @property
    def nats_url(self) -> str:
        return f"nats://{self._process('nats').listens[0]}"

    def start(self) -> None:
        """Start all processes; return when the suite answers through Envoy."""
        self._thread.start()
        self._do(self._supervisor.start())

    def stop(self) -> None:
        """Stop all processes in order; none is left."""
        self._do(self._supervisor.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._journal.close()

    def pid(self, name: str) -> int:
        """Return the process id of a running process."""
        pid = self._supervisor.pid(name)
        assert pid is not None, f"{name} does not run; its log:\n{self.log(name)}"
        return pid

    def kill(self, name: str) -> int:
        """Kill a process with SIGKILL; it will be started again by itself. Return the pid it had."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGKILL)
        return pid

    def freeze(self, name: str) -> None:
        """Stop a process from running without ending it; `thaw` lets it go on."""
        os.kill(self.pid(name), signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        os.kill(self.pid(name), signal.SIGCONT)

    def hold(self, name: str) -> None:
        """Stop a process gracefully and leave it stopped until `release`."""
        self._do(self._supervisor.hold(name))

    def release(self, name: str) -> None:
        """Start a held process; return when it is healthy."""
        self._do(self._supervisor.release(name))

    @contextmanager
    def without_storage(self) -> Iterator[None]:
        """Let object storage fail for the time of a block: where its folder was, there is none."""
        away = self.objects.with_name("objects-away")
        self.objects.rename(away)
        self.objects.touch()  # a folder would be made anew
        try:
            yield
        finally:
            self.objects.unlink()
            away.rename(self.objects)

    def wait_healthy(self, *names: str) -> None:
        """Wait until these processes are healthy; without names, all of them."""
        processes = [process for process in self.plan.processes if process.name in (names or self.names)]
        self._do(asyncio.wait_for(wait_healthy(processes), START_TIMEOUT_S))

    def wait_restarted(self, name: str, old_pid: int) -> None:
        """Wait until a killed process runs again, and is healthy."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while self._supervisor.pid(name) in {None, old_pid}:
            assert time.monotonic() < deadline, f"{name} was not started again; its log:\n{self.log(name)}"
            time.sleep(0.02)
        self.wait_healthy(name)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(process.name for process in self.plan.processes)

    def log(self, name: str) -> str:
        """Return what a process has printed so far; "weir" is the supervisor."""
        path = self.plan.logs / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def log_tails(self, *, lines: int = 15) -> str:
        """Return the end of every log, to be shown when a test fails."""
        tails = {name: self.log(name).splitlines()[-lines:] for name in ("weir", *self.names)}
        return "\n".join(f"--- {name}\n" + "\n".join(tail) for name, tail in tails.items() if tail)

    def _process(self, name: str) -> Any:
        return next(process for process in self.plan.processes if process.name == name)

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def plan_stack(
    folder: Path,
    *,
    replicas: Mapping[Kind, int] | None = None,
    settings: Mapping[str, str] | None = None,
    storage_url: str = "",
) -> Plan:
    """Plan a suite on free ports over `folder`; `settings` are variables for all services.

    Objects lie in `folder` as well, unless `storage_url` says otherwise.
    """
    wishes = Wishes(
        port=free_base(100),
        data=folder.absolute(),
        replicas=replicas or {},
        storage_url=storage_url,
        environment={**os.environ, **(settings or {})},
    )
    return plan_suite(wishes, find_programs())


@contextmanager
def running_stack(
    folder: Path,
    *,
    replicas: Mapping[Kind, int] | None = None,
    settings: Mapping[str, str] | None = None,
    storage_url: str = "",
) -> Iterator[Stack]:
    """Run a suite of its own over `folder` for as long as the block lasts; see `plan_stack`."""
    folder.mkdir(parents=True, exist_ok=True)
    plan = plan_stack(folder, replicas=replicas, settings=settings, storage_url=storage_url)
    with (folder / "terminal.log").open("w") as terminal:
        stack = Stack(plan, terminal)
        try:
            stack.start()
            yield stack
        finally:
            stack.stop()
