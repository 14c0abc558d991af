"""Live sessions with a scripted encoder: each byte of a publisher becomes one part.

Everything else is real: the distributor, NATS, the storage. A `Node` is what a transcoder is to live streams.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

from weir.distributor.v1 import distributor_pb2 as api

from chassis import layout
from chassis.grpc_client import open_channel
from chassis.messaging import ensure_bucket
from chassis.nats_connection import connect
from chassis.storage import open_store
from support.distributor import Distributor
from transcoder.adapters.known_heads import KvKnownHeads
from transcoder.adapters.live_beats import NatsBeats
from transcoder.adapters.live_ledger import LiveLedgerClient
from transcoder.adapters.live_settings import LiveSettingsClient
from transcoder.adapters.media_store import ObjectMediaStore
from transcoder.config import TranscoderConfig
from transcoder.domain.encoding import EncodeError
from transcoder.domain.ladder import NAMED_RUNGS
from transcoder.domain.live_cutter import (
    LiveMedia,
    LiveOutput,
    LivePart,
    LiveRenditionEnd,
    LiveSegment,
)
from transcoder.domain.live_plan import LivePlan
from transcoder.domain.live_settings import LiveSettings
from transcoder.domain.live_speed import LiveProgress
from transcoder.domain.packager import MediaKind, RenditionInfo
from transcoder.domain.source import AudioTrack, Source, VideoTrack
from transcoder.domain.thumbnails import THUMBNAILS_RENDITION_ID
from transcoder.ingest.publication import PublishClaim
from transcoder.live.admission import Admission
from transcoder.live.closing import Closing
from transcoder.live.ownership import OwnerRules, Owners
from transcoder.live.session import LiveSession, Ports, SessionRules

PART_S = 1 / 3  # the ledger takes no part that is longer
PARTS_PER_SEGMENT = 4
SOURCE = Source(
    demuxer="mpegts",
    container="MPEG-TS",
    size_bytes=1,
    duration_s=1.0,
    video=VideoTrack(
        stream_index=0,
        codec="h264",
        width_pixels=640,
        height_pixels=360,
        coded_width_pixels=640,
        coded_height_pixels=360,
        sample_aspect_ratio=Fraction(1),
        rotation_degrees=0,
        frame_rate=Fraction(30),
        busy_frame_rate=Fraction(30),
        constant_frame_rate=True,
        frame_count=30,
        start_s=0.0,
        duration_s=1.0,
        keyframe_times_s=(0.0,),
    ),
    audio=AudioTrack(
        stream_index=1, codec="aac", sample_rate_hz=48_000, channel_count=2, start_s=0.0, duration_s=1.0
    ),
)


@dataclass(slots=True)
class ScriptedProbe:
    """Finds in anything what the test wants."""

    source: Source = SOURCE
    looks_count: int = 0

    async def look(self, head: bytes, demuxer: str, *, is_whole: bool) -> Source:
        self.looks_count += 1
        return self.source


def rendition_info(rendition_id: str) -> RenditionInfo:
    """Describe a rendition as an encoder does."""
    if rendition_id == "audio":
        return RenditionInfo(
            rendition_id="audio",
            name="Audio",
            media_kind=MediaKind.AUDIO,
            codecs="mp4a.40.2",
            target_bps=128_000,
            peak_bps=128_000,
            sample_rate_hz=48_000,
            channel_count=2,
            init=b"init of audio",
        )
    return RenditionInfo(
        rendition_id=rendition_id,
        name=rendition_id,
        media_kind=MediaKind.VIDEO,
        codecs="avc1.64001f",
        width_pixels=640,
        height_pixels=360,
        frame_rate=Fraction(30),
        target_bps=500_000,
        peak_bps=750_000,
        init=b"init of " + rendition_id.encode(),
    )


class ScriptedCutter:
    """Makes a part of each byte, and a segment of each so many parts."""

    def __init__(self, info: RenditionInfo, *, has_parts: bool) -> None:
        self._info = info
        self._has_parts = has_parts
        self._count = 0
        self._open: list[bytes] = []

    def take(self, byte: int) -> list[LiveMedia]:
        data = b"%s/%d:%c;" % (self._info.rendition_id.encode(), self._count, byte)
        made: list[LiveMedia] = []
        if self._has_parts:
            made.append(
                LivePart(
                    rendition=self._info,
                    segment=self._count // PARTS_PER_SEGMENT,
                    part=len(self._open),
                    start_s=self._count * PART_S,
                    duration_s=PART_S,
                    independent=not self._open,
                    data=data,
                )
            )
        self._open.append(data)
        self._count += 1
        return [*made, *(self.finish() if len(self._open) == PARTS_PER_SEGMENT else [])]

    def finish(self) -> list[LiveMedia]:
        if not self._open:
            return []
        first = self._count - len(self._open)
        segment = LiveSegment(
            rendition=self._info,
            segment=first // PARTS_PER_SEGMENT,
            start_s=first * PART_S,
            duration_s=len(self._open) * PART_S,
            data=b"".join(self._open),
        )
        self._open.clear()
        return [segment]


class Gate:
    """What lies between an encoder and what it makes."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.given_count = 0
        """Bytes that encoders were given."""


class ScriptedEncode:
    """See `live.ports.LiveEncode`."""

    def __init__(self, plan: LivePlan, gate: Gate) -> None:
        self._gate = gate
        self._cutters = [
            ScriptedCutter(rendition_info(rendition_id), has_parts=bool(plan.part_target_s))
            for rendition_id in plan.rendition_ids
            if rendition_id != THUMBNAILS_RENDITION_ID
        ]
        self._rungs = self._cutters[: len(plan.ladder)]
        self._leaving: ScriptedCutter | None = None
        self._made: asyncio.Queue[LiveOutput | None] = asyncio.Queue()

    @property
    def is_dropping(self) -> bool:
        return self._leaving is not None

    def drop_top_rung(self) -> None:
        self._leaving = self._rungs.pop()

    async def write(self, data: bytes) -> None:
        self._gate.given_count += len(data)
        for byte in data:
            for cutter in tuple(self._cutters):
                made = cutter.take(byte)
                self._put(made)
                if cutter is self._leaving and isinstance(made[-1], LiveSegment):
                    self._put([LiveRenditionEnd(rendition=made[-1].rendition)])
                    self._cutters.remove(cutter)
                    self._leaving = None

    async def finish(self) -> None:
        for cutter in self._cutters:
            self._put(cutter.finish())
        self._made.put_nowait(None)

    async def outputs(self) -> AsyncGenerator[LiveOutput]:
        while (piece := await self._made.get()) is not None:
            await self._gate.open.wait()
            yield piece

    def _put(self, made: Sequence[LiveOutput]) -> None:
        for piece in made:
            self._made.put_nowait(piece)


class ScriptedEncoder:
    """See `live.ports.LiveEncoder`; `note` tells the running session how fast it is."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.failure: EncodeError | None = None
        self.running_count = 0
        self.plans: list[LivePlan] = []
        self.note: Callable[[LiveProgress], None] = lambda _: None

    @asynccontextmanager
    async def encode(
        self, plan: LivePlan, *, on_progress: Callable[[LiveProgress], None]
    ) -> AsyncIterator[ScriptedEncode]:
        if self.failure:
            raise self.failure
        self.plans.append(plan)
        self.note = on_progress
        self.running_count += 1
        try:
            yield ScriptedEncode(plan, self.gate)
        finally:
            self.running_count -= 1


class Wire:
    """What a publisher sends, at the will of the test."""

    def __init__(self) -> None:
        self._pieces: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()

    def send(self, count: int = 1) -> None:
        """Send media for so many parts."""
        self.send_bytes(b"x" * count)

    def send_bytes(self, data: bytes) -> None:
        self._pieces.put_nowait(data)

    def hang_up(self, error: Exception | None = None) -> None:
        self._pieces.put_nowait(error)

    async def pieces(self) -> AsyncGenerator[bytes]:
        while piece := await self._pieces.get():
            if isinstance(piece, Exception):
                raise piece
            yield piece


@dataclass(slots=True, kw_only=True)
class Connection:
    """A publisher that was let in."""

    wire: Wire
    session: LiveSession
    running: asyncio.Task[None]

    async def hang_up(self) -> None:
        """Close the connection, and wait until the session is over."""
        self.wire.hang_up()
        await self.running


@dataclass(slots=True, kw_only=True)
class Node:
    """A transcoder, as far as live streams go."""

    admission: Admission
    owners: Owners
    encoder: ScriptedEncoder
    media: ObjectMediaStore
    probe: ScriptedProbe
    known_heads: KvKnownHeads
    connections: list[Connection] = field(default_factory=list)

    async def publish(self, stream_key: str, parts_count: int = 0, *, take_over: bool = False) -> Connection:
        """Connect as a publisher, and send media for so many parts."""
        claim = PublishClaim(protocol="test", peer="test", stream_key=stream_key, take_over=take_over)
        return self._connect(await self.admission.admit(claim), b"x" * parts_count)

    async def publish_flv(self, stream_key: str, data: bytes) -> Connection:
        """Connect as a publisher who sends FLV."""
        claim = PublishClaim(protocol="test", peer="test", stream_key=stream_key)
        return self._connect(await self.admission.admit(claim), data, "flv")

    async def pull(self, settings: LiveSettings, parts_count: int) -> Connection:
        """Pull a source, and get media for so many parts."""
        return self._connect(await self.admission.begin(settings, "pull"), b"x" * parts_count)

    def _connect(self, session: LiveSession, data: bytes, demuxer: str = "mpegts") -> Connection:
        wire = Wire()
        if data:
            wire.send_bytes(data)
        running = asyncio.create_task(session.run(demuxer, wire.pieces()))
        connection = Connection(wire=wire, session=session, running=running)
        self.connections.append(connection)
        return connection


@asynccontextmanager
async def running_node(
    nats_url: str, distributor_address: str, objects: Path, *, owner: str = "here", hold_s: float = 30.0
) -> AsyncIterator[Node]:
    """Run what a transcoder has for live streams; leaving the block is what SIGTERM does."""
    config = TranscoderConfig(nats_url=nats_url, storage_url=f"file://{objects}")
    async with connect(config, name=owner) as client, open_channel(distributor_address) as channel:
        media = ObjectMediaStore(open_store(config.storage_url))
        settings = LiveSettingsClient(channel, rungs=NAMED_RUNGS)
        owners = Owners(
            ledger=LiveLedgerClient(channel, owner=owner),
            settings=settings,
            beats=NatsBeats(client),
            rules=OwnerRules(owner=owner, hold_s=hold_s, look_s=0.3),
            end=Closing(media, hold_s=hold_s).end,
        )
        encoder, probe = ScriptedEncoder(), ScriptedProbe()
        known_heads = KvKnownHeads(await ensure_bucket(client, layout.KNOWN_HEADS_BUCKET, replicas=1))
        ports = Ports(
            media=media,
            settings=settings,
            probe=probe.look,
            known_heads=known_heads,
            encoder=encoder,
            clock=lambda: datetime.now(UTC),
        )
        admission = Admission(owners, ports, SessionRules(hold_s=hold_s))
        node = Node(
            admission=admission,
            owners=owners,
            encoder=encoder,
            media=media,
            probe=probe,
            known_heads=known_heads,
        )
        try:
            async with admission.open():
                yield node
        finally:
            for connection in node.connections:
                connection.wire.hang_up()
            await asyncio.gather(*(one.running for one in node.connections), return_exceptions=True)


async def create_live(distributor: Distributor, stream_id: str = "cam", **fields: Any) -> str:
    """Create a stream of two renditions, pushed; answers its key."""
    request = api.CreateStreamRequest(
        **{"stream_id": stream_id, "target_duration": 2, "transcode_profiles": ["VeryLow"], **fields}
    )
    created: api.Stream = await distributor.streams.CreateStream(request)
    return created.ingest.stream_key
