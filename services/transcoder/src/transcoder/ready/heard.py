"""What this process has heard of segments: enough to tell what waits behind a hole, and since when."""

from __future__ import annotations

from transcoder.domain.ready_segment import ReadySegment
from transcoder.ready.ports import FeedId


class Index:
    """Segments by feed, variant and number, until they are announced."""

    def __init__(self) -> None:
        self._feeds: dict[FeedId, dict[str, dict[int, ReadySegment]]] = {}

    def note(self, feed_id: FeedId, segment: ReadySegment) -> None:
        """Take a segment down."""
        variants = self._feeds.setdefault(feed_id, {})
        variants.setdefault(segment.variant_id, {})[segment.number] = segment

    def stored(self, feed_id: FeedId) -> dict[str, dict[int, ReadySegment]]:
        """Copy what is known of a feed."""
        return {variant_id: dict(own) for variant_id, own in self._feeds.get(feed_id, {}).items()}

    def forget_below(self, feed_id: FeedId, number: int) -> None:
        """Forget what nobody waits for any more."""
        for own in self._feeds.get(feed_id, {}).values():
            for passed in [known for known in own if known < number]:
                del own[passed]

    def forget(self, feed_id: FeedId) -> None:
        """Forget a feed."""
        self._feeds.pop(feed_id, None)
