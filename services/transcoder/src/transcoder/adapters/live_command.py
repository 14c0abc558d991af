"""Build the command line of a live run's ffmpeg: a pure function of the plan, pinned by golden tests.

What it shares with recordings is in ffmpeg_command; here are the reasons of what live needs besides: frames
that come out soon after they went in, a grid that clocks of any quality end up on, and no end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from typing import Any

import ffmpeg

from transcoder.adapters.ffmpeg_command import (
    DOWNMIXING_CODECS,
    GLOBAL_FLAGS,
    draw_thumbnails,
    mp4_flags,
    scale_pictures,
)
from transcoder.domain.ladder import Rung
from transcoder.domain.live_plan import HEAD_BYTES, HEAD_S, LIVE_DEMUXERS, LivePlan
from transcoder.domain.plan import AudioPlan
from transcoder.domain.source import VideoTrack

LIVE_FLAGS = (
    *("-max_error_rate", "1"),  # however much was lost on its way, what came of it is made
    "-stdin",  # commands come there; the source has a pipe of its own
)

JUMP_S = 10
"""A gap in the source's times is filled if it is shorter, and closed if it is longer."""

_DEMUXER_FLAGS: Mapping[str, Mapping[str, Any]] = {
    "mov": {"enable_drefs": 0},  # it opens no other file
    "flv": {"fpsprobesize": 0},  # its rate is known: do not wait for twenty frames, in real time, to guess it
}

HEAD_MARGIN_S = 0.1
"""By so much more than the probe ffmpeg looks for streams: it counts from other frames."""

LOOKAHEAD_FRAMES = 2
"""Frames that x264 waits for, to see how the picture goes on: each delays all by a frame.

Without B-frames, the 10 that veryfast has gain nothing (PSNR 35.6 dB with 2, 35.7 with 10); none at all takes
6 % more bits than it should.
"""

THREADS = 2
"""Of the decoder, and of each encoder: by default there are more than cores.

They share each picture's slices: threads that work on a picture each delay all by as many frames less one.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveCommand:
    """How a live run's ffmpeg is to be run, as far as its command line says it."""

    ffmpeg_path: str
    output_urls: Sequence[str]
    """Where each output goes, the rungs', then the audio's and the thumbnails': "pipe:7"."""
    input_url: str
    """Where the source comes from: "file:/dev/fd/9"."""
    progress_url: str
    preset: str = "veryfast"
    thread_count: int = 0
    """Threads of each encoder; 0: as many as cost no time."""
    max_pixel_count: int = 7680 * 4320


def build_live_command(run: LiveCommand, plan: LivePlan) -> list[str]:
    """Encode a live source from a pipe: decode once, put on the grid, scale in a cascade, an fMP4 per output.

    Args:
        run: With one output URL per rung of plan.ladder, one for the audio and one for the thumbnails, if
            there are any.
        plan: The run's.
    """
    source = ffmpeg.input(run.input_url, **_input_flags(run, plan))
    outputs: list[Any] = []
    thumbnails: list[Any] = []
    urls = iter(run.output_urls)
    if plan.source.video and plan.frame_rate:
        pictures = source[str(plan.source.video.stream_index)]
        pictures = _put_on_grid(pictures, plan.source.video, plan.frame_rate)
        streams = list(map(_with_gate, count(), scale_pictures(pictures, plan.source.video, plan.ladder)))
        thumbnails = draw_thumbnails(streams, plan.thumbnails, run.output_urls[-1])
        outputs = [
            ffmpeg.output(stream, next(urls), **_video_flags(run, plan, rung))
            for stream, rung in zip(streams, plan.ladder, strict=True)
        ]
    if plan.source.audio and plan.audio:
        sound = source[str(plan.source.audio.stream_index)]
        outputs.append(ffmpeg.output(sound, next(urls), **_audio_flags(plan, plan.audio)))
    head = [run.ffmpeg_path, *GLOBAL_FLAGS, *LIVE_FLAGS, "-progress", run.progress_url]
    command: list[str] = ffmpeg.compile(ffmpeg.merge_outputs(*outputs, *thumbnails), cmd=head)
    return command


def build_drop_command(number: int) -> str:
    """Tell a running ffmpeg to make no more of the rung of this number: all others go on undisturbed.

    Its pictures lose their times at once, the filter behind drops what has none, and its encoder has nothing
    left to do. (A closed pipe would end the whole process.)
    """
    return f"c{_gate_name(number)} -1 expr NAN\n"


def _with_gate(number: int, pictures: Any) -> Any:
    """Let a rung be left out in mid-stream; see `build_drop_command`."""
    if number == 0:  # there is always a rung
        return pictures
    return pictures.filter(_gate_name(number), "PTS").filter("select", "not(isnan(pts))")


def _gate_name(number: int) -> str:
    return f"setpts@rung{number}"


def _input_flags(run: LiveCommand, plan: LivePlan) -> dict[str, Any]:
    head_us = round(min(HEAD_S, plan.source.duration_s + HEAD_MARGIN_S) * 1_000_000)
    flags: dict[str, Any] = {
        "f": LIVE_DEMUXERS[plan.source.demuxer],  # no content can choose another, such as hls or concat
        "protocol_whitelist": "file",  # nothing in a source makes ffmpeg open an address; see enable_drefs
        **_DEMUXER_FLAGS.get(plan.source.demuxer, {}),
        "probesize": HEAD_BYTES,  # look for streams no farther than the probe did, for it has found them ...
        "analyzeduration": head_us,  # ... and take no longer: a transport stream may always have more
        # times that jump by more go on where they were: else an hour's gap would be an hour of copies
        "dts_delta_threshold": JUMP_S,  # in MPEG-TS and FLV
        "dts_error_threshold": JUMP_S,  # in other containers
        "max_pixels": run.max_pixel_count,  # a picture that grows in mid-stream shall not eat the memory
        "reinit_filter": 0,  # if it changes, go on: a new filter graph would count frames from 0 again
        "threads": THREADS,
        "thread_type": "slice",
    }
    audio = plan.source.audio
    if audio and plan.audio and audio.codec in DOWNMIXING_CODECS:
        # broadcasts change between surround and stereo in mid-stream: a filter graph cannot, these can
        flags["downmix"] = _layout(plan.audio)
    return flags


def _put_on_grid(pictures: Any, video: VideoTrack, rate: Fraction) -> Any:
    """Make frames at a constant rate, from second 0 on, whatever times the source has.

    ffmpeg counts from the source's earliest track. All is moved by less than a frame, so that the first
    picture is on the grid: half-way between two frames, jitter would double some and drop others.
    """
    if video.interlaced:
        # one frame out per frame in, so that the rate stays; progressive frames among them pass untouched
        pictures = pictures.filter("bwdif", mode="send_frame", deint="interlaced")
    drops_half = video.constant_frame_rate and (video.frame_rate / rate) % 2 == 0
    put_off = 1 / (2 * video.frame_rate) if drops_half else Fraction(0)
    per_frame = 1_000_000 / rate
    moved = f"PTS-STARTPTS+round(STARTPTS/({per_frame}))*({per_frame})+{round(put_off * 1_000_000)}"
    return (
        pictures.filter("settb", "1/1000000")  # fine enough for any source; the filters below round to it
        .filter("setpts", moved)
        .filter("fps", rate, start_time=0, round="near")
    )


def _video_flags(run: LiveCommand, plan: LivePlan, rung: Rung) -> dict[str, Any]:
    return {
        "c:v": "libx264",
        "preset": run.preset,
        "profile:v": "high",
        "b:v": rung.video_bps,
        "maxrate": rung.peak_bps,  # BANDWIDTH is a promise: the rate buffer holds the encoder to it
        "bufsize": rung.buffer_bits,
        "subq": 1,  # a fifth less CPU for no more than 1.6 points of VMAF: four rungs of 1080p30 fit 2 cores
        "bf": 0,  # B-frames wait for what they refer to; without them, a part holds exactly what it shows
        "rc-lookahead": LOOKAHEAD_FRAMES,
        "g": plan.gop_frames,  # an I-frame at each GOP of the grid ...
        "keyint_min": plan.gop_frames,
        "sc_threshold": 0,  # ... and nowhere else
        "flags": "+cgop",  # nothing refers across a GOP's border
        "fps_mode": "passthrough",  # frames are on the grid already: neither drop nor double any
        "video_track_timescale": plan.video_grid.timescale,  # a frame is a whole number of ticks
        "threads": run.thread_count or THREADS,
        "thread_type": "slice",
        **_hand_over(plan.handover_frames(rung), plan.video_grid.frame_s),
    }


def _audio_flags(plan: LivePlan, audio: AudioPlan) -> dict[str, Any]:
    """Tell how to make the audio.

    Its filters are in a graph of their own: one that it shared with the picture would begin, and end, with
    whatever comes last.
    """
    rate = audio.sample_rate_hz
    filters = (
        # silence where sound starts late or has gaps; what drifts is stretched by up to 1 ms per second
        f"aresample={rate}:first_pts=0:min_hard_comp=0.05:async={rate // 1000}",
        f"aformat=sample_fmts=fltp:channel_layouts={_layout(audio)}",  # what the encoder takes
    )
    return {
        "af": ",".join(filters),
        "c:a": "aac",
        "b:a": audio.audio_bps,
        "use_editlist": 0,  # the encoder's priming is dropped, so that no edit list needs to skip it
        **_hand_over(_sound_frames(plan), plan.audio_grid.frame_s),
    }


def _sound_frames(plan: LivePlan) -> int:
    """Count the frames of sound to hand over together: no more than last while x264 looks ahead.

    So long they have to wait for the picture anyway, and sound without a picture waits for nothing.
    """
    spare_s = LOOKAHEAD_FRAMES / plan.frame_rate if plan.frame_rate else Fraction(0)
    return max(1, math.floor(spare_s / plan.audio_grid.frame_s))


def _hand_over(count: int, frame_s: Fraction) -> dict[str, Any]:
    """Write an fMP4 with so many frames per fragment, each complete as soon as the next frame is there."""
    # half a frame less: ffmpeg compares it with the time of that next frame, in whole microseconds
    return {"frag_duration": round((count - Fraction(1, 2)) * frame_s * 1_000_000), **mp4_flags("")}


def _layout(audio: AudioPlan) -> str:
    return "mono" if audio.channel_count == 1 else "stereo"
