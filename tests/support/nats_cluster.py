"""Three real nats-servers that agree, as `weir run --replicas 2` starts them; each to be killed at will."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.nats import NATS_SERVER
from support.ports import free_ports
from weir_cli.address import Address
from weir_cli.nats_config import Member, render_config

HEALTHY_S = 60.0
_PORTS_EACH = 3


def ask_monitor(monitor: Address, path: str) -> Any:
    """Read what a server tells of itself; None while it does not."""
    try:
        with urllib.request.urlopen(f"http://{monitor}{path}", timeout=5) as answer:
            return json.loads(answer.read())
    except (urllib.error.URLError, OSError):
        return None


def stream_leader(monitor: Address, stream: str) -> str:
    """Say which server leads a stream, as one of them knows; empty while nobody does."""
    told = ask_monitor(monitor, "/jsz?streams=true")
    for account in (told or {}).get("account_details", ()):
        for found in account.get("stream_detail", ()):
            if found["name"] == stream:
                return str(found.get("cluster", {}).get("leader", ""))
    return ""


class NatsCluster:
    """Make it with `running_cluster`; servers are named nats, nats-2 and nats-3."""

    def __init__(self, folder: Path) -> None:
        ports = iter(free_ports(3 * _PORTS_EACH))
        self._folder = folder
        self.members = tuple(
            Member(
                name=name,
                client=Address(port=next(ports)),
                monitor=Address(port=next(ports)),
                routes=Address(port=next(ports)),
                store=folder / name,
            )
            for name in ("nats", "nats-2", "nats-3")
        )
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        """All servers, as services are told them."""
        return ",".join(f"nats://{member.client}" for member in self.members)

    def start(self, *names: str) -> None:
        """Start servers, all unless named, and wait until each is well."""
        members = [member for member in self.members if not names or member.name in names]
        for member in members:
            config = self._folder / f"{member.name}.conf"
            config.write_text(render_config(member, self.members))
            log = (self._folder / f"{member.name}.log").open("ab")
            with log:
                self._processes[member.name] = subprocess.Popen(
                    (str(NATS_SERVER), "--config", str(config)), stdout=log, stderr=log
                )
        for member in members:
            self._wait_healthy(member)

    def kill(self, name: str) -> None:
        """Kill a server with SIGKILL."""
        self._end(name, signal.SIGKILL)

    def stop(self, name: str) -> None:
        """Stop a server as `weir run` does: its leaders and clients move first."""
        self._end(name, signal.SIGUSR2)

    def freeze(self, name: str) -> None:
        """Stop a server in mid-step; when this returns it stands still."""
        self._processes[name].send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._processes[name].pid, os.WSTOPPED)

    def thaw(self, name: str) -> None:
        self._processes[name].send_signal(signal.SIGCONT)

    def kill_all(self) -> None:
        for name in tuple(self._processes):
            self.kill(name)

    def leader(self, stream: str) -> str:
        """Wait until a stream has a leader among those that run; its name."""
        deadline = time.monotonic() + HEALTHY_S
        while True:
            for member in self.members:
                running = member.name in self._processes
                name = stream_leader(member.monitor, stream) if running else ""
                if name in self._processes:
                    return name
            assert time.monotonic() < deadline, f"nobody leads {stream}"
            time.sleep(0.05)

    def _end(self, name: str, number: signal.Signals) -> None:
        process = self._processes.pop(name)
        process.send_signal(number)
        process.wait(HEALTHY_S)

    def _wait_healthy(self, member: Member) -> None:
        deadline = time.monotonic() + HEALTHY_S
        while (ask_monitor(member.monitor, "/healthz") or {}).get("status") != "ok":
            log = self._folder / f"{member.name}.log"
            assert time.monotonic() < deadline, f"{member.name} is not well; its log:\n{log.read_text()}"
            time.sleep(0.05)


@contextmanager
def running_cluster(folder: Path) -> Iterator[NatsCluster]:
    """Run three servers for as long as the block lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    cluster = NatsCluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.kill_all()


@pytest.fixture
def nats_cluster(tmp_path: Path) -> Iterator[NatsCluster]:
    """A fresh, empty cluster for one test."""
    with running_cluster(tmp_path / "cluster") as cluster:
        yield cluster
