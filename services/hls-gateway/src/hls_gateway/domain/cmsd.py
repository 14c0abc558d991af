"""What the gateway tells players along with media: CMSD, CTA-5006."""

from __future__ import annotations

import math

from hls_gateway.domain.names import InitName, MediaName
from hls_gateway.domain.stream import MediaKind, Part, Rendition, Segment
from hls_gateway.domain.timeline import Timeline

# Who says it: the first of a chain of servers.
_SERVER = "weir"
_OBJECT_TYPES = {
    MediaKind.VIDEO: "v",
    MediaKind.AUDIO: "a",
    MediaKind.MUXED: "av",
    MediaKind.SUBTITLES: "c",
}


def render_dynamic(max_bps: int) -> str:
    """Write CMSD-Dynamic: `mb`, the highest rate that the player should choose, kbit/s.

    It concerns this answer alone, and no cache may show it to anybody else.
    """
    return f'"{_SERVER}";mb={math.ceil(max_bps / 1000)}'


def render_static(
    timeline: Timeline, rendition: Rendition, name: MediaName, media: Segment | Part | None
) -> str:
    """Write CMSD-Static: what is true of an object for everybody, for ever."""
    stream_type = "l" if timeline.is_live else "v"
    object_type = "i" if isinstance(name, InitName) else _OBJECT_TYPES.get(rendition.media_kind, "o")
    about = f"br={math.ceil(rendition.target_bps / 1000)},ot={object_type},sf=h,st={stream_type}"
    return f"{about},d={round(media.duration_s * 1000)}" if media else about
