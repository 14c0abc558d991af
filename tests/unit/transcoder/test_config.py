"""Settings of the transcoder that must fit each other, and names that must be free."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from transcoder.config import TranscoderConfig
from transcoder.domain.ladder import NAMED_RUNGS


def rung(name: str) -> dict[str, Any]:
    return {"name": name, "width_pixels": 64, "height_pixels": 36, "video_bps": 60_000}


def test_the_ladder_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert TranscoderConfig().ladder == NAMED_RUNGS
    monkeypatch.setenv(
        "WEIR_LADDER", '[{"name":"Mine","width_pixels":64,"height_pixels":36,"video_bps":60000}]'
    )
    assert [rung.name for rung in TranscoderConfig().ladder] == ["Mine"]


def test_a_worker_shows_that_it_lives_long_before_it_counts_as_dead() -> None:
    with pytest.raises(ValidationError, match=r"heartbeat_s is 1: it must be at most a third"):
        TranscoderConfig(transcode_ack_wait_s=2.0)
    TranscoderConfig(transcode_ack_wait_s=3.0)


@pytest.mark.parametrize(
    "ladder", [[], [rung("a"), rung("a")], [rung("a"), rung("audio")], [rung("thumbnails")]]
)
def test_a_ladder_without_usable_names_is_refused(ladder: list[dict[str, Any]]) -> None:
    with pytest.raises(ValidationError, match="ladder"):
        TranscoderConfig.model_validate({"ladder": ladder})
