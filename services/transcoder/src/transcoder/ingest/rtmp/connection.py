"""One publisher's connection, from handshake to farewell."""

from __future__ import annotations

import asyncio
import math
import os
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chassis.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Unauthenticated,
    WeirError,
)
from transcoder.ingest.publication import PublishClaim, Publishers, Session
from transcoder.ingest.rtmp.chunk_reader import ChunkReader
from transcoder.ingest.rtmp.conversation import Acknowledger, Answer, Conversation
from transcoder.ingest.rtmp.flv import FlvWriter
from transcoder.ingest.rtmp.handshake import NOISE_BYTES, Handshake
from transcoder.ingest.rtmp.limits import RtmpLimits
from transcoder.ingest.rtmp.message import MEDIA, Message, MessageType, Refused, RtmpError
from transcoder.ingest.rtmp.pieces import Pieces
from transcoder.ingest.rtmp.wire import Wire

_CODES: dict[type[WeirError], str] = {
    AlreadyExists: "NetStream.Publish.BadName",
    FailedPrecondition: "NetStream.Publish.Rejected",
    InvalidArgument: "NetStream.Publish.Rejected",
    NotFound: "NetStream.Publish.Denied",
    PermissionDenied: "NetStream.Publish.Denied",
    Unauthenticated: "NetStream.Publish.Denied",
}


class Connection:
    """Talks with one publisher: `serve` does all of it."""

    def __init__(
        self,
        wire: Wire,
        peer: str,
        publishers: Publishers,
        limits: RtmpLimits,
    ) -> None:
        """Take a wire that is closed when all is over, and the name of who is at its other end."""
        self.peer = peer
        self.stream_id = ""
        self._wire = wire
        self._publishers = publishers
        self._limits = limits
        self._conversation = Conversation(self.peer)
        self._acknowledger = Acknowledger()
        self._chunks = ChunkReader(limits.command_bytes)
        self._inbox: deque[Message] = deque()
        self._broken: RtmpError | None = None
        self._bound_bytes = math.inf
        self._feeding: asyncio.Task[None] | None = None

    @property
    def received_bytes(self) -> int:
        return self._wire.received_bytes

    @property
    def is_publishing(self) -> bool:
        return self._feeding is not None

    async def serve(self) -> None:
        """Serve the peer until one side has enough; the socket is closed then.

        Raises:
            RtmpError: The peer broke the protocol or a limit, or was too slow.
            Refused: It was turned away, and told why.
        """
        try:
            async with _deadline(self._limits.handshake_timeout_s, "no handshake"):
                await self._shake_hands()
            while claim := await self._wait_for_claim():
                await self._publish(await self._admit(claim))
        except Refused as refused:
            await self._wire.send(self._conversation.refuse(refused))
            await self._wire.wait_for_leave()
            raise
        finally:
            self._wire.close()

    def stop(self) -> None:
        """Take nothing more from a publisher: its session ends with what came so far."""
        if self._feeding:
            self._feeding.cancel()

    async def _shake_hands(self) -> None:
        handshake = Handshake(os.urandom(NOISE_BYTES))
        while not handshake.is_done:
            data = await self._wire.read()
            if not data:
                raise RtmpError("left during the handshake")
            if answer := handshake.feed(data):
                await self._wire.send(answer)
        self._unpack(handshake.rest)

    async def _wait_for_claim(self) -> PublishClaim | None:
        """Answer the peer until it asks to publish; None if it leaves before."""
        limit_bytes = self._chunks.message_bytes = self._limits.command_bytes
        self._bound_bytes = self.received_bytes + limit_bytes
        async with _deadline(self._limits.publish_timeout_s, "nothing published"):
            while message := await self._receive():
                if message.kind not in MEDIA and (claim := (await self._answer(message)).claim):
                    self._bound_bytes = math.inf
                    return claim
        return None

    async def _admit(self, claim: PublishClaim) -> Session:
        """Ask for the stream; only then is the peer told that it may send.

        Raises:
            Refused: It does not get it.
        """
        try:
            async with asyncio.timeout(self._limits.admit_timeout_s):
                session = await self._publishers.admit(claim)
        except TimeoutError as error:
            raise Refused("NetStream.Failed", "the stream could not be opened in time: try again") from error
        except WeirError as error:
            raise _refusal(error) from error
        self.stream_id = session.stream_id
        return session

    async def _publish(self, session: Session) -> None:
        """Hand the peer's media to its session until either of them ends.

        Raises:
            Refused: The session has failed, or ended before the peer did.
        """
        pieces = Pieces(self._limits.held_bytes)
        refusal = Refused("NetStream.Failed", "the server has ended this: connect again")
        patience = asyncio.timeout(None)
        feeding = self._feeding = asyncio.create_task(self._feed(pieces, patience))
        try:
            async with patience:
                await session.run("flv", pieces)
        except WeirError as error:
            refusal = _refusal(error)
        except TimeoutError:
            refusal = Refused("NetStream.Failed", "the stream takes nothing any more: try again")
        finally:
            self._feeding = None
            feeding.cancel()
            await asyncio.wait([feeding])
        if feeding.cancelled():
            raise refusal
        feeding.result()  # what was wrong with the peer's bytes explains a failure of the session

    async def _feed(self, pieces: Pieces, patience: asyncio.Timeout) -> None:
        """Turn the peer's media into pieces, as fast as the session takes them; it has patience so long."""
        flv = FlvWriter()
        try:
            await self._wire.send(self._conversation.accept())
            self._chunks.message_bytes = self._limits.message_bytes
            while message := await self._next_media():
                if tag := flv.take(message):
                    pieces.add(tag)
                if not pieces.has_room:
                    patience.reschedule(asyncio.get_running_loop().time() + self._limits.stall_timeout_s)
                    await pieces.wait_for_room()
                    patience.reschedule(None)
        finally:
            pieces.end()

    async def _next_media(self) -> Message | None:
        """Wait for a media message, and answer what else comes; None at the end of the publication."""
        async with _deadline(self._limits.idle_timeout_s, "no media"):
            while message := await self._receive():
                if message.kind in MEDIA:
                    return message
                if (await self._answer(message)).ended:
                    return None
        return None

    def _unpack(self, data: bytes) -> None:
        """Put what is whole into the inbox; what broke the protocol behind it is told of afterwards."""
        try:
            for message in self._chunks.feed(data):
                self._inbox.append(message)
        except RtmpError as error:
            self._broken = error

    async def _answer(self, message: Message) -> Answer:
        answer = self._conversation.answer(message)
        if answer.data:
            await self._wire.send(answer.data)
        return answer

    async def _receive(self) -> Message | None:
        """Wait for a message; None once the peer has closed its side."""
        while not self._inbox:
            if self._broken:
                raise self._broken
            data = await self._wire.read()
            if not data:
                return None
            if self.received_bytes > self._bound_bytes:
                raise RtmpError(f"more than {self._limits.command_bytes} bytes before publish")
            self._unpack(data)
            if acknowledgement := self._acknowledger.count(len(data)):
                await self._wire.send(acknowledgement)
        message = self._inbox.popleft()
        if message.kind == MessageType.WINDOW_SIZE:
            self._acknowledger.set_window(message)
        return message


@asynccontextmanager
async def _deadline(limit_s: float, failure: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(limit_s):
            yield
    except TimeoutError as error:
        raise RtmpError(f"{failure} for {limit_s:g} s") from error


def _refusal(error: WeirError) -> Refused:
    """Say in RTMP's words what went wrong."""
    return Refused(_CODES.get(type(error), "NetStream.Failed"), error.message)
