"""The composition root: starts the service and stops it gracefully."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from weir.abr.v1 import abr_pb2_grpc

from abr.config import AbrConfig
from abr.servicer import AbrServicer
from chassis.grpc_server import serve
from chassis.lifecycle import Stopping

SERVICES = ("weir.abr.v1.AbrService",)


@asynccontextmanager
async def serve_abr(config: AbrConfig) -> AsyncIterator[int]:
    """Run the service for as long as the block lasts; yields its port."""
    async with serve(
        config.grpc_address,
        _register,
        services=SERVICES,
        grace_s=config.shutdown_grace_s,
        drain_s=config.drain_s,
    ) as (_, port):
        yield port


@asynccontextmanager
async def run_abr(config: AbrConfig, _stopping: Stopping) -> AsyncIterator[None]:
    """Run the service as `chassis.lifecycle` wants it."""
    async with serve_abr(config):
        yield


def _register(server: grpc.aio.Server) -> None:
    abr_pb2_grpc.add_AbrServiceServicer_to_server(AbrServicer(), server)
