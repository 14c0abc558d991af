"""Plan the processes of a suite: who runs, with which arguments, on which ports. Pure."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from weir_cli.address import Address
from weir_cli.envoy_config import Edge, fit_config
from weir_cli.nats_config import Member, render_config

REPLICA_STRIDE = 20
# Two servers of NATS could not agree without each other, three can without any one.
CLUSTER_COUNT = 3
# Longer than Envoy needs to see that a service gets no more calls: it looks once a second.
DRAIN_S = 2.0
_STORE, _CLUSTER_STORE = "nats", "nats-cluster"


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
_RTMP, _TRANSCODER_RTMP, _SRT, _TRANSCODER_SRT, _NATS_ROUTES = range(9, 14)
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
    stop_signal: signal.Signals = signal.SIGTERM
    """What asks it to stop gracefully."""


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
    def is_clustered(self) -> bool:
        """Whether several NATS servers agree, or one stands alone."""
        return len(self.of_kind(Kind.NATS)) > 1

    @property
    def nats_store(self) -> Path:
        return self.data / (_CLUSTER_STORE if self.is_clustered else _STORE)

    @property
    def other_nats_store(self) -> Path:
        """Where NATS would store if there were one server instead of many, or the other way round."""
        return self.data / (_STORE if self.is_clustered else _CLUSTER_STORE)

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    def of_kind(self, kind: Kind) -> tuple[Process, ...]:
        return tuple(process for process in self.processes if process.kind is kind)


def count_replicas(count: int) -> Mapping[Kind, int]:
    """Say how many processes of each kind there are when there are `count` of each service."""
    return {**dict.fromkeys(SERVICES, count), Kind.NATS: CLUSTER_COUNT if count > 1 else 1}


def plan_suite(wishes: Wishes, programs: Programs) -> Plan:
    """Plan every process of a suite on this machine."""
    config_path = wishes.data / "envoy.yaml"
    nats = (_plan_nats_cluster if wishes.count(Kind.NATS) > 1 else _plan_nats)(wishes, programs)
    services = (
        _plan_service(kind, replica, wishes, programs)
        for kind in SERVICES
        for replica in range(wishes.count(kind))
    )
    return Plan(
        processes=(*nats, *services, _plan_envoy(config_path, wishes, programs)),
        files={
            config_path: fit_config(programs.envoy_config, _plan_edge(wishes, programs)),
            **_nats_files(wishes),
        },
        data=wishes.data,
        public=wishes.address(0),
        admin=wishes.address(_ADMIN),
    )


def nats_url(port: int) -> str:
    """Where the first NATS server of the suite with this public port is."""
    return f"nats://{Address(port=port + _NATS)}"


def _plan_nats(wishes: Wishes, programs: Programs) -> tuple[Process]:
    """Plan a server that stands alone."""
    client, monitor = wishes.address(_NATS), wishes.address(_NATS_MONITOR)
    argv = [
        programs.nats_server,
        "--jetstream",
        "--store_dir",
        str(wishes.data / _STORE),
        "--addr",
        client.host,
    ]
    argv += ["--port", str(client.port), "--http_port", str(monitor.port)]
    server = Process(
        name=str(Kind.NATS),
        kind=Kind.NATS,
        argv=tuple(argv),
        environment=wishes.environment,
        listens=(client, monitor),
        http_health=f"http://{monitor}/healthz?js-enabled-only=true",
    )
    return (server,)


def _plan_nats_cluster(wishes: Wishes, programs: Programs) -> tuple[Process, ...]:
    """Plan servers that agree: each is well when it knows a leader, and has all that the others have."""
    return tuple(
        Process(
            name=member.name,
            kind=Kind.NATS,
            argv=(programs.nats_server, "--config", str(_nats_file(wishes, member.name))),
            environment=wishes.environment,
            listens=(member.client, member.monitor, member.routes),
            http_health=f"http://{member.monitor}/healthz",
            stop_signal=signal.SIGUSR2,  # lame duck: leaders and clients move first
        )
        for member in _nats_members(wishes)
    )


def _nats_members(wishes: Wishes) -> tuple[Member, ...]:
    return tuple(
        Member(
            name=_name(Kind.NATS, replica),
            client=wishes.address(_NATS, replica),
            monitor=wishes.address(_NATS_MONITOR, replica),
            routes=wishes.address(_NATS_ROUTES, replica),
            store=wishes.data / _CLUSTER_STORE / _name(Kind.NATS, replica),
        )
        for replica in range(wishes.count(Kind.NATS))
    )


def _nats_file(wishes: Wishes, name: str) -> Path:
    return wishes.data / f"{name}.conf"


def _nats_files(wishes: Wishes) -> dict[Path, str]:
    members = _nats_members(wishes) if wishes.count(Kind.NATS) > 1 else ()
    return {_nats_file(wishes, member.name): render_config(member, members) for member in members}


def _name(kind: Kind, replica: int) -> str:
    return str(kind) if replica == 0 else f"{kind}-{replica + 1}"


def _plan_service(kind: Kind, replica: int, wishes: Wishes, programs: Programs) -> Process:
    name = _name(kind, replica)
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
        environment={**_drain(kind, wishes), **wishes.environment, **_shared_variables(wishes), **own},
        listens=tuple(address for address in (grpc, http, rtmp) if address),
        listens_udp=(srt,) if srt else (),
        grpc_health=grpc,
        http_health=f"http://{http}/readyz" if http else None,
    )


def _drain(kind: Kind, wishes: Wishes) -> dict[str, str]:
    """Let a replica that stops send callers to the others; one alone has nobody to send them to."""
    return {"WEIR_DRAIN_S": f"{DRAIN_S:g}"} if wishes.count(kind) > 1 else {}


def _ingest_addresses(wishes: Wishes, replica: int) -> tuple[Address, Address]:
    """Where a transcoder takes publishers, by RTMP and by SRT."""
    return wishes.address(_TRANSCODER_RTMP, replica), wishes.address(_TRANSCODER_SRT, replica)


def _shared_variables(wishes: Wishes) -> dict[str, str]:
    return {
        "WEIR_NATS_URL": ",".join(f"nats://{address}" for address in wishes.addresses(Kind.NATS, _NATS)),
        "WEIR_NATS_REPLICAS": str(wishes.count(Kind.NATS)),
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
        checked=dict.fromkeys(("transcoder-rtmp", "transcoder-srt"), upstreams[Kind.TRANSCODER]),
        descriptors_path=programs.descriptors,
    )
