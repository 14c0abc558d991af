"""Samples go into fragments and come out again unchanged, however the bytes arrive."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.samples import avc1_entry, make_init, make_samples, sample_runs, splits
from transcoder.domain.boxes import BoxError, find_box, pack_box
from transcoder.domain.fragment_writer import pack_fragment, pack_gops
from transcoder.domain.fragments import FragmentReader, Sample

INIT = make_init(avc1_entry(), timescale=90_000, track_id=3)


@given(st.data(), st.lists(sample_runs(), min_size=1, max_size=3))
def test_samples_survive_any_cut_of_the_stream(data: st.DataObject, runs: list[list[Sample]]) -> None:
    fragments = [
        pack_fragment(run, track_id=3, sequence_number=number) for number, run in enumerate(runs, start=1)
    ]
    reader = FragmentReader()
    pieces = data.draw(splits(INIT + b"".join(fragments)))
    assert [sample for piece in pieces for sample in reader.feed(piece)] == [
        sample for run in runs for sample in run
    ]
    assert reader.init == INIT
    reader.finish()


@given(sample_runs())
def test_one_frame_fragments_give_the_same_samples_as_one_large_one(samples: list[Sample]) -> None:
    reader = FragmentReader()
    single = [pack_fragment([sample], track_id=3, sequence_number=1) for sample in samples]
    assert reader.feed(INIT + b"".join(single)) == samples


@given(st.data())
def test_damage_is_refused_as_such(data: st.DataObject) -> None:
    stream = bytearray(
        INIT + pack_fragment(make_samples(5, duration=3000, gop=5), track_id=3, sequence_number=1)
    )
    for _ in range(data.draw(st.integers(1, 4))):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    reader = FragmentReader()
    try:
        reader.feed(bytes(stream))
        reader.finish()
    except BoxError:
        pass  # no other error may come out


def test_track_is_read_from_the_moov() -> None:
    reader = FragmentReader()
    reader.feed(INIT)
    assert reader.track is not None
    assert (reader.track.track_id, reader.track.timescale) == (3, 90_000)
    assert reader.track.sample_entry.kind == "avc1"


def test_constant_durations_and_flags_cost_nothing_per_sample() -> None:
    fragment = pack_fragment(make_samples(60, duration=3000, gop=60), track_id=1, sequence_number=1)
    moof = find_box(memoryview(fragment), "moof")
    assert len(moof.whole) == 100 + 4 * 60  # one size each


def test_fragment_per_gop_with_its_iframe_in_front() -> None:
    samples = make_samples(12, duration=3000, gop=5)
    data, ranges = pack_gops(samples, track_id=1, first_sequence_number=8)
    reader = FragmentReader()
    assert reader.feed(INIT + data) == samples
    for part, iframe in zip(ranges, samples[::5], strict=True):
        assert data[part.offset_bytes + 4 : part.offset_bytes + 8] == b"moof"
        assert data[: part.offset_bytes + part.size_bytes].endswith(iframe.data)


def test_moof_before_moov_is_refused() -> None:
    with pytest.raises(BoxError, match="before the moov"):
        FragmentReader().feed(pack_fragment(make_samples(1, duration=1), track_id=1, sequence_number=1))


def test_stream_cut_within_a_fragment_is_refused() -> None:
    reader = FragmentReader()
    reader.feed(INIT + pack_fragment(make_samples(1, duration=1), track_id=3, sequence_number=1)[:-1])
    with pytest.raises(BoxError, match="within a fragment"):
        reader.finish()


def test_mdat_that_is_too_short_is_refused() -> None:
    fragment = pack_fragment(make_samples(1, duration=1), track_id=3, sequence_number=1)
    moof = bytes(find_box(memoryview(fragment), "moof").whole)
    with pytest.raises(BoxError, match="does not lie within its mdat"):
        FragmentReader().feed(INIT + moof + pack_box("mdat", b"short"))
