"""What sets one group of viewers' multivariant playlist apart from the others': order, caps, steering.

Media playlists and segments are the same for all viewers; nothing but the choice among them differs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hls_gateway.domain.timeline import RenditionTimeline

# Players begin with the variant listed first; Apple's authoring rules want about this rate there on Wi-Fi.
_FIRST_BPS = 2_000_000


class Cohort(NamedTuple):
    """A group of viewers.

    Args:
        first_id: Variant to begin with; empty, or one that is not offered: the usual one.
        max_bps: Highest declared rate that they would play, bits per second; 0: any.
        max_height_pixels: Highest picture; 0: any.
        origin_id: Pathway of what the playlist names; empty: nobody is steered.
        session_id: Whom the steering manifest is asked for.
    """

    first_id: str = ""
    max_bps: int = 0
    max_height_pixels: int = 0
    origin_id: str = ""
    session_id: str = ""

    @property
    def is_tailored(self) -> bool:
        """Tell whether its variants are other ones, or come in another order."""
        return bool(self.first_id or self.max_bps or self.max_height_pixels)


EVERYBODY = Cohort()


def choose_variants(renditions: Iterable[RenditionTimeline], cohort: Cohort) -> Sequence[RenditionTimeline]:
    """Put the variant to begin with first, then the others from low to high; the lowest always stays."""
    rising = sorted(renditions, key=lambda known: known.rendition.target_bps)
    kept = [known for known in rising if _suits(known, cohort)] or rising[:1]
    wished = [known for known in kept if known.rendition.rendition_id == cohort.first_id]
    first = wished or [known for known in kept if known.rendition.target_bps <= _FIRST_BPS][-1:]
    return [*first, *(known for known in kept if known not in first)]


def _suits(known: RenditionTimeline, cohort: Cohort) -> bool:
    rendition = known.rendition
    return (not cohort.max_bps or rendition.target_bps <= cohort.max_bps) and (
        not cohort.max_height_pixels or rendition.height_pixels <= cohort.max_height_pixels
    )
