"""What an encoder tells of its work, and how it fails."""

from __future__ import annotations

from dataclasses import dataclass


class EncodeError(Exception):
    """ffmpeg failed, or made other media than planned.

    Attributes:
        task: What was being encoded: "chunk 3", "audio".
        exit_status: ffmpeg's; negative: killed by that signal; 0: it ended well but its output is not as planned.
        last_words: The last lines that ffmpeg wrote to stderr.
    """

    def __init__(self, message: str, *, task: str, exit_status: int, last_words: str) -> None:
        super().__init__(message)
        self.task = task
        self.exit_status = exit_status
        self.last_words = last_words


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeProgress:
    """How far one ffmpeg is."""

    frame_count: int
    """Frames encoded of the first rung; for audio: grid frames covered."""
    speed_ratio: float
    """Media seconds per wall-clock second; 0 while unknown."""
