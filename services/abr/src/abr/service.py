"""The use-cases of one viewer at a time: what should it play, what did it measure, what is known of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from abr.domain.folding import take
from abr.domain.news import Decision
from abr.domain.sample import Sample
from abr.domain.stats import Stats, Tally, figures_of
from abr.domain.stream import Stream, Viewport
from abr.domain.viewer import NOWHERE, Viewer
from abr.ports import Streams
from abr.service_census import Census, add_up
from abr.service_decide import Decider
from abr.service_viewers import Viewers
from chassis.errors import InvalidArgument, NotFound

_NEED_NO_THROUGHPUT = frozenset({"zone", "fixed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a player says when it asks what to play; None: it does not say."""

    stream_id: str
    viewer_id: str
    throughput_bps: float | None = None
    buffer_s: float | None = None
    buffer_ratio: float | None = None
    """The same by what the player aims at."""
    current: str = ""
    policy: str = ""
    viewport: Viewport | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How one segment came to a player, in its own words."""

    stream_id: str
    viewer_id: str
    msn: int
    latency_s: float
    transfer_s: float
    size_bytes: int
    rate_bps: float
    """Of the rendition."""
    buffer_ratio: float
    """After the segment, by what the player aims at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What follows from a report."""

    accepted: bool
    stream: Stream
    current: int
    wanted: int
    """Where the policy would go now."""
    reason: str


class Adaptation:
    """The use-cases SelectQuality, ReportMetrics and GetStats.

    Args:
        streams: Where ladders are known.
        viewers: Who is known.
        decider: Asks the policies.
        census: Counts all viewers.
        now: The clock, seconds since 1970.
    """

    def __init__(
        self,
        streams: Streams,
        viewers: Viewers,
        decider: Decider,
        census: Census,
        *,
        now: Callable[[], float],
    ) -> None:
        self._streams = streams
        self._viewers = viewers
        self._decider = decider
        self._census = census
        self._now = now

    async def select(self, question: Question) -> Decision:
        """Decide what a viewer should play next.

        Raises:
            NotFound: The stream, or a rendition of it.
            InvalidArgument: Unknown policy or rendition, or nothing is known of the network.
        """
        policy = self._decider.require_policy(question.policy)
        stream = await self._streams.get(question.stream_id)
        current = _place(stream, question.current)
        throughput_bps = await self._throughput(stream, question)
        viewer = await self._viewers.enter(stream, question.viewer_id)
        viewer.policy, now_s = policy, self._now()
        viewer.note_question(
            now_s,
            throughput_bps=throughput_bps,
            buffer_s=_buffer(question, viewer),
            current=current,
            viewport=question.viewport,
        )
        decision = self._decider.decide(viewer, now_s, obeyed=True)
        self._viewers.note_change(viewer)
        return decision

    async def report(self, report: Report) -> Outcome:
        """Fold a viewer's own measurement. NotFound."""
        stream = await self._streams.get(report.stream_id)
        viewer, now_s = await self._viewers.enter(stream, report.viewer_id), self._now()
        accepted = not report.viewer_id or not viewer.is_late(report.msn)
        if accepted:
            take(viewer, _sample(report, viewer, now_s), now_s)
            if report.buffer_ratio == 0:
                viewer.note_stall()
        choice = self._decider.choose(viewer, now_s)
        return Outcome(
            accepted=accepted,
            stream=stream,
            current=viewer.current if viewer.current != NOWHERE else choice.rung,
            wanted=choice.rung,
            reason=choice.reason,
        )

    async def stats(self, stream_id: str, viewer_id: str) -> tuple[Stream, Stats]:
        """Measure one viewer, or with an empty id all of them. NotFound: NO_STREAM, NO_VIEWER."""
        stream = await self._streams.get(stream_id)
        if not viewer_id:
            return stream, (await self._census.everywhere(stream_id)).stats(stream)
        tally = Tally()
        tally.add(figures_of(await self._require(stream, viewer_id)))
        return stream, tally.stats(stream)

    async def _throughput(self, stream: Stream, question: Question) -> float | None:
        """What the player measured; else what is known must do."""
        if question.throughput_bps is not None or question.policy in _NEED_NO_THROUGHPUT:
            return question.throughput_bps
        if question.viewer_id:
            viewer = await self._viewers.find(stream, question.viewer_id)
            known = viewer is not None and viewer.is_measured
        else:
            tally = await add_up(await self._census.here(stream.stream_id))
            if tally.estimate.value > 0:
                return tally.estimate.value
            known = False
        if not known:
            raise InvalidArgument(
                "bandwidth is missing, and nothing was measured of this viewer yet: give it in kbit/s",
                reason="BANDWIDTH_UNKNOWN",
                field="bandwidth",
            )
        return None

    async def _require(self, stream: Stream, viewer_id: str) -> Viewer:
        viewer = await self._viewers.find(stream, viewer_id)
        if viewer is None:
            raise NotFound(
                f"stream {stream.stream_id!r} has no viewer {viewer_id!r} of whom anything was heard lately",
                reason="NO_VIEWER",
            )
        return viewer


def _sample(report: Report, viewer: Viewer, now_s: float) -> Sample:
    """Take a player's own report for a sample that came to its end just now."""
    stream = viewer.stream
    return Sample(
        variant_id=stream.ladder[stream.nearest(report.rate_bps)].rendition_id,
        msn=report.msn,
        end_s=now_s,
        size_bytes=report.size_bytes,
        transfer_s=report.transfer_s,
        player_bps=0.0,
        buffer_s=-1.0,
        duration_s=0.0,
        top_bps=0,
        speed_ratio=1.0,
        starved=False,
        startup=False,
        latency_s=report.latency_s,
        after_s=report.buffer_ratio * viewer.target_s,
    )


def _place(stream: Stream, name: str) -> int | None:
    if not name:
        return None
    place = stream.find(name)
    if place is None:
        names = ", ".join(rung.name or rung.rendition_id for rung in stream.ladder)
        raise InvalidArgument(
            f"current_quality is {name[:80]!r}: it must be one of {names}, or empty",
            reason="UNKNOWN_QUALITY",
            field="current_quality",
        )
    return place


def _buffer(question: Question, viewer: Viewer) -> float | None:
    if question.buffer_s is not None or question.buffer_ratio is None:
        return question.buffer_s
    return question.buffer_ratio * viewer.target_s
