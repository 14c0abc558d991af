"""Kubernetes manifests as kustomize builds them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
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
    Combination("overlays/local", ("cert",)),
    Combination("overlays/production", ("keda", "otel-collector", "cert")),
)
IN_CLOUDS = tuple(Combination("base", (cloud,)) for cloud in CLOUDS)
_FREE = ("keda", "otel-collector", "cert")
# What each base does not hold beside these.
_BASES = {".": (), "overlays/local": ("network-policies",)}
# In which clouds' components may differ and be alike all the same: comments, and where the objects are.
_VARYING = re.compile(r"^#.*\n|(?<=WEIR_STORAGE_URL=)[\w:/-]+", re.MULTILINE)
# kustomize holds little and makes much garbage: collected less often, it is done a fifth sooner.
_ENVIRONMENT = {**os.environ, "GOGC": "400"}


def every_combination(k8s: Path = ROOT / "k8s") -> dict[str, tuple[Combination, ...]]:
    """Every base with every choice of components that it does not hold already; by base and storage.

    Left out is what cannot come to anything else: of clouds whose components are alike but for a URL, the
    first stands for all; and a component that meets no other is not tried with each choice of the others.
    Both are combined with everything at once, in a group of their own.
    """
    kinds = _kinds_of_clouds(k8s)
    storages = ((), *((first,) for first, *_ in kinds))
    alike = [(cloud,) for _, *others in kinds for cloud in others]
    groups: dict[str, tuple[Combination, ...]] = {}
    at_once: list[Combination] = []
    for base, own in _BASES.items():
        alone = [name for name in own if _meets_nobody(k8s, name)]
        optional = (*_FREE, *(name for name in own if name not in alone))
        groups |= {str(Combination(base, one)): _choices(base, one, optional) for one in storages}
        at_once += [Combination(base, (*one, *_FREE, *own)) for one in (*(storages if alone else ()), *alike)]
    groups["overlays/production"] = _choices("overlays/production", (), _FREE)
    return groups | ({"all at once": tuple(at_once)} if at_once else {})


def _meets_nobody(k8s: Path, component: str) -> bool:
    """Tell whether a component only adds objects, of kinds that no other file speaks of."""
    folder = k8s / "components" / component
    document = yaml.load((folder / "kustomization.yaml").read_text(), Loader=yaml.CSafeLoader)
    files = [folder / name for name in document.get("resources", ())]
    if document.keys() - {"apiVersion", "kind", "resources"} or not all(file.is_file() for file in files):
        return False
    added = [yaml.load_all(file.read_text(), Loader=yaml.CSafeLoader) for file in files]
    kinds = {manifest["kind"] for manifests in added for manifest in manifests}
    others = [file.read_text() for file in k8s.rglob("*.yaml") if folder not in file.parents]
    return not any(kind in text for text in others for kind in kinds)


def _kinds_of_clouds(k8s: Path) -> tuple[tuple[str, ...], ...]:
    kinds: dict[object, tuple[str, ...]] = {}
    for cloud in CLOUDS:
        kind = _kind_of_component(k8s / "components" / cloud)
        kinds[kind] = (*kinds.get(kind, ()), cloud)
    return tuple(kinds.values())


def _kind_of_component(folder: Path) -> tuple[tuple[str, str], ...]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return tuple((str(file.relative_to(folder)), _VARYING.sub("", file.read_text())) for file in files)


def _choices(base: str, storage: tuple[str, ...], optional: tuple[str, ...]) -> tuple[Combination, ...]:
    return tuple(
        Combination(base, (*storage, *(name for name, taken in zip(optional, wanted, strict=True) if taken)))
        for wanted in product((False, True), repeat=len(optional))
    )


def build(combination: Combination) -> tuple[Manifest, ...]:
    """Look up one of COMBINATIONS or IN_CLOUDS."""
    return _built_once()[combination]


@cache
def _built_once() -> Mapping[Combination, tuple[Manifest, ...]]:
    """Build all that single tests ask for, by one run in each process: most of a run is its beginning."""
    with TemporaryDirectory() as folder:
        return build_all((*COMBINATIONS, *IN_CLOUDS), Path(folder))


def build_all(combinations: Iterable[Combination], folder: Path) -> dict[Combination, tuple[Manifest, ...]]:
    """Build combinations by one run, each in a namespace of its own until it is taken apart."""
    for name in ("k8s", "envoy"):
        shutil.copytree(ROOT / name, folder / name)
    names = {f"weir-{number}": combination for number, combination in enumerate(combinations)}
    for name, combination in names.items():
        (folder / name).mkdir()
        (folder / name / "kustomization.yaml").write_text(_kustomization(combination, name))
    (folder / "kustomization.yaml").write_text(yaml.safe_dump({"resources": list(names)}))
    argv = [_kustomize(), "build", str(folder)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=600, env=_ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    built: dict[Combination, list[Manifest]] = {combination: [] for combination in names.values()}
    for manifest in yaml.load_all(done.stdout, Loader=yaml.CSafeLoader):
        metadata = manifest["metadata"]
        home = metadata.get("namespace") if manifest["kind"] != "Namespace" else metadata["name"]
        built[names[home]].append(_at_home(manifest))
    return {combination: tuple(manifests) for combination, manifests in built.items()}


def _at_home(manifest: Manifest) -> Manifest:
    if manifest["kind"] == "Namespace":
        return {**manifest, "metadata": {**manifest["metadata"], "name": "weir"}}
    return {**manifest, "metadata": {**manifest["metadata"], "namespace": "weir"}}


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


def _kustomization(combination: Combination, namespace: str) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": namespace,
            "resources": [f"../k8s/{combination.base}"],
            "components": [f"../k8s/components/{name}" for name in combination.components],
        }
    )


def _kustomize() -> str:
    own = ROOT / ".tools" / "kustomize"
    assert own.exists(), f"{own} is missing: `make test-contract` fetches it"
    return str(own)
