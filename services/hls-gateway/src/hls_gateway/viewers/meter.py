"""Take the measure of what is asked for and sent: for its session, and for abr."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from hls_gateway.domain.cmcd import Cmcd, parse_cmcd
from hls_gateway.domain.names import InitName, PartName
from hls_gateway.domain.reports import Sample, transfer_ms
from hls_gateway.domain.stream import MediaKind, Part, Segment
from hls_gateway.domain.timeline import RenditionTimeline, Timeline
from hls_gateway.routes import MediaRoute
from hls_gateway.viewers.samples import SampleQueue
from hls_gateway.viewers.sessions import Session, Sessions

# What a viewer watches and hears; the rest only helps.
_PLAYED = frozenset({MediaKind.VIDEO, MediaKind.AUDIO, MediaKind.MUXED})
_UNSAID = Cmcd()


class Shown(NamedTuple):
    """What of a stream is sent.

    Args:
        timeline: The stream, when it was asked.
        route: What was asked for.
        size_bytes: Size of the whole object.
        is_whole: All of it is sent, not a part.
        was_held: It was in memory.
    """

    timeline: Timeline
    route: MediaRoute
    size_bytes: int
    is_whole: bool
    was_held: bool

    @property
    def known(self) -> RenditionTimeline:
        return self.timeline.renditions[self.route.rendition_id]

    def find(self) -> Segment | Part | None:
        """Find the segment or part that it is; None for anything else."""
        name = self.route.name
        if isinstance(name, InitName):
            return None
        if isinstance(name, PartName):
            return next((one for one in self.known.parts_of(name.msn) if one.part == name.part), None)
        return self.known.segment(name.msn)


class Visit(NamedTuple):
    """One request for media.

    Args:
        session: Whose.
        said: Its CMCD, not read yet, or empty.
        shown: What was asked for.
        media: The segment or part that it is; None for anything else.
    """

    session: Session
    said: bytes
    shown: Shown
    media: Segment | Part | None


class Meter:
    """Counts for sessions, and makes samples.

    Args:
        sessions: Where the sums are kept.
        samples: Where measurements go.
        clock: Seconds since 1970.
    """

    def __init__(self, sessions: Sessions, samples: SampleQueue, clock: Callable[[], float]) -> None:
        self.bad_cmcd_count = 0
        self._sessions = sessions
        self._samples = samples
        self._clock = clock

    def visit(  # noqa: PLR0917 - what a request is known by
        self,
        stream_id: str,
        variant_id: str,
        said: bytes,
        headers: Mapping[bytes, bytes],
        client: bytes,
        failed: bool,
    ) -> Session:
        """Tell whose request it is, and count it.

        Args:
            stream_id: What is watched.
            variant_id: Of what; empty: of no variant.
            said: The player's CMCD, as it was found.
            headers: The request's.
            client: Who is connected.
            failed: It was refused.
        """
        session = self._sessions.find(stream_id, said, headers, client)
        tally = session.tallies.get(variant_id) or session.tally(variant_id)
        tally.requests_count += 1
        if failed:
            tally.failed_requests_count += 1
        return session

    def joined(self, session: Session, joined_id: str) -> None:
        """Take note of the session that a player showed."""
        session.join(joined_id, self._clock())

    def sent(self, visit: Visit, size_bytes: int, paced_bytes: int, paced_s: float) -> None:
        """Count what was sent of an object, and make a sample if there is anything to tell.

        Args:
            visit: Who asked for what.
            size_bytes: What went.
            paced_bytes: What the player took while it set the pace.
            paced_s: How long it did.
        """
        session, said, shown, media = visit
        self._sessions.touch(session)
        tally = session.tally(shown.route.rendition_id)
        tally.size_bytes += size_bytes
        if shown.was_held:
            session.cache_hits_count += 1
        else:
            session.cache_misses_count += 1
        rendition = shown.known.rendition
        if media is None or rendition.media_kind not in _PLAYED:
            return
        if rendition.has_picture or not session.variant_id:
            session.variant_id = rendition.rendition_id
        if shown.is_whole and size_bytes == shown.size_bytes:
            tally.segments_count += isinstance(media, Segment) or session.gather(shown.known, media)
        taken_ms = transfer_ms(size_bytes, paced_bytes, paced_s)
        if said or taken_ms:
            self._tell(visit, media, size_bytes, taken_ms)

    def steered(self, session: Session, throughput_bps: float | None) -> None:
        """Take in what a player measured before it asked where to go (rfc8216bis 7.1)."""
        if throughput_bps:
            self._samples.add(
                Sample(
                    stream_id=session.stream_id,
                    viewer_id=session.viewer_id,
                    variant_id=session.variant_id,
                    sample_time=self._clock(),
                    player_throughput_bps=throughput_bps,
                )
            )

    def _tell(self, visit: Visit, media: Segment | Part, size_bytes: int, taken_ms: float | None) -> None:
        """Make a sample of what was sent, and of what the player said when it asked."""
        session, shown = visit.session, visit.shown
        cmcd = parse_cmcd(visit.said) if visit.said else _UNSAID
        self.bad_cmcd_count += cmcd.bad_count
        session.hear(cmcd)
        _note_latency(session, shown, media, cmcd)
        self._samples.add(
            Sample(
                session.stream_id,
                session.viewer_id,
                media.rendition_id,
                media.msn if isinstance(media, Segment) else None,
                self._clock(),
                size_bytes,
                taken_ms,
                cmcd.throughput_bps,
                cmcd.buffer_s,
                cmcd.starved,
                int(cmcd.encoded_bps) or shown.known.rendition.target_bps,
                int(cmcd.top_bps),
                cmcd.duration_s or media.duration_s,
                cmcd.playback_rate_ratio,
                cmcd.startup,
            )
        )


def _note_latency(session: Session, shown: Shown, media: Segment | Part, cmcd: Cmcd) -> None:
    """A player that does not say how far behind it is plays what lies before its buffer."""
    if cmcd.latency_s is not None or cmcd.buffer_s is None or not shown.timeline.is_live:
        return
    if isinstance(media, Segment) and shown.known.segments:
        played_s = media.start_s - cmcd.buffer_s
        session.latency_s = max(0.0, shown.known.segments[-1].end_s - played_s)
