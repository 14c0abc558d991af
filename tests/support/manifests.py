"""Kubernetes manifests as kustomize builds them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CLOUDS = ("s3", "gcs", "azure")
Manifest = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Combination:
    """One way to deploy: a base and the components added to it."""

    base: str
    components: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "+".join((self.base, *self.components))


COMBINATIONS = (
    Combination("."),
    Combination("overlays/local"),
    Combination("overlays/production", ("keda", "otel-collector")),
)


def build(combination: Combination, folder: Path) -> tuple[Manifest, ...]:
    """Build a combination; `folder` must be fresh."""
    for name in ("k8s", "envoy"):
        shutil.copytree(ROOT / name, folder / name)
    target = folder / "built"
    target.mkdir()
    (target / "kustomization.yaml").write_text(_kustomization(combination))
    argv = [_kustomize(), "build", str(target)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return tuple(yaml.load_all(done.stdout, Loader=yaml.CSafeLoader))


def of_kind(manifests: Iterable[Manifest], kind: str) -> dict[str, Manifest]:
    """Select by kind; by name."""
    return {manifest["metadata"]["name"]: manifest for manifest in manifests if manifest["kind"] == kind}


def pods(manifests: Iterable[Manifest]) -> dict[str, Mapping[str, Any]]:
    """Select the pod specs of everything that runs; by name of who runs them."""
    return {
        manifest["metadata"]["name"]: manifest["spec"]["template"]["spec"]
        for manifest in manifests
        if manifest["kind"] in {"Deployment", "StatefulSet"}
    }


def containers(manifests: Iterable[Manifest]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every container, init containers too, with the name of who runs it."""
    for name, pod in pods(manifests).items():
        for container in (*pod.get("initContainers", ()), *pod["containers"]):
            yield name, container


def environment(manifests: tuple[Manifest, ...], container: Mapping[str, Any]) -> dict[str, str]:
    """What a container's ConfigMaps, and its own list, put into its environment."""
    maps = of_kind(manifests, "ConfigMap")
    names = [source["configMapRef"]["name"] for source in container["envFrom"] if "configMapRef" in source]
    own = {entry["name"]: entry.get("value", "") for entry in container.get("env", ())}
    mapped = {key: value for name in names for key, value in maps[name]["data"].items()}
    return {**mapped, **{name: value for name, value in own.items() if name.startswith("WEIR_")}}


def _kustomization(combination: Combination) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": "weir",
            "resources": [f"../k8s/{combination.base}"],
            "components": [f"../k8s/components/{name}" for name in combination.components],
        }
    )


def _kustomize() -> str:
    own = ROOT / ".tools" / "kustomize"
    assert own.exists(), f"{own} is missing: `make test-contract` fetches it"
    return str(own)
