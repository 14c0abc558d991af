"""How long each service takes from its start until it may be given work, beside a bare import of gRPC.

A process is started as in a container, over a real NATS, and asked for its health by gRPC until it serves.
The median of the rounds counts; CPU time tells what of it is the process's own work, whatever else runs.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import grpc

# Beside this file stands only a part of what is needed: look from the project's root.
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from chassis.probe import is_serving
from support.nats import running_nats
from support.ports import free_ports

ROUNDS, MOST_S = 5, 5.0
POLL_S, GIVE_UP_S = 0.02, 60.0
SERVICES = ("abr", "distributor", "hls_gateway", "transcoder")
PEER = (sys.executable, "-c", "import grpc.aio")


def main() -> int:
    """Print a line per service; 1 if one missed the bar."""
    times: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as name, running_nats(Path(name) / "nats") as nats:
        for _ in range(ROUNDS):
            times.setdefault("import grpc.aio", []).append(measured_peer())
            for service in SERVICES:
                times.setdefault(service, []).append(measured(service, nats.url, Path(name)))
    peer_s = median(start_s for start_s, _ in times["import grpc.aio"])
    missed = [service for service in times if not show(service, times[service], peer_s)]
    return 1 if missed else 0


def show(service: str, found: list[tuple[float, float]], peer_s: float) -> bool:
    """Print one service's figures; tell whether the bar was kept."""
    start_s, cpu_s = (median(column) for column in zip(*found, strict=True))
    print(
        f"{service:16}{start_s:>7.2f} s to ready{cpu_s:>7.2f} s of CPU{start_s / peer_s:>7.1f} of the import"
        f", bar {MOST_S} s"
    )
    return bool(start_s <= MOST_S)


def measured(service: str, nats_url: str, folder: Path) -> tuple[float, float]:
    """Start a service, wait until it is ready, end it; seconds to ready, and of CPU time in all."""
    grpc_port, http_port, rtmp_port, srt_port = free_ports(4)
    nobody = f"127.0.0.1:{free_ports(1)[0]}"
    settings = {
        "WEIR_NATS_URL": nats_url,
        "WEIR_STORAGE_URL": (folder / "objects").as_uri(),
        "WEIR_GRPC_ADDRESS": f"127.0.0.1:{grpc_port}",
        "WEIR_HTTP_ADDRESS": f"127.0.0.1:{http_port}",
        "WEIR_RTMP_ADDRESS": f"127.0.0.1:{rtmp_port}",
        "WEIR_SRT_ADDRESS": f"127.0.0.1:{srt_port}",
        "WEIR_SCRATCH_PATH": str(folder / "scratch"),
        **dict.fromkeys(("WEIR_DISTRIBUTOR_ADDRESS", "WEIR_TRANSCODER_ADDRESS", "WEIR_ABR_ADDRESS"), nobody),
        "WEIR_SHUTDOWN_GRACE_S": "0",
        "WEIR_DRAIN_S": "0",
        "WEIR_LOG_LEVEL": "error",
    }
    before_s, start = children_cpu_s(), time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", service], env={**os.environ, **settings})
    try:
        wait_ready(process, grpc_port)
        ready_s = time.monotonic() - start
    finally:
        process.terminate()
        process.wait()
    return ready_s, children_cpu_s() - before_s


def wait_ready(process: subprocess.Popen[bytes], port: int) -> None:
    """Ask for health until it is there."""
    deadline = time.monotonic() + GIVE_UP_S
    options = [("grpc.use_local_subchannel_pool", 1)]
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the service ended at its start: {process.returncode}")
        with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
            try:
                grpc.channel_ready_future(channel).result(timeout=POLL_S * 5)
            except grpc.FutureTimeoutError:
                continue
        if is_serving(f"127.0.0.1:{port}"):
            return
        time.sleep(POLL_S)
    raise RuntimeError(f"the service was not ready within {GIVE_UP_S:g} s")


def measured_peer() -> tuple[float, float]:
    """Import gRPC in a process of its own."""
    before_s, start = children_cpu_s(), time.monotonic()
    subprocess.run(PEER, check=True)
    return time.monotonic() - start, children_cpu_s() - before_s


def children_cpu_s() -> float:
    """How much CPU time ended children have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
