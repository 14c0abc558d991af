"""Stay: what plays goes on to play."""

from __future__ import annotations

from dataclasses import dataclass

from abr.domain.view import Choice, View


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """Keep the rendition, whatever the network does."""

    name: str = "fixed"

    def choose(self, view: View) -> Choice:
        if view.current is None:
            return Choice(rung=0, reason="begins with the lowest rendition, and stays")
        if view.current > view.cap:
            return Choice(rung=view.cap, reason="above what this viewer may be given: the highest allowed")
        return Choice(rung=view.current, reason="stays with what plays")
