"""One ready segment on its way in: probe, store, decide who was first, announce.

The bytes are stored first, under a key of this attempt's own; then the key-value store takes the segment's
entry, or has one already. From then on it will be announced, by whoever comes by, even if this process dies.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from chassis import layout
from chassis.errors import AlreadyExists, InvalidArgument, NotFound, Unavailable
from chassis.telemetry import MSN, RENDITION, STREAM, log
from transcoder.domain.live_settings import LiveSettings
from transcoder.domain.live_timeline import StoredObject
from transcoder.domain.packager import IFrameRange
from transcoder.domain.plan import Container
from transcoder.domain.ready_body import Body, split_body
from transcoder.domain.ready_feed import Feed, join, late, require_number, require_room
from transcoder.domain.ready_segment import Measured, ReadySegment, require_duration
from transcoder.domain.ready_tracks import ReadyTimeline
from transcoder.ports import Clock, MediaStore
from transcoder.ready.announcing import ReadyAnnouncer
from transcoder.ready.claims import Claims
from transcoder.ready.ports import Admitting, FeedId, SegmentProber, SegmentStore

_SUFFIXES = {Container.CMAF: "m4s", Container.TS: "ts"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A segment as it came."""

    variant_id: str
    number: int
    data: bytes
    sha256: str


class Status(StrEnum):
    """What became of an offer."""

    INGESTED = "ingested"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A segment that is stored."""

    status: Status
    stream_id: str
    segment: ReadySegment
    size_bytes: int
    is_announced: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What taking segments in works with."""

    settings: Admitting
    segments: SegmentStore
    media: MediaStore
    probe: SegmentProber
    clock: Clock


class Attempt:
    """One offer on its way."""

    def __init__(
        self,
        ports: Ports,
        claims: Claims,
        announcer: ReadyAnnouncer,
        settings: LiveSettings,
        offer: Offer,
    ) -> None:
        self._ports = ports
        self._claims = claims
        self._announcer = announcer
        self._settings = settings
        self._offer = offer
        self._feed_id = FeedId(settings.stream_id, settings.incarnation)

    async def take(self) -> Taken:
        """Take the segment in; raises as `ReadyIngest.take`."""
        feed = await self._claims.claim(self._settings)
        if known := await self._known():
            return await self._repeated(known)
        await self._require_awaited(feed)
        body = split_body(self._offer.data, self._settings.container)
        init = self._init_object(feed, body)
        measured = await self._probe(feed, body, init)
        now = self._ports.clock()
        await self._join(measured, init, now)
        segment = await self._store(measured, body, init, now)
        if not await self._ports.segments.create(self._feed_id, segment):
            await self._ports.media.delete([segment.media.key])
            return await self._repeated(await self._require_known())
        return await self._announced(segment)

    async def _known(self) -> ReadySegment | None:
        return await self._ports.segments.get(self._feed_id, self._offer.variant_id, self._offer.number)

    async def _require_known(self) -> ReadySegment:
        if known := await self._known():
            return known
        raise Unavailable("the segment was passed over at this moment: send it again", reason="LATE")

    async def _repeated(self, known: ReadySegment) -> Taken:
        """Acknowledge what is there already, if it is the same."""
        if known.sha256 != self._offer.sha256:
            raise AlreadyExists(
                f"sequence_num is {known.number}, under which variant {known.variant_id!r} has other bytes "
                "already: they stay, go on with the next number",
                reason="NUMBER_TAKEN",
                field="sequence_num",
            )
        return replace(await self._announced(known), status=Status.DUPLICATE)

    async def _require_awaited(self, feed: Feed) -> None:
        """Refuse early what nobody waits for."""
        require_room(feed, self._offer.variant_id, self._ports.clock())
        timeline = await self._announcer.read(self._feed_id)
        require_number(feed, self._offer.number, least_msn=timeline.least_msn)
        if feed.first_number is not None:
            next_number = feed.first_number + timeline.track(self._offer.variant_id).next_msn
            if self._offer.number < next_number:
                raise late(self._offer.number, next_number)

    def _init_object(self, feed: Feed, body: Body) -> StoredObject | None:
        """Name the init segment: the one that came along, or the variant's newest."""
        if self._settings.container is Container.TS:
            return None
        if not body.init:
            known = feed.find(self._offer.variant_id)
            if known is None or known.init is None:
                raise InvalidArgument(
                    f"the segment has no ftyp and moov, and none came before for variant "
                    f"{self._offer.variant_id!r}: put the init segment before the first segment",
                    reason="NO_INIT",
                    field="data",
                )
            return known.init
        digest = hashlib.sha256(body.init).hexdigest()
        key = layout.init_key(*self._feed_id, self._offer.variant_id, digest)
        return StoredObject(key=key, size_bytes=len(body.init))

    async def _probe(self, feed: Feed, body: Body, init: StoredObject | None) -> Measured:
        head = body.init or (await self._ports.media.get(init.key) if init else b"")
        measured = await self._ports.probe(head + body.media, self._settings.container)
        require_duration(measured.duration_s, feed.target_duration_s)
        own = (_behind(iframe, len(head)) for iframe in measured.iframes)
        return replace(measured, iframes=tuple(own))

    async def _join(self, measured: Measured, init: StoredObject | None, now: datetime) -> None:
        info = measured.describe(self._offer.variant_id)
        joined = await self._claims.change(
            self._feed_id, lambda feed: join(feed, info, init, self._offer.number, now)
        )
        if joined is None:
            raise NotFound("the stream was stopped or deleted at this moment", reason="NO_STREAM")

    async def _store(
        self, measured: Measured, body: Body, init: StoredObject | None, now: datetime
    ) -> ReadySegment:
        """Store the bytes, the init segment first."""
        if init and body.init:
            await self._ports.media.put_shared(init.key, body.init)
        suffix, attempt = _SUFFIXES[self._settings.container], layout.new_attempt()
        key = layout.segment_key(*self._feed_id, self._offer.variant_id, self._offer.number, attempt, suffix)
        await self._ports.media.put(key, body.media)
        return ReadySegment(
            variant_id=self._offer.variant_id,
            number=self._offer.number,
            sha256=self._offer.sha256,
            media=StoredObject(key=key, size_bytes=len(body.media)),
            init=init,
            start_s=measured.start_s,
            duration_s=measured.duration_s,
            iframes=measured.iframes,
            arrival_time=now,
        )

    async def _announced(self, segment: ReadySegment) -> Taken:
        """Announce what can be; that a peer is away only delays it."""
        taken = Taken(
            status=Status.INGESTED,
            stream_id=self._settings.stream_id,
            segment=segment,
            size_bytes=len(self._offer.data),
            is_announced=False,
        )
        try:
            standing = await self._announcer.announce(self._feed_id)
        except Unavailable as error:
            names = {STREAM: taken.stream_id, RENDITION: segment.variant_id, MSN: segment.number}
            log.warning("ready segment waits", error=error.message, **names)
            return taken
        if standing is None or standing.feed.first_number is None:
            return taken
        await self._require_not_passed(segment, standing.feed.first_number, standing.timeline)
        track = standing.timeline.track(segment.variant_id)
        return replace(taken, is_announced=segment.number < standing.feed.first_number + track.next_msn)

    async def _require_not_passed(
        self, segment: ReadySegment, first_number: int, timeline: ReadyTimeline
    ) -> None:
        """Refuse a segment whose number became a gap, or lay before the beginning, while it was stored."""
        track, msn = timeline.track(segment.variant_id), segment.number - first_number
        if msn >= 0 and msn not in track.gaps:
            return
        await self._ports.segments.remove(self._feed_id, segment)
        await self._ports.media.delete([segment.media.key])
        raise late(segment.number, first_number + track.next_msn)


def _behind(iframe: IFrameRange, head_bytes: int) -> IFrameRange:
    """Count from the segment's first byte."""
    return replace(iframe, offset_bytes=iframe.offset_bytes - head_bytes)
