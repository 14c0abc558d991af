"""`weir run` as its users know it: one ready line, nothing left behind, everything found again."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from support.command import WEIR, Run, running, survivors
from support.ports import free_base
from support.stack import Stack, running_stack
from weir_cli import programs

SERVED_DEADLINE_S = 30.0

PROCESSES = {"nats-server", "distributor", "abr", "transcoder", "hls_gateway", "envoy"}


def _get(url: str) -> tuple[int, str]:
    with urllib.request.urlopen(url, timeout=30) as response:  # noqa: S310 - a test's own suite
        return response.status, response.read().decode()


def _wait_served(url: str) -> None:
    """Wait until the door has seen that those behind it are back: it looks at them once a second."""
    deadline = time.monotonic() + SERVED_DEADLINE_S
    while True:
        try:
            assert _get(url)[0] == 200
        except urllib.error.HTTPError:
            assert time.monotonic() < deadline, f"{url} is not served"
            time.sleep(0.1)
        else:
            return


def _post(url: str, document: Any) -> Any:
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(url, json.dumps(document).encode(), headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
        return json.loads(response.read())


def _recordings(run: Run) -> list[str]:
    _, body = _get(f"{run.url}/api/v1/recordings")
    return [recording["recording_id"] for recording in json.loads(body)["recordings"]]


def test_second_start_finds_what_the_first_stored_and_neither_leaves_a_process(tmp_path: Path) -> None:
    port = free_base(100)
    with running(tmp_path, port) as run:
        assert run.next_line() == f"ready http://127.0.0.1:{port}"
        family = run.family()
        assert {
            name for name in PROCESSES if any(name in command for command in family.values())
        } == PROCESSES
        _post(f"{run.url}/api/v1/recordings", {"recording_id": "kept", "title": "Kept"})
        assert run.end(signal.SIGTERM) == 0
        assert survivors(family) == {}
    with running(tmp_path, port) as run:
        assert run.next_line() == f"ready http://127.0.0.1:{port}"
        family = run.family()
        assert _recordings(run) == ["kept"]
        assert run.end(signal.SIGINT) == 0
        assert survivors(family) == {}


def test_even_a_killed_runner_leaves_no_process(tmp_path: Path) -> None:
    with running(tmp_path, free_base(100)) as run:
        run.next_line()
        family = run.family()
        run.end(signal.SIGKILL)
        assert survivors(family) == {}


def test_signal_during_the_start_leaves_no_process(tmp_path: Path) -> None:
    with running(tmp_path, free_base(100)) as run:
        while "nats-server" not in str(run.family()):
            assert run.process.poll() is None
        family = run.family()
        assert run.end(signal.SIGTERM) == 0
        assert survivors(family) == {}


def test_taken_port_is_a_clear_error(tmp_path: Path) -> None:
    port = free_base(100)
    with socket.create_server(("127.0.0.1", port + 4)), running(tmp_path, port) as run:
        assert run.process.wait(30) == 1
        assert f"port {port + 4} (distributor)" in run.errors
        assert "WEIR_PORT" in run.errors


def test_setting_out_of_range_is_a_clear_error(tmp_path: Path) -> None:
    with running(tmp_path, 99) as run:
        assert run.process.wait(30) == 1
        assert "WEIR_PORT is '99'" in run.errors


def test_two_suites_run_side_by_side_but_never_on_one_folder(tmp_path: Path) -> None:
    first, second = free_base(100), free_base(100)
    with running(tmp_path / "a", first) as one, running(tmp_path / "b", second) as other:
        assert {one.next_line(), other.next_line()} == {f"ready {one.url}", f"ready {other.url}"}
        _post(f"{one.url}/api/v1/recordings", {"recording_id": "only-here"})
        assert (_recordings(one), _recordings(other)) == (["only-here"], [])
        with running(tmp_path / "a", free_base(100)) as intruder:
            assert intruder.process.wait(30) == 1
            assert "WEIR_DATA" in intruder.errors


def test_empty_suite_shows_a_sample_that_plays(tmp_path: Path) -> None:
    with running(tmp_path, free_base(100), WEIR_DEMO="1") as run:
        assert run.next_line() == f"ready {run.url}"
        assert run.next_line() == f"watch {run.url}/watch/sample"
        assert _get(f"{run.url}/watch/sample")[0] == 200
        _, playlist = _get(f"{run.url}/hls/sample/master.m3u8")
        assert playlist.startswith("#EXTM3U")


@pytest.mark.parametrize("name", ["nats", "distributor", "abr", "transcoder", "hls-gateway", "envoy"])
def test_killed_process_comes_back_and_the_suite_with_it(killable: Stack, name: str) -> None:
    pid = killable.kill(name)
    killable.wait_restarted(name, pid)
    killable.wait_healthy()
    _wait_served(f"{killable.url}/api/v1/recordings")
    assert f"{name} was killed by signal 9" in killable.log("weir")


def test_upload_command_leads_from_a_file_to_a_watch_url(stack: Stack, tmp_path: Path) -> None:
    file = _make_recording(tmp_path / "clip.mp4")
    command = (WEIR, "upload", str(file), "--url", stack.url, "--id", "uploaded-by-command")
    uploaded = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (uploaded.returncode, uploaded.stdout) == (0, f"watch {stack.url}/watch/uploaded-by-command\n")
    _, playlist = _get(f"{stack.url}/hls/uploaded-by-command/master.m3u8")
    assert "#EXT-X-STREAM-INF" in playlist


def test_upload_command_tells_why_it_was_refused(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear reader")
    command = (WEIR, "upload", str(tmp_path / "letter.txt"), "--url", stack.url)
    refused = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "weir: source" in refused.stderr


@pytest.fixture(scope="module")
def killable(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A suite whose processes these tests kill, one after the other."""
    with running_stack(tmp_path_factory.mktemp("killable")) as stack:
        yield stack


def _make_recording(path: Path) -> Path:
    picture = ("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=3")
    encoding = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
    subprocess.run([programs.ffmpeg_path(), "-loglevel", "error", *picture, *encoding, str(path)], check=True)
    return path
