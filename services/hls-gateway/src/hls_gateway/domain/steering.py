"""Lead players to one of several delivery routes: HLS Content Steering (rfc8216bis 7).

The routes other than the origin are clones of it. Which one a player takes first follows from its session and
the weights alone, so that it stays there, whichever gateway it asks; when a route fails, only its own players
move.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from hls_gateway.domain.names import IFRAMES, MEDIA, playlist_uri
from hls_gateway.domain.stream import MediaKind, Rendition
from hls_gateway.domain.timeline import Timeline

STEERING = "steering.json"
# The pathway of a variant that names none (4.4.6.2).
UNNAMED = "."
_LEAST_PATHWAYS = 2
_HASH_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Pathway:
    """A delivery route.

    Args:
        base_url: What stands before /hls/ on it; empty: the origin that the player came to.
        weight: Share of viewers, relative to the others'.
        healthy: Players may be led there.
    """

    pathway_id: str
    base_url: str
    weight: float
    healthy: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Steering:
    """All pathways as they are now."""

    pathways: tuple[Pathway, ...] = ()

    @property
    def is_offered(self) -> bool:
        """Tell whether there is a choice."""
        return len(self.pathways) >= _LEAST_PATHWAYS

    @property
    def origin_id(self) -> str:
        """The pathway of what the multivariant playlist names itself."""
        return next((one.pathway_id for one in self.pathways if not one.base_url), UNNAMED)

    @property
    def origins(self) -> tuple[str, ...]:
        """Where else media come from: a scheme and a host each."""
        return tuple(sorted(one.base_url.rstrip("/") for one in self.pathways if one.base_url))

    @property
    def clones(self) -> Sequence[Pathway]:
        """All other pathways."""
        return [one for one in self.pathways if one.base_url and one.pathway_id != self.origin_id]


def prioritize(pathways: Sequence[Pathway], session_id: str) -> list[str]:
    """Order pathways for one session: each comes first for its share of all sessions.

    Only the healthy, as long as there is one. The order is that of weighted rendezvous hashing (Schindelhauer
    and Schomaker, 2005).
    """
    healthy = [one for one in pathways if one.healthy] or pathways
    ranked = sorted(healthy, key=lambda one: _rank(one, session_id), reverse=True)
    return [one.pathway_id for one in ranked]


def _rank(pathway: Pathway, session_id: str) -> float:
    digest = hashlib.blake2b(f"{session_id} {pathway.pathway_id}".encode(), digest_size=_HASH_BYTES).digest()
    place = (int.from_bytes(digest) + 1) / (2 ** (8 * _HASH_BYTES) + 2)  # within 0 and 1, neither of them
    return -pathway.weight / math.log(place) if pathway.weight > 0 else -1.0 + place


def render_manifest(timeline: Timeline, steering: Steering, session_id: str, *, ttl_s: int) -> str:
    """Render the steering manifest of a stream for one session (7.2)."""
    manifest = {
        "VERSION": 1,
        "TTL": ttl_s,
        "RELOAD-URI": steering_uri(session_id),
        "PATHWAY-PRIORITY": prioritize(steering.pathways, session_id) or [UNNAMED],
        "PATHWAY-CLONES": [_clone(timeline, steering.origin_id, one) for one in steering.clones],
    }
    return json.dumps(manifest)


def steering_uri(session_id: str) -> str:
    """Name the steering manifest as seen from beside the multivariant playlist."""
    return f"{STEERING}?session={session_id}" if session_id else STEERING


def stable_id(rendition: Rendition, name: str) -> str:
    """Name a playlist over all pathways: STABLE-VARIANT-ID and STABLE-RENDITION-ID (4.4.6.2)."""
    return rendition.rendition_id if name == MEDIA else f"{rendition.rendition_id}/{name}"


def _clone(timeline: Timeline, origin_id: str, pathway: Pathway) -> dict[str, object]:
    """Describe a pathway by the playlists that it has; HOST is for players that know nothing else (7.2)."""
    uris = dict(_uris(timeline, pathway.base_url, variants=True))
    return {
        "BASE-ID": origin_id,
        "ID": pathway.pathway_id,
        "URI-REPLACEMENT": {
            "HOST": urlsplit(pathway.base_url).netloc,
            "PER-VARIANT-URIS": uris,
            "PER-RENDITION-URIS": dict(_uris(timeline, pathway.base_url, variants=False)),
        },
    }


def _uris(timeline: Timeline, base_url: str, *, variants: bool) -> Iterator[tuple[str, str]]:
    """Name playlists on another route: of what is a variant, or of what plays along."""
    stream = timeline.stream
    renditions = [known.rendition for known in timeline.renditions.values()]
    has_pictures = any(rendition.has_picture for rendition in renditions)
    for rendition in renditions:
        is_audio = rendition.media_kind is MediaKind.AUDIO
        if (rendition.has_picture or is_audio) and (has_pictures and is_audio) is not variants:
            for name in (MEDIA, IFRAMES) if variants else (MEDIA,):
                path = playlist_uri(stream, rendition.rendition_id, name)
                yield stable_id(rendition, name), f"{base_url.rstrip('/')}/hls/{stream.stream_id}/{path}"
