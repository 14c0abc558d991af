"""What passes between the web server and the site that it serves: requests and responses.

Neither is frozen, unlike values elsewhere: one of each is made per request, and a frozen one costs
four times as much to make.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus

from hls_gateway.webserver.held import Held

Header = tuple[str, str]


@dataclass(slots=True)
class Request:
    """One request, read whole; its body, if it had any, is gone.

    Args:
        method: In capitals, as sent.
        target: As sent: path and query, or an absolute URI.
        headers: By lower-case name; values of a repeated header are joined by ", ".
        keep_alive: Whether the client wants another answer on this connection.
        client: The address of who is connected, which may be a proxy.
    """

    method: bytes
    target: bytes
    headers: dict[bytes, bytes]
    keep_alive: bool
    client: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """How a body went out.

    Args:
        size_bytes: What was handed to the kernel, or is sure to have been if the connection broke.
        elapsed_s: From the answer's beginning until then.
        paced_bytes: What the client took while it set the pace: it had left our buffers full.
        paced_s: How long it did.
    """

    size_bytes: int
    elapsed_s: float
    paced_bytes: int
    paced_s: float


@dataclass(slots=True)
class Response:
    """One answer.

    Args:
        status: The status code, once more (it is in `head` too), for whoever counts.
        head: Status line and headers as `render_head` makes them, without Date and the final blank line.
        body: The bytes behind the head; not copied, so they must never change.
        pieces: Makes the body piece by piece instead, when it is too large to be held.
        release: Called once when `body` is not needed any more: it was sent, or never will be.
        sent: Called once then, too, with how it went.
        note: What the site wants to remember of it; nothing to the server.
    """

    status: int
    head: bytes
    body: bytes | memoryview = b""
    pieces: Callable[[], AsyncGenerator[bytes]] | None = None
    release: Callable[[], None] | None = None
    sent: Callable[[Sending], None] | None = None
    note: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why the server itself turns a request away, before the site has seen it."""

    status: HTTPStatus
    reason: str
    message: str


# Makes an answer that is not at hand; called once, or never if the client is gone by then.
Later = Callable[[], Awaitable[Response | Held]]
# An answer, how to make it in a task, or a request that is held until somebody has it.
Answer = Response | Later | Held


def render_head(status: HTTPStatus, headers: Iterable[Header]) -> bytes:
    """Render a status line and headers; values must be free of control characters."""
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{name}: {value}" for name, value in headers), ""]
    return "\r\n".join(lines).encode("latin-1")
