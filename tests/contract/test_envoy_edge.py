"""What Envoy adds to every request: limits, headers, compression, and one shape of errors."""

from __future__ import annotations

import gzip
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from weir.transcoder.v1 import transcoder_pb2

from support.edge import Door, Reply, running_door
from support.scripted import Call, Request, Response, ScriptedDatagrams

LIST = "/weir.transcoder.v1.RecordingService/ListRecordings"
UPLOAD = "/weir.transcoder.v1.RecordingService/UploadSource"
PLAYLIST = b"#EXTM3U\n" + b"# a playlist that is worth compressing\n" * 40


@pytest.fixture(scope="module")
def shared_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with running_door(tmp_path_factory.mktemp("door")) as door:
        yield door


@pytest.fixture
def door(shared_door: Door) -> Iterator[Door]:
    """The module's Envoy, with the scripts of the test before taken away."""
    yield shared_door
    shared_door.media.scripts.clear()
    for peer in shared_door.grpc.values():
        peer.scripts.clear()


@pytest.fixture
def own_door(tmp_path: Path) -> Iterator[Door]:
    """An Envoy of the test's own, whose peers may be stopped."""
    with running_door(tmp_path) as door:
        yield door


def _error(reply: Reply) -> tuple[int, int, str]:
    """Check the one shape of errors; return HTTP status, code and reason."""
    assert reply.headers["content-type"] == "application/json"
    document: dict[str, Any] = reply.json()
    assert set(document) == {"code", "message", "details"}
    assert document["message"]
    info = document["details"][0]
    assert info["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
    assert info["domain"] == "weir"
    assert set(info) == {"@type", "reason", "domain", "metadata"}
    return reply.status, document["code"], info["reason"]


def test_the_id_in_the_path_wins_over_the_query(door: Door) -> None:
    door.request("GET", "/api/v1/recordings/mine?recording_id=theirs")
    (message,) = door.grpc["transcoder"].calls[-1].messages
    assert transcoder_pb2.GetRecordingRequest.FromString(message).recording_id == "mine"


class TestErrors:
    """Status, code and reason, whoever refuses."""

    def test_unknown_path(self, door: Door) -> None:
        reply = door.request("GET", "/api/v1/nothing?token=secret")
        assert _error(reply) == (404, 5, "NO_SUCH_PATH")
        assert reply.json()["message"] == "There is no GET /api/v1/nothing here."

    def test_unknown_query_parameter(self, door: Door) -> None:
        reply = door.request("GET", "/api/v1/recordings?colour=red")
        assert _error(reply) == (400, 3, "MALFORMED_REQUEST")
        assert "colour" in reply.json()["message"]

    def test_broken_json(self, door: Door) -> None:
        headers = {"content-type": "application/json"}
        reply = door.request("POST", "/api/v1/recordings", b'{"title": ', headers)
        assert _error(reply) == (400, 3, "MALFORMED_REQUEST")

    @pytest.mark.parametrize("path", ["/hls%2fstreams", "/hls/a%5c..%5cb", "/hls/%00"])
    def test_path_with_two_meanings(self, door: Door, path: str) -> None:
        assert _error(door.request("GET", path)) == (400, 3, "MALFORMED_REQUEST")

    def test_header_with_underscore(self, door: Door) -> None:
        reply = door.request("GET", "/", headers={"x_forwarded_for": "1.2.3.4"})
        assert _error(reply) == (400, 3, "MALFORMED_REQUEST")

    def test_body_over_the_limit_of_json(self, door: Door) -> None:
        reply = door.post_json("/api/v1/recordings", {"title": "x" * 1_100_000})
        assert _error(reply) == (413, 11, "BODY_TOO_LARGE")

    def test_headers_over_the_limit(self, door: Door) -> None:
        reply = door.request("GET", "/", headers={"x-long": "x" * 33_000})
        assert _error(reply) == (431, 3, "HEADERS_TOO_LARGE")

    def test_service_error_keeps_its_details(self, door: Door) -> None:
        door.grpc["transcoder"].scripts[LIST] = _refuse
        reply = door.request("GET", "/api/v1/recordings")
        assert _error(reply) == (400, 3, "BAD_PAGE")
        assert reply.json()["message"] == 'page_token is "x": it must be a token'

    def test_service_away_over_rest(self, own_door: Door) -> None:
        own_door.grpc["transcoder"].stop()
        reply = own_door.request("GET", "/api/v1/recordings")
        assert _error(reply) == (503, 14, "SERVICE_AWAY")
        assert reply.headers["retry-after"] == "1"
        assert own_door.request("GET", "/hls/streams").status == 200

    def test_gateway_away(self, own_door: Door) -> None:
        own_door.media.stop()
        assert _error(own_door.request("GET", "/hls/sample/master.m3u8")) == (503, 14, "SERVICE_AWAY")

    def test_grpc_caller_gets_a_grpc_status(self, own_door: Door) -> None:
        own_door.grpc["transcoder"].stop()
        with grpc.insecure_channel(own_door.address) as channel, pytest.raises(grpc.RpcError) as failure:
            method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(LIST)
            method(b"", timeout=10)
        assert failure.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "{" not in str(failure.value.details())


class TestUploads:
    def test_declared_length_is_the_requests_own(self, door: Door) -> None:
        call = _upload(door, b"x" * 3_000_000, {"x-declared-length": "7"})
        assert call.metadata["x-declared-length"] == "3000000"
        assert sum(map(len, call.messages)) > 3_000_000

    def test_chunked_upload_declares_nothing(self, door: Door) -> None:
        with socket.create_connection(("127.0.0.1", door.public_port), timeout=10) as connection:
            connection.sendall(
                b"PUT /api/v1/recordings/r/source HTTP/1.1\r\nhost: x\r\nx-declared-length: 3\r\n"
                b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
            )
            assert connection.recv(12) == b"HTTP/1.1 200"
        assert "x-declared-length" not in door.grpc["transcoder"].calls[-1].metadata

    def test_path_and_query_come_in_the_first_message(self, door: Door) -> None:
        call = _upload(door, b"abc", {})
        assert b"recording-7" in call.messages[0]


class TestHeaders:
    def test_envoy_headers_of_a_client_are_dropped(self, door: Door) -> None:
        door.request("GET", "/hls/x", headers={"x-envoy-original-path": "/y", "x-envoy-max-retries": "99"})
        assert not {"x-envoy-original-path", "x-envoy-max-retries"} & set(door.media.requests[-1].headers)

    def test_client_cannot_claim_another_address(self, door: Door) -> None:
        door.request("GET", "/hls/x", headers={"x-forwarded-for": "1.2.3.4"})
        assert door.media.requests[-1].headers["x-envoy-external-address"] == "127.0.0.1"

    def test_every_answer_names_its_request(self, door: Door) -> None:
        reply = door.request("GET", "/nowhere")
        assert reply.headers["x-request-id"]


class TestCors:
    @pytest.mark.parametrize(
        "path", ["/hls/x/master.m3u8", "/api/v1/recordings", "/api/v1/nothing", "/hls%2fx"]
    )
    def test_any_page_may_read_any_answer(self, door: Door, path: str) -> None:
        reply = door.request("GET", path, headers={"origin": "https://player.example"})
        assert reply.headers["access-control-allow-origin"] == "*"
        assert "etag" in reply.headers["access-control-expose-headers"]

    @pytest.mark.parametrize(
        ("path", "method"),
        [
            ("/api/v1/recordings", "POST"),
            ("/api/v1/recordings/x/source", "PUT"),
            ("/hls/streams/x", "DELETE"),
            ("/hls/streams/x/ingest", "POST"),
            ("/hls/x/master.m3u8", "GET"),
        ],
    )
    def test_preflight_is_answered_here(self, door: Door, path: str, method: str) -> None:
        headers = {"origin": "https://player.example", "access-control-request-method": method}
        reply = door.request("OPTIONS", path, headers=headers)
        assert reply.status == 200
        assert reply.headers["access-control-allow-origin"] == "*"
        assert method in reply.headers["access-control-allow-methods"]
        assert "cmcd-session" in reply.headers["access-control-allow-headers"]


class TestCompression:
    @pytest.mark.parametrize(
        "content_type", ["application/vnd.apple.mpegurl", "text/html; charset=utf-8", "text/javascript"]
    )
    def test_text_is_compressed_for_those_who_ask(self, door: Door, content_type: str) -> None:
        reply = _media(door, content_type, {"accept-encoding": "gzip"})
        assert reply.headers["content-encoding"] == "gzip"
        assert gzip.decompress(reply.body) == PLAYLIST
        assert reply.headers["etag"] == 'W/"tag"'

    def test_json_of_the_api_is_compressed(self, door: Door) -> None:
        reply = door.request("GET", "/hls/streams/x", headers={"accept-encoding": "gzip"})
        assert reply.headers["content-encoding"] == "gzip"

    def test_media_is_not_compressed(self, door: Door) -> None:
        reply = _media(door, "video/mp4", {"accept-encoding": "gzip"})
        assert "content-encoding" not in reply.headers
        assert (reply.body, reply.headers["etag"]) == (PLAYLIST, '"tag"')

    def test_nothing_is_compressed_unasked(self, door: Door) -> None:
        assert "content-encoding" not in _media(door, "application/vnd.apple.mpegurl", {}).headers


class TestAvailability:
    def test_read_is_asked_again_when_a_replica_is_unavailable(self, door: Door) -> None:
        peer = door.grpc["transcoder"]
        peer.calls.clear()
        peer.scripts[LIST] = lambda call, context: _first_unavailable(peer.calls, call, context)
        assert door.request("GET", "/api/v1/recordings").status == 200
        assert len(peer.calls) == 2

    def test_write_that_reached_a_service_is_not_repeated(self, door: Door) -> None:
        create = "/weir.transcoder.v1.RecordingService/CreateRecording"
        peer = door.grpc["transcoder"]
        peer.calls.clear()
        peer.scripts[create] = _unavailable
        assert door.post_json("/api/v1/recordings", {}).status == 503
        assert len(peer.calls) == 1

    def test_service_that_says_not_serving_makes_the_suite_unready(self, own_door: Door) -> None:
        own_door.grpc["abr"].set_serving(False)
        own_door.wait_until("/readyz", 503)
        assert own_door.request("GET", "/healthz").status == 200
        own_door.grpc["abr"].set_serving(True)
        own_door.wait_until("/readyz", 200)

    def test_draining_door_says_so(self, own_door: Door) -> None:
        own_door.admin("POST", "/healthcheck/fail")
        assert own_door.request("GET", "/healthz").status == 503
        assert own_door.request("GET", "/hls/x").status == 200

    def test_calls_over_the_rate_are_refused_and_media_is_not(self, tmp_path: Path) -> None:
        with running_door(tmp_path, edit=_with_small_bucket) as door:
            statuses = [door.request("GET", "/api/v1/recordings").status for _ in range(7)]
            assert statuses == [200] * 5 + [429] * 2
            refused = door.request("GET", "/api/v1/recordings")
            assert _error(refused) == (429, 8, "RATE_LIMITED")
            assert int(refused.headers["retry-after"]) >= 1
            assert door.request("GET", "/hls/x").status == 200


def _with_small_bucket(config: str) -> str:
    """Let 5 calls through, and the next one after a minute: the real bucket outlasts a test's client."""
    edited = re.sub(r"max_tokens: \d+", "max_tokens: 5", config)
    edited = re.sub(r"tokens_per_fill: \d+", "tokens_per_fill: 1", edited)
    return re.sub(r"fill_interval: \S+", "fill_interval: 60s", edited)


def _refuse(_call: Call, context: grpc.ServicerContext) -> list[bytes]:
    message = 'page_token is "x": it must be a token'
    status = status_pb2.Status(code=3, message=message)
    detail = any_pb2.Any()
    detail.Pack(error_details_pb2.ErrorInfo(reason="BAD_PAGE", domain="weir"))
    status.details.append(detail)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(grpc.StatusCode.INVALID_ARGUMENT, message)
    return []


def _unavailable(_call: Call, context: grpc.ServicerContext) -> list[bytes]:
    context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
    return []


def _first_unavailable(calls: list[Call], call: Call, context: grpc.ServicerContext) -> list[bytes]:
    return _unavailable(call, context) if len(calls) == 1 else [b""]


def _upload(door: Door, body: bytes, headers: dict[str, str]) -> Call:
    reply = door.request("PUT", "/api/v1/recordings/recording-7/source", body, headers)
    assert reply.status == 200, reply.body
    call = door.grpc["transcoder"].calls[-1]
    assert call.method == UPLOAD
    return call


def _media(door: Door, content_type: str, headers: dict[str, str]) -> Reply:
    def respond(_request: Request) -> Response:
        return Response(200, {"content-type": content_type, "etag": '"tag"'}, PLAYLIST)

    door.media.scripts["/hls/x/master.m3u8"] = respond
    return door.request("GET", "/hls/x/master.m3u8", headers=headers)


def test_what_one_publisher_sends_goes_to_one_transcoder_and_is_answered(tmp_path: Path) -> None:
    with ExitStack() as stack:
        peers = [ScriptedDatagrams(name) for name in ("first", "second")]
        for peer in peers:
            stack.callback(peer.stop)
        door = stack.enter_context(running_door(tmp_path, srt=[peer.port for peer in peers]))
        heard: list[set[bytes]] = []
        for _ in range(24):
            publisher = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
            publisher.connect(("127.0.0.1", door.srt_port))
            heard.append({_ask(publisher) for _ in range(5)})
    assert {len(names) for names in heard} == {1}
    assert set().union(*heard) == {b"first", b"second"}


def _ask(publisher: socket.socket) -> bytes:
    """Send a datagram until one is answered: any of them may be lost."""
    publisher.settimeout(0.5)
    for _ in range(20):
        publisher.send(b"media")
        with suppress(TimeoutError):
            return publisher.recv(100)
    raise AssertionError("nobody answers")
