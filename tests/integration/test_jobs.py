"""VOD jobs with a real nats-server, distributor and ffmpeg: from a recording to a stream that has ended."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from weir.transcoder.v1 import transcoder_pb2 as pb

from support.nats import NatsServer
from support.transcoder import Transcoder, running_pair, small_film


@pytest.fixture
async def transcoder(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[Transcoder]:
    async with running_pair(nats_server.url, tmp_path / "objects") as transcoder:
        yield transcoder


async def test_a_recording_becomes_a_stream(transcoder: Transcoder, tmp_path: Path) -> None:
    recording = await transcoder.bring(small_film(tmp_path))
    assert recording.state == pb.Recording.READY
    await transcoder.start()
    job = await transcoder.finish()
    assert (job.state, job.error, job.percent) == (pb.JobProgress.SUCCEEDED, "", 100.0)
    ledger = await transcoder.ledger()
    assert ledger.has_ended
    for rendition_id in ledger.renditions:
        duration_s = math.fsum(segment.duration_s for segment in ledger.segments(rendition_id))
        assert duration_s == pytest.approx(recording.duration_s, abs=0.04)
    assert transcoder.stored("streams/") == ledger.keys
