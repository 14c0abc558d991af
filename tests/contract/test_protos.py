"""The contracts keep the API's promises: its routes, its JSON names, a comment on all, units in names."""

import importlib.resources
import runpy
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)

from contract.api_table import API, Endpoint

PROTOS = Path(__file__).parents[2] / "protos"
EACH_ENDPOINT = pytest.mark.parametrize("endpoint", API, ids=lambda endpoint: endpoint.route)

# What an RPC may answer with beside its own response: the resource that it made, read or changed.
RESOURCES = {
    ".weir.distributor.v1.LiveSettings",
    ".weir.distributor.v1.Stream",
    ".weir.transcoder.v1.Recording",
    ".weir.transcoder.v1.TranscodeProgress",
}

# A unit at the end of a name fixes the types: what is declared is whole, what is measured is double.
TYPES_BY_UNIT = {
    "_bps": {"int32", "double"},
    "_bytes": {"int64"},
    "_count": {"int32", "int64"},
    "_hz": {"int32"},
    "_kbps": {"int32", "double"},
    "_ms": {"double"},
    "_percent": {"double"},
    "_pixels": {"int32"},
    "_ratio": {"double"},
    "_s": {"int32", "double"},
    "_time": {"google.protobuf.Timestamp"},
}
TYPE_NAMES = {
    FieldDescriptorProto.TYPE_INT32: "int32",
    FieldDescriptorProto.TYPE_INT64: "int64",
    FieldDescriptorProto.TYPE_DOUBLE: "double",
}


@cache
def contracts() -> tuple[FileDescriptorProto, ...]:
    """Return our files of the descriptor set that is installed, and that Envoy reads."""
    descriptors = FileDescriptorSet.FromString(
        importlib.resources.files("weir").joinpath("descriptors.pb").read_bytes()
    )
    return tuple(file for file in descriptors.file if file.package.startswith("weir."))


@cache
def messages() -> dict[str, DescriptorProto]:
    """Return every message of ours by its full name with a leading dot, as fields refer to it."""

    def walk(prefix: str, found: DescriptorProto) -> Iterator[tuple[str, DescriptorProto]]:
        name = f"{prefix}.{found.name}"
        yield name, found
        for nested in found.nested_type:
            yield from walk(name, nested)

    return {
        name: message
        for file in contracts()
        for top in file.message_type
        for name, message in walk(f".{file.package}", top)
    }


@cache
def rpcs() -> tuple[tuple[str, MethodDescriptorProto], ...]:
    """Return every RPC with its full name."""
    return tuple(
        (f"{file.package}.{service.name}.{rpc.name}", rpc)
        for file in contracts()
        for service in file.service
        for rpc in service.method
    )


def routes(rpc: MethodDescriptorProto) -> list[str]:
    """Return the routes of an RPC as "GET /path"."""
    rule = rpc.options.Extensions[annotations_pb2.http]
    bindings = [rule, *rule.additional_bindings]
    patterns = [(binding.WhichOneof("pattern"), binding) for binding in bindings]
    return [f"{verb.upper()} {getattr(binding, verb)}" for verb, binding in patterns if verb]


def rpc_of(endpoint: Endpoint) -> MethodDescriptorProto:
    return next(rpc for _, rpc in rpcs() if endpoint.route in routes(rpc))


def missing_fields(message: str, names: str) -> list[str]:
    """Return those of `names` that `message` does not have."""
    return [name for name in names.split() if not has_field(message, name.split("."))]


def has_field(message: str, path: list[str]) -> bool:
    fields = {field.name: field for field in messages()[message].field}
    if path[0] not in fields or len(path) == 1:
        return path[0] in fields
    inner = fields[path[0]].type_name
    if messages()[inner].options.map_entry:
        return has_field(inner, ["value", *path[1:]])
    return has_field(inner, path[1:])


def comments(file: FileDescriptorProto) -> dict[tuple[int, ...], str]:
    """Return a file's leading comments by the path of what they stand above (descriptor.proto, Location)."""
    return {tuple(place.path): place.leading_comments.strip() for place in file.source_code_info.location}


def commentable(file: FileDescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    """Yield path and name of all that must have a comment; numbers are descriptor.proto's field numbers."""
    for index, service in enumerate(file.service):
        yield (6, index), service.name
        yield from (((6, index, 2, at), rpc.name) for at, rpc in enumerate(service.method))
    for index, enum in enumerate(file.enum_type):
        yield (5, index), enum.name
        yield from (((5, index, 2, at), value.name) for at, value in enumerate(enum.value))
    for index, message in enumerate(file.message_type):
        yield from commentable_of_message((4, index), message)


def commentable_of_message(
    path: tuple[int, ...], message: DescriptorProto
) -> Iterator[tuple[tuple[int, ...], str]]:
    yield path, message.name
    yield from (((*path, 2, at), f"{message.name}.{field.name}") for at, field in enumerate(message.field))
    for index, enum in enumerate(message.enum_type):
        yield (*path, 4, index), enum.name
        yield from (((*path, 4, index, 2, at), value.name) for at, value in enumerate(enum.value))
    for index, nested in enumerate(message.nested_type):
        if not nested.options.map_entry:
            yield from commentable_of_message((*path, 3, index), nested)


@EACH_ENDPOINT
def test_route_leads_to_exactly_one_rpc(endpoint: Endpoint) -> None:
    assert len([name for name, rpc in rpcs() if endpoint.route in routes(rpc)]) == 1


def test_no_rpc_is_routed_behind_the_back_of_the_api() -> None:
    mapped = {route for _, rpc in rpcs() for route in routes(rpc)}
    assert mapped == {endpoint.route for endpoint in API}


@EACH_ENDPOINT
def test_request_has_the_names_of_the_api(endpoint: Endpoint) -> None:
    in_path = " ".join(part.strip("{}") for part in endpoint.route.split("/") if part.startswith("{"))
    assert missing_fields(rpc_of(endpoint).input_type, f"{endpoint.request} {in_path}") == []


@EACH_ENDPOINT
def test_response_has_the_names_of_the_api(endpoint: Endpoint) -> None:
    assert missing_fields(rpc_of(endpoint).output_type, endpoint.response) == []


def test_json_form_of_a_ready_segment_has_the_names_of_the_api() -> None:
    assert missing_fields(".weir.transcoder.v1.IngestDocument", "variant_id sequence_num duration data") == []


def test_body_of_every_write_is_named() -> None:
    """Without `body` Envoy would drop the JSON of a POST or PUT silently."""
    writes = [rpc for _, rpc in rpcs() if any(route.startswith(("POST", "PUT")) for route in routes(rpc))]
    assert [rpc.name for rpc in writes if not rpc.options.Extensions[annotations_pb2.http].body] == []


def test_rpc_without_a_route_says_why() -> None:
    assert [name for name, comment in unrouted_rpcs() if "gRPC only:" not in comment] == []


def unrouted_rpcs() -> Iterator[tuple[str, str]]:
    """Yield each RPC without a route, with its own comment and its service's."""
    for file in contracts():
        said = comments(file)
        for index, service in enumerate(file.service):
            for at, rpc in enumerate(service.method):
                if not routes(rpc):
                    yield f"{service.name}.{rpc.name}", said[6, index] + said[6, index, 2, at]


def test_everything_says_what_it_means() -> None:
    silent = []
    for file in contracts():
        said = comments(file)
        silent += [f"{file.name}: {name}" for path, name in commentable(file) if not said.get(path)]
    assert silent == []


def test_rpc_answers_with_its_own_response_or_a_resource() -> None:
    odd = [
        name
        for name, rpc in rpcs()
        if rpc.output_type not in RESOURCES and not rpc.output_type.endswith(f".{rpc.name}Response")
    ]
    assert odd == []


def test_units_in_names_fix_the_types() -> None:
    odd = []
    for name, message in messages().items():
        for field in message.field:
            kind = TYPE_NAMES.get(field.type, field.type_name.removeprefix("."))
            allowed = next(
                (TYPES_BY_UNIT[unit] for unit in TYPES_BY_UNIT if field.name.endswith(unit)), {kind}
            )
            if kind not in allowed:
                odd.append(f"{name}.{field.name}: {kind}")
    assert odd == []


def test_lists_are_paged() -> None:
    for name, rpc in rpcs():
        if ".List" in name:
            assert missing_fields(rpc.input_type, "page_size page_token") == []
            assert missing_fields(rpc.output_type, "next_page_token") == []


def test_creates_can_be_retried_safely() -> None:
    creates = [rpc for name, rpc in rpcs() if ".Create" in name or name.endswith(".StartTranscode")]
    assert len(creates) == 4
    assert [rpc.name for rpc in creates if missing_fields(rpc.input_type, "request_id")] == []


def test_envoy_finds_the_rich_errors() -> None:
    """Without them `convert_grpc_status` answers a rich error with an empty body."""
    descriptors = importlib.resources.files("weir").joinpath("descriptors.pb").read_bytes()
    names = {file.name for file in FileDescriptorSet.FromString(descriptors).file}
    assert {"google/rpc/status.proto", "google/rpc/error_details.proto"} <= names


def test_installed_descriptors_are_of_this_tree() -> None:
    """All the tests above, and Envoy, read what is installed; `uv sync` builds it anew."""
    compile_image = runpy.run_path(str(PROTOS / "lint.py"))["compile_image"]
    present = {file.name: file for file in FileDescriptorSet.FromString(compile_image(PROTOS)).file}
    stale = [file.name for file in contracts() if file != present.get(file.name)]
    assert stale == []
