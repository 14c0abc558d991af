"""What the room stands on: everything that is stored in NATS and in object storage, peers, the clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import grpc
from nats.aio.client import Client

from chassis.storage import ObjectStore, open_store
from chassis.tls import Certificates
from distributor.adapters.dead_letters import NatsDeadLetters, open_dead_letters
from distributor.adapters.fold_news import FoldNews
from distributor.adapters.head_store import HeadStore, LedgerJournal, open_heads
from distributor.adapters.journal import Journal
from distributor.adapters.ledger_store import LedgerStore, open_ledger_journal
from distributor.adapters.registry_store import RegistryStore, open_registry
from distributor.adapters.tombstone_store import TombstoneStore, open_tombstones
from distributor.adapters.transcoder_client import TranscoderClient
from distributor.adapters.view_log import ViewLog, open_view_log
from distributor.adapters.view_states import ViewStates, open_view_states
from distributor.config import DistributorConfig
from distributor.folds import Folds

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What the use-cases stand on: settings, peers, what is stored where, the clock."""

    config: DistributorConfig
    client: Client
    transcoder: TranscoderClient
    abr: grpc.aio.Channel
    tls: Certificates | None
    heads: HeadStore
    journal: LedgerJournal
    store: LedgerStore
    folds: Folds
    fold_news: FoldNews
    registry: RegistryStore
    registry_journal: Journal
    tombstones: TombstoneStore
    letters: NatsDeadLetters
    view_log: ViewLog
    view_states: ViewStates
    objects: ObjectStore
    now: Clock

    def seconds(self) -> float:
        """The clock, seconds since 1970."""
        return self.now().timestamp()


async def open_ground(  # noqa: PLR0917 - what `build` was given
    config: DistributorConfig,
    client: Client,
    transcoder: TranscoderClient,
    abr: grpc.aio.Channel,
    tls: Certificates | None,
    now: Clock,
) -> Ground:
    """Open everything that is stored, made where it is not there yet."""
    replicas = config.nats_replicas
    heads = await open_heads(client, replicas=replicas)
    journal = await open_ledger_journal(client, heads, replicas=replicas, max_bytes=config.ledger_limit_bytes)
    store = LedgerStore(journal, now)
    registry, registry_journal = await open_registry(client, replicas=replicas)
    folds = Folds(store, limit_count=config.fold_cache_count)
    return Ground(
        config=config,
        client=client,
        transcoder=transcoder,
        abr=abr,
        tls=tls,
        heads=heads,
        journal=journal,
        store=store,
        folds=folds,
        fold_news=FoldNews(client, folds),
        registry=registry,
        registry_journal=registry_journal,
        tombstones=await open_tombstones(client, replicas=replicas),
        letters=await open_dead_letters(client, replicas=replicas),
        view_log=await open_view_log(client, replicas=replicas, max_bytes=config.views_limit_bytes),
        view_states=await open_view_states(client, replicas=replicas),
        objects=open_store(config.storage_url, config.storage_options),
        now=now,
    )
