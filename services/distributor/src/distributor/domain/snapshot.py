"""Snapshots: many small records merged into few large ones, for readers who begin at the beginning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from distributor.domain.entries import StoredRecord


def compact(records: Iterable[StoredRecord], *, limit_bytes: int) -> Iterator[StoredRecord]:
    """Merge neighbours up to `limit_bytes` each; folding the result gives what folding `records` gives.

    A merged record bears the sequence of its last one, so that a reader may resume behind it, and its epoch
    and time. A single record above the limit passes as it is.
    """
    pieces: list[bytes] = []
    size_bytes = sequence = 0
    for record in records:
        if pieces and size_bytes + len(record.wire) > limit_bytes:
            yield StoredRecord(sequence=sequence, wire=b"".join(pieces))
            pieces, size_bytes = [], 0
        pieces.append(record.wire)
        size_bytes += len(record.wire)
        sequence = record.sequence
    if pieces:
        yield StoredRecord(sequence=sequence, wire=b"".join(pieces))
