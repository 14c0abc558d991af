"""One viewer watching one stream, as known from joins and from what gateways sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from distributor.domain.views import Join, Sample

# A page that is loaded again and again with one playback URL makes a player with a name of its own each time.
_NAMES_LIMIT = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session as of the newest event that named it."""

    session_id: str
    viewer_id: str
    begin_time: float
    seen_time: float
    """When something was heard of it last."""
    names: tuple[str, ...]
    """All names by which gateways may call it, its id among them."""
    joined: bool = False
    """It was asked for; else a player began by itself."""
    variant_id: str = ""
    """Played last, or to be played first."""
    played_time: float = 0.0
    """When `variant_id` was."""
    gateway: str = ""
    """That served it last; empty: none did."""
    segments_count: int = 0
    size_bytes: int = 0
    buffer_s: float | None = None
    """Media that the player holds; None: it never said."""
    latency_s: float | None = None
    """Behind the live edge; None: it never said."""

    @property
    def is_empty(self) -> bool:
        """Nobody asked for it, and nothing but playlists was sent to it."""
        return not (self.joined or self.variant_id or self.size_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A session that is over; it may be heard of again."""

    session: Session
    end_time: float
    left: bool
    """By request; else nothing was heard of it any more."""


def joined(ask: Join, time: float) -> Session:
    """Begin a session that was asked for."""
    return Session(
        session_id=ask.session_id,
        viewer_id=ask.viewer_id,
        begin_time=time,
        seen_time=time,
        names=(ask.session_id,),
        joined=True,
        variant_id=ask.variant_id,
    )


def begun(session_id: str, time: float) -> Session:
    """Begin the session of a player that nobody announced."""
    return Session(
        session_id=session_id,
        viewer_id=session_id,
        begin_time=time,
        seen_time=time,
        names=(session_id,),
    )


def joined_again(session: Session, time: float) -> Session:
    """Note that a session was asked for that is there already."""
    return replace(session, seen_time=time, joined=True)


def also_named(session: Session, names: Sequence[str]) -> Session:
    """Let a session be known by further names, as long as there is room for them."""
    return replace(session, names=(*session.names, *names)[:_NAMES_LIMIT])


def without_name(session: Session, name: str) -> Session:
    """Let a session be known by a name no more."""
    return replace(session, names=tuple(one for one in session.names if one != name))


def told(session: Session, variant_id: str, time: float) -> Session:
    """Note which rendition a session was told to play."""
    return replace(session, seen_time=time, variant_id=variant_id, played_time=time)


def with_sample(session: Session, sample: Sample, *, gateway: str, time: float) -> Session:
    """Add what a gateway sent. What a player said last holds, in whichever order gateways report."""
    said_time = sample.last_time or time
    newer = said_time >= session.played_time
    # Not `replace`, which takes three times as long.
    return Session(
        session_id=session.session_id,
        viewer_id=session.viewer_id,
        begin_time=session.begin_time,
        seen_time=time,
        names=session.names,
        joined=session.joined,
        variant_id=(newer and sample.variant_id) or session.variant_id,
        played_time=said_time if newer else session.played_time,
        gateway=gateway if newer else session.gateway,
        segments_count=session.segments_count + sample.segments_count,
        size_bytes=session.size_bytes + sample.size_bytes,
        buffer_s=sample.buffer_s if newer and sample.buffer_s is not None else session.buffer_s,
        latency_s=sample.latency_s if newer and sample.latency_s is not None else session.latency_s,
    )


def united(session: Session, other: Session) -> Session:
    """Make one of two sessions that turned out to be the same; id and viewer are those of the first."""
    last = max(session, other, key=lambda one: one.played_time)
    return Session(
        session_id=session.session_id,
        viewer_id=session.viewer_id,
        begin_time=min(session.begin_time, other.begin_time),
        seen_time=max(session.seen_time, other.seen_time),
        names=tuple(dict.fromkeys((*session.names, *other.names)))[:_NAMES_LIMIT],
        joined=session.joined or other.joined,
        variant_id=last.variant_id or session.variant_id or other.variant_id,
        played_time=last.played_time,
        gateway=last.gateway,
        segments_count=session.segments_count + other.segments_count,
        size_bytes=session.size_bytes + other.size_bytes,
        buffer_s=last.buffer_s,
        latency_s=last.latency_s,
    )
