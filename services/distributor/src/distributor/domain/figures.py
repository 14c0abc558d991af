"""What is shown of an audience: its figures, a page of its viewers, and who may still join."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from chassis.errors import InvalidArgument
from distributor.domain.audience import Audience
from distributor.domain.entries import MediaKind
from distributor.domain.profiles import DEFAULT_PROFILE, Profile, buffer_health
from distributor.domain.session import Session
from distributor.domain.stream import Stream, Variant
from distributor.domain.views import NOTHING_SERVED, Served, Start

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1_000
# Where the multivariant playlist lets players begin that know nothing of their network.
_FIRST_BPS = 2_000_000
# Of PART-HOLD-BACK, as rfc8216bis 4.4.3.8 recommends it, and as playlists say.
_HOLD_BACK_PARTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantFigures:
    """What was served of one variant, and who plays it."""

    viewers_count: int
    served: Served
    bandwidth_bps: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a stream's viewers saw, as of one instant."""

    viewers_count: int
    views_count: int
    served: Served
    bandwidth_bps: float
    latency_s: float
    """Mean of those who say; 0 if nobody does."""
    variants: Mapping[str, VariantFigures]


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewerPage:
    """One page of those who are there, and the token of the next one; empty on the last."""

    sessions: Sequence[Session]
    next_page_token: str


def measure(audience: Audience, now: float) -> Figures:
    """Work out the figures of one instant."""
    presence = audience.presence(now)
    playing = presence.playing
    variants = {
        variant_id: _variant_figures(audience, variant_id, playing.get(variant_id, 0), now)
        for variant_id in (*audience.variants, *playing)
        if variant_id
    }
    return Figures(
        viewers_count=presence.count,
        views_count=audience.views_count,
        served=audience.served,
        bandwidth_bps=sum(totals.bandwidth(now) for totals in audience.variants.values()),
        latency_s=presence.latency_s,
        variants=variants,
    )


def page_of_viewers(audience: Audience, now: float, *, page_size: int, page_token: str) -> ViewerPage:
    """Take one page of those who are there, by viewer_id; who joins or leaves between two pages hides nobody.

    Raises:
        InvalidArgument: page_size or page_token.
    """
    if not 0 <= page_size <= MAX_PAGE_SIZE:
        raise InvalidArgument(
            f"page_size is {page_size}: it must lie from 1 to {MAX_PAGE_SIZE}; 0 is {DEFAULT_PAGE_SIZE}",
            field="page_size",
        )
    behind = _parse_token(page_token) if page_token else ""
    size = page_size or DEFAULT_PAGE_SIZE
    chosen = tuple(islice(audience.by_viewer(now, after=behind), size + 1))
    page = chosen[:size]
    return ViewerPage(sessions=page, next_page_token=_token(page[-1].viewer_id) if len(chosen) > size else "")


def profile_of(profiles: Sequence[Profile], start: Start | None) -> Profile:
    """The profile of a stream; the default one of a stream that was not started, or whose profile is gone."""
    known = {profile.name: profile for profile in profiles}
    return known.get(start.profile if start else DEFAULT_PROFILE) or known[DEFAULT_PROFILE]


def viewers_limit(profile: Profile, start: Start | None, stream_limit: int) -> int:
    """How many may watch at one time: as the start says, else the stream, else the profile."""
    return (start.max_viewers if start else 0) or stream_limit or profile.max_viewers


def aimed_buffer_s(stream: Stream, profile: Profile) -> float:
    """The buffer that players of a stream aim at: the profile's, or what a low-latency one lets them hold.

    Who plays parts stays as far behind the live edge as PART-HOLD-BACK of the playlists says, and cannot
    hold more.
    """
    hold_back_s = _HOLD_BACK_PARTS * stream.description.part_target_s
    return min(profile.buffer_s, hold_back_s) if hold_back_s and not stream.is_over else profile.buffer_s


def health_of(session: Session, aimed_s: float) -> float:
    """A viewer's buffer in percent of what it aims at; 0 as long as the player does not say."""
    return buffer_health(session.buffer_s or 0.0, aimed_s)


def choose_variant(variants: Sequence[Variant], name: str) -> Variant | None:
    """Find the variant to begin with: the named one, else that at the head of the multivariant playlist.

    None: there is nothing to play yet.

    Raises:
        InvalidArgument: UNKNOWN_RENDITION.
    """
    rising = ladder(variants)
    if not name:
        return next(
            (one for one in reversed(rising) if one.average_bps <= _FIRST_BPS), next(iter(rising), None)
        )
    for variant in rising:
        if name in {variant.name, variant.rendition_id}:
            return variant
    names = ", ".join(name_of(variant) for variant in rising) or "none yet"
    raise InvalidArgument(
        f"initial_bitrate is {name[:80]!r}: it must be one of the stream's renditions ({names})",
        reason="UNKNOWN_RENDITION",
        field="initial_bitrate",
    )


def ladder(variants: Sequence[Variant]) -> Sequence[Variant]:
    """The variants that a viewer may choose from, lowest rate first; sound alone only if there is no more."""
    with_picture = [one for one in variants if one.media_kind in {MediaKind.VIDEO, MediaKind.MUXED}]
    return sorted(with_picture or variants, key=lambda one: one.average_bps)


def name_of(variant: Variant) -> str:
    """The name by which people know a variant."""
    return variant.name or variant.rendition_id


def rung_name(variants: Sequence[Variant], variant_id: str) -> str:
    """The name of a variant by its id; the id itself if it is not there any more."""
    return next((name_of(one) for one in variants if one.rendition_id == variant_id), variant_id)


def variant_named(variants: Sequence[Variant], name: str) -> str:
    """The id of a variant by its name; the name itself if there is none."""
    return next((one.rendition_id for one in variants if name_of(one) == name), name)


def _variant_figures(audience: Audience, variant_id: str, playing: int, now: float) -> VariantFigures:
    totals = audience.variants.get(variant_id)
    return VariantFigures(
        viewers_count=playing,
        served=totals.served if totals else NOTHING_SERVED,
        bandwidth_bps=totals.bandwidth(now) if totals else 0.0,
    )


def _token(viewer_id: str) -> str:
    return base64.urlsafe_b64encode(viewer_id.encode()).decode()


def _parse_token(token: str) -> str:
    try:
        return base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise InvalidArgument(
            f"page_token is {token[:80]!r}: give next_page_token of the page before", field="page_token"
        ) from error
