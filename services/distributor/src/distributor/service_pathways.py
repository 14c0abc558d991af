"""The pathways that viewers can be led along: looked at again and again, and told to whoever watches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

from chassis.errors import Unavailable
from chassis.telemetry import log
from distributor.domain.steering import Pathway, Route, checked
from distributor.ports import Probe


class Pathways:
    """The use-case WatchPathways.

    Args:
        routes: As they are configured.
        probe: Looks whether one answers.
        interval_s: Between two looks.
    """

    def __init__(self, routes: Sequence[Route], probe: Probe, *, interval_s: float) -> None:
        heaviest_first = sorted(routes, key=lambda route: -route.weight)
        self._pathways = tuple(Pathway(route=route) for route in heaviest_first)
        self._probe = probe
        self._interval_s = interval_s
        self._changed = asyncio.Condition()
        self._is_closed = False

    async def check(self) -> None:
        """Look at all pathways, for as long as the process lives."""
        while True:
            looks = await asyncio.gather(*[self._look(pathway) for pathway in self._pathways])
            await self._replace(tuple(looks))
            await asyncio.sleep(self._interval_s)

    async def watch(self) -> AsyncGenerator[Sequence[Pathway], None]:
        """Tell of all pathways now, and whenever the health of one changes.

        Raises:
            Unavailable: STOPPING.
        """
        while not self._is_closed:
            told = self._pathways
            yield told
            await self._differ_from(_health(told))
        raise Unavailable("this distributor stops: watch another one", reason="STOPPING")

    async def _differ_from(self, told: Sequence[bool]) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._is_closed or _health(self._pathways) != told)

    async def close(self) -> None:
        """End those who watch: the process stops."""
        async with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    async def _look(self, pathway: Pathway) -> Pathway:
        if not pathway.route.base_url:  # the origin that players come to: whoever asks has reached it
            return pathway
        return checked(pathway, answers=await self._probe.answers(pathway.route))

    async def _replace(self, pathways: Sequence[Pathway]) -> None:
        for old, new in zip(self._pathways, pathways, strict=True):
            if old.is_healthy != new.is_healthy:
                log.warning("pathway changed", pathway=new.route.pathway_id, healthy=new.is_healthy)
        async with self._changed:
            self._pathways = tuple(pathways)
            self._changed.notify_all()


def _health(pathways: Sequence[Pathway]) -> Sequence[bool]:
    return [pathway.is_healthy for pathway in pathways]
