"""The registry in a key-value bucket: a stream per key, as JSON that `nats kv get` shows to people."""

from __future__ import annotations

from collections.abc import Sequence

from nats.aio.client import Client
from pydantic import TypeAdapter

from chassis import layout
from chassis.errors import NotFound
from chassis.messaging import KeyValue, ensure_bucket
from distributor.adapters.journal import Journal, Message
from distributor.domain.stream import Stream
from distributor.ports import Registered, StreamChanged

_JSON = TypeAdapter(Stream)


async def open_registry(client: Client, *, replicas: int) -> tuple[RegistryStore, Journal]:
    """Open the bucket, made if it is not there yet; the journal under it tells of changes.

    Args:
        client: The connection to NATS.
        replicas: Copies that JetStream keeps.
    """
    bucket = await ensure_bucket(client, layout.STREAMS_BUCKET, replicas=replicas, news=True)
    return RegistryStore(bucket), Journal(client, f"KV_{layout.STREAMS_BUCKET}")


def subject_of(stream_id: str) -> str:
    """The subject under which JetStream stores a stream's entry."""
    return f"$KV.{layout.STREAMS_BUCKET}.{layout.token(stream_id)}"


def stream_changed(_message: Message) -> StreamChanged:
    """Take a message of the bucket for news; what it holds may be out of date when it is read."""
    return StreamChanged()


class RegistryStore:
    """Reads and writes the registry; implements the port Registry."""

    def __init__(self, bucket: KeyValue) -> None:
        self._bucket = bucket

    async def get(self, stream_id: str) -> Registered:
        """Read a stream; NotFound."""
        try:
            value = await self._bucket.get(layout.token(stream_id))
        except NotFound as error:
            raise NotFound(f"there is no stream {stream_id!r}", reason="NO_STREAM") from error
        return Registered(stream=_JSON.validate_json(value.data), revision=value.revision)

    async def create(self, stream: Stream) -> int:
        """Store a new stream; AlreadyExists if its id is taken."""
        return await self._bucket.create(layout.token(stream.stream_id), _JSON.dump_json(stream))

    async def update(self, stream: Stream, *, revision: int) -> int:
        """Replace the stream that was read under `revision`; Conflict if it changed since."""
        return await self._bucket.update(
            layout.token(stream.stream_id), _JSON.dump_json(stream), revision=revision
        )

    async def delete(self, stream_id: str, *, revision: int) -> None:
        """Remove the stream that was read under `revision`; Conflict if it changed since."""
        await self._bucket.delete(layout.token(stream_id), revision=revision)

    async def list(self) -> Sequence[Stream]:
        """List all streams, in no order."""
        return tuple(_JSON.validate_json(value.data) for value in await self._bucket.list())
