"""One table from kinds of failure to gRPC status, used in both directions."""

from __future__ import annotations

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from chassis import errors

DOMAIN = "weir"

CODES: dict[type[errors.WeirError], grpc.StatusCode] = {
    errors.InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
    errors.OutOfRange: grpc.StatusCode.OUT_OF_RANGE,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    errors.FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    errors.Conflict: grpc.StatusCode.ABORTED,
    errors.ResourceExhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    errors.PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    errors.Unimplemented: grpc.StatusCode.UNIMPLEMENTED,
    errors.DataLoss: grpc.StatusCode.DATA_LOSS,
}
KINDS = {code: kind for kind, code in CODES.items()}
_BY_NUMBER: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


def to_status(error: errors.WeirError) -> status_pb2.Status:
    """Write a failure as google.rpc.Status with ErrorInfo, and RetryInfo where a retry makes sense."""
    status = status_pb2.Status(code=code_number(error), message=error.message)
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)
    status.details.append(_packed(info))
    if error.retry_delay_s is not None:
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(int(error.retry_delay_s * 1e9))
        status.details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
    return status


def from_rpc_error(error: grpc.aio.AioRpcError) -> errors.WeirError:
    """Read a peer's failure back into the kind that it raised; what has no kind becomes Unavailable."""
    code = error.code()
    message = error.details() or code.name
    return _read(code, message, rpc_status.from_call(error))  # type: ignore[arg-type] # an AioRpcError has what it reads


def from_status(status: status_pb2.Status) -> errors.WeirError:
    """Read a failure that `to_status` wrote, as it stands within an answer."""
    code = _BY_NUMBER.get(status.code, grpc.StatusCode.UNKNOWN)
    return _read(code, status.message or code.name, status)


def _read(code: grpc.StatusCode, message: str, status: status_pb2.Status | None) -> errors.WeirError:
    kind = KINDS.get(code, errors.Unavailable)
    info = error_details_pb2.ErrorInfo()
    for detail in status.details if status else ():
        if detail.Unpack(info):
            return kind(message, reason=info.reason, **info.metadata)
    return kind(message)


def code_number(error: errors.WeirError) -> int:
    """The google.rpc.Code of a failure."""
    return int(CODES[type(error)].value[0])


def _packed(detail: error_details_pb2.ErrorInfo | error_details_pb2.RetryInfo) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed
