"""Batches of samples: read and held to their ranges at 20,000 per second, so each step here counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from weir.abr.v1 import abr_pb2 as pb

from abr.domain.sample import (
    AHEAD_S,
    MAX_BPS,
    MAX_SECONDS,
    MAX_SPEED_RATIO,
    MAX_TRANSFER_S,
    PAST_S,
    Sample,
)
from chassis.errors import InvalidArgument
from chassis.layout import ID_PATTERN

MAX_COUNT = 1_000
MAX_BYTES = 2**40
_MAX_TRANSFER_MS = MAX_TRANSFER_S * 1e3
_new = tuple.__new__  # a third of the time that Sample() takes


@dataclass(slots=True)
class Batch:
    """The samples of one message that lie in their ranges."""

    by_stream: dict[str, list[tuple[str, Sample]]] = field(default_factory=dict)
    """By stream: whose, and the sample."""
    count: int = 0

    def streams(self) -> Mapping[str, Sequence[tuple[str, Sample]]]:
        """The samples of all streams whose names are names."""
        return {stream: samples for stream, samples in self.by_stream.items() if ID_PATTERN.fullmatch(stream)}


def read_batch(request: pb.ReportSamplesRequest, now_s: float) -> Batch:
    """Read one message; a sample outside its range is left out.

    Raises:
        InvalidArgument: There are too many.
    """
    if len(request.samples) > MAX_COUNT:
        raise InvalidArgument(
            f"samples holds {len(request.samples)}: give at most {MAX_COUNT:,} per message", field="samples"
        )
    batch = Batch(count=len(request.samples))
    by_stream, oldest_s, newest_s = batch.by_stream, now_s - PAST_S, now_s + AHEAD_S
    for message in request.samples:
        if sample := _read(message, oldest_s, newest_s):
            stream_id = message.stream_id
            if stream_id not in by_stream:
                by_stream[stream_id] = []
            by_stream[stream_id].append((message.viewer_id, sample))
    return batch


def _read(message: pb.Sample, oldest_s: float, newest_s: float) -> Sample | None:
    """Read one sample; 0 and absent differ where the contract says so, and only there it is asked which."""
    time = message.sample_time
    end_s = time.seconds + time.nanos * 1e-9
    msn, size_bytes, buffer_s = message.msn, message.size_bytes, message.buffer_s
    transfer_ms, player_bps = message.transfer_ms, message.player_throughput_bps
    duration_s, top_bps, speed_ratio = message.duration_s, message.top_bps, message.playback_rate_ratio
    if not (
        oldest_s <= end_s <= newest_s
        and 0 <= size_bytes <= MAX_BYTES
        and 0 <= buffer_s <= MAX_SECONDS
        and 0 <= transfer_ms <= _MAX_TRANSFER_MS
        and 0 <= player_bps <= MAX_BPS
        and 0 <= duration_s <= MAX_SECONDS
        and 0 <= speed_ratio <= MAX_SPEED_RATIO
        and msn >= 0
        and top_bps >= 0
    ):
        return None
    return _new(
        Sample,
        (
            message.variant_id,
            msn if msn or message.HasField("msn") else None,
            end_s,
            size_bytes,
            transfer_ms * 1e-3,
            player_bps,
            buffer_s if buffer_s or message.HasField("buffer_s") else -1.0,
            duration_s,
            top_bps,
            speed_ratio if speed_ratio or message.HasField("playback_rate_ratio") else 1.0,
            message.starved,
            message.startup,
            0.0,  # latency_s and after_s: not told
            -1.0,
        ),
    )
