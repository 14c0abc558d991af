"""One publisher's connection: its bytes go through one encoder, and what comes out is announced.

What reads from the publisher and what works on its bytes are two tasks: when the publisher goes, or its
protocol is cancelled, the work goes on to its orderly end, so that the last second is announced as well.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from chassis.errors import InvalidArgument, Unavailable, WeirError
from chassis.lifecycle import end_tasks
from chassis.telemetry import RENDITION, STREAM, log
from transcoder.domain.encoding import EncodeError
from transcoder.domain.live_plan import LivePlan, plan_live
from transcoder.domain.live_speed import LiveProgress, should_drop_top_rung
from transcoder.domain.live_timeline import begin_run
from transcoder.domain.opening import OPENING_DEMUXER, KnownHead
from transcoder.domain.source import Source
from transcoder.live.announcing import Announcer
from transcoder.live.closing import Closing
from transcoder.live.feed import Feed
from transcoder.live.head import Head, read_head
from transcoder.live.ownership import Ownership, stopped
from transcoder.live.ports import HeadProber, KnownHeads, LiveEncode, LiveEncoder, LiveSettingsSource
from transcoder.live.storing import Shelf
from transcoder.live.together import together
from transcoder.ports import Clock, MediaStore
from transcoder.service_beat import CLEAN_UP_S, while_beating

_SETTLE_S = 2.0  # how long a run that has ended waits for what it had to tell when it began
_JUDGED_COUNT = 120  # reports of an encoder, two a second: more than are judged


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What sessions need."""

    media: MediaStore
    settings: LiveSettingsSource
    probe: HeadProber
    known_heads: KnownHeads
    encoder: LiveEncoder
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRules:
    """How sessions go."""

    silence_s: float = 10.0
    """A publisher that sends nothing for so long has gone."""
    hold_s: float = 60.0
    """How long objects are held while storage is away."""


Running = set["LiveSession"]


class LiveSession:
    """See `ingest.publication.Session`."""

    def __init__(
        self,
        ports: Ports,
        rules: SessionRules,
        ownership: Ownership,
        protocol: str,
        running: Running,
        *,
        source: Source | None = None,
    ) -> None:
        """Begin a session; it is among `running` from `run` on, until all is announced.

        What is pulled is not looked into if its `source` is known from an owner that has stopped.
        """
        self._ports = ports
        self._rules = rules
        self._ownership = ownership
        self._feed = Feed(ports.clock)
        self._filling: asyncio.Task[None] | None = None
        self._work: asyncio.Task[None] | None = None
        self._sent_away = False
        self._settling: asyncio.Task[None] | None = None
        self._found: KnownHead | None = None
        self._running = running
        self._source = source
        self.announced_s = 0.0
        ownership.join(protocol, self._feed)

    @property
    def stream_id(self) -> str:
        return self._ownership.stream_id

    async def run(self, demuxer: str, pieces: AsyncIterator[bytes]) -> None:
        """Make the stream out of what comes; see `ingest.publication.Session.run`."""
        if self._sent_away:
            raise _stopping()
        self._work = asyncio.create_task(self._make(demuxer), name=f"live {self.stream_id}")
        self._running.add(self)
        self._work.add_done_callback(self._note_over)
        self._filling = asyncio.create_task(self._feed.fill(pieces, silence_s=self._rules.silence_s))
        try:
            await asyncio.wait((self._work, self._filling), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            if self._source and self._ownership.settings.is_pulled:
                self._ownership.leave_source(self._source)
            raise
        finally:
            self._end_feed()
            await end_tasks(self._filling, patience_s=CLEAN_UP_S)
        if self._sent_away:
            raise _stopping()
        await asyncio.shield(self._work)
        if self._ownership.is_stopped:
            raise stopped()
        self._filling.result()

    def send_away(self) -> None:
        """Let the publisher go as soon as its pieces end; what has come is brought to an end meanwhile."""
        self._sent_away = True

    async def hand_over(self) -> None:
        """Take nothing more, and bring what has come to an orderly end."""
        self.send_away()
        self._end_feed()
        if self._filling:
            self._filling.cancel()
        await self.finished()

    async def finished(self) -> None:
        """Wait until all is announced that will be; how it went is for `run` to tell."""
        if self._work:
            await asyncio.wait((self._work,))

    def _note_over(self, work: asyncio.Task[None]) -> None:
        self._running.discard(self)
        if not work.cancelled() and (error := work.exception()):  # `run` may be there no longer to raise it
            log.info("live session failed", error=str(error), **{STREAM: self.stream_id})

    def _end_feed(self) -> None:
        self._feed.end()
        self._ownership.leave(self._feed)

    async def _make(self, demuxer: str) -> None:
        """Work on the bytes until they end or the stream is lost, and tell people of media that are none."""
        async with self._ownership.turn:
            try:
                await while_beating(self._encode(demuxer), self._ownership.until_lost())
            except InvalidArgument as error:
                await self._report(error.message)
                raise
            except EncodeError as error:
                log.warning("live encode failed", error=str(error), **{STREAM: self.stream_id})
                await self._report(str(error))
                await self._ports.known_heads.forget(self.stream_id)
                raise Unavailable("the encoder failed: connect again", reason="ENCODER_FAILED") from error

    async def _encode(self, demuxer: str) -> None:
        head = await self._head(demuxer)
        if head is None:
            return
        self._source, self._found = head.source, head.found
        settings = self._ownership.settings
        plan = plan_live(
            head.source,
            rungs=settings.rungs,
            container=settings.container,
            target_duration_s=settings.target_duration_s,
            part_target_s=settings.part_target_s,
        )
        # Rungs that were once left out stay out: their renditions have ended.
        timeline = self._ownership.timeline
        plan = replace(plan, ladder=tuple(rung for rung in plan.ladder if timeline.takes(rung.name)))
        closing = Closing(self._ports.media, hold_s=self._rules.hold_s)
        await closing.close(self._ownership)  # what a run has left that died with its owner
        try:
            await self._announce(plan, head)
        finally:
            await self._settled()
        await closing.close(self._ownership)

    async def _head(self, demuxer: str) -> Head | None:
        """Look into what comes, unless it is known what that is; None if nothing comes at all."""
        if self._source and self._source.demuxer == demuxer:
            data = await self._feed.take()
            return Head(data=data, source=self._source) if data else None
        known = None
        if demuxer == OPENING_DEMUXER:
            known = await self._ports.known_heads.get(self.stream_id)
        return await read_head(self._feed, self._ports.probe, demuxer, known)

    async def _announce(self, plan: LivePlan, head: Head) -> None:
        now = self._feed.first_time or self._ports.clock()
        run = begin_run(self._ownership.timeline, now)
        log.info("live run begins", run=run.discontinuity_sequence, **{STREAM: self.stream_id})
        announcer = Announcer(
            self._ports.media,
            self._ownership,
            run,
            Shelf(self._ports.media, self._ownership, hold_s=self._rules.hold_s),
            plan.rendition_ids,
            self._note_announced,
        )
        pace = _Pace(self.stream_id, plan)
        async with self._ports.encoder.encode(
            plan, on_progress=lambda progress: pace.note(progress, encode)
        ) as encode:
            await together(self._give(encode, head.data), announcer.announce(encode.outputs()))
        log.info("live run ends", run=run.discontinuity_sequence, **{STREAM: self.stream_id})

    async def _give(self, encode: LiveEncode, head: bytes) -> None:
        data = head
        while data:
            await encode.write(data)
            data = await self._feed.take()
        await encode.finish()

    def _note_announced(self, announced_s: float) -> None:
        """Take down how much of the run is announced."""
        self.announced_s = announced_s
        self._settling = self._settling or asyncio.create_task(self._settle())

    async def _settle(self) -> None:
        """Remember how a run began that has come to media; people may have been told that there are none."""
        await self._report("")
        if self._found:
            await self._ports.known_heads.put(self.stream_id, self._found)

    async def _settled(self) -> None:
        """See to it that nothing of this goes on behind the session."""
        if self._settling:
            await asyncio.wait((self._settling,), timeout=_SETTLE_S)
            await end_tasks(self._settling)

    async def _report(self, error: str) -> None:
        try:
            await self._ports.settings.report(self.stream_id, self._ownership.opened, error)
        except WeirError as failure:
            log.warning("failure could not be told", error=failure.message, **{STREAM: self.stream_id})


class _Pace:
    """Leaves the top rung out of a run whose encoder does not keep up with its publisher."""

    def __init__(self, stream_id: str, plan: LivePlan) -> None:
        self._stream_id = stream_id
        self._names = [rung.name for rung in plan.ladder]
        self._news: deque[LiveProgress] = deque(maxlen=_JUDGED_COUNT)

    def note(self, progress: LiveProgress, encode: LiveEncode) -> None:
        """Take down how fast it is; what was before a rung is left out does not count behind it."""
        self._news.append(progress)
        if encode.is_dropping:
            self._news.clear()
        elif should_drop_top_rung(self._news, len(self._names)):
            encode.drop_top_rung()
            names = {STREAM: self._stream_id, RENDITION: self._names.pop()}
            log.warning("encoder falls behind, leaves a rung out", speed_ratio=progress.speed_ratio, **names)


def _stopping() -> Unavailable:
    return Unavailable("this server stops: connect again", reason="STOPPING", retry_delay_s=1.0)
