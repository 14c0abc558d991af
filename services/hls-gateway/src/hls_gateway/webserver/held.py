"""An answer that somebody else will give, later: a request is held for it without a task of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hls_gateway.webserver.messages import Answer


class Held:
    """One held request; ten thousand of them are held at a time, so it is kept small.

    Whoever makes one sees to it that `give` is called before long, or else `drop` was.
    """

    __slots__ = ("_send",)

    def __init__(self) -> None:
        self._send: Callable[[Answer], None] | None = None

    @property
    def is_waiting(self) -> bool:
        """Tell whether there is still somebody to answer."""
        return self._send is not None

    def attach(self, send: Callable[[Answer], None]) -> None:
        """Say where the answer is to go; called once."""
        self._send = send

    def give(self, answer: Answer) -> None:
        """Answer; nothing happens if the client is gone."""
        send, self._send = self._send, None
        if send:
            send(answer)

    def drop(self) -> None:
        """The client is gone: nobody waits for the answer any more."""
        self._send = None


class Relayed(Held):
    """A held request of which the answer is looked at on its way."""

    __slots__ = ("_held", "_look")

    def __init__(self, held: Held, look: Callable[[Answer], Answer]) -> None:
        super().__init__()
        self._held = held
        self._look = look

    def attach(self, send: Callable[[Answer], None]) -> None:
        """Say where the answer is to go; called once."""
        look = self._look
        self._held.attach(lambda answer: send(look(answer)))

    def drop(self) -> None:
        """Pass it on."""
        self._held.drop()
