"""For tests of RTMP: real ffmpegs that push, and sessions that keep what they are given."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import av
import imageio_ffmpeg

from chassis.errors import AlreadyExists, PermissionDenied, WeirError
from transcoder.ingest.publication import PublishClaim, Session

KEYS = {"key-of-one": "one", "key-of-two": "two"}
"""Stream keys that are let in, and their streams."""


@dataclass
class RecordingSession:
    """Keeps what it is given; runs until the pieces end, or until it is ended."""

    stream_id: str
    demuxer: str = ""
    announced_s: float = 0.0
    flv: bytearray = field(default_factory=bytearray)
    began: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    may_take: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared: it takes nothing."""
    failure: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    """Fails `run` when it gets an exception."""

    def __post_init__(self) -> None:
        self.may_take.set()

    async def run(self, demuxer: str, pieces: AsyncIterator[bytes]) -> None:
        self.demuxer = demuxer
        taking = asyncio.create_task(self._take(pieces))
        try:
            done, _ = await asyncio.wait({taking, self.failure}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            taking.cancel()
            self.ended.set()

    async def wait_for_more(self) -> None:
        """Wait until something more was taken."""
        self.began.clear()
        async with asyncio.timeout(10):
            await self.began.wait()

    async def _take(self, pieces: AsyncIterator[bytes]) -> None:
        async for piece in pieces:
            self.flv += piece
            self.began.set()
            await self.may_take.wait()


class RecordingPublishers:
    """Lets in whoever knows one of KEYS, one at a time for each stream unless it takes over."""

    def __init__(self) -> None:
        self.claims: list[PublishClaim] = []
        self.sessions: list[RecordingSession] = []
        self.may_admit = asyncio.Event()
        self.may_admit.set()
        self._arrivals: asyncio.Queue[RecordingSession] = asyncio.Queue()

    async def admit(self, claim: PublishClaim) -> Session:
        self.claims.append(claim)
        await self.may_admit.wait()
        if claim.stream_key not in KEYS:
            raise PermissionDenied("no stream has this key", reason="STREAM_KEY_UNKNOWN")
        session = RecordingSession(KEYS[claim.stream_key])
        for other in self.sessions:
            if other.stream_id == session.stream_id and not other.ended.is_set():
                self._meet(claim, other)
        self.sessions.append(session)
        self._arrivals.put_nowait(session)
        return session

    async def next_session(self) -> RecordingSession:
        """Wait for the next publisher that is let in."""
        async with asyncio.timeout(20):
            return await self._arrivals.get()

    def _meet(self, claim: PublishClaim, other: RecordingSession) -> None:
        if not claim.take_over:
            raise AlreadyExists("another publisher feeds the stream", reason="PUBLISHER_PRESENT")
        other.failure.set_exception(WeirError("another publisher took the stream over"))


@asynccontextmanager
async def ffmpeg(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run an ffmpeg for the time of a block; it is dead afterwards."""
    process = await asyncio.create_subprocess_exec(
        *(imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostdin", "-loglevel", "error", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def run_ffmpeg(*arguments: str) -> tuple[int, str]:
    """Run an ffmpeg to its end; return its status and what it wrote to stderr."""
    async with asyncio.timeout(60), ffmpeg(*arguments) as process:
        _, stderr = await process.communicate()
        return process.returncode or 0, stderr.decode(errors="replace")


X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "30")


def source(
    seconds: float, *, real_time: bool = False, rate: int = 30, encoder: Sequence[str] = X264
) -> Sequence[str]:
    """Flags of a small picture with a tone."""
    pace = ("-re",) if real_time else ()
    return (
        *(*pace, "-f", "lavfi", "-i", f"testsrc2=size=320x180:rate={rate}:duration={seconds}"),
        *(*pace, "-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=48000:duration={seconds}"),
        *(*encoder, "-c:a", "aac"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Flv:
    """What a decoder finds in an FLV."""

    video: str
    audio: str
    frame_count: int
    """Frames of video."""
    sound_s: float
    """Seconds of audio."""
    times_ms: tuple[int, ...]
    """Decode times of the video's packets."""


def decode_flv(data: bytes | bytearray) -> Flv:
    """Decode all of an FLV."""
    with av.open(io.BytesIO(bytes(data)), "r", format="flv") as container:
        video = next(iter(container.streams.video), None)
        audio = next(iter(container.streams.audio), None)
        frames, sound_s, times = 0, 0.0, []
        for packet in container.demux():
            if packet.stream is video and packet.dts is not None:
                times.append(packet.dts)
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    frames += 1
                elif isinstance(frame, av.AudioFrame):
                    sound_s += frame.samples / frame.sample_rate
        return Flv(
            video=video.codec_context.codec.canonical_name if video else "",
            audio=audio.codec_context.codec.canonical_name if audio else "",
            frame_count=frames,
            sound_s=sound_s,
            times_ms=tuple(times),
        )
