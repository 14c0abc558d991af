"""The pages and what belongs to them, ready to be sent; a page says in its head where it may load media."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache

from hls_gateway.domain import cache_rules
from hls_gateway.http_errors import CORS
from hls_gateway.ports import PageFile
from hls_gateway.webserver.content import Content

# In a page's content security policy: of what it fetches, and of what the browser's own player does.
_SOURCES = (b"connect-src 'self'", b"media-src 'self'")
_SITUATIONS_COUNT = 16


class Pages:
    """All files of the pages.

    Args:
        files: As they were read.
    """

    def __init__(self, files: Collection[PageFile]) -> None:
        self._contents = {file.path: _print(file, file.body) for file in files if not _is_page(file)}
        self._pages = {file.path: file for file in files if _is_page(file)}
        self._printed = lru_cache(_SITUATIONS_COUNT)(self._page)

    def find(self, path: str, origins: tuple[str, ...]) -> Content | None:
        """Return what is served under a path, if anything is.

        Args:
            path: Below the public address.
            origins: Where else media come from now, each a scheme and a host.
        """
        return self._printed(path, origins) if path in self._pages else self._contents.get(path)

    def _page(self, path: str, origins: Sequence[str]) -> Content:
        page = self._pages[path]
        body = page.body
        for source in _SOURCES:
            body = body.replace(source, b" ".join([source, *(origin.encode() for origin in origins)]))
        return _print(page, body)


def _is_page(file: PageFile) -> bool:
    return file.content_type.startswith("text/html")


def _print(file: PageFile, body: bytes) -> Content:
    headers = (("content-type", file.content_type), ("cache-control", cache_rules.PAGE), *CORS)
    return Content(body, headers=headers, compress=file.compress)
