"""Every way to combine an overlay with components builds, and every manifest of it fits its schema."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from support.manifests import CLOUDS, ROOT, Combination, build_all, every_combination
from support.schemas import check_manifest

EVERY = every_combination()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("group", EVERY)
def test_every_combination_builds_and_fits_the_schemas(group: str, tmp_path: Path) -> None:
    built = build_all(EVERY[group], tmp_path)
    assert len(built) == len(EVERY[group])
    texts: dict[str, Combination] = {}
    for combination, manifests in built.items():
        assert manifests, combination
        kinds = {manifest["kind"] for manifest in manifests}
        assert ("Certificate" in kinds) == ("cert" in combination.components), combination
        assert ("ScaledObject" in kinds) == ("keda" in combination.components), combination
        for manifest in manifests:
            texts.setdefault(json.dumps(manifest, sort_keys=True), combination)
    for text in texts:
        check_manifest(json.loads(text))


def test_a_cloud_unlike_others_is_combined_with_everything(tmp_path: Path) -> None:
    assert _fully_combined(ROOT / "k8s") == {CLOUDS[0]}
    shutil.copytree(ROOT / "k8s", tmp_path / "k8s")
    component = tmp_path / "k8s" / "components" / CLOUDS[1] / "kustomization.yaml"
    component.write_text(component.read_text() + "resources: [more.yaml]\n")
    assert _fully_combined(tmp_path / "k8s") == {CLOUDS[0], CLOUDS[1]}


def test_a_component_that_others_speak_of_is_combined_with_everything(tmp_path: Path) -> None:
    both = Combination("overlays/local", ("keda", "network-policies"))
    assert both not in EVERY["overlays/local"]
    shutil.copytree(ROOT / "k8s", tmp_path / "k8s")
    component = tmp_path / "k8s" / "components" / "keda" / "kustomization.yaml"
    component.write_text(component.read_text() + "  - target: {kind: NetworkPolicy}\n")
    assert both in every_combination(tmp_path / "k8s")["overlays/local"]


def _fully_combined(k8s: Path) -> set[str]:
    return {cloud for cloud in CLOUDS if f"overlays/local+{cloud}" in every_combination(k8s)}
