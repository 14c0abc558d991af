"""Probe a source: what is in it, measured, or the reason why it is refused.

libav reads hostile bytes here, so it runs in a process of its own, with limits on memory, time and picture
size.
"""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from chassis.errors import InvalidArgument
from transcoder.domain.source import Source

CHILD = "transcoder.adapters.probe_child"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeLimits:
    """What a probe may cost, and what a source may ask for."""

    max_pixel_count: int = 7680 * 4320
    """Largest picture, width times height."""
    max_duration_s: float = 24 * 3600.0
    memory_bytes: int = 4 << 30
    """Address space of the probing process."""
    base_timeout_s: float = 30.0
    """Deadline for a small source; a larger one gets the time to be read at read_bytes_per_s besides."""
    read_bytes_per_s: float = 20e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a probing process refused what it read."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What the probing process prints."""

    source: Source | None = None
    refusal: Refusal | None = None


_ANSWER = TypeAdapter(_Answer)


async def probe(path: Path, limits: ProbeLimits = ProbeLimits()) -> Source:
    """Measure a source.

    Raises:
        InvalidArgument: It is no media that can be transcoded; the message says what is wrong. Reasons:
            EMPTY_SOURCE, NOT_MEDIA, UNSUPPORTED_CONTAINER, NO_TRACKS, UNSUPPORTED_CODEC, ZERO_DURATION,
            TRUNCATED_SOURCE, BROKEN_TIMELINE, PICTURE_TOO_LARGE, SOURCE_TOO_LONG, PROBE_LIMIT,
            PROBE_FAILED.
    """
    size_bytes = (await asyncio.to_thread(path.stat)).st_size
    if not size_bytes:
        raise refuse("EMPTY_SOURCE", "it has 0 bytes")
    timeout_s = limits.base_timeout_s + size_bytes / limits.read_bytes_per_s
    return await ask_child((CHILD, str(path)), limits, timeout_s)


async def ask_child(
    command: Sequence[str], limits: ProbeLimits, timeout_s: float, *, stdin: bytes = b""
) -> Source:
    """Let a probing process measure a source.

    Args:
        command: Its module and arguments; the limits are added, as JSON.
        limits: What it may cost.
        timeout_s: Its deadline.
        stdin: What it can read there.

    Raises:
        InvalidArgument: It refused the source, or broke on it.
    """
    answer = _ANSWER.validate_json(await run_child(command, limits, timeout_s, stdin=stdin))
    if answer.source is None:
        refusal = answer.refusal or Refusal(reason="PROBE_LIMIT", message="the probe gave no answer")
        raise refuse(refusal.reason, refusal.message)
    return answer.source


async def run_child(
    command: Sequence[str], limits: ProbeLimits, timeout_s: float, *, stdin: bytes = b""
) -> bytes:
    """Run a probing process under limits, as `ask_child` does; returns what it prints."""
    words = {
        "max_pixel_count": limits.max_pixel_count,
        "max_duration_s": limits.max_duration_s,
        "memory_bytes": limits.memory_bytes,
        "cpu_s": timeout_s + 1,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", *command, json.dumps(words)),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        async with asyncio.timeout(timeout_s):
            output, errors = await process.communicate(stdin)
    except TimeoutError:
        raise refuse("PROBE_LIMIT", f"it takes more than {timeout_s:.0f} s to read") from None
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    if process.returncode:
        said = errors.decode(errors="replace").strip().splitlines()[-1:]
        raise refuse("PROBE_FAILED", f"the media library broke on it: {said or process.returncode}")
    return output


def refuse(reason: str, message: str, *, field: str = "source") -> InvalidArgument:
    """Tell what is wrong with what was probed."""
    return InvalidArgument(f"{field}: {message}", reason=reason, field=field)
