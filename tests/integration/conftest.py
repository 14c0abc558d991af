"""Fixtures of the integration tests; each starts something real."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

from support.nats import nats_server

__all__ = ["nats_server"]

# These servers live close to their loop, which has its own ways of writing, pausing and closing.
_ON_UVLOOP = ("test_gateway", "test_rtmp", "test_tls_envoy")


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run the tests of servers of our own on the loop of production."""
    if item.path.name.startswith(_ON_UVLOOP):
        return {"uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop}
