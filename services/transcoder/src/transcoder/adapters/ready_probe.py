"""Probe a ready segment: what is in it and when, or the reason why it is refused."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import TypeAdapter

from transcoder.adapters.probe import ProbeLimits, Refusal, refuse, run_child
from transcoder.domain.plan import Container
from transcoder.domain.ready_segment import Measured

CHILD = "transcoder.adapters.ready_probe_child"
LIMITS = ProbeLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What the probing process prints."""

    source: Measured | None = None
    refusal: Refusal | None = None


_ANSWER = TypeAdapter(_Answer)


async def probe_segment(data: bytes, container: Container, limits: ProbeLimits = LIMITS) -> Measured:
    """Measure a segment, with its init segment before it.

    Raises:
        InvalidArgument: It is no segment for players; the message says what is wrong. Reasons: NOT_MEDIA,
            NO_TRACKS, UNSUPPORTED_CODEC, NOT_INDEPENDENT, BROKEN_TIMELINE, PICTURE_TOO_LARGE,
            ZERO_DURATION, PROBE_LIMIT, PROBE_FAILED.
    """
    timeout_s = limits.base_timeout_s + len(data) / limits.read_bytes_per_s
    output = await run_child((CHILD, container), limits, timeout_s, stdin=data)
    answer = _ANSWER.validate_json(output)
    if answer.source is None:
        refusal = answer.refusal or Refusal(reason="PROBE_LIMIT", message="the probe gave no answer")
        raise refuse(refusal.reason, refusal.message, field="data")
    return answer.source
