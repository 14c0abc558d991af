"""Following one stream: what viewers see while a timeline is read anew."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from chassis.errors import NotFound, WeirError
from hls_gateway.domain.blocking import Place
from hls_gateway.domain.names import MEDIA, PlaylistName
from hls_gateway.domain.stream import Record
from hls_gateway.editions.edition import Edition
from hls_gateway.editions.follower import Follower
from hls_gateway.ports import BrokeOff, CaughtUp, TimelineEvent
from support.playlists import END, a_live_stream, a_part, a_segment, a_video

NAME = PlaylistName(MEDIA, "High")
GONE = NotFound("gone", reason="NO_STREAM")
Script = list[TimelineEvent]


class ScriptedFeed:
    """Tells, each time somebody follows, the next script; then whatever is put into `more`."""

    def __init__(self, *scripts: Script) -> None:
        self.more: asyncio.Queue[TimelineEvent | WeirError] = asyncio.Queue()
        self._scripts = list(scripts)

    async def follow(self, stream_id: str, incarnation: str) -> AsyncGenerator[TimelineEvent]:
        for event in self._scripts.pop(0):
            yield event
        while True:
            event_or_error = await self.more.get()
            if isinstance(event_or_error, WeirError):
                raise event_or_error
            yield event_or_error


class Visitor:
    """A waiter with a future."""

    def __init__(self) -> None:
        self.text: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def arrived(self, subject: Edition[str]) -> None:
        self.text.set_result(subject.playlist(NAME))

    def failed(self, error: WeirError) -> None:
        self.text.set_exception(error)


def plain_press(text: str, *, cache_control: str) -> str:  # noqa: ARG001 - a press is called so
    return text


@asynccontextmanager
async def following(feed: ScriptedFeed) -> AsyncGenerator[Follower[str]]:
    replaced: list[Edition[str]] = []
    follower = Follower("talk", "", plain_press, replaced.append)
    task = asyncio.create_task(follower.run(feed))
    try:
        yield follower
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_who_waits_moves_over_when_a_broken_timeline_is_read_anew() -> None:
    stream = a_live_stream()
    before = Record(sequence=1, entries=(a_video(), a_segment(0)))
    read_anew = Record(sequence=3, entries=(a_video(), a_segment(0), a_segment(1), a_part(2, 0)))
    feed = ScriptedFeed([stream, before, CaughtUp()], [stream, read_anew, CaughtUp()])
    async with following(feed) as follower, asyncio.timeout(20):
        edition = await follower.settled(1.0)
        visitor, later = Visitor(), Visitor()
        edition.wait(Place("High", 1, 0), visitor)
        edition.wait(Place("High", 2, 1), later)
        feed.more.put_nowait(Record(sequence=3, entries=(a_part(2, 0),)))  # segment 1 was missed
        assert "part_2_0.m4s" in await visitor.text
        feed.more.put_nowait(Record(sequence=4, entries=(a_part(2, 1),)))
        assert "part_2_1.m4s" in await later.text


async def test_while_a_recorded_stream_is_read_whole_its_last_window_is_shown() -> None:
    stream = a_live_stream(dvr_window_s=12.0, record=True)
    segments = tuple(a_segment(msn) for msn in range(20))
    live = Record(sequence=1, entries=(a_video(), *segments))
    end = Record(sequence=2, entries=(END,))
    feed = ScriptedFeed([stream, live, CaughtUp()], [])
    async with following(feed) as follower, asyncio.timeout(20):
        shown, visitor = await follower.settled(1.0), Visitor()
        shown.wait(Place("High", 20), visitor)
        feed.more.put_nowait(end)
        text = await visitor.text
        assert (text.count("#EXTINF"), text.endswith("#EXT-X-ENDLIST\n")) == (3, True)
        for event in (stream, Record(sequence=2, entries=(a_video(), *segments, END)), CaughtUp()):
            assert (follower.edition, shown.playlist(NAME)) == (shown, text)
            feed.more.put_nowait(event)
        while follower.edition is shown:  # noqa: ASYNC110 - it is a turn of the loop or two
            await asyncio.sleep(0)
        assert (await follower.settled(1.0)).playlist(NAME).count("#EXTINF") == 20


async def test_a_recorded_stream_that_has_ended_is_not_shown_before_all_of_it_is_read() -> None:
    stream = a_live_stream(dvr_window_s=12.0, record=True)
    record = Record(sequence=2, entries=(a_video(), *(a_segment(msn) for msn in range(20)), END))
    feed = ScriptedFeed([stream, record, CaughtUp()], [stream, record, CaughtUp()])
    async with following(feed) as follower:
        edition = await follower.settled(5.0)
        assert edition.playlist(NAME).count("#EXTINF") == 20


async def test_a_break_is_known_until_everything_is_heard_again() -> None:
    stream, record = a_live_stream(), Record(sequence=1, entries=(a_video(), a_segment(0)))
    feed = ScriptedFeed([stream, record, CaughtUp()])
    async with following(feed) as follower, asyncio.timeout(20):
        edition = await follower.settled(1.0)
        assert not edition.is_behind
        events = ((BrokeOff(), True), (stream, True), (record, True), (BrokeOff(), True), (CaughtUp(), False))
        for event, is_behind in events:
            feed.more.put_nowait(event)
            while not feed.more.empty():  # noqa: ASYNC110 - it is a turn of the loop or two
                await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert edition.is_behind is is_behind


async def test_who_waits_hears_that_the_stream_is_gone() -> None:
    feed = ScriptedFeed([a_live_stream(), Record(sequence=1, entries=(a_video(), a_segment(0))), CaughtUp()])
    async with following(feed) as follower, asyncio.timeout(20):
        edition, visitor = await follower.settled(1.0), Visitor()
        edition.wait(Place("High", 1), visitor)
        feed.more.put_nowait(GONE)
        with pytest.raises(NotFound, match="gone"):
            await visitor.text
        with pytest.raises(NotFound, match="gone"):
            edition.is_over(Place("High", 1))
