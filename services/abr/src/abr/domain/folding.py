"""Fold what was measured into a viewer's state.

It is done 20,000 times per second: a row is taken apart once, and what is asked often is asked plainly.
"""
# ruff: noqa: PLR0917, PLR1730 - the values of a row, in its order; a call of min() costs several comparisons

from __future__ import annotations

from abr.domain.sample import AHEAD_S, Row
from abr.domain.viewer import NOWHERE, Viewer


def take(viewer: Viewer, row: Row, now_s: float) -> bool:
    """Fold a measurement; False: it is too late to count."""
    end_s, newest_s = row[2], viewer.sampled_s
    if end_s < newest_s:
        if end_s < newest_s - AHEAD_S:
            return False
        end_s = newest_s
    if end_s > now_s:
        end_s = now_s
    viewer.sampled_s, viewer.heard_s = end_s, now_s
    _fold(viewer, row, end_s)
    return True


def _fold(viewer: Viewer, row: Row, end_s: float) -> None:
    (
        variant_id, msn, _, size_bytes, transfer_s, player_bps, buffer_s,
        duration_s, top_bps, speed_ratio, starved, startup, latency_s, after_s,
    ) = row  # fmt: skip
    if top_bps:
        viewer.top_bps = top_bps
    if player_bps:
        viewer.stated_bps, viewer.stated_s = player_bps, end_s
    stream = viewer.stream
    place = stream.places.get(variant_id, NOWHERE)
    if place == NOWHERE:  # audio, or a playlist
        return
    if msn >= 0:
        viewer.msn, segments = msn, 1.0
        duration_s = duration_s or stream.segment_s
    else:
        segments = duration_s / stream.segment_s
    asked_s = end_s - transfer_s
    if startup or viewer.asked_s:
        _note_start(viewer, startup, asked_s, end_s)
    if end_s > viewer.level_time_s:  # else the player has said since what it holds
        level_s = _reckon(viewer, asked_s, end_s, buffer_s, speed_ratio, starved, startup)
        level_s = after_s if after_s >= 0 else level_s + duration_s
        viewer.level_s, viewer.level_time_s = level_s, end_s
        if level_s > viewer.target_s:
            viewer.aim_at(level_s)
    if viewer.played != place:
        _change(viewer, place)
    viewer.experience.note_media(stream.ladder[place].rate_bps, duration_s, segments)
    viewer.current = place
    viewer.undecided += segments
    if transfer_s > 0 and size_bytes > 0:
        level_s, target_s = viewer.level_s, viewer.target_s
        health_ratio = level_s / target_s if level_s < target_s else 1.0
        viewer.history.append(end_s, size_bytes, transfer_s, duration_s, latency_s, health_ratio, place)


def _reckon(
    viewer: Viewer,
    asked_s: float,
    end_s: float,
    buffer_s: float,
    speed_ratio: float,
    starved: bool,
    startup: bool,
) -> float:
    """Bring the buffer to the end of a transfer; what it fell short of may have been a stall."""
    level_s, since_s = viewer.level_s, viewer.level_time_s
    if asked_s >= since_s:
        level_s -= viewer.speed_ratio * (asked_s - since_s)
        since_s = asked_s
        if level_s < 0:
            viewer.short_s -= level_s
            level_s = 0.0
        if buffer_s >= 0:
            level_s = buffer_s
    if starved:
        viewer.note_stall()
    if not startup:  # who starts does not play yet
        level_s -= speed_ratio * (end_s - since_s)
    viewer.speed_ratio = speed_ratio
    if level_s < 0:
        viewer.short_s = -level_s
        return 0.0
    viewer.short_s = 0.0
    return level_s


def _change(viewer: Viewer, place: int) -> None:
    ladder = viewer.stream.ladder
    if viewer.played != NOWHERE:
        viewer.experience.note_switch(ladder[viewer.played].rate_bps, ladder[place].rate_bps)
    viewer.played = place


def _note_start(viewer: Viewer, startup: bool, asked_s: float, end_s: float) -> None:
    """The first frame is there with the last of the objects that the player could not start without."""
    if viewer.played == NOWHERE and startup:
        viewer.asked_s = asked_s
    if startup:
        viewer.started_s = end_s
    else:
        viewer.experience.note_startup(viewer.started_s - viewer.asked_s)
        viewer.asked_s = 0.0
