"""What it costs the gateway to read CMCD: the same requests with it, and with bytes that mean nothing.

wrk asks one after the other, round after round. What counts is the median of the rounds' ratios of answers
per second of the gateway's CPU time, of which it has one core's: what else the machine does matters little.
Reading includes finding the session, keeping its sums, and telling an abr that this script plays. No two
requests are alike, as with real players: the buffer and the throughput change all the time.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from weir.abr.v1 import abr_pb2 as pb

# Beside this file stands only a part of what is needed: look from the project's root.
sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.gateway import PLAYLIST, ROUND_S, SEGMENT, Measure, ask, find_tool, median, running_gateway
from bench.machine import cpu_s
from bench.peer import played

ROUNDS, LEAST_RATIO = 12, 0.9
KEYS = (
    "bl%3D{bl}%2Cbr%3D2000%2Ccid%3D%22bench%22%2Cd%3D4000%2Cdl%3D{bl}%2Cmtp%3D{mtp}%2C"
    "nor%3D%22segment_8.m4s%22%2Cot%3Dv%2Crtp%3D8000%2Csf%3Dh%2C"
    "sid%3D%226e2fb550-c457-11e9-bb97-{sid}%22%2Cst%3Dv%2Ctb%3D4000"
)
SCRIPT = """
local count = 0
local keys = "{keys}"
request = function()
  count = count + 1
  local bl = (count * 700) % 30000
  local sid = string.format("%012d", count % 500)
  local filled = keys:gsub("{{bl}}", bl):gsub("{{mtp}}", 9000 + (count * 300) % 20000):gsub("{{sid}}", sid)
  return wrk.format(nil, wrk.path .. "?{name}=" .. filled)
end
"""
NAMES = ("CMCD", "XMCD")


def main() -> int:
    """Print the table; 1 if the bar was missed."""
    if not find_tool("wrk"):
        print("NOT MEASURED: wrk, the load generator, is not here and could not be installed")
        return 1
    with (
        tempfile.TemporaryDirectory(prefix="weir-bench-") as folder,
        running_abr(),
        running_gateway(Path(folder)) as (gateway, port),
    ):
        ratios = [measure(gateway.pid, port, path) for path in (PLAYLIST, SEGMENT)]
    missed = any(ratio < LEAST_RATIO for ratio in ratios)
    print("MISSED a bar" if missed else "all bars reached")
    return int(missed)


def measure(pid: int, port: int, path: str) -> float:
    """Compare both for one path; returns the ratio of answers per second of the gateway's CPU time."""
    rates: dict[str, list[float]] = {name: [] for name in NAMES}
    for number in range(ROUNDS + 1):
        for name in NAMES:
            before_s = cpu_s(pid)
            count = ask(f"http://127.0.0.1:{port}/{path}", measured(path, name)) * ROUND_S
            if number:
                rates[name].append(count / (cpu_s(pid) - before_s))
    ratio = median([one / other for one, other in zip(rates["CMCD"], rates["XMCD"], strict=True)])
    with_it, without = (median(rates[name]) for name in NAMES)
    print(f"{path:40}{with_it:>10,.0f} with it{without:>10,.0f} without{ratio:>8.2f}, bar {LEAST_RATIO}")
    return ratio


def take_samples(requests: Iterator[pb.ReportSamplesRequest], _context: Any) -> pb.ReportSamplesResponse:
    """Do nothing with them."""
    return pb.ReportSamplesResponse(accepted_count=sum(len(one.samples) for one in requests))


@contextmanager
def running_abr() -> Iterator[None]:
    """Run an abr where the gateway will look for it."""
    server = grpc.server(ThreadPoolExecutor(4))
    service = pb.DESCRIPTOR.services_by_name["AbrService"]
    server.add_generic_rpc_handlers((played(service, ReportSamples=take_samples),))
    os.environ["WEIR_ABR_ADDRESS"] = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield
    finally:
        server.stop(0).wait()


def measured(path: str, name: str) -> Measure:
    """Ask for a path with the argument `name`."""
    script = SCRIPT.format(keys=KEYS, name=name)
    return Measure(name, path, 64, "/s", 1.0, LEAST_RATIO, LEAST_RATIO, script)


if __name__ == "__main__":
    sys.exit(main())
