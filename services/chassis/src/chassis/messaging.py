"""NATS as Weir uses it.

Streams and buckets made on first use, and a key-value bucket whose writes say what they expect to find.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext, api
from nats.js import errors as js_errors
from nats.js import kv as js_kv

from chassis.errors import AlreadyExists, Conflict, NotFound
from chassis.layout import news_subject
from chassis.nats_retry import HICCUPS, persist

REQUEST_TIMEOUT_S = 1.0
_WRONG_LAST_SEQUENCE = 10071  # err_code of nats-server
# Headers by which a bucket's message says that its key has no value: written by a client, or on expiry.
_OPERATION = "KV-Operation"
_MARKER = "Nats-Marker-Reason"
_LIST_BATCH = 256
_LIST_IDLE_S = 30.0  # a reader that died is forgotten after so long
_WATCH_POLL_S = 1.0  # how soon a watch sees that its connection is another one


def jetstream(client: Client) -> JetStreamContext:
    """The connection's JetStream, with deadlines that suit retries."""
    return client.jetstream(timeout=REQUEST_TIMEOUT_S)


async def ensure_stream(js: JetStreamContext, config: api.StreamConfig) -> None:
    """Make a stream if it is not there yet, or bring its settings up to date."""

    async def ensure(_attempt: int) -> None:
        try:
            await js.add_stream(config)
        except js_errors.BadRequestError:  # there already, with other settings
            await js.update_stream(config)

    await persist(ensure)


async def ensure_bucket(
    client: Client, bucket: str, *, replicas: int, ttl_s: float | None = None, news: bool = False
) -> KeyValue:
    """Open a key-value bucket, made if it is not there yet.

    Args:
        client: The connection.
        bucket: Its name, from `layout`.
        replicas: Copies that JetStream keeps.
        ttl_s: When given, every value expires that long after it was written, seconds.
        news: Publish every change again under `layout.news_subject`, and let any replica be read directly.
    """
    keys = f"$KV.{bucket}.>"
    republish = api.RePublish(src=keys, dest=news_subject(keys)) if news else None
    config = api.KeyValueConfig(
        bucket=bucket, history=1, ttl=ttl_s, replicas=replicas, direct=news or None, republish=republish
    )
    js = jetstream(client)

    async def ensure(_attempt: int) -> None:
        try:
            await js.create_key_value(config)
        except js_errors.BadRequestError:  # there already, with other settings
            found = (await js.stream_info(f"KV_{bucket}")).config
            await js.update_stream(found.evolve(num_replicas=replicas, max_age=ttl_s, republish=republish))

    await persist(ensure)
    # `get` asks the leader: another replica may not know yet what was just written.
    leader = js_kv.KeyValue(bucket, f"KV_{bucket}", f"$KV.{bucket}.", js, direct=False)
    return KeyValue(client, bucket, leader)


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A key's value and the revision under which it was read."""

    key: str
    data: bytes
    revision: int


class KeyValue:
    """A bucket. Revisions only grow, over deletes too, so a revision is a fence.

    Everything is retried through hiccups of NATS. A write that expects a revision may then meet its own first
    attempt: if the bytes found are its own, it has succeeded.

    Raises (all verbs):
        Unavailable: NATS did not answer for RETRY_S.
    """

    def __init__(self, client: Client, name: str, bucket: js_kv.KeyValue) -> None:
        self._client = client
        self._name = name
        self._bucket = bucket

    async def get(self, key: str) -> Value:
        """Read a value; NotFound if the key has none."""
        return await persist(lambda _attempt: self._get(key))

    async def put(self, key: str, data: bytes) -> int:
        """Write a value whatever stood there; answers its revision."""
        return await persist(lambda _attempt: self._bucket.put(key, data))

    async def put_together(self, values: Mapping[str, bytes]) -> None:
        """Write many values for the price of one answer: the last one's, behind all others.

        One that is refused alone is not noticed: only for what will be written again anyway.
        """
        *others, last = values
        for key in others:
            await self._client.publish(f"$KV.{self._name}.{key}", values[key])
        await self.put(last, values[last])

    async def create(self, key: str, data: bytes) -> int:
        """Write the first value of a key; AlreadyExists if there is one."""

        async def create(attempt: int) -> int:
            try:
                return await self._bucket.create(key, data)
            except js_errors.KeyWrongLastSequenceError as error:
                if attempt > 1 and (revision := await self._own_write(key, data)):
                    return revision
                raise AlreadyExists(f"{key!r} exists already") from error
            except js_errors.KeyNotFoundError as error:
                # Refused for a write that is not there yet: it is still being agreed upon.
                raise js_errors.ServiceUnavailableError from error

        return await persist(create)

    async def update(self, key: str, data: bytes, *, revision: int) -> int:
        """Replace the value that was read under `revision`; Conflict if somebody else wrote since."""

        async def update(attempt: int) -> int:
            try:
                return await self._bucket.update(key, data, last=revision)
            except js_errors.KeyWrongLastSequenceError as error:
                if attempt > 1 and (own := await self._own_write(key, data)):
                    return own
                raise Conflict(f"{key!r} changed since revision {revision}") from error

        return await persist(update)

    async def delete(self, key: str, *, revision: int | None = None) -> None:
        """Remove a key, whether it has a value or not; Conflict if a given `revision` is not the newest."""

        async def delete(attempt: int) -> None:
            try:
                await self._bucket.delete(key, last=revision)
            except js_errors.BadRequestError as error:
                if error.err_code != _WRONG_LAST_SEQUENCE:
                    raise
                if attempt == 1 or not await self._is_gone(key):
                    raise Conflict(f"{key!r} changed since revision {revision}") from error

        await persist(delete)

    async def list(self, prefix: str = "") -> Sequence[Value]:
        """Read all values below a prefix, which is empty or ends with a dot; in the order of their keys.

        A server that has just come back may be the one that reads: what was written last, while it was away,
        may be missing for as long as it catches up. A watch tells it all the same.
        """
        values = await persist(lambda _attempt: self._list(f"{prefix}>"))
        return sorted(values, key=lambda value: value.key)

    async def purge(self, prefix: str) -> None:
        """Remove all keys below a prefix that ends with a dot, without a trace: no watcher hears of it."""
        subject = f"$KV.{self._name}.{prefix}>"
        js = jetstream(self._client)
        await persist(lambda _attempt: js.purge_stream(f"KV_{self._name}", subject=subject))

    async def watch(self, pattern: str) -> AsyncGenerator[Value | None]:
        """Follow keys that match a NATS pattern: their values now, then None, then each new value.

        A deleted key arrives with empty data. A lost connection does not end the watch, nor does it lose a
        key's newest value.
        """
        newest = 0
        for value in sorted(
            await persist(lambda _attempt: self._list(pattern)), key=lambda value: value.revision
        ):
            newest = value.revision
            yield value
        yield None
        while True:
            async with aclosing(self._watch_connection(pattern)) as values:
                async for value in values:
                    if value.revision > newest:
                        newest = value.revision
                        yield value

    async def _watch_connection(self, pattern: str) -> AsyncGenerator[Value]:
        """Follow keys until the connection was lost and made again: the client's own recovery takes 20 s."""
        reconnects = self._client.stats["reconnects"]
        watcher: Any = await persist(lambda _attempt: self._bucket.watch(pattern))
        try:
            while reconnects == self._client.stats["reconnects"]:
                with suppress(nats.errors.TimeoutError):
                    # None is the client's mark of having caught up; it may come too early.
                    if entry := await watcher.updates(timeout=_WATCH_POLL_S):
                        yield _value(entry)
        finally:
            with suppress(*HICCUPS):
                await watcher.stop()

    async def _get(self, key: str) -> Value:
        try:
            return _value(await self._bucket.get(key))
        except js_errors.KeyNotFoundError as error:
            raise NotFound(f"{key!r} is not there") from error

    async def _list(self, pattern: str) -> Sequence[Value]:
        """Read the newest message of each subject.

        A pull consumer knows how many there are before it sends one; a pushing one is asked while it sends.
        """
        js, stream = jetstream(self._client), f"KV_{self._name}"
        config = api.ConsumerConfig(
            deliver_policy=api.DeliverPolicy.LAST_PER_SUBJECT,
            ack_policy=api.AckPolicy.NONE,
            mem_storage=True,
            inactive_threshold=_LIST_IDLE_S,
        )
        reader = await js.pull_subscribe(f"$KV.{self._name}.{pattern}", stream=stream, config=config)
        try:
            consumer = await self._info_of(reader)
            count = consumer.num_pending or 0
            messages: list[Msg] = []
            while len(messages) < count:
                wanted = min(_LIST_BATCH, count - len(messages))
                messages += await reader.fetch(wanted, timeout=REQUEST_TIMEOUT_S)
            with suppress(js_errors.NotFoundError):  # it went by itself
                await js.delete_consumer(stream, consumer.name)
        finally:
            await reader.unsubscribe()
        return [self._message_value(message) for message in messages if not _is_deletion(message)]

    @staticmethod
    async def _info_of(reader: JetStreamContext.PullSubscription) -> api.ConsumerInfo:
        try:
            return await reader.consumer_info()
        except js_errors.NotFoundError as error:  # lost with the server that held it: make another
            raise js_errors.ServiceUnavailableError from error

    def _message_value(self, message: Msg) -> Value:
        key = message.subject.removeprefix(f"$KV.{self._name}.")
        return Value(key=key, data=message.data, revision=message.metadata.sequence.stream)

    async def _is_gone(self, key: str) -> bool:
        try:
            await self._get(key)
        except NotFound:
            return True
        return False

    async def _own_write(self, key: str, data: bytes) -> int | None:
        with suppress(NotFound):
            found = await self._get(key)
            return found.revision if found.data == data else None
        return None


def _value(entry: js_kv.KeyValue.Entry) -> Value:
    return Value(key=entry.key or "", data=entry.value or b"", revision=entry.revision or 0)


def _is_deletion(message: Msg) -> bool:
    return bool(message.headers and (_OPERATION in message.headers or _MARKER in message.headers))
