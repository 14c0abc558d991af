"""End streams in the place of owners that have died: the distributor asks any transcoder to."""

from __future__ import annotations

from transcoder.domain.live_settings import LiveSettings
from transcoder.live.closing import Closing
from transcoder.live.ownership import OwnerRules, Ownership
from transcoder.live.ports import LiveLedger, OpenedLive


class Standby:
    """Stands in for owners, under epochs that others have opened."""

    def __init__(self, ledger: LiveLedger, closing: Closing, rules: OwnerRules) -> None:
        self._ledger = ledger
        self._closing = closing
        self._rules = rules

    async def end(self, settings: LiveSettings, *, epoch: int, sequence: int) -> None:
        """Close what was left open, and end the stream; both may happen twice under one epoch.

        Args:
            settings: The stream.
            epoch: Opened for this.
            sequence: Of the ledger's newest record.

        Raises:
            FailedPrecondition, Unavailable: As `Ownership.append`.
            NotFound: The incarnation is gone.
        """
        opened = OpenedLive(
            incarnation=settings.incarnation,
            epoch=epoch,
            sequence=sequence,
            timeline=await self._ledger.read(settings),
        )
        await self._closing.end(Ownership(self._ledger, settings, opened, self._rules))
