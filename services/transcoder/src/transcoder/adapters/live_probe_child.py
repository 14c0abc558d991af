"""The process that probes the head of a live source: here libav meets a publisher's bytes, under limits.

Run as `python -m transcoder.adapters.live_probe_child DEMUXER whole|more LIMITS`, with the head as its stdin,
which it reads as the encoder will: a pipe, in which nothing can be sought.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import av
import av.error

from transcoder.adapters.probe_child import answer_under_limits, check_pixels, choose_streams
from transcoder.adapters.probe_scan import RefusalError, Scan
from transcoder.domain.live_plan import HEAD_BYTES, HEAD_S, LIVE_DEMUXERS
from transcoder.domain.source import Source

ENOUGH_PICTURES = 15
"""From so many on, the rate is taken as measured, unless the head is all that there is."""


def measure_head(demuxer: str, *, is_whole: bool, max_pixel_count: int) -> Source:
    """Read the head from stdin, and put together what is in it.

    Raises:
        RefusalError: It cannot be a source, or tells too little yet.
    """
    if demuxer not in LIVE_DEMUXERS:
        raise RefusalError(
            "UNSUPPORTED_CONTAINER",
            f"its container is {demuxer!r}: must be one of {', '.join(LIVE_DEMUXERS)}",
        )
    with _open(demuxer, is_whole=is_whole) as container:
        scans = [Scan(stream) for stream in choose_streams(container)]
        for scan in scans:
            check_pixels(scan.stream, max_pixel_count)
        size_bytes = _read(container, scans)
        if not is_whole and not all(map(_is_enough, scans)):
            raise _too_short()
        return _describe(demuxer, container.format.long_name, size_bytes, scans)


def _open(demuxer: str, *, is_whole: bool) -> Any:
    options = {
        "protocol_whitelist": "pipe",
        "probesize": str(HEAD_BYTES),
        "analyzeduration": str(HEAD_S * 1_000_000),
    }
    try:
        return av.open("pipe:0", format=LIVE_DEMUXERS[demuxer], options=options)
    except av.error.FFmpegError as error:
        if not is_whole:
            raise _too_short() from error
        raise RefusalError("NOT_MEDIA", f"it cannot be read as {demuxer}: {error.strerror}") from error


def _read(container: Any, scans: list[Scan]) -> int:
    """Read as far as there is anything whole, and as time only grows; return the bytes of its frames."""
    by_index = {scan.stream.index: scan for scan in scans}
    size_bytes = 0
    try:
        for packet in container.demux(*(scan.stream for scan in scans)):
            by_index[packet.stream.index].add(packet)
            size_bytes += packet.size
    except av.error.FFmpegError:
        pass  # cut off in the midst of a packet: what came before it counts
    except RefusalError as refusal:
        if refusal.reason != "BROKEN_TIMELINE":
            raise
    return size_bytes


def _is_enough(scan: Scan) -> bool:
    return len(scan.frames) > 0 and (scan.stream.type == "audio" or len(scan.times) >= ENOUGH_PICTURES)


def _too_short() -> RefusalError:
    return RefusalError("HEAD_TOO_SHORT", "its first bytes do not tell yet what it holds")


def _describe(demuxer: str, container: str, size_bytes: int, scans: list[Scan]) -> Source:
    found = {scan.stream.type: scan for scan in scans if scan.times}
    video = found["video"].describe_video() if "video" in found else None
    audio = found["audio"].describe_audio() if "audio" in found else None
    tracks = [track for track in (video, audio) if track]
    if not tracks:
        raise RefusalError("NO_TRACKS", "its first bytes hold no pictures and no sound")
    starts = [track.start_s for track in tracks]
    if max(starts) - min(starts) > HEAD_S:
        raise RefusalError(
            "BROKEN_TIMELINE",
            f"its picture and its sound begin {max(starts) - min(starts):.1f} s apart: at most {HEAD_S} s",
        )
    return Source(
        demuxer=demuxer,
        container=container,
        size_bytes=size_bytes,
        duration_s=round(max(track.end_s for track in tracks) - min(starts), 6),
        video=video,
        audio=audio,
    )


def main(demuxer: str, extent: str, limits: dict[str, Any]) -> None:
    """Measure the head under limits."""
    answer_under_limits(
        lambda: measure_head(demuxer, is_whole=extent == "whole", max_pixel_count=limits["max_pixel_count"]),
        limits,
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
