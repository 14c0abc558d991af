"""The default policy with other settings: what a search tries, and what it found without one of the folds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any

from abr.domain.policies.foresight import Foresight

FOUND = Path(__file__).with_name("found.json")
"""Settings, in the order of the folds that the search did not see."""

RANGES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "estimator.fast_half_life": (0.2, 2.5),
        "estimator.slow_half_life": (2.0, 20.0),
        "estimator.fast_share": (0.1, 1.0),
        "estimator.prior_spread": (0.1, 0.8),
        "estimator.prior_weight": (0.3, 6.0),
        "estimator.memory": (0.6, 0.99),
        "estimator.greatest_error": (0.4, 2.0),
        "estimator.step_from": (0.5, 3.0),
        "estimator.step_gain": (0.0, 2.0),
        "estimator.step_down_ratio": (0.0, 2.0),
        "estimator.step_again_share": (0.0, 1.0),
        "estimator.step_excuse": (0.0, 1.0),
        "model.follow_ratio": (0.0, 0.8),
        "model.bias": (-0.3, 0.1),
        "model.return_ratio": (0.0, 0.4),
        "model.change_cost": (1.0, 1.5),
        "model.patience": (0.85, 1.0),
        "model.stall_ratio": (0.6, 2.0),
        "caution": (0.5, 1.5),
    }
)
"""What may be changed, and how far."""

Settings = Mapping[str, float]


def with_settings(settings: Settings) -> Foresight:
    """The default, but for these settings; names as in RANGES."""
    parts: dict[str, dict[str, Any]] = {"": {}, "estimator": {}, "model": {}}
    for name, value in settings.items():
        part, _, field = name.rpartition(".")
        parts[part][field] = value
    policy = Foresight()
    return replace(
        policy,
        estimator=replace(policy.estimator, **parts["estimator"]),
        model=replace(policy.model, **parts["model"]),
        **parts[""],
    )


def setting(policy: Foresight, name: str) -> float:
    """Read a setting."""
    return float(attrgetter(name)(policy))


def read_found() -> list[Settings]:
    """Read what was found without each of the folds."""
    found: list[Settings] = json.loads(FOUND.read_text())
    return found
