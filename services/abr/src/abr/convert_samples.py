"""Batches of samples: read and held to their ranges at 20,000 per second, so each step here counts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any, cast

from weir.abr.v1 import abr_pb2 as pb

from abr.domain.sample import (
    AHEAD_S,
    MAX_BPS,
    MAX_SECONDS,
    MAX_SPEED_RATIO,
    MAX_TRANSFER_S,
    PAST_S,
    Batch,
    Row,
)
from chassis.errors import InvalidArgument

MAX_COUNT = 1_000
MAX_BYTES = 2**40
_MAX_INT = 2**63
_MAX_TRANSFER_MS = MAX_TRANSFER_S * 1e3


def read_batches(request: pb.ReportSamplesRequest, now_s: float) -> Sequence[Batch]:
    """Read one message, in whichever of its two forms it comes; a sample outside its range is left out.

    Raises:
        InvalidArgument: There are too many, or columns do not fit each other.
    """
    count = len(request.samples) + len(request.columns.sample_time_s)
    if count > MAX_COUNT:
        raise InvalidArgument(
            f"samples and columns hold {count}: give at most {MAX_COUNT:,} per message", field="samples"
        )
    batches = []
    if request.samples:
        batches.append(_read_samples(request.samples, now_s))
    if request.columns.sample_time_s:
        batches.append(_Columns(request.columns).read(now_s))
    return batches


class _Columns:
    """Samples as columns: each column is read and checked as a whole."""

    def __init__(self, columns: pb.SampleColumns) -> None:
        self._columns = columns
        self._count = len(columns.sample_time_s)
        self._wrong: set[int] = set()
        """Places of samples with a value outside its range."""

    def read(self, now_s: float) -> Batch:
        """Read all of them."""
        stream_ids, viewer_ids = self._table("stream_ids"), self._table("viewer_ids")
        if len(stream_ids) != len(viewer_ids):
            raise _misfit(
                "stream_ids", f"{len(stream_ids)} values", f"one for each of {len(viewer_ids)} viewers"
            )
        rows: Iterable[tuple[int, Row]] = zip(
            self._places("viewer_places", len(viewer_ids)), self._rows(now_s), strict=True
        )
        if self._wrong:
            rows = [row for place, row in enumerate(rows) if place not in self._wrong]
        return Batch(count=self._count, stream_ids=stream_ids, viewer_ids=viewer_ids, rows=rows)

    def _rows(self, now_s: float) -> Iterable[Row]:
        variants = self._table("variant_ids")
        columns = (
            map(variants.__getitem__, self._places("variant_places", len(variants))),
            self._values("msns", -1, _MAX_INT),
            self._within(self._column("sample_time_s"), now_s - PAST_S, now_s + AHEAD_S),
            self._values("size_bytes", 0, MAX_BYTES),
            [transfer_ms * 1e-3 for transfer_ms in self._values("transfer_ms", 0, _MAX_TRANSFER_MS)],
            self._values("player_throughput_bps", 0, MAX_BPS),
            self._values("buffer_s", -1, MAX_SECONDS),
            self._values("duration_s", 0, MAX_SECONDS),
            self._values("top_bps", 0, _MAX_INT),
            self._speeds(),
            self._values("starved", 0, 1),
            self._values("startup", 0, 1),
            repeat(0.0, self._count),  # latency_s and after_s: not told
            repeat(-1.0, self._count),
        )
        return cast("Iterable[Row]", zip(*columns, strict=True))

    def _speeds(self) -> Iterable[float]:
        if not self._columns.playback_rate_ratio:
            return repeat(1.0, self._count)
        speeds = self._values("playback_rate_ratio", -1, MAX_SPEED_RATIO)
        return [1.0 if speed_ratio < 0 else speed_ratio for speed_ratio in speeds]

    def _table(self, name: str) -> Sequence[str]:
        return cast("Sequence[str]", getattr(self._columns, name)[:])

    def _column(self, name: str) -> Sequence[Any]:
        values = getattr(self._columns, name)[:]
        if len(values) != self._count:
            raise _misfit(name, f"{len(values)} values", f"one for each of {self._count} samples")
        return cast("Sequence[Any]", values)

    def _places(self, name: str, count: int) -> Sequence[int]:
        """Read a column of places in a table."""
        places = self._column(name)
        if not 0 <= min(places) <= max(places) < count:
            raise _misfit(name, f"{min(places)} to {max(places)}", f"places from 0 to {count - 1}")
        return places

    def _values(self, name: str, least: float, most: float) -> Iterable[Any]:
        """Read a column that may be empty, which stands for the least in each place."""
        if not getattr(self._columns, name):
            return repeat(least, self._count)
        return self._within(self._column(name), least, most)

    def _within(self, values: Sequence[Any], least: float, most: float) -> Sequence[Any]:
        """Note which samples have a value outside its range; NaN lies nowhere, and shows in a sum."""
        if not (least <= min(values) and max(values) <= most and not math.isnan(sum(values))):
            self._wrong.update(place for place, value in enumerate(values) if not least <= value <= most)
        return values


def _misfit(name: str, given: str, wanted: str) -> InvalidArgument:
    return InvalidArgument(f"columns.{name} holds {given}: give {wanted}", field=f"columns.{name}")


def _read_samples(samples: Sequence[pb.Sample], now_s: float) -> Batch:
    sessions: dict[tuple[str, str], int] = {}
    rows = []
    oldest_s, newest_s = now_s - PAST_S, now_s + AHEAD_S
    for message in samples:
        if row := _read(message, oldest_s, newest_s):
            place = sessions.setdefault((message.stream_id, message.viewer_id), len(sessions))
            rows.append((place, row))
    return Batch(
        count=len(samples),
        stream_ids=[stream_id for stream_id, _ in sessions],
        viewer_ids=[viewer_id for _, viewer_id in sessions],
        rows=rows,
    )


def _read(message: pb.Sample, oldest_s: float, newest_s: float) -> Row | None:
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
    return (
        message.variant_id,
        msn if msn or message.HasField("msn") else -1,
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
    )
