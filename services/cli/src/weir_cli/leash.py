"""Turn into another program, one that cannot outlive its starter.

Run as a script, `python -I -S leash.py STARTER_PID PROGRAM ARGUMENT ...`, and not between fork and exec: the
starter has threads, and in a fork of such a process only an exec is safe.
"""

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_OPEN_FILES = 65_536  # thousands of viewers hold a connection each; the usual default is 1,024


def main(starter_pid: int, argv: list[str]) -> None:
    """Ask the kernel to kill this process with its starter, then become `argv`."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != starter_pid:
            sys.exit("the starter ended before the leash was on")
    _raise_open_files()
    os.execv(argv[0], argv)  # noqa: S606 - no shell is wanted


def _raise_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
