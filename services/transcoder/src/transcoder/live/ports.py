"""What live sessions need from outside; see `transcoder.ports` for what they share with recordings."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from transcoder.domain.live_cutter import LiveOutput
from transcoder.domain.live_plan import LivePlan
from transcoder.domain.live_settings import Beat, LiveSettings, PullSource
from transcoder.domain.live_speed import LiveProgress
from transcoder.domain.live_timeline import LiveEntry, LiveTimeline
from transcoder.domain.opening import KnownHead
from transcoder.domain.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedLive:
    """A live stream's ledger, owned under `epoch` by whoever opened it, and what stands on it."""

    incarnation: str
    epoch: int
    sequence: int
    timeline: LiveTimeline


class LiveLedger(Protocol):
    """The ledgers of live streams, kept by the distributor."""

    async def open(self, settings: LiveSettings) -> OpenedLive:
        """Take a stream over at the next epoch.

        FailedPrecondition: it has ended; Conflict: somebody else opened it at the same moment.
        """

    async def read(self, settings: LiveSettings) -> LiveTimeline:
        """Read what stands on a stream's ledger; NotFound if its incarnation is gone."""

    async def append(
        self,
        settings: LiveSettings,
        opened: OpenedLive,
        entries: Sequence[LiveEntry],
        *,
        sequence: int,
        request_id: str,
    ) -> int:
        """Append one record behind `sequence`; answers its own. The same request again changes nothing.

        FailedPrecondition or NotFound: the stream is no longer the caller's; Conflict: `sequence` is not the
        newest; Unavailable or DeadlineExceeded: it may have been appended, ask again.
        """


class LiveSettingsSource(Protocol):
    """What the distributor knows of live streams."""

    async def admit(self, stream_key: str, stream_id: str) -> LiveSettings:
        """Let in who shows a key; PermissionDenied or FailedPrecondition otherwise."""

    async def get(self, stream_id: str) -> LiveSettings:
        """Ask on; FailedPrecondition or NotFound once the stream takes no media."""

    async def report(self, stream_id: str, opened: OpenedLive, error: str) -> None:
        """Tell why no media can be had; empty: it can be had again."""


class LiveBeats(Protocol):
    """The signs of life of those who own live streams, over all transcoders."""

    async def ask(self, stream_id: str) -> Beat | None:
        """Ask for the owner's present state; None if nobody answers."""

    def show(
        self,
        stream_id: str,
        state: Callable[[], Beat],
        *,
        heard: Callable[[Beat], None],
        stop: Callable[[], None],
    ) -> AbstractAsyncContextManager[None]:
        """Answer for a stream and show its state regularly while the block lasts.

        `heard` is told of other owners; `stop` is called when somebody asks for the stream's end.
        """


class LiveEncode(Protocol):
    """One running encode."""

    async def write(self, data: bytes) -> None:
        """Give it the next bytes; waits while it cannot take more."""

    async def finish(self) -> None:
        """Tell that no more bytes come."""

    @property
    def is_dropping(self) -> bool:
        """Whether a rung that is to be left out is under way to the end of its segment."""

    def drop_top_rung(self) -> None:
        """Leave the highest rung out once its segment is whole; the others go on."""

    def outputs(self) -> AsyncGenerator[LiveOutput]:
        """Take what it makes, until all is made; EncodeError if ffmpeg fails."""


class LiveEncoder(Protocol):
    """Runs one ffmpeg per stream; see `adapters.live_encoder`."""

    def encode(
        self, plan: LivePlan, *, on_progress: Callable[[LiveProgress], None]
    ) -> AbstractAsyncContextManager[LiveEncode]: ...


class HeadProber(Protocol):
    """Looks into the beginning of a stream of bytes."""

    async def __call__(self, head: bytes, demuxer: str, *, is_whole: bool) -> Source:
        """Measure it; InvalidArgument with the reason if it is nothing that can be transcoded.

        HEAD_TOO_SHORT, unless `is_whole`: it does not tell enough yet.
        """


class KnownHeads(Protocol):
    """How publishers began when they were looked into last. None of this fails: it only spares a look."""

    async def get(self, stream_id: str) -> KnownHead | None:
        """Look up how the last one began; None also while nobody can say."""

    async def put(self, stream_id: str, known: KnownHead) -> None:
        """Keep how one has begun."""

    async def forget(self, stream_id: str) -> None:
        """Have the next one looked into."""


class Tap(Protocol):
    """Turns a source that must be fetched into bytes of one container."""

    demuxer: str

    def pieces(self) -> AsyncGenerator[bytes]:
        """Take the bytes as they come; Unavailable with the reason if the source cannot be had."""


class Taps(Protocol):
    """Makes taps."""

    def open(self, source: PullSource) -> Tap:
        """Make the tap of a source; whether it can be had is told when its pieces are taken."""
