"""Who asks through Envoy comes to the replica of abr that gateways tell of that viewer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass

import pytest
import yaml
from weir.abr.v1 import abr_pb2 as pb

from hls_gateway.domain.replica_table import ReplicaTable
from support.edge import Door, running_door
from support.scripted import ScriptedGrpc

QUALITY = "/api/v1/recordings/film/abr/quality"
STATS = "/api/v1/recordings/film/abr/stats"
SELECT = "/weir.abr.v1.AbrService/SelectQuality"
VIEWERS = tuple(f"0b2f6c1e-77aa-4d2c-9a60-{number:012d}" for number in range(40))


@dataclass(frozen=True)
class House:
    """A door before three replicas of abr."""

    door: Door
    replicas: dict[str, ScriptedGrpc]

    def homes(self, viewers: Sequence[str]) -> dict[str, str]:
        """Where gateways send their samples."""
        table = ReplicaTable(self.replicas)
        return {viewer: table.home(viewer) for viewer in viewers}

    def took(self) -> dict[str, list[str]]:
        """Who asked where."""
        return {
            address: [
                pb.SelectQualityRequest.FromString(call.messages[0]).viewer_id
                for call in replica.calls
                if call.method == SELECT
            ]
            for address, replica in self.replicas.items()
        }


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with ExitStack() as stack:
        peers = [ScriptedGrpc("abr") for _ in range(3)]
        for peer in peers:
            stack.callback(peer.stop)
        ports = [peer.port for peer in peers]
        door = stack.enter_context(
            running_door(tmp_path_factory.mktemp("door"), lambda text: with_replicas(text, ports))
        )
        yield House(door, {f"127.0.0.1:{peer.port}": peer for peer in peers})


def with_replicas(text: str, ports: list[int]) -> str:
    """Put others in the place of the one replica of abr."""
    config = yaml.safe_load(text)
    cluster = next(one for one in config["static_resources"]["clusters"] if one["name"] == "abr")
    (places,) = cluster["load_assignment"]["endpoints"]
    (pattern,) = places["lb_endpoints"]
    places["lb_endpoints"] = [deepcopy(pattern) for _ in ports]
    for place, port in zip(places["lb_endpoints"], ports, strict=True):
        place["endpoint"]["address"]["socket_address"]["port_value"] = port
    return str(yaml.safe_dump(config))


@pytest.fixture(autouse=True)
def nobody_asked_yet(house: House) -> None:
    for replica in house.replicas.values():
        replica.calls.clear()


def test_each_viewer_asks_the_replica_that_it_belongs_to(house: House) -> None:
    for viewer_id in VIEWERS:
        reply = house.door.post_json(f"{QUALITY}?viewer_id={viewer_id}", {"buffer_s": 1})
        assert reply.status == 200, reply.body
    took = house.took()
    assert {one: at for at, viewers in took.items() for one in viewers} == house.homes(VIEWERS)
    assert all(took.values())


def test_a_viewer_may_be_named_in_the_body_too(house: House) -> None:
    for viewer_id in VIEWERS[:5]:
        question = {"viewer_id": viewer_id, "buffer_s": 1}
        reply = house.door.post_json(f"{QUALITY}?viewer_id={viewer_id}", question)
        assert reply.status == 200, reply.body
    took = house.took()
    assert {one: at for at, viewers in took.items() for one in viewers} == house.homes(VIEWERS[:5])


def test_statistics_of_a_viewer_come_from_there(house: House) -> None:
    for viewer_id in VIEWERS:
        house.door.request("GET", f"{STATS}?viewer_id={viewer_id}")
    counts = {address: len(replica.calls) for address, replica in house.replicas.items()}
    assert counts == Counter(house.homes(VIEWERS).values())


def test_who_names_no_viewer_is_answered_by_any(house: House) -> None:
    for _ in range(60):
        assert house.door.post_json(QUALITY, {"viewer_id": VIEWERS[0], "buffer_s": 1}).status == 200
    assert all(house.took().values())
