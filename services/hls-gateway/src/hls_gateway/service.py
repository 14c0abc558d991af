"""What viewers ask for: a playlist, or the bytes behind a media name.

Each question can be asked in two ways. `..._now` answers from memory or not at all, without a task; the other
way waits, always with a deadline, for the distributor or for storage.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Generic, TypeVar

from chassis.errors import Unavailable
from hls_gateway.domain.media import MediaObject, find_media
from hls_gateway.domain.names import MediaName
from hls_gateway.editions.edition import Edition
from hls_gateway.editions.shelf import Shelf
from hls_gateway.ports import HeldObject, MediaStore

Printed = TypeVar("Printed")


class HeldMedia:
    """Bytes in memory, pinned there until `release`.

    `was_held` tells that they were there when they were asked for, and not read for it.
    """

    def __init__(self, media: MediaObject, held: HeldObject, *, was_held: bool) -> None:
        self.media = media
        self.was_held = was_held
        self.size_bytes = len(held.data)
        self.release = held.unpin
        self._data = held.data
        held.pin()

    def body(self, start: int, length: int) -> memoryview:
        """Show part of the bytes without a copy."""
        return memoryview(self._data)[start : start + length]


class StreamedMedia:
    """Bytes that come from storage piece by piece; a reservation is held until `release`."""

    was_held = False

    def __init__(self, media: MediaObject, store: MediaStore) -> None:
        self.media = media
        self.size_bytes = media.size_bytes
        self.release = store.release_stream
        self._store = store

    def pieces(self, start: int, length: int) -> AsyncGenerator[bytes]:
        """Read part of the bytes."""
        return self._store.stream(self.media.object_key, start, length)


class GatewayService(Generic[Printed]):
    """The use-cases of playback."""

    def __init__(self, shelf: Shelf[Printed], store: MediaStore) -> None:
        self._shelf = shelf
        self._store = store
        self.edition_now = shelf.edition_now  # not wrapped: it is asked at every request

    async def edition(self, stream_id: str, incarnation: str) -> Edition[Printed]:
        """Give a stream's edition.

        Raises:
            NotFound: There is no such stream or incarnation.
            Unavailable: The distributor did not tell in time.
        """
        return await self._shelf.edition(stream_id, incarnation)

    def media_now(self, edition: Edition[Printed], rendition_id: str, name: MediaName) -> HeldMedia | None:
        """Give the bytes behind a name if they are in memory.

        Raises:
            NotFound: Nothing of that name is announced.
        """
        media = find_media(edition.timeline, rendition_id, name)
        held = self._store.held(media.object_key)
        return HeldMedia(media, held, was_held=True) if held else None

    async def media(
        self, edition: Edition[Printed], rendition_id: str, name: MediaName
    ) -> HeldMedia | StreamedMedia:
        """Give the bytes behind a name, from memory if there is room for them.

        Raises:
            NotFound: Nothing of that name is announced, or its object is gone.
            Unavailable: Storage did not answer in time.
        """
        media = find_media(edition.timeline, rendition_id, name)
        held = await self._store.read(media.object_key, media.size_bytes)
        if held:
            return HeldMedia(media, held, was_held=False)
        await self._store.reserve_stream()
        return StreamedMedia(media, self._store)

    async def warm(self, edition: Edition[Printed], rendition_id: str, name: MediaName) -> None:
        """Have the bytes behind a name in memory, if there is room for them.

        Raises:
            NotFound: Nothing of that name is announced, or its object is gone.
            Unavailable: Storage did not answer in time.
        """
        media = find_media(edition.timeline, rendition_id, name)
        await self._store.read(media.object_key, media.size_bytes)

    def send_away(self) -> None:
        """End all waiting, since this gateway is about to stop; another one goes on."""
        self._shelf.send_away(
            Unavailable("the gateway is stopping: try again", reason="STOPPING", retry_delay_s=1.0)
        )
