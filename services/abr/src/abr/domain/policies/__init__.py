"""The policies by name: pure functions from what is known of a viewer to what it should play."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from abr.domain.policies.bba import Bba
from abr.domain.policies.bola import Bola
from abr.domain.policies.fixed import Fixed
from abr.domain.policies.foresight import Foresight
from abr.domain.policies.robust_mpc import RobustMpc
from abr.domain.policies.zone import Zone
from abr.domain.view import Policy

POLICIES: Mapping[str, Policy] = MappingProxyType(
    {policy.name: policy for policy in (Foresight(), Zone(), Bba(), Bola(), RobustMpc(), Fixed())}
)
"""Each under the name by which the API asks for it."""
