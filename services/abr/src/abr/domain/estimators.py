"""Forecast what a viewer's network will carry, and keep its buffer's level when reports are old."""

from __future__ import annotations

from abr.domain.view import Download

RECENT = 5
"""Downloads that a harmonic mean looks back on, and errors that its discount does (Yin et al., 2015)."""


def throughput_bps(download: Download) -> float:
    """Bits per second from the request to the last byte."""
    return 8 * download.size_bytes / download.transfer_s


def harmonic_mean(values: list[float]) -> float:
    """Mean that one fast segment does not carry away; values above 0."""
    return len(values) / sum(1 / value for value in values)


def robust_forecast_bps(downloads: tuple[Download, ...]) -> float | None:
    """Bound the next throughput from below: harmonic mean / (1 + greatest recent error); None: no downloads.

    Yin et al., SIGCOMM 2015, section 4.3.
    """
    rates = [throughput_bps(download) for download in downloads[-2 * RECENT :] if download.size_bytes > 0]
    if not rates:
        return None
    errors = [
        abs(harmonic_mean(rates[max(0, at - RECENT) : at]) - rates[at]) / rates[at]
        for at in range(max(1, len(rates) - RECENT), len(rates))
    ]
    return harmonic_mean(rates[-RECENT:]) / (1 + max(errors, default=0.0))


def reckon_buffer(
    *,
    known_s: float,
    arrived_s: float,
    elapsed_s: float,
    speed_ratio: float = 1.0,
    most_s: float = float("inf"),
) -> float:
    """Bring a buffer level that was reported some time ago up to now: plus what came, less what played.

    Args:
        known_s: Media that the player held when it last said so.
        arrived_s: Media that has been sent since.
        elapsed_s: Time since, on the wall's clock.
        speed_ratio: Speed of playback; 0 paused.
        most_s: More than this the player does not hold.

    Returns:
        Media that it holds now, 0 to most_s.
    """
    return min(max(known_s - speed_ratio * elapsed_s, 0.0) + arrived_s, most_s)
