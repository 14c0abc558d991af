"""Read the configurations of H.264 and AAC in an init segment: playlists name them, MPEG-TS carries them."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from transcoder.domain.boxes import Box, BoxError, find_box

VISUAL_ENTRY_BYTES = 78
"""Fixed fields of a VisualSampleEntry before its boxes (ISO/IEC 14496-12, 12.1.3)."""
AUDIO_ENTRY_BYTES = 28
"""Fixed fields of an AudioSampleEntry before its boxes (ISO/IEC 14496-12, 12.2.3)."""

ES_DESCRIPTOR = 0x03
DECODER_CONFIG_DESCRIPTOR = 0x04
DECODER_SPECIFIC_INFO = 0x05
AAC_OBJECT_TYPE = 0x40
"""objectTypeIndication of MPEG-4 audio (ISO/IEC 14496-1, table 5)."""

AAC_SAMPLE_RATES_HZ = (
    96000,
    88200,
    64000,
    48000,
    44100,
    32000,
    24000,
    22050,
    16000,
    12000,
    11025,
    8000,
    7350,
)
"""By sampling frequency index (ISO/IEC 14496-3, 1.6.3.4)."""

ADTS_HEADER_BYTES = 7
ADTS_SYNCWORD = 0xFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class AvcConfig:
    """An AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3)."""

    width_pixels: int
    height_pixels: int
    profile: int
    compatibility: int
    level: int
    nal_length_bytes: int
    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]

    @property
    def codecs(self) -> str:
        """The RFC 6381 name: "avc1." and profile, constraint flags and level in hex."""
        return f"avc1.{self.profile:02x}{self.compatibility:02x}{self.level:02x}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AacConfig:
    """An AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1)."""

    object_type: int
    """2: AAC-LC."""
    sample_rate_hz: int
    channel_count: int

    @property
    def codecs(self) -> str:
        """The RFC 6381 name: "mp4a.40." and the audio object type."""
        return f"mp4a.{AAC_OBJECT_TYPE:x}.{self.object_type}"

    def adts_header(self, frame_bytes: int) -> bytes:
        """Make the header of one AAC frame in a bare stream (ISO/IEC 13818-7, 6.2): no CRC, one frame."""
        rate_index = AAC_SAMPLE_RATES_HZ.index(self.sample_rate_hz)
        size = frame_bytes + ADTS_HEADER_BYTES
        bits = 0xFFF1 << 40  # syncword, MPEG-4, layer 0, no CRC
        bits |= (self.object_type - 1) << 38 | rate_index << 34 | self.channel_count << 30
        bits |= size << 13 | 0x7FF << 2  # buffer fullness: variable rate
        return bits.to_bytes(ADTS_HEADER_BYTES, "big")


def read_avc_config(entry: Box) -> AvcConfig:
    """Read an avc1 sample entry.

    Raises:
        BoxError: It is another codec, or has no avcC.
    """
    _expect(entry, "avc1")
    width, height = struct.unpack_from(">2H", entry.payload, 24)
    record = find_box(entry.payload[VISUAL_ENTRY_BYTES:], "avcC").payload
    sps, rest = _read_nal_units(record[5:], 0x1F)
    pps, _ = _read_nal_units(rest, 0xFF)
    return AvcConfig(
        width_pixels=width,
        height_pixels=height,
        profile=record[1],
        compatibility=record[2],
        level=record[3],
        nal_length_bytes=(record[4] & 0x03) + 1,
        sps=sps,
        pps=pps,
    )


def _read_nal_units(data: memoryview, count_mask: int) -> tuple[tuple[bytes, ...], memoryview]:
    """Read a count, then so many NAL units with 16-bit lengths; return them and what follows."""
    count, data = data[0] & count_mask, data[1:]
    units: list[bytes] = []
    for _ in range(count):
        (size,) = struct.unpack_from(">H", data)
        units.append(bytes(data[2 : 2 + size]))
        data = data[2 + size :]
    return tuple(units), data


def read_aac_config(entry: Box) -> AacConfig:
    """Read an mp4a sample entry.

    Raises:
        BoxError: It is another codec, or its esds is not one of AAC.
    """
    _expect(entry, "mp4a")
    esds = find_box(entry.payload[AUDIO_ENTRY_BYTES:], "esds").payload
    stream = _read_descriptor(esds[4:], ES_DESCRIPTOR)[3:]  # behind ES_ID and flags, which we never set
    decoder = _read_descriptor(stream, DECODER_CONFIG_DESCRIPTOR)
    if decoder[0] != AAC_OBJECT_TYPE:
        raise BoxError(f"esds has object type {decoder[0]:#x}: must be {AAC_OBJECT_TYPE:#x}, MPEG-4 audio")
    (bits,) = struct.unpack_from(">H", _read_descriptor(decoder[13:], DECODER_SPECIFIC_INFO))
    return AacConfig(
        object_type=bits >> 11,
        sample_rate_hz=AAC_SAMPLE_RATES_HZ[bits >> 7 & 0x0F],
        channel_count=bits >> 3 & 0x0F,
    )


def _read_descriptor(data: memoryview, tag: int) -> memoryview:
    """Read the body of the descriptor at the start of `data` (ISO/IEC 14496-1, 8.3.3)."""
    if not data or data[0] != tag:
        raise BoxError(f"esds lacks descriptor {tag:#04x}")
    size, place = 0, 1  # the size has seven bits per byte; the eighth says that more follow
    while data[place] & 0x80:
        size, place = size << 7 | data[place] & 0x7F, place + 1
    size = size << 7 | data[place]
    return data[place + 1 : place + 1 + size]


def _expect(entry: Box, kind: str) -> None:
    if entry.kind != kind:
        raise BoxError(f"the sample entry is {entry.kind!r}: must be {kind!r}")


def split_adts(run: bytes) -> list[bytes]:
    """Cut a run of ADTS frames into single frames, each with its header.

    Raises:
        BoxError: A frame does not begin with the syncword, or is cut off.
    """
    frames: list[bytes] = []
    place = 0
    while place < len(run):
        header = int.from_bytes(run[place : place + ADTS_HEADER_BYTES].ljust(ADTS_HEADER_BYTES, b"\0"), "big")
        size = header >> 13 & 0x1FFF
        if header >> 44 != ADTS_SYNCWORD or not ADTS_HEADER_BYTES <= size <= len(run) - place:
            raise BoxError(f"no whole ADTS frame at byte {place}")
        frames.append(run[place : place + size])
        place += size
    return frames
