"""Through the real door: clients that know nothing but the address."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from weir.transcoder.v1 import transcoder_pb2 as pb
from weir.transcoder.v1 import transcoder_pb2_grpc

from support.stack import Stack
from weir_cli.plan import SERVICES

BUF = str(Path(sys.executable).parent / "buf")
READ_PATHS = ("/api/v1/recordings", "/hls/streams", "/", "/assets/mark.svg")
RECORDINGS = "weir.transcoder.v1.RecordingService"


def _buf_curl(address: str, method: str, request: str = "{}") -> subprocess.CompletedProcess[str]:
    """Call by reflection, as a client does that has no contract of its own."""
    plain = ("--protocol", "grpc", "--http2-prior-knowledge", "--data", request)
    command = (BUF, "curl", *plain, f"http://{address}/{method}")
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("way", ["through Envoy", "at the service itself"])
def test_independent_client_calls_by_reflection(stack: Stack, way: str) -> None:
    address = stack.address if way == "through Envoy" else stack.grpc_address("transcoder")
    answer = _buf_curl(address, f"{RECORDINGS}/ListRecordings")
    assert answer.returncode == 0, answer.stderr
    assert isinstance(json.loads(answer.stdout), dict)


def test_independent_client_reads_our_errors(stack: Stack) -> None:
    answer = _buf_curl(stack.address, f"{RECORDINGS}/GetRecording", '{"recording_id": "never-made"}')
    assert answer.returncode != 0
    error = json.loads(answer.stderr)
    assert error["code"] == "not_found"
    assert error["details"][0]["type"] == "google.rpc.ErrorInfo"


def test_native_and_rest_clients_meet_the_same_handlers(stack: Stack) -> None:
    with grpc.insecure_channel(stack.address) as channel:
        recordings = transcoder_pb2_grpc.RecordingServiceStub(channel)
        recordings.CreateRecording(
            pb.CreateRecordingRequest(recording_id="by-grpc", title="By gRPC"), timeout=30
        )
    answer = _buf_curl(stack.address, f"{RECORDINGS}/GetRecording", '{"recording_id": "by-grpc"}')
    assert json.loads(answer.stdout)["title"] == "By gRPC"


@pytest.mark.torture
def test_no_read_fails_while_one_of_two_replicas_of_each_service_is_killed(
    start_stack: Callable[..., Stack],
) -> None:
    stack = start_stack(replicas=dict.fromkeys(SERVICES, 2))
    ended = threading.Event()
    with ThreadPoolExecutor() as clients:
        reads = [clients.submit(_read_until, ended, stack.url + path) for path in READ_PATHS]
        for kind in SERVICES:
            stack.kill(f"{kind}-2")
            time.sleep(0.5)
        ended.set()
    statuses = Counter(status for read in reads for status in read.result())
    assert set(statuses) == {200}
    assert statuses.total() > 20 * len(SERVICES)


def _read_until(ended: threading.Event, url: str) -> list[int]:
    """Read again and again; return the status of each answer."""
    statuses = []
    while not ended.is_set():
        try:
            with urllib.request.urlopen(url, timeout=30) as response:  # noqa: S310 - a test's own suite
                statuses.append(response.status)
        except urllib.error.HTTPError as error:
            statuses.append(error.code)
            error.close()
        time.sleep(0.01)
    return statuses
