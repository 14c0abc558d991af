"""The pages' files, read once at the start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hls_gateway.ports import PageFile

_FOLDER = Path(__file__).parent.parent / "pages"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".png": "image/png",
    ".woff2": "font/woff2",
}
_PACKED_ALREADY = frozenset({".png", ".woff2"})
_NAMED = {"index.html": "/", "watch.html": "/watch/"}


def read_pages(folder: Path = _FOLDER) -> Iterator[PageFile]:
    """Read index.html and watch.html, and what lies in assets/ and vendor/, both served below /assets/."""
    for file in sorted(folder.rglob("*")):
        relative = file.relative_to(folder).as_posix()
        path = _NAMED.get(relative) or _asset_path(relative)
        if path and file.is_file() and file.suffix in _TYPES:
            yield PageFile(
                path=path,
                body=file.read_bytes(),
                content_type=_TYPES[file.suffix],
                compress=file.suffix not in _PACKED_ALREADY,
            )


def _asset_path(relative: str) -> str | None:
    top, _, rest = relative.partition("/")
    match top:
        case "assets":
            return f"/assets/{rest}"
        case "vendor":
            return f"/assets/vendor/{rest}"
    return None
