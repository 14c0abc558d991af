"""One viewer of one stream: what it measured and was told, folded into less than 2 KB.

Its buffer is reckoned: from the newest word of the player on, media that arrives is added and time that
passes is taken away. A policy that saw the buffer as it was a segment ago would lose more than a better
policy could win.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from abr.domain.estimators import reckon_buffer
from abr.domain.history import History
from abr.domain.qoe import Experience
from abr.domain.stream import Stream, Viewport
from abr.domain.view import Choice, Download, View

VIEWER_ID = re.compile(r"[\x21-\x7e]{1,128}")
NOWHERE = -1
"""In the place of a rendition: none yet."""
MOST_TARGET_S = 100.0
"""From here on a viewer that holds more is not taken to aim at more."""
DUE = 0.95
"""Of `undecided`, the segments since the last decision; below 1, because parts do not add up to a whole."""
SAME_SEGMENTS_COUNT = 3
"""How far back a report may be late; further back it is a viewer who went back."""
STATED_AFTER_S = 30.0
"""How much newer than the last download what the player states must be, to be believed in its stead."""


class Viewer:
    """A session's state; everything that happens is told to it, with the time at which it does.

    What was measured is folded in by `domain/folding.py`.
    """

    __slots__ = (
        "asked_s",
        "checked_s",
        "current",
        "experience",
        "heard_s",
        "history",
        "last_drop_s",
        "level_s",
        "level_time_s",
        "msn",
        "played",
        "policy",
        "resumed_s",
        "sampled_elsewhere_s",
        "sampled_s",
        "saved_current",
        "saved_s",
        "short_s",
        "speed_ratio",
        "started_s",
        "stated_bps",
        "stated_s",
        "stream",
        "target_s",
        "told",
        "top_bps",
        "undecided",
        "viewer_id",
        "viewport",
    )

    def __init__(self, viewer_id: str, stream: Stream, now_s: float) -> None:
        self.viewer_id = viewer_id
        self.stream = stream
        self.history = History()
        self.experience = Experience()
        self.heard_s = now_s
        self.saved_s = 0.0
        self.sampled_s = self.sampled_elsewhere_s = 0.0
        self.checked_s = now_s
        self.resumed_s = 0.0
        self.target_s = stream.buffer_target_s
        self.stated_bps = 0.0
        self.top_bps = 0
        self.current = self.played = self.told = self.saved_current = NOWHERE
        self.msn = -1
        self.policy = ""
        self.last_drop_s = 0.0
        self.stated_s = 0.0
        self.level_s, self.level_time_s = 0.0, now_s
        self.speed_ratio = 1.0
        self.short_s = 0.0
        self.undecided = 0.0
        self.asked_s = self.started_s = 0.0
        self.viewport: Viewport | None = None

    @property
    def is_measured(self) -> bool:
        """Something is known of its network."""
        return len(self.history) > 0 or self.stated_bps > 0

    @property
    def is_ours(self) -> bool:
        """This process measures it; else another one does, and this one is only asked."""
        return self.sampled_s > self.sampled_elsewhere_s or not self.sampled_s

    @property
    def is_presumed(self) -> bool:
        """It was brought back, and nothing was heard since of its network or buffer."""
        return self.resumed_s == self.level_time_s

    @property
    def times_s(self) -> tuple[float, float]:
        """When it was measured last, and when heard of: of two states of a viewer, the greater is newer."""
        return self.sampled_s, self.heard_s

    def is_late(self, msn: int) -> bool:
        """Whether a segment was told of already, or a newer one was."""
        return 0 <= self.msn - msn <= SAME_SEGMENTS_COUNT

    def buffer_s(self, now_s: float) -> float:
        """Reckon what the player holds now."""
        return reckon_buffer(
            known_s=self.level_s,
            arrived_s=0.0,
            elapsed_s=max(now_s - self.level_time_s, 0.0),
            speed_ratio=self.speed_ratio,
        )

    def go_over(self, stream: Stream) -> None:
        """Take note that the stream, its ladder perhaps, is another than so far."""
        old, self.stream = self.stream, stream
        self.target_s = max(stream.buffer_target_s, self.target_s)
        if [rung.rendition_id for rung in old.ladder] == [rung.rendition_id for rung in stream.ladder]:
            return
        places = [stream.places.get(rung.rendition_id, stream.nearest(rung.rate_bps)) for rung in old.ladder]
        self.history.move(places)
        self.current, self.played, self.told = (
            place if place == NOWHERE else places[place] for place in (self.current, self.played, self.told)
        )

    def note_question(
        self,
        now_s: float,
        *,
        throughput_bps: float | None = None,
        buffer_s: float | None = None,
        current: int | None = None,
        viewport: Viewport | None = None,
    ) -> None:
        """Fold what a player says when it asks what to play."""
        self.heard_s = now_s
        if throughput_bps is not None:
            self.stated_bps, self.stated_s = max(throughput_bps, 1.0), now_s  # 0 would mean: unknown
            self.resumed_s = 0.0
        if buffer_s is not None:
            self.note_buffer(buffer_s, now_s)
        if current is not None:
            self.current = current
        if viewport is not None:
            self.viewport = viewport

    def note_buffer(self, buffer_s: float, now_s: float) -> None:
        """Take the player's word for what it holds; whoever holds more than we thought aims at more."""
        self.level_s, self.level_time_s, self.resumed_s = buffer_s, now_s, 0.0
        if buffer_s > self.target_s:
            self.aim_at(buffer_s)

    def aim_at(self, buffer_s: float) -> None:
        """Raise the target for a player that holds so much: more than what came last lies above it."""
        held_s = buffer_s - (self.stream.part_s or self.stream.segment_s)
        while held_s > self.target_s and self.target_s < MOST_TARGET_S:
            self.target_s *= 2  # few different targets: policies work out tables for each

    def note_stall(self) -> None:
        """Count a stall; it lasted as long as media fell short of the time that passed."""
        self.experience.note_stall(self.short_s)
        self.short_s = 0.0

    def note_decision(self, choice: Choice, now_s: float, *, obeyed: bool) -> bool:
        """Fold a decision; True: it is another than the last one.

        Args:
            choice: What was decided.
            now_s: When.
            obeyed: The player asked and will play it; else it shows with its next samples whether it did.
        """
        if choice.rung < self.current:
            self.last_drop_s = now_s
        if obeyed:
            self.current = choice.rung
        differs, self.told = choice.rung != self.told, choice.rung
        self.undecided = 0.0
        return differs

    def view(self, now_s: float) -> View:
        """Show what is known to a policy."""
        stream, downloads = self.stream, self._downloads()
        return View(
            now_s=now_s,
            ladder=stream.ladder,
            current=None if self.current == NOWHERE else self.current,
            buffer_s=self.buffer_s(now_s),
            buffer_target_s=self.target_s,
            segment_s=stream.segment_s,
            downloads=downloads,
            stated_bps=self.stated_bps or None,
            cap=self._cap(),
            last_drop_s=self.last_drop_s or None,
            is_live=stream.is_live,
            left_s=self._left_s(downloads),
        )

    def resume(self, now_s: float) -> None:
        """Go on after nobody looked: the player went on meanwhile, so its buffer is as full as it was."""
        self.level_time_s = self.resumed_s = self.heard_s = self.saved_s = self.checked_s = now_s
        self.sampled_elsewhere_s = self.sampled_s
        self.saved_current = self.current

    def _cap(self) -> int:
        stream = self.stream
        cap = stream.carried(self.top_bps) if self.top_bps else stream.top
        return min(cap, stream.covering(self.viewport)) if self.viewport else cap

    def _left_s(self, downloads: Sequence[Download]) -> float | None:
        """Reckon what is left to fetch of a recording, if its segments are as long as the newest ones are."""
        known_s = [download.duration_s for download in downloads if download.duration_s > 0]
        if self.msn < 0 or not self.stream.duration_s or not known_s:
            return None
        left_s = self.stream.duration_s - (self.msn + 1) * sum(known_s) / len(known_s)
        return left_s if left_s > 0 else None

    def _downloads(self) -> tuple[Download, ...]:
        downloads = self.history.downloads()
        newest_s = downloads[-1].end_s if downloads else 0.0
        if not self.stated_bps or self.stated_s <= newest_s + STATED_AFTER_S:
            return downloads
        return (self._stated_download(),)

    def _stated_download(self) -> Download:
        """What the player states, as if so many bytes had come at that rate: policies look at downloads."""
        segment_s = self.stream.segment_s
        return Download(
            end_s=self.stated_s,
            size_bytes=max(round(self.stated_bps * segment_s / 8), 1),
            transfer_s=segment_s,
            duration_s=0.0,
            rung=max(self.current, 0),
        )
