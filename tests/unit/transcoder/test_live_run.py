"""What a live encoder writes becomes aligned parts and segments, however its bytes arrive."""

from __future__ import annotations

import sys
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.samples import avc1_entry, make_init, make_jpeg, make_samples, mp4a_entry, splits
from support.sources import make_audio, make_source, make_video
from transcoder.domain.codecs import split_adts
from transcoder.domain.fragment_writer import pack_fragment
from transcoder.domain.fragments import FragmentReader, Sample
from transcoder.domain.iframes import own_iframes
from transcoder.domain.ladder import NAMED_RUNGS
from transcoder.domain.live_cutter import LiveOutput, LivePart, LiveRenditionEnd, LiveSegment
from transcoder.domain.live_plan import LivePlan, plan_live
from transcoder.domain.live_run import LiveRun
from transcoder.domain.live_sound import AWAY_S
from transcoder.domain.live_thumbnails import LiveThumbnails
from transcoder.domain.packager import IFrameRange, MediaKind, PackagingError
from transcoder.domain.plan import Container
from transcoder.domain.silence import silent_aac_frame
from transcoder.domain.ts_packets import PACKET_BYTES

RATE = 10
AAC_S = Fraction(1024, 44_100)
SILENCE = silent_aac_frame(2)


def make_plan(*, sound: bool = True, picture: bool = True, part_s: float = 0.3, **wishes: object) -> LivePlan:
    """One rung of 10 frames per second, GOPs of 10, segments of 20, parts of 3; AAC of 44.1 kHz."""
    video = make_video(frame_rate=Fraction(RATE), width_pixels=320, height_pixels=180) if picture else None
    source = make_source(video, make_audio(sample_rate_hz=44_100) if sound else None)
    return plan_live(source, rungs=NAMED_RUNGS[:1], target_duration_s=2, part_target_s=part_s, **wishes)  # type: ignore[arg-type]


def encode(samples: list[Sample], init: bytes, together: int = 1) -> bytes:
    """Fragments of so many frames, as ffmpeg writes them."""
    starts = range(0, len(samples), together)
    fragments = [
        pack_fragment(samples[start : start + together], track_id=1, sequence_number=n)
        for n, start in enumerate(starts, 1)
    ]
    return init + b"".join(fragments)


def encode_pictures(count: int, *, gop: int = 10, together: int = 1, **traits: int) -> bytes:
    samples = make_samples(count, **({"duration": 9000, "gop": gop} | traits))
    return encode(samples, make_init(avc1_entry(), timescale=90_000), together)


def encode_sound(count: int) -> bytes:
    """Frames and the priming before them."""
    return encode(make_samples(1 + count, duration=1024), make_init(mp4a_entry(), timescale=44_100))


def encode_thumbnails(count: int) -> bytes:
    """One picture every two seconds."""
    return b"".join(map(make_jpeg, range(-(-count // (2 * RATE)))))


def aac_frames(seconds: float) -> int:
    return round(seconds / AAC_S)


def run_through(plan: LivePlan, *outputs: bytes) -> list[LiveOutput]:
    """Feed whole outputs, then end."""
    run = LiveRun(plan)
    made = [item for number, data in enumerate(outputs) for item in run.feed(number, data, 0.0)]
    return [*made, *run.finish()]


def segments_of(media: list[LiveOutput], rendition_id: str) -> list[LiveSegment]:
    return [
        item
        for item in media
        if isinstance(item, LiveSegment) and item.rendition.rendition_id == rendition_id
    ]


def parts_of(media: list[LiveOutput], rendition_id: str) -> list[LivePart]:
    return [
        item for item in media if isinstance(item, LivePart) and item.rendition.rendition_id == rendition_id
    ]


def samples_of(media: list[LiveOutput], rendition_id: str) -> list[Sample]:
    segments = segments_of(media, rendition_id)
    reader = FragmentReader()
    return reader.feed((segments[0].rendition.init or b"") + b"".join(item.data for item in segments))


@settings(max_examples=40)
@given(st.data(), st.integers(1, 45), st.sampled_from((0.0, 0.1, 0.3, 0.5)))
def test_parts_do_not_depend_on_how_the_bytes_arrive(data: st.DataObject, count: int, part_s: float) -> None:
    plan = make_plan(part_s=part_s)
    streams = (encode_pictures(count), encode_sound(aac_frames(count / RATE)), encode_thumbnails(count))
    pieces = [[(n, piece) for piece in data.draw(splits(stream))] for n, stream in enumerate(streams)]
    run, media = LiveRun(plan), list[LiveOutput]()
    while any(pieces):
        turn = data.draw(st.sampled_from([queue for queue in pieces if queue]))
        media += run.feed(*turn.pop(0), 0.0)
    media += run.finish()
    at_once = run_through(plan, *streams)
    for rendition in plan.rendition_ids:
        assert segments_of(media, rendition) == segments_of(at_once, rendition)
        assert parts_of(media, rendition) == parts_of(at_once, rendition)


@settings(max_examples=40)
@given(st.integers(1, 45), st.integers(2, 12), st.sampled_from((0.0, 0.1, 0.3, 0.5)))
def test_parts_do_not_depend_on_how_many_frames_come_together(
    count: int, together: int, part_s: float
) -> None:
    plan, sound = make_plan(part_s=part_s), encode_sound(aac_frames(count / RATE))
    one_by_one = run_through(plan, encode_pictures(count), sound)
    made = run_through(plan, encode_pictures(count, together=together), sound)
    for rendition in plan.rendition_ids:
        assert segments_of(made, rendition) == segments_of(one_by_one, rendition)
        assert parts_of(made, rendition) == parts_of(one_by_one, rendition)


@settings(max_examples=40)
@given(st.integers(1, 65), st.sampled_from((0.1, 0.3, 0.5, 1.0)))
def test_segments_are_their_parts_and_all_renditions_have_as_many(count: int, part_s: float) -> None:
    plan = make_plan(part_s=part_s)
    media = run_through(plan, encode_pictures(count), encode_sound(aac_frames(count / RATE) + 5))
    for rendition in ("VeryLow", "audio"):
        segments, parts = segments_of(media, rendition), parts_of(media, rendition)
        assert [segment.segment for segment in segments] == list(range(-(-count // 20)))
        for segment in segments:
            mine = [part for part in parts if part.segment == segment.segment]
            assert b"".join(part.data for part in mine) == segment.data
            assert [part.part for part in mine] == list(range(len(mine)))
            assert mine[0].independent
            assert mine[0].start_s == segment.start_s
            assert max(part.duration_s for part in mine) <= part_s
            assert sum(part.duration_s for part in mine) == pytest.approx(segment.duration_s)


def test_parts_are_cut_at_frame_borders_from_each_segments_start() -> None:
    media = run_through(make_plan(sound=False), encode_pictures(22))
    parts = parts_of(media, "VeryLow")
    assert [(part.segment, part.part, part.start_s, part.duration_s) for part in parts] == [
        *[(0, number, pytest.approx(number * 0.3), 0.3) for number in range(6)],
        (0, 6, 1.8, 0.2),
        (1, 0, 2.0, 0.2),
    ]
    assert [part.independent for part in parts] == [True, *[False] * 6, True]  # frame 10 is within part 3


def test_every_part_is_handed_on_with_its_last_frame() -> None:
    run = LiveRun(make_plan(sound=False))
    stream = encode_pictures(3)
    assert run.feed(0, stream[:-1], 0.0) == []
    assert len(run.feed(0, stream[-1:], 0.0)) == 1


@given(st.integers(1, 65))
def test_each_segment_of_the_smallest_rung_has_a_sprite_beside_it(count: int) -> None:
    media = run_through(make_plan(sound=False), encode_pictures(count), encode_thumbnails(count))
    segments, sprites = segments_of(media, "VeryLow"), segments_of(media, "thumbnails")
    assert [sprite.data for sprite in sprites] == [make_jpeg(number) for number in range(len(segments))]
    places = [(one.segment, one.start_s, one.duration_s) for one in segments]
    assert [(one.segment, one.start_s, one.duration_s) for one in sprites] == places


def test_sprite_comes_neither_before_its_segment_nor_before_its_pictures() -> None:
    run = LiveRun(make_plan(sound=False, part_s=0.0))
    pictures, thumbnails = encode_pictures(40), encode_thumbnails(40)
    assert run.feed(1, thumbnails[: len(thumbnails) // 2], 0.0) == []
    assert len(segments_of(run.feed(0, pictures, 0.0), "thumbnails")) == 1
    assert len(run.feed(1, thumbnails[len(thumbnails) // 2 :], 0.0)) == 1


def test_run_whose_thumbnails_stay_away_is_whole_without() -> None:
    media = run_through(make_plan(), encode_pictures(30), encode_sound(aac_frames(3.0)))
    assert not segments_of(media, "thumbnails")
    assert len(segments_of(media, "VeryLow")) == len(segments_of(media, "audio")) == 2


def test_thumbnails_that_are_none_end_the_run() -> None:
    with pytest.raises(PackagingError, match="thumbnails: a picture begins with 0000"):
        LiveRun(make_plan(sound=False)).feed(1, bytes(8), 0.0)


def test_segment_follows_its_last_part() -> None:
    media = run_through(make_plan(sound=False), encode_pictures(20))
    assert [type(item) for item in media] == [LivePart] * 7 + [LiveSegment]


def test_frames_come_out_as_they_went_in() -> None:
    media = run_through(make_plan(), encode_pictures(45), encode_sound(300))
    assert samples_of(media, "VeryLow") == make_samples(45, duration=9000, gop=10)
    sound = make_samples(1 + aac_frames(4.5), duration=1024)[
        1:
    ]  # without the priming, as long as the picture
    assert [sample.data for sample in samples_of(media, "audio")] == [sample.data for sample in sound]
    assert [sample.decode_time for sample in samples_of(media, "audio")] == [1024 * n for n in range(194)]


def test_iframe_ranges_hold_an_iframe_and_what_describes_it() -> None:
    segment = segments_of(run_through(make_plan(sound=False), encode_pictures(20)), "VeryLow")[0]
    assert [iframe.duration_s for iframe in segment.iframes] == [1.0, 1.0]
    for iframe, number in zip(segment.iframes, (0, 10), strict=True):
        data = segment.data[iframe.offset_bytes : iframe.offset_bytes + iframe.size_bytes]
        assert data[4:8] == b"moof"
        assert data.endswith(make_samples(11, duration=1)[number].data)


def test_iframes_are_found_again_in_a_segment_put_together_from_its_parts() -> None:
    media = run_through(make_plan(), encode_pictures(45), encode_sound(aac_frames(4.5)))
    for rendition_id, count in (("VeryLow", 5), ("audio", 0)):
        found: list[IFrameRange] = []
        for segment in segments_of(media, rendition_id):
            init = segment.rendition.init or b""
            again = own_iframes(init, segment.data, segment.duration_s)
            assert [one.duration_s for one in again] == pytest.approx([1.0] * len(again), abs=0.51)
            assert [replace(one, duration_s=0) for one in again] == [
                replace(one, duration_s=0) for one in segment.iframes
            ]
            found += again
        assert len(found) == count


@pytest.mark.parametrize("container", Container)
def test_a_rung_that_is_left_out_ends_with_its_segment(container: Container) -> None:
    source = make_source(make_video(frame_rate=Fraction(RATE)), make_audio(sample_rate_hz=44_100))
    plan = plan_live(
        source, rungs=NAMED_RUNGS[:2], container=container, target_duration_s=2, part_target_s=0.3
    )
    run = LiveRun(plan)
    outputs = (encode_pictures(60), encode_pictures(60), encode_sound(aac_frames(6.0)))
    halves = [[output[: len(output) // 2] for output in outputs], [out[len(out) // 2 :] for out in outputs]]
    media = [item for number, data in enumerate(halves[0]) for item in run.feed(number, data, 0.0)]
    run.drop_top_rung()
    assert run.is_dropping
    media += [item for number, data in enumerate(halves[1]) for item in run.feed(number, data, 0.0)]
    media += run.finish()
    ends = [place for place, item in enumerate(media) if isinstance(item, LiveRenditionEnd)]
    of_top = [place for place, item in enumerate(media) if item.rendition.rendition_id == "Low"]
    assert ends == of_top[-1:]
    assert not run.is_dropping
    whole = [item for item in media if isinstance(item, LiveSegment) and item.duration_s == 2.0]
    of_rungs = [item.rendition.rendition_id for item in whole if item.rendition.rendition_id != "audio"]
    assert (of_rungs.count("Low"), of_rungs.count("VeryLow")) == (2, 3)


def test_without_parts_a_segment_is_one_fragment_per_gop() -> None:
    media = run_through(make_plan(part_s=0, sound=False), encode_pictures(40))
    assert [type(item) for item in media] == [LiveSegment] * 2
    assert [segment.data.count(b"moof") for segment in segments_of(media, "VeryLow")] == [2, 2]


@pytest.mark.parametrize(
    ("stream", "fault"),
    [
        (encode_pictures(5, duration=9001), "frame 1"),
        (encode_pictures(5, start=9000), "frame 0"),
        (encode_pictures(25, gop=5), "frame 5"),
        (encode_pictures(5, offset=9000), "frame 0"),
        (b"\0\0\0\7moov", "a box of 7 bytes"),
    ],
)
def test_frames_that_are_not_on_the_grid_are_refused(stream: bytes, fault: str) -> None:
    with pytest.raises(PackagingError, match=f"VeryLow.*{fault}"):
        LiveRun(make_plan()).feed(0, stream, 0.0)


def test_segments_that_wait_for_their_sprites_are_not_kept() -> None:
    plan = make_plan(sound=False)
    assert plan.thumbnails
    thumbnails = LiveThumbnails(plan, plan.thumbnails)
    data = bytes(100_000)
    (first, *_) = segments_of(run_through(plan, encode_pictures(40)), plan.ladder[0].name)
    held_count = sys.getrefcount(data)
    assert list(thumbnails.follow([replace(first, data=data)])) == []
    assert sys.getrefcount(data) == held_count
    (sprite,) = thumbnails.feed(make_jpeg(0) + make_jpeg(1))
    assert (sprite.segment, sprite.start_s) == (first.segment, first.start_s)


def test_output_that_ends_within_a_frame_is_refused() -> None:
    with pytest.raises(PackagingError, match="VeryLow: the stream ends within a fragment"):
        run_through(make_plan(sound=False), encode_pictures(5)[:-1])


def test_sound_waits_for_the_picture() -> None:
    run = LiveRun(make_plan())
    assert run.feed(1, encode_sound(100), 0.0) == []
    media = run.feed(0, encode_pictures(10), 0.0)
    sound = parts_of(media, "audio")
    assert sound
    assert sound[-1].start_s + sound[-1].duration_s <= 1


def test_sound_that_stays_away_is_replaced_by_silence_and_dropped_when_it_comes() -> None:
    run = LiveRun(make_plan())
    stream = encode_sound(aac_frames(4))
    begun = encode_sound(0)
    media = run.feed(1, begun, 0.0) + run.feed(0, encode_pictures(40), AWAY_S)
    assert parts_of(media, "audio")[-1].start_s > 1.8  # 4 s less the lateness that it may have
    media += run.feed(1, stream[len(begun) :], AWAY_S) + run.finish()
    data = [sample.data for sample in samples_of(media, "audio")]
    silent = int(Fraction(5, 2) / AAC_S)
    assert data[:silent] == [SILENCE] * silent
    real = make_samples(1 + aac_frames(4), duration=1024)[1:]
    assert data[silent:] == [sample.data for sample in real[silent:]]


def test_sound_that_is_late_as_all_is_late_is_waited_for() -> None:
    run = LiveRun(make_plan())
    media = run.feed(0, encode_pictures(40), 0.0) + run.feed(1, encode_sound(aac_frames(4)), AWAY_S - 0.1)
    assert SILENCE not in [sample.data for sample in samples_of(media + run.finish(), "audio")]


def test_sound_that_stops_is_filled_up_to_the_pictures_end() -> None:
    media = run_through(make_plan(), encode_pictures(45), encode_sound(10))
    samples = samples_of(media, "audio")
    assert len(samples) == aac_frames(4.5)


def test_clocks_that_have_parted_end_the_run() -> None:
    with pytest.raises(PackagingError, match="the picture has stopped for 30 s"):
        LiveRun(make_plan()).feed(1, encode_sound(aac_frames(31)), 0.0)
    with pytest.raises(PackagingError, match="no sound came for the first 30 s"):
        run = LiveRun(make_plan())
        run.feed(0, encode_pictures(310), 0.0)
        run.feed(0, encode_pictures(320)[len(encode_pictures(310)) :], AWAY_S)


def test_sound_alone_waits_for_nothing() -> None:
    plan = make_plan(picture=False)
    run = LiveRun(plan)
    media = run.feed(0, encode_sound(100), 0.0)
    assert [segment.segment for segment in segments_of(media, "audio")] == [0]
    assert run.end_s == pytest.approx(float(100 * AAC_S))
    assert len(samples_of(media + run.finish(), "audio")) == 100


def test_transport_streams_join_picture_and_sound() -> None:
    media = run_through(make_plan(container=Container.TS), encode_pictures(50), encode_sound(400))
    segments = segments_of(media, "VeryLow")
    assert media == segments
    assert [(item.start_s, item.duration_s) for item in segments] == [(0, 2), (2, 2), (4, 1)]
    assert [len(item.iframes) for item in segments] == [2, 2, 1]
    rendition = segments[0].rendition
    assert (rendition.media_kind, rendition.init) == (MediaKind.MUXED, None)
    assert rendition.codecs == "avc1.640014,mp4a.40.2"
    assert all(len(item.data) % PACKET_BYTES == 0 for item in segments)


def test_transport_stream_segment_waits_for_its_sound() -> None:
    run = LiveRun(make_plan(container=Container.TS))
    assert run.feed(0, encode_pictures(21), 0.0) == []
    assert len(run.feed(1, encode_sound(aac_frames(2.1)), 0.0)) == 1


def test_sound_alone_in_transport_streams() -> None:
    media = run_through(make_plan(picture=False, container=Container.TS), encode_sound(100))
    assert [item.rendition.media_kind for item in media] == [MediaKind.AUDIO] * 2
    assert [round(item.duration_s, 2) for item in segments_of(media, "audio")] == [2.02, 0.3]


def test_all_rungs_are_cut_alike() -> None:
    plan = make_plan()
    top = replace(plan.ladder[0], name="Top")
    plan = replace(plan, ladder=(*plan.ladder, top))
    media = run_through(plan, encode_pictures(30), encode_pictures(30), encode_sound(130))
    parts = [
        [(part.segment, part.part, part.start_s, part.data) for part in parts_of(media, name)]
        for name in ("VeryLow", "Top")
    ]
    assert parts[0] == parts[1]


def test_silence_in_transport_streams_is_adts() -> None:
    media = run_through(make_plan(picture=False, container=Container.TS), encode_sound(10))
    assert len(media) == 1
    plan = make_plan(container=Container.TS)
    run = LiveRun(plan)
    run.feed(1, encode_sound(0), 0.0)
    cut = run.feed(0, encode_pictures(40), AWAY_S)
    assert isinstance(cut[0], LiveSegment)
    assert SILENCE in cut[0].data
    assert split_adts(b"\xff\xf1\x50\x80\x01\xbf\xfc" + SILENCE)
