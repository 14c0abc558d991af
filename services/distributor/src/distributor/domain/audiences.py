"""The audiences of all streams, and the gateways that serve them: the fold of the whole log of views."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from distributor.domain.audience import Audience, Refused
from distributor.domain.session import Ended, Session
from distributor.domain.totals import Totals
from distributor.domain.views import (
    NOTHING_SERVED,
    SLICE_COUNT,
    Adapt,
    Command,
    Forget,
    Join,
    Leave,
    Report,
    Served,
    Start,
    Terms,
)

# A gateway reports every few seconds, whether it serves somebody or not.
GATEWAY_SILENT_S = 15.0
_GATEWAY_KEPT_S = 86_400.0
# JetStream refuses repeated reports while it remembers them; these are known for good.
_REPORTS_REMEMBERED = 32
_EXPIRE_EVERY_S = 10.0

Outcome = Session | Ended | Refused | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A gateway as its newest report shows it."""

    name: str
    grpc_address: str
    """Where it takes segments; empty: it takes none."""
    seen_time: float
    report_numbers: tuple[int, ...] = ()
    """Of its newest reports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """What was served of all streams, also of those that are gone."""

    served: Served = NOTHING_SERVED
    cache_hits_count: int = 0
    cache_misses_count: int = 0

    def plus(self, audience: Audience) -> Sum:
        """Add one stream's."""
        return Sum(
            served=self.served.plus(audience.served),
            cache_hits_count=self.cache_hits_count + audience.cache_hits_count,
            cache_misses_count=self.cache_misses_count + audience.cache_misses_count,
        )

    @property
    def cache_hit_rate(self) -> float:
        """Requests that gateways answered from memory per request that came to them, 0 to 1."""
        asked_count = self.cache_hits_count + self.cache_misses_count
        return self.cache_hits_count / asked_count if asked_count else 0.0


NOTHING = Sum()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """A state of the fold without its sessions."""

    clock: float = 0.0
    expire_time: float = 0.0
    gone: Sum = NOTHING
    gateways: tuple[Gateway, ...] = ()
    totals: Mapping[str, Totals] = field(default_factory=dict)
    """By stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A session of a state of the fold, open or over."""

    stream_id: str
    session: Session | None = None
    ended: Ended | None = None


class Audiences:
    """The fold of all that happened to viewers.

    Args:
        terms: What holds for sessions.
        outline: To go on from.
        held: Its sessions, in the order of `held`.
    """

    def __init__(self, terms: Terms, outline: Outline | None = None, held: Iterable[Held] = ()) -> None:
        outline = outline or Outline()
        self._terms = terms
        self._clock = outline.clock
        self._expire_time = outline.expire_time
        self._gone = outline.gone
        self._gateways = {gateway.name: gateway for gateway in outline.gateways}
        present: dict[str, list[Session]] = {}
        past: dict[str, list[Ended]] = {}
        for one in held:
            if one.session:
                present.setdefault(one.stream_id, []).append(one.session)
            if one.ended:
                past.setdefault(one.stream_id, []).append(one.ended)
        self._streams = {
            stream_id: Audience(
                terms, totals=totals, present=present.get(stream_id, ()), past=past.get(stream_id, ())
            )
            for stream_id, totals in outline.totals.items()
        }

    def outline(self) -> Outline:
        """The present state, without its sessions."""
        return Outline(
            clock=self._clock,
            expire_time=self._expire_time,
            gone=self._gone,
            gateways=tuple(self._gateways.values()),
            totals={stream_id: audience.totals for stream_id, audience in self._streams.items()},
        )

    def held(self) -> Iterator[Held]:
        """The sessions of the present state, whatever happens while they are gone through."""
        now = [(stream_id, *audience.held()) for stream_id, audience in self._streams.items()]
        return (one for stream_id, present, past in now for one in _held(stream_id, present, past))

    @property
    def stream_ids(self) -> Sequence[str]:
        """The streams of which anything is known."""
        return tuple(self._streams)

    def of(self, stream_id: str) -> Audience:
        """The viewers of a stream; nobody, if nothing is known of it."""
        return self._streams.get(stream_id) or Audience(self._terms)

    def present_count(self, now: float) -> int:
        """Count the sessions of all streams that are open at an instant."""
        return sum(audience.present_count(now) for audience in self._streams.values())

    def sum(self) -> Sum:
        """What was served of all streams."""
        total = self._gone
        for audience in self._streams.values():
            total = total.plus(audience)
        return total

    def watched_by(self, viewer_id: str, now: float) -> str:
        """Name the stream that a viewer joined last and still watches; empty: none."""
        found = [
            (session.begin_time, stream_id)
            for stream_id, audience in self._streams.items()
            if (session := audience.session_of(viewer_id, now))
        ]
        return max(found, default=(0.0, ""))[1]

    def gateways(self, now: float) -> Sequence[Gateway]:
        """List the gateways that report."""
        alive = (one for one in self._gateways.values() if one.seen_time > now - GATEWAY_SILENT_S)
        return tuple(sorted(alive, key=lambda gateway: gateway.name))

    def gateway_of(self, stream_id: str, viewer_id: str, now: float) -> Gateway | None:
        """Find the gateway that served a viewer last; None: none did, or it is gone."""
        session = self.of(stream_id).session_of(viewer_id, now)
        gateway = self._gateways.get(session.gateway) if session else None
        return gateway if gateway and gateway.seen_time > now - GATEWAY_SILENT_S else None

    def ask(self, commands: Sequence[Command], *, time: float) -> Sequence[Outcome]:
        """Do what was asked for, in order; `time` is when it was stored."""
        self._advance(time)
        return tuple(self._do(command) for command in commands)

    def report(self, report: Report, *, time: float) -> Iterator[None]:
        """Count what a gateway sent, once, slice by slice: all of them must be gone through.

        Args:
            report: What it tells.
            time: When that was stored.
        """
        self._advance(time)
        known = self._gateways.get(report.gateway)
        numbers = known.report_numbers if known else ()
        if report.report_number in numbers:
            return
        self._gateways[report.gateway] = Gateway(
            name=report.gateway,
            grpc_address=report.grpc_address,
            seen_time=self._clock,
            report_numbers=(*numbers, report.report_number)[-_REPORTS_REMEMBERED:],
        )
        for number, sample in enumerate(report.samples, 1):
            self._begun(sample.stream_id).take(sample, gateway=report.gateway, time=self._clock)
            if number % SLICE_COUNT == 0:
                yield

    def _advance(self, time: float) -> None:
        """Let the clock run, which never goes back whichever server of NATS stores."""
        self._clock = max(self._clock, time)
        if self._clock < self._expire_time:
            return
        self._expire_time = self._clock + _EXPIRE_EVERY_S
        for audience in self._streams.values():
            audience.expire(self._clock)
        kept_since = self._clock - _GATEWAY_KEPT_S
        self._gateways = {name: one for name, one in self._gateways.items() if one.seen_time > kept_since}

    def _do(self, command: Command) -> Outcome:
        match command:
            case Join():
                return self._begun(command.stream_id).join(command, self._clock)
            case Leave():
                return self.of(command.stream_id).leave(command, self._clock)
            case Adapt():
                return self.of(command.stream_id).adapt(command, self._clock)
            case Start():
                self._begun(command.stream_id).start = command
            case Forget():
                if audience := self._streams.pop(command.stream_id, None):
                    self._gone = self._gone.plus(audience)
        return None

    def _begun(self, stream_id: str) -> Audience:
        if stream_id not in self._streams:
            self._streams[stream_id] = Audience(self._terms)
        return self._streams[stream_id]


def _held(stream_id: str, present: Sequence[Session], past: Sequence[Ended]) -> Iterator[Held]:
    yield from (Held(stream_id=stream_id, session=session) for session in present)
    yield from (Held(stream_id=stream_id, ended=ended) for ended in past)
