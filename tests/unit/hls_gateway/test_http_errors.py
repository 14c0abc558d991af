"""Failures over HTTP: the statuses of HOUSE, and the JSON that gRPC transcoding would give."""

from __future__ import annotations

import json
from http import HTTPStatus

import pytest
from google.protobuf import json_format

from chassis import errors
from chassis.grpc_errors import CODES, to_status
from hls_gateway.http_errors import error_response, internal_response, method_response, refusal_response
from hls_gateway.webserver.messages import Refusal, Response


def fields(response: Response) -> dict[str, str]:
    lines = response.head.decode().rstrip().split("\r\n")[1:]
    return dict(line.split(": ", 1) for line in lines)


@pytest.mark.parametrize("kind", CODES, ids=lambda kind: kind.__name__)
def test_every_kind_has_the_json_of_transcoding(kind: type[errors.WeirError]) -> None:
    error = kind("msn is 9: it must be below 7", reason="BAD_MSN", field="msn")
    response = error_response(error)
    expected = json_format.MessageToDict(to_status(error), preserving_proto_field_name=True)
    assert json.loads(bytes(response.body)) == expected
    assert fields(response)["access-control-allow-origin"] == "*"
    assert int(fields(response)["content-length"]) == len(response.body)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (errors.InvalidArgument, 400),
        (errors.NotFound, 404),
        (errors.FailedPrecondition, 404),
        (errors.OutOfRange, 404),
        (errors.ResourceExhausted, 429),
        (errors.Unavailable, 503),
        (errors.DeadlineExceeded, 503),
        (errors.Unauthenticated, 401),
        (errors.PermissionDenied, 403),
        (errors.DataLoss, 500),
    ],
)
def test_a_kind_has_its_status_at_the_hls_edge(kind: type[errors.WeirError], status: int) -> None:
    response = error_response(kind("no"))
    assert response.status == status
    cache = "public, max-age=1" if status == 404 else "no-store"
    assert fields(response)["cache-control"] == cache
    assert ("retry-after" in fields(response)) == (status == 503)


def test_a_retry_delay_is_rounded_up_to_seconds() -> None:
    assert fields(error_response(errors.Unavailable("no", retry_delay_s=2.1)))["retry-after"] == "3"
    assert fields(error_response(errors.ResourceExhausted("no", retry_delay_s=1)))["retry-after"] == "1"


def test_what_nobody_expected_tells_nothing() -> None:
    response = internal_response()
    assert response.status == 500
    assert json.loads(bytes(response.body))["code"] == 13


def test_other_methods_are_told_which_are_allowed() -> None:
    response = method_response(b"PATCH")
    assert response.status == 405
    assert fields(response)["allow"] == "GET, HEAD, OPTIONS"


def test_refusals_of_the_server_look_the_same() -> None:
    refusal = Refusal(status=HTTPStatus.REQUEST_URI_TOO_LONG, reason="TARGET_TOO_LONG", message="too long")
    response = refusal_response(refusal)
    assert response.status == 414
    assert json.loads(bytes(response.body)) == {
        "code": 3,
        "message": "too long",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "TARGET_TOO_LONG",
                "domain": "weir",
            }
        ],
    }
