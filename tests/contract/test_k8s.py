"""The manifests: each combination builds, validates strictly, is confined, and agrees with the settings."""

from __future__ import annotations

import re

import jsonschema
import pytest
import yaml

from abr.config import AbrConfig
from chassis.config import ServiceConfig
from distributor.config import DistributorConfig
from hls_gateway.config import GatewayConfig
from support.manifests import (
    CLOUDS,
    COMBINATIONS,
    ROOT,
    Combination,
    Manifest,
    build,
    containers,
    environment,
    of_kind,
    pods,
)
from support.schemas import check_manifest
from transcoder.config import TranscoderConfig
from weir_cli.envoy_tls import encrypt

CONFIGS: dict[str, type[ServiceConfig]] = {
    "abr": AbrConfig,
    "distributor": DistributorConfig,
    "hls-gateway": GatewayConfig,
    "transcoder": TranscoderConfig,
}
PLAIN, UNDER_TLS = Combination("."), Combination("overlays/local", ("cert",))


@pytest.fixture(scope="module", params=COMBINATIONS, ids=str)
def manifests(request: pytest.FixtureRequest) -> tuple[Manifest, ...]:
    combination: Combination = request.param
    return build(combination)


@pytest.fixture(scope="module")
def production() -> tuple[Manifest, ...]:
    return build(PLAIN)


def test_every_manifest_fits_its_schema(manifests: tuple[Manifest, ...]) -> None:
    for manifest in manifests:
        check_manifest(manifest)


@pytest.mark.parametrize("wrong", [{"spec": {"replica": 3}}, {"spec": {"ports": [{"port": "http"}]}}])
def test_a_schema_refuses_what_it_does_not_name(wrong: Manifest) -> None:
    with pytest.raises(jsonschema.ValidationError):
        check_manifest({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "abr"}, **wrong})


def test_everything_lives_in_one_namespace(manifests: tuple[Manifest, ...]) -> None:
    homes = {
        manifest["metadata"].get("namespace") for manifest in manifests if manifest["kind"] != "Namespace"
    }
    assert homes == {"weir"}


def test_every_pod_is_confined(manifests: tuple[Manifest, ...]) -> None:
    for name, pod in pods(manifests).items():
        assert pod["enableServiceLinks"] is False, name
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name


def test_every_container_is_confined_and_bounded(manifests: tuple[Manifest, ...]) -> None:
    for name, container in containers(manifests):
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False, name
        assert context["readOnlyRootFilesystem"] is True, name
        assert context["capabilities"] == {"drop": ["ALL"]}, name
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), name
        assert "memory" in container["resources"]["limits"], name


def test_every_image_is_pinned(manifests: tuple[Manifest, ...]) -> None:
    for name, container in containers(manifests):
        assert re.search(r":v?\d+\.\d+\.\d+", container["image"]), name


def test_readiness_and_liveness_ask_different_things(manifests: tuple[Manifest, ...]) -> None:
    for name, pod in pods(manifests).items():
        for container in pod["containers"]:
            ready, alive = dict(container["readinessProbe"]), dict(container["livenessProbe"])
            if name in CONFIGS:
                assert (ready.get("grpc"), ready.get("httpGet")) != (
                    alive.get("grpc"),
                    alive.get("httpGet"),
                ), name


@pytest.mark.parametrize("service", CONFIGS)
def test_every_variable_is_a_setting(manifests: tuple[Manifest, ...], service: str) -> None:
    (container,) = pods(manifests)[service]["containers"]
    known = {f"WEIR_{name}".upper() for name in CONFIGS[service].model_fields} | {
        "OTEL_EXPORTER_OTLP_ENDPOINT"
    }
    assert environment(manifests, container).keys() <= known


@pytest.mark.parametrize("service", CONFIGS)
def test_every_value_is_accepted(
    manifests: tuple[Manifest, ...], service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (container,) = pods(manifests)[service]["containers"]
    for name, value in environment(manifests, container).items():
        monkeypatch.setenv(name, value.replace("$(POD_IP)", "10.0.0.1"))
    CONFIGS[service]()


@pytest.mark.parametrize("service", CONFIGS)
def test_services_listen_where_their_ports_say(manifests: tuple[Manifest, ...], service: str) -> None:
    (container,) = pods(manifests)[service]["containers"]
    listens = {
        int(value.rpartition(":")[2])
        for name, value in environment(manifests, container).items()
        if value.startswith("0.0.0.0:") and name.endswith("_ADDRESS")
    }
    assert listens == {port["containerPort"] for port in container["ports"]}


def test_every_service_leads_to_ports_that_exist(manifests: tuple[Manifest, ...]) -> None:
    for name, service in of_kind(manifests, "Service").items():
        named = {
            port["name"] for container in pods(manifests)[name]["containers"] for port in container["ports"]
        }
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= named


def test_the_door_finds_every_service(manifests: tuple[Manifest, ...]) -> None:
    offered = {
        (name, port["port"])
        for name, service in of_kind(manifests, "Service").items()
        for port in service["spec"]["ports"]
    }
    config = next(data for data in of_kind(manifests, "ConfigMap").values() if "envoy.yaml" in data["data"])
    assert set(_upstreams(yaml.load(config["data"]["envoy.yaml"], Loader=yaml.CSafeLoader))) <= offered


def test_the_door_is_configured_by_the_one_file(production: tuple[Manifest, ...]) -> None:
    texts = [data["data"].get("envoy.yaml") for data in of_kind(production, "ConfigMap").values()]
    assert (ROOT / "envoy" / "envoy.yaml").read_text() in texts


def test_the_door_under_tls_is_made_from_the_one_file() -> None:
    made = (ROOT / "k8s" / "components" / "cert" / "envoy.yaml").read_text()
    assert made == encrypt((ROOT / "envoy" / "envoy.yaml").read_text()), "run `make k8s-tls`"


def test_every_certificate_is_issued_for_who_mounts_it() -> None:
    manifests = build(UNDER_TLS)
    certificates = of_kind(manifests, "Certificate")
    issuers = of_kind(manifests, "Issuer")
    assert {one["spec"]["issuerRef"]["name"] for one in certificates.values()} == issuers.keys()
    issued = {one["spec"]["secretName"]: one["spec"] for one in certificates.values()}
    authority = issuers["weir-ca"]["spec"]["ca"]["secretName"]
    assert issued[authority]["isCA"] is True
    mounted: set[str] = set()
    for name, pod in pods(manifests).items():
        for volume in (volume["secret"] for volume in pod["volumes"] if "secret" in volume):
            mounted.add(volume["secretName"])
            if volume["secretName"] != "envoy-public-tls":
                assert name in issued[volume["secretName"]]["dnsNames"]
    assert mounted == issued.keys() - {authority}


def test_under_tls_everything_that_peers_call_is_in_a_certificate() -> None:
    """Names are compared as they are called: by services, and by Envoy."""
    manifests = build(UNDER_TLS)
    names = {
        name for one in of_kind(manifests, "Certificate").values() for name in one["spec"].get("dnsNames", ())
    }
    called: set[str] = set()
    for name in CONFIGS:
        (container,) = pods(manifests)[name]["containers"]
        settings = environment(manifests, container)
        targets = [value for value in settings.values() if value.startswith("dns:///")]
        called |= {target.removeprefix("dns:///").rpartition(":")[0] for target in targets}
        called |= {
            url.removeprefix("nats://").partition(":")[0] for url in settings["WEIR_NATS_URL"].split(",")
        }
        assert settings["WEIR_TLS_CERT_FILE"].startswith("/etc/weir/tls/")
        assert {"name": "tls", "mountPath": "/etc/weir/tls", "readOnly": True} in container["volumeMounts"]
    assert called <= names


def test_probes_show_no_certificate_and_ask_where_none_is_wanted() -> None:
    manifests = build(UNDER_TLS)
    for name in CONFIGS:
        (container,) = pods(manifests)[name]["containers"]
        (_, _, port) = environment(manifests, container)["WEIR_HEALTH_ADDRESS"].rpartition(":")
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert container[probe]["grpc"]["port"] == int(port), name
            assert "httpGet" not in container[probe], name


def test_jetstream_keeps_as_many_copies_as_there_are_servers(manifests: tuple[Manifest, ...]) -> None:
    (container,) = pods(manifests)["distributor"]["containers"]
    settings = environment(manifests, container)
    servers = of_kind(manifests, "StatefulSet")["nats"]["spec"]["replicas"]
    assert int(settings["WEIR_NATS_REPLICAS"]) == servers
    assert settings["WEIR_NATS_URL"].count("nats://") == servers


def test_policies_open_only_ports_that_somebody_listens_on(production: tuple[Manifest, ...]) -> None:
    for name, policy in of_kind(production, "NetworkPolicy").items():
        if name in pods(production):
            listens = {
                port["containerPort"]
                for _, c in containers(production)
                if _ == name
                for port in c.get("ports", ())
            }
            opened = {port["port"] for rule in policy["spec"].get("ingress", ()) for port in rule["ports"]}
            assert opened <= listens, name


@pytest.mark.parametrize("cloud", CLOUDS)
def test_object_storage_needs_no_shared_volume(cloud: str) -> None:
    manifests = build(Combination("base", (cloud,)))
    assert not of_kind(manifests, "PersistentVolumeClaim")
    for name, pod in pods(manifests).items():
        assert not [v for v in pod.get("volumes", ()) if "persistentVolumeClaim" in v], name
        assert "/var/lib/weir/objects" not in str(pod), name


def test_scaling_by_the_queue_takes_the_place_of_scaling_by_cpu() -> None:
    manifests = build(Combination("overlays/production", ("keda", "otel-collector", "cert")))
    scaled = of_kind(manifests, "ScaledObject")["transcoder"]["spec"]["scaleTargetRef"]["name"]
    assert scaled in of_kind(manifests, "Deployment")
    assert scaled not in of_kind(manifests, "HorizontalPodAutoscaler")


def _upstreams(config: Manifest) -> set[tuple[str, int]]:
    return {
        (address["address"], address["port_value"])
        for cluster in config["static_resources"]["clusters"]
        for group in cluster["load_assignment"]["endpoints"]
        for endpoint in group["lb_endpoints"]
        for address in [endpoint["endpoint"]["address"]["socket_address"]]
    }
