"""Settings of the transcoder."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from chassis.config import Address, ServiceConfig
from transcoder.domain.ladder import NAMED_RUNGS, Rung
from transcoder.domain.plan import RESERVED_RENDITION_IDS

BEATS_PER_ACK_WAIT = 3


def _choose_workers() -> int:
    return min(64, max(2, len(os.sched_getaffinity(0)) // 2))


def _require_names(ladder: tuple[Rung, ...]) -> tuple[Rung, ...]:
    names = [rung.name for rung in ladder]
    if len(set(names)) != len(names) or not RESERVED_RENDITION_IDS.isdisjoint(names):
        reserved = " or ".join(map(repr, sorted(RESERVED_RENDITION_IDS)))
        raise ValueError(f"it has the names {names}: each must be unique, and none {reserved}")
    return ladder


class TranscoderConfig(ServiceConfig):
    """What an operator may change; each is an environment variable, WEIR_ and the name in capitals."""

    grpc_address: Address = "0.0.0.0:50052"
    """Where this service's gRPC server listens, host:port."""

    distributor_address: Address = "dns:///distributor:50053"
    """The distributor, which keeps the streams' ledgers: host:port, or dns:///host:port for all replicas."""

    transcode_workers: Annotated[int, Field(ge=0, le=64)] = Field(default_factory=_choose_workers)
    """Tasks that this process works on at a time, 0 to 64; 0: it takes no tasks, and only answers calls.

    Default: half of the cores, at least 2. Each ffmpeg uses several cores, but not at its beginning and end.
    """

    transcode_max_attempts: Annotated[int, Field(ge=1, le=20)] = 3
    """Attempts at one task, failed ones and those whose worker died, before its job fails, 1 to 20."""

    transcode_retry_delay_s: Annotated[float, Field(ge=0, le=60)] = 1.0
    """Wait before a failed task is tried again, seconds, 0 to 60."""

    transcode_ack_wait_s: Annotated[float, Field(ge=0.5, le=300)] = 10.0
    """Silence after which a task is given to another worker, seconds, 0.5 to 300."""

    transcode_heartbeat_s: Annotated[float, Field(ge=0.05, le=60)] = 1.0
    """How often a worker shows that it lives and looks whether its job was cancelled, seconds, 0.05 to 60.

    At most a third of transcode_ack_wait_s, so that one late heartbeat costs nothing.
    """

    transcode_lost_after_s: Annotated[float, Field(ge=1, le=3600)] = 60.0
    """Tasks of a job that was silent for so long are queued again if none waits in the queue, seconds."""

    transcode_stall_s: Annotated[float, Field(ge=1, le=3600)] = 60.0
    """An ffmpeg that makes no progress for so long has failed, seconds, 1 to 3,600."""

    upload_limit_bytes: Annotated[int, Field(ge=1)] = 100 * 1024**3
    """Largest source that is taken, bytes, at least 1."""

    upload_silence_s: Annotated[float, Field(ge=0.1, le=3600)] = 60.0
    """An upload or fetch that brings nothing for so long has broken, seconds, 0.1 to 3,600."""

    fetch_workers: Annotated[int, Field(ge=0, le=64)] = 2
    """Sources that this process fetches at a time, 0 to 64."""

    fetch_limit_s: Annotated[float, Field(ge=1, le=86_400)] = 6 * 3600.0
    """Longest that the fetch of one source may take, seconds, 1 to 86,400."""

    fetch_allow_private: bool = False
    """Fetch and pull from private, loopback and link-local addresses too; for closed networks and tests."""

    scratch_path: Path = Path(tempfile.gettempdir()) / "weir-sources"
    """Folder for sources copied from remote storage; of this process alone, emptied at its start."""

    scratch_limit_bytes: Annotated[int, Field(ge=1)] = 50 * 1024**3
    """Room for sources copied from remote storage, bytes, at least 1; a larger source is refused."""

    progress_interval_s: Annotated[float, Field(ge=0.2, le=60)] = 0.5
    """How often WatchProgress looks for news, seconds, 0.2 to 60."""

    rtmp_address: Address | Literal[""] = "0.0.0.0:1935"
    """Where publishers connect by RTMP, host:port; empty: nowhere."""

    srt_address: Address | Literal[""] = ""
    """Where publishers connect by SRT (UDP), host:port; empty: nowhere."""

    srt_passphrase: Annotated[str, Field(pattern=r"^(.{10,79})?$")] = ""
    """What publishers encrypt their SRT with, 10 to 79 characters; empty: they do not."""

    live_workers: Annotated[int, Field(ge=0, le=64)] = 2
    """Live streams that this process pulls at a time, 0 to 64; pushed ones do not count."""

    live_silence_s: Annotated[float, Field(ge=1, le=600)] = 10.0
    """A publisher or pulled source that brings nothing for so long has gone, seconds, 1 to 600."""

    ready_limit_bytes: Annotated[int, Field(ge=1, le=1024**3)] = 64 * 1024**2
    """Largest ready segment that is taken, bytes, 1 to 1 GiB; up to 32 of them are in memory at a time."""

    live_hold_s: Annotated[float, Field(ge=20, le=3600)] = 60.0
    """How long live media are held while storage, NATS or the distributor is away, seconds, 20 to 3,600."""

    drain_s: Annotated[float, Field(ge=0, le=60)] = 0.0
    """How long to answer NOT_SERVING before a stop, so that callers move on, seconds, 0 to 60."""

    ladder: Annotated[tuple[Rung, ...], Field(min_length=1), AfterValidator(_require_names)] = NAMED_RUNGS
    """Rungs that jobs choose from, at least 1: a JSON list of {name, width_pixels, height_pixels, video_bps}.

    Each name is unique and none is "audio" or "thumbnails", which are other renditions'.
    """

    ffmpeg: str = ""
    """The ffmpeg to run; empty: the one that the imageio-ffmpeg package brings."""

    @model_validator(mode="after")
    def _require_several_beats(self) -> TranscoderConfig:
        if self.transcode_heartbeat_s > self.transcode_ack_wait_s / BEATS_PER_ACK_WAIT:
            raise ValueError(
                f"transcode_heartbeat_s is {self.transcode_heartbeat_s:g}: it must be at most a third of "
                f"transcode_ack_wait_s, which is {self.transcode_ack_wait_s:g}"
            )
        return self
