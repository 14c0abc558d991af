"""Plan the processes of a suite: who runs, with which arguments, on which ports. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from weir_cli.address import Address
from weir_cli.envoy_config import Edge, fit_config

REPLICA_STRIDE = 20


class Kind(StrEnum):
    """What a process is."""

    NATS = "nats"
    DISTRIBUTOR = "distributor"
    ABR = "abr"
    TRANSCODER = "transcoder"
    GATEWAY = "hls-gateway"
    ENVOY = "envoy"


SERVICES = (Kind.DISTRIBUTOR, Kind.ABR, Kind.TRANSCODER, Kind.GATEWAY)
# Those of one line start together; each line needs the ones above it.
START_ORDER = ((Kind.NATS,), SERVICES, (Kind.ENVOY,))
# From the viewers inwards: nobody is asked for anything after it has stopped.
STOP_ORDER = (Kind.ENVOY, Kind.GATEWAY, Kind.TRANSCODER, Kind.ABR, Kind.DISTRIBUTOR, Kind.NATS)

# Offsets from the public port.
_NATS, _ABR, _TRANSCODER, _DISTRIBUTOR, _GATEWAY_GRPC, _GATEWAY_HTTP, _ADMIN, _NATS_MONITOR = range(1, 9)
_RTMP, _TRANSCODER_RTMP, _SRT, _TRANSCODER_SRT = range(9, 13)
_GRPC_OFFSETS = {
    Kind.ABR: _ABR,
    Kind.TRANSCODER: _TRANSCODER,
    Kind.DISTRIBUTOR: _DISTRIBUTOR,
    Kind.GATEWAY: _GATEWAY_GRPC,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """The programs and files that the suite consists of."""

    python: str
    nats_server: str
    envoy: str
    envoy_config: str
    """Envoy's configuration for production, as text."""
    descriptors: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What is wanted of a suite."""

    port: int
    """The public port; the others are counted from it."""
    data: Path
    """An absolute path."""
    replicas: Mapping[Kind, int] = field(default_factory=dict)
    """Processes of each service; 1 where nothing is said."""
    storage_url: str = ""
    """Empty: the folder `objects` in `data`."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What every process starts with; the plan's own variables win."""
    log_format: str = "json"

    def count(self, kind: Kind) -> int:
        return self.replicas.get(kind, 1)

    def address(self, offset: int, replica: int = 0) -> Address:
        return Address(port=self.port + REPLICA_STRIDE * replica + offset)

    def addresses(self, kind: Kind, offset: int) -> tuple[Address, ...]:
        return tuple(self.address(offset, replica) for replica in range(self.count(kind)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process of the suite."""

    name: str
    """Unique: the kind, from the second replica on with its number."""
    kind: Kind
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    listens: tuple[Address, ...]
    listens_udp: tuple[Address, ...] = ()
    grpc_health: Address | None = None
    """Where gRPC health must say SERVING; None: it speaks no gRPC."""
    http_health: str | None = None
    """A URL that must answer 200."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A whole suite."""

    processes: tuple[Process, ...]
    files: Mapping[Path, str]
    """What must be written before anything starts."""
    data: Path
    public: Address
    admin: Address

    @property
    def url(self) -> str:
        return f"http://{self.public}"

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    def of_kind(self, kind: Kind) -> tuple[Process, ...]:
        return tuple(process for process in self.processes if process.kind is kind)


def plan_suite(wishes: Wishes, programs: Programs) -> Plan:
    """Plan every process of a suite on this machine."""
    config_path = wishes.data / "envoy.yaml"
    services = (
        _plan_service(kind, replica, wishes, programs)
        for kind in SERVICES
        for replica in range(wishes.count(kind))
    )
    return Plan(
        processes=(_plan_nats(wishes, programs), *services, _plan_envoy(config_path, wishes, programs)),
        files={config_path: fit_config(programs.envoy_config, _plan_edge(wishes, programs))},
        data=wishes.data,
        public=wishes.address(0),
        admin=wishes.address(_ADMIN),
    )


def _plan_nats(wishes: Wishes, programs: Programs) -> Process:
    client, monitor = wishes.address(_NATS), wishes.address(_NATS_MONITOR)
    argv = [
        programs.nats_server,
        "--jetstream",
        "--store_dir",
        str(wishes.data / "nats"),
        "--addr",
        client.host,
    ]
    argv += ["--port", str(client.port), "--http_port", str(monitor.port)]
    return Process(
        name=str(Kind.NATS),
        kind=Kind.NATS,
        argv=tuple(argv),
        environment=wishes.environment,
        listens=(client, monitor),
        http_health=f"http://{monitor}/healthz?js-enabled-only=true",
    )


def _plan_service(kind: Kind, replica: int, wishes: Wishes, programs: Programs) -> Process:
    name = str(kind) if replica == 0 else f"{kind}-{replica + 1}"
    grpc = wishes.address(_GRPC_OFFSETS[kind], replica)
    http = wishes.address(_GATEWAY_HTTP, replica) if kind is Kind.GATEWAY else None
    rtmp, srt = _ingest_addresses(wishes, replica) if kind is Kind.TRANSCODER else (None, None)
    own = {"WEIR_GRPC_ADDRESS": str(grpc), "WEIR_SCRATCH_PATH": str(wishes.data / "scratch" / name)}
    if http:
        own |= {"WEIR_HTTP_ADDRESS": str(http), "WEIR_GRPC_PUBLIC_ADDRESS": str(grpc)}
    if rtmp and srt:
        own |= {"WEIR_RTMP_ADDRESS": str(rtmp), "WEIR_SRT_ADDRESS": str(srt)}
    return Process(
        name=name,
        kind=kind,
        argv=(programs.python, "-m", kind.replace("-", "_")),
        environment={**wishes.environment, **_shared_variables(wishes), **own},
        listens=tuple(address for address in (grpc, http, rtmp) if address),
        listens_udp=(srt,) if srt else (),
        grpc_health=grpc,
        http_health=f"http://{http}/readyz" if http else None,
    )


def _ingest_addresses(wishes: Wishes, replica: int) -> tuple[Address, Address]:
    """Where a transcoder takes publishers, by RTMP and by SRT."""
    return wishes.address(_TRANSCODER_RTMP, replica), wishes.address(_TRANSCODER_SRT, replica)


def _shared_variables(wishes: Wishes) -> dict[str, str]:
    return {
        "WEIR_NATS_URL": f"nats://{wishes.address(_NATS)}",
        "WEIR_STORAGE_URL": wishes.storage_url or f"file://{wishes.data / 'objects'}",
        "WEIR_LOG_FORMAT": wishes.log_format,
        "WEIR_RTMP_PUBLIC_URL": f"rtmp://{wishes.address(_RTMP)}",
        "WEIR_SRT_PUBLIC_URL": f"srt://{wishes.address(_SRT)}",
        "WEIR_HTTP_PUBLIC_URL": f"http://{wishes.address(0)}",
        "WEIR_ABR_ADDRESS": _target(wishes.addresses(Kind.ABR, _ABR)),
        "WEIR_TRANSCODER_ADDRESS": _target(wishes.addresses(Kind.TRANSCODER, _TRANSCODER)),
        "WEIR_DISTRIBUTOR_ADDRESS": _target(wishes.addresses(Kind.DISTRIBUTOR, _DISTRIBUTOR)),
        "PYTHONUNBUFFERED": "1",  # a log line is seen when it is written
    }


def _target(replicas: tuple[Address, ...]) -> str:
    """Name replicas as a gRPC channel takes them; one alone stays host:port."""
    if len(replicas) == 1:
        return str(replicas[0])
    return "ipv4:" + ",".join(str(replica) for replica in replicas)


def _plan_envoy(config_path: Path, wishes: Wishes, programs: Programs) -> Process:
    public, admin, rtmp = (wishes.address(offset) for offset in (0, _ADMIN, _RTMP))
    argv = [programs.envoy, "-c", str(config_path), "--log-level", "warning"]
    argv += ["--component-log-level", "main:error"]  # that it was asked to stop is no warning
    argv += ["--disable-hot-restart"]  # it would claim shared memory that a second suite needs
    argv += ["--drain-time-s", "2"]  # no longer than a stop waits for requests in flight
    return Process(
        name=str(Kind.ENVOY),
        kind=Kind.ENVOY,
        argv=tuple(argv),
        environment=wishes.environment,
        listens=(public, admin, rtmp),
        listens_udp=(wishes.address(_SRT),),
        http_health=f"http://{public}/readyz",
    )


def _plan_edge(wishes: Wishes, programs: Programs) -> Edge:
    upstreams = {str(kind): wishes.addresses(kind, offset) for kind, offset in _GRPC_OFFSETS.items()}
    return Edge(
        public=wishes.address(0),
        admin=wishes.address(_ADMIN),
        rtmp=wishes.address(_RTMP),
        srt=wishes.address(_SRT),
        upstreams={
            **upstreams,
            "transcoder-rtmp": wishes.addresses(Kind.TRANSCODER, _TRANSCODER_RTMP),
            "transcoder-srt": wishes.addresses(Kind.TRANSCODER, _TRANSCODER_SRT),
            "hls-gateway": wishes.addresses(Kind.GATEWAY, _GATEWAY_HTTP),
            "hls-gateway-grpc": wishes.addresses(Kind.GATEWAY, _GATEWAY_GRPC),
        },
        checked={"transcoder-srt": upstreams[Kind.TRANSCODER]},
        descriptors_path=programs.descriptors,
    )
