"""Own live streams: append to their ledgers, show signs of life, notice when another owner has taken over.

Authority is the epoch alone. Beats only spare others the trouble; an owner stays owner while NATS is away,
holds what it wants to append, and learns from the first append that is refused that it is owner no longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from chassis.errors import Conflict, FailedPrecondition, NotFound, Unavailable, WeirError
from chassis.lifecycle import end_tasks
from chassis.telemetry import STREAM, log
from transcoder.domain.live_settings import Beat, LiveSettings
from transcoder.domain.live_timeline import LiveEntry, fold
from transcoder.domain.source import Source
from transcoder.live.feed import Feed
from transcoder.live.holding import hold
from transcoder.live.ports import LiveBeats, LiveLedger, LiveSettingsSource, OpenedLive

_OPEN_TRIES = 3
_STOPPED = "STREAM_STOPPED"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerRules:
    """How streams are owned."""

    owner: str
    """The name of this process."""
    hold_s: float = 60.0
    """How long appends and objects are held while their peers are away."""
    look_s: float = 2.0
    """How often an owner asks whether its stream is still wanted."""


class Ownership:
    """One stream that this process owns, until it is lost. One session at a time holds its `turn`."""

    def __init__(
        self, ledger: LiveLedger, settings: LiveSettings, opened: OpenedLive, rules: OwnerRules
    ) -> None:
        self.settings = settings
        self.opened = opened
        self.timeline = opened.timeline
        self.turn = asyncio.Lock()
        self._ledger = ledger
        self._rules = rules
        self._sequence = opened.sequence
        self._appends_count = 0
        self._feed: Feed | None = None
        self._protocol = ""
        self._source: Source | None = None
        self._loss: WeirError | None = None
        self._lost = asyncio.Event()
        self._stopped = asyncio.Event()

    @property
    def stream_id(self) -> str:
        return self.settings.stream_id

    @property
    def is_lost(self) -> bool:
        return self._lost.is_set()

    def beat(self) -> Beat:
        """Tell the present state."""
        feeding = self._feed is not None
        return Beat(
            stream_id=self.stream_id,
            incarnation=self.opened.incarnation,
            epoch=self.opened.epoch,
            owner=self._rules.owner,
            protocol=self._protocol if feeding else "",
            silent_s=self._feed.silent_s if self._feed else 0.0,
            is_finishing=self.turn.locked() and not feeding,
            source=self._source,
        )

    def join(self, protocol: str, feed: Feed) -> None:
        """Take a publisher down."""
        self._protocol, self._feed, self._source = protocol, feed, None

    def leave(self, feed: Feed) -> None:
        """Take down that a publisher has gone, unless another one is there already."""
        if self._feed is feed:
            self._feed = None

    def leave_source(self, source: Source) -> None:
        """Take down what the source holds that is left to whoever pulls it next."""
        self._source = source

    @property
    def is_stopped(self) -> bool:
        """Whether the stream is to end; its publisher is to be sent away."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Take no more media: what has come is the stream's end."""
        self._stopped.set()
        if self._feed:
            self._feed.end()

    async def until_stopped(self) -> None:
        """Wait until the stream is to end; raises as `until_lost`."""
        await self._stopped.wait()
        if self._loss:
            raise self._loss

    def lose(self, error: WeirError) -> None:
        """Give the stream up; whatever is done for it ends with this error."""
        self._loss = self._loss or error
        self._lost.set()
        self._stopped.set()

    async def until_lost(self) -> None:
        """Wait for the loss, and raise why."""
        await self._lost.wait()
        if self._loss:
            raise self._loss

    async def append(self, entries: Sequence[LiveEntry]) -> None:
        """Append one record, held while the distributor or NATS is away. Only who holds the turn appends.

        Raises:
            FailedPrecondition: The stream has ended, or another owner took it over.
            Unavailable: It could not be appended for `hold_s`.
        """
        self._appends_count += 1
        request_id = f"{self.opened.epoch}-{self._appends_count}"
        try:
            self._sequence = await hold(
                lambda: self._ledger.append(
                    self.settings, self.opened, entries, sequence=self._sequence, request_id=request_id
                ),
                self._rules.hold_s,
            )
        except WeirError as error:
            loss = _as_loss(error)
            self.lose(loss)
            raise loss from error
        except asyncio.CancelledError:  # nobody knows whether it was appended: whoever goes on opens anew
            self.lose(Unavailable("the stream is being opened anew: connect again", reason="REOPENED"))
            raise
        self.timeline = fold(self.timeline, entries)


class Owners:
    """The streams that this process owns.

    Args:
        end: Ends a stream whole, once the run under way is over; see `live.closing.Closing.end`.
    """

    def __init__(
        self,
        *,
        ledger: LiveLedger,
        settings: LiveSettingsSource,
        beats: LiveBeats,
        rules: OwnerRules,
        end: Callable[[Ownership], Awaitable[None]],
    ) -> None:
        self._ledger = ledger
        self._settings = settings
        self._beats = beats
        self._rules = rules
        self.end = end
        self._owned: dict[str, tuple[Ownership, asyncio.Task[None]]] = {}

    def find(self, stream_id: str) -> Ownership | None:
        """Look up a stream that is owned here."""
        ownership, _ = self._owned.get(stream_id, (None, None))
        return None if ownership is None or ownership.is_lost else ownership

    async def state(self, stream_id: str) -> Beat | None:
        """Ask for the state of a stream's owner, wherever that is; None if nobody owns it.

        Raises:
            Unavailable: NATS is away.
        """
        if ownership := self.find(stream_id):
            return ownership.beat()
        return await self._beats.ask(stream_id)

    async def acquire(self, settings: LiveSettings) -> Ownership:
        """Own a stream: go on with it if it is owned here, else open it at the next epoch.

        Raises:
            FailedPrecondition: The stream has ended.
            Conflict: Others open it at the same time.
        """
        ownership = self.find(settings.stream_id)
        if ownership and ownership.opened.incarnation == settings.incarnation:
            return ownership
        if ownership:
            ownership.lose(
                FailedPrecondition("the stream was made anew: connect again", reason="STREAM_ANEW")
            )
        opened = await self._open(settings)
        ownership = Ownership(self._ledger, settings, opened, self._rules)
        keeping = asyncio.create_task(self._keep(ownership), name=f"keep {settings.stream_id}")
        self._owned[settings.stream_id] = (ownership, keeping)
        keeping.add_done_callback(partial(self._forget, ownership))
        log.info("live stream taken over", **{STREAM: settings.stream_id}, epoch=opened.epoch)
        return ownership

    async def release(self, ownership: Ownership, error: WeirError) -> None:
        """Give a stream up, and end the beats at once."""
        ownership.lose(error)
        owned, keeping = self._owned.get(ownership.stream_id, (None, None))
        if owned is ownership and keeping:
            del self._owned[ownership.stream_id]
            await end_tasks(keeping)

    async def stop(self) -> None:
        """Give all streams up."""
        stopping = Unavailable("this server stops: connect again", reason="STOPPING")
        await asyncio.gather(*(self.release(owned, stopping) for owned, _ in list(self._owned.values())))

    async def _open(self, settings: LiveSettings) -> OpenedLive:
        for _ in range(_OPEN_TRIES - 1):
            with suppress(Conflict):
                return await self._ledger.open(settings)
        return await self._ledger.open(settings)

    async def _keep(self, ownership: Ownership) -> None:
        """Beat for a stream, and look whether it is still wanted, until it is lost or has ended."""

        def heard(beat: Beat) -> None:
            if beat.incarnation == ownership.opened.incarnation and beat.epoch > ownership.opened.epoch:
                ownership.lose(taken_over())

        beat, stop = ownership.beat, ownership.stop
        async with self._beats.show(ownership.stream_id, beat, heard=heard, stop=stop):
            while not ownership.is_lost:
                try:
                    async with asyncio.timeout(self._rules.look_s):
                        await ownership.until_stopped()
                except TimeoutError:
                    await self._look(ownership)
                except WeirError:
                    break
                else:
                    await self._finish(ownership)
        log.info("live stream given up", **{STREAM: ownership.stream_id}, epoch=ownership.opened.epoch)

    def _forget(self, ownership: Ownership, keeping: asyncio.Task[None]) -> None:
        """Hold a stream no more that is not kept any more; without signs of life nobody would hear of it."""
        if not keeping.cancelled() and (error := keeping.exception()):
            log.error("live stream not kept", exc_info=error, **{STREAM: ownership.stream_id})
        ownership.lose(Unavailable("the stream is not kept here any more: connect again", reason="NOT_KEPT"))
        if self._owned.get(ownership.stream_id, (None, None))[0] is ownership:
            del self._owned[ownership.stream_id]

    async def _finish(self, ownership: Ownership) -> None:
        """Bring a stream that was stopped to its end; whoever stopped it makes good what fails here."""
        try:
            await self.end(ownership)
        except WeirError as error:
            log.warning("stream could not be ended", error=error.message, **{STREAM: ownership.stream_id})
        ownership.lose(stopped())

    async def _look(self, ownership: Ownership) -> None:
        try:
            settings = await self._settings.get(ownership.stream_id)
        except FailedPrecondition as error:
            if error.reason == _STOPPED:
                ownership.stop()
            else:
                ownership.lose(_as_loss(error))
        except NotFound as error:
            ownership.lose(_as_loss(error))
        except WeirError as error:
            log.debug("settings cannot be read", error=error.message, **{STREAM: ownership.stream_id})
        else:
            if settings.incarnation != ownership.opened.incarnation:
                ownership.lose(
                    FailedPrecondition("the stream was made anew: connect again", reason="STREAM_ANEW")
                )


def taken_over() -> FailedPrecondition:
    """Tell a publisher that another one has its place."""
    return FailedPrecondition("another publisher or another server took the stream over", reason="TAKEN_OVER")


def stopped() -> FailedPrecondition:
    """Tell a publisher that its stream was stopped."""
    return FailedPrecondition("the stream was stopped: start it first", reason=_STOPPED)


def _as_loss(error: WeirError) -> WeirError:
    """Tell a publisher what a refusal means for it."""
    match error:
        case FailedPrecondition(reason="STALE_EPOCH"):
            return taken_over()
        case FailedPrecondition():
            return error
        case NotFound():
            return FailedPrecondition("the stream was deleted", reason="NO_STREAM")
        case _:
            return Unavailable(f"the stream's ledger cannot be written: {error.message}", reason=error.reason)
