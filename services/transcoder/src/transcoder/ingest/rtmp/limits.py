"""The bounds within which the RTMP server lets publishers take its time and memory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RtmpLimits:
    """What one publisher, and all of them together, may take.

    Args:
        connection_count: Open connections; at one more, the oldest that publishes nothing yet has to go, and
            if all publish, the newcomer.
        handshake_timeout_s: Time from connecting to the end of the handshake.
        publish_timeout_s: Time from there, or from the end of a publication, to the command publish.
        admit_timeout_s: Time in which the stream must be found and opened.
        idle_timeout_s: Longest time between two media messages of a publisher.
        send_timeout_s: Time in which a publisher must take an answer.
        stall_timeout_s: Longest time in which a session may take none of the bytes that are held for it.
        stop_timeout_s: Time that sessions have to end in when the server stops.
        command_bytes: Length of a message that is not media, and of all that is sent before publish.
        message_bytes: Length of a media message: one frame.
        held_bytes: Bytes held for a session; while there are more, its publisher is not read from.
    """

    connection_count: int = 512
    handshake_timeout_s: float = 5.0
    publish_timeout_s: float = 10.0
    admit_timeout_s: float = 15.0
    idle_timeout_s: float = 10.0
    send_timeout_s: float = 5.0
    stall_timeout_s: float = 60.0
    stop_timeout_s: float = 10.0
    command_bytes: int = 64 << 10
    message_bytes: int = 8 << 20
    held_bytes: int = 4 << 20
