"""AMF 0, the notation of RTMP's commands (AMF0 = "Action Message Format AMF 0", Adobe).

Whatever the bytes, decoding gives values or an AmfError, in time and memory bounded by DEPTH and VALUE_COUNT.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

AmfValue: TypeAlias = "bool | float | str | list[AmfValue] | dict[str, AmfValue] | None"

DEPTH = 16
"""How deep objects and arrays may lie in each other."""
VALUE_COUNT = 4096
"""Values in one message, those inside objects and arrays among them."""

_NUMBER, _BOOLEAN, _STRING, _OBJECT = 0x00, 0x01, 0x02, 0x03
_NULL, _UNDEFINED, _ECMA_ARRAY, _OBJECT_END = 0x05, 0x06, 0x08, 0x09
_STRICT_ARRAY, _DATE, _LONG_STRING = 0x0A, 0x0B, 0x0C
_UNSUPPORTED, _XML, _TYPED_OBJECT = 0x0D, 0x0F, 0x10
_SHORT_STRING_BYTES = 0xFFFF


class AmfError(ValueError):
    """The bytes are no AMF 0, or more of it than is taken."""


def decode_amf(data: bytes) -> list[AmfValue]:
    """Decode all values of a message.

    Dates become milliseconds since 1970, typed objects plain ones, undefined and unsupported None.

    Raises:
        AmfError: The bytes break off, hold a type that publishers have no use for (references, AMF 3), or
            exceed DEPTH or VALUE_COUNT.
    """
    decoder = _Decoder(data)
    values = []
    while decoder.position < len(data):
        values.append(decoder.take_value(depth=0))
    return values


def encode_amf(*values: object) -> bytes:
    """Encode None, bool, int, float, str, mappings with str keys, and sequences, one after the other."""
    return b"".join(_encode(value) for value in values)


class _Decoder:
    """Where the decoding of one message stands."""

    def __init__(self, data: bytes) -> None:
        self.position = 0
        self._data = data
        self._values_left = VALUE_COUNT
        self._readers: dict[int, Callable[[int], AmfValue]] = {
            _NUMBER: lambda _: self._take_number(),
            _BOOLEAN: lambda _: self._take(1) != b"\0",
            _STRING: lambda _: self._take_string(2),
            _OBJECT: self._take_object,
            _NULL: lambda _: None,
            _UNDEFINED: lambda _: None,
            _ECMA_ARRAY: self._take_ecma_array,
            _STRICT_ARRAY: self._take_array,
            _DATE: lambda _: self._take_date(),
            _LONG_STRING: lambda _: self._take_string(4),
            _UNSUPPORTED: lambda _: None,
            _XML: lambda _: self._take_string(4),
            _TYPED_OBJECT: self._take_typed_object,
        }

    def take_value(self, depth: int) -> AmfValue:
        self._values_left -= 1
        if depth > DEPTH or self._values_left < 0:
            raise AmfError(f"more than {VALUE_COUNT} values, or deeper than {DEPTH} levels")
        marker = self._take_unsigned(1)
        reader = self._readers.get(marker)
        if reader is None:
            raise AmfError(f"type {marker:#04x} is not taken")
        return reader(depth)

    def _take(self, count: int) -> bytes:
        taken = self._data[self.position : self.position + count]
        if len(taken) < count:
            raise AmfError(f"breaks off: {count} bytes expected, {len(taken)} there")
        self.position += count
        return taken

    def _take_unsigned(self, width: int) -> int:
        return int.from_bytes(self._take(width))

    def _take_number(self) -> float:
        (number,) = struct.unpack(">d", self._take(8))
        return float(number)

    def _take_string(self, width: int) -> str:
        try:
            return self._take(self._take_unsigned(width)).decode()
        except UnicodeDecodeError as error:
            raise AmfError("a string is not UTF-8") from error

    def _take_date(self) -> float:
        time_ms = self._take_number()
        self._take(2)  # the time zone, which is reserved
        return time_ms

    def _take_array(self, depth: int) -> list[AmfValue]:
        count = self._take_unsigned(4)
        return [self.take_value(depth + 1) for _ in range(min(count, VALUE_COUNT + 1))]

    def _take_ecma_array(self, depth: int) -> dict[str, AmfValue]:
        self._take(4)  # the count, which many encoders get wrong: the end counts
        return self._take_object(depth)

    def _take_typed_object(self, depth: int) -> dict[str, AmfValue]:
        self._take_string(2)
        return self._take_object(depth)

    def _take_object(self, depth: int) -> dict[str, AmfValue]:
        found: dict[str, AmfValue] = {}
        while True:
            name = self._take_string(2)
            if not name and self._data[self.position : self.position + 1] == bytes([_OBJECT_END]):
                self.position += 1
                return found
            found[name] = self.take_value(depth + 1)


def _encode(value: object) -> bytes:
    match value:
        case None:
            return bytes([_NULL])
        case bool():
            return bytes([_BOOLEAN, value])
        case int() | float():
            return struct.pack(">Bd", _NUMBER, value)
        case str():
            return _encode_string(value)
        case Mapping():
            return bytes([_OBJECT]) + _encode_members(value.items()) + bytes([0, 0, _OBJECT_END])
        case Sequence():
            return struct.pack(">BI", _STRICT_ARRAY, len(value)) + encode_amf(*value)
    raise TypeError(f"AMF has no {type(value).__name__}")


def _encode_string(text: str) -> bytes:
    data = text.encode()
    if len(data) <= _SHORT_STRING_BYTES:
        return struct.pack(">BH", _STRING, len(data)) + data
    return struct.pack(">BI", _LONG_STRING, len(data)) + data


def _encode_members(members: Iterable[tuple[str, object]]) -> bytes:
    return b"".join(
        struct.pack(">H", len(name.encode())) + name.encode() + _encode(value) for name, value in members
    )
