"""The composition root: builds the gateway from its settings, starts it, stops it gracefully."""

from __future__ import annotations

import asyncio
import gc
import resource
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

import grpc
from weir.gateway.v1 import gateway_pb2_grpc

from chassis.grpc_client import open_channel
from chassis.grpc_server import Health, serve
from chassis.lifecycle import Stopping
from chassis.storage import open_store
from chassis.storage_options import StorageOptions
from chassis.telemetry import log
from chassis.tls import Certificates, certificates_of
from hls_gateway.adapters.abr_client import AbrClient
from hls_gateway.adapters.abr_replicas import AbrReplicas
from hls_gateway.adapters.distributor_client import DistributorClient
from hls_gateway.adapters.media_store import MediaStore, StoreLimits
from hls_gateway.adapters.page_files import read_pages
from hls_gateway.adapters.timeline_feed import TimelineFeed
from hls_gateway.config import GatewayConfig
from hls_gateway.editions.shelf import Shelf, ShelfLimits
from hls_gateway.http import GatewaySite, LoggedSite, print_playlist
from hls_gateway.http_audience import Audience
from hls_gateway.http_pages import Pages
from hls_gateway.service import GatewayService
from hls_gateway.service_push import PushService
from hls_gateway.servicer import PUBLIC_SERVICES, SERVICE, GatewayServicer
from hls_gateway.viewers.viewers import ViewerLimits, Viewers
from hls_gateway.webserver.content import Content
from hls_gateway.webserver.limits import Limits
from hls_gateway.webserver.server import Site, WebServer

# A connection that is dead and does not say so must not take up a whole read: so often another one is tried.
_CONNECTIONS_PER_READ_COUNT = 3
# What is open beside viewers' connections: storage, channels, logs.
_OTHER_FILES_COUNT = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where a gateway listens."""

    http_port: int
    grpc_port: int


@asynccontextmanager
async def gateway(config: GatewayConfig, stopping: Stopping) -> AsyncIterator[None]:
    """Run the gateway for as long as the block lasts."""
    async with serve_gateway(config, stopping) as ports:
        log.info("gateway listening", http_port=ports.http_port, grpc_port=ports.grpc_port)
        gc.freeze()  # what was loaded so far stays: a full collection need not look at it again
        yield


@asynccontextmanager
async def serve_gateway(config: GatewayConfig, stopping: Stopping) -> AsyncIterator[Ports]:
    """Run the gateway for as long as the block lasts; yields its ports."""
    tls = certificates_of(config)
    async with AsyncExitStack() as stack:
        distributor = await stack.enter_async_context(open_channel(config.distributor_address, tls))
        abr = await stack.enter_async_context(open_channel(config.abr_address, tls))
        shelf = Shelf(TimelineFeed(distributor), print_playlist, _shelf_limits(config), time.monotonic)
        sweeping = stopping.run(shelf.sweep(), name="sweep the shelf")
        stack.callback(sweeping.cancel)
        stack.callback(shelf.close)
        store = MediaStore(open_store(config.storage_url, _storage_options(config)), _store_limits(config))
        pushes = PushService(shelf, store, config.storage_timeout_s)
        health, grpc_port = await stack.enter_async_context(_grpc(config, pushes, tls))
        name = f"{socket.gethostname()}:{grpc_port}"
        told = DistributorClient(distributor, name, config.grpc_public_address)
        replicas = AbrReplicas(config.abr_address, tls, time.monotonic)
        stack.push_async_callback(replicas.close)
        viewers = _viewers(config, stopping, stack, told, AbrClient(abr, replicas, name))
        audience = Audience(viewers.meter, viewers.decisions, shelf.edition_now)
        service = GatewayService(shelf, store)
        pages = Pages(tuple(read_pages()))
        site = GatewaySite(service, pages, audience, viewers.pathways, config.steering_ttl_s)
        http_port = await stack.enter_async_context(_http(config, site, health, tls))
        yield Ports(http_port=http_port, grpc_port=grpc_port)


def _viewers(
    config: GatewayConfig,
    stopping: Stopping,
    stack: AsyncExitStack,
    distributor: DistributorClient,
    abr: AbrClient,
) -> Viewers:
    """Begin to tell of viewers, and to hear what is decided for them."""
    viewers = Viewers(_viewer_limits(config), distributor, abr)
    stack.push_async_callback(viewers.finish)
    for name, work in viewers.works(abr, distributor):
        stack.callback(stopping.run(work, name=name).cancel)
    return viewers


def _allow_files(count: int) -> None:
    """Raise how many files this process may open, as far as it may; many systems begin at 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if wanted < count:
        log.warning("fewer files than connections may be open", file_count=wanted, wanted_count=count)


@asynccontextmanager
async def _http(
    config: GatewayConfig, site: GatewaySite, health: Health, tls: Certificates | None
) -> AsyncIterator[int]:
    served: Site = LoggedSite(site) if config.request_log == "all" else site
    _allow_files(config.connection_count + _OTHER_FILES_COUNT)
    server = WebServer(served, _http_limits(config), tls.server_context() if tls else None)
    host, _, port = config.http_address.rpartition(":")
    http_port = await server.listen(host, int(port))
    site.ready = True
    try:
        yield http_port
    finally:
        site.ready = False
        await health.set_serving(False)
        await asyncio.sleep(config.drain_s)
        site.send_away()
        await server.stop(config.shutdown_grace_s)


@asynccontextmanager
async def _grpc(
    config: GatewayConfig, pushes: PushService[Content], tls: Certificates | None
) -> AsyncIterator[tuple[Health, int]]:
    def register(server: grpc.aio.Server) -> None:
        gateway_pb2_grpc.add_GatewayServiceServicer_to_server(GatewayServicer(pushes), server)

    async with serve(
        config.grpc_address,
        register,
        services=(SERVICE,),
        described=PUBLIC_SERVICES,
        grace_s=config.shutdown_grace_s,
        tls=tls,
        health_address=config.health_address,
    ) as (health, port):
        yield health, port


def _shelf_limits(config: GatewayConfig) -> ShelfLimits:
    return ShelfLimits(
        stream_count=config.stream_count,
        segment_count=config.segment_count,
        memory_bytes=config.timeline_memory_bytes,
        pending_count=config.lookup_count,
        idle_s=config.stream_idle_s,
        wait_s=config.lookup_timeout_s,
    )


def _viewer_limits(config: GatewayConfig) -> ViewerLimits:
    return ViewerLimits(
        session_count=config.session_count,
        session_idle_s=config.session_idle_s,
        sample_count=config.sample_count,
        report_interval_s=config.report_interval_s,
    )


def _store_limits(config: GatewayConfig) -> StoreLimits:
    return StoreLimits(
        memory_bytes=config.media_memory_bytes,
        object_bytes=config.media_object_bytes,
        read_timeout_s=config.storage_timeout_s,
    )


def _storage_options(config: GatewayConfig) -> StorageOptions:
    silence_s = config.storage_timeout_s / _CONNECTIONS_PER_READ_COUNT
    return replace(config.storage_options, answer_timeout_s=min(config.storage_answer_timeout_s, silence_s))


def _http_limits(config: GatewayConfig) -> Limits:
    return Limits(
        connection_count=config.connection_count,
        idle_timeout_s=config.idle_timeout_s,
        head_timeout_s=config.head_timeout_s,
        stall_timeout_s=config.stall_timeout_s,
        send_rate_bytes_s=config.send_rate_bytes_s,
    )
