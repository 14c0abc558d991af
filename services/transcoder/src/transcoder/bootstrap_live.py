"""The composition of what is received as it happens: live streams, and segments that are ready."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import grpc
from nats.aio.client import Client

from transcoder.adapters.encoder import EncoderSettings
from transcoder.adapters.live_beats import NatsBeats
from transcoder.adapters.live_encoder import LiveEncoder
from transcoder.adapters.live_ledger import LiveLedgerClient
from transcoder.adapters.live_probe import probe_head
from transcoder.adapters.live_settings import LiveSettingsClient
from transcoder.adapters.ready_ledger import ReadyLedgerClient
from transcoder.adapters.ready_probe import probe_segment
from transcoder.adapters.tap import SrtListener, Taps, TapSettings
from transcoder.bootstrap_ground import Stores, now, worker_name
from transcoder.config import TranscoderConfig
from transcoder.ingest.pull import Pulls
from transcoder.ingest.rtmp.server import rtmp_server
from transcoder.ingest.srt import srt_server
from transcoder.live import session as live_session
from transcoder.live.admission import Admission
from transcoder.live.closing import Closing
from transcoder.live.ownership import OwnerRules, Owners
from transcoder.live.standby import Standby
from transcoder.ready import announcing as ready_announcing
from transcoder.ready import attempt as ready_attempt
from transcoder.ready.announcing import ReadyAnnouncer
from transcoder.ready.claims import Claims, PushedOnly
from transcoder.ready.ingest import ReadyIngest
from transcoder.ready.watching import ReadyWatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """What live streams need, built and not yet running."""

    admission: Admission
    standby: Standby
    pulls: Pulls
    rtmp_address: str
    srt_address: str
    srt_listener: SrtListener

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let publishers in for as long as the block lasts; then hand their streams over."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.admission.open())
            if self.rtmp_address:
                host, _, port = self.rtmp_address.rpartition(":")
                await stack.enter_async_context(rtmp_server(host, int(port), self.admission))
            if self.srt_address:
                host, _, port = self.srt_address.rpartition(":")
                listen = self.srt_listener.listen
                await stack.enter_async_context(srt_server(host, int(port), self.admission, listen))
            stack.callback(self.admission.send_away)  # first of all: nobody waits for its last media then
            yield


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """What ready segments need, built and not yet running."""

    ingest: ReadyIngest
    watch: ReadyWatch


def build_live(config: TranscoderConfig, stores: Stores, client: Client, channel: grpc.aio.Channel) -> Live:
    """Build what live streams need."""
    settings = PushedOnly(LiveSettingsClient(channel, rungs=config.ladder), stores.feeds)
    ledger = LiveLedgerClient(channel, owner=worker_name())
    closing = Closing(stores.media, hold_s=config.live_hold_s)
    owner_rules = OwnerRules(owner=worker_name(), hold_s=config.live_hold_s)
    owners = Owners(
        ledger=ledger, settings=settings, beats=NatsBeats(client), rules=owner_rules, end=closing.end
    )
    ports = live_session.Ports(
        media=stores.media,
        settings=settings,
        probe=probe_head,
        known_heads=stores.known_heads,
        encoder=LiveEncoder(
            # a silent publisher is noticed first
            EncoderSettings(ffmpeg_path=config.ffmpeg, stall_timeout_s=2 * config.live_silence_s)
        ),
        clock=now,
    )
    rules = live_session.SessionRules(silence_s=config.live_silence_s, hold_s=config.live_hold_s)
    admission = Admission(owners, ports, rules)
    taps = TapSettings(
        ffmpeg_path=config.ffmpeg,
        allow_private=config.fetch_allow_private,
        silence_s=config.live_silence_s,
    )
    return Live(
        admission=admission,
        standby=Standby(ledger, closing, owner_rules),
        pulls=Pulls(settings, admission, Taps(taps, stores.recordings, stores.files)),
        rtmp_address=config.rtmp_address,
        srt_address=config.srt_address,
        srt_listener=SrtListener(taps, passphrase=config.srt_passphrase),
    )


def build_ready(config: TranscoderConfig, stores: Stores, client: Client, channel: grpc.aio.Channel) -> Ready:
    """Build what ready segments need."""
    settings = LiveSettingsClient(channel, rungs=config.ladder)
    ledger = ReadyLedgerClient(channel, LiveLedgerClient(channel, owner=worker_name()))
    claims = Claims(stores.feeds, ledger, NatsBeats(client))
    ports = ready_announcing.Ports(
        feeds=stores.feeds, segments=stores.segments, ledger=ledger, settings=settings, clock=now
    )
    announcer = ReadyAnnouncer(ports, claims)
    ports_of_attempts = ready_attempt.Ports(
        settings=settings, segments=stores.segments, media=stores.media, probe=probe_segment, clock=now
    )
    return Ready(ingest=ReadyIngest(ports_of_attempts, claims, announcer), watch=ReadyWatch(ports, announcer))
