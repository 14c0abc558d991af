"""The kinds of failure that Weir tells its callers about.

    WeirError
    ├── InvalidArgument      the request itself is wrong
    ├── OutOfRange           right form, but left the window or too far ahead
    ├── NotFound
    ├── AlreadyExists
    ├── FailedPrecondition   right request, wrong state
    ├── Conflict             somebody else wrote first
    ├── ResourceExhausted    over a limit; try again after `retry_delay_s`
    ├── Unavailable          a peer is away; try again
    ├── DeadlineExceeded
    ├── Unauthenticated
    ├── PermissionDenied
    ├── Unimplemented        promised by the contract, not built yet
    └── DataLoss

Domain and services raise them; each edge translates them once (`grpc_errors`, and the gateway's HTTP edge).
"""

from __future__ import annotations


class WeirError(Exception):
    """A failure with a message for the caller and a stable reason for programs.

    Args:
        message: Names the field, the value and the accepted range, and says what to do.
        reason: UPPER_SNAKE, never changed once published; travels as google.rpc.ErrorInfo.reason.
        retry_delay_s: When a retry makes sense, seconds; None if it does not or is unknown.
        metadata: Further facts for programs, such as the field's name.
    """

    default_reason = "UNKNOWN"

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        retry_delay_s: float | None = None,
        **metadata: str,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason
        self.retry_delay_s = retry_delay_s
        self.metadata = metadata


class InvalidArgument(WeirError):
    default_reason = "INVALID_ARGUMENT"


class OutOfRange(WeirError):
    default_reason = "OUT_OF_RANGE"


class NotFound(WeirError):
    default_reason = "NOT_FOUND"


class AlreadyExists(WeirError):
    default_reason = "ALREADY_EXISTS"


class FailedPrecondition(WeirError):
    default_reason = "FAILED_PRECONDITION"


class Conflict(WeirError):
    default_reason = "CONFLICT"


class ResourceExhausted(WeirError):
    default_reason = "RESOURCE_EXHAUSTED"


class Unavailable(WeirError):
    default_reason = "UNAVAILABLE"


class DeadlineExceeded(WeirError):
    default_reason = "DEADLINE_EXCEEDED"


class Unauthenticated(WeirError):
    default_reason = "UNAUTHENTICATED"


class PermissionDenied(WeirError):
    default_reason = "PERMISSION_DENIED"


class Unimplemented(WeirError):
    default_reason = "UNIMPLEMENTED"


class DataLoss(WeirError):
    default_reason = "DATA_LOSS"
