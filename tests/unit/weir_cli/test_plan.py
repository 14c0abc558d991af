from __future__ import annotations

import signal
from pathlib import Path

import pytest
import yaml

from weir_cli import programs
from weir_cli.plan import (
    START_ORDER,
    STOP_ORDER,
    Kind,
    Plan,
    Programs,
    Wishes,
    count_replicas,
    plan_suite,
)

PROGRAMS = Programs(
    python="/venv/python",
    nats_server="/venv/nats-server",
    envoy="/venv/envoy",
    envoy_config=programs.envoy_config_path().read_text(),
    descriptors="/venv/descriptors.pb",
)
DATA = Path("/data/weir")


def _plan(**wishes: object) -> Plan:
    return plan_suite(Wishes(**{"port": 8080, "data": DATA, **wishes}), PROGRAMS)  # type: ignore[arg-type]


def _environment(plan: Plan, name: str) -> dict[str, str]:
    return dict(next(process.environment for process in plan.processes if process.name == name))


def _cluster_ports(plan: Plan, name: str) -> tuple[str, list[int]]:
    config = yaml.load(plan.files[DATA / "envoy.yaml"], Loader=yaml.CSafeLoader)
    (cluster,) = (found for found in config["static_resources"]["clusters"] if found["name"] == name)
    endpoints = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    ports = [entry["endpoint"]["address"]["socket_address"]["port_value"] for entry in endpoints]
    return cluster["type"], ports


def _ports(plan: Plan) -> list[int]:
    return [
        address.port for process in plan.processes for address in (*process.listens, *process.listens_udp)
    ]


def test_one_of_each_on_ports_that_follow_from_the_public_one() -> None:
    listens = {process.name: [str(address) for address in process.listens] for process in _plan().processes}
    assert listens == {
        "nats": ["127.0.0.1:8081", "127.0.0.1:8088"],
        "distributor": ["127.0.0.1:8084"],
        "abr": ["127.0.0.1:8082"],
        "transcoder": ["127.0.0.1:8083", "127.0.0.1:8090"],
        "hls-gateway": ["127.0.0.1:8085", "127.0.0.1:8086"],
        "envoy": ["127.0.0.1:8080", "127.0.0.1:8087", "127.0.0.1:8089"],
    }


def test_each_service_learns_where_the_others_are() -> None:
    assert _environment(_plan(), "hls-gateway") == {
        "WEIR_NATS_URL": "nats://127.0.0.1:8081",
        "WEIR_NATS_REPLICAS": "1",
        "WEIR_STORAGE_URL": "file:///data/weir/objects",
        "WEIR_LOG_FORMAT": "json",
        "WEIR_RTMP_PUBLIC_URL": "rtmp://127.0.0.1:8089",
        "WEIR_SRT_PUBLIC_URL": "srt://127.0.0.1:8091",
        "WEIR_HTTP_PUBLIC_URL": "http://127.0.0.1:8080",
        "WEIR_GRPC_ADDRESS": "127.0.0.1:8085",
        "WEIR_HTTP_ADDRESS": "127.0.0.1:8086",
        "WEIR_GRPC_PUBLIC_ADDRESS": "127.0.0.1:8085",
        "WEIR_SCRATCH_PATH": "/data/weir/scratch/hls-gateway",
        "WEIR_ABR_ADDRESS": "127.0.0.1:8082",
        "WEIR_TRANSCODER_ADDRESS": "127.0.0.1:8083",
        "WEIR_DISTRIBUTOR_ADDRESS": "127.0.0.1:8084",
        "PYTHONUNBUFFERED": "1",
    }


def test_services_run_as_modules_of_this_python() -> None:
    (gateway,) = _plan().of_kind(Kind.GATEWAY)
    assert gateway.argv == ("/venv/python", "-m", "hls_gateway")


def test_nats_stores_in_the_data_folder() -> None:
    (nats,) = _plan().of_kind(Kind.NATS)
    assert " ".join(nats.argv) == (
        "/venv/nats-server --jetstream --store_dir /data/weir/nats "
        "--addr 127.0.0.1 --port 8081 --http_port 8088"
    )


def test_replicas_are_named_numbered_and_known_to_their_peers() -> None:
    plan = _plan(replicas={Kind.DISTRIBUTOR: 2})
    assert [process.name for process in plan.of_kind(Kind.DISTRIBUTOR)] == ["distributor", "distributor-2"]
    environment = _environment(plan, "transcoder")
    assert environment["WEIR_DISTRIBUTOR_ADDRESS"] == "ipv4:127.0.0.1:8084,127.0.0.1:8104"
    assert _environment(plan, "distributor-2")["WEIR_GRPC_ADDRESS"] == "127.0.0.1:8104"


def test_replicas_do_not_share_scratch_space() -> None:
    plan = _plan(replicas={Kind.TRANSCODER: 2})
    paths = {_environment(plan, name)["WEIR_SCRATCH_PATH"] for name in ("transcoder", "transcoder-2")}
    assert len(paths) == 2


def test_publishers_reach_every_transcoder_through_the_door() -> None:
    plan = _plan(replicas={Kind.TRANSCODER: 2})
    assert _environment(plan, "transcoder-2")["WEIR_RTMP_ADDRESS"] == "127.0.0.1:8110"
    assert _environment(plan, "transcoder-2")["WEIR_SRT_ADDRESS"] == "127.0.0.1:8112"
    assert _cluster_ports(plan, "transcoder-rtmp") == ("STATIC", [8090, 8110])
    assert _cluster_ports(plan, "transcoder-srt") == ("STATIC", [8092, 8112])
    (envoy,) = plan.of_kind(Kind.ENVOY)
    assert [str(address) for address in envoy.listens_udp] == ["127.0.0.1:8091"]


def test_envoy_spreads_over_all_replicas() -> None:
    plan = _plan(replicas={Kind.GATEWAY: 2})
    assert _cluster_ports(plan, "hls-gateway") == ("STATIC", [8086, 8106])


@pytest.mark.parametrize("replicas", [1, 2, 9])
def test_no_two_processes_share_a_port_or_a_name(replicas: int) -> None:
    plan = _plan(replicas=count_replicas(replicas))
    servers = 1 if replicas == 1 else 3
    assert len(_ports(plan)) == len(set(_ports(plan)))
    assert (
        len({process.name for process in plan.processes}) == len(plan.processes) == 1 + servers + 4 * replicas
    )


def test_with_replicas_three_nats_servers_seek_each_other_and_keep_three_copies() -> None:
    plan = _plan(replicas=count_replicas(2))
    servers = plan.of_kind(Kind.NATS)
    assert [server.name for server in servers] == ["nats", "nats-2", "nats-3"]
    for server in servers:
        config = plan.files[Path(server.argv[-1])]
        assert f"server_name: {server.name}\n" in config
        assert f'store_dir: "/data/weir/nats-cluster/{server.name}"' in config
        assert "routes: [nats://127.0.0.1:8093, nats://127.0.0.1:8113, nats://127.0.0.1:8133]" in config
    environment = _environment(plan, "abr-2")
    assert environment["WEIR_NATS_REPLICAS"] == "3"
    assert environment["WEIR_NATS_URL"] == (
        "nats://127.0.0.1:8081,nats://127.0.0.1:8101,nats://127.0.0.1:8121"
    )


def test_a_nats_server_of_a_cluster_is_well_when_it_has_all_that_the_others_have() -> None:
    servers = _plan(replicas=count_replicas(2)).of_kind(Kind.NATS)
    assert [server.http_health for server in servers] == [
        f"http://127.0.0.1:{port}/healthz" for port in (8088, 8108, 8128)
    ]
    assert {server.stop_signal for server in servers} == {signal.SIGUSR2}


def test_only_a_replica_that_has_others_beside_it_sends_callers_there_before_it_stops() -> None:
    plan = _plan(replicas={Kind.GATEWAY: 2})
    assert float(_environment(plan, "hls-gateway-2")["WEIR_DRAIN_S"]) > 1
    assert "WEIR_DRAIN_S" not in _environment(plan, "abr")
    own = _plan(replicas={Kind.GATEWAY: 2}, environment={"WEIR_DRAIN_S": "7"})
    assert _environment(own, "hls-gateway")["WEIR_DRAIN_S"] == "7"


def test_two_suites_stand_side_by_side() -> None:
    first, second = _plan(), _plan(port=8180)
    assert not set(_ports(first)) & set(_ports(second))


def test_storage_may_be_elsewhere() -> None:
    plan = _plan(storage_url="s3://bucket/weir")
    assert _environment(plan, "transcoder")["WEIR_STORAGE_URL"] == "s3://bucket/weir"


def test_settings_of_services_pass_through_but_never_move_an_address() -> None:
    plan = _plan(environment={"WEIR_LOG_LEVEL": "debug", "WEIR_GRPC_ADDRESS": "0.0.0.0:1"})
    environment = _environment(plan, "abr")
    assert environment["WEIR_LOG_LEVEL"] == "debug"
    assert environment["WEIR_GRPC_ADDRESS"] == "127.0.0.1:8082"


def test_every_kind_is_started_and_stopped_once() -> None:
    assert sorted(kind for kinds in START_ORDER for kind in kinds) == sorted(Kind)
    assert sorted(STOP_ORDER) == sorted(Kind)


def test_the_door_closes_first_and_nats_stops_last() -> None:
    assert (STOP_ORDER[0], STOP_ORDER[-1]) == (Kind.ENVOY, Kind.NATS)
    assert (START_ORDER[0], START_ORDER[-1]) == ((Kind.NATS,), (Kind.ENVOY,))


def test_abr_learns_where_nats_and_the_distributors_are() -> None:
    environment = _environment(_plan(replicas={Kind.DISTRIBUTOR: 2}), "abr")
    assert environment["WEIR_NATS_URL"] == "nats://127.0.0.1:8081"
    assert environment["WEIR_DISTRIBUTOR_ADDRESS"] == "ipv4:127.0.0.1:8084,127.0.0.1:8104"
