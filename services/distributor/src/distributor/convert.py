"""Between contracts and domain, and what a request must hold to get past this edge."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import TypeVar

from google.protobuf.timestamp_pb2 import Timestamp
from weir.timeline.v1 import timeline_pb2 as pb

from chassis.errors import InvalidArgument
from chassis.layout import require_id
from distributor.codec import read_entry
from distributor.domain.entries import Container, Entry, LedgerId, StoredRecord
from distributor.domain.stream import Description, Stream, StreamKind
from distributor.ports import Draft
from distributor.service_watch import CaughtUp, Event

Number = TypeVar("Number")
Value = TypeVar("Value")

MAX_RECORD_BYTES = 900 * 1024  # NATS takes 1 MiB per message, headers included
MAX_TARGET_DURATION_S = 60
MAX_TAIL_SEGMENTS = 1_000
MAX_SECONDS = 366 * 86_400
INCARNATION = re.compile(r"[0-9a-f]{1,32}")
REQUEST_ID = re.compile(r"[\x21-\x7e]{0,128}")
OWNER = re.compile(r"[\x20-\x7e]{0,128}")
TEXT = re.compile(r"[^\x00-\x09\x0b-\x1f\x7f]{0,2000}")
TITLE = re.compile(r"[^\x00-\x1f\x7f]{0,200}")

KINDS: Mapping[pb.StreamKind.ValueType, StreamKind] = {
    pb.STREAM_KIND_VOD: StreamKind.VOD,
    pb.STREAM_KIND_LIVE: StreamKind.LIVE,
    pb.STREAM_KIND_EVENT: StreamKind.EVENT,
}
CONTAINERS: Mapping[pb.Container.ValueType, Container] = {
    pb.CONTAINER_CMAF: Container.CMAF,
    pb.CONTAINER_TS: Container.TS,
}
_KIND_NUMBERS = {kind: number for number, kind in KINDS.items()}
_CONTAINER_NUMBERS = {container: number for number, container in CONTAINERS.items()}


def read_ledger_id(stream_id: str, incarnation: str) -> LedgerId:
    """Read a ledger's name; the incarnation must be given."""
    return LedgerId(
        stream_id=require_id(stream_id, field="stream_id"),
        incarnation=require_text(incarnation, INCARNATION, "incarnation", "be 1 to 32 lower-case hex digits"),
    )


def read_optional_incarnation(incarnation: str) -> str:
    """Read an incarnation that may be empty: the present one is meant."""
    if not incarnation:
        return ""
    return require_text(incarnation, INCARNATION, "incarnation", "be 1 to 32 lower-case hex digits")


def read_sequence(sequence: int, field: str) -> int:
    """Read a place in a ledger."""
    if sequence < 0:
        raise InvalidArgument(f"{field} is {sequence}: it must be at least 0", field=field)
    return sequence


def read_tail(request: pb.GetSnapshotRequest) -> int:
    """Validate how many segments of each rendition are asked for; 0: all."""
    count = request.tail_segments
    if not 0 <= count <= MAX_TAIL_SEGMENTS:
        raise InvalidArgument(
            f"tail_segments is {count}: it must lie from 0 to {MAX_TAIL_SEGMENTS}", field="tail_segments"
        )
    if count and request.after_sequence:
        raise InvalidArgument("tail_segments and after_sequence are both given", field="tail_segments")
    return count


def read_owner(owner: str) -> str:
    """Read who opens a stream."""
    return require_text(owner, OWNER, "owner", "be up to 128 printable ASCII characters")


def read_description(stream: pb.Stream) -> Description:
    """Read what the opener of a stream says of it."""
    if not 1 <= stream.target_duration_s <= MAX_TARGET_DURATION_S:
        raise InvalidArgument(
            f"stream.target_duration_s is {stream.target_duration_s}: "
            f"it must lie from 1 to {MAX_TARGET_DURATION_S}",
            field="stream.target_duration_s",
        )
    if stream.recording_id:
        require_id(stream.recording_id, field="stream.recording_id")
    return Description(
        stream_id=require_id(stream.stream_id, field="stream.stream_id"),
        kind=_known(KINDS, stream.kind, "stream.kind"),
        container=_known(CONTAINERS, stream.container, "stream.container"),
        target_duration_s=stream.target_duration_s,
        title=require_text(stream.title, TITLE, "stream.title", "hold at most 200 characters, no controls"),
        recording_id=stream.recording_id,
        part_target_s=_part_target(stream),
        dvr_window_s=require_seconds(stream.dvr_window_s, "stream.dvr_window_s"),
        record=stream.record,
    )


def read_draft(request: pb.AppendRequest) -> Draft:
    """Read what is to be appended."""
    wire = pb.Record(entries=request.entries).SerializeToString()
    if len(wire) > MAX_RECORD_BYTES:
        raise InvalidArgument(
            f"entries hold {len(wire)} bytes: give at most {MAX_RECORD_BYTES}", field="entries"
        )
    request_id = require_text(
        request.request_id, REQUEST_ID, "request_id", "be up to 128 ASCII characters without spaces"
    )
    return Draft(
        epoch=request.epoch,
        entries=tuple(_required(entry, index) for index, entry in enumerate(request.entries)),
        wire=wire,
        request_id=request_id,
    )


def write_description(stream: Stream) -> pb.Stream:
    """Write what readers of a ledger need beside its entries."""
    description = stream.description
    return pb.Stream(
        stream_id=stream.stream_id,
        incarnation=stream.incarnation,
        kind=_KIND_NUMBERS[description.kind],
        container=_CONTAINER_NUMBERS[description.container],
        title=description.title,
        recording_id=description.recording_id,
        target_duration_s=description.target_duration_s,
        create_time=write_time(stream.create_time),
        part_target_s=description.part_target_s,
        dvr_window_s=description.dvr_window_s,
        record=description.record,
    )


def write_event(event: Event) -> pb.WatchResponse:
    """Write one thing that a watcher is told."""
    match event:
        case Stream():
            return pb.WatchResponse(stream=write_description(event))
        case StoredRecord():
            return _sequenced(event)
        case CaughtUp():
            return pb.WatchResponse(caught_up=pb.CaughtUp())


def write_time(time: datetime) -> Timestamp:
    """Write an instant."""
    timestamp = Timestamp()
    timestamp.FromDatetime(time)
    return timestamp


def require_text(value: str, pattern: re.Pattern[str], field: str, rule: str) -> str:
    """Return `value` if it matches, else raise InvalidArgument."""
    if not pattern.fullmatch(value):
        raise InvalidArgument(f"{field} is {value[:80]!r}: it must {rule}", field=field)
    return value


def require_seconds(value: float, field: str) -> float:
    """Return `value` if it is a length of time, else raise InvalidArgument."""
    if not 0 <= value <= MAX_SECONDS:  # NaN is in no range
        raise InvalidArgument(f"{field} is {value}: it must lie from 0 to {MAX_SECONDS}", field=field)
    return value


def _part_target(stream: pb.Stream) -> float:
    longest_s = stream.target_duration_s
    if not 0 <= stream.part_target_s <= longest_s:
        raise InvalidArgument(
            f"stream.part_target_s is {stream.part_target_s}: it must lie from 0 to {longest_s}, "
            "the target duration",
            field="stream.part_target_s",
        )
    return stream.part_target_s


def _known(values: Mapping[Number, Value], number: Number, field: str) -> Value:
    if number not in values:
        words = ", ".join(str(value) for value in values.values())
        raise InvalidArgument(f"{field} is {number}: it must be one of {words}", field=field)
    return values[number]


def _required(entry: pb.Entry, index: int) -> Entry:
    known = read_entry(entry)
    if known is None:
        raise InvalidArgument(
            f"entries[{index}] has no kind: set one of its fields", field=f"entries[{index}]"
        )
    return known


@lru_cache(maxsize=8)  # a new record goes to all watchers of its stream at the same moment
def _sequenced(stored: StoredRecord) -> pb.WatchResponse:
    record = pb.Record.FromString(stored.wire)
    return pb.WatchResponse(record=pb.SequencedRecord(sequence=stored.sequence, record=record))
