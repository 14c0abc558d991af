"""The laws that an entry keeps by itself, whatever came before it.

Text that ends up in playlists is held to alphabets that cannot break out of an attribute (rfc8216bis 4.2),
and object keys to those that cannot leave their folder.
"""

from __future__ import annotations

import math
import re

from chassis.errors import InvalidArgument
from chassis.layout import require_id
from distributor.domain.entries import (
    Container,
    EncryptionKey,
    Ended,
    Entry,
    IFrame,
    Media,
    Opened,
    Part,
    Rendition,
    Segment,
    Trimmed,
)

CODECS = re.compile(r"[A-Za-z0-9.-]+(,[A-Za-z0-9.-]+)*")
LANGUAGE = re.compile(r"([A-Za-z0-9]{1,8}(-[A-Za-z0-9]{1,8})*)?")
QUOTABLE = re.compile(r'[^"\x00-\x1f\x7f]{0,200}')
OBJECT_KEY = re.compile(r"(?!/)(?!(.*/)?\.\.(/|$))[A-Za-z0-9_.=/-]{1,512}")
IV = re.compile(r"[0-9a-f]{32}")
ENCRYPTION_METHODS = frozenset({"AES-128", "SAMPLE-AES"})
MAX_SIDE_PIXELS = 16_384
MAX_IFRAMES = 1_000


def broken(field: str, value: object, rule: str) -> InvalidArgument:
    """Tell which field breaks which rule, and with what value."""
    return InvalidArgument(f"{field} is {value!r}: it must {rule}", reason="LEDGER_LAW", field=field)


def require(holds: bool, field: str, value: object, rule: str) -> None:
    """Hold a value against a rule.

    Raises:
        InvalidArgument: LEDGER_LAW; names the field, the value and the rule.
    """
    if not holds:
        raise broken(field, value, rule)


def check_entry(
    entry: Entry, at: str, *, container: Container, target_duration_s: int, is_image: bool = False
) -> None:
    """Hold an entry against the laws that it keeps by itself; `at` names it in messages.

    `is_image`: it belongs to a rendition of images, whose objects are whole in themselves.

    Raises:
        InvalidArgument: LEDGER_LAW.
    """
    match entry:
        case Opened():
            raise InvalidArgument(f"{at} is an Opened: call Open to take a stream over", reason="LEDGER_LAW")
        case Trimmed():
            raise InvalidArgument(f"{at} is a Trimmed: nobody appends it", reason="LEDGER_LAW")
        case Rendition():
            _check_rendition(entry, at)
        case Segment():
            _check_media(entry, at, target_duration_s, has_init=container is Container.CMAF and not is_image)
            _check_iframes(entry, at)
        case Part():
            require(entry.part >= 0, f"{at}.part", entry.part, "be at least 0")
            require(not is_image, at, "a part", "be a whole segment: images have no parts")
            _check_media(entry, at, target_duration_s, has_init=container is Container.CMAF)
        case Ended():
            pass


def _check_rendition(entry: Rendition, at: str) -> None:
    require_id(entry.rendition_id, field=f"{at}.rendition_id")
    require(entry.media_kind is not None, f"{at}.media_kind", "unspecified", "be a kind of media")
    require(bool(CODECS.fullmatch(entry.codecs)), f"{at}.codecs", entry.codecs, "be a list as of RFC 6381")
    require(bool(QUOTABLE.fullmatch(entry.name)), f"{at}.name", entry.name, 'hold no control or "')
    require(bool(LANGUAGE.fullmatch(entry.language)), f"{at}.language", entry.language, "be a tag of BCP 47")
    require(
        entry.target_bps > 0 or not entry.is_played,
        f"{at}.target_bps",
        entry.target_bps,
        "be greater than 0",
    )
    require(entry.peak_bps >= entry.target_bps, f"{at}.peak_bps", entry.peak_bps, "not be below target_bps")
    _check_picture(entry, at)


def _check_picture(entry: Rendition, at: str) -> None:
    has_picture = entry.media_kind is not None and entry.media_kind.has_picture
    sides = range(1, MAX_SIDE_PIXELS + 1) if has_picture or not entry.is_played else range(1)
    rule = f"lie from {sides.start} to {sides.stop - 1} for {entry.media_kind}"
    require(entry.width_pixels in sides, f"{at}.width_pixels", entry.width_pixels, rule)
    require(entry.height_pixels in sides, f"{at}.height_pixels", entry.height_pixels, rule)
    numerator, denominator = entry.frame_rate
    rate_fits = numerator > 0 and denominator > 0 if has_picture else numerator == denominator == 0
    rule = "be above 0" if has_picture else "be 0/0 without a picture that moves"
    require(rate_fits, f"{at}.frame_rate", f"{numerator}/{denominator}", rule)
    is_tiled = _is_time(entry.tile_s) and entry.tile_s > 0
    rule = "be 0 but for images" if entry.is_played else "be greater than 0"
    require(entry.tile_s == 0 if entry.is_played else is_tiled, f"{at}.tile_s", entry.tile_s, rule)


def _check_media(entry: Media, at: str, target_duration_s: int, *, has_init: bool) -> None:
    require(_is_time(entry.start_s), f"{at}.start_s", entry.start_s, "be at least 0")
    require(
        # rfc8216bis 4.4.3.1: rounded to the nearest integer, no duration exceeds the target duration.
        0 < entry.duration_s < target_duration_s + 0.5,
        f"{at}.duration_s",
        entry.duration_s,
        f"be greater than 0 and round to at most the target duration, {target_duration_s}",
    )
    if entry.gap:
        _check_gap(entry, at)
    else:
        _check_object(entry, at, has_init=has_init)
    if entry.encryption_key:
        _check_key(entry.encryption_key, f"{at}.encryption_key")


def _check_gap(entry: Media, at: str) -> None:
    require(not entry.object_key, f"{at}.object_key", entry.object_key, "be empty for a gap")
    require(entry.size_bytes == 0, f"{at}.size_bytes", entry.size_bytes, "be 0 for a gap")


def _check_object(entry: Media, at: str, *, has_init: bool) -> None:
    _check_key_of_object(entry.object_key, f"{at}.object_key")
    require(entry.size_bytes > 0, f"{at}.size_bytes", entry.size_bytes, "be greater than 0")
    if has_init:
        _check_key_of_object(entry.init_key, f"{at}.init_key")
        require(
            entry.init_size_bytes > 0, f"{at}.init_size_bytes", entry.init_size_bytes, "be greater than 0"
        )
    else:
        require(not entry.init_key, f"{at}.init_key", entry.init_key, "be empty for MPEG-TS and images")


def _check_key_of_object(key: str, field: str) -> None:
    require(bool(OBJECT_KEY.fullmatch(key)), field, key, "be a key of 1 to 512 letters, digits and _.=/-")


def _check_key(key: EncryptionKey, at: str) -> None:
    require(key.method in ENCRYPTION_METHODS, f"{at}.method", key.method, "be AES-128 or SAMPLE-AES")
    require_id(key.key_id, field=f"{at}.key_id")
    require(bool(IV.fullmatch(key.iv)), f"{at}.iv", key.iv, "be 32 hex digits, lower case")


def _check_iframes(entry: Segment, at: str) -> None:
    count = len(entry.iframes)
    require(count <= MAX_IFRAMES, f"{at}.iframes", f"{count} of them", f"be at most {MAX_IFRAMES}")
    behind = 0
    for index, iframe in enumerate(entry.iframes):
        _check_iframe(iframe, f"{at}.iframes[{index}]", behind, entry.size_bytes)
        behind = iframe.offset_bytes + 1


def _check_iframe(iframe: IFrame, at: str, least_offset_bytes: int, size_bytes: int) -> None:
    require(
        iframe.offset_bytes >= least_offset_bytes,
        f"{at}.offset_bytes",
        iframe.offset_bytes,
        f"be at least {least_offset_bytes}: I-frames stand in order",
    )
    require(
        0 < iframe.size_bytes <= size_bytes - iframe.offset_bytes,
        f"{at}.size_bytes",
        iframe.size_bytes,
        f"lie within the segment's {size_bytes} bytes",
    )
    require(
        _is_time(iframe.duration_s) and iframe.duration_s > 0,
        f"{at}.duration_s",
        iframe.duration_s,
        "be greater than 0",
    )


def _is_time(value: float) -> bool:
    return math.isfinite(value) and value >= 0
