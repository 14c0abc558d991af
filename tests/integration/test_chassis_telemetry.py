"""Telemetry leaves a real process: log lines on stdout, spans at a real HTTP collector."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

PROGRAM = """
from chassis import telemetry
from chassis.config import ServiceConfig

telemetry.set_up("demo", ServiceConfig())
with telemetry.tracer.start_as_current_span("encode"):
    telemetry.log.info("segment written", msn=7)
    telemetry.log.debug("detail")
telemetry.shut_down()
"""


class Collector(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), CollectorHandler)
        self.bodies: list[tuple[str, bytes]] = []


class CollectorHandler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.bodies.append((self.path, body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def run(**env: str) -> list[str]:
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=True, timeout=60
    )
    return process.stdout.splitlines()


def test_spans_reach_the_collector_and_lines_carry_their_trace(collector: Collector) -> None:
    (line,) = run(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.server_port}")
    assert len(json.loads(line)["trace_id"]) == 32
    (path, body), *_more = collector.bodies
    assert path == "/v1/traces"
    assert b"encode" in body
    assert b"demo" in body


def test_without_a_collector_lines_are_json_and_carry_no_trace() -> None:
    (line,) = run()
    event = json.loads(line)
    assert (event["event"], event["msn"], event["level"], event["service"]) == (
        "segment written",
        7,
        "info",
        "demo",
    )
    assert "trace_id" not in event


def test_log_level_and_format_are_heeded() -> None:
    lines = run(WEIR_LOG_LEVEL="debug", WEIR_LOG_FORMAT="console")
    assert len(lines) == 2
    assert not lines[0].startswith("{")
    assert run(WEIR_LOG_LEVEL="warning") == []
