"""What an encoder writes becomes the planned segments, or an error that says what is wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.samples import avc1_entry, make_init, make_samples, mp4a_entry, splits
from support.sources import make_audio, make_source, make_video
from transcoder.domain.audio_packager import AudioPackager
from transcoder.domain.boxes import find_box
from transcoder.domain.fragment_writer import pack_fragment, pack_gops
from transcoder.domain.fragments import FragmentReader, Sample
from transcoder.domain.packager import MediaKind, PackagingError, PackedSegment
from transcoder.domain.plan import Container, EncodePlan, plan_encode
from transcoder.domain.video_packager import VideoPackager

DELAY = 6000
"""Two frames, as B-frames make."""


def make_plan(container: Container = Container.CMAF, *, has_video: bool = True) -> EncodePlan:
    """Four segments of 15, 15, 30 and 30 frames in GOPs of 15, and three chunks; 44.1 kHz stereo."""
    video = make_video(duration_s=3.0, keyframe_times_s=(0.0,), width_pixels=320, height_pixels=180)
    audio = make_audio(duration_s=3.0, sample_rate_hz=44_100)
    source = make_source(video if has_video else None, audio)
    return plan_encode(source, container=container, segment_s=1, gop_s=0.5)


def encode_video(count: int = 45, **changes: int) -> bytes:
    """What the encoder of the second chunk writes: it starts at 0."""
    samples = make_samples(count, **({"duration": 3000, "gop": 15, "offset": DELAY} | changes))
    return encode(samples)


def encode(samples: list[Sample], *, timescale: int = 90_000) -> bytes:
    data, _ = pack_gops(samples, track_id=1, first_sequence_number=1)
    return make_init(avc1_entry(), timescale=timescale) + data


def encode_audio(count: int) -> bytes:
    fragment = pack_fragment(make_samples(count, duration=1024), track_id=1, sequence_number=1)
    return make_init(mp4a_entry(), timescale=44_100) + fragment


def video_packager(plan: EncodePlan, runs: tuple[bytes, ...] = (), *, chunk: int = 1) -> VideoPackager:
    return VideoPackager(plan, plan.ladder[0], plan.chunks[chunk], runs)


def samples_of(segment: PackedSegment) -> list[Sample]:
    return FragmentReader().feed((segment.rendition.init or b"") + segment.data)


@given(st.data())
def test_segments_do_not_depend_on_how_the_stream_arrives(data: st.DataObject) -> None:
    stream = encode_video()
    at_once = video_packager(make_plan()).feed(stream)
    packager = video_packager(make_plan())
    assert [part for piece in data.draw(splits(stream)) for part in packager.feed(piece)] == at_once
    packager.finish()


def test_video_segments_have_the_times_of_the_grid() -> None:
    segments = video_packager(make_plan()).feed(encode_video())
    assert [(segment.msn, segment.start_s, segment.duration_s) for segment in segments] == [
        (1, 0.5, 0.5),
        (2, 1, 1),
    ]
    for segment, frames in zip(segments, [range(15, 30), range(30, 60)], strict=True):
        assert [sample.decode_time for sample in samples_of(segment)] == [3000 * frame for frame in frames]
    assert [[(part.duration_s, part.offset_bytes) for part in segment.iframes] for segment in segments] == [
        [(0.5, 0)],
        [(0.5, 0), (0.5, len(segments[1].data) // 2)],
    ]


def test_fragments_are_numbered_over_all_chunks() -> None:
    segments = video_packager(make_plan()).feed(encode_video())
    segments += video_packager(make_plan(), chunk=2).feed(encode_video(30))
    moofs = [find_box(memoryview(segment.data), "moof", "mfhd").payload for segment in segments]
    assert [int.from_bytes(moof[4:8], "big") for moof in moofs] == [2, 3, 5]


def test_video_rendition_is_described_from_its_media() -> None:
    rendition = video_packager(make_plan()).feed(encode_video())[0].rendition
    assert (rendition.rendition_id, rendition.media_kind, rendition.codecs) == (
        "VeryLow",
        MediaKind.VIDEO,
        "avc1.640014",
    )
    assert (rendition.width_pixels, rendition.height_pixels) == (320, 180)
    assert rendition.frame_rate == 30
    assert rendition.init == make_init(avc1_entry(), timescale=90_000)


@pytest.mark.parametrize(
    ("stream", "fault"),
    [
        (encode_video(duration=3003), "must be"),
        (encode_video(start=3000), "must be"),
        (encode_video(gop=10), "must be"),
        (encode_video(46), "more than 45 frames"),
        (encode(make_samples(45, duration=3000, gop=15), timescale=30_000), "timescale 90000"),
        (b"\0\0\0\7moov", "a box of 7 bytes"),
    ],
)
def test_frames_that_are_not_on_the_grid_are_refused(stream: bytes, fault: str) -> None:
    with pytest.raises(PackagingError, match=f"VeryLow.*{fault}"):
        video_packager(make_plan()).feed(stream)


def test_gop_that_does_not_begin_with_its_first_picture_is_refused() -> None:
    samples = make_samples(45, duration=3000, gop=15, offset=DELAY)
    samples[15] = replace(samples[15], composition_offset=DELAY + 3000)
    with pytest.raises(PackagingError, match="frame 15"):
        video_packager(make_plan()).feed(encode(samples))


def test_missing_frames_are_noticed_at_the_end() -> None:
    packager = video_packager(make_plan())
    packager.feed(encode_video(44))
    with pytest.raises(PackagingError, match="VeryLow has 44 frames: must be 45"):
        packager.finish()


def test_audio_is_cut_at_the_first_frame_behind_each_border_without_its_priming() -> None:
    packager = AudioPackager(make_plan())
    segments = packager.feed(encode_audio(1 + 129))
    packager.finish()
    assert [len(samples_of(segment)) for segment in segments] == [
        22,
        22,
        43,
        42,
    ]  # 129 frames are nearest to 3 s
    times = [sample.decode_time for segment in segments for sample in samples_of(segment)]
    assert times == [1024 * frame for frame in range(129)]
    assert samples_of(segments[0])[0].data == make_samples(2, duration=1024)[1].data  # the first was priming
    assert sum(segment.duration_s for segment in segments) == pytest.approx(129 * 1024 / 44_100)


def test_audio_behind_the_end_is_left_out() -> None:
    assert AudioPackager(make_plan()).feed(encode_audio(200)) == AudioPackager(make_plan()).feed(
        encode_audio(130)
    )


def test_audio_that_ends_early_is_noticed() -> None:
    packager = AudioPackager(make_plan())
    packager.feed(encode_audio(100))
    with pytest.raises(PackagingError, match="audio has 99 AAC frames: must be 129"):
        packager.finish()


def test_plan_without_audio_cannot_pack_any() -> None:
    with pytest.raises(PackagingError, match="no audio"):
        AudioPackager(replace(make_plan(), audio=None))


def test_ts_chunk_muxes_the_runs_of_its_own_segments() -> None:
    plan = make_plan(Container.TS)
    runs = [segment.data for segment in AudioPackager(plan).feed(encode_audio(130))]
    segments = video_packager(plan, tuple(runs[1:3])).feed(encode_video())
    assert [segment.rendition.codecs for segment in segments] == ["avc1.640014,mp4a.40.2"] * 2
    assert [segment.rendition.media_kind for segment in segments] == [MediaKind.MUXED] * 2
    for run, segment in zip(runs[1:3], segments, strict=True):
        assert run[:20] in segment.data


def test_ts_without_video_has_audio_segments_of_its_own() -> None:
    segments = AudioPackager(make_plan(Container.TS, has_video=False)).feed(encode_audio(130))
    assert [segment.msn for segment in segments] == [0, 1, 2]
    assert all(segment.data[0] == 0x47 and segment.rendition.init is None for segment in segments)
