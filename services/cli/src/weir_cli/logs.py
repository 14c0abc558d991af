"""What the processes of a suite print: all of it to a file each, what matters to the terminal."""

from __future__ import annotations

import json
import logging
import re
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, TextIO

from weir_cli.plan import Kind

SUPERVISOR = "weir"
_FILE_BYTES = 10_000_000
_KEPT_FILES = 1
_REMEMBERED_LINES = 20

_RESET, _BOLD, _RED, _YELLOW = "\x1b[0m", "\x1b[1m", "\x1b[31m", "\x1b[33m"
_COLOURS: Mapping[str, str] = {
    Kind.NATS: "\x1b[35m",
    Kind.DISTRIBUTOR: "\x1b[34m",
    Kind.ABR: "\x1b[32m",
    Kind.TRANSCODER: "\x1b[36m",
    Kind.GATEWAY: "\x1b[94m",
    Kind.ENVOY: "\x1b[95m",
}
_SEVERE = {"warning": _YELLOW, "error": _RED, "critical": _RED}
# Fields that the prefix already tells, or that only machines read.
_UNSHOWN = {"event", "level", "timestamp", "service", "trace_id", "exception"}
# What is no trouble, as others write it: "[12] 2026/11/22 06:30:01.123 [INF] ready" is nats-server's,
# "[2026-11-22 06:30:01.123][12][info][main] ready" Envoy's, "I1122 06:30:01.123 12 file.cc:71] ready" gRPC's.
# Servers of NATS warn of each moment in which they have not yet found each other.
_GATHERING = "(Healthcheck failed|Waiting for routing|JetStream has not established|Metalayer blocking)"
_CALM = re.compile(
    rf"\[\d+\] \S+ \S+ \[WRN\] {_GATHERING}|"
    r"\[\d+\] \S+ \S+ \[(INF|DBG|TRC)\]|\[[^]]*\]\[\d+\]\[(info|debug|trace)\]|I\d{4} \S+ +\d+ \S+\]"
)


class Journal:
    """Takes every line of every process.

    Args:
        folder: Gets one file per process, 10 MB and one older one at most.
        terminal: Gets what is worth reading while one watches.
        verbose: Show every line of the services, not only warnings and errors.
    """

    def __init__(self, folder: Path, terminal: TextIO, *, verbose: bool = False) -> None:
        self._folder = folder
        self._terminal = terminal
        self._colours = terminal.isatty()
        self._verbose = verbose
        self._files: dict[str, logging.Handler] = {}
        self._last: dict[str, deque[str]] = {}

    def say(self, text: str) -> None:
        """Tell what the supervisor itself does."""
        self._store(SUPERVISOR, f"{datetime.now(UTC).isoformat(timespec='milliseconds')} {text}")
        self._show(SUPERVISOR, text, _BOLD)

    def take(self, process: str, line: str, *, is_access_log: bool = False) -> None:
        """Take one line that a process printed."""
        self._store(process, line)
        if not is_access_log and (self._verbose or is_worth_reading(line)):
            self._show(process, *readable(line))

    def last_lines(self, process: str) -> tuple[str, ...]:
        """Return the newest lines of a process, to explain why it failed."""
        return tuple(self._last.get(process, ()))

    def close(self) -> None:
        for handler in self._files.values():
            handler.close()
        self._files.clear()

    def _store(self, process: str, line: str) -> None:
        self._last.setdefault(process, deque(maxlen=_REMEMBERED_LINES)).append(line)
        if process not in self._files:
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._folder / f"{process}.log"
            self._files[process] = RotatingFileHandler(path, maxBytes=_FILE_BYTES, backupCount=_KEPT_FILES)
        self._files[process].emit(logging.makeLogRecord({"msg": line}))

    def _show(self, process: str, text: str, colour: str) -> None:
        if self._colours:
            own = _COLOURS.get(process.rstrip("-0123456789"), "")
            text = f"{own}{process:>12} │{_RESET} {colour}{text}{_RESET}"
        else:
            text = f"{process:>12} | {text}"
        self._terminal.write(text + "\n")
        self._terminal.flush()


def is_worth_reading(line: str) -> bool:
    """Tell whether a line is a warning, an error, or of no known form (a traceback, say)."""
    record = _parse(line)
    if record is not None:
        return record.get("level") in _SEVERE
    return bool(line.strip()) and not _CALM.match(line)


def readable(line: str) -> tuple[str, str]:
    """Write a JSON line as people read it, with its colour; another line stays as it is."""
    record = _parse(line)
    if record is None:
        return line, ""
    fields = " ".join(f"{key}={value}" for key, value in record.items() if key not in _UNSHOWN)
    text = f"{record.get('level', 'info')}: {record['event']} {fields}".rstrip()
    return "\n".join([text, *str(record.get("exception", "")).splitlines()]), _SEVERE.get(record["level"], "")


def _parse(line: str) -> dict[str, Any] | None:
    """Read a line of structlog's JSON; None when it is something else."""
    if not line.startswith("{"):
        return None
    try:
        record = json.loads(line)
    except json.JSONDecodeError:
        return None
    return record if {"event", "level"} <= set(record) else None
