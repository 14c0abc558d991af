"""The viewers of one stream: who is there, who was, and what all of them were sent.

A fold: equal events in equal order make equal audiences, on every replica. Time is that of the events, and
never goes back. A session of which nothing was heard for `Terms.timeout_s` is over from that moment on,
whenever it is looked for; so the fold may remove it late, and readers leave it out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from distributor.domain import session as sessions
from distributor.domain.presence import Presence
from distributor.domain.session import Ended, Session
from distributor.domain.session_table import SessionTable
from distributor.domain.totals import Totals, VariantTotals
from distributor.domain.views import Adapt, Join, Leave, Sample, Served, Terms

# A player that paused for longer comes back as a new view.
RESUME_S = 3_600.0
# Variants of one stream that are told apart; a ladder has ten rungs.
_VARIANTS_LIMIT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Somebody who was not let in."""

    limit: int
    """Viewers at one time."""


class Audience:
    """The fold of one stream.

    Args:
        terms: What holds for sessions.
        totals: To go on from.
        present: Open sessions to go on from, the longest unheard of first.
        past: Sessions that are over, in the order in which they ended.
    """

    def __init__(
        self,
        terms: Terms,
        *,
        totals: Totals | None = None,
        present: Sequence[Session] = (),
        past: Sequence[Ended] = (),
    ) -> None:
        self._terms = terms
        totals = totals or Totals()
        self.start = totals.start
        self.peak_count = totals.peak_count
        self.views_count = totals.views_count
        self.cache_hits_count = totals.cache_hits_count
        self.cache_misses_count = totals.cache_misses_count
        self.variants = dict(totals.variants)
        self._table = SessionTable(present, past)

    @property
    def totals(self) -> Totals:
        """What is known beside the sessions."""
        return Totals(
            start=self.start,
            peak_count=self.peak_count,
            views_count=self.views_count,
            cache_hits_count=self.cache_hits_count,
            cache_misses_count=self.cache_misses_count,
            variants=dict(self.variants),
        )

    @property
    def served(self) -> Served:
        """What was served of all variants."""
        total = Served()
        for variant in self.variants.values():
            total = total.plus(variant.served)
        return total

    def held(self) -> tuple[Sequence[Session], Sequence[Ended]]:
        """List all sessions that are held: open, and over."""
        return tuple(self._table.present()), tuple(self._table.past())

    def present(self, now: float) -> Iterator[Session]:
        """Go through the sessions that are open at an instant."""
        open_since = now - self._terms.timeout_s
        return (one for one in self._table.present() if one.seen_time > open_since)

    def presence(self, now: float) -> Presence:
        """Sum up the sessions that are open at an instant."""
        presence = self._table.presence
        for session in self._over(now):
            presence.replace(session, None)
        return presence

    def present_count(self, now: float) -> int:
        """Count the sessions that are open at an instant."""
        return self._table.present_count - sum(1 for _ in self._over(now))

    def by_viewer(self, now: float, *, after: str) -> Iterator[Session]:
        """Go through the sessions that are open at an instant by viewer_id, behind a given one."""
        open_since = now - self._terms.timeout_s
        return (one for one in self._table.by_viewer(after=after) if one.seen_time > open_since)

    def session_of(self, viewer_id: str, now: float) -> Session | None:
        """Find a viewer's open session."""
        session = self._table.of_viewer(viewer_id)
        return session if session and session.seen_time > now - self._terms.timeout_s else None

    def joined_id(self, name: str) -> str:
        """Tell which session that was asked for a player's name belongs to; empty: none."""
        session = self._table.find(self._table.id_of(name))
        return session.session_id if session and session.joined and session.session_id != name else ""

    def join(self, ask: Join, time: float) -> Session | Refused:
        """Let a viewer in; one who is there already keeps the session.

        Players who never joined take nobody's place: they cannot be sent away, whatever the limit is.
        """
        self.expire(time)
        known = self.session_of(ask.viewer_id, time)
        if known and known.joined:
            return self._keep(sessions.joined_again(known, time))
        if self._table.joined_count >= ask.limit:
            return Refused(limit=ask.limit)
        if known:
            return self._keep(sessions.joined_again(known, time))
        if self._is_full:
            return Refused(limit=self._terms.limit_count)
        self.views_count += 1
        return self._keep(sessions.joined(ask, time))

    def leave(self, ask: Leave, time: float) -> Ended | None:
        """Let a viewer go; None: there is no such viewer."""
        self.expire(time)
        session = self.session_of(ask.viewer_id, time)
        return self._table.end(session, end_time=time, left=True) if session else None

    def adapt(self, ask: Adapt, time: float) -> Session | None:
        """Note what a viewer was told to play; None: there is no such viewer."""
        self.expire(time)
        session = self.session_of(ask.viewer_id, time)
        return self._keep(sessions.told(session, ask.variant_id, time)) if session else None

    def take(self, sample: Sample, *, gateway: str, time: float) -> None:
        """Count what was sent; a session that is not there begins, once it is given something."""
        self.expire(time)
        self._count(sample, time)
        session = self._session_for(sample, time)
        if session:
            self._forget_nameless(session, sample.place_session_id)
            self._keep(sessions.with_sample(session, sample, gateway=gateway, time=time))

    def expire(self, time: float) -> None:
        """End the sessions of which nothing was heard for too long."""
        timeout_s = self._terms.timeout_s
        while longest := next(self._table.present(), None):
            if longest.seen_time + timeout_s > time:
                break
            self._table.end(longest, end_time=longest.seen_time + timeout_s, left=False)
        while oldest := next(self._table.past(), None):
            if oldest.end_time + RESUME_S > time and self._table.held_count <= self._terms.limit_count:
                break
            self._table.drop(oldest.session)

    def _over(self, now: float) -> Iterator[Session]:
        """Go through the sessions that are over at an instant, and not yet ended: a few, as reports come."""
        open_since = now - self._terms.timeout_s
        return takewhile(lambda one: one.seen_time <= open_since, self._table.present())

    @property
    def _is_full(self) -> bool:
        return self._table.present_count >= self._terms.limit_count

    def _count(self, sample: Sample, time: float) -> None:
        self.cache_hits_count += sample.cache_hits_count
        self.cache_misses_count += sample.cache_misses_count
        for named_id, served in sample.served:
            fits = named_id in self.variants or len(self.variants) < _VARIANTS_LIMIT
            variant_id = named_id if fits else ""
            self.variants[variant_id] = self.variants.get(variant_id, VariantTotals()).plus(served, time)

    def _session_for(self, sample: Sample, time: float) -> Session | None:
        """Find the session of a sample, or begin it; None: it counts for nobody."""
        own = self._table.find(own_id := self._table.id_of(sample.session_id))
        if own and not sample.joined_session_id:
            return own
        other = sample.joined_session_id or sample.session_id
        session_id = self._table.id_of(other) or own_id or other
        session = self._table.find(session_id)
        if session is None and sample.got_something:
            session = self._resumed(session_id, time)
        if session is None:
            return None
        if own and own.session_id != session.session_id and not own.joined:
            session = self._absorbed(session, own, views_count=1)
        return self._table.named(session, other, sample.session_id)

    def _resumed(self, session_id: str, time: float) -> Session | None:
        """Open a session again, or a new one."""
        over = self._table.find_over(session_id)
        if over is None:
            return self._begun(session_id, time)
        if over.left and time < over.end_time + self._terms.timeout_s:
            return None  # what was still on its way
        if newer := self._table.of_viewer(over.session.viewer_id):
            return self._absorbed(newer, over.session, views_count=0)
        return None if self._is_full else over.session

    def _begun(self, session_id: str, time: float) -> Session | None:
        if known := self._table.of_viewer(session_id):
            return known  # a player that calls its session by the viewer's name
        if self._is_full:
            return None
        self.views_count += 1
        return sessions.begun(session_id, time)

    def _forget_nameless(self, session: Session, place_id: str) -> None:
        """Drop what a player was taken for before it said its name: one who has been sent no media.

        Others behind the same address may be taken for it, too: they are counted when heard of again.
        """
        nameless = self._table.find(place_id) if place_id else None
        if nameless and nameless.session_id != session.session_id and nameless.is_empty:
            self._table.drop(nameless)
            self.views_count -= 1

    def _absorbed(self, session: Session, other: Session, *, views_count: int) -> Session:
        """Make one session of two, which had been counted as `views_count` views too many."""
        self._table.drop(other)
        self.views_count -= views_count
        return sessions.united(session, other)

    def _keep(self, session: Session) -> Session:
        self._table.keep(session)
        self.peak_count = max(self.peak_count, self._table.present_count)
        return session
