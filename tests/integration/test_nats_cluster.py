"""Three NATS servers: what was acknowledged outlives any one of them, and who writes has only to wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import pytest
from nats.aio.client import Client
from nats.js import api

from chassis import errors, messaging
from chassis.config import ServiceConfig
from chassis.nats_connection import connect
from distributor.adapters.journal import Journal
from support.nats_cluster import NatsCluster, nats_cluster

__all__ = ["nats_cluster"]

pytestmark = pytest.mark.torture

DEADLINE_S = 60
STREAM, SUBJECT = "LAWS", "laws.one"
BUCKET, BUCKET_STREAM = "laws", "KV_laws"


@pytest.fixture
async def client(nats_cluster: NatsCluster) -> AsyncIterator[Client]:
    config = ServiceConfig(nats_url=nats_cluster.url, nats_replicas=3)
    async with connect(config, name="test") as client:
        yield client


@pytest.fixture
async def journal(client: Client) -> Journal:
    config = api.StreamConfig(name=STREAM, subjects=["laws.*"], num_replicas=3, allow_direct=True)
    await messaging.ensure_stream(messaging.jetstream(client), config)
    return Journal(client, STREAM)


async def _write(journal: Journal, enough: Callable[[], bool]) -> list[int]:
    """Append one message after the other, each behind the one before, until there are enough."""
    sequences: list[int] = [0]
    while not enough() or len(sequences) < 20:
        number = len(sequences)
        ack = await journal.append(
            SUBJECT, b"%d" % number, expected_sequence=sequences[-1], message_id=str(number)
        )
        sequences.append(ack.sequence)
    return sequences[1:]


async def _read(journal: Journal) -> list[tuple[int, bytes]]:
    newest = await journal.last_sequence(SUBJECT)
    batches = journal.read(SUBJECT, after_sequence=0, up_to=newest)
    return [(message.sequence, message.data) async for batch in batches for message in batch]


@pytest.mark.parametrize("way", ["kill", "stop"])
async def test_no_append_fails_is_lost_or_doubled_when_the_leader_goes(
    nats_cluster: NatsCluster, journal: Journal, way: str
) -> None:
    done = False
    async with asyncio.timeout(DEADLINE_S):
        writing = asyncio.create_task(_write(journal, lambda: done))
        for _ in range(2):
            leader = await asyncio.to_thread(nats_cluster.leader, STREAM)
            await asyncio.to_thread(getattr(nats_cluster, way), leader)
            await asyncio.to_thread(nats_cluster.leader, STREAM)
            await asyncio.to_thread(nats_cluster.start, leader)
        done = True
        sequences = await writing
        assert await _read(journal) == [
            (sequence, b"%d" % number) for number, sequence in enumerate(sequences, start=1)
        ]


async def test_an_append_that_is_repeated_while_it_is_agreed_upon_is_one_append(journal: Journal) -> None:
    newest = 0
    for number in range(30):
        appends = (
            journal.append(SUBJECT, b"x", expected_sequence=newest, message_id=str(number)) for _ in range(8)
        )
        acks = await asyncio.gather(*appends)
        assert len({ack.sequence for ack in acks}) == 1
        assert sum(not ack.repeated for ack in acks) == 1
        newest = acks[0].sequence
        assert await journal.find(SUBJECT, after_sequence=acks[0].sequence - 1, message_id="other") is None
        assert await journal.holds(SUBJECT, newest)


async def test_a_bucket_holds_what_was_acknowledged_and_its_watch_goes_on(
    nats_cluster: NatsCluster, client: Client
) -> None:
    bucket = await messaging.ensure_bucket(client, BUCKET, replicas=3)
    async with asyncio.timeout(DEADLINE_S), aclosing(bucket.watch(">")) as values:
        revisions = [await bucket.create(f"before.{number}", b"before") for number in range(20)]
        for number in range(2):
            leader = await asyncio.to_thread(nats_cluster.leader, BUCKET_STREAM)
            await asyncio.to_thread(nats_cluster.kill, leader)
            last = b"behind %d" % number
            revisions.append(await bucket.create(f"behind.{number}", last))
            await asyncio.to_thread(nats_cluster.start, leader)
            async for value in values:
                if value and value.data == last:
                    break
        assert revisions == sorted(set(revisions))
        while len(await bucket.list()) < len(revisions):  # noqa: ASYNC110 - the server that came back catches up
            await asyncio.sleep(0.05)


async def test_without_a_majority_a_bucket_says_that_nats_is_away(
    nats_cluster: NatsCluster, client: Client
) -> None:
    await messaging.ensure_bucket(client, BUCKET, replicas=3)
    leader = await asyncio.to_thread(nats_cluster.leader, BUCKET_STREAM)
    alone = {member.name: member for member in nats_cluster.members}.pop(leader)
    others = [member.name for member in nats_cluster.members if member != alone]
    async with connect(ServiceConfig(nats_url=f"nats://{alone.client}"), name="test") as of_the_leader:
        bucket = await messaging.ensure_bucket(of_the_leader, BUCKET, replicas=3)
        for name in others:
            nats_cluster.freeze(name)
        try:
            with pytest.raises(errors.Unavailable) as caught:
                await bucket.create("key", b"value")
        finally:
            for name in others:
                nats_cluster.thaw(name)
        assert caught.value.reason == "NATS_AWAY"


async def test_a_frozen_server_is_given_up(
    nats_cluster: NatsCluster, client: Client, journal: Journal
) -> None:
    host = client.connected_url
    assert host is not None
    (frozen,) = (m.name for m in nats_cluster.members if m.client.port == host.port)
    nats_cluster.freeze(frozen)
    try:
        async with asyncio.timeout(DEADLINE_S):
            since = time.monotonic()
            await _write(journal, lambda: time.monotonic() - since > 1)
            assert client.connected_url != host
    finally:
        nats_cluster.thaw(frozen)


async def test_one_copy_becomes_three_when_a_suite_grows(client: Client) -> None:
    await (await messaging.ensure_bucket(client, BUCKET, replicas=1)).put("key", b"kept")
    bucket = await messaging.ensure_bucket(client, BUCKET, replicas=3)
    assert (await bucket.get("key")).data == b"kept"
    info = await messaging.jetstream(client).stream_info(BUCKET_STREAM)
    assert info.config.num_replicas == 3
