"""Store the bytes of live media under keys of one attempt's own: no two owners ever write the same object."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress

from chassis import layout
from chassis.errors import AlreadyExists
from transcoder.domain.live_cutter import LivePart
from transcoder.domain.live_timeline import StoredObject
from transcoder.domain.plan import Container
from transcoder.domain.thumbnails import THUMBNAILS_RENDITION_ID
from transcoder.live.holding import hold
from transcoder.live.ownership import Ownership
from transcoder.ports import MediaStore

PUTS_AT_ONCE = 32
"""Of one run: many times what goes on while storage is well. When it was away for a minute a thousand pieces
wait, and as many connections at once would bring it down again."""
_SUFFIXES = {Container.CMAF: "m4s", Container.TS: "ts"}


class Shelf:
    """Where one run's objects lie."""

    def __init__(self, media: MediaStore, ownership: Ownership, *, hold_s: float) -> None:
        self._media = media
        self._stream_id = ownership.stream_id
        self._incarnation = ownership.opened.incarnation
        self._suffix = _SUFFIXES[ownership.settings.container]
        self._attempt = layout.new_attempt()
        self._hold_s = hold_s
        self._turns = asyncio.Semaphore(PUTS_AT_ONCE)  # first come, first served

    def init_object(self, rendition_id: str, init: bytes) -> StoredObject:
        """Name an init segment; equal ones share a key."""
        digest = hashlib.sha256(init).hexdigest()
        key = layout.init_key(self._stream_id, self._incarnation, rendition_id, digest)
        return StoredObject(key=key, size_bytes=len(init))

    def part_object(self, rendition_id: str, msn: int, piece: LivePart) -> StoredObject:
        """Name a part."""
        key = layout.part_key(
            self._stream_id, self._incarnation, rendition_id, msn, piece.part, self._attempt, self._suffix
        )
        return StoredObject(key=key, size_bytes=len(piece.data))

    def segment_object(self, rendition_id: str, msn: int, data: bytes) -> StoredObject:
        """Name a segment."""
        suffix = "jpg" if rendition_id == THUMBNAILS_RENDITION_ID else self._suffix
        key = layout.segment_key(self._stream_id, self._incarnation, rendition_id, msn, self._attempt, suffix)
        return StoredObject(key=key, size_bytes=len(data))

    async def put(self, key: str, data: bytes) -> None:
        """Write an object, held while storage is away; the oldest go first."""

        async def put() -> None:
            with suppress(
                AlreadyExists
            ):  # by this same call, whose answer was lost; or an equal init segment
                await self._media.put(key, data)

        async with self._turns:
            await hold(put, self._hold_s)
