"""The sessions that this gateway serves, and what each was sent since it was last reported.

Sums are kept until they have been reported: while the distributor is away they grow, and no memory with them.
A session is known to every gateway by the same id, so that none has to tell another about it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

from hls_gateway.domain.cmcd import MOST_BYTES, Cmcd, find_session_id, parse_cmcd
from hls_gateway.domain.reports import JoinedSession, SessionReport, VariantReport
from hls_gateway.domain.session_ids import place_of, place_session_id
from hls_gateway.domain.stream import Part
from hls_gateway.domain.timeline import RenditionTimeline

# How long after a multivariant playlist a player may begin to call itself by a name of its own.
_CLAIM_S = 60.0
# Sessions that may be pushed out by others between two reports; of more than that the first are not told.
_PUSHED_OUT_COUNT = 10_000
_MOST_SAID_BYTES = 2 * MOST_BYTES  # a longer query is not kept until it is read: there is too much CMCD in it

Place = tuple[bytes, bytes]
Key = tuple[str, str | Place]


class Gathering(NamedTuple):
    """The segment of one rendition that a session was last sent parts of: how many, from the first on."""

    msn: int
    parts_count: int


_NOTHING_GATHERED = Gathering(-1, 0)


class Tally:
    """What a session was sent of one variant."""

    __slots__ = ("failed_requests_count", "requests_count", "segments_count", "size_bytes")

    def __init__(self) -> None:
        self.segments_count = 0
        self.size_bytes = 0
        self.requests_count = 0
        self.failed_requests_count = 0


class Session:
    """One viewer of one stream, since the last report."""

    __slots__ = (
        "buffer_s",
        "cache_hits_count",
        "cache_misses_count",
        "gathering",
        "is_told",
        "joined_id",
        "joined_time",
        "key",
        "last_time",
        "latency_s",
        "place_id",
        "said",
        "session_id",
        "stream_id",
        "tallies",
        "variant_id",
        "viewer_id",
    )

    def __init__(self, key: Key, session_id: str) -> None:
        self.key = key
        self.stream_id = key[0]
        self.session_id = self.viewer_id = session_id
        self.joined_id = ""
        self.joined_time = 0.0
        self.place_id = ""
        self.gathering: dict[str, Gathering] = {}
        self.variant_id = ""
        self.last_time = 0.0
        self.is_told = True
        self.buffer_s: float | None = None
        self.latency_s: float | None = None
        self._clear()

    def join(self, joined_id: str, now: float) -> None:
        """Be the session that JoinStream handed out, from now on."""
        if joined_id != self.session_id:
            self.joined_id = self.viewer_id = joined_id
            self.joined_time = now

    def tally(self, variant_id: str) -> Tally:
        """Give the sums of a variant; an empty id stands for none."""
        found = self.tallies.get(variant_id)
        if found is None:
            found = self.tallies[variant_id] = Tally()
        return found

    def gather(self, known: RenditionTimeline, part: Part) -> bool:
        """Take note of a part that was sent whole; whether it shows that the segment before it was, too.

        Which part of a segment is its last is known when the next segment begins.
        """
        before = self.gathering.get(part.rendition_id, _NOTHING_GATHERED)
        count = before.parts_count if part.msn == before.msn else 0
        self.gathering[part.rendition_id] = Gathering(part.msn, count + (part.part == count))
        began = part.msn > before.msn
        return began and before.parts_count > 0 and known.part_count(before.msn) == before.parts_count

    def hear(self, cmcd: Cmcd) -> None:
        """Take in what the player says."""
        if cmcd.buffer_s is not None:
            self.buffer_s = cmcd.buffer_s
        if cmcd.latency_s is not None:
            self.latency_s = cmcd.latency_s

    def report(self) -> SessionReport:
        """Tell what happened, and begin to count anew."""
        if self.said:
            self.hear(parse_cmcd(self.said))
        report = SessionReport(
            stream_id=self.stream_id,
            session_id=self.session_id,
            joined_session_id=self.joined_id,
            variant_id=self.variant_id,
            variants=tuple(_variant_report(name, tally) for name, tally in self.tallies.items()),
            cache_hits_count=self.cache_hits_count,
            cache_misses_count=self.cache_misses_count,
            buffer_s=self.buffer_s,
            latency_s=self.latency_s,
            last_time=self.last_time,
            place_id=self.place_id,
        )
        self.is_told = True
        self._clear()
        return report

    def _clear(self) -> None:
        self.tallies: dict[str, Tally] = {}
        self.cache_hits_count = self.cache_misses_count = 0
        self.said = b""  # the newest CMCD that was not read yet: of many requests a second, one is enough
        self.buffer_s = self.latency_s = None


def _variant_report(variant_id: str, tally: Tally) -> VariantReport:
    return VariantReport(
        variant_id=variant_id,
        segments_count=tally.segments_count,
        size_bytes=tally.size_bytes,
        requests_count=tally.requests_count,
        failed_requests_count=tally.failed_requests_count,
    )


class Sessions:
    """At most so many sessions; one more takes the place of the one that was silent for longest.

    Args:
        most_count: The bound.
        idle_s: How long a session is remembered after its last request.
        clock: Seconds since 1970.
    """

    def __init__(self, most_count: int, idle_s: float, clock: Callable[[], float]) -> None:
        self._most_count = most_count
        self._idle_s = idle_s
        self._clock = clock
        self._sessions: dict[Key, Session] = {}  # the one that was silent for longest comes first
        self._untold: dict[Session, None] = {}  # in their order
        self._pushed_out: deque[SessionReport] = deque(maxlen=_PUSHED_OUT_COUNT)

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def untold_count(self) -> int:
        """How many are held that have something to tell."""
        return len(self._untold)

    def find(self, stream_id: str, said: bytes, headers: Mapping[bytes, bytes], client: bytes) -> Session:
        """Give the session of a request; the first request of one begins it.

        Args:
            stream_id: What is watched.
            said: The player's CMCD; without a `sid` it is known by the place that it asks from.
            headers: The request's.
            client: Who is connected.
        """
        key: Key = (stream_id, (said and find_session_id(said)) or place_of(headers, client))
        session = self._sessions.get(key) or self._begin(key, headers, client)
        session.said = said if len(said) <= _MOST_SAID_BYTES else b""
        session.last_time = self._clock()
        if session.is_told:
            self.touch(session)
        return session

    def learn(self, joined: JoinedSession) -> None:
        """Take over what another gateway was shown, so that all call a player the same when they tell of it.

        Not of players that are known by their place: behind it there may be others.
        """
        if session := self._sessions.get((joined.stream_id, joined.session_id)):
            session.join(joined.joined_session_id, self._clock())

    def touch(self, session: Session) -> None:
        """Take note that something happens to a session; one that was forgotten meanwhile is told, too."""
        session.last_time = self._clock()
        if session.is_told:
            session.is_told = False
            self._untold[session] = None

    def reports(self) -> list[SessionReport]:
        """Tell of each session to which something happened since the last time; forget the idle ones."""
        found = list(self._pushed_out)
        self._pushed_out.clear()
        for session in self._untold:
            found.append(session.report())
            if self._sessions.get(session.key) is session:
                self._sessions[session.key] = self._sessions.pop(session.key)
        self._untold.clear()
        self._forget_idle()
        return found

    def _begin(self, key: Key, headers: Mapping[bytes, bytes], client: bytes) -> Session:
        while len(self._sessions) >= self._most_count:
            silent = self._sessions.pop(next(iter(self._sessions)))
            if not silent.is_told:
                self._untold.pop(silent, None)
                self._pushed_out.append(silent.report())
        who = key[1]
        if isinstance(who, tuple):
            session = Session(key, place_session_id(who))
        else:
            session = Session(key, who)
            place = place_of(headers, client)
            session.place_id = place_session_id(place)
            self._claim(session, place)
        self._sessions[key] = session
        return session

    def _claim(self, session: Session, place: Place) -> None:
        """Take over what this player showed at the multivariant playlist, before it said its own name."""
        nameless = self._sessions.get((session.stream_id, place))
        if nameless and nameless.joined_id:
            now = self._clock()
            if now - nameless.joined_time <= _CLAIM_S:
                session.join(nameless.joined_id, now)
            nameless.joined_time = 0.0  # once: others may sit behind the same address

    def _forget_idle(self) -> None:
        horizon = self._clock() - self._idle_s
        while self._sessions:
            first = next(iter(self._sessions.values()))
            if first.last_time > horizon:
                return
            del self._sessions[first.key]
