"""Storyboards, line by line, and what players of a stream with thumbnails are told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chassis.errors import NotFound
from hls_gateway.domain.blocking import may_be_news
from hls_gateway.domain.media import find_media
from hls_gateway.domain.names import MediaName, SegmentName, SpriteName
from hls_gateway.domain.playlist.storyboard import render_storyboard
from hls_gateway.domain.stream import Container, Ended, Entry
from hls_gateway.domain.timeline import Timeline
from support.playlists import (
    END,
    a_gap,
    a_live_stream,
    a_segment,
    a_sprite,
    a_stream,
    a_ts_segment,
    a_video,
    all_playlists,
    an_audio,
    thumbnails,
    timeline_of,
)

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def live(first: int, count: int, *, away_s: float = 0.0) -> Timeline:
    """Segments of a minute's window; the publisher was away before the last one."""
    entries: list[Entry] = [a_video(), thumbnails()]
    for msn in range(first, first + count):
        is_last = msn == first + count - 1
        start_s = msn * 4.0 + (away_s if is_last else 0.0)
        place: dict[str, Any] = {"start_s": start_s, "program_date_time": NOON + timedelta(seconds=start_s)}
        if is_last and away_s:
            place["discontinuity_sequence"] = 1
        entries += [a_segment(msn, **place), a_sprite(msn, **place)]
    return timeline_of(*entries, stream=a_live_stream(part_target_s=0.0))


def cues(timeline: Timeline) -> list[list[str]]:
    return [cue.splitlines() for cue in render_storyboard(timeline).rstrip("\n").split("\n\n")[1:]]


def test_a_recording_has_a_cue_for_each_picture() -> None:
    timeline = timeline_of(
        *(a_video(), thumbnails(), an_audio()),
        *(a_segment(0, duration_s=2.0), a_segment(1, start_s=2.0), a_segment(2, start_s=6.0, duration_s=2.5)),
        a_sprite(0, duration_s=2.0),
        a_sprite(1, start_s=2.0),
        a_sprite(2, start_s=6.0, duration_s=2.5),
        END,
    )
    assert (
        render_storyboard(timeline)
        == """\
WEBVTT

00:00:00.000 --> 00:00:02.000
variants/thumbnails/segment_0.jpg?i=3f2a9c01#xywh=0,0,200,112

00:00:02.000 --> 00:00:04.000
variants/thumbnails/segment_1.jpg?i=3f2a9c01#xywh=0,0,200,112

00:00:04.000 --> 00:00:06.000
variants/thumbnails/segment_1.jpg?i=3f2a9c01#xywh=0,112,200,112

00:00:06.000 --> 00:00:08.000
variants/thumbnails/segment_2.jpg?i=3f2a9c01#xywh=0,0,200,112

00:00:08.000 --> 00:00:08.500
variants/thumbnails/segment_2.jpg?i=3f2a9c01#xywh=0,112,200,112
"""
    )


def test_a_sliding_window_counts_from_its_beginning_and_tells_the_time_of_day() -> None:
    shown = cues(live(100, 20))
    assert shown[0] == [
        "2026-11-22T12:07:00.000Z",
        "00:00:00.000 --> 00:00:02.000",
        "variants/thumbnails/segment_105.jpg?i=3f2a9c01#xywh=0,0,200,112",
    ]
    assert [shown[-1][0], shown[-1][1]] == ["2026-11-22T12:07:58.000Z", "00:00:58.000 --> 00:01:00.000"]


def test_where_the_publisher_was_away_players_count_on() -> None:
    shown = cues(live(0, 3, away_s=100.0))
    assert [cue[1] for cue in shown[-2:]] == [
        "00:00:08.000 --> 00:00:10.000",
        "00:00:10.000 --> 00:00:12.000",
    ]
    assert shown[-2][0] == "2026-11-22T12:01:48.000Z"


def test_a_rendition_that_was_left_out_does_not_tell_the_time() -> None:
    """It may be the first one, and its playlist stands still."""
    entries: list[Entry] = [
        a_video("Top"),
        a_video(),
        thumbnails(),
        a_segment(0, "Top"),
        Ended(rendition_id="Top"),
    ]
    for msn in range(3):
        entries += [a_segment(msn), a_sprite(msn)]
    timeline = timeline_of(*entries, stream=a_live_stream(part_target_s=0.0))
    assert {cue[1].partition("?")[0] for cue in cues(timeline)} == {
        f"variants/thumbnails/segment_{msn}.jpg" for msn in range(3)
    }


def test_images_that_are_missing_or_joined_late_leave_the_others_in_their_places() -> None:
    timeline = timeline_of(
        a_video(),
        *map(a_segment, range(4)),
        thumbnails(),
        a_sprite(0, start_s=4.0),
        a_gap(1, "thumbnails", start_s=8.0),
        a_sprite(2, start_s=12.0),
        a_sprite(3, start_s=16.0),  # that one is there before its segment
    )
    assert [cue[0] for cue in cues(timeline)] == [
        "00:00:04.000 --> 00:00:06.000",
        "00:00:06.000 --> 00:00:08.000",
        "00:00:12.000 --> 00:00:14.000",
        "00:00:14.000 --> 00:00:16.000",
    ]


def test_of_a_long_stream_some_pictures_stand_for_their_neighbours() -> None:
    media = [one for msn in range(2_500) for one in (a_segment(msn), a_sprite(msn))]
    timeline = timeline_of(a_video(), thumbnails(), *media)
    shown = cues(timeline)
    assert len(shown) == 834
    assert shown[1] == [
        "00:00:12.000 --> 00:00:24.000",
        "variants/thumbnails/segment_3.jpg?i=3f2a9c01#xywh=0,0,200,112",
    ]


@pytest.mark.parametrize("entries", [(), (a_video(), a_segment(0)), (an_audio(), a_segment(0, "audio"))])
def test_a_stream_without_images_has_an_empty_storyboard(entries: tuple[Entry, ...]) -> None:
    assert render_storyboard(timeline_of(*entries)) == "WEBVTT\n"


def test_hours_go_on_behind_99() -> None:
    start_s = 360_000.0
    timeline = timeline_of(
        *(a_video(), thumbnails(), a_segment(0, duration_s=start_s), a_segment(1, start_s=start_s)),
        a_sprite(0, start_s=start_s),
    )
    assert cues(timeline)[0][0] == "100:00:00.000 --> 100:00:02.000"


@pytest.mark.parametrize("is_ended", [True, False])
def test_no_playlist_knows_of_thumbnails(is_ended: bool) -> None:
    media: tuple[Entry, ...] = (a_video(), a_segment(0), *([END] if is_ended else []))
    for stream in (a_stream(), a_live_stream(part_target_s=0.0)):
        without, with_images = (
            timeline_of(*entries, stream=stream)
            for entries in (media, (thumbnails(), a_sprite(0, duration_s=3.9), *media))
        )
        assert all_playlists(with_images) == all_playlists(without) != {}


def test_playing_does_not_wait_for_thumbnails() -> None:
    assert all_playlists(timeline_of(thumbnails(), a_video(), a_segment(0)))
    assert not all_playlists(timeline_of(thumbnails(), a_video(), a_sprite(0)))


def test_sprites_are_found_by_their_own_names_alone() -> None:
    for container, segment in ((Container.CMAF, a_segment(0)), (Container.TS, a_ts_segment(0))):
        timeline = timeline_of(
            *(a_video(), thumbnails(), segment, a_sprite(0), a_gap(1, "thumbnails")),
            stream=a_stream(container=container),
        )
        found = find_media(timeline, "thumbnails", SpriteName(msn=0))
        assert (found.content_type, found.object_key) == ("image/jpeg", a_sprite(0).object_key)
        wrong: tuple[tuple[str, MediaName], ...] = (
            ("High", SpriteName(msn=0)),
            ("thumbnails", SegmentName(msn=0, container=container)),
            *(("thumbnails", SpriteName(msn=msn)) for msn in (1, 2)),
        )
        for rendition_id, name in wrong:
            with pytest.raises(NotFound, match="is not announced as"):
                find_media(timeline, rendition_id, name)


def test_a_sprite_of_which_another_gateway_told_is_waited_for() -> None:
    timeline = live(0, 2)
    assert may_be_news(timeline, "thumbnails", SpriteName(msn=2))
    assert not may_be_news(timeline, "thumbnails", SpriteName(msn=1))
    assert not may_be_news(replace(timeline, ended=True), "thumbnails", SpriteName(msn=2))
