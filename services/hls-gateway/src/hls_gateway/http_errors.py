"""Failures as HTTP answers: the JSON of google.rpc.Status, as Envoy gives it elsewhere."""

from __future__ import annotations

import json
import math
from http import HTTPStatus

from chassis import errors
from chassis.grpc_errors import DOMAIN, code_number
from chassis.telemetry import log
from hls_gateway.domain import cache_rules
from hls_gateway.editions.waiting_room import STREAM_STALLED
from hls_gateway.ports import STORAGE_SILENT
from hls_gateway.webserver.messages import Header, Refusal, Request, Response, render_head

CORS: tuple[Header, ...] = (
    ("access-control-allow-origin", "*"),
    (
        "access-control-expose-headers",
        "cmsd-dynamic, cmsd-static, content-length, content-range, date, etag, retry-after",
    ),
)

# Every gateway hears the same nothing: Envoy would ask three more of them, and each would wait as long.
_NOT_ELSEWHERE: Header = ("x-envoy-ratelimited", "true")
_SILENCES = frozenset({STREAM_STALLED, STORAGE_SILENT})
_INTERNAL_CODE = 13  # google.rpc.Code.INTERNAL
_STATUSES: dict[type[errors.WeirError], HTTPStatus] = {
    errors.InvalidArgument: HTTPStatus.BAD_REQUEST,
    errors.OutOfRange: HTTPStatus.NOT_FOUND,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.AlreadyExists: HTTPStatus.CONFLICT,
    errors.FailedPrecondition: HTTPStatus.NOT_FOUND,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.ResourceExhausted: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.DeadlineExceeded: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.PermissionDenied: HTTPStatus.FORBIDDEN,
    errors.Unimplemented: HTTPStatus.NOT_IMPLEMENTED,
    errors.DataLoss: HTTPStatus.INTERNAL_SERVER_ERROR,
}
# Refusals of the server itself that have a google.rpc.Code of their own; the others are INVALID_ARGUMENT.
_REFUSAL_CODES = {HTTPStatus.SERVICE_UNAVAILABLE: 14, HTTPStatus.REQUEST_TIMEOUT: 4}
_INVALID_ARGUMENT_CODE = 3
_QUIET = frozenset({HTTPStatus.NOT_FOUND})


def error_response(error: errors.WeirError) -> Response:
    """Answer a failure of a kind that Weir tells about."""
    status = _STATUSES[type(error)]
    headers: tuple[Header, ...] = ()
    if error.retry_delay_s is not None:
        headers = (("retry-after", str(math.ceil(error.retry_delay_s))),)
    elif status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers = (("retry-after", "1"),)
    if error.reason in _SILENCES:
        headers = (*headers, _NOT_ELSEWHERE)
    return _response(
        status, code_number(error), error.message, error.reason, metadata=error.metadata, headers=headers
    )


def refused(request: Request, error: errors.WeirError) -> Response:
    """Answer a failure, and log it unless it is everyday."""
    response = error_response(error)
    if response.status not in _QUIET:
        log.info(
            "http request refused",
            target=request.target.decode("latin-1"),
            status=response.status,
            reason=error.reason,
            error=error.message,
        )
    return response


def refusal_response(refusal: Refusal) -> Response:
    """Answer a request that the server turned away."""
    code = _REFUSAL_CODES.get(refusal.status, _INVALID_ARGUMENT_CODE)
    headers = (("retry-after", "1"),) if refusal.status is HTTPStatus.SERVICE_UNAVAILABLE else ()
    return _response(refusal.status, code, refusal.message, refusal.reason, headers=headers)


def internal_response() -> Response:
    """Answer what nobody expected, telling nothing of it."""
    return _response(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        _INTERNAL_CODE,
        "an internal error; the service's log tells more",
        "INTERNAL",
    )


def method_response(method: bytes) -> Response:
    """Answer a method that is not for media."""
    name = method.decode("latin-1")
    return _response(
        HTTPStatus.METHOD_NOT_ALLOWED,
        _INVALID_ARGUMENT_CODE,
        f"{name} is not allowed here: use GET or HEAD",
        "METHOD_NOT_ALLOWED",
        headers=(("allow", "GET, HEAD, OPTIONS"),),
    )


def _response(
    status: HTTPStatus,
    code: int,
    message: str,
    reason: str,
    *,
    metadata: dict[str, str] | None = None,
    headers: tuple[Header, ...] = (),
) -> Response:
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": DOMAIN}
    details = [{**info, "metadata": metadata} if metadata else info]
    body = json.dumps({"code": code, "message": message, "details": details}).encode()
    head = render_head(
        status,
        (
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
            ("cache-control", _cache_control(status)),
            *headers,
            *CORS,
        ),
    )
    return Response(status, head, body)


def _cache_control(status: HTTPStatus) -> str:
    return cache_rules.NOT_YET if status is HTTPStatus.NOT_FOUND else cache_rules.FAILURE
