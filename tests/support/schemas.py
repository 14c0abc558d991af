"""The schemas of Kubernetes, each compiled once: nothing that they do not name may stand in a manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

_SCHEMAS = resources.files("kubernetes_validate") / "kubernetes-json-schema" / "v1.37.0-local-strict"
# Kinds that a cluster learns from others.
_ELSEWHERE = frozenset({"Certificate", "Issuer", "ScaledObject"})


def check_manifest(manifest: Mapping[str, Any]) -> None:
    """Hold a manifest against the schema of its kind, if Kubernetes has one.

    Raises:
        jsonschema.ValidationError: It does not fit.
        FileNotFoundError: Kubernetes does not know its kind in this version.
    """
    if manifest["kind"] not in _ELSEWHERE:
        _validator(manifest["kind"], manifest["apiVersion"]).validate(manifest)


@cache
def _validator(kind: str, api_version: str) -> Draft202012Validator:
    """Compile a schema; its file is named like `deployment-apps-v1.json`, without the group's domain."""
    group, _, version = api_version.rpartition("/")
    name = "-".join(part for part in (kind.lower(), group.partition(".")[0], version) if part)
    return Draft202012Validator(_read(f"{name}.json"), registry=_definitions())


@cache
def _definitions() -> Registry[Any]:
    definitions: Resource[Any] = Resource.from_contents(_read("_definitions.json"))
    return definitions @ Registry()


def _read(name: str) -> Any:
    return json.loads((_SCHEMAS / name).read_text())
