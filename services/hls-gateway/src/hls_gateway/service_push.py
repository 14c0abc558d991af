"""Take in segments before viewers ask for them: what the distributor pushes to its edges."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

from chassis.errors import DeadlineExceeded, InvalidArgument, NotFound
from hls_gateway.domain.pushed import PushedObject, is_announced, require_whole
from hls_gateway.editions.shelf import Shelf
from hls_gateway.ports import MediaStore

Printed = TypeVar("Printed")

# How long the announcement may be on its way here when its bytes are pushed.
_NEWS_S = 1.0


class PushService(Generic[Printed]):
    """Puts pushed segments into memory.

    Args:
        shelf: The streams in use; one that is pushed is in use.
        store: Where bytes are held.
        deadline_s: For one push, from its first message.
    """

    def __init__(self, shelf: Shelf[Printed], store: MediaStore, deadline_s: float) -> None:
        self._shelf = shelf
        self._store = store
        self._deadline_s = deadline_s

    async def push(self, pushed: PushedObject, pieces: AsyncIterator[bytes]) -> int:
        """Take a segment in; returns how many bytes came: none if it is here already.

        Raises:
            NotFound: The stream is not known, or the segment not yet.
            InvalidArgument: It is not the announced one, or not whole.
            ResourceExhausted: There is no room.
            DeadlineExceeded: It took too long.
        """
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._require_announced(pushed)
                if self._store.held(pushed.object_key):
                    return 0
                return await self._receive(pushed, pieces)
        except TimeoutError:
            raise DeadlineExceeded(f"the segment was not whole after {self._deadline_s:g} s") from None

    async def _require_announced(self, pushed: PushedObject) -> None:
        deadline = time.monotonic() + _NEWS_S
        while True:
            edition = await self._shelf.edition(pushed.stream_id, pushed.incarnation)
            if is_announced(edition.timeline, pushed):
                return
            if not await edition.news(deadline - time.monotonic()):
                raise NotFound(
                    f"segment {pushed.msn} of {pushed.rendition_id!r} is not announced here yet: try again",
                    reason="NO_SEGMENT",
                )

    async def _receive(self, pushed: PushedObject, pieces: AsyncIterator[bytes]) -> int:
        data = bytearray()
        with self._store.receive(pushed.object_key, pushed.size_bytes) as put:
            async for piece in pieces:
                data += piece
                if len(data) > pushed.size_bytes:
                    raise InvalidArgument(
                        f"more than the {pushed.size_bytes} bytes came that object.size_bytes tells",
                        reason="WRONG_SIZE",
                        field="data",
                    )
            whole = bytes(data)
            require_whole(pushed, whole)
            put(whole)
        return len(whole)
