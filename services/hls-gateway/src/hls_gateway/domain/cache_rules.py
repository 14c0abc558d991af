"""How long a cache may keep what the gateway answers: the Cache-Control of DESIGN section 4."""

from __future__ import annotations

# A URL with its incarnation never changes its bytes.
IMMUTABLE = "public, max-age=31536000, immutable"
# A name that is not there yet may be there in a second.
NOT_YET = "public, max-age=1"
# A failure is nobody else's.
FAILURE = "no-store"
# Pages are asked for again at each use, and answered by 304.
PAGE = "no-cache"


def refreshed(target_duration_s: int) -> str:
    """Half a target duration: for playlists, and for media named without an incarnation."""
    return f"public, max-age={target_duration_s // 2}"


def waited_for(target_duration_s: int) -> str:
    """Six target durations: the answer to a blocking reload names what it must hold, and keeps holding it."""
    return f"public, max-age={6 * target_duration_s}"
