"""The work queue on JetStream: one stream, a durable consumer per lane, shared by all transcoders.

A task is a subject and nothing else. The stream forgets it when it is acknowledged; one that was taken and is
not heard of for `ack_wait_s` is given to somebody else, any number of times: who counts attempts is the
worker.
"""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext, api
from nats.js import errors as js_errors

from chassis import layout
from chassis.errors import ResourceExhausted
from chassis.messaging import REQUEST_TIMEOUT_S, ensure_stream, jetstream
from chassis.nats_retry import persist
from chassis.telemetry import trace_headers
from transcoder.ports import Lane, QueueCounts, Task

DUPLICATE_WINDOW_S = 120.0
_MAX_TASKS = 200_000
_MAX_TAKEN = 50_000  # tasks of one lane that may be worked on at a time
_STATUS = "Status"
_STORE_FAILED = 10077  # JetStream's error code for a stream that has no room
_ENCODING = (Lane.FIRST, Lane.REST)
_LIVE_ACK_WAIT_S = 3.0  # viewers wait while nobody pulls


async def open_queue(client: Client, *, replicas: int, ack_wait_s: float) -> JetStreamQueue:
    """Open the queue, made if it is not there yet."""
    stream = api.StreamConfig(
        name=layout.JOBS_STREAM,
        subjects=["weir.jobs.>"],
        retention=api.RetentionPolicy.WORK_QUEUE,
        discard=api.DiscardPolicy.NEW,  # a full queue refuses; it does not forget
        max_msgs=_MAX_TASKS,
        num_replicas=replicas,
        duplicate_window=DUPLICATE_WINDOW_S,
    )
    js = jetstream(client)
    await ensure_stream(js, stream)
    for lane in Lane:
        await _ensure_consumer(
            js, lane, min(ack_wait_s, _LIVE_ACK_WAIT_S) if lane is Lane.LIVE else ack_wait_s
        )
    return JetStreamQueue(client)


async def _ensure_consumer(js: JetStreamContext, lane: Lane, ack_wait_s: float) -> None:
    config = api.ConsumerConfig(
        durable_name=lane,
        filter_subject=f"weir.jobs.{lane}.>",
        ack_policy=api.AckPolicy.EXPLICIT,
        ack_wait=ack_wait_s,
        max_deliver=-1,
        max_ack_pending=_MAX_TAKEN,
    )
    await persist(lambda _attempt: js.add_consumer(layout.JOBS_STREAM, config))


class JetStreamQueue:
    """See `ports.JobQueue`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._js = jetstream(client)

    async def publish(self, task: Task, *, again: bool = False) -> None:
        subject = layout.task_subject(task.lane, task.recording_id, task.job_id, task.name)
        message_id = f"{task.job_id}.{task.name}" + (f".{secrets.token_hex(4)}" if again else "")
        headers = trace_headers() | {api.Header.MSG_ID: message_id}
        await persist(lambda _attempt: self._publish(subject, headers))

    async def _publish(self, subject: str, headers: dict[str, str]) -> None:
        try:
            await self._js.publish(subject, b"", headers=dict(headers))
        except js_errors.ServiceUnavailableError as error:
            if error.err_code != _STORE_FAILED:
                raise
            raise ResourceExhausted(
                "the queue of tasks is full: try again later", reason="QUEUE_FULL", retry_delay_s=30.0
            ) from error

    async def take(self, lane: Lane, *, wait_s: float) -> JetStreamDelivery | None:
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{layout.JOBS_STREAM}.{lane}"
        wish = {"batch": 1, "expires": int(wait_s * 1e9)} if wait_s else {"batch": 1, "no_wait": True}
        try:
            # Old style: the task arrives under its own subject, which a shared inbox would not know.
            # The server answers when the wish expires at the latest; the margin keeps a task from being lost.
            message = await self._client.request(
                subject, json.dumps(wish).encode(), timeout=wait_s + REQUEST_TIMEOUT_S, old_style=True
            )
        except TimeoutError:
            return None
        if message.headers and _STATUS in message.headers:
            return None
        return JetStreamDelivery(message)

    async def purge(self, recording_id: str, job_id: str, *, keep: Lane | None = None) -> None:
        for lane in Lane:
            if lane is not keep:
                await self._purge(layout.task_subject(lane, recording_id, job_id, "*"))

    async def _purge(self, subject: str) -> None:
        await persist(lambda _attempt: self._js.purge_stream(layout.JOBS_STREAM, subject=subject))

    async def count(self) -> QueueCounts:
        infos = [await self._info(lane) for lane in _ENCODING]
        return QueueCounts(
            waiting_count=sum(info.num_pending or 0 for info in infos),
            running_count=sum(info.num_ack_pending or 0 for info in infos),
        )

    async def _info(self, lane: Lane) -> api.ConsumerInfo:
        return await persist(lambda _attempt: self._js.consumer_info(layout.JOBS_STREAM, lane))


@dataclass(slots=True)
class JetStreamDelivery:
    """See `ports.Delivery`."""

    _message: Msg

    @property
    def task(self) -> Task:
        _, _, lane, recording, job_id, name = self._message.subject.split(".")
        return Task(lane=Lane(lane), recording_id=layout.untoken(recording), job_id=job_id, name=name)

    @property
    def age_s(self) -> float:
        return time.time() - self._message.metadata.timestamp.timestamp()

    @property
    def deliveries_count(self) -> int:
        return self._message.metadata.num_delivered or 1

    @property
    def headers(self) -> dict[str, str]:
        return self._message.headers or {}

    async def extend(self) -> None:
        await self._message.in_progress()

    async def ack(self) -> None:
        await self._message.ack()

    async def retry(self, delay_s: float = 0.0) -> None:
        await self._message.nak(delay_s or None)
