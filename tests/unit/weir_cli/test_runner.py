from __future__ import annotations

from pathlib import Path

import pytest

from weir_cli.config import RunConfig
from weir_cli.runner import CannotRun, plan_run, require_readable


@pytest.mark.parametrize(("before", "now", "word"), [(1, 2, "one"), (2, 1, "three")])
def test_a_suite_keeps_away_from_what_another_kind_of_nats_stored(
    tmp_path: Path, before: int, now: int, word: str
) -> None:
    earlier = plan_run(RunConfig(data=tmp_path, replicas=before), {})
    require_readable(earlier)
    earlier.nats_store.mkdir()
    require_readable(earlier)
    with pytest.raises(CannotRun, match=f"filled by a suite with {word}"):
        require_readable(plan_run(RunConfig(data=tmp_path, replicas=now), {}))


def test_replicas_bring_three_nats_servers(tmp_path: Path) -> None:
    assert plan_run(RunConfig(data=tmp_path, replicas=2), {}).is_clustered
    assert not plan_run(RunConfig(data=tmp_path, replicas=1), {}).is_clustered
