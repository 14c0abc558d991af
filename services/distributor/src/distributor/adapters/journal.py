"""A JetStream stream as a set of journals, one per subject: append by compare-and-set, read, hear the news.

Three facts of JetStream carry this. A publish may name the sequence that must be the newest of its subject. A
batch of messages is read with one request, without a consumer (ADR-31). And a stored message is published
again to those who listen, with its own sequence and that of its predecessor, so that a listener knows whether
it missed one (the stream's `republish`).
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import api
from nats.js import errors as js_errors

from chassis.errors import Conflict, NotFound, ResourceExhausted, Unavailable
from chassis.messaging import REQUEST_TIMEOUT_S, jetstream
from chassis.nats_retry import RETRY_S, persist

# err_code of nats-server.
WRONG_LAST_SEQUENCE = 10071
STORE_FULL = frozenset({10047, 10077})
NO_MESSAGE = frozenset({10037, 10043, 10057})
BATCH_COUNT = 500
BATCH_BYTES = 1024 * 1024
MESSAGE_ID = "Nats-Msg-Id"
_STALE_POLL_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A stored message; `previous_sequence` is that of the one before it on its subject, or 0."""

    sequence: int
    previous_sequence: int
    data: bytes
    headers: Mapping[str, str]


ReadBatch = Callable[[str, int, int], Awaitable[Sequence[Message]]]
"""Reads the messages of a subject behind a sequence, at most so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """Where an append stands; `repeated`: an earlier attempt or call had stored it."""

    sequence: int
    repeated: bool


def stored_message(message: Msg) -> Message:
    """Read a message that JetStream sends, from the batch or as news."""
    headers = message.headers or {}
    return Message(
        sequence=int(headers["Nats-Sequence"]),
        previous_sequence=int(headers.get("Nats-Last-Sequence", 0)),
        data=message.data,
        headers=headers,
    )


class Journal:
    """The journals of one JetStream stream, which must allow direct reads.

    Everything is retried through hiccups of NATS; see `chassis.nats_retry.persist`.

    Raises (all verbs):
        Unavailable: NATS did not answer for RETRY_S.
    """

    def __init__(self, client: Client, stream: str) -> None:
        self._client = client
        self._js = jetstream(client)
        self._stream = stream

    async def append(self, subject: str, data: bytes, *, expected_sequence: int, message_id: str) -> Ack:
        """Store a message if `expected_sequence` is the newest of its subject.

        Of appends with one `message_id` one is stored: JetStream refuses a second one while it remembers the
        first, and at any time the successor of `expected_sequence`, of which there is only one, tells.

        Raises:
            Conflict: SEQUENCE_CONFLICT; another message came first.
            ResourceExhausted: JOURNAL_FULL.
        """
        headers = {
            api.Header.EXPECTED_LAST_SUBJECT_SEQUENCE: str(expected_sequence),
            MESSAGE_ID: message_id,
        }

        async def publish(_attempt: int) -> Ack:
            try:
                ack = await self._js.publish(subject, data, stream=self._stream, headers=dict(headers))
            except js_errors.ServiceUnavailableError as error:
                raise (_store_full(error) if error.err_code in STORE_FULL else error) from error
            return Ack(sequence=ack.seq, repeated=bool(ack.duplicate))

        try:
            return await persist(publish)
        except js_errors.APIError as error:
            if error.err_code != WRONG_LAST_SEQUENCE:
                raise
        sequence = await self.find(subject, after_sequence=expected_sequence, message_id=message_id)
        if sequence is None:
            raise Conflict(
                f"expected_sequence is {expected_sequence}, which is not the newest: read again",
                reason="SEQUENCE_CONFLICT",
            )
        return Ack(sequence=sequence, repeated=True)

    async def add(self, subject: str, data: bytes, *, message_id: str) -> int:
        """Store a message behind whatever is there; answers its sequence, the first one's if it is repeated.

        Raises:
            ResourceExhausted: JOURNAL_FULL.
        """

        async def publish(_attempt: int) -> int:
            try:
                headers = {MESSAGE_ID: message_id}
                return int((await self._js.publish(subject, data, stream=self._stream, headers=headers)).seq)
            except js_errors.ServiceUnavailableError as error:
                raise (_store_full(error) if error.err_code in STORE_FULL else error) from error

        return await persist(publish)

    async def newest(self) -> int:
        """The newest sequence that was ever given out in the whole stream; 0 of a new one."""
        return int((await persist(lambda _attempt: self._js.stream_info(self._stream))).state.last_seq)

    async def find(self, subject: str, *, after_sequence: int, message_id: str) -> int | None:
        """Look whether the message right behind `after_sequence` bears this id; its sequence if so."""
        message = await self._first(subject, after_sequence)
        return message.sequence if message and message.headers.get(MESSAGE_ID) == message_id else None

    async def last_sequence(self, subject: str) -> int:
        """Read the newest sequence of a subject from the stream's leader; 0 if it has no message."""

        async def last(_attempt: int) -> int:
            try:
                return int((await self._js.get_last_msg(self._stream, subject)).seq or 0)
            except js_errors.NotFoundError:
                return 0

        return await persist(last)

    async def read(
        self, subject: str, *, after_sequence: int, up_to: int | None = None, count: int = BATCH_COUNT
    ) -> AsyncIterator[Sequence[Message]]:
        """Read in batches of `count`: at least to the sequence `up_to`, or all that is there if that is None.

        Any replica of the stream may answer, and one may lag; hence `up_to` is waited for.

        Raises:
            NotFound: JOURNAL_GONE; it was purged before `up_to` could be read.
        """
        async for batch in self._read(self._batch, subject, after_sequence, up_to, count):
            yield batch

    async def _read(
        self, read_batch: ReadBatch, subject: str, after_sequence: int, up_to: int | None, count: int
    ) -> AsyncIterator[Sequence[Message]]:
        deadline = asyncio.get_running_loop().time() + RETRY_S
        position = after_sequence
        while up_to is None or position < up_to:
            if batch := await read_batch(subject, position, count):
                position = batch[-1].sequence
                yield batch
            elif up_to is None:
                return
            elif await self.last_sequence(subject) < up_to:
                raise NotFound("what was to be read has been deleted", reason="JOURNAL_GONE")
            elif asyncio.get_running_loop().time() > deadline:
                raise Unavailable("no replica of NATS is up to date", reason="NATS_BEHIND", retry_delay_s=1.0)
            else:
                await asyncio.sleep(_STALE_POLL_S)

    async def holds(self, subject: str, sequence: int) -> bool:
        """Whether the message `sequence` is one of this subject."""
        message = await self._first(subject, sequence - 1)
        return message is not None and message.sequence == sequence

    async def purge(self, subject: str, *, up_to: int | None = None) -> None:
        """Remove all messages of a subject, or those up to a sequence."""
        behind = None if up_to is None else up_to + 1
        await persist(lambda _attempt: self._js.purge_stream(self._stream, seq=behind, subject=subject))

    async def remove(self, sequence: int) -> None:
        """Remove one message; one that is not there is no error."""
        # The client's own way overwrites the bytes on disk with noise, which costs more than storing them.
        request = json.dumps({"seq": sequence, "no_erase": True}).encode()
        subject = f"$JS.API.STREAM.MSG.DELETE.{self._stream}"
        answer = await persist(
            lambda _attempt: self._client.request(subject, request, timeout=REQUEST_TIMEOUT_S)
        )
        error = json.loads(answer.data).get("error")
        if error and error.get("err_code") not in NO_MESSAGE:
            raise Unavailable(f"JetStream did not remove a record: {error}", reason="NATS_AWAY")

    async def subjects(self, pattern: str) -> Sequence[str]:
        """List the subjects that match a pattern and have a message."""
        info = await persist(lambda _attempt: self._js.stream_info(self._stream, subjects_filter=pattern))
        return tuple(info.state.subjects or ())

    async def _first(self, subject: str, after_sequence: int) -> Message | None:
        """Read the first message behind a sequence, as it is stored; a replica that lags is waited for."""
        batches = self._read(self._stored_batch, subject, after_sequence, after_sequence + 1, 1)
        try:
            messages = [message async for batch in batches for message in batch]
        except NotFound:
            return None
        return messages[0]

    async def _batch(self, subject: str, after_sequence: int, count: int) -> Sequence[Message]:
        """Read a batch as readers are to see it."""
        return await self._stored_batch(subject, after_sequence, count)

    async def _stored_batch(self, subject: str, after_sequence: int, count: int) -> Sequence[Message]:
        request = {"seq": after_sequence + 1, "next_by_subj": subject}
        request |= {"batch": count, "max_bytes": BATCH_BYTES}
        return await persist(lambda _attempt: self._request_batch(json.dumps(request).encode()))

    async def _request_batch(self, request: bytes) -> Sequence[Message]:
        answer = _BatchAnswer()
        inbox = f"{self._client.new_inbox()}.{secrets.token_hex(4)}"
        subscription = await self._client.subscribe(inbox, cb=answer.take)
        try:
            await self._client.publish(f"$JS.API.DIRECT.GET.{self._stream}", request, reply=inbox)
            return await answer.messages(timeout_s=REQUEST_TIMEOUT_S)
        finally:
            await subscription.unsubscribe()


def _store_full(error: js_errors.APIError) -> ResourceExhausted:
    return ResourceExhausted(
        f"JetStream has no room left ({error.description}): delete streams, or give it more",
        reason="JOURNAL_FULL",
        retry_delay_s=10.0,
    )


class _BatchAnswer:
    """Gathers the messages of one direct read until its end mark."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._count_seen = 0
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def take(self, message: Msg) -> None:
        status = (message.headers or {}).get(api.Header.STATUS)
        if self._done.done():
            return
        if status is None:
            self._messages.append(stored_message(message))
        elif status in {"204", "404"}:  # end of the batch; nothing there
            self._done.set_result(None)
        elif status == "503":
            self._done.set_exception(nats.errors.NoRespondersError())
        else:
            self._done.set_exception(js_errors.APIError.from_msg(message))

    async def messages(self, *, timeout_s: float) -> Sequence[Message]:
        """Wait for the end mark, as long as messages keep coming."""
        seen = -1
        while not self._done.done():
            if seen == len(self._messages):
                raise nats.errors.TimeoutError
            seen = len(self._messages)
            await asyncio.wait({self._done}, timeout=timeout_s)
        self._done.result()
        return self._messages
