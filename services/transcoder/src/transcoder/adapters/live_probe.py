"""Probe the head of a live source: what its first bytes tell, or the reason why it is refused."""

from __future__ import annotations

from transcoder.adapters.probe import ProbeLimits, ask_child
from transcoder.domain.source import Source

CHILD = "transcoder.adapters.live_probe_child"

LIMITS = ProbeLimits()


async def probe_head(
    head: bytes, demuxer: str, *, is_whole: bool = True, limits: ProbeLimits = LIMITS
) -> Source:
    """Measure the first bytes of a live source.

    Durations and counts are those of the head. A track whose first frame does not lie within it is not there.

    Args:
        head: At most 8 MiB; it may be cut off anywhere.
        demuxer: The container: "flv", "mpegts", "mov" or "matroska".
        is_whole: No more will be shown. Else a head that tells too little is refused with HEAD_TOO_SHORT: ask
            again when more has come.
        limits: What the probe may cost, and what a source may ask for.

    Raises:
        InvalidArgument: It is nothing that can be transcoded; the message says what is wrong. Reasons:
            HEAD_TOO_SHORT, NOT_MEDIA, UNSUPPORTED_CONTAINER, NO_TRACKS, UNSUPPORTED_CODEC, BROKEN_TIMELINE,
            PICTURE_TOO_LARGE, PROBE_LIMIT, PROBE_FAILED.
    """
    command = (CHILD, demuxer, "whole" if is_whole else "more")
    return await ask_child(command, limits, limits.base_timeout_s, stdin=head)
