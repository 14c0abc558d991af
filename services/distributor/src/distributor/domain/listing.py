"""Lists of streams: which of them, in which order, a page at a time."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from chassis.errors import InvalidArgument
from distributor.domain.stream import Stream

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1_000

FIELDS: Mapping[str, Callable[[Stream], str]] = {
    "type": lambda stream: stream.description.kind,
    "status": lambda stream: stream.state,
    "recording_id": lambda stream: stream.description.recording_id,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page, and the token of the next one; empty on the last."""

    streams: Sequence[Stream]
    next_page_token: str


def select_page(streams: Sequence[Stream], *, page_size: int, page_token: str, filter_text: str) -> Page:
    """Take one page of the streams that a filter lets through, newest first.

    Streams made or deleted between two pages neither repeat nor hide others: a token names a place in the
    order, not a count.

    Raises:
        InvalidArgument: page_size, page_token or filter.
    """
    if not 0 <= page_size <= MAX_PAGE_SIZE:
        raise InvalidArgument(
            f"page_size is {page_size}: it must lie from 1 to {MAX_PAGE_SIZE}; 0 is {DEFAULT_PAGE_SIZE}",
            field="page_size",
        )
    terms = parse_filter(filter_text)
    behind = _parse_token(page_token) if page_token else ("~",)
    places = sorted(((_place(stream), stream) for stream in streams), key=lambda item: item[0], reverse=True)
    chosen = [stream for place, stream in places if place < behind and _passes(stream, terms)]
    size = page_size or DEFAULT_PAGE_SIZE
    more = len(chosen) > size
    return Page(
        streams=tuple(chosen[:size]), next_page_token=_token(_place(chosen[size - 1])) if more else ""
    )


def parse_filter(text: str) -> Mapping[str, str]:
    """Read `field=value` terms, separated by commas.

    Raises:
        InvalidArgument: A term without `=`, or of an unknown field.
    """
    terms: dict[str, str] = {}
    for term in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = term.partition("=")
        if not equals or name.strip() not in FIELDS:
            raise InvalidArgument(
                f"filter has {term[:80]!r}: write field=value, where field is one of {', '.join(FIELDS)}",
                field="filter",
            )
        terms[name.strip()] = value.strip()
    return terms


def _passes(stream: Stream, terms: Mapping[str, str]) -> bool:
    return all(FIELDS[name](stream) == value for name, value in terms.items())


def _place(stream: Stream) -> tuple[str, ...]:
    return (f"{stream.create_time.timestamp():020.6f}", stream.stream_id)


def _token(place: tuple[str, ...]) -> str:
    return base64.urlsafe_b64encode("\n".join(place).encode()).decode()


def _parse_token(token: str) -> tuple[str, ...]:
    try:
        time, stream_id = base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode().split("\n")
        return (f"{float(time):020.6f}", stream_id)
    except (binascii.Error, ValueError) as error:
        raise InvalidArgument(
            f"page_token is {token[:80]!r}: give next_page_token of the page before", field="page_token"
        ) from error
