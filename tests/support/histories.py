"""Lawful histories of streams, for hypothesis: recordings, live streams with parts, gaps and returns."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import strategies as st

from hls_gateway.domain.stream import Entry, Record, Stream, StreamKind
from support.playlists import END, a_gap, a_part, a_segment, a_stream, a_video, an_audio, iframes

NOON = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
RENDITIONS = ("High", "Low", "audio")
_DURATIONS_S = (0.5, 2.002, 4.0, 4.4)


@st.composite
def streams(draw: st.DrawFn) -> Stream:
    """Streams of every kind."""
    kind = draw(st.sampled_from(StreamKind))
    if kind is StreamKind.VOD:
        return a_stream()
    return a_stream(
        kind=kind,
        part_target_s=draw(st.sampled_from((0.0, 1.0))),
        dvr_window_s=draw(st.sampled_from((0.0, 5.0, 16.0, 40.0))),
        record=draw(st.booleans()),
    )


class _Writer:
    """Writes one rendition's entries."""

    def __init__(self, rendition_id: str, first_msn: int) -> None:
        self.rendition_id = rendition_id
        self.msn = first_msn
        self.start_s = 0.0
        self.number = 0

    def segment(self, draw: st.DrawFn, stream: Stream) -> Iterator[Entry]:
        """Write one segment, behind its parts if it has any."""
        if stream.kind is not StreamKind.VOD and draw(st.integers(0, 9)) == 0:
            self.number += 1
            self.start_s += draw(st.sampled_from((0.0, 3.0, 1000.0)))
        duration_s = draw(st.sampled_from(_DURATIONS_S))
        facts = {
            "start_s": self.start_s,
            "duration_s": duration_s,
            "discontinuity_sequence": self.number,
            "program_date_time": NOON + timedelta(seconds=self.start_s),
        }
        part_count = draw(st.integers(0, 4)) if stream.part_target_s else 0
        for part in range(part_count):
            yield a_part(
                self.msn,
                part,
                self.rendition_id,
                duration_s=duration_s / part_count,
                discontinuity_sequence=self.number,
                program_date_time=facts["program_date_time"],
                gap=draw(st.integers(0, 9)) == 0,
            )
        if draw(st.integers(0, 4)) == 0:
            yield a_gap(self.msn, self.rendition_id, **facts)
        else:
            size = draw(st.integers(1, 10_000_000))
            sizes = iframes(size // 9 + 1, size // 8 + 1)
            yield a_segment(self.msn, self.rendition_id, size_bytes=size, iframes=sizes, **facts)
        self.msn += 1
        self.start_s += duration_s


@st.composite
def histories(draw: st.DrawFn, stream: Stream) -> list[Entry]:
    """Renditions announced before their segments, segments numbered without holes."""
    entries: list[Entry] = [a_video("High"), a_video("Low"), an_audio()]
    first_msn = draw(st.integers(0, 3))
    writers = {rendition_id: _Writer(rendition_id, first_msn) for rendition_id in RENDITIONS}
    for rendition_id in draw(st.lists(st.sampled_from(RENDITIONS), max_size=40)):
        entries += writers[rendition_id].segment(draw, stream)
    cut = draw(st.integers(3, len(entries)))
    if stream.kind is not StreamKind.VOD and draw(st.booleans()):
        entries = entries[:cut]  # may end among the parts of a segment
    return [*entries, END] if draw(st.booleans()) else entries


@st.composite
def split_histories(draw: st.DrawFn) -> tuple[Stream, list[Entry], list[Record]]:
    """A stream, its history, and records that tell it in pieces of any size."""
    stream = draw(streams())
    entries = draw(histories(stream))
    cuts = sorted(draw(st.sets(st.integers(0, len(entries)), max_size=12)) | {0, len(entries)})
    pieces = [tuple(entries[start:end]) for start, end in pairwise(cuts)]
    sequences = sorted(draw(st.sets(st.integers(1, 1000), min_size=len(pieces), max_size=len(pieces))))
    records = [Record(sequence=at, entries=piece) for at, piece in zip(sequences, pieces, strict=True)]
    return stream, entries, records
