"""XXH64, the hash by which Envoy spreads callers: whoever wants to come to the same replica needs the same.

Yann Collet's specification 0.2.0, chapter "XXH64 algorithm description".
"""

from __future__ import annotations

import struct

_MASK = 2**64 - 1
_PRIME_1, _PRIME_2, _PRIME_3, _PRIME_4, _PRIME_5 = (
    0x9E3779B185EBCA87,
    0xC2B2AE3D27D4EB4F,
    0x165667B19E3779F9,
    0x85EBCA77C2B2AE63,
    0x27D4EB2F165667C5,
)
_STRIPE = struct.Struct("<4Q")
_LANE = struct.Struct("<Q")
_HALF_LANE = struct.Struct("<I")


def xxh64(data: bytes, *, seed: int = 0) -> int:
    """Hash bytes to 64 bits."""
    striped_bytes = len(data) - len(data) % _STRIPE.size
    acc = (_stripes(data[:striped_bytes], seed) if striped_bytes else seed + _PRIME_5) + len(data)
    return _avalanche(_rest(acc & _MASK, data[striped_bytes:]))


def _stripes(data: bytes, seed: int) -> int:
    """Take 32 bytes at a time in (steps 1 to 3)."""
    accs = [seed + _PRIME_1 + _PRIME_2, seed + _PRIME_2, seed, seed - _PRIME_1]
    for lanes in _STRIPE.iter_unpack(data):
        accs = [_round(acc, lane) for acc, lane in zip(accs, lanes, strict=True)]
    mixed = sum(_rotated(acc, bits) for acc, bits in zip(accs, (1, 7, 12, 18), strict=True)) & _MASK
    for acc in accs:
        mixed = ((mixed ^ _round(0, acc)) * _PRIME_1 + _PRIME_4) & _MASK
    return mixed


def _rest(acc: int, data: bytes) -> int:
    """Take in what fills no stripe (step 5)."""
    at = 0
    while at + _LANE.size <= len(data):
        (lane,) = _LANE.unpack_from(data, at)
        acc = (_rotated(acc ^ _round(0, lane), 27) * _PRIME_1 + _PRIME_4) & _MASK
        at += _LANE.size
    if at + _HALF_LANE.size <= len(data):
        (lane,) = _HALF_LANE.unpack_from(data, at)
        acc = (_rotated(acc ^ lane * _PRIME_1 & _MASK, 23) * _PRIME_2 + _PRIME_3) & _MASK
        at += _HALF_LANE.size
    for byte in data[at:]:
        acc = _rotated(acc ^ byte * _PRIME_5 & _MASK, 11) * _PRIME_1 & _MASK
    return acc


def _avalanche(acc: int) -> int:
    """Let each bit have its say in all others (step 6)."""
    acc = (acc ^ acc >> 33) * _PRIME_2 & _MASK
    acc = (acc ^ acc >> 29) * _PRIME_3 & _MASK
    return acc ^ acc >> 32


def _round(acc: int, lane: int) -> int:
    return _rotated((acc + lane * _PRIME_2) & _MASK, 31) * _PRIME_1 & _MASK


def _rotated(value: int, bits: int) -> int:
    return (value << bits | value >> (64 - bits)) & _MASK
