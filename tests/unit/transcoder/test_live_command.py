"""The command line of a live run, word by word."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from support.sources import make_audio, make_source, make_video
from transcoder.adapters.live_command import LiveCommand, build_live_command
from transcoder.domain.ladder import NAMED_RUNGS
from transcoder.domain.live_plan import LivePlan, plan_live

RUN = LiveCommand(
    ffmpeg_path="ffmpeg",
    output_urls=("pipe:5", "pipe:6", "pipe:7", "pipe:8"),
    input_url="file:/dev/fd/10",
    progress_url="pipe:9",
)

COMMAND = """
ffmpeg -nostdin -hide_banner -loglevel error -nostats -stats_period 0.5 -max_error_rate 0.2
-max_error_rate 1 -stdin -progress pipe:9
-f live_flv -analyzeduration 10000000 -dts_delta_threshold 10 -dts_error_threshold 10
-fpsprobesize 0 -max_pixels 33177600 -probesize 8388608 -protocol_whitelist file -reinit_filter 0
-thread_type slice -threads 2 -i file:/dev/fd/10
-filter_complex
[0:0]settb=1/1000000[s0];
[s0]setpts=PTS-STARTPTS+round(STARTPTS/(100000/3))*(100000/3)+0[s1];
[s1]fps=30:round=near:start_time=0[s2];
[s2]scale=854:480:flags=bicubic[s3];
[s3]setsar=1[s4];
[s4]format=yuv420p[s5];
[s5]split=2[s6][s7];
[s7]scale=640:360:flags=bicubic[s8];
[s8]split=2[s9][s10];
[s6]setpts@rung1=PTS[s11];
[s11]select=not(isnan(pts))[s12];
[s10]framestep=step=60[s13];
[s13]scale=200:112:flags=bicubic:out_color_matrix=bt601:out_range=full[s14];
[s14]format=yuv420p[s15]
-map [s9] -f mp4 -b:v 500000 -bf 0 -bufsize 1000000 -c:v libx264 -fflags +bitexact -flags +cgop
-fps_mode passthrough -frag_duration 16667 -g 30 -keyint_min 30 -map_chapters -1 -map_metadata -1
-maxrate 750000 -movflags +empty_moov+default_base_moof+skip_trailer -preset veryfast -profile:v high
-rc-lookahead 2 -sc_threshold 0 -subq 1 -thread_type slice -threads 2 -video_track_timescale 90000 pipe:5
-map [s12] -f mp4 -b:v 1000000 -bf 0 -bufsize 2000000 -c:v libx264 -fflags +bitexact -flags +cgop
-fps_mode passthrough -frag_duration 150000 -g 30 -keyint_min 30 -map_chapters -1 -map_metadata -1
-maxrate 1500000 -movflags +empty_moov+default_base_moof+skip_trailer -preset veryfast -profile:v high
-rc-lookahead 2 -sc_threshold 0 -subq 1 -thread_type slice -threads 2 -video_track_timescale 90000 pipe:6
-map 0:1 -f mp4
-af aresample=48000:first_pts=0:min_hard_comp=0.05:async=48,aformat=sample_fmts=fltp:channel_layouts=stereo
-b:a 128000 -c:a aac -fflags +bitexact -frag_duration 53333 -map_chapters -1 -map_metadata -1
-movflags +empty_moov+default_base_moof+skip_trailer -use_editlist 0 pipe:7
-map [s15] -f image2pipe -c:v mjpeg -flags +bitexact -flush_packets 1 -fps_mode passthrough
-huffman default -q:v 5 -threads 1 pipe:8
"""


def make_plan(**tracks: Any) -> LivePlan:
    source = make_source(demuxer=tracks.pop("demuxer", "flv"), **tracks)
    return plan_live(source, rungs=NAMED_RUNGS[:2], target_duration_s=2, part_target_s=0.334)


def filters_of(command: list[str]) -> list[str]:
    return command[command.index("-filter_complex") + 1].split(";")


def test_live_run_word_by_word() -> None:
    assert build_live_command(RUN, make_plan()) == COMMAND.replace(";\n", ";").split()


def test_sound_alone_has_one_output() -> None:
    command = build_live_command(replace(RUN, output_urls=("pipe:5",)), make_plan(video=None))
    assert "-filter_complex" not in command
    assert command.count("mp4") == 1
    assert command[-1] == "pipe:5"


def test_pictures_alone_have_no_audio_output() -> None:
    run = replace(RUN, output_urls=("pipe:5", "pipe:6", "pipe:7"))
    command = build_live_command(run, make_plan(audio=None))
    assert "-af" not in command
    assert command[-1] == "pipe:7"


def test_settings_reach_the_command() -> None:
    run = replace(RUN, preset="superfast", thread_count=3, max_pixel_count=1000)
    line = " ".join(build_live_command(run, make_plan()))
    assert line.count("-preset superfast") == 2
    assert line.count("-threads 3") == 2
    assert "-max_pixels 1000 " in line


def frames_together(option_s: str, frame_s: float) -> float:
    """How many frames are in the fragment that such an option makes."""
    return int(option_s) / 1_000_000 / frame_s + 0.5


def test_sound_comes_together_as_far_as_the_pictures_of_a_lookahead_last() -> None:
    for rate, count in ((30, 3), (60, 1)):
        command = build_live_command(RUN, make_plan(video=make_video(frame_rate=Fraction(rate))))
        sound = command.index("-af")
        option = command[command.index("-frag_duration", sound) + 1]
        assert frames_together(option, 1024 / 48_000) == pytest.approx(count, abs=0.01)


def test_sound_alone_comes_frame_by_frame() -> None:
    command = build_live_command(replace(RUN, output_urls=("pipe:5",)), make_plan(video=None))
    option = command[command.index("-frag_duration") + 1]
    assert frames_together(option, 1024 / 48_000) == pytest.approx(1, abs=0.01)


def test_container_chooses_the_demuxer() -> None:
    command = build_live_command(RUN, make_plan(demuxer="mpegts"))
    assert command[command.index("-f") + 1] == "mpegts"


def test_interlaced_pictures_are_deinterlaced_first() -> None:
    filters = filters_of(build_live_command(RUN, make_plan(video=make_video(interlaced=True))))
    assert filters[0] == "[0:0]bwdif=deint=interlaced:mode=send_frame[s0]"


def test_dropped_pictures_lie_half_a_picture_from_the_grid() -> None:
    video = make_video(frame_rate=Fraction(120))
    filters = filters_of(build_live_command(RUN, make_plan(video=video)))
    assert filters[1] == "[s0]setpts=PTS-STARTPTS+round(STARTPTS/(50000/3))*(50000/3)+4167[s1]"


def test_surround_is_mixed_down_as_its_makers_meant() -> None:
    surround = make_audio(codec="ac3", channel_count=6)
    line = " ".join(build_live_command(RUN, make_plan(audio=surround)))
    assert "-downmix stereo" in line
    assert "-downmix" not in " ".join(build_live_command(RUN, make_plan()))
