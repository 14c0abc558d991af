"""All viewers that a process knows: bounded, and those who are idle are forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from abr.domain.viewer import Viewer

_SHARE = 16
"""One in so many goes when there is no room: a search through all of them should be rare."""
_NOBODY: dict[str, Viewer] = {}


class Crowd:
    """Viewers by stream and id.

    Args:
        limit_count: Viewers at most; for one more, those go who were not heard of for longest.
        idle_s: How long a viewer is remembered after it was heard of last, seconds.
    """

    def __init__(self, *, limit_count: int, idle_s: float) -> None:
        self._limit_count = limit_count
        self._idle_s = idle_s
        self._streams: dict[str, dict[str, Viewer]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Viewer]:
        """Go through all of them; who joins or leaves meanwhile may be passed over."""
        for viewers in tuple(self._streams.values()):
            yield from tuple(viewers.values())

    def get(self, stream_id: str, viewer_id: str) -> Viewer | None:
        """Look a viewer up."""
        return self._streams.get(stream_id, _NOBODY).get(viewer_id)

    def of_stream(self, stream_id: str) -> Mapping[str, Viewer]:
        """All viewers of a stream by their ids, as they are now."""
        return self._streams.get(stream_id, _NOBODY)

    def add(self, viewer: Viewer) -> None:
        """Take a viewer in, in the place of one of the same name."""
        viewers = self._streams.setdefault(viewer.stream.stream_id, {})
        if viewer.viewer_id not in viewers:
            self._count += 1
        viewers[viewer.viewer_id] = viewer
        if self._count > self._limit_count:
            self._make_room(viewer)

    def is_idle(self, heard_s: float, now_s: float) -> bool:
        """Whether who was heard of then is forgotten by now."""
        return now_s - heard_s > self._idle_s

    def expire(self, viewers: Iterable[Viewer], now_s: float) -> int:
        """Forget the idle among some who were here a moment ago; how many they were."""
        idle = [viewer for viewer in viewers if self.is_idle(viewer.heard_s, now_s) and self._holds(viewer)]
        for viewer in idle:
            self._remove(viewer)
        return len(idle)

    def _make_room(self, newest: Viewer) -> None:
        others = sorted(
            (viewer for viewer in self if viewer is not newest), key=lambda viewer: viewer.heard_s
        )
        for viewer in others[: max(self._limit_count // _SHARE, 1)]:
            self._remove(viewer)

    def _holds(self, viewer: Viewer) -> bool:
        return self.get(viewer.stream.stream_id, viewer.viewer_id) is viewer

    def _remove(self, viewer: Viewer) -> None:
        stream_id = viewer.stream.stream_id
        viewers = self._streams[stream_id]
        del viewers[viewer.viewer_id]
        self._count -= 1
        if not viewers:
            del self._streams[stream_id]
