"""Render the playlists of a stream, each under the path where it is served."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping

from hls_gateway.domain.names import IFRAMES, MEDIA, MULTIVARIANT
from hls_gateway.domain.playlist.body import EMPTY, Body
from hls_gateway.domain.playlist.iframes import grow_iframes, has_iframes, render_iframes
from hls_gateway.domain.playlist.media import grow_media, render_media
from hls_gateway.domain.playlist.multivariant import is_playable, render_multivariant
from hls_gateway.domain.timeline import RenditionTimeline, Timeline

Bodies = MutableMapping[str, Body]


def render_playlists(
    timeline: Timeline, touched: frozenset[str] | None, bodies: Bodies
) -> Iterator[tuple[str, str]]:
    """Render what can be played now: pairs of path and text.

    Args:
        timeline: The stream.
        touched: The renditions that changed since the last time; None stands for all.
        bodies: What was written so far, by path; kept up to date here. The texts are the same without.
    """
    base = f"/hls/{timeline.stream.stream_id}/"
    if is_playable(timeline):
        yield base + MULTIVARIANT, render_multivariant(timeline)
        # The same one beside the recording; a redirect would cost a round trip, so its URIs are absolute.
        path = f"/api/v1/recordings/{timeline.stream.stream_id}/stream/{MULTIVARIANT}"
        yield path, render_multivariant(timeline, base=base)
    for rendition_id, known in timeline.renditions.items():
        if touched is None or rendition_id in touched:
            yield from _render_rendition(timeline, known, f"{base}variants/{rendition_id}/", bodies)


def _render_rendition(
    timeline: Timeline, known: RenditionTimeline, folder: str, bodies: Bodies
) -> Iterator[tuple[str, str]]:
    if known.segments:
        path = folder + MEDIA
        bodies[path] = grow_media(bodies.get(path, EMPTY), timeline, known)
        yield path, render_media(timeline, known, bodies[path])
    if has_iframes(timeline, known):
        path = folder + IFRAMES
        bodies[path] = grow_iframes(bodies.get(path, EMPTY), timeline, known)
        yield path, render_iframes(timeline, known, bodies[path])
