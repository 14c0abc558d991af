"""Recordings in a NATS key-value bucket, as JSON under the token of their id."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import TypeAdapter

from chassis import layout
from chassis.errors import NotFound
from chassis.messaging import KeyValue
from transcoder.domain.recording import Recording
from transcoder.ports import Kept

_JSON = TypeAdapter(Recording)


class KvRecordingStore:
    """See `ports.RecordingStore`."""

    def __init__(self, bucket: KeyValue) -> None:
        self._bucket = bucket

    async def get(self, recording_id: str) -> Kept[Recording] | None:
        try:
            value = await self._bucket.get(layout.token(recording_id))
        except NotFound:
            return None
        return Kept(_JSON.validate_json(value.data), value.revision)

    async def create(self, recording: Recording) -> int:
        return await self._bucket.create(layout.token(recording.recording_id), _JSON.dump_json(recording))

    async def update(self, recording: Recording, revision: int) -> int:
        key = layout.token(recording.recording_id)
        return await self._bucket.update(key, _JSON.dump_json(recording), revision=revision)

    async def remove(self, recording_id: str) -> None:
        await self._bucket.delete(layout.token(recording_id))

    async def list(self) -> Sequence[Recording]:
        return [_JSON.validate_json(value.data) for value in await self._bucket.list()]
