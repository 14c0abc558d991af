"""How a cloud's storage is spoken with: what is waited for, what is tried again, how uploads are cut."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

_FIRST_PAUSE = timedelta(milliseconds=100)
_LONGEST_PAUSE = timedelta(seconds=2)
_NEVER = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageOptions:
    """See the settings of the same names, with `storage_` before them, in `chassis.config`."""

    connect_timeout_s: float = 5.0
    answer_timeout_s: float = 15.0
    retry_count: int = 3
    retry_window_s: float = 20.0
    part_bytes: int = 12 * 1024 * 1024
    allow_http: bool = False

    def client(self) -> ClientConfig:
        """Name them as obstore's HTTP client takes them."""
        return {
            "allow_http": self.allow_http,
            "connect_timeout": timedelta(seconds=self.connect_timeout_s),
            "read_timeout": timedelta(seconds=self.answer_timeout_s),
            # An hour's recording takes its time: what counts is that bytes keep coming.
            "timeout": _NEVER,
        }

    def retry(self) -> RetryConfig:
        """Name them as obstore's retries take them."""
        return {
            "max_retries": self.retry_count,
            "retry_timeout": timedelta(seconds=self.retry_window_s),
            "backoff": {"init_backoff": _FIRST_PAUSE, "max_backoff": _LONGEST_PAUSE, "base": 2},
        }


DEFAULTS = StorageOptions()
