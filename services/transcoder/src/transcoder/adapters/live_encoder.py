"""Encode a live run with ffmpeg: bytes of a container in, parts and segments of all renditions out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, contextmanager

import imageio_ffmpeg

from transcoder.adapters.encoder import EncoderSettings
from transcoder.adapters.ffmpeg_process import (
    FfmpegProcess,
    FfmpegStalledError,
    ProcessLimits,
    Progress,
    run_ffmpeg,
)
from transcoder.adapters.live_command import LiveCommand, build_drop_command, build_live_command
from transcoder.domain.encoding import EncodeError
from transcoder.domain.live_cutter import LiveOutput, LiveRenditionEnd
from transcoder.domain.live_plan import LivePlan
from transcoder.domain.live_run import LiveRun
from transcoder.domain.live_speed import LiveProgress, SpeedMark, measure_speed
from transcoder.domain.packager import PackagingError

TASK = "live run"


class LiveEncoder:
    """Runs one ffmpeg per live run."""

    def __init__(self, settings: EncoderSettings) -> None:
        self._settings = settings
        self._ffmpeg_path = settings.ffmpeg_path or imageio_ffmpeg.get_ffmpeg_exe()

    def encode(
        self, plan: LivePlan, *, on_progress: Callable[[LiveProgress], None] = lambda _: None
    ) -> AbstractAsyncContextManager[LiveEncode]:
        """Start a run's encoder for the time of a block; however it is left, ffmpeg is dead afterwards.

            async with encoder.encode(plan, on_progress=note) as encode:
                # in one task: await encode.write(data) ..., then await encode.finish()
                # in another:  async for media in encode.outputs(): ...

        Args:
            plan: The run's.
            on_progress: Called about twice a second while outputs are taken.
        """
        return self._encode(plan, on_progress)

    @asynccontextmanager
    async def _encode(
        self, plan: LivePlan, on_progress: Callable[[LiveProgress], None]
    ) -> AsyncIterator[LiveEncode]:
        settings = self._settings
        meter = _Meter(on_progress)
        limits = ProcessLimits(
            memory_bytes=settings.memory_bytes,
            stall_timeout_s=settings.stall_timeout_s,
            stop_timeout_s=settings.stop_timeout_s,
        )
        async with run_ffmpeg(
            lambda urls, progress_url: build_live_command(
                self._command(urls[:-1], urls[-1], progress_url), plan
            ),
            output_count=len(plan.ladder) + (plan.audio is not None) + (plan.thumbnails is not None),
            limits=limits,
            on_progress=meter.note,
            is_commanded=True,
        ) as process:
            yield LiveEncode(process, plan, meter)

    def _command(self, urls: Sequence[str], input_url: str, progress_url: str) -> LiveCommand:
        return LiveCommand(
            ffmpeg_path=self._ffmpeg_path,
            output_urls=urls,
            input_url=input_url,
            progress_url=progress_url,
            preset=self._settings.preset,
            thread_count=self._settings.thread_count,
            max_pixel_count=self._settings.max_pixel_count,
        )


class LiveEncode:
    """A run under way. One task writes, another takes the outputs."""

    def __init__(self, process: FfmpegProcess, plan: LivePlan, meter: _Meter) -> None:
        self._process = process
        self._run = LiveRun(plan)
        self._numbers = {rung.name: number for number, rung in enumerate(plan.ladder)}
        self._meter = meter
        self._has_all = False

    async def write(self, data: bytes) -> None:
        """Hand on the next bytes of the source; wait while the encoder has enough.

        Once the encoder has ended they are dropped: `outputs` tells why it has.
        """
        with self._meter.waiting():
            await self._process.write(data)

    async def finish(self) -> None:
        """End the source: the outputs end behind what was written."""
        self._has_all = True
        self._process.end_input()

    @property
    def is_dropping(self) -> bool:
        """Whether a rung that is to be left out is under way to the end of its segment."""
        return self._run.is_dropping

    def drop_top_rung(self) -> None:
        """Encode the highest rung no more once its segment is whole, so that the others keep up."""
        self._run.drop_top_rung()

    async def outputs(self) -> AsyncGenerator[LiveOutput, None]:
        """Take parts and segments as they are finished.

        Those of one rendition come in order, renditions interleave; a segment follows its last part. The last
        segments are shorter than usual. A slow taker holds the encoder up: memory stays flat.

        Raises:
            EncodeError: ffmpeg failed or stalled, or made other frames than planned; or it ended before its
                source, as it does without another word where a container is broken.
        """
        exit_status = None
        try:
            async with aclosing(self._process.outputs()) as outputs:
                async for number, data in outputs:
                    for media in self._run.feed(number, data, self._meter.now()):
                        if isinstance(media, LiveRenditionEnd):
                            rung = self._numbers[media.rendition.rendition_id]
                            self._process.command(build_drop_command(rung))
                        yield media
                    self._meter.media_s = self._run.end_s
            exit_status = await self._process.wait()
            _require_success(exit_status, has_all=self._has_all)
            for media in self._run.finish():
                yield media
        except (PackagingError, FfmpegStalledError, TimeoutError) as error:
            raise EncodeError(
                str(error), task=TASK, exit_status=exit_status, last_words=self._process.last_words
            ) from error


def _require_success(exit_status: int, *, has_all: bool) -> None:
    if exit_status:
        raise PackagingError(f"ffmpeg ended with status {exit_status}")
    if not has_all:
        raise PackagingError("ffmpeg ended before its source")


class _Meter:
    """Measures a run: how fast it goes, and how much its input waits."""

    def __init__(self, on_progress: Callable[[LiveProgress], None]) -> None:
        self.media_s = 0.0
        self._on_progress = on_progress
        self.now = asyncio.get_running_loop().time
        self._waited_s = 0.0
        self._waiting_since: float | None = None
        self._before = self._mark()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time of a block as waiting, also while it is under way."""
        self._waiting_since = self.now()
        try:
            yield
        finally:
            self._waited_s += self.now() - self._waiting_since
            self._waiting_since = None

    def note(self, _: Progress) -> None:
        """Report what was since the last time: ffmpeg's own speed is the mean of the whole run."""
        now = self._mark()
        if now.wall_s > self._before.wall_s:  # a busy process reads two reports at once
            self._on_progress(measure_speed(self._before, now))
            self._before = now

    def _mark(self) -> SpeedMark:
        now = self.now()
        under_way_s = 0.0 if self._waiting_since is None else now - self._waiting_since
        return SpeedMark(wall_s=now, media_s=self.media_s, waited_s=self._waited_s + under_way_s)
