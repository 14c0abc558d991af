"""How fast the gateway serves, beside nginx with one worker serving the same files on the same machine.

The gateway is a process of its own, as in production: `python -m hls_gateway`, following a distributor that
this script plays. nginx has the same playlist and segment as plain files. wrk asks one after the other, round
after round, so that whatever else the machine does falls on all; what counts is the median of the rounds'
ratios. The same through Envoy is reported without a bar. Needs wrk and nginx (it tries apt-get where they are
missing); without nginx there are figures but no ratio, and it says so.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from weir.timeline.v1 import timeline_pb2 as pb

# Started as a script, this folder would stand for the root.
sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.machine import peak_memory_mib
from bench.peer import played

from weir_cli import programs
from weir_cli.address import Address
from weir_cli.envoy_config import Edge, fit_config

ROUNDS, ENVOY_ROUNDS, ROUND_S = 5, 3, 1
SEGMENT_BYTES = 1024 * 1024
SEGMENT_COUNT = 150  # ten minutes
MEMORY_BAR_MIB = 250
INCARNATION = "0badcafe"
OBJECT_KEY = f"streams/bench/{INCARNATION}/High/00000000-00000000.m4s"
PLAYLIST = "hls/bench/variants/High/playlist.m3u8"
SEGMENT = "hls/bench/variants/High/segment_7.m4s"
GATEWAY, NGINX, ENVOY = "gateway", "nginx", "through Envoy"

NGINX_CONFIG = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;
  types {{ application/vnd.apple.mpegurl m3u8; video/mp4 m4s; }}
  add_header Access-Control-Allow-Origin "*"; add_header Cache-Control "public, max-age=2";
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port}; root {folder}/www; }}
}}
"""


@dataclass(frozen=True)
class Measure:
    """One thing that is compared; `scale` makes answers per second the unit that is shown."""

    name: str
    path: str
    connection_count: int
    unit: str
    scale: float
    bar_ratio: float
    stretch_ratio: float
    script: str = ""


# Players that poll send the same bytes each time, which the gateway remembers; those with CMCD never do.
NO_TWO_ALIKE = """
local count = 0
request = function()
  count = count + 1
  return wrk.format(nil, wrk.path .. "?CMCD=bl%3D" .. count .. "%2Cbr%3D2000")
end
"""
MEASURES = (
    Measure("playlists, 64 connections", PLAYLIST, 64, "/s", 1.0, 0.7, 1.2),
    Measure("the same, no two requests alike", PLAYLIST, 64, "/s", 1.0, 0.7, 1.2, NO_TWO_ALIKE),
    Measure("1 MiB segments, 16 connections", SEGMENT, 16, "MB/s", SEGMENT_BYTES / 1e6, 1.0, 1.2),
)


def main() -> int:
    """Print the table; 1 if a bar was missed."""
    missing = [tool for tool in ("wrk", "nginx") if not find_tool(tool)]
    if "wrk" in missing:
        print("NOT MEASURED: wrk, the load generator, is not here and could not be installed")
        return 1
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weir-bench-")))
        gateway, port = stack.enter_context(running_gateway(folder))
        ports = {GATEWAY: port, ENVOY: stack.enter_context(running_envoy(folder, port))}
        if not missing:
            ports[NGINX] = stack.enter_context(running_nginx(folder, port))
        rates = {measure: run_rounds(measure, ports) for measure in MEASURES}
        memory_mib = peak_memory_mib(gateway.pid)
    return report(rates, memory_mib)


def find_tool(name: str) -> str | None:
    """Find a program, installing it where that is possible."""
    places = f"{os.environ.get('PATH', '')}:/usr/sbin"
    if not (found := shutil.which(name, path=places)) and (installer := shutil.which("apt-get")):
        subprocess.run([installer, "install", "-y", "-q", name], capture_output=True, check=False)
        found = shutil.which(name, path=places)
    return found


def run_rounds(measure: Measure, ports: dict[str, int]) -> dict[str, list[float]]:
    """Ask every server in turn, after one round that does not count."""
    rates = defaultdict(list)
    for number in range(ROUNDS + 1):
        for name, port in ports.items():
            if name == ENVOY and number >= ENVOY_ROUNDS:
                continue
            rate = ask(f"http://127.0.0.1:{port}/{measure.path}", measure)
            if number:
                rates[name].append(rate * measure.scale)
    return rates


def ask(url: str, measure: Measure) -> float:
    """Ask for a URL as fast as it is answered; returns answers per second."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(measure.script)
        script.flush()
        argv = ["wrk", "-t1", f"-c{measure.connection_count}", f"-d{ROUND_S}s", "-s", script.name, url]
        output = subprocess.run(argv, capture_output=True, check=True, text=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise RuntimeError(f"{url} was not always answered:\n{output}")
    (rate,) = re.findall(r"Requests/sec:\s+([0-9.]+)", output)
    return float(rate)


def report(rates: dict[Measure, dict[str, list[float]]], memory_mib: float) -> int:
    """Print what was measured beside what it should be."""
    print(f"{'':32}{'gateway':>12}{'nginx':>12}{'ratio':>8}{'bar':>6}{'stretch':>9}{'through Envoy':>16}")
    missed = memory_mib > MEMORY_BAR_MIB
    for measure, found in rates.items():
        ours, theirs, door = (median(found[name]) for name in (GATEWAY, NGINX, ENVOY))
        ratios = [one / other for one, other in zip(found[GATEWAY], found[NGINX], strict=False)]
        ratio = median(ratios)
        missed |= bool(ratios) and ratio < measure.bar_ratio
        print(
            f"{measure.name:32}{ours:>12,.0f}{theirs:>12,.0f}{ratio:>8.2f}{measure.bar_ratio:>6.1f}"
            f"{measure.stretch_ratio:>9.1f}{door:>16,.0f}  {measure.unit}"
        )
    print(f"{'memory of the gateway, peak':32}{memory_mib:>12.0f}{'':>20}{MEMORY_BAR_MIB:>6}{'':>25}  MiB")
    if not rates[MEASURES[0]][NGINX]:
        print("NO RATIO: nginx is not here and could not be installed; the bars were NOT checked")
    print("MISSED a bar" if missed else "all bars reached")
    return int(missed)


def median(values: list[float]) -> float:
    """The median; not a number without values."""
    return statistics.median(values) if values else float("nan")


# The servers.


def tell(_request: pb.WatchRequest, context: Any) -> Iterator[pb.WatchResponse]:
    """Tell of one stream, ten minutes long and ended."""
    stream = pb.Stream(
        stream_id="bench",
        incarnation=INCARNATION,
        kind=pb.STREAM_KIND_VOD,
        container=pb.CONTAINER_CMAF,
        target_duration_s=4,
    )
    yield pb.WatchResponse(stream=stream)
    entries = [entry_of_rendition(), *map(entry_of_segment, range(SEGMENT_COUNT)), pb.Entry(ended=pb.Ended())]
    record = pb.Record(epoch=1, entries=entries)
    yield pb.WatchResponse(record=pb.SequencedRecord(sequence=1, record=record))
    yield pb.WatchResponse(caught_up=pb.CaughtUp())
    gone = threading.Event()
    context.add_callback(gone.set)
    gone.wait()


def entry_of_rendition() -> pb.Entry:
    rendition = pb.Rendition(
        rendition_id="High",
        media_kind=pb.MEDIA_KIND_VIDEO,
        codecs="avc1.640028",
        width_pixels=1920,
        height_pixels=1080,
        frame_rate_numerator=30,
        frame_rate_denominator=1,
        target_bps=2_000_000,
        peak_bps=3_000_000,
    )
    return pb.Entry(rendition=rendition)


def entry_of_segment(msn: int) -> pb.Entry:
    segment = pb.Segment(
        rendition_id="High",
        msn=msn,
        start_s=4.0 * msn,
        duration_s=4.0,
        object_key=OBJECT_KEY,
        size_bytes=SEGMENT_BYTES,
        init_key=OBJECT_KEY,
        init_size_bytes=SEGMENT_BYTES,
    )
    return pb.Entry(segment=segment)


@contextmanager
def running_gateway(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run a gateway, with a distributor to follow and a segment in storage."""
    stored = folder / "objects" / OBJECT_KEY
    stored.parent.mkdir(parents=True)
    stored.write_bytes(os.urandom(SEGMENT_BYTES))
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((played(pb.DESCRIPTOR.services_by_name["TimelineService"], Watch=tell),))
    distributor_port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    port = free_port()
    settings = {
        "WEIR_HTTP_ADDRESS": f"127.0.0.1:{port}",
        "WEIR_GRPC_ADDRESS": "127.0.0.1:0",
        "WEIR_DISTRIBUTOR_ADDRESS": f"127.0.0.1:{distributor_port}",
        "WEIR_ABR_ADDRESS": os.environ.get("WEIR_ABR_ADDRESS", f"127.0.0.1:{distributor_port}"),
        "WEIR_STORAGE_URL": (folder / "objects").as_uri(),
        "WEIR_LOG_LEVEL": "warning",
    }
    argv = [sys.executable, "-m", "hls_gateway"]
    try:
        with running(argv, f"http://127.0.0.1:{port}/{PLAYLIST}", settings) as process:
            yield process, port
    finally:
        server.stop(0).wait()


@contextmanager
def running_nginx(folder: Path, gateway_port: int) -> Iterator[int]:
    """Run nginx with one worker and the files that the gateway serves."""
    for path in (PLAYLIST, SEGMENT):
        file = folder / "www" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(f"http://127.0.0.1:{gateway_port}/{path}") as answer:
            file.write_bytes(answer.read())
    folder.chmod(0o755)  # the worker is another user when this one is root
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(NGINX_CONFIG.format(folder=folder, port=port))
    argv = [find_tool("nginx") or "nginx", "-c", str(config), "-e", str(folder / "nginx.log")]
    with running(argv, f"http://127.0.0.1:{port}/{PLAYLIST}"):
        yield port


@contextmanager
def running_envoy(folder: Path, gateway_port: int) -> Iterator[int]:
    """Run Envoy with the suite's configuration before the gateway, and nothing else behind it."""
    nobody, gateway = (Address(port=free_port()),), (Address(port=gateway_port),)
    others = ("abr", "transcoder", "transcoder-rtmp", "transcoder-srt", "distributor", "hls-gateway-grpc")
    clusters = dict.fromkeys(others, nobody)
    public, admin = free_port(), free_port()
    edge = Edge(
        public=Address(port=public),
        admin=Address(port=admin),
        rtmp=Address(port=free_port()),
        srt=Address(port=free_port()),
        upstreams={**clusters, "hls-gateway": gateway},
        descriptors_path=programs.descriptors_path(),
    )
    config = folder / "envoy.yaml"
    config.write_text(fit_config(programs.envoy_config_path().read_text(), edge))
    argv = [
        programs.envoy_path(),
        "-c",
        str(config),
        "--disable-hot-restart",
        "-l",
        "off",
        "--concurrency",
        "1",
    ]
    with running(argv, f"http://127.0.0.1:{public}/{PLAYLIST}"):
        yield public


@contextmanager
def running(
    argv: list[str], url: str, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends; begins once `url` is answered."""
    process = subprocess.Popen(
        argv, env={**os.environ, **(environment or {})}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until_answered(url, process)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_answered(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60  # of a machine that has much else to do
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} did not come to answer {url}")


def free_port() -> int:
    with closing(socket.socket()) as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
