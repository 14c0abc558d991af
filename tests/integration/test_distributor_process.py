"""Distributors as processes: killed, stopped, and with bounds that hold."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from weir.distributor.v1 import distributor_pb2 as api
from weir.distributor.v1 import distributor_pb2_grpc
from weir.timeline.v1 import timeline_pb2 as pb
from weir.timeline.v1 import timeline_pb2_grpc

from chassis import errors
from chassis.grpc_client import open_channel, peer_errors
from chassis.grpc_server import serve
from chassis.nats_connection import connect
from distributor.bootstrap import SERVICES
from distributor.bootstrap_room import build
from distributor.config import DistributorConfig
from support.distributor import (
    msns_of,
    open_writer,
    rendition,
    running_distributor,
    segment,
    watch_until,
)
from support.nats import NatsServer
from support.ports import free_base

FILM = pb.WatchRequest(stream_id="film")


class Process:
    """One distributor, as `python -m distributor` starts it."""

    def __init__(self, nats_url: str, **settings: str) -> None:
        self.address = f"127.0.0.1:{free_base()}"
        environment = {"WEIR_NATS_URL": nats_url, "WEIR_GRPC_ADDRESS": self.address}
        environment |= {"WEIR_STORAGE_URL": "memory:", **settings}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "distributor"],
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
        )

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def processes(server: NatsServer, count: int, **settings: str) -> Iterator[list[Process]]:
    with ExitStack() as stack:
        started = [Process(server.url, **settings) for _ in range(count)]
        for process in started:
            stack.callback(process.end)
        yield started


@asynccontextmanager
async def channel_to(process: Process) -> AsyncIterator[grpc.aio.Channel]:
    async with open_channel(process.address) as channel:
        async with asyncio.timeout(60):
            await channel.channel_ready()
        yield channel


@pytest.mark.torture
async def test_a_killed_distributor_takes_nothing_with_it(nats_server: NatsServer) -> None:
    """What was in flight is repeated elsewhere and stored once; a watcher goes on elsewhere."""
    with processes(nats_server, 2) as (doomed, other):
        async with channel_to(doomed) as first, channel_to(other) as second:
            dying = timeline_pb2_grpc.TimelineServiceStub(first)
            living = timeline_pb2_grpc.TimelineServiceStub(second)
            writer = await open_writer(dying)
            await writer.append(rendition(), segment(0))
            watched = dying.Watch(FILM)
            seen = [event async for event in until_caught_up(watched)]
            in_flight = writer.request(segment(1), request_id="in-flight")
            appending = asyncio.create_task(answer_of(dying.Append(in_flight)))
            await asyncio.sleep(0)
            doomed.process.kill()
            await appending
            with pytest.raises(errors.Unavailable):
                async with peer_errors():
                    seen += [event async for event in watched]
            writer.timeline = living
            writer.sequence = (await living.Append(in_flight)).sequence
            last = await writer.append(segment(2))
            place = max(event.record.sequence for event in seen)
            resumed = pb.WatchRequest(stream_id="film", after_sequence=place)
            rest = await watch_until(living, resumed, sequence=last)
            assert [*msns_of(seen), *msns_of(rest)] == [0, 1, 2]


@pytest.mark.torture
async def test_viewers_outlive_the_distributor_that_let_them_in(nats_server: NatsServer) -> None:
    """Also one that starts only then knows them, and a report that was not acknowledged counts once."""
    with processes(nats_server, 1) as (doomed,):
        async with channel_to(doomed) as channel:
            await open_writer(timeline_pb2_grpc.TimelineServiceStub(channel))
            dying: Any = distributor_pb2_grpc.DistributionServiceStub(channel)
            joined = await dying.JoinStream(api.JoinStreamRequest(stream_id="film", viewer_id="v"))
            sample = api.DeliverySample(
                stream_id="film", session_id=joined.session_id, segments_count=1, size_bytes=7
            )
            report = api.ReportDeliveriesRequest(gateway="g", report_number=1, samples=[sample])
            await dying.ReportDeliveries(iter([report]))
            doomed.process.kill()
        with processes(nats_server, 1) as (other,):
            async with channel_to(other) as channel:
                living: Any = distributor_pb2_grpc.DistributionServiceStub(channel)
                await living.ReportDeliveries(iter([report]))
                left = await living.LeaveStream(api.LeaveStreamRequest(stream_id="film", viewer_id="v"))
    assert left.session_id == joined.session_id
    assert (left.segments_received, left.bytes_received) == (1, 7)


async def test_failed_deliveries_stay_counted_when_the_distributor_that_made_them_dies(
    nats_server: NatsServer,
) -> None:
    cdn = {"name": "gone", "kind": "prefetch", "address": f"http://127.0.0.1:{free_base()}"}
    settings = {"WEIR_CDNS": json.dumps([cdn])}
    with processes(nats_server, 1, **settings) as (doomed,):
        async with channel_to(doomed) as channel:
            writer = await open_writer(timeline_pb2_grpc.TimelineServiceStub(channel))
            await writer.append(rendition(), segment(0))
            assert await failures_after_another(channel) == 1
        doomed.process.kill()
        with processes(nats_server, 1, **settings) as (other,):
            async with channel_to(other) as channel:
                living: Any = distributor_pb2_grpc.DistributionServiceStub(channel)
                assert (await living.GetMetrics(api.GetMetricsRequest())).total_delivery_failures == 1
                assert await failures_after_another(channel) == 2


async def failures_after_another(channel: grpc.aio.Channel) -> int:
    """Order a delivery that fails; how many failed by then."""
    distribution: Any = distributor_pb2_grpc.DistributionServiceStub(channel)
    answer = await distribution.DeliverSegment(api.DeliverSegmentRequest(stream_id="film", segment_id="0"))
    assert [one.edge for one in answer.deliveries if one.error] == ["gone"]
    return int((await distribution.GetMetrics(api.GetMetricsRequest())).total_delivery_failures)


async def test_a_stopping_distributor_says_so_before_it_stops(nats_server: NatsServer) -> None:
    with processes(nats_server, 1, WEIR_DRAIN_S="1") as (process,):
        async with channel_to(process) as channel:
            health: Any = health_pb2_grpc.HealthStub(channel)
            start = time.monotonic()
            process.process.terminate()
            async with asyncio.timeout(20):
                while (await health.Check(ASK)).status == SERVING:  # noqa: ASYNC110 - it is elsewhere
                    await asyncio.sleep(0.02)
            assert await asyncio.to_thread(process.process.wait, 20) == 0
            assert time.monotonic() - start >= 1.0


async def test_folds_are_held_for_as_many_ledgers_as_is_set(nats_server: NatsServer) -> None:
    config = DistributorConfig(nats_url=nats_server.url, storage_url="memory:", fold_cache_count=2)
    async with connect(config, name="test") as client, open_channel("127.0.0.1:1") as nobody:
        room = await build(config, client, nobody, nobody)
        async with (
            serve("127.0.0.1:0", room.register, services=SERVICES, grace_s=0) as (_, port),
            open_channel(f"127.0.0.1:{port}") as channel,
        ):
            for number in range(5):
                await open_writer(timeline_pb2_grpc.TimelineServiceStub(channel), f"s{number}")
            assert len(room.folds) == 2


async def test_a_distributor_without_nats_does_not_start() -> None:
    with pytest.raises(errors.Unavailable, match="no NATS server answered"):
        async with running_distributor(f"nats://127.0.0.1:{free_base()}", nats_connect_timeout_s=0.5):
            pass


ASK = health_pb2.HealthCheckRequest()
SERVING = health_pb2.HealthCheckResponse.SERVING


async def until_caught_up(call: Any) -> AsyncIterator[pb.WatchResponse]:
    async for event in call:
        if event.HasField("caught_up"):
            return
        yield event


async def answer_of(call: Any) -> None:
    """Wait for an answer, whatever it is."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        assert error.code() is grpc.StatusCode.UNAVAILABLE  # noqa: PT017 - both ends are fine
