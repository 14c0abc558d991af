"""Encode chunks and audio with ffmpeg: from a source to packed segments, each as soon as it is finished."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg

from transcoder.adapters.ffmpeg_command import Run, build_audio_command, build_video_command
from transcoder.adapters.ffmpeg_process import (
    FfmpegProcess,
    FfmpegStalledError,
    ProcessLimits,
    Progress,
    run_ffmpeg,
)
from transcoder.domain.audio_packager import AudioPackager
from transcoder.domain.chunks import Chunk
from transcoder.domain.encoding import EncodeError, EncodeProgress
from transcoder.domain.packager import Packager, PackagingError, PackedSegment
from transcoder.domain.plan import EncodePlan
from transcoder.domain.thumbnail_packager import ThumbnailPackager
from transcoder.domain.video_packager import VideoPackager


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderSettings:
    """How ffmpeg runs."""

    ffmpeg_path: str = ""
    """Empty: the one that the imageio-ffmpeg package brings."""
    preset: str = "veryfast"
    """x264's: see its --fullhelp. Slower ones look better and cost more."""
    thread_count: int = 0
    """Threads of each of a chunk's encoders; 0: x264 decides by the number of cores."""
    max_pixel_count: int = 7680 * 4320
    """Largest picture that is decoded, width times height."""
    memory_bytes: int = 16 << 30
    """Address space of one ffmpeg."""
    stall_timeout_s: float = 60.0
    """An ffmpeg without output and progress for so long is ended."""
    stop_timeout_s: float = 2.0
    """From asking ffmpeg to end until it is killed."""


class Encoder:
    """Runs one ffmpeg per chunk, and one for all of a recording's audio."""

    def __init__(self, settings: EncoderSettings = EncoderSettings()) -> None:
        self._settings = settings
        self._ffmpeg_path = settings.ffmpeg_path or imageio_ffmpeg.get_ffmpeg_exe()

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
        """Encode all rungs of a chunk, and its thumbnails; iterate over the segments as they are finished.

            async with encoder.encode_chunk(path, plan, chunk) as segments:
                async for segment in segments: ...

        Segments of one rendition come in order; renditions interleave. However the block is left, ffmpeg is
        dead afterwards, and there are no scratch files. A slow taker holds ffmpeg up: memory stays flat.

        Args:
            source_path: The source.
            plan: Its plan.
            chunk: One of plan.chunks.
            audio_runs: If plan.audio_is_muxed: the data of the audio segments of the chunk's msns, one each.
            niceness: 0 to 19: later chunks give way to first ones.
            on_progress: Called about twice a second.

        Raises (while iterating):
            EncodeError: ffmpeg failed or stalled, or made other frames than planned.
        """

        def build(urls: Sequence[str], progress_url: str) -> list[str]:
            return build_video_command(self._run(source_path, urls, progress_url), plan, chunk)

        def report(progress: Progress) -> None:
            on_progress(EncodeProgress(frame_count=progress.frame_count, speed_ratio=progress.speed_ratio))

        packagers: list[Packager] = [VideoPackager(plan, rung, chunk, audio_runs) for rung in plan.ladder]
        if plan.thumbnails:
            packagers.append(ThumbnailPackager(plan, plan.thumbnails, chunk))
        return self._encode(f"chunk {chunk.index}", build, packagers, niceness, report)

    def encode_audio(
        self,
        source_path: Path,
        plan: EncodePlan,
        *,
        niceness: int = 0,
        on_progress: Callable[[EncodeProgress], None] = lambda _: None,
    ) -> AbstractAsyncContextManager[AsyncIterator[PackedSegment]]:
        """Encode the whole recording's audio; iterate over its segments as they are finished, in order.

        Their data are CMAF; MPEG-TS if the plan asks for TS and has no video; and if plan.audio_is_muxed bare
        ADTS runs, which are not to be published but given to encode_chunk as `audio_runs`.

        Args and errors: as for encode_chunk.
        """

        def build(urls: Sequence[str], progress_url: str) -> list[str]:
            return build_audio_command(self._run(source_path, urls, progress_url), plan)

        def report(progress: Progress) -> None:
            frames = round(progress.time_s * plan.grid.frame_rate)
            on_progress(EncodeProgress(frame_count=frames, speed_ratio=progress.speed_ratio))

        return self._encode("audio", build, [AudioPackager(plan)], niceness, report)

    def _run(self, source_path: Path, urls: Sequence[str], progress_url: str) -> Run:
        return Run(
            ffmpeg_path=self._ffmpeg_path,
            source_path=source_path,
            output_urls=urls,
            progress_url=progress_url,
            preset=self._settings.preset,
            thread_count=self._settings.thread_count,
            max_pixel_count=self._settings.max_pixel_count,
        )

    @asynccontextmanager
    async def _encode(
        self,
        task: str,
        build: Callable[[Sequence[str], str], Sequence[str]],
        packagers: Sequence[Packager],
        niceness: int,
        report: Callable[[Progress], None],
    ) -> AsyncIterator[AsyncIterator[PackedSegment]]:
        limits = ProcessLimits(
            memory_bytes=self._settings.memory_bytes,
            stall_timeout_s=self._settings.stall_timeout_s,
            stop_timeout_s=self._settings.stop_timeout_s,
            niceness=niceness,
        )
        async with (
            run_ffmpeg(build, output_count=len(packagers), limits=limits, on_progress=report) as process,
            aclosing(_pack(task, process, packagers)) as segments,
        ):
            yield segments


async def _pack(
    task: str, process: FfmpegProcess, packagers: Sequence[Packager]
) -> AsyncGenerator[PackedSegment, None]:
    """Yield the segments that an ffmpeg's outputs become; check that they are all."""
    exit_status = None
    try:
        async with aclosing(process.outputs()) as outputs:
            async for number, data in outputs:
                for segment in packagers[number].feed(data):
                    yield segment
        exit_status = await process.wait()
        _check_end(exit_status, packagers)
    except (PackagingError, FfmpegStalledError, TimeoutError) as error:
        raise EncodeError(
            str(error), task=task, exit_status=exit_status, last_words=process.last_words
        ) from error


def _check_end(exit_status: int, packagers: Sequence[Packager]) -> None:
    """Look at what ffmpeg made, too: it exits with 0 even if its input was cut off."""
    if exit_status:
        raise PackagingError(f"ffmpeg ended with status {exit_status}")
    for packager in packagers:
        packager.finish()
