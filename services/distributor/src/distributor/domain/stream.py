"""What the registry knows of a stream: its description, its state, and what of it can be played."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from chassis.errors import FailedPrecondition
from distributor.domain.entries import Container, LedgerId, MediaKind
from distributor.domain.ledger import Ledger, Timeline
from distributor.domain.live import LiveWish


class StreamKind(StrEnum):
    """What a stream is, as far as playing it goes."""

    VOD = "vod"
    LIVE = "live"
    EVENT = "event"


class StreamState(StrEnum):
    """Where a stream is in its life."""

    CREATED = "created"
    ACTIVE = "active"
    STOPPED = "stopped"
    ERROR = "error"
    ENDED = "ended"


_OVER = frozenset({StreamState.STOPPED, StreamState.ENDED})
TRANSITIONS: Mapping[StreamState, frozenset[StreamState]] = {
    StreamState.CREATED: frozenset({StreamState.ACTIVE, StreamState.ERROR}) | _OVER,
    StreamState.ACTIVE: frozenset({StreamState.ERROR}) | _OVER,
    StreamState.ERROR: frozenset({StreamState.ACTIVE}) | _OVER,
    # The ledger has ended, and an ended one never grows: only a new incarnation goes on.
    StreamState.STOPPED: frozenset(),
    StreamState.ENDED: frozenset(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A rendition as it is advertised; rates are measured."""

    rendition_id: str
    name: str
    media_kind: MediaKind
    codecs: str
    width_pixels: int
    height_pixels: int
    frame_rate: float
    peak_bps: int
    average_bps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What whoever opens a stream says of it; fixed for the life of an incarnation."""

    stream_id: str
    kind: StreamKind
    container: Container
    target_duration_s: int
    title: str = ""
    recording_id: str = ""
    part_target_s: float = 0.0
    """Upper bound of a part's duration; 0: there are none."""
    dvr_window_s: float = 0.0
    """How far back a live playlist reaches; 0: nothing leaves it."""
    record: bool = False
    """Everything stays playable once a live stream has ended."""

    @property
    def keeps_everything(self) -> bool:
        """Whether no segment may ever be removed while the stream is there."""
        return self.record or self.kind is not StreamKind.LIVE or not self.dvr_window_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Which segments of another life of a stream a clip shows: their objects must stay as long as it does."""

    stream_id: str
    incarnation: str
    msns: Mapping[str, tuple[int, int]]
    """By rendition: the first, and the one behind the last."""
    request_id: str = ""
    """Of the request that made the clip."""

    @property
    def origin(self) -> LedgerId:
        return LedgerId(stream_id=self.stream_id, incarnation=self.incarnation)

    def names(self, rendition_id: str, msn: int) -> bool:
        first, behind = self.msns.get(rendition_id, (0, 0))
        return first <= msn < behind


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One entry of the registry: the present life of a stream id."""

    description: Description
    incarnation: str
    state: StreamState
    create_time: datetime
    error: str = ""
    start_time: datetime | None = None
    """When it first became active."""
    end_time: datetime | None = None
    """When it stopped or ended."""
    variants: Sequence[Variant] = ()
    """Kept once the stream has ended; before that the ledger tells."""
    duration_s: float = 0.0
    live: LiveWish | None = None
    """Of streams made by CreateStream; those of recordings and clips have none."""
    cut: Cut | None = None
    """Of clips alone."""
    stop_asked: bool = False
    """Somebody wants it to end; it takes no media any more."""
    start_mark: str = ""
    """Tells one start of a pulled stream from the next."""

    @property
    def is_over(self) -> bool:
        """Whether this life of the stream takes no media any more."""
        return self.state in _OVER

    @property
    def objects_of(self) -> LedgerId | None:
        """Whose objects it shows, if it is for the distributor to remove them; a recording's are not."""
        if self.cut:
            return self.cut.origin
        is_own = self.live is not None or self.description.kind is not StreamKind.VOD
        return self.ledger_id if is_own else None

    @property
    def stream_id(self) -> str:
        return self.description.stream_id

    @property
    def ledger_id(self) -> LedgerId:
        return LedgerId(stream_id=self.stream_id, incarnation=self.incarnation)


def new_stream(
    description: Description, *, incarnation: str, now: datetime, live: LiveWish | None = None
) -> Stream:
    """Begin a life of a stream id: nobody has brought media yet."""
    return Stream(
        description=description,
        incarnation=incarnation,
        state=StreamState.CREATED,
        create_time=now,
        live=live,
    )


def move(stream: Stream, state: StreamState, *, now: datetime, error: str = "") -> Stream:
    """Move a stream to another state; moving it to where it is changes nothing.

    Raises:
        FailedPrecondition: STREAM_STATE; no way leads there.
    """
    if state is stream.state:
        return stream
    if state not in TRANSITIONS[stream.state]:
        raise FailedPrecondition(
            f"stream {stream.stream_id!r} is {stream.state}: it cannot become {state}", reason="STREAM_STATE"
        )
    return replace(
        stream,
        state=state,
        error=error,
        start_time=stream.start_time or (now if state is StreamState.ACTIVE else None),
        end_time=now if state in _OVER else None,
    )


def end(stream: Stream, ledger: Ledger, *, now: datetime) -> Stream:
    """Say of a stream that its ledger has ended: by request, or with its source."""
    state = StreamState.STOPPED if stream.stop_asked else StreamState.ENDED
    return move(with_media(stream, ledger), state, now=now)


def with_media(stream: Stream, ledger: Ledger) -> Stream:
    """Say of a stream what its ledger tells: what can be played, in which renditions."""
    return replace(stream, variants=variants(ledger), duration_s=ledger.duration_s)


def variants(ledger: Ledger) -> Sequence[Variant]:
    """List the renditions that can be played, a segment of which can be read, lowest rate first."""
    with_segments = [
        _variant(timeline)
        for timeline in ledger.timelines.values()
        if timeline.rendition.is_played and timeline.media_s > 0
    ]
    return tuple(sorted(with_segments, key=lambda variant: (variant.average_bps, variant.rendition_id)))


def _variant(timeline: Timeline) -> Variant:
    rendition = timeline.rendition
    numerator, denominator = rendition.frame_rate
    return Variant(
        rendition_id=rendition.rendition_id,
        name=rendition.name,
        media_kind=rendition.media_kind or MediaKind.VIDEO,
        codecs=rendition.codecs,
        width_pixels=rendition.width_pixels,
        height_pixels=rendition.height_pixels,
        frame_rate=numerator / denominator if denominator else 0.0,
        peak_bps=round(timeline.peak_bps),
        average_bps=round(timeline.size_bytes * 8 / timeline.media_s),
    )
