"""Envoy against the contracts: each public RPC reaches its service by REST and gRPC; nothing else does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import grpc
import pytest
import yaml

from support.contracts import RestMapping, Rpc, load_rpcs
from support.edge import Door, running_door
from weir_cli import programs

RPCS = load_rpcs()
PUBLIC = tuple(rpc for rpc in RPCS if rpc.is_public)
INTERNAL = tuple(rpc for rpc in RPCS if not rpc.is_public)
REST = tuple((rpc, mapping) for rpc in RPCS for mapping in rpc.mappings)
CLUSTERS = {"weir.abr.v1": "abr", "weir.distributor.v1": "distributor", "weir.transcoder.v1": "transcoder"}

MEDIA_PATHS = (
    "/hls/sample/master.m3u8",
    "/hls/sample/variants/High/playlist.m3u8",
    "/hls/sample/variants/High/segment_7.m4s",
    "/hls/streams-of-mine/variants/High/segment_7.ts",
    "/api/v1/recordings/sample/stream/master.m3u8",
    "/watch/sample",
    "/assets/player.js",
    "/favicon.ico",
    "/",
)
CLOSED_PATHS = (
    "/metrics",
    "/readyz/",
    "/stats",
    "/config_dump",
    "/quitquitquit",
    "/api",
    "/api/v2/recordings",
    "/x",
)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with running_door(tmp_path_factory.mktemp("door")) as door:
        yield door


@cache
def _connection_manager() -> dict[str, Any]:
    config = yaml.load(programs.envoy_config_path().read_text(), Loader=yaml.CSafeLoader)
    listener = config["static_resources"]["listeners"][0]
    manager: dict[str, Any] = listener["filter_chains"][0]["filters"][0]["typed_config"]
    return manager


def _grpc_route(path: str) -> dict[str, Any]:
    """Find the route that a gRPC path takes, as Envoy does: the first that matches."""
    routes = _connection_manager()["route_config"]["virtual_hosts"][0]["routes"]
    for route in routes:
        match = route["match"]
        if "headers" not in match and (
            match.get("path") == path or path.startswith(match.get("prefix", "\0"))
        ):
            found: dict[str, Any] = route
            return found
    raise AssertionError(f"no route for {path}")


def _rest_route(path: str) -> dict[str, Any]:
    """Find the route that a REST path takes before it becomes gRPC."""
    routes = _connection_manager()["route_config"]["virtual_hosts"][0]["routes"]
    for route in routes:
        match = route["match"]
        if "grpc" not in match and (
            re.fullmatch(match.get("safe_regex", {}).get("regex", r"\0"), path)
            or path.startswith(match.get("path_separated_prefix", "\0"))
        ):
            found: dict[str, Any] = route
            return found
    raise AssertionError(f"no route for {path}")


@pytest.mark.parametrize(("rpc", "mapping"), REST, ids=[f"{m.verb} {m.template}" for _, m in REST])
def test_rest_path_reaches_its_rpc(door: Door, rpc: Rpc, mapping: RestMapping) -> None:
    peer = door.grpc[CLUSTERS[rpc.package]]
    peer.calls.clear()
    path = re.sub(r"\{[^}]*\}", "sample", mapping.template)
    body = b"{}" if mapping.has_body else None
    reply = door.request(mapping.verb, path, body, {"content-type": "application/json"})
    assert reply.status == 200, reply.body
    assert [call.method for call in peer.calls] == [rpc.path]


@pytest.mark.parametrize("rpc", PUBLIC, ids=lambda rpc: rpc.path)
def test_public_rpc_is_served_as_grpc(door: Door, rpc: Rpc) -> None:
    assert _served_by(door, rpc.path) == CLUSTERS[rpc.package]


@pytest.mark.parametrize("rpc", INTERNAL, ids=lambda rpc: rpc.path)
def test_internal_rpc_is_not_exposed(door: Door, rpc: Rpc) -> None:
    with pytest.raises(grpc.RpcError) as failure:
        _served_by(door, rpc.path)
    assert failure.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_something_is_internal_and_something_public() -> None:
    assert "/weir.timeline.v1.TimelineService/Append" in {rpc.path for rpc in INTERNAL}
    assert {rpc.package for rpc in PUBLIC} == set(CLUSTERS)


@pytest.mark.parametrize(
    "method",
    [
        "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ],
)
def test_reflection_is_answered_by_the_gateway(door: Door, method: str) -> None:
    assert _served_by(door, f"/{method}") == "hls-gateway-grpc"


@pytest.mark.parametrize("path", MEDIA_PATHS)
def test_media_and_pages_come_from_the_gateway(door: Door, path: str) -> None:
    reply = door.request("GET", path)
    assert (reply.status, reply.headers.get("x-served-by")) == (200, "hls-gateway")
    assert door.media.requests[-1].path == path


@pytest.mark.parametrize("path", CLOSED_PATHS)
def test_unknown_path_is_404_and_reaches_nobody(door: Door, path: str) -> None:
    before = len(door.media.requests)
    assert door.request("GET", path).status == 404
    assert len(door.media.requests) == before


def test_no_media_hides_under_the_streams_api(door: Door) -> None:
    assert door.request("GET", "/hls/streams/x/files/a.ts").status == 404


def test_transcoder_knows_every_service_with_rest_mappings() -> None:
    filters = {entry["name"]: entry["typed_config"] for entry in _connection_manager()["http_filters"]}
    configured = filters["envoy.filters.http.grpc_json_transcoder"]["services"]
    assert configured == sorted({rpc.service for rpc, _ in REST})


@pytest.mark.parametrize("rpc", PUBLIC, ids=lambda rpc: rpc.path)
def test_streams_have_no_deadline_and_single_answers_have_one(rpc: Rpc) -> None:
    timeout = _grpc_route(rpc.path)["route"]["timeout"]
    assert (timeout == "0s") == rpc.streams


@pytest.mark.parametrize("rpc", [rpc for rpc in PUBLIC if rpc.streams_in], ids=lambda rpc: rpc.path)
def test_upload_is_never_retried(rpc: Rpc) -> None:
    assert "retry_policy" not in _grpc_route(rpc.path)["route"]


PROBING = (
    ("/weir.transcoder.v1.RecordingService/UploadSource", "/api/v1/recordings/sample/source"),
    ("/weir.transcoder.v1.TranscodeService/StartTranscode", "/api/v1/recordings/sample/transcode/quality"),
)


@pytest.mark.parametrize(("rpc_path", "rest_path"), PROBING)
def test_calls_that_look_at_a_source_may_be_silent_for_long(rpc_path: str, rest_path: str) -> None:
    """By REST too: the first route that a request takes decides how long it may be idle."""
    for route in (_grpc_route(rpc_path)["route"], _rest_route(rest_path)["route"]):
        assert route["idle_timeout"] == "3600s"
        assert route["timeout"] in {"0s", "3600s"}


def _served_by(door: Door, path: str) -> str:
    with grpc.insecure_channel(door.address) as channel:
        method: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(path)
        call = method(iter([b""]), timeout=10)
        list(call)
        return str(dict(call.initial_metadata())["x-served-by"])
