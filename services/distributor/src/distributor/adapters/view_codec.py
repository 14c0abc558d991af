"""How views stand in the log and in snapshots: reports as the contract's message, all else as JSON."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

from google.protobuf.message import DecodeError
from pydantic import Field, TypeAdapter, ValidationError
from weir.distributor.v1 import distributor_pb2 as api

from chassis.errors import DataLoss
from distributor.domain.audiences import Held, Outline
from distributor.domain.views import Command, Report, Sample, Served

_COMMANDS: TypeAdapter[tuple[Command, ...]] = TypeAdapter(
    tuple[Annotated[Command, Field(discriminator="kind")], ...]
)
_OUTLINE = TypeAdapter(Outline)
_HELD = TypeAdapter(tuple[Held, ...])


def write_commands(commands: Sequence[Command]) -> bytes:
    """Write what was asked for."""
    return _COMMANDS.dump_json(tuple(commands))


def read_commands(data: bytes) -> Sequence[Command]:
    """Read what was asked for; DataLoss if it is not."""
    try:
        return _COMMANDS.validate_json(data)
    except ValidationError as error:
        raise DataLoss(f"what was asked for viewers cannot be read: {error}", reason="BAD_VIEW") from error


def read_stored_report(data: bytes) -> Report:
    """Read a gateway's report, and its samples when they are gone through; DataLoss if it is none."""
    try:
        message = api.ReportDeliveriesRequest.FromString(data)
    except DecodeError as error:
        raise DataLoss("a gateway's report cannot be read", reason="BAD_VIEW") from error
    return Report(
        gateway=message.gateway,
        report_number=message.report_number,
        grpc_address=message.grpc_address,
        samples=map(_sample, message.samples),
    )


def write_outline(outline: Outline) -> bytes:
    """Write a state of the fold without its sessions."""
    return zlib.compress(_OUTLINE.dump_json(outline), level=1)


def read_outline(data: bytes) -> Outline:
    """Read one back; DataLoss if it cannot be."""
    with _readable():
        return _OUTLINE.validate_json(zlib.decompress(data))


def write_held(held: Sequence[Held]) -> bytes:
    """Write some sessions of a state."""
    return zlib.compress(_HELD.dump_json(tuple(held)), level=1)


def read_held(data: bytes) -> Sequence[Held]:
    """Read them back; DataLoss if they cannot be."""
    with _readable():
        return _HELD.validate_json(zlib.decompress(data))


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except (ValidationError, zlib.error) as error:
        raise DataLoss(f"a state of views is of another release: {error}", reason="BAD_STATE") from error


def _sample(sample: api.DeliverySample) -> Sample:
    last = sample.last_time
    return Sample(
        stream_id=sample.stream_id,
        session_id=sample.session_id,
        joined_session_id=sample.joined_session_id,
        place_session_id=sample.place_session_id,
        variant_id=sample.variant_id,
        last_time=last.seconds + last.nanos / 1e9,
        segments_count=sample.segments_count,
        size_bytes=sample.size_bytes,
        cache_hits_count=sample.cache_hits_count,
        cache_misses_count=sample.cache_misses_count,
        buffer_s=sample.buffer_s if sample.HasField("buffer_s") else None,
        latency_s=sample.latency_s if sample.HasField("latency_s") else None,
        served=_served(sample),
    )


def _served(sample: api.DeliverySample) -> Sequence[tuple[str, Served]]:
    if not sample.variants:
        return ((sample.variant_id, _whole(sample)),)
    return tuple(
        (
            variant.variant_id,
            Served(
                segments_count=variant.segments_count,
                size_bytes=variant.size_bytes,
                requests_count=variant.requests_count,
                failed_count=variant.failed_requests_count,
            ),
        )
        for variant in sample.variants
    )


def _whole(sample: api.DeliverySample) -> Served:
    """What a gateway sent that does not tell variants apart."""
    answered_count = sample.cache_hits_count + sample.cache_misses_count
    return Served(
        segments_count=sample.segments_count,
        size_bytes=sample.size_bytes,
        requests_count=answered_count + sample.failed_requests_count,
        failed_count=sample.failed_requests_count,
    )
