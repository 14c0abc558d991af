"""The composition of what concerns streams: their ledgers, their registry, and who watches them."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from distributor.adapters import ledger_store, registry_store
from distributor.adapters.feeds import Tails
from distributor.adapters.live_owners import NatsOwners
from distributor.bootstrap_ground import Ground
from distributor.domain.entries import LedgerId
from distributor.mailbox import Mailbox
from distributor.ports import Item
from distributor.service import Timelines
from distributor.service_cleanup import Cleanup
from distributor.service_clips import Clips
from distributor.service_live import LiveStreams
from distributor.service_remains import Remains
from distributor.service_stop import Stops
from distributor.service_streams import Streams
from distributor.service_watch import Watches


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsFeeds:
    """News of ledgers and of the registry; implements the port Feeds."""

    ledgers: Tails[Item]
    registry: Tails[Item]

    def follow_ledger(self, ledger_id: LedgerId, mailbox: Mailbox[Item]) -> AbstractAsyncContextManager[int]:
        return self.ledgers.follow(ledger_store.subject_of(ledger_id), mailbox)

    def follow_stream(self, stream_id: str, mailbox: Mailbox[Item]) -> AbstractAsyncContextManager[int]:
        return self.registry.follow(registry_store.subject_of(stream_id), mailbox)

    def close(self) -> None:
        """End all watchers: the process stops."""
        self.ledgers.close()
        self.registry.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRoom:
    """Everything that concerns streams, built and not yet running."""

    timelines: Timelines
    streams: Streams
    live: LiveStreams
    stops: Stops
    clips: Clips
    remains: Remains
    cleanup: Cleanup
    watches: Watches
    feeds: NatsFeeds


def build_streams(ground: Ground) -> StreamRoom:
    """Build what concerns streams."""
    remains = _remains(ground)
    streams = _streams(ground, remains)
    feeds = _feeds(ground)
    return StreamRoom(
        timelines=_timelines(ground, streams),
        streams=streams,
        live=_live(ground, streams),
        stops=_stops(ground, streams),
        clips=_clips(ground, streams),
        remains=remains,
        cleanup=_cleanup(ground, remains),
        watches=_watches(ground, streams, feeds),
        feeds=feeds,
    )


def _remains(ground: Ground) -> Remains:
    return Remains(
        registry=ground.registry,
        reader=ground.store,
        heads=ground.heads,
        folds=ground.folds,
        objects=ground.objects,
        tombstones=ground.tombstones,
        now=ground.now,
    )


def _streams(ground: Ground, remains: Remains) -> Streams:
    return Streams(
        registry=ground.registry,
        writer=ground.store,
        reader=ground.store,
        folds=ground.folds,
        heads=ground.heads,
        remains=remains,
        now=ground.now,
    )


def _timelines(ground: Ground, streams: Streams) -> Timelines:
    return Timelines(
        writer=ground.store,
        reader=ground.store,
        registry=ground.registry,
        folds=ground.folds,
        streams=streams,
        now=ground.now,
    )


def _live(ground: Ground, streams: Streams) -> LiveStreams:
    return LiveStreams(
        registry=ground.registry,
        streams=streams,
        folds=ground.folds,
        puller=ground.transcoder,
        now=ground.now,
    )


def _stops(ground: Ground, streams: Streams) -> Stops:
    return Stops(
        registry=ground.registry,
        streams=streams,
        folds=ground.folds,
        writer=ground.store,
        owners=NatsOwners(ground.client),
        closer=ground.transcoder,
    )


def _clips(ground: Ground, streams: Streams) -> Clips:
    return Clips(
        registry=ground.registry,
        streams=streams,
        writer=ground.store,
        reader=ground.store,
        heads=ground.heads,
        now=ground.now,
    )


def _cleanup(ground: Ground, remains: Remains) -> Cleanup:
    return Cleanup(
        registry=ground.registry,
        writer=ground.store,
        reader=ground.store,
        heads=ground.heads,
        remains=remains,
        now=ground.now,
    )


def _feeds(ground: Ground) -> NatsFeeds:
    client, interval_s = ground.client, ground.config.reread_interval_s
    return NatsFeeds(
        ledgers=Tails(client, ground.journal, ledger_store.stored_record, reread_interval_s=interval_s),
        registry=Tails(
            client, ground.registry_journal, registry_store.stream_changed, reread_interval_s=interval_s
        ),
    )


def _watches(ground: Ground, streams: Streams, feeds: NatsFeeds) -> Watches:
    return Watches(
        reader=ground.store,
        streams=streams,
        feeds=feeds,
        queue_count=ground.config.watch_queue_count,
        queue_bytes=ground.config.watch_queue_bytes,
    )
