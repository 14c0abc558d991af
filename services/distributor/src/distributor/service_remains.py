"""What lives of streams leave in storage when they are over, and who still needs it.

An object belongs to the life that made it, and stays as long as that life or a clip names it. A clip names
segments by rendition and number; so a look at the registry tells all that is still needed. When a stream or
a clip goes, a tombstone of the life that made the objects is kept before, and once no playlist that named
them can be held any more, everything that nobody needs is removed below that life's prefix. While the life
goes on, that is what lies before its ledger's head.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from chassis.errors import NotFound
from chassis.layout import stream_prefix
from chassis.telemetry import STREAM, log
from distributor.domain.entries import LedgerId, StoredRecord
from distributor.domain.ledger import fold
from distributor.domain.retention import Place, first_msns, place_of_key, retention_of
from distributor.domain.stream import Cut, Stream
from distributor.folds import Folds, empty_fold
from distributor.ports import Heads, LedgerReader, Objects, Registry, Tombstone, Tombstones


class Remains:
    """Keeps tombstones, and removes what they stand for."""

    def __init__(
        self,
        *,
        registry: Registry,
        reader: LedgerReader,
        heads: Heads,
        folds: Folds,
        objects: Objects,
        tombstones: Tombstones,
        now: Callable[[], datetime],
    ) -> None:
        self._registry = registry
        self._reader = reader
        self._heads = heads
        self._folds = folds
        self._objects = objects
        self._tombstones = tombstones
        self._now = now

    async def bury(self, stream: Stream) -> None:
        """Note that a stream is about to go; if it stays after all, nothing of it will be touched."""
        origin = stream.objects_of
        if origin is None:
            return
        longest_s = retention_of(stream.description).stay_s
        if stream.description.keeps_everything:
            longest_s += await self._duration_s(stream)
        due = self._now() + timedelta(seconds=longest_s)
        await self._tombstones.put(Tombstone(ledger_id=origin, due_time=due))

    async def round(self) -> None:
        """Remove what is due; what fails waits for the next round."""
        for tombstone in await self._tombstones.list():
            if tombstone.due_time > self._now():
                continue
            try:
                count = await self.remove(tombstone.ledger_id)
                await self._tombstones.delete(tombstone.ledger_id)
            except Exception as error:  # noqa: BLE001 - a worker loop: one life must not hold up the others
                log.warning("remains not removed", error=repr(error))
            else:
                name = {STREAM: tombstone.ledger_id.stream_id}
                log.info("remains removed", **name, objects_count=count)

    async def remove(self, ledger_id: LedgerId) -> int:
        """Remove the objects of one life that nobody needs; answers how many."""
        streams = await self._registry.list()
        cuts = [stream.cut for stream in streams if stream.cut and stream.cut.origin == ledger_id]
        life = next((stream for stream in streams if stream.ledger_id == ledger_id), None)
        below = await self._below(life) if life else None
        prefix = stream_prefix(ledger_id.stream_id, ledger_id.incarnation)
        return await self._objects.delete_below(
            prefix, spares=lambda key: _is_needed(place_of_key(key, prefix), below, cuts)
        )

    async def remove_objects(self, keys: Sequence[str]) -> None:
        """Remove objects; some that are gone already are no error."""
        await self._objects.delete(*keys)

    async def _below(self, life: Stream) -> Mapping[str, int]:
        """Of a life that goes on: the oldest segment of each rendition that its ledger names."""
        head = (await self._heads.get(life.ledger_id)).head
        stored = StoredRecord(sequence=head.sequence, wire=head.wire)
        return first_msns(fold(empty_fold(life).ledger, (self._reader.decode(stored),)))

    async def _duration_s(self, stream: Stream) -> float:
        try:
            return (await self._folds.refresh(stream)).ledger.duration_s
        except NotFound:
            return stream.duration_s


def _is_needed(place: Place | None, below: Mapping[str, int] | None, cuts: Sequence[Cut]) -> bool:
    """Whether somebody may ask for an object; `below` is given of a life that goes on."""
    if place is None:  # an init segment, or what else belongs to the whole
        return below is not None or bool(cuts)
    if below is not None and place.msn >= below.get(place.rendition_id, 0):
        return True
    return not place.is_part and any(cut.names(place.rendition_id, place.msn) for cut in cuts)
