"""Plan the ladder: which renditions a source is worth, and how many bits each may spend."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from chassis.errors import InvalidArgument
from transcoder.domain.source import VideoTrack

MIN_STEP_RATIO = 1.25
"""A rung must show this many times the pixels of the rung below it, else it is not worth its bits."""

PIXELS_EXPONENT = 0.75
"""Bits needed grow with pixels to this power, a common rule for H.264: large pictures hold flat areas."""

PEAK_RATIO = 1.5
"""Peak over mean bitrate: below the factor 2 that Apple's HLS authoring specification 1.30 allows for VOD."""

MIN_VIDEO_BPS = 1_000
"""Rates are whole kilobits; the ledger takes no rendition without bits."""

MIN_SIDE_PIXELS = 16
"""One macroblock: H.264 codes no less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One video rendition of a ladder. A named rung's size is a box; a planned one's, the size itself."""

    name: str
    """Rendition id and human name at once: "High"."""
    width_pixels: int
    height_pixels: int
    video_bps: int
    """Mean bitrate that the encoder aims at."""

    @property
    def peak_bps(self) -> int:
        """Bitrate that no window of the rate buffer exceeds (VBV maxrate)."""
        return round(self.video_bps * PEAK_RATIO)

    @property
    def buffer_bits(self) -> int:
        """Size of the rate buffer (VBV bufsize): two seconds at the mean."""
        return 2 * self.video_bps

    @property
    def pixel_count(self) -> int:
        return self.width_pixels * self.height_pixels


NAMED_RUNGS = (
    Rung(name="VeryLow", width_pixels=640, height_pixels=360, video_bps=500_000),
    Rung(name="Low", width_pixels=854, height_pixels=480, video_bps=1_000_000),
    Rung(name="Medium", width_pixels=1280, height_pixels=720, video_bps=2_000_000),
    Rung(name="High", width_pixels=1920, height_pixels=1080, video_bps=4_000_000),
)
"""The four qualities of the API, ascending."""


def choose_rungs(names: Iterable[str], rungs: tuple[Rung, ...] = NAMED_RUNGS) -> tuple[Rung, ...]:
    """Look rungs up by name, ascending and without repeats; no names mean all of them.

    Raises:
        InvalidArgument: A name is unknown.
    """
    wanted = set(names)
    known = [rung.name for rung in rungs]
    for name in sorted(wanted - set(known)):
        raise InvalidArgument(
            f"profiles: {name!r} is unknown; it must be one of {', '.join(known)}",
            reason="UNKNOWN_PROFILE",
            field="profiles",
        )
    return tuple(rung for rung in rungs if not wanted or rung.name in wanted)


def plan_ladder(video: VideoTrack, rungs: tuple[Rung, ...] = NAMED_RUNGS) -> tuple[Rung, ...]:
    """Fit each rung's box to the source, and leave out those that would show hardly more than the rung below.

    Nothing is larger than the source; aspect ratios are kept; a portrait source turns the boxes. A source
    whose size lies between two rungs gets its own size as top rung. Fewer pixels than the box get fewer bits.

    Args:
        video: The source's picture.
        rungs: Rungs with their boxes; a box of 0 times 0 is the source itself.

    Raises:
        InvalidArgument: `rungs` is empty.
    """
    if not rungs:
        raise InvalidArgument(
            "ladder: it has 0 rungs; give at least 1", reason="EMPTY_LADDER", field="profiles"
        )
    ladder: list[Rung] = []
    for rung in sorted(_boxed(rungs, video), key=lambda rung: rung.pixel_count):
        fitted = _fit(rung, video)
        if not ladder or fitted.pixel_count >= MIN_STEP_RATIO * ladder[-1].pixel_count:
            ladder.append(fitted)
    return tuple(ladder)


def _boxed(rungs: Iterable[Rung], video: VideoTrack) -> Iterator[Rung]:
    for rung in rungs:
        if rung.pixel_count:
            yield rung
        else:
            yield replace(rung, width_pixels=video.width_pixels, height_pixels=video.height_pixels)


def _fit(rung: Rung, video: VideoTrack) -> Rung:
    """Shrink the source into the rung's box; its bits follow its pixels."""
    width, height = video.width_pixels, video.height_pixels
    box_width, box_height = _turn(rung, portrait=height > width)
    scale = min(Fraction(1), Fraction(box_width, width), Fraction(box_height, height))
    fitted_width, fitted_height = _even(width, scale), _even(height, scale)
    share = min(1.0, fitted_width * fitted_height / rung.pixel_count)
    return replace(
        rung,
        width_pixels=fitted_width,
        height_pixels=fitted_height,
        video_bps=max(MIN_VIDEO_BPS, round(rung.video_bps * share**PIXELS_EXPONENT / 1000) * 1000),
    )


def _turn(rung: Rung, *, portrait: bool) -> tuple[int, int]:
    sides = (rung.width_pixels, rung.height_pixels)
    return (min(sides), max(sides)) if portrait else sides


def _even(side: int, scale: Fraction) -> int:
    """Scale one side to the nearest even number, as 4:2:0 chroma asks, but not above the source."""
    even = 2 * round(side * scale / 2)
    return max(MIN_SIDE_PIXELS, min(even, side - side % 2))
