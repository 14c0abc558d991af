"""Envoy with the suite's own configuration in front of scripted peers."""

from __future__ import annotations

import http.client
import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.ports import free_ports
from support.scripted import ScriptedGrpc, ScriptedHttp
from weir_cli import programs
from weir_cli.address import Address
from weir_cli.envoy_config import Edge, fit_config

GRPC_CLUSTERS = ("abr", "transcoder", "distributor", "hls-gateway-grpc")
MEDIA_CLUSTER = "hls-gateway"
START_TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What a client got over HTTP."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Door:
    """A running Envoy, and the peers behind it."""

    public_port: int
    admin_port: int
    srt_port: int
    grpc: Mapping[str, ScriptedGrpc]
    media: ScriptedHttp
    log_path: Path
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.public_port}"

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Send one HTTP/1.1 request on a connection of its own; the path goes out as it is given."""
        return _request(self.public_port, method, path, body, headers or {})

    def post_json(self, path: str, document: Any) -> Reply:
        return self.request("POST", path, json.dumps(document).encode(), {"content-type": "application/json"})

    def admin(self, method: str, path: str) -> Reply:
        return _request(self.admin_port, method, path, None, {})

    def wait_until(self, path: str, status: int) -> None:
        """Ask for `path` until it answers `status`."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                if self.request("GET", path).status == status:
                    return
            except OSError:
                assert self.process.poll() is None, f"Envoy has ended; its log:\n{self.log_path.read_text()}"
            time.sleep(0.02)
        raise AssertionError(f"{path} did not come to {status}; Envoy's log:\n{self.log_path.read_text()}")


@contextmanager
def running_door(
    folder: Path, edit: Callable[[str], str] = str, *, srt: Sequence[int] = ()
) -> Iterator[Door]:
    """Run Envoy before one scripted peer per cluster.

    Args:
        folder: For its configuration and log.
        edit: May change the configuration's text.
        srt: Ports of those who take datagrams, as healthy as the peer "transcoder".
    """
    with ExitStack() as stack:
        peers = {name: ScriptedGrpc(name) for name in GRPC_CLUSTERS}
        media = ScriptedHttp(MEDIA_CLUSTER)
        stack.callback(media.stop)
        for peer in peers.values():
            stack.callback(peer.stop)
        public, admin, rtmp, srt_port = free_ports(4)
        upstreams: dict[str, tuple[Address, ...]] = {}
        upstreams |= {name: (Address(port=peer.port),) for name, peer in peers.items()}
        upstreams[MEDIA_CLUSTER] = (Address(port=media.port),)
        # any server will do: its bytes pass unread
        upstreams["transcoder-rtmp"] = (Address(port=media.port),)
        upstreams["transcoder-srt"] = tuple(Address(port=port) for port in srt or (media.port,))
        config = folder / "envoy.yaml"
        config.write_text(edit(local_config(public, admin, rtmp, srt_port, upstreams)))
        process = stack.enter_context(running_envoy(config, folder / "envoy.log"))
        door = Door(public, admin, srt_port, peers, media, folder / "envoy.log", process)
        door.wait_until("/readyz", 200)
        yield door


def local_config(
    public: int, admin: int, rtmp: int, srt: int, upstreams: Mapping[str, tuple[Address, ...]]
) -> str:
    """Fit the suite's configuration to ports of this test."""
    edge = Edge(
        public=Address(port=public),
        admin=Address(port=admin),
        rtmp=Address(port=rtmp),
        srt=Address(port=srt),
        upstreams=upstreams,
        checked={
            name: upstreams["transcoder"] * len(upstreams[name])
            for name in ("transcoder-rtmp", "transcoder-srt")
        },
        descriptors_path=programs.descriptors_path(),
    )
    return fit_config(programs.envoy_config_path().read_text(), edge)


@contextmanager
def running_envoy(config: Path, log_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    argv = [
        programs.envoy_path(),
        "-c",
        str(config),
        "--disable-hot-restart",
        "-l",
        "warn",
        "--concurrency",
        "1",
    ]
    with log_path.open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def _request(port: int, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        fields = {key.lower(): value for key, value in response.getheaders()}
        return Reply(response.status, fields, response.read())
    finally:
        connection.close()
