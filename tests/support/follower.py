"""A viewer who trusts nobody: reads every playlist of a stream, all the time, and every byte.

It behaves as players do: blocking reloads where they are offered, another try where a server was away (5xx,
or a connection that broke), none where something is said to be missing (4xx). What is wrong is written down
by the laws in `support.checker`.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from urllib.parse import urljoin

import aiohttp

from support.checker import INIT, WHOLE, RenditionLaws, Wanted
from support.seen import SeenPlaylist, read_seen

AGAIN_S = 0.1
AWAY_S = 40.0  # how long a server may be away before the viewer gives up
ANSWER_S = 12.0
MASTER_INTERVAL_S = 2.0


class Follower:
    """Make it with `following`; read it from any thread."""

    def __init__(self, site: str, stream_id: str, *, away_s: float = AWAY_S) -> None:
        self.laws: dict[str, RenditionLaws] = {}
        self.faults: list[str] = []
        self.retries: list[str] = []
        self.growth: dict[str, list[float]] = {}
        """By rendition: when something new was seen at its edge, monotonic seconds."""
        self.ended: set[str] = set()
        self.left_out: list[str] = []
        """Rungs that are no longer offered."""
        self._site = site
        self._away_s = away_s
        self._master_url = f"{site}/hls/{stream_id}/master.m3u8"
        self._stop = threading.Event()
        self._chance = random.Random(7)

    async def run(self) -> None:
        """Follow the stream until it has ended, or until told to stop."""
        timeout = aiohttp.ClientTimeout(total=ANSWER_S)
        async with aiohttp.ClientSession(timeout=timeout) as self._session, asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self._watch_master(tasks))
            while not self._stop.is_set():  # noqa: ASYNC110 - another thread sets it
                await asyncio.sleep(0.02)
            watching.cancel()

    def stop(self) -> None:
        self._stop.set()

    @property
    def all_faults(self) -> list[str]:
        return [*self.faults, *(fault for laws in self.laws.values() for fault in laws.faults)]

    def require_lawful(self) -> None:
        """Fail with every law that was broken."""
        assert not self.all_faults, "\n".join(self.all_faults[:20])

    def count_segments(self) -> int:
        """How many segments were seen whole, in the rendition that has fewest."""
        return min((laws.whole_count for laws in self.laws.values()), default=0)

    @property
    def breaks(self) -> int:
        """The discontinuity sequence at the edge; fails while renditions differ."""
        (number,) = {laws.last.listed[-1].discontinuity_sequence for laws in self.laws.values() if laws.last}
        return number

    @property
    def gaps_count(self) -> int:
        """How many segments were announced as gaps."""
        return sum(segment.gap for laws in self.laws.values() for segment in laws.segments)

    def wait_segments(self, count: int, within_s: float) -> None:
        """Wait until each rendition has so many more whole segments than now."""
        begin = {name: laws.whole_count for name, laws in self.laws.items()}
        self.wait(
            lambda: (
                bool(self.laws)
                and all(laws.whole_count >= begin.get(name, 0) + count for name, laws in self.laws.items())
            ),
            within_s,
            f"{count} more segments",
        )

    def wait_ended(self, within_s: float) -> None:
        """Wait until all playlists have ENDLIST."""
        self.wait(lambda: bool(self.laws) and self.ended == set(self.laws), within_s, "the end")

    def wait(self, is_so: Callable[[], bool], within_s: float, what: str) -> None:
        """Wait for something while the stream stays lawful."""
        deadline = time.monotonic() + within_s
        while not is_so():
            self.require_lawful()
            assert time.monotonic() < deadline, f"{what} did not come within {within_s:g} s: {self.tell()}"
            time.sleep(0.05)

    def longest_pause_s(self, since: float) -> float:
        """Tell the longest time without anything new, in any rendition, from a monotonic time on."""
        now = time.monotonic()
        pauses = [0.0]
        for times in self.growth.values():
            points = [since, *(at for at in times if at > since), now]
            pauses += [later - at for at, later in pairwise(points)]
        return max(pauses)

    def tell(self) -> str:
        """Say how far each rendition is."""
        places = {
            name: (laws.last.next_place, laws.last.discontinuity_sequence) if laws.last else None
            for name, laws in self.laws.items()
        }
        return f"{places}, retries {self.retries[-5:]}"

    async def _watch_master(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            status, data = await self._read(self._master_url)
            if status == 200:
                for name in _variants(data.decode()):
                    if name not in self.laws:
                        self.laws[name] = RenditionLaws(name)
                        self.growth[name] = []
                        tasks.create_task(self._follow(name))
            elif status and (self.laws or status != 404):  # 0: told to stop
                self.faults.append(f"the multivariant playlist answered {status}")
            await asyncio.sleep(MASTER_INTERVAL_S if self.laws else AGAIN_S)

    async def _follow(self, name: str) -> None:
        url, laws = urljoin(self._master_url, name), self.laws[name]
        query = ""
        while not self._stop.is_set():
            status, data = await self._read(url + query)
            if status == 404 and await self._is_left_out(name):
                self._leave(name)
                return
            if status != 200:
                self.faults.append(f"{name}{query} answered {status}: {data[:200]!r}")
                return
            playlist = read_seen(data.decode())
            before = laws.last
            wanted = laws.take_playlist(playlist)
            if before is None or playlist.next_place > before.next_place:
                self.growth[name].append(time.monotonic())
            await self._read_all(url, laws, wanted)
            await self._read_again(url, laws, playlist)
            if playlist.ended:
                self.ended.add(name)
                return
            query = await self._next_query(playlist)

    async def _is_left_out(self, name: str) -> bool:
        """Whether a rung is no longer offered: encoding it was too slow."""
        status, data = await self._read(self._master_url)
        return status == 200 and name not in _variants(data.decode())

    def _leave(self, name: str) -> None:
        """Expect nothing more of a rung; what it broke stays broken."""
        self.left_out.append(name)
        self.faults += self.laws.pop(name).faults
        del self.growth[name]

    async def _next_query(self, playlist: SeenPlaylist) -> str:
        if not playlist.can_block:
            await asyncio.sleep(playlist.target_s / 2)
            return ""
        msn, part = playlist.next_place
        return f"&_HLS_msn={msn}" + (f"&_HLS_part={part}" if playlist.part_target_s else "")

    async def _read_all(self, url: str, laws: RenditionLaws, wanted: list[Wanted]) -> None:
        answers = await asyncio.gather(*(self._read(urljoin(url, item.uri)) for item in wanted))
        for item, (status, data) in zip(wanted, answers, strict=True):
            if status == 200:
                laws.take_bytes(item, data)
            elif status:
                laws.take_refusal(item, status)

    async def _read_again(self, url: str, laws: RenditionLaws, playlist: SeenPlaylist) -> None:
        """Look whether one of the segments, and its init segment, still have the bytes that they had."""
        segments = [segment for segment in playlist.segments if not segment.gap]
        if segments and self._chance.random() < 0.1:
            segment = self._chance.choice(segments)
            again = [Wanted(segment.msn, WHOLE, segment.uri)]
            if segment.init_uri:
                again.append(Wanted(segment.msn, INIT, segment.init_uri))
            await self._read_all(url, laws, again)

    async def _read(self, url: str) -> tuple[int, bytes]:
        """Read a URL; tries again while the server is away. Answers status 0 when told to stop."""
        deadline = time.monotonic() + self._away_s
        while not self._stop.is_set():
            try:
                async with self._session.get(url) as answer:
                    data = await answer.read()
                    if answer.status < 500:
                        return answer.status, data
                    trouble = f"{answer.status} {data[:120]!r}"
            except (aiohttp.ClientError, TimeoutError) as error:
                trouble = repr(error)
            self.retries.append(f"{url.removeprefix(self._site)}: {trouble}")
            if time.monotonic() > deadline:
                self.faults.append(f"{url} could not be read for {self._away_s:g} s: {trouble}")
                return 0, b""
            await asyncio.sleep(AGAIN_S)
        return 0, b""


def _variants(master: str) -> list[str]:
    """The media playlists that a multivariant playlist names: of variants, then of other renditions."""
    lines = master.splitlines()
    names = [line for line in lines if line and not line.startswith("#")]
    tracks = [line.split('URI="')[1].split('"')[0] for line in lines if line.startswith("#EXT-X-MEDIA:")]
    return [*names, *tracks]


@contextmanager
def following(site: str, stream_id: str, *, away_s: float = AWAY_S) -> Iterator[Follower]:
    """Follow a stream for as long as the block lasts; fails at its end if a law was broken.

    `away_s`: How long anything may be unreadable before the viewer gives up.
    """
    follower = Follower(site, stream_id, away_s=away_s)
    thread = threading.Thread(target=lambda: asyncio.run(follower.run()), daemon=True)
    thread.start()
    try:
        yield follower
    finally:
        follower.stop()
        thread.join(ANSWER_S + 5)
    assert not thread.is_alive(), "the follower does not end"
    follower.require_lawful()
