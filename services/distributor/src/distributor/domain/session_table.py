"""The sessions of one stream: those that are open, those that are over, and by which names they are found."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from distributor.domain.presence import Presence
from distributor.domain.session import Ended, Session, also_named, without_name


class SessionTable:
    """Sessions by id, by name and by viewer; each name, and each viewer who is there, has one at a time.

    What is asked for often is kept, so that answers take as long for ten viewers as for ten thousand.

    Args:
        present: Open ones, the longest unheard of first.
        past: Those that are over, in the order in which they ended.
    """

    def __init__(self, present: Sequence[Session], past: Sequence[Ended]) -> None:
        self._present = OrderedDict((one.session_id, one) for one in present)
        self._past = OrderedDict((one.session.session_id, one) for one in past)
        everyone = (*present, *(one.session for one in past))
        self._ids = {name: one.session_id for one in everyone for name in one.names}
        self._viewers = {one.viewer_id: one.session_id for one in present}
        self._viewer_ids = sorted(self._viewers)
        self._joined_ids = {one.session_id for one in present if one.joined}
        self._presence = Presence()
        for session in present:
            self._presence.add(session)

    @property
    def presence(self) -> Presence:
        """Who is there, in numbers."""
        return self._presence.copy()

    @property
    def present_count(self) -> int:
        """Open sessions."""
        return len(self._present)

    @property
    def joined_count(self) -> int:
        """Open sessions that were asked for."""
        return len(self._joined_ids)

    @property
    def held_count(self) -> int:
        """All sessions."""
        return len(self._present) + len(self._past)

    def present(self) -> Iterator[Session]:
        """Go through the open ones, the longest unheard of first."""
        return iter(self._present.values())

    def past(self) -> Iterator[Ended]:
        """Go through those that are over, in the order in which they ended."""
        return iter(self._past.values())

    def by_viewer(self, *, after: str) -> Iterator[Session]:
        """Go through the open ones by viewer_id, behind a given one."""
        for index in range(bisect_right(self._viewer_ids, after), len(self._viewer_ids)):
            yield self._present[self._viewers[self._viewer_ids[index]]]

    def id_of(self, name: str) -> str:
        """The id of the session that bears a name; empty: none does."""
        return self._ids.get(name, "")

    def find(self, session_id: str) -> Session | None:
        """Find an open session by its id."""
        return self._present.get(session_id)

    def find_over(self, session_id: str) -> Ended | None:
        """Find a session that is over by its id."""
        return self._past.get(session_id)

    def of_viewer(self, viewer_id: str) -> Session | None:
        """Find a viewer's open session."""
        return self._present.get(self._viewers.get(viewer_id, ""))

    def keep(self, session: Session) -> Session:
        """Hold a session as open, and as the one heard of last."""
        known = self._present.get(session.session_id)
        if known is None or (known.names, known.viewer_id) != (session.names, session.viewer_id):
            self._seat(session)
        if session.joined:
            self._joined_ids.add(session.session_id)
        self._presence.replace(self._present.get(session.session_id), session)
        self._present[session.session_id] = session
        self._present.move_to_end(session.session_id)
        return session

    def named(self, session: Session, *names: str) -> Session:
        """Let a session be known by further names once it is kept, but not by what another one is."""
        taken = (*session.names, *(name for name in names if name in self._present or name in self._past))
        fresh = [name for name in dict.fromkeys(names) if name not in taken]
        return also_named(session, fresh) if fresh else session

    def end(self, session: Session, *, end_time: float, left: bool) -> Ended:
        """Note that an open session is over."""
        ended = Ended(session=session, end_time=end_time, left=left)
        self._presence.replace(self._present.pop(session.session_id), None)
        self._unseat(session)
        self._past[session.session_id] = ended
        return ended

    def drop(self, session: Session) -> None:
        """Hold a session no more."""
        self._presence.replace(self._present.pop(session.session_id, None), None)
        self._past.pop(session.session_id, None)
        self._unseat(session)
        for name in session.names:
            if self._ids.get(name) == session.session_id:
                del self._ids[name]

    def _seat(self, session: Session) -> None:
        """Let a session be found, no more by what it was known by before."""
        over = self._past.get(session.session_id)
        if known := over.session if over else self._present.get(session.session_id):
            self.drop(known)
        self._claim_names(session)
        if session.viewer_id not in self._viewers:
            insort(self._viewer_ids, session.viewer_id)
        self._viewers[session.viewer_id] = session.session_id

    def _claim_names(self, session: Session) -> None:
        """Take names from who bore them: players behind one address may have one name for all of them."""
        for name in session.names:
            bearer_id = self._ids.get(name, session.session_id)
            self._ids[name] = session.session_id
            if bearer_id == session.session_id:
                continue
            if bearer := self._present.get(bearer_id):
                self._present[bearer_id] = without_name(bearer, name)
            elif over := self._past.get(bearer_id):
                self._past[bearer_id] = replace(over, session=without_name(over.session, name))

    def _unseat(self, session: Session) -> None:
        self._joined_ids.discard(session.session_id)
        if self._viewers.get(session.viewer_id) == session.session_id:
            del self._viewers[session.viewer_id]
            del self._viewer_ids[bisect_left(self._viewer_ids, session.viewer_id)]
