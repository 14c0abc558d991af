"""Encode chunks and audio with ffmpeg: from a source file to packed segments, progressively and in order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from transcoder.domain.chunks import Chunk
from transcoder.domain.packager import PackedSegment
from transcoder.domain.plan import EncodePlan


class EncodeError(Exception):
    """ffmpeg failed, or made other media than planned.

    Attributes:
        task: What was being encoded: "chunk 3", "audio".
        exit_status: ffmpeg's; negative: killed by that signal; 0: it ended well but its output is not as planned.
        last_words: The last lines that ffmpeg wrote to stderr.
    """

    def __init__(self, message: str, *, task: str, exit_status: int, last_words: str) -> None:
        super().__init__(message)
        self.task = task
        self.exit_status = exit_status
        self.last_words = last_words


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeProgress:
    """How far one ffmpeg is."""

    frame_count: int
    """Frames encoded of the first rung; for audio: grid frames covered."""
    speed_ratio: float
    """Media seconds per wall-clock second; 0 while unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderSettings:
    """How ffmpeg runs."""

    ffmpeg_path: str | None = None
    """None: the one from the imageio-ffmpeg wheel."""
    preset: str = "veryfast"
    thread_count: int = 0
    """Threads of each of a chunk's encoders; 0: libav decides by the machine."""
    stall_timeout_s: float = 60.0
    """An ffmpeg without progress for this long is killed."""
    stop_timeout_s: float = 2.0
    """Between terminate and kill."""


class Encoder:
    """Runs one ffmpeg per chunk, and one for all audio."""

    def __init__(self, settings: EncoderSettings = EncoderSettings()) -> None:
        self._settings = settings

    def encode_chunk(
        self,
        source_path: Path,
        plan: EncodePlan,
        chunk: Chunk,
        *,
        audio_runs: Sequence[bytes] = (),
        niceness: int = 0,
        on_progress: Callable[[EncodeProgress], None] = lambda _: None,
    ) -> AbstractAsyncContextManager[AsyncIterator[PackedSegment]]:
        """Encode all rungs of a chunk; iterate over the segments as they are finished.

            async with encoder.encode_chunk(path, plan, chunk) as segments:
                async for segment in segments: ...

        Segments of one rendition come in order; renditions interleave. Nothing is left behind however the block is
        left (ffmpeg is dead then; there are no scratch files). A slow consumer holds ffmpeg up: memory stays flat.

        Args:
            source_path: The source.
            plan: Its plan.
            chunk: One of plan.chunks.
            audio_runs: If plan.audio_is_muxed: the data of the audio segments of the same msns, one each.
            niceness: 0 to 19; later chunks give way to first ones.
            on_progress: Called about twice a second.

        Raises (from the iterator):
            EncodeError: ffmpeg failed, stalled, or made another number of frames than planned.
        """
        raise NotImplementedError

    def encode_audio(
        self,
        source_path: Path,
        plan: EncodePlan,
        *,
        niceness: int = 0,
        on_progress: Callable[[EncodeProgress], None] = lambda _: None,
    ) -> AbstractAsyncContextManager[AsyncIterator[PackedSegment]]:
        """Encode the whole recording's audio; iterate over its segments as they are finished, in order.

        The segments' data are CMAF; MPEG-TS if the plan asks for TS and has no video; and if plan.audio_is_muxed
        bare ADTS runs, not to be published but given to encode_chunk as `audio_runs`.

        Raises (from the iterator):
            EncodeError: As in encode_chunk.
        """
        raise NotImplementedError
