"""Fixtures of the integration tests; each starts something real."""

from __future__ import annotations

from support.nats import nats_server

__all__ = ["nats_server"]
