"""A TCP proxy for tests that know no asyncio: it runs in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager

from support.proxy import Proxy


class Relay:
    """See `Proxy`; make it with `running_relay`."""

    def __init__(self, host: str, port: int) -> None:
        self._proxy = Proxy(host, port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return self._proxy.port

    def mend(self) -> None:
        self._do(self._proxy.mend())

    def cut(self) -> None:
        self._do(self._proxy.cut())

    def hang(self) -> None:
        self._do(self._proxy.hang())

    def stop(self) -> None:
        """Break all connections, and end."""
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()


@contextmanager
def running_relay(host: str, port: int) -> Iterator[Relay]:
    """Forward a free port to `host:port` for as long as the block lasts, unless it is told otherwise."""
    relay = Relay(host, port)
    try:
        relay.mend()
        yield relay
    finally:
        relay.stop()
