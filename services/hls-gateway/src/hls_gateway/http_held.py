"""Requests that are held until a stream has more to say: reloads of a playlist, and hinted parts."""

from __future__ import annotations

from collections.abc import Callable

from chassis.errors import WeirError
from hls_gateway.domain.blocking import Place
from hls_gateway.domain.names import PlaylistName
from hls_gateway.editions.edition import Edition, again
from hls_gateway.editions.waiting_room import WaitingRoom
from hls_gateway.http_errors import refused
from hls_gateway.webserver.content import Content
from hls_gateway.webserver.held import Held
from hls_gateway.webserver.messages import Answer, Request

Room = WaitingRoom[Edition[Content]]


class _Waiting(Held):
    """One who waits in a room, and leaves it when the client does."""

    __slots__ = ("_place", "_request", "_room")

    def __init__(self, request: Request, room: Room, place: Place) -> None:
        super().__init__()
        self._request = request
        self._room = room
        self._place = place

    def drop(self) -> None:
        """The client is gone."""
        super().drop()
        self._room.leave(self._place, self)

    def arrived(self, edition: Edition[Content]) -> None:
        """Answer with what was waited for."""
        raise NotImplementedError

    def failed(self, error: WeirError) -> None:
        """Say that waiting was in vain."""
        self.give(refused(self._request, again(error)))

    def settle(self, answer: Callable[[], Answer]) -> None:
        """Give the answer, or why there is none; it is not made if the client has gone."""
        if not self.is_waiting:
            return
        try:
            self.give(answer())
        except WeirError as error:
            self.failed(error)


class HeldReload(_Waiting):
    """A blocking reload of a playlist."""

    __slots__ = ("_name", "_skip")

    def __init__(self, request: Request, room: Room, place: Place, name: PlaylistName, *, skip: bool) -> None:
        super().__init__(request, room, place)
        self._name = name
        self._skip = skip

    def arrived(self, edition: Edition[Content]) -> None:
        """Answer with the playlist as it is now."""
        self.settle(lambda: edition.playlist(self._name, skip=self._skip, waited=True).answer(self._request))


class HeldHint(_Waiting):
    """A request for a part that is still being made."""

    __slots__ = ("_deliver",)

    def __init__(
        self,
        request: Request,
        room: Room,
        place: Place,
        deliver: Callable[[HeldHint, Edition[Content]], None],
    ) -> None:
        super().__init__(request, room, place)
        self._deliver = deliver

    def arrived(self, edition: Edition[Content]) -> None:
        """Have the part delivered."""
        try:
            self._deliver(self, edition)
        except WeirError as error:
            self.failed(error)
