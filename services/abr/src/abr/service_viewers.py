"""Viewers known here, and those whom another process knew: their state outlives the process that holds it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

from abr.domain.crowd import Crowd
from abr.domain.snapshot import read_snapshot, times_s, write_snapshot
from abr.domain.stream import Stream
from abr.domain.viewer import Viewer
from abr.ports import Replicas, Snapshot, Snapshots

BATCH_COUNT = 64
"""Viewers that are saved together: waiting for an answer costs as much as to write dozens."""
WRITE_COUNT = 16
"""Viewers that are written before others get a turn."""
SCAN_COUNT = 1_000
"""Viewers that are looked at before others get a turn."""


class Viewers:
    """The crowd, with its memory outside the process.

    Args:
        crowd: Who is known.
        snapshots: The memory.
        replicas: Who else may have heard of a viewer.
        interval_s: How often a viewer is saved at most, seconds, unless it is new or plays something else.
        now: The clock, seconds since 1970.
    """

    def __init__(
        self,
        crowd: Crowd,
        snapshots: Snapshots,
        replicas: Replicas,
        *,
        interval_s: float,
        now: Callable[[], float],
    ) -> None:
        self._crowd = crowd
        self._snapshots = snapshots
        self._replicas = replicas
        self._interval_s = interval_s
        self._now = now
        self._saving = asyncio.Lock()
        self._urgent: dict[Viewer, float] = {}
        """Who was never saved, or plays something else than was saved, and since when."""

    @property
    def may_remember(self) -> bool:
        """Whether somebody unknown may be known outside."""
        return self._snapshots.is_open

    def known(self, stream: Stream, viewer_id: str) -> Viewer | None:
        """Look up who is known here, and let it see what the stream has become."""
        viewer = self._crowd.get(stream.stream_id, viewer_id)
        if viewer and viewer.stream is not stream:
            viewer.go_over(stream)
        return viewer

    def heard_of(self, stream_id: str) -> Sequence[Viewer]:
        """All who are known here and were heard of lately."""
        now_s = self._now()
        viewers = tuple(self._crowd.of_stream(stream_id).values())
        return [viewer for viewer in viewers if not self._crowd.is_idle(viewer.heard_s, now_s)]

    def is_newest(self, viewer: Viewer) -> bool:
        """Whether nobody else can know more of it: it was just measured here, or we are alone since then."""
        return max(viewer.sampled_s, viewer.checked_s) > self._doubtful_s()

    def newest(
        self, sessions: Iterable[tuple[str, str]], streams: Mapping[str, Stream | None]
    ) -> list[Viewer | None]:
        """Look many up who are known here; None: nobody, or another process may know more by now.

        Args:
            sessions: Streams, and who watches them.
            streams: Each of these streams; None: there is no such.
        """
        doubtful_s, found = self._doubtful_s(), []
        crowds = {stream_id: self._crowd.of_stream(stream_id) for stream_id in streams}
        for stream_id, viewer_id in sessions:
            viewer, stream = crowds[stream_id].get(viewer_id), streams[stream_id]
            if not viewer or not stream or viewer.sampled_s <= doubtful_s >= viewer.checked_s:
                viewer = None
            elif viewer.stream is not stream:
                viewer.go_over(stream)
            found.append(viewer)
        return found

    def _doubtful_s(self) -> float:
        """Who was neither measured nor looked up since then may be known better by another process."""
        return min(self._now() - self._interval_s, self._replicas.heard_s)

    async def find(self, stream: Stream, viewer_id: str) -> Viewer | None:
        """Look a viewer up here and outside: another process may have heard of it since we did."""
        viewer = self.known(stream, viewer_id)
        if viewer and self.is_newest(viewer):
            return viewer
        data = await self._snapshots.load(stream.stream_id, viewer_id)
        viewer = self.known(stream, viewer_id)  # it may have come meanwhile
        if viewer:
            viewer.checked_s = self._now()
        if data and times_s(data) > (viewer.times_s if viewer else (0.0, 0.0)):
            return self._restore(data, stream) or viewer
        return viewer

    async def enter(self, stream: Stream, viewer_id: str) -> Viewer:
        """Find a viewer, or begin with it."""
        return await self.find(stream, viewer_id) or self.begin(stream, viewer_id)

    def begin(self, stream: Stream, viewer_id: str) -> Viewer:
        """Take a viewer in of whom nothing is known."""
        now_s = self._now()
        viewer = Viewer(viewer_id, stream, now_s)
        self._crowd.add(viewer)
        self._urgent[viewer] = now_s
        return viewer

    def note_change(self, viewer: Viewer) -> None:
        """Have a viewer saved soon, if it plays something else than was saved."""
        if viewer.current != viewer.saved_current:
            self._urgent.setdefault(viewer, self._now())

    async def expire(self) -> None:
        """Forget the idle."""
        for turn in _batches(tuple(self._crowd), SCAN_COUNT):
            self._crowd.expire(turn, self._now())
            await asyncio.sleep(0)

    async def save(self, *, over_s: float = 0.0) -> None:
        """Save all who changed since they were saved, spread over a time, but who is saved meanwhile.

        Who is measured by another process is saved by that one: it knows more.
        """
        latest_s = self._now() - over_s
        changed: list[Viewer] = []
        for turn in _batches(tuple(self._crowd), SCAN_COUNT):
            changed += [viewer for viewer in turn if viewer.heard_s > viewer.saved_s and viewer.is_ours]
            await asyncio.sleep(0)
        batches = _batches(changed, BATCH_COUNT)
        for batch in batches:
            await self._save([viewer for viewer in batch if viewer.saved_s <= latest_s])
            await asyncio.sleep(over_s / len(batches))

    async def save_urgent(self) -> None:
        """Save who was never saved since it was measured, or plays something else: nobody else knows that.

        Who cannot be saved, or is not measured within an interval, is left to `save`.
        """
        oldest_s = self._now() - self._interval_s
        self._urgent = {viewer: since_s for viewer, since_s in self._urgent.items() if since_s > oldest_s}
        urgent = [viewer for viewer in self._urgent if viewer.is_measured and viewer.is_ours]
        for batch in _batches(urgent, BATCH_COUNT):
            if not await self._save([viewer for viewer in batch if viewer in self._urgent]):
                return

    async def _save(self, viewers: Sequence[Viewer]) -> bool:
        if not viewers:
            return True
        async with self._saving:  # what is written first is sent first: the newest state of a viewer stays
            now_s = self._now()
            kept = await self._snapshots.save(await self._written(viewers, now_s))
        for viewer in viewers if kept else ():
            viewer.saved_s = now_s
        return kept

    async def _written(self, viewers: Sequence[Viewer], now_s: float) -> Sequence[Snapshot]:
        snapshots: list[Snapshot] = []
        for turn in _batches(viewers, WRITE_COUNT):
            snapshots += [self._write(viewer, now_s) for viewer in turn]
            await asyncio.sleep(0)
        return snapshots

    def _write(self, viewer: Viewer, now_s: float) -> Snapshot:
        viewer.saved_current = viewer.current
        if viewer.is_measured:
            self._urgent.pop(viewer, None)
        return Snapshot(
            stream_id=viewer.stream.stream_id,
            viewer_id=viewer.viewer_id,
            data=write_snapshot(viewer, now_s),
        )

    def _restore(self, data: bytes, stream: Stream) -> Viewer | None:
        now_s = self._now()
        _, heard_s = times_s(data)
        if self._crowd.is_idle(heard_s, now_s):
            return None
        viewer = read_snapshot(data, stream, now_s)
        if viewer:
            self._crowd.add(viewer)
        return viewer


def _batches(viewers: Sequence[Viewer], count: int) -> Sequence[Sequence[Viewer]]:
    return [viewers[at : at + count] for at in range(0, len(viewers), count)]
