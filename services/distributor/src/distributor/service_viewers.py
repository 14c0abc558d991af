"""What viewers may do, and what is told of them: start, join, adapt, leave; figures of streams and of all."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis.errors import NotFound, ResourceExhausted
from chassis.telemetry import STREAM, log
from distributor.domain.audience import Refused
from distributor.domain.figures import (
    Figures,
    ViewerPage,
    choose_variant,
    measure,
    page_of_viewers,
    profile_of,
    rung_name,
    variant_named,
    viewers_limit,
)
from distributor.domain.profiles import Profile, find_profile
from distributor.domain.session import Ended, Session
from distributor.domain.stream import Stream, StreamKind
from distributor.domain.views import Adapt, Forget, Join, Leave, Served, Start
from distributor.ports import Abr, DeadLetters, DeliveryFigures, Registry, Roster
from distributor.service_streams import Streams
from distributor.viewers import Viewers

DEFAULT_POLICY = "zone"
# Somebody leaves, or a session that was left open ends.
_FULL_RETRY_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A stream that is open to viewers."""

    stream: Stream
    limit: int
    time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """A viewer who is let in."""

    stream: Stream
    session: Session
    profile: Profile
    first_variant_id: str
    """That was asked for; empty: none was."""
    time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """A viewer who has left."""

    stream: Stream
    ended: Ended
    time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathering:
    """A stream's viewers."""

    stream: Stream
    profile: Profile
    figures: Figures
    peak_count: int
    page: ViewerPage
    time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What a stream's viewers saw."""

    figures: Figures
    time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptation:
    """What a viewer was told to play."""

    stream: Stream
    old: str
    new: str
    reason: str
    message: str
    time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """What all distributors do."""

    distributors_count: int
    viewers_count: int
    served: Served
    cache_hit_rate: float
    deliveries: DeliveryFigures
    failures_count: int
    """Deliveries that were ever given up, by distributors alive and dead."""
    time: datetime


class Distribution:
    """The use-cases of DistributionService but for deliveries, and the statistics of streams."""

    def __init__(
        self,
        *,
        registry: Registry,
        streams: Streams,
        viewers: Viewers,
        abr: Abr,
        roster: Roster,
        letters: DeadLetters,
        profiles: Sequence[Profile],
        now: Callable[[], datetime],
    ) -> None:
        self._registry = registry
        self._streams = streams
        self._viewers = viewers
        self._abr = abr
        self._roster = roster
        self._letters = letters
        self._profiles = profiles
        self._now = now

    async def start(self, stream_id: str, *, max_viewers: int, profile: str) -> Started:
        """Open a stream to viewers; starting again replaces limit and profile.

        Raises:
            NotFound: NO_STREAM, or NOTHING_TO_PLAY.
            InvalidArgument: UNKNOWN_PROFILE.
        """
        chosen = find_profile(self._profiles, profile)
        stream = await self._streams.get(stream_id)
        if not stream.variants and stream.description.kind is StreamKind.VOD:
            raise NotFound(
                f"nothing of {stream_id!r} can be played yet: transcode it first", reason="NOTHING_TO_PLAY"
            )
        start = Start(stream_id=stream_id, profile=chosen.name, max_viewers=max_viewers)
        await self._viewers.ask(start)
        log.info("distribution started", **{STREAM: stream_id}, profile=chosen.name)
        return Started(stream=stream, limit=viewers_limit(chosen, start, _limit(stream)), time=self._now())

    async def join(self, stream_id: str, viewer_id: str, *, initial: str) -> Admission:
        """Let a viewer in; joining again answers the same session.

        A stream that was not started can be joined too: under its own limit, else the default profile's.

        Raises:
            NotFound: NO_STREAM.
            InvalidArgument: UNKNOWN_RENDITION.
            ResourceExhausted: TOO_MANY_VIEWERS.
        """
        stream = await self._streams.get(stream_id)
        first = choose_variant(stream.variants, initial)
        start = self._viewers.audience(stream_id).start
        profile = profile_of(self._profiles, start)
        ask = Join(
            stream_id=stream_id,
            viewer_id=viewer_id,
            session_id=secrets.token_hex(16),
            variant_id=first.rendition_id if first else "",
            limit=viewers_limit(profile, start, _limit(stream)),
        )
        outcome = await self._viewers.ask(ask)
        if isinstance(outcome, Refused):
            raise _full(stream_id, outcome)
        return Admission(
            stream=stream,
            session=_session(outcome),
            profile=profile,
            first_variant_id=first.rendition_id if first and initial else "",
            time=self._now(),
        )

    async def leave(self, stream_id: str, viewer_id: str) -> Departure:
        """Let a viewer go.

        Raises:
            NotFound: NO_STREAM or NO_VIEWER.
        """
        stream = (await self._registry.get(stream_id)).stream
        outcome = await self._viewers.ask(Leave(stream_id=stream_id, viewer_id=viewer_id))
        if not isinstance(outcome, Ended):
            raise _no_viewer(viewer_id, stream_id)
        return Departure(stream=stream, ended=outcome, time=self._now())

    async def show(self, stream_id: str, *, page_size: int, page_token: str) -> Gathering:
        """Tell who watches a stream.

        Raises:
            NotFound: NO_STREAM.
            InvalidArgument: page_size or page_token.
        """
        stream = await self._streams.get(stream_id)
        audience, now = self._viewers.audience(stream_id), self._now()
        return Gathering(
            stream=stream,
            profile=profile_of(self._profiles, audience.start),
            figures=measure(audience, now.timestamp()),
            peak_count=audience.peak_count,
            page=page_of_viewers(audience, now.timestamp(), page_size=page_size, page_token=page_token),
            time=now,
        )

    async def statistics(self, stream_id: str) -> Statistics:
        """Tell what a stream's viewers saw; NotFound."""
        await self._registry.get(stream_id)
        now = self._now()
        return Statistics(figures=measure(self._viewers.audience(stream_id), now.timestamp()), time=now)

    async def adapt(self, stream_id: str, viewer_id: str, *, buffer_health: float, policy: str) -> Adaptation:
        """Let abr decide what a viewer plays next; no stream means the one that the viewer joined last.

        Raises:
            NotFound: NO_STREAM or NO_VIEWER.
            InvalidArgument: The policy.
            Unavailable: ABR_AWAY.
        """
        stream_id, session = await self._watching(stream_id, viewer_id)
        stream = await self._streams.get(stream_id)
        old = rung_name(stream.variants, session.variant_id)
        decision = await self._abr.decide(
            stream_id,
            session.session_id,
            buffer_health=buffer_health,
            current=old,
            policy=policy or DEFAULT_POLICY,
        )
        variant_id = variant_named(stream.variants, decision.rendition)
        await self._viewers.ask(Adapt(stream_id=stream_id, viewer_id=viewer_id, variant_id=variant_id))
        return Adaptation(
            stream=stream,
            old=old,
            new=decision.rendition,
            reason=decision.reason,
            message=decision.message,
            time=self._now(),
        )

    async def metrics(self) -> Metrics:
        """Sum up what all distributors know."""
        failures_count = await self._letters.count()
        alive = self._roster.alive()
        total = self._viewers.sum()
        deliveries = DeliveryFigures()
        for figures in alive.values():
            deliveries = deliveries.plus(figures)
        return Metrics(
            distributors_count=len(alive),
            viewers_count=self._viewers.present_count(),
            served=total.served,
            cache_hit_rate=total.cache_hit_rate,
            deliveries=deliveries,
            failures_count=failures_count,
            time=self._now(),
        )

    def forget(self, stream_id: str) -> None:
        """Drop what is known of the viewers of a stream that is gone; if this is lost, a sweep does it."""
        self._viewers.note(Forget(stream_id=stream_id))

    async def sweep(self) -> None:
        """Forget streams that are gone: deleted by a replica that died, or reported of behind their end."""
        known = self._viewers.stream_ids
        registered = {stream.stream_id for stream in await self._registry.list()}
        for stream_id in known:
            if stream_id not in registered:
                self.forget(stream_id)

    async def _watching(self, stream_id: str, viewer_id: str) -> tuple[str, Session]:
        """Find a viewer's stream and session, also if another replica let the viewer in just now."""
        if found := self._found(stream_id, viewer_id):
            return found
        await self._viewers.catch_up()
        if found := self._found(stream_id, viewer_id):
            return found
        if stream_id:
            await self._registry.get(stream_id)
        raise _no_viewer(viewer_id, stream_id)

    def _found(self, stream_id: str, viewer_id: str) -> tuple[str, Session] | None:
        stream_id = stream_id or self._viewers.watched_by(viewer_id)
        session = self._viewers.audience(stream_id).session_of(viewer_id, self._now().timestamp())
        return (stream_id, session) if session else None


def _limit(stream: Stream) -> int:
    return stream.live.max_viewers if stream.live else 0


def _session(outcome: object) -> Session:
    if not isinstance(outcome, Session):
        raise TypeError(f"a join ended with {outcome!r}")
    return outcome


def _full(stream_id: str, refused: Refused) -> ResourceExhausted:
    return ResourceExhausted(
        f"{refused.limit} viewers, the most that may, watch stream {stream_id!r}: try again later",
        reason="TOO_MANY_VIEWERS",
        retry_delay_s=_FULL_RETRY_S,
    )


def _no_viewer(viewer_id: str, stream_id: str) -> NotFound:
    where = f"stream {stream_id!r}" if stream_id else "any stream"
    return NotFound(f"no viewer {viewer_id!r} watches {where}: join first", reason="NO_VIEWER")
