"""Compile the contracts while the wheel is built: Python stubs, their types, and Envoy's descriptor set.

The stubs never stand in the tree. `weir/descriptors.pb` is the FileDescriptorSet, with every import, from
which Envoy transcodes REST to gRPC.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import google.api
from grpc_tools import protoc
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

GOOGLEAPIS = Path(next(iter(google.api.__path__))).parents[1]
WELL_KNOWN = Path(protoc.__file__).parent / "_proto"
# Envoy needs these to turn a rich error into JSON, though no contract of ours imports them.
RICH_ERRORS = ("google/rpc/status.proto", "google/rpc/error_details.proto")


def compile_contracts(root: Path, out: Path) -> None:
    """Write stubs, typing stubs and the descriptor set for every .proto below `root` into `out`."""
    contracts = sorted(str(path.relative_to(root)) for path in (root / "weir").rglob("*.proto"))
    includes = [f"-I{path}" for path in (root, GOOGLEAPIS, WELL_KNOWN)]
    _protoc(
        *includes,
        f"--python_out={out}",
        f"--grpc_python_out={out}",
        f"--mypy_out={out}",
        f"--mypy_grpc_out={out}",
        *contracts,
    )
    descriptors = out / "weir" / "descriptors.pb"
    _protoc(
        *includes,
        "--include_imports",
        "--include_source_info",
        f"--descriptor_set_out={descriptors}",
        *contracts,
        *RICH_ERRORS,
    )
    (out / "weir" / "py.typed").touch()


def _protoc(*arguments: str) -> None:
    if protoc.main(["protoc", *arguments]) != 0:
        raise RuntimeError(f"protoc failed on {arguments[-1]}; its message stands above")


class CustomBuildHook(BuildHookInterface[Any]):
    """Hatchling's entry: compile into a scratch folder and put the result into the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile the contracts and register each file that came out."""
        self._scratch = tempfile.TemporaryDirectory(prefix=f"weir-protos-{version}-")
        out = Path(self._scratch.name)
        compile_contracts(Path(self.root), out)
        for path in out.rglob("*"):
            if path.is_file():
                build_data["force_include"][str(path)] = str(path.relative_to(out))

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the scratch folder."""
        del version, build_data, artifact_path
        self._scratch.cleanup()
