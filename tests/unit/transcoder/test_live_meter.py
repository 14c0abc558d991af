from __future__ import annotations

import asyncio

import pytest

from transcoder.adapters.ffmpeg_process import Progress
from transcoder.adapters.live_encoder import _Meter
from transcoder.domain.live_speed import LiveProgress


async def test_two_reports_that_are_read_at_once_are_one() -> None:
    told: list[LiveProgress] = []
    meter = _Meter(told.append)
    start = asyncio.get_running_loop().time()
    for passed_s in (1.0, 1.0, 3.0):
        meter.media_s += 1.0
        meter.now = lambda passed_s=passed_s: start + passed_s  # type: ignore[misc]
        meter.note(Progress())
    assert len(told) == 2
    assert told[-1].speed_ratio == pytest.approx(1.0)  # two seconds of media in two seconds
