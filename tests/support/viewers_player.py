"""One simulated viewer: plays a stream through the door as a player does, and writes down what it felt.

It holds some seconds of media, changes rungs by what its line carried, says so in CMCD, tries again where a
server was away (5xx, or a connection that broke) and never where something is said to be missing (4xx).
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from urllib.parse import urljoin

import aiohttp

from support.seen import SeenPlaylist, SeenSegment, read_seen
from support.viewers_clock import PlaybackClock
from support.viewers_words import (
    Line,
    Offer,
    Words,
    choose_offer,
    first_msn,
    read_offers,
    read_told_kbps,
    reload_after_s,
    render_headers,
    render_query,
)

TARGET_S = 10.0
BEGIN_S = 1.0
SUPPOSED_BPS = 500_000  # what hls.js takes a line to carry before it has measured
AGAIN_S = 0.25
ANSWER_S = 8.0
AWAY_S = 20.0  # how long a server may be away before a request has failed
NEWEST_RATIO = 0.3  # what the newest download counts in the estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Who watches what, and how."""

    site: str
    stream_id: str
    viewer_id: str
    """The CMCD `sid`, too."""
    joins: bool = False
    """Asks JoinStream first; who is refused watches without."""
    speaks_in_headers: bool = False
    """CMCD goes in headers, else in the query."""
    line: Line = field(default_factory=Line)


@dataclass(slots=True)
class Felt:
    """What a viewer counted by itself."""

    joined_status: int = 0
    """What JoinStream answered; 0: it was not asked."""
    session_id: str = ""
    """What JoinStream handed out."""
    segments_count: int = 0
    media_bytes: int = 0
    """Of segments and init segments."""
    retries: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """Requests that no retry made good."""
    gaps_count: int = 0
    missed_count: int = 0
    """Segments that had left the window before they were asked for."""
    rungs: list[str] = field(default_factory=list)
    """The variants played, one entry per change."""
    told_kbps: int | None = None
    arrivals: list[tuple[float, int]] = field(default_factory=list)
    """When each object was whole, monotonic, and its bytes."""

    @property
    def switches_count(self) -> int:
        return max(0, len(self.rungs) - 1)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A media playlist as last read, and when it may be read again."""

    playlist: SeenPlaylist
    again_time: float


class Viewer:
    """Plays until it is told to stop, a recording over and over, a live stream to its end."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.felt = Felt()
        self.clock = PlaybackClock(begin_s=BEGIN_S)
        self._stopping = asyncio.Event()
        self._throughput_bps = 0.0
        self._offers: tuple[Offer, ...] = ()
        self._playlists: dict[str, Loaded] = {}
        self._inits: set[str] = set()

    def stop(self) -> None:
        """End as soon as the request in flight is answered."""
        self._stopping.set()

    @property
    def name(self) -> str:
        """What samples call it: the session that JoinStream gave, else its own `sid`."""
        return self.felt.session_id or self.plan.viewer_id

    @property
    def rung(self) -> str:
        """The variant that plays; empty before the first segment."""
        return self.felt.rungs[-1] if self.felt.rungs else ""

    @property
    def buffer_s(self) -> float:
        return self.clock.held_s(time.monotonic())

    async def run(self) -> None:
        """Watch."""
        timeout = aiohttp.ClientTimeout(total=ANSWER_S)
        connector = aiohttp.TCPConnector(limit=2)
        headers = {"user-agent": "simulated-viewer"}
        async with aiohttp.ClientSession(
            timeout=timeout, connector=connector, headers=headers
        ) as self._session:
            self._master_url = await self._enter()
            master = await self._read(self._master_url, {"ot": "m"})
            if master is not None:
                self._offers = read_offers(master.decode())
                await self._play()

    async def _enter(self) -> str:
        plain = f"{self.plan.site}/hls/{self.plan.stream_id}/master.m3u8"
        if not self.plan.joins:
            return plain
        url = f"{self.plan.site}/api/v1/streams/{self.plan.stream_id}"
        async with self._session.post(url, json={"viewer_id": self.plan.viewer_id}) as answer:
            self.felt.joined_status = answer.status
            told = await answer.json()
        self.felt.session_id = told.get("session_id", "")
        return urljoin(self.plan.site, told["playback_url"]) if answer.ok else plain

    async def _play(self) -> None:
        offer = choose_offer(self._offers, SUPPOSED_BPS, None)
        playlists = await self._load(offer)
        msn = first_msn(playlists[0]) if playlists else 0
        while playlists and not self._stopping.is_set():
            if msn < (oldest := max(playlist.first_msn for playlist in playlists)):
                self.felt.missed_count += oldest - msn
                msn = oldest
            segments = [_find(playlist, msn) for playlist in playlists]
            if all(segments):
                await self._watch(offer, [segment for segment in segments if segment])
                msn += 1
                offer = choose_offer(self._offers, self._throughput_bps, self.felt.told_kbps)
                await self._wait(self.buffer_s - TARGET_S)
            elif any(playlist.ended and not one for playlist, one in zip(playlists, segments, strict=True)):
                if not playlists[0].is_vod:
                    return
                msn = playlists[0].first_msn
            playlists = await self._load(offer, msn)

    async def _load(self, offer: Offer, msn: int = 0) -> list[SeenPlaylist]:
        """Give a variant's playlists, read again where a segment is not listed yet; empty: that failed."""
        found = []
        for uri in offer.uris:
            loaded = self._playlists.get(uri)
            if loaded is None or not (loaded.playlist.ended or _find(loaded.playlist, msn)):
                loaded = await self._reload(uri, loaded)
            if loaded is None:
                return []
            found.append(loaded.playlist)
        return found

    async def _reload(self, uri: str, before: Loaded | None) -> Loaded | None:
        await self._wait((before.again_time if before else 0.0) - time.monotonic())
        asked_time = time.monotonic()
        text = await self._read(urljoin(self._master_url, uri), {"ot": "m"})
        if text is None:
            return None
        playlist = read_seen(text.decode())
        again_s = reload_after_s(playlist, before.playlist if before else None)
        self._playlists[uri] = Loaded(playlist, asked_time + again_s)
        return self._playlists[uri]

    async def _watch(self, offer: Offer, segments: list[SeenSegment]) -> None:
        """Take in one segment of each track."""
        self._note_rung(offer)
        arrived = [
            await self._take(offer, uri, segment) for uri, segment in zip(offer.uris, segments, strict=True)
        ]
        if all(arrived):
            self.clock.add(time.monotonic(), segments[0].duration_s)

    def _note_rung(self, offer: Offer) -> None:
        if offer.name != self.rung:
            self.felt.rungs.append(offer.name)

    async def _take(self, offer: Offer, uri: str, segment: SeenSegment) -> bool:
        if segment.gap:
            self.felt.gaps_count += 1
            return False
        url, kind = urljoin(self._master_url, uri), "v" if uri == offer.uri else "a"
        if segment.init_uri and segment.init_uri not in self._inits:
            self._inits.add(segment.init_uri)
            if await self._media(urljoin(url, segment.init_uri), {"ot": "i"}) is None:
                return False
        words: Words = {"ot": kind, "d": round(segment.duration_s * 1000)}
        if kind == "v":
            words |= {
                "br": offer.bandwidth_bps // 1000,
                "tb": max(o.bandwidth_bps for o in self._offers) // 1000,
            }
        if await self._media(urljoin(url, segment.uri), words) is None:
            return False
        self.felt.segments_count += 1
        return True

    async def _media(self, url: str, words: Words) -> bytes | None:
        """Read media over the viewer's line, and learn what the line carries."""
        begin = time.monotonic()
        data = await self._read(url, words)
        if data is None:
            return None
        self.felt.media_bytes += len(data)
        self.felt.arrivals.append((time.monotonic(), len(data)))
        await asyncio.sleep(self.plan.line.takes_s(len(data)) - (time.monotonic() - begin))
        if words["ot"] == "v":
            measured_bps = len(data) * 8 / (time.monotonic() - begin)
            before_bps = self._throughput_bps or measured_bps
            self._throughput_bps = before_bps + NEWEST_RATIO * (measured_bps - before_bps)
        return data

    async def _read(self, url: str, words: Words) -> bytes | None:
        """Read a URL, again while the server is away; None: it failed for good, and that is written down."""
        deadline = time.monotonic() + AWAY_S
        said = self._say(words)
        headers = render_headers(said) if self.plan.speaks_in_headers else {}
        if not self.plan.speaks_in_headers:
            url += ("&" if "?" in url else "?") + render_query(said)
        while True:
            try:
                async with self._session.get(url, headers=headers) as answer:
                    data = await answer.read()
                    if answer.ok:
                        self._hear(answer)
                        return data
                    trouble = f"{answer.status} {data[:80]!r}"
                    is_final = answer.status < 500
            except (aiohttp.ClientError, TimeoutError) as error:
                trouble, is_final = repr(error), False
            if is_final or time.monotonic() > deadline:
                self.felt.failures.append(f"{url}: {trouble}")
                return None
            self.felt.retries.append(f"{url}: {trouble}")
            await asyncio.sleep(AGAIN_S)

    def _say(self, words: Words) -> Words:
        """Put together what a player says with each request."""
        now = time.monotonic()
        is_dry, has_begun = self.clock.is_dry(now), self.clock.startup_s is not None
        said: Words = {"sid": self.plan.viewer_id, "cid": self.plan.stream_id, "sf": "h", **words}
        said["st"] = "v" if self._is_vod() else "l"
        said |= {"su": is_dry, "bs": is_dry and has_begun}
        if words["ot"] in {"v", "a"}:
            said["bl"] = round(self.clock.held_s(now) * 10) * 100
            if self._throughput_bps:
                said["mtp"] = max(100, round(self._throughput_bps / 100_000) * 100)
        return said

    def _is_vod(self) -> bool:
        return any(loaded.playlist.ended for loaded in self._playlists.values())

    def _hear(self, answer: aiohttp.ClientResponse) -> None:
        told_kbps = read_told_kbps(answer.headers.get("cmsd-dynamic", ""))
        self.felt.told_kbps = told_kbps or self.felt.told_kbps

    async def _wait(self, seconds: float) -> None:
        """Let time pass, unless told to stop."""
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._stopping.wait()
        except TimeoutError:
            pass


def _find(playlist: SeenPlaylist, msn: int) -> SeenSegment | None:
    place = msn - playlist.first_msn
    return playlist.segments[place] if 0 <= place < len(playlist.segments) else None
