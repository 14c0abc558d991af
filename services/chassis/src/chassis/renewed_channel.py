"""A channel whose credentials may change: calls take the newest ones, and nothing that goes on is disturbed.

gRPC's own channels keep the credentials that they were opened with, and would show a peer that comes back an
expired certificate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any, Self
from weakref import WeakSet

import grpc

from chassis.tls import Certificates

Opener = Callable[[grpc.ChannelCredentials], grpc.aio.Channel]


class RenewedChannel(grpc.aio.Channel):
    """Opens a channel, and another one as soon as there is a call after the certificates have changed.

    Args:
        certificates: What to show.
        opener: Opens a channel with given credentials.
    """

    def __init__(self, certificates: Certificates, opener: Opener) -> None:
        self._certificates = certificates
        self._opener = opener
        self._bundle = certificates.current()
        self._channel = opener(self._bundle.channel_credentials())
        self._calls: WeakSet[grpc.aio.Call] = WeakSet()  # that go on over it
        self._leaving: set[asyncio.Task[None]] = set()

    def newest(self) -> grpc.aio.Channel:
        """Return the channel with the newest credentials."""
        bundle = self._certificates.current()
        if bundle.number != self._bundle.number:
            task = asyncio.get_running_loop().create_task(_close_after(self._calls, self._channel))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)
            self._bundle, self._channel = bundle, self._opener(bundle.channel_credentials())
            self._calls = WeakSet()
        return self._channel

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        """Close it, and what it still has open from before."""
        for task in tuple(self._leaving):
            task.cancel()
        await asyncio.gather(*self._leaving, return_exceptions=True)
        await self._channel.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Tell the state of the newest connection."""
        return self.newest().get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Wait until the state of the newest connection is another one."""
        await self.newest().wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Wait until the newest connection is there."""
        await self.newest().channel_ready()

    def unary_unary(self, *method: Any, **options: Any) -> Any:
        """Make a method that is called on the newest connection."""
        return self._method("unary_unary", method, options)

    def unary_stream(self, *method: Any, **options: Any) -> Any:
        """Make a method that is called on the newest connection."""
        return self._method("unary_stream", method, options)

    def stream_unary(self, *method: Any, **options: Any) -> Any:
        """Make a method that is called on the newest connection."""
        return self._method("stream_unary", method, options)

    def stream_stream(self, *method: Any, **options: Any) -> Any:
        """Make a method that is called on the newest connection."""
        return self._method("stream_stream", method, options)

    def _method(self, kind: str, method: tuple[Any, ...], options: dict[str, Any]) -> Any:
        channel, callable_ = self._channel, getattr(self._channel, kind)(*method, **options)

        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal channel, callable_
            if (newest := self.newest()) is not channel:
                channel, callable_ = newest, getattr(newest, kind)(*method, **options)
            made = callable_(*arguments, **named)
            self._calls.add(made)
            made.add_done_callback(self._calls.discard)
            return made

        return call


async def _close_after(calls: Collection[grpc.aio.Call], channel: grpc.aio.Channel) -> None:
    """Close a channel that was replaced with the last of its calls; if cancelled, at once and them too.

    Watches go on as long as the connection does. What is left when the channel's own `close` is cancelled
    while it waits stays open for ever, so it is not the one that waits.
    """
    try:
        await asyncio.gather(*(call.code() for call in tuple(calls)), return_exceptions=True)
    finally:
        await channel.close()
