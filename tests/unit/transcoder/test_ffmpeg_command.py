"""The command lines of ffmpeg, word by word."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from support.sources import make_audio, make_source, make_video
from transcoder.adapters.ffmpeg_command import Run, build_audio_command, build_video_command
from transcoder.domain.ladder import NAMED_RUNGS
from transcoder.domain.plan import EncodePlan, plan_encode
from transcoder.domain.source import VideoTrack

RUN = Run(
    ffmpeg_path="ffmpeg",
    source_path=Path("/store/a:b/source"),
    output_urls=("pipe:5", "pipe:6", "pipe:7"),
    progress_url="pipe:9",
)


def make_plan(video: VideoTrack | None = None, **traits: Any) -> EncodePlan:
    """Two rungs, so that the cascade shows and the lines stay short."""
    source = make_source(video or make_video(), **traits)
    return plan_encode(source, rungs=NAMED_RUNGS[:2])


def video_command(plan: EncodePlan, chunk: int = 0, run: Run = RUN) -> list[str]:
    return build_video_command(run, plan, plan.chunks[chunk])


def graph_of(command: list[str]) -> list[str]:
    return command[command.index("-filter_complex") + 1].split(";")


def input_of(command: list[str]) -> str:
    return " ".join(command[command.index("-f") : command.index("-i")])


HEAD = """
ffmpeg -nostdin -hide_banner -loglevel error -nostats -stats_period 0.5 -max_error_rate 0.2
-progress pipe:9
"""

CHUNK = """
-f mov -copyts -max_pixels 33177600 -noaccurate_seek -protocol_whitelist file -reinit_filter 0
-seek_timestamp 1 -ss 2.000000 -i file:/store/a:b/source
-filter_complex
[0:0]settb=1/1000000[s0];
[s0]setpts=PTS-(0)[s1];
[s1]fps=30:round=near:start_time=2.0[s2];
[s2]trim=end_frame=180:start_frame=0[s3];
[s3]setpts=N[s4];
[s4]scale=854:480:flags=bicubic[s5];
[s5]setsar=1[s6];
[s6]format=yuv420p[s7];
[s7]split=2[s8][s9];
[s9]scale=640:360:flags=bicubic[s10];
[s10]split=2[s11][s12];
[s12]framestep=step=60[s13];
[s13]scale=200:112:flags=bicubic:out_color_matrix=bt601:out_range=full[s14];
[s14]format=yuv420p[s15]
-map [s11] -f mp4 -b:v 500000 -bufsize 1000000 -c:v libx264 -fflags +bitexact -flags +cgop
-fps_mode passthrough -g 60 -keyint_min 60 -map_chapters -1 -map_metadata -1 -maxrate 750000
-movflags +empty_moov+default_base_moof+skip_trailer+frag_keyframe+delay_moov
-preset veryfast -profile:v high -sc_threshold 0 -video_track_timescale 90000 pipe:5
-map [s8] -f mp4 -b:v 1000000 -bufsize 2000000 -c:v libx264 -fflags +bitexact -flags +cgop
-fps_mode passthrough -g 60 -keyint_min 60 -map_chapters -1 -map_metadata -1 -maxrate 1500000
-movflags +empty_moov+default_base_moof+skip_trailer+frag_keyframe+delay_moov
-preset veryfast -profile:v high -sc_threshold 0 -video_track_timescale 90000 pipe:6
-map [s15] -f image2pipe -c:v mjpeg -flags +bitexact -flush_packets 1 -fps_mode passthrough
-huffman default -q:v 5 -threads 1 pipe:7
"""

AUDIO = """
-f mov -copyts -max_pixels 33177600 -protocol_whitelist file -reinit_filter 0 -i file:/store/a:b/source
-filter_complex
[0:1]asetpts=PTS-0.000000/TB[s0];
[s0]aresample=48000:async=48:first_pts=0:min_hard_comp=0.05[s1];
[s1]aformat=channel_layouts=stereo:sample_fmts=fltp[s2];
[s2]apad=whole_len=1439744[s3];
[s3]atrim=end_sample=1439744[s4]
-map [s4] -f mp4 -b:a 128000 -c:a aac -fflags +bitexact -frag_duration 1000000 -map_chapters -1
-map_metadata -1 -movflags +empty_moov+default_base_moof+skip_trailer -use_editlist 0 pipe:5
"""


def words(text: str) -> list[str]:
    """The arguments of a command that is written on several lines; a filter graph is one argument."""
    return text.replace(";\n", ";").split()


def test_chunk_in_mid_recording_word_by_word() -> None:
    assert video_command(make_plan(), 1) == words(HEAD + CHUNK)


def test_audio_word_by_word() -> None:
    run = replace(RUN, output_urls=("pipe:5",))
    assert build_audio_command(run, make_plan()) == words(HEAD + AUDIO)


def test_first_chunk_seeks_nowhere() -> None:
    assert input_of(video_command(make_plan())) == (
        "-f mov -copyts -max_pixels 33177600 -protocol_whitelist file -reinit_filter 0"
    )


def test_last_chunk_may_hold_pictures_that_do_not_decode() -> None:
    assert "[s2]tpad=stop=15:stop_mode=clone[s3]" in graph_of(video_command(make_plan(), -1))


def test_chunk_behind_the_picture_skips_to_its_place_behind_the_last_one() -> None:
    plan = make_plan(make_video(duration_s=8.0), audio=make_audio())
    graph = graph_of(video_command(plan, 3))
    assert graph[2:5] == [
        f"[s1]fps=30:round=near:start_time={239 / 30}[s2]",
        "[s2]tpad=stop=375:stop_mode=clone[s3]",
        "[s3]trim=end_frame=361:start_frame=241[s4]",
    ]


def test_clock_of_the_source_is_shifted_to_the_grid() -> None:
    plan = make_plan(make_video(start_s=1.5), audio=make_audio(start_s=1.5))
    assert "[s0]setpts=PTS-(1500000)[s1]" in graph_of(video_command(plan))
    assert "[0:1]asetpts=PTS-1.500000/TB[s0]" in graph_of(build_audio_command(RUN, plan))


def test_interlaced_pictures_are_deinterlaced_first() -> None:
    graph = graph_of(video_command(make_plan(make_video(interlaced=True))))
    assert graph[:2] == ["[0:0]bwdif=deint=interlaced:mode=send_frame[s0]", "[s0]settb=1/1000000[s1]"]


def test_hdr_is_mapped_once_at_the_largest_size() -> None:
    graph = graph_of(video_command(make_plan(make_video(color_transfer="smpte2084"))))
    assert graph[5:11] == [
        "[s4]scale=854:480:flags=bicubic[s5]",
        "[s5]zscale=npl=100:t=linear[s6]",
        "[s6]format=gbrpf32le[s7]",
        "[s7]zscale=p=bt709[s8]",
        "[s8]tonemap=desat=0:tonemap=hable[s9]",
        "[s9]zscale=m=bt709:r=tv:t=bt709[s10]",
    ]


def test_numbered_frames_get_their_times_from_the_rate() -> None:
    video = make_video(has_presentation_times=False, start_s=0.5, frame_rate=Fraction(30000, 1001))
    command = video_command(make_plan(video, audio=make_audio(start_s=0.5)))
    assert input_of(command).endswith("-r 30000/1001 -reinit_filter 0")
    assert "[s0]setpts=PTS-(0)[s1]" in graph_of(command)


def test_ntsc_rates_stay_exact() -> None:
    command = video_command(make_plan(make_video(frame_rate=Fraction(24000, 1001))))
    assert graph_of(command)[2] == "[s1]fps=24000/1001:round=near:start_time=0.0[s2]"
    assert command[command.index("-video_track_timescale") + 1] == "24000"


@pytest.mark.parametrize(("channels", "layout"), [(1, "mono"), (2, "stereo"), (6, "stereo")])
def test_channels_are_mixed_down_to_two_at_most(channels: int, layout: str) -> None:
    command = build_audio_command(RUN, make_plan(audio=make_audio(channel_count=channels)))
    assert f"[s1]aformat=channel_layouts={layout}:sample_fmts=fltp[s2]" in graph_of(command)


def test_surround_decoders_mix_down_themselves() -> None:
    command = build_audio_command(RUN, make_plan(audio=make_audio(codec="ac3", channel_count=6)))
    assert "-downmix stereo" in input_of(command)


def test_settings_reach_the_command() -> None:
    run = replace(RUN, ffmpeg_path="/opt/ffmpeg", preset="fast", thread_count=3, max_pixel_count=1000)
    command = video_command(make_plan(), run=run)
    assert command[0] == "/opt/ffmpeg"
    assert "-max_pixels 1000" in input_of(command)
    assert [command[place + 1] for place, word in enumerate(command) if word == "-preset"] == ["fast"] * 2
    assert [command[place + 1] for place, word in enumerate(command) if word == "-threads"] == ["3", "3", "1"]


def test_command_for_a_missing_track_cannot_be_built() -> None:
    with pytest.raises(ValueError, match="no video"):
        build_video_command(RUN, plan_encode(make_source(None)), make_plan().chunks[0])
    with pytest.raises(ValueError, match="no audio"):
        build_audio_command(RUN, make_plan(audio=None))
