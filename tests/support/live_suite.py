"""Live streams in a running suite: create, publish, see who owns them."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from support.follower import AWAY_S, Follower, following
from support.live_publisher import HTTP_FLV, HTTP_MP4, LivePublisher, publishing_live
from support.stack import Stack
from weir_cli.plan import Kind

SMALL = ({"name": "Small", "width_pixels": 160, "height_pixels": 90, "video_bps": 100_000},)
_CONTAINERS = {"http-flv": HTTP_FLV, "http-mp4": HTTP_MP4}
TAKEN_OVER = "live stream taken over"


class LiveSuite:
    """The API of live streams, as publishers and viewers know it."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    def call(self, method: str, path: str, document: Any = None) -> tuple[int, Any]:
        """Send JSON; answers status and JSON."""
        body = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(  # noqa: S310 - a test's own suite
            self.stack.url + path, body, {"content-type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
                return response.status, json.loads(response.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def create(self, stream_id: str, **wish: Any) -> Any:
        """Create a stream with one small rung, unless wished otherwise; segments last 2 s."""
        document = {"stream_id": stream_id, "rungs": SMALL, "target_duration": 2, **wish}
        status, answer = self.call("POST", "/hls/streams", document)
        assert status == 200, answer
        return answer

    def create_pulled(self, stream_id: str, recording: Path, **wish: Any) -> Any:
        """Make a stream of a recording, looped, and start it."""
        status, answer = self.call("POST", "/api/v1/recordings", {"recording_id": stream_id})
        assert status == 200, answer
        url = f"{self.stack.url}/api/v1/recordings/{stream_id}/source"
        request = urllib.request.Request(url, recording.read_bytes(), method="PUT")  # noqa: S310
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
            assert json.loads(response.read())["state"] == "READY"
        stream = self.create(stream_id, source={"recording_id": stream_id, "loop": True}, **wish)
        self.do(stream_id, "start")
        return stream

    def get(self, stream_id: str) -> Any:
        status, answer = self.call("GET", f"/hls/streams/{stream_id}")
        assert status == 200, answer
        return answer

    def do(self, stream_id: str, verb: str) -> Any:
        """Start or stop a stream."""
        status, answer = self.call("POST", f"/hls/streams/{stream_id}/{verb}", {})
        assert status == 200, answer
        return answer

    def read(self, path: str) -> bytes:
        """Read what a viewer reads."""
        with urllib.request.urlopen(self.stack.url + path, timeout=30) as response:  # noqa: S310
            return bytes(response.read())

    def ask(self, path: str) -> tuple[int, Mapping[str, str]]:
        """How a viewer's request is answered: status and headers, their names in small letters."""
        try:
            with urllib.request.urlopen(self.stack.url + path, timeout=30) as response:  # noqa: S310
                return int(response.status), {name.lower(): text for name, text in response.headers.items()}
        except urllib.error.HTTPError as error:
            return error.code, {name.lower(): text for name, text in error.headers.items()}

    def status_of(self, path: str) -> int:
        """How a viewer's request is answered."""
        return self.ask(path)[0]

    def first_segment(self, stream: Any, *, within_s: float = 30.0) -> str:
        """Wait for a stream's first segment; its path, of which nobody has read a byte."""
        playlist = f"/hls/{stream['stream_id']}/variants/Small/playlist.m3u8"
        deadline = time.monotonic() + within_s
        while self.status_of(playlist) != 200 or not (found := _segments(self.read(playlist).decode())):
            assert time.monotonic() < deadline, f"{playlist} has no segment"
            time.sleep(0.2)
        return urljoin(playlist, found[0])

    def segments(self, playlist: str) -> list[str]:
        """The paths of the segments that a playlist lists."""
        return [urljoin(playlist, found) for found in _segments(self.read(playlist).decode())]

    def rtmp_url(self, stream: Any, *, to: str = "") -> str:
        """Where to push a stream by RTMP: through the door, or right to one transcoder."""
        base = str(stream["ingest"]["rtmp_url"])
        if to:
            (process,) = (process for process in self.stack.plan.processes if process.name == to)
            base = re.sub(r"//[^/]+", f"//{process.listens[-1]}", base)
        return f"{base.rstrip('/')}/{stream['ingest']['stream_key']}"

    def http_url(self, stream: Any) -> str:
        """Where to push a stream by HTTP, through the door."""
        return f"{stream['ingest']['http_url']}?stream_key={stream['ingest']['stream_key']}"

    @contextmanager
    def publish(
        self, stream: Any, *, to: str = "", via: str = "rtmp", faithful: bool = True
    ) -> Iterator[LivePublisher]:
        """Push to a stream for as long as the block lasts.

        Args:
            stream: As it was created.
            to: By RTMP, right to this transcoder; empty: through the door.
            via: "rtmp", "srt", "http" (a PUT of MPEG-TS), "http-flv" (a POST) or "http-mp4" (a PUT).
            faithful: Connect again whenever it was sent away.
        """
        urls = {"rtmp": self.rtmp_url(stream, to=to), "srt": str(stream["ingest"]["srt_url"])}
        url = urls.get(via) or self.http_url(stream)
        log = self.stack.plan.logs / f"publisher-{stream['stream_id']}.log"
        output = _CONTAINERS.get(via, ())
        with publishing_live(url, log, faithful=faithful, output=output) as publisher:
            yield publisher

    @contextmanager
    def follow(
        self, stream: Any, *, segments: int = 2, within_s: float = 40.0, away_s: float = AWAY_S
    ) -> Iterator[Follower]:
        """Watch a stream; the block begins when so many segments were seen."""
        with following(self.stack.url, stream["stream_id"], away_s=away_s) as follower:
            follower.wait_segments(segments, within_s)
            yield follower

    def owner(self, stream: Any) -> tuple[int, str]:
        """Who opened a stream's ledger last: epoch, and the name of the transcoder."""
        told = f'"{stream["stream_id"]}"'
        found = (
            (json.loads(line)["epoch"], process.name)
            for process in self.stack.plan.of_kind(Kind.TRANSCODER)
            for line in self.stack.log(process.name).splitlines()
            if TAKEN_OVER in line and told in line
        )
        return max(found, default=(0, ""))

    def wait_owner(self, stream: Any, after_epoch: int, within_s: float) -> tuple[int, str]:
        """Wait until somebody has taken a stream over."""
        deadline = time.monotonic() + within_s
        while (owner := self.owner(stream))[0] <= after_epoch:
            assert time.monotonic() < deadline, f"nobody took {stream['stream_id']} over from {owner}"
            time.sleep(0.05)
        return owner


def _segments(playlist: str) -> list[str]:
    return [line for line in playlist.splitlines() if line and not line.startswith("#")]
