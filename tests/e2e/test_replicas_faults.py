"""Random schedules of faults on a suite of replicas, each made of its seed: nothing acknowledged is lost.

`make faults SEEDS=50` runs fifty; `WEIR_FAULT_SEED=7 WEIR_FAULT_RUNS=1 make faults` runs the seventh again.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.faults import inflict, plan_schedule, render_schedule
from support.ledger_watch import LedgerWatches, Place
from support.ready import cut
from support.replica_suite import ReplicaSuite
from support.stack import Stack, running_stack
from support.transcoder import small_film
from weir_cli.plan import count_replicas

pytestmark = [pytest.mark.torture, pytest.mark.timeout(600)]

FIRST_SEED = int(os.environ.get("WEIR_FAULT_SEED", "1"))
RUNS_COUNT = int(os.environ.get("WEIR_FAULT_RUNS", "3"))
SEEDS = range(FIRST_SEED, FIRST_SEED + RUNS_COUNT)
ON_S = 90.0
READY_COUNT = 12
VARIANT = "low"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One suite for all schedules: what one leaves behind, the next one meets."""
    with running_stack(tmp_path_factory.mktemp("faults"), replicas=count_replicas(2)) as running:
        yield running


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_film(tmp_path_factory.mktemp("film"), seconds=20.0)


@pytest.fixture(scope="module")
def segments(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, ...]:
    return cut(tmp_path_factory.mktemp("segments"), "ts", VARIANT, count=READY_COUNT, sound=False).segments


class Sender:
    """Sends ready segments, one after the other, and knows which were acknowledged."""

    def __init__(self, suite: ReplicaSuite, stream: Any, segments: tuple[bytes, ...]) -> None:
        self.acknowledged: dict[int, str] = {}
        self.refusals: list[str] = []
        self._url = f"{stream['ingest']['http_url']}?stream_key={stream['ingest']['stream_key']}"
        self._segments = segments
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Wait until all were taken."""
        self._thread.join(ON_S)
        assert len(self.acknowledged) == len(self._segments), self.refusals[-5:]

    def _run(self) -> None:
        for number, data in enumerate(self._segments):
            deadline = time.monotonic() + ON_S
            while not self._send(number, data) and time.monotonic() < deadline:
                time.sleep(0.3)
            time.sleep(0.5)

    def _send(self, number: int, data: bytes) -> bool:
        url = f"{self._url}&variant_id={VARIANT}&sequence_num={number}"
        headers = {"content-type": "video/mp2t"}
        request = urllib.request.Request(url, data, headers, method="PUT")  # noqa: S310 - a test's own suite
        try:
            with urllib.request.urlopen(request, timeout=15):  # noqa: S310
                self.acknowledged[number] = hashlib.sha256(data).hexdigest()
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            self.refusals.append(repr(error))
        return number in self.acknowledged


@contextmanager
def explained(seed: int, schedule: str) -> Iterator[None]:
    """Print a schedule when the block fails."""
    since = time.monotonic()
    try:
        yield
    except BaseException:
        sys.stdout.write(f"FAILED {schedule}\n")
        raise
    sys.stdout.write(f"seed {seed}: green in {time.monotonic() - since:.0f} s\n")


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_acknowledged_is_lost(
    stack: Stack, film: Path, segments: tuple[bytes, ...], seed: int
) -> None:
    faults = plan_schedule(seed, stack.names)
    with explained(seed, render_schedule(seed, faults)):
        stack.wait_healthy()
        suite = ReplicaSuite(stack)
        names = tuple(f"{what}-{seed}" for what in ("live", "fed", "film"))
        try:
            _live_through(suite, names, film, segments, faults)
        finally:
            for name in names:
                suite.insist("DELETE", f"/hls/streams/{name}")
            suite.insist("DELETE", f"/api/v1/recordings/{names[-1]}")


def _live_through(
    suite: ReplicaSuite,
    names: tuple[str, ...],
    film: Path,
    segments: tuple[bytes, ...],
    faults: Any,
) -> None:
    """Publish, feed and transcode while faults happen; then judge the history of each stream."""
    live, fed, recording = names
    suite.bring(recording, film)
    pushed = suite.create(live, record=True)
    taken = suite.create(fed, record=True, container="ts", target_duration=4, rungs=[], low_latency=False)
    with (
        suite.watch_ledger(live) as live_ledger,
        suite.watch_ledger(fed) as fed_ledger,
        suite.watch_ledger(recording) as film_ledger,
        suite.publish(pushed),
        suite.follow(pushed, segments=1, within_s=ON_S) as follower,
    ):
        suite.start_job(recording)
        sender = Sender(suite, taken, segments)
        inflict(suite.stack, faults)
        sender.finish()
        follower.wait_segments(2, ON_S)
        job = suite.finish_job(recording)
        for name, ledger in ((live, live_ledger), (fed, fed_ledger)):
            assert suite.insist("POST", f"/hls/streams/{name}/stop", {})[0] == 200
            ledger.wait_alike(ON_S, ended=True)
        follower.wait_ended(ON_S)
        _judge_job(job, film_ledger)
        for name, ledger in zip(names, (live_ledger, fed_ledger, film_ledger), strict=True):
            suite.require_readable(name, ledger)
        _judge_fed(sender, fed_ledger)


def _judge_job(job: Any, ledger: LedgerWatches) -> None:
    """Each segment of a film is announced once, whoever made it how often."""
    assert job["state"] == "SUCCEEDED", job
    ledger.wait_alike(ON_S, ended=True)
    counts: dict[str, set[int]] = {}
    for place in ledger.laws.segments:
        counts.setdefault(place.rendition_id, set()).add(place.msn)
    for rendition_id, msns in counts.items():
        assert msns == set(range(len(msns))), rendition_id


def _judge_fed(sender: Sender, ledger: LedgerWatches) -> None:
    """Each segment that was taken stands under its number, byte for byte."""
    found = {place: told.sha256 for place, told in ledger.laws.segments.items() if told.sha256}
    expected = {Place(VARIANT, number): digest for number, digest in sender.acknowledged.items()}
    assert found == expected
