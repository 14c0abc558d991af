"""The pages' files, and under which paths they are served."""

from __future__ import annotations

from pathlib import Path

from hls_gateway.adapters.page_files import read_pages


def test_pages_and_assets_have_their_paths(tmp_path: Path) -> None:
    for name in (
        "index.html",
        "watch.html",
        "assets/css/a.css",
        "vendor/hls.min.js",
        "README.md",
        "notes.html",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    pages = {page.path: page for page in read_pages(tmp_path)}
    assert pages.keys() == {"/", "/watch/", "/assets/css/a.css", "/assets/vendor/hls.min.js"}
    assert pages["/"].body == b"index.html"
    assert pages["/assets/vendor/hls.min.js"].content_type == "text/javascript; charset=utf-8"


def test_the_pages_of_this_gateway_are_there() -> None:
    assert {"/", "/watch/"} <= {page.path for page in read_pages()}
