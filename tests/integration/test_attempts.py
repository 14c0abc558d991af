"""An attempt's claim: it is kept through answers that were lost, and given up to another attempt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from chassis.config import ServiceConfig
from chassis.nats_connection import connect
from support.jobs import a_claim, a_job
from support.nats import NatsServer
from transcoder.bootstrap_ground import Stores, open_stores
from transcoder.config import TranscoderConfig
from transcoder.domain.encoding import EncodeProgress
from transcoder.domain.progress import begin_attempt, complete_claim
from transcoder.ports import ClaimStore
from transcoder.service_attempt import Attempt, Ports, Superseded


@pytest.fixture
async def stores(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[Stores]:
    config = TranscoderConfig(nats_url=nats_server.url, storage_url=f"file://{tmp_path}/objects")
    async with connect(ServiceConfig(nats_url=nats_server.url), name="test") as client:
        yield await open_stores(config, client)


async def begin(stores: Stores, name: str = "0ne") -> Attempt:
    """Claim task 0 for an attempt, whoever had it before."""
    ports = Ports(
        jobs=stores.jobs,
        outputs=stores.outputs,
        claims=stores.claims,
        media=stores.media,
        clock=lambda: datetime.now(UTC),
    )
    kept = await stores.claims.get("job1", "0")
    claim, revision = (kept.value, kept.revision) if kept else (a_claim(), None)
    attempt = Attempt(ports=ports, job=a_job(), token=name, claim=claim, revision=revision)
    await attempt.write(begin_attempt(claim, attempt=name, worker="w", lease_s=1.0, now=ports.clock()))
    return attempt


class LateAnswers:
    """Claims that are stored, but of which nobody hears that they were."""

    def __init__(self, claims: ClaimStore) -> None:
        self._claims = claims
        self.stored = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._claims, name)

    async def put(self, *arguments: Any) -> int:
        await self._claims.put(*arguments)
        self.stored.set()
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")


async def test_a_heartbeat_whose_answer_was_lost_costs_nothing(stores: Stores) -> None:
    attempt = await begin(stores)
    late = LateAnswers(stores.claims)
    attempt.ports = replace(attempt.ports, claims=late)
    attempt.note(EncodeProgress(frame_count=30, speed_ratio=1.0))
    beat = asyncio.create_task(attempt.renew())
    await late.stored.wait()
    beat.cancel()
    await asyncio.wait((beat,))
    attempt.ports = replace(attempt.ports, claims=stores.claims)
    await attempt.renew()
    assert attempt.claim.done_ratio == 0.5
    await attempt.write(complete_claim(attempt.claim, datetime.now(UTC)))
    kept = await stores.claims.get("job1", "0")
    assert kept
    assert (kept.value.done_ratio, kept.value.attempts_count) == (1.0, 1)


async def test_what_was_told_of_a_lost_heartbeat_is_not_taken_back(stores: Stores) -> None:
    attempt = await begin(stores)
    await stores.claims.put("job1", replace(attempt.claim, done_ratio=0.7), attempt.revision)
    await attempt.renew()
    assert attempt.claim.done_ratio == 0.7


async def test_a_claim_that_another_attempt_has_is_given_up(stores: Stores) -> None:
    first = await begin(stores, "0ne")
    second = await begin(stores, "tw0")
    with pytest.raises(Superseded, match="another worker"):
        await first.renew()
    await second.renew()
    kept = await stores.claims.get("job1", "0")
    assert kept
    assert kept.value.attempt == "tw0"
