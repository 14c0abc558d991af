"""What publishers ask for, and what they are answered (RTMP 7.2): commands as values, answers as messages."""

from __future__ import annotations

from dataclasses import dataclass

from transcoder.ingest.rtmp.amf import AmfError, AmfValue, decode_amf, encode_amf
from transcoder.ingest.rtmp.chunk_writer import encode_message
from transcoder.ingest.rtmp.message import Message, MessageType, RtmpError

FOURCC_CODECS = ("avc1", "hvc1", "av01", "vp09", "mp4a", "Opus", "fLaC", "ac-3", "ec-3", ".mp3")
"""What we take of E-RTMP's codecs; ffmpeg reads them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command of a publisher."""

    name: str
    transaction: float
    """0: no answer is expected."""
    details: dict[str, AmfValue]
    """The command object; empty where there is none."""
    arguments: tuple[AmfValue, ...]
    stream: int
    """The message stream that it is about."""

    def text(self, number: int) -> str:
        """Return an argument that should be text; empty if it is not there, or something else."""
        value = self.arguments[number] if number < len(self.arguments) else None
        return value if isinstance(value, str) else ""


def parse_command(message: Message) -> Command:
    """Read a command.

    Raises:
        RtmpError: It is none.
    """
    # The AMF 3 form is one byte, which says "AMF 0", and then AMF 0 (RTMP 7.1.1).
    body = message.body[1:] if message.kind == MessageType.COMMAND_AMF3 else message.body
    try:
        name, transaction, details, *arguments = [*decode_amf(body), None, None, None]
    except AmfError as error:
        raise RtmpError(f"a command that cannot be read: {error}") from error
    if not isinstance(name, str) or not (transaction is None or isinstance(transaction, float)):
        raise RtmpError("a command without a name, or with a transaction that is no number")
    return Command(
        name=name,
        transaction=transaction or 0.0,
        details=details if isinstance(details, dict) else {},
        arguments=tuple(arguments),
        stream=message.stream,
    )


def connected(command: Command) -> bytes:
    """Say that an application was found."""
    offer = {"fmsVer": "FMS/3,5,7,7009", "capabilities": 31}  # what encoders know from Flash's server
    status: dict[str, object] = {
        **_status("status", "NetConnection.Connect.Success", "Connection succeeded."),
        "objectEncoding": 0,
    }
    if "fourCcList" in command.details:  # E-RTMP "Enhancing NetConnection connect Command"
        status["fourCcList"] = FOURCC_CODECS
    return _invoke("_result", command.transaction, offer, status)


def result(command: Command, *values: object) -> bytes:
    """Answer a command that succeeded."""
    return _invoke("_result", command.transaction, None, *values)


def error(command: Command, code: str, description: str) -> bytes:
    """Answer a command that failed."""
    return _invoke("_error", command.transaction, None, _status("error", code, description))


def status(stream: int, level: str, code: str, description: str) -> bytes:
    """Tell what became of a message stream.

    Args:
        stream: The message stream.
        level: "status", or "error", at which publishers give up.
        code: Such as NetStream.Publish.Start.
        description: For people.
    """
    return _invoke("onStatus", 0, None, _status(level, code, description), stream=stream)


def published_event(name: str, code: str, description: str) -> bytes:
    """Say what Flash's encoder waits for after FCPublish and FCUnpublish."""
    return _invoke(name, 0, None, _status("status", code, description))


def _status(level: str, code: str, description: str) -> dict[str, object]:
    return {"level": level, "code": code, "description": description}


def _invoke(name: str, transaction: float, *values: object, stream: int = 0) -> bytes:
    body = encode_amf(name, transaction, *values)
    return encode_message(Message(kind=MessageType.COMMAND, stream=stream, body=body))
