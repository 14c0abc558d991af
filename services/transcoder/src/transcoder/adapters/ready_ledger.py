"""The ledgers of streams that are fed with ready segments, kept by the distributor, over gRPC."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC

import grpc
from weir.timeline.v1 import timeline_pb2 as pb
from weir.timeline.v1 import timeline_pb2_grpc

from chassis.grpc_client import call_metadata, peer_errors
from transcoder.adapters.live_ledger import LiveLedgerClient, write_entry
from transcoder.adapters.timeline_client import CALL_DEADLINE_S
from transcoder.domain.announce import StreamEnd
from transcoder.domain.live_settings import LiveSettings
from transcoder.domain.live_timeline import LedgerEntry, LiveEntry, PlacedSegment, StoredObject, TrackTrimmed
from transcoder.domain.packager import MediaKind, RenditionInfo
from transcoder.domain.ready_feed import Feed
from transcoder.domain.ready_tracks import ReadyTimeline, fold
from transcoder.ready.ports import FeedId


class ReadyLedgerClient:
    """See `ready.ports.ReadyLedger`."""

    def __init__(self, channel: grpc.aio.Channel, ledger: LiveLedgerClient) -> None:
        self._timeline = timeline_pb2_grpc.TimelineServiceStub(channel)
        self._ledger = ledger

    async def open(self, settings: LiveSettings) -> int:
        return (await self._ledger.open(settings)).epoch

    async def append(self, feed: Feed, sequence: int, entries: Sequence[LiveEntry]) -> int:
        request = pb.AppendRequest(
            stream_id=feed.stream_id,
            incarnation=feed.incarnation,
            epoch=feed.epoch,
            expected_sequence=sequence,
            entries=[write_entry(entry) for entry in entries],
            request_id=secrets.token_hex(8),  # a retry of this call, by the channel, appends nothing twice
        )
        async with peer_errors():
            response = await self._timeline.Append(request, timeout=CALL_DEADLINE_S, metadata=call_metadata())
        return int(response.sequence)

    async def catch_up(self, feed_id: FeedId, timeline: ReadyTimeline) -> ReadyTimeline:
        newest = timeline.sequence + 1
        while timeline.sequence < newest:
            request = pb.GetSnapshotRequest(
                stream_id=feed_id.stream_id, incarnation=feed_id.incarnation, after_sequence=timeline.sequence
            )
            async with peer_errors():
                snapshot = await self._timeline.GetSnapshot(
                    request, timeout=CALL_DEADLINE_S, metadata=call_metadata()
                )
            entries = (entry for record in snapshot.records for entry in record.entries)
            timeline = fold(timeline, _read(entries), snapshot.sequence)
            newest = snapshot.newest_sequence
        return timeline


def _read(entries: Iterable[pb.Entry]) -> Iterator[LedgerEntry]:
    """Read entries as far as going on with them needs it."""
    for entry in entries:
        match entry.WhichOneof("kind"):
            case "rendition":
                yield RenditionInfo(
                    rendition_id=entry.rendition.rendition_id, name="", media_kind=MediaKind.VIDEO, codecs=""
                )
            case "segment":
                yield _segment(entry.segment)
            case "trimmed":
                yield TrackTrimmed(
                    rendition_id=entry.trimmed.rendition_id,
                    first_msn=entry.trimmed.first_msn,
                    start_s=entry.trimmed.start_s,
                    discontinuity_sequence=entry.trimmed.discontinuity_sequence,
                )
            case "ended" if not entry.ended.rendition_id:
                yield StreamEnd()


def _segment(written: pb.Segment) -> PlacedSegment:
    media = None if written.gap else StoredObject(key=written.object_key, size_bytes=written.size_bytes)
    return PlacedSegment(
        rendition_id=written.rendition_id,
        msn=written.msn,
        start_s=written.start_s,
        duration_s=written.duration_s,
        program_date_time=written.program_date_time.ToDatetime(tzinfo=UTC),
        discontinuity_sequence=written.discontinuity_sequence,
        media=media,
    )
