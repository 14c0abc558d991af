"""The checker of live streams sees each fault that it is there for, and no other."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from support.checker import INIT, WHOLE, RenditionLaws, Wanted
from support.seen import read_seen

HEAD = """\
#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:{target}
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=3.0
#EXT-X-PART-INF:PART-TARGET=1.0
#EXT-X-MEDIA-SEQUENCE:{first}
#EXT-X-DISCONTINUITY-SEQUENCE:{breaks}
"""


def segment(
    msn: int, *, second: int | None = None, duration: str = "2.000", uri: str = "", before: str = ""
) -> str:
    date = f"2026-11-22T12:00:{2 * msn if second is None else second:02}.000Z"
    return (
        f"{before}#EXT-X-PROGRAM-DATE-TIME:{date}\n"
        f'#EXT-X-PART:DURATION=1.000,URI="part_{msn}_0"\n#EXT-X-PART:DURATION=1.000,URI="part_{msn}_1"\n'
        f"#EXTINF:{duration},\n{uri or f'segment_{msn}'}\n"
    )


def edge(msn: int) -> str:
    date = f"2026-11-22T12:00:{2 * msn:02}.000Z"
    return f'#EXT-X-PROGRAM-DATE-TIME:{date}\n#EXT-X-PART:DURATION=1.000,URI="part_{msn}_0"\n'


def playlist(*pieces: str, target: int = 2, first: int = 0, breaks: int = 0) -> str:
    return HEAD.format(target=target, first=first, breaks=breaks) + "".join(pieces)


def faults(*texts: str) -> Sequence[str]:
    laws = RenditionLaws("High")
    for text in texts:
        laws.take_playlist(read_seen(text))
    return [fault.removeprefix("High: ") for fault in laws.faults]


BREAK = "#EXT-X-DISCONTINUITY\n"
LAWFUL = (
    playlist(segment(0), edge(1)),
    playlist(segment(0), segment(1)),
    playlist(segment(0), segment(1), segment(2, second=9, before=BREAK)),
    playlist(segment(1), segment(2, second=9, before=BREAK), first=1),
    playlist(segment(2, second=9), "#EXT-X-ENDLIST\n", first=2, breaks=1),
)


def test_a_lawful_stream_has_no_faults() -> None:
    assert faults(*LAWFUL) == []


def test_a_recording_begins_again_at_its_start() -> None:
    vod = playlist("#EXT-X-PLAYLIST-TYPE:VOD\n", segment(0), segment(1), "#EXT-X-ENDLIST\n")
    assert faults(playlist(segment(1), first=1), vod) == []


@pytest.mark.parametrize(
    ("texts", "fault"),
    [
        ((LAWFUL[3], LAWFUL[2]), "the media sequence went back from 1 to 0"),
        ((LAWFUL[1], LAWFUL[0]), "the live edge went back from (2, 0) to (1, 1)"),
        (
            (LAWFUL[4], playlist(segment(2, second=9), "#EXT-X-ENDLIST\n", first=2)),
            "the discontinuity sequence went back from 1 to 0",
        ),
        ((LAWFUL[4], playlist(segment(2, second=9), first=2, breaks=1)), "the end was taken back"),
        ((LAWFUL[0], playlist(segment(0), edge(1), target=3)), "the target duration changed from 2 to 3"),
        ((playlist(segment(0, duration="2.500")),), "segment 0 lasts 2.5 s, over 2"),
        (
            (playlist(segment(0), segment(1, second=1)),),
            "segment 1 begins at 2026-11-22 12:00:01+00:00, before the end of the last one",
        ),
    ],
)
def test_what_players_could_not_bear_is_a_fault(texts: Sequence[str], fault: str) -> None:
    assert fault in faults(*texts)


@pytest.mark.parametrize(
    "changed",
    [
        segment(0, uri="other"),
        segment(0, duration="1.900"),
        segment(0, second=1),
        segment(0).replace("part_0_1", "other"),
    ],
)
def test_one_number_stands_for_one_segment(changed: str) -> None:
    (fault,) = faults(playlist(segment(0)), playlist(changed))
    assert "was Seen" in fault


def test_each_part_and_segment_is_wanted_once() -> None:
    laws = RenditionLaws("High")
    wanted = [[item.uri for item in laws.take_playlist(read_seen(text))] for text in LAWFUL[:3]]
    assert wanted == [
        ["part_0_0", "part_0_1", "segment_0", "part_1_0"],
        ["part_1_1", "segment_1"],
        ["part_2_0", "part_2_1", "segment_2"],
    ]


def test_a_gap_is_not_wanted() -> None:
    text = playlist("#EXT-X-GAP\n#EXTINF:2.0,\nsegment_0\n", edge(1).replace("_0", "_0,GAP=YES"))
    text = text.replace('_0,GAP=YES"', '_0",GAP=YES')
    assert RenditionLaws("High").take_playlist(read_seen(text)) == []


@pytest.mark.parametrize("wanted", [Wanted(0, WHOLE, "segment_0"), Wanted(0, INIT, "init")])
def test_other_bytes_under_one_name_are_a_fault(wanted: Wanted) -> None:
    laws = RenditionLaws("High")
    laws.take_bytes(wanted, b"one")
    laws.take_bytes(wanted, b"one")
    assert laws.faults == []
    laws.take_bytes(wanted, b"two")
    assert laws.faults == [f"High: {wanted.uri} has other bytes than before"]


@pytest.mark.parametrize(("whole", "count"), [(b"onetwo", 0), (b"oneTWO", 1)])
def test_a_segment_is_its_parts(whole: bytes, count: int) -> None:
    laws = RenditionLaws("High")
    parts = {"part_0_0": b"one", "part_0_1": b"two", "segment_0": whole}
    for item in laws.take_playlist(read_seen(playlist(segment(0)))):
        laws.take_bytes(item, parts[item.uri])
    assert len(laws.faults) == count


@pytest.mark.parametrize(("whole", "count"), [(b"one, two", 0), (b"two", 1)])
def test_a_segment_begins_with_the_parts_that_were_listed(whole: bytes, count: int) -> None:
    laws = RenditionLaws("High")
    (part,) = laws.take_playlist(read_seen(playlist(edge(0))))
    laws.take_bytes(part, b"one")
    text = segment(0).replace('#EXT-X-PART:DURATION=1.000,URI="part_0_0"\n', "")
    text = text.replace('#EXT-X-PART:DURATION=1.000,URI="part_0_1"\n', "")
    (item,) = laws.take_playlist(read_seen(playlist(text)))
    laws.take_bytes(item, whole)
    assert len(laws.faults) == count


def test_a_missing_object_is_a_fault() -> None:
    laws = RenditionLaws("High")
    laws.take_refusal(Wanted(3, 1, "part_3_1"), 404)
    assert laws.faults == ["High: part_3_1 was announced and answered 404"]


def init(uri: str) -> str:
    return f'#EXT-X-MAP:URI="{uri}"\n'


def gap(msn: int) -> str:
    date = f"2026-11-22T12:00:{2 * msn:02}.000Z"
    return f"#EXT-X-PROGRAM-DATE-TIME:{date}\n#EXT-X-GAP\n#EXTINF:2.000,\nsegment_{msn}\n"


# The init segment changes at 2; a gap has none of its own, so it shows none once it is first in the window.
MAPPED = (
    playlist(init("one"), segment(0), gap(1), init("two"), edge(2)),
    playlist(init("one"), segment(0), gap(1), init("two"), segment(2)),
    playlist(gap(1), init("two"), segment(2), edge(3), first=1),
    playlist(init("two"), segment(2), segment(3), first=2),
)


def test_each_init_segment_is_wanted_once_and_before_what_needs_it() -> None:
    laws = RenditionLaws("High")
    wanted = [[item.uri for item in laws.take_playlist(read_seen(text))] for text in MAPPED]
    assert laws.faults == []
    assert wanted == [
        ["one", "part_0_0", "part_0_1", "segment_0", "two", "part_2_0"],
        ["part_2_1", "segment_2"],
        ["part_3_0"],
        ["part_3_1", "segment_3"],
    ]


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        (
            playlist(init("two"), segment(0), gap(1), edge(2)),
            "segment 0 had the init segment 'one', and has 'two'",
        ),
        (
            playlist(segment(0), gap(1), init("two"), edge(2)),
            "segment 0 had the init segment 'one', and has ''",
        ),
        (
            playlist(init("one"), segment(0), gap(1), segment(2)),
            "segment 2 had the init segment 'two', and has 'one'",
        ),
    ],
)
def test_a_segment_keeps_its_init_segment(changed: str, fault: str) -> None:
    assert faults(MAPPED[0], changed) == [fault]


def test_a_missing_init_segment_is_a_fault() -> None:
    laws = RenditionLaws("High")
    (wanted, *_) = laws.take_playlist(read_seen(MAPPED[0]))
    laws.take_refusal(wanted, 404)
    assert (wanted.part, laws.faults) == (INIT, ["High: one was announced and answered 404"])


def hint(uri: str) -> str:
    return f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{uri}"\n'


def test_what_is_hinted_comes_or_is_overtaken_by_the_end_of_its_segment() -> None:
    texts = (
        playlist(segment(0), edge(1), hint("part_1_1")),
        playlist(segment(0), segment(1), hint("part_2_0")),
        playlist(segment(0), segment(1), edge(2), hint("part_2_1")),
        playlist(segment(0), segment(1), edge(2).replace("#EXT-X-PART:", "#EXTINF:1,\nsegment_2\n#", 1)),
    )
    assert faults(*texts) == []


@pytest.mark.parametrize(
    ("later", "fault"),
    [
        (playlist(segment(0), segment(1)), "part 1.1 was hinted as other, and is part_1_1"),
        (
            playlist(segment(0), edge(1), hint("part_1_1")),
            "part 1.1 was hinted as other, and now as part_1_1",
        ),
    ],
)
def test_a_part_that_is_not_what_was_hinted_is_a_fault(later: str, fault: str) -> None:
    assert faults(playlist(segment(0), edge(1), hint("other")), later) == [fault]


def report(msn: int, part: int | None = None, uri: str = "audio") -> str:
    told = "" if part is None else f",LAST-PART={part}"
    return f'#EXT-X-RENDITION-REPORT:URI="{uri}",LAST-MSN={msn}{told}\n'


def test_reports_go_on_each_for_itself() -> None:
    told = (report(0, 0), report(0, 1), report(0), report(0, 1), report(1, 0), report(1, 0), report(3, 0))
    assert faults(*(playlist(segment(0), line, report(0, 0, "Low")) for line in told)) == []


@pytest.mark.parametrize("back", [report(1, 1), report(0, 2), report(0)])
def test_a_report_that_goes_back_is_a_fault(back: str) -> None:
    (fault,) = faults(playlist(segment(0), report(1, 2)), playlist(segment(0), back))
    assert fault.startswith("audio was reported to have come to ")
