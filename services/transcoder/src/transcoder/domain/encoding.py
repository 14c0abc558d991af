"""What an encoder tells of its work, and how it fails."""

from __future__ import annotations

from dataclasses import dataclass


class EncodeError(Exception):
    """ffmpeg failed, or made other media than planned.

    Attributes:
        task: What was being encoded: "chunk 3", "audio".
        exit_status: ffmpeg's; negative: a signal killed it; 0: it ended well, but what it made is not as
        planned;
            None: it was still running.
        last_words: The last lines that ffmpeg wrote to stderr.
    """

    def __init__(self, message: str, *, task: str, exit_status: int | None, last_words: str) -> None:
        words = f"; last words: {last_words}" if last_words else ""
        super().__init__(f"{task}: {message}{words}")
        self.task = task
        self.exit_status = exit_status
        self.last_words = last_words


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeProgress:
    """How far one task is."""

    frame_count: int
    """Frames of the grid that are done, for audio as well."""
    speed_ratio: float
    """Media seconds per wall-clock second; 0 while unknown."""
