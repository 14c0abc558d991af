"""One function per tag of a playlist; each writes the tag's line. Section numbers are those of rfc8216bis."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from fractions import Fraction

EXTM3U = "#EXTM3U"  # 4.4.1.1
INDEPENDENT_SEGMENTS = "#EXT-X-INDEPENDENT-SEGMENTS"  # 4.4.2.1
ENDLIST = "#EXT-X-ENDLIST"  # 4.4.3.4
I_FRAMES_ONLY = "#EXT-X-I-FRAMES-ONLY"  # 4.4.3.6
DISCONTINUITY = "#EXT-X-DISCONTINUITY"  # 4.4.4.3
GAP = "#EXT-X-GAP"  # 4.4.4.7

_QUOTE_BREAKERS = str.maketrans({'"': "'"} | dict.fromkeys(map(chr, (*range(32), *range(127, 160))), " "))

Attribute = tuple[str, str | None]


def quoted(text: str) -> str:
    """Write a quoted-string, which may hold neither quotes nor control characters (4.2)."""
    return f'"{text.translate(_QUOTE_BREAKERS)}"'


def version(number: int) -> str:
    """4.4.1.2."""
    return f"#EXT-X-VERSION:{number}"


def target_duration(seconds: int) -> str:
    """4.4.3.1; the same in all renditions, and for ever."""
    return f"#EXT-X-TARGETDURATION:{seconds}"


def media_sequence(msn: int) -> str:
    """4.4.3.2; the number of the first segment that is listed."""
    return f"#EXT-X-MEDIA-SEQUENCE:{msn}"


def discontinuity_sequence(number: int) -> str:
    """4.4.3.3; needed once discontinuities have left the playlist."""
    return f"#EXT-X-DISCONTINUITY-SEQUENCE:{number}"


def playlist_type(kind: str) -> str:
    """4.4.3.5; EVENT: nothing leaves; VOD: nothing changes."""
    return f"#EXT-X-PLAYLIST-TYPE:{kind}"


def start(offset_s: float) -> str:
    """4.4.2.2; where to begin, counted from the playlist's beginning."""
    return f"#EXT-X-START:TIME-OFFSET={offset_s:g},PRECISE=YES"


def map_section(uri: str) -> str:
    """4.4.4.5; the init segment of what follows."""
    return f"#EXT-X-MAP:URI={quoted(uri)}"


def program_date_time(instant: datetime) -> str:
    """4.4.4.6."""
    return f"#EXT-X-PROGRAM-DATE-TIME:{date_time(instant)}"


def date_time(instant: datetime) -> str:
    """ISO 8601, in UTC, to the millisecond."""
    utc = instant.astimezone(UTC).replace(tzinfo=None)  # formatting with strftime takes forty times as long
    return f"{utc.isoformat(timespec='milliseconds')}Z"


def server_control(attributes: Iterable[Attribute]) -> str:
    """4.4.3.8; the same in all playlists of a stream."""
    return f"#EXT-X-SERVER-CONTROL:{_attribute_list(attributes)}"


def part_information(part_target_s: float) -> str:
    """4.4.3.7."""
    return f"#EXT-X-PART-INF:PART-TARGET={decimal(part_target_s)}"


def skip(segment_count: int) -> str:
    """4.4.5.2; stands for segments that the client knows already."""
    return f"#EXT-X-SKIP:SKIPPED-SEGMENTS={segment_count}"


def partial_segment(uri: str, duration_s: float, *, independent: bool, gap: bool) -> str:
    """4.4.4.9."""
    flags = (",INDEPENDENT=YES" if independent else "") + (",GAP=YES" if gap else "")
    return f'#EXT-X-PART:DURATION={duration_s:.6f},URI="{uri}"{flags}'


def preload_hint(uri: str) -> str:
    """4.4.5.3; which part comes next. An init segment is not hinted: nobody knows of it before its part."""
    return f"#EXT-X-PRELOAD-HINT:TYPE=PART,URI={quoted(uri)}"


def rendition_report(uri: str, last_msn: int, last_part: int | None) -> str:
    """4.4.5.4; how far another rendition has come."""
    part = "" if last_part is None else f",LAST-PART={last_part}"
    return f"#EXT-X-RENDITION-REPORT:URI={quoted(uri)},LAST-MSN={last_msn}{part}"


def extinf(duration_s: float) -> str:
    """4.4.4.1; to the microsecond, so that a long playlist's sum stays exact."""
    return f"#EXTINF:{duration_s:.6f},"


def byterange(size_bytes: int, offset_bytes: int) -> str:
    """4.4.4.2."""
    return f"#EXT-X-BYTERANGE:{size_bytes}@{offset_bytes}"


def media(attributes: Iterable[Attribute]) -> str:
    """4.4.6.1."""
    return f"#EXT-X-MEDIA:{_attribute_list(attributes)}"


def stream_inf(attributes: Iterable[Attribute]) -> str:
    """4.4.6.2; its URI is the next line."""
    return f"#EXT-X-STREAM-INF:{_attribute_list(attributes)}"


def i_frame_stream_inf(attributes: Iterable[Attribute]) -> str:
    """4.4.6.3."""
    return f"#EXT-X-I-FRAME-STREAM-INF:{_attribute_list(attributes)}"


def content_steering(attributes: Iterable[Attribute]) -> str:
    """4.4.6.6."""
    return f"#EXT-X-CONTENT-STEERING:{_attribute_list(attributes)}"


def frame_rate(rate: Fraction) -> str:
    """FRAME-RATE of 4.4.6.2: decimal, rounded to three places."""
    return f"{float(rate):.3f}"


def decimal(number: float) -> str:
    """A decimal-floating-point of 4.2, to the millionth and no longer than it must be."""
    text = f"{number:.6f}".rstrip("0")
    return f"{text}0" if text.endswith(".") else text


def document(lines: Iterable[str]) -> str:
    """Put lines together to a playlist."""
    return "\n".join((*lines, ""))


def _attribute_list(attributes: Iterable[Attribute]) -> str:
    """4.2; an attribute without a value is left out."""
    return ",".join(f"{name}={value}" for name, value in attributes if value is not None)
