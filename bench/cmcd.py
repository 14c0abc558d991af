"""What it costs the gateway to read CMCD: the same requests with it, and with bytes that mean nothing.

wrk asks one after the other, round after round, so that whatever else the machine does falls on both; what
counts is the median of the rounds' ratios. Reading includes finding the session and keeping its sums. No two
requests are alike, as with real players: the buffer and the throughput change all the time.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from gateway import PLAYLIST, SEGMENT, Measure, ask, find_tool, median, running_gateway

ROUNDS, LEAST_RATIO = 8, 0.9
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
        running_gateway(Path(folder)) as (_, port),
    ):
        ratios = {path: measure(port, path) for path in (PLAYLIST, SEGMENT)}
    missed = any(ratio < LEAST_RATIO for ratio in ratios.values())
    print("MISSED a bar" if missed else "all bars reached")
    return int(missed)


def measure(port: int, path: str) -> float:
    """Compare both for one path; returns the ratio of answers per second."""
    rates: dict[str, list[float]] = {name: [] for name in NAMES}
    for number in range(ROUNDS + 1):
        for name in NAMES:
            script = SCRIPT.format(keys=KEYS, name=name)
            measured = Measure(name, path, 64, "/s", 1.0, LEAST_RATIO, LEAST_RATIO, script)
            rate = ask(f"http://127.0.0.1:{port}/{path}", measured)
            if number:
                rates[name].append(rate)
    ratio = median([one / other for one, other in zip(rates["CMCD"], rates["XMCD"], strict=True)])
    with_cmcd, without = (median(rates[name]) for name in NAMES)
    print(
        f"{path:44}{with_cmcd:>10,.0f}/s with it{without:>10,.0f}/s without{ratio:>8.2f}, bar {LEAST_RATIO}"
    )
    return ratio


if __name__ == "__main__":
    sys.exit(main())
