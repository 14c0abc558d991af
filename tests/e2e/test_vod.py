"""The VOD journey through the door: a film goes in by curl or gRPC, and plays while it is being made."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import grpc
import m3u8  # type: ignore[import-untyped]
import pytest
from weir.transcoder.v1 import transcoder_pb2 as pb
from weir.transcoder.v1 import transcoder_pb2_grpc

from support.media import watch
from support.stack import Stack
from support.transcoder import small_film, upload_messages
from weir_cli.plan import Kind

END_S = 60.0
RUNNING = {"QUEUED", "RUNNING"}


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_film(tmp_path_factory.mktemp("film"), seconds=12.0)


@pytest.fixture(scope="module")
def long_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_film(tmp_path_factory.mktemp("film"), seconds=90.0)


class Api:
    """The public API, as curl and a browser see it."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    def call(self, method: str, path: str, document: Any = None) -> tuple[int, Any]:
        """Send JSON; answers status and JSON."""
        body = None if document is None else json.dumps(document).encode()
        headers = {"content-type": "application/json"} if body else {}
        request = urllib.request.Request(self.stack.url + path, body, headers, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - a test's own suite
                return response.status, json.loads(response.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def get(self, path: str) -> bytes:
        """Read what a player reads."""
        with urllib.request.urlopen(urljoin(self.stack.url, path), timeout=30) as response:  # noqa: S310
            return bytes(response.read())

    def create(self, recording_id: str) -> None:
        status, _ = self.call("POST", "/api/v1/recordings", {"recording_id": recording_id})
        assert status == 200

    def upload(self, recording_id: str, source: Path, *options: str, query: str = "") -> tuple[int, Any]:
        """Upload with curl."""
        url = f"{self.stack.url}/api/v1/recordings/{recording_id}/source{query}"
        command = (
            "curl",
            "--silent",
            "--show-error",
            "--max-time",
            "60",
            *options,
            "--upload-file",
            str(source),
        )
        done = subprocess.run(
            (*command, "--write-out", "\n%{http_code}", url), capture_output=True, check=True
        )
        answer, _, status = done.stdout.rpartition(b"\n")
        return int(status), json.loads(answer)

    def bring(self, recording_id: str, source: Path) -> None:
        """Create a recording and fill it."""
        self.create(recording_id)
        status, answer = self.upload(recording_id, source)
        assert (status, answer.get("state")) == (200, "READY")

    def start(self, recording_id: str, **wish: Any) -> str:
        """Start a job; answers its id."""
        path = f"/api/v1/recordings/{recording_id}/transcode/quality"
        status, answer = self.call("POST", path, wish)
        assert status == 200, answer
        (job_id,) = answer["job_ids"]
        return str(job_id)

    def progress(self, recording_id: str) -> Any:
        status, answer = self.call("GET", f"/api/v1/recordings/{recording_id}/transcode/progress")
        assert status == 200, answer
        return answer

    def job(self, recording_id: str) -> Any:
        (job,) = self.progress(recording_id)["jobs"].values()
        return job

    def finish(self, recording_id: str) -> Any:
        """Wait for the job's end."""
        deadline = time.monotonic() + END_S
        while (job := self.job(recording_id))["state"] in RUNNING:
            assert time.monotonic() < deadline, job
            time.sleep(0.1)
        return job

    def status(self, path: str) -> int:
        """Tell how a player's request is answered."""
        try:
            self.get(path)
        except urllib.error.HTTPError as error:
            return error.code
        return 200

    def playlists(self, recording_id: str) -> dict[str, Any]:
        """The media playlists that the multivariant playlist names, by URL."""
        master_url = f"{self.stack.url}/hls/{recording_id}/master.m3u8"
        master = m3u8.loads(self.get(master_url).decode())
        names = [playlist.uri for playlist in master.playlists] + [
            media.uri for media in master.media if media.uri
        ]
        urls = [urljoin(master_url, name) for name in names]
        return {url: m3u8.loads(self.get(url).decode()) for url in urls}


@pytest.fixture
def api(stack: Stack) -> Api:
    return Api(stack)


def reason(answer: Any) -> str:
    return str(answer["details"][0]["reason"])


def play(api: Api, url: str, playlist: Any) -> bytes:
    """Read a media playlist's segments, as a player puts them together."""
    init = api.get(urljoin(url, playlist.segments[0].init_section.uri))
    return init + b"".join(api.get(urljoin(url, segment.uri)) for segment in playlist.segments)


def test_a_film_uploaded_with_curl_plays_whole(api: Api, film: Path) -> None:
    api.bring("by-curl", film)
    api.start("by-curl")
    job = api.finish("by-curl")
    assert (job["state"], job["percent"]) == ("SUCCEEDED", 100)
    playlists = api.playlists("by-curl")
    assert len(playlists) == 2
    for playlist in playlists.values():
        assert playlist.is_endlist
        assert playlist.playlist_type == "vod"
        assert sum(segment.duration for segment in playlist.segments) == pytest.approx(12.0, abs=0.04)
    url, video = next((url, item) for url, item in playlists.items() if "VeryLow" in url)
    assert [frame.number for frame in watch(play(api, url, video))] == list(range(360))


def test_it_plays_while_it_is_still_being_made(start_stack: Callable[..., Stack], long_film: Path) -> None:
    api = Api(start_stack(settings={"WEIR_TRANSCODE_WORKERS": "1"}))
    api.bring("film", long_film)
    api.start("film")
    deadline, seen = time.monotonic() + END_S, 0
    while api.job("film")["state"] in RUNNING:
        assert time.monotonic() < deadline
        status = api.status("/hls/film/master.m3u8")
        assert status in {200, 404}
        playlists = api.playlists("film") if status == 200 else {}
        for url, playlist in playlists.items():
            if not playlist.is_endlist:
                assert playlist.playlist_type == "event"
                assert api.get(urljoin(url, playlist.segments[-1].uri))  # what is announced can be read
                seen += 1
    assert seen >= 4
    assert all(playlist.is_endlist for playlist in api.playlists("film").values())


def test_a_film_uploaded_by_grpc_is_watched_to_its_end(stack: Stack, film: Path) -> None:
    with grpc.insecure_channel(stack.address) as channel:
        recordings = transcoder_pb2_grpc.RecordingServiceStub(channel)
        jobs = transcoder_pb2_grpc.TranscodeServiceStub(channel)
        recordings.CreateRecording(pb.CreateRecordingRequest(recording_id="by-grpc-upload"), timeout=30)
        messages = upload_messages(film.read_bytes(), "by-grpc-upload")
        assert recordings.UploadSource(messages, timeout=30).state == pb.Recording.READY
        request = pb.StartTranscodeRequest(recording_id="by-grpc-upload", container="ts")
        (job_id,) = jobs.StartTranscode(request, timeout=30).job_ids
        watching = pb.WatchProgressRequest(recording_id="by-grpc-upload")
        reports = list(jobs.WatchProgress(watching, timeout=END_S))
    assert reports[-1].is_complete
    assert reports[-1].jobs[job_id].state == pb.JobProgress.SUCCEEDED


def test_a_body_without_length_needs_a_hash(api: Api, film: Path) -> None:
    api.create("chunked")
    chunked = ("--header", "transfer-encoding: chunked")
    status, answer = api.upload("chunked", film, *chunked)
    assert (status, reason(answer)) == (400, "LENGTH_REQUIRED")
    sha256 = hashlib.sha256(film.read_bytes()).hexdigest()
    status, answer = api.upload("chunked", film, *chunked, query=f"?sha256={sha256}")
    assert (status, answer["state"], answer["sha256"]) == (200, "READY", sha256)


def test_a_wrong_hash_is_refused(api: Api, film: Path) -> None:
    api.create("wrong-hash")
    status, answer = api.upload("wrong-hash", film, query=f"?sha256={'0' * 64}")
    assert (status, reason(answer)) == (400, "SHA256_DIFFERS")
    assert not list(api.stack.objects.glob("recordings/wrong-hash/**/*"))


def test_an_upload_that_breaks_off_leaves_nothing(api: Api, film: Path) -> None:
    api.create("broken")
    address = urlsplit(api.stack.url)
    data = film.read_bytes()
    head = (
        f"PUT /api/v1/recordings/broken/source HTTP/1.1\r\nhost: weir\r\ncontent-length: {len(data)}\r\n\r\n"
    )
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(head.encode() + data[: len(data) // 2])
        time.sleep(0.3)
    deadline = time.monotonic() + 10
    while (answer := api.call("GET", "/api/v1/recordings/broken")[1])["state"] != "CREATED":
        assert time.monotonic() < deadline, answer
        time.sleep(0.1)
    assert not [path for path in api.stack.objects.glob("recordings/broken/**/*") if path.is_file()]


def test_what_is_no_media_is_refused_in_plain_words(api: Api, tmp_path: Path) -> None:
    api.create("text")
    text = tmp_path / "film.mp4"
    text.write_bytes(b"This is no film. " * 100)
    status, answer = api.upload("text", text)
    assert (status, reason(answer)) == (400, "NOT_MEDIA")
    _, recording = api.call("GET", "/api/v1/recordings/text")
    assert (recording["state"], recording["error"]) == ("FAILED", answer["message"])
    assert not list(api.stack.objects.glob("recordings/text/**/*"))


def test_errors_have_their_status_and_name_the_field(api: Api, film: Path) -> None:
    api.bring("errors", film)
    quality = "/api/v1/recordings/errors/transcode/quality"
    for method, path, document, status, word in (
        ("GET", "/api/v1/recordings/none", None, 404, "none"),
        ("POST", "/api/v1/recordings", {"recording_id": "errors"}, 409, "errors"),
        ("POST", "/api/v1/recordings", {"recording_id": "a/b"}, 400, "recording_id"),
        ("POST", "/api/v1/recordings", {"source_url": "http://10.0.0.1/f"}, 400, "source_url"),
        ("GET", "/api/v1/recordings?page_size=5000", None, 400, "page_size"),
        ("POST", quality, {"profiles": ["Ultra"]}, 400, "Ultra"),
        ("POST", quality, {"container": "mkv"}, 400, "container"),
        ("POST", quality, {"input_path": "../../etc/passwd"}, 400, "input_path"),
        ("POST", "/api/v1/recordings/none/transcode/quality", {}, 404, "none"),
        ("POST", "/api/v1/recordings/errors/transcode/cancel", {"job_id": "none"}, 404, "none"),
    ):
        got, answer = api.call(method, path, document)
        assert (got, word in answer["message"]) == (status, True), (path, answer)
        assert answer["details"][0]["domain"] == "weir"


def test_a_cancelled_job_is_gone_when_the_answer_comes(
    start_stack: Callable[..., Stack], long_film: Path
) -> None:
    api = Api(start_stack(replicas={Kind.TRANSCODER: 2}, settings={"WEIR_TRANSCODE_WORKERS": "1"}))
    api.bring("film", long_film)
    job_id = api.start("film")
    deadline = time.monotonic() + END_S
    while not list(api.stack.objects.glob("streams/film/**/*.m4s")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    begin = time.monotonic()
    cancel = "/api/v1/recordings/film/transcode/cancel"
    assert api.call("POST", cancel, {"job_id": job_id})[1]["job_ids"] == [job_id]
    assert time.monotonic() - begin < 5
    assert not list(api.stack.objects.glob("streams/film/**/*.m4s"))
    assert api.job("film")["state"] == "CANCELLED"
    status, answer = api.call("POST", cancel, {"job_id": job_id})
    assert (status, reason(answer)) == (400, "JOB_ENDED")


@pytest.mark.torture
def test_a_transcoder_killed_in_mid_job_loses_nothing(
    start_stack: Callable[..., Stack], long_film: Path
) -> None:
    stack = start_stack(replicas={Kind.TRANSCODER: 2}, settings={"WEIR_TRANSCODE_WORKERS": "1"})
    api = Api(stack)
    api.bring("film", long_film)
    api.start("film")
    deadline = time.monotonic() + END_S
    while not 10 < api.job("film")["percent"] < 90:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    stack.kill("transcoder-2")
    assert api.finish("film")["state"] == "SUCCEEDED"
    for url, playlist in api.playlists("film").items():
        assert playlist.is_endlist
        assert sum(segment.duration for segment in playlist.segments) == pytest.approx(90.0, abs=0.04)
        assert all(api.get(urljoin(url, segment.uri)) for segment in playlist.segments)


def test_a_deleted_recording_plays_no_more(api: Api, film: Path) -> None:
    api.bring("deleted", film)
    api.start("deleted")
    api.finish("deleted")
    assert api.playlists("deleted")
    assert api.call("DELETE", "/api/v1/recordings/deleted")[0] == 200
    assert not list(api.stack.objects.glob("*/deleted/**/*"))
    deadline = time.monotonic() + 10
    while (status := api.status("/hls/deleted/master.m3u8")) == 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert status in {404, 410}
