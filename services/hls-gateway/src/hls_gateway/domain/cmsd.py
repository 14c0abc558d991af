"""What the gateway tells players along with media: CMSD, CTA-5006."""

from __future__ import annotations

import math
from functools import lru_cache

from hls_gateway.domain.stream import MediaKind

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


@lru_cache(maxsize=1024)
def render_static(kind: MediaKind, target_bps: int, duration_s: float, *, is_live: bool) -> str:
    """Write CMSD-Static: what is true of an object for everybody; an init segment has no duration."""
    object_type = _OBJECT_TYPES.get(kind, "o") if duration_s else "i"
    about = f"br={math.ceil(target_bps / 1000)},ot={object_type},sf=h,st={'l' if is_live else 'v'}"
    return f"{about},d={round(duration_s * 1000)}" if duration_s else about
