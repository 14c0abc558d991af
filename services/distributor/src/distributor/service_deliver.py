"""One segment brought to the edges because somebody asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from chassis.errors import NotFound, OutOfRange, WeirError
from distributor.deliveries import Deliveries
from distributor.domain.delivery import Delivery, Edge, Freight, freight_of, order_for, read_segment_id
from distributor.domain.entries import Entry, Rendition, Segment, Trimmed
from distributor.domain.figures import profile_of, variant_named
from distributor.domain.profiles import Profile
from distributor.domain.stream import Stream
from distributor.ports import Edges, LedgerReader
from distributor.service_streams import Streams
from distributor.viewers import Viewers


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """What became of the deliveries that were asked for."""

    stream: Stream
    deliveries: Sequence[Delivery]

    @property
    def failed_count(self) -> int:
        return sum(bool(delivery.error) for delivery in self.deliveries)


class Shipping:
    """The use-case DeliverSegment.

    Args:
        streams: The streams that there are.
        reader: Their ledgers.
        viewers: Who watches what, under which profile.
        edges: Where to.
        desk: Who carries.
        profiles: The delivery profiles.
        now: The clock, seconds since 1970.
    """

    def __init__(
        self,
        *,
        streams: Streams,
        reader: LedgerReader,
        viewers: Viewers,
        edges: Edges,
        desk: Deliveries,
        profiles: Sequence[Profile],
        now: Callable[[], float],
    ) -> None:
        self._streams = streams
        self._reader = reader
        self._viewers = viewers
        self._edges = edges
        self._desk = desk
        self._profiles = profiles
        self._now = now

    async def deliver(self, stream_id: str, segment_id: str, *, viewer_id: str, rendition: str) -> Shipment:
        """Bring a segment to all edges, or to a viewer's, and wait until that is done.

        Args:
            stream_id: The stream.
            segment_id: The segment's number or name.
            viewer_id: To this viewer's edge alone; empty: to all.
            rendition: Name or id; empty: the viewer's, or all.

        Raises:
            NotFound: The stream, segment, rendition or viewer; or no edge is there.
            InvalidArgument: segment_id.
            OutOfRange: SEGMENT_GONE.
            ResourceExhausted: QUEUE_FULL.
        """
        msn = read_segment_id(segment_id)
        stream = await self._streams.get(stream_id)
        wanted = self._wanted_rendition(stream, viewer_id, rendition)
        freights = await self._freights(stream, msn, wanted)
        profile = profile_of(self._profiles, self._viewers.audience(stream_id).start)
        orders = [
            order_for(edge, freight, profile, is_new=False)
            for edge in self._wanted_edges(stream_id, viewer_id)
            for freight in freights
        ]
        taken = [await self._desk.take_at_once(order) for order in orders]
        return Shipment(stream=stream, deliveries=await asyncio.gather(*taken))

    def _wanted_rendition(self, stream: Stream, viewer_id: str, rendition: str) -> str:
        if rendition:
            return variant_named(stream.variants, rendition)
        audience = self._viewers.audience(stream.stream_id)
        session = audience.session_of(viewer_id, self._now()) if viewer_id else None
        return session.variant_id if session else ""

    def _wanted_edges(self, stream_id: str, viewer_id: str) -> Sequence[Edge]:
        if not viewer_id:
            if edges := self._edges.all():
                return edges
            raise NotFound("no edge is there: no gateway reports, and no CDN is configured", reason="NO_EDGE")
        if edge := self._edges.of_viewer(stream_id, viewer_id):
            return (edge,)
        raise NotFound(
            f"viewer_id is {viewer_id!r}: no gateway that still reports has served such a viewer lately",
            reason="NO_VIEWER",
            field="viewer_id",
        )

    async def _freights(self, stream: Stream, msn: int, wanted: str) -> Sequence[Freight]:
        """Look the segment up in the ledger, in all renditions or in the one that is wanted."""
        shelf = Shelf(msn=msn)
        newest = await self._reader.last_sequence(stream.ledger_id)
        async for batch in self._reader.read(stream.ledger_id, after_sequence=0, up_to=newest):
            for record in batch:
                shelf.add(self._reader.decode(record).entries)
        chosen = [one for one in shelf.segments if wanted in {"", one.rendition_id}]
        if not chosen:
            raise _not_there(stream.stream_id, shelf, wanted)
        return [freight_of(stream.ledger_id, one) for one in chosen]


@dataclass(slots=True)
class Shelf:
    """What a ledger tells of the segments of one number."""

    msn: int
    renditions: set[str] = field(default_factory=set)
    segments: list[Segment] = field(default_factory=list)
    is_past: bool = False
    """Some rendition had it, and it has left the ledger."""

    def add(self, entries: Iterable[Entry]) -> None:
        """Look through further entries."""
        for entry in entries:
            if isinstance(entry, Rendition):
                self.renditions.add(entry.rendition_id)
            elif isinstance(entry, Trimmed):
                self.is_past = self.is_past or self.msn < entry.first_msn
            elif isinstance(entry, Segment) and entry.msn == self.msn and not entry.gap:
                self.segments.append(entry)


def _not_there(stream_id: str, shelf: Shelf, wanted: str) -> WeirError:
    if shelf.is_past:
        return OutOfRange(
            f"segment_id is {shelf.msn}: it has left the DVR window of {stream_id!r}", reason="SEGMENT_GONE"
        )
    of_rendition = f" of the rendition {wanted!r}" if wanted else ""
    return NotFound(
        f"{stream_id!r} has no segment {shelf.msn}{of_rendition}; its renditions are "
        f"{', '.join(sorted(shelf.renditions)) or 'still to come'}",
        reason="NO_SEGMENT",
    )
