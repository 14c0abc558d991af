"""`weir backup`, `weir restore`, `weir letters`: what JetStream keeps, in a folder or to be looked at.

Each stream becomes NAME.json, its settings and what it held, and NAME.snapshot, as the server packs it.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import nats
from nats.aio.client import Client
from nats.js.errors import NotFoundError

Document = dict[str, Any]
Say = Callable[[str], None]

_LETTERS = "WEIR_DEAD_DELIVERIES"
_CHUNK_BYTES = 128 * 1024
_TIMEOUT_S = 60.0  # for one answer of the server
_PING_S = 5  # the third that is not answered in time: the connection is lost


class BackupFailed(Exception):
    """The server refused, or the folder does not fit; the message says what."""


@asynccontextmanager
async def open_nats(url: str, tls: Path | None = None) -> AsyncIterator[Client]:
    """Connect; `tls` is a folder with tls.crt, tls.key and ca.crt.

    Raises:
        BackupFailed: Nobody answers, be it at once or within the block, which ends when the server goes away.
    """
    context = _context(tls) if tls else None
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(None) as held:
                client = await _connect(url, context, partial(_let_go, held))
                stack.push_async_callback(client.close)
                yield client
        except (TimeoutError, nats.errors.Error) as error:
            raise BackupFailed(f"the NATS server at {url} did not answer: {error!r}") from error


async def _connect(url: str, tls: ssl.SSLContext | None, on_lost: Callable[[], Awaitable[None]]) -> Client:
    try:
        return await nats.connect(
            url.split(","),
            allow_reconnect=False,
            connect_timeout=5,
            ping_interval=_PING_S,
            disconnected_cb=on_lost,
            tls=tls,
            tls_handshake_first=tls is not None,
        )
    except (OSError, TimeoutError, nats.errors.Error) as error:
        raise BackupFailed(f"no NATS server answered at {url}: {error!r}") from error


async def _let_go(held: asyncio.Timeout) -> None:
    """Time a block out at once: the client itself leaves those waiting who have asked something."""
    with suppress(RuntimeError):  # the block has ended, and we close the connection ourselves
        held.reschedule(asyncio.get_running_loop().time())


async def backup(client: Client, folder: Path, say: Say) -> None:
    """Write every stream into `folder`, which must not hold a backup yet.

    Raises:
        BackupFailed: There is one already, or a stream cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - nothing else runs
    if _documents(folder):
        raise BackupFailed(f"{folder} holds a backup already: give another folder")
    documents: dict[str, Document] = {}
    for name in await _stream_names(client):
        documents[name] = await _write(client, name, folder / f"{name}.snapshot")
        state = documents[name]["state"]
        say(f"{name}: {state['messages']} messages, {state['bytes']} bytes")
    for name, document in documents.items():  # last: what broke off is no backup
        (folder / f"{name}.json").write_text(json.dumps(document, indent=1))


async def restore(client: Client, folder: Path, say: Say, *, replicas: int | None = None) -> None:
    """Make every stream of a backup again, on servers that have none of them.

    Args:
        client: The connection.
        folder: As `backup` has written it.
        say: Is told of each stream.
        replicas: Copies to keep from now on; None: as many as before.

    Raises:
        BackupFailed: Nothing is there, a stream exists already, or the server refuses one.
    """
    found = _documents(folder)
    if not found:
        raise BackupFailed(f"{folder} holds no backup")
    taken = {path.stem for path in found} & set(await _stream_names(client))
    if taken:
        raise BackupFailed(f"{', '.join(sorted(taken))}: there already; restore into an empty NATS")
    for path in found:
        document = json.loads(path.read_text())
        if replicas is not None:
            document["config"]["num_replicas"] = replicas
        state = await _read(client, document, path.with_suffix(".snapshot"))
        say(f"{path.stem}: {state['messages']} messages, {state['bytes']} bytes")


async def read_letters(client: Client, say: Say) -> None:
    """Tell of each delivery that was given up, the newest last; one line of JSON each."""
    state = (await _ask(client, f"$JS.API.STREAM.INFO.{_LETTERS}", {}))["state"]
    js = client.jetstream()
    for sequence in range(max(1, state["first_seq"]), state["last_seq"] + 1):
        try:
            letter = await js.get_msg(_LETTERS, sequence)
        except NotFoundError:  # its week is over
            continue
        say((letter.data or b"").decode())


def _documents(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"))


async def _write(client: Client, name: str, snapshot: Path) -> Document:
    """Take a stream's snapshot: pieces come as fast as they are acknowledged, an empty one ends it."""
    inbox = client.new_inbox()
    pieces = await client.subscribe(inbox)
    wanted = {"deliver_subject": inbox, "chunk_size": _CHUNK_BYTES, "jsck": True}
    answer = await _ask(client, f"$JS.API.STREAM.SNAPSHOT.{name}", wanted)
    with snapshot.open("wb") as target:
        while True:
            piece = await pieces.next_msg(timeout=_TIMEOUT_S)
            if piece.header and piece.header.get("Status", "").startswith(("4", "5")):
                raise BackupFailed(f"{name}: {piece.header}")
            if not piece.data:
                break
            await asyncio.to_thread(target.write, piece.data)
            if piece.reply:
                await client.publish(piece.reply)
    await pieces.unsubscribe()
    return {"config": answer["config"], "state": answer["state"]}


async def _read(client: Client, document: Document, snapshot: Path) -> Document:
    name = document["config"]["name"]
    opened = await _ask(client, f"$JS.API.STREAM.RESTORE.{name}", document)
    subject = opened["deliver_subject"]
    with snapshot.open("rb") as source:
        while piece := await asyncio.to_thread(source.read, _CHUNK_BYTES):
            answer = await client.request(subject, piece, timeout=_TIMEOUT_S)
            if answer.data:
                _checked(subject, json.loads(answer.data))
    answer = await client.request(subject, b"", timeout=_TIMEOUT_S)
    state: Document = _checked(name, json.loads(answer.data))["state"]
    if state["messages"] != document["state"]["messages"]:
        held = document["state"]["messages"]
        raise BackupFailed(f"{name}: {state['messages']} messages were restored of {held}")
    return state


async def _stream_names(client: Client) -> list[str]:
    names: list[str] = []
    while True:
        answer = await _ask(client, "$JS.API.STREAM.NAMES", {"offset": len(names)})
        names += answer.get("streams") or []
        if len(names) >= answer["total"]:
            return sorted(names)


async def _ask(client: Client, subject: str, document: Document) -> Document:
    answer = await client.request(subject, json.dumps(document).encode(), timeout=_TIMEOUT_S)
    return _checked(subject, json.loads(answer.data))


def _checked(what: str, document: Document) -> Document:
    if error := document.get("error"):
        raise BackupFailed(f"{what}: {error.get('description', error)}")
    return document


def _context(folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=folder / "ca.crt")
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    return context
