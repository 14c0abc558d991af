"""The life of a service process: start, wait for a signal or a failure, stop gracefully."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

import uvloop

from chassis import telemetry
from chassis.config import ServiceConfig
from chassis.telemetry import log

PATIENCE_S = 0.5
"""How long a task that was cancelled has to end, before it is cancelled again."""

Config = TypeVar("Config", bound=ServiceConfig)


class Stopping:
    """Says once, to all who wait, that the process should stop; may carry the failure that made it so."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.failure: BaseException | None = None

    def stop(self, failure: BaseException | None = None) -> None:
        """Ask for a stop; the first failure given is the one that the process ends with."""
        self.failure = self.failure or failure
        self._event.set()

    async def wait(self) -> None:
        """Wait until a stop is asked for."""
        await self._event.wait()

    def run(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Start work that should go on as long as the process: if it fails, the process stops with it."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()):
            self.stop(failure)


def run_service(
    name: str, config: Config, service: Callable[[Config, Stopping], AbstractAsyncContextManager[None]]
) -> None:
    """Run a service until SIGTERM, SIGINT or a failure.

    Args:
        name: The service's name, as in logs and traces.
        config: Its settings.
        service: Its composition root: entering builds and starts everything, leaving stops it gracefully.
    """
    telemetry.set_up(name, config)
    try:
        uvloop.run(_run(service, config))
    finally:
        telemetry.shut_down()


async def end_tasks(*tasks: asyncio.Task[Any], patience_s: float = PATIENCE_S) -> None:
    """Cancel tasks until they have ended; who is cancelled while waiting for that leaves none behind either.

    Once may not be enough: until Python 3.12 a cancellation that meets the result of a `wait_for` is lost,
    and the NATS client waits so for every answer.

    Args:
        tasks: To be ended.
        patience_s: How long they have to clean up before they are cancelled again.
    """
    cancelled = False
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        cancelled |= await _wait_out(pending, patience_s)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # looked at, so that nobody complains that it was not
    if cancelled:
        raise asyncio.CancelledError


async def _wait_out(tasks: Sequence[asyncio.Task[Any]], patience_s: float) -> bool:
    """Wait for tasks, for so long at most; answers whether who waits was cancelled meanwhile."""
    deadline, cancelled = asyncio.get_running_loop().time() + patience_s, False
    while True:
        try:
            await asyncio.wait(tasks, timeout=deadline - asyncio.get_running_loop().time())
        except asyncio.CancelledError:
            cancelled = True
        else:
            return cancelled


async def _run(
    service: Callable[[Config, Stopping], AbstractAsyncContextManager[None]], config: Config
) -> None:
    stopping = Stopping()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.stop)
    async with service(config, stopping):
        log.info("service started", grpc_address=config.grpc_address)
        await stopping.wait()
        log.info("service stopping", failure=repr(stopping.failure) if stopping.failure else None)
    if stopping.failure:
        raise stopping.failure
