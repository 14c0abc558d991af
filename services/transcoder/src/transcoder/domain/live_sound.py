"""Read the audio of a live run, and keep it in step with the picture.

Sound is handed on as far as the picture has come, no farther, so that a run ends at one time in all its
renditions. Where it stays away for long, silence takes its place, so that nobody waits for it; what it brings
later for that time is dropped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property

from transcoder.domain.audio_packager import PRIMING_FRAMES
from transcoder.domain.codecs import AacConfig, read_aac_config
from transcoder.domain.fragments import FragmentReader, Sample, Track
from transcoder.domain.live_plan import LivePlan
from transcoder.domain.packager import PackagingError, RenditionInfo, as_packaging_errors, require_track
from transcoder.domain.plan import AUDIO_RENDITION_ID, Container
from transcoder.domain.renditions import describe_audio, require_audio
from transcoder.domain.silence import silent_aac_frame
from transcoder.domain.timing import AAC_FRAME_SAMPLES

LATE_S = Fraction(3, 2)
"""Sound may be so much behind the picture: publishers interleave them as coarsely as that."""

AWAY_S = 1.0
"""Sound is only replaced if nothing of it has come for so long by the clock on the wall.

An encoder that has much to catch up with brings it late as well.
"""

APART_S = 30
"""If either of them is so far behind the other, their clocks have parted, and the run cannot go on."""


class LiveSound:
    """Turns what the encoder writes for audio into frames without a gap.

    Args:
        plan: The run's, with audio.
    """

    def __init__(self, plan: LivePlan) -> None:
        self._plan = plan
        self._audio = require_audio(plan)
        self.grid = plan.audio_grid
        self._apart_frames = self.grid.whole_frames(Fraction(APART_S))
        self._silence = silent_aac_frame(self._audio.channel_count)
        self._reader = FragmentReader()
        self._read_count = -PRIMING_FRAMES
        """Number of the next frame that is read."""
        self._held: deque[bytes] = deque()
        """Frames that the picture has not reached yet."""
        self._frame = 0
        """Number of the next frame that is handed on."""
        self._picture_s = Fraction(0)
        self._heard_time: float | None = None

    @property
    def end_s(self) -> Fraction:
        """How far the frames reach that were handed on."""
        return self.grid.time_s(self._frame)

    def feed(self, data: bytes, now: float) -> Iterator[Sample]:
        """Take the next piece of the stream, of any size; yield the frames that may go on.

        Their data are bare AAC; for MPEG-TS, they have ADTS headers.

        Raises:
            PackagingError: It is no audio as was planned, or far before the picture.
        """
        with as_packaging_errors(AUDIO_RENDITION_ID):
            samples = self._reader.feed(data)
        for sample in samples:
            if self._read_count >= self._frame:
                self._held.append(sample.data)
            self._read_count += 1
        self._heard_time = now
        return self._hand_on(now)

    def follow(self, picture_s: Fraction, now: float) -> Iterator[Sample]:
        """Learn how far the picture has come; yield the frames that may go on.

        Raises:
            PackagingError: The picture is far before the sound.
        """
        self._picture_s = picture_s
        return self._hand_on(now)

    def finish(self, picture_s: Fraction) -> Iterator[Sample]:
        """End with the picture, at the nearest frame; all its segments have some sound."""
        if not self._plan.ladder or self._reader.track is None:
            return
        last = self.grid.first_frame(self.grid.segment_at(picture_s))
        end = max(round(picture_s / self.grid.frame_s), last + 1) if picture_s else 0
        while self._frame < end:
            yield self._next()

    def _hand_on(self, now: float) -> Iterator[Sample]:
        self._heard_time = now if self._heard_time is None else self._heard_time
        is_away = now - self._heard_time >= AWAY_S
        self._require_together(is_away=is_away)
        free = not self._plan.ladder
        reached = self.grid.whole_frames(self._picture_s)
        while self._held and (free or self._frame < reached):
            yield self._next()
        if is_away and self._reader.track is not None:
            overdue = self.grid.whole_frames(self._picture_s - LATE_S)
            while self._frame < overdue:
                yield self._next()

    def _next(self) -> Sample:
        """Take the next frame's place for what is held, or for silence."""
        data = self._held.popleft() if self._held else self._silence
        if self._plan.container is Container.TS:
            data = self._config.adts_header(len(data)) + data
        time = self._frame * AAC_FRAME_SAMPLES
        self._frame += 1
        return Sample(
            decode_time=time, duration=AAC_FRAME_SAMPLES, composition_offset=0, is_sync=True, data=data
        )

    def _require_together(self, *, is_away: bool) -> None:
        before = len(self._held) if self._plan.ladder else 0
        behind = self.grid.whole_frames(self._picture_s) - self._frame
        if before > self._apart_frames:
            raise PackagingError(f"the picture has stopped for {APART_S} s while the sound went on")
        if behind > self._apart_frames and is_away:
            raise PackagingError(f"no sound came for the first {APART_S} s")

    @property
    def track_id(self) -> int:
        return self._track.track_id

    @cached_property
    def rendition(self) -> RenditionInfo:
        init = self._reader.init if self._plan.container is Container.CMAF else None
        return describe_audio(self._plan, self._config, init=init)

    @cached_property
    def _config(self) -> AacConfig:
        with as_packaging_errors(AUDIO_RENDITION_ID):
            return read_aac_config(self._track.sample_entry)

    @cached_property
    def _track(self) -> Track:
        return require_track(self._reader, AUDIO_RENDITION_ID, self._audio.sample_rate_hz)
