"""A viewer as it is kept outside the process: JSON, that people can read, but for the newest downloads.

Those stay packed: written out they would cost more than all that follows from them.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from pydantic_core import to_json

from abr.domain.qoe import SUMS, Experience
from abr.domain.stream import Stream, Viewport
from abr.domain.viewer import NOWHERE, Viewer

VERSION = 2
_sums = attrgetter(*SUMS)


def write_snapshot(viewer: Viewer, now_s: float) -> bytes:
    """Write a viewer as it is now; renditions by their ids, because ladders change."""
    ids = [rung.rendition_id for rung in viewer.stream.ladder]
    return to_json(
        {
            "version": VERSION,
            "stream_id": viewer.stream.stream_id,
            "viewer_id": viewer.viewer_id,
            "heard_s": viewer.heard_s,
            "sampled_s": viewer.sampled_s,
            "buffer_s": round(viewer.buffer_s(now_s), 3),
            "target_s": viewer.target_s,
            "stated_bps": viewer.stated_bps,
            "top_bps": viewer.top_bps,
            "current": _id_at(ids, viewer.current),
            "played": _id_at(ids, viewer.played),
            "told": _id_at(ids, viewer.told),
            "msn": viewer.msn,
            "policy": viewer.policy,
            "last_drop_s": viewer.last_drop_s,
            "viewport": viewer.viewport,
            "experience": dict(zip(SUMS, _sums(viewer.experience), strict=True)),
            "ladder": ids,
            "downloads": binascii.b2a_base64(viewer.history.packed, newline=False).decode(),
        }
    )


def times_s(data: bytes) -> tuple[float, float]:
    """Read when a viewer was measured last, and when heard of; 0 of what is no snapshot of ours."""
    kept = _read(data) or {}
    sampled_s, heard_s = kept.get("sampled_s"), kept.get("heard_s")
    if not (isinstance(sampled_s, float) and isinstance(heard_s, float)):
        return 0.0, 0.0
    return sampled_s, heard_s


def read_snapshot(data: bytes, stream: Stream, now_s: float) -> Viewer | None:
    """Bring a viewer back, to go on from now; None: this is no snapshot of ours."""
    kept = _read(data)
    try:
        return _restored(kept, stream, now_s) if kept else None
    except (IndexError, KeyError, TypeError, ValueError):
        return None


def _restored(kept: Mapping[str, Any], stream: Stream, now_s: float) -> Viewer:
    viewer = Viewer(kept["viewer_id"], stream, now_s)
    viewer.sampled_s = min(kept["sampled_s"], now_s)
    viewer.target_s = max(kept["target_s"], stream.buffer_target_s)
    viewer.note_question(now_s, throughput_bps=kept["stated_bps"] or None, buffer_s=kept["buffer_s"])
    viewer.top_bps = kept["top_bps"]
    viewer.current, viewer.played, viewer.told = (
        stream.places.get(kept[name], NOWHERE) for name in ("current", "played", "told")
    )
    viewer.msn = kept["msn"]
    viewer.policy = kept["policy"]
    viewer.last_drop_s = kept["last_drop_s"]
    viewer.experience = Experience(**kept["experience"])
    viewer.viewport = Viewport(*kept["viewport"]) if kept["viewport"] else None
    viewer.history.restore(binascii.a2b_base64(kept["downloads"]))
    viewer.history.move([stream.places.get(rendition_id, 0) for rendition_id in kept["ladder"]])
    viewer.resume(now_s)
    return viewer


def _read(data: bytes) -> Mapping[str, Any] | None:
    try:
        kept = json.loads(data)
    except ValueError:
        return None
    is_ours = isinstance(kept, dict) and kept.get("version") == VERSION
    return kept if is_ours else None


def _id_at(ids: list[str], place: int) -> str:
    return "" if place == NOWHERE else ids[place]
