"""The viewers of one stream: who is there, who was, and what all of them were sent.

A fold: equal events in equal order make equal audiences, on every replica. Time is that of the events, and
never goes back. A session of which nothing was heard for `Terms.timeout_s` is over from that moment on,
whenever it is looked for; so the fold may remove it late, and readers leave it out.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from distributor.domain import session as sessions
from distributor.domain.session import Ended, Session
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
        self._present = OrderedDict((one.session_id, one) for one in present)
        self._past = OrderedDict((one.session.session_id, one) for one in past)
        self._ids = {name: one.session_id for one in self._sessions() for name in one.names}
        self._viewers = {one.viewer_id: one.session_id for one in present}
        self._joined_ids = {one.session_id for one in present if one.joined}

    # What can be read

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
        return tuple(self._present.values()), tuple(self._past.values())

    def present(self, now: float) -> Iterator[Session]:
        """Go through the sessions that are open at an instant."""
        open_since = now - self._terms.timeout_s
        return (one for one in self._present.values() if one.seen_time > open_since)

    def present_count(self, now: float) -> int:
        """Count the sessions that are open at an instant."""
        over_count = 0
        for one in self._present.values():  # the longest unheard of come first
            if one.seen_time > now - self._terms.timeout_s:
                break
            over_count += 1
        return len(self._present) - over_count

    def session_of(self, viewer_id: str, now: float) -> Session | None:
        """Find a viewer's open session."""
        session = self._present.get(self._viewers.get(viewer_id, ""))
        return session if session and session.seen_time > now - self._terms.timeout_s else None

    # What may happen

    def join(self, ask: Join, time: float) -> Session | Refused:
        """Let a viewer in; one who is there already keeps the session.

        Players who never joined take nobody's place: they cannot be sent away, whatever the limit is.
        """
        self.expire(time)
        known = self.session_of(ask.viewer_id, time)
        if known and known.joined:
            return self._keep(sessions.joined_again(known, time))
        if len(self._joined_ids) >= ask.limit:
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
        return self._end(session, end_time=time, left=True) if session else None

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
            self._keep(sessions.with_sample(session, sample, gateway=gateway, time=time))

    def expire(self, time: float) -> None:
        """End the sessions of which nothing was heard for too long."""
        timeout_s = self._terms.timeout_s
        while self._present:
            longest = next(iter(self._present.values()))
            if longest.seen_time + timeout_s > time:
                break
            self._end(longest, end_time=longest.seen_time + timeout_s, left=False)
        while self._past:
            oldest = next(iter(self._past.values()))
            if oldest.end_time + RESUME_S > time and self._held_count <= self._terms.limit_count:
                break
            self._drop(oldest.session)

    # How

    @property
    def _is_full(self) -> bool:
        return len(self._present) >= self._terms.limit_count

    @property
    def _held_count(self) -> int:
        return len(self._present) + len(self._past)

    def _sessions(self) -> Iterator[Session]:
        yield from self._present.values()
        yield from (one.session for one in self._past.values())

    def _count(self, sample: Sample, time: float) -> None:
        self.cache_hits_count += sample.cache_hits_count
        self.cache_misses_count += sample.cache_misses_count
        for named_id, served in sample.served:
            fits = named_id in self.variants or len(self.variants) < _VARIANTS_LIMIT
            variant_id = named_id if fits else ""
            self.variants[variant_id] = self.variants.get(variant_id, VariantTotals()).plus(served, time)

    def _session_for(self, sample: Sample, time: float) -> Session | None:
        """Find the session of a sample, or begin it; None: it counts for nobody."""
        own_id = self._ids.get(sample.session_id)
        if own_id and own_id in self._present and not sample.joined_session_id:  # nearly always
            return self._present[own_id]
        other = sample.joined_session_id or sample.session_id
        session_id = self._ids.get(other) or own_id or other
        session = self._present.get(session_id)
        if session is None and sample.got_something:
            session = self._resumed(session_id, time)
        if session is None:
            return None
        if own_id and own_id in self._present and own_id != session.session_id:
            session = self._absorbed(session, own_id)
        return self._named(session, other, sample.session_id)

    def _resumed(self, session_id: str, time: float) -> Session | None:
        """Open a session again, or a new one."""
        over = self._past.get(session_id)
        if over is None:
            return self._begun(session_id, time)
        if over.left and time < over.end_time + self._terms.timeout_s:
            return None  # what was still on its way
        if newer_id := self._viewers.get(over.session.viewer_id):
            return self._absorbed(self._present[newer_id], session_id)
        if self._is_full:
            return None
        del self._past[session_id]
        return over.session

    def _begun(self, session_id: str, time: float) -> Session | None:
        if self._is_full:
            return None
        self.views_count += 1
        return sessions.begun(session_id, time)

    def _absorbed(self, session: Session, other_id: str) -> Session:
        """Make one session of two; of two that were open at one time, only one is a view."""
        over = self._past.get(other_id)
        other = over.session if over else self._present[other_id]
        self._drop(other)
        self.views_count -= 0 if over else 1
        return sessions.united(session, other)

    def _named(self, session: Session, *names: str) -> Session:
        """Let a session be known by further names."""
        fresh = [name for name in dict.fromkeys(names) if name not in session.names]
        return sessions.also_named(session, fresh) if fresh else session

    def _keep(self, session: Session) -> Session:
        """Hold a session, as the one heard of last."""
        known = self._present.get(session.session_id)
        if known is None or known.names != session.names:
            self._ids.update(dict.fromkeys(session.names, session.session_id))
            self._viewers.setdefault(session.viewer_id, session.session_id)
        if session.joined:
            self._joined_ids.add(session.session_id)
        self._present[session.session_id] = session
        self._present.move_to_end(session.session_id)
        self.peak_count = max(self.peak_count, len(self._present))
        return session

    def _end(self, session: Session, *, end_time: float, left: bool) -> Ended:
        ended = Ended(session=session, end_time=end_time, left=left)
        del self._present[session.session_id]
        self._joined_ids.discard(session.session_id)
        self._forget_viewer(session)
        self._past[session.session_id] = ended
        return ended

    def _drop(self, session: Session) -> None:
        self._present.pop(session.session_id, None)
        self._joined_ids.discard(session.session_id)
        self._past.pop(session.session_id, None)
        self._forget_viewer(session)
        for name in session.names:
            if self._ids.get(name) == session.session_id:
                del self._ids[name]

    def _forget_viewer(self, session: Session) -> None:
        if self._viewers.get(session.viewer_id) == session.session_id:
            del self._viewers[session.viewer_id]
