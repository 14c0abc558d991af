"""Transport streams are written so that a strict reader finds every byte and every time again."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcoder.domain.ts import pack_ts_segment, to_annex_b, to_ticks
from transcoder.domain.ts_packets import AUDIO_PID, VIDEO_PID, AccessUnit


@dataclass
class Read:
    """What a strict reader finds in a transport stream."""

    payloads: dict[int, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    counters: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    clock: list[int] = field(default_factory=list)


def read(data: bytes) -> Read:
    """Read packets (ISO/IEC 13818-1, 2.4.3.2); payloads of one PID are joined per unit start."""
    found = Read()
    assert len(data) % 188 == 0
    for place in range(0, len(data), 188):
        packet = data[place : place + 188]
        assert packet[0] == 0x47
        pid = (packet[1] & 0x1F) << 8 | packet[2]
        assert packet[3] & 0x10  # every packet carries payload, so that every one counts
        found.counters[pid].append(packet[3] & 0x0F)
        start = 4
        if packet[3] & 0x20:
            start += 1 + packet[4]
            if packet[4] and packet[5] & 0x10:
                found.clock.append(int.from_bytes(packet[6:10], "big") << 1 | packet[10] >> 7)
        assert start < 188
        if packet[1] & 0x40:
            found.payloads[pid].append(b"")
        found.payloads[pid][-1] += packet[start:]
    return found


def read_pes(pes: bytes) -> tuple[int, int, bytes]:
    """PTS, DTS and content of a PES."""
    assert pes[:3] == b"\0\0\1"
    length = int.from_bytes(pes[4:6], "big")
    assert length in (0, len(pes) - 6)
    stamps = [read_stamp(pes[9 + 5 * index : 14 + 5 * index]) for index in range(pes[8] // 5)]
    return stamps[0], stamps[-1], pes[9 + pes[8] :]


def read_stamp(stamp: bytes) -> int:
    assert all(stamp[place] & 1 for place in (0, 2, 4))  # marker bits
    value = int.from_bytes(stamp, "big")
    return (value >> 33 & 7) << 30 | (value >> 17 & 0x7FFF) << 15 | value >> 1 & 0x7FFF


def units(sizes: list[int], *, gop: int = 5, lead: int = 6000) -> list[AccessUnit]:
    return [
        AccessUnit(
            presentation_ticks=900_000 + 3000 * number + lead,
            decode_ticks=900_000 + 3000 * number,
            is_sync=number % gop == 0,
            data=bytes([number % 251 + 1]) * size,
        )
        for number, size in enumerate(sizes)
    ]


@given(
    st.lists(st.integers(1, 2000), min_size=1, max_size=20),
    st.lists(st.integers(8, 700), max_size=20),
    st.integers(0, 99),
)
def test_every_frame_is_read_back_with_its_times(video: list[int], audio: list[int], first_gop: int) -> None:
    pictures, sounds = units(video), units(audio, lead=0)
    data, _ = pack_ts_segment(pictures, sounds, has_audio=True, first_gop=first_gop)
    found = read(data)
    assert [read_pes(pes) for pes in found.payloads[VIDEO_PID]] == [
        (unit.presentation_ticks, unit.decode_ticks, unit.data) for unit in pictures
    ]
    assert b"".join(read_pes(pes)[2] for pes in found.payloads[AUDIO_PID]) == b"".join(
        unit.data for unit in sounds
    )
    assert found.clock == [unit.decode_ticks - 45_000 for unit in pictures]


@given(st.lists(st.integers(1, 2000), min_size=1, max_size=20), st.lists(st.integers(8, 700), max_size=20))
def test_media_counters_start_at_0_and_fill_whole_rounds(video: list[int], audio: list[int]) -> None:
    data, _ = pack_ts_segment(units(video), units(audio, lead=0), has_audio=True, first_gop=0)
    for pid in (VIDEO_PID, AUDIO_PID):
        counters = read(data).counters[pid]
        assert counters == list(range(16)) * (len(counters) // 16)


def test_table_counters_follow_the_number_of_the_gop() -> None:
    data, _ = pack_ts_segment(units([10] * 10, gop=5), [], has_audio=False, first_gop=31)
    assert read(data).counters[0] == [15, 0]


@pytest.mark.parametrize(
    ("has_video", "has_audio", "pmt"),
    [
        (True, True, "0002b0170001c10000e100f0001be100f0000fe101f0002f44b99b"),
        (True, False, "0002b0120001c10000e100f0001be100f00015bd4d56"),
        (False, True, "0002b0120001c10000e101f0000fe101f000ece2b094"),
    ],
)
def test_program_map_names_what_is_inside(has_video: bool, has_audio: bool, pmt: str) -> None:
    video, audio = units([10]) if has_video else [], units([10], lead=0) if has_audio else []
    data, _ = pack_ts_segment(video, audio, has_audio=has_audio, first_gop=0)
    found = read(data)
    assert found.payloads[0][0].hex().startswith("0000b00d0001c100000001f0002ab104b2" + "ff")
    assert found.payloads[0x1000][0].hex().startswith(pmt + "ff")


def test_rendition_with_audio_says_so_in_segments_without_any() -> None:
    silent, _ = pack_ts_segment(units([10]), [], has_audio=True, first_gop=0)
    both, _ = pack_ts_segment(units([10]), units([10], lead=0), has_audio=True, first_gop=0)
    assert read(silent).payloads[0x1000] == read(both).payloads[0x1000]


def test_iframe_range_holds_tables_and_frame() -> None:
    data, ranges = pack_ts_segment(
        units([700] * 10, gop=5), units([100] * 10, lead=0), has_audio=True, first_gop=0
    )
    assert len(ranges) == 2
    for part, number in zip(ranges, (0, 5), strict=True):
        found = read(data[part.offset_bytes : part.offset_bytes + part.size_bytes])
        assert list(found.payloads) == [0, 0x1000, VIDEO_PID]
        assert [read_pes(pes)[2] for pes in found.payloads[VIDEO_PID]] == [units([700] * 10)[number].data]


def test_clock_wraps_after_33_bits() -> None:
    late = AccessUnit(presentation_ticks=1 << 33, decode_ticks=(1 << 33) + 5, is_sync=True, data=b"x")
    data, _ = pack_ts_segment([late], [], has_audio=False, first_gop=0)
    assert read_pes(read(data).payloads[VIDEO_PID][0])[:2] == (0, 5)


def test_times_are_rounded_to_the_nearest_tick() -> None:
    assert [to_ticks(frame * 1001, 24_000) - 900_000 for frame in range(3)] == [0, 3754, 7508]


def test_lengths_become_start_codes_behind_a_delimiter_and_parameter_sets() -> None:
    sample = bytes.fromhex("00000002 6588 00000001 06")
    assert to_annex_b(sample, 4, [b"\x67", b"\x68"]).hex(" ", 1) == (
        "00 00 00 01 09 f0 00 00 00 01 67 00 00 00 01 68 00 00 00 01 65 88 00 00 00 01 06"
    )
