"""What a publisher is answered: RTMP's NetConnection and NetStream, as much of them as publishing needs.

Pure: messages in, bytes and wishes out. Whoever owns the socket sends the bytes and fulfils the wishes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from transcoder.ingest.publication import PublishClaim
from transcoder.ingest.rtmp import commands
from transcoder.ingest.rtmp.chunk_writer import CHUNK_BYTES, encode_control, encode_message
from transcoder.ingest.rtmp.commands import Command, parse_command
from transcoder.ingest.rtmp.message import Message, MessageType, Refused
from transcoder.ingest.rtmp.publish_name import parse_publish_name

WINDOW_BYTES = 2_500_000
"""How much a peer may send before we acknowledge, until it says otherwise."""
_MESSAGE_STREAM_COUNT = 16
_PING, _PONG, _STREAM_BEGIN = 6, 7, 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a message led to."""

    data: bytes = b""
    """To be sent."""
    claim: PublishClaim | None = None
    """The peer asks to publish: admit it and say `accept`, or `refuse`."""
    ended: bool = False
    """The peer has ended its publication."""


class Conversation:
    """Where the talk with one publisher stands.

    Args:
        peer: Its address, for the claims that it makes.
    """

    def __init__(self, peer: str) -> None:
        self._peer = peer
        self._app: str | None = None
        self._stream_count = 0
        self._stream = 0
        self._publishing = False

    def answer(self, message: Message) -> Answer:
        """Answer a message that is not media.

        Raises:
            RtmpError: It cannot be understood.
            Refused: It asks for what nobody gets here.
        """
        match message.kind:
            case MessageType.COMMAND | MessageType.COMMAND_AMF3:
                return self._obey(parse_command(message))
            case MessageType.USER_CONTROL if message.body[:2] == struct.pack(">H", _PING):
                return Answer(data=_user_control(_PONG, message.body[2:6]))
            case _:
                return Answer()

    def accept(self) -> bytes:
        """Say that the peer may send media."""
        self._publishing = True
        begin = _user_control(_STREAM_BEGIN, struct.pack(">I", self._stream))
        return begin + commands.status(
            self._stream, "status", "NetStream.Publish.Start", "Send what you have."
        )

    def refuse(self, refused: Refused) -> bytes:
        """Say why the peer is turned away."""
        self._publishing = False
        return commands.status(self._stream, "error", refused.code, refused.description)

    def _obey(self, command: Command) -> Answer:
        if command.name == "connect":
            return self._connect(command)
        if self._app is None:
            raise Refused("NetConnection.Connect.Rejected", "send connect first")
        match command.name:
            case "createStream":
                return self._create_stream(command)
            case "publish":
                return self._publish(command, self._app)
            case "FCUnpublish" | "closeStream" | "deleteStream":
                return self._end(command)
            case "play" | "play2":
                self._stream = command.stream
                raise Refused("NetStream.Play.StreamNotFound", "streams are watched over HLS, not over RTMP")
        return Answer(data=_answer_courtesy(command))

    def _connect(self, command: Command) -> Answer:
        if self._app is not None:
            raise Refused("NetConnection.Connect.Rejected", "connected already")
        app = command.details.get("app")
        self._app = app if isinstance(app, str) else ""
        settings = (
            encode_control(MessageType.WINDOW_SIZE, WINDOW_BYTES)
            + encode_control(MessageType.PEER_BANDWIDTH, WINDOW_BYTES)
            + encode_control(MessageType.SET_CHUNK_SIZE, CHUNK_BYTES)
        )
        return Answer(data=settings + commands.connected(command))

    def _create_stream(self, command: Command) -> Answer:
        if self._stream_count >= _MESSAGE_STREAM_COUNT:
            raise Refused("NetStream.Failed", f"at most {_MESSAGE_STREAM_COUNT} streams on one connection")
        self._stream_count += 1
        return Answer(data=commands.result(command, self._stream_count))

    def _publish(self, command: Command, app: str) -> Answer:
        if self._publishing:
            raise Refused("NetStream.Publish.BadName", "this connection publishes already")
        self._stream = command.stream
        return Answer(claim=parse_publish_name(app, command.text(0), self._peer))

    def _end(self, command: Command) -> Answer:
        """End the publication; encoders say so two or three times, each in its own way."""
        ended, self._publishing = self._publishing, False
        data = b""
        if command.name == "FCUnpublish":
            data += commands.published_event("onFCUnpublish", "NetStream.Unpublish.Success", "Stopped.")
        if ended:
            data += commands.status(self._stream, "status", "NetStream.Unpublish.Success", "Stopped.")
        return Answer(data=data, ended=ended)


class Acknowledger:
    """Says how much has come, as often as the peer wants it (RTMP 5.4.3)."""

    def __init__(self) -> None:
        self._window_bytes = WINDOW_BYTES
        self._received_bytes = 0
        self._said_bytes = 0

    def set_window(self, message: Message) -> None:
        """Take a window size that the peer has chosen."""
        self._window_bytes = int.from_bytes(message.body[:4])

    def count(self, received_bytes: int) -> bytes:
        """Take note of bytes that came; return an acknowledgement if one is due: at half of the window."""
        self._received_bytes += received_bytes
        if self._received_bytes - self._said_bytes < max(1, self._window_bytes // 2):
            return b""
        self._said_bytes = self._received_bytes
        return encode_control(MessageType.ACKNOWLEDGEMENT, self._received_bytes & 0xFFFFFFFF)


def _answer_courtesy(command: Command) -> bytes:
    """Answer what changes nothing here."""
    if command.name == "FCPublish":
        return commands.published_event("onFCPublish", "NetStream.Publish.Start", "Go on.")
    if command.name == "releaseStream":
        return commands.result(command)
    if not command.transaction:
        return b""
    return commands.error(command, "NetConnection.Call.Failed", f"{command.name[:80]} is not known here")


def _user_control(event: int, data: bytes) -> bytes:
    return encode_message(Message(kind=MessageType.USER_CONTROL, body=struct.pack(">H", event) + data))
