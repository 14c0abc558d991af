"""Every way to combine an overlay with components builds, and every manifest of it fits its schema."""

from __future__ import annotations

import json
from pathlib import Path

import kubernetes_validate
import pytest

from support.manifests import Combination, build_all, every_combination

ELSEWHERE = {"Certificate", "Issuer", "ScaledObject"}  # kinds that a cluster learns from others
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
            if manifest["kind"] not in ELSEWHERE:
                texts.setdefault(json.dumps(manifest, sort_keys=True), combination)
    for text in texts:
        kubernetes_validate.validate(json.loads(text), "1.37", strict=True)
