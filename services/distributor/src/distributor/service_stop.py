"""How a stream is stopped: its owner ends it whole; where none answers, another transcoder does in its place.

The wish stands in the registry first. Whoever dies behind it leaves a stream that takes no publisher, and
that a repeated call or a sweep stops for good. What was announced is never withdrawn: viewers who hold parts
find their media in the last segments. Only when no transcoder can make a segment of them is it a gap.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

from chassis.errors import Conflict, FailedPrecondition, NotFound, WeirError
from chassis.telemetry import STREAM, log
from distributor.domain.closing import gaps_of_open, is_ragged
from distributor.domain.entries import Ended, Record
from distributor.domain.ledger import fold
from distributor.domain.stream import Stream
from distributor.folds import Fold, Folds
from distributor.ports import Closer, LedgerWriter, Owners, Registry
from distributor.service_streams import Streams, stream_busy

OWNER = "stop"
# How long whoever was asked may take to end a stream: its encoder has frames left, its storage may be slow.
ENDING_S = 5.0
_LOOK_S = 0.05
_ATTEMPTS = 20


class Stops:
    """The use-case StopStream."""

    def __init__(
        self,
        *,
        registry: Registry,
        streams: Streams,
        folds: Folds,
        writer: LedgerWriter,
        owners: Owners,
        closer: Closer,
    ) -> None:
        self._registry = registry
        self._streams = streams
        self._folds = folds
        self._writer = writer
        self._owners = owners
        self._closer = closer

    async def stop(self, stream_id: str) -> None:
        """End a stream; one that is over stays as it is.

        Raises:
            NotFound: NO_STREAM.
            FailedPrecondition: NOT_LIVE.
        """
        stream = await self._streams.change(stream_id, _asked)
        if not stream.is_over:
            await self._finish(stream)

    async def sweep(self) -> None:
        """Stop what somebody began to stop and left."""
        for stream in await self._registry.list():
            if stream.stop_asked and not stream.is_over:
                try:
                    await self._finish(stream)
                except NotFound:  # deleted meanwhile
                    continue
                except WeirError as error:  # the others are not to wait for it
                    log.warning("stream not stopped", error=error.message, **{STREAM: stream.stream_id})

    async def _finish(self, stream: Stream) -> None:
        """End the ledger, whoever appends meanwhile, and let the registry know."""
        if not await self._has_ended(stream) and await self._owners.stop(stream.stream_id):
            await self._wait_for_end(stream)
        can_close = True
        for _ in range(_ATTEMPTS):
            known = await self._folds.refresh(stream)
            if can_close and not known.ledger.ended and is_ragged(known.ledger):
                can_close = await self._try_close(stream, known)
            elif known.ledger.ended or await self._try_end(stream, known):
                await self._require_current(stream)
                await self._streams.note_end(stream.ledger_id)
                return
        raise stream_busy(stream.stream_id)

    async def _has_ended(self, stream: Stream) -> bool:
        return (await self._folds.refresh(stream)).ledger.ended

    async def _wait_for_end(self, stream: Stream) -> None:
        """Give somebody else the time to end the ledger."""
        with suppress(TimeoutError):
            async with asyncio.timeout(ENDING_S):
                while not await self._has_ended(stream):  # noqa: ASYNC110 - it happens elsewhere
                    await asyncio.sleep(_LOOK_S)

    async def _try_close(self, stream: Stream, known: Fold) -> bool:
        """Fence the owner, and let a transcoder close what it left; False if none can."""
        epoch = known.ledger.epoch + 1
        try:
            opened = await self._writer.append_opened(
                stream.ledger_id, epoch=epoch, owner=OWNER, expected_sequence=known.sequence
            )
            await self._closer.close(stream, epoch=epoch, sequence=opened.sequence)
        except Conflict:  # the owner is alive after all, and appended, or somebody else stops it as well
            pass
        except FailedPrecondition:  # somebody else does, under a newer epoch
            await self._wait_for_end(stream)
        except WeirError as error:
            log.warning("stream could not be closed", error=error.message, **{STREAM: stream.stream_id})
            return False
        return True

    async def _try_end(self, stream: Stream, known: Fold) -> bool:
        epoch, gaps = known.ledger.epoch + 1, gaps_of_open(known.ledger)
        try:
            stored = await self._writer.append_last(
                stream.ledger_id, gaps, epoch=epoch, owner=OWNER, expected_sequence=known.sequence
            )
        except Conflict:
            return False
        record = Record(sequence=stored.sequence, epoch=epoch, entries=(*gaps, Ended()))
        self._folds.keep(
            stream.ledger_id, Fold(sequence=stored.sequence, ledger=fold(known.ledger, (record,)))
        )
        return True

    async def _require_current(self, stream: Stream) -> None:
        """Remove what was just written if the stream was deleted meanwhile."""
        try:
            await self._streams.current(stream.stream_id, incarnation=stream.incarnation)
        except NotFound:
            await self._streams.drop_ledger(stream.ledger_id)
            raise


def _asked(stream: Stream) -> Stream:
    if stream.live is None:
        raise FailedPrecondition(
            f"stream {stream.stream_id!r} shows a recording or a clip: there is nothing to stop",
            reason="NOT_LIVE",
        )
    return stream if stream.is_over else replace(stream, stop_asked=True)
