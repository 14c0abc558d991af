"""The probing process: here libav meets a hostile file, alone and under limits.

Run as `python -m transcoder.adapters.probe_child PATH LIMITS`; it prints one JSON object: {"source": ...} or
{"refusal": {"reason", "message"}}.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

import av
import av.error
import av.logging

from transcoder.adapters.probe_scan import RefusalError, Scan
from transcoder.domain.source import AudioTrack, Source, VideoTrack
from transcoder.domain.timing import CODEC_PADDING_S

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

DEMUXERS = (
    *("mov", "matroska", "mpegts", "mpeg", "flv", "avi", "asf", "ogg", "mxf"),
    *("wav", "w64", "aiff", "caf", "mp3", "aac", "ac3", "eac3", "flac"),
)
"""Those that read one file and open nothing else: no playlists (hls, dash, concat)."""

DECLARING_DEMUXERS = ("mov", "matroska", "avi", "asf", "wav")
"""Those whose duration is written down, not guessed from sizes and bitrates."""

TRUNCATED_RATIO = 0.98
TRUNCATED_S = 1.0
"""Media that end this much before their declared end, by ratio and in seconds, have lost it."""

COVER_ART = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
NOT_WHITELISTED = "not on whitelist"
INDEX_MISSING = "moov atom not found"
"""What libav says in these cases."""


def measure(path: str, *, max_pixel_count: int, max_duration_s: float) -> Source:
    """Read a whole file, and put together what is in it.

    Raises:
        RefusalError: It cannot be a source.
    """
    with _open(path) as container:
        scans = [Scan(stream) for stream in choose_streams(container)]
        for scan in scans:
            check_pixels(scan.stream, max_pixel_count)
        _read(container, scans)
        found = {scan.stream.type: scan for scan in scans if scan.times}
        video = found["video"].describe_video() if "video" in found else None
        audio = found["audio"].describe_audio() if "audio" in found else None
        tracks = [track for track in (video, audio) if track]
        return Source(
            demuxer=_short_name(container),
            container=container.format.long_name,
            size_bytes=container.size,
            duration_s=_measure_duration_s(container, tracks, max_duration_s),
            video=video,
            audio=audio,
        )


def _open(path: str) -> Any:
    """Open the file; only the allowed demuxers may even look into it."""
    options = {"format_whitelist": ",".join(DEMUXERS), "protocol_whitelist": "file"}
    try:
        return av.open(f"file:{path}", options=options)
    except av.error.FFmpegError as error:
        log = cast(Any, error.log)  # its level, who said it, and what
        _, name, said = log or (0, "", str(error.strerror))
        if NOT_WHITELISTED in said:
            raise RefusalError(
                "UNSUPPORTED_CONTAINER", f"its format is {name!r}: must be one of {', '.join(DEMUXERS)}"
            ) from error
        if INDEX_MISSING in said:
            raise RefusalError(
                "TRUNCATED_SOURCE", f"its index, which MP4 may have at its end, is missing: {said.strip()}"
            ) from error
        raise RefusalError("NOT_MEDIA", f"it cannot be read as media: {said.strip()}") from error


def choose_streams(container: Any) -> list[Any]:
    """Take the best video and the best audio stream: the default one, else the largest, else the first."""
    videos = [stream for stream in container.streams.video if not stream.disposition & COVER_ART]
    audios = list(container.streams.audio)
    chosen = [max(streams, key=_worth) for streams in (videos, audios) if streams]
    if not chosen:
        raise RefusalError("NO_TRACKS", "it has neither a video nor an audio track")
    for stream in chosen:
        if stream.codec_context is None:
            raise RefusalError("UNSUPPORTED_CODEC", f"its {stream.type} track has an unknown codec")
    return chosen


def _worth(stream: Any) -> tuple[bool, int]:
    is_default = bool(stream.disposition & av.stream.Disposition.default)
    return is_default, stream.width * stream.height if stream.type == "video" else -stream.index


def check_pixels(stream: Any, max_pixel_count: int) -> None:
    """Refuse pictures that would take too much memory."""
    if stream.type == "video" and stream.width * stream.height > max_pixel_count:
        raise RefusalError(
            "PICTURE_TOO_LARGE",
            f"its pictures are {stream.width}x{stream.height}: at most {max_pixel_count} pixels are accepted",
        )


def _read(container: Any, scans: list[Scan]) -> None:
    by_index = {scan.stream.index: scan for scan in scans}
    try:
        for packet in container.demux(*(scan.stream for scan in scans)):
            by_index[packet.stream.index].add(packet)  # the last, empty ones know no stream_index
    except av.error.FFmpegError as error:
        raise RefusalError("TRUNCATED_SOURCE", f"reading it broke off: {error.strerror}") from error


def _measure_duration_s(
    container: Any, tracks: Sequence[VideoTrack | AudioTrack], max_duration_s: float
) -> float:
    """Compare what was read with what the container declares, and with what is allowed."""
    if not tracks:
        raise RefusalError("ZERO_DURATION", "its tracks hold no pictures and no sound")
    read_s = max(track.end_s for track in tracks) - min(track.start_s for track in tracks)
    declares = container.duration and _short_name(container) in DECLARING_DEMUXERS
    declared_s = container.duration / av.time_base if declares else read_s
    if read_s <= 0:
        raise RefusalError("ZERO_DURATION", "its duration is 0 s")
    if read_s > max_duration_s:
        raise RefusalError(
            "SOURCE_TOO_LONG", f"it lasts {read_s:.0f} s: at most {max_duration_s:.0f} s are accepted"
        )
    if read_s < min(declared_s * TRUNCATED_RATIO, declared_s - TRUNCATED_S):
        raise RefusalError(
            "TRUNCATED_SOURCE",
            f"its container declares {declared_s:.1f} s, but the media end at {read_s:.1f} s: "
            "the upload or the recording was cut off",
        )
    return round(declared_s if abs(declared_s - read_s) <= CODEC_PADDING_S else read_s, 6)


def _short_name(container: Any) -> str:
    """The name by which we list the demuxer: it has several, as in "mov,mp4,m4a,3gp,3g2,mj2"."""
    names: list[str] = container.format.name.split(",")
    return next((name for name in names if name in DEMUXERS), names[0])


def answer_under_limits(measure: Callable[[], DataclassInstance], limits: dict[str, Any]) -> None:
    """Measure under limits; print the source or the refusal."""
    for kind, value in (
        (resource.RLIMIT_AS, limits["memory_bytes"]),
        (resource.RLIMIT_CPU, int(limits["cpu_s"])),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (value, value))
    av.logging.set_level(av.logging.ERROR)  # so that errors tell what libav said last
    print(json.dumps(_answer(measure), default=str))  # noqa: T201 - printing is how this process answers


def _answer(measure: Callable[[], DataclassInstance]) -> dict[str, Any]:
    try:
        return {"source": asdict(measure())}
    except RefusalError as refusal:
        return {"refusal": {"reason": refusal.reason, "message": str(refusal)}}
    except MemoryError:
        return {"refusal": {"reason": "PROBE_LIMIT", "message": "it takes too much memory to read"}}


def main(path: str, limits: dict[str, Any]) -> None:
    """Measure a whole file under limits."""
    bounds = {name: limits[name] for name in ("max_pixel_count", "max_duration_s")}
    answer_under_limits(lambda: measure(path, **bounds), limits)


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
