"""What may be appended to a ledger, and what the refusal says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chassis.errors import FailedPrecondition, InvalidArgument
from distributor.domain.entries import (
    Container,
    EncryptionKey,
    Ended,
    Entry,
    IFrame,
    Media,
    MediaKind,
    Opened,
    Part,
    Rendition,
    Segment,
    Trimmed,
)
from distributor.domain.ledger import Ledger, append, require_open

LOW = Rendition(
    rendition_id="Low",
    media_kind=MediaKind.VIDEO,
    codecs="avc1.64001f",
    width_pixels=854,
    height_pixels=480,
    frame_rate=(30, 1),
    target_bps=1_000_000,
    peak_bps=1_500_000,
)
AUDIO = Rendition(
    rendition_id="audio",
    media_kind=MediaKind.AUDIO,
    codecs="mp4a.40.2",
    target_bps=128_000,
    peak_bps=128_000,
    sample_rate_hz=48_000,
    channel_count=2,
)
IMAGES = Rendition(
    rendition_id="thumbnails",
    media_kind=MediaKind.IMAGES,
    codecs="jpeg",
    width_pixels=200,
    height_pixels=112,
    tile_s=2.0,
)
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
KEY = EncryptionKey(method="AES-128", key_id="k1", iv="0" * 32)


def seg(msn: int, **changes: Any) -> Segment:
    whole = Segment(
        rendition_id="Low",
        msn=msn,
        start_s=msn * 4.0,
        duration_s=4.0,
        object_key=f"streams/film/0/Low/{msn:08d}-a.m4s",
        size_bytes=1000,
        init_key="streams/film/0/Low/init-1.mp4",
        init_size_bytes=100,
    )
    return replace(whole, **changes)


def gap(msn: int, **changes: Any) -> Segment:
    return seg(msn, **{"gap": True, "object_key": "", "size_bytes": 0, **changes})


def part(msn: int, index: int, **changes: Any) -> Part:
    piece = Part(
        rendition_id="Low",
        msn=msn,
        part=index,
        start_s=msn * 4.0 + index,
        duration_s=1.0,
        object_key=f"streams/film/0/Low/{msn:08d}.{index}-a.m4s",
        size_bytes=300,
        init_key="streams/film/0/Low/init-1.mp4",
        init_size_bytes=100,
    )
    return replace(piece, **changes)


def ledger(*entries: Entry, container: Container = Container.CMAF) -> Ledger:
    """A ledger of epoch 1 in which these stand."""
    empty = Ledger(container=container, target_duration_s=4, part_target_s=1.0, epoch=1)
    return append(empty, epoch=1, entries=entries) if entries else empty


def live(entry: Media, **changes: Any) -> Any:
    """The same media at a time of day; the run began at NOON."""
    moment = NOON + timedelta(seconds=entry.start_s)
    return replace(entry, **{"program_date_time": moment, **changes})


def live_ledger(*entries: Entry) -> Ledger:
    empty = Ledger(container=Container.CMAF, target_duration_s=4, part_target_s=1.0, is_live=True, epoch=1)
    return append(empty, epoch=1, entries=entries)


def sprite(msn: int, **changes: Any) -> Segment:
    return seg(msn, **{"rendition_id": "thumbnails", "init_key": "", "init_size_bytes": 0, **changes})


LAWFUL = {
    "segments follow each other": [LOW, seg(0), seg(1), seg(2)],
    "renditions grow side by side": [LOW, AUDIO, seg(0), seg(0, rendition_id="audio"), seg(1)],
    "the first segment starts anywhere": [LOW, seg(0, start_s=7.5)],
    "a rendition that joins counts on": [LOW, seg(0), seg(1), AUDIO, seg(2), seg(2, rendition_id="audio")],
    "a rendition that joins with parts": [
        LOW,
        seg(0),
        AUDIO,
        part(1, 0, rendition_id="audio"),
        part(1, 1, rendition_id="audio"),
        seg(1, rendition_id="audio"),
    ],
    "a rendition that joins late counts from 0": [LOW, seg(0), AUDIO, seg(0, rendition_id="audio")],
    "a float's error is no hole": [LOW, seg(0), seg(1, start_s=4.000001)],
    "a duration that rounds down": [LOW, seg(0, duration_s=4.49)],
    "a discontinuity lets the clock jump": [
        LOW,
        seg(0),
        seg(1, start_s=100.0, discontinuity_sequence=1),
        seg(2, start_s=104.0, discontinuity_sequence=1),
    ],
    "a gap": [LOW, seg(0), gap(1), seg(2)],
    "an encrypted segment": [LOW, seg(0, encryption_key=KEY)],
    "i-frames in order": [
        LOW,
        seg(
            0,
            iframes=(
                IFrame(offset_bytes=0, size_bytes=300, duration_s=2.0),
                IFrame(offset_bytes=500, size_bytes=500, duration_s=2.0),
            ),
        ),
    ],
    "parts, then their whole": [LOW, part(0, 0), part(0, 1), seg(0, duration_s=2.0), part(1, 0, start_s=2.0)],
    "a whole that is longer than its parts": [LOW, part(0, 0), seg(0)],
    "a discontinuity at a first part": [
        LOW,
        seg(0),
        part(1, 0, start_s=50.0, discontinuity_sequence=1),
        part(1, 1, start_s=51.0, discontinuity_sequence=1),
        seg(1, start_s=50.0, duration_s=2.0, discontinuity_sequence=1),
    ],
    "images beside": [LOW, IMAGES, seg(0), sprite(0), seg(1), sprite(1)],
    "one rendition ends, another goes on": [LOW, AUDIO, Ended(rendition_id="audio"), seg(0)],
    "everything ends": [LOW, seg(0), Ended()],
}

BROKEN: dict[str, tuple[list[Entry], Entry, str]] = {
    "an Opened": ([], Opened(owner="me"), "call Open"),
    "no rendition": ([], seg(0), r"rendition_id is 'Low': it must have begun"),
    "a rendition twice": ([LOW], LOW, r"rendition_id is 'Low': it must be new"),
    "an id that is none": ([], replace(LOW, rendition_id="a/b"), "rendition_id"),
    "no kind": ([], replace(LOW, media_kind=None), "media_kind is 'unspecified'"),
    "no codecs": ([], replace(LOW, codecs=""), "codecs is ''"),
    "codecs that break out": ([], replace(LOW, codecs='avc1",X="'), "codecs"),
    "a name that breaks out": ([], replace(LOW, name='a"\n#EXT'), "name"),
    "a language that breaks out": ([], replace(LOW, language='en"'), "language"),
    "no rate": ([], replace(LOW, target_bps=0), "target_bps is 0: it must be greater than 0"),
    "a peak below the mean": ([], replace(LOW, peak_bps=1), "peak_bps is 1: it must not be below"),
    "video without a size": (
        [],
        replace(LOW, width_pixels=0),
        "width_pixels is 0: .* from 1 to 16384",
    ),
    "too large a picture": ([], replace(LOW, height_pixels=20_000), "height_pixels is 20000"),
    "no frame rate": ([], replace(LOW, frame_rate=(30, 0)), "frame_rate is '30/0'"),
    "audio with a size": ([], replace(AUDIO, width_pixels=1), "width_pixels is 1: it must lie from 0 to 0"),
    "audio with frames": ([], replace(AUDIO, frame_rate=(30, 1)), "frame_rate is '30/1'"),
    "images without a size": ([], replace(IMAGES, height_pixels=0), "height_pixels is 0"),
    "images that move": ([], replace(IMAGES, frame_rate=(1, 2)), "frame_rate is '1/2'"),
    "images without a distance": ([], replace(IMAGES, tile_s=0.0), "tile_s is 0.0: it must be greater"),
    "video in tiles": ([], replace(LOW, tile_s=2.0), "tile_s is 2.0: it must be 0 but for images"),
    "an image with an init segment": ([IMAGES], sprite(0, init_key="a"), "init_key is 'a': it must be empty"),
    "part of an image": (
        [IMAGES],
        part(0, 0, rendition_id="thumbnails"),
        "is 'a part': it must be a whole segment",
    ),
    "a first segment above 0": ([LOW], seg(1), "msn is 1: it must be 0"),
    "a rendition that joins ahead of all": (
        [LOW, seg(0), AUDIO],
        seg(2, rendition_id="audio"),
        "msn is 2: it must lie from 0 to 1",
    ),
    "a segment left out": ([LOW, seg(0)], seg(2), "msn is 2: it must be 1"),
    "a segment twice": ([LOW, seg(0)], seg(0), "msn is 0: it must be 1"),
    "a hole": ([LOW, seg(0)], seg(1, start_s=4.5), r"start_s is 4.5: it must be 4.0+, the end"),
    "an overlap": ([LOW, seg(0)], seg(1, start_s=3.9), "start_s is 3.9: it must be 4.0"),
    "time going back": (
        [LOW, seg(0)],
        seg(1, start_s=1.0, discontinuity_sequence=1),
        "start_s is 1.0: it must not be before",
    ),
    "a start below 0": ([LOW], seg(0, start_s=-1.0), "start_s is -1.0"),
    "a start that is no number": ([LOW], seg(0, start_s=float("nan")), "start_s is nan"),
    "no duration": ([LOW], seg(0, duration_s=0.0), "duration_s is 0.0: it must be greater than 0"),
    "a duration that is no number": ([LOW], seg(0, duration_s=float("nan")), "duration_s is nan"),
    "too long": ([LOW], seg(0, duration_s=4.5), "duration_s is 4.5.*at most the target duration, 4"),
    "endless": ([LOW], seg(0, duration_s=float("inf")), "duration_s is inf"),
    "discontinuity going back": (
        [LOW, seg(0, discontinuity_sequence=3)],
        seg(1, discontinuity_sequence=2),
        "discontinuity_sequence is 2: it must lie from 3 to 4",
    ),
    "discontinuity jumping": (
        [LOW, seg(0)],
        seg(1, discontinuity_sequence=2),
        "discontinuity_sequence is 2: it must lie from 0 to 1",
    ),
    "discontinuity below 0": ([LOW], seg(0, discontinuity_sequence=-1), "it must be at least 0"),
    "no object": ([LOW], seg(0, object_key=""), "object_key is ''"),
    "an object above its folder": ([LOW], seg(0, object_key="streams/../../x"), "object_key"),
    "an object from the root": ([LOW], seg(0, object_key="/x"), "object_key"),
    "an empty object": ([LOW], seg(0, size_bytes=0), "size_bytes is 0: it must be greater than 0"),
    "no init segment": ([LOW], seg(0, init_key=""), "init_key is ''"),
    "an empty init segment": ([LOW], seg(0, init_size_bytes=0), "init_size_bytes is 0"),
    "a gap with an object": ([LOW], gap(0, object_key="x"), "object_key is 'x': it must be empty for a gap"),
    "a gap with bytes": ([LOW], gap(0, size_bytes=1), "size_bytes is 1: it must be 0 for a gap"),
    "an unknown cipher": ([LOW], seg(0, encryption_key=replace(KEY, method="ROT13")), "method is 'ROT13'"),
    "a short iv": ([LOW], seg(0, encryption_key=replace(KEY, iv="00")), "iv is '00'"),
    "a key that is none": ([LOW], seg(0, encryption_key=replace(KEY, key_id="../k")), "key_id"),
    "i-frames out of order": (
        [LOW],
        seg(
            0,
            iframes=(
                IFrame(offset_bytes=10, size_bytes=1, duration_s=1.0),
                IFrame(offset_bytes=5, size_bytes=1, duration_s=1.0),
            ),
        ),
        r"iframes\[1\].offset_bytes is 5: it must be at least 11",
    ),
    "an i-frame outside": (
        [LOW],
        seg(0, iframes=(IFrame(offset_bytes=900, size_bytes=101, duration_s=1.0),)),
        r"iframes\[0\].size_bytes is 101: it must lie within the segment's 1000",
    ),
    "an i-frame without time": (
        [LOW],
        seg(0, iframes=(IFrame(offset_bytes=0, size_bytes=1, duration_s=0.0),)),
        "duration_s is 0.0",
    ),
    "too many i-frames": (
        [LOW],
        seg(0, iframes=(IFrame(offset_bytes=0, size_bytes=1, duration_s=1.0),) * 1001),
        "1001 of them",
    ),
    "a part left out": ([LOW, part(0, 0)], part(0, 2), "part is 2: it must be 1"),
    "a part below 0": ([LOW], part(0, -1), "part is -1"),
    "a part of the segment before": ([LOW, seg(0)], part(0, 0), "msn is 0: it must be 1"),
    "a part above the part target": (
        [LOW],
        part(0, 0, duration_s=1.02),
        "duration_s is 1.02: it must be at most part_target_s, 1.0",
    ),
    "a Trimmed": (
        [LOW],
        Trimmed(rendition_id="Low", first_msn=1, start_s=4.0, discontinuity_sequence=0),
        "nobody appends it",
    ),
    "a hole between parts": ([LOW, part(0, 0)], part(0, 1, start_s=1.5), "start_s is 1.5: it must be 1.0"),
    "a discontinuity within a segment": (
        [LOW, part(0, 0)],
        part(0, 1, discontinuity_sequence=1),
        "discontinuity_sequence is 1: it must lie from 0 to 0",
    ),
    "a whole that starts elsewhere": (
        [LOW, part(0, 0)],
        seg(0, start_s=0.5),
        "start_s is 0.5: it must be 0",
    ),
    "a whole shorter than its parts": (
        [LOW, part(0, 0), part(0, 1)],
        seg(0, duration_s=1.0),
        "duration_s is 1.0: it must reach the end of its parts at 2.0",
    ),
    "growth behind a rendition's end": ([LOW, Ended(rendition_id="Low")], seg(0), "it must not have ended"),
    "two ends": ([LOW, Ended(rendition_id="Low")], Ended(rendition_id="Low"), "it must not have ended"),
    "the end of nobody": ([LOW], Ended(rendition_id="High"), "it must have begun"),
    "too many renditions": (
        [replace(LOW, rendition_id=f"r{number}") for number in range(64)],
        LOW,
        "number 65",
    ),
}


@pytest.mark.parametrize("entries", LAWFUL.values(), ids=LAWFUL.keys())
def test_lawful(entries: list[Entry]) -> None:
    ledger(*entries)


@pytest.mark.parametrize(("before", "entry", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_broken_law_names_field_value_and_range(before: list[Entry], entry: Entry, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message) as broken:
        append(ledger(*before), epoch=1, entries=[entry])
    assert broken.value.message.startswith("entries[0].")


def test_ts_needs_no_init_segment() -> None:
    clear = {"init_key": "", "init_size_bytes": 0}
    ledger(LOW, seg(0, **clear), container=Container.TS)
    with pytest.raises(InvalidArgument, match="init_key is 'x': it must be empty for MPEG-TS"):
        ledger(LOW, seg(0, init_key="x"), container=Container.TS)


def test_nothing_stands_behind_the_end_in_one_append() -> None:
    with pytest.raises(InvalidArgument, match=r"entries\[2\].segment.*before the end"):
        ledger(LOW, Ended(), seg(0))


def test_nothing_is_appended_behind_the_end() -> None:
    with pytest.raises(FailedPrecondition) as refused:
        append(ledger(LOW, Ended()), epoch=1, entries=[seg(0)])
    assert refused.value.reason == "TIMELINE_ENDED"


def test_an_older_epoch_is_stale() -> None:
    with pytest.raises(FailedPrecondition, match="taken over under epoch 1") as refused:
        append(ledger(LOW), epoch=0, entries=[seg(0)])
    assert refused.value.reason == "STALE_EPOCH"


def test_an_epoch_that_nobody_gave_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="epoch is 2: it must be one that Open gave; the newest is 1"):
        append(ledger(LOW), epoch=2, entries=[seg(0)])


@pytest.mark.parametrize("count", [0, 1001])
def test_an_append_holds_1_to_1000_entries(count: int) -> None:
    with pytest.raises(InvalidArgument, match=f"entries is '{count} of them': it must number 1 to 1000"):
        append(ledger(), epoch=1, entries=[LOW] * count)


def test_an_ended_ledger_is_not_opened_again() -> None:
    require_open(ledger(LOW))
    with pytest.raises(FailedPrecondition, match="open a new incarnation"):
        require_open(ledger(LOW, Ended()))


JUMPED_S = 64.0  # the publisher was away for a minute

LIVE_LAWFUL: dict[str, list[Entry]] = {
    "segments in time": [LOW, live(seg(0)), live(seg(1))],
    "parts, then their whole": [LOW, live(part(0, 0)), live(part(0, 1)), live(seg(0))],
    "a gap in time": [LOW, live(seg(0)), live(gap(1))],
    "a dead run's segment is closed with what was announced of it": [
        LOW,
        live(seg(0)),
        live(part(1, 0)),
        live(part(1, 1)),
        live(seg(1, duration_s=2.0)),
        live(part(2, 0, start_s=JUMPED_S, discontinuity_sequence=1)),
        live(seg(2, start_s=JUMPED_S, discontinuity_sequence=1)),
    ],
    "a rendition that lacks it gets a gap": [
        LOW,
        AUDIO,
        live(part(0, 0)),
        live(seg(0, duration_s=1.0)),
        live(gap(0, rendition_id="audio", duration_s=1.0)),
        live(seg(1, start_s=JUMPED_S, discontinuity_sequence=1)),
        live(seg(1, rendition_id="audio", start_s=JUMPED_S, discontinuity_sequence=1)),
    ],
    "parts that cannot be read any more are closed with a gap": [
        LOW,
        live(part(0, 0)),
        live(gap(0, duration_s=1.0)),
    ],
    "time that runs ahead of the media": [
        LOW,
        live(seg(0)),
        live(seg(1), program_date_time=NOON + timedelta(seconds=9)),
    ],
}

LIVE_BROKEN: dict[str, tuple[list[Entry], Entry, str]] = {
    "a segment without a time": ([LOW], seg(0), "program_date_time is 'absent': it must be given"),
    "a part without a time": ([LOW], part(0, 0), "program_date_time is 'absent'"),
    "a gap without a time": ([LOW, live(seg(0))], gap(1), "program_date_time is 'absent'"),
    "time going back": (
        [LOW, live(seg(0))],
        live(seg(1), program_date_time=NOON + timedelta(seconds=3.9)),
        "program_date_time is .*03.9.* not be before 2026-11-22T12:00:04",
    ),
    "time going back at a discontinuity": (
        [LOW, live(part(0, 0)), live(seg(0, duration_s=1.0))],
        live(part(1, 0, start_s=9.0, discontinuity_sequence=1), program_date_time=NOON),
        "not be before 2026-11-22T12:00:01",
    ),
    "a whole at another time than its parts": (
        [LOW, live(part(0, 0))],
        live(seg(0), program_date_time=NOON + timedelta(seconds=1)),
        "be that of its first part, 2026-11-22T12:00:00",
    ),
}


@pytest.mark.parametrize("entries", LIVE_LAWFUL.values(), ids=LIVE_LAWFUL.keys())
def test_lawful_live(entries: list[Entry]) -> None:
    live_ledger(*entries)


@pytest.mark.parametrize(("before", "entry", "message"), LIVE_BROKEN.values(), ids=LIVE_BROKEN.keys())
def test_broken_live_law_names_field_value_and_range(before: list[Entry], entry: Entry, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message) as broken:
        append(live_ledger(*before), epoch=1, entries=[entry])
    assert broken.value.message.startswith("entries[0].")


def test_a_stream_without_a_part_target_has_no_parts() -> None:
    plain = Ledger(container=Container.CMAF, target_duration_s=4, epoch=1)
    with pytest.raises(InvalidArgument, match="the stream was made without part_target_s"):
        append(plain, epoch=1, entries=[LOW, part(0, 0)])
