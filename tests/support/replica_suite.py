"""What a suite of replicas is judged by: callers while it is hurt, and the history that is left behind."""

from __future__ import annotations

import hashlib
import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from support.ledger_watch import Acknowledged, LedgerWatches, Place, watching_ledgers
from support.live_suite import LiveSuite
from support.seen import read_seen
from support.stack import Stack
from support.viewers_words import read_offers
from transcoder.domain.thumbnails import THUMBNAILS_RENDITION_ID
from weir_cli.plan import Kind

AGAIN_S = 0.25
CALLS_PAUSE_S = 0.05
DONE_S = 120.0
READ_S = 60.0
RUNNING = {"QUEUED", "RUNNING"}
_BROKEN = (urllib.error.URLError, http.client.HTTPException, OSError)


class ReplicaSuite(LiveSuite):
    """A suite of which nothing is there only once, but the door."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack)
        self.distributors = tuple(
            stack.grpc_address(process.name) for process in stack.plan.of_kind(Kind.DISTRIBUTOR)
        )
        self.gateways = tuple(
            f"http://{stack.http_address(process.name)}" for process in stack.plan.of_kind(Kind.GATEWAY)
        )

    def insist(self, method: str, path: str, document: Any = None, *, within_s: float = DONE_S) -> Any:
        """Call until the suite has answered; a refusal is an answer."""
        deadline = time.monotonic() + within_s
        while True:
            try:
                status, answer = self.call(method, path, document)
            except _BROKEN as error:
                status, answer = 503, repr(error)
            if status < 500:
                return status, answer
            assert time.monotonic() < deadline, (method, path, answer)
            time.sleep(AGAIN_S)

    @contextmanager
    def watch_ledger(self, stream_id: str) -> Iterator[LedgerWatches]:
        """Hear all that becomes of a stream, at each distributor."""
        with watching_ledgers(stream_id, self.distributors, self.stack.read_object) as watches:
            yield watches

    def bring(self, recording_id: str, film: Path) -> None:
        """Upload a recording."""
        assert self.call("POST", "/api/v1/recordings", {"recording_id": recording_id})[0] == 200
        url = f"{self.stack.url}/api/v1/recordings/{recording_id}/source"
        request = urllib.request.Request(url, film.read_bytes(), method="PUT")  # noqa: S310
        with urllib.request.urlopen(request, timeout=DONE_S) as answer:  # noqa: S310
            assert json.loads(answer.read())["state"] == "READY"

    def start_job(self, recording_id: str, **wish: Any) -> None:
        """Start a job; that it was started already is what an answer that was lost leaves behind."""
        status, answer = self.insist("POST", f"/api/v1/recordings/{recording_id}/transcode/quality", wish)
        assert status == 200 or answer["details"][0]["reason"] == "JOB_RUNNING", answer

    def finish_job(self, recording_id: str) -> Any:
        """Wait for the end of a recording's only job."""
        deadline = time.monotonic() + DONE_S
        while True:
            status, answer = self.insist("GET", f"/api/v1/recordings/{recording_id}/transcode/progress")
            assert status == 200, answer
            (job,) = answer["jobs"].values()
            if job["state"] not in RUNNING:
                return job
            assert time.monotonic() < deadline, job
            time.sleep(AGAIN_S)

    def require_readable(self, stream_id: str, watches: LedgerWatches) -> int:
        """Hold what a stream's ledger announced against what each gateway serves; says how much that was."""
        told = {place: told for place, told in watches.laws.segments.items() if told.sha256}
        for place in [place for place in told if place.rendition_id == THUMBNAILS_RENDITION_ID]:
            _hold(
                told.pop(place), (self.stack.objects / watches.laws.segments[place].object_key).read_bytes()
            )
        for gateway in self.gateways:
            uris = _segment_uris(gateway, stream_id)
            for place, known in told.items():
                _hold(known, read(uris[place]))
        return len(told)


def _hold(told: Acknowledged, data: bytes) -> None:
    assert hashlib.sha256(data).hexdigest() == told.sha256, (
        f"{told.object_key} has other bytes than announced"
    )


def read(url: str) -> bytes:
    """Read what must be there; again while a server is away."""
    deadline = time.monotonic() + READ_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - a test's own suite
                return bytes(answer.read())
        except _BROKEN as error:
            is_missing = (
                isinstance(error, urllib.error.HTTPError) and error.code < HTTPStatus.INTERNAL_SERVER_ERROR
            )
            if is_missing or time.monotonic() > deadline:
                raise
        time.sleep(AGAIN_S)


def _segment_uris(gateway: str, stream_id: str) -> Mapping[Place, str]:
    """Find where a gateway serves each segment of a stream that has ended."""
    master_url = f"{gateway}/hls/{stream_id}/master.m3u8"
    names = {uri for offer in read_offers(read(master_url).decode()) for uri in offer.uris}
    found: dict[Place, str] = {}
    for name in names:
        url = urljoin(master_url, name)
        rendition_id = name.split("/")[-2]
        playlist = read_seen(read(url).decode())
        assert playlist.ended, (url, "has no end")
        for segment in playlist.segments:
            found[Place(rendition_id, segment.msn)] = urljoin(url, segment.uri)
    return found


@dataclass
class Calls:
    """What callers of the API were answered."""

    count: int = 0
    failures: list[str] = field(default_factory=list)


@contextmanager
def calling(suite: ReplicaSuite, stream_id: str) -> Iterator[Calls]:
    """Call each service again and again, for as long as the block lasts: reads and writes."""
    calls, ends = Calls(), threading.Event()
    thread = threading.Thread(target=_call, args=(suite, stream_id, calls, ends), daemon=True)
    thread.start()
    try:
        yield calls
    finally:
        ends.set()
        thread.join()


def _call(suite: ReplicaSuite, stream_id: str, calls: Calls, ends: threading.Event) -> None:
    while not ends.is_set():
        name = f"called-{calls.count}"
        for method, path, document in (
            ("GET", "/api/v1/recordings?page_size=10", None),
            ("POST", "/api/v1/recordings", {"recording_id": name}),
            ("DELETE", f"/api/v1/recordings/{name}", None),
            ("GET", f"/hls/streams/{stream_id}", None),
            (
                "POST",
                f"/api/v1/recordings/{stream_id}/abr/quality",
                {"viewer_id": "caller", "bandwidth": 900},
            ),
        ):
            calls.count += 1
            try:
                status, answer = suite.call(method, path, document)
            except _BROKEN as error:
                status, answer = 0, repr(error)
            if status != 200:
                calls.failures.append(f"{method} {path}: {status} {answer}")
            ends.wait(CALLS_PAUSE_S)
