"""Flags and columns of movie fragments, for reading and for writing them (ISO/IEC 14496-12:2022, 8.8)."""

from __future__ import annotations

import struct
from typing import NamedTuple

TFHD_BASE_DATA_OFFSET = 0x000001
TFHD_SAMPLE_DESCRIPTION = 0x000002
TFHD_DURATION = 0x000008
TFHD_SIZE = 0x000010
TFHD_FLAGS = 0x000020
TFHD_BASE_IS_MOOF = 0x020000

TRUN_DATA_OFFSET = 0x000001
TRUN_FIRST_FLAGS = 0x000004
TRUN_DURATION = 0x000100
TRUN_SIZE = 0x000200
TRUN_FLAGS = 0x000400
TRUN_COMPOSITION_OFFSET = 0x000800
TRUN_COLUMNS = (TRUN_DURATION, TRUN_SIZE, TRUN_FLAGS, TRUN_COMPOSITION_OFFSET)
"""The bits that say which words a trun has per sample, in their order."""

SAMPLE_LIMIT = 1 << 20
"""Most samples of one run: far above any, it keeps a damaged count from eating all memory."""

SYNC_SAMPLE = 0x02000000
"""Sample flags (8.8.3.1): depends on no other sample."""
NON_SYNC_SAMPLE = 0x01010000
"""Sample flags (8.8.3.1): depends on others, and is no sync sample."""
NON_SYNC_BIT = 0x00010000


class Entry(NamedTuple):
    """One sample's words in a trun, in the order of TRUN_COLUMNS."""

    duration: int
    size: int
    flags: int
    composition_offset: int


def row_layout(flags: int) -> struct.Struct:
    """Lay out the words that a trun has per sample; offsets are signed (version 1, and so written in 0)."""
    columns = [bit for bit in TRUN_COLUMNS if flags & bit]
    return struct.Struct(">" + "".join("i" if bit == TRUN_COMPOSITION_OFFSET else "I" for bit in columns))
