"""One viewer of one stream: what it measured and was told, folded into less than 2 KB.

Its buffer is reckoned: from the newest word of the player on, media that arrives is added and time that
passes is taken away. A policy that saw the buffer as it was a segment ago would lose more than a better
policy could win.
"""

from __future__ import annotations

import re

from abr.domain.estimators import reckon_buffer
from abr.domain.history import History
from abr.domain.qoe import Experience
from abr.domain.sample import AHEAD_S, Sample
from abr.domain.stream import Stream
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
    """A session's state; everything that happens is told to it, with the time at which it does."""

    __slots__ = (
        "_asked_s",
        "_level_s",
        "_level_time_s",
        "_short_s",
        "_speed_ratio",
        "_started_s",
        "_stated_s",
        "current",
        "experience",
        "heard_s",
        "history",
        "last_drop_s",
        "msn",
        "played",
        "policy",
        "sampled_s",
        "saved_s",
        "stated_bps",
        "stream",
        "target_s",
        "told",
        "top_bps",
        "undecided",
        "viewer_id",
    )

    def __init__(self, viewer_id: str, stream: Stream, now_s: float) -> None:
        self.viewer_id = viewer_id
        self.stream = stream
        self.history = History()
        self.experience = Experience()
        self.heard_s = now_s
        self.saved_s = 0.0
        self.sampled_s = 0.0
        self.target_s = stream.buffer_target_s
        self.stated_bps = 0.0
        self.top_bps = 0
        self.current = self.played = self.told = NOWHERE
        self.msn = -1
        self.policy = ""
        self.last_drop_s = 0.0
        self._stated_s = 0.0
        self._level_s, self._level_time_s = 0.0, now_s
        self._speed_ratio = 1.0
        self._short_s = 0.0
        self.undecided = 0.0
        self._asked_s = self._started_s = 0.0

    @property
    def is_measured(self) -> bool:
        """Something is known of its network."""
        return len(self.history) > 0 or self.stated_bps > 0

    def is_late(self, msn: int) -> bool:
        """Whether a segment was told of already, or a newer one was."""
        return 0 <= self.msn - msn <= SAME_SEGMENTS_COUNT

    def buffer_s(self, now_s: float) -> float:
        """Reckon what the player holds now."""
        return reckon_buffer(
            known_s=self._level_s,
            arrived_s=0.0,
            elapsed_s=max(now_s - self._level_time_s, 0.0),
            speed_ratio=self._speed_ratio,
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

    def take(self, sample: Sample, now_s: float) -> bool:
        """Fold a measurement; False: it is too late to count."""
        if sample.end_s < self.sampled_s - AHEAD_S:
            return False
        end_s = self.sampled_s = min(max(sample.end_s, self.sampled_s), now_s)
        self.heard_s = now_s
        if sample.top_bps:
            self.top_bps = sample.top_bps
        if sample.player_bps:
            self.stated_bps, self._stated_s = sample.player_bps, end_s
        place = self.stream.places.get(sample.variant_id, NOWHERE)
        if place != NOWHERE:  # else it is audio, or a playlist
            self._take_media(sample, place, end_s)
        return True

    def note_question(
        self,
        now_s: float,
        *,
        throughput_bps: float | None = None,
        buffer_s: float | None = None,
        current: int | None = None,
    ) -> None:
        """Fold what a player says when it asks what to play."""
        self.heard_s = now_s
        if throughput_bps is not None:
            self.stated_bps, self._stated_s = max(throughput_bps, 1.0), now_s  # 0 would mean: unknown
        if buffer_s is not None:
            self.note_buffer(buffer_s, now_s)
        if current is not None:
            self.current = current

    def note_buffer(self, buffer_s: float, now_s: float) -> None:
        """Take the player's word for what it holds; whoever holds more than we thought aims at more."""
        self._level_s, self._level_time_s = buffer_s, now_s
        while buffer_s > self.target_s and self.target_s < MOST_TARGET_S:
            self.target_s *= 2  # few different targets: policies work out tables for each

    def note_stall(self) -> None:
        """Count a stall; it lasted as long as media fell short of the time that passed."""
        self.experience.note_stall(self._short_s)
        self._short_s = 0.0

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
        stream = self.stream
        return View(
            now_s=now_s,
            ladder=stream.ladder,
            current=None if self.current == NOWHERE else self.current,
            buffer_s=self.buffer_s(now_s),
            buffer_target_s=self.target_s,
            segment_s=stream.segment_s,
            downloads=self._downloads(),
            stated_bps=self.stated_bps or None,
            cap=stream.carried(self.top_bps) if self.top_bps else stream.top,
            last_drop_s=self.last_drop_s or None,
            is_live=stream.is_live,
        )

    def resume(self, now_s: float) -> None:
        """Go on after nobody looked: the player went on meanwhile, so its buffer is as full as it was."""
        self._level_time_s = self.heard_s = self.saved_s = now_s

    def _take_media(self, sample: Sample, place: int, end_s: float) -> None:
        stream, msn = self.stream, sample.msn
        duration_s = sample.duration_s
        if msn is not None:
            duration_s = duration_s or stream.segment_s
            self.msn = msn
        asked_s = end_s - sample.transfer_s
        if sample.startup or self._asked_s:
            self._note_start(sample, asked_s, end_s)
        self._reckon(sample, asked_s, end_s, duration_s)
        self._play(place, duration_s, 1.0 if msn is not None else duration_s / stream.segment_s)
        if sample.transfer_s > 0 and sample.size_bytes > 0:
            health_ratio = min(self._level_s / self.target_s, 1.0)
            self.history.append(
                (
                    end_s,
                    sample.size_bytes,
                    sample.transfer_s,
                    duration_s,
                    sample.latency_s,
                    health_ratio,
                    place,
                )
            )

    def _reckon(self, sample: Sample, asked_s: float, end_s: float, duration_s: float) -> None:
        """Bring the buffer to the end of a transfer; what it fell short of may have been a stall."""
        since_s = self._level_time_s
        if end_s <= since_s:
            return  # the player has said since what it holds
        level_s = self._level_s
        if asked_s >= since_s:
            level_s -= self._speed_ratio * (asked_s - since_s)
            since_s = asked_s
            if level_s < 0:
                self._short_s -= level_s
                level_s = 0.0
            if sample.buffer_s >= 0:
                level_s = sample.buffer_s
        if sample.starved:
            self.note_stall()
        if not sample.startup:  # who starts does not play yet
            level_s -= sample.speed_ratio * (end_s - since_s)
        self._short_s = 0.0
        if level_s < 0:
            self._short_s, level_s = -level_s, 0.0
        self._speed_ratio = sample.speed_ratio
        self.note_buffer(sample.after_s if sample.after_s >= 0 else level_s + duration_s, end_s)

    def _play(self, place: int, duration_s: float, segments: float) -> None:
        ladder = self.stream.ladder
        rate_bps = ladder[place].rate_bps
        if self.played != place:
            if self.played != NOWHERE:
                self.experience.note_switch(ladder[self.played].rate_bps, rate_bps)
            self.played = place
        self.experience.note_media(rate_bps, duration_s, segments)
        self.current = place
        self.undecided += segments

    def _note_start(self, sample: Sample, asked_s: float, end_s: float) -> None:
        """The first frame is there with the last of the objects that the player could not start without."""
        if self.played == NOWHERE and sample.startup:
            self._asked_s = asked_s
        if sample.startup:
            self._started_s = end_s
        else:
            self.experience.note_startup(self._started_s - self._asked_s)
            self._asked_s = 0.0

    def _downloads(self) -> tuple[Download, ...]:
        downloads = self.history.downloads()
        newest_s = downloads[-1].end_s if downloads else 0.0
        if not self.stated_bps or self._stated_s <= newest_s + STATED_AFTER_S:
            return downloads
        return (self._stated_download(),)

    def _stated_download(self) -> Download:
        """What the player states, as if so many bytes had come at that rate: policies look at downloads."""
        segment_s = self.stream.segment_s
        return Download(
            end_s=self._stated_s,
            size_bytes=max(round(self.stated_bps * segment_s / 8), 1),
            transfer_s=segment_s,
            duration_s=0.0,
            rung=max(self.current, 0),
        )
