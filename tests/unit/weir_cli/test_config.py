from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from weir_cli.config import RunConfig
from weir_cli.plan import Kind, Plan
from weir_cli.runner import plan_run


def _plan(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Plan:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return plan_run(RunConfig(), {})


def _abr(plan: Plan) -> dict[str, str]:
    return dict(plan.of_kind(Kind.ABR)[0].environment)


def test_weir_port_moves_the_public_port(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _plan(monkeypatch, WEIR_PORT="9000").url == "http://127.0.0.1:9000"


def test_weir_data_names_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plan = _plan(monkeypatch, WEIR_DATA=str(tmp_path))
    assert plan.data == tmp_path
    assert _abr(plan)["WEIR_STORAGE_URL"] == f"file://{tmp_path}/objects"


def test_relative_folder_is_meant_from_where_one_stands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _plan(monkeypatch, WEIR_DATA="films").data == tmp_path / "films"


def test_weir_replicas_counts_the_processes_of_each_service(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = _plan(monkeypatch, WEIR_REPLICAS="2")
    assert len(plan.of_kind(Kind.TRANSCODER)) == len(plan.of_kind(Kind.GATEWAY)) == 2


def test_weir_storage_url_is_given_to_the_services(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = _plan(monkeypatch, WEIR_STORAGE_URL="s3://bucket/films")
    assert _abr(plan)["WEIR_STORAGE_URL"] == "s3://bucket/films"


def test_weir_log_format_is_given_to_the_services(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _abr(_plan(monkeypatch, WEIR_LOG_FORMAT="console"))["WEIR_LOG_FORMAT"] == "console"


def test_weir_demo_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_DEMO", "0")
    assert not RunConfig().demo


@pytest.mark.parametrize(
    ("name", "value"),
    [("WEIR_PORT", "80"), ("WEIR_PORT", "65500"), ("WEIR_REPLICAS", "0"), ("WEIR_DEMO", "x")],
)
def test_setting_out_of_range_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError):
        RunConfig()
