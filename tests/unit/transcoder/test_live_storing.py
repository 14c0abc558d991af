"""What a live run stores while storage comes and goes; against hand-written storage."""

from __future__ import annotations

import asyncio
from typing import cast

from chassis.errors import Unavailable
from transcoder.domain.live_settings import LiveSettings
from transcoder.domain.live_timeline import LiveTimeline
from transcoder.live.ownership import OwnerRules, Ownership
from transcoder.live.ports import LiveLedger, OpenedLive
from transcoder.live.storing import PUTS_AT_ONCE, Shelf
from transcoder.ports import MediaStore

PIECES_COUNT = 10 * PUTS_AT_ONCE


class Storage:
    """Says nothing while it is away, and then that it is."""

    def __init__(self) -> None:
        self.is_back = asyncio.Event()
        self.stored: list[str] = []
        self.at_once = self.most_at_once = 0

    async def put(self, key: str, data: bytes) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if not self.is_back.is_set():
                await self.is_back.wait()
                raise Unavailable("the connection is dead")
            await asyncio.sleep(0)
            self.stored.append(key)
        finally:
            self.at_once -= 1


def shelf_over(storage: Storage) -> Shelf:
    settings = LiveSettings(stream_id="cam", incarnation="1", target_duration_s=2)
    opened = OpenedLive(incarnation="1", epoch=1, sequence=1, timeline=LiveTimeline())
    nothing_is_appended = cast("LiveLedger", object())
    ownership = Ownership(nothing_is_appended, settings, opened, OwnerRules(owner="here"))
    return Shelf(cast("MediaStore", storage), ownership, hold_s=20.0)


async def test_what_was_held_is_stored_in_its_order_a_bounded_number_at_once() -> None:
    storage = Storage()
    shelf = shelf_over(storage)
    keys = [f"streams/cam/1/High/{number:08d}" for number in range(PIECES_COUNT)]
    puts = [asyncio.create_task(shelf.put(key, b"x")) for key in keys]
    while storage.at_once < PUTS_AT_ONCE:  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0)
    storage.is_back.set()
    await asyncio.gather(*puts)
    assert storage.most_at_once == PUTS_AT_ONCE
    assert sorted(storage.stored) == keys
    newest_first = storage.stored.index(keys[-1])
    assert newest_first >= PIECES_COUNT - PUTS_AT_ONCE, "the newest overtook those that had waited"
