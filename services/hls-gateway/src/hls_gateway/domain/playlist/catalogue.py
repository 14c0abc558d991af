"""Render the playlists of a stream, and its storyboard, each under its name."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping

from hls_gateway.domain.names import IFRAMES, MEDIA, MULTIVARIANT, STORYBOARD, PlaylistName
from hls_gateway.domain.playlist.body import EMPTY, Body
from hls_gateway.domain.playlist.cohort import EVERYBODY, Cohort
from hls_gateway.domain.playlist.iframes import grow_iframes, has_iframes, render_iframes
from hls_gateway.domain.playlist.media import grow_media, render_media
from hls_gateway.domain.playlist.multivariant import is_playable, render_multivariant
from hls_gateway.domain.playlist.storyboard import render_storyboard
from hls_gateway.domain.timeline import RenditionTimeline, Timeline

Bodies = MutableMapping[PlaylistName, Body]


def playlist_names(timeline: Timeline) -> Iterator[PlaylistName]:
    """Name every playlist that can be played now."""
    if is_playable(timeline):
        yield PlaylistName(MULTIVARIANT)
        yield PlaylistName(MULTIVARIANT, is_absolute=True)
    for rendition_id, known in timeline.played.items():
        if timeline.is_given_up(known):
            continue
        if known.segments:
            yield PlaylistName(MEDIA, rendition_id)
        if known.segments and has_iframes(known):
            yield PlaylistName(IFRAMES, rendition_id)


def render_playlist(
    timeline: Timeline,
    name: PlaylistName,
    bodies: Bodies,
    *,
    skip: bool = False,
    cohort: Cohort = EVERYBODY,
) -> str | None:
    """Render a playlist; None if there is nothing to play under its name.

    Args:
        timeline: The stream.
        name: Which of its playlists.
        bodies: What was written of each so far; kept up to date here. The text is the same without.
        skip: Leave out what a client knows already, where that is offered.
        cohort: For whom the multivariant playlist is; the others are the same for all.
    """
    if name.file_name == STORYBOARD:
        return render_storyboard(timeline)
    if not name.rendition_id:
        return _render_multivariant(timeline, name, cohort)
    known = timeline.renditions.get(name.rendition_id)
    if known is None or not known.rendition.is_played or not known.segments or timeline.is_given_up(known):
        return None
    if name.file_name == MEDIA:
        bodies[name] = grow_media(bodies.get(name, EMPTY), timeline, known)
        return render_media(timeline, known, bodies[name], skip=skip)
    return _render_iframes(timeline, known, name, bodies, skip=skip)


def _render_multivariant(timeline: Timeline, name: PlaylistName, cohort: Cohort) -> str | None:
    if not is_playable(timeline):
        return None
    # Beside a recording a redirect would cost a round trip, so its URIs are absolute.
    base = f"/hls/{timeline.stream.stream_id}/" if name.is_absolute else ""
    return render_multivariant(timeline, base=base, cohort=cohort)


def _render_iframes(
    timeline: Timeline, known: RenditionTimeline, name: PlaylistName, bodies: Bodies, *, skip: bool
) -> str | None:
    if not has_iframes(known):
        return None
    bodies[name] = grow_iframes(bodies.get(name, EMPTY), timeline, known)
    return render_iframes(timeline, known, bodies[name], skip=skip)
