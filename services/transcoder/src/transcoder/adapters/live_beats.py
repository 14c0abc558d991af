"""Signs of life on core NATS, which answers while JetStream elects: nothing is stored, and nothing decided.

An owner listens where it beats. Who wants to know asks there: with no listener the server itself answers at
once that nobody owns the stream. Who wants a stream to end asks its owner in the same way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from pydantic import TypeAdapter, ValidationError

from chassis import layout
from chassis.errors import Unavailable
from chassis.lifecycle import end_tasks
from transcoder.domain.live_settings import Beat

BEAT_S = 0.5
# A living owner answers within milliseconds; a frozen one not at all.
ASK_TIMEOUT_S = 1.0

_BEAT = TypeAdapter(Beat)


class NatsBeats:
    """See `live.ports.LiveBeats`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def ask(self, stream_id: str) -> Beat | None:
        """Ask for the owner's present state.

        Raises:
            Unavailable: NATS is away, so that nobody can be asked.
        """
        try:
            answer = await self._client.request(layout.live_beat_subject(stream_id), timeout=ASK_TIMEOUT_S)
        except (nats.errors.NoRespondersError, nats.errors.TimeoutError, TimeoutError) as error:
            if self._client.is_connected:
                return None
            raise _away() from error
        except nats.errors.Error as error:
            raise _away() from error
        return _read(answer.data)

    @asynccontextmanager
    async def show(
        self,
        stream_id: str,
        state: Callable[[], Beat],
        *,
        heard: Callable[[Beat], None],
        stop: Callable[[], None],
    ) -> AsyncIterator[None]:
        """Beat, answer, and listen to others, for as long as the block lasts."""
        subject = layout.live_beat_subject(stream_id)

        async def take(message: Msg) -> None:
            if message.reply:
                await self._publish(message.reply, state())
            elif (beat := _read(message.data)) and beat.epoch != state().epoch:
                heard(beat)

        async def take_stop(message: Msg) -> None:
            stop()
            await self._publish(message.reply, state())

        listening = (
            await self._client.subscribe(subject, cb=take),
            await self._client.subscribe(layout.live_stop_subject(stream_id), cb=take_stop),
        )
        beating = asyncio.create_task(self._beat(subject, state))
        try:
            yield
        finally:
            await end_tasks(beating)
            for subscription in listening:
                with suppress(nats.errors.Error):
                    await subscription.unsubscribe()

    async def _beat(self, subject: str, state: Callable[[], Beat]) -> None:
        while True:
            await self._publish(subject, state())
            await asyncio.sleep(BEAT_S)

    async def _publish(self, subject: str, beat: Beat) -> None:
        if self._client.is_connected:  # else it would be told late, in one burst
            with suppress(nats.errors.Error):
                await self._client.publish(subject, _BEAT.dump_json(beat))


def _read(data: bytes) -> Beat | None:
    try:
        return _BEAT.validate_json(data)
    except ValidationError:
        return None


def _away() -> Unavailable:
    return Unavailable(
        "NATS is away, so that nobody can tell who owns the stream", reason="NATS_AWAY", retry_delay_s=1.0
    )
