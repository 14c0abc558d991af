"""Render the playlists of a stream, each under the path where it is served."""

from __future__ import annotations

from collections.abc import Iterator

from hls_gateway.domain.names import IFRAMES, MEDIA, MULTIVARIANT
from hls_gateway.domain.playlist.iframes import has_iframes, render_iframes
from hls_gateway.domain.playlist.media import render_media
from hls_gateway.domain.playlist.multivariant import is_playable, render_multivariant
from hls_gateway.domain.timeline import Timeline


def render_playlists(timeline: Timeline, touched: frozenset[str] | None) -> Iterator[tuple[str, str]]:
    """Render what can be played now: pairs of path and text.

    `touched` names the renditions that changed since the last time; None stands for all.
    """
    stream_id = timeline.stream.stream_id
    base = f"/hls/{stream_id}/"
    if is_playable(timeline):
        yield base + MULTIVARIANT, render_multivariant(timeline)
        # The same one beside the recording; a redirect would cost a round trip, so its URIs are absolute.
        recording_path = f"/api/v1/recordings/{stream_id}/stream/{MULTIVARIANT}"
        yield recording_path, render_multivariant(timeline, base=base)
    for rendition_id, known in timeline.renditions.items():
        if touched is not None and rendition_id not in touched:
            continue
        if known.segments:
            yield f"{base}variants/{rendition_id}/{MEDIA}", render_media(timeline, known)
        if has_iframes(timeline, known):
            yield f"{base}variants/{rendition_id}/{IFRAMES}", render_iframes(timeline, known)
