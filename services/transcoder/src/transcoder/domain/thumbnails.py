"""The storyboard of a source: a small picture of every few seconds, stacked into one sprite per segment.

Sprites are one more rendition, on the same grid: where a segment goes, its sprite goes too. Nothing waits for
them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction

from transcoder.domain.jpeg import JpegError
from transcoder.domain.ladder import Rung
from transcoder.domain.packager import MediaKind, PackagingError, RenditionInfo

THUMBNAILS_RENDITION_ID = "thumbnails"
THUMBNAILS_CODECS = "jpeg"

TILE_S = 2
"""Wished time from one picture to the next."""

TILE_PIXELS = 200 * 112
"""About so many pixels per picture, whatever its shape: some 5 kB."""

BLOCK_PIXELS = 16
"""JPEG codes blocks of so many lines: pictures that are stacked end with one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThumbnailPlan:
    """How the storyboard of a source is made."""

    width_pixels: int
    """Of one picture."""
    height_pixels: int
    step_frames: int
    """Frames of the grid from one picture to the next; each shows the first of them."""

    def count(self, frame_count: int) -> int:
        """Count the pictures of a segment of so many frames."""
        return -(-frame_count // self.step_frames)


def plan_thumbnails(rung: Rung, step_frames: int) -> ThumbnailPlan:
    """Choose the size of the pictures: the rung's shape, few pixels, never more than the rung has.

    Args:
        rung: The smallest of the ladder, whose pixels are square.
        step_frames: Frames from one picture to the next.
    """
    aspect = Fraction(rung.width_pixels, rung.height_pixels)
    wished_height = math.sqrt(min(TILE_PIXELS, rung.pixel_count) / aspect)
    height = BLOCK_PIXELS * max(1, round(wished_height / BLOCK_PIXELS))
    width = 2 * max(1, round(height * aspect / 2))  # 4:2:0 chroma wants it even
    return ThumbnailPlan(width_pixels=width, height_pixels=height, step_frames=step_frames)


def choose_step(segment_frames: int, frame_rate: Fraction) -> int:
    """Choose the frames from one picture to the next, so that each segment begins with one."""
    wished = TILE_S * frame_rate
    divisors = (step for step in range(1, segment_frames + 1) if segment_frames % step == 0)
    return min(divisors, key=lambda step: max(step / wished, wished / step))


def describe_thumbnails(thumbnails: ThumbnailPlan, frame_rate: Fraction) -> RenditionInfo:
    """Describe the rendition."""
    return RenditionInfo(
        rendition_id=THUMBNAILS_RENDITION_ID,
        name="Thumbnails",
        media_kind=MediaKind.IMAGES,
        codecs=THUMBNAILS_CODECS,
        width_pixels=thumbnails.width_pixels,
        height_pixels=thumbnails.height_pixels,
        tile_s=float(thumbnails.step_frames / frame_rate),
    )


@contextmanager
def thumbnail_errors() -> Iterator[None]:
    """Tell of pictures that cannot be read as of something that the encoder made wrongly."""
    try:
        yield
    except JpegError as error:
        raise PackagingError(f"{THUMBNAILS_RENDITION_ID}: {error}") from error
