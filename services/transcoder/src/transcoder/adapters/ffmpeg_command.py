"""Build the command lines of ffmpeg: pure functions of the plan, pinned word by word by golden tests.

ffmpeg-python assembles inputs, filter graph and outputs, and sorts the options of each; here are their
reasons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ffmpeg

from transcoder.domain.chunks import Chunk
from transcoder.domain.ladder import Rung
from transcoder.domain.plan import EncodePlan
from transcoder.domain.source import VideoTrack
from transcoder.domain.thumbnails import ThumbnailPlan
from transcoder.domain.timing import AAC_FRAME_SAMPLES, Grid

GLOBAL_FLAGS = (
    "-nostdin",  # never wait for a key: our stdin may be a terminal
    "-hide_banner",  # the last words shall be about this job
    *("-loglevel", "error"),
    "-nostats",  # progress comes through its own pipe, as key=value lines
    *("-stats_period", "0.5"),
    *("-max_error_rate", "0.2"),  # a few scratches are concealed; by default two thirds may be broken
)

MISSING_TAIL_S = 0.5
"""So much of the picture's end may be missing: promised by the container, but it does not decode."""


THUMBNAIL_QUALITY = 5
"""Of 2, the best, to 31: some 5 kB per picture."""

DOWNMIXING_CODECS = {"ac3", "eac3", "dts", "truehd", "mlp"}
"""Those whose decoders mix down by themselves, as the mix that the sound's makers meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How one ffmpeg is to be run, as far as its command line says it."""

    ffmpeg_path: str
    source_path: Path
    output_urls: Sequence[str]
    """Where each output goes: "pipe:7"."""
    progress_url: str
    preset: str = "veryfast"
    thread_count: int = 0
    """Threads of each encoder; 0: x264 decides by the number of cores."""
    max_pixel_count: int = 7680 * 4320


def build_video_command(run: Run, plan: EncodePlan, chunk: Chunk) -> list[str]:
    """Encode all rungs of a chunk: decode once, put frames on the grid, scale in a cascade, an fMP4 per rung.

    Args:
        run: With one output URL per rung of plan.ladder, and one for the thumbnails if there are any.
        plan: The job's, with video.
        chunk: One of its chunks.
    """
    video = plan.source.video
    if video is None:
        raise ValueError("the plan has no video")
    pictures = _put_on_grid(_open_video(run, plan, video, chunk), video, plan.grid, chunk)
    streams = scale_pictures(pictures, video, plan.ladder)
    thumbnails = draw_thumbnails(streams, plan.thumbnails, run.output_urls[-1])
    outputs = [
        ffmpeg.output(stream, url, **_video_flags(run, plan.grid, rung))
        for stream, url, rung in zip(streams, run.output_urls, plan.ladder, strict=False)
    ]
    outputs += thumbnails
    return _compile(run, outputs)


def build_audio_command(run: Run, plan: EncodePlan) -> list[str]:
    """Encode the whole recording's audio to AAC-LC in one fMP4; its first real sample is the grid's second 0.

    Args:
        run: With one output URL.
        plan: The job's, with audio.
    """
    track, audio = plan.source.audio, plan.audio
    if track is None or audio is None:
        raise ValueError("the plan has no audio")
    rate = audio.sample_rate_hz
    sample_count = AAC_FRAME_SAMPLES * plan.grid.first_audio_frame(plan.grid.segment_count, rate)
    layout = "mono" if audio.channel_count == 1 else "stereo"
    input_flags = _input_flags(run, plan)
    if track.codec in DOWNMIXING_CODECS:
        # broadcasts change between surround and stereo in mid-stream: a filter graph cannot, these can
        input_flags["downmix"] = layout
    sound = (
        ffmpeg.input(_source_url(run), **input_flags)[str(track.stream_index)]
        .filter("asetpts", f"PTS-{plan.grid.origin_s:.6f}/TB")  # the source's clock becomes the grid's
        # silence where sound starts late or has gaps; what drifts is stretched by up to 1 ms per second
        .filter("aresample", rate, first_pts=0, min_hard_comp=0.05, **{"async": rate // 1000})
        .filter("aformat", sample_fmts="fltp", channel_layouts=layout)  # what the encoder takes
        .filter("apad", whole_len=sample_count)  # sound that stops early is followed by silence ...
        .filter("atrim", end_sample=sample_count)  # ... to the grid's end exactly
    )
    flags = {
        "c:a": "aac",
        "b:a": audio.audio_bps,
        "frag_duration": 1_000_000,  # hand over each second's frames together
        "use_editlist": 0,  # the packager drops the encoder's priming, so that no edit list needs to skip it
    }
    return _compile(run, [ffmpeg.output(sound, run.output_urls[0], **flags, **mp4_flags(""))])


def _compile(run: Run, outputs: Sequence[Any]) -> list[str]:
    head = [run.ffmpeg_path, *GLOBAL_FLAGS, "-progress", run.progress_url]
    command: list[str] = ffmpeg.compile(ffmpeg.merge_outputs(*outputs), cmd=head)
    return command


def _source_url(run: Run) -> str:
    return f"file:{run.source_path}"  # with its prefix, a path with a colon is not taken for another protocol


def _input_flags(run: Run, plan: EncodePlan) -> dict[str, Any]:
    return {
        "f": plan.source.demuxer,  # the probed one: no content can choose another, such as hls or concat
        "protocol_whitelist": "file",  # nothing within a source makes ffmpeg open a network address
        "copyts": None,  # times keep meaning what they meant to the probe, in every chunk and in the audio
        "max_pixels": run.max_pixel_count,  # a picture that grows in mid-stream shall not eat the memory
        "reinit_filter": 0,  # if it changes, go on: a new filter graph would count frames from 0 again
    }


def _open_video(run: Run, plan: EncodePlan, video: VideoTrack, chunk: Chunk) -> Any:
    flags = _input_flags(run, plan)
    if chunk.seek_s is not None:
        flags |= {
            "ss": f"{chunk.seek_s:.6f}",
            "seek_timestamp": 1,  # -ss is a time of the source's clock, not counted from its start
            "noaccurate_seek": None,  # keep frames before that time: one of them may be shown at it
        }
    if not video.has_presentation_times:
        flags["r"] = str(video.frame_rate)  # frames that are only numbered get their times from the rate
    return ffmpeg.input(_source_url(run), **flags)[str(video.stream_index)]


def _put_on_grid(pictures: Any, video: VideoTrack, grid: Grid, chunk: Chunk) -> Any:
    """Make exactly the chunk's frames, whatever times the source has: each shows what is to be seen then."""
    origin_s = grid.origin_s - (0 if video.has_presentation_times else video.start_s)
    last_frame = chunk.first_frame + chunk.frame_count
    start = min(chunk.first_frame, grid.video_frame_count - 1)  # behind its end, hold the last picture
    spare = round(MISSING_TAIL_S * grid.frame_rate)
    held = last_frame - grid.video_frame_count + spare
    if video.interlaced:
        # one frame out per frame in, so that the rate stays; progressive frames among them pass untouched
        pictures = pictures.filter("bwdif", mode="send_frame", deint="interlaced")
    pictures = (
        pictures.filter("settb", "1/1000000")  # fine enough for any source; the filters below round to it
        .filter("setpts", f"PTS-({round(origin_s * 1_000_000)})")  # the source's clock becomes the grid's
        .filter("fps", grid.frame_rate, start_time=float(start / grid.frame_rate), round="near")
    )
    if held > 0:
        pictures = pictures.filter("tpad", stop=held, stop_mode="clone")
    skipped = chunk.first_frame - start
    return pictures.filter("trim", start_frame=skipped, end_frame=skipped + chunk.frame_count).filter(
        "setpts",
        "N",  # a chunk starts at 0; the packager knows where it belongs
    )


def scale_pictures(pictures: Any, video: VideoTrack, ladder: Sequence[Rung]) -> list[Any]:
    """Scale to the top rung, from that to the next, and so on: that is half the work."""
    streams: list[Any] = []
    for rung in reversed(ladder):
        # bicubic: bilinear costs 10 points of VMAF at 360p
        pictures = pictures.filter("scale", rung.width_pixels, rung.height_pixels, flags="bicubic")
        if not streams and video.color_transfer:
            pictures = _map_tones(pictures)
        if not streams:
            # the size above is for square pixels; 8 bit 4:2:0 is what every player decodes
            pictures = pictures.filter("setsar", 1).filter("format", "yuv420p")
        if len(streams) < len(ladder) - 1:
            fork = pictures.filter_multi_output("split")
            streams.append(fork[0])
            pictures = fork[1]
        else:
            streams.append(pictures)
    return streams[::-1]


def draw_thumbnails(streams: list[Any], thumbnails: ThumbnailPlan | None, url: str) -> list[Any]:
    """Make the output of the thumbnails, if there are any; the smallest stream is forked for it, in place."""
    if thumbnails is None:
        return []
    fork = streams[0].filter_multi_output("split")
    streams[0] = fork[0]
    pictures = (
        fork[1]
        .filter("framestep", step=thumbnails.step_frames)  # before it is scaled: the others cost nothing
        .filter(
            "scale",
            thumbnails.width_pixels,
            thumbnails.height_pixels,
            flags="bicubic",
            out_range="full",  # this, and ...
            out_color_matrix="bt601",  # ... this is what every viewer of a JPEG takes it for
        )
        .filter("format", "yuv420p")
    )
    flags = {
        "f": "image2pipe",
        "c:v": "mjpeg",
        "q:v": THUMBNAIL_QUALITY,
        "huffman": "default",  # the same tables in all pictures, so that they can be stacked
        "threads": 1,  # others would each hold a picture back
        "fps_mode": "passthrough",
        "flags": "+bitexact",
        "flush_packets": 1,  # hand over each picture as it is finished
    }
    return [ffmpeg.output(pictures, url, **flags)]


def _map_tones(pictures: Any) -> Any:
    """Bring HDR (PQ or HLG, BT.2020) into BT.709: once, at the top rung's size, for it is slow."""
    return (
        pictures.filter("zscale", t="linear", npl=100)  # light, with 1.0 at 100 cd/m2, the white of BT.709
        .filter("format", "gbrpf32le")  # in floating point: highlights go far above 1.0
        .filter("zscale", p="bt709")
        .filter("tonemap", tonemap="hable", desat=0)  # keeps detail in shadows and in highlights
        .filter("zscale", t="bt709", m="bt709", r="tv")
    )


def _video_flags(run: Run, grid: Grid, rung: Rung) -> dict[str, Any]:
    return {
        "c:v": "libx264",
        "preset": run.preset,
        "profile:v": "high",
        "b:v": rung.video_bps,
        "maxrate": rung.peak_bps,  # BANDWIDTH is a promise: the rate buffer holds the encoder to it
        "bufsize": rung.buffer_bits,
        "g": grid.gop_frames,  # an I-frame at each GOP of the grid ...
        "keyint_min": grid.gop_frames,
        "sc_threshold": 0,  # ... and nowhere else
        "flags": "+cgop",  # nothing refers across a GOP's border
        "fps_mode": "passthrough",  # frames are on the grid already: neither drop nor double any
        "video_track_timescale": grid.timescale,  # a frame is a whole number of ticks
        **({"threads": run.thread_count} if run.thread_count else {}),
        # hand over each GOP as it is finished; delay_moov: with the first GOP, the moov tells in an edit list
        # how much B-frames delay display (negative offsets need none, but then libav shows all too late)
        **mp4_flags("+frag_keyframe+delay_moov"),
    }


def mp4_flags(more: str) -> dict[str, Any]:
    """Tell how to write an fMP4 into a pipe, with `more` movflags."""
    return {
        "f": "mp4",
        # empty_moov: all samples are in fragments; default_base_moof: each is addressed from its own moof;
        # skip_trailer: an index of fragments is of no use in a pipe
        "movflags": f"+empty_moov+default_base_moof+skip_trailer{more}",
        "map_metadata": -1,  # titles and the like of the source do not belong into an init segment ...
        "map_chapters": -1,  # ... and chapters would become a track
        "fflags": "+bitexact",  # no version or time in it either: an init segment is the same for all chunks
    }
