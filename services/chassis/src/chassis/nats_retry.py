"""What passes by itself when NATS fails, and how it is waited for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import nats.errors
import stamina
from nats.js import errors as js_errors

from chassis.errors import Unavailable
from chassis.telemetry import Seldom

Result = TypeVar("Result")

_ASKED_AGAIN = Seldom()

# While three servers elect a leader, 4 to 9 s, they do not answer: retry for longer than that.
RETRY_S = 20.0
HICCUPS = (
    TimeoutError,  # of asyncio as well as of the client: it raises now one, now the other
    nats.errors.NoRespondersError,
    nats.errors.ConnectionReconnectingError,
    nats.errors.OutboundBufferLimitError,  # what is sent while it connects again has a bound
    js_errors.NoStreamResponseError,
    js_errors.ServiceUnavailableError,
)
# err_codes of a cluster that is not of one mind yet: who leads is changing (10007, 10009), the server of an
# only copy is away (10118, 10119), a first attempt or another write is being agreed upon (10158, 10164).
_UNDECIDED = frozenset({10007, 10009, 10118, 10119, 10158, 10164})


async def persist(operation: Callable[[int], Awaitable[Result]]) -> Result:
    """Repeat an operation through an election or a restart of NATS; only for what may safely happen twice.

    Args:
        operation: Is given the number of its attempt, from 1.

    Raises:
        Unavailable: NATS did not answer for RETRY_S.
    """
    try:
        return await operation(1)  # nearly always: a retry loop costs more than the request
    except _FAILURES as error:
        if not _passes(error):
            raise
        _ASKED_AGAIN.warn("nats asked again", error=repr(error))
    try:
        async for attempt in stamina.retry_context(
            on=_passes, timeout=RETRY_S, attempts=None, wait_initial=0.05, wait_max=0.5
        ):
            with attempt:
                return await operation(attempt.num + 1)
    except _FAILURES as error:
        if not _passes(error):
            raise
        raise Unavailable("NATS does not answer", reason="NATS_AWAY", retry_delay_s=1.0) from error
    raise AssertionError("a retry loop ends with a result or an error")


_FAILURES = (*HICCUPS, js_errors.APIError)


def _passes(error: Exception) -> bool:
    """Whether a failure is one that another attempt may not meet."""
    if isinstance(error, HICCUPS):
        return True
    # What the client itself raises of a bucket has no err_code.
    return isinstance(error, js_errors.APIError) and getattr(error, "err_code", None) in _UNDECIDED
