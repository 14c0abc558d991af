"""A crowd joins through Envoy: nothing but 2xx, and each object is read from storage once."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench" / "load.py"


@pytest.mark.torture
async def test_two_hundred_join_without_a_failure_and_without_a_second_read() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, BENCH, "200", "2", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    printed = (await process.communicate())[0].decode()
    assert process.returncode == 0, printed
    assert "'00000000-00000000.m4s': 1" in printed
    assert "all bars reached" in printed
