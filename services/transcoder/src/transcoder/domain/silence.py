"""Silent AAC frames: what stands in the place of sound that did not come (ISO/IEC 14496-3, 4.4.2)."""

from __future__ import annotations

# Every field of these channels is 0: no gain, a long window, no band that holds anything, no tools.
_ICS_INFO = "0" * 11
_CHANNEL = "0" * 8 + "{ics_info}" + "000"
_END = "111"

_SINGLE = "000" + "0000" + _CHANNEL.format(ics_info=_ICS_INFO)
_PAIR = "001" + "0000" + "1" + _ICS_INFO + "00" + 2 * _CHANNEL.format(ics_info="")
"""Both channels share their window, and have no joint stereo."""


def silent_aac_frame(channel_count: int) -> bytes:
    """Make a raw_data_block of AAC-LC, without ADTS header, of one or two silent channels."""
    bits = (_SINGLE if channel_count == 1 else _PAIR) + _END
    size = -(-len(bits) // 8)
    return int(bits.ljust(8 * size, "0"), 2).to_bytes(size, "big")
