"""The laws of buckets, on a real nats-server that is killed and frozen."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from chassis import messaging
from chassis.config import ServiceConfig
from chassis.errors import AlreadyExists, Conflict, NotFound, Unavailable
from chassis.nats_connection import connect
from support.nats import NatsServer

DEADLINE_S = 30


@pytest.fixture
async def bucket(nats_server: NatsServer) -> AsyncIterator[messaging.KeyValue]:
    async with connect(ServiceConfig(nats_url=nats_server.url), name="test") as client:
        yield await messaging.ensure_bucket(client, "laws", replicas=1)


async def test_of_many_creators_exactly_one_wins(bucket: messaging.KeyValue) -> None:
    async def create(name: int) -> bool:
        try:
            await bucket.create("key", b"%d" % name)
        except AlreadyExists:
            return False
        return True

    outcomes = await asyncio.gather(*(create(name) for name in range(20)))
    assert sum(outcomes) == 1
    assert (await bucket.get("key")).data == b"%d" % outcomes.index(True)


async def test_an_update_of_an_old_revision_is_a_conflict(bucket: messaging.KeyValue) -> None:
    first = await bucket.create("key", b"1")
    second = await bucket.update("key", b"2", revision=first)
    with pytest.raises(Conflict):
        await bucket.update("key", b"3", revision=first)
    assert (await bucket.get("key")).revision == second > first


async def test_revisions_grow_over_a_delete(bucket: messaging.KeyValue) -> None:
    first = await bucket.create("key", b"1")
    with pytest.raises(Conflict):
        await bucket.delete("key", revision=first + 1)
    await bucket.delete("key", revision=first)
    with pytest.raises(NotFound):
        await bucket.get("key")
    assert await bucket.create("key", b"2") > first


async def test_list_gives_live_values_below_a_prefix_in_order(bucket: messaging.KeyValue) -> None:
    for key in ("a.2", "a.1", "b.1", "a.gone"):
        await bucket.put(key, key.encode())
    await bucket.delete("a.gone")
    assert [value.key for value in await bucket.list("a.")] == ["a.1", "a.2"]
    assert list(await bucket.list("none.")) == []


async def test_a_purge_leaves_nothing_of_a_prefix_and_all_of_the_others(bucket: messaging.KeyValue) -> None:
    for key in ("a.1", "a.b.2", "ab.1"):
        await bucket.create(key, b"x")
    await bucket.purge("a.")
    assert [value.key for value in await bucket.list()] == ["ab.1"]
    assert await bucket.create("a.1", b"again")


async def test_a_watch_goes_on_over_a_killed_server(
    nats_server: NatsServer, bucket: messaging.KeyValue
) -> None:
    await bucket.put("key", b"1")
    watch = aiter(bucket.watch("key"))
    async with asyncio.timeout(DEADLINE_S):
        assert (value := await anext(watch)) is not None
        assert value.data == b"1"
        assert await anext(watch) is None
        nats_server.kill()
        nats_server.start()
        await bucket.put("key", b"2")
        assert (value := await anext(watch)) is not None
        assert value.data == b"2"
        await bucket.delete("key")
        assert (value := await anext(watch)) is not None
        assert value.data == b""


async def test_a_write_waits_for_a_server_that_restarts(
    nats_server: NatsServer, bucket: messaging.KeyValue
) -> None:
    revision = await bucket.create("key", b"1")
    nats_server.kill()
    pending = asyncio.create_task(bucket.update("key", b"2", revision=revision))
    await asyncio.to_thread(nats_server.start)
    async with asyncio.timeout(DEADLINE_S):
        await pending
    assert (await bucket.get("key")).data == b"2"


async def test_a_frozen_server_does_not_lose_a_write(
    nats_server: NatsServer, bucket: messaging.KeyValue
) -> None:
    revision = await bucket.create("key", b"1")
    nats_server.freeze()
    pending = asyncio.create_task(bucket.update("key", b"2", revision=revision))
    await asyncio.sleep(messaging.REQUEST_TIMEOUT_S * 1.5)  # so that the first attempt is given up
    nats_server.thaw()
    async with asyncio.timeout(DEADLINE_S):
        await pending
    assert (await bucket.get("key")).data == b"2"


async def test_only_a_lost_connection_is_worth_a_warning(
    nats_server: NatsServer, capsys: pytest.CaptureFixture[str]
) -> None:
    config = ServiceConfig(nats_url=nats_server.url)
    async with connect(config, name="test"):
        pass
    assert "disconnected" not in capsys.readouterr().out
    async with connect(config, name="test") as client:
        nats_server.kill()
        nats_server.start()
        async with asyncio.timeout(DEADLINE_S):
            while not client.stats["reconnects"]:  # noqa: ASYNC110 - the client does not tell
                await asyncio.sleep(0.05)
    assert capsys.readouterr().out.count("nats disconnected") == 1


async def test_no_server_at_all_is_unavailable(unused_tcp_port: int) -> None:
    config = ServiceConfig(nats_url=f"nats://127.0.0.1:{unused_tcp_port}", nats_connect_timeout_s=0.3)
    with pytest.raises(Unavailable, match="no NATS server"):
        async with connect(config, name="test"):
            pass


async def test_in_whichever_moment_it_is_cancelled_connecting_ends(unused_tcp_port: int) -> None:
    """One step of the loop after the other: in some of them the client has just been refused."""
    config = ServiceConfig(nats_url=f"nats://127.0.0.1:{unused_tcp_port}")

    async def try_to() -> None:
        async with connect(config, name="test"):
            pass

    for steps_count in range(40):
        connecting = asyncio.create_task(try_to())
        for _ in range(steps_count):
            await asyncio.sleep(0)
        connecting.cancel()
        await asyncio.wait([connecting], timeout=config.nats_connect_timeout_s / 2)
        assert connecting.cancelled(), steps_count


async def test_a_list_is_whole_however_busy_the_loop_is(bucket: messaging.KeyValue) -> None:
    keys = [f"job.{number:04d}" for number in range(600)]
    await asyncio.gather(*(bucket.put(key, key.encode()) for key in keys))
    lists = await asyncio.gather(*(bucket.list("job.") for _reader in range(20)))
    assert all([value.key for value in values] == keys for values in lists)
    assert all(value.data == value.key.encode() for value in lists[0])
