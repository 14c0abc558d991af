"""Streams, samples and viewers for tests of adaptation."""

from __future__ import annotations

from typing import Any

from abr.domain.sample import Sample
from abr.domain.stream import Stream
from abr.domain.view import Rung
from abr.domain.viewer import Viewer

NOW_S = 1_800_000_000.0
SEGMENT_S = 4.0
RATES_BPS = {"VeryLow": 500_000, "Low": 1_000_000, "Medium": 2_000_000, "High": 4_000_000}


def rung(name: str, rate_bps: int) -> Rung:
    """One rendition."""
    return Rung(
        rendition_id=name.lower(),
        name=name,
        rate_bps=rate_bps,
        width_pixels=1280,
        height_pixels=720,
        frame_rate=30.0,
    )


def stream(**fields: Any) -> Stream:
    """A VOD stream of the four named qualities."""
    values: dict[str, Any] = {
        "stream_id": "film",
        "ladder": tuple(rung(name, rate_bps) for name, rate_bps in RATES_BPS.items()),
        "segment_s": SEGMENT_S,
        "buffer_target_s": 30.0,
        "is_live": False,
    }
    return Stream(**{**values, **fields})


FILM = stream()


def viewer(of: Stream = FILM, *, viewer_id: str = "ann") -> Viewer:
    """Somebody of whom nothing is known at NOW_S."""
    return Viewer(viewer_id, of, NOW_S)


def sample(end_s: float, variant_id: str = "medium", **fields: Any) -> Sample:
    """One segment that took a second, `end_s` behind NOW_S."""
    values: dict[str, Any] = {
        "variant_id": variant_id,
        "msn": 0,
        "end_s": NOW_S + end_s,
        "size_bytes": 1_000_000,
        "transfer_s": 1.0,
        "player_bps": 0.0,
        "buffer_s": -1.0,
        "duration_s": SEGMENT_S,
        "top_bps": 0,
        "speed_ratio": 1.0,
        "starved": False,
        "startup": False,
    }
    return Sample(**{**values, **fields})
