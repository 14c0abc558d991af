"""Samples on their way to abr: bounded, the oldest let go first, and counted."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from hls_gateway.domain.reports import Sample, SampleReport
from hls_gateway.domain.shares import in_messages


class SampleQueue:
    """Holds at most so many samples."""

    def __init__(self, most_count: int) -> None:
        self._most_count = most_count
        self._samples: deque[Sample] = deque()
        self._dropped_count = 0

    def __len__(self) -> int:
        return len(self._samples)

    def add(self, sample: Sample) -> None:
        """Take a sample in."""
        if len(self._samples) >= self._most_count:
            self._samples.popleft()
            self._dropped_count += 1
        self._samples.append(sample)

    def take(self) -> list[SampleReport]:
        """Take everything out, in messages."""
        reports = in_messages(tuple(self._samples), self._dropped_count)
        if reports:
            self._samples.clear()
            self._dropped_count = 0
        return reports

    def put_back(self, reports: Sequence[SampleReport]) -> None:
        """Take back what could not be sent, as far as there is room beside what has come since."""
        for report in reversed(reports):
            self._dropped_count += report.dropped_count
            room_count = self._most_count - len(self._samples)
            kept = report.samples[max(0, len(report.samples) - room_count) :]
            self._samples.extendleft(reversed(kept))
            self._dropped_count += len(report.samples) - len(kept)
