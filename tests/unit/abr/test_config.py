"""Settings of the abr service come from the environment and are held to their ranges."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from abr.config import AbrConfig
from abr.domain.policies import POLICIES


def test_it_listens_where_kubernetes_expects_it() -> None:
    assert AbrConfig().grpc_address == "0.0.0.0:50051"


def test_each_policy_may_be_the_default() -> None:
    assert [AbrConfig.model_validate({"abr_policy": name}).abr_policy for name in POLICIES] == list(POLICIES)
    with pytest.raises(ValidationError, match="abr_policy"):
        AbrConfig.model_validate({"abr_policy": "best"})


def test_a_setting_outside_its_range_is_refused() -> None:
    with pytest.raises(ValidationError, match="drain_s"):
        AbrConfig(drain_s=61)
