"""compose.yaml: its names, ports, files, images and settings are those of the services and of Envoy."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from abr.config import AbrConfig
from chassis.config import ServiceConfig
from distributor.config import DistributorConfig
from hls_gateway.config import GatewayConfig
from support.manifests import ROOT
from transcoder.config import TranscoderConfig

COMPOSE: dict[str, Any] = yaml.load((ROOT / "compose.yaml").read_text(), Loader=yaml.CSafeLoader)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ENVOY: dict[str, Any] = yaml.load((ROOT / "envoy" / "envoy.yaml").read_text(), Loader=yaml.CSafeLoader)
CONFIGS: dict[str, type[ServiceConfig]] = {
    "abr": AbrConfig,
    "distributor": DistributorConfig,
    "hls-gateway": GatewayConfig,
    "transcoder": TranscoderConfig,
}


def environment(name: str) -> dict[str, str]:
    """What a service is given: its files in their order, then its own."""
    lines = [line for file in SERVICES[name]["env_file"] for line in (ROOT / file).read_text().splitlines()]
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    own: dict[str, str] = SERVICES[name].get("environment", {})
    return {key: value for key, _, value in pairs} | own


def port_of(name: str) -> int:
    return int(environment(name)["WEIR_GRPC_ADDRESS"].rpartition(":")[2])


def test_every_component_is_there() -> None:
    assert SERVICES.keys() == {*CONFIGS, "nats", "envoy", "prepare"}


@pytest.mark.parametrize("name", CONFIGS)
def test_every_variable_is_a_setting_and_accepted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = environment(name)
    assert variables.keys() <= {f"WEIR_{field}".upper() for field in CONFIGS[name].model_fields}
    for key, value in variables.items():
        monkeypatch.setenv(key, value)
    config = CONFIGS[name]()
    assert config.nats_url == "nats://nats:4222"
    assert config.nats_replicas == 1


@pytest.mark.parametrize("name", CONFIGS)
def test_every_image_is_that_of_kubernetes_and_has_its_file(name: str) -> None:
    tags = yaml.safe_load((ROOT / "k8s" / "base" / "kustomization.yaml").read_text())["images"]
    pinned = {tag["name"]: f"{tag['name']}:{tag['newTag']}" for tag in tags}
    assert SERVICES[name]["image"] == pinned[f"weir/{name}"]
    assert (ROOT / SERVICES[name]["build"]["dockerfile"]).exists()
    assert SERVICES["envoy"]["image"] == pinned["envoyproxy/envoy"]
    assert SERVICES["nats"]["image"] == pinned["nats"]


def test_services_find_each_other_by_the_names_that_they_have_here() -> None:
    for name in CONFIGS:
        for key, value in environment(name).items():
            if value.startswith("dns:///"):
                host, _, port = value.removeprefix("dns:///").rpartition(":")
                assert port_of(host) == int(port), key


def test_envoy_finds_every_service() -> None:
    listens = {
        (name, int(value.rpartition(":")[2]))
        for name in CONFIGS
        for key, value in environment(name).items()
        if key.endswith("_ADDRESS") and value.startswith("0.0.0.0:")
    }
    called = {
        (endpoint["endpoint"]["address"]["socket_address"]["address"], port)
        for cluster in ENVOY["static_resources"]["clusters"]
        for place in cluster["load_assignment"]["endpoints"]
        for endpoint in place["lb_endpoints"]
        for port in [endpoint["endpoint"]["address"]["socket_address"]["port_value"]]
    }
    assert called <= listens


def test_the_door_is_open_where_envoy_listens() -> None:
    listens = {
        listener["address"]["socket_address"]["port_value"]
        for listener in ENVOY["static_resources"]["listeners"]
    }
    assert {int(port.split(":")[1].partition("/")[0]) for port in SERVICES["envoy"]["ports"]} == listens


def test_every_health_check_asks_the_service_itself() -> None:
    for name in CONFIGS:
        assert SERVICES[name]["healthcheck"]["test"] == [
            "CMD",
            "python",
            "-m",
            "chassis.probe",
            f"127.0.0.1:{port_of(name)}",
        ]
    waited = {*SERVICES["envoy"]["depends_on"]}
    assert waited == set(CONFIGS)


def test_all_but_the_one_that_prepares_are_confined() -> None:
    for name, service in SERVICES.items():
        if name != "prepare":
            assert service["user"] == "10001:10001", name
            assert service["read_only"] is True, name
            assert service["cap_drop"] == ["ALL"], name


def test_every_volume_and_file_that_is_mounted_exists() -> None:
    for name, service in SERVICES.items():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            known = (ROOT / source).exists() if source.startswith("./") else source in COMPOSE["volumes"]
            assert known, (name, source)


def test_what_is_stored_is_where_the_settings_say() -> None:
    for name in ("transcoder", "distributor", "hls-gateway"):
        folder = environment(name)["WEIR_STORAGE_URL"].removeprefix("file://")
        assert f"objects:{folder}" in SERVICES[name]["volumes"]
    assert f"scratch:{environment('transcoder')['WEIR_SCRATCH_PATH']}" in SERVICES["transcoder"]["volumes"]
    given = re.findall(r"\"(\w+)\"", SERVICES["prepare"]["command"][0].partition("):")[0])
    assert set(given) == {"objects", "nats", "scratch"}
