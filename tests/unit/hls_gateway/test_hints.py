"""Who waits for a part that was hinted."""

from __future__ import annotations

from typing import Any

import pytest

from hls_gateway.http import GatewaySite


class BrokenService:
    async def warm(self, *_names: object) -> None:
        raise RuntimeError("a fault of ours")


class Waiting:
    """One who waits; keeps what it is answered with."""

    def __init__(self) -> None:
        self.answers: list[object] = []

    def settle(self, answer: object) -> None:
        self.answers.append(answer)


async def test_who_waits_for_a_part_is_answered_whatever_befalls_its_read() -> None:
    nothing: Any = None
    service: Any = BrokenService()
    hint: Any = Waiting()
    answer: Any = object()
    route: Any = type("Route", (), {"rendition_id": "High", "name": "part_2_1"})()
    site = GatewaySite(service, nothing, nothing, nothing, 300)
    key = ("incarnation", route)
    site._hints[key] = [(hint, answer)]
    with pytest.raises(RuntimeError):
        await site._read_hint(nothing, key)
    assert hint.answers == [answer]
    assert site._hints == {}
