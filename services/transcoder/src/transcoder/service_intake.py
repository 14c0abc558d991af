"""Use-cases that bring a recording's bytes in: uploads and fetches are stored, probed, put in force.

Bytes count only when it is certain that they are whole: the end of a gRPC stream proves nothing, since
grpc.aio ends a broken one as if it were complete.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from functools import partial

from chassis import layout
from chassis.errors import Conflict, InvalidArgument, NotFound, ResourceExhausted, Unavailable, WeirError
from chassis.telemetry import RECORDING, log
from transcoder.domain import recording as steps
from transcoder.domain.recording import Recording, RecordingState, StoredSource
from transcoder.domain.source import Source
from transcoder.domain.wholeness import Promise
from transcoder.ports import (
    Clock,
    Delivery,
    Fetcher,
    MediaFolders,
    MediaStore,
    ProbeArchive,
    Prober,
    RecordingStore,
    SourceFiles,
)
from transcoder.service_beat import while_beating
from transcoder.service_receive import Limits, Receiver, UploadPiece
from transcoder.service_recordings import change_recording

BEAT_S = 4.0  # well below ARRIVAL_SILENCE; a queue that is less patient needs more
FETCH_TRIES = 4
FETCH_RETRY_S = 2.0
# A task is published before its record is written: how long to wait for the record.
RECORD_WAIT_S = 30.0
RECORD_POLL_S = 0.1
ROOM_POLL_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What intake works with."""

    recordings: RecordingStore
    media: MediaStore
    folders: MediaFolders
    files: SourceFiles
    probes: ProbeArchive
    probe: Prober
    fetcher: Fetcher
    clock: Clock


@dataclass(slots=True, kw_only=True)
class _Arriving:
    """One arrival of bytes, as this process knows it."""

    recording_id: str
    token: str
    state: RecordingState
    place: str  # where its objects go; no other arrival has the same
    is_in_force: bool = False  # its bytes are the recording's source
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Whoever holds it changes the record: nothing is left to beat for once the arrival is in force."""


class Intake:
    """Brings sources in."""

    def __init__(self, ports: Ports, limits: Limits, *, beat_s: float = BEAT_S) -> None:
        self._ports = ports
        self._limits = limits
        self._beat_s = beat_s

    async def upload(
        self, recording_id: str, promise: Promise, pieces: AsyncIterator[UploadPiece]
    ) -> Recording:
        """Take an upload in; answers the probed recording. Nothing of a refused or broken one stays.

        Raises:
            NotFound: There is no such recording.
            Conflict: Another upload is under way.
            FailedPrecondition: The recording has been transcoded.
            InvalidArgument: Not whole, too large, or no media; the message says what is wrong.
            DeadlineExceeded: Nothing came for too long.
        """
        token = layout.new_attempt()
        arriving = _Arriving(
            recording_id=recording_id, token=token, state=RecordingState.UPLOADING, place=token
        )
        await self._change(arriving, steps.begin_arrival)
        receiver = Receiver(promise, self._limits)
        try:
            return await self._take_in(arriving, receiver, pieces)
        except InvalidArgument as error:
            # What is wrong with the media stays readable; a broken transfer leaves things as they were.
            await self._abandon(arriving, error.message if arriving.state is RecordingState.PROBING else "")
            raise
        except BaseException:
            await self._abandon(arriving, "")
            raise

    async def fetch(self, delivery: Delivery) -> None:
        """Fetch what a recording's source_url names; the recording tells how it went."""
        task = delivery.task
        kept = await self._ports.recordings.get(task.recording_id)
        if kept is None and delivery.age_s < RECORD_WAIT_S:
            await delivery.retry(RECORD_POLL_S)
            return
        if kept and kept.value.arrival and kept.value.arrival.token == task.job_id:
            await self._fetch(delivery, kept.value)
        else:
            await delivery.ack()

    async def adopt(self, recording_id: str, key: str) -> StoredSource:
        """Probe an object that is in storage already, to be used as a recording's source.

        Raises:
            NotFound: There is no such object.
            InvalidArgument: It is no media.
        """
        size_bytes = await self._ports.media.size(key)
        media = await self._probe(key)
        place = hashlib.sha256(key.encode()).hexdigest()[:8]
        source = StoredSource(
            key=key,
            size_bytes=size_bytes,
            sha256="",
            owned=False,
            media=_summary(media),
            probe_key=layout.probe_key(recording_id, place),
        )
        await self._ports.probes.put(source.probe_key, media)
        return source

    async def _fetch(self, delivery: Delivery, recording: Recording) -> None:
        arriving = _Arriving(
            recording_id=recording.recording_id,
            token=delivery.task.job_id,
            state=RecordingState.FETCHING,
            place=layout.new_attempt(),
        )
        pieces = _as_pieces(self._ports.fetcher.fetch(recording.source_url))
        try:
            await self._take_in(arriving, Receiver(Promise(), self._limits), pieces, delivery)
        except Unavailable as error:
            if delivery.deliveries_count < FETCH_TRIES:
                await delivery.retry(FETCH_RETRY_S)
                return
            await self._abandon(arriving, error.message)
        except Conflict:
            log.info(
                "fetch given up: the recording is gone, or filled otherwise",
                **{RECORDING: recording.recording_id},
            )
        except WeirError as error:
            await self._abandon(arriving, error.message)
        await delivery.ack()

    async def _take_in(
        self,
        arriving: _Arriving,
        receiver: Receiver,
        pieces: AsyncIterator[UploadPiece],
        delivery: Delivery | None = None,
    ) -> Recording:
        """Store, probe and put in force; on any failure before that what was stored is removed."""
        try:
            return await while_beating(
                self._store_and_probe(arriving, receiver, pieces), self._beat(arriving, delivery)
            )
        except BaseException:
            if not arriving.is_in_force:
                place = layout.source_key(arriving.recording_id, arriving.place).rpartition("/")[0]
                await self._ports.folders.remove(f"{place}/")
            raise

    async def _store_and_probe(
        self, arriving: _Arriving, receiver: Receiver, pieces: AsyncIterator[UploadPiece]
    ) -> Recording:
        key = layout.source_key(arriving.recording_id, arriving.place)
        await self._ports.media.put_stream(key, receiver.blocks(pieces))
        arriving.state = RecordingState.PROBING
        await self._change(arriving, steps.advance_arrival)
        media = await self._probe(key)
        source = StoredSource(
            key=key,
            size_bytes=receiver.size_bytes,
            sha256=receiver.sha256,
            owned=True,
            media=_summary(media),
            probe_key=layout.probe_key(arriving.recording_id, arriving.place),
        )
        await self._ports.probes.put(source.probe_key, media)
        now = self._ports.clock()
        async with arriving.turn:
            recording = await change_recording(
                self._ports.recordings,
                arriving.recording_id,
                partial(steps.complete_arrival, token=arriving.token, source=source, now=now),
            )
            arriving.is_in_force = True
        await self._remove_others(arriving)
        return recording

    async def _probe(self, key: str) -> Source:
        """Look into a stored object; as long as there is no room for a copy of it, wait."""
        while True:
            try:
                async with self._ports.files.open(key) as path:
                    return await self._ports.probe(path)
            except ResourceExhausted:
                await asyncio.sleep(ROOM_POLL_S)

    async def _beat(self, arriving: _Arriving, delivery: Delivery | None) -> None:
        while True:
            await asyncio.sleep(self._beat_s)
            if delivery:
                await delivery.extend()
            async with arriving.turn:
                if not arriving.is_in_force:
                    await self._change(arriving, steps.advance_arrival)

    async def _change(self, arriving: _Arriving, step: steps.ArrivalStep) -> None:
        await change_recording(
            self._ports.recordings,
            arriving.recording_id,
            partial(step, token=arriving.token, state=arriving.state, now=self._ports.clock()),
        )

    async def _abandon(self, arriving: _Arriving, error: str) -> None:
        """Take the recording back to what it was, if it is still there and still ours."""
        try:
            await change_recording(
                self._ports.recordings,
                arriving.recording_id,
                partial(steps.abandon_arrival, token=arriving.token, error=error, now=self._ports.clock()),
            )
        except (NotFound, Conflict):
            log.info(
                "arrival given up after its recording went on without it",
                **{RECORDING: arriving.recording_id},
            )

    async def _remove_others(self, arriving: _Arriving) -> None:
        """Remove what earlier arrivals left: a replaced source, the pieces of a broken upload."""
        prefix = layout.recording_prefix(arriving.recording_id)
        await self._ports.folders.remove(prefix, keep=f"{prefix}{arriving.place}/")


def _summary(media: Source) -> Source:
    """Leave out the keyframe times: there may be thousands."""
    return replace(media, video=replace(media.video, keyframe_times_s=())) if media.video else media


async def _as_pieces(blocks: AsyncIterator[bytes]) -> AsyncIterator[UploadPiece]:
    """A fetcher raises if its source breaks off, so the end of its blocks is the end of the source."""
    async for block in blocks:
        yield UploadPiece(data=block)
    yield UploadPiece(data=b"", last=True)
