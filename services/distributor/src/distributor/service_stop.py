"""How a stream is stopped: its timeline ends under a new epoch, which fences its owner at the next append.

The wish stands in the registry first. Whoever dies behind it leaves a stream that takes no publisher, and
that a repeated call or a sweep stops for good.
"""

from __future__ import annotations

from dataclasses import replace

from chassis.errors import Conflict, FailedPrecondition, NotFound
from distributor.domain.ledger import Ledger
from distributor.domain.stream import Stream
from distributor.folds import Fold, Folds
from distributor.ports import LedgerWriter, Registry
from distributor.service_streams import Streams, stream_busy

OWNER = "stop"
_ATTEMPTS = 20


class Stops:
    """The use-case StopStream."""

    def __init__(self, *, registry: Registry, streams: Streams, folds: Folds, writer: LedgerWriter) -> None:
        self._registry = registry
        self._streams = streams
        self._folds = folds
        self._writer = writer

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

    async def _finish(self, stream: Stream) -> None:
        """End the ledger, whoever appends meanwhile, and let the registry know."""
        for _ in range(_ATTEMPTS):
            known = await self._folds.refresh(stream)
            if known.ledger.ended or await self._try_end(stream, known):
                await self._require_current(stream)
                await self._streams.note_end(stream.ledger_id)
                return
        raise stream_busy(stream.stream_id)

    async def _try_end(self, stream: Stream, known: Fold) -> bool:
        epoch = known.ledger.epoch + 1
        try:
            stored = await self._writer.append_last(
                stream.ledger_id, epoch=epoch, owner=OWNER, expected_sequence=known.sequence
            )
        except Conflict:
            return False
        ended: Ledger = replace(known.ledger, epoch=epoch, ended=True)
        self._folds.keep(stream.ledger_id, Fold(sequence=stored.sequence, ledger=ended))
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
