from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from weir_cli.logs import Journal, is_worth_reading, readable

CALM = (
    '{"event": "call", "level": "info", "service": "abr"}',
    "[12] 2026/11/22 06:30:01.123456 [INF] Server is ready",
    "[2026-11-22 06:30:01.123][12][info][main] starting",
    "I1122 07:28:44.932772   21416 fork_posix.cc:71] Other threads are calling into gRPC",
    "",
    '[12] 2026/11/22 16:41:21.233628 [WRN] Healthcheck failed: "JetStream is not current"',
    "[12] 2026/11/22 16:41:21.233334 [WRN] Waiting for routing to be established...",
    "[12] 2026/11/22 16:42:13.800605 [WRN] Metalayer blocking snapshot starting",
)
TROUBLE = (
    '{"event": "chunk failed", "level": "warning"}',
    '{"event": "call failed", "level": "error"}',
    "[12] 2026/11/22 06:30:01.123456 [ERR] no space left",
    "[2026-11-22 06:30:01.123][12][error][http] broken",
    "Traceback (most recent call last):",
    '{"not": "a log line"}',
)


@pytest.mark.parametrize("line", CALM)
def test_calm_line_stays_in_the_file(line: str) -> None:
    assert not is_worth_reading(line)


@pytest.mark.parametrize("line", TROUBLE)
def test_trouble_is_worth_reading(line: str) -> None:
    assert is_worth_reading(line)


def test_json_is_shown_as_people_read_it() -> None:
    record = {"event": "chunk failed", "level": "error", "timestamp": "x", "job": "j1", "chunk": 3}
    text, _colour = readable(json.dumps(record))
    assert text == "error: chunk failed job=j1 chunk=3"


def test_exception_follows_its_event() -> None:
    text, _colour = readable('{"event": "died", "level": "error", "exception": "Traceback\\nValueError: 3"}')
    assert text == "error: died\nTraceback\nValueError: 3"


def test_every_line_is_in_the_file_of_its_process(tmp_path: Path) -> None:
    terminal = io.StringIO()
    journal = Journal(tmp_path, terminal)
    for line in CALM + TROUBLE:
        journal.take("abr", line)
    journal.close()
    assert (tmp_path / "abr.log").read_text().splitlines() == list(CALM + TROUBLE)
    assert "Traceback" in terminal.getvalue()
    assert "Server is ready" not in terminal.getvalue()


def test_verbose_shows_all_but_the_access_log(tmp_path: Path) -> None:
    terminal = io.StringIO()
    journal = Journal(tmp_path, terminal, verbose=True)
    journal.take("nats", CALM[1])
    journal.take("envoy", '{"status": 200}', is_access_log=True)
    journal.close()
    assert "Server is ready" in terminal.getvalue()
    assert "200" not in terminal.getvalue()
    assert "200" in (tmp_path / "envoy.log").read_text()


def test_lines_are_plain_where_there_is_no_terminal(tmp_path: Path) -> None:
    terminal = io.StringIO()
    journal = Journal(tmp_path, terminal)
    journal.say("starting")
    journal.close()
    assert terminal.getvalue() == "        weir | starting\n"


def test_last_lines_explain_a_failure(tmp_path: Path) -> None:
    journal = Journal(tmp_path, io.StringIO())
    for number in range(100):
        journal.take("abr", f"line {number}")
    journal.close()
    assert journal.last_lines("abr")[-1] == "line 99"
    assert journal.last_lines("transcoder") == ()
