"""What is asked of a new stream: every field of CreateStream is held against its range here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal, TypeVar
from urllib.parse import urlsplit

from weir.distributor.v1 import distributor_pb2 as api
from weir.media.v1 import media_pb2

from chassis.errors import InvalidArgument, Unimplemented
from chassis.layout import require_id
from distributor.convert import (
    MAX_SECONDS,
    MAX_TARGET_DURATION_S,
    REQUEST_ID,
    TEXT,
    TITLE,
    require_seconds,
    require_text,
)
from distributor.convert_streams import without_password
from distributor.domain.entries import Container
from distributor.domain.live import (
    NAMED_RUNGS,
    RESERVED_NAMES,
    LiveWish,
    Rung,
    Source,
    SourceKind,
    choose_rungs,
)
from distributor.domain.stream import Description, StreamKind
from distributor.service_clips import ClipWish

Word = TypeVar("Word", bound=StrEnum)

MAX_RUNGS = 10
MAX_VIEWERS = 1_000_000
MIN_WINDOW_TARGETS = 3  # rfc8216bis 6.2.2: a playlist may not be shorter than three target durations
TARGET_DURATION_S = 6
LOW_LATENCY_TARGET_DURATION_S = 2
RUNG_SIDES = range(16, 7681)
RUNG_RATES_BPS = range(50_000, 100_000_001)
PULL_URL = re.compile(r"(?:https?|rtmps?|rtsps?|srt)://[\x21-\x7e]{1,2040}", re.IGNORECASE)
MAX_URL_CHARACTERS = 2_048


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveDefaults:
    """What a stream gets whose creator did not say."""

    rungs: Sequence[Rung] = NAMED_RUNGS
    dvr_window_s: float = 1_800.0
    part_target_s: float = 0.333


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateWish:
    """A whole request for a new stream; an empty id in the description: one is to be made."""

    description: Description
    live: LiveWish = field(repr=False)


def read_create(request: api.CreateStreamRequest, defaults: LiveDefaults) -> CreateWish:
    """Validate a CreateStreamRequest; everything that it leaves open is as `defaults` say.

    Raises:
        InvalidArgument: Names the field, its value and the range.
        Unimplemented: ENCRYPTION.
    """
    if request.HasField("encryption"):
        raise Unimplemented(
            "encryption is not built yet: leave it out", reason="ENCRYPTION", field="encryption"
        )
    kind = _word(StreamKind, request.type or StreamKind.LIVE, "type")
    container = _word(Container, request.container or Container.CMAF, "container")
    low_latency = _low_latency(request, kind, container)
    target_duration_s = _target_duration(request, low_latency=low_latency)
    description = Description(
        stream_id=require_id(request.stream_id, field="stream_id") if request.stream_id else "",
        kind=kind,
        container=container,
        target_duration_s=target_duration_s,
        title=require_text(request.title, TITLE, "title", "hold at most 200 characters, no controls"),
        part_target_s=min(defaults.part_target_s, target_duration_s) if low_latency else 0.0,
        dvr_window_s=_dvr_window(request, kind, target_duration_s, defaults),
        record=request.record if request.HasField("record") else kind is not StreamKind.LIVE,
    )
    return CreateWish(description=description, live=_read_wish(request, kind, defaults))


def read_clip(request: api.CreateClipRequest) -> ClipWish:
    """Validate a CreateClipRequest.

    Raises:
        InvalidArgument: Names the field, its value and the range.
    """
    start, end = _time(request, "start_time"), _time(request, "end_time")
    if start >= end:
        raise InvalidArgument(
            f"end_time is {end.isoformat()}: it must be after start_time, {start.isoformat()}",
            field="end_time",
        )
    return ClipWish(
        stream_id=require_id(request.stream_id, field="stream_id"),
        start=start,
        end=end,
        clip_id=require_id(request.clip_id, field="clip_id") if request.clip_id else "",
        title=require_text(request.title, TITLE, "title", "hold at most 200 characters, no controls"),
        request_id=_request_id(request.request_id),
    )


def _time(request: api.CreateClipRequest, field_name: Literal["start_time", "end_time"]) -> datetime:
    if not request.HasField(field_name):
        raise InvalidArgument(f"{field_name} is missing: give a time of day", field=field_name)
    try:
        time: datetime = getattr(request, field_name).ToDatetime(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidArgument(f"{field_name} must lie from the year 1 to 9999", field=field_name) from error
    return time


def _request_id(value: str) -> str:
    return require_text(value, REQUEST_ID, "request_id", "be up to 128 ASCII characters without spaces")


def _read_wish(request: api.CreateStreamRequest, kind: StreamKind, defaults: LiveDefaults) -> LiveWish:
    _within(request.max_viewers, range(MAX_VIEWERS + 1), "max_viewers")
    if request.transcode_profiles and request.rungs:
        raise InvalidArgument("transcode_profiles and rungs are both given: give one of them", field="rungs")
    rungs = _rungs(request.rungs) if request.rungs else None
    return LiveWish(
        text=require_text(request.description, TEXT, "description", "hold at most 2,000 characters"),
        rungs=rungs or choose_rungs(request.transcode_profiles, defaults.rungs),
        source=_read_source(request.source, kind),
        max_viewers=request.max_viewers,
        request_id=_request_id(request.request_id),
    )


def _low_latency(request: api.CreateStreamRequest, kind: StreamKind, container: Container) -> bool:
    if not request.HasField("low_latency"):
        return kind is StreamKind.LIVE and container is Container.CMAF
    if request.low_latency and container is Container.TS:
        raise InvalidArgument(
            "low_latency is true with container 'ts': parts are made of 'cmaf' alone", field="low_latency"
        )
    return request.low_latency


def _target_duration(request: api.CreateStreamRequest, *, low_latency: bool) -> int:
    default_s = LOW_LATENCY_TARGET_DURATION_S if low_latency else TARGET_DURATION_S
    target_duration_s = request.target_duration or default_s
    _within(target_duration_s, range(1, MAX_TARGET_DURATION_S + 1), "target_duration")
    return target_duration_s


def _dvr_window(
    request: api.CreateStreamRequest, kind: StreamKind, target_duration_s: int, defaults: LiveDefaults
) -> float:
    """How far back the playlist reaches; 0 where nothing leaves it."""
    size, window_s = request.dvr_window_size, require_seconds(request.dvr_window_s, "dvr_window_s")
    if size and window_s:
        raise InvalidArgument(
            "dvr_window_size and dvr_window_s are both given: give one of them", field="dvr_window_s"
        )
    if kind is not StreamKind.LIVE:
        if size or window_s:
            raise InvalidArgument(
                f"a DVR window is given, but nothing leaves a stream of type {str(kind)!r}: leave it out",
                field="dvr_window_s" if window_s else "dvr_window_size",
            )
        return 0.0
    least_s = float(MIN_WINDOW_TARGETS * target_duration_s)
    if size:
        _within(size, range(MIN_WINDOW_TARGETS, MAX_SECONDS // target_duration_s + 1), "dvr_window_size")
        return float(size * target_duration_s)
    if window_s and window_s < least_s:
        raise InvalidArgument(
            f"dvr_window_s is {window_s}: it must be at least {least_s}, three target durations",
            field="dvr_window_s",
        )
    return window_s or max(defaults.dvr_window_s, least_s)


def _read_source(source: api.StreamSource, kind: StreamKind) -> Source:
    which = source.WhichOneof("kind")
    if source.loop and which != "recording_id":
        raise InvalidArgument("source.loop is true without source.recording_id", field="source.loop")
    if which in {"pull_url", "recording_id"} and kind is StreamKind.VOD:
        raise InvalidArgument(
            f"source.{which} is given for a 'vod' stream: choose 'live' or 'event', or transcode a recording",
            field=f"source.{which}",
        )
    match which:
        case "pull_url":
            return Source(kind=SourceKind.PULL, pull_url=_pull_url(source.pull_url))
        case "recording_id":
            recording_id = require_id(source.recording_id, field="source.recording_id")
            return Source(kind=SourceKind.RECORDING, recording_id=recording_id, loop=source.loop)
        case "push" if not source.push:
            raise InvalidArgument("source.push is false: leave it out, or name a source", field="source.push")
    return Source()


def _pull_url(url: str) -> str:
    schemes = "http, https, rtmp, rtmps, rtsp, rtsps or srt"
    failure = InvalidArgument(
        f"source.pull_url is {without_password(url)[:200]!r}: it must be a URL of {schemes} with a host, "
        f"at most {MAX_URL_CHARACTERS} printable ASCII characters",
        field="source.pull_url",
    )
    if len(url) > MAX_URL_CHARACTERS or not PULL_URL.fullmatch(url):
        raise failure
    try:
        parts = urlsplit(url)
        has_place = bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise failure from error
    if not has_place:
        raise failure
    return url


def _rungs(rungs: Sequence[media_pb2.Rung]) -> Sequence[Rung]:
    if len(rungs) > MAX_RUNGS:
        raise InvalidArgument(f"rungs has {len(rungs)} items: at most {MAX_RUNGS} are allowed", field="rungs")
    names = [rung.name for rung in rungs]
    if len(set(names)) != len(names):
        raise InvalidArgument(f"rungs has the names {names}: each must be unique", field="rungs")
    read = (_rung(rung, f"rungs[{index}]") for index, rung in enumerate(rungs))
    return tuple(sorted(read, key=lambda rung: rung.video_bps))


def _rung(rung: media_pb2.Rung, at: str) -> Rung:
    require_id(rung.name, field=f"{at}.name")
    if rung.name in RESERVED_NAMES:
        raise InvalidArgument(
            f"{at}.name is {rung.name!r}, the name of another rendition: choose another",
            reason="RESERVED_ID",
            field=f"{at}.name",
        )
    if rung.width_pixels or rung.height_pixels:  # both 0: the source's own size
        _within(rung.width_pixels, RUNG_SIDES, f"{at}.width_pixels")
        _within(rung.height_pixels, RUNG_SIDES, f"{at}.height_pixels")
    _within(rung.video_bps, RUNG_RATES_BPS, f"{at}.video_bps")
    return Rung(
        name=rung.name,
        width_pixels=rung.width_pixels,
        height_pixels=rung.height_pixels,
        video_bps=rung.video_bps,
    )


def _within(value: int, allowed: range, field_name: str) -> None:
    if value not in allowed:
        raise InvalidArgument(
            f"{field_name} is {value}: it must lie from {allowed.start} to {allowed.stop - 1}",
            field=field_name,
        )


def _word(words: type[Word], value: str, field_name: str) -> Word:
    try:
        return words(value)
    except ValueError as error:
        raise InvalidArgument(
            f"{field_name} is {value[:80]!r}: it must be one of {', '.join(words)}", field=field_name
        ) from error
