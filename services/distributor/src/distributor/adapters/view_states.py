"""States of the fold of views in JetStream, from which a replica that starts goes on.

A state is cut into pieces, which are stored first; then one message names them, by compare-and-set, and
whatever lies before the first of them is dropped.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice

from nats.aio.client import Client
from nats.js import api

from chassis import layout
from chassis.errors import DataLoss
from chassis.messaging import ensure_stream, jetstream
from distributor.adapters.journal import MESSAGE_ID, Journal
from distributor.adapters.view_codec import read_held, read_outline, write_held, write_outline
from distributor.domain.audiences import Held, Outline
from distributor.ports import ViewState

# Well below 1 MiB when compressed, and quick to write, so that nobody waits for it.
_PIECE_COUNT = 250


async def open_view_states(client: Client, *, replicas: int) -> ViewStates:
    """Open the stream of states, made if it is not there yet."""
    config = api.StreamConfig(
        name=layout.VIEW_STATES_STREAM,
        subjects=[layout.VIEW_PIECES_SUBJECT, layout.VIEW_STATE_SUBJECT],
        storage=api.StorageType.FILE,
        num_replicas=replicas,
        allow_direct=True,
    )
    await ensure_stream(jetstream(client), config)
    return ViewStates(Journal(client, layout.VIEW_STATES_STREAM))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Name:
    """What is stored of a state beside its pieces."""

    sequence: int
    """Of the log, up to which the state is the fold."""
    mark: str
    """That the pieces bear."""
    first: int
    """Where the pieces begin, and where they end."""
    last: int
    count: int


class ViewStates:
    """Writes and reads states; implements the port ViewStates."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def newest_sequence(self) -> int:
        """Up to which sequence of the log the newest state reaches; 0: there is none."""
        name, _ = await self._name()
        return name.sequence if name else 0

    async def put(self, sequence: int, outline: Outline, held: Iterable[Held]) -> None:
        """Store a state; Conflict if somebody else did at the same moment."""
        _, name_sequence = await self._name()
        mark = secrets.token_hex(4)
        stored = []
        for number, piece in enumerate(_pieces(outline, held)):
            message_id = f"{mark}/{number}"
            stored.append(await self._journal.add(layout.VIEW_PIECES_SUBJECT, piece, message_id=message_id))
        name = _Name(sequence=sequence, mark=mark, first=stored[0], last=stored[-1], count=len(stored))
        ack = await self._journal.append(
            layout.VIEW_STATE_SUBJECT,
            json.dumps(asdict(name)).encode(),
            expected_sequence=name_sequence,
            message_id=mark,
        )
        await self._journal.purge(layout.VIEW_PIECES_SUBJECT, up_to=name.first - 1)
        await self._journal.purge(layout.VIEW_STATE_SUBJECT, up_to=ack.sequence - 1)

    async def get(self) -> ViewState | None:
        """Read the newest state; None if there is none, DataLoss if a newer one just replaced it."""
        name, _ = await self._name()
        if name is None:
            return None
        pieces = []
        batches = self._journal.read(
            layout.VIEW_PIECES_SUBJECT, after_sequence=name.first - 1, up_to=name.last, count=10
        )
        async for batch in batches:
            pieces += [one.data for one in batch if one.headers[MESSAGE_ID].startswith(name.mark)]
        if len(pieces) < name.count:
            raise DataLoss("the state of views was replaced while it was read", reason="STATE_REPLACED")
        outline, *held = pieces
        return ViewState(
            sequence=name.sequence,
            outline=read_outline(outline),
            held=tuple(one for piece in held for one in read_held(piece)),
        )

    async def _name(self) -> tuple[_Name | None, int]:
        """Read what names the newest state, and its sequence."""
        newest = await self._journal.last_sequence(layout.VIEW_STATE_SUBJECT)
        found: tuple[_Name | None, int] = (None, 0)
        if newest:
            reading = self._journal.read(layout.VIEW_STATE_SUBJECT, after_sequence=newest - 1, up_to=newest)
            async for batch in reading:
                found = (_Name(**json.loads(batch[-1].data)), batch[-1].sequence)
        return found


def _pieces(outline: Outline, held: Iterable[Held]) -> Iterator[bytes]:
    yield write_outline(outline)
    rest = iter(held)
    while piece := tuple(islice(rest, _PIECE_COUNT)):
        yield write_held(piece)
