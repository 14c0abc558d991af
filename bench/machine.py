"""What the kernel tells of a process."""

from __future__ import annotations

import os
import re
from pathlib import Path


def cpu_s(pid: int) -> float:
    """Tell how much CPU time a process has used, in user mode and in the kernel, s."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_memory_mib(pid: int) -> float:
    """Tell the most memory that a process has had."""
    return _memory_mib(pid, "VmHWM")


def memory_mib(pid: int) -> float:
    """Tell how much memory a process has now."""
    return _memory_mib(pid, "VmRSS")


def _memory_mib(pid: int, name: str) -> float:
    (kib,) = re.findall(rf"{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(kib) / 1024
