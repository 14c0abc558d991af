"""The life of a service process: start, wait for a signal or a failure, stop gracefully."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

import uvloop

from chassis import telemetry
from chassis.config import ServiceConfig
from chassis.telemetry import log

_CANCEL_AGAIN_S = 0.5

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


async def end_tasks(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks until they have ended, even if this itself is cancelled meanwhile: none is left behind.

    Once may not be enough: until Python 3.12 a cancellation that meets the result of a `wait_for` is lost,
    and the NATS client waits so for every answer.
    """
    pending, cancelled = [*tasks], False
    while pending:
        for task in pending:
            task.cancel()
        try:
            await asyncio.wait(pending, timeout=_CANCEL_AGAIN_S)
        except asyncio.CancelledError:
            cancelled = True
        pending = [task for task in pending if not task.done()]
    if cancelled:
        raise asyncio.CancelledError


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
