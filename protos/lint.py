# ruff: noqa: INP001  # a script, not part of a package
"""Check the contracts: format, buf's lint rules, and that nothing breaks what older peers and clients read.

The contracts import google/api, which buf could only fetch from its registry. So protoc, which finds it in
the googleapis wheel, compiles images, and buf checks them. Run `protos/lint.py [--against REVISION]`.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import google.api
from grpc_tools import protoc

PROTOS = Path(__file__).parent
BUF = str(Path(sys.executable).parent / "buf")
GOOGLEAPIS = Path(next(iter(google.api.__path__))).parents[1]
WELL_KNOWN = Path(protoc.__file__).parent / "_proto"
OURS = ("--config", str(PROTOS / "buf.yaml"), "--path", "weir")


def compile_image(root: Path) -> bytes:
    """Return the descriptor set, with comments and every import, of the contracts below `root`."""
    contracts = sorted(str(path.relative_to(root)) for path in (root / "weir").rglob("*.proto"))
    with tempfile.TemporaryDirectory(prefix="weir-image-") as scratch:
        image = Path(scratch) / "image.binpb"
        includes = [f"-I{path}" for path in (root, GOOGLEAPIS, WELL_KNOWN)]
        kept = ["--include_imports", "--include_source_info", f"--descriptor_set_out={image}"]
        if protoc.main(["protoc", *includes, *kept, *contracts]) != 0:
            raise SystemExit(f"the contracts below {root} do not compile")
        return image.read_bytes()


def choose_baseline() -> str:
    """Return the revision that must not be broken: what the present work started from.

    On a branch that is where it left main; on main HEAD while contracts are uncommitted, else its parent.
    A shallow clone of one commit holds nothing older, so that HEAD is compared with itself.
    """
    head = _git("rev-parse", "HEAD")
    for main in ("origin/main", "main"):
        base = _git("merge-base", "HEAD", main)
        if base and base != head:
            return base
    uncommitted = _git("status", "--porcelain", "--", "weir")
    return head if uncommitted else _git("rev-parse", "--verify", "HEAD^") or head


def compile_baseline(revision: str) -> bytes:
    """Return the image of the contracts as they stood at `revision`."""
    archive = subprocess.run(
        ["git", "archive", revision, "weir"],  # noqa: S607 - the user's own git
        cwd=PROTOS,
        check=True,
        capture_output=True,
    )
    with tempfile.TemporaryDirectory(prefix="weir-baseline-") as scratch:
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as contracts:
            contracts.extractall(scratch, filter="data")
        return compile_image(Path(scratch))


def is_compatible(image: bytes, baseline: bytes) -> bool:
    """Tell whether readers of `baseline` understand what is written by `image`, and the other way round."""
    with tempfile.NamedTemporaryFile(prefix="weir-baseline-", suffix=".binpb") as older:
        older.write(baseline)
        older.flush()
        return _buf("breaking", "-#format=binpb", "--against", older.name, *OURS, image=image)


def main() -> int:
    """Run every check; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", metavar="REVISION", help="what must not be broken; see choose_baseline")
    against = parser.parse_args().against or choose_baseline()
    image = compile_image(PROTOS)
    passed = [
        _buf("format", str(PROTOS), "--diff", "--exit-code"),
        _buf("lint", "-#format=binpb", *OURS, image=image),
        is_compatible(image, compile_baseline(against)),
    ]
    if all(passed):
        sys.stdout.write(f"contracts are well formed, and compatible with {against[:12]}\n")
    return 0 if all(passed) else 1


def _buf(*arguments: str, image: bytes | None = None) -> bool:
    return subprocess.run([BUF, *arguments], input=image, check=False).returncode == 0


def _git(*arguments: str) -> str:
    """Return what git says, or nothing where it fails: no such revision in this clone."""
    command = ["git", *arguments]
    result = subprocess.run(command, cwd=PROTOS, check=False, capture_output=True, text=True)
    return result.stdout.strip() if result.returncode == 0 else ""


if __name__ == "__main__":
    sys.exit(main())
