"""Properties are checked without a stopwatch: the machine may be busy with other tests."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
