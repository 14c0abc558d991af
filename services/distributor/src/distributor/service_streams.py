"""What the distributor does with the registry: list, get and delete streams, and keep their state true."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from chassis.errors import Conflict, NotFound
from chassis.telemetry import STREAM, log
from distributor.domain.entries import LedgerId
from distributor.domain.listing import Page, select_page
from distributor.domain.stream import Stream, StreamState, end, with_media
from distributor.folds import Folds
from distributor.ports import Heads, LedgerReader, LedgerWriter, Registered, Registry
from distributor.service_remains import Remains

_CHANGE_ATTEMPTS = 10
_FOLDS_AT_ONCE = 8


class Streams:
    """The use-cases of StreamService."""

    def __init__(
        self,
        *,
        registry: Registry,
        writer: LedgerWriter,
        reader: LedgerReader,
        folds: Folds,
        heads: Heads,
        remains: Remains,
        now: Callable[[], datetime],
    ) -> None:
        self._registry = registry
        self._writer = writer
        self._reader = reader
        self._folds = folds
        self._heads = heads
        self._remains = remains
        self._now = now

    async def get(self, stream_id: str) -> Stream:
        """Get a stream as it is now: of one that still grows, the ledger tells what can be played."""
        return await self._with_present((await self._registry.get(stream_id)).stream)

    async def list_page(self, *, page_size: int, page_token: str, filter_text: str) -> Page:
        """List streams, newest first.

        Raises:
            InvalidArgument: page_size, page_token or filter.
        """
        everything = await self._registry.list()
        page = select_page(everything, page_size=page_size, page_token=page_token, filter_text=filter_text)
        at_once = asyncio.Semaphore(_FOLDS_AT_ONCE)

        async def present(stream: Stream) -> Stream:
            async with at_once:
                return await self._with_present(stream)

        return replace(page, streams=tuple(await asyncio.gather(*map(present, page.streams))))

    async def delete(self, stream_id: str) -> None:
        """Delete a stream and its ledger; its objects go later, those of a recording with the recording."""
        for _ in range(_CHANGE_ATTEMPTS):
            found = await self._registry.get(stream_id)
            await self._remains.bury(found.stream)
            try:
                await self._registry.delete(stream_id, revision=found.revision)
            except Conflict:
                continue
            await self.drop_ledger(found.stream.ledger_id)
            log.info("stream deleted", **{STREAM: stream_id})
            return
        raise stream_busy(stream_id)

    async def current(self, stream_id: str, *, incarnation: str = "") -> Stream:
        """Read the present life of a stream.

        Raises:
            NotFound: NO_STREAM, or NO_INCARNATION: it is not the one asked for.
        """
        stream = (await self._registry.get(stream_id)).stream
        if incarnation not in {"", stream.incarnation}:
            raise NotFound(
                f"incarnation {incarnation} of stream {stream_id!r} is not there: "
                f"the present one is {stream.incarnation}",
                reason="NO_INCARNATION",
            )
        return stream

    async def change(self, stream_id: str, change: Callable[[Stream], Stream]) -> Stream:
        """Change a stream's entry, whoever else does at the same moment; a life that it ends is removed.

        Raises:
            NotFound: NO_STREAM.
            Conflict: STREAM_BUSY.
        """
        for _ in range(_CHANGE_ATTEMPTS):
            found = await self._registry.get(stream_id)
            changed = change(found.stream)
            if changed == found.stream or await self._try_change(found, changed):
                return changed
        raise stream_busy(stream_id)

    async def note_end(self, ledger_id: LedgerId) -> None:
        """Mark a stream as ended whose ledger says so, and keep what can be played of it."""
        for _ in range(_CHANGE_ATTEMPTS):
            found = await self._registry.get(ledger_id.stream_id)
            if found.stream.ledger_id != ledger_id or found.stream.is_over:
                return
            if await self._try_end(found):
                return
        raise stream_busy(ledger_id.stream_id)

    async def replace_life(self, found: Registered, fresh: Stream) -> None:
        """Let a new life of a stream take the place of the one that was found.

        Raises:
            Conflict: The entry changed since.
        """
        await self._remains.bury(found.stream)
        await self._registry.update(fresh, revision=found.revision)
        await self.drop_ledger(found.stream.ledger_id)

    async def drop_ledger(self, ledger_id: LedgerId) -> None:
        """Remove the ledger of a life that is over."""
        self._folds.forget(ledger_id)
        await self._writer.purge(ledger_id)
        await self._heads.delete(ledger_id)

    async def sweep(self) -> None:
        """Remove ledgers that no stream owns: left by a replica that died between registry and ledger.

        An entry of the registry is always older than its ledger. So a ledger without one, listed before the
        registry was asked, has lost it for good.
        """
        ledgers = await self._reader.list_ledgers()
        owned = {stream.ledger_id for stream in await self._registry.list()}
        for ledger_id in ledgers:
            if ledger_id not in owned and await self._is_orphan(ledger_id):
                log.warning("orphaned ledger removed", **{STREAM: ledger_id.stream_id})
                await self.drop_ledger(ledger_id)

    async def _try_change(self, found: Registered, changed: Stream) -> bool:
        try:
            if changed.incarnation != found.stream.incarnation:
                await self.replace_life(found, changed)
            else:
                await self._registry.update(changed, revision=found.revision)
        except Conflict:
            return False
        log.info("stream changed", **{STREAM: changed.stream_id}, state=changed.state)
        return True

    async def _is_orphan(self, ledger_id: LedgerId) -> bool:
        """Ask the registry itself once more, since nothing brings a ledger back."""
        try:
            await self.current(ledger_id.stream_id, incarnation=ledger_id.incarnation)
        except NotFound:
            return True
        return False

    async def _with_present(self, stream: Stream) -> Stream:
        if stream.is_over or stream.state is StreamState.CREATED:
            return stream
        try:
            ledger = (await self._folds.refresh(stream)).ledger
            if ledger.ended:  # the replica that stored the end died before it could say so
                await self.note_end(stream.ledger_id)
                return (await self._registry.get(stream.stream_id)).stream
        except (NotFound, Conflict):  # deleted, or changed again and again, while it was listed
            return stream
        return with_media(stream, ledger)

    async def _try_end(self, found: Registered) -> bool:
        ledger = (await self._folds.refresh(found.stream)).ledger
        if not ledger.ended:
            return True
        ended = end(found.stream, ledger, now=self._now())
        try:
            await self._registry.update(ended, revision=found.revision)
        except Conflict:
            return False
        log.info("stream ended", **{STREAM: ended.stream_id}, state=ended.state)
        return True


def stream_busy(stream_id: str) -> Conflict:
    """Tell that a stream changed each time it was to be changed."""
    return Conflict(f"stream {stream_id!r} keeps changing: try again", reason="STREAM_BUSY")
