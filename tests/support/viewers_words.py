"""What a simulated player reads and says: multivariant playlists, the choice of a rung, CMCD v1. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import quote

from support.seen import SeenPlaylist

_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"]*"|[^,]*)')
_TOLD = re.compile(r"\bmb=(\d+)")
# What a rung may take of what a line is thought to carry.
SAFETY_RATIO = 0.8
# A live stream is begun so many target durations before its end (rfc8216bis 6.3.3).
HOLD_BACK_TARGETS = 3

# Which header bears which key (CTA-5004 3).
_HEADERS = {
    "CMCD-Object": ("br", "d", "ot", "tb"),
    "CMCD-Request": ("bl", "mtp", "su"),
    "CMCD-Session": ("cid", "sf", "sid", "st"),
    "CMCD-Status": ("bs",),
}

Word = int | str | bool
Words = dict[str, Word]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A variant of a multivariant playlist."""

    uri: str
    bandwidth_bps: int
    audio_uri: str = ""

    @property
    def name(self) -> str:
        """The variant's id, as its URI tells."""
        return self.uri.split("/")[-2]

    @property
    def uris(self) -> tuple[str, ...]:
        """The media playlists that are played together."""
        return (self.uri, self.audio_uri) if self.audio_uri else (self.uri,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What carries a viewer's media: as fast as the suite answers, or at most so many bits per second."""

    bps: float = 0.0

    def takes_s(self, size_bytes: int) -> float:
        """Tell how long an object is on its way at least."""
        return size_bytes * 8 / self.bps if self.bps else 0.0


def read_offers(master: str) -> tuple[Offer, ...]:
    """Read a multivariant playlist, in its order."""
    lines = [line for line in master.splitlines() if line]
    tracks = [_attributes(line) for line in lines if line.startswith("#EXT-X-MEDIA:")]
    audio = {track["GROUP-ID"]: track.get("URI", "") for track in tracks if track["TYPE"] == "AUDIO"}
    offers = []
    for line, uri in pairwise(lines):
        if line.startswith("#EXT-X-STREAM-INF:"):
            attributes = _attributes(line)
            sound = audio.get(attributes.get("AUDIO", ""), "")
            offers.append(Offer(uri=uri, bandwidth_bps=int(attributes["BANDWIDTH"]), audio_uri=sound))
    return tuple(offers)


def choose_offer(offers: Sequence[Offer], throughput_bps: float, told_kbps: int | None) -> Offer:
    """Choose the best rung that a line carries, never above what the server suggests (CMSD `mb`)."""
    most_bps = min(throughput_bps * SAFETY_RATIO, told_kbps * 1000 if told_kbps else float("inf"))
    by_rate = sorted(offers, key=lambda offer: offer.bandwidth_bps)
    return max((o for o in by_rate if o.bandwidth_bps <= most_bps), key=_rate, default=by_rate[0])


def _rate(offer: Offer) -> int:
    return offer.bandwidth_bps


def first_msn(playlist: SeenPlaylist) -> int:
    """Tell where a player begins: a recording at its start, a live stream some way before its end."""
    if playlist.ended:
        return playlist.first_msn
    back_s, msn = 0.0, playlist.first_msn + len(playlist.segments)
    for segment in reversed(playlist.segments):
        back_s += segment.duration_s
        msn = segment.msn
        if back_s >= HOLD_BACK_TARGETS * playlist.target_s:
            break
    return msn


def reload_after_s(playlist: SeenPlaylist, before: SeenPlaylist | None) -> float:
    """Tell how long to leave a playlist alone: half as long where the last reload showed nothing new.

    rfc8216bis 6.3.4.
    """
    is_new = before is None or playlist.next_place != before.next_place
    return playlist.target_s if is_new else playlist.target_s / 2


def render_query(words: Words) -> str:
    """Write CMCD as a query argument: keys in order, strings quoted, what is true without a value."""
    return "CMCD=" + quote(_render(words), safe="")


def render_headers(words: Words) -> Mapping[str, str]:
    """Write CMCD as headers."""
    split = {
        name: {key: words[key] for key in keys if words.get(key, False)} for name, keys in _HEADERS.items()
    }
    return {name: _render(said) for name, said in split.items() if said}


def read_told_kbps(cmsd: str) -> int | None:
    """Read the highest rate that the server suggests, of CMSD-Dynamic."""
    found = _TOLD.search(cmsd)
    return int(found[1]) if found else None


def _render(words: Words) -> str:
    return ",".join(_pair(key, words[key]) for key in sorted(words) if words[key] is not False)


def _pair(key: str, word: Word) -> str:
    if word is True:
        return key
    return f'{key}="{word}"' if key in {"sid", "cid"} else f"{key}={word}"


def _attributes(line: str) -> dict[str, str]:
    return {name: value.strip('"') for name, value in _ATTRIBUTE.findall(line.partition(":")[2])}
