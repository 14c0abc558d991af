"""What the descriptor set of the build says: every RPC, its REST mappings, and who may call it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from google.api import annotations_pb2, http_pb2
from google.protobuf import descriptor_pb2

from weir_cli import programs

# gRPC only, and yet for clients outside; any other RPC without a REST mapping is between services.
PUBLIC_WITHOUT_REST = frozenset({"/weir.transcoder.v1.TranscodeService/WatchProgress"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RestMapping:
    """One line of the REST API."""

    verb: str
    template: str
    has_body: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rpc:
    """One method of one service of the suite."""

    service: str
    path: str
    streams_in: bool
    streams_out: bool
    mappings: tuple[RestMapping, ...]

    @property
    def package(self) -> str:
        return self.service.rpartition(".")[0]

    @property
    def is_public(self) -> bool:
        return bool(self.mappings) or self.path in PUBLIC_WITHOUT_REST

    @property
    def streams(self) -> bool:
        return self.streams_in or self.streams_out


def load_rpcs() -> tuple[Rpc, ...]:
    """Read every RPC of the suite from the descriptor set that Envoy transcodes by."""
    files = descriptor_pb2.FileDescriptorSet.FromString(Path(programs.descriptors_path()).read_bytes())
    return tuple(rpc for file in files.file if file.package.startswith("weir.") for rpc in _rpcs(file))


def _rpcs(file: descriptor_pb2.FileDescriptorProto) -> Iterator[Rpc]:
    for service in file.service:
        name = f"{file.package}.{service.name}"
        for method in service.method:
            yield Rpc(
                service=name,
                path=f"/{name}/{method.name}",
                streams_in=method.client_streaming,
                streams_out=method.server_streaming,
                mappings=tuple(_mappings(method.options.Extensions[annotations_pb2.http])),
            )


def _mappings(rule: http_pb2.HttpRule) -> Iterator[RestMapping]:
    verb = rule.WhichOneof("pattern")
    if verb:
        yield RestMapping(verb=verb.upper(), template=getattr(rule, verb), has_body=bool(rule.body))
    for further in rule.additional_bindings:
        yield from _mappings(further)
