"""Codec configurations are read from init segments, and AAC frames get their headers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.samples import PPS, SPS, avc1_entry, mp4a_entry
from transcoder.domain.boxes import Box, BoxError, iter_boxes, pack_box
from transcoder.domain.codecs import AacConfig, read_aac_config, read_avc_config, split_adts

STEREO = AacConfig(object_type=2, sample_rate_hz=44_100, channel_count=2)


def entry(data: bytes) -> Box:
    return next(iter_boxes(memoryview(data)))


def test_avc_is_named_by_profile_constraints_and_level() -> None:
    config = read_avc_config(entry(avc1_entry(width=320, height=180)))
    assert config.codecs == "avc1.640014"
    assert (config.width_pixels, config.height_pixels, config.nal_length_bytes) == (320, 180, 4)
    assert (config.sps, config.pps) == ((SPS,), (PPS,))


@pytest.mark.parametrize(("index", "rate"), [(3, 48_000), (4, 44_100)])
@pytest.mark.parametrize("channels", [1, 2])
def test_aac_config_is_read_from_its_descriptors(index: int, rate: int, channels: int) -> None:
    config = read_aac_config(entry(mp4a_entry(rate_index=index, channels=channels)))
    assert config == AacConfig(object_type=2, sample_rate_hz=rate, channel_count=channels)
    assert config.codecs == "mp4a.40.2"


def test_other_codecs_are_refused() -> None:
    with pytest.raises(BoxError, match="'mp4a': must be 'avc1'"):
        read_avc_config(entry(mp4a_entry()))
    with pytest.raises(BoxError, match="'hvc1': must be 'mp4a'"):
        read_aac_config(entry(pack_box("hvc1")))


def test_adts_header_bit_by_bit() -> None:
    # syncword; MPEG-4, layer 0, no CRC; LC, 44.1 kHz, 2 channels; 107 bytes; fullness 0x7ff; 1 frame
    assert STEREO.adts_header(100).hex() == "fff150800d7ffc"


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=8))
def test_adts_runs_come_apart_into_their_frames(frames: list[bytes]) -> None:
    packed = [STEREO.adts_header(len(frame)) + frame for frame in frames]
    assert split_adts(b"".join(packed)) == packed


@pytest.mark.parametrize("run", [b"no adts", STEREO.adts_header(9) + b"too few", b"\xff\xf1"])
def test_broken_adts_run_is_refused(run: bytes) -> None:
    with pytest.raises(BoxError, match="no whole ADTS frame at byte 0"):
        split_adts(run)
